//! A slot of a bucket: one word that is nothing, an element, or a link to an overflow bucket.
//!
//! ```text
//!  63          48 47                                         1 0
//!  +-------------+--------------------------------------------+-+
//!  | tag         | address                                    |0|   an element
//!  | 0           | address                                    |1|   a link, only in a last slot
//!  | 0                                                        |0|   empty
//!  +-------------+--------------------------------------------+-+
//! ```
//!
//! The tag lies in the element's own pointer, whose top 16 bits no machine of ours uses. Tags in
//! bytes of their own left room for 6 elements and a link in a line of 64 bytes; now there are 8.
//!
//! Rules: a word that is neither 0 nor odd is a valid `T`, owned by the slot (`Tagged` promises
//! that no `T` is 0 or odd); an odd word less 1 is an owned `Box<Spill<T>>`. A wrong tag, which
//! safe code could bring about by replacing an element through `&mut T`, hides the element from
//! lookups, but nothing here trusts a tag with more than that.
//! Neighbours: `bucket` arranges slots. Tests: those of the table.

use std::marker::PhantomData;
use std::ptr::NonNull;

use super::Tagged;
use super::bucket::Spill;

#[repr(transparent)]
pub(super) struct Slot<T> {
    word: *mut (),
    element: PhantomData<T>,
}

impl<T> Slot<T> {
    pub(super) const EMPTY: Self = Self { word: std::ptr::null_mut(), element: PhantomData };

    /// A slot that owns an element.
    #[inline]
    pub(super) fn of(value: T) -> Self
    where
        T: Tagged,
    {
        const { assert!(size_of::<T>() == 8 && align_of::<T>() == align_of::<*mut ()>()) };
        let mut slot = Self::EMPTY;
        // SAFETY: `Tagged` promises that `T` is one word, and the assertion checks it.
        unsafe { (&raw mut slot.word).cast::<T>().write(value) };
        slot
    }

    /// A slot that owns an overflow bucket.
    pub(super) fn to(spill: Box<Spill<T>>) -> Self {
        let start = Box::into_raw(spill).map_addr(|address| address | LINK);
        Self { word: start.cast(), element: PhantomData }
    }

    /// Empties the slot; gives what was in it, for a slot elsewhere.
    #[inline]
    pub(super) fn take(&mut self) -> Self {
        std::mem::replace(self, Self::EMPTY)
    }

    /// The element that was in the slot, or the overflow bucket.
    #[inline]
    pub(super) fn into_content(self) -> Content<T> {
        if self.word.is_null() {
            Content::Nothing
        } else if self.is_link() {
            let start = self.word.map_addr(|address| address & !LINK).cast::<Spill<T>>();
            // SAFETY: a link is a `Box<Spill<T>>` that the slot owned, and the slot is gone.
            Content::Spill(unsafe { Box::from_raw(start) })
        } else {
            // SAFETY: the word is a valid `T` that the slot owned, and the slot is gone.
            Content::Element(unsafe { (&raw const self.word).cast::<T>().read() })
        }
    }

    /// The element.
    #[inline]
    pub(super) fn element(&self) -> Option<&T> {
        // SAFETY: the word is a valid `T`, borrowed as long as the slot.
        self.is_element().then(|| unsafe { &*(&raw const self.word).cast::<T>() })
    }

    /// The element, to be changed.
    #[inline]
    pub(super) fn element_mut(&mut self) -> Option<&mut T> {
        // SAFETY: the word is a valid `T`, borrowed exclusively as long as the slot.
        self.is_element().then(|| unsafe { &mut *(&raw mut self.word).cast::<T>() })
    }

    /// The overflow bucket.
    #[inline]
    pub(super) fn link(&self) -> Option<NonNull<Spill<T>>> {
        if !self.is_link() {
            return None;
        }
        NonNull::new(self.word.map_addr(|address| address & !LINK).cast())
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.word.is_null()
    }

    #[inline]
    pub(super) fn is_link(&self) -> bool {
        self.word.addr() & LINK != 0
    }

    #[inline]
    fn is_element(&self) -> bool {
        !self.is_empty() && !self.is_link()
    }

    /// The top 16 bits, which are an element's tag.
    #[inline]
    pub(super) fn tag(&self) -> u16 {
        (self.word.addr() >> 48) as u16
    }
}

/// What a slot held.
pub(super) enum Content<T> {
    Nothing,
    Element(T),
    Spill(Box<Spill<T>>),
}

// SAFETY: a slot owns its element or its overflow bucket of elements, and shares nothing.
unsafe impl<T: Send> Send for Slot<T> {}
// SAFETY: a shared slot gives out `&T` only.
unsafe impl<T: Sync> Sync for Slot<T> {}

const LINK: usize = 1;
