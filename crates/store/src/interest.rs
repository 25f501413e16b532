//! Interest in keys: who must be told when a key changes.
//!
//! Each shard has one table from key to those who watch it, those who wait for it and those who
//! may have cached it; every change of a key looks there once, and while nobody is interested in
//! anything that is a check for emptiness. A watcher is a flag shared with its session: WATCH
//! leaves it here, a change raises it, EXEC reads it. Waiters have their queues in `waiters`. A
//! tracker is the number of a session that has read the key and may have cached it: a change takes
//! it out and records a [`Change`], which goes into the outbox as events do. Trackers belong to a
//! key whatever its database, as in Redis. They are bounded over all shards: the one too many
//! drives another key's out of its shard, whose sessions are told as if that key had changed.
//!
//! A flag is taken out when its session forgets the key; flags and numbers of sessions that are
//! gone are dropped when their key changes. Neighbours: `shard` reports changes, `view` registers.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};

use crate::checkpoint::Layer;
use crate::waiters::{Bell, Waiting};

/// A watcher's flag: raised when a watched key has changed.
pub type Watcher = Arc<AtomicBool>;

/// Stands for the session in a change that nobody has asked for: the key expired or was driven
/// out of the table, at whosever request.
pub(crate) const NOBODY: u64 = u64::MAX;

/// A change that caches have to be told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A key has changed.
    Key {
        /// The key.
        key: Box<[u8]>,
        /// The sessions that had read it.
        trackers: Vec<u64>,
        /// The session that changed it, 0 when that is not known, `u64::MAX` when none did.
        by: u64,
        /// Numbers changes in the order in which they happened.
        order: u64,
    },
    /// Every key of a database is gone.
    Flush,
}

/// What all shards share about trackers.
#[derive(Debug, Default)]
pub(crate) struct Tracking {
    /// Somebody wants to be told of keys that nobody has read.
    pub(crate) broadcasts: AtomicBool,
    /// Sessions that track.
    pub(crate) sessions: AtomicUsize,
    /// Keys with trackers, at most; 0 is no limit.
    pub(crate) keys_max: AtomicUsize,
    pub(crate) keys: AtomicUsize,
    pub(crate) items: AtomicUsize,
    /// Changes recorded so far.
    changes: AtomicU64,
}

impl Tracking {
    /// Whether more keys have trackers than may.
    pub(crate) fn is_over(&self) -> bool {
        let max = self.keys_max.load(Relaxed);
        max > 0 && self.keys.load(Relaxed) > max
    }
}

/// One shard's table of interest. Databases are named by index, because that is what a session
/// watches: SWAPDB is a change of every key in both.
pub(crate) struct Interest {
    watchers: HashMap<(u32, Box<[u8]>), Vec<Watcher>>,
    pub(crate) waiting: Waiting,
    trackers: HashMap<Box<[u8]>, Vec<u64>>,
    tracking: Arc<Tracking>,
    /// What has changed under the present lock.
    pub(crate) changes: Vec<Change>,
    /// What entries were at the checkpoints that are active, the latest last: it lies here because
    /// whoever changes an entry has this table at hand.
    pub(crate) kept: Vec<Layer>,
}

impl Interest {
    pub(crate) fn new((bell, shard): (Arc<Bell>, usize), tracking: Arc<Tracking>) -> Self {
        Self {
            watchers: HashMap::new(),
            waiting: Waiting::new(bell, shard),
            trackers: HashMap::new(),
            tracking,
            changes: Vec::new(),
            kept: Vec::new(),
        }
    }

    /// A session has read a key.
    pub(crate) fn track(&mut self, key: &[u8], session: u64) {
        if let Some(held) = self.trackers.get_mut(key) {
            if !held.contains(&session) {
                held.push(session);
                self.tracking.items.fetch_add(1, Relaxed);
            }
            return;
        }
        self.trackers.insert(key.into(), vec![session]);
        self.tracking.items.fetch_add(1, Relaxed);
        self.tracking.keys.fetch_add(1, Relaxed);
        if self.tracking.is_over() {
            let other = self.trackers.keys().find(|other| ***other != *key);
            let driven_out = other.map_or_else(|| key.into(), Clone::clone);
            let before = self.changes.len();
            self.forget_trackers(&driven_out);
            self.disown(before);
        }
    }

    /// Drives some key's trackers out; false when there are none.
    pub(crate) fn forget_one(&mut self) -> bool {
        let key = self.trackers.keys().next().cloned();
        key.is_some_and(|key| {
            self.forget_trackers(&key);
            true
        })
    }

    /// Takes the trackers of a key out, to be told.
    fn forget_trackers(&mut self, key: &[u8]) {
        let trackers = self.trackers.remove(key).unwrap_or_default();
        if !trackers.is_empty() {
            self.tracking.keys.fetch_sub(1, Relaxed);
            self.tracking.items.fetch_sub(trackers.len(), Relaxed);
        } else if !self.tracking.broadcasts.load(Relaxed) {
            return;
        }
        let order = self.tracking.changes.fetch_add(1, Relaxed);
        self.changes.push(Change::Key { key: key.into(), trackers, by: 0, order });
    }

    /// Nobody has asked for the changes that were recorded from number `from` on.
    pub(crate) fn disown(&mut self, from: usize) {
        for change in &mut self.changes[from..] {
            if let Change::Key { by, .. } = change {
                *by = NOBODY;
            }
        }
    }

    /// Forgets all trackers.
    pub(crate) fn clear_trackers(&mut self) {
        let items: usize = self.trackers.values().map(Vec::len).sum();
        self.tracking.keys.fetch_sub(self.trackers.len(), Relaxed);
        self.tracking.items.fetch_sub(items, Relaxed);
        self.trackers.clear();
    }

    pub(crate) fn watch(&mut self, database: usize, key: &[u8], watcher: &Watcher) {
        let held = self.watchers.entry((database as u32, key.into())).or_default();
        held.retain(|other| Arc::strong_count(other) > 1);
        if !held.iter().any(|other| Arc::ptr_eq(other, watcher)) {
            held.push(Arc::clone(watcher));
        }
    }

    pub(crate) fn unwatch(&mut self, database: usize, key: &[u8], watcher: &Watcher) {
        let place = (database as u32, Box::from(key));
        if let Some(held) = self.watchers.get_mut(&place) {
            held.retain(|other| !Arc::ptr_eq(other, watcher));
            if held.is_empty() {
                self.watchers.remove(&place);
            }
        }
    }

    /// Whether nobody is interested in anything.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.watchers.is_empty()
            && self.waiting.is_empty()
            && self.trackers.is_empty()
            && !self.tracking.broadcasts.load(Relaxed)
    }

    /// Whether there are changes to be told of.
    #[inline]
    pub(crate) fn has_changes(&self) -> bool {
        !self.changes.is_empty()
    }

    /// Number of watched keys.
    pub(crate) fn len(&self) -> usize {
        self.watchers.len()
    }

    /// The keys of a database that somebody watches or waits for.
    pub(crate) fn keys(&self, database: usize) -> Vec<Box<[u8]>> {
        let places = self.watchers.keys().filter(|(at, _)| *at as usize == database);
        places.map(|(_, key)| key.clone()).chain(self.waiting.keys(database)).collect()
    }

    /// A key has changed.
    #[cold]
    pub(crate) fn changed(&mut self, database: usize, key: &[u8]) {
        if !self.waiting.is_empty() {
            self.waiting.changed(database, key);
        }
        if let Some(held) = self.watchers.get(&(database as u32, Box::from(key))) {
            raise(held);
        }
        self.forget_trackers(key);
    }

    /// A whole database has changed, as far as `concerns` a key.
    pub(crate) fn database_changed(&mut self, database: usize, concerns: impl Fn(&[u8]) -> bool) {
        if !self.waiting.is_empty() {
            let keys = self.waiting.keys(database);
            keys.iter().filter(|key| concerns(key)).for_each(|key| {
                self.waiting.changed(database, key);
            });
        }
        for ((index, key), held) in &self.watchers {
            if *index as usize == database && concerns(key) {
                raise(held);
            }
        }
    }
}

fn raise(watchers: &[Watcher]) {
    for watcher in watchers {
        watcher.store(true, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(interest: &mut Interest) -> Vec<(Vec<u8>, Vec<u64>)> {
        let changes = std::mem::take(&mut interest.changes);
        let told = changes.into_iter().filter_map(|change| match change {
            Change::Key { key, trackers, .. } => Some((key.to_vec(), trackers)),
            Change::Flush => None,
        });
        told.collect()
    }

    #[test]
    fn a_tracker_is_told_once_and_one_key_too_many_drives_another_out() {
        let tracking = Arc::new(Tracking::default());
        tracking.keys_max.store(2, Relaxed);
        let mut interest = Interest::new((Arc::new(Bell::default()), 0), Arc::clone(&tracking));
        interest.track(b"a", 1);
        interest.track(b"a", 2);
        interest.track(b"a", 2);
        interest.track(b"b", 1);
        assert!(told(&mut interest).is_empty());
        interest.changed(0, b"a");
        interest.changed(0, b"a");
        assert_eq!(told(&mut interest), [(b"a".to_vec(), vec![1, 2])]);
        interest.track(b"c", 3);
        interest.track(b"d", 4);
        let out = told(&mut interest);
        assert!(matches!(&out[..], [(key, _)] if key != b"d"), "{out:?}");
        assert_eq!(tracking.keys.load(Relaxed), 2);
        assert_eq!(tracking.items.load(Relaxed), 2);
        interest.clear_trackers();
        assert_eq!((tracking.keys.load(Relaxed), interest.is_empty()), (0, true));
    }
}
