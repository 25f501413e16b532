//! Lists: strings in the order in which they were pushed.
//!
//! Three forms. Up to [`PACKED_MAX`] bytes a list is packed into its entry. Beyond that a push at
//! the head would move too much (the cut is an estimate and not yet measured), so it is a
//! [`Deque`] of one node; OBJECT ENCODING still says `listpack` up to the limit
//! `list-max-listpack-size`. Over the limit it is a Deque of as many nodes as it needs, and
//! says `quicklist`.
//!
//! The name changes at Redis's points: to `quicklist` before a command that could exceed the
//! limit, whether its element is then added or not; back once what is left is one packed node of
//! at most half of the limit. The nodes of a `quicklist` keep the limit under which it became one.
//!
//! Rules: while the name is `listpack` there is at most one node. A list in the entry never has
//! the name `quicklist`. Neighbours: `types` for what is common, `deque` in the crate
//! `collections` for nodes. Tests: `tests/list.rs`, and the transcripts of the group `list`.

use pannier_collections::{Deque, Encoded, NodeLimit, Packed, Payload, Piece, Run, allocated};
use smallvec::SmallVec;

use super::{Body, Collection, Opened, packed};
use crate::value::{Kind, Object};

/// The type list.
#[derive(Debug)]
pub enum List {}

impl Collection for List {
    const KIND: Kind = Kind::List;
    type Ref<'v> = ListRef<'v>;
    type Mut<'v> = ListMut<'v>;

    fn read(body: Body<'_>) -> ListRef<'_> {
        match (packed(body.item), body.item.payload()) {
            (Some((list, count)), _) => ListRef::Packed(Run::new(list, count)),
            (None, Payload::Object(Object::List(large))) => ListRef::Large(&large.deque),
            (None, _) => ListRef::Packed(Run::new(Packed::new(&[]), 0)),
        }
    }

    fn open(opened: Opened<'_>) -> ListMut<'_> {
        let limit = NodeLimit::of(opened.limits.list_size, opened.limits.list_alone);
        ListMut { opened, limit }
    }
}

/// An end of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The head.
    Left,
    /// The tail.
    Right,
}

/// A list, to be read.
#[derive(Clone, Copy)]
pub enum ListRef<'v> {
    #[doc(hidden)]
    Packed(Run<'v>),
    #[doc(hidden)]
    Large(&'v Deque),
}

impl<'v> ListRef<'v> {
    /// Number of elements.
    pub fn len(self) -> usize {
        match self {
            Self::Packed(run) => run.len(),
            Self::Large(deque) => deque.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The element at `index`.
    pub fn get(self, index: usize) -> Option<Piece<'v>> {
        match self {
            Self::Packed(run) => run.get(index),
            Self::Large(deque) => deque.get(index),
        }
    }

    /// The element at an end.
    pub fn at(self, end: End) -> Option<Piece<'v>> {
        match end {
            End::Left => self.get(0),
            End::Right => self.get(self.len().checked_sub(1)?),
        }
    }

    /// Hands elements from `index` on to `visit`, away from the end named: from the left end
    /// towards the right, or the other way round. It goes on until `visit` returns false.
    #[inline]
    pub fn visit(self, from: End, index: usize, visit: impl FnMut(Piece<'v>) -> bool) {
        if index >= self.len() {
            return;
        }
        match (self, from) {
            (Self::Packed(run), End::Left) => {
                run.visit(index, visit);
            }
            (Self::Packed(run), End::Right) => {
                run.visit_back(index, visit);
            }
            (Self::Large(deque), End::Left) => deque.visit(index, visit),
            (Self::Large(deque), End::Right) => deque.visit_back(index, visit),
        }
    }

    /// Number of nodes.
    pub fn runs(self) -> usize {
        match self {
            Self::Packed(_) => 1,
            Self::Large(deque) => deque.nodes(),
        }
    }

    /// Hands every node to `visit`, in order.
    pub fn for_each_run(self, mut visit: impl FnMut(Run<'v>)) {
        match self {
            Self::Packed(run) => visit(run),
            Self::Large(deque) => deque.runs().for_each(visit),
        }
    }

    /// Where the first element that equals `needle` is.
    pub fn find(self, needle: Piece<'_>) -> Option<usize> {
        let (mut index, mut found) = (0, false);
        self.visit(End::Left, 0, |piece| {
            found = piece == needle;
            index += usize::from(!found);
            !found
        });
        found.then_some(index)
    }
}

/// A list, to be changed.
pub struct ListMut<'v> {
    opened: Opened<'v>,
    limit: NodeLimit,
}

impl ListMut<'_> {
    /// The list as it is now.
    pub fn as_ref(&self) -> ListRef<'_> {
        List::read(self.opened.body())
    }

    /// Pushes strings one after the other.
    pub fn push<'a>(
        &mut self,
        end: End,
        strings: impl ExactSizeIterator<Item = &'a [u8]> + DoubleEndedIterator + Clone,
    ) {
        let count = strings.len();
        let bytes = strings.clone().map(<[u8]>::len).sum();
        self.prepare(bytes, count);
        self.opened.count(count as u64);
        if let Some((list, _)) = self.opened.packed() {
            let held = list.bytes().len();
            // An element takes about two bytes more than its string.
            if held + bytes + 2 * count <= PACKED_MAX {
                let mut encoded = Encoded::new();
                let at = if end == End::Left { 0 } else { held };
                match end {
                    End::Left => strings.rev().for_each(|one| encoded.push(Piece::of(one))),
                    End::Right => strings.for_each(|one| encoded.push(Piece::of(one))),
                }
                self.opened.splice(at, 0, encoded.as_bytes(), count as isize);
                return;
            }
        }
        let (deque, limit) = self.large();
        for string in strings {
            match end {
                End::Left => deque.push_front(string, &limit),
                End::Right => deque.push_back(string, &limit),
            }
        }
    }

    /// Pushes an element that was taken off a list. That counts as one change with the taking, and
    /// an integer counts for nothing when it is decided whether the list remains a `listpack`.
    pub fn push_moved(&mut self, end: End, string: &[u8]) {
        let integer = matches!(Piece::of(string), Piece::Int(_));
        self.opened.tell();
        self.prepare(if integer { 0 } else { string.len() }, 1);
        match end {
            End::Left => self.insert_at(0, string, false),
            End::Right => self.insert_at(self.as_ref().len(), string, false),
        }
    }

    /// Removes `n` elements from an end, or all.
    pub fn drop(&mut self, end: End, n: usize) {
        let n = n.min(self.as_ref().len());
        if n == 0 {
            return;
        }
        self.opened.count(n as u64);
        self.cut(end, n);
        self.shrink();
    }

    /// Moves an element from one end to an end of the same list.
    pub fn rotate(&mut self, from: End, to: End) {
        let Some(piece) = self.as_ref().at(from) else { return };
        let mut digits = itoa::Buffer::new();
        let string: SmallVec<[u8; 64]> = piece.as_bytes(&mut digits).into();
        self.opened.count(1);
        self.cut(from, 1);
        self.push_moved(to, &string);
        self.shrink();
    }

    /// Puts an element before the first that equals `pivot`, or behind it; false if there is
    /// none.
    pub fn insert(&mut self, pivot: &[u8], string: &[u8], after: bool) -> bool {
        self.prepare(string.len(), 1);
        let Some(index) = self.as_ref().find(Piece::of(pivot)) else { return false };
        self.opened.count(1);
        self.insert_at(index, string, after);
        true
    }

    /// Replaces the element at an index; false if there is none.
    pub fn set(&mut self, index: Option<usize>, string: &[u8]) -> bool {
        self.prepare(string.len(), 1);
        let Some(index) = index.filter(|index| *index < self.as_ref().len()) else { return false };
        self.opened.count(1);
        if let Some((list, count)) = self.opened.packed()
            && string.len() <= PACKED_MAX
        {
            let run = Run::new(list, count);
            let (from, to) = (run.offset(index), run.offset(index + 1));
            let encoded = Encoded::of(&[string]);
            if list.bytes().len() + encoded.as_bytes().len() - (to - from) <= PACKED_MAX {
                self.opened.splice(from, to - from, encoded.as_bytes(), 0);
                return true;
            }
        }
        let (deque, limit) = self.large();
        deque.replace(index, string, &limit);
        self.shrink();
        true
    }

    /// Removes at most `most` elements that equal a string, seen from an end; returns how many.
    pub fn remove(&mut self, string: &[u8], most: usize, from: End) -> usize {
        let (needle, back) = (Piece::of(string), from == End::Right);
        let removed = if let Some((list, count)) = self.opened.packed() {
            let found = Run::new(list, count).matches(needle, most, back);
            for (from, to) in found.iter().rev() {
                self.opened.splice(*from, to - from, &[], -1);
            }
            found.len()
        } else {
            self.large().0.remove_equal(needle, most, back)
        };
        self.opened.count(removed as u64);
        if removed > 0 {
            self.shrink();
        }
        removed
    }

    /// Removes so many elements from either end.
    pub fn trim(&mut self, left: usize, right: usize) {
        let len = self.as_ref().len();
        let left = left.min(len);
        let right = right.min(len - left);
        self.opened.count((left + right) as u64);
        self.cut(End::Left, left);
        self.cut(End::Right, right);
        self.shrink();
    }

    fn insert_at(&mut self, index: usize, string: &[u8], after: bool) {
        if let Some((list, count)) = self.opened.packed()
            && string.len() <= PACKED_MAX
        {
            let at = Run::new(list, count).offset(index + usize::from(after));
            let encoded = Encoded::of(&[string]);
            if list.bytes().len() + encoded.as_bytes().len() <= PACKED_MAX {
                return self.opened.splice(at, 0, encoded.as_bytes(), 1);
            }
        }
        let (deque, limit) = self.large();
        if index == 0 && !after {
            deque.push_front(string, &limit);
        } else if !deque.insert(index, string, after, &limit) {
            deque.push_back(string, &limit);
        }
    }

    /// Removes `n` elements from an end; at most all.
    fn cut(&mut self, end: End, n: usize) {
        if n == 0 {
            return;
        }
        if let Some((list, count)) = self.opened.packed() {
            let run = Run::new(list, count);
            let (at, removed) = match end {
                End::Left => (0, run.offset(n)),
                End::Right => {
                    let at = run.offset(count - n);
                    (at, list.bytes().len() - at)
                }
            };
            return self.opened.splice(at, removed, &[], -(n as isize));
        }
        let deque = self.large().0;
        match end {
            End::Left => deque.drop_front(n),
            End::Right => deque.drop_back(n),
        }
    }

    /// The list becomes a `quicklist` if what is to be added could exceed the limit.
    #[inline]
    fn prepare(&mut self, bytes: usize, count: usize) {
        let (held, len) = match self.opened.packed() {
            Some((list, len)) => (list.bytes().len(), len),
            None => match self.opened.item.object_mut() {
                Some(Object::List(large)) if !large.is_quick() => {
                    let run = large.deque.only_run();
                    run.map_or((0, 0), |(packed, len)| (packed.len(), len))
                }
                _ => return,
            },
        };
        if self.limit.exceeded(held + bytes, len + count) {
            let size = self.opened.limits.list_size;
            self.large();
            if let Some(Object::List(large)) = self.opened.item.object_mut() {
                large.node_size = Some(size);
            }
        }
    }

    /// After elements were removed: a `quicklist` that has become small is none any more, and a
    /// list that would fit into its entry twice goes there.
    fn shrink(&mut self) {
        let limit = self.limit;
        let Some(Object::List(large)) = self.opened.item.object_mut() else { return };
        let Some((packed, count)) = large.deque.only_run() else { return };
        if large.is_quick() && !limit.half_empty(packed.len(), count) {
            return;
        }
        if packed.len() <= PACKED_MAX / 2 {
            let packed: SmallVec<[u8; PACKED_MAX / 2]> = packed.into();
            self.opened.pack(Kind::List.tag(), count, &packed);
        } else {
            large.node_size = None;
        }
    }

    /// The list as a deque, which it becomes if it was in its entry, and the limit that holds for
    /// its nodes.
    fn large(&mut self) -> (&mut Deque, NodeLimit) {
        if let Some((list, count)) = self.opened.packed() {
            let deque = Deque::from_packed(list.bytes(), count);
            self.opened.enlarge(Object::List(Box::new(LargeList { deque, node_size: None })));
        }
        match self.opened.item.object_mut() {
            Some(Object::List(large)) => {
                let of = |size| NodeLimit::of(size, self.opened.limits.list_alone);
                let limit = large.node_size.map_or(NodeLimit::NONE, of);
                (&mut large.deque, limit)
            }
            _ => unreachable!("a list is packed or an object"),
        }
    }
}

/// A list that is not in its entry.
#[derive(Clone)]
pub(crate) struct LargeList {
    deque: Deque,
    /// If it is called a `quicklist`, the limit of its nodes.
    node_size: Option<i32>,
}

impl LargeList {
    pub(crate) fn len(&self) -> usize {
        self.deque.len()
    }

    /// Whether OBJECT ENCODING calls it a `quicklist`.
    pub(crate) fn is_quick(&self) -> bool {
        self.node_size.is_some()
    }

    /// Whether freeing it takes long.
    pub(crate) fn is_heavy(&self) -> bool {
        self.deque.footprint() > HEAVY_BYTES
    }

    pub(crate) fn footprint(&self) -> usize {
        allocated(size_of::<Self>()) + self.deque.footprint()
    }
}

/// Bytes of elements that are kept in the entry.
const PACKED_MAX: usize = 1024;
/// Freeing more takes about as long as handing it to another thread.
const HEAVY_BYTES: usize = 256 << 10;

const _: () = assert!(PACKED_MAX < super::PACKED_COUNT_MAX);
