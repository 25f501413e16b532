//! The memory of an entry: one block of a whole size class that knows its own layout.
//!
//! ```text
//!  0        4       5      6       7       8         10          12
//!  +--------+-------+------+-------+-------+---------+-----------+
//!  | access | class | form | flags | stamp | key len | value len |   blocks up to 64 KiB
//!  +--------+-------+------+-------+-------+---------+-----------+--+
//!                                          | key len | value len    |   larger: 4 bytes each
//!                                          +---------+--------------+
//!  then: deadline (8 bytes, if any) | key | value (an object: at its alignment) | unused
//! ```
//!
//! The block is asked for in whole size classes and stores the class's number (one byte), which
//! is its capacity and, at the same time, what the allocator really gave. A block up to 64 KiB
//! needs 16 bits for each length, so the header of nearly every entry is 12 bytes; with fixed
//! 32-bit lengths it was 16, which put every fourth entry one class (16 bytes) higher.
//!
//! Rules: this file is the only one that touches the raw memory. Its invariants: (1) `start` came
//! from the global allocator with the size of the class in the header; (2) the header, and the
//! deadline if `form` says so, are initialised; (3) key and value are initialised and end inside
//! the block: `parts` computes their places from the header, `Parts::fit` checked them; (4) when
//! `form` says Object there is a valid `O` at the value's place, owned by the block.
//! Neighbours: `entry` is the safe roof. Tests: `tests/entry.rs`, also under Miri.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::marker::PhantomData;
use std::ptr::NonNull;

use super::Payload;
use crate::size_class::{class_of, size_of_class};

/// What the value of an entry is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Int,
    Bytes,
    Object,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Header {
    pub(super) access: u32,
    class: u8,
    form: u8,
    pub(super) flags: u8,
    pub(super) stamp: u8,
}

/// Where things lie in a block.
#[derive(Clone, Copy)]
pub(super) struct Parts {
    pub(super) kind: Kind,
    pub(super) deadline: bool,
    pub(super) class: u8,
    pub(super) key: usize,
    pub(super) key_len: usize,
    pub(super) value: usize,
    pub(super) value_len: usize,
}

/// An owned block with its object, if it holds one.
pub(super) struct Block<O> {
    start: NonNull<Header>,
    object: PhantomData<O>,
}

impl Parts {
    /// The parts in a block of the class given.
    #[inline]
    pub(super) fn at(class: u8, kind: Kind, deadline: bool, key_len: usize, value: Layout) -> Self {
        let key = lengths_end(class) + if deadline { DEADLINE } else { 0 };
        let start = (key + key_len).next_multiple_of(value.align());
        Self { kind, deadline, class, key, key_len, value: start, value_len: value.size() }
    }

    /// The parts in the smallest block that holds them, or in a larger one with room for `spare`
    /// more bytes of value.
    #[inline]
    pub(super) fn least(
        kind: Kind,
        deadline: bool,
        key_len: usize,
        value: Layout,
        spare: usize,
    ) -> Self {
        let mut parts = Self::at(0, kind, deadline, key_len, value);
        parts.class = class_of(parts.end() + spare);
        if parts.class > NARROW_MAX {
            parts = Self::at(u8::MAX, kind, deadline, key_len, value);
            parts.class = class_of(parts.end() + spare);
        }
        parts
    }

    /// The same block with another value in it.
    #[inline]
    pub(super) fn with_value(&self, kind: Kind, value: Layout) -> Self {
        Self::at(self.class, kind, self.deadline, self.key_len, value)
    }

    #[inline]
    pub(super) fn end(&self) -> usize {
        self.value + self.value_len
    }

    /// Whether the parts lie inside the block and the lengths inside their fields.
    #[inline]
    pub(super) fn fit(&self) -> bool {
        self.end() <= size_of_class(self.class)
            && self.key_len <= u32::MAX as usize
            && self.value_len <= u32::MAX as usize
    }
}

impl<O> Block<O> {
    /// Allocates a block of the class of `parts` with the key and, if there is one, the deadline.
    /// Its value is empty until one is written.
    ///
    /// # Panics
    /// When the parts do not fit (a key or value longer than `u32::MAX`).
    #[inline]
    pub(super) fn new(parts: Parts, key: &[u8], deadline: Option<u64>) -> Self {
        const { assert!(align_of::<O>() <= ALIGN, "blocks are aligned to 16 bytes") };
        assert!(parts.fit(), "a key or inline value is limited to u32::MAX bytes");
        assert!(key.len() == parts.key_len && deadline.is_some() == parts.deadline);
        let layout = layout_of(parts.class);
        // SAFETY: no class has size 0.
        let Some(start) = NonNull::new(unsafe { alloc(layout) }) else {
            handle_alloc_error(layout)
        };
        let mut block = Self { start: start.cast(), object: PhantomData };
        let header = Header { access: 0, class: parts.class, form: 0, flags: 0, stamp: 0 };
        // SAFETY: the block is aligned to 16 and has room for a header, which is 8 bytes.
        unsafe { block.start.write(header) };
        block.set_form(Parts { kind: Kind::Int, value_len: 0, ..parts });
        // SAFETY: `fit`: the key lies inside the block; it cannot overlap a block just made.
        unsafe { block.byte(parts.key).copy_from_nonoverlapping(pointer(key), key.len()) };
        if let Some(deadline) = deadline {
            block.write_deadline(deadline);
        }
        block
    }

    /// Overwrites the deadline of a block that has one.
    #[inline]
    pub(super) fn write_deadline(&mut self, deadline: u64) {
        let Header { class, form, .. } = *self.header();
        assert!(form & FORM_DEADLINE != 0, "the block has no place for a deadline");
        // SAFETY: `form` says that these 8 bytes are the deadline's, so they are in the block.
        unsafe { self.byte(lengths_end(class)).cast::<u64>().write_unaligned(deadline) };
    }

    /// Writes an integer or bytes as the value. An object that was there is forgotten.
    #[inline]
    pub(super) fn write_bytes(&mut self, kind: Kind, bytes: &[u8]) {
        let parts = self.parts().with_value(kind, bytes_of(bytes.len()));
        assert!(parts.fit() && kind != Kind::Object);
        self.set_form(parts);
        // SAFETY: `fit`: the place lies inside the block. `bytes` is no part of the block, which
        // is borrowed exclusively.
        unsafe {
            self.byte(parts.value).copy_from_nonoverlapping(pointer(bytes), bytes.len());
        }
    }

    /// Writes an object as the value. An object that was there is forgotten.
    #[inline]
    pub(super) fn write_object(&mut self, object: O) {
        let parts = self.parts().with_value(Kind::Object, Layout::new::<O>());
        assert!(parts.fit());
        self.set_form(parts);
        // SAFETY: the place lies inside the block (`fit`) and is aligned, because the block is
        // aligned to `ALIGN`, which is enough for an `O`, and the offset to the object.
        unsafe { self.byte(parts.value).cast::<O>().write(object) };
    }

    /// Takes the object out and leaves an empty value.
    #[inline]
    pub(super) fn take_object(&mut self) -> Option<O> {
        let parts = self.parts();
        if parts.kind != Kind::Object {
            return None;
        }
        self.set_form(Parts { kind: Kind::Int, value_len: 0, ..parts });
        // SAFETY: invariant 4 held, and the block has just forgotten the object.
        Some(unsafe { self.byte(parts.value).cast::<O>().read() })
    }

    /// Changes the length of inline bytes inside the block; new bytes are zero.
    pub(super) fn resize_bytes(&mut self, len: usize) {
        let from = self.parts();
        let to = Parts { value_len: len, ..from };
        assert!(to.fit() && from.kind == Kind::Bytes);
        self.set_form(to);
        // SAFETY: `fit`: the bytes from the old end to the new one lie inside the block.
        unsafe { self.byte(from.end()).write_bytes(0, len.saturating_sub(from.value_len)) };
    }

    /// Makes or removes the place for a deadline inside the block, which has room for it. The
    /// deadline in a new place is 0.
    pub(super) fn shift(&mut self, deadline: bool) {
        let from = self.parts();
        let to = Parts::at(from.class, from.kind, deadline, from.key_len, self.value_layout());
        assert!(to.fit());
        let key = (from.key, to.key, from.key_len);
        let value = (from.value, to.value, from.value_len);
        // Whatever moves up must not overwrite what has not moved yet, and the other way round.
        let order = if to.key > from.key { [value, key] } else { [key, value] };
        for (from, to, len) in order {
            // SAFETY: both places lie inside the block; the copy allows for overlap, and as an
            // untyped copy it may carry an object's padding.
            unsafe { self.byte(to).copy_from(self.byte(from), len) };
        }
        self.set_form(to);
        if deadline {
            self.write_deadline(0);
        }
    }

    /// Moves everything to a new block of another class, with another deadline.
    pub(super) fn move_to(&mut self, class: u8, deadline: Option<u64>) {
        let from = self.parts();
        let value = self.value_layout();
        let to = Parts::at(class, from.kind, deadline.is_some(), from.key_len, value);
        let mut new = Self::new(to, self.key(), deadline);
        *new.header_mut() = Header { class, ..*self.header() };
        new.set_form(to);
        // SAFETY: the value lies inside both blocks, which are two; `new` asserted it of its own.
        unsafe {
            new.byte(to.value).copy_from_nonoverlapping(self.byte(from.value), from.value_len);
        }
        // An object has moved: the old block must forget it before it is dropped.
        self.set_form(Parts { kind: Kind::Int, value_len: 0, ..from });
        *self = new;
    }

    #[inline]
    pub(super) fn header_mut(&mut self) -> &mut Header {
        // SAFETY: invariant 2, and `self` is borrowed exclusively.
        unsafe { self.start.as_mut() }
    }

    /// The bytes of an integer or string, to be changed.
    #[inline]
    pub(super) fn bytes_mut(&mut self) -> Option<&mut [u8]> {
        let parts = self.parts();
        if parts.kind == Kind::Object {
            return None;
        }
        // SAFETY: invariant 3, no object is there, and `self` is borrowed exclusively.
        Some(unsafe {
            std::slice::from_raw_parts_mut(self.byte(parts.value).as_ptr(), parts.value_len)
        })
    }

    /// The object, to be changed.
    #[inline]
    pub(super) fn object_mut(&mut self) -> Option<&mut O> {
        let parts = self.parts();
        // SAFETY: invariant 4, and `self` is borrowed exclusively.
        (parts.kind == Kind::Object).then(|| unsafe { self.byte(parts.value).cast().as_mut() })
    }

    #[inline]
    pub(super) fn header(&self) -> &Header {
        // SAFETY: invariant 2.
        unsafe { self.start.as_ref() }
    }

    /// The size of the block in bytes.
    #[inline]
    pub(super) fn size(&self) -> usize {
        size_of_class(self.header().class)
    }

    #[inline]
    pub(super) fn parts(&self) -> Parts {
        let Header { class, form, .. } = *self.header();
        let (key_len, value_len) = self.lengths();
        let kind = match form & FORM_KIND {
            0 => Kind::Int,
            1 => Kind::Bytes,
            _ => Kind::Object,
        };
        let value = if kind == Kind::Object { Layout::new::<O>() } else { bytes_of(value_len) };
        Parts::at(class, kind, form & FORM_DEADLINE != 0, key_len, value)
    }

    #[inline]
    pub(super) fn key(&self) -> &[u8] {
        let Header { class, form, .. } = *self.header();
        let key = lengths_end(class) + if form & FORM_DEADLINE != 0 { DEADLINE } else { 0 };
        // SAFETY: invariant 3.
        unsafe { std::slice::from_raw_parts(self.byte(key).as_ptr(), self.lengths().0) }
    }

    #[inline]
    pub(super) fn deadline(&self) -> Option<u64> {
        let Header { class, form, .. } = *self.header();
        if form & FORM_DEADLINE == 0 {
            return None;
        }
        // SAFETY: invariant 2; the place need not be aligned for this read.
        Some(unsafe { self.byte(lengths_end(class)).cast::<u64>().read_unaligned() })
    }

    /// The value.
    #[inline]
    pub(super) fn payload(&self) -> Payload<'_, O> {
        let parts = self.parts();
        if parts.kind == Kind::Object {
            // SAFETY: invariant 4.
            return Payload::Object(unsafe { self.byte(parts.value).cast().as_ref() });
        }
        let start = self.byte(parts.value).as_ptr();
        // SAFETY: invariant 3, and no object is there (it might have padding).
        let bytes = unsafe { std::slice::from_raw_parts(start, parts.value_len) };
        match parts.kind {
            Kind::Int => Payload::Int(bytes.try_into().map_or(0, i64::from_ne_bytes)),
            _ => Payload::Bytes(bytes),
        }
    }

    /// What room the value takes.
    #[inline]
    fn value_layout(&self) -> Layout {
        let Parts { kind, value_len, .. } = self.parts();
        if kind == Kind::Object { Layout::new::<O>() } else { bytes_of(value_len) }
    }

    #[inline]
    fn lengths(&self) -> (usize, usize) {
        let at = self.byte(LENGTHS);
        if self.header().class <= NARROW_MAX {
            // SAFETY: invariant 2: in a narrow block two 16-bit lengths follow the header's
            // first 8 bytes, aligned to 2.
            let [key, value] = unsafe { at.cast::<[u16; 2]>().read() };
            (key as usize, value as usize)
        } else {
            // SAFETY: invariant 2: in a wide block they have 32 bits, aligned to 4.
            let [key, value] = unsafe { at.cast::<[u32; 2]>().read() };
            (key as usize, value as usize)
        }
    }

    #[inline]
    fn set_form(&mut self, parts: Parts) {
        assert!(parts.class == self.header().class, "these are another block's parts");
        let deadline = if parts.deadline { FORM_DEADLINE } else { 0 };
        self.header_mut().form = parts.kind as u8 | deadline;
        let at = self.byte(LENGTHS);
        if parts.class <= NARROW_MAX {
            let lengths = [parts.key_len as u16, parts.value_len as u16];
            // SAFETY: every block has at least 16 bytes; the place is aligned to 2.
            unsafe { at.cast::<[u16; 2]>().write(lengths) };
        } else {
            let lengths = [parts.key_len as u32, parts.value_len as u32];
            // SAFETY: as above, and aligned to 4.
            unsafe { at.cast::<[u32; 2]>().write(lengths) };
        }
    }

    /// The address of a byte of the block; `at` is at most its size.
    #[inline]
    fn byte(&self, at: usize) -> NonNull<u8> {
        debug_assert!(at <= self.size());
        // SAFETY: invariants 1 and 3: every caller's offset comes from parts that fit.
        unsafe { self.start.cast::<u8>().add(at) }
    }
}

impl<O> Drop for Block<O> {
    fn drop(&mut self) {
        // Should dropping the object panic, then the memory is free by that time.
        let object = self.take_object();
        let layout = layout_of(self.header().class);
        // SAFETY: invariant 1; nothing uses the block after its drop.
        unsafe { dealloc(self.start.as_ptr().cast(), layout) };
        drop(object);
    }
}

// SAFETY: a block owns its memory and its object alone and shares nothing, like a `Box<O>`.
unsafe impl<O: Send> Send for Block<O> {}
// SAFETY: a shared block can only be read, and gives out `&O`.
unsafe impl<O: Sync> Sync for Block<O> {}

/// The layout of so many bytes in no alignment.
#[inline]
pub(super) fn bytes_of(len: usize) -> Layout {
    let Ok(layout) = Layout::from_size_align(len, 1) else {
        unreachable!("no slice is longer than isize::MAX")
    };
    layout
}

#[inline]
fn pointer(bytes: &[u8]) -> NonNull<u8> {
    NonNull::from_ref(bytes).cast()
}

#[inline]
fn layout_of(class: u8) -> Layout {
    let Ok(layout) = Layout::from_size_align(size_of_class(class), ALIGN) else {
        unreachable!("16 is a power of two and no class comes near isize::MAX")
    };
    layout
}

/// Where the lengths end in a block of this class.
#[inline]
fn lengths_end(class: u8) -> usize {
    if class <= NARROW_MAX { LENGTHS + 4 } else { LENGTHS + 8 }
}

/// Every class is a multiple of 16, and the allocator aligns to 16 anyway.
const ALIGN: usize = 16;
const LENGTHS: usize = size_of::<Header>();
const DEADLINE: usize = size_of::<u64>();
const FORM_KIND: u8 = 3;
const FORM_DEADLINE: u8 = 4;
/// The largest class whose lengths have 16 bits.
const NARROW_MAX: u8 = class_of(1 << 16);

// The header takes 12 bytes, so that whatever lies in a block of 64 KiB is shorter than 2^16.
const _: () = assert!(LENGTHS == 8 && size_of_class(NARROW_MAX) == 1 << 16);
