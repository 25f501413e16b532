//! Payloads of RESTORE on any bytes: refused, or a value that comes back the same.
//!
//! The first byte of the input chooses the limits between packed and large, and the version; the
//! rest is a payload without its footer, which gets a true one here, since no mutation would ever
//! find a checksum. What is restored is dumped, restored under other limits and dumped again:
//! each must be accepted, so nothing unsound is ever made.
//!
//! Run with `make fuzz` or `cargo fuzz run dump`; the same property is tested on damaged payloads
//! in `crates/persist/tests/mutations.rs`.

#![no_main]

use std::sync::Arc;

use crc::{CRC_64_REDIS, Crc, Table};
use libfuzzer_sys::fuzz_target;
use pannier_persist::{Refused, dump, restore};
use pannier_store::{Age, Keyspace, Limits, Now, Open, Options, Rules};

const CHECKSUM: Crc<u64, Table<16>> = Crc::<u64, Table<16>>::new(&CRC_64_REDIS);
const NOW: Now = Now { unix_us: 1_700_000_000_000_000, mono_us: 0 };

fuzz_target!(|data: &[u8]| {
    let Some((choice, body)) = data.split_first() else { return };
    let limits = if choice & 1 == 0 { Limits::default() } else { tight() };
    let other = if choice & 1 == 0 { tight() } else { Limits::default() };
    let version: u16 = if choice & 2 == 0 { 80 } else { 12 };
    let mut payload = [body, &version.to_le_bytes()[..]].concat();
    payload.extend_from_slice(&CHECKSUM.checksum(&payload).to_le_bytes());
    let reaper = Arc::new(drop);
    let options = Options { shards: 1, databases: 1, seed: 7, now: NOW, reaper };
    let keyspace = Keyspace::new(options);
    let Ok(dumped) = through(&keyspace, &payload, &limits) else { return };
    if dumped.is_empty() {
        return;
    }
    let middle = through(&keyspace, &dumped, &other).expect("what was dumped is sound");
    let again = through(&keyspace, &middle, &limits).expect("what was dumped is sound");
    assert_eq!(again.len(), dumped.len());
});

/// Restores a payload under limits and dumps it again; nothing, if nothing of it is alive.
fn through(keyspace: &Keyspace, payload: &[u8], limits: &Limits) -> Result<Vec<u8>, Refused> {
    let made = restore(payload, keyspace.maker(b"k", limits, NOW))?;
    if made.is_empty() {
        return Ok(Vec::new());
    }
    let key = keyspace.key(b"k");
    let mut view = keyspace.open(Open::Keys(&[key]), NOW, Rules::default());
    view.put_aged(0, key, made, Age::Fresh);
    let found = view.peek(0, key).expect("it was just put in");
    Ok(dump(found, true))
}

/// Limits under which nothing is packed.
fn tight() -> Limits {
    Limits {
        hash_entries: 0,
        set_entries: 0,
        set_integers: 0,
        sorted_set_entries: 0,
        list_size: 1,
        ..Limits::default()
    }
}
