//! A bucket, one cache line of eight slots, and the chain of overflow buckets behind a full one.
//!
//! ```text
//!  home bucket, 64 bytes:      [ e e e e e e e e ]        up to 8 elements
//!                              [ e e e e e e e . ]        more: 7 and a link
//!                                              |
//!  overflow buckets, 32 bytes:       [ e e - . ] -> [ e e e . ] -> [ e e e e ]
//! ```
//!
//! A tag is 16 bits of the hash, never 0, in the element's own word (`slot`). The eight tags are
//! gathered into one SSE2 register and compared at once, so a miss costs the line and hardly ever
//! an element. An overflow bucket is small because at the table's load a home bucket in six has
//! one, with three elements in the mean. Probing neighbour buckets instead would break the hash
//! order that SCAN relies on.
//!
//! Rules: a chain is packed: only its first overflow bucket may have empty slots (or the home
//! bucket, when there is no other), none is empty, and what is used of a bucket comes first. The
//! last of the chain has four elements, or, being the only one, two to four, since eight elements
//! need none: so a chain's length says how many buckets it has. Adding and taking an element are
//! O(1) in a chain of any length, and removal fills its hole with the taken one. All walks are
//! loops, so dropping a flooded chain of a million elements does not recurse.
//!
//! Neighbours: `table` decides which bucket is home. Tests: those of the table.

use std::ptr::NonNull;

use super::Tagged;
use super::slot::{Content, Slot};

pub(super) const SLOTS: usize = 8;
/// Slots of an overflow bucket.
pub(super) const SPILL_SLOTS: usize = 4;

#[repr(C, align(64))]
pub(super) struct Bucket<T> {
    slots: [Slot<T>; SLOTS],
}

/// An overflow bucket.
#[repr(C, align(32))]
pub(super) struct Spill<T> {
    slots: [Slot<T>; SPILL_SLOTS],
}

impl<T> Default for Bucket<T> {
    fn default() -> Self {
        Self { slots: [const { Slot::EMPTY }; SLOTS] }
    }
}

impl<T: Tagged> Bucket<T> {
    /// Adds an element to the chain. True with it when that took a new overflow bucket.
    #[inline]
    pub(super) fn push(&mut self, tag: u16, mut value: T) -> (&mut T, bool) {
        value.set_tag(tag);
        let free = self.slots.iter().position(Slot::is_empty);
        let (slot, grown) = match free {
            Some(free) => (&mut self.slots[free], false),
            None => self.spill(),
        };
        *slot = Slot::of(value);
        let Some(value) = slot.element_mut() else { unreachable!("just put") };
        (value, grown)
    }

    /// Removes the first element with `tag` that satisfies `eq`. True with it when that freed an
    /// overflow bucket.
    pub(super) fn remove(&mut self, tag: u16, eq: impl FnMut(&T) -> bool) -> Option<(T, bool)> {
        let found = Self::locate(NonNull::from_mut(self), tag, eq)?;
        let last = self.last()?;
        // SAFETY: both are slots of this chain, which is borrowed exclusively; they may be one.
        unsafe { found.swap(last) };
        self.pop()
    }

    /// Drops the elements for which `keep` is false; returns how many elements and overflow
    /// buckets went.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) -> (usize, usize) {
        let (mut removed, links) = (0, self.links());
        let mut all = std::mem::take(self);
        all.drain(|value| {
            if keep(&value) {
                self.push(value.tag(), value);
            } else {
                removed += 1;
            }
        });
        (removed, links - self.links())
    }

    #[inline]
    pub(super) fn find(&self, tag: u16, eq: impl FnMut(&T) -> bool) -> Option<&T> {
        let slot = Self::locate(NonNull::from_ref(self), tag, eq)?;
        // SAFETY: a slot of this chain, borrowed as long as `self`.
        unsafe { slot.as_ref() }.element()
    }

    #[inline]
    pub(super) fn find_mut(&mut self, tag: u16, eq: impl FnMut(&T) -> bool) -> Option<&mut T> {
        let mut slot = Self::locate(NonNull::from_mut(self), tag, eq)?;
        // SAFETY: a slot of this chain, borrowed exclusively as long as `self`; the pointer comes
        // from the exclusive borrow.
        unsafe { slot.as_mut() }.element_mut()
    }

    /// Calls `visit` with the addresses of the elements of this bucket alone whose tag matches,
    /// or, when there are none, with that of the first overflow bucket.
    #[inline]
    pub(super) fn addresses(&self, tag: u16, visit: impl Fn(*const u8)) {
        let mut hits = self.matches(tag);
        if hits == 0
            && let Some(spill) = self.slots[SLOTS - 1].link()
        {
            visit(spill.as_ptr().cast());
        }
        while hits != 0 {
            if let Some(value) = self.slots[hits.trailing_zeros() as usize].element() {
                visit(value.address());
            }
            hits &= hits - 1;
        }
    }

    /// The slot of the first element with `tag` that satisfies `eq`, in the whole chain. It may
    /// be used as `bucket` may be.
    #[inline]
    fn locate(
        bucket: NonNull<Self>,
        tag: u16,
        mut eq: impl FnMut(&T) -> bool,
    ) -> Option<NonNull<Slot<T>>> {
        let slots = bucket.cast::<Slot<T>>();
        // SAFETY: both callers have borrowed the bucket, and with it the chain that it owns; the
        // offsets lie in rows of 8 and 4 slots. References made here end before the caller's.
        unsafe {
            let mut hits = bucket.as_ref().matches(tag);
            while hits != 0 {
                let slot = slots.add(hits.trailing_zeros() as usize);
                if slot.as_ref().element().is_some_and(&mut eq) {
                    return Some(slot);
                }
                hits &= hits - 1;
            }
            let mut link = slots.add(SLOTS - 1).as_ref().link();
            while let Some(spill) = link {
                let slots = spill.cast::<Slot<T>>();
                for slot in (0..SPILL_SLOTS).map(|at| slots.add(at)) {
                    let hit = slot.as_ref().tag() == tag;
                    if hit && slot.as_ref().element().is_some_and(&mut eq) {
                        return Some(slot);
                    }
                }
                link = slots.add(SPILL_SLOTS - 1).as_ref().link();
            }
        }
        None
    }

    /// Makes a free slot in the overflow of a full bucket. True with it when that took a new
    /// overflow bucket.
    #[cold]
    fn spill(&mut self) -> (&mut Slot<T>, bool) {
        let last = &mut self.slots[SLOTS - 1];
        let first = last.link().map(|mut spill| {
            // SAFETY: the chain is borrowed exclusively.
            unsafe { spill.as_mut() }
        });
        if let Some(free) =
            first.and_then(|spill| spill.slots.iter_mut().find(|slot| slot.is_empty()))
        {
            return (free, false);
        }
        // The link moves to the end of the new bucket; the eighth element to its beginning.
        let moved = last.take();
        let mut slots = [const { Slot::EMPTY }; SPILL_SLOTS];
        let at = if moved.is_link() { SPILL_SLOTS - 1 } else { 0 };
        slots[at] = moved;
        *last = Slot::to(Box::new(Spill { slots }));
        let free = usize::from(at == 0);
        let Some(mut spill) = last.link() else { unreachable!("just linked") };
        // SAFETY: as above.
        (&mut unsafe { spill.as_mut() }.slots[free], true)
    }
}

impl<T> Bucket<T> {
    /// Takes an element out of the chain, from where `push` would add one. True with it when
    /// that freed an overflow bucket.
    fn pop(&mut self) -> Option<(T, bool)> {
        let mut slot = self.last()?;
        // SAFETY: a slot of this chain, which is borrowed exclusively.
        let Content::Element(value) = unsafe { slot.as_mut() }.take().into_content() else {
            unreachable!("the last slot in use holds an element")
        };
        let link = &mut self.slots[SLOTS - 1];
        let Some(mut spill) = link.link() else { return Some((value, false)) };
        // SAFETY: as above.
        let slots = &mut unsafe { spill.as_mut() }.slots;
        let over = !slots[SPILL_SLOTS - 1].is_link();
        let freed = if over { slots[1].is_empty() } else { slots[0].is_empty() };
        if freed {
            // Its link takes its place, or its last element, which the home bucket has room for.
            let rest = slots[if over { 0 } else { SPILL_SLOTS - 1 }].take();
            drop(std::mem::replace(link, rest).into_content());
        }
        Some((value, freed))
    }

    /// Takes all elements out.
    #[inline]
    pub(super) fn drain(&mut self, mut each: impl FnMut(T)) {
        let mut next = None;
        for slot in &mut self.slots {
            match slot.take().into_content() {
                Content::Nothing => break,
                Content::Element(value) => each(value),
                Content::Spill(spill) => next = Some(spill),
            }
        }
        while let Some(mut spill) = next.take() {
            for slot in &mut spill.slots {
                match slot.take().into_content() {
                    Content::Nothing => {}
                    Content::Element(value) => each(value),
                    Content::Spill(spill) => next = Some(spill),
                }
            }
        }
    }

    /// Elements in the whole chain.
    pub(super) fn len(&self) -> usize {
        self.iter().count()
    }

    /// Overflow buckets behind this one.
    pub(super) fn links(&self) -> usize {
        self.rows().count() - 1
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.rows().flat_map(|row| row.iter().filter_map(Slot::element))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        let mut rest = Some(&mut self.slots[..]);
        std::iter::from_fn(move || {
            let row = rest.take()?;
            if let Some(mut spill) = row.last().and_then(Slot::link) {
                // SAFETY: the chain is borrowed exclusively, and each bucket is met once.
                rest = Some(&mut unsafe { spill.as_mut() }.slots[..]);
            }
            Some(row.iter_mut().filter_map(Slot::element_mut))
        })
        .flatten()
    }

    /// The slots of each bucket of the chain.
    fn rows(&self) -> impl Iterator<Item = &[Slot<T>]> {
        std::iter::successors(Some(&self.slots[..]), |row| {
            let spill = row.last()?.link()?;
            // SAFETY: the chain is borrowed as long as `self`.
            Some(&unsafe { spill.as_ref() }.slots[..])
        })
    }

    /// The slot in which `push` put what it was given last.
    fn last(&mut self) -> Option<NonNull<Slot<T>>> {
        let row = match self.slots[SLOTS - 1].link() {
            // SAFETY: the chain is borrowed exclusively.
            Some(mut spill) => &mut unsafe { spill.as_mut() }.slots[..],
            None => &mut self.slots[..],
        };
        row.iter_mut().rev().find(|slot| slot.element().is_some()).map(NonNull::from_mut)
    }

    /// One bit for each slot of this bucket whose word has `tag` at its top.
    #[cfg(target_arch = "x86_64")]
    #[inline]
    fn matches(&self, tag: u16) -> u32 {
        use std::arch::x86_64::*;
        let row = std::ptr::from_ref(self).cast::<__m128i>();
        // SAFETY: every x86-64 has SSE2; a bucket is 64 initialised bytes, aligned to 64.
        unsafe {
            // The upper halves of four words in one register, of which the upper halves are tags.
            let tags = |at| {
                let low = _mm_castsi128_ps(_mm_load_si128(row.add(at)));
                let high = _mm_castsi128_ps(_mm_load_si128(row.add(at + 1)));
                _mm_srai_epi32::<16>(_mm_castps_si128(_mm_shuffle_ps::<0b11_01_11_01>(low, high)))
            };
            let equal =
                _mm_cmpeq_epi16(_mm_packs_epi32(tags(0), tags(2)), _mm_set1_epi16(tag as i16));
            _mm_movemask_epi8(_mm_packs_epi16(equal, _mm_setzero_si128())) as u32
        }
    }

    /// One bit for each slot of this bucket whose word has `tag` at its top.
    #[cfg(not(target_arch = "x86_64"))]
    #[inline]
    fn matches(&self, tag: u16) -> u32 {
        let hits = self.slots.iter().enumerate();
        hits.fold(0, |hits, (at, slot)| hits | u32::from(slot.tag() == tag) << at)
    }
}

impl<T> Drop for Bucket<T> {
    fn drop(&mut self) {
        if !self.slots[0].is_empty() {
            self.drain(drop);
        }
    }
}

const _: () = assert!(size_of::<Bucket<()>>() == 64 && size_of::<Spill<()>>() == 32);
