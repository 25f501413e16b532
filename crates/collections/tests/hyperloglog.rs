//! HyperLogLog against exact counts, sparse against dense, and against damage.
//!
//! That the bytes are Redis's is shown by transcripts and by the random sequences, which compare
//! them with a real server's.

mod steps;

use std::collections::HashSet;

use pannier_collections::hyperloglog::{
    Corrupt, EMPTY, Form, Registers, add, count, forget_count, form, keep_count, kept_count,
    raise_to, runs, to_dense,
};
use steps::steps;

/// Six times the standard error of 16384 registers.
const ERROR: f64 = 6.0 * 1.04 / 128.0;

fn is_near(counted: u64, exact: usize) -> bool {
    counted.abs_diff(exact as u64) as f64 <= (exact as f64 * ERROR).max(1.0)
}

#[test]
fn counts_are_near_the_exact_ones_and_alike_in_both_forms() {
    let mut rng = fastrand::Rng::with_seed(1);
    let (mut sparse, mut dense) = (EMPTY.to_vec(), EMPTY.to_vec());
    assert_eq!(to_dense(&mut dense), Ok(true));
    assert_eq!(to_dense(&mut dense), Ok(false));
    let mut exact = HashSet::new();
    for step in 0..steps(50_000) {
        let element = rng.u32(..100_000).to_le_bytes();
        let changed = add(&mut sparse, &element, 100_000);
        assert_eq!(changed, add(&mut dense, &element, 0));
        // An element that was there changes nothing.
        assert!(exact.insert(element) || changed == Ok(false));
        if step.is_power_of_two() || step % 10_000 == 0 {
            assert_eq!(count(&sparse), count(&dense));
            assert!(is_near(count(&dense).unwrap(), exact.len()), "{}", exact.len());
        }
    }
    assert_eq!(form(&sparse), Some(Form::Sparse));
    assert_eq!(runs(&sparse).map(|run| run.registers()).sum::<usize>(), 16384);
    to_dense(&mut sparse).unwrap();
    assert!(sparse == dense);
}

#[test]
fn a_sparse_sketch_becomes_dense_at_its_limit() {
    for limit in [0, 18, 100, 3000] {
        let mut sketch = EMPTY.to_vec();
        let mut last = sketch.len();
        for number in 0_u32..20_000 {
            add(&mut sketch, &number.to_le_bytes(), limit).unwrap();
            if form(&sketch) == Some(Form::Dense) {
                break;
            }
            last = sketch.len();
        }
        assert_eq!(form(&sketch), Some(Form::Dense));
        assert!(last <= limit.max(EMPTY.len()) && last + 3 > limit, "{last} of {limit}");
    }
}

#[test]
fn merged_sketches_count_the_union() {
    let mut rng = fastrand::Rng::with_seed(2);
    for round in 0..steps(60) {
        let mut exact = HashSet::new();
        let mut sketches = [EMPTY.to_vec(), EMPTY.to_vec(), EMPTY.to_vec()];
        for sketch in &mut sketches {
            for _ in 0..rng.usize(..3000) {
                let element = rng.u32(..3000).to_le_bytes();
                exact.insert(element);
                add(sketch, &element, 3000).unwrap();
            }
        }
        let mut best = Registers::new(true);
        sketches.iter().for_each(|sketch| best.merge(sketch).unwrap());
        assert!(is_near(best.count(), exact.len()), "{} is {}", best.count(), exact.len());
        let [first, ..] = &mut sketches;
        raise_to(first, &best, round % 2 == 0, 3000);
        assert_eq!(count(first), Ok(best.count()));
        assert_eq!(kept_count(first), None);
        let mut again = Registers::new(true);
        again.merge(first).unwrap();
        assert!(again.values() == best.values());
    }
}

#[test]
fn the_header_keeps_a_count_until_it_is_forgotten() {
    let mut sketch = EMPTY.to_vec();
    assert_eq!(kept_count(&sketch), Some(0));
    keep_count(&mut sketch, 0x0102_0304_0506_0708);
    assert_eq!(kept_count(&sketch), Some(0x0102_0304_0506_0708));
    assert_eq!(sketch[8..16], [8, 7, 6, 5, 4, 3, 2, 1]);
    forget_count(&mut sketch);
    assert_eq!(kept_count(&sketch), None);
    assert_eq!(sketch[15], 0x81);
}

#[test]
fn damaged_bytes_are_refused_and_never_panic() {
    let mut rng = fastrand::Rng::with_seed(3);
    let mut refused = 0;
    for _ in 0..steps(20_000) {
        let mut sketch = EMPTY.to_vec();
        for _ in 0..rng.usize(..50) {
            add(&mut sketch, &rng.u64(..).to_le_bytes(), 3000).unwrap();
        }
        for _ in 0..rng.usize(1..4) {
            let at = rng.usize(16..sketch.len());
            sketch[at] = rng.u8(..);
        }
        sketch.truncate(rng.usize(16..=sketch.len()));
        assert_eq!(form(&sketch), Some(Form::Sparse));
        let sound = runs(&sketch).map(|run| run.registers()).sum::<usize>() == 16384;
        assert_eq!(count(&sketch).is_ok(), sound);
        assert_eq!(Registers::new(true).merge(&sketch).is_ok(), sound);
        assert_eq!(to_dense(&mut sketch.clone()).is_ok(), sound);
        for _ in 0..20 {
            // What lies before the damage may still be changed.
            if add(&mut sketch, &rng.u64(..).to_le_bytes(), 100) == Err(Corrupt) {
                refused += 1;
            }
        }
    }
    assert!(refused > 0);
}

#[test]
fn only_what_has_the_header_is_a_sketch() {
    for text in
        [&b"HYLL"[..], b"", b"HYLL\x01\0\0\0\0\0\0\0\0\0\0", b"HYLL\x02\0\0\0\0\0\0\0\0\0\0\0"]
    {
        assert_eq!(form(text), None);
    }
    let mut sketch = EMPTY.to_vec();
    to_dense(&mut sketch).unwrap();
    assert_eq!((form(&sketch), sketch.len()), (Some(Form::Dense), 12304));
    sketch.push(0);
    assert_eq!(form(&sketch), None);
}
