//! The simulation: seeds under a virtual clock, and seeds with real threads.
//!
//! The seeds are fixed; `PANNIER_SEED=n` replays one, `PANNIER_SEED=random` tries a new one, and
//! `PANNIER_STEPS=n` makes each run longer (a million steps take some minutes). What is played and
//! what must hold is in [`pannier_tests::simulation`].

use pannier_tests::simulation::{near_cache, threads, world};

const STEPS: u64 = 1_500;
const SEEDS: std::ops::RangeInclusive<u64> = 1..=6;

fn seeds() -> Vec<u64> {
    match std::env::var("PANNIER_SEED").as_deref() {
        Ok("random") => vec![fastrand::u64(..)],
        Ok(seed) => vec![seed.parse().expect("PANNIER_SEED is a number or `random`")],
        Err(_) => SEEDS.collect(),
    }
}

fn steps() -> u64 {
    let steps = std::env::var("PANNIER_STEPS").ok();
    steps.map_or(STEPS, |n| n.parse().expect("PANNIER_STEPS is a number"))
}

#[test]
fn no_token_is_lost_or_doubled_whatever_the_players_do() {
    for seed in seeds() {
        if let Err(report) = world::run(seed, steps()) {
            panic!("{report}");
        }
    }
}

#[test]
fn threads_that_race_lose_and_double_nothing() {
    for seed in seeds() {
        let requests = usize::try_from(steps()).expect("it fits");
        if let Err(report) = threads::race(seed, requests) {
            panic!("{report}");
        }
    }
}

#[test]
fn nobody_who_tracks_keeps_what_is_stale() {
    let mut all = near_cache::Played::default();
    for seed in seeds() {
        match near_cache::run(seed, steps()) {
            Ok(played) => {
                all.compared += played.compared;
                all.told += played.told;
                all.flushed += played.flushed;
                all.expired += played.expired;
                all.evicted += played.evicted;
            }
            Err(report) => panic!("{report}"),
        }
    }
    let least = [all.compared, all.told, all.flushed, all.expired, all.evicted];
    assert!(least.iter().all(|count| *count > 50), "too little was played: {all:?}");
}
