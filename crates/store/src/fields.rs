//! Deadlines of hash fields, as a shard sees them: the marks, and the freeing of what is due.
//!
//! A hash knows its fields' deadlines itself (`types::hash::large`). The shard has a second wheel
//! with one mark for each such hash, armed for the first of its deadlines; the hash remembers for
//! which and under what stamp, so that a mark that speaks of an earlier state is known as stale.
//! Marks are made, swept and bounded as those of keys are (see `shard`). A hash all of whose fields
//! are due goes as a whole; otherwise a look or a turn of the wheel frees a bounded number of
//! fields, and those that are left are seen by nobody.
//!
//! Rules: whatever may change a deadline of a field is followed by `Slot::fields_moved`.
//! Neighbours: `shard` for keys, `expiry` for the wheel's turns. Tests: `tests/hash.rs`.

use pannier_collections::Wheel;

use crate::counters::Counters;
use crate::events::class;
use crate::hash::{Key, KeyHasher};
use crate::shard::{Look, Mark, SWEEP_STEP, Shard, Slot};
use crate::types::LargeHash;
use crate::value::{Item, Object, field_due, footprint, is_live, large_hash};

/// Due fields that a look at their hash frees at once: some twenty microseconds.
const PURGED_BY_LOOK: usize = 128;

impl Mark {
    /// The same of a mark for the fields of a hash, which remembers the stamp itself.
    pub(crate) fn is_of_fields(self, item: &Item, hasher: &KeyHasher) -> bool {
        large_hash(item).and_then(LargeHash::mark).is_some_and(|(_, stamp)| stamp == self.stamp())
            && self.is_at(item, hasher)
    }
}

impl Slot<'_> {
    /// The deadlines of the value's fields, the first of which was `due`, may have changed: the
    /// counts follow, and the wheel. Returns the deadline for which a mark was armed.
    pub(crate) fn fields_moved(&mut self, due: Option<u64>) -> Option<u64> {
        let now_due = field_due(self.item);
        let (gained, lost) = (usize::from(now_due.is_some()), usize::from(due.is_some()));
        *self.part.timed = *self.part.timed + gained - lost;
        *self.shard_timed = *self.shard_timed + gained - lost;
        let Some(Object::Hash(hash)) = self.item.object_mut() else { return None };
        let Some(deadline) = now_due else {
            hash.set_mark(None);
            return None;
        };
        if hash.mark().is_some_and(|(armed, _)| armed <= deadline) {
            return None;
        }
        let marks = self.field_wheel.footprint() as isize;
        let place = (self.id, self.hash);
        Shard::mark_fields(self.field_wheel, self.next_stamp, place, deadline, hash);
        *self.delta += self.field_wheel.footprint() as isize - marks;
        Some(deadline)
    }

    /// Frees up to `budget` fields that are due; returns how many. Their mark, if there was one,
    /// has come when `mark_came` says so.
    pub(crate) fn purge(&mut self, now_ms: u64, budget: usize, mark_came: bool) -> usize {
        if field_due(self.item).is_some_and(|due| due <= now_ms) {
            self.keep();
        }
        let (before, due) = (footprint(self.item), field_due(self.item));
        let Some(Object::Hash(hash)) = self.item.object_mut() else { return 0 };
        if mark_came {
            hash.set_mark(None);
        }
        let purged = hash.purge(now_ms, budget);
        self.resized(before);
        self.fields_moved(due);
        if purged > 0 {
            self.changed();
        }
        purged
    }
}

impl Shard {
    /// A hash with due fields was looked at: they are freed, a bounded number of them at once.
    /// False when the key is gone with them.
    #[cold]
    pub(crate) fn fields_found(
        &mut self,
        counters: &Counters,
        database: usize,
        key: Key<'_>,
        look: Look,
    ) -> bool {
        let now_ms = look.now.unix_ms();
        let is_it = |item: &Item| item.key() == key.bytes;
        if look.rules.keep_expired {
            let part = &self.databases[database];
            return part.table.find(key.hash, is_it).is_some_and(|item| is_live(item, now_ms));
        }
        let budget = PURGED_BY_LOOK;
        let before = self.interest.changes.len();
        self.purge_fields(counters, (database, key.hash), is_it, (now_ms, budget, false));
        self.interest.disown(before);
        self.sweep();
        self.holds(database, key.bytes)
    }

    /// Frees up to `budget` due fields of a hash, and the key when all are due; returns how many
    /// steps of the budget that took.
    pub(crate) fn purge_fields(
        &mut self,
        counters: &Counters,
        (database, hash): (usize, u64),
        is_it: impl Fn(&Item) -> bool,
        (now_ms, budget, mark_came): (u64, usize, bool),
    ) -> usize {
        let wanted = counters.outbox.wanted();
        let Some(mut slot) = self.slot(database, hash, &is_it) else { return 0 };
        let Some(held) = large_hash(slot.item) else { return 0 };
        if !held.is_dead(now_ms) {
            let purged = slot.purge(now_ms, budget, mark_came);
            let told = purged > 0 && wanted & class::HASH != 0;
            let key = told.then(|| slot.item.key().to_vec());
            self.stats.expired_fields += purged as u64;
            if let Some(key) = key {
                self.note(wanted, (class::HASH, "hexpired"), (database, &key));
            }
            return purged;
        }
        self.stats.expired_fields += held.len() as u64;
        self.discard_where(counters, database, hash, is_it, |shard, item| {
            shard.note(wanted, (class::HASH, "hexpired"), (database, item.key()));
            shard.note(wanted, (class::GENERIC, "del"), (database, item.key()));
        });
        1
    }

    /// Arms a mark for the fields of an item that is not in the table yet.
    #[cold]
    pub(crate) fn arm_fields(&mut self, id: u32, hash: u64, due: u64, item: &mut Item) {
        if let Some(Object::Hash(large)) = item.object_mut() {
            let marks = self.field_wheel.footprint() as isize;
            let wheel = &mut self.field_wheel;
            Self::mark_fields(wheel, &mut self.next_stamp, (id, hash), due, large);
            self.delta += self.field_wheel.footprint() as isize - marks;
        }
    }

    pub(crate) fn mark_fields(
        wheel: &mut Wheel<Mark>,
        next_stamp: &mut u8,
        (id, hash): (u32, u64),
        due: u64,
        large: &mut LargeHash,
    ) {
        *next_stamp = next_stamp.wrapping_add(1);
        large.set_mark(Some((due, *next_stamp)));
        wheel.arm(due, Mark::new(hash, id, *next_stamp));
    }

    #[cold]
    pub(crate) fn sweep_fields(&mut self) {
        let Self { databases, index_of_id, field_wheel, hasher, .. } = self;
        let marks = field_wheel.footprint() as isize;
        field_wheel.sweep(SWEEP_STEP, |mark| {
            let part = &databases[index_of_id[mark.id()] as usize];
            part.table.find(mark.hash(), |item| mark.is_of_fields(item, hasher)).is_some()
        });
        self.delta += self.field_wheel.footprint() as isize - marks;
    }
}
