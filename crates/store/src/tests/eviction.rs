//! The eviction policies do what their names say.

use super::{START_MS, at, exists, keyspace, recount, set, with};
use crate::{Deadline, Keyspace, NewValue, Open, Policy, Room, Rules, Scope};

const POLICIES: [Policy; 8] = [
    Policy::NoEviction,
    Policy::AllKeysLru,
    Policy::AllKeysLfu,
    Policy::AllKeysRandom,
    Policy::VolatileLru,
    Policy::VolatileLfu,
    Policy::VolatileRandom,
    Policy::VolatileTtl,
];

fn room(policy: Policy, samples: usize) -> Room {
    let rules = Rules { frequency: policy.frequency(), ..Rules::default() };
    Room { policy, samples, rules }
}

fn key(n: u32) -> Vec<u8> {
    format!("key:{n}").into_bytes()
}

/// Evicts `count` keys and answers how many of the named ones are left.
fn left(keyspace: &Keyspace, room: Room, count: usize, now_ms: u64, of: &[u32]) -> usize {
    for _ in 0..count {
        assert!(keyspace.evict(Scope::Keyspace, room, at(now_ms)));
    }
    recount(keyspace);
    of.iter().filter(|n| exists(keyspace, &key(**n), now_ms)).count()
}

#[test]
fn lru_takes_idle_keys_before_used_ones() {
    for policy in [Policy::AllKeysLru, Policy::VolatileLru] {
        let keyspace = keyspace(4);
        for n in 0..1000 {
            set(&keyspace, &key(n), Some(START_MS + 1_000_000), START_MS);
        }
        let used: Vec<u32> = (0..1000).step_by(2).collect();
        for n in &used {
            let now_ms = START_MS + 5000;
            with(&keyspace, &key(*n), now_ms, |view, key| view.read(0, key).is_some());
        }
        let left = left(&keyspace, room(policy, 10), 400, START_MS + 6000, &used);
        assert!(left >= 490, "{policy:?} took {} used keys", 500 - left);
    }
}

#[test]
fn lfu_takes_cold_keys_before_hot_ones() {
    for policy in [Policy::AllKeysLfu, Policy::VolatileLfu] {
        let keyspace = keyspace(4);
        let rules = Rules { frequency: true, lfu_log_factor: 0, ..Rules::default() };
        let hot: Vec<u32> = (0..1000).step_by(2).collect();
        for n in 0..1000 {
            let name = key(n);
            let name = keyspace.key(&name);
            let mut view = keyspace.open(Open::Keys(&[name]), at(START_MS), rules);
            view.set(0, name, NewValue::of(b"v"), Deadline::At(START_MS + 1_000_000));
            for _ in 0..if n % 2 == 0 { 20 } else { 0 } {
                assert!(view.read(0, name).is_some());
            }
        }
        let left = left(&keyspace, Room { rules, ..room(policy, 10) }, 400, START_MS, &hot);
        assert!(left >= 490, "{policy:?} took {} hot keys", 500 - left);
    }
}

#[test]
fn volatile_ttl_takes_the_nearest_deadlines_first() {
    let keyspace = keyspace(4);
    for n in 0..1000 {
        set(&keyspace, &key(n), Some(START_MS + 10_000 + u64::from(n) * 1000), START_MS);
    }
    let late: Vec<u32> = (500..1000).collect();
    let left = left(&keyspace, room(Policy::VolatileTtl, 10), 400, START_MS, &late);
    assert!(left >= 480, "took {} of the later half", 500 - left);
}

#[test]
fn with_as_many_samples_as_keys_the_order_is_exact() {
    let keyspace = keyspace(1);
    for n in 0..8 {
        set(&keyspace, &key(n), Some(START_MS + 10_000 + u64::from(n) * 1000), START_MS);
    }
    for n in 0..8 {
        assert!(keyspace.evict(Scope::Keyspace, room(Policy::VolatileTtl, 200), at(START_MS)));
        assert!(!exists(&keyspace, &key(n), START_MS), "{n} is the next to die");
        assert_eq!(keyspace.len(0), 7 - n as usize);
    }
}

#[test]
fn volatile_policies_never_take_a_persistent_key() {
    for policy in POLICIES.into_iter().filter(|policy| policy.volatile()) {
        let keyspace = keyspace(4);
        for n in 0..1000 {
            let deadline = (n % 10 == 0).then_some(START_MS + 1_000_000);
            set(&keyspace, &key(n), deadline, START_MS);
        }
        for taken in 0..100 {
            assert!(keyspace.evict(Scope::Keyspace, room(policy, 5), at(START_MS)), "{taken}");
        }
        assert!(!keyspace.evict(Scope::Keyspace, room(policy, 5), at(START_MS)), "{policy:?}");
        assert_eq!(keyspace.len(0), 900);
        assert!((0..1000).all(|n| exists(&keyspace, &key(n), START_MS) == (n % 10 != 0)));
        recount(&keyspace);
    }
}

#[test]
fn a_candidate_that_was_persisted_meanwhile_is_spared() {
    let keyspace = keyspace(1);
    for n in 0..50 {
        set(&keyspace, &key(n), Some(START_MS + 1000 + u64::from(n)), START_MS);
    }
    let room = room(Policy::VolatileTtl, 50);
    assert!(keyspace.evict(Scope::Keyspace, room, at(START_MS)));
    for n in 0..50 {
        with(&keyspace, &key(n), START_MS, |view, key| view.set_deadline(0, key, None));
    }
    assert!(!keyspace.evict(Scope::Keyspace, room, at(START_MS)));
    assert_eq!(keyspace.len(0), 49);
}

#[test]
fn all_keys_policies_come_to_the_last_key_and_no_further() {
    for policy in
        POLICIES.into_iter().filter(|policy| !policy.volatile() && *policy != Policy::NoEviction)
    {
        let keyspace = keyspace(4);
        for n in 0..100 {
            set(&keyspace, &key(n), (n % 2 == 0).then_some(START_MS + 1000), START_MS);
        }
        for _ in 0..100 {
            assert!(keyspace.evict(Scope::Keyspace, room(policy, 5), at(START_MS)), "{policy:?}");
        }
        assert!(!keyspace.evict(Scope::Keyspace, room(policy, 5), at(START_MS)));
        assert_eq!(keyspace.stats().evicted, 100);
        recount(&keyspace);
    }
}

#[test]
fn one_database_is_the_whole_scope_when_it_is_named() {
    for policy in POLICIES.into_iter().filter(|policy| *policy != Policy::NoEviction) {
        let keyspace = keyspace(4);
        for n in 0..300 {
            with(&keyspace, &key(n), START_MS, |view, key| {
                let database = n as usize % 3;
                view.set(database, key, NewValue::of(b"v"), Deadline::At(START_MS + 5000));
            });
        }
        for _ in 0..100 {
            assert!(keyspace.evict(Scope::Database(1), room(policy, 5), at(START_MS)));
        }
        assert!(!keyspace.evict(Scope::Database(1), room(policy, 5), at(START_MS)));
        assert_eq!([0, 1, 2].map(|database| keyspace.len(database)), [100, 0, 100]);
        recount(&keyspace);
    }
}
