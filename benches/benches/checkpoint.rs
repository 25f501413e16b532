//! What checkpoints cost: to set one, to roll back, and the commands that run meanwhile.
//!
//! Setting one must not depend on how much there is, and rolling back only on what has changed;
//! so both are measured with a thousand keys and with a million. A rollback is measured alone: the
//! changes before it are outside the time that counts. `SET` and `INCR` are measured without a
//! checkpoint, with one that has seen the key before, and with one for which it is the key's first
//! change. The first change of a large collection is a copy of it, which `first HSET` shows.

use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use pannier_store::{Deadline, Hash, Keyspace, Limits, NewValue, Now, Open, Options, Rules, View};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// What a server with two workers has.
const SHARDS: usize = 8;
const NOW: Now = Now { unix_us: 1_750_000_000_000_000, mono_us: 0 };

fn keyspace(keys: u32, deadline: Deadline) -> Keyspace {
    let reaper = std::sync::Arc::new(drop);
    let keyspace =
        Keyspace::new(Options { shards: SHARDS, databases: 16, seed: 1, now: NOW, reaper });
    (0..keys).for_each(|number| set(&keyspace, number, deadline));
    keyspace
}

fn name(number: u32) -> String {
    format!("key:{number:012}")
}

fn set(keyspace: &Keyspace, number: u32, deadline: Deadline) {
    let name = name(number);
    let key = keyspace.key(name.as_bytes());
    let mut view = keyspace.open(Open::Keys(&[key]), NOW, Rules::default());
    view.set(0, key, NewValue::Bytes(&[b'v'; 32]), deadline);
}

fn all<R>(keyspace: &Keyspace, work: impl FnOnce(&mut View<'_>) -> R) -> R {
    work(&mut keyspace.open(Open::All, NOW, Rules::default()))
}

/// Measures `measured` alone, and does `before` each time before it.
fn alone(count: u64, mut before: impl FnMut(), mut measured: impl FnMut()) -> Duration {
    let mut spent = Duration::ZERO;
    for _ in 0..count {
        before();
        let begin = now();
        measured();
        spent += begin.elapsed();
    }
    spent
}

fn whole(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("checkpoint");
    for keys in [1_000, 100_000, 1_000_000] {
        let keyspace = keyspace(keys, Deadline::Clear);
        group.bench_with_input(BenchmarkId::new("set and release", keys), &keys, |bencher, _| {
            bencher.iter(|| {
                let depth = all(&keyspace, |view| view.checkpoint());
                all(&keyspace, |view| view.release(depth));
            });
        });
        all(&keyspace, |view| view.checkpoint());
        for changes in [0, 10, 1_000] {
            let name = format!("rollback of {changes} changes");
            group.bench_with_input(BenchmarkId::new(name, keys), &keys, |bencher, _| {
                let mut random = fastrand::Rng::with_seed(1);
                let change = || {
                    for _ in 0..changes {
                        set(&keyspace, random.u32(..keys), Deadline::Clear);
                    }
                };
                let mut change = change;
                bencher.iter_custom(|count| {
                    alone(count, &mut change, || all(&keyspace, |view| view.rollback(0)))
                });
            });
        }
        assert_eq!(keyspace.len(0), keys as usize);
    }
    for (name, deadline) in
        [("", Deadline::Clear), (", all volatile", Deadline::At(1_760_000_000_000))]
    {
        let keyspace = keyspace(100_000, deadline);
        all(&keyspace, |view| view.checkpoint());
        group.bench_function(format!("rollback of FLUSHALL of 100,000{name}"), |bencher| {
            let flush = || drop(all(&keyspace, |view| view.flush(None)));
            bencher.iter_custom(|count| {
                alone(count, flush, || all(&keyspace, |view| view.rollback(0)))
            });
        });
        assert_eq!(keyspace.len(0), 100_000);
    }
    group.finish();
}

fn commands(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("commands under a checkpoint");
    let keyspace = keyspace(1_000, Deadline::Clear);
    let key = name(7);
    let key = keyspace.key(key.as_bytes());
    let open = || keyspace.open(Open::Keys(&[key]), NOW, Rules::default());
    let set = || open().set(0, key, NewValue::Bytes(&[b'v'; 32]), Deadline::Clear);
    let incr = || {
        if let Ok(Some(mut edit)) = open().edit(0, key) {
            edit.set_int(7);
        }
    };
    let ways: [(&str, &dyn Fn()); 2] = [("SET", &set), ("INCR", &incr)];
    for (name, command) in ways {
        group.bench_function(format!("{name}, none"), |bencher| bencher.iter(command));
    }
    all(&keyspace, |view| view.checkpoint());
    for (name, command) in ways {
        group.bench_function(format!("{name}, changed before"), |bencher| bencher.iter(command));
        group.bench_function(format!("{name}, first change"), |bencher| {
            let back = || all(&keyspace, |view| view.rollback(0));
            bencher.iter_custom(|count| alone(count, back, command));
        });
    }
    let hash = keyspace.key(b"hash");
    let fields: Vec<String> = (0..100_000).map(name_of_field).collect();
    let hset = |fields: &[String]| {
        let mut view = keyspace.open(Open::Keys(&[hash]), NOW, Rules::default());
        let put = view.change::<Hash, _>(0, hash, (&Limits::default(), true), |hash| {
            fields.iter().for_each(|field| {
                hash.set(field.as_bytes(), b"value");
            });
        });
        assert!(put.is_ok());
    };
    hset(&fields);
    all(&keyspace, |view| view.checkpoint());
    group.sample_size(10);
    group.bench_function("first HSET of a hash of 100,000 fields", |bencher| {
        let back = || all(&keyspace, |view| view.rollback(1));
        bencher.iter_custom(|count| alone(count, back, || hset(&fields[..1])));
    });
    group.finish();
}

fn name_of_field(number: u32) -> String {
    format!("field:{number}")
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn now() -> Instant {
    Instant::now()
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = whole, commands
}
criterion_main!(benches);
