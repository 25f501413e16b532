//! Checkpoints, as a shard sees them: what entries were, kept until somebody wants it back.
//!
//! While a checkpoint is active, the first change of a key after it moves the entry as it was into
//! the checkpoint's [`Layer`] and leaves a copy to be changed; a removed or overwritten entry moves
//! without a copy, a new key leaves a gap, and a flushed database moves as a whole. So a checkpoint
//! costs one empty layer for each shard, whatever there is, and a rollback a removal and an
//! insertion for each key that has changed; what comes back is the very entry that was there, with
//! its encoding, ids, deadlines and spare room. The alternative, a persistent tree, would tax each
//! lookup for what only tests want. A layer needs no order in time: it maps keys to entries.
//!
//! Costs (`benches/checkpoint`). The first change of a collection copies it, as COPY does: about a
//! microsecond an element of a large one; a small one lies in its entry and costs one allocation.
//! RENAME and MOVE copy, too. The keys with a deadline of a flushed database get new marks in the
//! wheel when it comes back, some 200 ns each. What is kept does not count as used memory, or a
//! limit in bytes would evict entries into the very layers that it wants to shrink; [`Kept`] says
//! how much it is.
//!
//! Rules: databases are named by identity, which survives SWAPDB. Each layer holds the difference
//! between its checkpoint and the next, so rolling back merges later layers into earlier ones first
//! (the earlier entry wins). Without a layer every hook here is one check for an empty list. What
//! changes an entry keeps it before its access clock moves; a mere look keeps nothing.
//! Neighbours: `shard` calls the hooks, `view::checkpoint` takes all shards together; the engine's
//! `checkpoint` names checkpoints. Tests: `tests/checkpoint.rs`, and `tests/checkpoint.rs` of the
//! package `pannier-tests`.

use std::collections::BTreeMap;

use pannier_collections::{Entry, NewPayload, Table};

use crate::counters::Counters;
use crate::database::Database;
use crate::hash::{Key, KeyHasher};
use crate::keyspace::Garbage;
use crate::shard::{Shard, Slot};
use crate::value::{self, COMPRESSED, Item, Object, PACKED, field_due, footprint};

/// Flags that no value has: the key was not there.
const GAP: u8 = COMPRESSED | PACKED;

/// What a checkpoint keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Keys that have changed since, those of flushed databases included.
    pub keys: usize,
    /// Bytes of what they were, which `used_memory` does not count.
    pub bytes: usize,
}

/// What the entries of one shard were at a checkpoint, as far as they have changed until the next.
pub(crate) struct Layer {
    hasher: KeyHasher,
    /// By the databases' identities.
    parts: BTreeMap<u32, Before>,
    /// Identities in the order of the databases, before the first SWAPDB.
    order: Option<Vec<u32>>,
}

/// What a database was.
#[derive(Default)]
struct Before {
    /// Entries as they were, and gaps.
    entries: Table<Item>,
    /// Bytes of these.
    bytes: usize,
    /// The database when it was flushed. What changed before is in `entries`; what came later
    /// needs no keeping.
    whole: Option<Database>,
}

/// What a rollback has done.
#[derive(Default)]
pub(crate) struct Restored {
    pub(crate) keys: usize,
    /// The first deadline that has come back.
    pub(crate) due: Option<u64>,
    /// A whole database has come back.
    pub(crate) whole: bool,
}

impl Restored {
    fn deadlines(&mut self, item: &Item) {
        let due = item.deadline().into_iter().chain(field_due(item)).chain(self.due);
        self.due = due.min();
    }
}

impl Before {
    fn lacks(&self, hash: u64, key: &[u8]) -> bool {
        self.whole.is_none() && self.entries.find(hash, |item| item.key() == key).is_none()
    }

    fn put(&mut self, hasher: &KeyHasher, hash: u64, item: Item) {
        self.bytes += footprint(&item);
        self.entries.insert(hash, item, |item| hasher.hash(item.key()));
    }

    /// Takes all entries and gaps out.
    fn drain(&mut self, hasher: &KeyHasher) -> Vec<Item> {
        self.bytes = 0;
        let mut entries = std::mem::take(&mut self.entries);
        let hashes: Vec<u64> = entries.iter().map(|item| hasher.hash(item.key())).collect();
        let hash_of = |item: &Item| hasher.hash(item.key());
        let taken = hashes
            .into_iter()
            .filter_map(|hash| entries.remove(hash, |item| hash_of(item) == hash, hash_of));
        taken.collect()
    }
}

impl Layer {
    fn new(hasher: &KeyHasher) -> Self {
        Self { hasher: hasher.clone(), parts: BTreeMap::new(), order: None }
    }

    /// Whether a key of a database is not known to have changed.
    fn lacks(&self, id: u32, hash: u64, key: &[u8]) -> bool {
        self.parts.get(&id).is_none_or(|before| before.lacks(hash, key))
    }

    fn put(&mut self, id: u32, hash: u64, item: Item) {
        self.parts.entry(id).or_default().put(&self.hasher, hash, item);
    }

    /// Takes in what a later layer kept, as far as it is not known better here; returns the rest.
    fn absorb(&mut self, later: Self) -> Vec<Before> {
        let mut rest = Vec::new();
        for (id, mut before) in later.parts {
            let Some(own) = self.parts.get_mut(&id) else {
                self.parts.insert(id, before);
                continue;
            };
            if own.whole.is_none() {
                let mut spare = Before::default();
                for item in before.drain(&self.hasher) {
                    let hash = self.hasher.hash(item.key());
                    let into = if own.lacks(hash, item.key()) { &mut *own } else { &mut spare };
                    into.put(&self.hasher, hash, item);
                }
                own.whole = before.whole.take();
                before = spare;
            }
            rest.push(before);
        }
        self.order = self.order.take().or(later.order);
        rest
    }

    /// The databases' identities by index at the checkpoint, if they have changed places.
    pub(crate) fn order(&self) -> Option<&[u32]> {
        self.order.as_deref()
    }

    pub(crate) fn kept(&self) -> Kept {
        let mut kept = Kept::default();
        for before in self.parts.values() {
            kept.keys += before.entries.len();
            kept.bytes += before.bytes + before.entries.footprint();
            if let Some(whole) = &before.whole {
                kept.keys += whole.table.len();
                kept.bytes += usize::try_from(whole.bytes).unwrap_or(0);
            }
        }
        kept
    }
}

impl Slot<'_> {
    /// The entry is about to change: what it is gets kept, if a checkpoint lacks it.
    #[inline]
    pub(crate) fn keep(&mut self) {
        if !self.interest.kept.is_empty() {
            self.keep_copied();
        }
    }

    /// The same when the value is about to be overwritten. The sums do not follow here.
    #[inline]
    pub(crate) fn keep_overwritten(&mut self) {
        if !self.interest.kept.is_empty() {
            self.keep_behind(|item| item.twin(NewPayload::Int(0)));
        }
    }

    #[cold]
    fn keep_copied(&mut self) {
        let before = footprint(self.item);
        self.keep_behind(value::twin);
        self.resized(before);
    }

    /// Keeps the entry, if the last layer lacks it, and leaves another in its place.
    #[cold]
    fn keep_behind(&mut self, other: impl FnOnce(&Item) -> Item) {
        if let Some(layer) = self.interest.kept.last_mut()
            && layer.lacks(self.id, self.hash, self.item.key())
        {
            let other = other(self.item);
            let item = std::mem::replace(self.item, other);
            layer.put(self.id, self.hash, item);
        }
    }
}

/// What the shard's own changes call.
impl Shard {
    /// A key may be about to change, if it is there and `is_it` says so: its entry is kept before
    /// the look for it moves its access clock.
    #[inline]
    pub(crate) fn keep_before(&mut self, database: usize, key: Key<'_>, is_it: fn(&Item) -> bool) {
        if !self.interest.kept.is_empty() {
            self.keep_found(database, key, is_it);
        }
    }

    #[cold]
    fn keep_found(&mut self, database: usize, key: Key<'_>, is_it: fn(&Item) -> bool) {
        let part = self.databases.get_mut(database);
        let (Some(part), Some(layer)) = (part, self.interest.kept.last_mut()) else { return };
        let found = part.table.find_mut(key.hash, |item| item.key() == key.bytes);
        if let Some(item) = found
            && is_it(item)
            && layer.lacks(part.id, key.hash, key.bytes)
        {
            let twin = value::twin(item);
            let grown = footprint(&twin) as isize - footprint(item) as isize;
            (part.bytes, self.delta) = (part.bytes + grown, self.delta + grown);
            layer.put(part.id, key.hash, std::mem::replace(item, twin));
        }
    }

    /// A key that is not there is about to come.
    #[inline]
    pub(crate) fn keep_gap(&mut self, database: usize, hash: u64, key: &[u8]) {
        if !self.interest.kept.is_empty() {
            self.put_gap(database, hash, key);
        }
    }

    /// An item was taken out, to be put elsewhere; returns what is put there.
    #[inline]
    pub(crate) fn keep_moved(&mut self, database: usize, hash: u64, item: Item) -> Item {
        if self.interest.kept.is_empty() { item } else { self.put_moved(database, hash, item) }
    }

    /// An item was taken out for good; returns it if nobody wants it.
    #[inline]
    pub(crate) fn keep_removed(&mut self, database: usize, hash: u64, item: Item) -> Option<Item> {
        if self.interest.kept.is_empty() {
            Some(item)
        } else {
            self.put_removed(database, hash, item)
        }
    }

    #[cold]
    fn put_gap(&mut self, database: usize, hash: u64, key: &[u8]) {
        if let Some((layer, id)) = self.lacking(database, hash, key) {
            let mut gap = Entry::new(key, NewPayload::Int(0), None);
            gap.set_flags(GAP);
            layer.put(id, hash, gap);
        }
    }

    #[cold]
    fn put_moved(&mut self, database: usize, hash: u64, item: Item) -> Item {
        let Some((layer, id)) = self.lacking(database, hash, item.key()) else { return item };
        let copy = value::twin(&item);
        layer.put(id, hash, item);
        copy
    }

    #[cold]
    fn put_removed(&mut self, database: usize, hash: u64, item: Item) -> Option<Item> {
        let Some((layer, id)) = self.lacking(database, hash, item.key()) else { return Some(item) };
        layer.put(id, hash, item);
        None
    }

    /// The last layer, if it lacks a key, and the database's identity.
    fn lacking(&mut self, database: usize, hash: u64, key: &[u8]) -> Option<(&mut Layer, u32)> {
        let id = self.databases[database].id;
        let layer = self.interest.kept.last_mut()?;
        layer.lacks(id, hash, key).then_some((layer, id))
    }

    /// A database was flushed; returns its table if nobody wants it.
    pub(crate) fn keep_whole(&mut self, flushed: Database) -> Option<Table<Item>> {
        let Some(layer) = self.interest.kept.last_mut() else { return Some(flushed.table) };
        let before = layer.parts.entry(flushed.id).or_default();
        if before.whole.is_some() {
            return Some(flushed.table);
        }
        before.whole = Some(flushed);
        None
    }

    /// Two databases are about to change places.
    pub(crate) fn keep_order(&mut self) {
        if let Some(layer) = self.interest.kept.last_mut()
            && layer.order.is_none()
        {
            layer.order = Some(self.databases.iter().map(|part| part.id).collect());
        }
    }
}

/// What is done with all shards together.
impl Shard {
    /// A checkpoint is set.
    pub(crate) fn push_layer(&mut self) {
        self.interest.kept.push(Layer::new(&self.hasher));
    }

    /// A checkpoint is given up.
    pub(crate) fn release(&mut self, depth: usize) {
        let layer = self.interest.kept.remove(depth);
        if depth > 0 {
            let rest = self.interest.kept[depth - 1].absorb(layer);
            self.free(rest);
        } else {
            self.free(layer.parts.into_values().collect());
        }
        if self.interest.kept.is_empty() {
            self.interest.kept = Vec::new();
        }
    }

    /// Gives up the checkpoints after one of them, whose layer then tells all that has changed.
    pub(crate) fn release_later(&mut self, depth: usize) {
        while self.interest.kept.len() > depth + 1 {
            self.release(self.interest.kept.len() - 1);
        }
    }

    /// Puts everything back that the last layer keeps, but for the order of the databases, and
    /// leaves the layer empty.
    pub(crate) fn restore(&mut self, counters: &Counters, restored: &mut Restored) {
        let mut kept = std::mem::take(&mut self.interest.kept);
        if let Some(layer) = kept.last_mut() {
            let layer = std::mem::replace(layer, Layer::new(&self.hasher));
            for (id, mut before) in layer.parts {
                let index = self.index_of_id[id as usize] as usize;
                if let Some(whole) = before.whole.take() {
                    self.restore_whole(counters, index, whole, restored);
                }
                for item in before.drain(&layer.hasher) {
                    self.restore_item(counters, index, item, restored);
                }
            }
        }
        self.interest.kept = kept;
    }

    fn restore_item(
        &mut self,
        counters: &Counters,
        database: usize,
        item: Item,
        restored: &mut Restored,
    ) {
        let hash = self.hasher.hash(item.key());
        let now = self.take_out(counters, database, hash, |held| held.key() == item.key());
        let was = item.flags() & GAP != GAP;
        restored.keys += usize::from(was || now.is_some());
        if let Some(now) = now {
            if !was {
                self.changed(database, item.key());
            }
            self.bury(now);
        }
        if was {
            restored.deadlines(&item);
            self.insert(counters, database, hash, item, false);
        }
    }

    fn restore_whole(
        &mut self,
        counters: &Counters,
        index: usize,
        whole: Database,
        restored: &mut Restored,
    ) {
        let part = &mut self.databases[index];
        let hasher = &self.hasher;
        let held = |key: &[u8]| {
            let holds = |table: &Table<Item>| {
                table.find(hasher.hash(key), |item| item.key() == key).is_some()
            };
            holds(&part.table) || holds(&whole.table)
        };
        self.interest.database_changed(index, held);
        counters.release(index, part.table.len());
        counters.add(index, whole.table.len());
        self.delta += whole.bytes - part.bytes;
        self.volatile = self.volatile + whole.volatile - part.volatile;
        self.timed = self.timed + whole.timed - part.timed;
        restored.keys += whole.table.len().max(part.table.len());
        restored.whole = true;
        let flushed = std::mem::replace(part, whole);
        if !flushed.table.is_empty() {
            (self.reaper)(Garbage::new(flushed.table));
        }
        self.arm_all(index, restored);
    }

    /// Arms marks for all keys of a database: those it had may have been dropped since.
    fn arm_all(&mut self, index: usize, restored: &mut Restored) {
        let marks = self.marks_footprint();
        let Self { databases, wheel, field_wheel, next_stamp, hasher, .. } = self;
        let part = &mut databases[index];
        if part.volatile == 0 && part.timed == 0 {
            return;
        }
        for item in part.table.iter_mut() {
            restored.deadlines(item);
            let place = (part.id, hasher.hash(item.key()));
            if let Some(deadline) = item.deadline() {
                Self::mark(wheel, next_stamp, place, deadline, item);
            }
            if let Some(due) = field_due(item)
                && let Some(Object::Hash(large)) = item.object_mut()
            {
                Self::mark_fields(field_wheel, next_stamp, place, due, large);
            }
        }
        self.delta += self.marks_footprint() - marks;
        self.sweep();
    }

    fn free(&self, garbage: Vec<Before>) {
        if garbage.iter().any(|before| !before.entries.is_empty() || before.whole.is_some()) {
            (self.reaper)(Garbage::new(garbage));
        }
    }
}
