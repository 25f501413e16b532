//! The reply writer: the replies of a pipelined batch, an array, a large shared value.
//!
//! Each is decoded once by redis-protocol before it is timed, so that a fast wrong reply fails.

use std::hint::black_box;
use std::io::IoSlice;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pannier_benches::value;
use pannier_resp::{Protocol, Reply};
use redis_protocol::resp2::decode::decode;

fn batches(criterion: &mut Criterion) {
    let bytes = value(1, 64);
    measure(criterion, "100 values of 64 B", 100, |reply| {
        (0..100).for_each(|_| reply.bulk(black_box(&bytes)));
    });
    measure(criterion, "100 integers", 100, |reply| {
        (0..100).for_each(|index| reply.integer(black_box(1_000_000 + index)));
    });
    measure(criterion, "100 OKs", 100, |reply| (0..100).for_each(|_| reply.ok()));
    measure(criterion, "array of 100 values of 64 B", 1, |reply| {
        reply.array(100);
        (0..100).for_each(|_| reply.bulk(black_box(&bytes)));
    });
    measure(criterion, "array of 100 values, length known afterwards", 1, |reply| {
        let deferred = reply.deferred();
        (0..100).for_each(|_| reply.bulk(black_box(&bytes)));
        reply.fill_array(deferred, 100);
    });
}

fn measure(criterion: &mut Criterion, name: &str, replies: usize, write: impl Fn(&mut Reply)) {
    let mut reply = Reply::new(Protocol::Resp2);
    write(&mut reply);
    assert_eq!(count_frames(&reply), replies);
    let len = reply.len();
    let mut group = criterion.benchmark_group("reply");
    group.throughput(Throughput::Bytes(len as u64));
    group.bench_function(name, |bencher| {
        bencher.iter(|| {
            reply.clear();
            write(&mut reply);
            assert_eq!(black_box(&reply).len(), len);
        });
    });
    group.finish();
}

fn shared(criterion: &mut Criterion) {
    let large = Bytes::from(value(1, 64 << 10));
    let mut reply = Reply::new(Protocol::Resp2);
    let mut group = criterion.benchmark_group("reply");
    group.bench_function("64 KiB by reference, as slices", |bencher| {
        bencher.iter(|| {
            reply.clear();
            reply.shared(large.clone());
            let mut slices: Vec<IoSlice<'_>> = Vec::with_capacity(4);
            reply.slices(&mut slices);
            assert_eq!(slices.iter().map(|slice| slice.len()).sum::<usize>(), reply.len());
        });
    });
    assert_eq!(count_frames(&reply), 1);
    group.finish();
}

fn count_frames(reply: &Reply) -> usize {
    let mut wire = Vec::new();
    reply.write_to(&mut wire);
    let (mut at, mut frames) = (0, 0);
    while let Ok(Some((_, len))) = decode(&wire[at..]) {
        at += len;
        frames += 1;
    }
    assert_eq!(at, wire.len());
    frames
}

criterion_group!(benches, batches, shared);
criterion_main!(benches);
