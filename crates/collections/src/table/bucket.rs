//! A bucket, one cache line, and the chain of overflow buckets behind a full home bucket.
//!
//! ```text
//!  0        6  8                                                56        64
//!  +--------+--+--------+--------+--------+--------+--------+--------+--------+
//!  | tags   |00| slot 0 | slot 1 | slot 2 | slot 3 | slot 4 | slot 5 |  next  |
//!  +--------+--+--------+--------+--------+--------+--------+--------+--------+
//! ```
//!
//! (sizes for elements one pointer wide). A tag is one byte of the hash, never 0; 0 says that the
//! slot is empty. All tags are compared at once as one 64-bit word, so a miss costs the line and
//! hardly ever an element. The alternatives that lost: probing neighbour buckets would break the
//! hash order that SCAN relies on, and 16 tags with SSE2 would need more than one line.
//!
//! Rules: a chain is packed: only its first overflow bucket may have empty slots (or the home
//! bucket, when there is no other), none is empty, and the used slots of a bucket come first. So
//! adding and taking an element are O(1) in a chain of any length, and removal fills its hole by
//! the taken one. All walks are loops, so that dropping a flooded chain of a million elements
//! does not recurse (see `unlink`).
//!
//! Neighbours: `table` decides which bucket is home. Tests: those of the table.

pub(super) const SLOTS: usize = 6;

#[repr(align(64))]
pub(super) struct Bucket<T> {
    tags: [u8; 8],
    slots: [Option<T>; SLOTS],
    next: Option<Box<Self>>,
}

/// What an element is compared by before it is touched.
#[inline]
pub(super) fn tag_of(hash: u64) -> u8 {
    ((hash >> 8) as u8).max(1)
}

impl<T> Default for Bucket<T> {
    fn default() -> Self {
        Self { tags: [0; 8], slots: [const { None }; SLOTS], next: None }
    }
}

impl<T> Bucket<T> {
    /// Adds an element to the chain. True with it when that took a new overflow bucket.
    pub(super) fn push(&mut self, tag: u8, value: T) -> (&mut T, bool) {
        if self.used() < SLOTS {
            return (self.push_own(tag, value), false);
        }
        let grown = self.next.as_ref().is_none_or(|next| next.used() == SLOTS);
        if grown {
            let next = self.next.take();
            self.next = Some(Box::new(Self { next, ..Self::default() }));
        }
        let Some(next) = self.next.as_deref_mut() else { unreachable!("just made") };
        (next.push_own(tag, value), grown)
    }

    /// Takes an element out of the chain, from where `push` would add one. True with it when
    /// that freed an overflow bucket.
    pub(super) fn pop(&mut self) -> Option<(u8, T, bool)> {
        let Some(next) = self.next.as_deref_mut() else {
            let (tag, value) = self.pop_own()?;
            return Some((tag, value, false));
        };
        let (tag, value) = next.pop_own()?;
        let freed = next.used() == 0;
        if freed {
            self.next = next.next.take();
        }
        Some((tag, value, freed))
    }

    /// Removes the first element with `tag` that satisfies `eq`.
    pub(super) fn remove(&mut self, tag: u8, mut eq: impl FnMut(&T) -> bool) -> Option<(T, bool)> {
        let mut link = 0;
        let mut bucket = &*self;
        let slot = loop {
            match bucket.position(tag, &mut eq) {
                Some(slot) => break slot,
                None => bucket = bucket.next.as_deref()?,
            }
            link += 1;
        };
        Some(self.remove_at(link, slot))
    }

    /// Drops the elements for which `keep` is false; returns how many elements and overflow
    /// buckets went.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) -> (usize, usize) {
        let (mut removed, links) = (0, self.links());
        if links == 0 {
            // Downwards: what fills a hole has been looked at already.
            for slot in (0..self.used()).rev() {
                if self.slots[slot].as_ref().is_some_and(|value| !keep(value)) {
                    self.remove_at(0, slot);
                    removed += 1;
                }
            }
        } else {
            let mut all = std::mem::take(self);
            while let Some((tag, value, _)) = all.pop() {
                if keep(&value) {
                    self.push(tag, value);
                } else {
                    removed += 1;
                }
            }
        }
        (removed, links - self.links())
    }

    /// Frees the overflow buckets one after the other; the plain drop would recurse.
    pub(super) fn unlink(&mut self) {
        let mut next = self.next.take();
        while let Some(mut bucket) = next {
            next = bucket.next.take();
        }
    }

    #[inline]
    pub(super) fn find(&self, tag: u8, mut eq: impl FnMut(&T) -> bool) -> Option<&T> {
        let mut bucket = self;
        loop {
            if let Some(slot) = bucket.position(tag, &mut eq) {
                return bucket.slots[slot].as_ref();
            }
            bucket = bucket.next.as_deref()?;
        }
    }

    #[inline]
    pub(super) fn find_mut(&mut self, tag: u8, mut eq: impl FnMut(&T) -> bool) -> Option<&mut T> {
        let mut bucket = self;
        loop {
            if let Some(slot) = bucket.position(tag, &mut eq) {
                return bucket.slots[slot].as_mut();
            }
            bucket = bucket.next.as_deref_mut()?;
        }
    }

    /// The elements of this bucket alone whose tag matches.
    #[inline]
    pub(super) fn tagged(&self, tag: u8) -> impl Iterator<Item = &T> {
        let mut hits = self.matches(tag);
        std::iter::from_fn(move || {
            let slot = (hits != 0).then(|| hits.trailing_zeros() as usize / 8)?;
            hits &= hits - 1;
            self.slots[slot].as_ref()
        })
    }

    /// Elements in the whole chain.
    pub(super) fn len(&self) -> usize {
        self.chain().map(Self::used).sum()
    }

    /// Overflow buckets behind this one.
    pub(super) fn links(&self) -> usize {
        self.chain().count() - 1
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.chain().flat_map(|bucket| bucket.slots.iter().flatten())
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        let mut rest = Some(self);
        std::iter::from_fn(move || {
            let bucket = rest.take()?;
            rest = bucket.next.as_deref_mut();
            Some(bucket.slots.iter_mut().flatten())
        })
        .flatten()
    }

    fn chain(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |bucket| bucket.next.as_deref())
    }

    fn link_mut(&mut self, link: usize) -> Option<&mut Self> {
        let mut bucket = self;
        for _ in 0..link {
            bucket = bucket.next.as_deref_mut()?;
        }
        Some(bucket)
    }

    /// Removes the element in a slot that is in use; what `pop` gives takes its place.
    fn remove_at(&mut self, link: usize, slot: usize) -> (T, bool) {
        // When `pop` is going to free bucket 1, the others move up by one.
        let Some((tag, popped, freed)) = self.pop() else { unreachable!("the slot is in use") };
        let place = match link {
            1 if freed => return (popped, freed),
            0 => Some(&mut *self),
            _ => self.link_mut(link - usize::from(freed)),
        };
        match place {
            Some(bucket) if bucket.tags[slot] != 0 => {
                bucket.tags[slot] = tag;
                let Some(value) = bucket.slots[slot].replace(popped) else {
                    unreachable!("a tag stands for an element")
                };
                (value, freed)
            }
            _ => (popped, freed),
        }
    }

    fn push_own(&mut self, tag: u8, value: T) -> &mut T {
        let slot = self.used();
        self.tags[slot] = tag;
        self.slots[slot].insert(value)
    }

    fn pop_own(&mut self) -> Option<(u8, T)> {
        let slot = self.used().checked_sub(1)?;
        let tag = std::mem::take(&mut self.tags[slot]);
        Some((tag, self.slots[slot].take()?))
    }

    /// The slot of the first element with `tag` that satisfies `eq`, in this bucket alone.
    #[inline]
    fn position(&self, tag: u8, eq: &mut impl FnMut(&T) -> bool) -> Option<usize> {
        let mut hits = self.matches(tag);
        while hits != 0 {
            let slot = hits.trailing_zeros() as usize / 8;
            if self.slots[slot].as_ref().is_some_and(&mut *eq) {
                return Some(slot);
            }
            hits &= hits - 1;
        }
        None
    }

    /// The high bit of every byte of the tag word that equals `tag` (which is not 0, so that the
    /// two spare bytes never match).
    #[inline]
    fn matches(&self, tag: u8) -> u64 {
        let differing = u64::from_le_bytes(self.tags) ^ (u64::from(tag) * LOW_BITS);
        // A byte is zero when neither its low seven bits (carried up) nor its high bit is set.
        !(((differing & !HIGH_BITS) + !HIGH_BITS) | differing) & HIGH_BITS
    }

    #[inline]
    fn used(&self) -> usize {
        8 - u64::from_le_bytes(self.tags).leading_zeros() as usize / 8
    }
}

const LOW_BITS: u64 = 0x0101_0101_0101_0101;
const HIGH_BITS: u64 = 0x8080_8080_8080_8080;

const _: () = assert!(size_of::<Bucket<Box<u8>>>() == 64, "one cache line");
