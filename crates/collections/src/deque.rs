//! A list that is cheap at both ends, whatever its length: nodes of packed elements, in chunks.
//!
//! ```text
//!  deque: ring of chunks, each with its count of elements
//!  chunk: ring of up to 128 nodes of 32 bytes
//!  node:  a run of packed elements up to the limit of the caller (8 KiB by default), or one long
//!         element alone
//! ```
//!
//! A linked list of nodes, as Redis has it, needs two pointers a node and a jump through memory
//! for each node that an index passes. One ring of nodes is walked fast, but doubling it at five
//! million nodes (a limit of one element a node) would move 80 MB in one go. Two levels bound
//! everything: a push moves at most one chunk's ring or the ring of chunks, 1.5 MB in that case;
//! an index is found by walking over the counts of chunks and then of nodes from the nearer
//! end; and a node goes in or out in the middle by moving at most 128.
//!
//! Cost: push and pop are O(1) amortised, at most a copy of one node and of one ring. Index,
//! insertion and replacement: O(chunks) + 128 + one node's elements; with a million elements of
//! 10 bytes that is about 10 chunks. `footprint` is a sum that is kept. Dropping it frees the
//! nodes.
//!
//! Rules: nodes and chunks are never empty. All changes of a node go through `edit`, and nodes go
//! in and out through `insert_node` and `remove_node`, because the counts and the sum must
//! follow. Neighbours: `node`; the crate `store` decides how large a list becomes one of these.
//! Tests: `tests/deque.rs`.

mod node;

use std::collections::VecDeque;

use self::node::Node;
pub use self::node::{NodeLimit, Run};
use crate::packed::{Encoded, Piece};
use crate::size_class::allocated;

/// See the module's header.
///
/// ```
/// use pannier_collections::{Deque, NodeLimit, Piece};
/// let limit = NodeLimit::of(-2, 0);
/// let mut list = Deque::new();
/// list.push_back(b"b", &limit);
/// list.push_front(b"1", &limit);
/// assert_eq!((list.get(0), list.get(1)), (Some(Piece::Int(1)), Some(Piece::Bytes(b"b"))));
/// ```
#[derive(Default)]
pub struct Deque {
    chunks: VecDeque<Chunk>,
    len: usize,
    /// Bytes of nodes and rings.
    bytes: usize,
}

#[derive(Clone)]
struct Chunk {
    nodes: VecDeque<Node>,
    len: usize,
}

/// A node's place; in `insert_node` also the place behind a chunk's last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct At {
    chunk: usize,
    node: usize,
}

impl Deque {
    /// An empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// A list of so many packed elements, in one node; empty if there is none.
    pub fn from_packed(bytes: &[u8], count: usize) -> Self {
        let mut list = Self::new();
        if count > 0 {
            list.insert_node(At { chunk: 0, node: 0 }, Node::packed(bytes, count));
        }
        list
    }

    /// Adds an element before the first.
    pub fn push_front(&mut self, string: &[u8], limit: &NodeLimit) {
        let at = At { chunk: 0, node: 0 };
        if self.len > 0 {
            if self.node(at).accepts(string.len(), limit) {
                let encoded = Encoded::of(&[string]);
                return self.edit(at, |node| node.push_front(encoded.as_bytes(), limit));
            }
            self.edit(at, Node::fit);
        }
        self.insert_node(at, Node::of(string, limit));
    }

    /// Adds an element behind the last.
    pub fn push_back(&mut self, string: &[u8], limit: &NodeLimit) {
        let Some(at) = self.last() else { return self.push_front(string, limit) };
        if self.node(at).accepts(string.len(), limit) {
            let encoded = Encoded::of(&[string]);
            return self.edit(at, |node| node.push_back(encoded.as_bytes(), limit));
        }
        self.edit(at, Node::fit);
        self.insert_node(At { node: at.node + 1, ..at }, Node::of(string, limit));
    }

    /// Removes the first `n` elements, or all.
    pub fn drop_front(&mut self, n: usize) {
        let mut left = n.min(self.len);
        while left > 0 {
            let at = At { chunk: 0, node: 0 };
            let held = self.node(at).len();
            if held > left {
                return self.edit(at, |node| node.drop_front(left));
            }
            left -= held;
            self.remove_node(at);
        }
    }

    /// Removes the last `n` elements, or all.
    pub fn drop_back(&mut self, n: usize) {
        let mut left = n.min(self.len);
        while left > 0 {
            let Some(at) = self.last() else { return };
            let held = self.node(at).len();
            if held > left {
                return self.edit(at, |node| node.drop_back(left));
            }
            left -= held;
            self.remove_node(at);
        }
    }

    /// Adds an element before the one at `index`, or behind it; false if there is none.
    pub fn insert(&mut self, index: usize, string: &[u8], after: bool, limit: &NodeLimit) -> bool {
        let Some((at, inner)) = self.locate(index) else { return false };
        let node = self.node(at);
        let place = inner + usize::from(after);
        let (len, count) = (string.len(), node.len());
        if node.accepts(len, limit) {
            self.splice(at, place, 0, string);
        } else if place == 0 {
            match self.before(at).filter(|before| self.node(*before).accepts(len, limit)) {
                Some(before) => {
                    let encoded = Encoded::of(&[string]);
                    self.edit(before, |node| node.push_back(encoded.as_bytes(), limit));
                }
                None => self.insert_node(at, Node::of(string, limit)),
            }
        } else if place == count {
            match self.after(at).filter(|next| self.node(*next).accepts(len, limit)) {
                Some(next) => {
                    let encoded = Encoded::of(&[string]);
                    self.edit(next, |node| node.push_front(encoded.as_bytes(), limit));
                }
                None => self.insert_node(At { node: at.node + 1, ..at }, Node::of(string, limit)),
            }
        } else {
            self.divide(index, at, place, limit);
            return self.insert(index, string, after, limit);
        }
        true
    }

    /// Replaces the element at `index`; false if there is none.
    pub fn replace(&mut self, index: usize, string: &[u8], limit: &NodeLimit) -> bool {
        let Some((at, inner)) = self.locate(index) else { return false };
        let node = self.node(at);
        match (node.is_alone(), limit.is_alone(string.len())) {
            (true, true) => self.edit(at, |node| node.replace(string)),
            (false, false) => {
                self.splice(at, inner, 1, string);
                let node = self.node(at);
                let count = node.len();
                // Redis lets such a node grow without end; here it has at most twice the limit.
                if count > 1 && limit.exceeded(node.bytes().len() / 2, 0) {
                    let half = inner.clamp(1, count - 1);
                    let tail = self.edit(at, |node| node.split(half));
                    self.insert_node(At { node: at.node + 1, ..at }, tail);
                }
            }
            _ => {
                self.insert(index, string, true, limit);
                self.remove_at(index);
            }
        }
        true
    }

    /// Removes at most `most` elements that equal `needle`, the first ones or the last; returns
    /// how many.
    pub fn remove_equal(&mut self, needle: Piece<'_>, most: usize, back: bool) -> usize {
        let mut left = most;
        let mut next = if back { self.last() } else { self.first() };
        while let Some(at) = next.filter(|_| left > 0) {
            let node = self.node(at);
            let found = node.run().matches(needle, left, back);
            left -= found.len();
            let all = found.len() == node.len();
            if all {
                self.remove_node(at);
            } else if !found.is_empty() {
                self.edit(at, |node| node.remove(&found));
            }
            next = match (back, all) {
                (true, _) => self.before(at),
                (false, false) => self.after(at),
                // What was behind the removed node is now in its place.
                (false, true) => self.settled(at),
            };
        }
        most - left
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The elements, if they are all in one node, packed.
    pub fn only_run(&self) -> Option<(&[u8], usize)> {
        match (self.chunks.len(), self.chunks.front()) {
            (1, Some(chunk)) if chunk.nodes.len() == 1 && !chunk.nodes[0].is_alone() => {
                Some((chunk.nodes[0].bytes(), chunk.nodes[0].len()))
            }
            _ => None,
        }
    }

    /// The element at `index`.
    pub fn get(&self, index: usize) -> Option<Piece<'_>> {
        let (at, inner) = self.locate(index)?;
        self.node(at).run().get(inner)
    }

    /// Hands elements from `index` on to `visit` until it returns false.
    #[inline]
    pub fn visit<'a>(&'a self, index: usize, mut visit: impl FnMut(Piece<'a>) -> bool) {
        let Some((at, mut inner)) = self.locate(index) else { return };
        let mut nodes = at.node;
        for chunk in self.chunks.range(at.chunk..) {
            for node in chunk.nodes.range(nodes..) {
                if !node.run().visit(inner, &mut visit) {
                    return;
                }
                inner = 0;
            }
            nodes = 0;
        }
    }

    /// The same backwards, from `index` down to the first.
    #[inline]
    pub fn visit_back<'a>(&'a self, index: usize, mut visit: impl FnMut(Piece<'a>) -> bool) {
        let Some((at, mut inner)) = self.locate(index) else { return };
        let mut nodes = at.node + 1;
        for chunk in self.chunks.range(..=at.chunk).rev() {
            for node in chunk.nodes.range(..nodes.min(chunk.nodes.len())).rev() {
                if !node.run().visit_back(inner, &mut visit) {
                    return;
                }
                inner = usize::MAX;
            }
            nodes = usize::MAX;
        }
    }

    /// Bytes that it owns, as the allocator rounds them.
    pub fn footprint(&self) -> usize {
        self.bytes + ring::<Chunk>(&self.chunks)
    }

    /// Number of nodes; walks over the chunks.
    pub fn nodes(&self) -> usize {
        self.chunks.iter().map(|chunk| chunk.nodes.len()).sum()
    }

    /// The nodes, in order.
    pub fn runs(&self) -> impl Iterator<Item = Run<'_>> {
        self.chunks.iter().flat_map(|chunk| chunk.nodes.iter().map(Node::run))
    }

    /// Checks that the sums are those of the nodes, for tests.
    #[doc(hidden)]
    pub fn assert_sound(&self) {
        let (mut len, mut bytes) = (0, 0);
        for chunk in &self.chunks {
            assert!(!chunk.nodes.is_empty() && chunk.nodes.len() <= CHUNK, "chunks are filled");
            assert_eq!(chunk.len, chunk.nodes.iter().map(Node::len).sum::<usize>());
            len += chunk.len;
            bytes += ring(&chunk.nodes);
            for node in &chunk.nodes {
                let mut held = 0;
                node.run().visit(0, |_| {
                    held += 1;
                    true
                });
                assert!(held > 0 && held == node.len(), "a node counts its elements");
                bytes += node.footprint();
            }
        }
        assert_eq!((len, bytes), (self.len, self.bytes));
    }

    /// Parts the node of element `index` before number `place` of its elements, and joins the
    /// parts with their outer neighbours where they fit.
    fn divide(&mut self, index: usize, at: At, place: usize, limit: &NodeLimit) {
        let begin = index - self.locate(index).map_or(0, |(_, inner)| inner);
        let tail = self.edit(at, |node| node.split(place));
        let end = begin + place + tail.len();
        self.insert_node(At { node: at.node + 1, ..at }, tail);
        // Nodes may have moved to another chunk, so each is found anew.
        self.join(end, limit);
        self.join(begin, limit);
    }

    /// Joins the node that begins with element `index` to the one before, if they fit into one.
    fn join(&mut self, index: usize, limit: &NodeLimit) {
        let Some((at, _)) = self.locate(index) else { return };
        let Some(before) = self.before(at) else { return };
        if self.node(before).accepts_all(self.node(at), limit) {
            let node = self.remove_node(at);
            self.edit(before, |held| held.append(&node));
        }
    }

    /// Removes the element at `index`.
    fn remove_at(&mut self, index: usize) {
        let Some((at, inner)) = self.locate(index) else { return };
        if self.node(at).len() == 1 {
            self.remove_node(at);
            return;
        }
        self.edit(at, |node| {
            let (from, to) = (node.run().offset(inner), node.run().offset(inner + 1));
            node.remove(&[(from, to)]);
        });
    }

    /// Puts an element in place of `removed` others inside a node.
    fn splice(&mut self, at: At, place: usize, removed: usize, string: &[u8]) {
        let encoded = Encoded::of(&[string]);
        self.edit(at, |node| {
            let (from, to) = (node.run().offset(place), node.run().offset(place + removed));
            node.splice(from, to - from, encoded.as_bytes(), node.len() + 1 - removed);
        });
    }

    /// Changes a node. Whoever takes its last element takes the node out instead.
    #[inline]
    fn edit<R>(&mut self, at: At, change: impl FnOnce(&mut Node) -> R) -> R {
        let chunk = &mut self.chunks[at.chunk];
        let node = &mut chunk.nodes[at.node];
        let (len, bytes) = (node.len(), node.footprint());
        let result = change(node);
        debug_assert!(node.len() > 0, "a node is never empty");
        chunk.len = chunk.len - len + node.len();
        self.len = self.len - len + node.len();
        self.bytes = self.bytes - bytes + node.footprint();
        result
    }

    /// Puts a node in before the one at a place, or behind a chunk's last.
    fn insert_node(&mut self, mut at: At, node: Node) {
        let full = self.chunks.get(at.chunk).is_none_or(|chunk| chunk.nodes.len() == CHUNK);
        if full {
            let outside = at.node == 0 || at.node == CHUNK && at.chunk + 1 == self.chunks.len();
            if outside {
                at = At { chunk: at.chunk + usize::from(at.node > 0), node: 0 };
                let nodes = VecDeque::with_capacity(if self.chunks.is_empty() { 1 } else { 16 });
                self.bytes += ring(&nodes);
                self.insert_chunk(at.chunk, Chunk { nodes, len: 0 });
            } else {
                self.split_chunk(at.chunk);
                if at.node > CHUNK / 2 {
                    at = At { chunk: at.chunk + 1, node: at.node - CHUNK / 2 };
                }
            }
        }
        self.len += node.len();
        self.bytes += node.footprint();
        let chunk = &mut self.chunks[at.chunk];
        chunk.len += node.len();
        self.bytes -= ring(&chunk.nodes);
        chunk.nodes.insert(at.node, node);
        self.bytes += ring(&chunk.nodes);
    }

    /// Takes a node out. Places before it stay; its own is then that of the node behind it,
    /// perhaps in the next chunk.
    fn remove_node(&mut self, at: At) -> Node {
        let chunk = &mut self.chunks[at.chunk];
        let Some(node) = chunk.nodes.remove(at.node) else {
            unreachable!("only a node that is there is removed")
        };
        chunk.len -= node.len();
        self.len -= node.len();
        self.bytes -= node.footprint();
        if chunk.nodes.is_empty() {
            self.bytes -= ring(&chunk.nodes);
            self.chunks.remove(at.chunk);
            if self.chunks.capacity() > 4 * self.chunks.len().max(4) {
                self.chunks.shrink_to(2 * self.chunks.len());
            }
        } else if chunk.nodes.len() <= CHUNK / 8
            && self.chunks.get(at.chunk + 1).is_some_and(|next| next.nodes.len() <= CHUNK / 8)
            && let Some(mut next) = self.chunks.remove(at.chunk + 1)
        {
            let chunk = &mut self.chunks[at.chunk];
            self.bytes -= ring(&chunk.nodes) + ring(&next.nodes);
            chunk.nodes.append(&mut next.nodes);
            chunk.len += next.len;
            self.bytes += ring(&chunk.nodes);
        }
        node
    }

    fn split_chunk(&mut self, index: usize) {
        let chunk = &mut self.chunks[index];
        self.bytes -= ring(&chunk.nodes);
        let nodes = chunk.nodes.split_off(CHUNK / 2);
        let len = nodes.iter().map(Node::len).sum();
        chunk.len -= len;
        self.bytes += ring(&chunk.nodes) + ring(&nodes);
        self.insert_chunk(index + 1, Chunk { nodes, len });
    }

    fn insert_chunk(&mut self, index: usize, chunk: Chunk) {
        if self.chunks.is_empty() {
            self.chunks = VecDeque::with_capacity(1);
        }
        self.chunks.insert(index, chunk);
    }

    #[inline]
    fn node(&self, at: At) -> &Node {
        &self.chunks[at.chunk].nodes[at.node]
    }

    fn first(&self) -> Option<At> {
        (self.len > 0).then_some(At { chunk: 0, node: 0 })
    }

    #[inline]
    fn last(&self) -> Option<At> {
        let chunk = self.chunks.len().checked_sub(1)?;
        Some(At { chunk, node: self.chunks[chunk].nodes.len() - 1 })
    }

    fn before(&self, at: At) -> Option<At> {
        match at.node.checked_sub(1) {
            Some(node) => Some(At { node, ..at }),
            None => {
                let chunk = at.chunk.checked_sub(1)?;
                Some(At { chunk, node: self.chunks[chunk].nodes.len() - 1 })
            }
        }
    }

    fn after(&self, at: At) -> Option<At> {
        self.settled(At { node: at.node + 1, ..at })
    }

    /// The place itself, or the next chunk's first when it is behind a chunk's last.
    fn settled(&self, at: At) -> Option<At> {
        let chunk = self.chunks.get(at.chunk)?;
        if at.node < chunk.nodes.len() {
            return Some(at);
        }
        (at.chunk + 1 < self.chunks.len()).then_some(At { chunk: at.chunk + 1, node: 0 })
    }

    /// The node of the element at `index`, and the element's number in it.
    #[inline]
    fn locate(&self, index: usize) -> Option<(At, usize)> {
        if index >= self.len {
            return None;
        }
        let (chunk, inner) = walk(&self.chunks, self.len, index, |chunk| chunk.len);
        let held = &self.chunks[chunk];
        let (node, inner) = walk(&held.nodes, held.len, inner, Node::len);
        Some((At { chunk, node }, inner))
    }
}

impl Clone for Deque {
    fn clone(&self) -> Self {
        let chunks = self.chunks.clone();
        let rings: usize = chunks.iter().map(|chunk| ring(&chunk.nodes)).sum();
        let nodes = chunks.iter().flat_map(|chunk| &chunk.nodes).map(Node::footprint);
        Self { bytes: rings + nodes.sum::<usize>(), chunks, len: self.len }
    }
}

/// Which of `parts`, which hold `len` elements together, holds number `index`, and as which of
/// its own; from the nearer end.
#[inline]
fn walk<T>(
    parts: &VecDeque<T>,
    len: usize,
    index: usize,
    len_of: impl Fn(&T) -> usize,
) -> (usize, usize) {
    if index < len / 2 {
        let mut left = index;
        for (at, part) in parts.iter().enumerate() {
            match left.checked_sub(len_of(part)) {
                Some(rest) => left = rest,
                None => return (at, left),
            }
        }
    }
    let mut begin = len;
    for (at, part) in parts.iter().enumerate().rev() {
        begin -= len_of(part);
        if begin <= index {
            return (at, index - begin);
        }
    }
    (0, index)
}

/// Bytes of a ring as the allocator rounds them.
fn ring<T>(ring: &VecDeque<T>) -> usize {
    allocated(ring.capacity() * size_of::<T>())
}

/// Nodes of a full chunk.
const CHUNK: usize = 128;

const _: () = assert!(size_of::<Node>() == 32);
