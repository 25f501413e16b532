//! Hashes against a map, packed and large, with deadlines of fields, and with the sums recounted.

use std::collections::{HashMap, HashSet};

use super::{START_MS, at, exists, keyspace, recount, with};
use crate::{Deadline, Encoding, Hash, Keyspace, Limits, Open, Rules, WrongType};

/// What a hash should hold: values and deadlines.
type Twin = HashMap<Vec<u8>, (Vec<u8>, Option<u64>)>;

/// A hash and its twin, at a time.
struct Model {
    keyspace: Keyspace,
    limits: Limits,
    random: fastrand::Rng,
    now_ms: u64,
    twin: Twin,
}

impl Model {
    fn new(seed: u64) -> Self {
        let limits = Limits { hash_entries: 12, ..Limits::default() };
        let random = fastrand::Rng::with_seed(seed);
        Self { keyspace: keyspace(2), limits, random, now_ms: START_MS, twin: Twin::new() }
    }

    fn field(&mut self) -> Vec<u8> {
        self.random.u8(..20).to_string().repeat(self.random.usize(1..3)).into_bytes()
    }

    fn step(&mut self, volatile: bool) {
        let (field, limits) = (self.field(), self.limits);
        let longest = if self.random.u8(..200) == 0 { 100 } else { 30 };
        let value = vec![b'v'; self.random.usize(..longest)];
        let ahead = Deadline::At(self.now_ms + self.random.u64(1..3000));
        let deadline = match self.random.u8(..4) {
            0 if volatile => ahead,
            1 => Deadline::Keep,
            _ => Deadline::Clear,
        };
        let (what, known) = (self.random.u8(..8), !self.twin.is_empty());
        let twin = &mut self.twin;
        with(&self.keyspace, b"hash", self.now_ms, |view, key| match what {
            0..4 => {
                let new = view.change::<Hash, _>(0, key, (&limits, true), |hash| {
                    hash.put(&field, &value, deadline)
                });
                let old = twin.remove(&field);
                let kept = old.as_ref().and_then(|(_, deadline)| *deadline);
                let due = if deadline == Deadline::Keep { kept } else { deadline.at() };
                twin.insert(field, (value, due));
                assert_eq!(new, Ok(Some(old.is_none())));
            }
            4 => {
                let due = if volatile { deadline.at() } else { None };
                let set = view.change::<Hash, _>(0, key, (&limits, false), |hash| {
                    hash.set_deadline(&field, due)
                });
                let held = twin.get_mut(&field).map(|held| held.1 = due);
                assert_eq!(set, Ok(known.then_some(held.is_some())));
            }
            _ => {
                let removed =
                    view.change::<Hash, _>(0, key, (&limits, false), |hash| hash.remove(&field));
                assert_eq!(removed, Ok(known.then(|| twin.remove(&field).is_some())));
            }
        });
    }

    /// Time passes; some due fields are freed, sooner or later.
    fn pass(&mut self) {
        self.now_ms += self.random.u64(..1000);
        let now_ms = self.now_ms;
        self.twin.retain(|_, (_, deadline)| deadline.is_none_or(|deadline| deadline > now_ms));
        if self.random.bool() {
            self.keyspace.expire(now_ms, self.random.usize(1..5));
        }
    }

    fn clear(&mut self) {
        let fields: Vec<_> = self.twin.drain().map(|(field, _)| field).collect();
        with(&self.keyspace, b"hash", self.now_ms, |view, key| {
            let _ = view.change::<Hash, _>(0, key, (&self.limits, false), |hash| {
                assert!(fields.iter().all(|field| hash.remove(field)));
            });
        });
    }

    /// Compares; returns the encoding.
    fn check(&mut self, kept: bool) -> Option<Encoding> {
        let (twin, random) = (&self.twin, &mut self.random);
        let key = self.keyspace.key(b"hash");
        let rules = Rules { keep_expired: kept, ..Rules::default() };
        let mut view = self.keyspace.open(Open::Keys(&[key]), at(self.now_ms), rules);
        assert_eq!(view.contains(0, key), !twin.is_empty());
        let Ok(Some(hash)) = view.read_as::<Hash>(0, key) else { return None };
        assert_eq!(hash.len(), twin.len());
        let mut held = Twin::new();
        hash.for_each(|field, value| {
            let deadline = hash.deadline(&field.to_vec()).expect("it is there");
            held.insert(field.to_vec(), (value.to_vec(), deadline));
        });
        assert_eq!(held, *twin);
        for (field, (value, _)) in twin {
            assert_eq!(hash.get(field).map(|piece| piece.to_vec()).as_ref(), Some(value));
        }
        let (field, value) = hash.random(random).expect("there are fields");
        assert_eq!(twin[&field.to_vec()].0, value.to_vec());
        let (mut position, mut walked) = (0, HashSet::new());
        loop {
            position = hash.scan(position, |field, _| assert!(walked.insert(field.to_vec())));
            if position == 0 {
                break;
            }
        }
        assert_eq!(walked, twin.keys().cloned().collect());
        view.peek(0, key).map(|found| found.encoding())
    }
}

#[test]
fn random_fields_agree_with_a_map() {
    for volatile in [false, true] {
        let mut model = Model::new(3);
        let mut seen = [0; 2];
        for step in 0..10_000 {
            model.step(volatile);
            if volatile && model.random.u8(..10) == 0 {
                model.pass();
            }
            // Now and then all go, and with them the key.
            if step % 100 == 0 {
                model.clear();
            }
            let kept = model.random.bool();
            let encoding = model.check(kept);
            seen[usize::from(encoding == Some(Encoding::Hashtable))] += 1;
            recount(&model.keyspace);
        }
        assert!(seen.iter().all(|&times| times > 500), "{seen:?} times packed and large");
    }
}

/// Puts so many fields into a hash, due at a time of their own.
fn fill(keyspace: &Keyspace, name: &[u8], fields: usize, due: impl Fn(usize) -> u64) {
    with(keyspace, name, START_MS, |view, key| {
        let filled = view.change::<Hash, _>(0, key, (&Limits::default(), true), |hash| {
            for n in 0..fields {
                hash.put(n.to_string().as_bytes(), b"v", Deadline::At(due(n)));
            }
        });
        assert_eq!(filled, Ok(Some(())));
    });
}

#[test]
fn due_fields_are_freed_in_small_steps_and_the_key_with_the_last() {
    let keyspace = keyspace(1);
    fill(&keyspace, b"hash", 10_000, |n| START_MS + if n % 2 == 0 { 100 } else { 200 });
    assert_eq!(keyspace.next_deadline(), START_MS + 100);
    let (mut now_ms, mut steps) = (START_MS + 100, 0);
    let freed = || keyspace.stats().expired_fields;
    loop {
        let before = freed();
        let more = keyspace.expire(now_ms, 100).more;
        assert!(freed() - before <= 100, "a step is as long as its budget");
        recount(&keyspace);
        steps += 1;
        if !more {
            break;
        }
    }
    assert!((50..=52).contains(&steps), "{steps} steps");
    assert_eq!(freed(), 5000);
    assert!((START_MS + 101..=START_MS + 200).contains(&keyspace.next_deadline()));
    // All of the others are due: the hash goes at once.
    now_ms += 100;
    keyspace.expire(now_ms, 100);
    assert_eq!((freed(), keyspace.totals().entries), (10_000, 0));
    assert_eq!(keyspace.stats().expired, 0, "no key had a deadline");
    recount(&keyspace);
}

#[test]
fn a_look_frees_a_bounded_number_of_due_fields_and_sees_none() {
    let keyspace = keyspace(1);
    fill(&keyspace, b"hash", 10_000, |n| START_MS + if n < 9_000 { 100 } else { 5000 });
    with(&keyspace, b"hash", START_MS + 100, |view, key| {
        let hash = view.read_as::<Hash>(0, key).ok().flatten().expect("it is there");
        assert_eq!(
            (hash.len(), hash.get(b"8999"), hash.get(b"9000").is_some()),
            (1000, None, true)
        );
    });
    assert!((1..1000).contains(&keyspace.stats().expired_fields));
    // A due field that is set anew is new, and its old deadline forgotten.
    with(&keyspace, b"hash", START_MS + 100, |view, key| {
        let changed = view.change::<Hash, _>(0, key, (&Limits::default(), false), |hash| {
            let gone = !hash.remove(b"8998") && !hash.set_deadline(b"8998", None);
            gone && hash.put(b"8999", b"w", Deadline::Keep)
        });
        assert_eq!(changed, Ok(Some(true)));
    });
    recount(&keyspace);
    while keyspace.expire(START_MS + 5000, 1000).more {}
    with(&keyspace, b"hash", START_MS + 5000, |view, key| {
        let hash = view.read_as::<Hash>(0, key).ok().flatten().expect("it is there");
        assert_eq!((hash.len(), hash.deadline(b"8999")), (1, Some(None)));
    });
    recount(&keyspace);
}

#[test]
fn marks_of_fields_follow_names_databases_and_copies_and_stay_few() {
    let keyspace = keyspace(1);
    fill(&keyspace, b"a", 10, |n| START_MS + 1000 + n as u64);
    let mut view = keyspace.open(Open::All, at(START_MS), Rules::default());
    let (a, b) = (view.key(b"a"), view.key(b"b"));
    for _ in 0..1000 {
        let taken = view.take(0, a).expect("it is there");
        view.put(1, b, taken);
        let copy = view.copy(1, b).expect("it is there");
        view.put(0, a, copy);
        view.swap_databases(0, 1);
        view.remove(0, b);
        view.swap_databases(0, 1);
        assert!(!view.contains(1, b) && view.contains(0, a));
    }
    let marks = view.wheel_marks();
    assert!(marks < 200, "{marks} marks for one hash");
    view.swap_databases(0, 2);
    drop(view);
    recount(&keyspace);
    while keyspace.expire(START_MS + 1009, 1000).more {}
    assert_eq!(keyspace.totals().entries, 0);
    assert!(!exists(&keyspace, b"a", START_MS));
    recount(&keyspace);
}

#[test]
fn a_hash_is_no_string_and_a_string_no_hash() {
    let keyspace = keyspace(1);
    let limits = Limits::default();
    super::set(&keyspace, b"string", None, START_MS);
    with(&keyspace, b"string", START_MS, |view, key| {
        let changed = view.change::<Hash, _>(0, key, (&limits, true), |hash| hash.set(b"f", b"v"));
        assert_eq!(changed, Err(WrongType));
        assert!(view.read_as::<Hash>(0, key).is_err());
    });
    with(&keyspace, b"hash", START_MS, |view, key| {
        view.change::<Hash, _>(0, key, (&limits, true), |hash| hash.set(b"f", b"v")).expect("new");
        assert!(view.string(0, key).is_err());
        assert!(view.edit(0, key).is_err());
    });
}
