//! The ranked set against a sorted list, with names and scores that are kind and unkind to it.

use std::collections::{BTreeMap, HashMap};

use pannier_collections::Ranked;

mod steps;
use steps::steps;

/// A score that sorts as the set sorts.
#[derive(Clone, Copy, PartialEq, PartialOrd)]
struct Score(f64);

impl Eq for Score {}

#[expect(clippy::derive_ord_xor_partial_ord, reason = "there is no NaN")]
impl Ord for Score {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.partial_cmp(other).expect("no NaN")
    }
}

#[derive(Default)]
struct Model {
    order: BTreeMap<(Score, Vec<u8>), f64>,
    scores: HashMap<Vec<u8>, f64>,
}

impl Model {
    fn set(&mut self, name: &[u8], score: f64) {
        self.remove(name);
        self.order.insert((Score(score), name.to_vec()), score);
        self.scores.insert(name.to_vec(), score);
    }

    fn remove(&mut self, name: &[u8]) -> Option<f64> {
        let score = self.scores.remove(name)?;
        self.order.remove(&(Score(score), name.to_vec()));
        Some(score)
    }

    fn sorted(&self) -> Vec<(&[u8], f64)> {
        self.order.iter().map(|((_, name), score)| (&name[..], *score)).collect()
    }
}

fn hash_of(name: &[u8]) -> u64 {
    let hash = name.iter().fold(7_u64, |hash, byte| hash.wrapping_mul(131) + u64::from(*byte) + 1);
    let hash = (hash ^ hash >> 29).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    hash ^ hash >> 32
}

/// How names are made of numbers.
const NAMES: [fn(u64) -> Vec<u8>; 5] = [
    |n| format!("element:{n:012}").into_bytes(),
    |n| n.to_string().into_bytes(),
    // Alike in more bytes than a node keeps, and some the beginning of others.
    |n| {
        let long = format!("https://www.example.com/a/path/that/many/names/have/before/{}", n / 9);
        let len = long.len() - (n % 9) as usize;
        long.into_bytes()[..len].to_vec()
    },
    // Zeros at the end, where a short name reads as zeros too.
    |n| {
        let mut name = vec![0; (n % 70) as usize];
        name.extend(n.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).take(2));
        name
    },
    |n| (n.wrapping_mul(0x9E37_79B9_7F4A_7C15)).to_be_bytes().to_vec(),
];

/// How scores are made of random numbers.
const SCORES: [fn(u64) -> f64; 5] = [
    |_| 0.0,
    |n| (n % 8) as f64 - 4.0,
    |n| n as f64 / 1e3,
    |n| [f64::INFINITY, f64::NEG_INFINITY, -0.0, 0.0, 5e-324, -5e-324, 1.5][n as usize % 7],
    |n| f64::from_bits(n & !(1 << 62)),
];

#[test]
fn a_ranked_set_is_a_sorted_list() {
    for seed in 0..25 {
        walk(seed, NAMES[seed as usize % 5], SCORES[seed as usize / 5]);
    }
}

/// Random steps that let the set grow, move, and shrink to nothing, several times over.
fn walk(seed: u64, name_of: fn(u64) -> Vec<u8>, score_of: fn(u64) -> f64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut set, mut model) = (Ranked::new(), Model::default());
    let all = steps(24_000);
    for step in 0..all {
        let growing = (step * 6 / all).is_multiple_of(2);
        let name = name_of(random.u64(..all / 5));
        match random.u32(..100) {
            0..40 if growing => set_both(&mut set, &mut model, &name, score_of(random.u64(..))),
            0..40 => {
                assert_eq!(set.remove(&name, hash_of), model.remove(&name));
            }
            // A small step, which mostly leaves the member where it is.
            40..60 => {
                if let Some(score) = model.scores.get(&name).copied() {
                    set_both(&mut set, &mut model, &name, score + 1e-4);
                }
            }
            60..75 => set_both(&mut set, &mut model, &name, score_of(random.u64(..))),
            75..78 => remove_range(&mut set, &mut model, &mut random, growing),
            _ => look(&set, &model, &name, score_of(random.u64(..))),
        }
        assert_eq!(set.len(), model.scores.len());
        if step.is_multiple_of(500) {
            compare(&set, &model, &mut random);
        }
    }
    compare(&set, &model, &mut random);
    set.remove_range(0..usize::MAX, hash_of, |_, _| {});
    assert!(set.is_empty() && set.range(0..9).next().is_none());
}

fn set_both(set: &mut Ranked, model: &mut Model, name: &[u8], score: f64) {
    set.update(name, hash_of, |old| {
        assert_eq!(old, model.scores.get(name).copied());
        Some(score)
    });
    model.set(name, score);
}

fn remove_range(set: &mut Ranked, model: &mut Model, random: &mut fastrand::Rng, growing: bool) {
    let start = random.usize(..=set.len());
    let count = random.usize(..if growing { 9 } else { 200 });
    let mut removed = Vec::new();
    set.remove_range(start..start + count, hash_of, |name, score| {
        removed.push((name.to_vec(), score));
    });
    let sorted = model.sorted();
    let expected = &sorted[start..(start + count).min(sorted.len())];
    assert!(removed.iter().map(|(name, score)| (&name[..], *score)).eq(expected.iter().copied()));
    for (name, _) in &removed {
        model.remove(name);
    }
}

fn look(set: &Ranked, model: &Model, name: &[u8], score: f64) {
    assert_eq!(set.score(name, hash_of(name)), model.scores.get(name).copied());
    let below = |key: (Score, Vec<u8>)| model.order.range(..key).count();
    let through = |key: (Score, Vec<u8>)| model.order.range(..=key).count();
    let at = model.scores.get(name).copied().unwrap_or(score);
    assert_eq!(set.below(at, Some(name)), below((Score(at), name.to_vec())));
    assert_eq!(set.through(at, Some(name)), through((Score(at), name.to_vec())));
    assert_eq!(set.below(score, None), below((Score(score), Vec::new())));
    let scores = model.order.keys().filter(|(held, _)| *held <= Score(score));
    assert_eq!(set.through(score, None), scores.count());
}

fn compare(set: &Ranked, model: &Model, random: &mut fastrand::Rng) {
    let sorted = model.sorted();
    let end = random.usize(..=sorted.len());
    let start = random.usize(..=end);
    let part = &sorted[start..end];
    assert!(set.range(start..end).eq(part.iter().copied()));
    assert!(set.range(start..end).rev().eq(part.iter().rev().copied()));
    assert_eq!(set.range(start..end).len(), part.len());
    let (mut ends, mut left) = (set.range(start..end), part);
    while let [first, .., last] = left {
        if random.bool() {
            assert_eq!(ends.next(), Some(*first));
            left = &left[1..];
        } else {
            assert_eq!(ends.next_back(), Some(*last));
            left = &left[..left.len() - 1];
        }
    }
    assert_eq!(ends.next(), left.first().copied());
    assert_eq!((ends.next(), ends.next_back()), (None, None));
    assert_eq!(set.get(start), sorted.get(start).copied());
    let mut all: Vec<(&[u8], f64)> = set.iter().collect();
    all.sort_by_key(|(name, score)| (Score(*score), *name));
    assert!(all.iter().zip(&sorted).all(|(a, b)| a == b));
    let (mut position, mut seen) = (0, 0);
    loop {
        position = set.scan(position, |name, score| {
            assert_eq!(model.scores.get(name), Some(&score));
            seen += 1;
        });
        if position == 0 {
            break;
        }
    }
    assert_eq!(seen, sorted.len());
    let drawn = set.random(|| random.u64(..));
    assert_eq!(drawn.is_some(), !sorted.is_empty());
}

#[test]
fn ascending_and_descending_order_fill_the_nodes() {
    let count = if cfg!(miri) { 500 } else { 20_000 };
    for descending in [false, true] {
        let mut set = Ranked::new();
        for n in 0..count {
            let n = if descending { count - n } else { n };
            set.update(&NAMES[0](n), hash_of, |_| Some(n as f64));
        }
        let names = (0..count).map(|n| NAMES[0](if descending { n + 1 } else { n }));
        assert!(set.range(0..usize::MAX).map(|(name, _)| name.to_vec()).eq(names));
        // The block of a member takes 32 bytes, its place in the table up to 13.2.
        let each = set.footprint() as f64 / count as f64 - 32.0;
        assert!(each < 36.0, "{each} bytes beside the member");
    }
}
