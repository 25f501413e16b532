//! Client tracking: telling sessions that what they may have cached has changed.
//!
//! A session that tracks leaves its number at each key that it reads (`store::interest`), or asks
//! for all keys with a prefix (BCAST). Changes come out of the store's outbox as events do, after
//! the locks were given back, and become messages here. A message goes to the session itself, if
//! it speaks RESP3, or to the one that it redirects to, which under RESP2 has to be subscribed.
//!
//! Rules. A number is left at a key while the key's shard is locked for the read, so that no change
//! slips between; the message of a later change is posted after the change and written after the
//! reply that it makes stale. The lock of the list comes after the shards and before the
//! mailboxes. Neighbours: `command::client_tracking`. Transcripts: `connection/client-tracking`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use pannier_lock::Mutex;
use pannier_resp::{Protocol, Reply};
use pannier_store::{Change, Keyspace};

use crate::clients::Client;
use crate::config::OutputLimits;
use crate::pubsub::Wakers;
use crate::session::Session;

/// How a session tracks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mode {
    /// Reads are tracked only after CLIENT CACHING YES.
    pub(crate) opt_in: bool,
    /// Reads are tracked but after CLIENT CACHING NO.
    pub(crate) opt_out: bool,
    pub(crate) broadcast: bool,
    /// Its own changes are not told.
    pub(crate) no_loop: bool,
    /// CLIENT CACHING was the last command.
    pub(crate) caching: bool,
    /// Who is told in its place; 0 for nobody.
    pub(crate) redirect: u64,
    /// Of the keys that it asked for.
    pub(crate) prefixes: BTreeSet<Box<[u8]>>,
}

impl Mode {
    /// Whether the keys of the command that has just run are remembered.
    pub(crate) const fn remembers(&self) -> bool {
        let opted = if self.opt_in { self.caching } else { !(self.opt_out && self.caching) };
        opted && !self.broadcast
    }
}

/// A session that tracks, as its messages need it.
struct Tracker {
    client: Arc<Client>,
    redirect: Option<Arc<Client>>,
    redirect_id: u64,
    broadcast: bool,
    no_loop: bool,
}

/// See the module's header.
#[derive(Default)]
pub(crate) struct Tracking(Mutex<List>);

#[derive(Default)]
struct List {
    trackers: HashMap<u64, Tracker>,
    /// Sessions by the prefixes that they asked for.
    prefixes: BTreeMap<Box<[u8]>, BTreeSet<u64>>,
}

/// What a message says is void.
#[derive(Clone, Copy)]
enum Void<'c> {
    Keys(&'c [&'c [u8]]),
    Everything,
}

impl Tracking {
    /// A session tracks in this way from now on.
    pub(crate) fn enter(
        &self,
        keyspace: &Keyspace,
        client: &Arc<Client>,
        mode: &Mode,
        redirect: Option<Arc<Client>>,
    ) {
        let (redirect_id, broadcast, no_loop) = (mode.redirect, mode.broadcast, mode.no_loop);
        let client = Arc::clone(client);
        let id = client.id;
        client.publish_tracking(true, broadcast, false, redirect_id);
        let mut list = self.0.lock();
        for prefix in &mode.prefixes {
            list.prefixes.entry(prefix.clone()).or_default().insert(id);
        }
        let tracker = Tracker { client, redirect, redirect_id, broadcast, no_loop };
        list.trackers.insert(id, tracker);
        list.tell(keyspace);
    }

    /// A session tracks no more.
    pub(crate) fn leave(&self, keyspace: &Keyspace, client: &Client, mode: &Mode) {
        client.publish_tracking(false, false, false, 0);
        let mut list = self.0.lock();
        for prefix in &mode.prefixes {
            if let Some(ids) = list.prefixes.get_mut(prefix) {
                ids.remove(&client.id);
                if ids.is_empty() {
                    list.prefixes.remove(prefix);
                }
            }
        }
        list.trackers.remove(&client.id);
        list.tell(keyspace);
    }

    /// Sessions that track, and prefixes that were asked for.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let list = self.0.lock();
        (list.trackers.len(), list.prefixes.len())
    }

    /// Tells of changes, in order; those to keys with a prefix at the end, each key once. Before
    /// each, `first` is told who made it.
    pub(crate) fn deliver(
        &self,
        changes: &[Change],
        limits: &OutputLimits,
        first: &mut dyn FnMut(u64),
    ) {
        let mut wakers = Wakers::default();
        {
            let list = self.0.lock();
            let mut asked: BTreeMap<&[u8], Vec<(&[u8], u64)>> = BTreeMap::new();
            for change in changes {
                match change {
                    Change::Flush => list.tell_all(limits, &mut wakers),
                    Change::Key { key, trackers, by, .. } => {
                        first(*by);
                        list.tell_trackers(key, (trackers, *by), limits, &mut wakers);
                        for prefix in list.prefixes.keys().filter(|p| key.starts_with(p)) {
                            asked.entry(&**prefix).or_default().push((&**key, *by));
                        }
                    }
                }
            }
            for (prefix, keys) in asked {
                list.tell_prefix(prefix, &keys, limits, &mut wakers);
            }
        }
        wakers.wake();
    }
}

impl List {
    /// Tells the store what it has to record.
    fn tell(&self, keyspace: &Keyspace) {
        keyspace.set_tracking_sessions(self.trackers.len());
        keyspace.broadcast_changes(!self.prefixes.is_empty());
    }

    fn tell_all(&self, limits: &OutputLimits, wakers: &mut Wakers) {
        for tracker in self.trackers.values() {
            tracker.send(Void::Everything, limits, wakers);
        }
    }

    fn tell_trackers(
        &self,
        key: &[u8],
        (ids, by): (&[u64], u64),
        limits: &OutputLimits,
        wakers: &mut Wakers,
    ) {
        for id in ids {
            if let Some(tracker) = self.trackers.get(id)
                && !tracker.broadcast
                && !(tracker.no_loop && by == *id)
            {
                tracker.send(Void::Keys(&[key]), limits, wakers);
            }
        }
    }

    fn tell_prefix(
        &self,
        prefix: &[u8],
        keys: &[(&[u8], u64)],
        limits: &OutputLimits,
        wakers: &mut Wakers,
    ) {
        for id in self.prefixes.get(prefix).into_iter().flatten() {
            let Some(tracker) = self.trackers.get(id) else { continue };
            let own = |by: u64| tracker.no_loop && by == *id;
            let told = keys.iter().filter(|(_, by)| !own(*by)).map(|(key, _)| *key);
            let told: Vec<&[u8]> = told.collect::<BTreeSet<_>>().into_iter().collect();
            if !told.is_empty() {
                tracker.send(Void::Keys(&told), limits, wakers);
            }
        }
    }
}

impl Tracker {
    fn send(&self, void: Void<'_>, limits: &OutputLimits, wakers: &mut Wakers) {
        let target = match &self.redirect {
            Some(target) if target.closing.load(Relaxed) => return self.broken(limits, wakers),
            Some(target) => target,
            None => &self.client,
        };
        let mut reply = Reply::new(Protocol::Resp3);
        if target.protocol.load(Relaxed) == 3 {
            reply.push(2);
            reply.bulk(b"invalidate");
        } else if self.redirect.is_some() && target.is_subscribed() {
            reply.set_protocol(Protocol::Resp2);
            reply.push(3);
            reply.bulk(b"message");
            reply.bulk(b"__redis__:invalidate");
        } else {
            return;
        }
        match void {
            Void::Keys(keys) => {
                reply.array(keys.len());
                keys.iter().for_each(|key| reply.bulk(key));
            }
            Void::Everything => reply.null(),
        }
        wakers.push(target, &bytes(&reply), limits);
    }

    /// The one who should be told has gone.
    fn broken(&self, limits: &OutputLimits, wakers: &mut Wakers) {
        self.client.publish_tracking(true, self.broadcast, true, self.redirect_id);
        if self.client.protocol.load(Relaxed) == 3 {
            let mut reply = Reply::new(Protocol::Resp3);
            reply.push(2);
            reply.bulk(b"tracking-redir-broken");
            reply.integer(self.redirect_id as i64);
            wakers.push(&self.client, &bytes(&reply), limits);
        }
    }
}

fn bytes(reply: &Reply) -> Bytes {
    let mut bytes = Vec::with_capacity(reply.len());
    reply.write_to(&mut bytes);
    Bytes::from(bytes)
}

impl Session {
    /// Tracks no more.
    pub(crate) fn untrack(&mut self) {
        if let Some(mode) = self.tracking.take() {
            self.engine().tracking.leave(&self.engine().keyspace, &self.client, &mode);
        }
    }

    /// A command has run: what CLIENT CACHING said holds for it, and inside MULTI for the whole
    /// transaction.
    pub(crate) fn end_caching(&mut self, command: &str) {
        if let Some(mode) = &mut self.tracking
            && self.queue.is_none()
            && !command.starts_with("client|")
        {
            mode.caching = false;
        }
    }
}
