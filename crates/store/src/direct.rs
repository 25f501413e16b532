//! One string read or written, past the `View`: for calls that cost less than opening one.
//!
//! A call from inside the process knows its command and its one key, and takes 80 ns of which a
//! view, which can hold many shards, events and reservations, would be a third. So there are two
//! functions that lock one shard and do what `View::string` and `View::set` do for the common case.
//! Everything else they decline before they have changed or counted anything, and the caller
//! takes the general way: a key near its deadline, another type, a compressed value, an event that
//! somebody wants to hear, a key that anybody watches, waits for or may have cached, a limit in
//! entries that a new key would have to respect, a shard that is held by somebody else.
//!
//! Rules: an entry is changed through `Slot` and `Shard` alone, as everywhere, so that sums, marks,
//! garbage and checkpoints follow. The time may be a coarse one: a key that might have expired by
//! the exact time is declined, too. What was done is counted in the shard's [`Tally`], which has
//! one writer at a time, because it is written under the shard's lock.
//! Neighbours: `view` is the general way; the engine's `direct` says when this one may be taken.
//! Tests: `tests/direct.rs` of the crate `pannier`, which compares both ways.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use pannier_collections::Entry;
use parking_lot::MutexGuard;

use crate::events::class;
use crate::hash::Key;
use crate::keyspace::Keyspace;
use crate::shard::{Look, Shard};
use crate::value::{NewValue, Str};
use crate::{Now, Rules};

/// What one shard has served directly.
#[derive(Default)]
#[repr(align(64))]
pub struct Tally {
    /// Reads.
    pub gets: Count,
    /// Writes.
    pub sets: Count,
}

/// How often something was done, and how long that took.
#[derive(Default)]
pub struct Count {
    calls: AtomicU64,
    us: AtomicU64,
}

impl Count {
    /// How often.
    pub fn calls(&self) -> u64 {
        self.calls.load(Relaxed)
    }

    /// Microseconds, extrapolated from every [`SAMPLE`]th call.
    pub fn us(&self) -> u64 {
        self.us.load(Relaxed)
    }

    /// Whether the next call is one that is to be measured.
    #[inline]
    fn is_due(&self) -> bool {
        self.calls().is_multiple_of(SAMPLE)
    }

    /// Counts a call; the shard is locked.
    #[inline]
    fn add(&self) {
        self.calls.store(self.calls() + 1, Relaxed);
    }

    /// Counts the time of a call that was measured; the shard is locked.
    #[inline]
    fn add_sample(&self, us: u64) {
        self.us.store(self.us() + us * SAMPLE, Relaxed);
    }
}

/// Where and how a key is looked up.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// The logical database.
    pub database: usize,
    /// The key.
    pub key: Key<'a>,
    /// The time; it may lag behind by up to [`LAG_MAX_MS`].
    pub now: Now,
    /// How access clocks are recorded.
    pub rules: Rules,
}

impl Keyspace {
    /// The tallies, by shard.
    pub fn tallies(&self) -> &Arc<[Tally]> {
        &self.tallies
    }

    /// Reads a string as `View::string` does; `None` when it must be read the general way. `read`
    /// is handed the value, or nothing when there is no key, and may decline as well. It runs
    /// under the shard's lock. `clock` reads microseconds.
    #[inline]
    pub fn get_directly<R>(
        &self,
        place: Place<'_>,
        clock: impl Fn() -> u64,
        read: impl FnOnce(Option<Str<'_>>) -> Option<R>,
    ) -> Option<R> {
        let index = self.shard_of(place.key.hash);
        let count = &self.tallies[index].gets;
        let started = count.is_due().then(&clock);
        let mut guard = self.lock_at_once(index)?;
        let shard = &mut *guard;
        let Place { database, key, now, rules } = place;
        let done = match shard.slot(database, key.hash, |item| item.key() == key.bytes) {
            None if self.counters.outbox.wanted() & class::MISS != 0 => return None,
            None => {
                let done = read(None)?;
                shard.stats.misses += 1;
                done
            }
            Some(slot) if is_near(slot.item.deadline(), now) => return None,
            Some(mut slot) => {
                let done = match Str::of(slot.item) {
                    Err(_) | Ok(Str::Compressed(_)) => return None,
                    Ok(string) => read(Some(string))?,
                };
                slot.touch(Look { now, rules, touch: true });
                shard.stats.hits += 1;
                done
            }
        };
        count.add();
        if let Some(started) = started {
            count.add_sample(clock().saturating_sub(started));
        }
        Some(done)
    }

    /// Stores a string as `View::set` does, with this deadline (Unix milliseconds) or none; `None`
    /// when it must be stored the general way. Says whether a deadline was armed that is earlier
    /// than every known one.
    #[inline]
    pub fn set_directly(
        &self,
        place: Place<'_>,
        clock: impl Fn() -> u64,
        value: NewValue<'_>,
        deadline: Option<u64>,
    ) -> Option<bool> {
        if self.counters.outbox.wanted() != 0 {
            return None;
        }
        let index = self.shard_of(place.key.hash);
        let count = &self.tallies[index].sets;
        let started = count.is_due().then(&clock);
        let mut guard = self.lock_at_once(index)?;
        let shard = &mut *guard;
        if !shard.interest.is_empty() {
            return None;
        }
        let Place { database, key, now, rules } = place;
        match shard.slot(database, key.hash, |item| item.key() == key.bytes) {
            None if self.has_entry_limit() => return None,
            None => {
                let (payload, form) = value.into_payload();
                let mut item = Entry::new(key.bytes, payload, deadline);
                item.set_flags(form);
                item.set_access(rules.fresh(now));
                shard.insert(&self.counters, database, key.hash, item, false);
            }
            Some(slot) if is_near(slot.item.deadline(), now) || Str::of(slot.item).is_err() => {
                return None;
            }
            Some(mut slot) => {
                let (payload, form) = value.into_payload();
                slot.replace(payload, form);
                slot.touch(Look { now, rules, touch: true });
                slot.set_deadline(deadline);
                shard.sweep();
            }
        }
        self.publish(shard);
        count.add();
        if let Some(started) = started {
            count.add_sample(clock().saturating_sub(started));
        }
        drop(guard);
        Some(deadline.is_some_and(|deadline| self.note_deadline(deadline)))
    }

    /// Locks a shard that nobody holds for longer than a direct call does.
    #[inline]
    fn lock_at_once(&self, index: usize) -> Option<MutexGuard<'_, Shard>> {
        let shard = &self.shards[index];
        shard.try_lock().or_else(|| {
            (0..SPINS).find_map(|_| {
                std::hint::spin_loop();
                shard.try_lock()
            })
        })
    }
}

/// Whether a deadline has passed, or may have by the exact time.
#[inline]
fn is_near(deadline: Option<u64>, now: Now) -> bool {
    deadline.is_some_and(|deadline| deadline <= now.unix_ms() + LAG_MAX_MS)
}

/// Milliseconds by which the time given may lag behind the exact one: ten times what a coarse clock
/// stands still on the slowest kernels.
pub const LAG_MAX_MS: u64 = 100;

/// One call of so many is measured: reading an exact clock twice takes as long as the call.
pub const SAMPLE: u64 = 64;

/// Tries to get a shard's lock; all of them take about a microsecond.
const SPINS: usize = 50;
