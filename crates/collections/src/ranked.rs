//! A ranked set: members with scores, found by name, by rank, by score and by order of bytes.
//!
//! ```text
//!  table: hash of the member -> block [score | length | bytes]      (owns the blocks)
//!  tree:  score, then bytes  -> address of the block, eight bytes of the key beside it
//! ```
//!
//! A member is one block; the table finds it by name and is what a scan and random draws use; the
//! tree keeps all in order and counts what lies where. A skip list with spans does the same, but
//! each of its twenty steps waits for memory twice, for a node and for the member in it. Here a
//! search goes through three or four nodes of a kilobyte, and looks at a member only when eight
//! well-chosen bytes of its key do not decide (see `keys`).
//!
//! Cost: a million members of 20 bytes take 62 bytes each, of which the block is 32, the table
//! 12 and the tree 18. All operations are O(log n) and touch a bounded number of nodes; a new
//! score that leaves a member between its neighbours changes eight bytes in one leaf.
//!
//! Rules: the tree holds exactly the members of the table, each under its present score. A block
//! is dropped only after the tree has forgotten its address; this file alone sees to that, and
//! the unsafe code in `keys` relies on it.
//! Neighbours: `member` is the block, `table` the table. Tests: `tests/ranked.rs`, also under
//! AddressSanitizer.

mod key;
mod keys;
mod tree;

use std::ops::Range;

use self::key::Key;
use self::keys::Word;
use self::tree::Tree;
use crate::member::Member;
use crate::table::Table;

/// Members with scores, sorted by score and then by bytes.
///
/// ```
/// use pannier_collections::Ranked;
/// let hash_of = |bytes: &[u8]| bytes.iter().map(|byte| u64::from(*byte) << 56).sum();
/// let mut set = Ranked::new();
/// for (name, score) in [(&b"b"[..], 2.0), (b"a", 2.0), (b"c", 1.0)] {
///     set.update(name, hash_of, |_| Some(score));
/// }
/// let names: Vec<&[u8]> = set.range(0..3).map(|(name, _)| name).collect();
/// assert_eq!(names, [b"c", b"a", b"b"]);
/// assert_eq!(set.below(2.0, Some(b"b")), 2);
/// ```
pub struct Ranked {
    table: Table<Member<f64>>,
    tree: Tree,
    /// Bytes of the members' blocks.
    bytes: usize,
}

impl Ranked {
    /// An empty set.
    pub fn new() -> Self {
        Self { table: Table::new(), tree: Tree::new(), bytes: 0 }
    }

    /// Hands the score of a member, if it is there, to `decide`, and gives it the score that comes
    /// back: the member is added, moved, or left as it is. `hash_of` tells the hash of any member.
    pub fn update(
        &mut self,
        bytes: &[u8],
        hash_of: impl Fn(&[u8]) -> u64,
        decide: impl FnOnce(Option<f64>) -> Option<f64>,
    ) {
        let hash = hash_of(bytes);
        let Some(held) = self.table.find(hash, |held| held.bytes() == bytes) else {
            if let Some(score) = decide(None) {
                let member = Member::new(score, bytes);
                self.bytes += member.footprint();
                let member = self.table.insert(hash, member, |held| hash_of(held.bytes()));
                self.tree.insert(Key::new(score, bytes), Word::of(member));
            }
            return;
        };
        let (member, old) = (Word::of(held), held.payload());
        let Some(score) = decide(Some(old)) else { return };
        let (from, to) = (Key::new(old, bytes), Key::new(score, bytes));
        let stays = from == to || self.tree.shift(from, to, member);
        if !stays {
            self.forget(from, member);
        }
        if let Some(held) = self.table.find_mut(hash, |held| Word::of(held) == member) {
            held.set_payload(score);
        }
        if !stays {
            self.tree.insert(to, member);
        }
    }

    /// Asks the CPU to load where a member of this hash would be.
    pub fn prefetch(&self, hash: u64) {
        self.table.prefetch(hash);
    }

    /// Asks the CPU to load the member itself, after `prefetch`.
    pub fn prefetch_found(&self, hash: u64) {
        self.table.prefetch_values(hash);
    }

    /// Takes a member out; returns its score, if it was there.
    pub fn remove(&mut self, bytes: &[u8], hash_of: impl Fn(&[u8]) -> u64) -> Option<f64> {
        let hash = hash_of(bytes);
        let held = self.table.find(hash, |held| held.bytes() == bytes)?;
        let (member, score) = (Word::of(held), held.payload());
        self.forget(Key::new(score, bytes), member);
        self.discard(hash, member, &hash_of);
        Some(score)
    }

    /// Takes out all members of a range of ranks, and hands each to `visit`, in ascending order.
    pub fn remove_range(
        &mut self,
        range: Range<usize>,
        hash_of: impl Fn(&[u8]) -> u64,
        mut visit: impl FnMut(&[u8], f64),
    ) {
        let mut left = range.end.min(self.len()).saturating_sub(range.start);
        let mut taken = Vec::new();
        while left > 0 {
            self.tree.take(range.start, left, &mut taken);
            left -= taken.len();
            taken.iter().for_each(|member| member.prefetch());
            for member in taken.drain(..) {
                let held = member.member();
                visit(held.bytes(), held.payload());
                self.discard(hash_of(held.bytes()), member, &hash_of);
            }
        }
    }

    /// The score of a member.
    pub fn score(&self, bytes: &[u8], hash: u64) -> Option<f64> {
        self.table.find(hash, |held| held.bytes() == bytes).map(Member::payload)
    }

    /// How many members come before a score, or before a name among those with that score.
    pub fn below(&self, score: f64, bytes: Option<&[u8]>) -> usize {
        self.tree.rank(Key::new(score, bytes.unwrap_or_default()), false)
    }

    /// How many members come before a score or have it, with a name among those with that score:
    /// up to that name.
    pub fn through(&self, score: f64, bytes: Option<&[u8]>) -> usize {
        match bytes {
            None => self.tree.rank(Key::behind(score), false),
            Some(bytes) => self.tree.rank(Key::new(score, bytes), true),
        }
    }

    /// The member of a rank, with its score.
    pub fn get(&self, rank: usize) -> Option<(&[u8], f64)> {
        self.range(rank..rank + 1).next()
    }

    /// The members of a range of ranks with their scores, from both ends.
    pub fn range(&self, range: Range<usize>) -> RankedRange<'_> {
        let end = range.end.min(self.len());
        RankedRange { set: self, ranks: range.start.min(end)..end, front: &[], back: &[] }
    }

    /// All members with their scores, in the table's order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], f64)> {
        self.table.iter().map(|held| (held.bytes(), held.payload()))
    }

    /// A random member with its score (see [`Table::random`]).
    pub fn random(&self, random: impl FnMut() -> u64) -> Option<(&[u8], f64)> {
        self.table.random(random).map(|held| (held.bytes(), held.payload()))
    }

    /// Visits the members at a position of the hash order (see [`Table::scan`]).
    pub fn scan(&self, position: u64, mut visit: impl FnMut(&[u8], f64)) -> u64 {
        self.table.scan(position, |held| visit(held.bytes(), held.payload()))
    }

    /// Number of members.
    pub fn len(&self) -> usize {
        self.tree.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that members, table and tree take. O(1).
    pub fn footprint(&self) -> usize {
        self.bytes + self.table.footprint() + self.tree.footprint()
    }

    /// The tree forgets a member.
    fn forget(&mut self, key: Key<'_>, member: Word) {
        let rank = self.tree.rank(key, false);
        let mut taken = Vec::with_capacity(1);
        self.tree.take(rank, 1, &mut taken);
        assert!(taken[0] == member, "the tree holds every member under its score");
    }

    /// Drops a member that the tree has forgotten.
    fn discard(&mut self, hash: u64, member: Word, hash_of: impl Fn(&[u8]) -> u64) {
        let is_it = |held: &Member<f64>| Word::of(held) == member;
        let dropped = self.table.remove(hash, is_it, |held| hash_of(held.bytes()));
        self.bytes -= dropped.as_ref().map_or(0, Member::footprint);
    }
}

impl Default for Ranked {
    fn default() -> Self {
        Self::new()
    }
}

/// Members of a range of ranks with their scores.
#[derive(Clone)]
pub struct RankedRange<'a> {
    set: &'a Ranked,
    /// The ranks that are in neither run.
    ranks: Range<usize>,
    front: &'a [Word],
    back: &'a [Word],
}

impl<'a> RankedRange<'a> {
    fn read(member: &'a Word) -> (&'a [u8], f64) {
        let member = member.member();
        (member.bytes(), member.payload())
    }
}

impl<'a> Iterator for RankedRange<'a> {
    type Item = (&'a [u8], f64);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.front.is_empty() {
            if self.ranks.is_empty() {
                let (first, rest) = self.back.split_first()?;
                self.back = rest;
                return Some(Self::read(first));
            }
            let (leaf, at) = self.set.tree.leaf(self.ranks.start);
            let run = &leaf[at..];
            self.front = &run[..run.len().min(self.ranks.len())];
            self.ranks.start += self.front.len();
            self.front.iter().for_each(|member| member.prefetch());
        }
        let (first, rest) = self.front.split_first()?;
        self.front = rest;
        Some(Self::read(first))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.front.len() + self.ranks.len() + self.back.len();
        (left, Some(left))
    }
}

impl DoubleEndedIterator for RankedRange<'_> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        if self.back.is_empty() {
            if self.ranks.is_empty() {
                let (last, rest) = self.front.split_last()?;
                self.front = rest;
                return Some(Self::read(last));
            }
            let (leaf, at) = self.set.tree.leaf(self.ranks.end - 1);
            let run = &leaf[..=at];
            self.back = &run[run.len() - run.len().min(self.ranks.len())..];
            self.ranks.end -= self.back.len();
            self.back.iter().for_each(|member| member.prefetch());
        }
        let (last, rest) = self.back.split_last()?;
        self.back = rest;
        Some(Self::read(last))
    }
}

impl ExactSizeIterator for RankedRange<'_> {}
