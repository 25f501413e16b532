//! Sorted runs of integers against a `BTreeSet`.

use std::collections::BTreeSet;

use pannier_collections::{Exchange, Intset, Splice};

mod steps;
use steps::steps;

fn apply(run: &mut Vec<u8>, exchange: Option<Exchange>) -> bool {
    let Some(Exchange { at, removed, added }) = exchange else { return false };
    run.exchange(at, removed, &added);
    true
}

fn number(random: &mut fastrand::Rng, bits: u32) -> i64 {
    let edges = [i16::MIN as i64, i16::MAX as i64, i32::MIN as i64, i32::MAX as i64];
    match random.u8(..10) {
        0 => edges[random.usize(..4)].saturating_add(random.i64(-1..=1)),
        1 => *[i64::MIN, i64::MAX, 0, -1].get(random.usize(..4)).expect("one of four"),
        _ => random.i64(..100) >> random.u32(..6) | 1 << random.u32(..bits),
    }
}

#[test]
fn random_integers_agree_with_a_tree() {
    let mut random = fastrand::Rng::with_seed(11);
    let (mut run, mut twin, mut bits) = (Vec::new(), BTreeSet::new(), 8);
    let mut widths = BTreeSet::new();
    for step in 0..steps(60_000) {
        if step % 300 == 0 {
            (run, twin) = (Vec::new(), BTreeSet::new());
            bits = [8, 15, 31, 63][random.usize(..4)];
        }
        // Narrow runs are to live for a while.
        let mut value = number(&mut random, bits);
        if bits == 8 {
            value %= 1000;
        }
        let set = Intset::new(&run, twin.len());
        assert_eq!(set.contains(value), twin.contains(&value));
        if random.u8(..5) < 3 {
            let exchange = set.insertion(value);
            assert_eq!(apply(&mut run, exchange), twin.insert(value));
        } else {
            let value = twin.iter().nth(random.usize(..=twin.len())).copied().unwrap_or(value);
            let exchange = set.removal(value);
            assert_eq!(apply(&mut run, exchange), twin.remove(&value));
        }
        let set = Intset::new(&run, twin.len());
        widths.insert(set.width());
        assert_eq!((set.len(), set.is_empty()), (twin.len(), twin.is_empty()));
        assert!(set.iter().eq(twin.iter().copied()));
        assert!(set.iter().rev().eq(twin.iter().rev().copied()));
        assert_eq!(set.get(twin.len()), None);
        assert_eq!(Intset::check(&run, set.width()), Some(set));
    }
    assert!(widths.iter().eq(&[2, 4, 8]), "{widths:?}");
}

#[test]
fn a_wide_integer_widens_the_run_and_its_removal_does_not_narrow_it() {
    let mut run = vec![1, 0, 2, 0];
    let exchange = Intset::new(&run, 2).insertion(-70_000);
    assert!(apply(&mut run, exchange));
    assert_eq!((run.len(), Intset::new(&run, 3).width()), (12, 4));
    let exchange = Intset::new(&run, 3).removal(-70_000);
    assert!(apply(&mut run, exchange));
    assert_eq!(run, [1, 0, 0, 0, 2, 0, 0, 0]);
}

#[test]
fn broken_runs_are_refused() {
    assert!(Intset::check(&[1, 0, 2, 0], 2).is_some());
    assert!(Intset::check(&[], 8).is_some());
    for (bytes, width) in [
        (&[1, 0, 1, 0][..], 2),
        (&[2, 0, 1, 0], 2),
        (&[1, 0, 2], 2),
        (&[1, 0, 2, 0], 3),
        (&[1, 0, 2, 0], 0),
        (&[1, 0, 2, 0], 8),
    ] {
        assert_eq!(Intset::check(bytes, width), None, "{bytes:?} of {width}");
    }
}
