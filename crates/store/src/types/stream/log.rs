//! The log of a stream: its entries in chunks, ordered by id.
//!
//! Entries are appended to the last chunk, which is kept apart so that XADD walks no tree and a
//! short stream owns no tree node; a chunk that is full is cut to its size and goes into an ordered
//! map by its first id. So appending is O(1), any id is found in O(log n) and a walk through half
//! a chunk, and growth never moves more than one chunk. How much a chunk takes are the
//! parameters `stream-node-max-bytes` and `stream-node-max-entries`, and since approximate trimming
//! drops whole chunks only, where chunks end can be seen from outside: they end where Redis's do.
//!
//! Rules: a deleted entry is marked, and its chunk goes with its last live entry. There is a last
//! chunk as long as there is any. `bytes` follows every change, so the footprint is O(1).
//! Neighbours: `chunk` packs and reads entries; `group` keeps who has read what.
//! Tests: `store/src/tests/stream.rs`, against a map.

use std::collections::{BTreeMap, btree_map};

use pannier_collections::allocated;

use super::chunk::{self, Run, StreamEntry};
use super::id::StreamId;
use crate::types::Limits;

/// What is known of a stream besides its entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamMeta {
    /// Entries that are there.
    pub len: u64,
    /// The id of the first of them; 0-0 when there is none.
    pub first: StreamId,
    /// The id that the next entry's must exceed.
    pub last: StreamId,
    /// The greatest id that was deleted (trimming does not count).
    pub max_deleted: StreamId,
    /// Entries that were ever added.
    pub added: u64,
}

/// How to trim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// So many entries, the latest.
    Newest(u64),
    /// The entries from this id on.
    From(StreamId),
}

/// What is to be trimmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trim {
    /// What stays.
    pub keep: Keep,
    /// Whole chunks only.
    pub approximate: bool,
    /// At most so many entries go; 0 is no limit.
    pub limit: u64,
}

/// The entries of a stream.
#[derive(Debug, Default)]
pub struct Log {
    closed: BTreeMap<StreamId, Box<[u8]>>,
    tail: Option<Tail>,
    meta: StreamMeta,
    /// Bytes of the chunks, as the allocator rounds them.
    bytes: usize,
}

/// The last chunk, to which entries are appended.
#[derive(Debug)]
struct Tail {
    first: StreamId,
    bytes: Vec<u8>,
}

impl Clone for Log {
    fn clone(&self) -> Self {
        let tail = self.tail.as_ref().map(|tail| {
            // A vector's clone may have any capacity; this one has room for what it holds.
            let mut bytes = Vec::with_capacity(tail.bytes.len());
            bytes.extend_from_slice(&tail.bytes);
            Tail { first: tail.first, bytes }
        });
        let bytes = self.bytes - self.tail.as_ref().map_or(0, Tail::footprint)
            + tail.as_ref().map_or(0, Tail::footprint);
        Self { closed: self.closed.clone(), tail, meta: self.meta, bytes }
    }
}

impl Log {
    pub(super) const fn new() -> Self {
        let meta = StreamMeta {
            len: 0,
            first: StreamId::MIN,
            last: StreamId::MIN,
            max_deleted: StreamId::MIN,
            added: 0,
        };
        Self { closed: BTreeMap::new(), tail: None, meta, bytes: 0 }
    }

    /// A log of chunks from outside, each with its id, unless they contradict each other or
    /// `meta`. What `meta` says of the first entry is worked out anew.
    pub fn from_chunks(
        meta: StreamMeta,
        chunks: impl IntoIterator<Item = (StreamId, Box<[u8]>)>,
    ) -> Option<Self> {
        let mut log = Self::new();
        let (mut len, mut last) = (0u64, None);
        for (first, bytes) in chunks {
            let (live, end) = chunk::check(first, &bytes)?;
            if last.is_some_and(|last| first <= last) {
                return None;
            }
            (len, last) = (len.checked_add(live)?, Some(end));
            log.bytes += allocated(bytes.len());
            log.closed.insert(first, bytes);
        }
        if len != meta.len || last.is_some_and(|last| last > meta.last) {
            return None;
        }
        log.meta = meta;
        log.reopen();
        log.find_first();
        Some(log)
    }

    /// Every chunk with its id, in order: the bytes of a list without header and terminator.
    pub fn chunks(&self) -> impl Iterator<Item = (StreamId, &[u8])> {
        let closed = self.closed.iter().map(|(first, bytes)| (*first, &**bytes));
        closed.chain(self.tail.iter().map(|tail| (tail.first, &*tail.bytes)))
    }

    /// Number of chunks.
    pub fn chunk_count(&self) -> usize {
        self.closed.len() + usize::from(self.tail.is_some())
    }

    /// What is known besides the entries.
    pub fn meta(&self) -> &StreamMeta {
        &self.meta
    }

    /// The entries from one id to another, both included; from both ends.
    pub fn range(&self, from: StreamId, to: StreamId) -> Entries<'_> {
        let tail = self.tail.as_ref();
        let in_tail = tail.is_some_and(|tail| tail.first <= from);
        let closed = if in_tail || from > to {
            self.closed.range(StreamId::MAX..)
        } else {
            let at = self.closed.range(..=from).next_back().map_or(from, |(first, _)| *first);
            self.closed.range(at..=to.max(at))
        };
        let tail = tail.filter(|tail| tail.first <= to && from <= to);
        Entries { closed, tail, front: None, back: None, from, to }
    }

    /// The entry with this id.
    pub fn get(&self, id: StreamId) -> Option<StreamEntry<'_>> {
        self.run_of(id)?.find(id)
    }

    /// The last entry's id: not `meta.last` when that entry was deleted.
    pub fn last_entry(&self) -> Option<StreamId> {
        self.range(StreamId::MIN, StreamId::MAX).next_back().map(|entry| entry.id)
    }

    /// Whether a deleted entry lies at or behind this id.
    pub fn has_gap_from(&self, id: StreamId) -> bool {
        let meta = &self.meta;
        meta.len > 0 && meta.max_deleted != StreamId::MIN && id <= meta.max_deleted
    }

    /// How many entries were added up to this id, where that can be told.
    pub fn added_up_to(&self, id: StreamId) -> Option<u64> {
        let meta = &self.meta;
        if meta.added == 0 {
            return Some(0);
        }
        if meta.len == 0 && id <= meta.last {
            return Some(meta.added);
        }
        if id != StreamId::MIN && id < meta.max_deleted {
            return None;
        }
        if id == meta.last {
            return Some(meta.added);
        }
        let whole = meta.max_deleted == StreamId::MIN || meta.max_deleted < meta.first;
        if id > meta.last || !whole || id > meta.first {
            return None;
        }
        let before = meta.added.wrapping_sub(meta.len);
        Some(if id == meta.first { before.wrapping_add(1) } else { before })
    }

    pub(super) fn meta_mut(&mut self) -> &mut StreamMeta {
        &mut self.meta
    }

    pub(super) fn footprint(&self) -> usize {
        self.bytes + self.closed.len() * NODE_SHARE
    }

    /// Appends an entry; its id exceeds all others.
    pub(super) fn append(&mut self, id: StreamId, pairs: &[&[u8]], limits: &Limits) {
        let size = pairs.iter().map(|piece| piece.len()).sum::<usize>();
        if self.tail.as_ref().is_some_and(|tail| tail.is_full(size, limits)) {
            self.close();
        }
        let (is_new, more) = (self.tail.is_none(), size + 6 * pairs.len() + ENTRY_HEAD);
        let tail = self.tail.get_or_insert_with(|| {
            // Whoever has filled a chunk will fill another; a short stream stays small.
            let room = if self.closed.is_empty() { 0 } else { bytes_max(limits).min(ROOM_MAX) };
            let mut bytes = Vec::with_capacity(room.max(more));
            chunk::begin(&mut bytes, pairs);
            let tail = Tail { first: id, bytes };
            self.bytes += tail.footprint();
            tail
        });
        let before = tail.footprint();
        if !is_new {
            tail.make_room(more, limits);
        }
        chunk::append(&mut tail.bytes, tail.first, id, pairs);
        self.bytes = self.bytes + tail.footprint() - before;
        self.meta.last = id;
        self.meta.added += 1;
        self.meta.len += 1;
        if self.meta.len == 1 {
            self.meta.first = id;
        }
    }

    /// Deletes an entry; false if there is none.
    pub(super) fn delete(&mut self, id: StreamId) -> bool {
        let Some(run) = self.run_of(id) else { return false };
        let Some(at) = run.find(id).map(|entry| entry.at()) else { return false };
        let (first, live) = (run.first, run.live);
        if live == 1 {
            self.drop_chunk(first);
        } else {
            self.mark_deleted(first, &[at]);
        }
        self.meta.len -= 1;
        self.meta.max_deleted = self.meta.max_deleted.max(id);
        if id == self.meta.first {
            self.find_first();
        }
        true
    }

    /// Trims from the beginning; how many entries went.
    pub(super) fn trim(&mut self, trim: Trim) -> u64 {
        let mut gone = 0;
        while let Some(run) = self.first_run() {
            let (first, len, live) = (run.first, self.meta.len, run.live);
            let whole = match trim.keep {
                Keep::Newest(max) if len <= max => break,
                Keep::Newest(max) => len - live >= max,
                Keep::From(id) => run.last() < id,
            };
            if trim.limit > 0 && gone + live > trim.limit {
                break;
            }
            if whole {
                self.drop_chunk(first);
                self.meta.len -= live;
                gone += live;
                continue;
            }
            if !trim.approximate {
                let places = doomed(run, len, trim.keep);
                self.mark_deleted(first, &places);
                self.meta.len -= places.len() as u64;
                gone += places.len() as u64;
            }
            break;
        }
        if gone > 0 {
            self.find_first();
        }
        gone
    }

    /// The chunk in which an id would be.
    fn run_of(&self, id: StreamId) -> Option<Run<'_>> {
        if let Some(tail) = self.tail.as_ref().filter(|tail| tail.first <= id) {
            return Some(Run::open(tail.first, &tail.bytes));
        }
        let (first, bytes) = self.closed.range(..=id).next_back()?;
        Some(Run::open(*first, bytes))
    }

    fn first_run(&self) -> Option<Run<'_>> {
        match self.closed.first_key_value() {
            Some((first, bytes)) => Some(Run::open(*first, bytes)),
            None => self.tail.as_ref().map(|tail| Run::open(tail.first, &tail.bytes)),
        }
    }

    /// Marks the entries of a chunk whose flags stand at these places.
    fn mark_deleted(&mut self, first: StreamId, places: &[usize]) {
        if let Some(tail) = self.tail.as_mut().filter(|tail| tail.first == first) {
            let before = tail.footprint();
            chunk::mark_deleted(&mut tail.bytes, first, places);
            self.bytes = self.bytes + tail.footprint() - before;
        } else if let Some(held) = self.closed.get_mut(&first) {
            let before = allocated(held.len());
            let mut bytes = std::mem::take(held).into_vec();
            chunk::mark_deleted(&mut bytes, first, places);
            *held = bytes.into_boxed_slice();
            self.bytes = self.bytes + allocated(held.len()) - before;
        }
    }

    fn drop_chunk(&mut self, first: StreamId) {
        if let Some(tail) = self.tail.take_if(|tail| tail.first == first) {
            self.bytes -= tail.footprint();
            self.reopen();
        } else if let Some(bytes) = self.closed.remove(&first) {
            self.bytes -= allocated(bytes.len());
        }
    }

    /// The last chunk is full: it takes no more room than it needs.
    fn close(&mut self) {
        let Some(tail) = self.tail.take() else { return };
        let before = tail.footprint();
        let bytes = tail.bytes.into_boxed_slice();
        self.bytes = self.bytes + allocated(bytes.len()) - before;
        self.closed.insert(tail.first, bytes);
    }

    /// The last chunk is gone: the one before it takes its place.
    fn reopen(&mut self) {
        let last = self.closed.pop_last();
        self.tail = last.map(|(first, bytes)| Tail { first, bytes: bytes.into_vec() });
    }

    fn find_first(&mut self) {
        let mut all = self.range(StreamId::MIN, StreamId::MAX);
        self.meta.first = all.next().map_or(StreamId::MIN, |entry| entry.id);
    }
}

#[cfg(test)]
impl Log {
    /// The footprint, from the chunks themselves; the counters of entries are checked too.
    pub(super) fn recount(&self) -> usize {
        let all = || self.range(StreamId::MIN, StreamId::MAX);
        assert_eq!(all().count() as u64, self.meta.len);
        assert_eq!(all().next().map_or(StreamId::MIN, |entry| entry.id), self.meta.first);
        for (first, bytes) in self.chunks() {
            let (_, last) = chunk::check(first, bytes).expect("a chunk passes its own check");
            assert!(last <= self.meta.last);
        }
        let closed = self.closed.values().map(|bytes| allocated(bytes.len()) + NODE_SHARE);
        closed.sum::<usize>() + self.tail.as_ref().map_or(0, Tail::footprint)
    }
}

impl Tail {
    /// Makes room for about so many bytes more: twice what there was, but no more than a full
    /// chunk takes.
    fn make_room(&mut self, more: usize, limits: &Limits) {
        let (len, capacity) = (self.bytes.len(), self.bytes.capacity());
        if len + more > capacity {
            let twice = (2 * capacity).min(bytes_max(limits));
            self.bytes.reserve_exact(twice.max(len + more) - len);
        }
    }

    fn footprint(&self) -> usize {
        allocated(self.bytes.capacity())
    }

    /// Whether an entry of so many bytes must go into the next chunk.
    fn is_full(&self, size: usize, limits: &Limits) -> bool {
        let run = Run::open(self.first, &self.bytes);
        let entries = limits.stream_entries as u64;
        self.bytes.len() + LIST_FRAME + size >= bytes_max(limits)
            || (entries > 0 && run.live + run.deleted >= entries)
    }
}

/// Entries in a range of ids, in order; deleted ones are passed over.
#[derive(Debug)]
pub struct Entries<'s> {
    closed: btree_map::Range<'s, StreamId, Box<[u8]>>,
    tail: Option<&'s Tail>,
    /// The chunk that is being read from its beginning, and how far.
    front: Option<(Run<'s>, usize)>,
    /// The chunk that is being read from its end, and how far.
    back: Option<(Run<'s>, usize)>,
    from: StreamId,
    to: StreamId,
}

impl<'s> Iterator for Entries<'s> {
    type Item = StreamEntry<'s>;

    fn next(&mut self) -> Option<StreamEntry<'s>> {
        loop {
            if let Some((run, at)) = &mut self.front {
                while let Some(entry) = run.entry(*at) {
                    if entry.id > self.to {
                        return None;
                    }
                    *at = entry.end();
                    if entry.id >= self.from && !entry.is_deleted() {
                        match entry.id.next() {
                            Some(next) => self.from = next,
                            None => self.to = StreamId::MIN,
                        }
                        return Some(entry);
                    }
                }
            }
            let closed = self.closed.next().map(|(first, bytes)| Run::open(*first, bytes));
            let tail = || self.tail.take().map(|tail| Run::open(tail.first, &tail.bytes));
            // At last the chunk that the other end has begun.
            let run = closed.or_else(tail).or_else(|| self.back.take().map(|(run, _)| run))?;
            self.front = Some((run, run.start));
        }
    }
}

impl DoubleEndedIterator for Entries<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((run, at)) = &mut self.back {
                while let Some(entry) = run.entry_before(*at) {
                    if entry.id < self.from {
                        return None;
                    }
                    *at = entry.at();
                    if entry.id <= self.to && !entry.is_deleted() {
                        match entry.id.previous() {
                            Some(previous) => self.to = previous,
                            None => self.from = StreamId::MAX,
                        }
                        return Some(entry);
                    }
                }
            }
            let tail = self.tail.take().map(|tail| Run::open(tail.first, &tail.bytes));
            let closed = || self.closed.next_back().map(|(first, held)| Run::open(*first, held));
            let run = tail.or_else(closed).or_else(|| self.front.take().map(|(run, _)| run))?;
            self.back = Some((run, run.end()));
        }
    }
}

/// Where the flags of the entries stand that trimming takes from a chunk which stays.
fn doomed(run: Run<'_>, len: u64, keep: Keep) -> Vec<usize> {
    let mut places = Vec::new();
    let mut at = run.start;
    while let Some(entry) = run.entry(at) {
        let stays = match keep {
            Keep::Newest(max) => len - places.len() as u64 <= max,
            Keep::From(id) => entry.id >= id,
        };
        if stays {
            break;
        }
        if !entry.is_deleted() {
            places.push(entry.at());
        }
        at = entry.end();
    }
    places
}

fn bytes_max(limits: &Limits) -> usize {
    match limits.stream_bytes {
        0 => CHUNK_MAX,
        bytes => bytes.min(CHUNK_MAX),
    }
}

/// Bytes of a chunk when there is no limit, and the most that fields and values of an entry take.
pub(super) const CHUNK_MAX: usize = 1 << 30;
/// Bytes of an entry besides its fields and values, about.
const ENTRY_HEAD: usize = 24;
/// What Redis counts for a list beyond its elements.
const LIST_FRAME: usize = 7;
/// Bytes that a new chunk has room for from the beginning.
const ROOM_MAX: usize = 4096;
/// A chunk's share of the map's nodes (384 bytes for eleven pairs), which lie a little over half
/// full when they are filled in order.
const NODE_SHARE: usize = 64;
