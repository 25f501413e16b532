//! The typed reader of replies on any bytes: never a panic, never more than there is, and more
//! bytes behind a whole reply change nothing.
//!
//! `decode` reads what servers send, so its input is as hostile as a request's. What it accepts as
//! one reply must stay that reply when the stream goes on, and every shorter input must be
//! called incomplete or, when it is already wrong, refused.
//!
//! Run with `make fuzz` or `cargo fuzz run reply_decode`; tests are in
//! `crates/resp/tests/replies.rs`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use pannier_resp::decode;

fuzz_target!(|input: &[u8]| {
    let Ok(Some((value, len))) = decode(input) else { return };
    assert!(len <= input.len());
    assert_eq!(decode(&input[..len]), Ok(Some((value, len))));
    for cut in (0..len).rev().take(64) {
        assert_eq!(decode(&input[..cut]), Ok(None));
    }
});
