//! What a call of the library costs: `Cache` in the process, with no socket and no protocol.
//!
//! The hot rows ask for one key of 64 bytes, as the targets have it; `spread` asks for 100,000
//! keys. `get` returns the value, `get_with` lends it. The threads' rows are the time from the
//! start of all to the end of the last, over the calls of all of them, each thread with keys of
//! its own: with two of them half the time of one is perfect; with fewer cores than threads
//! they say nothing. Two processors may be halves of one core: what such a machine can do at best
//! the rows with a cache for each thread say, in which the threads share nothing. The allocator is
//! the system's, which is what most programs around a library have.
//!
//! Checked: that values are the right ones, and in the end that INFO has counted every call.

use std::hint::black_box;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pannier::{Cache, SetOptions};

const VALUE: [u8; 64] = [b'v'; 64];
const KEYS: usize = 100_000;

fn keys() -> Vec<String> {
    (0..KEYS).map(|i| format!("key:{i:012}")).collect()
}

fn filled(keys: &[String]) -> Cache {
    let cache = Cache::new();
    for key in keys {
        cache.set(key, VALUE).expect("room");
    }
    cache
}

/// GET commands that the cache has counted.
fn counted(cache: &Cache) -> u64 {
    let info: String = cache.query(["INFO", "commandstats"]).expect("INFO");
    let line = info.lines().find(|line| line.starts_with("cmdstat_get:calls="));
    let calls = line.and_then(|line| line.split(['=', ',']).nth(1));
    calls.and_then(|calls| calls.parse().ok()).unwrap_or(0)
}

fn one_thread(c: &mut Criterion) {
    let cache = filled(&keys());
    let mut group = c.benchmark_group("embedded");
    group.throughput(Throughput::Elements(1));
    let hot = "key:000000000007";
    assert_eq!(cache.get(hot).expect("a string").expect("a value"), &VALUE[..]);
    let before = counted(&cache);
    let mut calls = 0;
    group.bench_function("get hot", |b| {
        b.iter(|| {
            calls += 1;
            cache.get(black_box(hot))
        });
    });
    assert_eq!(counted(&cache) - before, calls);
    group.bench_function("get_with hot", |b| {
        b.iter(|| cache.get_with(black_box(hot), |value| value[63]));
    });
    group.bench_function("get hot, the general way", |b| {
        b.iter(|| cache.query::<Option<Bytes>>(["GET", black_box(hot)]));
    });
    group.bench_function("get miss", |b| b.iter(|| cache.get(black_box("no such key"))));
    group.bench_function("set hot", |b| {
        b.iter(|| cache.set(black_box(hot), black_box(VALUE)));
    });
    group.bench_function("set hot, the general way", |b| {
        b.iter(|| cache.query::<()>([b"SET", black_box(hot).as_bytes(), &VALUE]));
    });
    let minute = SetOptions::new().ttl(Duration::from_secs(60));
    group.bench_function("set hot with a time to live", |b| {
        b.iter(|| cache.set_with(black_box("volatile"), black_box(VALUE), minute));
    });
    group.bench_function("get hot with a time to live", |b| {
        b.iter(|| cache.get(black_box("volatile")));
    });
    group.bench_function("incr", |b| b.iter(|| cache.incr(black_box("counter"))));
    let keys = keys();
    let mut at = 0;
    group.bench_function("get spread", |b| {
        b.iter(|| {
            at = (at + 7_919) % KEYS;
            cache.get(black_box(&keys[at]))
        });
    });
    group.finish();
}

/// Each thread makes calls for its own keys; from the start of all to the end of the last.
fn threads(c: &mut Criterion) {
    let keys = keys();
    let caches = [filled(&keys), filled(&keys)];
    let shared = [caches[0].clone(), caches[0].clone()];
    let mut group = c.benchmark_group("embedded threads");
    group.throughput(Throughput::Elements(1));
    for verb in ["get", "get_with", "set"] {
        for (count, caches, name) in
            [(1, &shared, "1"), (2, &shared, "2"), (2, &caches, "2 with a cache each")]
        {
            group.bench_function(format!("{verb}, {name}"), |b| {
                b.iter_custom(|calls| run(&caches[..count], &keys, verb, calls));
            });
        }
    }
    group.finish();
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn run(caches: &[Cache], keys: &[String], verb: &str, calls: u64) -> Duration {
    let count = caches.len();
    let each = calls.div_ceil(count as u64);
    let start = Barrier::new(count + 1);
    thread::scope(|scope| {
        let workers: Vec<_> = (caches.iter().enumerate())
            .map(|(thread, cache)| {
                let start = &start;
                let own = &keys[thread * OWN..(thread + 1) * OWN];
                scope.spawn(move || {
                    start.wait();
                    for call in 0..each {
                        let key = &own[call as usize % OWN];
                        match verb {
                            "get" => assert!(cache.get(key).is_ok_and(|value| value.is_some())),
                            "get_with" => {
                                let last = cache.get_with(key, |value| value[63]);
                                assert!(last.is_ok_and(|last| last == Some(b'v')));
                            }
                            _ => cache.set(key, VALUE).expect("room"),
                        }
                    }
                })
            })
            .collect();
        start.wait();
        let begin = Instant::now();
        workers.into_iter().for_each(|worker| worker.join().expect("no panic"));
        begin.elapsed()
    })
}

/// Keys of a thread's own: few enough to stay in its CPU's caches.
const OWN: usize = 1_000;

criterion_group!(benches, one_thread, threads);
criterion_main!(benches);
