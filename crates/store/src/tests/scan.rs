//! A walk returns whatever is there from its start to its end, while tables grow and shrink.

use std::collections::HashMap;

use super::{START_MS, at, keyspace, set, with};
use crate::{Cursor, Keyspace, Open, Rules};

/// One call of a walk; the keys it returned.
fn step(keyspace: &Keyspace, cursor: Cursor, count: usize, now_ms: u64) -> (Cursor, Vec<Vec<u8>>) {
    let mut found = Vec::new();
    let mut view = keyspace.open(Open::Nothing, at(now_ms), Rules::default());
    let next = view.scan(0, cursor, count, |key, _| found.push(key.to_vec()));
    (next, found)
}

/// A whole walk with something done between the calls; how often each key was returned.
fn walk(keyspace: &Keyspace, count: usize, mut between: impl FnMut()) -> HashMap<Vec<u8>, usize> {
    let mut seen = HashMap::new();
    let mut cursor = Cursor(0);
    for _ in 0..10_000_000 {
        let (next, found) = step(keyspace, cursor, count, START_MS);
        for key in found {
            *seen.entry(key).or_default() += 1;
        }
        if next == Cursor(0) {
            return seen;
        }
        assert!(next.0 < 1 << 53, "a cursor survives in a double");
        cursor = next;
        between();
    }
    panic!("the walk does not come to an end");
}

fn key(kind: &str, n: u32) -> Vec<u8> {
    format!("{kind}:{n}").into_bytes()
}

#[test]
fn a_walk_over_what_stands_still_returns_each_key_once() {
    for shards in [1, 2, 16, 64] {
        for keys in [0, 1, 5, 1000, 20_000] {
            let keyspace = keyspace(shards);
            (0..keys).for_each(|n| set(&keyspace, &key("k", n), None, START_MS));
            for count in [1, 10, 1000, usize::MAX] {
                let seen = walk(&keyspace, count, || ());
                assert_eq!(seen.len(), keys as usize);
                assert!(seen.values().all(|times| *times == 1));
            }
        }
    }
}

#[test]
fn growth_during_a_walk_loses_nothing() {
    for shards in [1, 4, 8] {
        let keyspace = keyspace(shards);
        (0..500).for_each(|n| set(&keyspace, &key("old", n), None, START_MS));
        let mut added = 0;
        let seen = walk(&keyspace, 10, || {
            for _ in 0..if added < 30_000 { 300 } else { 0 } {
                set(&keyspace, &key("new", added), None, START_MS);
                added += 1;
            }
        });
        assert!(added > 10_000, "the tables grew while the walk went on");
        assert!((0..500).all(|n| seen.get(&key("old", n)) == Some(&1)));
    }
}

#[test]
fn shrinking_during_a_walk_loses_nothing() {
    for shards in [1, 4, 8] {
        let keyspace = keyspace(shards);
        (0..500).for_each(|n| set(&keyspace, &key("old", n), None, START_MS));
        (0..50_000).for_each(|n| set(&keyspace, &key("gone", n), None, START_MS));
        let mut removed = 0;
        let seen = walk(&keyspace, 10, || {
            for _ in 0..100 {
                let name = key("gone", removed);
                with(&keyspace, &name, START_MS, |view, key| view.remove(0, key));
                removed += 1;
            }
        });
        assert!(removed > 20_000);
        assert!((0..500).all(|n| seen.contains_key(&key("old", n))));
    }
}

#[test]
fn a_walk_returns_no_expired_key_and_removes_none() {
    let keyspace = keyspace(4);
    for n in 0..1000 {
        set(&keyspace, &key("k", n), (n % 2 == 0).then_some(START_MS + 100), START_MS);
    }
    let (next, found) = step(&keyspace, Cursor(0), 10_000, START_MS + 100);
    assert_eq!((next, found.len()), (Cursor(0), 500));
    assert_eq!(keyspace.len(0), 1000);
}

#[test]
fn cursors_that_nobody_gave_end_the_walk_or_go_on_somewhere() {
    let keyspace = keyspace(4);
    (0..1000).for_each(|n| set(&keyspace, &key("k", n), None, START_MS));
    for cursor in [1, 12345, 1 << 40, 3 << 40 | 77, (1 << 42) - 1, 1 << 42, 1 << 53, u64::MAX] {
        let (next, found) = step(&keyspace, Cursor(cursor), 100_000, START_MS);
        assert_eq!(next, Cursor(0));
        assert!(found.len() <= 1000);
    }
}
