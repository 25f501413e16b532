//! What it costs to make room: one victim among a million by each policy, and a SET that needs it.
//!
//! A victim costs a walk over a bucket or two, whose entries are cold, and the removal of another
//! cold one. `volatile` is measured with every key volatile and with one in ten thousand, where a
//! search in the table would look at ten thousand entries for each. With two threads the figure
//! is time per SET of both together, which shows what the pools' and the shards' locks cost.
//!
//! Entries that were taken are put back outside the time that counts. What the policies are worth
//! is in `hits`.

use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use pannier_benches::cache::{Cache, Limit, key, value};
use pannier_store::{Deadline, Policy, Scope};

/// A full cache whose keys were put in ten microseconds apart; one in `volatile_every` has a
/// deadline.
fn full(policy: Policy, shards: usize, volatile_every: u32) -> Cache {
    let mut cache = Cache::new(policy, Limit::Entries(KEYS as usize), shards);
    for number in 0..KEYS {
        cache.now.unix_us += 10;
        put(&cache, number, number.is_multiple_of(volatile_every));
    }
    assert_eq!(cache.keyspace.len(0), KEYS as usize);
    cache
}

fn put(cache: &Cache, number: u32, volatile: bool) {
    let deadline = if volatile {
        Deadline::At(cache.now.unix_ms() + 3_600_000 + u64::from(number % 4096))
    } else {
        Deadline::Clear
    };
    cache.set(&key(number), &value(number), deadline);
}

fn victims(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("one victim of 1 M");
    for (name, policy, volatile_every) in VICTIMS {
        let mut cache = full(policy, 1, volatile_every);
        let mut next = KEYS;
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|count| {
                let mut spent = Duration::ZERO;
                for _ in 0..count.div_ceil(TOGETHER) {
                    cache.now.unix_us += 10;
                    let begin = now();
                    for _ in 0..TOGETHER {
                        assert!(cache.keyspace.evict(Scope::Keyspace, cache.room, cache.now));
                    }
                    spent += begin.elapsed();
                    for _ in 0..TOGETHER {
                        put(&cache, next, policy.volatile());
                        next += 1;
                    }
                }
                spent.mul_f64(count as f64 / count.next_multiple_of(TOGETHER) as f64)
            });
        });
    }
    group.finish();
}

fn writes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("SET of a new key at the limit of 1 M");
    for (name, policy) in [("allkeys-lru", Policy::AllKeysLru), ("allkeys-lfu", Policy::AllKeysLfu)]
    {
        let cache = full(policy, 1, u32::MAX);
        let mut next = KEYS;
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                next += 1;
                cache.set(&key(next), &value(next), Deadline::Clear);
            });
        });
        assert_eq!(cache.keyspace.len(0), KEYS as usize);
    }
    for threads in [1, 2] {
        let cache = full(Policy::AllKeysLru, 16, u32::MAX);
        let mut next = KEYS;
        group.bench_function(format!("allkeys-lru, 16 shards, threads: {threads}"), |bencher| {
            bencher.iter_custom(|count| {
                let part = (count as u32).div_ceil(threads);
                let begin = now();
                std::thread::scope(|scope| {
                    for thread in 0..threads {
                        let (cache, from) = (&cache, next + thread * part);
                        scope.spawn(move || {
                            for number in from..from + part {
                                cache.set(&key(number), &value(number), Deadline::Clear);
                            }
                        });
                    }
                });
                next += threads * part;
                begin.elapsed()
            });
        });
    }
    group.finish();
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn now() -> Instant {
    Instant::now()
}

const KEYS: u32 = 1_000_000;
/// Victims between two readings of the clock; fewer than the rarest volatile keys.
const TOGETHER: u64 = 20;

const VICTIMS: [(&str, Policy, u32); 7] = [
    ("allkeys-lru", Policy::AllKeysLru, u32::MAX),
    ("allkeys-lfu", Policy::AllKeysLfu, u32::MAX),
    ("allkeys-random", Policy::AllKeysRandom, u32::MAX),
    ("volatile-lru, all volatile", Policy::VolatileLru, 1),
    ("volatile-ttl, all volatile", Policy::VolatileTtl, 1),
    ("volatile-lru, one in 10,000 volatile", Policy::VolatileLru, 10_000),
    ("volatile-lru, one in 100 volatile", Policy::VolatileLru, 100),
];

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = victims, writes
}
criterion_main!(benches);
