//! Limits in entries are exact, also when several threads write at once.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::{START_MS, at, keyspace, recount};
use crate::{Deadline, Keyspace, NewValue, Open, Policy, Room, Rules, Scope};

/// Stores a key if the limits allow it, making room by the policy; false when they do not.
fn store(keyspace: &Keyspace, database: usize, name: &[u8], policy: Policy) -> bool {
    let key = keyspace.key(name);
    let room = Room { policy, samples: 5, rules: Rules::default() };
    loop {
        let mut view = keyspace.open(Open::Keys(&[key]), at(START_MS), Rules::default());
        let missing = view.missing(database, &[key]);
        match view.reserve(database, missing) {
            Ok(()) => {
                view.set(database, key, NewValue::of(b"v"), Deadline::Clear);
                return true;
            }
            Err((scope, over)) => {
                drop(view);
                let scope = scope.map_or(Scope::Keyspace, Scope::Database);
                let refused = policy == Policy::NoEviction
                    || !(0..over).all(|_| keyspace.evict(scope, room, at(START_MS)));
                if refused {
                    return false;
                }
            }
        }
    }
}

/// Four threads that write, and one that looks at the totals all the while.
fn storm(keyspace: &Keyspace, policy: Policy, check: impl Fn() + Sync) -> usize {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..4u64)
            .map(|thread| {
                scope.spawn(move || {
                    let mut rng = fastrand::Rng::with_seed(thread);
                    let stored = |_: &u32| {
                        let name = format!("key:{}", rng.u32(..3000));
                        if rng.u32(..10) == 0 {
                            let key = keyspace.key(name.as_bytes());
                            let open = Open::Keys(&[key]);
                            keyspace.open(open, at(START_MS), Rules::default()).remove(0, key);
                            return false;
                        }
                        store(keyspace, rng.usize(..2), name.as_bytes(), policy)
                    };
                    (0..20_000u32).filter(stored).count()
                })
            })
            .collect();
        scope.spawn(|| {
            while !done.load(Relaxed) {
                check();
                std::thread::yield_now();
            }
        });
        let stored = writers.into_iter().map(|writer| writer.join().expect("no panic")).sum();
        done.store(true, Relaxed);
        stored
    })
}

#[test]
fn four_threads_never_exceed_the_limit_of_the_server() {
    let keyspace = keyspace(8);
    keyspace.set_entries_max(100);
    storm(&keyspace, Policy::AllKeysLru, || assert!(keyspace.totals().entries <= 100));
    recount(&keyspace);
    assert!(keyspace.totals().entries >= 90, "a full cache stays full");
}

#[test]
fn four_threads_never_exceed_the_limit_of_a_database() {
    let keyspace = keyspace(8);
    keyspace.set_database_entries_max(1, 7);
    storm(&keyspace, Policy::AllKeysRandom, || assert!(keyspace.len(1) <= 7));
    recount(&keyspace);
    assert!(keyspace.len(0) > 1000);
    assert!((1..=7).contains(&keyspace.len(1)));
}

#[test]
fn without_a_policy_exactly_as_many_keys_as_the_limit_are_stored() {
    let keyspace = keyspace(4);
    keyspace.set_entries_max(50);
    let names = |n: u32| format!("key:{n}").into_bytes();
    let stored = (0..200).filter(|n| store(&keyspace, 0, &names(*n), Policy::NoEviction)).count();
    assert_eq!((stored, keyspace.len(0)), (50, 50));
    assert!(store(&keyspace, 0, &names(0), Policy::NoEviction), "an overwrite needs no room");
    assert!(!store(&keyspace, 1, &names(0), Policy::NoEviction), "another database is no way out");
    keyspace.set_entries_max(0);
    assert!(store(&keyspace, 1, &names(0), Policy::NoEviction));
    recount(&keyspace);
}

#[test]
fn without_a_policy_four_threads_fill_the_limit_exactly() {
    let keyspace = keyspace(8);
    keyspace.set_entries_max(500);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let keyspace = &keyspace;
            scope.spawn(move || {
                for n in 0..1000 {
                    let name = format!("{thread}:{n}");
                    store(keyspace, 0, name.as_bytes(), Policy::NoEviction);
                }
            });
        }
    });
    assert_eq!(keyspace.len(0), 500);
    recount(&keyspace);
}

#[test]
fn a_reservation_that_is_not_used_is_given_back() {
    let keyspace = keyspace(2);
    keyspace.set_entries_max(3);
    let key = keyspace.key(b"k");
    let mut view = keyspace.open(Open::Keys(&[key]), at(START_MS), Rules::default());
    assert_eq!(view.reserve(0, 3), Ok(()));
    assert_eq!(view.reserve(0, 1), Err((None, 1)));
    view.set(0, key, NewValue::of(b"v"), Deadline::Clear);
    drop(view);
    assert_eq!(keyspace.totals().entries, 1);
    recount(&keyspace);
}

#[test]
fn a_limit_that_is_lowered_shows_its_excess() {
    let keyspace = keyspace(2);
    for n in 0..10u8 {
        assert!(store(&keyspace, usize::from(n % 2), &[n], Policy::AllKeysLru));
    }
    assert_eq!(keyspace.excess(), (None, 0));
    keyspace.set_database_entries_max(1, 2);
    keyspace.set_entries_max(6);
    assert_eq!(keyspace.excess(), (Some((1, 3)), 4));
}
