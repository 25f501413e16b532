//! Totals over all shards, readable without a lock.
//!
//! Limits are global although shards are local, so the numbers that limits look at live here as
//! atomics. They are changed under the lock of the shard concerned, in relaxed order: each is a
//! sum, and nobody infers one from another. `entries` includes reservations: a command that may
//! create keys under an entry limit reserves them first (`reserve`), which is what makes the
//! limit exact to the entry when several workers write at once.

use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering::Relaxed};

use crate::events::Outbox;

/// Counters of one logical database.
#[derive(Default)]
pub(crate) struct DatabaseCounters {
    pub(crate) entries: AtomicUsize,
    /// `db-maxentries`; 0 is no limit.
    pub(crate) entries_max: AtomicUsize,
}

/// Counters of the whole keyspace.
pub(crate) struct Counters {
    pub(crate) entries: AtomicUsize,
    /// `maxentries`; 0 is no limit.
    pub(crate) entries_max: AtomicUsize,
    pub(crate) bytes: AtomicIsize,
    pub(crate) databases: Box<[DatabaseCounters]>,
    /// How many databases have a limit of their own; 0 spares the look.
    pub(crate) limited: AtomicUsize,
    pub(crate) outbox: Outbox,
}

/// A reading of the totals.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    /// Keys in all databases.
    pub entries: usize,
    /// Bytes of entries, tables and wheels.
    pub bytes: usize,
}

impl Counters {
    pub(crate) fn new(databases: usize) -> Self {
        Self {
            entries: AtomicUsize::new(0),
            entries_max: AtomicUsize::new(0),
            bytes: AtomicIsize::new(0),
            databases: (0..databases).map(|_| DatabaseCounters::default()).collect(),
            limited: AtomicUsize::new(0),
            outbox: Outbox::default(),
        }
    }

    pub(crate) fn totals(&self) -> Totals {
        Totals {
            entries: self.entries.load(Relaxed),
            bytes: usize::try_from(self.bytes.load(Relaxed)).unwrap_or(0),
        }
    }

    /// Whether any limit in entries is set.
    pub(crate) fn has_entry_limit(&self) -> bool {
        self.entries_max.load(Relaxed) != 0 || self.limited.load(Relaxed) != 0
    }

    /// Adds `n` keys to a database if both limits allow it.
    pub(crate) fn reserve(&self, database: usize, n: usize) -> Result<(), Full> {
        if n == 0 {
            return Ok(());
        }
        let local = &self.databases[database];
        add_below(&local.entries, n, local.entries_max.load(Relaxed))
            .map_err(|over| Full::Database { over })?;
        add_below(&self.entries, n, self.entries_max.load(Relaxed)).map_err(|over| {
            local.entries.fetch_sub(n, Relaxed);
            Full::Keyspace { over }
        })
    }

    /// Gives back what a reservation did not use.
    pub(crate) fn release(&self, database: usize, n: usize) {
        if n > 0 {
            self.databases[database].entries.fetch_sub(n, Relaxed);
            self.entries.fetch_sub(n, Relaxed);
        }
    }

    pub(crate) fn add(&self, database: usize, n: usize) {
        self.databases[database].entries.fetch_add(n, Relaxed);
        self.entries.fetch_add(n, Relaxed);
    }
}

/// Which limit stands in the way, and by how many entries.
pub(crate) enum Full {
    Database { over: usize },
    Keyspace { over: usize },
}

/// Adds `n` unless the sum would exceed `max` (0: no limit); the error is the excess.
fn add_below(counter: &AtomicUsize, n: usize, max: usize) -> Result<(), usize> {
    if max == 0 {
        counter.fetch_add(n, Relaxed);
        return Ok(());
    }
    let mut seen = counter.load(Relaxed);
    loop {
        if seen + n > max {
            return Err(seen + n - max);
        }
        match counter.compare_exchange_weak(seen, seen + n, Relaxed, Relaxed) {
            Ok(_) => return Ok(()),
            Err(now) => seen = now,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reservation_never_exceeds_either_limit() {
        let counters = Counters::new(2);
        counters.entries_max.store(3, Relaxed);
        counters.databases[1].entries_max.store(1, Relaxed);
        assert!(counters.reserve(1, 1).is_ok());
        assert!(matches!(counters.reserve(1, 1), Err(Full::Database { over: 1 })));
        assert!(counters.reserve(0, 2).is_ok());
        assert!(matches!(counters.reserve(0, 2), Err(Full::Keyspace { over: 2 })));
        assert_eq!(counters.databases[0].entries.load(Relaxed), 2);
        counters.release(0, 2);
        assert_eq!(counters.totals().entries, 1);
    }
}
