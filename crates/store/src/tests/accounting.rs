//! The sums follow every change: bytes, entries, volatile keys, deadlines.
//!
//! Random operations of every kind that a view offers, on one shard and on several, on strings of
//! all sizes, compressed ones too, on replies that still hold a large one, and on hashes, packed
//! and large, whose fields have deadlines; after each step or few, the recount.

use bytes::Bytes;

use super::{START_MS, at, keyspace, recount};
use crate::{
    Compression, Compressor, Deadline, Hash, INLINE_MAX, Key, Keyspace, Limits, NewValue, Open,
    Policy, Room, Rules, Scope, Str, View,
};

/// A random walk over everything that changes a keyspace.
pub(super) struct Walk {
    pub(super) rng: fastrand::Rng,
    pub(super) now_ms: u64,
    /// Large values that somebody still reads.
    held: Vec<Bytes>,
    compressor: Compressor,
}

impl Walk {
    pub(super) fn new(seed: u64) -> Self {
        let rng = fastrand::Rng::with_seed(seed);
        Self { rng, now_ms: START_MS, held: Vec::new(), compressor: Compressor::default() }
    }

    fn key(&mut self) -> Vec<u8> {
        let n = self.rng.u32(..60);
        // Names of several lengths, so that a rename changes the size of its block.
        format!("{n:0width$}", width = 1 + n as usize % 30).into_bytes()
    }

    fn len(&mut self) -> usize {
        let sizes = [0, 1, 8, 44, 100, 1000, INLINE_MAX - 1, INLINE_MAX, INLINE_MAX + 1, 100_000];
        sizes[self.rng.usize(..sizes.len())]
    }

    fn deadline(&mut self) -> Deadline {
        match self.rng.u32(..4) {
            0 => Deadline::Keep,
            1 => Deadline::Clear,
            _ => Deadline::At(self.now_ms + self.rng.u64(1..5000)),
        }
    }

    pub(super) fn step(&mut self, keyspace: &Keyspace) {
        match self.rng.u32(..100) {
            0 => self.everything(keyspace),
            1..4 => self.pass(keyspace),
            4..8 => {
                let policies = [Policy::AllKeysLru, Policy::AllKeysRandom, Policy::VolatileTtl];
                let policy = policies[self.rng.usize(..policies.len())];
                let room = Room { policy, samples: 5, rules: Rules::default() };
                let scopes = [Scope::Keyspace, Scope::Database(self.rng.usize(..3))];
                keyspace.evict(scopes[self.rng.usize(..2)], room, at(self.now_ms));
            }
            _ => {
                let (a, b) = (self.key(), self.key());
                let (a, b) = (keyspace.key(&a), keyspace.key(&b));
                let now = at(self.now_ms);
                let mut view = keyspace.open(Open::Keys(&[a, b]), now, Rules::default());
                self.change(&mut view, a, b);
            }
        }
    }

    fn everything(&mut self, keyspace: &Keyspace) {
        let mut view = keyspace.open(Open::All, at(self.now_ms), Rules::default());
        match self.rng.u32(..8) {
            0 => drop(view.flush(None)),
            1 => drop(view.flush(Some(self.rng.usize(..3)))),
            _ => view.swap_databases(self.rng.usize(..3), self.rng.usize(..3)),
        }
    }

    fn pass(&mut self, keyspace: &Keyspace) {
        self.now_ms += self.rng.u64(..1000);
        if self.rng.bool() {
            keyspace.expire(self.now_ms, self.rng.usize(1..50));
        }
    }

    fn change(&mut self, view: &mut View<'_>, a: Key<'_>, b: Key<'_>) {
        let (from, to) = (self.rng.usize(..3), self.rng.usize(..3));
        match self.rng.u32(..13) {
            11.. => self.hash(view, from, a),
            0..3 => self.set(view, from, a),
            3 => {
                view.remove(from, a);
            }
            4 => {
                let deadline = self.rng.bool().then(|| self.now_ms + self.rng.u64(..5000));
                view.set_deadline(from, a, deadline);
            }
            5 => {
                if let Some(taken) = view.take(from, a) {
                    view.put(to, b, taken);
                }
            }
            6 => {
                if let Some(copy) = view.copy(from, a) {
                    view.put(to, b, copy);
                }
            }
            7 => {
                let len = self.len();
                if let Ok(Some(mut edit)) = view.edit(from, a) {
                    edit.bytes(len, |bytes| bytes.fill(b'x'));
                }
            }
            8 => {
                if let Ok(Some(mut edit)) = view.edit(from, a) {
                    edit.set_int(7);
                }
            }
            9 => {
                if let Ok(Some(Str::Large(bytes))) = view.string(from, a) {
                    self.held.push(bytes.clone());
                }
            }
            _ => {
                view.expire(from, a);
                self.held.clear();
            }
        }
    }

    /// Changes a hash, packed or large, with deadlines or without.
    fn hash(&mut self, view: &mut View<'_>, database: usize, key: Key<'_>) {
        let field = self.rng.u8(..30).to_string().into_bytes();
        let long = self.rng.u8(..30) == 0;
        let value = vec![b'v'; if long { 100 } else { self.rng.usize(..30) }];
        let (deadline, what) = (self.deadline(), self.rng.u8(..10));
        let limits = Limits { hash_entries: 8, ..Limits::default() };
        let changed = view.change::<Hash, _>(database, key, (&limits, what < 6), |hash| {
            match (what, deadline) {
                (..6, _) => hash.put(&field, &value, deadline),
                (6 | 7, Deadline::At(at)) => hash.set_deadline(&field, Some(at)),
                (6 | 7, _) => hash.set_deadline(&field, None),
                _ => hash.remove(&field),
            }
        });
        if changed.is_err() {
            view.remove(database, key);
        }
    }

    fn set(&mut self, view: &mut View<'_>, database: usize, key: Key<'_>) {
        let bytes = vec![b'a'; self.len()];
        let deadline = self.deadline();
        match self.rng.u32(..6) {
            4.. => match self.compressor.compress(&bytes, 1) {
                Some(stored) => {
                    view.set(database, key, NewValue::Compressed(&stored), deadline);
                }
                None => view.set(database, key, NewValue::of(&bytes), deadline),
            },
            0 => view.set(database, key, NewValue::Int(self.rng.i64(..)), deadline),
            1 => view.set(database, key, NewValue::Raw(&bytes), deadline),
            2 if bytes.len() > INLINE_MAX => {
                view.set(database, key, NewValue::Large(Bytes::from(bytes)), deadline);
            }
            _ => view.set(database, key, NewValue::of(&bytes), deadline),
        }
    }
}

#[test]
fn sums_equal_a_recount_after_any_change() {
    for (seed, shards) in [(1, 1), (2, 1), (3, 4), (4, 16)] {
        let keyspace = keyspace(shards);
        let mut walk = Walk::new(seed);
        for _ in 0..4000 {
            walk.step(&keyspace);
            recount(&keyspace);
        }
    }
}

#[test]
fn sums_are_zero_again_when_all_is_flushed() {
    let keyspace = keyspace(4);
    let mut walk = Walk::new(5);
    let mut most = 0;
    for _ in 0..3000 {
        walk.step(&keyspace);
        let mut view = keyspace.open(Open::Nothing, at(walk.now_ms), Rules::default());
        most = most.max(view.compression().values);
    }
    assert!(most > 10, "{most} compressed values at once");
    drop(keyspace.open(Open::All, at(walk.now_ms), Rules::default()).flush(None));
    let mut view = keyspace.open(Open::Nothing, at(walk.now_ms), Rules::default());
    assert_eq!(view.compression(), Compression::default());
    drop(view);
    recount(&keyspace);
    assert_eq!(keyspace.totals().entries, 0);
    let left = keyspace.totals().bytes;
    assert!(left < 4 * 20_000, "{left} bytes are left in wheels and tables");
}

#[test]
fn growing_piece_by_piece_is_counted_at_the_edge_of_the_inline_size() {
    let keyspace = keyspace(1);
    let key = keyspace.key(b"k");
    for len in (INLINE_MAX - 3..INLINE_MAX + 4).chain([40_000, 1_048_577]) {
        let mut view = keyspace.open(Open::Keys(&[key]), at(START_MS), Rules::default());
        if !view.contains(0, key) {
            view.set(0, key, NewValue::of(b"1"), Deadline::Clear);
        }
        let Ok(Some(mut edit)) = view.edit(0, key) else { panic!("a string") };
        let old = edit.string().len();
        edit.bytes(len, |bytes| bytes[old..].fill(b'2'));
        drop(edit);
        let Ok(Some(value)) = view.string(0, key) else { panic!("a string") };
        assert_eq!(value.len(), len);
        assert!(value.to_vec()[1..].iter().all(|byte| *byte == b'2'));
        drop(view);
        recount(&keyspace);
    }
}
