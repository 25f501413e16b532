//! Large hashes: a table of fields, and which of them are due when.
//!
//! Each field is an entry of its own (field, value and deadline in one allocation) in a table in
//! hash order, as the keys of the keyspace are: lookups, growth in small steps and HSCAN come with
//! it. The fields that have a deadline are also in `due`, ordered by deadline, with their hash to
//! find them by. So the due ones among a million are found at once, and a change of deadline costs
//! O(log n); a wheel would do it in O(1), but takes three kilobytes for a single field.
//!
//! Rules: `due` holds exactly the deadlines of the table's fields, and `next` is its first. A field
//! that is due and not yet purged is seen by nobody: every look is told the time. The mark that the
//! shard's wheel holds for the hash (`Mark`) is the shard's business. Two fields that agree in all
//! 64 bits of hash and in their deadline share one place in `due`; the second is then hidden
//! in time, and freed with the hash.
//! Neighbours: `hash` for what commands see, `shard` and `expiry` for the time. Tests: the model
//! in `tests/hash.rs`.

use std::collections::BTreeSet;
use std::convert::Infallible;

use pannier_collections::{Entry, NewPayload, Payload, Piece, Shape, Table};

use crate::hash::KeyHasher;
use crate::view::Deadline;

/// A field with its value.
pub(super) type Field = Entry<Infallible>;

/// A hash as a table of its fields.
pub struct LargeHash {
    table: Table<Field>,
    hasher: KeyHasher,
    /// Bytes of the fields, without the table.
    bytes: usize,
    /// Deadlines, each with the hash of its field.
    due: BTreeSet<(u64, u64)>,
    /// The first of them.
    next: Option<u64>,
    /// What the shard's wheel holds for this hash: the deadline and the mark's stamp.
    mark: Option<(u64, u8)>,
}

impl LargeHash {
    pub(super) fn new(hasher: &KeyHasher) -> Self {
        Self {
            table: Table::new(),
            hasher: hasher.clone(),
            bytes: 0,
            due: BTreeSet::new(),
            next: None,
            mark: None,
        }
    }

    /// Sets a field; true when it was not there.
    pub(super) fn put(
        &mut self,
        field: &[u8],
        value: &[u8],
        deadline: Deadline,
        now_ms: u64,
    ) -> bool {
        let payload = payload_of(Piece::of(value));
        let hash = self.hasher.hash(field);
        let Some(held) = self.table.find_mut(hash, |held| held.key() == field) else {
            self.insert(hash, Entry::new(field, payload, deadline.at()));
            return true;
        };
        let (before, old) = (held.footprint(), held.deadline());
        held.set_payload(payload);
        let fresh = is_due(held, now_ms);
        let new = match deadline {
            Deadline::Keep if fresh => None,
            Deadline::Keep => old,
            Deadline::Clear => None,
            Deadline::At(at) => Some(at),
        };
        if new != old {
            held.set_deadline(new);
        }
        self.bytes = self.bytes + held.footprint() - before;
        self.moved(hash, old, new);
        fresh
    }

    /// Puts in a field that is not there, from elsewhere.
    pub(super) fn add(&mut self, field: &[u8], value: Piece<'_>) {
        self.insert(self.hasher.hash(field), Entry::new(field, payload_of(value), None));
    }

    fn insert(&mut self, hash: u64, field: Field) {
        let hasher = &self.hasher;
        let deadline = field.deadline();
        self.bytes += field.footprint();
        self.table.insert(hash, field, |held| hasher.hash(held.key()));
        self.moved(hash, None, deadline);
    }

    /// Gives a field another deadline, or none; false when there is no such field.
    pub(super) fn set_deadline(
        &mut self,
        field: &[u8],
        deadline: Option<u64>,
        now_ms: u64,
    ) -> bool {
        let hash = self.hasher.hash(field);
        let found = self.table.find_mut(hash, |held| held.key() == field);
        let Some(held) = found.filter(|held| !is_due(held, now_ms)) else { return false };
        let (before, old) = (held.footprint(), held.deadline());
        held.set_deadline(deadline);
        self.bytes = self.bytes + held.footprint() - before;
        self.moved(hash, old, deadline);
        true
    }

    /// Removes a field; false when there is none.
    pub(super) fn remove(&mut self, field: &[u8], now_ms: u64) -> bool {
        let hash = self.hasher.hash(field);
        self.take(hash, |held| held.key() == field && !is_due(held, now_ms))
    }

    fn take(&mut self, hash: u64, eq: impl FnMut(&Field) -> bool) -> bool {
        let hasher = &self.hasher;
        let Some(field) = self.table.remove(hash, eq, |held| hasher.hash(held.key())) else {
            return false;
        };
        self.bytes -= field.footprint();
        self.moved(hash, field.deadline(), None);
        true
    }

    /// A field's deadline has changed.
    #[inline]
    fn moved(&mut self, hash: u64, old: Option<u64>, new: Option<u64>) {
        if old != new {
            self.reorder(hash, old, new);
        }
    }

    fn reorder(&mut self, hash: u64, old: Option<u64>, new: Option<u64>) {
        old.map(|old| self.due.remove(&(old, hash)));
        new.map(|new| self.due.insert((new, hash)));
        self.next = self.due.first().map(|&(deadline, _)| deadline);
    }

    /// Frees up to `budget` fields that are due; returns how many.
    pub(crate) fn purge(&mut self, now_ms: u64, budget: usize) -> usize {
        let mut purged = 0;
        let mut group = [(0, 0); AT_ONCE];
        while purged < budget {
            let due = self.due.iter().take_while(|(deadline, _)| *deadline <= now_ms);
            let wanted = AT_ONCE.min(budget - purged);
            let count = group.iter_mut().zip(due.take(wanted)).map(|(at, due)| *at = *due).count();
            if count == 0 {
                break;
            }
            let group = &group[..count];
            group.iter().for_each(|&(_, hash)| self.table.prefetch(hash));
            group.iter().for_each(|&(_, hash)| self.table.prefetch_values(hash));
            for &(deadline, hash) in group {
                let hasher = self.hasher.clone();
                let is_it = |held: &Field| {
                    held.deadline() == Some(deadline) && hasher.hash(held.key()) == hash
                };
                if !self.take(hash, is_it) {
                    self.moved(hash, Some(deadline), None);
                }
            }
            purged += count;
        }
        purged
    }

    pub(super) fn find(&self, field: &[u8], now_ms: u64) -> Option<&Field> {
        let held = self.table.find(self.hasher.hash(field), |held| held.key() == field)?;
        (!is_due(held, now_ms)).then_some(held)
    }

    /// The fields that are not due.
    pub(super) fn iter(&self, now_ms: u64) -> impl Iterator<Item = &Field> {
        self.table.iter().filter(move |held| !is_due(held, now_ms))
    }

    /// Visits the fields at a scan position; returns the next position, 0 after the last.
    pub(super) fn scan<'v>(
        &'v self,
        position: u64,
        now_ms: u64,
        mut visit: impl FnMut(&'v Field),
    ) -> u64 {
        self.table.scan(position, |held| {
            if !is_due(held, now_ms) {
                visit(held);
            }
        })
    }

    /// A random field, if it is not due.
    pub(super) fn random(&self, now_ms: u64, random: impl FnMut() -> u64) -> Option<&Field> {
        self.table.random(random).filter(|held| !is_due(held, now_ms))
    }

    /// Fields that are not due.
    pub(super) fn live(&self, now_ms: u64) -> usize {
        let due = match self.next {
            Some(next) if next <= now_ms => self.due.range(..=(now_ms, u64::MAX)).count(),
            _ => 0,
        };
        self.table.len() - due
    }

    /// Whether fields are there, and all of them due.
    pub(crate) fn is_dead(&self, now_ms: u64) -> bool {
        self.next.is_some_and(|next| next <= now_ms)
            && self.due.len() == self.table.len()
            && self.due.last().is_some_and(|&(last, _)| last <= now_ms)
    }

    /// Fields held, due ones too.
    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    pub(crate) fn shape(&self) -> Shape {
        self.table.shape()
    }

    /// The earliest deadline of a field.
    #[inline]
    pub(crate) fn next_due(&self) -> Option<u64> {
        self.next
    }

    /// The deadline and the stamp of the mark that the shard's wheel holds.
    pub(crate) fn mark(&self) -> Option<(u64, u8)> {
        self.mark
    }

    /// Notes what mark the shard's wheel holds.
    pub(crate) fn set_mark(&mut self, mark: Option<(u64, u8)>) {
        self.mark = mark;
    }

    /// Asks the CPU to load where an element of this name would be; `prefetch_found` wants what it
    /// returns, and asks for the element itself.
    pub(crate) fn prefetch(&self, element: &[u8]) -> u64 {
        let hash = self.hasher.hash(element);
        self.table.prefetch(hash);
        hash
    }

    /// See `prefetch`.
    pub(crate) fn prefetch_found(&self, hash: u64) {
        self.table.prefetch_values(hash);
    }

    pub(crate) fn footprint(&self) -> usize {
        let due = match self.due.len() {
            0 => 0,
            1..=LEAF_LEN => LEAF,
            more => more * PLACE,
        };
        size_of::<Self>() + self.bytes + self.table.footprint() + due
    }
}

#[cfg(test)]
impl LargeHash {
    /// Works out anew what is kept of the fields, and compares; returns the first deadline.
    pub(crate) fn recounted(&self) -> Option<u64> {
        let bytes: usize = self.table.iter().map(Field::footprint).sum();
        assert_eq!(self.bytes, bytes, "bytes of the fields");
        let places = self.table.iter().filter_map(|field| {
            field.deadline().map(|deadline| (deadline, self.hasher.hash(field.key())))
        });
        let due: BTreeSet<_> = places.collect();
        assert_eq!(self.due, due, "deadlines of the fields");
        due.first().map(|&(deadline, _)| deadline)
    }
}

impl Clone for LargeHash {
    fn clone(&self) -> Self {
        let mut copy = Self::new(&self.hasher);
        for field in self.table.iter() {
            let twin = Entry::new(field.key(), payload_of(value_of(field)), field.deadline());
            copy.insert(self.hasher.hash(field.key()), twin);
        }
        copy
    }
}

#[inline]
fn is_due(field: &Field, now_ms: u64) -> bool {
    field.deadline().is_some_and(|deadline| deadline <= now_ms)
}

fn payload_of(value: Piece<'_>) -> NewPayload<'_, Infallible> {
    match value {
        Piece::Int(number) => NewPayload::Int(number),
        Piece::Bytes(bytes) => NewPayload::Bytes(bytes),
    }
}

/// The value of a field.
#[inline]
pub(super) fn value_of(field: &Field) -> Piece<'_> {
    match field.payload() {
        Payload::Int(number) => Piece::Int(number),
        Payload::Bytes(bytes) => Piece::Bytes(bytes),
        Payload::Object(never) => match *never {},
    }
}

/// So many due fields are loaded into the CPU's caches at once, before they are freed.
const AT_ONCE: usize = 32;
/// A B-tree of so many deadlines is one leaf of so many bytes.
const LEAF_LEN: usize = 11;
const LEAF: usize = 192;
/// What a deadline takes in a larger one, about: nodes of eleven places are two thirds full.
const PLACE: usize = 32;
