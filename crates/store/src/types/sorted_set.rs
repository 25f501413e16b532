//! Sorted sets: members with scores, in the order of the scores, ties by bytes.
//!
//! Packed, a member is followed by its score, in order; scores are written as Redis's listpack has
//! them, as an integer where the double is one and else as the shortest text that reads back.
//! Large, it is a ranked set (see `collections::ranked`): a table that finds members by name and a
//! tree that keeps them in order and counts. OBJECT ENCODING says `skiplist` to that.
//!
//! Whatever goes by scores, bytes or positions is a range of ranks first:
//! [`SortedSetRef::by_score`] and [`SortedSetRef::by_bytes`] find it, and reading, counting and
//! removing take it from there.
//!
//! Rules: a score is never NaN. Ranges of bytes mean something only among equal scores; with others
//! the answer is whatever a search finds, as in Redis. Neighbours: `types` for what is common.
//! Tests: `tests/sorted_set.rs` of this crate, and the transcripts of the group `sorted-set`.

use std::cmp::Ordering;
use std::io::Write;
use std::ops::Range;

use pannier_collections::{Encoded, Packed, Payload, Piece, Ranked, RankedRange};

use super::{Body, Collection, Limits, Opened, PACKED_COUNT_MAX, packed};
use crate::hash::KeyHasher;
use crate::scan::Cursor;
use crate::value::{Kind, Object};

/// The type sorted set.
#[derive(Debug)]
pub enum SortedSet {}

impl Collection for SortedSet {
    const KIND: Kind = Kind::SortedSet;
    type Ref<'v> = SortedSetRef<'v>;
    type Mut<'v> = SortedSetMut<'v>;

    fn read(body: Body<'_>) -> SortedSetRef<'_> {
        match (packed(body.item), body.item.payload()) {
            (Some((list, count)), _) => SortedSetRef::Packed { list, count },
            (None, Payload::Object(Object::SortedSet(large))) => SortedSetRef::Large(large),
            (None, _) => SortedSetRef::Packed { list: Packed::new(&[]), count: 0 },
        }
    }

    fn open(opened: Opened<'_>) -> SortedSetMut<'_> {
        SortedSetMut { opened }
    }
}

/// A range of scores.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScoreRange {
    /// The lower end.
    pub min: f64,
    /// The upper end.
    pub max: f64,
    /// Whether the lower end itself is outside.
    pub above_min: bool,
    /// Whether the upper end itself is outside.
    pub below_max: bool,
}

/// An end of a range of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BytesEnd<'a> {
    /// Before all members.
    First,
    /// These bytes, inside the range.
    Included(&'a [u8]),
    /// These bytes, outside of it.
    Excluded(&'a [u8]),
    /// Behind all members.
    Last,
}

impl BytesEnd<'_> {
    /// Whether a member lies before this end taken as the lower one.
    fn is_behind(self, member: Piece<'_>) -> bool {
        match self {
            Self::First => false,
            Self::Included(bytes) => compare(member, bytes).is_lt(),
            Self::Excluded(bytes) => compare(member, bytes).is_le(),
            Self::Last => true,
        }
    }

    /// Whether a member lies behind this end taken as the upper one.
    fn is_before(self, member: Piece<'_>) -> bool {
        match self {
            Self::First => true,
            Self::Included(bytes) => compare(member, bytes).is_gt(),
            Self::Excluded(bytes) => compare(member, bytes).is_ge(),
            Self::Last => false,
        }
    }
}

/// A sorted set, to be read.
#[derive(Clone, Copy)]
pub enum SortedSetRef<'v> {
    #[doc(hidden)]
    Packed { list: Packed<'v>, count: usize },
    #[doc(hidden)]
    Large(&'v LargeSortedSet),
}

impl<'v> SortedSetRef<'v> {
    /// Number of members.
    pub fn len(self) -> usize {
        match self {
            Self::Packed { count, .. } => count / 2,
            Self::Large(large) => large.len(),
        }
    }

    /// Whether it has no member.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Whether it is packed.
    pub const fn is_packed(self) -> bool {
        matches!(self, Self::Packed { .. })
    }

    /// The member of a rank, with its score.
    pub fn get(self, rank: usize) -> Option<(Piece<'v>, f64)> {
        self.range(rank..rank.saturating_add(1)).next()
    }

    /// The score of a member.
    pub fn score(self, member: &[u8]) -> Option<f64> {
        match self {
            Self::Packed { list, .. } => {
                let at = list.find(Piece::of(member), 2)?;
                Some(score_of(list.get(list.skip(at)?)?.0))
            }
            Self::Large(large) => large.set.score(member, large.hasher.hash(member)),
        }
    }

    /// The rank of a member, counted from the lowest score, and its score.
    pub fn rank(self, member: &[u8]) -> Option<(usize, f64)> {
        match self {
            Self::Packed { .. } => {
                let piece = Piece::of(member);
                let mut ranks = self.range(0..usize::MAX).enumerate();
                ranks.find(|(_, (held, _))| *held == piece).map(|(rank, (_, score))| (rank, score))
            }
            Self::Large(large) => {
                let score = self.score(member)?;
                Some((large.set.below(score, Some(member)), score))
            }
        }
    }

    /// The ranks of the members whose scores lie in a range.
    pub fn by_score(self, range: ScoreRange) -> Range<usize> {
        let ScoreRange { min, max, above_min, below_max } = range;
        let [start, end] = match self {
            Self::Packed { .. } => {
                let mut ends = [0; 2];
                for (_, score) in self.range(0..usize::MAX) {
                    ends[0] += usize::from(score < min || above_min && score == min);
                    ends[1] += usize::from(score < max || !below_max && score == max);
                }
                ends
            }
            Self::Large(LargeSortedSet { set, .. }) => {
                let ends = [(min, above_min), (max, !below_max)];
                ends.map(|(score, through)| match through {
                    true => set.through(score, None),
                    false => set.below(score, None),
                })
            }
        };
        start..end.max(start)
    }

    /// The ranks of the members that lie between two ends of bytes.
    pub fn by_bytes(self, min: BytesEnd<'_>, max: BytesEnd<'_>) -> Range<usize> {
        // Redis looks at the ends of the set first, which shows when scores differ.
        let ends = (self.get(0), self.range(0..usize::MAX).next_back());
        let (Some((first, _)), Some((last, _))) = ends else { return 0..0 };
        if min.is_behind(last) || max.is_before(first) {
            return 0..0;
        }
        let (start, end) = match self {
            Self::Packed { .. } => {
                let members = self.range(0..usize::MAX).map(|(member, _)| member);
                let start = members.clone().take_while(|member| min.is_behind(*member)).count();
                let inside = members.skip(start).take_while(|member| !max.is_before(*member));
                (start, start + inside.count())
            }
            Self::Large(large) => (large.rank_of(min, false), large.rank_of(max, true)),
        };
        start..end.max(start)
    }

    /// The members of a range of ranks with their scores, from both ends.
    pub fn range(self, ranks: Range<usize>) -> SortedSetRange<'v> {
        let end = ranks.end.min(self.len());
        let start = ranks.start.min(end);
        match self {
            Self::Packed { list, .. } => {
                let bytes = list.bytes();
                let offset = |rank: usize| match rank {
                    rank if rank == self.len() => bytes.len(),
                    rank => list.offset(rank * 2).unwrap_or(bytes.len()),
                };
                let part = &bytes[offset(start)..offset(end)];
                SortedSetRange::Packed(Packed::new(part).iter())
            }
            Self::Large(large) => SortedSetRange::Large(large.set.range(start..end)),
        }
    }

    /// Visits members from `cursor` on until about `count` were seen, and returns where to go on,
    /// as SCAN does with keys.
    pub fn scan(
        self,
        cursor: Cursor,
        count: usize,
        mut visit: impl FnMut(Piece<'_>, f64),
    ) -> Cursor {
        let Self::Large(large) = self else {
            self.range(0..usize::MAX).for_each(|(member, score)| visit(member, score));
            return Cursor(0);
        };
        let (mut position, mut seen, mut crossed) = (cursor.0, 0, 0);
        loop {
            position = large.set.scan(position, |member, score| {
                seen += 1;
                visit(Piece::Bytes(member), score);
            });
            crossed += 1;
            if position == 0 || seen >= count || crossed >= count.saturating_mul(10) {
                return Cursor(position);
            }
        }
    }
}

/// Members with their scores.
#[derive(Clone)]
pub enum SortedSetRange<'v> {
    #[doc(hidden)]
    Packed(<Packed<'v> as IntoIterator>::IntoIter),
    #[doc(hidden)]
    Large(RankedRange<'v>),
}

impl<'v> Iterator for SortedSetRange<'v> {
    type Item = (Piece<'v>, f64);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Packed(pieces) => Some((pieces.next()?, score_of(pieces.next()?))),
            Self::Large(members) => {
                members.next().map(|(member, score)| (Piece::Bytes(member), score))
            }
        }
    }
}

impl DoubleEndedIterator for SortedSetRange<'_> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        match self {
            Self::Packed(pieces) => {
                let score = score_of(pieces.next_back()?);
                Some((pieces.next_back()?, score))
            }
            Self::Large(members) => {
                members.next_back().map(|(member, score)| (Piece::Bytes(member), score))
            }
        }
    }
}

/// A sorted set, to be changed.
pub struct SortedSetMut<'v> {
    opened: Opened<'v>,
}

impl SortedSetMut<'_> {
    /// The sorted set as it is now.
    pub fn as_ref(&self) -> SortedSetRef<'_> {
        SortedSet::read(self.opened.body())
    }

    /// So many members will come, the longest of so many bytes: makes the set large at once if it
    /// cannot stay packed then.
    pub fn expect(&mut self, members: usize, longest: usize) {
        let Limits { sorted_set_entries, sorted_set_value, .. } = *self.opened.limits;
        let fits = members <= sorted_set_entries.min(ENTRIES_MAX) && longest <= sorted_set_value;
        if !fits && self.opened.packed().is_some() {
            self.enlarge();
        }
    }

    /// Hands the score of a member, if it is there, to `decide`, and gives it the score that comes
    /// back: the member is added, moved, or left as it is. Counts a change if it was one.
    pub fn update(&mut self, member: &[u8], decide: impl FnOnce(Option<f64>) -> Option<f64>) {
        let changed = self.put(member, decide);
        self.opened.count(u64::from(changed));
    }

    /// As `update`, uncounted: for sets that are stored whole. True when there was a change.
    pub fn put(&mut self, member: &[u8], decide: impl FnOnce(Option<f64>) -> Option<f64>) -> bool {
        let limits = self.opened.limits;
        let mut changed = false;
        if let Some((list, count)) = self.opened.packed() {
            let held = list.find(Piece::of(member), 2).map(|at| Pair::at(list, at));
            let old = held.as_ref().map(|pair| pair.score);
            let Some(score) = decide(old).filter(|score| old != Some(*score)) else {
                return false;
            };
            let fits = count / 2 < limits.sorted_set_entries.min(ENTRIES_MAX)
                && member.len() <= limits.sorted_set_value;
            if held.is_some() || fits {
                self.place(member, score, held);
                return true;
            }
            self.enlarge();
            if let Some(large) = self.large() {
                large.update(member, |_| Some(score));
            }
            return true;
        }
        if let Some(large) = self.large() {
            large.update(member, |old| {
                let score = decide(old).filter(|score| old != Some(*score));
                changed = score.is_some();
                score
            });
        }
        changed
    }

    /// Removes a member; returns its score, if it was there.
    pub fn remove(&mut self, member: &[u8]) -> Option<f64> {
        let removed = if let Some((list, _)) = self.opened.packed() {
            let held = list.find(Piece::of(member), 2).map(|at| Pair::at(list, at));
            held.map(|Pair { start, end, score, .. }| {
                self.opened.splice(start, end - start, &[], -2);
                score
            })
        } else {
            let large = self.large()?;
            large.set.remove(member, |bytes| large.hasher.hash(bytes))
        };
        self.opened.count(u64::from(removed.is_some()));
        removed
    }

    /// Removes the members of a range of ranks and hands each with its score to `visit`, in
    /// ascending order.
    pub fn remove_range(&mut self, ranks: Range<usize>, mut visit: impl FnMut(Piece<'_>, f64)) {
        let len = self.as_ref().len();
        let end = ranks.end.min(len);
        let start = ranks.start.min(end);
        if let Some((list, _)) = self.opened.packed() {
            let offset = |rank: usize| list.offset(rank * 2).unwrap_or(list.bytes().len());
            let (from, to) = (offset(start), offset(end));
            self.as_ref().range(start..end).for_each(|(member, score)| visit(member, score));
            self.opened.splice(from, to - from, &[], -2 * (end - start) as isize);
        } else if let Some(LargeSortedSet { set, hasher }) = self.large() {
            let hash_of = |bytes: &[u8]| hasher.hash(bytes);
            set.remove_range(start..end, hash_of, |member, score| {
                visit(Piece::Bytes(member), score);
            });
        }
        self.opened.count((end - start) as u64);
    }

    /// Puts a member in its place in the packed list; `held` is where it is now, if it is there.
    fn place(&mut self, member: &[u8], score: f64, held: Option<Pair>) {
        let Some((list, _)) = self.opened.packed() else { return };
        let mut to = 0;
        while to < list.bytes().len() {
            let pair = Pair::at(list, to);
            let other = held.as_ref().is_none_or(|held| held.start != to);
            if other && pair.cmp(list, score, member) == Ordering::Greater {
                break;
            }
            to = pair.end;
        }
        let mut added = Encoded::new();
        match held {
            // It stays where it is.
            Some(Pair { start, middle, end, .. }) if to == start || to == end => {
                push_score(&mut added, score);
                self.opened.splice(middle, end - middle, added.as_bytes(), 0);
                return;
            }
            Some(Pair { start, end, .. }) => {
                self.opened.splice(start, end - start, &[], -2);
                to -= if to > start { end - start } else { 0 };
            }
            None => {}
        }
        added.push(Piece::of(member));
        push_score(&mut added, score);
        self.opened.splice(to, 0, added.as_bytes(), 2);
    }

    fn enlarge(&mut self) {
        let mut large = LargeSortedSet::new(self.opened.hasher);
        let mut digits = itoa::Buffer::new();
        for (member, score) in self.as_ref().range(0..usize::MAX) {
            large.update(member.as_bytes(&mut digits), |_| Some(score));
        }
        self.opened.enlarge(Object::SortedSet(Box::new(large)));
    }

    fn large(&mut self) -> Option<&mut LargeSortedSet> {
        match self.opened.item.object_mut() {
            Some(Object::SortedSet(large)) => Some(large),
            _ => None,
        }
    }
}

/// A member and its score in a packed list: where the two begin and end.
struct Pair {
    start: usize,
    middle: usize,
    end: usize,
    score: f64,
}

impl Pair {
    fn at(list: Packed<'_>, start: usize) -> Self {
        let middle = list.skip(start).unwrap_or(start);
        let (score, end) = list.get(middle).unwrap_or((Piece::Int(0), middle));
        Self { start, middle, end, score: score_of(score) }
    }

    /// How it compares with a score and a member.
    fn cmp(&self, list: Packed<'_>, score: f64, member: &[u8]) -> Ordering {
        self.score.partial_cmp(&score).unwrap_or(Ordering::Equal).then_with(|| {
            list.get(self.start).map_or(Ordering::Equal, |(held, _)| compare(held, member))
        })
    }
}

/// A sorted set as a ranked set.
pub struct LargeSortedSet {
    set: Ranked,
    hasher: KeyHasher,
}

impl LargeSortedSet {
    fn new(hasher: &KeyHasher) -> Self {
        Self { set: Ranked::new(), hasher: hasher.clone() }
    }

    fn update(&mut self, member: &[u8], decide: impl FnOnce(Option<f64>) -> Option<f64>) {
        let hasher = &self.hasher;
        self.set.update(member, |bytes| hasher.hash(bytes), decide);
    }

    /// How many members come before an end of bytes, taken as the lower or the upper one.
    fn rank_of(&self, end: BytesEnd<'_>, upper: bool) -> usize {
        let set = &self.set;
        let score = |rank: usize| set.get(rank).map_or(0.0, |(_, score)| score);
        let (len, first) = (set.len(), score(0));
        let alike = first == score(len.saturating_sub(1));
        match end {
            BytesEnd::First => 0,
            BytesEnd::Last => len,
            BytesEnd::Included(bytes) if alike && upper => set.through(first, Some(bytes)),
            BytesEnd::Excluded(bytes) if alike && !upper => set.through(first, Some(bytes)),
            BytesEnd::Included(bytes) | BytesEnd::Excluded(bytes) if alike => {
                set.below(first, Some(bytes))
            }
            end => {
                let member =
                    |rank| Piece::Bytes(set.get(rank).map_or(&[][..], |(member, _)| member));
                let ahead = |rank| match upper {
                    true => !end.is_before(member(rank)),
                    false => end.is_behind(member(rank)),
                };
                let (mut low, mut high) = (0, len);
                while low < high {
                    let middle = low.midpoint(high);
                    if ahead(middle) { low = middle + 1 } else { high = middle }
                }
                low
            }
        }
    }

    /// Asks the CPU to load where an element of this name would be; `prefetch_found` wants what it
    /// returns, and asks for the element itself.
    pub(crate) fn prefetch(&self, element: &[u8]) -> u64 {
        let hash = self.hasher.hash(element);
        self.set.prefetch(hash);
        hash
    }

    /// See `prefetch`.
    pub(crate) fn prefetch_found(&self, hash: u64) {
        self.set.prefetch_found(hash);
    }

    pub(crate) fn len(&self) -> usize {
        self.set.len()
    }

    pub(crate) fn footprint(&self) -> usize {
        size_of::<Self>() + self.set.footprint()
    }
}

impl Clone for LargeSortedSet {
    fn clone(&self) -> Self {
        let mut copy = Self::new(&self.hasher);
        for (member, score) in self.set.range(0..usize::MAX) {
            copy.update(member, |_| Some(score));
        }
        copy
    }
}

/// Compares a member with bytes.
fn compare(member: Piece<'_>, bytes: &[u8]) -> Ordering {
    member.as_bytes(&mut itoa::Buffer::new()).cmp(bytes)
}

/// The score that an element of a packed list is.
fn score_of(piece: Piece<'_>) -> f64 {
    match piece {
        Piece::Int(number) => number as f64,
        Piece::Bytes(text) => {
            std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).unwrap_or_default()
        }
    }
}

/// Appends a score as an element of a packed list.
fn push_score(list: &mut Encoded, score: f64) {
    if score.abs() <= INTEGER_MAX && score.trunc() == score {
        return list.push(Piece::Int(score as i64));
    }
    let mut text = [0; 32];
    let plain = (1e-5..1e17).contains(&score.abs());
    let mut rest = &mut text[..];
    let written = if plain { write!(rest, "{score}") } else { write!(rest, "{score:e}") };
    let left = rest.len();
    debug_assert!(written.is_ok(), "seventeen digits and an exponent fit");
    list.push(Piece::Bytes(&text[..text.len() - left]));
}

/// Integers up to this are kept as such: half of what 64 bits hold, as in Redis.
const INTEGER_MAX: f64 = (1_u64 << 62) as f64;
/// Members that a packed sorted set can count.
const ENTRIES_MAX: usize = PACKED_COUNT_MAX / 2;
