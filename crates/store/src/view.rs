//! The door to the data: the shards that a command's keys live in, locked, and every way to read
//! or change an entry.
//!
//! A [`View`] is made by [`Keyspace::open`] from the command's keys: it takes the locks it needs
//! in ascending order and gives them back when dropped. Handlers get it ready-made and never lock.
//! Looking a key up removes it first if its deadline has passed, so nothing expired is ever seen.
//! Each lookup names its side effects:
//!
//! | method | hit or miss counted | access clock moved |
//! |---|---|---|
//! | `read`, `string`, `read_as` | yes | yes |
//! | `look`, `inspect` | yes | no |
//! | `peek` | no | no |
//! | `look_to_write`, `edit`, `set`, `change` | no | yes |
//! | `again` | no | no |
//!
//! Rules: a key outside the opened shards is a bug in the command's row and panics. Changes count
//! into `dirty`, from which the caller's `settle` works. Events are recorded (`events`), and handed
//! over with the locks.

mod checkpoint;
mod nested;
mod whole;

use std::sync::atomic::Ordering::Relaxed;

use pannier_collections::{Entry, NewPayload, Payload};

pub use self::nested::Nested;
use crate::edit::Edit;
use crate::events::{Classes, Event, class};
use crate::found::Found;
use crate::guards::{Guards, OpenShards, opened};
use crate::hash::Key;
use crate::interest::{Change, Watcher};
use crate::keyspace::Keyspace;
use crate::shard::{Look, Shard, Slot};
use crate::types::{self, Changes, Collection, Limits, Opened};
use crate::value::{self, FORM, Item, Kind, NewValue, Str, WrongType};
use crate::{Now, Rules};

/// Which shards a command needs.
#[derive(Clone, Copy, Debug)]
pub enum Open<'a> {
    /// None: the command touches no key.
    Nothing,
    /// Those of these keys.
    Keys(&'a [Key<'a>]),
    /// Every shard.
    All,
}

/// What a write does to the deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deadline {
    /// Leaves it as it is.
    Keep,
    /// Removes it.
    Clear,
    /// Sets it, in Unix milliseconds.
    At(u64),
}

impl Deadline {
    /// The deadline that it sets, if it does.
    pub(crate) fn at(self) -> Option<u64> {
        match self {
            Self::At(at) => Some(at),
            Self::Keep | Self::Clear => None,
        }
    }
}

/// Opened keys. See the module's header.
pub struct View<'k> {
    pub(crate) keyspace: &'k Keyspace,
    /// Bit `i` says that shard `i` is locked; guards lie in ascending order.
    pub(crate) mask: u64,
    pub(crate) guards: Guards<'k>,
    now: Now,
    rules: Rules,
    /// Room reserved for keys that may be created: by database, how many.
    reserved: Vec<(usize, usize)>,
    dirty: u64,
    sooner: bool,
    /// The classes of events that somebody wants.
    pub(crate) wanted: Classes,
    pub(crate) events: Vec<Event>,
    pub(crate) changes: Vec<Change>,
    /// The session that changes keys here; 0 for none.
    pub(crate) origin: u64,
    /// The last collection that was opened for change was empty afterwards.
    pub(crate) emptied: bool,
    /// Lookups counted; the shards' sums follow when the locks are given back.
    pub(crate) hits: u64,
    pub(crate) misses: u64,
}

/// An entry outside the keyspace: taken out of it to be put back under another name or database,
/// or newly made (see `maker`).
pub struct Taken(pub(crate) Item);

impl Keyspace {
    /// Locks the shards that `open` names, in ascending order, and waits for them.
    pub fn open(&self, open: Open<'_>, now: Now, rules: Rules) -> View<'_> {
        loop {
            if let Some(view) = self.try_open(open, now, rules) {
                return view;
            }
        }
    }

    /// Locks the shards that `open` names, in ascending order; `None` when they are not to be
    /// waited for (see [`Keyspace::set_stuck`]).
    pub fn try_open(&self, open: Open<'_>, now: Now, rules: Rules) -> Option<View<'_>> {
        let mask = match open {
            Open::Nothing => 0,
            Open::Keys(keys) => {
                keys.iter().fold(0, |mask, key| mask | 1u64 << self.shard_of(key.hash))
            }
            Open::All => u64::MAX >> (64 - self.shards.len()),
        };
        View::lock(self, mask, now, rules)
    }
}

impl<'k> View<'k> {
    /// Locks the shards of a mask; `None` when they are not to be waited for.
    pub(crate) fn lock(keyspace: &'k Keyspace, mask: u64, now: Now, rules: Rules) -> Option<Self> {
        let guards = Guards::lock(keyspace, mask)?;
        Some(Self {
            keyspace,
            mask,
            guards,
            now,
            rules,
            reserved: Vec::new(),
            dirty: 0,
            sooner: false,
            wanted: keyspace.counters.outbox.wanted(),
            events: Vec::new(),
            changes: Vec::new(),
            origin: 0,
            emptied: false,
            hits: 0,
            misses: 0,
        })
    }

    /// Hashes a key of this keyspace.
    pub fn key<'a>(&self, bytes: &'a [u8]) -> Key<'a> {
        self.keyspace.key(bytes)
    }

    /// How many entries of a database there is room reserved for.
    pub fn reserved(&self, database: usize) -> usize {
        let own = self.reserved.iter().filter(|(at, _)| *at == database);
        own.map(|(_, left)| left).sum()
    }

    /// The time that this command sees.
    pub fn now(&self) -> Now {
        self.now
    }

    /// What follows sees a later time.
    pub fn advance(&mut self, now: Now) {
        self.now = now;
    }

    /// Changes made so far, in Redis's count.
    pub fn dirty(&self) -> u64 {
        self.dirty
    }

    /// Whether a deadline was armed that is earlier than every known one.
    pub fn sooner(&self) -> bool {
        self.sooner
    }

    #[inline]
    pub(crate) fn shard(&mut self, key: Key<'_>) -> &mut Shard {
        opened(self.keyspace, self.mask, &mut self.guards, key)
    }

    /// The shard of a key, to be read.
    #[inline]
    pub(crate) fn shard_of(&self, key: Key<'_>) -> &Shard {
        let bit = 1u64 << self.keyspace.shard_of(key.hash);
        assert!(self.mask & bit != 0, "a key outside the command's key positions was touched");
        self.guards.at((self.mask & (bit - 1)).count_ones() as usize)
    }

    fn look_with(&self, touch: bool) -> Look {
        Look { now: self.now, rules: self.rules, touch }
    }

    /// How access clocks are recorded.
    pub(crate) fn rules(&self) -> Rules {
        self.rules
    }

    /// Number of shards.
    pub(crate) fn shards(&self) -> usize {
        self.keyspace.shards.len()
    }

    /// Hands one shard over: the one that is open, or one locked for the moment. A view that
    /// holds some shards but not all may not ask for another: that could lock out of order.
    pub(crate) fn with_shard<R>(&mut self, index: usize, work: impl FnOnce(&mut Shard) -> R) -> R {
        let bit = 1u64 << index;
        if self.mask & bit != 0 {
            let at = (self.mask & (bit - 1)).count_ones() as usize;
            return work(self.guards.at_mut(at));
        }
        debug_assert_eq!(self.mask, 0, "a shard was locked while others were held");
        let mut shard = self.keyspace.shards.lock(index);
        let result = work(&mut shard);
        self.events.append(&mut shard.events);
        self.changes.append(&mut shard.interest.changes);
        self.keyspace.publish(&mut shard);
        result
    }

    /// Registers a watcher's interest in a key.
    pub fn watch(&mut self, database: usize, key: Key<'_>, watcher: &Watcher) {
        // A key whose deadline has passed is not there: its removal is no change.
        self.find(database, key, false);
        self.shard(key).interest.watch(database, key.bytes, watcher);
    }

    #[inline]
    fn find(&mut self, database: usize, key: Key<'_>, touch: bool) -> Option<Slot<'_>> {
        let look = self.look_with(touch);
        let counters = &self.keyspace.counters;
        self.shard(key).find(counters, database, key, look)
    }

    /// Finds, and counts a hit or a miss.
    #[inline]
    fn find_counted(&mut self, database: usize, key: Key<'_>, touch: bool) -> Option<Slot<'_>> {
        if self.wanted & class::MISS != 0 && !self.contains(database, key) {
            self.note(class::MISS, "keymiss", database, key);
        }
        self.find_quietly(database, key, touch)
    }

    /// The same; nobody is told of a miss.
    #[inline]
    fn find_quietly(&mut self, database: usize, key: Key<'_>, touch: bool) -> Option<Slot<'_>> {
        let look = self.look_with(touch);
        let Self { keyspace, mask, guards, hits, misses, .. } = self;
        let shard = opened(keyspace, *mask, guards, key);
        let slot = shard.find(&keyspace.counters, database, key, look);
        *(if slot.is_some() { hits } else { misses }) += 1;
        slot
    }

    /// Looks a key up as a read command does: counted, and its access clock moves.
    #[inline]
    pub fn read(&mut self, database: usize, key: Key<'_>) -> Option<Found<'_>> {
        let (now, rules) = (self.now, self.rules);
        let slot = self.find_counted(database, key, rules.touch)?;
        Some(Found { item: slot.into_item(), now, rules })
    }

    /// Moves the access clock of a live key, whatever the session's rules; false without one.
    pub fn touch(&mut self, database: usize, key: Key<'_>) -> bool {
        self.find_counted(database, key, true).is_some()
    }

    /// Looks a key up, counted, without moving its access clock.
    pub fn look(&mut self, database: usize, key: Key<'_>) -> Option<Found<'_>> {
        let (now, rules) = (self.now, self.rules);
        let slot = self.find_counted(database, key, false)?;
        Some(Found { item: slot.into_item(), now, rules })
    }

    /// The same; nobody is told of a miss.
    pub fn inspect(&mut self, database: usize, key: Key<'_>) -> Option<Found<'_>> {
        let (now, rules) = (self.now, self.rules);
        let slot = self.find_quietly(database, key, false)?;
        Some(Found { item: slot.into_item(), now, rules })
    }

    /// Looks a key up without any trace.
    pub fn peek(&mut self, database: usize, key: Key<'_>) -> Option<Found<'_>> {
        let (now, rules) = (self.now, self.rules);
        let slot = self.find(database, key, false)?;
        Some(Found { item: slot.into_item(), now, rules })
    }

    /// Looks a key up as a command does that may write it: its access clock moves.
    pub fn look_to_write(&mut self, database: usize, key: Key<'_>) -> Option<Found<'_>> {
        let (now, rules) = (self.now, self.rules);
        let slot = self.find(database, key, rules.touch)?;
        Some(Found { item: slot.into_item(), now, rules })
    }

    /// Whether a live key is there, without any trace.
    pub fn contains(&mut self, database: usize, key: Key<'_>) -> bool {
        self.find(database, key, false).is_some()
    }

    /// Reads a string (see `read`).
    ///
    /// # Errors
    /// [`WrongType`] when the key holds another type.
    pub fn string(&mut self, database: usize, key: Key<'_>) -> Result<Option<Str<'_>>, WrongType> {
        match self.read(database, key) {
            None => Ok(None),
            Some(found) => Str::of(found.item).map(Some),
        }
    }

    /// Reads a collection (see `read`).
    ///
    /// # Errors
    /// [`WrongType`] when the key holds another type.
    pub fn read_as<T: Collection>(
        &mut self,
        database: usize,
        key: Key<'_>,
    ) -> Result<Option<T::Ref<'_>>, WrongType> {
        match self.read(database, key) {
            None => Ok(None),
            Some(found) => types::read::<T>(found).map(Some),
        }
    }

    /// The entry of a key that a lookup has found before: for commands that work on several
    /// collections at once. Nothing is counted, touched or removed.
    pub fn again(&self, database: usize, key: Key<'_>) -> Option<Found<'_>> {
        let table = &self.shard_of(key).databases.get(database)?.table;
        let item = table.find(key.hash, |item| item.key() == key.bytes)?;
        let live = value::is_live(item, self.now.unix_ms());
        live.then_some(Found { item, now: self.now, rules: self.rules })
    }

    /// Opens a collection for change, creating an empty one first if the key is missing and
    /// `create` says so; `None` when there is nothing to open. Its access clock moves. The key goes
    /// when the collection is empty afterwards.
    ///
    /// # Errors
    /// [`WrongType`] when the key holds another type.
    pub fn change<T: Collection, R>(
        &mut self,
        database: usize,
        key: Key<'_>,
        (limits, create): (&Limits, bool),
        work: impl FnOnce(&mut T::Mut<'_>) -> R,
    ) -> Result<Option<R>, WrongType> {
        let look = self.look_with(self.rules.touch);
        self.emptied = false;
        let (keyspace, now_ms) = (self.keyspace, self.now.unix_ms());
        let hasher = &keyspace.hasher;
        let mut changes = Changes::default();
        let shard = opened(keyspace, self.mask, &mut self.guards, key);
        shard.keep_before(database, key, |item| types::kind(item) == T::KIND);
        let Some(mut slot) = shard.find(&keyspace.counters, database, key, look) else {
            if !create {
                return Ok(None);
            }
            let mut item = types::new_item::<T>(key.bytes);
            item.set_access(self.rules.fresh(self.now));
            let (item_mut, changes_mut) = (&mut item, &mut changes);
            let opened = Opened { item: item_mut, limits, hasher, changes: changes_mut, now_ms };
            let result = work(&mut T::open(opened));
            self.dirty += changes.count;
            shard.stats.expired_fields += changes.expired_fields;
            if !types::is_empty(&item) {
                self.insert(database, key, item);
            }
            return Ok(Some(result));
        };
        if types::kind(slot.item) != T::KIND {
            return Err(WrongType);
        }
        let (before, due) = (value::footprint(slot.item), value::field_due(slot.item));
        let (item, changes_mut) = (&mut *slot.item, &mut changes);
        let opened = Opened { item, limits, hasher, changes: changes_mut, now_ms };
        let result = work(&mut T::open(opened));
        slot.resized(before);
        let armed = if T::KIND == Kind::Hash { slot.fields_moved(due) } else { None };
        if changes.told {
            slot.changed();
        } else if changes.wakes {
            slot.wake();
        }
        if changes.discarded || types::is_empty(slot.item) {
            shard.discard(&keyspace.counters, database, key);
            self.emptied = true;
        }
        self.dirty += changes.count;
        shard.stats.expired_fields += changes.expired_fields;
        if due.is_some() || armed.is_some() {
            shard.sweep();
        }
        if let Some(deadline) = armed {
            self.sooner |= keyspace.note_deadline(deadline);
        }
        Ok(Some(result))
    }

    /// Makes a collection beside the keyspace, from what `work` reads by `again`, to be `put`
    /// under its key. `None` when it stays empty.
    pub fn make<T: Collection>(
        &self,
        key: Key<'_>,
        limits: &Limits,
        work: impl FnOnce(&mut T::Mut<'_>),
    ) -> Option<Taken> {
        let mut item = types::new_item::<T>(key.bytes);
        item.set_access(self.rules.fresh(self.now));
        let (hasher, now_ms) = (&self.keyspace.hasher, self.now.unix_ms());
        let changes = &mut Changes::default();
        work(&mut T::open(Opened { item: &mut item, limits, hasher, changes, now_ms }));
        (!types::is_empty(&item)).then_some(Taken(item))
    }

    /// A generator for one command's random choices, drawn from the one of the key's shard.
    pub fn rng(&mut self, key: Key<'_>) -> fastrand::Rng {
        self.shard(key).rng.fork()
    }

    /// Opens a live string for change in place; its access clock moves. A compressed string is
    /// inflated here, and stays so.
    ///
    /// # Errors
    /// [`WrongType`] when the key holds another type.
    pub fn edit(&mut self, database: usize, key: Key<'_>) -> Result<Option<Edit<'_>>, WrongType> {
        let look = self.look_with(self.rules.touch);
        let Self { keyspace, mask, guards, dirty, .. } = self;
        let shard = opened(keyspace, *mask, guards, key);
        shard.keep_before(database, key, |item| Str::of(item).is_ok());
        let Some(slot) = shard.find(&keyspace.counters, database, key, look) else {
            return Ok(None);
        };
        Str::of(slot.item)?;
        Ok(Some(Edit::new(slot, dirty)))
    }

    /// Stores a string under a key, over whatever was there.
    pub fn set(&mut self, database: usize, key: Key<'_>, value: NewValue<'_>, deadline: Deadline) {
        self.dirty += 1;
        let (payload, form) = value.into_payload();
        let look = self.look_with(self.rules.touch);
        let Some(mut slot) = self.find(database, key, false) else {
            let mut item = Entry::new(key.bytes, payload, deadline.at());
            item.set_flags(form);
            item.set_access(self.rules.fresh(self.now));
            self.insert(database, key, item);
            return;
        };
        slot.changed();
        slot.replace(payload, form);
        slot.touch(look);
        match deadline {
            Deadline::Keep => return,
            Deadline::Clear => slot.set_deadline(None),
            Deadline::At(at) => slot.set_deadline(Some(at)),
        }
        self.deadline_set(key, deadline.at());
    }

    /// Gives a live key another deadline (Unix milliseconds), or none; false if there is no key.
    pub fn set_deadline(&mut self, database: usize, key: Key<'_>, deadline: Option<u64>) -> bool {
        let Some(mut slot) = self.find(database, key, false) else { return false };
        slot.changed();
        slot.set_deadline(deadline);
        self.deadline_set(key, deadline);
        self.dirty += 1;
        true
    }

    /// What follows when a key's deadline was set or taken away.
    #[inline]
    fn deadline_set(&mut self, key: Key<'_>, deadline: Option<u64>) {
        self.shard(key).sweep();
        if let Some(deadline) = deadline {
            self.sooner |= self.keyspace.note_deadline(deadline);
        }
    }

    fn insert(&mut self, database: usize, key: Key<'_>, item: Item) {
        let deadlines = item.deadline().into_iter().chain(value::field_due(&item));
        let deadline = deadlines.min();
        let room = self.reserved.iter_mut().find(|(at, left)| *at == database && *left > 0);
        let counted = room.is_some();
        if let Some((_, left)) = room {
            *left -= 1;
        }
        let counters = &self.keyspace.counters;
        if self.rules.keep_expired {
            // What has expired may still be there, unseen.
            self.shard(key).discard(counters, database, key);
        }
        self.shard(key).insert(counters, database, key.hash, item, counted);
        self.note(class::NEW, "new", database, key);
        if let Some(deadline) = deadline {
            self.sooner |= self.keyspace.note_deadline(deadline);
        }
    }

    /// Removes a live key; false if there was none.
    pub fn remove(&mut self, database: usize, key: Key<'_>) -> bool {
        if self.find(database, key, false).is_none() {
            return false;
        }
        let counters = &self.keyspace.counters;
        self.shard(key).discard(counters, database, key);
        self.dirty += 1;
        true
    }

    /// Removes a live key because its new deadline has passed already; false if there was none.
    pub fn expire(&mut self, database: usize, key: Key<'_>) -> bool {
        let removed = self.remove(database, key);
        self.shard(key).stats.expired += u64::from(removed);
        removed
    }

    /// Takes a live entry out, to be put elsewhere (which is what counts as the change).
    pub fn take(&mut self, database: usize, key: Key<'_>) -> Option<Taken> {
        self.find(database, key, false)?;
        let counters = &self.keyspace.counters;
        self.shard(key).remove(counters, database, key).map(Taken)
    }

    /// A copy of a live entry, its deadline included.
    pub fn copy(&mut self, database: usize, key: Key<'_>) -> Option<Taken> {
        let item = self.find(database, key, false)?.into_item();
        let payload = match item.payload() {
            Payload::Int(n) => NewPayload::Int(n),
            Payload::Bytes(bytes) => NewPayload::Bytes(bytes),
            Payload::Object(object) => NewPayload::Object(object.clone()),
        };
        let mut copy = Entry::new(item.key(), payload, item.deadline());
        copy.set_access(item.access());
        copy.set_flags(item.flags() & FORM);
        Some(Taken(copy))
    }

    /// Puts a taken entry in under a key, over whatever was there.
    pub fn put(&mut self, database: usize, key: Key<'_>, taken: Taken) {
        self.put_elements(database, key, taken, 1);
    }

    /// The same for a collection that counts as a change for each of its elements.
    pub fn put_elements(&mut self, database: usize, key: Key<'_>, taken: Taken, elements: usize) {
        let Taken(mut item) = taken;
        self.dirty += elements as u64;
        let counters = &self.keyspace.counters;
        let wanted = self.wanted;
        if self.shard(key).discard(counters, database, key) {
            // A key that is overwritten is not new.
            self.wanted &= !class::NEW;
        }
        if item.key() != key.bytes {
            item = item.rekeyed(key.bytes);
        }
        self.insert(database, key, item);
        self.wanted = wanted;
    }

    /// The same for a key that counts as a new one, whatever was there: it was removed first.
    pub fn put_anew(&mut self, database: usize, key: Key<'_>, taken: Taken) {
        let counters = &self.keyspace.counters;
        self.shard(key).discard(counters, database, key);
        self.put(database, key, taken);
    }

    /// How many of `keys` are not there.
    pub fn missing(&mut self, database: usize, keys: &[Key<'_>]) -> usize {
        keys.iter().filter(|key| !self.contains(database, **key)).count()
    }

    /// Reserves room for `n` new keys under the entry limits.
    ///
    /// # Errors
    /// What must be evicted first: the database (or every one), and how many entries.
    pub fn reserve(&mut self, database: usize, n: usize) -> Result<(), (Option<usize>, usize)> {
        use crate::counters::Full;
        match self.keyspace.counters.reserve(database, n) {
            Ok(()) => {
                if n > 0 {
                    self.reserved.push((database, n));
                }
                Ok(())
            }
            Err(Full::Database { over }) => Err((Some(database), over)),
            Err(Full::Keyspace { over }) => Err((None, over)),
        }
    }
}

impl Drop for View<'_> {
    fn drop(&mut self) {
        for (database, unused) in self.reserved.drain(..) {
            self.keyspace.counters.release(database, unused);
        }
        self.hand_over();
        let mut grown = 0;
        if self.mask != 0 {
            let shard = self.guards.at_mut(0);
            shard.stats.hits += self.hits;
            shard.stats.misses += self.misses;
        }
        for index in 0..self.guards.len() {
            let shard = self.guards.at_mut(index);
            grown += std::mem::take(&mut shard.delta);
        }
        if grown != 0 {
            self.keyspace.counters.bytes.fetch_add(grown, Relaxed);
        }
    }
}
