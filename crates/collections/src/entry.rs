//! An entry of the keyspace: key, deadline and small value in one allocation.
//!
//! A lookup that hits costs the table's bucket line and then one line of the entry, which holds
//! everything that GET needs. In memory an entry is 8 bytes of header (access 4, size class,
//! form with four flags, key length, unused bytes; 16 bytes for keys over 255 bytes and blocks
//! over 512), 8 bytes of deadline and stamp if it has a deadline, the key, and the value: an
//! integer as 8 bytes, a small string as its bytes, or anything else as an `O` at its alignment.
//! A 24-byte key with a 32-byte value takes 64 bytes, with a deadline 72 of 80. Drawn in
//! `entry::block`.
//!
//! A box of a struct with a boxed key and a value enum needs three allocations and 40 bytes more;
//! reserving the deadline always would cost 8 bytes where nothing expires; the 12-byte header of
//! before put every second entry one class (16 bytes) higher.
//!
//! Cost: reading anything is O(1). Setting a deadline where there was none (or removing it) moves
//! key and value by 8 bytes, in place while the block has room. A value is overwritten in place
//! while it fits and does not leave more than half of the block empty. `resize_bytes` grows a
//! block to twice what is needed (beyond 1 MiB: by a quarter), so appends are amortised O(1) a
//! byte; it reallocates downwards when three quarters are empty.
//!
//! Rules: the unsafe code is in `block` alone; here is the policy, in safe code.
//! `footprint` is what the allocator gives (`size_class`), not what is used.
//! Neighbours: `block` holds the memory, `store` the meaning. Tests: `tests/entry.rs`.

mod block;

use std::alloc::Layout;
use std::fmt;

use self::block::{Block, Kind, Parts, bytes_of};
use crate::size_class::size_of_class;
use crate::table::Tagged;

/// A key with its value, one pointer wide; `Option<Entry<O>>` is no wider.
///
/// ```
/// use pannier_collections::{Entry, NewPayload, Payload};
/// let mut entry = Entry::<String>::new(b"visits", NewPayload::Int(41), Some(1_000));
/// entry.set_payload(NewPayload::Int(42));
/// assert_eq!(entry.payload(), Payload::Int(42));
/// assert_eq!((entry.key(), entry.deadline()), (&b"visits"[..], Some(1_000)));
/// ```
pub struct Entry<O> {
    block: Block<O>,
}

/// The value of an entry, to be read.
#[derive(Debug, PartialEq, Eq)]
pub enum Payload<'a, O> {
    /// An integer, held as such.
    Int(i64),
    /// A string inside the entry's own block.
    Bytes(&'a [u8]),
    /// Whatever else; it owns its memory.
    Object(&'a O),
}

/// The value for an entry, to be stored.
#[derive(Debug)]
pub enum NewPayload<'a, O> {
    /// An integer, held as such.
    Int(i64),
    /// A string to be copied into the entry's own block, up to `u32::MAX` bytes.
    Bytes(&'a [u8]),
    /// Whatever else; it owns its memory.
    Object(O),
}

impl<O> Entry<O> {
    /// A new entry with access and flags 0.
    ///
    /// # Panics
    /// When the key or inline bytes are longer than `u32::MAX`.
    pub fn new(key: &[u8], payload: NewPayload<'_, O>, deadline: Option<u64>) -> Self {
        let (kind, value) = payload.shape();
        let parts = Parts::least(kind, deadline, key.len(), value, 0);
        let mut entry = Self { block: Block::new(parts, key, deadline) };
        entry.write(payload);
        entry
    }

    /// Replaces the value; key, deadline, access, flags, stamp and tag stay. Returns the object
    /// that was the value, if it was one: dropping it may take a while.
    ///
    /// # Panics
    /// When inline bytes are longer than `u32::MAX`.
    pub fn set_payload(&mut self, payload: NewPayload<'_, O>) -> Option<O> {
        let old = self.block.parts();
        let (kind, value) = payload.shape();
        let deadline = self.deadline();
        let least = Parts::least(kind, deadline, old.key_len, value, 0);
        let roomy = self.block.size() > 2 * size_of_class(least.class);
        let object = self.block.take_object();
        if old.with_value(kind, value).fit() && !roomy {
            self.write(payload);
        } else {
            *self = self.twin(payload);
        }
        object
    }

    /// Writes inline bytes over as many as there are; false, and nothing done, when the value is
    /// something else or of another length.
    ///
    /// ```
    /// use pannier_collections::{Entry, NewPayload, Payload};
    /// let mut entry = Entry::<String>::new(b"state", NewPayload::Bytes(b"idle"), None);
    /// assert!(entry.overwrite(b"busy") && !entry.overwrite(b"asleep"));
    /// assert_eq!(entry.payload(), Payload::Bytes(b"busy"));
    /// ```
    #[inline]
    pub fn overwrite(&mut self, bytes: &[u8]) -> bool {
        match self.block.bytes_mut() {
            Some(old) if old.len() == bytes.len() => {
                old.copy_from_slice(bytes);
                true
            }
            _ => false,
        }
    }

    /// An entry with another value and all else as it is here, deadline and tag included: it may
    /// take this one's place in a table.
    ///
    /// ```
    /// use pannier_collections::{Entry, NewPayload, Payload};
    /// let mut entry = Entry::<String>::new(b"visits", NewPayload::Int(41), Some(1_000));
    /// let twin = entry.twin(NewPayload::Int(42));
    /// let before = std::mem::replace(&mut entry, twin);
    /// assert_eq!((before.payload(), entry.payload()), (Payload::Int(41), Payload::Int(42)));
    /// assert_eq!((entry.key(), entry.deadline()), (&b"visits"[..], Some(1_000)));
    /// ```
    ///
    /// # Panics
    /// When inline bytes are longer than `u32::MAX`.
    pub fn twin(&self, payload: NewPayload<'_, O>) -> Self {
        let mut twin = Self::new(self.key(), payload, self.deadline());
        twin.block.inherit(&self.block);
        twin
    }

    /// Grows or cuts inline bytes to `len`; new bytes are zero. False, and nothing done, when the
    /// value is not inline bytes.
    ///
    /// # Panics
    /// When `len` is greater than `u32::MAX`.
    pub fn resize_bytes(&mut self, len: usize) -> bool {
        let old = self.block.parts();
        if old.kind != Kind::Bytes {
            return false;
        }
        let deadline = self.deadline();
        let least = |spare| Parts::least(Kind::Bytes, deadline, old.key_len, bytes_of(len), spare);
        let fits = old.with_value(Kind::Bytes, bytes_of(len)).fit();
        if fits && self.block.size() < 4 * size_of_class(least(0).class) {
            self.block.resize_bytes(len);
        } else {
            assert!(len <= u32::MAX as usize, "inline bytes are limited to u32::MAX");
            let doubled = len > old.value_len && least(0).end() < DOUBLING_MAX;
            let spare = least(0).end() / if doubled { 1 } else { 4 };
            self.block.move_to(least(spare), deadline);
        }
        true
    }

    /// Puts `added` in place of the `removed` inline bytes at `at`. The block grows to what is
    /// needed and no further: its classes are an eighth to a quarter apart, so repeated growth is
    /// amortised all the same, and small collections stay small. False, and nothing done, when
    /// the value is not inline bytes.
    ///
    /// # Panics
    /// When the removed bytes are not all there, or the length exceeds `u32::MAX`.
    pub fn splice_bytes(&mut self, at: usize, removed: usize, added: &[u8]) -> bool {
        let old = self.block.parts();
        if old.kind != Kind::Bytes {
            return false;
        }
        let (end, tail) = (old.value_len, at + removed);
        assert!(tail <= end, "only what is there can be replaced");
        let len = end - removed + added.len();
        let deadline = self.deadline();
        let least = Parts::least(Kind::Bytes, deadline, old.key_len, bytes_of(len), 0);
        let fits = old.with_value(Kind::Bytes, bytes_of(len)).fit();
        if len > end {
            if fits {
                self.block.resize_bytes(len);
            } else {
                assert!(len <= u32::MAX as usize, "inline bytes are limited to u32::MAX");
                self.block.move_to(least, deadline);
            }
        }
        let bytes = self.block.bytes_mut().unwrap_or_default();
        bytes.copy_within(tail..end, at + added.len());
        bytes[at..at + added.len()].copy_from_slice(added);
        if len < end {
            if fits && self.block.size() <= 2 * size_of_class(least.class) {
                self.block.resize_bytes(len);
            } else {
                self.block.move_to(least, deadline);
            }
        }
        true
    }

    /// The same entry under another key.
    ///
    /// # Panics
    /// When the key is longer than `u32::MAX`.
    pub fn rekeyed(mut self, key: &[u8]) -> Self {
        let deadline = self.deadline();
        let object = self.block.take_object();
        let payload = match (object, self.block.payload()) {
            (Some(object), _) => NewPayload::Object(object),
            (None, Payload::Int(number)) => NewPayload::Int(number),
            (None, Payload::Bytes(bytes)) => NewPayload::Bytes(bytes),
            (None, Payload::Object(_)) => unreachable!("the object was taken"),
        };
        let mut moved = Self::new(key, payload, deadline);
        moved.block.inherit(&self.block);
        moved
    }

    /// Sets or removes the deadline. An entry that gets its first one gets any stamp.
    pub fn set_deadline(&mut self, deadline: Option<u64>) {
        let old = self.block.parts();
        let (place, value) = (deadline.is_some(), self.block.value_layout());
        let fits = old.deadline == place || old.with_deadline(place, value).fit();
        if fits && old.deadline != place {
            self.block.shift(place);
        }
        let written = fits && deadline.is_none_or(|at| self.block.write_deadline(at));
        if !written {
            self.block.move_to(Parts::least(old.kind, deadline, old.key_len, value, 0), deadline);
        }
    }

    /// Sets the access word. Its meaning belongs to the caller.
    #[inline]
    pub fn set_access(&mut self, access: u32) {
        self.block.set_access(access);
    }

    /// Sets the access word of an entry that others read at the same time, some of whom may set it
    /// too: one of them prevails.
    #[inline]
    pub fn touch(&self, access: u32) {
        self.block.touch(access);
    }

    /// Sets the flags, of which there are four (bits 0 to 3). Their meaning belongs to the caller.
    #[inline]
    pub fn set_flags(&mut self, flags: u8) {
        self.block.set_flags(flags);
    }

    /// Sets the stamp: one more byte whose meaning is the caller's. Only an entry with a deadline
    /// is sure to keep it.
    #[inline]
    pub fn set_stamp(&mut self, stamp: u8) {
        self.block.set_stamp(stamp);
    }

    /// The object, to be changed, if the value is one.
    #[inline]
    pub fn object_mut(&mut self) -> Option<&mut O> {
        self.block.object_mut()
    }

    /// The inline bytes, to be changed, if the value is such.
    #[inline]
    pub fn bytes_mut(&mut self) -> Option<&mut [u8]> {
        self.block.bytes_mut()
    }

    /// The key.
    #[inline]
    pub fn key(&self) -> &[u8] {
        self.block.key()
    }

    /// The value.
    #[inline]
    pub fn payload(&self) -> Payload<'_, O> {
        self.block.payload()
    }

    /// The deadline, if there is one. Its unit belongs to the caller.
    #[inline]
    pub fn deadline(&self) -> Option<u64> {
        self.block.deadline()
    }

    /// The access word.
    #[inline]
    pub fn access(&self) -> u32 {
        self.block.access()
    }

    /// The flags.
    #[inline]
    pub fn flags(&self) -> u8 {
        self.block.flags()
    }

    /// The stamp; 0 when it was not kept.
    #[inline]
    pub fn stamp(&self) -> u8 {
        self.block.stamp()
    }

    /// Bytes of the block as the allocator rounds them (`allocated` states the classes), without
    /// what an object owns elsewhere.
    #[inline]
    pub fn footprint(&self) -> usize {
        self.block.size()
    }

    #[inline]
    fn write(&mut self, payload: NewPayload<'_, O>) {
        match payload {
            NewPayload::Int(number) => self.block.write_bytes(Kind::Int, &number.to_ne_bytes()),
            NewPayload::Bytes(bytes) => self.block.write_bytes(Kind::Bytes, bytes),
            NewPayload::Object(object) => self.block.write_object(object),
        }
    }
}

// SAFETY: an entry is the pointer to its block and nothing else. The address of a block is never 0
// and aligned to 16, so the lowest bit is 0, and its top 16 bits hold the tag.
unsafe impl<O> Tagged for Entry<O> {
    #[inline]
    fn tag(&self) -> u16 {
        self.block.tag()
    }

    #[inline]
    fn set_tag(&mut self, tag: u16) {
        self.block.set_tag(tag);
    }

    #[inline]
    fn address(&self) -> *const u8 {
        self.block.address()
    }
}

impl<O: fmt::Debug> fmt::Debug for Entry<O> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut entry = formatter.debug_struct("Entry");
        entry.field("key", &self.key()).field("payload", &self.payload());
        entry.field("deadline", &self.deadline()).finish_non_exhaustive()
    }
}

impl<O> Clone for Payload<'_, O> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<O> Copy for Payload<'_, O> {}

impl<O> NewPayload<'_, O> {
    #[inline]
    fn shape(&self) -> (Kind, Layout) {
        match self {
            Self::Int(_) => (Kind::Int, bytes_of(size_of::<i64>())),
            Self::Bytes(bytes) => (Kind::Bytes, bytes_of(bytes.len())),
            Self::Object(_) => (Kind::Object, Layout::new::<O>()),
        }
    }
}

const DOUBLING_MAX: usize = 1 << 20;

const _: () = assert!(size_of::<Option<Entry<String>>>() == size_of::<usize>());
