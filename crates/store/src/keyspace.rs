//! The keyspace as a whole: the shards, the totals, and what concerns every shard at once.
//!
//! The number of shards is a power of two, at most 64, so that a set of shards is one machine
//! word and the lock of a key's shard is found by counting bits. A key's shard comes from the low
//! bits of its hash and its place in the table from the high ones, so the two are independent.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use pannier_lock::{BiasedLocks, MutexGuard};

use crate::counters::{Counters, Totals};
use crate::database::Database;
use crate::direct::Tally;
use crate::eviction::Pools;
use crate::hash::{Key, KeyHasher};
use crate::interest::{Interest, Tracking, Watcher};
use crate::shard::{DATABASES_MAX, Shard, ShardStats};
use crate::waiters::Bell;
use crate::{Now, Open, Rules};

/// A set of shards is one `u64`.
const SHARDS_MAX: usize = 64;

/// How to build a keyspace.
#[derive(Clone)]
pub struct Options {
    /// Number of shards, rounded up to a power of two, at most 64. One is fine.
    pub shards: usize,
    /// Number of logical databases, at most 2^16.
    pub databases: usize,
    /// Seed of the key hash and of all random choices.
    pub seed: u64,
    /// The time at which the wheel starts.
    pub now: Now,
    /// Who frees what would take long to free.
    pub reaper: Reaper,
}

/// Who frees what would take long to free, so that no command waits for it. It is called under a
/// shard's lock.
pub type Reaper = Arc<dyn Fn(Garbage) + Send + Sync>;

/// All keys of all databases. Shared between workers.
pub struct Keyspace {
    pub(crate) shards: Arc<Shards>,
    pub(crate) counters: Counters,
    pub(crate) hasher: KeyHasher,
    pub(crate) tracking: Arc<Tracking>,
    /// Lower bound of the next deadline in any wheel.
    pub(crate) earliest: AtomicU64,
    /// The shard at which the next turn of expiry begins.
    pub(crate) expire_next: AtomicUsize,
    pub(crate) pools: Pools,
    pub(crate) bell: Arc<Bell>,
    /// See [`Keyspace::set_stuck`].
    stuck: AtomicBool,
}

/// The shards: each with its lock, which readers of single strings pass (see `direct`), and with
/// what was done past the views. A thread has one slot to read in, which counts too.
pub(crate) type Shards = BiasedLocks<Shard, Tally, Tally>;

/// Threads that read past the locks at the same time without getting into each other's way; as many
/// as there are shards, but no more than this.
const READERS_MAX: usize = 16;

/// Looks at a lock that is taken; all of them take some ten microseconds.
const BRIEF_LOOKS: usize = 300;

/// How long a shard is waited for before a look whether it is worth it.
const PATIENCE: Duration = Duration::from_millis(5);

/// What was taken out of the keyspace; dropping it frees the memory, which may take a while.
#[must_use = "dropping the garbage is the slow part of a removal: choose where it happens"]
pub struct Garbage(#[expect(dead_code, reason = "held to be dropped")] Box<dyn Any + Send>);

impl Garbage {
    pub(crate) fn new(removed: impl Any + Send) -> Self {
        Self(Box::new(removed))
    }
}

impl Keyspace {
    /// An empty keyspace.
    pub fn new(options: Options) -> Self {
        let shards = options.shards.clamp(1, SHARDS_MAX).next_power_of_two();
        let hasher = KeyHasher::new(options.seed);
        let mut seeds = fastrand::Rng::with_seed(options.seed);
        let now_ms = options.now.unix_ms();
        let bell = Arc::new(Bell::default());
        let tracking = Arc::new(Tracking::default());
        let all = (0..shards).map(|index| {
            let seed = seeds.u64(..);
            let interest = Interest::new((Arc::clone(&bell), index), Arc::clone(&tracking));
            let around = (Arc::clone(&options.reaper), interest);
            Shard::new(hasher.clone(), seed, now_ms, around)
        });
        Self {
            shards: Arc::new(BiasedLocks::new(all, shards.min(READERS_MAX))),
            bell,
            counters: Counters::new(options.databases.clamp(1, DATABASES_MAX)),
            hasher,
            tracking,
            earliest: AtomicU64::new(u64::MAX),
            expire_next: AtomicUsize::new(0),
            pools: Pools::new(options.seed),
            stuck: AtomicBool::new(false),
        }
    }

    /// Says that somebody holds every shard for an unknown time: whoever waits for one gives up,
    /// and until the end of that is said nobody waits.
    pub fn set_stuck(&self, stuck: bool) {
        self.stuck.store(stuck, Relaxed);
    }

    /// Locks a shard; `None` when it is not to be waited for.
    #[inline]
    pub(crate) fn lock(&self, index: usize) -> Option<MutexGuard<'_, Shard>> {
        match self.shards.try_lock(index) {
            Some(guard) => Some(guard),
            None => self.wait(index),
        }
    }

    /// Whether a shard is held for longer than a brief command holds it.
    #[inline]
    pub fn is_held_up(&self) -> bool {
        (0..self.shards.len()).any(|index| self.shards.is_locked(index) && self.stays_locked(index))
    }

    #[cold]
    fn stays_locked(&self, index: usize) -> bool {
        (0..BRIEF_LOOKS).all(|_| {
            std::hint::spin_loop();
            self.shards.is_locked(index)
        })
    }

    #[cold]
    fn wait(&self, index: usize) -> Option<MutexGuard<'_, Shard>> {
        loop {
            if let Some(guard) = self.shards.try_lock_for(index, PATIENCE) {
                return Some(guard);
            }
            if self.stuck.load(Relaxed) {
                return None;
            }
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
        let before = self.counters.databases[database].entries_max.swap(max, Relaxed);
        // Not counted anew each time: a change of configuration sets the limits of all databases.
        match (before > 0, max > 0) {
            (false, true) => _ = self.counters.limited.fetch_add(1, Relaxed),
            (true, false) => _ = self.counters.limited.fetch_sub(1, Relaxed),
            _ => {}
        }
    }

    /// Sums of what the shards counted.
    pub fn stats(&self) -> ShardStats {
        self.open(Open::Nothing, Now::default(), Rules::default()).stats()
    }

    /// Takes a watcher's interest in a key back.
    pub fn unwatch(&self, database: usize, key: &[u8], watcher: &Watcher) {
        let hash = self.hasher.hash(key);
        // A flag that stays is dropped when its key changes.
        if let Some(mut shard) = self.lock(self.shard_of(hash)) {
            shard.interest.unwatch(database, key, watcher);
        }
    }

    /// Adds what a shard has grown by to the total, and hands its events over.
    pub(crate) fn publish(&self, shard: &mut Shard) {
        if shard.delta != 0 {
            self.counters.bytes.fetch_add(shard.delta, Relaxed);
            shard.delta = 0;
        }
        if !shard.events.is_empty() || !shard.interest.changes.is_empty() {
            self.counters.outbox.put(&mut shard.events, &mut shard.interest.changes);
        }
    }

    /// Removes every key of one database, or of all.
    pub(crate) fn flush_shard(&self, shard: &mut Shard, database: Option<usize>) -> Garbage {
        let mut garbage = Vec::new();
        for index in 0..shard.databases.len() {
            let part = &mut shard.databases[index];
            if database.is_some_and(|only| only != index) || part.table.is_empty() {
                continue;
            }
            let held = |key: &[u8]| {
                part.table.find(shard.hasher.hash(key), |item| item.key() == key).is_some()
            };
            shard.interest.database_changed(index, held);
            self.counters.release(index, part.table.len());
            shard.delta -= part.bytes;
            shard.volatile -= part.volatile;
            shard.timed -= part.timed;
            let empty = Database::new(part.id);
            let flushed = std::mem::replace(part, empty);
            garbage.extend(shard.keep_whole(flushed));
        }
        if shard.databases.iter().all(|part| part.table.is_empty()) {
            shard.delta -= shard.marks_footprint();
            shard.wheel.clear();
            shard.field_wheel.clear();
            shard.delta += shard.marks_footprint();
        }
        Garbage::new(garbage)
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
