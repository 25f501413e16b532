//! The hash table: extendible hashing in hash order, with buckets of one cache line.
//!
//! ```text
//!  hash  | top `depth` bits | tag, 16 bits              | below bit 24: the caller's |
//!             v                 v
//!  directory [0][1][2][3] -> segment: 64, 80, 96 or 112 home buckets -> overflow buckets
//! ```
//!
//! A directory of 2^n slots is indexed by the hash's top bits; a slot leads to a segment, and the
//! next 16 bits, the tag, choose its home bucket. So all elements lie in hash order at bucket
//! granularity, and neither splitting nor merging nor any other number of homes changes that
//! order. It *is* the scan order: what lies ahead of a cursor stays ahead whatever grows or
//! shrinks. A segment grows by a step when it holds 6.5 elements a home bucket and shrinks by one
//! when it would then hold 4.9, so a hundred operations lie between a step and its reversal. An
//! element takes 10.8 to 13.2 bytes at any number of elements (`segment` says why in steps).
//!
//! Cost: find, remove and insert touch one directory slot and one chain, in the mean 1.06 buckets:
//! two cache misses with the element. At worst an insert splits a segment, which rehashes 728
//! elements, prefetched, or doubles the directory, which moves 16 bytes a slot; 32 operations a
//! slot lie between two such moves. At ten million elements in one table the slowest of all
//! inserts took 0.28 ms, one in a thousand 0.07 ms or more, and the slowest removal 0.05 ms (beside
//! jemalloc; `PANNIER_WORST=1 cargo bench --bench table`). The hash must be seeded against chosen
//! keys; when it is bad all the same, chains grow and the directory stays below one slot per 64
//! elements.
//! Rules: only the top 40 bits of a hash count. A segment of depth `d` has its handle in 2^(n-d)
//! directory slots; its `len` is true in the first, its owner. `deepest` counts the segments
//! with `d == n`.
//! Neighbours: `segment`, `bucket`, `slot`. Tests: `tests/table.rs`.

mod bucket;
mod segment;
mod slot;

use self::bucket::{Bucket, SLOTS, SPILL_SLOTS, Spill};
use self::segment::{HOMES_MAX, HOMES_MIN, Segment, TAG_BITS, fewer, len_max, more};
use crate::size_class::allocated;

/// A hash table that is told the hash of each element, and whose scan order survives resizing.
///
/// ```
/// use pannier_collections::{Entry, NewPayload, Table};
/// let hash_of = |word: &Entry<()>| (word.key().len() as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
/// let mut table = Table::new();
/// let word = Entry::new(b"pannier", NewPayload::Int(1), None);
/// let hash = hash_of(&word);
/// table.insert(hash, word, hash_of);
/// assert!(table.find(hash, |found| found.key() == b"pannier").is_some());
/// ```
pub struct Table<T> {
    directory: Vec<Segment<T>>,
    /// The directory has 2^bits slots (or none, before the first insert).
    bits: u32,
    len: usize,
    deepest: usize,
    homes: usize,
    overflows: usize,
}

/// Numbers that describe how well a table is filled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// Elements held.
    pub len: usize,
    /// Slots of the directory.
    pub directory: usize,
    /// Segments that the slots lead to.
    pub segments: usize,
    /// Home buckets of all segments.
    pub buckets: usize,
    /// Places for elements in home and overflow buckets.
    pub slots: usize,
    /// Buckets behind full home buckets.
    pub overflow_buckets: usize,
    /// The largest number of elements in one home bucket with its overflow.
    pub longest_chain: usize,
    /// How many home buckets hold 0, 1, 2, ... elements; the last counts 15 and more.
    pub chains: [usize; 16],
}

/// An element that is one pointer, whose top 16 bits keep a tag.
///
/// # Safety
/// The type is one word of 64 bits and nothing else; the word is never 0, and its lowest bit is 0.
/// Its top 16 bits are what `set_tag` was last told; no other method changes them.
pub unsafe trait Tagged {
    /// The tag.
    fn tag(&self) -> u16;

    /// Sets the tag. It belongs to the table that holds the element.
    fn set_tag(&mut self, tag: u16);

    /// Where the element's data begin. It is only told, not read.
    fn address(&self) -> *const u8;
}

impl<T> Table<T> {
    /// How many of the hash's top bits make a scan position.
    pub const POSITION_BITS: u32 = 40;

    /// An empty table. It allocates nothing before the first insert.
    pub const fn new() -> Self {
        Self { directory: Vec::new(), bits: 0, len: 0, deepest: 0, homes: 0, overflows: 0 }
    }

    /// Drops all elements and frees the table's memory.
    pub fn clear(&mut self) {
        *self = Self::new();
    }

    /// All elements in hash order (at bucket granularity), to be changed. Their hashes must not.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        // SAFETY: the table is borrowed exclusively, and each segment is met once.
        let buckets = self.segments().flat_map(|segment| unsafe { segment.buckets_mut() });
        buckets.flat_map(Bucket::iter_mut)
    }

    /// Elements held.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no element.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// A random element by draws from `random`, each equally likely as long as its home bucket
    /// holds at most twelve; in a longer chain of n it is 12/n times as likely. O(1) expected with
    /// a good hash (three to six draws); a table emptied so unevenly that 128 draws find nothing
    /// is searched onwards from the last draw.
    pub fn random(&self, mut random: impl FnMut() -> u64) -> Option<&T> {
        if self.is_empty() {
            return None;
        }
        let homes = if self.bits == 0 { self.directory[0].homes() } else { HOMES_MAX };
        for _ in 0..128 {
            let draw = random();
            let slot = self.slot(draw);
            let segment = self.directory[slot];
            // Equal chances for buckets, not for ranges of hashes: a shallow segment is met
            // through several slots, and counts through its first alone; one with fewer homes
            // than others wastes some draws.
            let home = (draw << self.bits >> (u64::BITS - TAG_BITS)) as usize;
            let home = (home * homes) >> TAG_BITS;
            if slot != self.owner(slot) || home >= segment.homes() {
                continue;
            }
            let index = (draw & LOW_DRAW) as usize;
            let bucket = &self.buckets(segment)[home];
            let len = bucket.len();
            let index = index * len.max(DRAW_SLOTS) / (LOW_DRAW as usize + 1);
            if index < len {
                return bucket.iter().nth(index);
            }
        }
        let (draw, start) = (random() as usize, self.owner(self.slot(random())));
        let onwards = self.segments_from(start).chain(self.segments());
        let mut buckets = onwards.flat_map(|segment| self.buckets(segment));
        let bucket = buckets.find(|bucket| bucket.len() > 0)?;
        bucket.iter().nth(draw % bucket.len())
    }

    /// All elements in hash order (at bucket granularity).
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.segments().flat_map(|segment| self.buckets(segment)).flat_map(Bucket::iter)
    }

    /// Bytes allocated by the table itself, without what its elements point to. O(1).
    pub fn footprint(&self) -> usize {
        // Every rung of the ladder is a size class.
        self.homes * size_of::<Bucket<T>>()
            + self.overflows * allocated(size_of::<Spill<T>>())
            + allocated(self.directory.capacity() * size_of::<Segment<T>>())
    }

    /// Numbers that describe the table. O(n).
    pub fn shape(&self) -> Shape {
        let mut shape = Shape {
            len: self.len,
            directory: self.directory.len(),
            segments: self.segments().count(),
            buckets: self.homes,
            slots: self.homes * SLOTS + self.overflows * SPILL_SLOTS,
            overflow_buckets: self.overflows,
            ..Shape::default()
        };
        for bucket in self.segments().flat_map(|segment| self.buckets(segment)) {
            let len = bucket.len();
            shape.longest_chain = shape.longest_chain.max(len);
            shape.chains[len.min(15)] += 1;
        }
        shape
    }

    /// The directory slot that lies at `hash`.
    #[inline]
    fn slot(&self, hash: u64) -> usize {
        // In two steps, because a shift by 64 is not one.
        (hash >> 1 >> (u64::BITS - 1 - self.bits)) as usize
    }

    /// How many directory slots lead to the segment of `slot`.
    #[inline]
    fn span(&self, slot: usize) -> usize {
        1 << (self.bits - u32::from(self.directory[slot].depth))
    }

    /// The first slot that leads to the segment of `slot`.
    #[inline]
    fn owner(&self, slot: usize) -> usize {
        slot & !(self.span(slot) - 1)
    }

    /// Each segment once, in hash order.
    fn segments(&self) -> impl Iterator<Item = Segment<T>> {
        self.segments_from(0)
    }

    fn segments_from(&self, owner: usize) -> impl Iterator<Item = Segment<T>> {
        let first = (owner < self.directory.len()).then_some(owner);
        let next = |&owner: &usize| {
            Some(owner + self.span(owner)).filter(|&next| next < self.directory.len())
        };
        std::iter::successors(first, next).map(|owner| self.directory[owner])
    }

    #[inline]
    fn buckets(&self, segment: Segment<T>) -> &[Bucket<T>] {
        // SAFETY: buckets are changed and freed only where the table is borrowed exclusively.
        unsafe { segment.buckets() }
    }
}

impl<T: Tagged> Table<T> {
    /// The element with this hash that satisfies `eq`, to be changed.
    #[inline]
    pub fn find_mut(&mut self, hash: u64, eq: impl FnMut(&T) -> bool) -> Option<&mut T> {
        if self.directory.is_empty() {
            return None;
        }
        let (_, tag, bucket) = self.home_mut(hash);
        bucket.find_mut(tag, eq)
    }

    /// Adds an element. The caller has made sure that no equal one is present; `hash_of` tells
    /// the hash of an element when its segment splits.
    pub fn insert(&mut self, hash: u64, value: T, hash_of: impl Fn(&T) -> u64) -> &mut T {
        debug_assert!(same(hash_of(&value), hash), "the hash given is not the element's hash");
        if self.directory.is_empty() {
            self.directory.push(Segment::new(1, 0));
            (self.homes, self.deepest) = (1, 1);
        }
        let slot = self.slot(hash);
        let owner = self.owner(slot);
        let segment = self.directory[owner];
        if segment.len as usize >= len_max(segment.homes()) {
            self.grow(owner, hash_of);
        }
        self.len += 1;
        let (owner, tag, bucket) = self.home_mut(hash);
        let (value, grown) = bucket.push(tag, value);
        // SAFETY: a longer life for the borrow: the element lies in its bucket, not in what is
        // changed below, and the table stays borrowed as long as the element.
        let value = unsafe { &mut *std::ptr::from_mut(value) };
        self.directory[owner].len += 1;
        self.overflows += usize::from(grown);
        value
    }

    /// Takes out the element with this hash that satisfies `eq`. Merging needs no hashes (tags
    /// say enough), so `hash_of` only serves a check in debug builds.
    pub fn remove(
        &mut self,
        hash: u64,
        eq: impl FnMut(&T) -> bool,
        hash_of: impl Fn(&T) -> u64,
    ) -> Option<T> {
        if self.directory.is_empty() {
            return None;
        }
        let (owner, tag, bucket) = self.home_mut(hash);
        let (value, freed) = bucket.remove(tag, eq)?;
        debug_assert!(same(hash_of(&value), hash), "the hash given is not the element's hash");
        self.directory[owner].len -= 1;
        self.len -= 1;
        self.overflows -= usize::from(freed);
        self.shrink(owner);
        self.trim();
        Some(value)
    }

    /// Keeps the elements for which `keep` is true. One pass over the whole table.
    pub fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        let mut owner = 0;
        while owner < self.directory.len() {
            // SAFETY: the table is borrowed exclusively.
            for bucket in unsafe { self.directory[owner].buckets_mut() } {
                let (removed, freed) = bucket.retain(&mut keep);
                self.directory[owner].len -= removed as u32;
                self.len -= removed;
                self.overflows -= freed;
            }
            owner += self.span(owner);
        }
        let mut owner = 0;
        while owner < self.directory.len() {
            while let Some(shrunk) = self.shrink(owner) {
                owner = shrunk;
            }
            owner += self.span(owner);
        }
        self.trim();
    }

    /// The element with this hash that satisfies `eq`.
    #[inline]
    pub fn find(&self, hash: u64, eq: impl FnMut(&T) -> bool) -> Option<&T> {
        if self.directory.is_empty() {
            return None;
        }
        let segment = self.directory[self.slot(hash)];
        let tag = segment.tag(hash);
        self.buckets(segment)[segment.home(tag)].find(tag, eq)
    }

    /// Visits every element of the home bucket that `position` lies in (with its overflow), from
    /// `position` on, and returns the position of the next bucket, or 0 after the last. A position
    /// is the top `POSITION_BITS` bits of a hash; any number is one. An element that is present
    /// from a scan's start at 0 to its end is visited at least once, whatever else is added and
    /// removed, and hardly ever twice.
    pub fn scan<'t>(&'t self, position: u64, mut visit: impl FnMut(&'t T)) -> u64 {
        if self.directory.is_empty() {
            return 0;
        }
        let position = position & ((1 << Self::POSITION_BITS) - 1);
        let hash = position << (u64::BITS - Self::POSITION_BITS);
        let segment = self.directory[self.slot(hash)];
        let tag = segment.tag(hash);
        let home = segment.home(tag);
        // The bucket may begin before the position, when it had other neighbours than now.
        let ahead = self.buckets(segment)[home].iter().filter(|value| value.tag() >= tag);
        ahead.for_each(&mut visit);
        let below = Self::POSITION_BITS - u32::from(segment.depth);
        let first = position >> below << below;
        let next = first + (segment.tag_after(home) << (below - TAG_BITS));
        if next >> Self::POSITION_BITS == 0 { next } else { 0 }
    }

    /// Asks the CPU to load the home bucket of `hash` while other work is done.
    #[inline]
    pub fn prefetch(&self, hash: u64) {
        if !self.directory.is_empty() {
            let segment = self.directory[self.slot(hash)];
            let home = segment.home(segment.tag(hash));
            prefetch((&raw const self.buckets(segment)[home]).cast());
        }
    }

    /// Asks the CPU to load the elements of the home bucket whose tag matches `hash`. It reads the
    /// bucket, so `prefetch` should have come some time before, but none of the elements. Two
    /// cache lines of each: an element of more than 64 bytes is common.
    #[inline]
    pub fn prefetch_values(&self, hash: u64) {
        if !self.directory.is_empty() {
            let segment = self.directory[self.slot(hash)];
            let tag = segment.tag(hash);
            self.buckets(segment)[segment.home(tag)].addresses(tag, |address| {
                prefetch(address);
                prefetch(address.wrapping_add(64));
            });
        }
    }

    /// The owner of the segment of `hash`, the tag there, and the home bucket.
    #[inline]
    fn home_mut(&mut self, hash: u64) -> (usize, u16, &mut Bucket<T>) {
        let slot = self.slot(hash);
        let segment = self.directory[slot];
        let tag = segment.tag(hash);
        // SAFETY: the table is borrowed exclusively as long as the bucket.
        let buckets = unsafe { segment.buckets_mut() };
        (self.owner(slot), tag, &mut buckets[segment.home(tag)])
    }

    /// Makes room in the full segment at `owner`, if that may be.
    #[cold]
    fn grow(&mut self, owner: usize, hash_of: impl Fn(&T) -> u64) {
        let segment = self.directory[owner];
        if segment.homes() < HOMES_MAX {
            self.rebuild(owner, more(segment.homes()));
        } else if u32::from(segment.depth) < self.bits {
            self.split(owner, hash_of);
        } else if self.bits < BITS_MAX && self.len >= self.directory.len() * 2 * DOUBLE_AT {
            self.double_directory();
            self.split(owner * 2, hash_of);
        }
    }

    /// Gives the segment at `owner` another number of homes.
    fn rebuild(&mut self, owner: usize, homes: usize) {
        let old = self.directory[owner];
        // SAFETY: the table is borrowed exclusively; `put` replaces all handles of the old one.
        let (new, before, after) = unsafe { old.rebuilt(homes) };
        self.put(owner, new);
        self.homes = self.homes + homes - old.homes();
        self.overflows = self.overflows + after - before;
    }

    /// Splits the segment at `owner`, which has the most homes there can be, into two.
    fn split(&mut self, owner: usize, hash_of: impl Fn(&T) -> u64) {
        let (old, middle) = (self.directory[owner], owner + self.span(owner) / 2);
        // SAFETY: the table is borrowed exclusively; `put` replaces all handles of the old one.
        let ([lower, upper], before, after) = unsafe { old.split(hash_of) };
        self.put(owner, lower);
        self.put(middle, upper);
        self.homes = self.homes + 2 * HOMES_MIN - old.homes();
        self.overflows = self.overflows + after - before;
        self.deepest += if u32::from(lower.depth) == self.bits { 2 } else { 0 };
    }

    /// Takes memory back from the segment at `owner` when it, or it with its sibling, has become
    /// so empty that a step down leaves room. Returns where the segment lives now if that was so.
    #[inline]
    fn shrink(&mut self, owner: usize) -> Option<usize> {
        let segment = self.directory[owner];
        let (homes, len) = (segment.homes(), segment.len as usize);
        if segment.depth == 0 || homes > HOMES_MIN {
            if homes == 1 || len > len_shrunk(fewer(homes)) {
                return None;
            }
            self.rebuild(owner, fewer(homes));
            return Some(owner);
        }
        let span = self.span(owner);
        let sibling = self.directory[owner ^ span];
        let alike = sibling.depth == segment.depth && sibling.homes() == HOMES_MIN;
        if !alike || len + sibling.len as usize > len_shrunk(HOMES_MAX) {
            return None;
        }
        self.merge(owner & !span, owner | span);
        Some(owner & !span)
    }

    /// Merges two siblings with the fewest homes into one segment with the most.
    fn merge(&mut self, lower: usize, upper: usize) {
        let siblings = [self.directory[lower], self.directory[upper]];
        // SAFETY: the table is borrowed exclusively; `put` replaces all handles of both.
        let (new, before, after) = unsafe { Segment::merged(siblings) };
        self.deepest -= if u32::from(siblings[0].depth) == self.bits { 2 } else { 0 };
        self.put(lower, new);
        self.homes = self.homes + HOMES_MAX - 2 * HOMES_MIN;
        self.overflows = self.overflows + after - before;
    }

    /// Lets all directory slots from `owner` on that a segment of this depth owns lead to it.
    fn put(&mut self, owner: usize, segment: Segment<T>) {
        let span = 1 << (self.bits - u32::from(segment.depth));
        self.directory[owner..owner + span].fill(segment);
    }

    /// Halves the directory while no segment needs its last bit and few elements justify it.
    #[inline]
    fn trim(&mut self) {
        let half = DOUBLE_AT / 2;
        while self.deepest == 0 && self.bits > 0 && self.len <= self.directory.len() * half {
            self.halve_directory();
        }
    }

    fn double_directory(&mut self) {
        let old = std::mem::take(&mut self.directory);
        self.directory = Vec::with_capacity(old.len() * 2);
        self.directory.extend(old.into_iter().flat_map(|segment| [segment, segment]));
        self.bits += 1;
        self.deepest = 0;
    }

    fn halve_directory(&mut self) {
        let old = std::mem::take(&mut self.directory);
        self.directory = Vec::with_capacity(old.len() / 2);
        self.directory.extend(old.into_iter().step_by(2));
        self.bits -= 1;
        let bits = self.bits;
        self.deepest = self.segments().filter(|segment| u32::from(segment.depth) == bits).count();
    }
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Drop for Table<T> {
    fn drop(&mut self) {
        for segment in self.segments() {
            // SAFETY: each segment is met once, and the directory goes with the table.
            unsafe { segment.free() };
        }
    }
}

// SAFETY: a table owns its segments and through them its elements, and shares nothing.
unsafe impl<T: Send> Send for Table<T> {}
// SAFETY: a shared table gives out `&T` only.
unsafe impl<T: Sync> Sync for Table<T> {}

/// Whether two hashes are one to the table.
fn same(hash: u64, other: u64) -> bool {
    (hash ^ other) >> (u64::BITS - Table::<u8>::POSITION_BITS) == 0
}

/// At how many elements a segment shrinks to so many homes: three quarters of what lets it grow.
#[inline]
const fn len_shrunk(homes: usize) -> usize {
    len_max(homes) * 3 / 4
}

/// Asks the CPU to load a cache line while other work is done.
#[inline]
pub(crate) fn prefetch(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch is a hint that reads nothing, whatever the address.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

/// The directory doubles only when that leaves so many elements a slot, and halves at half as
/// many. A good hash splits long before, at 300 or more; a bad one is stopped by it.
const DOUBLE_AT: usize = 64;
/// The directory's bits and the tag's are all within a position.
const BITS_MAX: u32 = Table::<u8>::POSITION_BITS - TAG_BITS;
/// The low bits of a draw choose the element; the top bits, at most 40, chose the bucket.
const LOW_DRAW: u64 = (1 << 24) - 1;
/// A draw chooses among so many places of a bucket, and again when the place is empty.
const DRAW_SLOTS: usize = 12;
