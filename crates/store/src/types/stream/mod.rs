//! Streams: a log of entries, and the groups of consumers that read it.
//!
//! A stream is never packed into its entry: even a short one has ids, counters and perhaps groups
//! beside its entries. What makes it small is that all of this is one box, and that the first
//! chunk of the log starts at the size of its first entry (Redis reserves 4 KiB for it). Unlike
//! other collections a stream stays when its last entry goes, because its last id must not come
//! again and its groups live on.
//!
//! Rules: footprints are sums that every change keeps, so they are O(1); a group is changed through
//! [`StreamMut::group`] only. Time and ids come from the caller. DUMP reads [`Log::chunks`],
//! [`Log::meta`] and the groups; RESTORE builds with [`Log::from_chunks`] and [`StreamData::new`].
//! Neighbours: `chunk` is the layout of entries, `log` their order, `group` the readers; `types`
//! what is common to all types. Tests: `store/src/tests/stream.rs`, transcripts of `stream`.

mod chunk;
mod group;
mod id;
mod log;

use std::collections::BTreeMap;

pub use chunk::StreamEntry;
pub use group::{Consumer, ConsumerId, Group, Pending};
pub use id::StreamId;
pub use log::{Entries, Keep, Log, StreamMeta, Trim};
use pannier_collections::{Payload, allocated};

use super::{Body, Collection, Opened};
use crate::value::{Kind, Object};

/// The type stream.
#[derive(Debug)]
pub enum Stream {}

impl Collection for Stream {
    const KIND: Kind = Kind::Stream;
    type Ref<'v> = &'v StreamData;
    type Mut<'v> = StreamMut<'v>;

    fn read(body: Body<'_>) -> &StreamData {
        match body.item.payload() {
            Payload::Object(Object::Stream(data)) => data,
            _ => &EMPTY,
        }
    }

    fn open(opened: Opened<'_>) -> StreamMut<'_> {
        StreamMut { opened }
    }
}

/// A stream: its log and its groups.
#[derive(Clone, Debug, Default)]
pub struct StreamData {
    log: Log,
    groups: BTreeMap<Box<[u8]>, Group>,
    /// Bytes of the groups.
    bytes: usize,
}

/// What a new stream holds.
static EMPTY: StreamData = StreamData { log: Log::new(), groups: BTreeMap::new(), bytes: 0 };

impl StreamData {
    /// A stream of a log and groups from outside, which must have different names.
    pub fn new(log: Log, groups: impl IntoIterator<Item = (Box<[u8]>, Group)>) -> Option<Self> {
        let mut data = Self { log, ..Self::default() };
        for (name, group) in groups {
            data.bytes += group_bytes(&name) + group.footprint();
            if data.groups.insert(name, group).is_some() {
                return None;
            }
        }
        Some(data)
    }

    /// The entries.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// The groups with their names, in the order of these.
    pub fn groups(&self) -> impl ExactSizeIterator<Item = (&[u8], &Group)> {
        self.groups.iter().map(|(name, group)| (&**name, group))
    }

    /// The group of this name.
    pub fn group(&self, name: &[u8]) -> Option<&Group> {
        self.groups.get(name)
    }

    /// How many entries a group has still to read, where that can be told.
    pub fn lag(&self, group: &Group) -> Option<i64> {
        let added = self.log.meta().added;
        if added == 0 {
            return Some(0);
        }
        let known = group.read.filter(|_| !self.log.has_gap_from(group.last));
        let read = known.or_else(|| self.log.added_up_to(group.last))?;
        Some(added.wrapping_sub(read) as i64)
    }

    /// Whether some group has the entry pending or has not come to it yet.
    pub fn is_wanted(&self, id: StreamId) -> bool {
        self.groups.values().any(|group| group.last < id || group.pending_of(id).is_some())
    }

    pub(crate) fn footprint(&self) -> usize {
        allocated(size_of::<Self>()) + self.log.footprint() + self.bytes
    }

    /// Chunks and readers: what freeing it costs.
    pub(crate) fn parts(&self) -> usize {
        self.log.chunk_count() + self.bytes / size_of::<Group>()
    }
}

#[cfg(test)]
impl StreamData {
    /// The footprint, with every sum worked out anew.
    pub(crate) fn recount(&self) -> usize {
        let groups = self.groups.iter().map(|(name, group)| group_bytes(name) + group.recount());
        allocated(size_of::<Self>()) + self.log.recount() + groups.sum::<usize>()
    }
}

/// Why an entry cannot be appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Its id is not greater than the last one.
    NotGreater,
    /// There is no greater id.
    Exhausted,
    /// Its fields and values are longer than a chunk may be.
    TooLarge,
}

/// How an entry's id is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewId {
    /// By the time, in Unix milliseconds.
    Auto(u64),
    /// These milliseconds, and the next number.
    Ms(u64),
    /// This one.
    Exact(StreamId),
}

/// A stream, to be changed.
pub struct StreamMut<'v> {
    opened: Opened<'v>,
}

impl StreamMut<'_> {
    /// The stream as it is now.
    pub fn data(&self) -> &StreamData {
        Stream::read(self.opened.body())
    }

    /// Puts another stream in place of what is there.
    pub fn replace(&mut self, stream: StreamData) {
        *self.data_mut() = stream;
        self.count(1);
    }

    /// Counts changes, as Redis counts them.
    pub fn count(&mut self, changes: u64) {
        self.opened.count(changes);
    }

    /// Appends an entry of fields and values in turn; its id.
    ///
    /// # Errors
    /// [`Refused`]; nothing is changed then.
    pub fn append(&mut self, id: NewId, pairs: &[&[u8]]) -> Result<StreamId, Refused> {
        let last = self.data().log.meta().last;
        if last == StreamId::MAX {
            return Err(Refused::Exhausted);
        }
        let next = last.next().unwrap_or(last);
        let id = match id {
            NewId::Auto(ms) if ms > last.ms => StreamId::new(ms, 0),
            NewId::Auto(_) => next,
            NewId::Ms(ms) if ms == last.ms => {
                if last.seq == u64::MAX {
                    return Err(Refused::NotGreater);
                }
                next
            }
            NewId::Ms(ms) => StreamId::new(ms, 0),
            NewId::Exact(id) => id,
        };
        if id <= last {
            return Err(Refused::NotGreater);
        }
        if pairs.iter().map(|piece| piece.len()).sum::<usize>() > log::CHUNK_MAX {
            return Err(Refused::TooLarge);
        }
        let limits = self.opened.limits;
        self.data_mut().log.append(id, pairs, limits);
        self.count(1);
        Ok(id)
    }

    /// Deletes an entry; false if there is none.
    pub fn delete(&mut self, id: StreamId) -> bool {
        let deleted = self.data_mut().log.delete(id);
        self.count(u64::from(deleted));
        deleted
    }

    /// Trims from the beginning; how many entries went, which the caller counts.
    pub fn trim(&mut self, trim: Trim) -> u64 {
        self.data_mut().log.trim(trim)
    }

    /// Sets the last id and, where given, what is known besides; nobody is told.
    pub fn set_meta(&mut self, last: StreamId, added: Option<u64>, max_deleted: Option<StreamId>) {
        let meta = self.data_mut().log.meta_mut();
        meta.last = last;
        meta.added = added.unwrap_or(meta.added);
        meta.max_deleted = max_deleted.unwrap_or(meta.max_deleted);
        self.opened.count_untold(1);
    }

    /// Adds a group; false if there is one of this name.
    pub fn create_group(&mut self, name: &[u8], group: Group) -> bool {
        let data = self.data_mut();
        let created = !data.groups.contains_key(name);
        if created {
            data.bytes += group_bytes(name) + group.footprint();
            data.groups.insert(name.into(), group);
        }
        self.opened.count_untold(u64::from(created));
        created
    }

    /// Removes a group; false if there is none of this name. Its readers hear of it.
    pub fn destroy_group(&mut self, name: &[u8]) -> bool {
        let data = self.data_mut();
        let removed = data.groups.remove(name);
        let bytes = removed.as_ref().map_or(0, |group| group_bytes(name) + group.footprint());
        data.bytes -= bytes;
        self.opened.count_untold(u64::from(removed.is_some()));
        self.opened.wake();
        removed.is_some()
    }

    /// Changes a group; `None` if there is none of this name. `work` also gives the number of
    /// changes. What groups have read is no change of the stream: nobody is told.
    pub fn group<R>(
        &mut self,
        name: &[u8],
        work: impl FnOnce(&Log, &mut Group) -> (R, u64),
    ) -> Option<R> {
        let StreamData { log, groups, bytes } = self.data_mut();
        let group = groups.get_mut(name)?;
        let before = group.footprint();
        let (result, changes) = work(log, group);
        *bytes = *bytes + group.footprint() - before;
        self.opened.count_untold(changes);
        Some(result)
    }

    /// No group has the entry pending any more.
    pub fn forget(&mut self, id: StreamId) {
        let StreamData { groups, bytes, .. } = self.data_mut();
        let mut changes = 0;
        for group in groups.values_mut() {
            let before = group.footprint();
            changes += u64::from(group.acknowledge(id));
            *bytes = *bytes + group.footprint() - before;
        }
        self.opened.count_untold(changes);
    }

    /// The stream; a new one is put in place first.
    fn data_mut(&mut self) -> &mut StreamData {
        if !matches!(self.opened.item.payload(), Payload::Object(Object::Stream(_))) {
            self.opened.enlarge(Object::Stream(Box::default()));
        }
        match self.opened.item.object_mut() {
            Some(Object::Stream(data)) => data,
            _ => unreachable!("a stream was put in place"),
        }
    }
}

/// Bytes of a group's name and of its place in the map.
fn group_bytes(name: &[u8]) -> usize {
    allocated(name.len()) + 2 * size_of::<Group>()
}
