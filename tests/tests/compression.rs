//! No command sees whether values are compressed.
//!
//! The engine runs with every value compressed that is sent whole, however short, and must answer
//! as it does without: in the transcripts of all commands that look into values, and in random
//! sequences compared byte by byte with the engine that compresses nothing, and with Valkey. What
//! may differ, MEMORY USAGE and INFO, is in `transcripts/limits/compression.txt`.

use std::time::Duration;

use pannier_tests::differential::Pair;
use pannier_tests::random::Generator;
use pannier_tests::target::in_process::InProcess;
use pannier_tests::target::spawned::SpawnedTarget;
use pannier_tests::target::{Client, Protocol, Received, Target, Value, encode, oracle};
use pannier_tests::transcript::suite;

/// Groups whose commands look into values, or move them.
const GROUPS: [&str; 4] = ["string", "bitmap", "generic", "transactions"];

const COUNT: usize = 4_000;

fn groups(protocol: Protocol) {
    let folder = suite::folder();
    let files: Vec<_> = GROUPS.iter().flat_map(|one| suite::files(&folder.join(one))).collect();
    assert!(files.len() > 50, "{} transcripts", files.len());
    suite::check_files("compressing", Ok(InProcess::new(protocol).compressing()), &files);
}

#[test]
fn transcripts_hold_under_resp2() {
    groups(Protocol::Resp2);
}

#[test]
fn transcripts_hold_under_resp3() {
    groups(Protocol::Resp3);
}

#[test]
fn random_sequences_have_the_replies_of_an_engine_that_compresses_nothing() {
    for (seed, protocol) in [(21, Protocol::Resp2), (22, Protocol::Resp3), (23, Protocol::Resp2)] {
        let plain = InProcess::new(protocol);
        let pair = Pair::open(&plain, &plain.compressing()).expect("both are here");
        assert_eq!(pair.compare(seed, COUNT, &[]), Ok(()));
    }
}

#[test]
fn random_sequences_have_the_replies_of_valkey() {
    let found = oracle::valkey().inspect_err(|why| suite::missing("compression", why));
    let Ok(spawner) = found else { return };
    let valkey = SpawnedTarget { spawner, protocol: Protocol::Resp2 };
    let now = pannier_clock::Clock::system().now().unix_us / 1000;
    let engine = InProcess::at(Protocol::Resp2, now).compressing();
    let pair = Pair::open(&valkey, &engine).expect("both are here");
    assert_eq!(pair.compare(24, COUNT, &[]), Ok(()));
}

fn ask(client: &mut dyn Client, words: &[&str]) -> Value {
    let words: Vec<_> = words.iter().map(|word| word.as_bytes().to_vec()).collect();
    client.send(&words);
    match client.receive(Duration::ZERO) {
        Received::Value(value) => value,
        other => panic!("{words:?} got {other:?}"),
    }
}

/// What INFO says of compressed values: how many, bytes before, bytes after.
fn compressed(client: &mut dyn Client) -> [usize; 3] {
    let Value::Bulk(text) = ask(client, &["INFO", "memory"]) else { panic!("no text") };
    let text = String::from_utf8_lossy(&text).into_owned();
    ["values", "bytes_before", "bytes_after"].map(|name| {
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("compressed_{name}:")));
        line.expect("the field").parse().expect("a number")
    })
}

#[test]
fn compressed_values_are_counted_while_they_are_there() {
    let mut server = InProcess::new(Protocol::Resp2).compressing().open(&[]).expect("an engine");
    let mut client = server.connect().expect("a client");
    for seed in 30..34 {
        let mut generator = Generator::new(seed);
        let mut most = 0;
        for _ in 0..2_000 {
            client.send(&generator.command());
            client.receive(Duration::ZERO);
            let [values, before, after] = compressed(&mut *client);
            assert_eq!((values == 0, values == 0), (before == 0, after == 0));
            most = most.max(values);
        }
        assert!(most > 5, "seed {seed}: {most} compressed values at once");
        ask(&mut *client, &["SELECT", "0"]);
        ask(&mut *client, &["FLUSHALL"]);
        assert_eq!(compressed(&mut *client), [0; 3], "seed {seed}");
    }
}

#[test]
fn a_pipeline_of_long_values_is_answered_in_full_and_in_order() {
    for target in [InProcess::new(Protocol::Resp2), InProcess::new(Protocol::Resp2).compressing()] {
        let mut server = target.open(&[]).expect("an engine");
        let mut client = server.connect().expect("a client");
        // Together far more than a group of requests replies at once.
        let values = ["first value ", "second value "].map(|text| text.repeat(8_000));
        for (key, value) in ["a", "b"].iter().zip(&values) {
            ask(&mut *client, &["SET", key, value]);
        }
        let words = |words: &[&str]| words.iter().map(|word| word.as_bytes().to_vec()).collect();
        let requests: [Vec<Vec<u8>>; 3] =
            [words(&["GET", "a"]), words(&["GET", "b"]), words(&["INCR", "a"])];
        client
            .send_raw(&requests.iter().flat_map(|one| encode(one)).collect::<Vec<_>>().repeat(20));
        for _ in 0..20 {
            for value in &values {
                let Received::Value(Value::Bulk(got)) = client.receive(Duration::ZERO) else {
                    panic!("a value");
                };
                assert!(got == value.as_bytes());
            }
            let Received::Value(Value::Error(_)) = client.receive(Duration::ZERO) else {
                panic!("no counter");
            };
        }
        assert_eq!(client.receive(Duration::ZERO), Received::Nothing);
    }
}
