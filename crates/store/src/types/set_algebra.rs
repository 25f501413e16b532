//! Several sets at once: intersection, union, difference.
//!
//! Nothing is copied: members are handed on as they lie in the keyspace. An intersection walks
//! over the smallest set and asks the others, smallest first. A union hands on the largest set as
//! it is, and of the others what neither the largest nor those before have; only when there are
//! three sets or more does that need a note of what was handed on. A difference asks for each
//! member of the first set in the others, largest first, or, when the others are much smaller
//! together, notes which members of the first they hold; Redis's estimate chooses.
//!
//! Asking a large set is mostly waiting for memory. So members are asked for in batches of 16,
//! whose hashes are computed once for all sets and whose buckets and members are prefetched.
//!
//! Neighbours: `set`. Tests: `src/tests/set.rs`, against naive twins.

use std::collections::HashSet;
use std::ops::ControlFlow;

use pannier_collections::{Piece, canonical_integer};
use smallvec::SmallVec;

use super::set::SetRef;

/// A set of members that lie in the keyspace.
type Noted<'v> = HashSet<Probe<'v>, foldhash::quality::RandomState>;

/// Hands the members that all sets have to `visit`, until it breaks. Sorts the sets.
pub fn intersection<'v, B>(
    sets: &mut [SetRef<'v>],
    mut visit: impl FnMut(Piece<'v>) -> ControlFlow<B>,
) -> ControlFlow<B> {
    sets.sort_by_key(|set| set.len());
    let Some((smallest, others)) = sets.split_first() else { return ControlFlow::Continue(()) };
    in_batches(*smallest, others, |probe| {
        if others.iter().all(|set| probe.is_in(*set)) {
            visit(probe.piece)?;
        }
        ControlFlow::Continue(())
    })
}

/// Hands the members that any of the sets has to `visit`, each once.
pub fn union<'v>(sets: &[SetRef<'v>], mut visit: impl FnMut(Piece<'v>)) {
    let largest = (0..sets.len()).max_by_key(|at| sets[*at].len());
    let Some(largest) = largest else { return };
    sets[largest].for_each(&mut visit);
    let others = sets.iter().enumerate().filter(|(at, set)| *at != largest && !set.is_empty());
    let others: SmallVec<[SetRef<'v>; 8]> = others.map(|(_, set)| *set).collect();
    let mut seen = Noted::default();
    for (at, set) in others.iter().enumerate() {
        let last = at + 1 == others.len();
        let _ = in_batches(*set, &sets[largest..=largest], |probe| {
            let new = !probe.is_in(sets[largest])
                && if last { !seen.contains(&probe) } else { seen.insert(probe) };
            if new {
                visit(probe.piece);
            }
            ControlFlow::<()>::Continue(())
        });
    }
}

/// How the members are found that the first of some sets has and no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// By asking the others for each of them.
    Asking,
    /// By taking away what the others have.
    Removing,
}

impl Difference {
    /// The cheaper way for these sets.
    pub fn of(sets: &[SetRef<'_>]) -> Self {
        let first = sets.first().map_or(0, |set| set.len());
        // Asking stops at the first set that has the member: half of them, say.
        let asking = first * sets.len() / 2;
        let removing = sets.iter().map(|set| set.len()).sum();
        if asking <= removing { Self::Asking } else { Self::Removing }
    }

    /// Hands the members that the first set has and no other to `visit`. Sorts the others.
    pub fn visit<'v>(self, sets: &mut [SetRef<'v>], mut visit: impl FnMut(Piece<'v>)) {
        let Some((first, others)) = sets.split_first_mut() else { return };
        let first = *first;
        if self == Self::Asking {
            others.sort_by_key(|set| std::cmp::Reverse(set.len()));
            let _ = in_batches(first, others, |probe| {
                if !others.iter().any(|set| probe.is_in(*set)) {
                    visit(probe.piece);
                }
                ControlFlow::<()>::Continue(())
            });
            return;
        }
        let mut removed = Noted::default();
        for set in others.iter() {
            let _ = in_batches(*set, &[first], |probe| {
                if probe.is_in(first) {
                    removed.insert(probe);
                }
                ControlFlow::<()>::Continue(())
            });
        }
        first.for_each(|member| {
            if !removed.contains(&Probe::new(member, &[])) {
                visit(member);
            }
        });
    }
}

/// A member that is looked for in sets.
#[derive(Clone, Copy)]
struct Probe<'v> {
    piece: Piece<'v>,
    /// Its hash in large sets; 0 when none is asked.
    hash: u64,
}

impl<'v> Probe<'v> {
    /// A member that is to be looked for in these sets.
    fn new(piece: Piece<'v>, sets: &[SetRef<'_>]) -> Self {
        let large = sets.iter().find_map(|set| match set {
            SetRef::Large(large) => Some(large),
            _ => None,
        });
        let hash = large.map_or(0, |large| large.hash(piece.as_bytes(&mut itoa::Buffer::new())));
        Self { piece, hash }
    }

    fn is_in(&self, set: SetRef<'_>) -> bool {
        match set {
            SetRef::Large(large) => {
                large.contains(self.hash, self.piece.as_bytes(&mut itoa::Buffer::new()))
            }
            SetRef::Packed { list, .. } => list.find(self.canonical(), 1).is_some(),
            SetRef::Integers(integers) => match self.canonical() {
                Piece::Int(number) => integers.contains(number),
                Piece::Bytes(_) => false,
            },
        }
    }

    /// The piece as a packed set would have it: large sets have digits where others have integers.
    fn canonical(&self) -> Piece<'v> {
        match self.piece {
            Piece::Int(_) => self.piece,
            Piece::Bytes(bytes) => canonical_integer(bytes).map_or(self.piece, Piece::Int),
        }
    }
}

impl PartialEq for Probe<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.canonical() == other.canonical()
    }
}

impl Eq for Probe<'_> {}

impl std::hash::Hash for Probe<'_> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        match self.canonical() {
            Piece::Int(number) => state.write_i64(number),
            Piece::Bytes(bytes) => state.write(bytes),
        }
    }
}

/// Hands the members of `set` to `visit` until it breaks; what lookups of them in the large ones
/// of `others` will need is asked of memory before.
fn in_batches<'v, B>(
    set: SetRef<'v>,
    others: &[SetRef<'_>],
    mut visit: impl FnMut(Probe<'v>) -> ControlFlow<B>,
) -> ControlFlow<B> {
    let larges: SmallVec<[_; 8]> = others
        .iter()
        .filter_map(|set| match set {
            SetRef::Large(large) => Some(*large),
            _ => None,
        })
        .collect();
    if larges.is_empty() {
        return set.try_for_each(|piece| visit(Probe { piece, hash: 0 }));
    }
    let mut batch: SmallVec<[Probe<'v>; BATCH]> = SmallVec::new();
    let mut flush = |batch: &mut SmallVec<[Probe<'v>; BATCH]>| {
        // Others than the first are seldom reached.
        batch.iter().for_each(|probe| larges[0].prefetch_members(probe.hash));
        batch.drain(..).try_for_each(&mut visit)
    };
    set.try_for_each(|piece| {
        let probe = Probe::new(piece, others);
        larges[0].prefetch(probe.hash);
        batch.push(probe);
        if batch.len() == BATCH { flush(&mut batch) } else { ControlFlow::Continue(()) }
    })?;
    flush(&mut batch)
}

/// Members asked for together.
const BATCH: usize = 16;
