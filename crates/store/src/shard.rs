//! One shard: the unit of locking. It holds its part of every logical database and the timing
//! wheel for all of them.
//!
//! Every change of an entry goes through here, because three sums must follow it: the database's
//! volatile keys and deadlines, the bytes (`delta`, published to the global total when the lock is
//! given back), and the wheel. A mark in the wheel is 40 bits of the key's hash, the database's
//! identity and a one-byte stamp that the entry carries too: a mark whose stamp differs is stale.
//! Extending a deadline therefore touches only the entry; removal touches no wheel; shortening
//! arms one more mark under a new stamp. Stale marks are swept a few at a time once they outnumber
//! the volatile keys, so the wheel never holds more than about twice the marks it needs.
//! A second wheel does the same for hashes whose fields have deadlines (see `fields`).
//!
//! Rules: callers hold the shard's lock (they have `&mut Shard`). Neighbours: `view` for
//! commands, `expiry` for the wheel's turns, `eviction` for victims.

use pannier_collections::{NewPayload, Payload, Table, Wheel};

use crate::counters::Counters;
use crate::database::{Compression, Database};
use crate::events::{Event, class};
use crate::hash::{Key, KeyHasher};
use crate::interest::Interest;
use crate::keyspace::{Garbage, Reaper};
use crate::value::{ARMED, COMPRESSED, FORM, Item, Object, field_due, footprint};
use crate::{Now, Rules};

/// The wheel may hold this many stale marks before a sweep starts.
const STALE_SLACK: usize = 64;
/// Marks looked at by one step of the sweep.
pub(crate) const SWEEP_STEP: usize = 8;

/// What a shard has counted since the start.
#[derive(Clone, Copy, Debug, Default)]
pub struct ShardStats {
    /// Lookups by read commands that found the key.
    pub hits: u64,
    /// Lookups by read commands that did not.
    pub misses: u64,
    /// Keys removed because their deadline passed.
    pub expired: u64,
    /// Keys removed to make room.
    pub evicted: u64,
    /// Fields of hashes removed because their deadline passed.
    pub expired_fields: u64,
}

impl ShardStats {
    /// Hits, misses, keys expired, keys evicted, fields expired.
    pub const fn counts(self) -> [u64; 5] {
        [self.hits, self.misses, self.expired, self.evicted, self.expired_fields]
    }
}

/// A wheel's reference to an entry, in one word: the top 40 bits of the key's hash, which lead to
/// the entry's home bucket, 16 bits of the database's identity, 8 bits of stamp.
#[derive(Clone, Copy)]
pub(crate) struct Mark(u64);

/// Databases are numbered in 16 bits of a mark.
pub(crate) const DATABASES_MAX: usize = 1 << 16;

impl Mark {
    pub(crate) const fn new(hash: u64, id: u32, stamp: u8) -> Self {
        debug_assert!((id as usize) < DATABASES_MAX);
        Self(hash & HASH_BITS | (id as u64 & 0xFFFF) << 8 | stamp as u64)
    }

    /// The hash, as far as a table looks at it.
    pub(crate) const fn hash(self) -> u64 {
        self.0 & HASH_BITS
    }

    pub(crate) const fn stamp(self) -> u8 {
        self.0 as u8
    }

    pub(crate) const fn id(self) -> usize {
        (self.0 >> 8) as usize & 0xFFFF
    }

    /// Whether an entry is the one that was marked, and not marked anew since. Two hashes alike
    /// in 40 bits under one stamp make a mark speak of another entry; since what a mark causes is
    /// decided by the entry's own deadline, that is harmless.
    pub(crate) fn is_of(self, item: &Item, hasher: &KeyHasher) -> bool {
        item.flags() & ARMED != 0 && item.stamp() == self.0 as u8 && self.is_at(item, hasher)
    }

    /// Whether an entry lies where the mark says.
    pub(crate) fn is_at(self, item: &Item, hasher: &KeyHasher) -> bool {
        hasher.hash(item.key()) & HASH_BITS == self.hash()
    }
}

const HASH_BITS: u64 = !0 << (u64::BITS - Table::<Item>::POSITION_BITS);

/// How a key is looked up.
#[derive(Clone, Copy)]
pub(crate) struct Look {
    pub(crate) now: Now,
    pub(crate) rules: Rules,
    /// Whether the access clock moves.
    pub(crate) touch: bool,
}

/// An entry in its place, with the sums that follow its changes.
pub(crate) struct Slot<'s> {
    pub(crate) item: &'s mut Item,
    pub(crate) hash: u64,
    database: usize,
    pub(crate) id: u32,
    pub(crate) part: Sums<'s>,
    shard_volatile: &'s mut usize,
    pub(crate) shard_timed: &'s mut usize,
    pub(crate) delta: &'s mut isize,
    wheel: &'s mut Wheel<Mark>,
    pub(crate) field_wheel: &'s mut Wheel<Mark>,
    pub(crate) next_stamp: &'s mut u8,
    pub(crate) interest: &'s mut Interest,
    reaper: &'s Reaper,
    rng: &'s mut fastrand::Rng,
}

/// The sums of one database's part.
pub(crate) struct Sums<'s> {
    volatile: &'s mut usize,
    bytes: &'s mut isize,
    deadlines: &'s mut u128,
    pub(crate) timed: &'s mut usize,
    compression: &'s mut Compression,
}

impl<'s> Slot<'s> {
    /// Ends the look with the entry alone.
    #[inline]
    pub(crate) fn into_item(self) -> &'s mut Item {
        self.item
    }

    /// Moves the access clock, if the look is to.
    #[inline]
    pub(crate) fn touch(&mut self, look: Look) {
        if !look.touch {
            return;
        }
        let stamp = if look.rules.frequency {
            look.rules.touched(self.item.access(), look.now, self.rng)
        } else {
            look.rules.fresh(look.now)
        };
        self.item.set_access(stamp);
    }

    /// The entry has changed: whoever is interested in its key is told.
    #[inline]
    pub(crate) fn changed(&mut self) {
        if !self.interest.is_empty() {
            self.interest.changed(self.database, self.item.key());
        }
    }

    /// Those who wait for its key are to try again.
    pub(crate) fn wake(&mut self) {
        self.interest.waiting.changed(self.database, self.item.key());
    }

    /// Replaces the value.
    #[inline]
    pub(crate) fn replace(&mut self, payload: NewPayload<'_, Object>, form: u8) {
        if self.interest.kept.is_empty() && overwrite(self.item, &payload, form) {
            return;
        }
        let (before, due) = (footprint(self.item), field_due(self.item));
        self.part.compression.remove(self.item);
        self.keep_overwritten();
        let object = self.item.set_payload(payload);
        if let Some(object) = object
            && object.is_heavy()
        {
            (self.reaper)(Garbage::new(object));
        }
        self.item.set_flags(self.item.flags() & !FORM | form);
        self.part.compression.add(self.item);
        self.resized(before);
        if due.is_some() {
            self.fields_moved(due);
        }
    }

    /// Inflates the value if it is compressed. `resized` must follow.
    #[inline]
    pub(crate) fn inflate(&mut self) {
        self.part.compression.inflate(self.item);
    }

    /// The entry, whose footprint was `before`, has been changed.
    #[inline]
    pub(crate) fn resized(&mut self, before: usize) {
        let grown = footprint(self.item) as isize - before as isize;
        if grown != 0 {
            *self.part.bytes += grown;
            *self.delta += grown;
        }
    }

    /// Gives the entry another deadline, or none. `Shard::sweep` must follow.
    #[inline]
    pub(crate) fn set_deadline(&mut self, deadline: Option<u64>) {
        let old = self.item.deadline();
        if old != deadline {
            self.keep();
            self.move_deadline(old, deadline);
        }
    }

    fn move_deadline(&mut self, old: Option<u64>, deadline: Option<u64>) {
        let before = footprint(self.item);
        self.item.set_deadline(deadline);
        self.resized(before);
        let (gained, lost) = (usize::from(deadline.is_some()), usize::from(old.is_some()));
        *self.part.volatile = *self.part.volatile + gained - lost;
        *self.shard_volatile = *self.shard_volatile + gained - lost;
        *self.part.deadlines += u128::from(deadline.unwrap_or(0));
        *self.part.deadlines -= u128::from(old.unwrap_or(0));
        let covered = matches!((old, deadline), (Some(old), Some(new)) if new >= old);
        let armed = self.item.flags() & ARMED != 0;
        match deadline {
            None => self.item.set_flags(self.item.flags() & !ARMED),
            Some(_) if covered && armed => {}
            Some(deadline) => {
                let marks = self.wheel.footprint() as isize;
                let place = (self.id, self.hash);
                Shard::mark(self.wheel, self.next_stamp, place, deadline, self.item);
                *self.delta += self.wheel.footprint() as isize - marks;
            }
        }
    }
}

/// Writes a value over one of the same form and length, which changes no sum; false when it is not
/// so simple. No checkpoint may want the old one.
#[inline]
pub(crate) fn overwrite(item: &mut Item, payload: &NewPayload<'_, Object>, form: u8) -> bool {
    let NewPayload::Bytes(bytes) = payload else { return false };
    form & COMPRESSED == 0 && item.flags() & FORM == form && item.overwrite(bytes)
}

/// See the module's header.
pub(crate) struct Shard {
    pub(crate) databases: Vec<Database>,
    /// Identity to index, for marks.
    pub(crate) index_of_id: Vec<u32>,
    pub(crate) wheel: Wheel<Mark>,
    pub(crate) next_stamp: u8,
    /// Keys with a deadline, in all databases.
    pub(crate) volatile: usize,
    /// Marks of the hashes whose fields have deadlines: one for each, and stale ones.
    pub(crate) field_wheel: Wheel<Mark>,
    /// Keys with a field that has a deadline, in all databases.
    pub(crate) timed: usize,
    /// Growth in bytes since it was last added to the global total.
    pub(crate) delta: isize,
    pub(crate) stats: ShardStats,
    pub(crate) rng: fastrand::Rng,
    pub(crate) hasher: KeyHasher,
    pub(crate) interest: Interest,
    /// What has happened under the present lock.
    pub(crate) events: Vec<Event>,
    pub(crate) reaper: Reaper,
}

impl Shard {
    pub(crate) fn new(
        hasher: KeyHasher,
        seed: u64,
        now_ms: u64,
        (reaper, interest): (Reaper, Interest),
    ) -> Self {
        Self {
            databases: Vec::new(),
            index_of_id: Vec::new(),
            wheel: Wheel::new(now_ms),
            field_wheel: Wheel::new(now_ms),
            timed: 0,
            next_stamp: 0,
            volatile: 0,
            delta: 0,
            stats: ShardStats::default(),
            rng: fastrand::Rng::with_seed(seed),
            hasher,
            interest,
            events: Vec::new(),
            reaper,
        }
    }

    /// Makes sure that the database at `index` exists.
    pub(crate) fn touch_database(&mut self, index: usize) {
        while self.databases.len() <= index {
            let id = self.databases.len() as u32;
            self.databases.push(Database::new(id));
            self.index_of_id.push(id);
        }
    }

    pub(crate) fn swap_databases(&mut self, counters: &Counters, (a, b): (usize, usize), now: Now) {
        self.touch_database(a.max(b));
        for (own, other) in [(a, b), (b, a)] {
            for key in self.interest.keys(own) {
                let key = Key { hash: self.hasher.hash(&key), bytes: &key };
                // What has expired in the other database is gone, so it replaces nothing.
                let look = Look { now, touch: false, rules: Rules::default() };
                let replaced = self.find(counters, other, key, look).is_some();
                if replaced || self.holds(own, key.bytes) {
                    self.changed(own, key.bytes);
                }
            }
        }
        self.keep_order();
        self.databases.swap(a, b);
        let (id_a, id_b) = (self.databases[a].id, self.databases[b].id);
        self.index_of_id[id_a as usize] = a as u32;
        self.index_of_id[id_b as usize] = b as u32;
    }

    /// Whether a database has a key, expired or not.
    pub(crate) fn holds(&self, database: usize, key: &[u8]) -> bool {
        let hash = self.hasher.hash(key);
        let part = self.databases.get(database);
        part.is_some_and(|part| part.table.find(hash, |item| item.key() == key).is_some())
    }

    /// A key has changed: whoever is interested in it is told.
    #[inline]
    pub(crate) fn changed(&mut self, database: usize, key: &[u8]) {
        if !self.interest.is_empty() {
            self.interest.changed(database, key);
        }
    }

    /// The live entry of a key; one past its deadline is not found, and removed unless the rules
    /// keep it. With `touch` its access clock moves.
    #[inline]
    pub(crate) fn find(
        &mut self,
        counters: &Counters,
        database: usize,
        key: Key<'_>,
        look: Look,
    ) -> Option<Slot<'_>> {
        let part = self.databases.get(database)?;
        if part.volatile > 0 || part.timed > 0 {
            let item = part.table.find(key.hash, |item| item.key() == key.bytes)?;
            let now_ms = look.now.unix_ms();
            if item.deadline().is_some_and(|deadline| deadline <= now_ms) {
                self.expire_found(counters, database, key, look);
                return None;
            }
            if field_due(item).is_some_and(|due| due <= now_ms)
                && !self.fields_found(counters, database, key, look)
            {
                return None;
            }
        }
        let mut slot = self.slot(database, key.hash, |item| item.key() == key.bytes)?;
        slot.touch(look);
        Some(slot)
    }

    /// An entry in its place, expired or not.
    #[inline]
    pub(crate) fn slot(
        &mut self,
        database: usize,
        hash: u64,
        eq: impl FnMut(&Item) -> bool,
    ) -> Option<Slot<'_>> {
        let Database { id, table, volatile, deadlines, timed, bytes, compression } =
            self.databases.get_mut(database)?;
        Some(Slot {
            item: table.find_mut(hash, eq)?,
            hash,
            database,
            id: *id,
            part: Sums { volatile, bytes, deadlines, timed, compression },
            shard_volatile: &mut self.volatile,
            shard_timed: &mut self.timed,
            delta: &mut self.delta,
            wheel: &mut self.wheel,
            field_wheel: &mut self.field_wheel,
            next_stamp: &mut self.next_stamp,
            interest: &mut self.interest,
            reaper: &self.reaper,
            rng: &mut self.rng,
        })
    }

    /// A key whose deadline has passed was looked at.
    #[cold]
    fn expire_found(&mut self, counters: &Counters, database: usize, key: Key<'_>, look: Look) {
        if !look.rules.keep_expired {
            let before = self.interest.changes.len();
            self.discard(counters, database, key);
            self.interest.disown(before);
            self.stats.expired += 1;
            let wanted = counters.outbox.wanted();
            self.note(wanted, (class::EXPIRED, "expired"), (database, key.bytes));
        }
    }

    /// Puts in an item whose key is not present. `counted` says that a reservation covers it.
    pub(crate) fn insert(
        &mut self,
        counters: &Counters,
        database: usize,
        hash: u64,
        mut item: Item,
        counted: bool,
    ) {
        self.touch_database(database);
        self.keep_gap(database, hash, item.key());
        self.changed(database, item.key());
        if !counted {
            counters.add(database, 1);
        }
        item.set_flags(item.flags() & !ARMED);
        let id = self.databases[database].id;
        if let Some(deadline) = item.deadline() {
            self.arm(id, hash, deadline, &mut item);
            self.volatile += 1;
        }
        if let Some(due) = field_due(&item) {
            self.arm_fields(id, hash, due, &mut item);
            self.timed += 1;
        }
        let hasher = &self.hasher;
        self.delta += self.databases[database].insert(hash, item, |item| hasher.hash(item.key()));
        self.sweep();
    }

    /// Takes a key's item out, expired or not, to be put elsewhere.
    pub(crate) fn remove(
        &mut self,
        counters: &Counters,
        database: usize,
        key: Key<'_>,
    ) -> Option<Item> {
        let item = self.take_out(counters, database, key.hash, |item| item.key() == key.bytes)?;
        self.changed(database, item.key());
        Some(self.keep_moved(database, key.hash, item))
    }

    /// Removes a key's item for good, expired or not; false if there was none.
    pub(crate) fn discard(&mut self, counters: &Counters, database: usize, key: Key<'_>) -> bool {
        let eq = |item: &Item| item.key() == key.bytes;
        self.discard_where(counters, database, key.hash, eq, |_, _| {})
    }

    /// Removes an item for good, after `gone` was told of it; false if there was none.
    pub(crate) fn discard_where(
        &mut self,
        counters: &Counters,
        database: usize,
        hash: u64,
        eq: impl FnMut(&Item) -> bool,
        gone: impl FnOnce(&mut Self, &Item),
    ) -> bool {
        let Some(item) = self.take_out(counters, database, hash, eq) else { return false };
        self.changed(database, item.key());
        gone(self, &item);
        if let Some(item) = self.keep_removed(database, hash, item) {
            self.bury(item);
        }
        true
    }

    /// Takes an item out and does nothing else about it.
    pub(crate) fn take_out(
        &mut self,
        counters: &Counters,
        database: usize,
        hash: u64,
        eq: impl FnMut(&Item) -> bool,
    ) -> Option<Item> {
        let hasher = &self.hasher;
        let part = self.databases.get_mut(database)?;
        let (item, delta) = part.remove(hash, eq, |item| hasher.hash(item.key()))?;
        self.delta += delta;
        self.volatile -= usize::from(item.deadline().is_some());
        self.timed -= usize::from(field_due(&item).is_some());
        counters.release(database, 1);
        Some(item)
    }

    /// Frees an item that was taken out, elsewhere if that takes long.
    pub(crate) fn bury(&self, item: Item) {
        if matches!(item.payload(), Payload::Object(object) if object.is_heavy()) {
            (self.reaper)(Garbage::new(item));
        }
    }

    /// Arms a mark for an item that is not in the table yet.
    fn arm(&mut self, id: u32, hash: u64, deadline: u64, item: &mut Item) {
        let marks = self.wheel.footprint() as isize;
        Self::mark(&mut self.wheel, &mut self.next_stamp, (id, hash), deadline, item);
        self.delta += self.wheel.footprint() as isize - marks;
    }

    pub(crate) fn mark(
        wheel: &mut Wheel<Mark>,
        next_stamp: &mut u8,
        (id, hash): (u32, u64),
        deadline: u64,
        item: &mut Item,
    ) {
        *next_stamp = next_stamp.wrapping_add(1);
        item.set_stamp(*next_stamp);
        item.set_flags(item.flags() | ARMED);
        wheel.arm(deadline, Mark::new(hash, id, *next_stamp));
    }

    /// Bytes of both wheels.
    pub(crate) fn marks_footprint(&self) -> isize {
        (self.wheel.footprint() + self.field_wheel.footprint()) as isize
    }

    /// Bounds the stale marks: looks at a few marks when there are too many. To be called after
    /// whatever armed a mark or took a deadline away.
    #[inline]
    pub(crate) fn sweep(&mut self) {
        if self.wheel.len() > 2 * self.volatile + STALE_SLACK {
            self.sweep_some();
        }
        if self.field_wheel.len() > 2 * self.timed + STALE_SLACK {
            self.sweep_fields();
        }
    }

    #[cold]
    fn sweep_some(&mut self) {
        let Self { databases, index_of_id, wheel, hasher, .. } = self;
        let marks = wheel.footprint() as isize;
        wheel.sweep(SWEEP_STEP, |mark| {
            let part = &databases[index_of_id[mark.id()] as usize];
            part.table.find(mark.hash(), |item| mark.is_of(item, hasher)).is_some()
        });
        self.delta += self.wheel.footprint() as isize - marks;
    }

    /// A database chosen by its share of this shard's (volatile) keys.
    pub(crate) fn random_database(&mut self, volatile: bool) -> Option<usize> {
        let keys = |part: &Database| if volatile { part.volatile } else { part.table.len() };
        let total: usize = self.databases.iter().map(keys).sum();
        if total == 0 {
            return None;
        }
        let mut at = self.rng.usize(..total);
        self.databases.iter().position(|part| match at.checked_sub(keys(part)) {
            Some(rest) => {
                at = rest;
                false
            }
            None => true,
        })
    }

    /// A random entry of a database.
    pub(crate) fn sample(&mut self, database: usize) -> Option<&Item> {
        let part = self.databases.get(database)?;
        let rng = &mut self.rng;
        part.table.random(|| rng.u64(..))
    }
}
