//! Making room: choosing victims by sampling, with a pool of candidates kept between rounds.
//!
//! Before a write, the caller asks for room in bytes or in entries. Each victim is the worst of a
//! few random entries and of the good candidates that earlier rounds left in the pool; the pool
//! is what brings sampling close to the exact order (Redis 3.0's finding). Limits are global
//! although shards are local: a round samples one shard, chosen at random, which is fair because
//! keys are spread over shards by hash; within it the database is chosen by its share of the keys.
//!
//! A policy is a score, one file each; `random` needs none. Rules: the pool's lock is taken
//! before a shard's and no shard's lock may be held on entry. A candidate is a hash, not a
//! pointer: it may be gone when its turn comes, and then the next one is taken.

mod lfu;
mod lru;
mod ttl;

use std::sync::atomic::Ordering::Relaxed;

use crate::keyspace::Keyspace;
use crate::value::Item;
use crate::{Now, Rules};

/// Candidates kept between rounds (Redis's EVPOOL_SIZE).
const POOL_LEN: usize = 16;
/// Rounds without any candidate after which there is nothing to evict.
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

    /// How good a victim an entry is; higher is better.
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

/// A good victim seen in some round.
#[derive(Clone, Copy)]
struct Candidate {
    score: u64,
    hash: u64,
    /// The database's identity, which SWAPDB does not change.
    database: u32,
}

/// The candidates, worst first; at most [`POOL_LEN`].
#[derive(Default)]
pub(crate) struct Pool {
    candidates: Vec<Candidate>,
    policy: Policy,
}

impl Pool {
    fn offer(&mut self, candidate: Candidate) {
        let same =
            |held: &Candidate| held.hash == candidate.hash && held.database == candidate.database;
        self.candidates.retain(|held| !same(held));
        let at = self.candidates.partition_point(|held| held.score < candidate.score);
        if self.candidates.len() == POOL_LEN {
            if at == 0 {
                return;
            }
            self.candidates.remove(0);
            self.candidates.insert(at - 1, candidate);
        } else {
            self.candidates.insert(at, candidate);
        }
    }
}

impl Keyspace {
    /// Evicts one entry; false when there is none that the policy allows.
    pub fn evict(&self, scope: Scope, room: Room, now: Now) -> bool {
        let pool = &mut *self.pool.lock();
        if pool.policy != room.policy {
            pool.candidates.clear();
            pool.policy = room.policy;
        }
        let pooled = matches!(scope, Scope::Keyspace)
            && !matches!(room.policy, Policy::AllKeysRandom | Policy::VolatileRandom);
        for _ in 0..EMPTY_ROUNDS_MAX {
            let mut round = Pool::default();
            let seen = if pooled {
                self.sample(scope, room, now, pool)
            } else {
                self.sample(scope, room, now, &mut round)
            };
            let candidates = if pooled { &mut pool.candidates } else { &mut round.candidates };
            while let Some(victim) = candidates.pop() {
                if self.evict_candidate(victim, room.policy.volatile()) {
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
        let start = self.shards[0].lock().rng.usize(..self.shards.len());
        for step in 0..self.shards.len() {
            let mut shard = self.shards[(start + step) % self.shards.len()].lock();
            let mut seen = false;
            for _ in 0..room.samples.max(1) {
                let index = match scope {
                    Scope::Database(index) => Some(index),
                    Scope::Keyspace => shard.random_database(volatile),
                };
                let Some(index) = index else { break };
                let Some(id) = shard.databases.get(index).map(|part| part.id) else { break };
                let hasher = shard.hasher.clone();
                let Some(item) = shard.sample(index, volatile) else { break };
                let score = room.policy.score(item, now, room.rules);
                let hash = hasher.hash(item.key());
                pool.offer(Candidate { score, hash, database: id });
                seen = true;
            }
            if seen {
                return true;
            }
        }
        false
    }

    fn evict_candidate(&self, victim: Candidate, volatile: bool) -> bool {
        let mut shard = self.shards[self.shard_of(victim.hash)].lock();
        let Some(index) = shard.index_of_id.get(victim.database as usize).copied() else {
            return false;
        };
        let hasher = shard.hasher.clone();
        let removed = shard.remove_where(&self.counters, index as usize, victim.hash, |item| {
            hasher.hash(item.key()) == victim.hash && (!volatile || item.deadline().is_some())
        });
        if removed.is_some() {
            shard.stats.evicted += 1;
        }
        self.publish(&mut shard);
        removed.is_some()
    }

    /// Bytes held now, for the limit in bytes.
    pub fn bytes(&self) -> usize {
        usize::try_from(self.counters.bytes.load(Relaxed)).unwrap_or(0)
    }
}
