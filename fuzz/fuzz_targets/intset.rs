//! Sets of integers on any bytes, and under any additions and removals.
//!
//! Bytes that `Intset::check` accepts are ascending and are found again, each of them. The rest of
//! the input is a script, done to a set and to a `BTreeSet`, which must agree after each step.
//!
//! Run with `make fuzz` or `cargo fuzz run intset`; tests are in
//! `crates/collections/tests/intset.rs`.

#![no_main]

use std::collections::BTreeSet;

use libfuzzer_sys::fuzz_target;
use pannier_collections::{Intset, Splice};

fuzz_target!(|input: &[u8]| {
    let [cut, width, input @ ..] = input else { return };
    let (bytes, script) = input.split_at(usize::from(*cut).min(input.len()));
    if let Some(set) = Intset::check(bytes, usize::from(*width)) {
        assert_eq!(set.len() * set.width(), bytes.len());
        assert!(set.iter().all(|value| set.contains(value)));
    }
    let (mut set, mut twin) = (Vec::new(), BTreeSet::new());
    for step in script.chunks_exact(9) {
        let value = value(step);
        let held = Intset::new(&set, twin.len());
        assert_eq!(held.contains(value), twin.contains(&value));
        let (exchange, changes) = match step[0] & 1 {
            0 => (held.insertion(value), twin.insert(value)),
            _ => (held.removal(value), twin.remove(&value)),
        };
        assert_eq!(exchange.is_some(), changes);
        if let Some(exchange) = exchange {
            set.exchange(exchange.at, exchange.removed, &exchange.added);
        }
        assert!(Intset::new(&set, twin.len()).iter().eq(twin.iter().copied()));
    }
});

/// The first byte says how many of the others count, so that all widths come.
fn value(step: &[u8]) -> i64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&step[1..]);
    i64::from_le_bytes(bytes) >> (step[0] & 0x38)
}
