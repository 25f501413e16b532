//! The memory of an entry: one block of a whole size class that knows its own layout.
//!
//! ```text
//!  0        4       5      6         7       8
//!  +--------+-------+------+---------+-------+---------------------+
//!  | access | class | form | key len | slack | deadline 7, stamp 1 |   narrow; the deadline's
//!  +--------+-------+------+---------+-------+---------------------+   word only if there is one
//!  | access | class | form | stamp   |   0   | key len | value len | deadline 8 |       wide
//!  +--------+-------+------+---------+-------+---------------------+------------+
//!  then: key | value (an object: at its alignment) | unused
//! ```
//!
//! The block is asked for in whole size classes and stores the class's number (one byte), which
//! is its capacity and, at the same time, what the allocator really gave. A narrow block has at
//! most 512 bytes and stores how many of them are unused in place of the value's length, so the
//! header of nearly every entry is 8 bytes and a key of 24 with a value of 32 is 64 bytes exactly.
//! A wide one is for keys over 255 bytes, blocks over 512, much slack, and deadlines of 2^56 and
//! more. Lengths of 16 bits each, tried before, made the header 12 bytes and that entry 80.
//!
//! The top 16 bits of an address are 0 on the machines we know, so the block's pointer keeps
//! the table's tag in them (`Tagged`); every access masks it off.
//!
//! Rules: this file is the only one that touches the raw memory. Its invariants: (1) `start`
//! without its tag came from the global allocator with the size of the class in the header; (2)
//! the header, the lengths of a wide block and the deadline if `form` says so are initialised;
//! (3) key and value are initialised and end inside the block: `parts` computes their places from
//! the header, `Parts::fit` checked them; (4) when `form` says Object there is a valid `O` at the
//! value's place, owned by the block.
//! Neighbours: `entry` is the safe roof. Tests: `tests/entry.rs`, also under AddressSanitizer.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use super::Payload;
use crate::size_class::{class_of, size_of_class};

/// What the value of an entry is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Int,
    Bytes,
    Object,
    /// No value: a block that is being made, or whose object has been taken.
    Nothing,
}

#[repr(C)]
struct Header {
    /// Readers under a shared lock set it too (`touch`), so it is an atomic; nothing hangs on it.
    access: AtomicU32,
    class: u8,
    form: u8,
    /// The key's length in a narrow block, the stamp in a wide one.
    short: u8,
    slack: u8,
}

/// Where things lie in a block.
#[derive(Clone, Copy)]
pub(super) struct Parts {
    pub(super) kind: Kind,
    pub(super) deadline: bool,
    pub(super) wide: bool,
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
    /// The parts in the smallest block that holds them, or in a larger one with room for `spare`
    /// more bytes of value.
    #[inline]
    pub(super) fn least(
        kind: Kind,
        deadline: Option<u64>,
        key_len: usize,
        value: Layout,
        spare: usize,
    ) -> Self {
        if key_len <= KEY_MAX && spare <= SPARE_MAX && deadline.is_none_or(|at| at <= DEADLINE_MAX)
        {
            let mut parts = Self::at(0, false, kind, deadline.is_some(), key_len, value);
            parts.class = class_of(parts.end() + spare);
            if parts.class <= NARROW_MAX {
                return parts;
            }
        }
        let mut parts = Self::at(0, true, kind, deadline.is_some(), key_len, value);
        parts.class = class_of(parts.end() + spare);
        parts
    }

    /// The same block with another value in it.
    #[inline]
    pub(super) fn with_value(&self, kind: Kind, value: Layout) -> Self {
        Self::at(self.class, self.wide, kind, self.deadline, self.key_len, value)
    }

    /// The same block with or without a place for a deadline; `value` is the value's room.
    #[inline]
    pub(super) fn with_deadline(&self, deadline: bool, value: Layout) -> Self {
        Self::at(self.class, self.wide, self.kind, deadline, self.key_len, value)
    }

    #[inline]
    pub(super) fn end(&self) -> usize {
        self.value + self.value_len
    }

    /// Whether the parts lie inside the block and the lengths inside their fields.
    #[inline]
    pub(super) fn fit(&self) -> bool {
        let Some(slack) = size_of_class(self.class).checked_sub(self.end()) else { return false };
        if self.wide {
            self.key_len <= u32::MAX as usize && self.value_len <= u32::MAX as usize
        } else {
            self.class <= NARROW_MAX && self.key_len <= KEY_MAX && slack <= SLACK_MAX
        }
    }

    /// The parts in a block of the class given.
    #[inline]
    fn at(
        class: u8,
        wide: bool,
        kind: Kind,
        deadline: bool,
        key_len: usize,
        value: Layout,
    ) -> Self {
        let key = key_at(wide, deadline);
        let start = (key + key_len).next_multiple_of(value.align());
        Self { kind, deadline, wide, class, key, key_len, value: start, value_len: value.size() }
    }
}

impl<O> Block<O> {
    /// Allocates a block of the class of `parts` with the key and, if there is one, the deadline.
    /// Its value is empty until one is written; access, flags, stamp and tag are 0.
    ///
    /// # Panics
    /// When the parts do not fit (a key or value longer than `u32::MAX`), and on a machine whose
    /// addresses have more than 48 bits.
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
        assert!(start.addr().get() <= ADDRESS, "addresses of user space have 48 bits");
        let mut block = Self { start: start.cast(), object: PhantomData };
        let header =
            Header { access: AtomicU32::new(0), class: parts.class, form: 0, short: 0, slack: 0 };
        // SAFETY: the block is aligned to 16 and has room for a header, which is 8 bytes.
        unsafe { block.start.write(header) };
        block.set_form(Parts { kind: Kind::Nothing, value_len: 0, ..parts });
        // SAFETY: `fit`: the key lies inside the block; it cannot overlap a block just made.
        unsafe { block.byte(parts.key).copy_from_nonoverlapping(pointer(key), key.len()) };
        if let Some(deadline) = deadline {
            // SAFETY: `form` says that the deadline has its place.
            unsafe { block.word().write(0) };
            assert!(block.write_deadline(deadline), "the parts are for a smaller deadline");
        }
        block
    }

    /// Overwrites the deadline of a block that has one. False, and nothing done, when the
    /// deadline is too large for a narrow block.
    #[inline]
    pub(super) fn write_deadline(&mut self, deadline: u64) -> bool {
        let form = self.header().form;
        assert!(form & FORM_DEADLINE != 0, "the block has no place for a deadline");
        // SAFETY: invariant 2, and `form` says that there is a deadline.
        unsafe {
            if form & FORM_WIDE != 0 {
                self.word().write(deadline);
            } else if deadline <= DEADLINE_MAX {
                self.word().write(self.word().read() & !DEADLINE_MAX | deadline);
            } else {
                return false;
            }
        }
        true
    }

    /// Sets the stamp; a narrow block without a deadline has none.
    #[inline]
    pub(super) fn set_stamp(&mut self, stamp: u8) {
        let form = self.header().form;
        if form & FORM_WIDE != 0 {
            self.header_mut().short = stamp;
        } else if form & FORM_DEADLINE != 0 {
            // SAFETY: invariant 2, and `form` says that there is a deadline.
            unsafe {
                let deadline = self.word().read() & DEADLINE_MAX;
                self.word().write(u64::from(stamp) << DEADLINE_BITS | deadline);
            }
        }
    }

    #[inline]
    pub(super) fn set_access(&mut self, access: u32) {
        *self.header_mut().access.get_mut() = access;
    }

    /// Writes only what differs, so that a line which many read stays where they have it.
    #[inline]
    pub(super) fn touch(&self, access: u32) {
        let word = &self.header().access;
        if word.load(Relaxed) != access {
            word.store(access, Relaxed);
        }
    }

    #[inline]
    pub(super) fn set_flags(&mut self, flags: u8) {
        debug_assert!(flags >> FLAG_BITS == 0, "there are four flags");
        let header = self.header_mut();
        header.form = header.form & FORM | flags << FLAGS_SHIFT;
    }

    #[inline]
    pub(super) fn set_tag(&mut self, tag: u16) {
        let tagged =
            self.start.as_ptr().map_addr(|at| at & ADDRESS | (tag as usize) << ADDRESS_BITS);
        // SAFETY: the address part is that of a block, which is not 0.
        self.start = unsafe { NonNull::new_unchecked(tagged) };
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
        self.set_form(Parts { kind: Kind::Nothing, value_len: 0, ..parts });
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
    /// deadline and the stamp in a new place are 0.
    pub(super) fn shift(&mut self, deadline: bool) {
        let from = self.parts();
        let to = from.with_deadline(deadline, self.value_layout());
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
            // SAFETY: the place has just been made.
            unsafe { self.word().write(0) };
        }
    }

    /// Moves everything to a new block with other parts: another class or form, with or without a
    /// deadline, and, if it is bytes, another length; new bytes are zero.
    pub(super) fn move_to(&mut self, to: Parts, deadline: Option<u64>) {
        let from = self.parts();
        let len = from.value_len.min(to.value_len);
        assert!(to.kind == from.kind && (to.kind == Kind::Bytes || len == from.value_len));
        let mut new = Self::new(to, self.key(), deadline);
        new.inherit(self);
        new.set_form(to);
        // SAFETY: the value lies inside both blocks, which are two; `new` asserted it of its own.
        unsafe {
            new.byte(to.value).copy_from_nonoverlapping(self.byte(from.value), len);
            new.byte(to.value + len).write_bytes(0, to.value_len - len);
        }
        // An object has moved: the old block must forget it before it is dropped.
        self.set_form(Parts { kind: Kind::Nothing, value_len: 0, ..from });
        *self = new;
    }

    /// Takes over what another block's owner has noted in it: access, flags, stamp and tag.
    pub(super) fn inherit(&mut self, other: &Self) {
        self.set_access(other.access());
        self.set_flags(other.flags());
        self.set_stamp(other.stamp());
        self.set_tag(other.tag());
    }

    /// The bytes of a string, to be changed.
    #[inline]
    pub(super) fn bytes_mut(&mut self) -> Option<&mut [u8]> {
        let parts = self.parts();
        if parts.kind != Kind::Bytes {
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
    pub(super) fn access(&self) -> u32 {
        self.header().access.load(Relaxed)
    }

    #[inline]
    pub(super) fn flags(&self) -> u8 {
        self.header().form >> FLAGS_SHIFT
    }

    #[inline]
    pub(super) fn stamp(&self) -> u8 {
        let Header { form, short, .. } = *self.header();
        match (form & FORM_WIDE != 0, form & FORM_DEADLINE != 0) {
            (true, _) => short,
            // SAFETY: invariant 2, and `form` says that there is a deadline.
            (false, true) => (unsafe { self.word().read() } >> DEADLINE_BITS) as u8,
            (false, false) => 0,
        }
    }

    #[inline]
    pub(super) fn tag(&self) -> u16 {
        (self.start.addr().get() >> ADDRESS_BITS) as u16
    }

    /// The address of the block, without the tag.
    #[inline]
    pub(super) fn address(&self) -> *const u8 {
        self.untagged().as_ptr().cast()
    }

    /// The size of the block in bytes.
    #[inline]
    pub(super) fn size(&self) -> usize {
        size_of_class(self.header().class)
    }

    #[inline]
    pub(super) fn parts(&self) -> Parts {
        let Header { class, form, short, slack, .. } = *self.header();
        let kind = match form & FORM_KIND {
            0 => Kind::Int,
            1 => Kind::Bytes,
            2 => Kind::Object,
            _ => Kind::Nothing,
        };
        let (deadline, wide) = (form & FORM_DEADLINE != 0, form & FORM_WIDE != 0);
        let (key_len, value_len) = if wide {
            let [key_len, value_len] = self.wide_lengths();
            (key_len as usize, value_len as usize)
        } else {
            let used = size_of_class(class) - slack as usize;
            (short as usize, used - key_at(wide, deadline) - short as usize)
        };
        let value = match kind {
            Kind::Int => bytes_of(size_of::<i64>()),
            Kind::Bytes => bytes_of(value_len),
            Kind::Object => Layout::new::<O>(),
            Kind::Nothing => bytes_of(0),
        };
        Parts::at(class, wide, kind, deadline, key_len, value)
    }

    #[inline]
    pub(super) fn key(&self) -> &[u8] {
        let Header { form, short, .. } = *self.header();
        let (wide, deadline) = (form & FORM_WIDE != 0, form & FORM_DEADLINE != 0);
        let len = if wide { self.wide_lengths()[0] as usize } else { short as usize };
        // SAFETY: invariant 3.
        unsafe { std::slice::from_raw_parts(self.byte(key_at(wide, deadline)).as_ptr(), len) }
    }

    #[inline]
    pub(super) fn deadline(&self) -> Option<u64> {
        let form = self.header().form;
        if form & FORM_DEADLINE == 0 {
            return None;
        }
        // SAFETY: invariant 2, and `form` says that there is a deadline.
        let word = unsafe { self.word().read() };
        Some(if form & FORM_WIDE != 0 { word } else { word & DEADLINE_MAX })
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
            Kind::Bytes => Payload::Bytes(bytes),
            _ => Payload::Int(bytes.try_into().map_or(0, i64::from_ne_bytes)),
        }
    }

    /// What room the value takes.
    #[inline]
    pub(super) fn value_layout(&self) -> Layout {
        let Parts { kind, value_len, .. } = self.parts();
        if kind == Kind::Object { Layout::new::<O>() } else { bytes_of(value_len) }
    }

    #[inline]
    fn header(&self) -> &Header {
        // SAFETY: invariant 2.
        unsafe { self.untagged().as_ref() }
    }

    #[inline]
    fn header_mut(&mut self) -> &mut Header {
        // SAFETY: invariant 2, and `self` is borrowed exclusively.
        unsafe { self.untagged().as_mut() }
    }

    /// The lengths of key and value that a wide block stores.
    #[inline]
    fn wide_lengths(&self) -> [u32; 2] {
        debug_assert!(self.header().form & FORM_WIDE != 0);
        // SAFETY: every block has at least 16 bytes, and a wide one has lengths in the second
        // eight (invariant 2), aligned to 8.
        unsafe { self.byte(HEADER).cast().read() }
    }

    /// The place of the deadline, aligned to 8; only a block with a deadline has one.
    #[inline]
    fn word(&self) -> NonNull<u64> {
        let form = self.header().form;
        debug_assert!(form & FORM_DEADLINE != 0);
        self.byte(key_at(form & FORM_WIDE != 0, false)).cast()
    }

    #[inline]
    fn set_form(&mut self, parts: Parts) {
        let size = self.size();
        let header = self.header_mut();
        assert!(parts.class == header.class, "these are another block's parts");
        let deadline = if parts.deadline { FORM_DEADLINE } else { 0 };
        let wide = if parts.wide { FORM_WIDE } else { 0 };
        header.form = header.form & !FORM | parts.kind as u8 | deadline | wide;
        if parts.wide {
            let lengths = [parts.key_len as u32, parts.value_len as u32];
            // SAFETY: every block has at least 16 bytes; the place is aligned to 8.
            unsafe { self.byte(HEADER).cast().write(lengths) };
        } else {
            header.short = parts.key_len as u8;
            // Only bytes need it; no value at all may leave more than the field can say.
            header.slack = (size - parts.end()) as u8;
        }
    }

    /// The address of a byte of the block; `at` is at most its size.
    #[inline]
    fn byte(&self, at: usize) -> NonNull<u8> {
        debug_assert!(at <= self.size());
        // SAFETY: invariants 1 and 3: every caller's offset comes from parts that fit.
        unsafe { self.untagged().cast::<u8>().add(at) }
    }

    /// The block's true address.
    #[inline]
    fn untagged(&self) -> NonNull<Header> {
        let start = self.start.as_ptr().map_addr(|at| at & ADDRESS);
        // SAFETY: the address part is that of a block, which is not 0.
        unsafe { NonNull::new_unchecked(start) }
    }
}

impl<O> Drop for Block<O> {
    fn drop(&mut self) {
        // Should dropping the object panic, then the memory is free by that time.
        let object = self.take_object();
        let layout = layout_of(self.header().class);
        // SAFETY: invariant 1; nothing uses the block after its drop.
        unsafe { dealloc(self.untagged().as_ptr().cast(), layout) };
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

/// Where the key begins.
#[inline]
fn key_at(wide: bool, deadline: bool) -> usize {
    HEADER * (1 + usize::from(wide) + usize::from(deadline))
}

/// Every class is a multiple of 16, and the allocator aligns to 16 anyway.
const ALIGN: usize = 16;
/// The header, the lengths of a wide block and a deadline take 8 bytes each.
const HEADER: usize = size_of::<Header>();
const FORM_KIND: u8 = 3;
const FORM_DEADLINE: u8 = 4;
const FORM_WIDE: u8 = 8;
const FORM: u8 = FORM_KIND | FORM_DEADLINE | FORM_WIDE;
const FLAGS_SHIFT: u32 = 4;
const FLAG_BITS: u32 = 4;
/// What a narrow block may be, and hold.
const NARROW_MAX: u8 = class_of(512);
const KEY_MAX: usize = u8::MAX as usize;
const SLACK_MAX: usize = u8::MAX as usize;
const DEADLINE_BITS: u32 = 56;
const DEADLINE_MAX: u64 = (1 << DEADLINE_BITS) - 1;
/// A block that is made with more room than this is wide at once: a narrow one would have to be
/// made anew when a little is cut off.
const SPARE_MAX: usize = SLACK_MAX / 2;
const ADDRESS_BITS: u32 = 48;
const ADDRESS: usize = (1 << ADDRESS_BITS) - 1;

const _: () = assert!(HEADER == 8 && size_of::<[u32; 2]>() == 8 && size_of::<usize>() == 8);
// A narrow block made for its content has less slack than its field can say.
const _: () = assert!(size_of_class(NARROW_MAX) - size_of_class(NARROW_MAX - 1) < SPARE_MAX);
