//! Sorted sets against a sorted list, packed and large, with the sums recounted.

use super::{START_MS, keyspace, recount, with};
use crate::types::Limits;
use crate::{BytesEnd, Cursor, Encoding, ScoreRange, SortedSet, SortedSetRef};

const SCORES: [f64; 10] =
    [0.0, 1.0, -1.0, 1.5, -0.1, f64::INFINITY, f64::NEG_INFINITY, 1e300, 5e-324, 4e18];

type Twin = Vec<(f64, Vec<u8>)>;

#[test]
fn random_members_agree_with_a_sorted_list() {
    let mut random = fastrand::Rng::with_seed(5);
    let keyspace = keyspace(2);
    let limits = Limits { sorted_set_entries: 12, ..Limits::default() };
    let mut twin: Twin = Vec::new();
    let mut seen = [false; 2];
    for step in 0..20_000 {
        let longest = if random.u8(..200) == 0 { 70 } else { 3 };
        let member = random.u8(..20).to_string().repeat(random.usize(1..longest)).into_bytes();
        let score = SCORES[random.usize(..SCORES.len())];
        with(&keyspace, b"zset", START_MS, |view, key| {
            let old = twin.iter().position(|(_, held)| *held == member).map(|at| twin.remove(at).0);
            let before = view.dirty();
            if random.bool() {
                let work = |set: &mut crate::SortedSetMut<'_>| {
                    set.update(&member, |held| {
                        assert_eq!(held, old);
                        Some(score)
                    });
                };
                assert_eq!(
                    view.change::<SortedSet, _>(0, key, (&limits, true), work),
                    Ok(Some(()))
                );
                assert_eq!(view.dirty() - before, u64::from(old != Some(score)));
                twin.push((score, member.clone()));
                twin.sort_by(|a, b| a.partial_cmp(b).expect("no NaN"));
            } else {
                let known = old.is_some() || !twin.is_empty();
                let removed = view
                    .change::<SortedSet, _>(0, key, (&limits, false), |set| set.remove(&member));
                assert_eq!(removed, Ok(known.then_some(old)));
            }
            // Now and then some go, or all, and with them the key.
            if step % 100 == 0 {
                let count = if step % 500 == 0 { usize::MAX } else { 3 };
                let start = random.usize(..=twin.len());
                let start = if step % 500 == 0 { 0 } else { start };
                let mut removed = Vec::new();
                let _ = view.change::<SortedSet, _>(0, key, (&limits, false), |set| {
                    set.remove_range(start..start.saturating_add(count), |member, score| {
                        removed.push((score, member.to_vec()));
                    });
                });
                let end = twin.len().min(start.saturating_add(count));
                assert_eq!(removed, twin.drain(start..end).collect::<Twin>());
            }
            assert_eq!(view.contains(0, key), !twin.is_empty());
            let Ok(Some(set)) = view.read_as::<SortedSet>(0, key) else { return };
            compare(set, &twin, &mut random);
            let encoding = view.peek(0, key).map(|found| found.encoding());
            seen[usize::from(encoding == Some(Encoding::Skiplist))] = true;
        });
        recount(&keyspace);
    }
    assert_eq!(seen, [true, true]);
}

fn compare(set: SortedSetRef<'_>, twin: &Twin, random: &mut fastrand::Rng) {
    assert_eq!(set.len(), twin.len());
    let end = random.usize(..=twin.len());
    let start = random.usize(..=end);
    let held = |(member, score): (pannier_collections::Piece<'_>, f64)| (score, member.to_vec());
    assert!(set.range(start..end).map(held).eq(twin[start..end].iter().cloned()));
    assert!(set.range(start..end).rev().map(held).eq(twin[start..end].iter().rev().cloned()));
    for (rank, (score, member)) in twin.iter().enumerate() {
        assert_eq!(set.score(member), Some(*score));
        assert_eq!(set.rank(member), Some((rank, *score)));
    }
    assert_eq!((set.score(b"none"), set.rank(b"none")), (None, None));
    let [min, max] = [0; 2].map(|_| SCORES[random.usize(..SCORES.len())]);
    let range = ScoreRange { min, max, above_min: random.bool(), below_max: random.bool() };
    let inside = |score: f64| {
        (score > min || !range.above_min && score == min)
            && (score < max || !range.below_max && score == max)
    };
    let ranks = set.by_score(range);
    let expected = twin.iter().filter(|(score, _)| inside(*score)).map(|(score, _)| *score);
    assert!(twin[ranks].iter().map(|(score, _)| *score).eq(expected));
    let mut members = 0;
    let mut cursor = Cursor(0);
    loop {
        cursor = set.scan(cursor, 3, |member, score| {
            assert!(twin.contains(&(score, member.to_vec())));
            members += 1;
        });
        if cursor == Cursor(0) {
            break;
        }
    }
    assert_eq!(members, twin.len());
}

#[test]
fn ranges_of_bytes_are_found_among_equal_scores_and_bounded_among_others() {
    let keyspace = keyspace(1);
    for entries in [128, 0] {
        let limits = Limits { sorted_set_entries: entries, ..Limits::default() };
        for mixed in [false, true] {
            with(&keyspace, b"zset", START_MS, |view, key| {
                view.remove(0, key);
                let names: Vec<String> = (0..20).map(|n| n.to_string()).collect();
                let _ = view.change::<SortedSet, _>(0, key, (&limits, true), |set| {
                    for (at, name) in names.iter().enumerate() {
                        let score = if mixed && at == 7 { 1.0 } else { 2.5 };
                        set.update(name.as_bytes(), |_| Some(score));
                    }
                });
                let Ok(Some(set)) = view.read_as::<SortedSet>(0, key) else {
                    panic!("it is there")
                };
                for min in ends(&names) {
                    for max in ends(&names) {
                        let found = set.by_bytes(min, max);
                        assert!(found.start <= found.end && found.end <= 20);
                        if !mixed {
                            let members = set.range(found).map(|(member, _)| member.to_vec());
                            assert!(members.eq(inside(&names, min, max)), "{min:?} {max:?}");
                        }
                    }
                }
                assert_eq!(set.by_bytes(BytesEnd::First, BytesEnd::Last), 0..20);
            });
        }
    }
}

fn ends(names: &[String]) -> Vec<BytesEnd<'_>> {
    let ends = names.iter().flat_map(|name| {
        [BytesEnd::Included(name.as_bytes()), BytesEnd::Excluded(name.as_bytes())]
    });
    ends.chain([BytesEnd::First, BytesEnd::Last, BytesEnd::Included(b"10a")]).collect()
}

fn inside<'a>(
    names: &'a [String],
    min: BytesEnd<'a>,
    max: BytesEnd<'a>,
) -> impl Iterator<Item = Vec<u8>> + 'a {
    let mut sorted: Vec<Vec<u8>> = names.iter().map(|name| name.clone().into_bytes()).collect();
    sorted.sort();
    let above = move |name: &[u8]| match min {
        BytesEnd::First => true,
        BytesEnd::Included(bytes) => name >= bytes,
        BytesEnd::Excluded(bytes) => name > bytes,
        BytesEnd::Last => false,
    };
    let below = move |name: &[u8]| match max {
        BytesEnd::First => false,
        BytesEnd::Included(bytes) => name <= bytes,
        BytesEnd::Excluded(bytes) => name < bytes,
        BytesEnd::Last => true,
    };
    sorted.into_iter().filter(move |name| above(name) && below(name))
}

#[test]
fn a_copy_is_a_set_of_its_own() {
    let keyspace = keyspace(1);
    let limits = Limits { sorted_set_entries: 3, ..Limits::default() };
    with(&keyspace, b"zset", START_MS, |view, key| {
        let _ = view.change::<SortedSet, _>(0, key, (&limits, true), |set| {
            set.expect(4, 1);
            for at in 0..100_u8 {
                set.update(&[at], |_| Some(f64::from(at % 7)));
            }
        });
        let Some(copy) = view.copy(0, key) else { panic!("it is there") };
        view.put(1, key, copy);
        let _ = view.change::<SortedSet, _>(0, key, (&limits, false), |set| set.remove(&[3]));
        let lens = [0, 1].map(|db| {
            let set = view.read_as::<SortedSet>(db, key).expect("a sorted set").expect("there");
            set.len()
        });
        assert_eq!(lens, [99, 100]);
    });
    recount(&keyspace);
}
