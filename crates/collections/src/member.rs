//! A member of a large set: a string and a small payload in one block, behind one pointer.
//!
//! ```text
//!  +---------+---------------------+--------+--------+
//!  | payload | length, 1 or 5      | bytes  | unused |   one size class: 8, 16, 32, 48, 64, ...
//!  +---------+---------------------+--------+--------+
//!             0..=254: the length
//!             255: 4 bytes follow with it
//! ```
//!
//! An entry's block has 8 bytes of header for a deadline, a clock and flags, which members of sets
//! do not have, and it begins at 16. Here a member of 20 bytes takes 32, with a score of 8 bytes
//! as well, and up to 7 bytes without a payload take 8. The size class is computed from the length
//! and not stored. The payload lies first, so that its alignment costs nothing.
//!
//! As in an entry, the top 16 bits of the pointer keep the table's tag (`Tagged`), because no
//! machine of ours uses them; every access masks it off.
//!
//! Rules: this file is the only one that touches the raw memory. Its invariants: (1) `start`
//! without its tag came from the global allocator with `layout` of the length that the block
//! says; (2) payload, length and bytes are initialised and the length never changes; (3) payloads
//! are `Copy`, so that none needs a drop.
//! Neighbours: `table` holds members. Tests: `tests/member.rs`, also under AddressSanitizer.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::fmt::{self, Debug, Formatter};
use std::marker::PhantomData;
use std::ptr::NonNull;

use crate::size_class::allocated;
use crate::table::{Tagged, prefetch};

/// A string with a payload of a few bytes.
///
/// ```
/// use pannier_collections::Member;
/// let mut member = Member::new(1.5, b"a member of 23 bytes...");
/// member.set_payload(2.5);
/// assert_eq!((member.payload(), member.bytes().len()), (2.5, 23));
/// assert_eq!(member.footprint(), 32);
/// ```
#[repr(transparent)]
pub struct Member<P: Copy> {
    start: NonNull<u8>,
    payload: PhantomData<P>,
}

impl<P: Copy> Member<P> {
    /// A member with a copy of `bytes`; its tag is 0.
    ///
    /// # Panics
    /// When there are more than `u32::MAX` bytes, and on a machine whose addresses have more than
    /// 48 bits.
    pub fn new(payload: P, bytes: &[u8]) -> Self {
        let Ok(long) = u32::try_from(bytes.len()) else {
            panic!("a member is limited to u32::MAX bytes")
        };
        let layout = Self::layout(bytes.len());
        // SAFETY: no layout has size 0.
        let Some(start) = NonNull::new(unsafe { alloc(layout) }) else {
            handle_alloc_error(layout)
        };
        assert!(start.addr().get() <= ADDRESS, "addresses of user space have 48 bits");
        // SAFETY: the layout is that of these bytes: aligned for a payload, and with room for it,
        // for the length in its form and for the bytes, which cannot overlap a block just made.
        unsafe {
            start.cast::<P>().write(payload);
            if bytes.len() < LONG as usize {
                start.add(size_of::<P>()).write(bytes.len() as u8);
            } else {
                start.add(size_of::<P>()).write(LONG);
                start.add(size_of::<P>() + 1).cast::<u32>().write_unaligned(long);
            }
            let place = start.add(bytes_at::<P>(bytes.len()));
            place.copy_from_nonoverlapping(NonNull::from_ref(bytes).cast(), bytes.len());
        }
        Self { start, payload: PhantomData }
    }

    /// Replaces the payload.
    #[inline]
    pub fn set_payload(&mut self, payload: P) {
        // SAFETY: the block begins with a payload, and `self` is borrowed exclusively.
        unsafe { self.untagged().cast::<P>().write(payload) };
    }

    /// The payload.
    #[inline]
    pub fn payload(&self) -> P {
        // SAFETY: invariant 2; a payload is `Copy`.
        unsafe { self.untagged().cast::<P>().read() }
    }

    /// The string.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        let len = self.len();
        // SAFETY: invariant 2; the bytes are never changed.
        unsafe { std::slice::from_raw_parts(self.untagged().add(bytes_at::<P>(len)).as_ptr(), len) }
    }

    /// Asks the CPU to load the member while other work is done.
    #[inline]
    pub fn prefetch(&self) {
        prefetch(self.address());
    }

    /// Length of the string.
    #[inline]
    pub fn len(&self) -> usize {
        // SAFETY: invariant 2: there is a byte of length, and four more if it says so.
        unsafe {
            match self.untagged().add(size_of::<P>()).read() {
                LONG => {
                    self.untagged().add(size_of::<P>() + 1).cast::<u32>().read_unaligned() as usize
                }
                short => short as usize,
            }
        }
    }

    /// Whether the string is empty.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that the member takes in memory, its pointer not counted.
    #[inline]
    pub fn footprint(&self) -> usize {
        Self::layout(self.len()).size()
    }

    /// The layout of a block for a string of so many bytes.
    #[inline]
    fn layout(len: usize) -> Layout {
        const { assert!(align_of::<P>() <= ALIGN, "blocks are aligned to 8 bytes") };
        let size = allocated(bytes_at::<P>(len) + len);
        let Ok(layout) = Layout::from_size_align(size, ALIGN) else {
            unreachable!("8 is a power of two and no member comes near isize::MAX")
        };
        layout
    }

    /// The block's true address.
    #[inline]
    fn untagged(&self) -> NonNull<u8> {
        let start = self.start.as_ptr().map_addr(|at| at & ADDRESS);
        // SAFETY: the address part is that of a block, which is not 0.
        unsafe { NonNull::new_unchecked(start) }
    }
}

// SAFETY: one word, a `NonNull` whose address part is that of a block: not 0, and a multiple of 8.
// The top 16 bits are set by `set_tag` alone.
unsafe impl<P: Copy> Tagged for Member<P> {
    #[inline]
    fn tag(&self) -> u16 {
        (self.start.addr().get() >> ADDRESS_BITS) as u16
    }

    #[inline]
    fn set_tag(&mut self, tag: u16) {
        let start = self.untagged().as_ptr();
        let tagged = start.map_addr(|at| at | (tag as usize) << ADDRESS_BITS);
        // SAFETY: the address part is that of a block, which is not 0.
        self.start = unsafe { NonNull::new_unchecked(tagged) };
    }

    #[inline]
    fn address(&self) -> *const u8 {
        self.untagged().as_ptr()
    }
}

impl<P: Copy> Clone for Member<P> {
    /// A copy that belongs to no table: its tag is 0.
    fn clone(&self) -> Self {
        Self::new(self.payload(), self.bytes())
    }
}

impl<P: Copy> Drop for Member<P> {
    fn drop(&mut self) {
        let layout = Self::layout(self.len());
        // SAFETY: invariant 1; nothing uses the block after its drop.
        unsafe { dealloc(self.untagged().as_ptr(), layout) };
    }
}

impl<P: Copy + Debug> Debug for Member<P> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Member").field(&self.payload()).field(&self.bytes()).finish()
    }
}

// SAFETY: a member owns its memory alone and shares nothing, like a `Box`.
unsafe impl<P: Copy + Send> Send for Member<P> {}
// SAFETY: a shared member can only be read, and gives out copies of its payload.
unsafe impl<P: Copy + Sync> Sync for Member<P> {}

/// Where the string begins.
#[inline]
const fn bytes_at<P>(len: usize) -> usize {
    size_of::<P>() + if len < LONG as usize { 1 } else { 1 + size_of::<u32>() }
}

/// What the byte of length says when four more follow.
const LONG: u8 = u8::MAX;
/// Every class is a multiple of 8, and the allocator aligns to that anyway.
const ALIGN: usize = 8;
const ADDRESS_BITS: u32 = 48;
const ADDRESS: usize = (1 << ADDRESS_BITS) - 1;

const _: () = assert!(size_of::<Member<()>>() == 8 && size_of::<usize>() == 8);
