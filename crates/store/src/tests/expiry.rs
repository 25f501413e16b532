//! Expiry by the wheel is exact, loses nothing, and holds a bounded number of marks.
//!
//! The twin is a map from key to deadline. Random changes of deadlines and databases go to both,
//! then time moves and the wheel turns until it says that nothing is left.

use std::collections::HashMap;

use super::{START_MS, at, exists, keyspace, recount, set, wheel_marks, with};
use crate::{Deadline, Keyspace, NewValue, Open, Rules};

/// Turns the wheel until nothing more is due; the number of keys freed.
fn turn(keyspace: &Keyspace, now_ms: u64, budget: usize) -> usize {
    let mut expired = 0;
    for _ in 0..10_000_000 {
        let turn = keyspace.expire(now_ms, budget);
        expired += turn.expired;
        if !turn.more {
            return expired;
        }
    }
    panic!("the wheel does not come to an end");
}

fn key(n: u32) -> Vec<u8> {
    format!("key:{n}").into_bytes()
}

#[test]
fn exactly_the_keys_that_are_due_are_freed() {
    for (seed, shards) in [(1, 1), (2, 4), (3, 4)] {
        let keyspace = keyspace(shards);
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut twin: HashMap<u32, Option<u64>> = HashMap::new();
        let mut now_ms = START_MS;
        for _ in 0..400 {
            for _ in 0..100 {
                let n = rng.u32(..500);
                let name = key(n);
                let span = [1, 10, 100, 5_000, 300_000, 40_000_000][rng.usize(..6)];
                let deadline = now_ms + rng.u64(1..=span);
                match rng.u32(..10) {
                    0..4 => {
                        set(&keyspace, &name, Some(deadline), now_ms);
                        twin.insert(n, Some(deadline));
                    }
                    4 => {
                        set(&keyspace, &name, None, now_ms);
                        twin.insert(n, None);
                    }
                    5 => {
                        with(&keyspace, &name, now_ms, |view, key| view.remove(0, key));
                        twin.remove(&n);
                    }
                    6 => {
                        let there = with(&keyspace, &name, now_ms, |view, key| {
                            view.set_deadline(0, key, None)
                        });
                        assert_eq!(there, twin.contains_key(&n));
                        twin.entry(n).and_modify(|held| *held = None);
                    }
                    _ => {
                        with(&keyspace, &name, now_ms, |view, key| {
                            view.set_deadline(0, key, Some(deadline))
                        });
                        twin.entry(n).and_modify(|held| *held = Some(deadline));
                    }
                }
            }
            now_ms += [0, 1, 2, 50, 1000, 100_000][rng.usize(..6)];
            let due = twin.values().flatten().filter(|deadline| **deadline <= now_ms).count();
            assert!(due == 0 || keyspace.next_deadline() <= now_ms, "nobody would be woken");
            assert_eq!(turn(&keyspace, now_ms, rng.usize(1..64)), due, "at {now_ms}");
            twin.retain(|_, deadline| deadline.is_none_or(|deadline| deadline > now_ms));
            assert_eq!(keyspace.len(0), twin.len());
            if let Some(next) = twin.values().flatten().min() {
                assert!(keyspace.next_deadline() <= *next, "a deadline would be missed");
            }
            recount(&keyspace);
        }
        assert!(wheel_marks(&keyspace) <= 2 * twin.len() + 64 * shards + 200);
    }
}

#[test]
fn a_million_extensions_arm_no_second_mark() {
    let keyspace = keyspace(1);
    for n in 0..100 {
        set(&keyspace, &key(n), Some(START_MS + 10_000), START_MS);
    }
    assert_eq!(wheel_marks(&keyspace), 100);
    for round in 0..10_000 {
        for n in 0..100 {
            with(&keyspace, &key(n), START_MS, |view, key| {
                view.set_deadline(0, key, Some(START_MS + 10_001 + round))
            });
        }
    }
    assert_eq!(wheel_marks(&keyspace), 100);
    assert_eq!(turn(&keyspace, START_MS + 20_000 - 1, 16), 0, "not before the last extension");
    assert_eq!(turn(&keyspace, START_MS + 20_000, 16), 100);
    assert_eq!(wheel_marks(&keyspace), 0);
    recount(&keyspace);
}

#[test]
fn overwriting_a_million_times_keeps_the_marks_in_bounds() {
    let keyspace = keyspace(1);
    let mut rng = fastrand::Rng::with_seed(11);
    let mut most = 0;
    for step in 0..1_000_000u64 {
        let name = key(rng.u32(..1000));
        // Shorter, longer, none: every kind of overwrite that leaves a mark behind.
        let deadline = (step % 3 != 0).then(|| START_MS + rng.u64(1..1_000_000));
        set(&keyspace, &name, deadline, START_MS);
        most = most.max(wheel_marks(&keyspace));
    }
    assert!(most <= 2 * 1000 + 64 + 200, "{most} marks for a thousand keys");
    let volatile = keyspace.open(Open::Nothing, at(START_MS), Rules::default()).database_info(0);
    assert_eq!(turn(&keyspace, START_MS + 1_000_000, 100), volatile.expires);
    assert_eq!(keyspace.len(0), 1000 - volatile.expires);
    recount(&keyspace);
}

#[test]
fn removing_what_was_armed_keeps_the_marks_in_bounds() {
    let keyspace = keyspace(1);
    let mut most = 0;
    for n in 0..200_000 {
        set(&keyspace, &key(n), Some(START_MS + 1_000_000), START_MS);
        with(&keyspace, &key(n), START_MS, |view, key| view.remove(0, key));
        most = most.max(wheel_marks(&keyspace));
    }
    assert!(most <= 200, "{most} marks and no key");
}

#[test]
fn many_keys_of_one_millisecond_go_in_bounded_steps() {
    const KEYS: u32 = 200_000;
    let keyspace = keyspace(2);
    for n in 0..KEYS {
        set(&keyspace, &key(n), Some(START_MS + 5000), START_MS);
    }
    assert_eq!(keyspace.expire(START_MS + 4999, 1000).expired, 0);
    let (mut turns, mut expired) = (0, 0);
    loop {
        let turn = keyspace.expire(START_MS + 5000, 1000);
        assert!(turn.expired <= 2000, "a step frees its budget in each shard at most");
        expired += turn.expired;
        turns += 1;
        if !turn.more {
            break;
        }
    }
    assert_eq!(expired, KEYS as usize);
    assert!((100..400).contains(&turns), "{turns} turns");
    assert!(keyspace.is_empty());
    recount(&keyspace);
}

#[test]
fn nobody_sees_a_key_past_its_deadline_before_the_wheel_turns() {
    let keyspace = keyspace(4);
    for n in 0..1000 {
        set(&keyspace, &key(n), Some(START_MS + u64::from(n) + 1), START_MS);
    }
    for n in 0..1000 {
        let deadline = START_MS + u64::from(n) + 1;
        assert!(exists(&keyspace, &key(n), deadline - 1));
        assert!(!exists(&keyspace, &key(n), deadline));
    }
    assert_eq!(turn(&keyspace, START_MS + 2000, 100), 0, "whoever looked has freed it");
    assert_eq!(keyspace.stats().expired, 1000);
    recount(&keyspace);
}

#[test]
fn swapped_databases_take_their_deadlines_along() {
    let keyspace = keyspace(4);
    let mut rng = fastrand::Rng::with_seed(3);
    let mut twin: HashMap<(usize, u32), u64> = HashMap::new();
    let mut now_ms = START_MS;
    for _ in 0..300 {
        for _ in 0..20 {
            let (database, n) = (rng.usize(..3), rng.u32(..200));
            let deadline = now_ms + rng.u64(1..2000);
            with(&keyspace, &key(n), now_ms, |view, key| {
                view.set(database, key, NewValue::of(b"v"), Deadline::At(deadline));
            });
            twin.insert((database, n), deadline);
        }
        let (a, b) = (rng.usize(..3), rng.usize(..3));
        keyspace.open(Open::All, at(now_ms), Rules::default()).swap_databases(a, b);
        twin = twin
            .into_iter()
            .map(|((database, n), deadline)| {
                let swapped = match database {
                    _ if database == a => b,
                    _ if database == b => a,
                    other => other,
                };
                ((swapped, n), deadline)
            })
            .collect();
        now_ms += rng.u64(..200);
        let due = twin.values().filter(|deadline| **deadline <= now_ms).count();
        assert_eq!(turn(&keyspace, now_ms, 7), due);
        twin.retain(|_, deadline| *deadline > now_ms);
        for database in 0..3 {
            let held = twin.keys().filter(|(index, _)| *index == database).count();
            assert_eq!(keyspace.len(database), held, "database {database}");
        }
        recount(&keyspace);
    }
}

#[test]
fn a_clock_that_steps_back_frees_nothing_early() {
    let keyspace = keyspace(1);
    set(&keyspace, b"a", Some(START_MS + 100), START_MS);
    assert_eq!(turn(&keyspace, START_MS + 50, 10), 0);
    set(&keyspace, b"b", Some(START_MS + 20), START_MS);
    assert_eq!(turn(&keyspace, START_MS + 10, 10), 0, "the clock was put back");
    assert!(exists(&keyspace, b"b", START_MS + 19));
    assert_eq!(turn(&keyspace, START_MS + 20, 10), 1);
    assert_eq!(turn(&keyspace, START_MS + 100, 10), 1);
}
