//! Hashes: fields with values, and with deadlines of their own.
//!
//! Packed, a field is followed by its value; a lookup walks over at most `hash_entries` pairs.
//! Large, it is a table of its fields (`large`). A hash becomes large with the first deadline of a
//! field, and stays so, as in Valkey.
//!
//! Rules: a field whose deadline has passed is never seen, neither by its name nor in a count; it
//! is purged a little later (`Shard::find`, `expiry`). Neighbours: `types` for what is common.
//! Tests: `tests/hash.rs`, and the transcripts of the group `hash`.

mod large;

use pannier_collections::{Encoded, Packed, Payload, Piece};

pub(crate) use self::large::LargeHash;
use self::large::value_of;
use super::{Body, Collection, Limits, Opened, PACKED_COUNT_MAX, packed};
use crate::value::{Kind, Object};
use crate::view::Deadline;

/// The type hash.
#[derive(Debug)]
pub enum Hash {}

impl Collection for Hash {
    const KIND: Kind = Kind::Hash;
    type Ref<'v> = HashRef<'v>;
    type Mut<'v> = HashMut<'v>;

    fn read(body: Body<'_>) -> HashRef<'_> {
        match (packed(body.item), body.item.payload()) {
            (Some((list, count)), _) => HashRef::Packed { list, count },
            (None, Payload::Object(Object::Hash(hash))) => {
                HashRef::Large { hash, now_ms: body.now_ms }
            }
            (None, _) => HashRef::Packed { list: Packed::new(&[]), count: 0 },
        }
    }

    fn open(opened: Opened<'_>) -> HashMut<'_> {
        HashMut { opened }
    }
}

/// A hash, to be read.
#[derive(Clone, Copy)]
pub enum HashRef<'v> {
    #[doc(hidden)]
    Packed { list: Packed<'v>, count: usize },
    #[doc(hidden)]
    Large { hash: &'v LargeHash, now_ms: u64 },
}

impl<'v> HashRef<'v> {
    /// Number of fields.
    pub fn len(self) -> usize {
        match self {
            Self::Packed { count, .. } => count / 2,
            Self::Large { hash, now_ms } => hash.live(now_ms),
        }
    }

    /// Whether it has no field.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Whether `random` is O(1): the hash is large, and no due field waits to be freed.
    pub fn draws_well(self) -> bool {
        match self {
            Self::Packed { .. } => false,
            Self::Large { hash, now_ms } => hash.next_due().is_none_or(|due| due > now_ms),
        }
    }

    /// The value of a field.
    #[inline]
    pub fn get(self, field: &[u8]) -> Option<Piece<'v>> {
        match self {
            Self::Packed { list, .. } => {
                let at = list.find(Piece::of(field), 2)?;
                Some(list.get(list.skip(at)?)?.0)
            }
            Self::Large { hash, now_ms } => hash.find(field, now_ms).map(value_of),
        }
    }

    /// The deadline of a field in Unix milliseconds, if it has one; `None` without the field.
    pub fn deadline(self, field: &[u8]) -> Option<Option<u64>> {
        match self {
            Self::Packed { list, .. } => list.find(Piece::of(field), 2).map(|_| None),
            Self::Large { hash, now_ms } => hash.find(field, now_ms).map(|held| held.deadline()),
        }
    }

    /// Hands every field with its value to `visit`, in no particular order.
    pub fn for_each(self, mut visit: impl FnMut(Piece<'v>, Piece<'v>)) {
        match self {
            Self::Packed { list, .. } => {
                let mut pieces = list.iter();
                while let (Some(field), Some(value)) = (pieces.next(), pieces.next()) {
                    visit(field, value);
                }
            }
            Self::Large { hash, now_ms } => {
                for field in hash.iter(now_ms) {
                    visit(Piece::Bytes(field.key()), value_of(field));
                }
            }
        }
    }

    /// Whether a field has a deadline.
    pub fn has_deadlines(self) -> bool {
        match self {
            Self::Packed { .. } => false,
            Self::Large { hash, .. } => hash.next_due().is_some(),
        }
    }

    /// As `for_each`, with the deadline of each field, in Unix milliseconds.
    pub fn for_each_timed(self, mut visit: impl FnMut(Piece<'v>, Piece<'v>, Option<u64>)) {
        match self {
            Self::Packed { .. } => self.for_each(|field, value| visit(field, value, None)),
            Self::Large { hash, now_ms } => {
                for field in hash.iter(now_ms) {
                    visit(Piece::Bytes(field.key()), value_of(field), field.deadline());
                }
            }
        }
    }

    /// Visits the fields at a position of a walk, with their values; returns the next position,
    /// 0 after the last. A field that is there from a walk's start at 0 to its end is visited,
    /// whatever else comes and goes meanwhile. What is packed comes at once.
    pub fn scan(self, position: u64, mut visit: impl FnMut(Piece<'v>, Piece<'v>)) -> u64 {
        match self {
            Self::Packed { .. } => {
                self.for_each(visit);
                0
            }
            Self::Large { hash, now_ms } => hash.scan(position, now_ms, |field| {
                visit(Piece::Bytes(field.key()), value_of(field));
            }),
        }
    }

    /// A random field with its value, by draws from `random`, each about equally likely. O(1) when
    /// the hash is large, unless most of its fields are due.
    pub fn random(self, rng: &mut fastrand::Rng) -> Option<(Piece<'v>, Piece<'v>)> {
        match self {
            Self::Packed { list, count } => {
                let mut pieces = list.iter().skip(2 * rng.usize(..(count / 2).max(1)));
                Some((pieces.next()?, pieces.next()?))
            }
            Self::Large { hash, now_ms } => {
                let drawn = (0..DRAWS).find_map(|_| hash.random(now_ms, || rng.u64(..)));
                let field = drawn.or_else(|| hash.iter(now_ms).next())?;
                Some((Piece::Bytes(field.key()), value_of(field)))
            }
        }
    }
}

/// A hash, to be changed.
pub struct HashMut<'v> {
    opened: Opened<'v>,
}

impl HashMut<'_> {
    /// The hash as it is now.
    pub fn as_ref(&self) -> HashRef<'_> {
        Hash::read(self.opened.body())
    }

    /// Lets the hash become large at once when so many fields are about to be set.
    pub fn expect(&mut self, fields: usize) {
        if fields > pairs_max(self.opened.limits) && self.opened.packed().is_some() {
            self.enlarge();
        }
    }

    /// Sets a field, which then has no deadline; true when it is new.
    pub fn set(&mut self, field: &[u8], value: &[u8]) -> bool {
        self.put(field, value, Deadline::Clear)
    }

    /// Sets a field and its deadline, which must be ahead; true when the field is new.
    pub fn put(&mut self, field: &[u8], value: &[u8], deadline: Deadline) -> bool {
        self.opened.count(1);
        let limits = self.opened.limits;
        if let Some((list, count)) = self.opened.packed() {
            let fits = field.len().max(value.len()) <= limits.hash_value
                && !matches!(deadline, Deadline::At(_));
            match list.find(Piece::of(field), 2) {
                Some(at) if fits => {
                    let (from, to) = value_range(list, at);
                    let value = Encoded::of(&[value]);
                    self.opened.splice(from, to - from, value.as_bytes(), 0);
                    return false;
                }
                None if fits && count / 2 < pairs_max(limits) => {
                    let end = list.bytes().len();
                    let pair = Encoded::of(&[field, value]);
                    self.opened.splice(end, 0, pair.as_bytes(), 2);
                    return true;
                }
                _ => self.enlarge(),
            }
        }
        let now_ms = self.opened.now_ms;
        self.large().is_some_and(|large| large.put(field, value, deadline, now_ms))
    }

    /// Gives a field another deadline (Unix milliseconds, ahead), or none; false when there is no
    /// such field.
    pub fn set_deadline(&mut self, field: &[u8], deadline: Option<u64>) -> bool {
        if let Some((list, _)) = self.opened.packed() {
            if list.find(Piece::of(field), 2).is_none() {
                return false;
            }
            if deadline.is_some() {
                self.enlarge();
            }
        }
        let now_ms = self.opened.now_ms;
        let set = self.large().is_none_or(|large| large.set_deadline(field, deadline, now_ms));
        self.opened.count(u64::from(set));
        set
    }

    /// Removes a field; false when there was none.
    pub fn remove(&mut self, field: &[u8]) -> bool {
        let now_ms = self.opened.now_ms;
        let removed = if let Some((list, _)) = self.opened.packed() {
            let range = list.find(Piece::of(field), 2).map(|at| (at, value_range(list, at).1));
            range.map(|(at, end)| self.opened.splice(at, end - at, &[], -2)).is_some()
        } else {
            self.large().is_some_and(|large| large.remove(field, now_ms))
        };
        self.opened.count(u64::from(removed));
        removed
    }

    /// Removes a field because its new deadline has passed already; false when there was none.
    pub fn expire(&mut self, field: &[u8]) -> bool {
        let removed = self.remove(field);
        self.opened.changes.expired_fields += u64::from(removed);
        removed
    }

    fn enlarge(&mut self) {
        let mut large = LargeHash::new(self.opened.hasher);
        self.as_ref().for_each(|field, value| {
            let mut digits = itoa::Buffer::new();
            large.add(field.as_bytes(&mut digits), value);
        });
        self.opened.enlarge(Object::Hash(Box::new(large)));
    }

    fn large(&mut self) -> Option<&mut LargeHash> {
        match self.opened.item.object_mut() {
            Some(Object::Hash(large)) => Some(large),
            _ => None,
        }
    }
}

/// Where the value of the packed field at `at` begins and ends.
fn value_range(list: Packed<'_>, at: usize) -> (usize, usize) {
    let from = list.skip(at).unwrap_or(at);
    (from, list.skip(from).unwrap_or(from))
}

fn pairs_max(limits: &Limits) -> usize {
    limits.hash_entries.min(PACKED_COUNT_MAX / 2)
}

/// Draws for a field that is not due before the rest is looked through.
const DRAWS: usize = 64;
