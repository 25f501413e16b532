//! The hash table: extendible hashing in hash order, with buckets of one cache line.
//!
//! ```text
//!  hash  | top `depth` bits | 6 bits |  ...  | tag | ... |
//!             v                 v
//!  directory [0][1][2][3] -> segment: 64 home buckets of 64 bytes = 4 KiB  -> overflow buckets
//! ```
//!
//! A directory of 2^n slots is indexed by the hash's top bits; a slot leads to a segment, and the
//! next six bits choose its home bucket. So all elements lie in hash order at bucket granularity,
//! and splitting a segment or merging two keeps that order. It *is* the scan order: what lies
//! ahead of a cursor stays ahead whatever grows or shrinks. Probing across buckets would lose it.
//! A segment splits at 288 elements (4.5 of 6 slots a bucket, where one home in six overflows)
//! and two merge at 144 together, so 144 operations lie between a split and its merge. A table
//! starts as one segment of one bucket that doubles up to 64: small tables are small.
//!
//! Cost: find, remove and insert touch the directory and one chain: two cache misses. At worst an
//! insert splits a segment (288 rehashed elements), a removal merges two; when the directory
//! doubles or halves, 24 bytes a slot move (200 KiB at a million elements), and 32 operations a
//! slot lie between two such moves. The hash must be seeded against chosen keys; when it is bad
//! all the same, chains grow and the directory stays below one slot per 64 elements. An element
//! takes 17 bytes before segments split and 33 after; 18.6 measured at a million.
//! Rules: a segment of depth `d` owns 2^(n-d) directory slots and lives in the first; the others
//! hold its depth and no buckets. `deepest` counts the segments with `d == n`.
//! Neighbours: `bucket`. Tests: `tests/table.rs`.

mod bucket;

use self::bucket::{Bucket, SLOTS, tag_of};
use crate::size_class::allocated;

/// A hash table that is told the hash of each element, and whose scan order survives resizing.
///
/// ```
/// let hash_of = |text: &Box<str>| (text.len() as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
/// let mut table = pannier_collections::Table::new();
/// let word: Box<str> = "pannier".into();
/// table.insert(hash_of(&word), word.clone(), hash_of);
/// assert_eq!(table.find(hash_of(&word), |found| *found == word), Some(&word));
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

struct Segment<T> {
    /// Empty when the slot belongs to a segment that lives in an earlier slot.
    buckets: Box<[Bucket<T>]>,
    len: u32,
    depth: u8,
}

impl<T> Table<T> {
    /// How many of the hash's top bits make a scan position.
    pub const POSITION_BITS: u32 = 40;

    /// An empty table. It allocates nothing before the first insert.
    pub const fn new() -> Self {
        Self { directory: Vec::new(), bits: 0, len: 0, deepest: 0, homes: 0, overflows: 0 }
    }

    /// The element with this hash that satisfies `eq`, to be changed.
    #[inline]
    pub fn find_mut(&mut self, hash: u64, eq: impl FnMut(&T) -> bool) -> Option<&mut T> {
        if self.directory.is_empty() {
            return None;
        }
        let (owner, home) = self.locate(hash);
        self.directory[owner].buckets[home].find_mut(tag_of(hash), eq)
    }

    /// Adds an element. The caller has made sure that no equal one is present; `hash_of` tells
    /// the hash of an element when its segment splits.
    pub fn insert(&mut self, hash: u64, value: T, hash_of: impl Fn(&T) -> u64) -> &mut T {
        debug_assert!(hash_of(&value) == hash, "the hash given is not the element's hash");
        if self.directory.is_empty() {
            self.directory.push(Segment { buckets: empty(1), len: 0, depth: 0 });
            self.homes = 1;
            self.deepest = 1;
        }
        let (mut owner, mut home) = self.locate(hash);
        let segment = &self.directory[owner];
        if segment.len as usize >= len_max(segment.buckets.len()) {
            self.grow(owner, &hash_of);
            (owner, home) = self.locate(hash);
        }
        self.len += 1;
        let segment = &mut self.directory[owner];
        segment.len += 1;
        let (value, grown) = segment.buckets[home].push(tag_of(hash), value);
        self.overflows += usize::from(grown);
        value
    }

    /// Takes out the element with this hash that satisfies `eq`. Merging needs no hashes (two
    /// neighbours simply become one), so `hash_of` only serves a check in debug builds.
    pub fn remove(
        &mut self,
        hash: u64,
        eq: impl FnMut(&T) -> bool,
        hash_of: impl Fn(&T) -> u64,
    ) -> Option<T> {
        if self.directory.is_empty() {
            return None;
        }
        let (owner, home) = self.locate(hash);
        let segment = &mut self.directory[owner];
        let (value, freed) = segment.buckets[home].remove(tag_of(hash), eq)?;
        debug_assert!(hash_of(&value) == hash, "the hash given is not the element's hash");
        segment.len -= 1;
        self.len -= 1;
        self.overflows -= usize::from(freed);
        self.shrink(owner);
        self.trim();
        Some(value)
    }

    /// Keeps the elements for which `keep` is true. One pass over the whole table.
    pub fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        for segment in &mut self.directory {
            for bucket in &mut segment.buckets {
                let (removed, freed) = bucket.retain(&mut keep);
                segment.len -= removed as u32;
                self.len -= removed;
                self.overflows -= freed;
            }
        }
        let mut slot = 0;
        while slot < self.directory.len() {
            while let Some(merged) = self.shrink(slot) {
                slot = merged;
            }
            slot += self.span(slot);
        }
        self.trim();
    }

    /// Drops all elements and frees the table's memory.
    pub fn clear(&mut self) {
        *self = Self::new();
    }

    /// All elements in hash order (at bucket granularity), to be changed. Their hashes must not.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        let buckets = self.directory.iter_mut().flat_map(|segment| segment.buckets.iter_mut());
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

    /// The element with this hash that satisfies `eq`.
    #[inline]
    pub fn find(&self, hash: u64, eq: impl FnMut(&T) -> bool) -> Option<&T> {
        if self.directory.is_empty() {
            return None;
        }
        let (owner, home) = self.locate(hash);
        self.directory[owner].buckets[home].find(tag_of(hash), eq)
    }

    /// Visits every element of the home bucket that `position` lies in (with its overflow) and
    /// returns the position of the next bucket, or 0 after the last. A position is the top
    /// `POSITION_BITS` bits of a hash; any number is one. An element that is present from a scan's
    /// start at 0 to its end is visited at least once, whatever else is added and removed.
    pub fn scan(&self, position: u64, mut visit: impl FnMut(&T)) -> u64 {
        if self.directory.is_empty() {
            return 0;
        }
        let position = position & ((1 << Self::POSITION_BITS) - 1);
        let (owner, home) = self.locate(position << (u64::BITS - Self::POSITION_BITS));
        let segment = &self.directory[owner];
        segment.buckets[home].iter().for_each(&mut visit);
        let below = Self::POSITION_BITS - u32::from(segment.depth) - segment.buckets.len().ilog2();
        let next = ((position >> below) + 1) << below;
        if next >> Self::POSITION_BITS == 0 { next } else { 0 }
    }

    /// A random element by draws from `random`, each equally likely as long as its home bucket
    /// holds at most eight; in a longer chain of n it is 8/n times as likely. O(1) expected with a
    /// good hash (five draws); a table emptied so unevenly that 128 draws find nothing is
    /// searched onwards from the last draw.
    pub fn random(&self, mut random: impl FnMut() -> u64) -> Option<&T> {
        if self.is_empty() {
            return None;
        }
        for _ in 0..128 {
            let draw = random();
            let slot = self.slot(draw);
            // Equal chances for buckets, not for ranges of hashes: a shallow segment is met
            // through several slots, and counts through its first alone.
            let segment = &self.directory[slot];
            if segment.buckets.is_empty() {
                continue;
            }
            // The bits below those that chose the slot: below the segment's depth they would be
            // the slot's own, always 0 here, and choose among its first buckets only.
            let bucket = &segment.buckets[segment.home_below(draw, self.bits)];
            let len = bucket.len();
            let index = (draw & LOW_DRAW) as usize * len.max(DRAW_SLOTS) / (LOW_DRAW as usize + 1);
            if index < len {
                return bucket.iter().nth(index);
            }
        }
        let (draw, start) = (random() as usize, self.slot(random()));
        let (before, from) = self.directory.split_at(start);
        let bucket = from.iter().chain(before).flat_map(|segment| &segment.buckets);
        let bucket = bucket.into_iter().find(|bucket| bucket.len() > 0)?;
        bucket.iter().nth(draw % bucket.len())
    }

    /// All elements in hash order (at bucket granularity).
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.directory.iter().flat_map(|segment| &segment.buckets).flat_map(Bucket::iter)
    }

    /// Asks the CPU to load the home bucket of `hash` while other work is done.
    #[inline]
    pub fn prefetch(&self, hash: u64) {
        if !self.directory.is_empty() {
            let (owner, home) = self.locate(hash);
            prefetch((&raw const self.directory[owner].buckets[home]).cast());
        }
    }

    /// Asks the CPU to load the elements of the home bucket whose tag matches `hash`. It reads the
    /// bucket, so `prefetch` should have come some time before, but none of the elements.
    #[inline]
    pub fn prefetch_values(&self, hash: u64)
    where
        T: Tagged,
    {
        if !self.directory.is_empty() {
            let (owner, home) = self.locate(hash);
            let bucket = &self.directory[owner].buckets[home];
            bucket.tagged(tag_of(hash)).for_each(|value| {
                prefetch(value.address());
                prefetch(value.address().wrapping_add(64));
            });
        }
    }

    /// Bytes allocated by the table itself, without what its elements point to. O(1).
    pub fn footprint(&self) -> usize {
        let bucket = size_of::<Bucket<T>>();
        let whole = self.homes / HOMES_MAX * allocated(HOMES_MAX * bucket);
        let part = allocated(self.homes % HOMES_MAX * bucket);
        let directory = allocated(self.directory.capacity() * size_of::<Segment<T>>());
        whole + part + directory + self.overflows * allocated(bucket)
    }

    /// Numbers that describe the table. O(n).
    pub fn shape(&self) -> Shape {
        let mut shape = Shape {
            len: self.len,
            directory: self.directory.len(),
            buckets: self.homes,
            slots: (self.homes + self.overflows) * SLOTS,
            overflow_buckets: self.overflows,
            ..Shape::default()
        };
        for segment in &self.directory {
            shape.segments += usize::from(!segment.buckets.is_empty());
            for bucket in &segment.buckets {
                let len = bucket.len();
                shape.longest_chain = shape.longest_chain.max(len);
                shape.chains[len.min(15)] += 1;
            }
        }
        shape
    }

    /// The directory slot that lies at `hash`.
    #[inline]
    fn slot(&self, hash: u64) -> usize {
        // In two steps, because a shift by 64 is not one.
        (hash >> 1 >> (u64::BITS - 1 - self.bits)) as usize
    }

    /// How many directory slots the segment of `slot` owns.
    #[inline]
    fn span(&self, slot: usize) -> usize {
        1 << (self.bits - u32::from(self.directory[slot].depth))
    }

    /// The slot in which the segment of `hash` lives, and its home bucket there.
    #[inline]
    fn locate(&self, hash: u64) -> (usize, usize) {
        let slot = self.slot(hash);
        let owner = slot & !(self.span(slot) - 1);
        (owner, self.directory[owner].home(hash))
    }

    /// Makes room in the full segment at `owner`, if that may be.
    fn grow(&mut self, owner: usize, hash_of: &impl Fn(&T) -> u64) {
        let homes = self.directory[owner].buckets.len();
        if homes < HOMES_MAX {
            self.widen(owner, homes * 2, hash_of);
        } else if u32::from(self.directory[owner].depth) < self.bits {
            self.split(owner, hash_of);
        } else if self.bits < BITS_MAX && self.len >= self.directory.len() * 2 * DOUBLE_AT {
            self.double_directory();
            self.split(owner * 2, hash_of);
        }
    }

    /// Gives a young table's only segment more buckets.
    fn widen(&mut self, owner: usize, homes: usize, hash_of: &impl Fn(&T) -> u64) {
        let mut old = std::mem::replace(&mut self.directory[owner].buckets, empty(homes));
        let segment = &mut self.directory[owner];
        self.overflows -= old.iter().map(Bucket::links).sum::<usize>();
        for bucket in &mut old {
            while let Some((tag, value, _)) = bucket.pop() {
                let home = segment.home(hash_of(&value));
                self.overflows += usize::from(segment.buckets[home].push(tag, value).1);
            }
        }
        self.homes += homes - old.len();
    }

    /// Splits the segment at `owner`: its buckets 0..32 spread over its own 64 buckets, the
    /// buckets 32..64 over those of a new one in the middle of its slots.
    fn split(&mut self, owner: usize, hash_of: &impl Fn(&T) -> u64) {
        let middle = owner + self.span(owner) / 2;
        let depth = self.directory[owner].depth + 1;
        for slot in &mut self.directory[owner..2 * middle - owner] {
            slot.depth = depth;
        }
        let mut upper = Segment { buckets: empty(HOMES_MAX), len: 0, depth };
        let lower = &mut self.directory[owner];
        lower.len = 0;
        let mut overflows = self.overflows;
        // Downwards, because bucket b goes to 2b and 2b + 1, which are empty by then.
        for home in (0..HOMES_MAX).rev() {
            let mut old = std::mem::take(&mut lower.buckets[home]);
            overflows -= old.links();
            let to = if home < HOMES_MAX / 2 { &mut *lower } else { &mut upper };
            while let Some((tag, value, _)) = old.pop() {
                let home = to.home(hash_of(&value));
                overflows += usize::from(to.buckets[home].push(tag, value).1);
                to.len += 1;
            }
        }
        self.overflows = overflows;
        self.homes += HOMES_MAX;
        self.deepest += if u32::from(depth) == self.bits { 2 } else { 0 };
        self.directory[middle] = upper;
    }

    /// Takes memory back from the segment at `owner` when it and its sibling (or the one segment
    /// of a young table) are nearly empty. Returns where the segment lives now if that was so.
    fn shrink(&mut self, owner: usize) -> Option<usize> {
        let segment = &self.directory[owner];
        let (homes, len) = (segment.buckets.len(), segment.len as usize);
        if segment.depth > 0 {
            let span = self.span(owner);
            let sibling = &self.directory[owner ^ span];
            let together = len + sibling.len as usize;
            if sibling.depth != segment.depth || together > len_max(HOMES_MAX) / 2 {
                return None;
            }
            self.merge(owner & !span, owner | span);
            return Some(owner & !span);
        }
        if homes == 1 || len > len_max(homes / 2) / 2 {
            return None;
        }
        let buckets = &mut self.directory[owner].buckets;
        let mut old = std::mem::replace(buckets, empty(homes / 2));
        self.homes -= homes / 2;
        self.fold(&mut old, owner, 0);
        Some(owner)
    }

    /// Halves the directory while no segment needs its last bit and few elements justify it.
    #[inline]
    fn trim(&mut self) {
        let half = DOUBLE_AT / 2;
        while self.deepest == 0 && self.bits > 0 && self.len <= self.directory.len() * half {
            self.halve_directory();
        }
    }

    /// Merges two segments: the pairs of buckets of each fold into one.
    fn merge(&mut self, lower: usize, upper: usize) {
        let upper_len = std::mem::take(&mut self.directory[upper].len);
        let mut above = std::mem::take(&mut self.directory[upper].buckets);
        let mut below = std::mem::replace(&mut self.directory[lower].buckets, empty(HOMES_MAX));
        self.fold(&mut below, lower, 0);
        self.fold(&mut above, lower, HOMES_MAX / 2);
        self.directory[lower].len += upper_len;
        let depth = self.directory[lower].depth - 1;
        self.deepest -= if u32::from(depth) + 1 == self.bits { 2 } else { 0 };
        for slot in &mut self.directory[lower..2 * upper - lower] {
            slot.depth = depth;
        }
        self.homes -= HOMES_MAX;
    }

    /// Moves the elements of buckets 2b and 2b + 1 of `old` to bucket `first + b` of `owner`.
    fn fold(&mut self, old: &mut [Bucket<T>], owner: usize, first: usize) {
        for (home, bucket) in old.iter_mut().enumerate() {
            self.overflows -= bucket.links();
            let to = &mut self.directory[owner].buckets[first + home / 2];
            while let Some((tag, value, _)) = bucket.pop() {
                self.overflows += usize::from(to.push(tag, value).1);
            }
        }
    }

    fn double_directory(&mut self) {
        let old = std::mem::take(&mut self.directory);
        self.directory = Vec::with_capacity(old.len() * 2);
        for segment in old {
            let second = Segment { buckets: empty(0), len: 0, depth: segment.depth };
            self.directory.extend([segment, second]);
        }
        self.bits += 1;
        self.deepest = 0;
    }

    fn halve_directory(&mut self) {
        let old = std::mem::take(&mut self.directory);
        self.directory = Vec::with_capacity(old.len() / 2);
        self.directory.extend(old.into_iter().step_by(2));
        self.bits -= 1;
        let bits = self.bits;
        let deepest = self.directory.iter().filter(|slot| u32::from(slot.depth) == bits);
        self.deepest = deepest.count();
    }
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Segment<T> {
    /// The home bucket of `hash` in this segment: the bits below the top `depth`.
    #[inline]
    fn home(&self, hash: u64) -> usize {
        self.home_below(hash, u32::from(self.depth))
    }

    /// The home bucket by the bits of `hash` below the top `bits`.
    #[inline]
    fn home_below(&self, hash: u64, bits: u32) -> usize {
        let six = (hash << bits) >> (u64::BITS - HOMES_MAX.ilog2());
        six as usize * self.buckets.len() / HOMES_MAX
    }
}

impl<T> Drop for Segment<T> {
    fn drop(&mut self) {
        self.buckets.iter_mut().for_each(Bucket::unlink);
    }
}

#[inline]
fn prefetch(address: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch is a hint that reads nothing, whatever the address.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(address.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}

fn empty<T>(homes: usize) -> Box<[Bucket<T>]> {
    std::iter::repeat_with(Bucket::default).take(homes).collect()
}

/// At how many elements a segment of so many home buckets grows.
const fn len_max(homes: usize) -> usize {
    if homes == 1 { SLOTS } else { homes * 9 / 2 }
}

const HOMES_MAX: usize = 64;
/// The directory doubles only when that leaves so many elements a slot, and halves at half as
/// many. A good hash splits long before, at 100 or more; a bad one is stopped by it.
const DOUBLE_AT: usize = 64;
const BITS_MAX: u32 = Table::<u8>::POSITION_BITS - HOMES_MAX.ilog2();
/// The low bits of a draw choose the element; the top bits, at most 40, chose the bucket.
const LOW_DRAW: u64 = (1 << 24) - 1;
/// A draw chooses among so many places of a bucket, and again when the place is empty.
const DRAW_SLOTS: usize = 8;
