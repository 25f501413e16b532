//! Making room: choosing victims by sampling, with pools of candidates kept between rounds.
//!
//! Before a write, the caller asks for room in bytes or in entries. Each victim is the best of a
//! few random entries (`sample`) and of the good candidates that earlier rounds left in the pool
//! (`pool`). A candidate that was used since it was seen is passed over, which is worth as much
//! as three more samples. Limits are global although shards are local: a round samples one shard,
//! chosen at random, which is fair because keys are spread over shards by hash; within it a
//! database is chosen by its share of the keys.
//!
//! A policy is a score, one file each; `random` draws one. Rules: a pool's lock is taken before a
//! shard's and no shard's lock may be held on entry. A candidate is a hash, not a pointer: it may
//! be gone when its turn comes, and then the next one is taken.
//! Neighbours: `engine::exec::open` asks; tests: `tests/eviction.rs`, and hit ratios in the
//! package `benches`, gathered in `docs/ideas/eviction.md`.

mod lfu;
mod lru;
mod pool;
mod sample;
mod ttl;

use std::sync::atomic::Ordering::Relaxed;

pub(crate) use self::pool::Pools;
use self::pool::{Candidate, Pool};
use crate::events::class;
use crate::keyspace::Keyspace;
use crate::shard::Shard;
use crate::value::Item;
use crate::{Now, Rules};

/// Rounds without any victim after which there is nothing to evict.
const EMPTY_ROUNDS_MAX: usize = 8;

/// `maxmemory-policy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// Refuse writes that need room.
    #[default]
    NoEviction,
    /// Least recently used of all keys.
    AllKeysLru,
    /// Least frequently used of all keys.
    AllKeysLfu,
    /// Any key.
    AllKeysRandom,
    /// Least recently used of the keys with a deadline.
    VolatileLru,
    /// Least frequently used of the keys with a deadline.
    VolatileLfu,
    /// Any key with a deadline.
    VolatileRandom,
    /// The key with the nearest deadline.
    VolatileTtl,
}

impl Policy {
    /// Whether only keys with a deadline may be evicted.
    pub const fn volatile(self) -> bool {
        matches!(
            self,
            Self::VolatileLru | Self::VolatileLfu | Self::VolatileRandom | Self::VolatileTtl
        )
    }

    /// Whether access clocks count frequency.
    pub const fn frequency(self) -> bool {
        matches!(self, Self::AllKeysLfu | Self::VolatileLfu)
    }

    /// Whether all entries are equally good victims.
    const fn random(self) -> bool {
        matches!(self, Self::AllKeysRandom | Self::VolatileRandom)
    }

    /// How good a victim an entry is; higher is better. It may grow while the entry rests, and
    /// falls when it is used.
    fn score(self, item: &Item, now: Now, rules: Rules) -> u64 {
        match self {
            Self::AllKeysLru | Self::VolatileLru => lru::score(item, now),
            Self::AllKeysLfu | Self::VolatileLfu => lfu::score(item, now, rules),
            Self::VolatileTtl => ttl::score(item),
            Self::NoEviction | Self::AllKeysRandom | Self::VolatileRandom => 0,
        }
    }
}

/// Where victims may come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Any database.
    Keyspace,
    /// One database.
    Database(usize),
}

/// How to make room.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// Who goes first.
    pub policy: Policy,
    /// `maxmemory-samples`.
    pub samples: usize,
    /// How access clocks are read.
    pub rules: Rules,
}

impl Keyspace {
    /// Evicts one entry; false when there is none that the policy allows.
    pub fn evict(&self, scope: Scope, room: Room, now: Now) -> bool {
        let pool = &mut *self.pools.lock(room.policy, scope);
        for _ in 0..EMPTY_ROUNDS_MAX {
            if room.policy.random() {
                pool.clear();
            }
            let seen = self.sample(scope, room, now, pool);
            while let Some(victim) = pool.take() {
                if self.evict_candidate(victim, scope, room, now) {
                    return true;
                }
            }
            if !seen {
                return false;
            }
        }
        false
    }

    /// Offers one shard's samples to the pool; false when no shard has any.
    fn sample(&self, scope: Scope, room: Room, now: Now, pool: &mut Pool) -> bool {
        let volatile = room.policy.volatile();
        let only = match scope {
            Scope::Database(index) => Some(index),
            Scope::Keyspace => None,
        };
        let wanted = if room.policy.random() { 1 } else { room.samples.max(1) };
        let start = pool.rng.usize(..self.shards.len());
        (0..self.shards.len()).any(|step| {
            let Some(mut shard) = self.lock((start + step) % self.shards.len()) else {
                return false;
            };
            let seen = shard.sample_many(only, volatile, wanted, |database, item| {
                let score = if room.policy.random() {
                    let drawn = pool.rng.u64(..);
                    if pool.best().is_some_and(|best| best >= drawn) {
                        return;
                    }
                    drawn
                } else {
                    room.policy.score(item, now, room.rules)
                };
                pool.offer(score, database, || self.hasher.hash(item.key()));
            });
            self.publish(&mut shard);
            seen
        })
    }

    /// Evicts a candidate, unless it is gone, may not go any more, or was used meanwhile.
    fn evict_candidate(&self, victim: Candidate, scope: Scope, room: Room, now: Now) -> bool {
        let Some(mut shard) = self.lock(self.shard_of(victim.hash)) else { return false };
        let Some(index) = shard.index_of_id.get(victim.database as usize).copied() else {
            return false;
        };
        let index = index as usize;
        if scope != Scope::Keyspace && scope != Scope::Database(index) {
            return false;
        }
        let is_it = |item: &Item| {
            self.hasher.hash(item.key()) == victim.hash
                && (!room.policy.volatile() || item.deadline().is_some())
                && (room.policy.random()
                    || room.policy.score(item, now, room.rules) >= victim.score)
        };
        let wanted = self.counters.outbox.wanted();
        let gone = |shard: &mut Shard, item: &Item| {
            shard.note(wanted, (class::EVICTED, "evicted"), (index, item.key()));
        };
        let evicted = shard.discard_where(&self.counters, index, victim.hash, is_it, gone);
        shard.stats.evicted += u64::from(evicted);
        self.publish(&mut shard);
        evicted
    }

    /// Bytes held now, for the limit in bytes.
    pub fn bytes(&self) -> usize {
        usize::try_from(self.counters.bytes.load(Relaxed)).unwrap_or(0)
    }
}
