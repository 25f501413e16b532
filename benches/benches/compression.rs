//! Value compression: what it costs to store and to read, and what memory it saves.
//!
//! At the level of the store, on one shard: SET is compressing (before the lock, as the engine
//! does it) and storing, GET is looking up and putting the value where a reply would have it, which
//! without compression is a copy, or from 16 KiB on a reference. Values are lists of records like
//! a web application's JSON, and random bytes, of 1, 4 and 64 KiB. What was stored is read back.
//! The sizes are printed first; `docs/ideas/compression.md` has the figures.

use std::fmt::Write;
use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use pannier_store::{
    Compressor, Deadline, Keyspace, NewValue, Now, Open, Options, Rules, Str, StrBuffer,
};

const LENS: [usize; 3] = [1 << 10, 4 << 10, 64 << 10];
const LEVEL: u32 = 2;
const NOW: Now = Now { unix_us: 1_700_000_000_000_000, mono_us: 0 };

fn json(len: usize, seed: u64) -> Vec<u8> {
    const NAMES: [&str; 8] = ["anna", "bert", "carla", "dmitri", "elena", "farid", "greta", "hiro"];
    const CITIES: [&str; 5] = ["Berlin", "Paris", "Tokyo", "Lima", "Oslo"];
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut text = String::from("[");
    while text.len() < len {
        let (name, city) = (NAMES[rng.usize(..8)], CITIES[rng.usize(..5)]);
        let _ = write!(
            text,
            "{{\"id\":{},\"user\":\"{name}\",\"email\":\"{name}{}@example.com\",\
             \"city\":\"{city}\",\"score\":{:.3},\"active\":{},\
             \"created\":\"2026-{:02}-{:02}T{:02}:{:02}:00Z\",\"token\":\"{:016x}\"}},",
            rng.u32(..1_000_000),
            rng.u32(..1000),
            rng.f64() * 100.0,
            rng.bool(),
            rng.u8(1..13),
            rng.u8(1..29),
            rng.u8(..24),
            rng.u8(..60),
            rng.u64(..),
        );
    }
    text.truncate(len);
    text.into_bytes()
}

fn random(len: usize, seed: u64) -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(seed);
    (0..len).map(|_| rng.u8(..)).collect()
}

/// Makes a value of a length from a seed.
type Make = fn(usize, u64) -> Vec<u8>;

const KINDS: [(&str, Make); 2] = [("json", json), ("random", random)];

fn keyspace() -> Keyspace {
    Keyspace::new(Options {
        shards: 1,
        databases: 1,
        seed: 1,
        now: NOW,
        reaper: std::sync::Arc::new(drop),
    })
}

fn set(keyspace: &Keyspace, name: &[u8], value: &[u8], compressor: Option<&Compressor>) {
    let stored = compressor.and_then(|compressor| compressor.compress(value, LEVEL));
    let key = keyspace.key(name);
    let mut view = keyspace.open(Open::Keys(&[key]), NOW, Rules::default());
    let value = stored.as_ref().map_or_else(|| NewValue::of(value), NewValue::Compressed);
    view.set(0, key, value, Deadline::Clear);
}

/// Puts a value where a reply would have it; its length.
fn get(keyspace: &Keyspace, name: &[u8], reply: &mut Vec<u8>) -> usize {
    let key = keyspace.key(name);
    let mut view = keyspace.open(Open::Keys(&[key]), NOW, Rules::default());
    reply.clear();
    match view.string(0, key) {
        Ok(Some(Str::Large(bytes))) => return black_box(bytes.clone()).len(),
        Ok(Some(Str::Compressed(string))) => {
            string.inflate_into(reply, usize::MAX).expect("sound");
        }
        Ok(Some(value)) => reply.extend_from_slice(value.as_bytes(&mut StrBuffer::new())),
        Ok(None) | Err(_) => panic!("a string"),
    }
    reply.len()
}

/// Prints what values take, entry and key included.
fn memory() {
    for (kind, make) in KINDS {
        for len in LENS {
            let [off, on] = [None, Some(Compressor::default())].map(|compressor| {
                let keyspace = keyspace();
                for n in 0..256u64 {
                    let value = make(len, n);
                    set(&keyspace, format!("key:{n:020}").as_bytes(), &value, compressor.as_ref());
                }
                let overhead = keyspace.open(Open::Nothing, NOW, Rules::default()).overhead();
                (keyspace.totals().bytes - overhead) / 256
            });
            println!("{kind} of {len} bytes: entries of {off} bytes, {on} with compression");
        }
    }
}

fn levels(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("compress json");
    group.sample_size(20).measurement_time(Duration::from_secs(1));
    for level in [1, 2, 3, 6, 9] {
        let compressor = Compressor::default();
        for len in LENS {
            let value = json(len, 1);
            let stored = compressor.compress(&value, level).expect("it shrinks");
            let share = stored.as_bytes().len() as f64 / len as f64;
            println!("level {level}, {len} bytes: {share:.3} are left");
            group.throughput(Throughput::Bytes(len as u64));
            group.bench_function(BenchmarkId::new(format!("level {level}"), len), |bencher| {
                bencher.iter(|| compressor.compress(black_box(&value), level));
            });
        }
    }
    group.finish();
}

fn store(criterion: &mut Criterion) {
    memory();
    for (kind, make) in KINDS {
        let mut group = criterion.benchmark_group(kind);
        group.sample_size(20).measurement_time(Duration::from_secs(1));
        for len in LENS {
            let value = make(len, 1);
            group.throughput(Throughput::Bytes(len as u64));
            for (mode, compressor) in [("off", None), ("on", Some(Compressor::default()))] {
                let (keyspace, mut reply) = (keyspace(), Vec::new());
                group.bench_function(BenchmarkId::new(format!("set, {mode}"), len), |bencher| {
                    bencher.iter(|| set(&keyspace, b"key", black_box(&value), compressor.as_ref()));
                });
                group.bench_function(BenchmarkId::new(format!("get, {mode}"), len), |bencher| {
                    bencher.iter(|| assert_eq!(get(&keyspace, b"key", &mut reply), len));
                });
                assert!(reply.is_empty() || reply == value);
            }
        }
        group.finish();
    }
}

criterion_group!(benches, store, levels);
criterion_main!(benches);
