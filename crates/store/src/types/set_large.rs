//! A large set: a table of its members in hash order.
//!
//! A member is one block behind one word of the table (`Member`), which is 11 to 13 bytes on top
//! of the block: less than a chained table's node and its pointer. SSCAN's guarantee, growth in
//! small steps and random members in O(1) come with the table.
//!
//! Whoever walks over all members waits for memory at each, because they lie anywhere; so walks
//! ask for a member some steps before they come to it.
//!
//! Rules: the sum of the members' bytes is kept as they change. All large sets of a keyspace hash
//! alike, so that a hash computed for one serves for another.
//! Neighbours: `set` decides when a set is large. Tests: those of sets.

use std::ops::ControlFlow;

use pannier_collections::{Member, Piece, Shape, Table, Tagged};

use crate::hash::KeyHasher;

/// A set as a table of its members.
pub struct LargeSet {
    table: Table<Member<()>>,
    hasher: KeyHasher,
    /// Bytes of the members, without the table.
    bytes: usize,
}

impl LargeSet {
    pub(super) fn new(hasher: &KeyHasher) -> Self {
        Self { table: Table::new(), hasher: hasher.clone(), bytes: 0 }
    }

    /// Adds a member; false when it is there.
    pub(super) fn add(&mut self, member: &[u8]) -> bool {
        let hash = self.hasher.hash(member);
        let new = self.table.find(hash, |held| held.bytes() == member).is_none();
        if new {
            self.insert(hash, Member::new((), member));
        }
        new
    }

    /// Puts in a member that is not there.
    fn insert(&mut self, hash: u64, member: Member<()>) {
        let hasher = &self.hasher;
        self.bytes += member.footprint();
        self.table.insert(hash, member, |held| hasher.hash(held.bytes()));
    }

    /// Removes a member; false when there was none.
    pub(super) fn remove(&mut self, member: &[u8]) -> bool {
        let hash = self.hasher.hash(member);
        self.take(hash, |held| held.bytes() == member).is_some()
    }

    /// Takes a random member out.
    pub(super) fn pop(&mut self, rng: &mut fastrand::Rng) -> Option<Member<()>> {
        let member = self.random(rng)?;
        let (hash, address) = (self.hasher.hash(member.bytes()), member.address());
        self.take(hash, |held| held.address() == address)
    }

    fn take(&mut self, hash: u64, eq: impl FnMut(&Member<()>) -> bool) -> Option<Member<()>> {
        let hasher = &self.hasher;
        let taken = self.table.remove(hash, eq, |held| hasher.hash(held.bytes()));
        self.bytes -= taken.as_ref().map_or(0, Member::footprint);
        taken
    }

    /// Keeps the members for which `keep` is true.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&Member<()>) -> bool) {
        let bytes = &mut self.bytes;
        self.table.retain(|member| {
            let kept = keep(member);
            *bytes -= if kept { 0 } else { member.footprint() };
            kept
        });
    }

    /// A random member, each equally likely.
    pub(super) fn random(&self, rng: &mut fastrand::Rng) -> Option<&Member<()>> {
        self.table.random(|| rng.u64(..))
    }

    /// Hands the members to `visit`, until it breaks.
    pub(super) fn try_for_each<'s, B>(
        &'s self,
        mut visit: impl FnMut(Piece<'s>) -> ControlFlow<B>,
    ) -> ControlFlow<B> {
        let mut ahead = [None; AHEAD];
        let mut members = self.table.iter();
        let mut at = 0;
        loop {
            let next = members.next();
            next.inspect(|member| member.prefetch());
            match std::mem::replace(&mut ahead[at], next) {
                Some(member) => visit(Piece::Bytes(member.bytes()))?,
                // The ring is empty, after the last member; before the first it is filled.
                None if next.is_none() && ahead.iter().all(Option::is_none) => break,
                None => {}
            }
            at = (at + 1) % AHEAD;
        }
        ControlFlow::Continue(())
    }

    /// See `Table::scan`.
    pub(super) fn scan(&self, position: u64, mut visit: impl FnMut(Piece<'_>)) -> u64 {
        self.table.scan(position, |member| visit(Piece::Bytes(member.bytes())))
    }

    /// The hash of a member.
    pub(super) fn hash(&self, member: &[u8]) -> u64 {
        self.hasher.hash(member)
    }

    /// Whether it has a member of this hash.
    pub(super) fn contains(&self, hash: u64, member: &[u8]) -> bool {
        self.table.find(hash, |held| held.bytes() == member).is_some()
    }

    /// As `prefetch`, of the hash of a member, which it returns.
    pub(crate) fn prefetch_name(&self, member: &[u8]) -> u64 {
        let hash = self.hash(member);
        self.prefetch(hash);
        hash
    }

    /// Asks the CPU to load where members of this hash are, and later, by the second, what they
    /// are.
    pub(super) fn prefetch(&self, hash: u64) {
        self.table.prefetch(hash);
    }

    /// See `prefetch`.
    pub(crate) fn prefetch_members(&self, hash: u64) {
        self.table.prefetch_values(hash);
    }

    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    pub(crate) fn shape(&self) -> Shape {
        self.table.shape()
    }

    #[cfg(test)]
    pub(crate) fn recount(&self) {
        assert_eq!(self.bytes, self.table.iter().map(Member::footprint).sum::<usize>());
    }

    pub(crate) fn footprint(&self) -> usize {
        size_of::<Self>() + self.bytes + self.table.footprint()
    }
}

impl Clone for LargeSet {
    fn clone(&self) -> Self {
        let mut copy = Self::new(&self.hasher);
        for member in self.table.iter() {
            copy.insert(self.hasher.hash(member.bytes()), member.clone());
        }
        copy
    }
}

/// How many members a walk asks for ahead of the one it is at.
const AHEAD: usize = 8;
