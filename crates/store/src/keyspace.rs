//! The keyspace as a whole: the shards, the totals, and what concerns every shard at once.
//!
//! The number of shards is a power of two, at most 64, so that a set of shards is one machine
//! word and the lock of a key's shard is found by counting bits. A key's shard comes from the low
//! bits of its hash and its place in the table from the high ones, so the two are independent.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use pannier_collections::{Shape, Table};
use parking_lot::Mutex;

use crate::counters::{Counters, Totals};
use crate::database::DatabaseInfo;
use crate::eviction::Pool;
use crate::hash::{Key, KeyHasher};
use crate::shard::{DATABASES_MAX, Shard, ShardStats};
use crate::value::Item;
use crate::{Now, Rules};

/// A set of shards is one `u64`.
const SHARDS_MAX: usize = 64;

/// How to build a keyspace.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Number of shards, rounded up to a power of two, at most 64. One is fine.
    pub shards: usize,
    /// Number of logical databases, at most 2^24.
    pub databases: usize,
    /// Seed of the key hash and of all random choices.
    pub seed: u64,
    /// The time at which the wheel starts.
    pub now: Now,
}

/// All keys of all databases. Shared between workers.
pub struct Keyspace {
    pub(crate) shards: Box<[Mutex<Shard>]>,
    pub(crate) counters: Counters,
    pub(crate) hasher: KeyHasher,
    /// Lower bound of the next deadline in any wheel.
    pub(crate) earliest: AtomicU64,
    pub(crate) pool: Mutex<Pool>,
}

/// What a flush took out; dropping it frees the memory, which may take a while.
#[must_use = "dropping the garbage is the slow part of a flush: choose where it happens"]
pub struct Garbage(#[expect(dead_code, reason = "held to be dropped")] Vec<Table<Item>>);

impl Keyspace {
    /// An empty keyspace.
    pub fn new(options: Options) -> Self {
        let shards = options.shards.clamp(1, SHARDS_MAX).next_power_of_two();
        let hasher = KeyHasher::new(options.seed);
        let mut seeds = fastrand::Rng::with_seed(options.seed);
        let now_ms = options.now.unix_ms();
        Self {
            shards: (0..shards)
                .map(|_| Mutex::new(Shard::new(hasher.clone(), seeds.u64(..), now_ms)))
                .collect(),
            counters: Counters::new(options.databases.clamp(1, DATABASES_MAX)),
            hasher,
            earliest: AtomicU64::new(u64::MAX),
            pool: Mutex::new(Pool::default()),
        }
    }

    /// Hashes a key.
    #[inline]
    pub fn key<'a>(&self, bytes: &'a [u8]) -> Key<'a> {
        Key { bytes, hash: self.hasher.hash(bytes) }
    }

    /// The shard of a key.
    #[inline]
    pub(crate) fn shard_of(&self, hash: u64) -> usize {
        hash as usize & (self.shards.len() - 1)
    }

    /// Number of logical databases.
    pub fn databases(&self) -> usize {
        self.counters.databases.len()
    }

    /// Number of shards.
    pub fn shards(&self) -> usize {
        self.shards.len()
    }

    /// Keys and bytes over all databases.
    pub fn totals(&self) -> Totals {
        self.counters.totals()
    }

    /// Number of keys in a database, as DBSIZE answers it.
    pub fn len(&self, database: usize) -> usize {
        self.counters.databases[database].entries.load(Relaxed)
    }

    /// Whether no database has a key.
    pub fn is_empty(&self) -> bool {
        self.totals().entries == 0
    }

    /// Limits the number of keys in the whole keyspace; 0 lifts the limit.
    pub fn set_entries_max(&self, max: usize) {
        self.counters.entries_max.store(max, Relaxed);
    }

    /// Limits the number of keys in one database; 0 lifts the limit.
    pub fn set_database_entries_max(&self, database: usize, max: usize) {
        let limits = &self.counters.databases;
        limits[database].entries_max.store(max, Relaxed);
        let limited = limits.iter().filter(|one| one.entries_max.load(Relaxed) > 0).count();
        self.counters.limited.store(limited, Relaxed);
    }

    /// Sums of what the shards counted.
    pub fn stats(&self) -> ShardStats {
        let mut sum = ShardStats::default();
        for shard in &self.shards {
            let stats = shard.lock().stats;
            sum.hits += stats.hits;
            sum.misses += stats.misses;
            sum.expired += stats.expired;
            sum.evicted += stats.evicted;
        }
        sum
    }

    /// What INFO keyspace says of a database.
    pub fn database_info(&self, database: usize, now: Now) -> DatabaseInfo {
        let mut info = DatabaseInfo::default();
        let mut deadlines = 0u128;
        for shard in &self.shards {
            if let Some(part) = shard.lock().databases.get(database) {
                info.keys += part.table.len();
                info.expires += part.volatile;
                info.bytes += usize::try_from(part.bytes).unwrap_or(0);
                deadlines += part.deadlines;
            }
        }
        if info.expires > 0 {
            let mean = deadlines / info.expires as u128;
            let left = mean.saturating_sub(u128::from(now.unix_ms()));
            info.avg_ttl_ms = u64::try_from(left).unwrap_or(u64::MAX);
        }
        info
    }

    /// Bytes of the tables and the wheels, without the entries.
    pub fn overhead(&self) -> usize {
        let of_shard = |shard: &Mutex<Shard>| {
            let shard = shard.lock();
            let tables: usize = shard.databases.iter().map(|part| part.table.footprint()).sum();
            tables + shard.wheel.footprint()
        };
        self.shards.iter().map(of_shard).sum()
    }

    /// Bytes of one database's tables, without the entries.
    pub fn table_bytes(&self, database: usize) -> usize {
        let of_shard = |shard: &Mutex<Shard>| {
            shard.lock().databases.get(database).map_or(0, |part| part.table.footprint())
        };
        self.shards.iter().map(of_shard).sum()
    }

    /// Marks held by all wheels, stale ones too.
    pub fn wheel_marks(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().wheel.len()).sum()
    }

    /// The shapes of a database's tables, one a shard.
    pub fn shapes(&self, database: usize) -> Vec<Shape> {
        let of_shard = |shard: &Mutex<Shard>| {
            shard.lock().databases.get(database).map(|part| part.table.shape())
        };
        self.shards.iter().filter_map(of_shard).collect()
    }

    /// A random live key of a database, with its bytes copied out.
    pub fn random_key(&self, database: usize, now: Now) -> Option<Vec<u8>> {
        let start = self.shards[0].lock().rng.usize(..self.shards.len());
        for step in 0..self.shards.len() {
            let mut shard = self.shards[(start + step) % self.shards.len()].lock();
            for _ in 0..100 {
                let Some(item) = shard.sample(database, false) else { break };
                if item.deadline().is_none_or(|deadline| deadline > now.unix_ms()) {
                    return Some(item.key().to_vec());
                }
                let bytes = item.key().to_vec();
                let key = self.key(&bytes);
                shard.remove(&self.counters, database, key);
                shard.stats.expired += 1;
            }
            self.publish(&mut shard);
        }
        None
    }

    /// The access rules' view of an idle time and a frequency.
    pub(crate) fn publish(&self, shard: &mut Shard) {
        if shard.delta != 0 {
            self.counters.bytes.fetch_add(shard.delta, Relaxed);
            shard.delta = 0;
        }
    }

    /// Removes every key of one database, or of all.
    pub(crate) fn flush_shard(&self, shard: &mut Shard, database: Option<usize>) -> Garbage {
        let mut garbage = Vec::new();
        for (index, part) in shard.databases.iter_mut().enumerate() {
            if database.is_some_and(|only| only != index) || part.table.is_empty() {
                continue;
            }
            self.counters.release(index, part.table.len());
            shard.delta -= part.bytes;
            part.bytes = 0;
            part.volatile = 0;
            part.deadlines = 0;
            garbage.push(std::mem::take(&mut part.table));
        }
        if shard.databases.iter().all(|part| part.table.is_empty()) {
            shard.delta -= shard.wheel.footprint() as isize;
            shard.wheel.clear();
            shard.delta += shard.wheel.footprint() as isize;
        }
        Garbage(garbage)
    }

    /// Exchanges two databases' counters; the caller holds every shard.
    pub(crate) fn swap_counters(&self, a: usize, b: usize) {
        let swap = |x: &AtomicUsize, y: &AtomicUsize| {
            let held = x.load(Relaxed);
            x.store(y.load(Relaxed), Relaxed);
            y.store(held, Relaxed);
        };
        swap(&self.counters.databases[a].entries, &self.counters.databases[b].entries);
    }

    /// Whether a limit in entries is set anywhere.
    pub fn has_entry_limit(&self) -> bool {
        self.counters.has_entry_limit()
    }

    /// Entries over the limits, as `(database, excess)` and the excess of the whole keyspace:
    /// not zero only after a limit was lowered.
    pub fn excess(&self) -> (Option<(usize, usize)>, usize) {
        let over = |entries: &AtomicUsize, max: &AtomicUsize| match max.load(Relaxed) {
            0 => 0,
            max => entries.load(Relaxed).saturating_sub(max),
        };
        let all = over(&self.counters.entries, &self.counters.entries_max);
        let databases = self.counters.databases.iter().enumerate();
        let mut each = databases.map(|(i, one)| (i, over(&one.entries, &one.entries_max)));
        (each.find(|(_, excess)| *excess > 0), all)
    }

    /// The access rules' reading of an entry's clock, for OBJECT.
    pub(crate) fn idle_ms(stamp: u32, now: Now) -> u64 {
        Rules::idle_ms(stamp, now)
    }
}

impl std::fmt::Debug for Keyspace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keyspace")
            .field("shards", &self.shards.len())
            .field("databases", &self.databases())
            .field("totals", &self.totals())
            .finish_non_exhaustive()
    }
}
