//! The tree: a B+tree whose inner nodes count what lies below each child.
//!
//! All leaves lie at one depth. An inner node has up to 60 children; its keys are the first
//! members of all children but the first (true copies: they follow when that member goes), so a
//! search and a place's rank are one way down, as is the way to a rank. Leaves have no links:
//! whoever walks asks for the next leaf by rank, once in about fifty members, and can turn round.
//!
//! A node splits in the middle when it is full; the last leaf leaves its lower half full instead,
//! so that what comes in ascending order fills its leaves. A node with few keys merges with a
//! neighbour if both together leave room; if not, it stays small beside a large one, until it is
//! empty.
//!
//! Cost: every operation goes down one way; what it changes there is at most two nodes a level,
//! of 60 keys each. `take` takes one leaf's run at a time.
//!
//! Neighbours: `keys` is what a node searches, `ranked` the roof. Tests: `tests/ranked.rs`.

use super::key::Key;
use super::keys::{KEYS_MAX, Keys, Word};
use crate::size_class::allocated;

/// Addresses of members, in the order of their keys.
pub(super) struct Tree {
    root: Node,
    len: usize,
    /// Bytes of all nodes.
    bytes: usize,
}

enum Node {
    Leaf(Keys),
    Inner(Box<Inner>),
}

struct Inner {
    keys: Keys,
    counts: Vec<usize>,
    children: Vec<Node>,
}

impl Tree {
    pub(super) fn new() -> Self {
        let root = Node::Leaf(Keys::of(&[]));
        Self { bytes: root.footprint(), root, len: 0 }
    }

    /// Puts a member in that is not there.
    pub(super) fn insert(&mut self, key: Key<'_>, member: Word) {
        self.len += 1;
        let Some((first, upper)) = self.root.insert(key, member, true, &mut self.bytes) else {
            return;
        };
        let lower = std::mem::replace(&mut self.root, Node::Leaf(Keys::of(&[])));
        let mut root = Inner::new();
        root.keys = Keys::of(&[first]);
        root.counts.extend([lower.count(), upper.count()]);
        root.children.extend([lower, upper]);
        self.root = Node::Inner(root);
        self.bytes += self.root.footprint();
    }

    /// Takes out a run of members from `rank` on: at most `most`, and at least one, as many as lie
    /// in one leaf.
    pub(super) fn take(&mut self, rank: usize, most: usize, taken: &mut Vec<Word>) {
        let before = taken.len();
        self.root.take(rank, most, taken, &mut self.bytes);
        self.len -= taken.len() - before;
        while let Node::Inner(inner) = &mut self.root
            && inner.children.len() < 2
        {
            let Some(only) = inner.children.pop() else { break };
            self.bytes -= self.root.footprint();
            self.root = only;
        }
        if self.len == 0 {
            *self = Self::new();
        }
    }

    /// Gives a member another key, if it keeps its place and is neither the first nor the last of
    /// its leaf; otherwise says no and does nothing.
    pub(super) fn shift(&mut self, old: Key<'_>, new: Key<'_>, member: Word) -> bool {
        let mut node = &mut self.root;
        loop {
            match node {
                Node::Inner(inner) => {
                    let at = inner.keys.search(old, true);
                    node = &mut inner.children[at];
                }
                Node::Leaf(keys) => {
                    let at = keys.search(old, false);
                    let members = keys.members();
                    let [Some(before), Some(held), Some(after)] =
                        [at.wrapping_sub(1), at, at + 1].map(|at| members.get(at))
                    else {
                        return false;
                    };
                    let stays = *held == member && before.key() < new && new < after.key();
                    if stays {
                        keys.replace(at, new);
                    }
                    return stays;
                }
            }
        }
    }

    /// How many members come before `key`, or, with `through`, are not behind it.
    pub(super) fn rank(&self, key: Key<'_>, through: bool) -> usize {
        let (mut node, mut rank) = (&self.root, 0);
        loop {
            match node {
                Node::Inner(inner) => {
                    let at = inner.keys.search(key, true);
                    node = &inner.children[at];
                    node.prefetch();
                    rank += inner.counts[..at].iter().sum::<usize>();
                }
                Node::Leaf(keys) => return rank + keys.search(key, through),
            }
        }
    }

    /// The members of the leaf that holds `rank`, and where in it that is.
    pub(super) fn leaf(&self, mut rank: usize) -> (&[Word], usize) {
        let mut node = &self.root;
        loop {
            match node {
                Node::Inner(inner) => {
                    let at = inner.child_of(&mut rank);
                    node = &inner.children[at];
                }
                Node::Leaf(keys) => return (keys.members(), rank),
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn footprint(&self) -> usize {
        self.bytes
    }
}

impl Node {
    /// Puts a member in; what is split off comes back with its first member. `last` says that
    /// nothing lies behind this node.
    fn insert(
        &mut self,
        key: Key<'_>,
        member: Word,
        last: bool,
        bytes: &mut usize,
    ) -> Option<(Word, Self)> {
        match self {
            Self::Leaf(keys) => insert_leaf(keys, key, member, last, bytes),
            Self::Inner(inner) => {
                let at = inner.keys.search(key, true);
                inner.children[at].prefetch();
                let last = last && at + 1 == inner.children.len();
                inner.counts[at] += 1;
                let (first, new) = inner.children[at].insert(key, member, last, bytes)?;
                inner.adopt(at, first, new, bytes)
            }
        }
    }

    /// Takes out a run of members from a rank on; true when the node's first one is among them.
    fn take(
        &mut self,
        mut rank: usize,
        most: usize,
        taken: &mut Vec<Word>,
        bytes: &mut usize,
    ) -> bool {
        match self {
            Self::Leaf(keys) => {
                let run = &keys.members()[rank..];
                let run = &run[..run.len().min(most)];
                taken.extend_from_slice(run);
                let (count, before) = (run.len(), keys.footprint());
                keys.cut(rank, count);
                *bytes = *bytes + keys.footprint() - before;
                rank == 0
            }
            Self::Inner(inner) => {
                let at = inner.child_of(&mut rank);
                let before = taken.len();
                let first = inner.children[at].take(rank, most, taken, bytes);
                inner.counts[at] -= taken.len() - before;
                inner.settle(at, first, bytes);
                first && at == 0
            }
        }
    }

    /// The first member.
    fn first(&self) -> Option<Word> {
        let mut node = self;
        loop {
            match node {
                Self::Leaf(keys) => return keys.members().first().copied(),
                Self::Inner(inner) => node = inner.children.first()?,
            }
        }
    }

    /// How many members lie below.
    fn count(&self) -> usize {
        match self {
            Self::Leaf(keys) => keys.len(),
            Self::Inner(inner) => inner.counts.iter().sum(),
        }
    }

    /// How full the node itself is, of [`KEYS_MAX`].
    fn fill(&self) -> usize {
        match self {
            Self::Leaf(keys) => keys.len(),
            Self::Inner(inner) => inner.children.len(),
        }
    }

    #[inline]
    fn prefetch(&self) {
        match self {
            Self::Leaf(keys) => keys.prefetch(),
            Self::Inner(_) => {}
        }
    }

    /// Bytes of the node itself.
    fn footprint(&self) -> usize {
        match self {
            Self::Leaf(keys) => keys.footprint(),
            Self::Inner(inner) => INNER_BYTES + inner.keys.footprint(),
        }
    }
}

/// Puts a member into a leaf, as [`Node::insert`] says.
fn insert_leaf(
    keys: &mut Keys,
    key: Key<'_>,
    member: Word,
    last: bool,
    bytes: &mut usize,
) -> Option<(Word, Node)> {
    let at = keys.search(key, false);
    let before = keys.footprint();
    if keys.len() < KEYS_MAX {
        keys.insert(at, key, member);
        *bytes = *bytes + keys.footprint() - before;
        return None;
    }
    let upper = if last && at == KEYS_MAX {
        Keys::of(&[member])
    } else {
        let mut upper = keys.split_off(KEYS_MAX / 2);
        match at.checked_sub(KEYS_MAX / 2) {
            // A place between the two halves is the end of the lower one.
            Some(at) if at > 0 => upper.insert(at, key, member),
            _ => keys.insert(at, key, member),
        }
        upper
    };
    *bytes = *bytes + keys.footprint() + upper.footprint() - before;
    Some((upper.members()[0], Node::Leaf(upper)))
}

impl Inner {
    /// A node without children, with room for all that it may get.
    fn new() -> Box<Self> {
        let (counts, children) = (Vec::with_capacity(ROOM), Vec::with_capacity(ROOM));
        Box::new(Self { keys: Keys::of(&[]), counts, children })
    }

    /// Takes in what was split off the child at `at`, and splits if that is too much.
    fn adopt(
        &mut self,
        at: usize,
        first: Word,
        new: Node,
        bytes: &mut usize,
    ) -> Option<(Word, Node)> {
        let before = self.keys.footprint();
        let count = new.count();
        self.counts[at] -= count;
        self.counts.insert(at + 1, count);
        self.children.insert(at + 1, new);
        self.keys.insert(at, first.key(), first);
        let middle = self.children.len() / 2;
        let mut split = None;
        if self.children.len() > KEYS_MAX {
            let mut upper = Self::new();
            upper.counts.extend(self.counts.drain(middle..));
            upper.children.extend(self.children.drain(middle..));
            upper.keys = self.keys.split_off(middle);
            // The key between the two halves belongs to the parent.
            let first = self.keys.members()[middle - 1];
            self.keys.cut(middle - 1, 1);
            let upper = Node::Inner(upper);
            *bytes += upper.footprint();
            split = Some((first, upper));
        }
        *bytes = *bytes + self.keys.footprint() - before;
        split
    }

    /// Follows what was taken from the child at `at`: of its first members, if `first` says so.
    fn settle(&mut self, at: usize, first: bool, bytes: &mut usize) {
        let before = self.keys.footprint();
        if self.counts[at] == 0 {
            self.counts.remove(at);
            *bytes -= self.children.remove(at).footprint();
            if self.keys.len() > 0 {
                self.keys.cut(at.saturating_sub(1), 1);
            }
        } else {
            if first
                && at > 0
                && let Some(first) = self.children[at].first()
            {
                self.keys.cut(at - 1, 1);
                self.keys.insert(at - 1, first.key(), first);
            }
            if self.children[at].fill() < FILL_MIN {
                self.merge(at, bytes);
            }
        }
        *bytes = *bytes + self.keys.footprint() - before;
    }

    /// Merges the child at `at` with a neighbour, if one is there and both leave room.
    fn merge(&mut self, at: usize, bytes: &mut usize) {
        let lower = if at + 1 < self.children.len() { Some(at) } else { at.checked_sub(1) };
        let Some(lower) = lower else { return };
        let [below, above] = &mut self.children[lower..lower + 2] else { return };
        if below.fill() + above.fill() > MERGED_MAX {
            return;
        }
        *bytes -= below.footprint() + above.footprint();
        let between = self.keys.members()[lower];
        match (&mut *below, above) {
            (Node::Leaf(below), Node::Leaf(above)) => {
                *below = Keys::of(&[below.members(), above.members()].concat());
            }
            (Node::Inner(below), Node::Inner(above)) => {
                let keys = [below.keys.members(), &[between], above.keys.members()].concat();
                below.keys = Keys::of(&keys);
                below.counts.append(&mut above.counts);
                below.children.append(&mut above.children);
            }
            _ => unreachable!("all leaves lie at one depth"),
        }
        *bytes += below.footprint();
        self.children.remove(lower + 1);
        self.counts[lower] += self.counts.remove(lower + 1);
        self.keys.cut(lower, 1);
    }

    /// The child that holds a rank, which becomes the rank in it. Beyond the end it is the last.
    #[inline]
    fn child_of(&self, rank: &mut usize) -> usize {
        let last = self.counts.len() - 1;
        let mut at = 0;
        while at < last && *rank >= self.counts[at] {
            *rank -= self.counts[at];
            at += 1;
        }
        at
    }
}

/// Places for children: one more than stay.
const ROOM: usize = KEYS_MAX + 1;
/// Bytes of an inner node besides its keys.
const INNER_BYTES: usize = allocated(size_of::<Inner>())
    + allocated(ROOM * size_of::<usize>())
    + allocated(ROOM * size_of::<Node>());
/// A node with fewer keys looks for a neighbour to merge with.
const FILL_MIN: usize = 20;
/// Two nodes merge when this many keys or fewer are in both.
const MERGED_MAX: usize = 45;
