//! The mutex of all crates beside parking_lot's and std's: alone, and between two threads.
//!
//! Alone, one thread takes and gives back a mutex that nobody else wants. Between two, both add to
//! one counter, with a little work of their own after each turn; a figure is the time from the
//! start to the end of the last, over the turns of both. Checked: the counter, in the end.

use std::hint::black_box;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};

/// A counter behind a mutex.
trait Counter: Default + Sync {
    fn add(&self);
    fn total(&self) -> u64;
}

impl Counter for pannier_lock::Mutex<u64> {
    fn add(&self) {
        *self.lock() += 1;
    }
    fn total(&self) -> u64 {
        *self.lock()
    }
}

impl Counter for parking_lot::Mutex<u64> {
    fn add(&self) {
        *self.lock() += 1;
    }
    fn total(&self) -> u64 {
        *self.lock()
    }
}

impl Counter for std::sync::Mutex<u64> {
    fn add(&self) {
        *self.lock().expect("no thread has panicked") += 1;
    }
    fn total(&self) -> u64 {
        *self.lock().expect("no thread has panicked")
    }
}

/// Steps of a thread's own work between two turns.
const APART: u64 = 50;

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn between_two<C: Counter>(turns: u64) -> Duration {
    let (counter, start) = (C::default(), Barrier::new(3));
    let began = thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                start.wait();
                for turn in 0..turns {
                    counter.add();
                    (0..APART).for_each(|step| _ = black_box(turn ^ step));
                }
            });
        }
        start.wait();
        Instant::now()
    });
    let spent = began.elapsed();
    assert_eq!(counter.total(), 2 * turns);
    spent / 2
}

fn rows<C: Counter>(criterion: &mut Criterion, name: &str) {
    let mut group = criterion.benchmark_group("locks");
    let (counter, mut turns) = (C::default(), 0);
    group.bench_function(format!("{name}, alone"), |bencher| {
        bencher.iter(|| {
            turns += 1;
            counter.add();
        });
    });
    assert_eq!(counter.total(), turns);
    group.bench_function(format!("{name}, between two"), |bencher| {
        bencher.iter_custom(between_two::<C>);
    });
    group.finish();
}

fn locks(criterion: &mut Criterion) {
    rows::<pannier_lock::Mutex<u64>>(criterion, "pannier");
    rows::<parking_lot::Mutex<u64>>(criterion, "parking_lot");
    rows::<std::sync::Mutex<u64>>(criterion, "std");
}

criterion_group!(benches, locks);
criterion_main!(benches);
