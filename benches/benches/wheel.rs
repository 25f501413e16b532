//! The wheel: arming, a quiet turn, and a million marks that come due in one tick.
//!
//! Ticks stand for milliseconds and marks for the store's 8 bytes of hash, database and stamp. The
//! storm is drained with the budget of a turn, as the server drains it, so the figure per mark
//! includes the returns before its tick. A mark here knows its tick; the store asks its entry.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use pannier_benches::scattered;
use pannier_collections::Wheel;

type Mark = u64;

fn arming(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("wheel");
    group.throughput(Throughput::Elements(MARKS)).sample_size(20);
    group.bench_function("arm 100 k within an hour, and drop", |bencher| {
        bencher.iter(|| {
            let wheel = armed(|index| 1 + scattered(index, HOUR));
            assert_eq!(wheel.len() as u64, MARKS);
            wheel
        });
    });
    group.finish();
}

fn turning(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("wheel");
    let wheel = armed(|index| 1 + scattered(index, HOUR));
    println!("{:.1} bytes a mark", wheel.footprint() as f64 / MARKS as f64);
    group.bench_function("ask for the next tick that is due", |bencher| {
        bencher.iter(|| assert!(black_box(&wheel).next_due().is_some()));
    });
    group.throughput(Throughput::Elements(MARKS)).sample_size(20);
    group.bench_function("an hour passes tick by tick", |bencher| {
        bencher.iter_batched_ref(
            || armed(|index| 1 + scattered(index, HOUR)),
            |wheel| {
                let mut due = 0;
                for now in 1..=HOUR {
                    turn(wheel, now, |tick| (tick > now).then_some(tick), &mut due);
                }
                drain(wheel, HOUR, &mut due);
                assert_eq!(due, MARKS);
            },
            BatchSize::LargeInput,
        );
    });
    group.bench_function("a storm: all in one tick", |bencher| {
        bencher.iter_batched_ref(
            || armed(|_| 5000),
            |wheel| {
                let mut due = 0;
                drain(wheel, 5000, &mut due);
                assert_eq!(due, MARKS);
            },
            BatchSize::LargeInput,
        );
    });
    group.bench_function("a storm, extended: each re-armed once", |bencher| {
        bencher.iter_batched_ref(
            || armed(|_| 5000),
            |wheel| {
                let mut due = 0;
                while turn(wheel, 5000, |_| Some(10_000), &mut due) > 0 {}
                drain(wheel, 10_000, &mut due);
                assert_eq!(due, MARKS);
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

/// A wheel of `MARKS` marks; `tick` tells when each is due.
fn armed(tick: impl Fn(u64) -> u64) -> Wheel<Mark> {
    let mut wheel = Wheel::new(0);
    for index in 0..MARKS {
        wheel.arm(tick(index), tick(index));
    }
    wheel
}

/// One turn: marks for which there is a later tick are armed again, the others counted.
fn turn(
    wheel: &mut Wheel<Mark>,
    now: u64,
    later: impl Fn(Mark) -> Option<u64>,
    due: &mut u64,
) -> usize {
    let mut reached = [0; BUDGET];
    let mut marks = reached.iter_mut();
    let handed = wheel.advance(now, BUDGET, |mark| {
        if let Some(place) = marks.next() {
            *place = mark;
        }
    });
    for &mark in &reached[..handed] {
        match later(mark) {
            Some(tick) => wheel.arm(tick, mark),
            None => *due += 1,
        }
    }
    handed
}

/// Advances to `now` turn by turn until nothing is left, and counts what came due.
fn drain(wheel: &mut Wheel<Mark>, now: u64, due: &mut u64) {
    while !wheel.is_empty() {
        turn(wheel, now, |_| None, due);
    }
}

const MARKS: u64 = 100_000;
/// An hour in ticks of a millisecond.
const HOUR: u64 = 3_600_000;
/// Marks handled in one turn.
const BUDGET: usize = 256;

criterion_group!(benches, arming, turning);
criterion_main!(benches);
