//! Tests of the keyspace as a whole, which look inside it.
//!
//! What they share is here: a keyspace on a clock that the test moves, and the recount, which
//! works every sum out anew from the entries themselves. One file per promise: the sums
//! (`accounting`), checkpoints (`checkpoint`), compressed values (`compression`), expiry
//! (`expiry`), victims (`eviction`), the limits in entries (`limits`), walks (`scan`), those who
//! wait (`waiters`), and one for each type.

mod accounting;
mod checkpoint;
mod compression;
mod eviction;
mod expiry;
mod hash;
mod limits;
mod list;
mod scan;
mod set;
mod sorted_set;
mod stream;
mod waiters;

use std::sync::Arc;

use crate::value::{ARMED, COMPRESSED, footprint, large_hash};
use crate::{Compression, Deadline, Key, Keyspace, NewValue, Now, Open, Options, Rules, Str, View};

/// When the tests begin, in Unix milliseconds.
const START_MS: u64 = 1_700_000_000_000;

fn at(unix_ms: u64) -> Now {
    Now { unix_us: unix_ms * 1000, mono_us: unix_ms * 1000 }
}

fn keyspace(shards: usize) -> Keyspace {
    Keyspace::new(Options {
        shards,
        databases: 16,
        seed: 7,
        now: at(START_MS),
        reaper: Arc::new(drop),
    })
}

/// Runs `work` on a view of one key.
fn with<R>(
    keyspace: &Keyspace,
    name: &[u8],
    now_ms: u64,
    work: impl FnOnce(&mut View<'_>, Key<'_>) -> R,
) -> R {
    let key = keyspace.key(name);
    let mut view = keyspace.open(Open::Keys(&[key]), at(now_ms), Rules::default());
    work(&mut view, key)
}

fn set(keyspace: &Keyspace, name: &[u8], deadline: Option<u64>, now_ms: u64) {
    let deadline = deadline.map_or(Deadline::Clear, Deadline::At);
    with(keyspace, name, now_ms, |view, key| view.set(0, key, NewValue::of(b"v"), deadline));
}

fn exists(keyspace: &Keyspace, name: &[u8], now_ms: u64) -> bool {
    with(keyspace, name, now_ms, |view, key| view.contains(0, key))
}

fn wheel_marks(keyspace: &Keyspace) -> usize {
    keyspace.open(Open::Nothing, at(START_MS), Rules::default()).wheel_marks()
}

/// Works every sum out anew and compares it with what is kept.
fn recount(keyspace: &Keyspace) {
    let (mut bytes, mut entries) = (0, 0);
    let mut in_database = vec![0; keyspace.databases()];
    for index in 0..keyspace.shards() {
        let shard = keyspace.shards.lock(index);
        assert_eq!(shard.delta, 0, "growth that was not published");
        bytes += shard.wheel.footprint() + shard.field_wheel.footprint();
        let volatile: usize = shard.databases.iter().map(|part| part.volatile).sum();
        assert_eq!(shard.volatile, volatile, "volatile keys of a shard");
        let timed: usize = shard.databases.iter().map(|part| part.timed).sum();
        assert_eq!(shard.timed, timed, "keys of a shard with volatile fields");
        assert!(shard.field_wheel.len() >= timed, "a mark for each of them");
        for (index, part) in shard.databases.iter().enumerate() {
            assert_eq!(shard.index_of_id[part.id as usize] as usize, index);
            let items = part.table.iter();
            let (mut own, mut volatile, mut deadlines) = (part.table.footprint(), 0, 0);
            let (mut compression, mut timed) = (Compression::default(), 0);
            for item in items {
                own += footprint(item);
                volatile += usize::from(item.deadline().is_some());
                deadlines += u128::from(item.deadline().unwrap_or(0));
                let armed = item.flags() & ARMED != 0;
                assert_eq!(armed, item.deadline().is_some(), "armed exactly while volatile");
                if let Some(hash) = large_hash(item) {
                    let due = hash.recounted();
                    assert_eq!(hash.next_due(), due, "the first deadline of the fields");
                    let armed = hash.mark().map(|(tick, _)| tick);
                    assert_eq!(armed.is_some(), due.is_some(), "marked while fields are volatile");
                    assert!(armed <= due, "the mark comes in time");
                    timed += usize::from(due.is_some());
                }
                if item.flags() & COMPRESSED != 0 {
                    let value = Str::of(item).expect("a string");
                    let (before, pannier_collections::Payload::Bytes(stored)) =
                        (value.to_vec().len(), item.payload())
                    else {
                        panic!("a compressed value lies in its entry");
                    };
                    compression.merge(Compression { values: 1, before, after: stored.len() });
                }
            }
            assert_eq!(part.compression, compression, "compressed values of database {index}");
            assert_eq!(part.bytes, own as isize, "bytes of database {index}");
            assert_eq!(part.timed, timed, "keys of database {index} with volatile fields");
            assert_eq!(part.volatile, volatile, "volatile keys of database {index}");
            assert_eq!(part.deadlines, deadlines, "deadlines of database {index}");
            in_database[index] += part.table.len();
            entries += part.table.len();
            bytes += own;
        }
    }
    assert_eq!(keyspace.totals().bytes, bytes, "bytes in all");
    assert_eq!(keyspace.totals().entries, entries, "entries in all");
    for (database, count) in in_database.into_iter().enumerate() {
        assert_eq!(keyspace.len(database), count, "entries of database {database}");
    }
}
