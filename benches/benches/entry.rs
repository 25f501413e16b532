//! The entry: making one, reading it, overwriting its value in place and with another size.
//!
//! One entry in the CPU's cache, so these are the costs of the code and of the allocator; what
//! memory adds is in `table`. Making and dropping are measured together, because an allocator pays
//! for one by the other. What was written is read back after each change.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use pannier_benches::{key, value};
use pannier_collections::{Entry, NewPayload, Payload};

type Record = Entry<Vec<u8>>;

fn making(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("entry");
    let (key, bytes) = (key(1), value(1, 64));
    let record = Record::new(&key, NewPayload::Bytes(&bytes), Some(1));
    println!("{} bytes for a key of 24, a value of 64 and a deadline", record.footprint());
    group.bench_function("new and drop, 64 B", |bencher| {
        bencher.iter(|| Record::new(&key, NewPayload::Bytes(black_box(&bytes)), None));
    });
    group.bench_function("new and drop, 64 B and a deadline", |bencher| {
        bencher.iter(|| Record::new(&key, NewPayload::Bytes(black_box(&bytes)), Some(1)));
    });
    group.bench_function("new and drop, integer", |bencher| {
        bencher.iter(|| Record::new(&key, NewPayload::Int(black_box(41)), None));
    });
    group.finish();
}

fn changing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("entry");
    let (key, bytes, more) = (key(1), value(1, 64), value(2, 200));
    let mut record = Record::new(&key, NewPayload::Bytes(&bytes), Some(1));
    group.bench_function("read key, deadline and value", |bencher| {
        bencher.iter(|| {
            let record = black_box(&record);
            assert_eq!((record.key().len(), record.deadline()), (24, Some(1)));
            assert!(matches!(record.payload(), Payload::Bytes(bytes) if bytes.len() == 64));
        });
    });
    group.bench_function("overwrite 64 B with 64 B", |bencher| {
        bencher.iter(|| record.set_payload(NewPayload::Bytes(black_box(&bytes))));
    });
    group.bench_function("overwrite 64 B with 200 B and back", |bencher| {
        bencher.iter(|| {
            record.set_payload(NewPayload::Bytes(black_box(&more)));
            record.set_payload(NewPayload::Bytes(black_box(&bytes)));
        });
    });
    assert!(matches!(record.payload(), Payload::Bytes(found) if found == bytes));
    assert_eq!((record.key(), record.deadline()), (&key[..], Some(1)));
    let mut counter = Record::new(&key, NewPayload::Int(0), None);
    group.bench_function("increment an integer", |bencher| {
        bencher.iter(|| {
            if let Payload::Int(number) = counter.payload() {
                counter.set_payload(NewPayload::Int(number + 1));
            }
        });
    });
    assert!(matches!(counter.payload(), Payload::Int(number) if number > 0));
    group.bench_function("append a byte to inline bytes, 1024 times", |bencher| {
        bencher.iter(|| {
            let mut record = Record::new(&key, NewPayload::Bytes(b""), None);
            for len in 1..=1024 {
                assert!(record.resize_bytes(len));
            }
            record
        });
    });
    group.finish();
}

criterion_group!(benches, making, changing);
criterion_main!(benches);
