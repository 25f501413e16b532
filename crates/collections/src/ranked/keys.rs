//! The keys of a node: pointers to members in order, and for each eight of its bytes.
//!
//! ```text
//!  words:  | len, skip | prefix, 7 | digests, capacity | addresses of members, capacity |
//! ```
//!
//! All keys of a node begin with the same `skip` bytes, the prefix, of which the first 56 lie in
//! the node. The digest of a key is the eight bytes behind them. So a search compares a few words
//! with the prefix, then digests, and looks at a member itself only when digests are equal:
//! following a pointer at each of twenty comparisons is what makes a skip list slow. Whether
//! scores or the ends of long names tell the keys apart makes no difference.
//!
//! The prefix is shortened when a key without it comes in, and lengthened when a node is split or
//! grows and its digests turn out to have four bytes or more in common. Either reads all members
//! once, at most 60, prefetched. The array grows by size classes, 128 bytes at a time at the end,
//! so that nodes are nine tenths full whatever the order in which members came.
//!
//! Rules: an address is that of a live member, whose key is the one that was inserted: `ranked`
//! keeps that. Neighbours: `tree`. Tests: `tests/ranked.rs`.

use std::cmp::Ordering;

use super::key::{Key, SCORE};
use crate::member::Member;
use crate::size_class::allocated;
use crate::table::{Tagged, prefetch};

/// A number, or the address of a member.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub(super) struct Word(*const u8);

impl Word {
    #[inline]
    fn number(number: u64) -> Self {
        Self(std::ptr::without_provenance(number as usize))
    }

    #[inline]
    fn value(self) -> u64 {
        self.0.addr() as u64
    }

    /// The address of a member.
    #[inline]
    pub(super) fn of(member: &Member<f64>) -> Self {
        Self(member.address())
    }

    /// The member at an address.
    #[inline]
    pub(super) fn member(&self) -> &Member<f64> {
        const { assert!(size_of::<Member<f64>>() == size_of::<Self>()) };
        // SAFETY: a member is one pointer to its block (transparent), and an untagged one is a
        // member with tag 0. Only addresses of live members are asked: those that `Ranked` put
        // into the tree, which it takes out before it drops them.
        unsafe { &*(&raw const *self).cast::<Member<f64>>() }
    }

    /// The key of the member at an address.
    #[inline]
    pub(super) fn key(&self) -> Key<'_> {
        let member = self.member();
        Key::new(member.payload(), member.bytes())
    }

    /// Asks the CPU to load the member.
    #[inline]
    pub(super) fn prefetch(self) {
        prefetch(self.0);
    }
}

// SAFETY: a word only reads what it points to, and only for the tree that holds it.
unsafe impl Send for Word {}
// SAFETY: as above.
unsafe impl Sync for Word {}

/// The keys of one node, at most [`KEYS_MAX`].
pub(super) struct Keys {
    words: Box<[Word]>,
}

impl Keys {
    /// Keys that are in order.
    pub(super) fn of(members: &[Word]) -> Self {
        let mut keys = Self { words: Self::words(members.len()) };
        keys.set_head(members.len(), 0);
        let room = keys.capacity();
        keys.words[HEAD + room..][..members.len()].copy_from_slice(members);
        keys.rebuild(usize::MAX);
        keys
    }

    /// Puts a key in at its place.
    pub(super) fn insert(&mut self, at: usize, key: Key<'_>, member: Word) {
        let len = self.len();
        if len == self.capacity() {
            self.resize(len + 1 + len / 8);
            self.refine();
        }
        let skip = self.skip();
        let common = if self.against_prefix(key) == Ordering::Equal {
            skip
        } else {
            self.words[HEAD + self.capacity()].key().common(key).min(skip)
        };
        if common < skip {
            self.rebuild(common);
        }
        let (room, skip) = (self.capacity(), self.skip());
        let words = &mut self.words[HEAD..];
        words.copy_within(at..len, at + 1);
        words.copy_within(room + at..room + len, room + at + 1);
        words[at] = Word::number(key.word(skip));
        words[room + at] = member;
        self.set_head(len + 1, skip);
    }

    /// The key of a member changes, without leaving its place between its neighbours.
    pub(super) fn replace(&mut self, at: usize, key: Key<'_>) {
        let skip = self.skip();
        self.words[HEAD + at] = Word::number(key.word(skip));
    }

    /// Takes keys out.
    pub(super) fn cut(&mut self, at: usize, count: usize) {
        let (len, room) = (self.len(), self.capacity());
        let words = &mut self.words[HEAD..];
        words.copy_within(at + count..len, at);
        words.copy_within(room + at + count..room + len, room + at);
        self.set_head(len - count, if count < len { self.skip() } else { 0 });
        if (len - count) * 2 < room && room > CAPACITY_KEPT {
            self.resize(len - count + 4);
        }
    }

    /// Cuts the keys from `at` on off and returns them.
    pub(super) fn split_off(&mut self, at: usize) -> Self {
        let mut upper = Self { words: Self::words(self.len() - at) };
        let count = self.len() - at;
        upper.words[..HEAD].copy_from_slice(&self.words[..HEAD]);
        upper.set_head(count, self.skip());
        upper.words[HEAD..HEAD + count].copy_from_slice(&self.digests()[at..]);
        let room = upper.capacity();
        upper.words[HEAD + room..HEAD + room + count].copy_from_slice(&self.members()[at..]);
        upper.refine();
        self.set_head(at, self.skip());
        self.resize(at);
        self.refine();
        upper
    }

    /// How many keys there are.
    #[inline]
    pub(super) fn len(&self) -> usize {
        (self.words[0].value() & 0xFFFF) as usize
    }

    /// The members.
    #[inline]
    pub(super) fn members(&self) -> &[Word] {
        &self.words[HEAD + self.capacity()..][..self.len()]
    }

    /// How many keys come before `key`, or, with `through`, are not behind it.
    #[inline]
    pub(super) fn search(&self, key: Key<'_>, through: bool) -> usize {
        match self.against_prefix(key) {
            Ordering::Less => return 0,
            Ordering::Greater => return self.len(),
            Ordering::Equal => {}
        }
        let digest = key.word(self.skip());
        let digests = self.digests();
        let first = digests.partition_point(|word| word.value() < digest);
        if digests.get(first).is_none_or(|word| word.value() != digest) {
            return first;
        }
        let alike = digests[first..].partition_point(|word| word.value() == digest);
        let alike = &self.members()[first..first + alike];
        first
            + alike.partition_point(|member| match member.key().cmp(&key) {
                Ordering::Less => true,
                Ordering::Equal => through,
                Ordering::Greater => false,
            })
    }

    /// Asks the CPU to load what a search reads.
    #[inline]
    pub(super) fn prefetch(&self) {
        for line in self.words[..HEAD + self.capacity()].chunks(LINE) {
            prefetch(line.as_ptr().cast());
        }
    }

    /// Bytes that the keys take in memory.
    #[inline]
    pub(super) fn footprint(&self) -> usize {
        allocated(self.words.len() * size_of::<Word>())
    }

    /// Where a key stands to all that begin with the prefix: `Equal` when it does so itself.
    #[inline]
    fn against_prefix(&self, key: Key<'_>) -> Ordering {
        let skip = self.skip();
        let inline = skip.min(PREFIX * 8);
        for at in 0..inline.div_ceil(8) {
            // Of the last word, only the bytes that are prefix.
            let cut = (8 * (at + 1)).saturating_sub(inline) as u32 * 8;
            let order = (key.word(8 * at) >> cut).cmp(&(self.words[1 + at].value() >> cut));
            if order != Ordering::Equal {
                return order;
            }
        }
        if skip > inline {
            let prefix = &self.members()[0].key().tail(inline)[..skip - inline];
            let tail = key.tail(inline);
            return tail[..tail.len().min(prefix.len())].cmp(prefix);
        }
        // What is missing of the key has read as zeros.
        if key.len() < skip { Ordering::Less } else { Ordering::Equal }
    }

    /// Lengthens the prefix when so many bytes of all digests are alike that the rest may not
    /// tell the keys apart.
    fn refine(&mut self) {
        if let [first, .., last] = self.digests()
            && (first.value() ^ last.value()) >> 32 == 0
        {
            self.rebuild(usize::MAX);
        }
    }

    /// Makes prefix and digests anew from the members; the prefix has at most `most` bytes.
    fn rebuild(&mut self, most: usize) {
        let (len, room) = (self.len(), self.capacity());
        let (head, members) = self.words.split_at_mut(HEAD + room);
        let members = &members[..len];
        let [first, .., last] = members else {
            // Alone, a key is its own prefix, which the next one would not have.
            if let [only] = members {
                head[HEAD] = Word::number(only.key().word(0));
            }
            self.set_head(len, 0);
            return;
        };
        members.iter().for_each(|member| member.prefetch());
        let first = first.key();
        let skip = first.common(last.key()).min(most).min(SKIP_MAX);
        for at in 0..PREFIX {
            head[1 + at] = Word::number(first.word(8 * at));
        }
        for (digest, member) in head[HEAD..].iter_mut().zip(members) {
            *digest = Word::number(member.key().word(skip));
        }
        self.set_head(len, skip);
    }

    /// Moves everything to an array with room for `room` keys and perhaps more.
    fn resize(&mut self, room: usize) {
        let mut words = Self::words(room.min(KEYS_MAX));
        let (len, new) = (self.len(), (words.len() - HEAD) / 2);
        words[..HEAD + len].copy_from_slice(&self.words[..HEAD + len]);
        words[HEAD + new..][..len].copy_from_slice(self.members());
        self.words = words;
    }

    fn words(room: usize) -> Box<[Word]> {
        let bytes = allocated((HEAD + 2 * room) * size_of::<Word>());
        vec![Word::number(0); bytes / size_of::<Word>() / 2 * 2].into_boxed_slice()
    }

    #[inline]
    fn capacity(&self) -> usize {
        (self.words.len() - HEAD) / 2
    }

    #[inline]
    fn skip(&self) -> usize {
        (self.words[0].value() >> 16) as usize
    }

    #[inline]
    fn set_head(&mut self, len: usize, skip: usize) {
        self.words[0] = Word::number((skip << 16 | len) as u64);
    }

    #[inline]
    fn digests(&self) -> &[Word] {
        &self.words[HEAD..][..self.len()]
    }
}

/// Words before the digests: one line.
const HEAD: usize = LINE;
/// Words of a prefix that lie in the node.
const PREFIX: usize = HEAD - 1;
/// Words of a cache line.
const LINE: usize = 8;
/// Keys in a node: what makes it 1024 bytes.
pub(super) const KEYS_MAX: usize = 60;
/// An array with so little room does not shrink.
const CAPACITY_KEPT: usize = 12;
/// The longest prefix.
const SKIP_MAX: usize = u16::MAX as usize;

const _: () = assert!(PREFIX * 8 > SCORE && (HEAD + 2 * KEYS_MAX) * size_of::<Word>() == 1024);
