//! HyperLogLogs on any bytes: damaged ones are refused, never read or written outside.
//!
//! A client can put any string under a key and call it a sketch (SET, SETRANGE, RESTORE). The
//! first byte of the input chooses what happens, the next how many bytes are elements; the rest
//! follows the header of a sparse or a dense sketch. Whatever is accepted keeps the count of its
//! registers when it becomes dense, and never counts fewer after an addition.
//!
//! Run with `make fuzz` or `cargo fuzz run hyperloglog`; tests are in
//! `crates/collections/tests/hyperloglog.rs`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pannier_collections::hyperloglog::{Registers, add, count, form, to_dense};

fuzz_target!(|input: &[u8]| {
    let [choice, cut, input @ ..] = input else { return };
    let (elements, body) = input.split_at(usize::from(*cut).min(input.len()));
    let mut sketch = [b"HYLL".as_slice(), &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80], body].concat();
    if choice & 1 == 0 {
        sketch[4] = 0;
        sketch.resize(16 + 12_288, choice >> 4);
    }
    assert!(form(&sketch).is_some());
    let Ok(before) = count(&sketch) else {
        // What cannot be counted cannot be merged either.
        assert!(Registers::new(false).merge(&sketch).is_err());
        let _ = add(&mut sketch, elements, 3_000);
        return;
    };
    let mut merged = Registers::new(false);
    assert!(merged.merge(&sketch).is_ok());
    assert_eq!(merged.count(), before);
    let mut dense = sketch.clone();
    assert!(to_dense(&mut dense).is_ok());
    assert_eq!(count(&dense), Ok(before));
    for element in elements.chunks(3) {
        let limit = if choice & 2 == 0 { 0 } else { 3_000 };
        let (raised, raised_dense) =
            (add(&mut sketch, element, limit), add(&mut dense, element, limit));
        assert!(raised.is_ok() && raised == raised_dense);
        assert_eq!(count(&sketch), count(&dense));
    }
    assert!(count(&sketch).is_ok_and(|after| after >= before));
});
