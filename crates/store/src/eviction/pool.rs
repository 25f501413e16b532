//! The good victims that earlier rounds saw and did not need.
//!
//! What a sample shows beside its best entry is not forgotten: sixteen candidates wait, best
//! last, and a round takes the best of them and of what it saw itself. This is what brings
//! samples of five to within a thousandth of the exact order (Redis 3.0's finding). A candidate
//! may have been used meanwhile; whoever takes it looks at it again.
//!
//! Several pools exist so that threads that evict at the same time do not wait for each other:
//! each takes the first that is free, which with one thread is always the same.
//!
//! Rules: a pool holds candidates for one policy and one scope; asked for others it starts anew.
//! Its lock is taken before any shard's. Neighbours: `mod` for the rounds.

use pannier_lock::{Mutex, MutexGuard};

use super::{Policy, Scope};

/// Candidates kept between rounds.
const POOL_LEN: usize = 16;
/// Threads that can evict side by side.
const POOLS: usize = 4;

/// A good victim seen in some round.
#[derive(Clone, Copy)]
pub(super) struct Candidate {
    pub(super) score: u64,
    pub(super) hash: u64,
    /// The database's identity, which SWAPDB does not change.
    pub(super) database: u32,
}

/// The candidates, best last; at most [`POOL_LEN`].
pub(super) struct Pool {
    candidates: Vec<Candidate>,
    purpose: (Policy, Scope),
    pub(super) rng: fastrand::Rng,
}

/// The pools of a keyspace.
pub(crate) struct Pools([Mutex<Pool>; POOLS]);

impl Pools {
    pub(crate) fn new(seed: u64) -> Self {
        let mut seeds = fastrand::Rng::with_seed(!seed);
        Self(std::array::from_fn(|_| {
            Mutex::new(Pool {
                candidates: Vec::with_capacity(POOL_LEN),
                purpose: (Policy::NoEviction, Scope::Keyspace),
                rng: seeds.fork(),
            })
        }))
    }

    /// A pool for this policy and scope; waits only when all are in use.
    pub(super) fn lock(&self, policy: Policy, scope: Scope) -> MutexGuard<'_, Pool> {
        let free = self.0.iter().find_map(Mutex::try_lock);
        let mut pool = free.unwrap_or_else(|| self.0[0].lock());
        if pool.purpose != (policy, scope) {
            pool.candidates.clear();
            pool.purpose = (policy, scope);
        }
        pool
    }
}

impl Pool {
    /// Takes an entry in if it is better than the worst held. Its key is hashed only then.
    pub(super) fn offer(&mut self, score: u64, database: u32, hash: impl FnOnce() -> u64) {
        let full = self.candidates.len() == POOL_LEN;
        if full && score <= self.candidates[0].score {
            return;
        }
        let hash = hash();
        let same = |held: &Candidate| held.hash == hash && held.database == database;
        if let Some(at) = self.candidates.iter().position(same) {
            self.candidates.remove(at);
        } else if full {
            self.candidates.remove(0);
        }
        let at = self.candidates.partition_point(|held| held.score < score);
        self.candidates.insert(at, Candidate { score, hash, database });
    }

    /// The score of the best candidate.
    pub(super) fn best(&self) -> Option<u64> {
        self.candidates.last().map(|best| best.score)
    }

    /// Takes the best candidate out.
    pub(super) fn take(&mut self) -> Option<Candidate> {
        self.candidates.pop()
    }

    /// Forgets all candidates.
    pub(super) fn clear(&mut self) {
        self.candidates.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool() -> Pools {
        Pools::new(7)
    }

    #[test]
    fn the_best_come_out_first_and_the_worst_are_forgotten() {
        let pools = pool();
        let mut pool = pools.lock(Policy::AllKeysLru, Scope::Keyspace);
        for score in [3, 9, 1, 20, 5, 7, 2, 4, 6, 8, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19] {
            pool.offer(score, 0, || score);
        }
        let taken: Vec<_> = std::iter::from_fn(|| pool.take()).map(|best| best.score).collect();
        assert_eq!(taken, (5..=20).rev().collect::<Vec<_>>());
    }

    #[test]
    fn an_entry_is_held_once_with_its_latest_score() {
        let pools = pool();
        let mut pool = pools.lock(Policy::AllKeysLfu, Scope::Keyspace);
        for score in [5, 8, 6] {
            pool.offer(score, 0, || 42);
        }
        pool.offer(7, 1, || 42);
        let taken: Vec<_> = std::iter::from_fn(|| pool.take()).map(|best| best.score).collect();
        assert_eq!(taken, [7, 6], "the same hash in another database is another entry");
    }

    #[test]
    fn a_pool_serves_one_purpose_and_a_busy_one_nobody_else() {
        let pools = pool();
        pools.lock(Policy::AllKeysLru, Scope::Keyspace).offer(1, 0, || 1);
        let mut first = pools.lock(Policy::AllKeysLru, Scope::Keyspace);
        assert!(pools.lock(Policy::AllKeysLru, Scope::Keyspace).take().is_none());
        assert!(first.take().is_some());
        first.offer(1, 0, || 1);
        drop(first);
        assert!(pools.lock(Policy::AllKeysLru, Scope::Database(3)).take().is_none());
    }
}
