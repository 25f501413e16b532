//! Lists against a vector, in all three forms, with the sums recounted.

use pannier_collections::Piece;

use super::{START_MS, keyspace, recount, with};
use crate::types::{Limits, ListMut, ListRef};
use crate::{Encoding, End, Key, List, View, WrongType};

fn all(list: ListRef<'_>, from: End) -> Vec<Vec<u8>> {
    let mut held = Vec::new();
    list.visit(from, if from == End::Left { 0 } else { list.len() - 1 }, |piece| {
        held.push(piece.to_vec());
        true
    });
    held
}

fn change(list: &mut ListMut<'_>, twin: &mut Vec<Vec<u8>>, random: &mut fastrand::Rng) {
    let longest = if random.u8(..12) == 0 { 900 } else { 60 };
    let new = match random.u8(..3) {
        0 => random.i16(..).to_string().into_bytes(),
        1 => vec![b'x'; random.usize(..5)],
        _ => vec![b'v'; random.usize(..longest)],
    };
    let strings = [&new[..], b"17", b""];
    let some = &strings[..random.usize(1..4)];
    let index = random.usize(..=twin.len());
    let end = if random.bool() { End::Left } else { End::Right };
    let n = random.usize(..3).min(twin.len());
    // Mostly it grows, until all goes.
    let range = if end == End::Left { 0..n } else { twin.len() - n..twin.len() };
    match random.u8(..20) {
        0..5 if end == End::Left => {
            list.push(end, some.iter().copied());
            some.iter().for_each(|one| twin.insert(0, one.to_vec()));
        }
        0..5 => {
            list.push(end, some.iter().copied());
            twin.extend(some.iter().map(|one| one.to_vec()));
        }
        5..8 => {
            list.drop(end, n);
            twin.drain(range);
        }
        8..11 => {
            let set = list.set((random.u8(..10) > 0).then_some(index), &new);
            if set {
                twin[index] = new;
            }
        }
        11..15 => {
            let pivot = twin.get(index).cloned().unwrap_or_else(|| b"none".to_vec());
            let after = random.bool();
            let found = twin.iter().position(|held| *held == pivot);
            assert_eq!(list.insert(&pivot, &new, after), found.is_some());
            if let Some(found) = found {
                twin.insert(found + usize::from(after), new);
            }
        }
        15 => {
            let needle = twin.get(index).cloned().unwrap_or(new);
            let found = twin.iter().position(|held| *held == needle);
            assert_eq!(list.remove(&needle, 1, End::Left), usize::from(found.is_some()));
            found.map(|found| twin.remove(found));
        }
        16 => {
            list.trim(n, n);
            twin.drain(..n);
            twin.truncate(twin.len().saturating_sub(n));
        }
        17..19 => {
            let to = if random.bool() { End::Left } else { End::Right };
            list.rotate(end, to);
            let one = twin.len().min(1);
            match (end, to) {
                (End::Left, End::Right) => twin.rotate_left(one),
                (End::Right, End::Left) => twin.rotate_right(one),
                _ => {}
            }
        }
        _ if random.u8(..20) == 0 => {
            let least = twin.len().min(random.usize(..3));
            list.drop(end, twin.len() - least);
            match end {
                End::Left => drop(twin.drain(..twin.len() - least)),
                End::Right => twin.truncate(least),
            }
        }
        _ => {}
    }
}

fn check(view: &mut View<'_>, key: Key<'_>, twin: &[Vec<u8>], random: &mut fastrand::Rng) {
    assert_eq!(view.contains(0, key), !twin.is_empty());
    let Ok(Some(list)) = view.read_as::<List>(0, key) else { return };
    assert_eq!(list.len(), twin.len());
    assert_eq!(all(list, End::Left), twin);
    let mut back = all(list, End::Right);
    back.reverse();
    assert_eq!(back, twin);
    let index = random.usize(..=twin.len());
    assert_eq!(list.get(index).map(Piece::to_vec).as_ref(), twin.get(index));
    if let Some(some) = random.choice(twin) {
        assert_eq!(list.find(Piece::of(some)), twin.iter().position(|held| held == some));
    }
}

#[test]
fn random_changes_agree_with_a_vector() {
    for (seed, list_size) in [-1, 7, 200, -5].into_iter().enumerate() {
        let mut random = fastrand::Rng::with_seed(seed as u64);
        let keyspace = keyspace(2);
        let limits = Limits { list_size, ..Limits::default() };
        let (mut twin, mut seen) = (Vec::new(), [false; 3]);
        for _ in 0..6_000 {
            with(&keyspace, b"list", START_MS, |view, key| {
                let create = random.u8(..8) > 0;
                let missing = twin.is_empty() && !create;
                let changed = view.change::<List, _>(0, key, (&limits, create), |list| {
                    change(list, &mut twin, &mut random);
                });
                assert_eq!(changed, Ok((!missing).then_some(())));
                check(view, key, &twin, &mut random);
                if let Some(found) = view.peek(0, key) {
                    seen[usize::from(found.encoding() == Encoding::Quicklist)] = true;
                    seen[2] |= found.encoding() == Encoding::Listpack && found.footprint() > 1_400;
                }
            });
            recount(&keyspace);
        }
        let one_node = seen[2] || list_size == 7;
        assert!(seen[0] && (seen[1] || list_size == -5) && one_node, "{seen:?} {list_size}");
    }
}

#[test]
fn a_list_is_renamed_where_redis_renames_it() {
    let keyspace = keyspace(1);
    let limits = Limits { list_size: 4, ..Limits::default() };
    with(&keyspace, b"list", START_MS, |view, key| {
        let mut after = |work: &dyn Fn(&mut ListMut<'_>)| {
            view.change::<List, _>(0, key, (&limits, true), |list| work(list)).expect("a list");
            view.peek(0, key).map(|found| found.encoding())
        };
        let (pack, quick) = (Some(Encoding::Listpack), Some(Encoding::Quicklist));
        assert_eq!(after(&|list| list.push(End::Right, [&b"a"[..]; 4].into_iter())), pack);
        // It could have been inserted, so the list is converted although it was not.
        assert_eq!(after(&|list| assert!(!list.insert(b"none", b"x", true))), quick);
        assert_eq!(after(&|list| list.drop(End::Left, 1)), quick);
        assert_eq!(after(&|list| list.drop(End::Left, 1)), pack);
        assert_eq!(after(&|list| list.drop(End::Left, 2)), None);
    });
}

#[test]
fn a_list_is_no_string() {
    let keyspace = keyspace(1);
    super::set(&keyspace, b"string", None, START_MS);
    with(&keyspace, b"string", START_MS, |view, key| {
        let limits = Limits::default();
        let changed =
            view.change::<List, _>(0, key, (&limits, true), |list| list.drop(End::Left, 1));
        assert_eq!(changed, Err(WrongType));
    });
}
