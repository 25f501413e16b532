//! Consumer groups: who was given which entry and has not acknowledged it.
//!
//! A group keeps what is pending in one map by id, which says whose it is, since when and how
//! often it was delivered; each consumer has its own ordered set of the same ids, so that its
//! history is read without looking at what others have. A consumer is a number in the map; the
//! group knows its name. Consumers are listed in the order of their names, as Redis does.
//!
//! Rules: an id is in the group's map exactly when it is in the set of the consumer that the map
//! names. An id may stay pending after its
//! entry is gone.
//! Neighbours: `log` has the entries. Tests: `store/src/tests/stream.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use pannier_collections::allocated;

use super::id::StreamId;
use super::log::Log;

/// A consumer group.
#[derive(Clone, Debug, Default)]
pub struct Group {
    /// The last entry that was delivered.
    pub last: StreamId,
    /// How many entries were added up to it; `None` when that is not known.
    pub read: Option<u64>,
    pending: BTreeMap<StreamId, Pending>,
    names: BTreeMap<Arc<[u8]>, u32>,
    /// By number; a number is given again after its consumer has gone.
    consumers: Vec<Option<Consumer>>,
    free: Vec<u32>,
    /// Bytes of names.
    bytes: usize,
}

/// An entry that was delivered and not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    consumer: u32,
    /// When it was delivered last, in Unix milliseconds.
    pub delivered_ms: u64,
    /// How often it was delivered.
    pub count: u64,
}

/// Who reads for a group.
#[derive(Debug)]
pub struct Consumer {
    name: Arc<[u8]>,
    /// When it last asked for something, in Unix milliseconds.
    pub seen_ms: u64,
    /// When it last got something.
    pub active_ms: Option<u64>,
    pending: BTreeSet<StreamId>,
}

/// A consumer's number within its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsumerId(u32);

impl Clone for Consumer {
    fn clone(&self) -> Self {
        Self {
            // A name of its own: bytes are counted for each stream.
            name: Arc::from(&*self.name),
            seen_ms: self.seen_ms,
            active_ms: self.active_ms,
            pending: self.pending.clone(),
        }
    }
}

impl Consumer {
    /// Its name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// How many entries it has pending.
    pub fn pending_len(&self) -> usize {
        self.pending.len()
    }

    /// The ids that it has pending from one id on, in order.
    pub fn pending_from(&self, from: StreamId) -> impl Iterator<Item = StreamId> {
        self.pending.range(from..).copied()
    }
}

impl Group {
    /// A group that has read up to `last`.
    pub fn new(last: StreamId, read: Option<u64>) -> Self {
        Self { last, read, ..Self::default() }
    }

    /// The group goes on to an entry of the log, if that lies ahead.
    pub fn advance(&mut self, log: &Log, id: StreamId) {
        if id <= self.last {
            return;
        }
        let follows = log.meta().first <= self.last && !log.has_gap_from(self.last);
        match self.read {
            Some(read) if follows => self.read = Some(read.wrapping_add(1)),
            _ if log.meta().added > 0 => self.read = log.added_up_to(id),
            _ => {}
        }
        self.last = id;
    }

    /// How many entries are pending.
    pub fn pending_len(&self) -> usize {
        self.pending.len()
    }

    /// What is pending from one id to another, both included, in order.
    pub fn pending(
        &self,
        from: StreamId,
        to: StreamId,
    ) -> impl DoubleEndedIterator<Item = (StreamId, &Pending)> {
        let to = to.max(from);
        self.pending.range(from..=to).map(|(id, pending)| (*id, pending))
    }

    /// What is pending of an entry.
    pub fn pending_of(&self, id: StreamId) -> Option<&Pending> {
        self.pending.get(&id)
    }

    /// Whose a pending entry is.
    pub fn owner(&self, pending: &Pending) -> ConsumerId {
        ConsumerId(pending.consumer)
    }

    /// The name of a pending entry's consumer.
    pub fn owner_name(&self, pending: &Pending) -> &[u8] {
        self.at(pending.consumer).map_or(&[], Consumer::name)
    }

    /// Number of consumers.
    pub fn consumer_count(&self) -> usize {
        self.names.len()
    }

    /// The consumers, in the order of their names.
    pub fn consumers(&self) -> impl Iterator<Item = &Consumer> {
        self.names.values().filter_map(|number| self.at(*number))
    }

    /// The consumer of this name.
    pub fn consumer(&self, name: &[u8]) -> Option<&Consumer> {
        self.at(*self.names.get(name)?)
    }

    /// The consumer of this number.
    pub fn consumer_at(&self, id: ConsumerId) -> Option<&Consumer> {
        self.at(id.0)
    }

    /// The number of the consumer of this name.
    pub fn consumer_id(&self, name: &[u8]) -> Option<ConsumerId> {
        self.names.get(name).copied().map(ConsumerId)
    }

    /// Adds a consumer; its number, and whether it is new.
    pub fn add_consumer(&mut self, name: &[u8], seen_ms: u64) -> (ConsumerId, bool) {
        if let Some(number) = self.names.get(name) {
            return (ConsumerId(*number), false);
        }
        let name: Arc<[u8]> = Arc::from(name);
        let number = self.free.pop().unwrap_or_else(|| {
            self.consumers.push(None);
            (self.consumers.len() - 1) as u32
        });
        self.bytes += consumer_bytes(&name);
        self.names.insert(name.clone(), number);
        let pending = BTreeSet::new();
        self.consumers[number as usize] =
            Some(Consumer { name, seen_ms, active_ms: None, pending });
        (ConsumerId(number), true)
    }

    /// The consumer of this number, for its times.
    pub fn consumer_mut(&mut self, id: ConsumerId) -> Option<&mut Consumer> {
        self.at_mut(id.0)
    }

    /// Removes a consumer and all that it has pending; how many entries that were.
    pub fn remove_consumer(&mut self, name: &[u8]) -> Option<usize> {
        let number = self.names.remove(name)?;
        let consumer = self.consumers[number as usize].take()?;
        self.free.push(number);
        self.bytes -= consumer_bytes(name);
        for id in &consumer.pending {
            self.pending.remove(id);
        }
        Some(consumer.pending.len())
    }

    /// Gives an entry to a consumer: new, or taken from whoever had it.
    pub fn give(&mut self, id: StreamId, to: ConsumerId, delivered_ms: u64, count: u64) {
        let pending = Pending { consumer: to.0, delivered_ms, count };
        match self.pending.insert(id, pending) {
            Some(before) if before.consumer == to.0 => return,
            Some(before) => {
                if let Some(owner) = self.at_mut(before.consumer) {
                    owner.pending.remove(&id);
                }
            }
            None => {}
        }
        if let Some(owner) = self.at_mut(to.0) {
            owner.pending.insert(id);
        }
    }

    /// Counts another delivery of a pending entry to the same consumer.
    pub fn repeat(&mut self, id: StreamId, now_ms: u64) {
        if let Some(pending) = self.pending.get_mut(&id) {
            pending.delivered_ms = now_ms;
            pending.count = pending.count.wrapping_add(1);
        }
    }

    /// An entry is no longer pending; false if it was not.
    pub fn acknowledge(&mut self, id: StreamId) -> bool {
        let Some(pending) = self.pending.remove(&id) else { return false };
        if let Some(owner) = self.at_mut(pending.consumer) {
            owner.pending.remove(&id);
        }
        true
    }

    pub(super) fn footprint(&self) -> usize {
        self.bytes + places_bytes(self.consumers.len()) + self.pending.len() * PENDING_BYTES
    }

    fn at(&self, number: u32) -> Option<&Consumer> {
        self.consumers.get(number as usize)?.as_ref()
    }

    fn at_mut(&mut self, number: u32) -> Option<&mut Consumer> {
        self.consumers.get_mut(number as usize)?.as_mut()
    }
}

#[cfg(test)]
impl Group {
    /// The footprint, from names and pending entries themselves, which must agree.
    pub(super) fn recount(&self) -> usize {
        let mut pending = BTreeMap::new();
        for (name, number) in &self.names {
            let consumer = self.at(*number).expect("a name has a consumer");
            assert_eq!(consumer.name, *name);
            pending.extend(consumer.pending.iter().map(|id| (*id, *number)));
        }
        let owners = self.pending.iter().map(|(id, pending)| (*id, pending.consumer));
        assert_eq!(pending, owners.collect());
        let names = self.names.keys().map(|name| consumer_bytes(name));
        names.sum::<usize>() + places_bytes(self.consumers.len()) + pending.len() * PENDING_BYTES
    }
}

/// Bytes of so many places for consumers, with the list of free ones, as vectors grow.
fn places_bytes(places: usize) -> usize {
    match places {
        0 => 0,
        _ => {
            let places = places.next_power_of_two().max(4);
            allocated(places * size_of::<Option<Consumer>>()) + places * size_of::<u32>()
        }
    }
}

/// Bytes of a consumer's name and of its place in the map of names.
fn consumer_bytes(name: &[u8]) -> usize {
    allocated(name.len() + 2 * size_of::<usize>()) + NAME_SHARE
}

/// A pending entry's share of the nodes of both trees (512 and 192 bytes for eleven), which lie a
/// little over half full when they are filled in order.
const PENDING_BYTES: usize = 100;
/// A name's share of a node of the map of names (320 bytes for eleven).
const NAME_SHARE: usize = 48;
