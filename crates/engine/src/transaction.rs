//! A session's transaction: the queue that MULTI opens, and the keys that WATCH guards.
//!
//! Queued commands are copied out of the connection's buffer and run by `exec::queue` under the
//! union of their keys. A watched key leaves the session's flag in the store's table of interest
//! (`store::interest`); any change raises it, and EXEC then answers nil. Forgetting the watched
//! keys takes the flags back, one shard's lock at a time, so no other lock may be held.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use pannier_resp::{Args, OwnedArgs};
use pannier_store::Watcher;

use crate::command::Resolved;
use crate::engine::Engine;
use crate::session::Session;

/// A queued command.
pub(crate) struct Queued {
    pub(crate) found: Resolved,
    pub(crate) args: OwnedArgs,
}

/// What MULTI opened.
#[derive(Default)]
pub(crate) struct Queue {
    pub(crate) commands: Vec<Queued>,
    /// A command was refused while queueing: EXEC will abort, and nothing more is kept for it.
    pub(crate) failed: bool,
    /// Bytes of the commands' arguments, as they came over the wire.
    bytes: usize,
}

impl Queue {
    /// Adds a command.
    pub(crate) fn push(&mut self, found: Resolved, args: Args<'_>) {
        self.bytes += args.wire_len();
        self.commands.push(Queued { found, args: OwnedArgs::new(args.iter()) });
    }

    /// Takes note that a command was refused, and gives back what was kept for EXEC.
    pub(crate) fn fail(&mut self) {
        *self = Self { failed: true, ..Self::default() };
    }
}

/// The keys that a session watches.
#[derive(Default)]
pub(crate) struct Watches {
    pub(crate) flag: Watcher,
    pub(crate) keys: Vec<(usize, Box<[u8]>)>,
    /// What they take: here, and in the store's table of interest.
    bytes: usize,
}

/// What a watched key takes besides two copies of its bytes: its place in the list, and a flag and
/// an entry in the table.
const WATCH_OVERHEAD: usize = 80;

impl Watches {
    /// Whether a watched key has changed.
    pub(crate) fn is_raised(&self) -> bool {
        self.flag.load(Relaxed)
    }

    /// Takes every flag back. No shard may be locked by the caller.
    pub(crate) fn forget(self, engine: &Engine) {
        for (database, key) in &self.keys {
            engine.keyspace.unwatch(*database, key, &self.flag);
        }
    }
}

impl Session {
    /// Ends the transaction without running it, and forgets the watched keys.
    pub(crate) fn discard(&mut self, engine: &Engine) {
        self.queue = None;
        std::mem::take(&mut self.watches).forget(engine);
        self.publish_transaction();
    }

    /// Shows the transaction in CLIENT LIST.
    pub(crate) fn publish_transaction(&self) {
        let (client, watched) = (&self.client, self.watches.keys.len());
        let queued = self.queue.as_ref().map(|queue| queue.commands.len() as i32);
        client.in_transaction.store(queued.is_some(), Relaxed);
        if queued.is_some() || watched > 0 || client.queued.load(Relaxed) >= 0 {
            client.queued.store(queued.unwrap_or_default(), Relaxed);
        }
        client.queued_len.store(self.queued_len(), Relaxed);
        client.watched.store(watched, Relaxed);
        client.watched_len.store(self.watches.bytes, Relaxed);
    }

    /// Bytes of the commands that MULTI has queued: input that was read and not executed.
    #[inline]
    pub fn queued_len(&self) -> usize {
        self.queue.as_ref().map_or(0, |queue| queue.bytes)
    }

    /// Watches a key; the flag itself is left with the store by the caller.
    pub(crate) fn remember_watch(&mut self, database: usize, key: &[u8]) -> Option<Watcher> {
        let held = |(at, bytes): &(usize, Box<[u8]>)| *at == database && **bytes == *key;
        if self.watches.keys.iter().any(held) {
            return None;
        }
        self.watches.keys.push((database, key.into()));
        self.watches.bytes += 2 * key.len() + WATCH_OVERHEAD;
        Some(Arc::clone(&self.watches.flag))
    }
}
