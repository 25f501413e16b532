//! Events: what happened to keys, for those who want to be told.
//!
//! A command records events in its `View`; what the store does by itself (a key expires, is
//! evicted, is new, is missed) is recorded in the shard where it happens. Whoever gives a shard's
//! lock back moves the shard's events into the keyspace's outbox first, so the events of a key lie
//! there in the order in which they happened, whichever workers they come from. Out of the outbox
//! they are taken with no shard's lock held.
//!
//! Rules: only classes that somebody wants are recorded; while none is wanted that is one check of
//! a word that the view has copied. The outbox's lock comes after the shards.
//! Neighbours: `view` and `shard` record; the engine's `notify` names the classes and delivers.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

use pannier_lock::Mutex;

use crate::hash::Key;
use crate::interest::Change;
use crate::keyspace::Keyspace;
use crate::shard::Shard;
use crate::view::View;

/// Classes of events, a bit set.
pub type Classes = u32;

/// The classes, and where events go.
pub mod class {
    use super::Classes;

    /// Events go to the channel of their key.
    pub const KEYSPACE: Classes = 1;
    /// Events go to the channel of their name.
    pub const KEYEVENT: Classes = 1 << 1;
    /// Keys of any type.
    pub const GENERIC: Classes = 1 << 2;
    /// Strings.
    pub const STRING: Classes = 1 << 3;
    /// Lists.
    pub const LIST: Classes = 1 << 4;
    /// Sets.
    pub const SET: Classes = 1 << 5;
    /// Hashes.
    pub const HASH: Classes = 1 << 6;
    /// Sorted sets.
    pub const SORTED_SET: Classes = 1 << 7;
    /// Keys whose deadline has passed.
    pub const EXPIRED: Classes = 1 << 8;
    /// Keys that were removed to make room.
    pub const EVICTED: Classes = 1 << 9;
    /// Streams.
    pub const STREAM: Classes = 1 << 10;
    /// Modules; there are none.
    pub const MODULE: Classes = 1 << 11;
    /// Reads of keys that are not there.
    pub const MISS: Classes = 1 << 12;
    /// Keys that were not there before.
    pub const NEW: Classes = 1 << 13;
}

/// Something that happened to a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its class.
    pub class: Classes,
    /// Its name.
    pub name: &'static str,
    /// The key's database.
    pub database: usize,
    /// The key.
    pub key: Box<[u8]>,
}

/// What is recorded and not delivered yet, and what is wanted.
#[derive(Default)]
pub(crate) struct Outbox {
    wanted: AtomicU32,
    full: AtomicBool,
    happened: Mutex<Happened>,
}

/// What has happened, in order.
#[derive(Debug, Default)]
pub struct Happened {
    /// Events that are wanted.
    pub events: Vec<Event>,
    /// Changes that caches have to be told of.
    pub changes: Vec<Change>,
}

impl Outbox {
    /// The classes that somebody wants.
    #[inline]
    pub(crate) fn wanted(&self) -> Classes {
        self.wanted.load(Relaxed)
    }

    /// Moves events in. The caller holds the locks of the shards where they happened.
    #[cold]
    pub(crate) fn put(&self, events: &mut Vec<Event>, changes: &mut Vec<Change>) {
        {
            let mut happened = self.happened.lock();
            happened.events.append(events);
            happened.changes.append(changes);
        }
        self.full.store(true, Relaxed);
    }
}

impl Keyspace {
    /// Says which classes of events are recorded.
    pub fn want_events(&self, classes: Classes) {
        self.counters.outbox.wanted.store(classes, Relaxed);
    }

    /// Whether there are events to be delivered.
    #[inline]
    pub fn has_events(&self) -> bool {
        self.counters.outbox.full.load(Relaxed)
    }

    /// Takes what has happened so far, in order.
    pub fn take_happened(&self) -> Happened {
        let mut happened = self.counters.outbox.happened.lock();
        self.counters.outbox.full.store(false, Relaxed);
        std::mem::take(&mut happened)
    }

    /// Says whether somebody wants to be told of every key's changes.
    pub fn broadcast_changes(&self, wanted: bool) {
        self.tracking.broadcasts.store(wanted, Relaxed);
    }

    /// Says how many sessions track keys.
    pub fn set_tracking_sessions(&self, sessions: usize) {
        self.tracking.sessions.store(sessions, Relaxed);
    }

    /// Limits the keys that have trackers; 0 lifts the limit.
    pub fn set_tracked_keys_max(&self, max: usize) {
        self.tracking.keys_max.store(max, Relaxed);
    }

    /// Brings the keys that have trackers under a limit that was lowered.
    pub fn trim_trackers(&self) {
        for index in 0..self.shards.len() {
            if !self.tracking.is_over() {
                return;
            }
            let Some(mut shard) = self.lock(index) else { return };
            while self.tracking.is_over() && shard.interest.forget_one() {}
            self.publish(&mut shard);
        }
    }

    /// Keys that have trackers, and trackers of all keys.
    pub fn tracked(&self) -> (usize, usize) {
        (self.tracking.keys.load(Relaxed), self.tracking.items.load(Relaxed))
    }
}

impl Shard {
    /// Records an event, if it is wanted.
    #[inline]
    pub(crate) fn note(
        &mut self,
        wanted: Classes,
        (class, name): (Classes, &'static str),
        (database, key): (usize, &[u8]),
    ) {
        if wanted & class != 0 {
            self.events.push(Event { class, name, database, key: key.into() });
        }
    }
}

impl View<'_> {
    /// Whether somebody wants to be told of a class of events.
    #[inline]
    pub fn wants(&self, class: Classes) -> bool {
        self.wanted & class != 0
    }

    /// Whether the collection that was last opened for change went because it was empty.
    pub fn emptied(&self) -> bool {
        self.emptied
    }

    /// Records an event, if it is wanted.
    #[inline]
    pub fn note(&mut self, class: Classes, name: &'static str, database: usize, key: Key<'_>) {
        if self.wanted & class != 0 {
            self.gather();
            self.events.push(Event { class, name, database, key: key.bytes.into() });
        }
    }

    /// Hands over what has happened so far, before something else is told.
    pub fn hand_over(&mut self) {
        let nothing = |shard: &Shard| shard.events.is_empty() && !shard.interest.has_changes();
        if !self.guards.iter().all(nothing) {
            self.gather();
        }
        if !self.events.is_empty() || !self.changes.is_empty() {
            self.keyspace.counters.outbox.put(&mut self.events, &mut self.changes);
        }
    }

    /// Takes in what the opened shards have recorded, which came before what is recorded next.
    #[cold]
    pub(crate) fn gather(&mut self) {
        let gathered = self.changes.len();
        let Self { guards, events, changes, origin, .. } = self;
        guards.each(|shard| {
            events.append(&mut shard.events);
            for change in &mut shard.interest.changes {
                if let Change::Key { by: by @ 0, .. } = change {
                    *by = *origin;
                }
            }
            changes.append(&mut shard.interest.changes);
        });
        // They lie in the order of their shards.
        self.changes[gathered..].sort_by_key(|change| match change {
            Change::Key { order, .. } => *order,
            Change::Flush => 0,
        });
    }

    /// Says which session changes keys here from now on.
    pub fn set_origin(&mut self, session: u64) {
        if self.origin != 0 && self.keyspace.tracking.sessions.load(Relaxed) > 0 {
            self.gather();
        }
        self.origin = session;
    }

    /// A session has read a key, and is told when it changes.
    pub fn track(&mut self, key: Key<'_>, session: u64) {
        self.shard(key).interest.track(key.bytes, session);
    }

    /// Every key of a database, or of all, is gone: everybody is told to forget everything, so
    /// nobody is interested in any key of any database.
    pub(crate) fn note_flush(&mut self) {
        self.guards.each(|shard| shard.interest.clear_trackers());
        if self.keyspace.tracking.sessions.load(Relaxed) > 0 {
            self.gather();
            self.changes.push(Change::Flush);
        }
    }
}
