//! One string read or written, past the `View`: for calls that cost less than opening one.
//!
//! A call from inside the process knows its command and its one key, and takes 80 ns of which a
//! view, which can hold many shards, events and reservations, would be a third. So there are two
//! functions that do in one shard what `View::string` and `View::set` do for the common case. A
//! write locks its shard; a read passes by the lock where many read (`BiasedLocks`), so that
//! threads which read get into each other's way no more than their keys do. A value that is as
//! long as the one before, the commonest of all writes, is written over it.
//! Everything else they decline before they have changed or counted anything, and the caller
//! takes the general way: a key near its deadline, another type, a compressed value, an event that
//! somebody wants to hear, a key that anybody watches, waits for or may have cached, a limit in
//! entries that a new key would have to respect, a shard that is held by somebody else.
//!
//! Rules: an entry is changed through `Slot` and `Shard` alone, as everywhere, so that sums, marks,
//! garbage and checkpoints follow. The time may be a coarse one: a key that might have expired by
//! the exact time is declined, too. What was done is counted in a [`Tally`], which has one writer
//! at a time: whoever has the shard's lock, or the slot in which a thread reads past it.
//! Neighbours: `view` is the general way; the engine's `direct` says when this one may be taken.
//! Tests: `tests/direct.rs` of the crate `pannier`, which compares both ways.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use pannier_collections::{Entry, NewPayload};
use pannier_lock::MutexGuard;

use crate::events::class;
use crate::hash::Key;
use crate::keyspace::{Keyspace, Shards};
use crate::shard::{Look, Shard, overwrite};
use crate::value::{NewValue, Object, Str};
use crate::{Now, Rules};

/// What was served directly: under one shard's lock, or past the locks by the threads of one slot.
#[derive(Default)]
pub struct Tally {
    /// Reads.
    pub gets: Count,
    /// Writes.
    pub sets: Count,
    /// Reads that found no key.
    pub(crate) misses: AtomicU64,
}

/// All tallies of a keyspace.
#[derive(Clone)]
pub struct Tallies(Arc<Shards>);

impl Tallies {
    /// Each tally once.
    pub fn iter(&self) -> impl Iterator<Item = &Tally> {
        let (shards, slots) = self.0.sides();
        shards.chain(slots)
    }
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

    /// Counts a call, whose time is known if it was measured; the tally is the caller's.
    #[inline]
    fn add(&self, us: Option<u64>) {
        self.calls.store(self.calls() + 1, Relaxed);
        if let Some(us) = us {
            self.us.store(self.us() + us * SAMPLE, Relaxed);
        }
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
    /// What was done directly.
    pub fn tallies(&self) -> Tallies {
        Tallies(Arc::clone(&self.shards))
    }

    /// Reads a string as `View::string` does; `None` when it must be read the general way. `read`
    /// is handed the value, or nothing when there is no key, and may decline as well. It runs
    /// under the shard's lock, or keeps those waiting who want it. `clock` reads microseconds.
    #[inline]
    pub fn get_directly<R>(
        &self,
        place: Place<'_>,
        clock: impl Fn() -> u64,
        read: impl FnOnce(Option<Str<'_>>) -> Option<R>,
    ) -> Option<R> {
        let index = self.shard_of(place.key.hash);
        let Place { now, rules, .. } = place;
        if rules.frequency {
            // Frequencies are drawn by the shard's own generator.
            let mut guard = self.lock_at_once(index)?;
            let mut rng = std::mem::replace(&mut guard.rng, fastrand::Rng::with_seed(0));
            let access = |access| rules.touched(access, now, &mut rng);
            let done = self.read_in((&guard, self.shards.head(index)), place, access, clock, read);
            guard.rng = rng;
            return done;
        }
        let access = |_| rules.fresh(now);
        if let Some(shard) = self.shards.read(index) {
            return self.read_in((&shard, shard.local()), place, access, clock, read);
        }
        let guard = self.lock_at_once(index)?;
        self.shards.note_read(index, &guard);
        self.read_in((&guard, self.shards.head(index)), place, access, clock, read)
    }

    #[inline]
    fn read_in<R>(
        &self,
        (shard, tally): (&Shard, &Tally),
        place: Place<'_>,
        access: impl FnOnce(u32) -> u32,
        clock: impl Fn() -> u64,
        read: impl FnOnce(Option<Str<'_>>) -> Option<R>,
    ) -> Option<R> {
        let started = tally.gets.is_due().then(&clock);
        let Place { database, key, now, .. } = place;
        let part = shard.databases.get(database);
        let done =
            match part.and_then(|part| part.table.find(key.hash, |item| item.key() == key.bytes)) {
                None if self.counters.outbox.wanted() & class::MISS != 0 => return None,
                None => {
                    let done = read(None)?;
                    tally.misses.store(tally.misses.load(Relaxed) + 1, Relaxed);
                    done
                }
                Some(item) if is_near(item.deadline(), now) => return None,
                Some(item) => {
                    let done = match Str::of(item) {
                        Err(_) | Ok(Str::Compressed(_)) => return None,
                        Ok(string) => read(Some(string))?,
                    };
                    item.touch(access(item.access()));
                    done
                }
            };
        tally.gets.add(started.map(|started| clock().saturating_sub(started)));
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
        let mut guard = self.lock_at_once(index)?;
        let shard = &mut *guard;
        if !shard.interest.is_empty() {
            return None;
        }
        // Not looked at before the lock is taken: that would fetch their line twice.
        let count = &self.shards.head(index).sets;
        let started = count.is_due().then(&clock);
        let Place { database, key, now, rules } = place;
        let look = Look { now, rules, touch: true };
        let (payload, form) = value.into_payload();
        if deadline.is_none() && overwrite_in(shard, place, &payload, form) {
            count.add(started.map(|started| clock().saturating_sub(started)));
            return Some(false);
        }
        match shard.slot(database, key.hash, |item| item.key() == key.bytes) {
            None if self.has_entry_limit() => return None,
            None => {
                let mut item = Entry::new(key.bytes, payload, deadline);
                item.set_flags(form);
                item.set_access(rules.fresh(now));
                shard.insert(&self.counters, database, key.hash, item, false);
            }
            Some(slot) if is_near(slot.item.deadline(), now) || Str::of(slot.item).is_err() => {
                return None;
            }
            Some(mut slot) => {
                slot.replace(payload, form);
                slot.touch(look);
                slot.set_deadline(deadline);
                shard.sweep();
            }
        }
        self.publish(shard);
        count.add(started.map(|started| clock().saturating_sub(started)));
        drop(guard);
        Some(deadline.is_some_and(|deadline| self.note_deadline(deadline)))
    }

    /// Locks a shard that nobody holds for longer than a direct call does.
    #[inline]
    fn lock_at_once(&self, index: usize) -> Option<MutexGuard<'_, Shard>> {
        self.shards.try_lock(index).or_else(|| {
            (0..SPINS).find_map(|_| {
                std::hint::spin_loop();
                self.shards.try_lock(index)
            })
        })
    }
}

/// Stores a value over one of the same form and length that has no deadline, which changes nothing
/// but the entry; false when it is not so simple.
#[inline]
fn overwrite_in(
    shard: &mut Shard,
    Place { database, key, now, rules }: Place<'_>,
    payload: &NewPayload<'_, Object>,
    form: u8,
) -> bool {
    if rules.frequency || !shard.interest.kept.is_empty() {
        return false;
    }
    let Some(part) = shard.databases.get_mut(database) else { return false };
    let found = part.table.find_mut(key.hash, |item| item.key() == key.bytes);
    let Some(item) = found.filter(|item| item.deadline().is_none()) else { return false };
    let written = overwrite(item, payload, form);
    if written {
        item.set_access(rules.fresh(now));
    }
    written
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
