//! Random members of a set: SRANDMEMBER and SPOP.
//!
//! One member of a large set is a draw from its table, O(1). Several distinct ones are draws with
//! a note of what was drawn, while they are few; when they are more than a third of the set, one
//! pass over it decides at each member with the odds that are left (selection sampling: Knuth,
//! volume 2, 3.4.2, algorithm S), so that no draw is wasted. Packed sets are small enough for the
//! pass in any case. Every subset of the size asked for is equally likely.
//!
//! Rules: the generator is the caller's. Neighbours: `set`. Tests: `src/tests/set.rs`.

use std::collections::HashSet;

use pannier_collections::{Piece, Tagged};

use super::set::{SetMut, SetRef};
use crate::value::{INTEGERS, Kind};

impl<'v> SetRef<'v> {
    /// A random member.
    pub fn random(self, rng: &mut fastrand::Rng) -> Option<Piece<'v>> {
        if self.is_empty() {
            return None;
        }
        match self {
            Self::Integers(integers) => integers.get(rng.usize(..integers.len())).map(Piece::Int),
            Self::Packed { list, count } => {
                let at = list.offset(rng.usize(..count))?;
                list.get(at).map(|(member, _)| member)
            }
            Self::Large(large) => large.random(rng).map(|member| Piece::Bytes(member.bytes())),
        }
    }

    /// Hands `count` random members to `visit`, some of them perhaps several times.
    pub fn random_any(
        self,
        count: usize,
        rng: &mut fastrand::Rng,
        mut visit: impl FnMut(Piece<'v>),
    ) {
        if let Self::Packed { list, .. } = self {
            let members: Vec<_> = list.iter().collect();
            return (0..count).filter_map(|_| rng.choice(&members)).for_each(|at| visit(*at));
        }
        (0..count).filter_map(|_| self.random(rng)).for_each(visit);
    }

    /// Hands `count` distinct random members to `visit`, or all if there are fewer.
    pub fn random_distinct(
        self,
        count: usize,
        rng: &mut fastrand::Rng,
        mut visit: impl FnMut(Piece<'v>),
    ) {
        match self {
            Self::Large(large) if count < large.len() / SHARE_MAX => {
                let mut drawn =
                    HashSet::with_capacity_and_hasher(count, foldhash::fast::FixedState::default());
                while drawn.len() < count {
                    let Some(member) = large.random(rng) else { return };
                    if drawn.insert(member.address()) {
                        visit(Piece::Bytes(member.bytes()));
                    }
                }
            }
            _ => {
                let mut choice = Choice::new(count, self.len());
                self.for_each(|member| {
                    if choice.takes(rng) {
                        visit(member);
                    }
                });
            }
        }
    }
}

impl SetMut<'_> {
    /// Takes a random member out and hands it to `take`.
    pub fn pop(&mut self, rng: &mut fastrand::Rng, take: impl FnOnce(Piece<'_>)) {
        match self.as_ref() {
            SetRef::Large(_) => {
                if let Some(member) = self.large().and_then(|large| large.pop(rng)) {
                    take(Piece::Bytes(member.bytes()));
                    self.opened.count(1);
                }
            }
            SetRef::Integers(integers) => {
                let Some(Piece::Int(number)) = self.as_ref().random(rng) else { return };
                let exchange = integers.removal(number);
                take(Piece::Int(number));
                exchange.inspect(|exchange| self.exchange(exchange, -1));
                self.opened.count(1);
            }
            SetRef::Packed { list, count } => {
                let Some(at) = (count > 0).then(|| rng.usize(..count)) else { return };
                let Some(at) = list.offset(at) else { return };
                let Some((member, end)) = list.get(at) else { return };
                take(member);
                self.opened.splice(at, end - at, &[], -1);
                self.opened.count(1);
            }
        }
    }

    /// Takes `count` random members out, or all if there are fewer, and hands them to `take`. A
    /// large set of which a sixth or less is left is packed again, if it can be.
    pub fn pop_some(
        &mut self,
        count: usize,
        rng: &mut fastrand::Rng,
        mut take: impl FnMut(Piece<'_>),
    ) {
        let (set, len) = (self.as_ref(), self.as_ref().len());
        let count = count.min(len);
        let mut choice = Choice::new(count, len);
        match set {
            SetRef::Large(_) => self.pop_from_large(count, rng, take),
            SetRef::Integers(integers) => {
                let mut kept = Vec::with_capacity(integers.bytes().len());
                for (number, bytes) in
                    integers.iter().zip(integers.bytes().chunks(integers.width()))
                {
                    match choice.takes(rng) {
                        true => take(Piece::Int(number)),
                        false => kept.extend_from_slice(bytes),
                    }
                }
                self.opened.pack(INTEGERS, len - count, &kept);
            }
            SetRef::Packed { list, .. } => {
                let mut kept = Vec::with_capacity(list.bytes().len());
                let mut at = 0;
                while let Some((member, end)) = list.get(at) {
                    match choice.takes(rng) {
                        true => take(member),
                        false => kept.extend_from_slice(&list.bytes()[at..end]),
                    }
                    at = end;
                }
                self.opened.pack(Kind::Set.tag(), len - count, &kept);
            }
        }
        self.opened.count(count as u64);
    }

    fn pop_from_large(
        &mut self,
        count: usize,
        rng: &mut fastrand::Rng,
        mut take: impl FnMut(Piece<'_>),
    ) {
        let (entries_max, value_max) = (self.entries_max(), self.opened.limits.set_value);
        let Some(large) = self.large() else { return };
        let left = large.len() - count;
        if left == 0 {
            self.as_ref().for_each(take);
            return self.opened.discard();
        }
        if count < large.len() / SHARE_MAX {
            for member in (0..count).map_while(|_| large.pop(rng)) {
                take(Piece::Bytes(member.bytes()));
            }
            return;
        }
        let mut choice = Choice::new(count, large.len());
        let mut longest = 0;
        large.retain(|member| {
            let taken = choice.takes(rng);
            match taken {
                true => take(Piece::Bytes(member.bytes())),
                false => longest = longest.max(member.len()),
            }
            !taken
        });
        let few = left.saturating_mul(FEW_LEFT) <= count;
        if few && left <= entries_max && longest <= value_max {
            self.pack_as_strings();
        }
    }
}

/// A choice of some out of many that come one after the other.
struct Choice {
    wanted: usize,
    coming: usize,
}

impl Choice {
    fn new(wanted: usize, coming: usize) -> Self {
        Self { wanted: wanted.min(coming), coming }
    }

    /// Whether the next one is among the chosen.
    fn takes(&mut self, rng: &mut fastrand::Rng) -> bool {
        if self.coming == 0 {
            return false;
        }
        let takes = rng.usize(..self.coming) < self.wanted;
        self.wanted -= usize::from(takes);
        self.coming -= 1;
        takes
    }
}

/// Single draws while fewer than one in so many members is asked for: a draw costs about as much
/// as three steps of a pass, and fewer than two draws of five meet what was drawn before.
const SHARE_MAX: usize = 3;
/// Redis makes a new set of what SPOP leaves when it is a fifth of what it takes, or less.
const FEW_LEFT: usize = 5;
