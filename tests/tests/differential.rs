//! Random command sequences on Pannier, in process and over TCP, compared with Valkey's replies.
//!
//! The seeds are fixed, so that a failure is there for everybody; `PANNIER_SEED=n` replays one,
//! `PANNIER_SEED=random` tries a new one, `PANNIER_COUNT=n` makes the sequences longer, and
//! `PANNIER_COMMANDS="get set"` leaves only these commands in them. That the
//! sequences themselves are free of races is shown by Valkey against itself, and that a difference
//! is found by Valkey against Redis, which does not know `SET IFEQ`.
//!
//! Rules: a missing server is skipped aloud, and an error where `CI=true`.
//!
//! What is compared and how is in [`pannier_tests::differential`].

use std::time::{SystemTime, UNIX_EPOCH};

use pannier_tests::differential::Pair;
use pannier_tests::target::in_process::InProcess;
use pannier_tests::target::spawned::{SpawnedTarget, Spawner};
use pannier_tests::target::{Protocol, Target, oracle};
use pannier_tests::transcript::suite;

const COUNT: usize = 4_000;
const SEEDS: std::ops::RangeInclusive<u64> = 1..=6;

fn seeds() -> Vec<u64> {
    match std::env::var("PANNIER_SEED").as_deref() {
        Ok("random") => vec![fastrand::u64(..)],
        Ok(seed) => vec![seed.parse().expect("PANNIER_SEED is a number or `random`")],
        Err(_) => SEEDS.collect(),
    }
}

fn count() -> usize {
    let count = std::env::var("PANNIER_COUNT").ok();
    count.map_or(COUNT, |n| n.parse().expect("PANNIER_COUNT is a number"))
}

fn compare(oracle: &dyn Target, tested: &dyn Target, seeds: &[u64]) -> Result<(), String> {
    let pair = Pair::open(oracle, tested)?;
    let only = std::env::var("PANNIER_COMMANDS").unwrap_or_default().to_uppercase();
    let only: Vec<String> = only.split_whitespace().map(str::to_owned).collect();
    seeds.iter().try_for_each(|seed| pair.compare(*seed, count(), &only))
}

fn spawned(found: Result<Spawner, String>, protocol: Protocol) -> Option<SpawnedTarget> {
    let spawner = found.inspect_err(|why| suite::missing("differential", why)).ok()?;
    Some(SpawnedTarget { spawner, protocol })
}

fn pannier_over_tcp(protocol: Protocol) {
    let Some(valkey) = spawned(oracle::valkey(), protocol) else { return };
    let Some(pannier) = spawned(oracle::pannier(), protocol) else { return };
    if let Err(report) = compare(&valkey, &pannier, &seeds()) {
        panic!("{report}");
    }
}

#[expect(clippy::disallowed_methods, reason = "both servers must know the same year")]
fn engine_in_process(protocol: Protocol) {
    let Some(valkey) = spawned(oracle::valkey(), protocol) else { return };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
    let engine = InProcess::at(protocol, u64::try_from(now.as_millis()).expect("a time"));
    if let Err(report) = compare(&valkey, &engine, &seeds()) {
        panic!("{report}");
    }
}

#[test]
fn pannier_answers_as_valkey_under_resp2() {
    pannier_over_tcp(Protocol::Resp2);
}

#[test]
fn pannier_answers_as_valkey_under_resp3() {
    pannier_over_tcp(Protocol::Resp3);
}

#[test]
fn the_engine_answers_as_valkey_under_resp2() {
    engine_in_process(Protocol::Resp2);
}

#[test]
fn the_engine_answers_as_valkey_under_resp3() {
    engine_in_process(Protocol::Resp3);
}

#[test]
fn valkey_answers_as_itself() {
    let Some(valkey) = spawned(oracle::valkey(), Protocol::Resp3) else { return };
    assert_eq!(compare(&valkey, &valkey, &[7]), Ok(()), "a sequence has a race");
}

#[test]
fn a_difference_is_found_and_shrunk_to_few_commands() {
    let Some(valkey) = spawned(oracle::valkey(), Protocol::Resp2) else { return };
    let Some(redis) = spawned(oracle::redis(), Protocol::Resp2) else { return };
    let report = compare(&valkey, &redis, &[7]).expect_err("they differ");
    for mismatch in report.split("\n\n") {
        let commands = mismatch.lines().filter(|line| line.starts_with("> ")).count();
        assert!((1..=4).contains(&commands), "{mismatch}");
    }
}
