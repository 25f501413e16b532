//! The mutex between threads: one at a time, nobody forgotten, nobody starved, in time.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread::scope;
use std::time::Duration;

use super::*;

/// A number in two halves, which somebody who does not have the mutex sees apart.
#[derive(Default)]
struct Halves(u64, u64);

#[test]
fn one_at_a_time() {
    let (count, turns) = (Mutex::new(Halves::default()), 50_000);
    scope(|scope| {
        for number in 0..4 {
            let count = &count;
            scope.spawn(move || {
                for turn in 0..turns {
                    let guard = match (turn + number) % 3 {
                        0 => count.try_lock_for(Duration::from_secs(60)),
                        1 => count.try_lock(),
                        _ => None,
                    };
                    let mut guard = guard.unwrap_or_else(|| count.lock());
                    assert_eq!(guard.0, guard.1);
                    guard.0 += 1;
                    if turn % 64 == 0 {
                        std::thread::yield_now();
                    }
                    guard.1 += 1;
                }
            });
        }
    });
    assert_eq!(count.into_inner().1, 4 * turns);
}

#[test]
fn a_wait_ends_in_time_and_leaves_nothing() {
    let mutex = Mutex::new(0);
    let held = mutex.lock();
    assert!(mutex.is_locked() && mutex.try_lock().is_none());
    scope(|scope| {
        for _ in 0..3 {
            let late = || mutex.try_lock_for(Duration::from_millis(2)).is_none();
            assert!(scope.spawn(late).join().unwrap_or(false));
        }
    });
    assert!(mutex.try_lock_for(Duration::ZERO).is_none());
    assert!(mutex.try_lock_for(Duration::from_nanos(1)).is_none());
    drop(held);
    assert!(!mutex.is_locked());
    *mutex.lock() += 1;
    assert!(mutex.try_lock_for(Duration::MAX).is_some());
}

#[test]
fn everybody_who_sleeps_is_woken() {
    for _ in 0..200 {
        let (mutex, through) = (Mutex::new(()), AtomicUsize::new(0));
        scope(|scope| {
            let held = mutex.lock();
            for _ in 0..6 {
                scope.spawn(|| {
                    drop(mutex.lock());
                    through.fetch_add(1, SeqCst);
                });
            }
            std::thread::yield_now();
            drop(held);
        });
        assert_eq!(through.into_inner(), 6);
        assert!(!mutex.is_locked());
    }
}

/// A thread that takes the mutex again as soon as it has given it back does not keep it.
#[test]
fn nobody_starves() {
    let (mutex, done, start) = (Mutex::new(0u64), AtomicBool::new(false), Barrier::new(2));
    let turns = scope(|scope| {
        let hog = scope.spawn(|| {
            start.wait();
            let mut turns = 0u64;
            while !done.load(SeqCst) {
                let mut count = mutex.lock();
                for _ in 0..200_000 {
                    *count = std::hint::black_box(*count + 1);
                }
                turns += 1;
            }
            turns
        });
        start.wait();
        for _ in 0..20 {
            *mutex.lock() += 1;
        }
        done.store(true, SeqCst);
        hog.join().unwrap_or(u64::MAX)
    });
    assert!(turns < 2_000, "20 turns beside {turns} of the other thread");
}

#[test]
fn a_part_can_be_lent() {
    let mutex = Mutex::new((1, Some(2)));
    let part: MappedMutexGuard<'_, i32> = MutexGuard::map(mutex.lock(), |pair| &mut pair.0);
    assert!(mutex.is_locked() && *part == 1);
    drop(part);
    let other = MutexGuard::try_map(mutex.lock(), |pair| pair.1.as_mut());
    assert_eq!(other.ok().as_deref(), Some(&2));
    assert!(!mutex.is_locked());
}
