//! The eviction policies do what their names say.

use super::{START_MS, at, exists, keyspace, recount, set, with};
use crate::value::Item;
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

#[test]
fn what_was_used_since_it_was_seen_is_passed_over() {
    let keyspace = keyspace(1);
    for n in 0..20 {
        set(&keyspace, &key(n), None, START_MS + u64::from(n));
    }
    // One round sees all, and leaves the oldest in the pool.
    let room = room(Policy::AllKeysLru, 500);
    assert!(keyspace.evict(Scope::Keyspace, room, at(START_MS + 100)));
    assert!(!exists(&keyspace, &key(0), START_MS + 100));
    let read = |n| {
        let now_ms = START_MS + 200;
        with(&keyspace, &key(n), now_ms, |view, key| view.read(0, key).is_some())
    };
    assert!((1..5).all(read));
    let few = Room { samples: 1, ..room };
    assert!(keyspace.evict(Scope::Keyspace, few, at(START_MS + 201)));
    assert!((1..5).all(|n| exists(&keyspace, &key(n), START_MS + 201)));
    assert!(!exists(&keyspace, &key(5), START_MS + 201), "the oldest that was not used");
}

#[test]
fn lfu_lets_go_of_what_was_popular_once() {
    let keyspace = keyspace(1);
    let room = room(Policy::AllKeysLfu, 64);
    let touch = |n: u32, now_ms: u64, times: usize| {
        let name = key(n);
        let name = keyspace.key(&name);
        let mut view = keyspace.open(Open::Keys(&[name]), at(now_ms), room.rules);
        if !view.contains(0, name) {
            view.set(0, name, NewValue::of(b"v"), Deadline::Clear);
        }
        (0..times).for_each(|_| assert!(view.read(0, name).is_some()));
    };
    // Three uses long ago, against one a moment ago; no minute has passed.
    (0..8).for_each(|n| touch(n, START_MS, 2));
    (8..16).for_each(|n| touch(n, START_MS + 20_000, 0));
    for _ in 0..8 {
        assert!(keyspace.evict(Scope::Keyspace, room, at(START_MS + 20_100)));
    }
    assert!((8..16).all(|n| exists(&keyspace, &key(n), START_MS + 20_100)));
}

#[test]
fn a_rare_volatile_key_is_found_without_a_walk_over_the_others() {
    let keyspace = keyspace(1);
    for n in 0..50_000 {
        set(&keyspace, &key(n), None, START_MS);
    }
    let deadlines = [1_000, 90_000, 5_000_000, 100_000_000_000];
    for (n, after) in (0..).zip(deadlines) {
        set(&keyspace, &key(n), Some(START_MS + after), START_MS);
    }
    let mut seen = [0; 4];
    let mut shard = keyspace.shards.lock(0);
    for _ in 0..1000 {
        let shown = shard.sample_marks(Some(0), 5, &mut |_, item: &Item| {
            let deadline = item.deadline().map(|at| at - START_MS);
            let at = deadlines.iter().position(|after| Some(*after) == deadline);
            seen[at.expect("one of the four")] += 1;
        });
        assert!(shown >= 5, "40 looks showed {shown}");
    }
    assert!(seen.iter().all(|count| *count > 100), "{seen:?}");
}

#[test]
fn shards_share_the_limit_by_what_they_hold() {
    for shards in [1, 16] {
        let keyspace = keyspace(shards);
        for n in 0..16_000 {
            set(&keyspace, &key(n), None, START_MS + u64::from(n) / 10);
        }
        let room = room(Policy::AllKeysLru, 5);
        let newer: Vec<u32> = (8_000..16_000).collect();
        let left = left(&keyspace, room, 8_000, START_MS + 2_000, &newer);
        assert!(left > 7_300, "{shards} shards: {left} of the newer half are left");
        for index in 0..keyspace.shards() {
            let held = keyspace.shards.lock(index).databases[0].table.len() * shards;
            assert!((7_000..9_000).contains(&held), "{held}");
        }
    }
}
