//! Locks that readers pass: what a reader sees, when it may pass, and that writers wait for it.
//!
//! The content under a lock is two words that every writer keeps equal, with a pause in between:
//! a reader that passed at the wrong time would see them differ. In these tests a reader hesitates
//! between its two looks at a lock, where a writer may come in between.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use super::BiasedLocks;

type Locks = BiasedLocks<[u64; 2], AtomicU64, AtomicU64>;

fn locks(count: usize) -> Locks {
    BiasedLocks::new((0..count).map(|_| [0; 2]), 8)
}

/// Reads through the mutex until readers may pass.
fn open(locks: &Locks, index: usize) -> u32 {
    let mut reads = 0;
    while locks.read(index).is_none() {
        let guard = locks.lock(index);
        locks.note_read(index, &guard);
        reads += 1;
        assert!(reads < 1_000, "a lock that is only read opens");
    }
    reads
}

#[test]
fn a_lock_opens_after_some_reads_and_a_writer_closes_it() {
    let locks = locks(2);
    assert!(locks.read(0).is_none(), "closed at first");
    let reads = open(&locks, 0);
    assert!(reads > 1, "not at once");
    assert_eq!(*locks.read(0).expect("open"), [0; 2]);
    assert!(locks.read(1).is_none(), "each lock for itself");
    *locks.lock(0) = [1; 2];
    assert!(locks.read(0).is_none(), "closed by the writer");
    assert_eq!(open(&locks, 0), reads, "and open again after as many reads");
    assert_eq!(*locks.read(0).expect("open"), [1; 2]);
    assert!(locks.try_lock(0).is_some() && locks.read(0).is_none());
    open(&locks, 0);
    assert!(locks.try_lock_for(0, Duration::from_secs(9)).is_some() && locks.read(0).is_none());
}

#[test]
fn a_thread_reads_under_one_lock_at_a_time() {
    let locks = locks(2);
    open(&locks, 0);
    open(&locks, 1);
    let reading = locks.read(0).expect("open");
    assert!(locks.read(1).is_none());
    drop(reading);
    assert!(locks.read(1).is_some());
}

#[test]
fn a_writer_waits_for_a_reader_also_for_one_that_panics() {
    let locks = locks(1);
    open(&locks, 0);
    let wrote = AtomicBool::new(false);
    thread::scope(|scope| {
        let reading = locks.read(0).expect("open");
        scope.spawn(|| {
            *locks.lock(0) = [1; 2];
            wrote.store(true, Relaxed);
        });
        // The writer closes the lock before it waits, so this ends.
        let other = |locks: &Locks| {
            thread::scope(|scope| scope.spawn(|| locks.read(0).is_none()).join().expect("no panic"))
        };
        while !other(&locks) {
            thread::yield_now();
        }
        (0..1_000).for_each(|_| thread::yield_now());
        assert!(!wrote.load(Relaxed), "a reader is still there");
        assert_eq!(*reading, [0; 2]);
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
            let _reading = reading;
            std::panic::resume_unwind(Box::new("within"));
        }));
        assert!(caught.is_err());
    });
    assert!(wrote.load(Relaxed));
}

#[test]
fn readers_never_see_half_of_what_is_written() {
    const STEPS: u64 = 30_000;
    let locks = locks(2);
    let (passed, written) = (AtomicU64::new(0), AtomicU64::new(0));
    let read = |thread: u64| {
        for step in 0..STEPS {
            let index = (step ^ thread) as usize % 2;
            let seen = match locks.read(index) {
                Some(reading) => {
                    passed.fetch_add(1, Relaxed);
                    let local = reading.local();
                    local.store(local.load(Relaxed) + 1, Relaxed);
                    let first = reading[0];
                    std::hint::spin_loop();
                    [first, reading[1]]
                }
                None => {
                    let guard = locks.lock(index);
                    locks.note_read(index, &guard);
                    *guard
                }
            };
            assert_eq!(seen[0], seen[1]);
        }
    };
    let write = || {
        for step in 0..STEPS / 3 {
            let index = step as usize % 2;
            let mut guard = locks.lock(index);
            guard[0] += 1;
            // Long enough for a reader who should not be there, and not so long that all wait.
            (0..50).for_each(|_| std::hint::spin_loop());
            guard[1] += 1;
            let head = locks.head(index);
            head.store(head.load(Relaxed) + 1, Relaxed);
            written.fetch_add(1, Relaxed);
        }
    };
    thread::scope(|scope| {
        (0..3).for_each(|thread| _ = scope.spawn(move || read(thread)));
        (0..2).for_each(|_| _ = scope.spawn(write));
    });
    let (heads, locals) = locks.sides();
    let sum = |counts: &mut dyn Iterator<Item = &AtomicU64>| -> u64 {
        counts.map(|count| count.load(Relaxed)).sum()
    };
    let (mut heads, mut locals) = (heads, locals);
    assert_eq!(sum(&mut heads), written.load(Relaxed));
    assert_eq!(sum(&mut locals), passed.load(Relaxed));
    assert_eq!(locks.lock(0)[0] + locks.lock(1)[0], written.load(Relaxed));
    assert!(passed.load(Relaxed) > 0, "some passed");
}
