//! Interest in keys: who must be told when a key changes.
//!
//! Each shard has one table from key to those who watch it and those who wait for it; every change
//! of a key looks there once, and while nobody is interested in anything that is a check for
//! emptiness. A watcher is a flag shared with its session: WATCH leaves it here, a change raises
//! it, EXEC reads it. Waiters have their queues in `waiters`. (Tracking caches are a further kind
//! of interest and will live in the same table.)
//!
//! A flag is taken out when its session forgets the key; flags of sessions that are gone are
//! dropped when their key changes. Neighbours: `shard` reports changes, `view` registers.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::waiters::{Bell, Waiting};

/// A watcher's flag: raised when a watched key has changed.
pub type Watcher = Arc<AtomicBool>;

/// One shard's table of interest. Databases are named by index, because that is what a session
/// watches: SWAPDB is a change of every key in both.
pub(crate) struct Interest {
    watchers: HashMap<(u32, Box<[u8]>), Vec<Watcher>>,
    pub(crate) waiting: Waiting,
}

impl Interest {
    pub(crate) fn new(bell: Arc<Bell>, shard: usize) -> Self {
        Self { watchers: HashMap::new(), waiting: Waiting::new(bell, shard) }
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
        self.watchers.is_empty() && self.waiting.is_empty()
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
        if self.watchers.is_empty() {
            return;
        }
        if let Some(held) = self.watchers.get(&(database as u32, Box::from(key))) {
            raise(held);
        }
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
