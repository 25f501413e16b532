//! Whole databases: a random key, every entry, flushing and swapping.
//!
//! These look at all opened shards and not at keys. Rules: what changes a database as a whole
//! counts into `dirty` and tells of itself as a change of a key does. Neighbours: `shard` does its
//! part of each; `scan` walks a database in steps.

use std::fmt::Write;

use super::View;
use crate::events::class;
use crate::found::Found;
use crate::guards::OpenShards;
use crate::keyspace::Garbage;
use crate::value;

/// Expired keys removed in one shard before a random key is looked for in the next.
const RANDOM_TRIES: usize = 100;

impl View<'_> {
    /// A random live key of a database.
    pub fn random_key(&mut self, database: usize) -> Option<Vec<u8>> {
        let now_ms = self.now.unix_ms();
        let keyspace = self.keyspace;
        let shards = keyspace.shards.len();
        let start = self.with_shard(0, |shard| shard.rng.usize(..shards));
        (0..shards).find_map(|step| {
            self.with_shard((start + step) % shards, |shard| {
                for _ in 0..RANDOM_TRIES {
                    let item = shard.sample(database)?;
                    let bytes = item.key().to_vec();
                    if value::is_live(item, now_ms) {
                        return Some(bytes);
                    }
                    shard.discard(&keyspace.counters, database, keyspace.key(&bytes));
                    shard.stats.expired += 1;
                    let wanted = keyspace.counters.outbox.wanted();
                    shard.note(wanted, (class::EXPIRED, "expired"), (database, &bytes));
                }
                None
            })
        })
    }

    /// Visits every live entry of a database in the opened shards.
    pub fn for_each(&self, database: usize, mut visit: impl FnMut(&[u8], Found<'_>)) {
        let (now, rules) = (self.now, self.rules);
        for shard in self.guards.iter() {
            let Some(part) = shard.databases.get(database) else { continue };
            for item in part.table.iter() {
                if value::is_live(item, now.unix_ms()) {
                    visit(item.key(), Found { item, now, rules });
                }
            }
        }
    }

    /// How full the opened shards' tables of a database are, in lines of text.
    pub fn table_report(&self, database: usize) -> String {
        let mut text = String::from("[Dictionary HT]\n");
        for (number, shard) in self.guards.iter().enumerate() {
            let Some(part) = shard.databases.get(database) else { continue };
            let shape = part.table.shape();
            let _ = write!(
                text,
                "Table {number} stats:\n table size: {}\n number of entries: {}\n segments: {}\n \
                 overflow buckets: {}\n max chain length: {}\n",
                shape.slots, shape.len, shape.segments, shape.overflow_buckets, shape.longest_chain,
            );
        }
        text
    }

    /// Removes every key of one database, or of all, in the opened shards; counts them as changes.
    pub fn flush(&mut self, database: Option<usize>) -> Vec<Garbage> {
        let before = self.keyspace.totals().entries;
        let keyspace = self.keyspace;
        let mut flush = |index| keyspace.flush_shard(self.guards.at_mut(index), database);
        let open = self.mask.count_ones() as usize;
        let garbage = (0..open).map(&mut flush).collect();
        self.dirty += before.saturating_sub(keyspace.totals().entries) as u64;
        self.note_flush();
        garbage
    }

    /// Exchanges two databases. Every shard must be open.
    pub fn swap_databases(&mut self, a: usize, b: usize) {
        assert_eq!(self.guards.len(), self.keyspace.shards.len(), "SWAPDB opens every shard");
        if a != b {
            self.exchange(a, b);
        }
        self.dirty += 1;
    }

    /// Lets two databases change places.
    pub(super) fn exchange(&mut self, a: usize, b: usize) {
        for index in 0..self.guards.len() {
            let shard = self.guards.at_mut(index);
            shard.swap_databases(&self.keyspace.counters, (a, b), self.now);
        }
        self.keyspace.swap_counters(a, b);
    }
}
