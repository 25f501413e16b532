//! The request parser on what clients send, beside the crate redis-protocol on the same bytes.
//!
//! redis-protocol builds an owned or reference-counted frame for each request; its
//! `decode_range` is the cheapest of its doors. It is here as a measure of what cutting a batch
//! into slices is worth, and as a check: both must find the same number of requests.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pannier_benches::{key, value};
use pannier_resp::{Batch, Limits, Parser, State};
use redis_protocol::resp2::decode::decode_range;

fn request(output: &mut Vec<u8>, words: &[&[u8]]) {
    output.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        output.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        output.extend_from_slice(word);
        output.extend_from_slice(b"\r\n");
    }
}

/// `count` requests as they lie in a read buffer.
fn pipeline(count: u64, build: impl Fn(u64, &mut Vec<u8>)) -> Vec<u8> {
    let mut input = Vec::new();
    (0..count).for_each(|index| build(index, &mut input));
    input
}

fn whole(criterion: &mut Criterion) {
    let get = |index, output: &mut Vec<u8>| request(output, &[b"GET", &key(index)]);
    let set =
        |index, output: &mut Vec<u8>| request(output, &[b"SET", &key(index), &value(index, 64)]);
    let inline = |index, output: &mut Vec<u8>| {
        output.extend_from_slice(&[b"GET ", &key(index)[..], b"\r\n"].concat());
    };
    measure(criterion, "1 GET", 1, &pipeline(1, get));
    measure(criterion, "16 GETs", 16, &pipeline(16, get));
    measure(criterion, "100 GETs", 100, &pipeline(100, get));
    measure(criterion, "16 SETs of 64 B", 16, &pipeline(16, set));
    parse_all(criterion, "16 inline GETs", 16, &pipeline(16, inline));
}

fn measure(criterion: &mut Criterion, name: &str, count: usize, input: &[u8]) {
    parse_all(criterion, name, count, input);
    let mut group = criterion.benchmark_group("parser");
    group.throughput(Throughput::Elements(count as u64));
    group.bench_function(format!("{name}, redis-protocol"), |bencher| {
        bencher.iter(|| {
            let (mut at, mut found) = (0, 0);
            while let Ok(Some((frame, len))) = decode_range(black_box(&input[at..])) {
                black_box(frame);
                at += len;
                found += 1;
            }
            assert_eq!(found, count);
        });
    });
    group.finish();
}

fn parse_all(criterion: &mut Criterion, name: &str, count: usize, input: &[u8]) {
    let limits = Limits::default();
    let (mut parser, mut batch) = (Parser::new(), Batch::new());
    let mut group = criterion.benchmark_group("parser");
    group.throughput(Throughput::Elements(count as u64));
    group.bench_function(name, |bencher| {
        bencher.iter(|| {
            batch.clear();
            let parsed = parser.parse(black_box(input), &limits, &mut batch, usize::MAX);
            assert_eq!((parsed.consumed, batch.len()), (input.len(), count));
        });
    });
    group.finish();
}

/// A value of 64 KiB that arrives in pieces of 1 KiB: the parser must not look at a byte twice.
fn split(criterion: &mut Criterion) {
    let mut input = Vec::new();
    request(&mut input, &[b"SET", &key(1), &value(1, 64 << 10)]);
    let limits = Limits::default();
    let mut batch = Batch::new();
    let mut group = criterion.benchmark_group("parser");
    group.bench_function("64 KiB value in 64 reads", |bencher| {
        bencher.iter(|| {
            batch.clear();
            let mut parser = Parser::new();
            let mut arrived = 0;
            while batch.is_empty() {
                arrived = input.len().min(arrived + 1024);
                let buf = black_box(&input[..arrived]);
                let parsed = parser.parse(buf, &limits, &mut batch, usize::MAX);
                assert!(!matches!(parsed.state, State::Broken(_)));
            }
            assert_eq!(batch.request(0, &input).get(2).len(), 64 << 10);
        });
    });
    group.finish();
}

criterion_group!(benches, whole, split);
criterion_main!(benches);
