//! Sets in all three forms against trees of strings: members, random ones, several sets at once.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use super::{START_MS, at, exists, keyspace, recount, with};
use crate::types::Limits;
use crate::{
    Difference, Encoding, Keyspace, Open, Rules, Set, SetMut, SetRef, intersection, union,
};

type Twin = BTreeSet<Vec<u8>>;

fn limits(random: &mut fastrand::Rng) -> Limits {
    Limits {
        set_integers: random.usize(..30),
        set_entries: random.usize(..20),
        set_value: 12,
        ..Limits::default()
    }
}

fn member(random: &mut fastrand::Rng, range: i64) -> Vec<u8> {
    let number = random.i64(-range..range);
    match random.u8(..30) {
        0 => vec![b'x'; number.unsigned_abs() as usize % 40],
        1 => format!("{number}.").into_bytes(),
        2 => (number << 30).to_string().into_bytes(),
        _ => number.to_string().into_bytes(),
    }
}

fn members(set: SetRef<'_>) -> Twin {
    let mut members = Twin::new();
    set.for_each(|member| assert!(members.insert(member.to_vec()), "{member:?} twice"));
    members
}

fn check(set: SetRef<'_>, twin: &Twin) {
    assert_eq!(set.len(), twin.len());
    assert_eq!(members(set), *twin);
    assert!(twin.iter().all(|member| set.contains(member)));
    let (mut scanned, mut position) = (Twin::new(), 0);
    loop {
        position = set.scan(position, 3, |member| {
            scanned.insert(member.to_vec());
        });
        if position == 0 {
            break;
        }
    }
    assert_eq!(scanned, *twin);
    if let SetRef::Large(large) = set {
        large.recount();
    }
}

/// Changes the set under `name`, which has the members of `twin` before and after.
fn change(
    keyspace: &Keyspace,
    name: &[u8],
    limits: &Limits,
    twin: &Twin,
    work: impl FnOnce(&mut SetMut<'_>),
) -> Option<Encoding> {
    with(keyspace, name, START_MS, |view, key| {
        let had = view.contains(0, key);
        let done = view.change::<Set, _>(0, key, (limits, true), work);
        assert_eq!(done, Ok(Some(())), "there was one: {had}");
        assert_eq!(view.contains(0, key), !twin.is_empty());
        let Ok(Some(set)) = view.read_as::<Set>(0, key) else { return None };
        check(set, twin);
        view.peek(0, key).map(|found| found.encoding())
    })
}

#[test]
fn random_members_agree_with_a_tree() {
    let mut random = fastrand::Rng::with_seed(21);
    let keyspace = keyspace(2);
    let (mut twin, mut bounds, mut seen) = (Twin::new(), limits(&mut random), BTreeMap::new());
    for step in 0..12_000 {
        if step % 40 == 0 {
            bounds = limits(&mut random);
        }
        let range = [3, 20, 200][step / 100 % 3];
        let mut rng = fastrand::Rng::with_seed(step as u64);
        let few: Vec<_> = (0..random.usize(1..=3)).map(|_| member(&mut random, range)).collect();
        let dice = random.u8(..100);
        let before = twin.clone();
        let mut expected = twin.clone();
        match dice {
            0..60 => expected.extend(few.iter().cloned()),
            60..85 => expected.retain(|held| !few.contains(held)),
            _ => {}
        }
        // What pops is found out, and then checked to have been there.
        let count = if dice < 95 { 1 } else { random.usize(..=before.len()) };
        let mut popped = Vec::new();
        with(&keyspace, b"set", START_MS, |view, key| {
            let dirty = view.dirty();
            let work = |set: &mut SetMut<'_>| match dice {
                0..60 => {
                    set.prepare(&few[0], few.len());
                    for member in &few {
                        assert_eq!(set.add(member), !set_was(&before, &few, member));
                        assert!(!set.add(member));
                    }
                }
                60..85 => few.iter().for_each(|member| {
                    set.remove(member);
                    assert!(!set.remove(member));
                }),
                85..95 => set.pop(&mut rng, |member| popped.push(member.to_vec())),
                _ => set.pop_some(count, &mut rng, |member| popped.push(member.to_vec())),
            };
            view.change::<Set, _>(0, key, (&bounds, true), work).expect("it is a set");
            expected.retain(|held| !popped.contains(held));
            let changes = expected.symmetric_difference(&before).count() as u64;
            assert_eq!(view.dirty() - dirty, changes, "changes are counted");
        });
        if dice >= 85 {
            assert_eq!(popped.len(), count.min(before.len()));
            assert!(popped.iter().all(|member| before.contains(member)));
        }
        twin = expected;
        let encoding = change(&keyspace, b"set", &bounds, &twin, |_| {});
        *seen.entry(encoding.map(Encoding::name)).or_insert(0) += 1;
        recount(&keyspace);
    }
    assert!(seen.len() == 4 && seen.values().all(|count| *count > 100), "{seen:?}");
}

/// Whether a member is there before `few` are added in order, each twice.
fn set_was(before: &Twin, few: &[Vec<u8>], member: &Vec<u8>) -> bool {
    let first = few.iter().position(|other| other == member);
    before.contains(member) || first.is_some_and(|at| !std::ptr::eq(&few[at], member))
}

/// Makes a set of these members under these limits.
fn make(keyspace: &Keyspace, name: &[u8], limits: &Limits, twin: &Twin) -> Option<Encoding> {
    change(keyspace, name, limits, twin, |set| {
        twin.first().inspect(|first| set.prepare(first, twin.len()));
        twin.iter().for_each(|member| assert!(set.add(member)));
    })
}

#[test]
fn several_sets_at_once_agree_with_trees() {
    let mut random = fastrand::Rng::with_seed(22);
    for _ in 0..800 {
        let keyspace = keyspace(2);
        let twins: Vec<Twin> = (0..random.usize(1..=5))
            .map(|_| {
                let range = [3, 10, 40][random.usize(..3)];
                let all = (0..random.usize(..60)).map(|_| member(&mut random, range));
                all.collect()
            })
            .collect();
        let names: Vec<_> = (0..twins.len()).map(|at| vec![b'a' + at as u8]).collect();
        for (name, twin) in names.iter().zip(&twins) {
            make(&keyspace, name, &limits(&mut random), twin);
        }
        let keys: Vec<_> = names.iter().map(|name| keyspace.key(name)).collect();
        let view = keyspace.open(Open::Keys(&keys), at(START_MS), Rules::default());
        let sets: Vec<_> = keys
            .iter()
            .map(|key| match view.again(0, *key) {
                Some(found) => found.collection::<Set>().expect("a set"),
                None => SetRef::Integers(pannier_collections::Intset::new(&[], 0)),
            })
            .collect();

        let collect = |out: &mut Vec<Vec<u8>>| {
            let distinct: Twin = out.iter().cloned().collect();
            assert_eq!(distinct.len(), out.len(), "each once: {out:?}");
            distinct
        };
        let mut out = Vec::new();
        let _ = intersection(&mut sets.clone(), |member| {
            out.push(member.to_vec());
            ControlFlow::<()>::Continue(())
        });
        let mut expected = twins[0].clone();
        expected.retain(|member| twins.iter().all(|twin| twin.contains(member)));
        assert_eq!(collect(&mut out), expected);
        let mut first = 0;
        let broken = intersection(&mut sets.clone(), |_| {
            first += 1;
            if first == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert_eq!((first, broken.is_break()), (expected.len().min(2), expected.len() >= 2));

        out.clear();
        union(&sets, |member| out.push(member.to_vec()));
        assert_eq!(collect(&mut out), twins.iter().flatten().cloned().collect());

        for way in [Difference::Asking, Difference::Removing, Difference::of(&sets)] {
            out.clear();
            way.visit(&mut sets.clone(), |member| out.push(member.to_vec()));
            let mut expected = twins[0].clone();
            expected.retain(|member| !twins[1..].iter().any(|twin| twin.contains(member)));
            assert_eq!(collect(&mut out), expected);
        }
    }
}

#[test]
fn a_made_set_takes_the_place_of_what_was_there_at_once() {
    let keyspace = keyspace(1);
    let limits = Limits::default();
    super::set(&keyspace, b"key", Some(START_MS + 1000), START_MS);
    with(&keyspace, b"key", START_MS, |view, key| {
        let made = view.make::<Set>(key, &limits, |set| {
            set.prepare_integers();
            assert!(view.again(0, key).is_some(), "the old value is still there");
            assert!(set.add(b"1") && set.add(b"2") && !set.add(b"1"));
        });
        view.put(0, key, made.expect("it has members"));
        let found = view.peek(0, key).expect("it is there");
        assert_eq!((found.deadline(), found.encoding()), (None, Encoding::Intset));
        assert!(view.make::<Set>(key, &limits, |_| {}).is_none());
    });
    recount(&keyspace);
}

#[test]
fn integers_are_packed_again_where_that_is_asked() {
    let keyspace = keyspace(1);
    let limits = Limits { set_integers: 50, set_entries: 4, ..Limits::default() };
    for (len, packed) in [(3, true), (50, true), (51, false)] {
        let twin: Twin = (0..len).map(|n| (n * 1000).to_string().into_bytes()).collect();
        with(&keyspace, b"key", START_MS, |view, key| {
            let made = view.make::<Set>(key, &limits, |set| {
                twin.iter().for_each(|member| assert!(set.add(member)));
                set.pack_integers();
            });
            view.put(0, key, made.expect("it has members"));
        });
        let encoding = change(&keyspace, b"key", &limits, &twin, |_| {});
        assert_eq!(encoding == Some(Encoding::Intset), packed, "{len}");
    }
    let twin: Twin = [b"1".to_vec(), b"x".to_vec()].into();
    with(&keyspace, b"key", START_MS, |view, key| assert!(view.remove(0, key)));
    make(&keyspace, b"key", &limits, &twin);
    let encoding = change(&keyspace, b"key", &limits, &twin, |set| set.pack_integers());
    assert_eq!(encoding, Some(Encoding::Listpack), "one is no integer");
}

/// Chi-square of counts that should be equal.
fn uneven(counts: &BTreeMap<Vec<u8>, usize>, len: usize) -> f64 {
    let mean = counts.values().sum::<usize>() as f64 / len as f64;
    let square = |count: &usize| (*count as f64 - mean).powi(2) / mean;
    counts.values().map(square).sum::<f64>() + (len - counts.len()) as f64 * mean
}

#[test]
fn every_member_is_equally_likely_in_every_form_and_way() {
    let mut rng = fastrand::Rng::with_seed(23);
    let integers: Twin = (0..60).map(|n| n.to_string().into_bytes()).collect();
    let strings: Twin = (0..60).map(|n| format!("m{n}").into_bytes()).collect();
    let tight = Limits { set_integers: 0, set_entries: 0, ..Limits::default() };
    let loose = Limits::default();
    for (twin, limits, expected) in [
        (&integers, &loose, Encoding::Intset),
        (&strings, &loose, Encoding::Listpack),
        (&strings, &tight, Encoding::Hashtable),
    ] {
        let keyspace = keyspace(1);
        assert_eq!(make(&keyspace, b"key", limits, twin), Some(expected));
        // 60 degrees of freedom: 112 is one in ten thousand.
        for count in [1, 5, 15, 25, 55] {
            let mut ways = [BTreeMap::new(), BTreeMap::new(), BTreeMap::new()];
            let mut note = |way: usize, member: Vec<u8>| *ways[way].entry(member).or_insert(0) += 1;
            for _ in 0..4000 / count + 300 {
                with(&keyspace, b"key", START_MS, |view, key| {
                    let Ok(Some(set)) = view.read_as::<Set>(0, key) else { panic!("it is there") };
                    set.random_any(count, &mut rng, |member| note(0, member.to_vec()));
                    let mut distinct = Twin::new();
                    set.random_distinct(count, &mut rng, |member| {
                        assert!(distinct.insert(member.to_vec()));
                        note(1, member.to_vec());
                    });
                    assert_eq!(distinct.len(), count);
                });
                let mut popped = Vec::new();
                with(&keyspace, b"key", START_MS, |view, key| {
                    let pop = |set: &mut SetMut<'_>| match count {
                        1 => set.pop(&mut rng, |member| popped.push(member.to_vec())),
                        _ => set.pop_some(count, &mut rng, |member| popped.push(member.to_vec())),
                    };
                    view.change::<Set, _>(0, key, (limits, false), pop).expect("it is a set");
                    let put = |set: &mut SetMut<'_>| {
                        popped.iter().for_each(|member| assert!(set.add(member)));
                    };
                    view.change::<Set, _>(0, key, (limits, false), put).expect("it is a set");
                });
                popped.into_iter().for_each(|member| note(2, member));
            }
            for (way, counts) in ways.iter().enumerate() {
                let uneven = uneven(counts, 60);
                assert!(uneven < 112.0, "{expected:?} {count} way {way}: {uneven}");
            }
        }
    }
}

#[test]
fn what_is_left_of_a_large_set_is_packed_when_it_is_little() {
    let limits = Limits::default();
    let twin: Twin = (0..1000).map(|n| format!("m{n}").into_bytes()).collect();
    for (count, expected) in
        [(990, Some(Encoding::Listpack)), (700, Some(Encoding::Hashtable)), (1000, None)]
    {
        let keyspace = keyspace(1);
        make(&keyspace, b"key", &limits, &twin);
        let mut rng = fastrand::Rng::with_seed(24);
        let mut left = twin.clone();
        with(&keyspace, b"key", START_MS, |view, key| {
            let pop = |set: &mut SetMut<'_>| {
                set.pop_some(count, &mut rng, |member| assert!(left.remove(&member.to_vec())));
            };
            view.change::<Set, _>(0, key, (&limits, false), pop).expect("it is a set");
        });
        recount(&keyspace);
        assert_eq!(exists(&keyspace, b"key", START_MS), expected.is_some());
        assert_eq!(change(&keyspace, b"key", &limits, &left, |_| {}), expected);
        recount(&keyspace);
    }
}

#[test]
fn a_member_of_a_large_set_costs_its_block_and_a_place_in_the_table() {
    let keyspace = keyspace(1);
    let twin: Twin = (0..100_000).map(|n| format!("a member of 20: {n:05}").into_bytes()).collect();
    make(&keyspace, b"key", &Limits::default(), &twin);
    with(&keyspace, b"key", START_MS, |view, key| {
        let found = view.peek(0, key).expect("it is there");
        assert_eq!(found.encoding(), Encoding::Hashtable);
        let each = found.footprint() as f64 / twin.len() as f64;
        assert!((42.0..46.0).contains(&each), "{each}");
    });
}
