//! Long lists under any edits, with nodes of any size.
//!
//! The first byte of the input chooses the limit of a node; the rest is a script, done to a deque
//! and to a vector of strings. After each step the deque's own sums must be right, and at the end
//! both must hold the same.
//!
//! Run with `make fuzz` or `cargo fuzz run deque`; tests are in
//! `crates/collections/tests/deque.rs`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pannier_collections::{Deque, NodeLimit, Piece};

fuzz_target!(|input: &[u8]| {
    let Some((&choice, mut script)) = input.split_first() else { return };
    let size = [1, 2, 3, 7, 128, -1, -2, -5][usize::from(choice & 7)];
    let limit = NodeLimit::of(size, usize::from(choice >> 4) * 16);
    let (mut list, mut twin) = (Deque::new(), Vec::<Vec<u8>>::new());
    while let [what, at, len, rest @ ..] = script {
        let (bytes, rest) = rest.split_at(usize::from(*len & 63).min(rest.len()));
        script = rest;
        // Long elements, too.
        let element = bytes.repeat(if len & 0x80 == 0 { 1 } else { 40 });
        step(&mut list, &mut twin, (*what, usize::from(*at), &element), &limit);
        list.assert_sound();
        assert_eq!(list.len(), twin.len());
    }
    let mut held = Vec::new();
    list.visit(0, |piece| {
        held.push(piece.to_vec());
        true
    });
    assert_eq!(held, twin);
});

fn step(
    list: &mut Deque,
    twin: &mut Vec<Vec<u8>>,
    (what, at, element): (u8, usize, &[u8]),
    limit: &NodeLimit,
) {
    let index = at % (twin.len() + 1);
    let there = index < twin.len();
    match what % 7 {
        0 => {
            list.push_front(element, limit);
            twin.insert(0, element.to_vec());
        }
        1 => {
            list.push_back(element, limit);
            twin.push(element.to_vec());
        }
        2 => {
            list.drop_front(at);
            twin.drain(..at.min(twin.len()));
        }
        3 => {
            list.drop_back(at);
            twin.truncate(twin.len().saturating_sub(at));
        }
        4 => {
            let after = what & 0x80 != 0;
            assert_eq!(list.insert(index, element, after, limit), there);
            if there {
                twin.insert(index + usize::from(after), element.to_vec());
            }
        }
        5 => {
            assert_eq!(list.replace(index, element, limit), there);
            if there {
                twin[index] = element.to_vec();
            }
        }
        _ => {
            let needle = twin.get(index).cloned().unwrap_or_default();
            let before = twin.len();
            let removed = list.remove_equal(Piece::of(&needle), usize::MAX, what & 0x80 != 0);
            twin.retain(|held| *held != needle);
            assert_eq!(removed, before - twin.len());
        }
    }
}
