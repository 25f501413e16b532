//! The wheel's turn: freeing keys whose deadline has passed, promptly and in bounded steps.
//!
//! Whoever looks at a key never sees it past its deadline (`Shard::find`); this is about memory.
//! The shell calls [`Keyspace::expire`] when [`Keyspace::next_deadline`] comes due. One call
//! handles at most `budget` marks in all, and gives the lock back between shards, so a million
//! keys that die in the same millisecond delay a GET by one budget, not by a million. Calls begin
//! at the shard where the last one stopped, so that none waits for ever behind a busy one.
//!
//! A mark says where an entry is and the entry when it is due; the wheel hands a mark out as its
//! slot comes near, and each time the entry decides what becomes of it. The looks are taken in
//! groups whose buckets and entries are prefetched, or each would wait for memory twice.
//! Fields of hashes come after the keys, out of the same budget: a mark for each hash, which is
//! armed again when its hash has more due fields than the budget allows.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use crate::events::class;
use crate::keyspace::Keyspace;
use crate::shard::{Mark, Shard};
use crate::value::Item;

/// So many entries are loaded into the CPU's caches at once, before they are looked at.
const AT_ONCE: usize = 64;

/// What one turn did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Turn {
    /// Keys freed.
    pub expired: usize,
    /// Due marks are left: call again soon.
    pub more: bool,
}

impl Keyspace {
    /// Frees keys due at `now_ms`, looking at no more than `budget` marks.
    pub fn expire(&self, now_ms: u64, budget: usize) -> Turn {
        let mut turn = Turn::default();
        let mut left = budget.max(1);
        self.earliest.swap(u64::MAX, AcqRel);
        let mut reached = Vec::new();
        let first = self.expire_next.load(Relaxed);
        for at in (first..self.shards.len()).chain(0..first) {
            if left == 0 {
                // The others have not been looked at.
                self.expire_next.store(at, Relaxed);
                self.earliest.fetch_min(now_ms, AcqRel);
                turn.more = true;
                break;
            }
            let Some(mut shard) = self.lock(at) else {
                self.earliest.fetch_min(now_ms, AcqRel);
                break;
            };
            let shard = &mut *shard;
            let marks = shard.marks_footprint();
            reached.clear();
            left -= shard.wheel.advance(now_ms, left, |mark| reached.push(mark));
            for group in reached.chunks(AT_ONCE) {
                shard.fetch(group);
                for &mark in group {
                    turn.expired += usize::from(self.settle(shard, mark, now_ms));
                }
            }
            reached.clear();
            shard.field_wheel.advance(now_ms, left, |mark| reached.push(mark));
            shard.delta += shard.marks_footprint() - marks;
            for &mark in &reached {
                left = left.saturating_sub(self.settle_fields(shard, mark, now_ms, left));
            }
            let next = [shard.wheel.next_due(), shard.field_wheel.next_due()];
            let next = next.into_iter().flatten().min().unwrap_or(u64::MAX);
            turn.more |= next <= now_ms;
            self.publish(shard);
            self.earliest.fetch_min(next, AcqRel);
        }
        turn
    }

    /// Frees the entry of a mark that has come, if it is due, or arms the mark for when it is; a
    /// stale mark just goes. True when an entry was freed.
    fn settle(&self, shard: &mut Shard, mark: Mark, now_ms: u64) -> bool {
        let index = shard.index_of_id[mark.id()] as usize;
        let hasher = shard.hasher.clone();
        let mut later = None;
        let is_due = |item: &Item| {
            if !mark.is_of(item, &hasher) {
                return false;
            }
            later = item.deadline().filter(|&deadline| deadline > now_ms);
            later.is_none()
        };
        let wanted = self.counters.outbox.wanted();
        let gone = |shard: &mut Shard, expired: &Item| {
            shard.note(wanted, (class::EXPIRED, "expired"), (index, expired.key()));
        };
        let freed = shard.discard_where(&self.counters, index, mark.hash(), is_due, gone);
        if let Some(deadline) = later {
            shard.wheel.arm(deadline, mark);
        }
        shard.stats.expired += u64::from(freed);
        freed
    }

    /// Frees due fields of the hash of a mark that has come, and arms another for those that
    /// are left; a stale mark just goes. Returns how much of the budget that took.
    fn settle_fields(&self, shard: &mut Shard, mark: Mark, now_ms: u64, budget: usize) -> usize {
        let index = shard.index_of_id[mark.id()] as usize;
        let hasher = shard.hasher.clone();
        let is_it = |item: &Item| mark.is_of_fields(item, &hasher);
        let place = (index, mark.hash());
        1 + shard.purge_fields(&self.counters, place, is_it, (now_ms, budget, true))
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

impl Shard {
    /// Asks the CPU to load the entries that marks speak of.
    fn fetch(&self, marks: &[Mark]) {
        let table = |mark: Mark| &self.databases[self.index_of_id[mark.id()] as usize].table;
        marks.iter().for_each(|&mark| table(mark).prefetch(mark.hash()));
        marks.iter().for_each(|&mark| table(mark).prefetch_values(mark.hash()));
    }
}

#[cfg(test)]
mod tests {
    use crate::{Deadline, Keyspace, NewValue, Now, Open, Options, Rules};

    fn at_ms(ms: u64) -> Now {
        Now { unix_us: ms * 1_000, mono_us: ms * 1_000 }
    }

    #[test]
    fn a_storm_is_freed_in_small_steps_that_say_whether_there_is_more() {
        let start = 1_700_000_000_000;
        let reaper = std::sync::Arc::new(drop);
        let options = Options { shards: 2, databases: 1, seed: 1, now: at_ms(start), reaper };
        let keyspace = Keyspace::new(options);
        // So far ahead that marks lie on a coarse level and fall to finer ones first.
        let due = start + 100_000;
        for i in 0..10_000 {
            let key = format!("key{i}");
            let key = keyspace.key(key.as_bytes());
            let mut view = keyspace.open(Open::All, at_ms(start), Rules::default());
            view.set(0, key, NewValue::Bytes(b"value"), Deadline::At(due));
        }
        let (mut steps, mut expired) = (0, 0);
        loop {
            let turn = keyspace.expire(due, 100);
            steps += 1;
            expired += turn.expired;
            assert!(turn.expired <= 100);
            assert_eq!(turn.more, keyspace.next_deadline() <= due);
            if !turn.more {
                break;
            }
        }
        assert_eq!(expired, 10_000);
        assert!((100..1_000).contains(&steps), "{steps} steps");
    }
}
