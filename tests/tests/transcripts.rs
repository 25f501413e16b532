//! Every transcript on every target.
//!
//! One test function for each target, so that `cargo test` names the one that fails; what they
//! share is in [`pannier_tests::transcript::suite`]. The real servers come first in importance:
//! when a transcript fails there, the transcript is wrong.
//!
//! Rules: a target that is missing is skipped aloud, and an error where `CI=true`.
//!
//! The format is in `tests/README.md`.

use pannier_tests::target::in_process::InProcess;
use pannier_tests::target::spawned::{SpawnedTarget, Spawner};
use pannier_tests::target::{Protocol, oracle};
use pannier_tests::transcript::suite;

fn spawned(name: &str, found: Result<Spawner, String>, protocol: Protocol) {
    let target = found.map(|spawner| SpawnedTarget { spawner, protocol });
    suite::check(name, target);
}

#[test]
fn valkey_resp2() {
    spawned("valkey_resp2", oracle::valkey(), Protocol::Resp2);
}

#[test]
fn valkey_resp3() {
    spawned("valkey_resp3", oracle::valkey(), Protocol::Resp3);
}

#[test]
fn redis_resp2() {
    spawned("redis_resp2", oracle::redis(), Protocol::Resp2);
}

#[test]
fn redis_resp3() {
    spawned("redis_resp3", oracle::redis(), Protocol::Resp3);
}

#[test]
fn pannier_resp2() {
    spawned("pannier_resp2", oracle::pannier(), Protocol::Resp2);
}

#[test]
fn pannier_resp3() {
    spawned("pannier_resp3", oracle::pannier(), Protocol::Resp3);
}

#[test]
fn engine_resp2() {
    suite::check("engine_resp2", Ok(InProcess::new(Protocol::Resp2)));
}

#[test]
fn engine_resp3() {
    suite::check("engine_resp3", Ok(InProcess::new(Protocol::Resp3)));
}

/// What we do otherwise than Redis is told to whoever reads the documentation.
#[test]
fn every_difference_is_in_the_documentation() {
    let differences = suite::differences(&suite::folder()).expect("the transcripts parse");
    let page = oracle::repository().join("docs").join("differences.md");
    let text = std::fs::read_to_string(&page).unwrap_or_default();
    // The page may break its lines where it likes.
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let text = words(&text);
    let untold: Vec<_> = differences.iter().filter(|d| !text.contains(&words(&d.reason))).collect();
    assert!(untold.is_empty(), "docs/differences.md lacks these reasons: {untold:#?}");
}
