//! Packed lists on any bytes, and under any edits.
//!
//! Bytes that `Packed::check` accepts must read the same forwards and backwards, without leaving
//! them; re-encoding what was read gives a list of the same elements. The rest of the input is a
//! script of edits, done to a list and to a vector of strings, which must agree after each.
//!
//! Run with `make fuzz` or `cargo fuzz run packed`; tests are in
//! `crates/collections/tests/packed.rs`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pannier_collections::{Encoded, Packed, Piece, Splice};

fuzz_target!(|input: &[u8]| {
    let Some((&cut, input)) = input.split_first() else { return };
    let (bytes, script) = input.split_at(usize::from(cut).min(input.len()));
    if let Some((list, count)) = Packed::check(bytes) {
        let elements: Vec<_> = list.iter().map(Piece::to_vec).collect();
        assert_eq!(elements.len(), count);
        let mut reversed: Vec<_> = list.iter().rev().map(Piece::to_vec).collect();
        reversed.reverse();
        assert_eq!(reversed, elements);
        let slices: Vec<_> = elements.iter().map(Vec::as_slice).collect();
        compare(Encoded::of(&slices).as_bytes(), &elements);
    }
    edit(script);
});

/// Each edit is three bytes, where, how many go and how long the new element is, and the element.
fn edit(mut script: &[u8]) {
    let (mut list, mut twin) = (Vec::new(), Vec::<Vec<u8>>::new());
    while let [at, removed, len, rest @ ..] = script {
        let (element, rest) = rest.split_at(usize::from(*len).min(rest.len()));
        script = rest;
        let index = usize::from(*at) % (twin.len() + 1);
        let removed = usize::from(*removed) % (twin.len() - index + 1);
        let packed = Packed::new(&list);
        let from = packed.offset(index).unwrap_or(list.len());
        let to = packed.offset(index + removed).unwrap_or(list.len());
        list.exchange(from, to - from, Encoded::of(&[element]).as_bytes());
        twin.splice(index..index + removed, [element.to_vec()]);
        compare(&list, &twin);
    }
}

fn compare(bytes: &[u8], twin: &[Vec<u8>]) {
    let (list, count) = Packed::check(bytes).expect("what was encoded is sound");
    assert_eq!(count, twin.len());
    assert!(list.iter().map(Piece::to_vec).eq(twin.iter().cloned()));
}
