//! Keyspace notifications of random command sequences, compared with Valkey's.
//!
//! `PANNIER_SEED=n` replays a seed, `PANNIER_COUNT=n` makes the sequences longer. A missing server
//! is skipped aloud, and an error where `CI=true`. How it is done is in [`pannier_tests::events`].

use pannier_tests::events::compare;
use pannier_tests::target::spawned::{SpawnedTarget, Spawner};
use pannier_tests::target::{Protocol, Target, oracle};
use pannier_tests::transcript::suite;

/// Commands left out, because chance decides what they change.
const SKIPPED: &[&str] = &["SPOP"];

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn spawned(found: Result<Spawner, String>) -> Option<SpawnedTarget> {
    let spawner = found.inspect_err(|why| suite::missing("events", why)).ok()?;
    Some(SpawnedTarget { spawner, protocol: Protocol::Resp2 })
}

fn check(tested: Result<Spawner, String>, events: &str, skipped: &[&str]) {
    let (Some(valkey), Some(tested)) = (spawned(oracle::valkey()), spawned(tested)) else { return };
    let seeds = number("PANNIER_SEED").map_or(1..=3, |seed| seed..=seed);
    let count = number("PANNIER_COUNT").unwrap_or(3_000) as usize;
    for seed in seeds {
        let pair: [&dyn Target; 2] = [&valkey, &tested];
        if let Err(report) = compare(pair, events, (seed, count), skipped) {
            panic!("{report}");
        }
    }
}

#[test]
fn the_events_of_commands_are_valkey_s() {
    check(oracle::pannier(), "KA", SKIPPED);
}

/// Commands left out where misses are told, too: in some cases Valkey looks twice, or looks before
/// it refuses an argument, or makes a key whose deadline has passed.
const LOOKS_OTHERWISE: &[&str] =
    &["SPOP", "XREAD", "XAUTOCLAIM", "LCS", "HGETEX", "HSETEX", "MSETEX"];

#[test]
fn new_and_missed_keys_are_told_as_valkey_does() {
    check(oracle::pannier(), "KAnm", LOOKS_OTHERWISE);
}

#[test]
fn valkey_tells_the_same_twice() {
    check(oracle::valkey(), "KA", SKIPPED);
}
