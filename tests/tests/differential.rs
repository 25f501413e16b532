//! Random command sequences on Pannier and on Valkey, compared byte by byte.
//!
//! The seeds are fixed, so that a failure is there for everybody; `PANNIER_SEED=n` replays one,
//! `PANNIER_SEED=random` tries a new one, `PANNIER_COMMANDS=n` makes the sequences longer. That the
//! sequences themselves are free of races is shown by Valkey against itself, and that a difference
//! is found by Valkey against Redis, which does not know `SET IFEQ`.
//!
//! Rules: a missing server is skipped aloud, and an error where `CI=true`.
//!
//! What is compared and how is in [`pannier_tests::differential`].

use pannier_tests::differential::Pair;
use pannier_tests::target::spawned::Spawner;
use pannier_tests::target::{Protocol, oracle};
use pannier_tests::transcript::suite;

const COMMANDS: usize = 4_000;
const SEEDS: std::ops::RangeInclusive<u64> = 1..=6;

fn seeds() -> Vec<u64> {
    match std::env::var("PANNIER_SEED").as_deref() {
        Ok("random") => vec![fastrand::u64(..)],
        Ok(seed) => vec![seed.parse().expect("PANNIER_SEED is a number or `random`")],
        Err(_) => SEEDS.collect(),
    }
}

fn count() -> usize {
    let count = std::env::var("PANNIER_COMMANDS").ok();
    count.map_or(COMMANDS, |n| n.parse().expect("PANNIER_COMMANDS is a number"))
}

fn compare(
    oracle: &Spawner,
    tested: &Spawner,
    protocol: Protocol,
    seeds: &[u64],
) -> Result<(), String> {
    let oracle = oracle.start(&[])?;
    let tested = tested.start(&[])?;
    let pair = Pair { oracle: &oracle, tested: &tested, protocol };
    for seed in seeds {
        pair.compare(*seed, count())?;
    }
    Ok(())
}

fn pannier(protocol: Protocol) {
    let (valkey, pannier) = match (oracle::valkey(), oracle::pannier()) {
        (Ok(valkey), Ok(pannier)) => (valkey, pannier),
        (Err(why), _) | (_, Err(why)) => return suite::missing("differential", &why),
    };
    if let Err(report) = compare(&valkey, &pannier, protocol, &seeds()) {
        panic!("{report}");
    }
}

#[test]
fn pannier_answers_as_valkey_under_resp2() {
    pannier(Protocol::Resp2);
}

#[test]
fn pannier_answers_as_valkey_under_resp3() {
    pannier(Protocol::Resp3);
}

#[test]
fn valkey_answers_as_itself() {
    match oracle::valkey() {
        Ok(valkey) => {
            let same = compare(&valkey, &valkey, Protocol::Resp3, &[7]);
            assert_eq!(same, Ok(()), "a sequence has a race");
        }
        Err(why) => suite::missing("differential", &why),
    }
}

#[test]
fn a_difference_is_found_and_shrunk_to_few_commands() {
    let (valkey, redis) = match (oracle::valkey(), oracle::redis()) {
        (Ok(valkey), Ok(redis)) => (valkey, redis),
        (Err(why), _) | (_, Err(why)) => return suite::missing("differential", &why),
    };
    let report = compare(&valkey, &redis, Protocol::Resp2, &[7]).expect_err("they differ");
    let commands = report.lines().filter(|line| line.starts_with("> ")).count();
    assert!((1..=3).contains(&commands), "{report}");
}
