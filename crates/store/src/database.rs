//! One shard's part of one logical database.
//!
//! A database keeps its identity (`id`) when SWAPDB moves it to another index, so that the marks
//! in the wheel, which name databases by identity, stay true. The sums here make INFO keyspace
//! exact without a walk: how many keys are volatile, and the total of their deadlines, from which
//! the average TTL follows.

use pannier_collections::Table;

use crate::value::{self, COMPRESSED, Item, Str, footprint};

/// One shard's part of one database.
pub(crate) struct Database {
    pub(crate) id: u32,
    pub(crate) table: Table<Item>,
    pub(crate) volatile: usize,
    pub(crate) deadlines: u128,
    /// Keys with a field that has a deadline.
    pub(crate) timed: usize,
    /// Bytes of the entries and of the table.
    pub(crate) bytes: isize,
    pub(crate) compression: Compression,
}

/// Sums over the compressed values that are there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compression {
    /// How many there are.
    pub values: usize,
    /// Bytes of the strings.
    pub before: usize,
    /// Bytes that are kept instead.
    pub after: usize,
}

impl Compression {
    /// Counts an item that comes, if it is compressed.
    #[inline]
    pub(crate) fn add(&mut self, item: &Item) {
        if item.flags() & COMPRESSED != 0
            && let Ok(Str::Compressed(string)) = Str::of(item)
        {
            self.values += 1;
            self.before += string.len();
            self.after += string.stored_len();
        }
    }

    /// Discounts an item that goes or changes, if it is compressed.
    #[inline]
    pub(crate) fn remove(&mut self, item: &Item) {
        if item.flags() & COMPRESSED != 0
            && let Ok(Str::Compressed(string)) = Str::of(item)
        {
            self.values -= 1;
            self.before -= string.len();
            self.after -= string.stored_len();
        }
    }

    /// Inflates an item that is about to be changed in place, if it is compressed.
    #[inline]
    pub(crate) fn inflate(&mut self, item: &mut Item) {
        if item.flags() & COMPRESSED != 0 {
            self.remove(item);
            value::inflate(item);
        }
    }

    /// Adds other sums to these.
    pub(crate) fn merge(&mut self, other: Self) {
        self.values += other.values;
        self.before += other.before;
        self.after += other.after;
    }
}

impl Database {
    pub(crate) const fn new(id: u32) -> Self {
        Self {
            id,
            table: Table::new(),
            volatile: 0,
            deadlines: 0,
            timed: 0,
            bytes: 0,
            compression: Compression { values: 0, before: 0, after: 0 },
        }
    }

    /// Puts an item in; returns by how many bytes the database grew.
    pub(crate) fn insert(
        &mut self,
        hash: u64,
        item: Item,
        hash_of: impl Fn(&Item) -> u64,
    ) -> isize {
        if let Some(deadline) = item.deadline() {
            self.volatile += 1;
            self.deadlines += u128::from(deadline);
        }
        self.compression.add(&item);
        self.timed += usize::from(value::field_due(&item).is_some());
        let grown = footprint(&item) as isize;
        let table = self.table.footprint() as isize;
        self.table.insert(hash, item, hash_of);
        let delta = grown + self.table.footprint() as isize - table;
        self.bytes += delta;
        delta
    }

    /// Takes an item out; returns it with the (negative) growth.
    pub(crate) fn remove(
        &mut self,
        hash: u64,
        eq: impl FnMut(&Item) -> bool,
        hash_of: impl Fn(&Item) -> u64,
    ) -> Option<(Item, isize)> {
        let table = self.table.footprint() as isize;
        let item = self.table.remove(hash, eq, hash_of)?;
        self.compression.remove(&item);
        self.timed -= usize::from(value::field_due(&item).is_some());
        if let Some(deadline) = item.deadline() {
            self.volatile -= 1;
            self.deadlines -= u128::from(deadline);
        }
        let delta = self.table.footprint() as isize - table - footprint(&item) as isize;
        self.bytes += delta;
        Some((item, delta))
    }
}

/// What INFO keyspace says of a database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DatabaseInfo {
    /// Number of keys.
    pub keys: usize,
    /// Number of keys with a deadline.
    pub expires: usize,
    /// Mean time to live of those, in milliseconds.
    pub avg_ttl_ms: u64,
    /// Number of keys with a field that has a deadline.
    pub timed: usize,
    /// Bytes of entries and tables.
    pub bytes: usize,
}
