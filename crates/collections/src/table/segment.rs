//! A segment: a row of home buckets for one range of hashes.
//!
//! A segment of depth `d` holds the elements whose hashes agree in their top `d` bits. The next 16
//! bits are an element's tag, and the tag alone names the home bucket: `tag * homes >> 16`, which
//! keeps hash order for any number of homes. So a segment is given more or fewer buckets without
//! hashing anything and without touching an element's memory, and merging needs no hash either;
//! only a split does, because each tag then gains a bit of hash at its end.
//!
//! The number of homes climbs a ladder: 1, 2, 4, .. 64 in a table's only segment, then 80, 96,
//! 112, and in place of 128 two segments of 64. Doubling instead leaves a table half empty after
//! each step: 18.6 bytes an element at a million and 25.3 at ten million, where the ladder has 11.6
//! and 11.5 (criterion `table`; 8 of them are the pointer itself). A step moves each element once
//! more than doubling would, but hashes and reads none: inserting ten million took 0.48 us each in
//! the mean, where doubling, which rehashed, took 1.1.
//!
//! Rules: `Segment` is a plain copyable handle, because every directory slot that leads to a
//! segment holds one; the table frees each segment once. `len` is true in the first of those
//! slots only. `start` leads to `homes` initialised buckets.
//! Neighbours: `table` keeps the directory, `bucket` the elements. Tests: those of the table.

use std::ptr::NonNull;

use super::bucket::{Bucket, SLOTS};
use super::{Tagged, prefetch};

pub(super) struct Segment<T> {
    start: NonNull<Bucket<T>>,
    pub(super) len: u32,
    pub(super) homes: u8,
    pub(super) depth: u8,
}

impl<T> Clone for Segment<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Segment<T> {}

impl<T> Segment<T> {
    /// A segment of empty buckets.
    pub(super) fn new(homes: usize, depth: u8) -> Self {
        let buckets: Box<[Bucket<T>]> =
            std::iter::repeat_with(Bucket::default).take(homes).collect();
        let start = NonNull::from_mut(Box::leak(buckets)).cast();
        Self { start, len: 0, homes: homes as u8, depth }
    }

    /// Drops the buckets with all that they hold.
    ///
    /// # Safety
    /// The segment's handles are not used afterwards.
    pub(super) unsafe fn free(self) {
        let buckets = NonNull::slice_from_raw_parts(self.start, self.homes());
        // SAFETY: the buckets were leaked by `new` in this form, and the caller says that nothing
        // else will use them.
        drop(unsafe { Box::from_raw(buckets.as_ptr()) });
    }

    /// The buckets.
    ///
    /// # Safety
    /// As long as they are borrowed nobody changes them and the segment is not freed.
    #[inline]
    pub(super) unsafe fn buckets<'a>(self) -> &'a [Bucket<T>] {
        // SAFETY: `start` leads to so many buckets; the rest is the caller's promise.
        unsafe { NonNull::slice_from_raw_parts(self.start, self.homes()).as_ref() }
    }

    /// The buckets, to be changed.
    ///
    /// # Safety
    /// As long as they are borrowed nobody else uses them and the segment is not freed.
    #[inline]
    pub(super) unsafe fn buckets_mut<'a>(self) -> &'a mut [Bucket<T>] {
        // SAFETY: `start` leads to so many buckets; the rest is the caller's promise.
        unsafe { NonNull::slice_from_raw_parts(self.start, self.homes()).as_mut() }
    }

    /// How many home buckets.
    #[inline]
    pub(super) fn homes(self) -> usize {
        self.homes as usize
    }

    /// The tag of a hash in this segment: the 16 bits below its depth, but never 0.
    #[inline]
    pub(super) fn tag(self, hash: u64) -> u16 {
        ((hash << self.depth >> TAG_SHIFT) as u16).max(1)
    }

    /// The number of the home bucket for a tag.
    #[inline]
    pub(super) fn home(self, tag: u16) -> usize {
        (tag as usize * self.homes()) >> TAG_BITS
    }

    /// The first tag that has its home after bucket `home`; 2^16 after the last.
    #[inline]
    pub(super) fn tag_after(self, home: usize) -> u64 {
        (((home + 1) << TAG_BITS).div_ceil(self.homes())) as u64
    }
}

impl<T: Tagged> Segment<T> {
    /// Adds an element with its tag; returns how many overflow buckets that took.
    ///
    /// # Safety
    /// Nobody else uses the buckets meanwhile.
    #[inline]
    unsafe fn adopt(&mut self, tag: u16, value: T) -> usize {
        self.len += 1;
        // SAFETY: passed on.
        let buckets = unsafe { self.buckets_mut() };
        usize::from(buckets[self.home(tag)].push(tag, value).1)
    }

    /// Moves all elements to a new segment of so many homes, which replaces this one. Returns it
    /// with the number of overflow buckets before and after.
    ///
    /// # Safety
    /// The segment's handles are not used afterwards, and nobody else uses it meanwhile.
    pub(super) unsafe fn rebuilt(self, homes: usize) -> (Self, usize, usize) {
        let (mut new, mut before, mut after) = (Self::new(homes, self.depth), 0, 0);
        // SAFETY: the caller's promise, and the new segment is ours.
        unsafe {
            for bucket in self.buckets_mut() {
                before += bucket.links();
                bucket.drain(|value| after += new.adopt(value.tag(), value));
            }
            self.free();
        }
        (new, before, after)
    }

    /// Moves all elements to two new segments of the next depth. Each tag loses the bit that
    /// chooses between the two and gains the next one of the hash. Otherwise as `rebuilt`.
    ///
    /// # Safety
    /// As for `rebuilt`.
    pub(super) unsafe fn split(self, hash_of: impl Fn(&T) -> u64) -> ([Self; 2], usize, usize) {
        let mut halves = [(); 2].map(|()| Self::new(HOMES_MIN, self.depth + 1));
        let (mut before, mut after) = (0, 0);
        // SAFETY: the caller's promise, and the new segments are ours.
        unsafe {
            let buckets = self.buckets_mut();
            buckets.iter().take(AHEAD).for_each(fetch);
            for home in 0..buckets.len() {
                buckets.get(home + AHEAD).into_iter().for_each(fetch);
                before += buckets[home].links();
                buckets[home].drain(|value| {
                    let half = &mut halves[usize::from(value.tag() >> (TAG_BITS - 1))];
                    after += half.adopt(half.tag(hash_of(&value)), value);
                });
            }
            self.free();
        }
        (halves, before, after)
    }

    /// Moves all elements of two siblings to one new segment of the depth above. Otherwise as
    /// `rebuilt`.
    ///
    /// # Safety
    /// As for `rebuilt`, of both.
    pub(super) unsafe fn merged(siblings: [Self; 2]) -> (Self, usize, usize) {
        let mut new = Self::new(HOMES_MAX, siblings[0].depth - 1);
        let (mut before, mut after) = (0, 0);
        for (half, sibling) in siblings.into_iter().enumerate() {
            // SAFETY: the caller's promise, and the new segment is ours.
            unsafe {
                for bucket in sibling.buckets_mut() {
                    before += bucket.links();
                    bucket.drain(|value| {
                        let tag = (half as u16) << (TAG_BITS - 1) | value.tag() >> 1;
                        after += new.adopt(tag.max(1), value);
                    });
                }
                sibling.free();
            }
        }
        (new, before, after)
    }
}

/// Asks the CPU to load the elements of a bucket.
fn fetch<T: Tagged>(bucket: &Bucket<T>) {
    bucket.iter().for_each(|value| prefetch(value.address()));
}

/// The next rung of the ladder.
pub(super) const fn more(homes: usize) -> usize {
    if homes < HOMES_MIN { homes * 2 } else { homes + RUNG }
}

/// The rung below.
pub(super) const fn fewer(homes: usize) -> usize {
    if homes <= HOMES_MIN { homes / 2 } else { homes - RUNG }
}

/// At how many elements a segment of so many home buckets grows.
#[inline]
pub(super) const fn len_max(homes: usize) -> usize {
    if homes == 1 { SLOTS } else { homes * LOAD / 2 }
}

/// A segment of a table that has several has at least so many home buckets,
pub(super) const HOMES_MIN: usize = 64;
/// and at most so many.
pub(super) const HOMES_MAX: usize = 2 * HOMES_MIN - RUNG;
pub(super) const TAG_BITS: u32 = 16;
const RUNG: usize = 16;
const TAG_SHIFT: u32 = u64::BITS - TAG_BITS;
/// Elements in two home buckets when a segment grows: 6.5 in one. At 7 a table of a million was a
/// tenth slower to search, by its longer chains, and took 0.15 bytes an element less.
const LOAD: usize = 13;
/// While a split moves a bucket, it loads the elements of the bucket so many places ahead.
const AHEAD: usize = 2;

const _: () = assert!(size_of::<Segment<()>>() == 16, "a directory slot");
