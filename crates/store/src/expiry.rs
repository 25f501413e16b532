//! The wheel's turn: freeing keys whose deadline has passed, promptly and in bounded steps.
//!
//! Whoever looks at a key never sees it past its deadline (`Shard::find`); this is about memory.
//! The shell calls [`Keyspace::expire`] when [`Keyspace::next_deadline`] comes due. One call
//! handles at most `budget` marks a shard and gives the lock back between shards, so a million
//! keys that die in the same millisecond delay a GET by one budget, not by a million.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Release};

use crate::keyspace::Keyspace;
use crate::shard::marked;

/// What one turn did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Turn {
    /// Keys freed.
    pub expired: usize,
    /// Due marks are left: call again soon.
    pub more: bool,
}

impl Keyspace {
    /// Frees keys due at `now_ms`, looking at no more than `budget` marks in each shard.
    pub fn expire(&self, now_ms: u64, budget: usize) -> Turn {
        let mut turn = Turn::default();
        self.earliest.swap(u64::MAX, AcqRel);
        for shard in &self.shards {
            let mut shard = shard.lock();
            let shard = &mut *shard;
            let marks = shard.wheel.footprint() as isize;
            let mut due = Vec::new();
            let databases = &shard.databases;
            let (ids, hasher) = (&shard.index_of_id, &shard.hasher);
            let handled = shard.wheel.advance(now_ms, budget, |mark| {
                let index = ids[mark.id() as usize] as usize;
                let deadline = marked(&databases[index], mark, hasher)?.deadline()?;
                if deadline > now_ms {
                    return Some(deadline);
                }
                due.push((index, mark));
                None
            });
            for (index, mark) in &due {
                let hash = mark.hash();
                let removed = shard.remove_where(&self.counters, *index, hash, |item| {
                    item.stamp() == mark.stamp()
                        && item.deadline().is_some_and(|deadline| deadline <= now_ms)
                });
                turn.expired += usize::from(removed.is_some());
                shard.stats.expired += u64::from(removed.is_some());
            }
            shard.delta += shard.wheel.footprint() as isize - marks;
            turn.more |= handled >= budget;
            shard.earliest_armed = u64::MAX;
            self.publish(shard);
            self.earliest.fetch_min(shard.wheel.next_due().unwrap_or(u64::MAX), AcqRel);
        }
        turn
    }

    /// When the next call of [`Keyspace::expire`] may have something to do (Unix milliseconds);
    /// a lower bound, `u64::MAX` when no key is volatile.
    pub fn next_deadline(&self) -> u64 {
        self.earliest.load(Acquire)
    }

    /// Records a newly armed deadline; true when it is earlier than every known one, so that
    /// whoever waits for the next deadline must be woken.
    pub(crate) fn note_deadline(&self, deadline: u64) -> bool {
        if deadline >= self.earliest.load(Acquire) {
            return false;
        }
        self.earliest.fetch_min(deadline, Release) > deadline
    }
}
