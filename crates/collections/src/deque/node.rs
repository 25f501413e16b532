//! One node of a list: a run of packed elements, or one long element by itself.
//!
//! ```text
//!  buf: | unused, `start` bytes | elements, packed | room |
//! ```
//!
//! The unused bytes in front make a push at the head as cheap as one at the tail: without them
//! each moved the whole node, 8 KiB with the default limit. Taking elements off an end moves
//! nothing either; a buffer that has become three quarters empty is replaced by a smaller one.
//!
//! An element over the limit stands alone, as plain bytes: it needs no head, and a change of its
//! neighbours does not move it. What looks like an integer is one for readers there too.
//!
//! Rules: a run is never empty once it is in a list. Neighbours: `deque` decides what goes where;
//! `packed` knows the encoding.

use crate::packed::{Encoded, Packed, Piece, Splice};
use crate::size_class::allocated;

/// How large a node may become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeLimit {
    bytes: usize,
    count: usize,
    /// Whether the limit was given as a number of elements.
    by_count: bool,
    /// From how many bytes on an element stands alone.
    alone: usize,
}

impl NodeLimit {
    /// No limit: all elements go into one node.
    pub const NONE: Self =
        Self { bytes: usize::MAX, count: usize::MAX, by_count: false, alone: usize::MAX };

    /// The limit that a number stands for, as `list-max-listpack-size` has it: so many elements,
    /// or with -1 to -5 4 to 64 KiB. An element of `alone` bytes or more stands alone; 0 means
    /// one that is over the limit in bytes.
    pub fn of(size: i32, alone: usize) -> Self {
        let by_count = size >= 0;
        let bytes = if by_count { BYTES_MAX } else { 2048 << size.unsigned_abs().min(5) };
        let count = if by_count { size.max(1) as usize } else { usize::MAX };
        Self { bytes, count, by_count, alone: if alone == 0 { bytes + 1 } else { alone } }
    }

    /// Whether so many packed bytes are too many for a node, or so many elements.
    pub fn exceeded(&self, bytes: usize, count: usize) -> bool {
        bytes.saturating_add(FRAME) > self.bytes || count > self.count
    }

    /// Whether a node is small enough by half.
    pub fn half_empty(&self, bytes: usize, count: usize) -> bool {
        if self.by_count { count <= self.count / 2 } else { bytes + FRAME <= self.bytes / 2 }
    }

    /// Whether an element of so many bytes stands alone.
    pub(super) fn is_alone(&self, len: usize) -> bool {
        len >= self.alone
    }
}

/// Elements that lie one behind the other, to be read.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    list: Packed<'a>,
    count: usize,
    alone: bool,
}

impl<'a> Run<'a> {
    /// So many packed elements.
    pub const fn new(list: Packed<'a>, count: usize) -> Self {
        Self { list, count, alone: false }
    }

    /// Number of elements.
    pub const fn len(self) -> usize {
        self.count
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.count == 0
    }

    /// The bytes of the packed elements, or of the one that stands alone.
    pub const fn bytes(self) -> &'a [u8] {
        self.list.bytes()
    }

    /// The element, if it is one that stands alone.
    pub fn alone(self) -> Option<&'a [u8]> {
        self.alone.then(|| self.list.bytes())
    }

    /// Element number `index`.
    pub fn get(self, index: usize) -> Option<Piece<'a>> {
        if self.alone {
            return (index == 0).then(|| Piece::of(self.list.bytes()));
        }
        self.list.get(self.offset(index)).map(|(piece, _)| piece)
    }

    /// Where element number `index` starts, walking from the nearer end; the end if there is
    /// no such element.
    pub fn offset(self, index: usize) -> usize {
        let end = self.list.bytes().len();
        if index >= self.count {
            end
        } else if self.alone {
            0
        } else if index < self.count / 2 {
            self.list.offset(index).unwrap_or(end)
        } else {
            self.list.offset_back(self.count - 1 - index).unwrap_or(0)
        }
    }

    /// Hands elements from number `from` on to `visit` until it returns false; false if it did.
    #[inline]
    pub fn visit(self, from: usize, mut visit: impl FnMut(Piece<'a>) -> bool) -> bool {
        if self.alone {
            return from > 0 || visit(Piece::of(self.list.bytes()));
        }
        let mut at = self.offset(from);
        while let Some((piece, next)) = self.list.get(at) {
            if !visit(piece) {
                return false;
            }
            at = next;
        }
        true
    }

    /// The same backwards, from element number `from` down to the first.
    #[inline]
    pub fn visit_back(self, from: usize, mut visit: impl FnMut(Piece<'a>) -> bool) -> bool {
        if self.alone {
            return visit(Piece::of(self.list.bytes()));
        }
        let mut at = self.offset(from.saturating_add(1));
        while let Some(before) = self.list.before(at) {
            if !self.list.get(before).is_none_or(|(piece, _)| visit(piece)) {
                return false;
            }
            at = before;
        }
        true
    }

    /// The ranges of at most `most` elements that equal `needle`, ascending: the first ones, or
    /// the last.
    pub fn matches(self, needle: Piece<'_>, most: usize, back: bool) -> Vec<(usize, usize)> {
        let mut found = Vec::new();
        if self.alone {
            if most > 0 && Piece::of(self.list.bytes()) == needle {
                found.push((0, self.list.bytes().len()));
            }
            return found;
        }
        let mut at = if back { self.list.bytes().len() } else { 0 };
        while found.len() < most {
            let Some(start) = (if back { self.list.before(at) } else { Some(at) }) else { break };
            let Some((piece, next)) = self.list.get(start) else { break };
            if piece == needle {
                found.push((start, next));
            }
            at = if back { start } else { next };
        }
        if back {
            found.reverse();
        }
        found
    }
}

/// See the module's header.
#[derive(Debug)]
pub(super) struct Node {
    buf: Vec<u8>,
    start: u32,
    count: u16,
    alone: bool,
}

impl Node {
    /// A node of packed elements.
    pub(super) fn packed(bytes: &[u8], count: usize) -> Self {
        Self { buf: bytes.to_vec(), start: 0, count: count as u16, alone: false }
    }

    /// A node for one element: packed, or alone if the limit says so.
    pub(super) fn of(string: &[u8], limit: &NodeLimit) -> Self {
        if limit.is_alone(string.len()) {
            Self { buf: string.to_vec(), start: 0, count: 1, alone: true }
        } else {
            Self::packed(Encoded::of(&[string]).as_bytes(), 1)
        }
    }

    /// Whether an element of so many bytes may be added.
    pub(super) fn accepts(&self, len: usize, limit: &NodeLimit) -> bool {
        !self.alone
            && !limit.is_alone(len)
            && !limit.exceeded(self.bytes().len() + len + ELEMENT, self.len() + 1)
    }

    /// Whether another node's elements may be added.
    pub(super) fn accepts_all(&self, other: &Self, limit: &NodeLimit) -> bool {
        let bytes = self.bytes().len() + other.bytes().len();
        !self.alone && !other.alone && !limit.exceeded(bytes, self.len() + other.len())
    }

    pub(super) fn push_front(&mut self, encoded: &[u8], limit: &NodeLimit) {
        debug_assert!(!self.alone);
        if (self.start as usize) < encoded.len() {
            self.move_to(room(self.bytes().len() + encoded.len(), limit), true);
        }
        let end = self.start as usize;
        self.start -= encoded.len() as u32;
        self.buf[self.start as usize..end].copy_from_slice(encoded);
        self.count += 1;
    }

    pub(super) fn push_back(&mut self, encoded: &[u8], limit: &NodeLimit) {
        debug_assert!(!self.alone);
        if self.buf.len() + encoded.len() > self.buf.capacity() {
            self.move_to(room(self.bytes().len() + encoded.len(), limit), false);
        }
        self.buf.extend_from_slice(encoded);
        self.count += 1;
    }

    /// Puts encoded elements in place of others: `count` is how many there are afterwards.
    pub(super) fn splice(&mut self, at: usize, removed: usize, added: &[u8], count: usize) {
        debug_assert!(!self.alone);
        let needed = self.buf.len() + added.len() - removed;
        if needed > self.buf.capacity() {
            self.move_to(room(self.bytes().len() + added.len(), &NodeLimit::NONE), false);
        }
        self.buf.exchange(self.start as usize + at, removed, added);
        self.count = count as u16;
        self.shrink();
    }

    /// Replaces a lone element.
    pub(super) fn replace(&mut self, string: &[u8]) {
        debug_assert!(self.alone);
        self.buf = string.to_vec();
    }

    /// Removes the first `n` elements, which are not all.
    pub(super) fn drop_front(&mut self, n: usize) {
        debug_assert!(n < self.len());
        self.start += self.run().offset(n) as u32;
        self.count -= n as u16;
        self.shrink();
    }

    /// Removes the last `n` elements, which are not all.
    pub(super) fn drop_back(&mut self, n: usize) {
        debug_assert!(n < self.len());
        let end = self.start as usize + self.run().offset(self.len() - n);
        self.buf.truncate(end);
        self.count -= n as u16;
        self.shrink();
    }

    /// Removes elements at ascending ranges, which are not all.
    pub(super) fn remove(&mut self, ranges: &[(usize, usize)]) {
        let start = self.start as usize;
        let Some((first, _)) = ranges.first() else { return };
        let mut to = start + first;
        let ends = ranges.iter().skip(1).map(|(from, _)| start + from).chain([self.buf.len()]);
        for ((_, from), end) in ranges.iter().zip(ends) {
            self.buf.copy_within(start + from..end, to);
            to += end - start - from;
        }
        self.buf.truncate(to);
        self.count -= ranges.len() as u16;
        self.shrink();
    }

    /// Cuts off the elements from number `index` on.
    pub(super) fn split(&mut self, index: usize) -> Self {
        debug_assert!(!self.alone && 0 < index && index < self.len());
        let at = self.start as usize + self.run().offset(index);
        let tail = Self::packed(&self.buf[at..], self.len() - index);
        self.buf.truncate(at);
        self.count = index as u16;
        self.shrink();
        tail
    }

    /// Takes over another node's elements behind its own.
    pub(super) fn append(&mut self, other: &Self) {
        let count = self.count + other.count;
        self.push_back(other.bytes(), &NodeLimit::NONE);
        self.count = count;
    }

    /// Gives back what is unused: nothing will be added soon.
    pub(super) fn fit(&mut self) {
        if allocated(self.buf.capacity()) > allocated(self.bytes().len()) {
            self.move_to(self.bytes().len(), false);
        }
    }

    /// Number of elements.
    pub(super) fn len(&self) -> usize {
        self.count as usize
    }

    pub(super) fn is_alone(&self) -> bool {
        self.alone
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.buf[self.start as usize..]
    }

    pub(super) fn run(&self) -> Run<'_> {
        Run { list: Packed::new(self.bytes()), count: self.len(), alone: self.alone }
    }

    /// Bytes of the buffer as the allocator rounds them.
    pub(super) fn footprint(&self) -> usize {
        allocated(self.buf.capacity())
    }

    /// Replaces a buffer that is mostly empty.
    fn shrink(&mut self) {
        let len = self.bytes().len();
        if self.buf.capacity() > SHRINK_MIN && len < self.buf.capacity() / 4 {
            self.move_to(2 * len, false);
        }
    }

    /// Moves the elements into a buffer of so many bytes, to its end or to its start.
    fn move_to(&mut self, capacity: usize, to_end: bool) {
        let mut buf = Vec::with_capacity(capacity);
        let start = if to_end { capacity - self.bytes().len() } else { 0 };
        buf.resize(start, 0);
        buf.extend_from_slice(self.bytes());
        (self.buf, self.start) = (buf, start as u32);
    }
}

impl Clone for Node {
    fn clone(&self) -> Self {
        Self { buf: self.bytes().to_vec(), start: 0, count: self.count, alone: self.alone }
    }
}

/// The capacity for a buffer that needs so many bytes and will be added to. A node of many will
/// be filled to its limit; one that is the whole list may stay as it is.
fn room(needed: usize, limit: &NodeLimit) -> usize {
    let wanted = if limit.bytes == usize::MAX {
        needed + needed / 4
    } else {
        (2 * needed).clamp(CAPACITY_MIN, limit.bytes.max(needed))
    };
    allocated(wanted)
}

/// Bytes of a node that is limited by a number of elements.
const BYTES_MAX: usize = 8192;
/// What Redis's listpack has around its elements; its limits count that.
const FRAME: usize = 7;
/// What Redis reckons for the head of an element and the length behind it.
const ELEMENT: usize = 8;
/// The least room of a node that grows.
const CAPACITY_MIN: usize = 128;
/// A smaller buffer is not worth replacing.
const SHRINK_MIN: usize = 256;
