//! The table with entries as the store uses it, beside hashbrown with the same entries.
//!
//! A million keys, visited in an order that defeats the caches, because a lookup in a keyspace
//! larger than the caches is mostly waiting for memory and that is what the table's shape is for.
//! `hashbrown` is what the prototypes of the design began with; both get the same hashes, so only
//! the structure differs. Each lookup's result is checked, also while it is timed.

use std::hash::BuildHasher;
use std::hint::black_box;
use std::time::Instant;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use pannier_benches::{key, scattered};
use pannier_collections::{Entry, NewPayload, Table};

type Record = Entry<()>;

fn hash(key: &[u8]) -> u64 {
    FixedState::with_seed(7).hash_one(key)
}

fn record(index: u64) -> Record {
    Entry::new(&key(index), NewPayload::Bytes(&VALUE), None)
}

fn hash_of(record: &Record) -> u64 {
    hash(record.key())
}

fn ours(count: u64) -> Table<Record> {
    let mut table = Table::new();
    for index in 0..count {
        table.insert(hash(&key(index)), record(index), hash_of);
    }
    assert_eq!(table.len() as u64, count);
    table
}

fn theirs(count: u64) -> HashTable<Record> {
    let mut table = HashTable::new();
    for index in 0..count {
        table.insert_unique(hash(&key(index)), record(index), hash_of);
    }
    assert_eq!(table.len() as u64, count);
    table
}

fn lookups(criterion: &mut Criterion) {
    let (table, other) = (ours(KEYS), theirs(KEYS));
    println!("{} bytes of table per key", table.footprint() as u64 / KEYS);
    let mut group = criterion.benchmark_group("table of 1 M");
    group.throughput(Throughput::Elements(1));
    let mut step = 0;
    group.bench_function("find, hit", |bencher| {
        bencher.iter(|| {
            step += 1;
            let wanted = key(scattered(step, KEYS));
            let found = table.find(hash(&wanted), |record| record.key() == wanted);
            assert!(black_box(found).is_some());
        });
    });
    group.bench_function("find, hit, hashbrown", |bencher| {
        bencher.iter(|| {
            step += 1;
            let wanted = key(scattered(step, KEYS));
            let found = other.find(hash(&wanted), |record| record.key() == wanted);
            assert!(black_box(found).is_some());
        });
    });
    group.bench_function("find, miss", |bencher| {
        bencher.iter(|| {
            step += 1;
            let wanted = key(KEYS + scattered(step, KEYS));
            let found = table.find(hash(&wanted), |record| record.key() == wanted);
            assert!(black_box(found).is_none());
        });
    });
    group.throughput(Throughput::Elements(64));
    group.bench_function("find 64 with prefetch of their buckets", |bencher| {
        bencher.iter(|| {
            let wanted: [_; 64] = std::array::from_fn(|at| key(scattered(step + at as u64, KEYS)));
            step += 64;
            let hashes = wanted.map(|key| hash(&key));
            hashes.iter().for_each(|&hash| table.prefetch(hash));
            for (wanted, hash) in wanted.iter().zip(hashes) {
                assert!(black_box(table.find(hash, |record| record.key() == wanted)).is_some());
            }
        });
    });
    group.bench_function("find 64 with prefetch of their buckets, then their values", |bencher| {
        bencher.iter(|| {
            let wanted: [_; 64] = std::array::from_fn(|at| key(scattered(step + at as u64, KEYS)));
            step += 64;
            let hashes = wanted.map(|key| hash(&key));
            hashes.iter().for_each(|&hash| table.prefetch(hash));
            hashes.iter().for_each(|&hash| table.prefetch_values(hash));
            for (wanted, hash) in wanted.iter().zip(hashes) {
                assert!(black_box(table.find(hash, |record| record.key() == wanted)).is_some());
            }
        });
    });
    group.finish();
}

fn changes(criterion: &mut Criterion) {
    let (mut table, mut other) = (ours(KEYS), theirs(KEYS));
    let mut group = criterion.benchmark_group("table of 1 M");
    let mut step = 0;
    group.bench_function("remove one, insert one", |bencher| {
        bencher.iter(|| {
            step += 1;
            let wanted = key(scattered(step, KEYS));
            let hash = hash(&wanted);
            let removed = table.remove(hash, |record| record.key() == wanted, hash_of);
            if let Some(record) = removed {
                table.insert(hash, record, hash_of);
            }
        });
    });
    assert_eq!(table.len() as u64, KEYS);
    group.bench_function("remove one, insert one, hashbrown", |bencher| {
        bencher.iter(|| {
            step += 1;
            let wanted = key(scattered(step, KEYS));
            let hash = hash(&wanted);
            if let Ok(found) = other.find_entry(hash, |record| record.key() == wanted) {
                let (record, _) = found.remove();
                other.insert_unique(hash, record, hash_of);
            }
        });
    });
    assert_eq!(other.len() as u64, KEYS);
    group.finish();
}

fn whole(criterion: &mut Criterion) {
    const SOME: u64 = 100_000;
    let table = ours(SOME);
    let mut group = criterion.benchmark_group("table of 100 k");
    group.throughput(Throughput::Elements(SOME)).sample_size(20);
    group.bench_function("fill and drop", |bencher| bencher.iter(|| ours(SOME)));
    group.bench_function("fill and drop, hashbrown", |bencher| bencher.iter(|| theirs(SOME)));
    group.bench_function("scan", |bencher| {
        bencher.iter(|| {
            let (mut seen, mut position) = (0, 0);
            loop {
                position = table.scan(position, |_| seen += 1);
                if position == 0 {
                    break;
                }
            }
            assert_eq!(seen, SOME);
        });
    });
    let mut seed = 1_u64;
    group.throughput(Throughput::Elements(1));
    group.bench_function("random", |bencher| {
        bencher.iter(|| {
            let found = table.random(|| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                seed.rotate_left(32)
            });
            assert!(black_box(found).is_some());
        });
    });
    group.finish();
}

/// Fills a table with ten million elements and empties it again, one timed operation after the
/// other, three times over. What an operation takes by itself is the least of the three; the
/// greatest of these is what the structure can cost a request.
#[expect(clippy::disallowed_methods, reason = "it times single operations, which criterion cannot")]
fn worst(_: &mut Criterion) {
    if std::env::var_os("PANNIER_WORST").is_none() {
        println!("the slowest single operation is only looked for with PANNIER_WORST=1");
        return;
    }
    let (mut inserts, mut removals) = (vec![u32::MAX; MANY], vec![u32::MAX; MANY]);
    let took = |start: Instant| start.elapsed().as_nanos().min(u128::from(u32::MAX)) as u32;
    for _ in 0..3 {
        let mut table = Table::new();
        for (index, least) in inserts.iter_mut().enumerate() {
            let (hash, record) = (hash(&key(index as u64)), record(index as u64));
            let start = Instant::now();
            table.insert(hash, record, hash_of);
            *least = took(start).min(*least);
        }
        println!("{:.2} bytes of table per key of {MANY}", table.footprint() as f64 / MANY as f64);
        for (index, least) in removals.iter_mut().enumerate() {
            let wanted = key(index as u64);
            let hash = hash(&wanted);
            let start = Instant::now();
            let removed = table.remove(hash, |record| record.key() == wanted, hash_of);
            *least = took(start).min(*least);
            assert!(removed.is_some());
        }
        assert!(table.is_empty());
    }
    for (name, mut times) in [("insert", inserts), ("removal", removals)] {
        times.sort_unstable();
        let of = |part: f64| f64::from(times[((MANY - 1) as f64 * part) as usize]) / 1e3;
        println!("{name}: median {} us, 99.9 % {} us, slowest {} us", of(0.5), of(0.999), of(1.0));
    }
}

const MANY: usize = 10_000_000;
const KEYS: u64 = 1_000_000;
/// The structure is measured, so the values need not differ.
const VALUE: [u8; 64] = [b'x'; 64];

criterion_group!(benches, lookups, changes, whole, worst);
criterion_main!(benches);
