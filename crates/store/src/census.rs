//! Sums over shards: statistics, database sizes, memory, watched keys.
//!
//! They are methods of a [`View`], because a command inside a transaction runs while every shard
//! is open and must not lock one again; a view that holds none locks them one after the other.
//! Neighbours: INFO and MEMORY read these.

use std::sync::atomic::Ordering::Relaxed;

use crate::View;
use crate::database::{Compression, DatabaseInfo};
use crate::shard::{Shard, ShardStats};

impl View<'_> {
    fn each_shard(&mut self, mut look: impl FnMut(&Shard)) {
        for index in 0..self.shards() {
            self.with_shard(index, |shard| look(shard));
        }
    }

    /// Sums of what the shards counted.
    pub fn stats(&mut self) -> ShardStats {
        let mut sum = ShardStats { hits: self.hits, misses: self.misses, ..ShardStats::default() };
        for tally in self.keyspace.tallies().iter() {
            let (gets, misses) = (tally.gets.calls(), tally.misses.load(Relaxed));
            sum.hits += gets.saturating_sub(misses);
            sum.misses += misses;
        }
        self.each_shard(|shard| {
            sum.hits += shard.stats.hits;
            sum.misses += shard.stats.misses;
            sum.expired += shard.stats.expired;
            sum.expired_fields += shard.stats.expired_fields;
            sum.evicted += shard.stats.evicted;
        });
        sum
    }

    /// What INFO keyspace says of a database.
    pub fn database_info(&mut self, database: usize) -> DatabaseInfo {
        let mut info = DatabaseInfo::default();
        let mut deadlines = 0u128;
        self.each_shard(|shard| {
            if let Some(part) = shard.databases.get(database) {
                info.keys += part.table.len();
                info.expires += part.volatile;
                info.timed += part.timed;
                info.bytes += usize::try_from(part.bytes).unwrap_or(0);
                deadlines += part.deadlines;
            }
        });
        if info.expires > 0 {
            let mean = deadlines / info.expires as u128;
            let left = mean.saturating_sub(u128::from(self.now().unix_ms()));
            info.avg_ttl_ms = u64::try_from(left).unwrap_or(u64::MAX);
        }
        info
    }

    /// What INFO memory says of compressed values, over all databases.
    pub fn compression(&mut self) -> Compression {
        let mut sum = Compression::default();
        self.each_shard(|shard| {
            shard.databases.iter().for_each(|part| sum.merge(part.compression));
        });
        sum
    }

    /// Bytes of the tables and the wheels, without the entries.
    pub fn overhead(&mut self) -> usize {
        let mut bytes = 0;
        self.each_shard(|shard| {
            bytes += shard.wheel.footprint() + shard.field_wheel.footprint();
            bytes += shard.databases.iter().map(|part| part.table.footprint()).sum::<usize>();
        });
        bytes
    }

    /// Bytes of one database's tables, without the entries.
    pub fn table_bytes(&mut self, database: usize) -> usize {
        let mut bytes = 0;
        self.each_shard(|shard| {
            bytes += shard.databases.get(database).map_or(0, |part| part.table.footprint());
        });
        bytes
    }

    /// Marks held by all wheels, stale ones too.
    pub fn wheel_marks(&mut self) -> usize {
        let mut marks = 0;
        self.each_shard(|shard| marks += shard.wheel.len() + shard.field_wheel.len());
        marks
    }

    /// Keys that somebody waits for, and how many of these for their end as well.
    pub fn waited_keys(&mut self) -> (usize, usize) {
        let (mut keys, mut without_key) = (0, 0);
        self.each_shard(|shard| {
            let counts = shard.interest.waiting.counts();
            (keys, without_key) = (keys + counts.0, without_key + counts.1);
        });
        (keys, without_key)
    }

    /// Keys that somebody watches.
    pub fn watched_keys(&mut self) -> usize {
        let mut keys = 0;
        self.each_shard(|shard| keys += shard.interest.len());
        keys
    }
}
