//! Pub/sub: who is subscribed to what, and the delivery of messages.
//!
//! Three spaces of names: channels, patterns, and shard channels, which in one server are a
//! second set of channels. Each name has its subscribers in ascending order of their ids, so that
//! leaving is a binary search and delivery is a walk through memory. A message is encoded once for
//! each protocol that a subscriber speaks, and all subscribers share these bytes (`mailbox`); the
//! cost of one more is a short lock and, unless it is awake already, a wake-up.
//!
//! Rules. The registry's lock comes after the shards and before the mailboxes. It is held for the
//! whole delivery of a message, so that all subscribers see messages in the same order; sessions
//! are woken after it was given back. A subscription is entered under it and left under it: once
//! a session has left a name nothing for that name comes into its mailbox any more, and what came
//! before goes out before the confirmation (the caller's doing).
//!
//! Neighbours: `command::pubsub` has the commands. Transcripts: `tests/transcripts/pubsub`.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::Waker;

use bytes::Bytes;
use pannier_lock::Mutex;
use pannier_resp::{Protocol, Reply};
use pannier_store::{Change, Keyspace};

use crate::clients::Client;
use crate::config::{Config, OutputLimits};
use crate::glob;

/// A space of names that one can subscribe to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Space {
    /// Channels.
    Channel,
    /// Patterns over channels.
    Pattern,
    /// Shard channels.
    Shard,
}

const SPACES: [Space; 3] = [Space::Channel, Space::Pattern, Space::Shard];

/// Subscribers by name.
type Names = HashMap<Box<[u8]>, Vec<Arc<Client>>>;

/// See the module's header.
#[derive(Default)]
pub(crate) struct PubSub {
    registry: Mutex<[Names; 3]>,
    /// Names in use, over all spaces: nobody is asked while there are none.
    names: AtomicUsize,
    /// Clients with a subscription.
    clients: AtomicUsize,
}

/// One session's subscriptions, in order of their names.
#[derive(Default)]
pub(crate) struct Subscriptions([BTreeSet<Box<[u8]>>; 3]);

impl Subscriptions {
    /// The names in a space.
    pub(crate) fn names(&self, space: Space) -> Vec<Box<[u8]>> {
        self.0[space as usize].iter().cloned().collect()
    }

    /// How many there are of each space.
    pub(crate) fn counts(&self) -> [usize; 3] {
        self.0.each_ref().map(BTreeSet::len)
    }

    fn is_empty(&self) -> bool {
        self.counts() == [0; 3]
    }
}

/// One message, in the forms in which it has been asked for.
pub(crate) struct Message<'m> {
    parts: &'m [&'m [u8]],
    encoded: [Option<Bytes>; 2],
}

impl<'m> Message<'m> {
    pub(crate) const fn new(parts: &'m [&'m [u8]]) -> Self {
        Self { parts, encoded: [None, None] }
    }

    /// The message in wire form.
    fn bytes(&mut self, client: &Client) -> &Bytes {
        let resp3 = client.protocol.load(Relaxed) == 3;
        self.encoded[usize::from(resp3)].get_or_insert_with(|| {
            let protocol = if resp3 { Protocol::Resp3 } else { Protocol::Resp2 };
            let mut reply = Reply::new(protocol);
            reply.push(self.parts.len());
            self.parts.iter().for_each(|part| reply.bulk(part));
            let mut bytes = Vec::new();
            reply.write_to(&mut bytes);
            Bytes::from(bytes)
        })
    }
}

/// Sessions to be woken, when no lock is held any more.
#[derive(Default)]
#[must_use = "sessions that are not woken sleep on"]
pub(crate) struct Wakers(Vec<Waker>);

impl Wakers {
    /// Leaves a message in a client's mailbox.
    pub(crate) fn push(&mut self, client: &Client, message: &Bytes, limits: &OutputLimits) {
        let hard = client.output_limit(limits).hard;
        let unsent = client.output_len.load(Relaxed);
        self.0.extend(client.mailbox.push(message, unsent, hard));
    }

    /// Wakes them.
    pub(crate) fn wake(self) {
        self.0.into_iter().for_each(Waker::wake);
    }
}

impl PubSub {
    /// Subscribes a client; false when it was already.
    pub(crate) fn subscribe(
        &self,
        client: &Arc<Client>,
        held: &mut Subscriptions,
        (space, name): (Space, &[u8]),
    ) -> bool {
        if held.0[space as usize].contains(name) {
            return false;
        }
        if held.is_empty() {
            self.clients.fetch_add(1, Relaxed);
        }
        held.0[space as usize].insert(name.into());
        client.publish_subscriptions(held.counts());
        let mut registry = self.registry.lock();
        let names = &mut registry[space as usize];
        let subscribers = match names.get_mut(name) {
            Some(subscribers) => subscribers,
            None => {
                self.names.fetch_add(1, Relaxed);
                names.entry(name.into()).or_default()
            }
        };
        if let Err(at) = subscribers.binary_search_by_key(&client.id, |one| one.id) {
            subscribers.insert(at, Arc::clone(client));
        }
        true
    }

    /// Ends a subscription; false when there was none.
    pub(crate) fn unsubscribe(
        &self,
        client: &Arc<Client>,
        held: &mut Subscriptions,
        (space, name): (Space, &[u8]),
    ) -> bool {
        if !held.0[space as usize].remove(name) {
            return false;
        }
        if held.is_empty() {
            self.clients.fetch_sub(1, Relaxed);
        }
        client.publish_subscriptions(held.counts());
        let mut registry = self.registry.lock();
        let names = &mut registry[space as usize];
        if let Some(subscribers) = names.get_mut(name) {
            if let Ok(at) = subscribers.binary_search_by_key(&client.id, |one| one.id) {
                subscribers.remove(at);
            }
            if subscribers.is_empty() {
                names.remove(name);
                self.names.fetch_sub(1, Relaxed);
            }
        }
        true
    }

    /// Ends every subscription of a client.
    pub(crate) fn forget(&self, client: &Arc<Client>, mut held: Subscriptions) {
        for space in SPACES {
            for name in held.names(space) {
                self.unsubscribe(client, &mut held, (space, &name));
            }
        }
    }

    /// Delivers a message to the subscribers of a channel and of the patterns that it matches;
    /// returns to how many.
    pub(crate) fn publish(&self, channel: &[u8], payload: &[u8], limits: &OutputLimits) -> usize {
        if self.names.load(Relaxed) == 0 {
            return 0;
        }
        let mut wakers = Wakers::default();
        let receivers = send(&self.registry.lock(), (channel, payload), limits, &mut wakers);
        wakers.wake();
        receivers
    }

    /// Delivers the events of keys that have been recorded, in order: they are taken and sent
    /// under one lock. Returns the changes that trackers have to be told of.
    #[cold]
    pub(crate) fn deliver(&self, keyspace: &Keyspace, config: &Config) -> Vec<Change> {
        let mut wakers = Wakers::default();
        let changes = {
            let registry = self.registry.lock();
            let limits = &config.client_output_buffer_limit;
            let happened = keyspace.take_happened();
            for event in happened.events {
                for (channel, payload) in config.notify_keyspace_events.messages(&event) {
                    send(&registry, (&channel, payload), limits, &mut wakers);
                }
            }
            happened.changes
        };
        wakers.wake();
        changes
    }

    /// Delivers a message to the subscribers of a shard channel; returns to how many.
    pub(crate) fn publish_shard(
        &self,
        channel: &[u8],
        payload: &[u8],
        limits: &OutputLimits,
    ) -> usize {
        if self.names.load(Relaxed) == 0 {
            return 0;
        }
        let mut wakers = Wakers::default();
        let receivers = {
            let registry = self.registry.lock();
            let parts: &[&[u8]] = &[b"smessage", channel, payload];
            let subscribers = registry[Space::Shard as usize].get(channel);
            deliver(subscribers, Message::new(parts), limits, &mut wakers)
        };
        wakers.wake();
        receivers
    }

    /// The names in use in a space that match a pattern, or all.
    pub(crate) fn in_use(&self, space: Space, pattern: Option<&[u8]>) -> Vec<Box<[u8]>> {
        let registry = self.registry.lock();
        let names = registry[space as usize].keys();
        names
            .filter(|name| pattern.is_none_or(|pattern| glob::matches(pattern, name, true)))
            .cloned()
            .collect()
    }

    /// How many names are in use in a space.
    pub(crate) fn len(&self, space: Space) -> usize {
        self.registry.lock()[space as usize].len()
    }

    /// How many clients are subscribed to a name.
    pub(crate) fn subscribers(&self, space: Space, name: &[u8]) -> usize {
        self.registry.lock()[space as usize].get(name).map_or(0, Vec::len)
    }

    /// How many clients have a subscription.
    pub(crate) fn clients(&self) -> usize {
        self.clients.load(Relaxed)
    }
}

/// Leaves a message with the subscribers of a channel and of the patterns that it matches.
fn send(
    [channels, patterns, _]: &[Names; 3],
    (channel, payload): (&[u8], &[u8]),
    limits: &OutputLimits,
    wakers: &mut Wakers,
) -> usize {
    let parts: &[&[u8]] = &[b"message", channel, payload];
    let mut receivers = deliver(channels.get(channel), Message::new(parts), limits, wakers);
    for (pattern, subscribers) in patterns {
        if glob::matches(pattern, channel, true) {
            let parts: &[&[u8]] = &[b"pmessage", pattern, channel, payload];
            receivers += deliver(Some(subscribers), Message::new(parts), limits, wakers);
        }
    }
    receivers
}

/// Leaves a message with all of these.
fn deliver(
    subscribers: Option<&Vec<Arc<Client>>>,
    mut message: Message<'_>,
    limits: &OutputLimits,
    wakers: &mut Wakers,
) -> usize {
    let subscribers = subscribers.map_or(&[][..], Vec::as_slice);
    for client in subscribers {
        wakers.push(client, message.bytes(client), limits);
    }
    subscribers.len()
}
