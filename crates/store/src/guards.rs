//! The locks that a view holds.
//!
//! Shards are locked in ascending order and addressed by their place among the locked ones. A view
//! for a command inside a command (a script's) borrows the shards of the view around it instead;
//! the borrow is of the shards and not of their locks, so that its lifetime is its own.
//!
//! Neighbours: `view` is the only user; `keyspace` says how long a lock is waited for.

use pannier_lock::MutexGuard;
use smallvec::{SmallVec, smallvec};

use crate::hash::Key;
use crate::keyspace::Keyspace;
use crate::shard::Shard;

/// Locks that need no allocation: as many as two workers have shards.
const INLINE: usize = 8;

/// The locks held, ascending by shard.
pub(crate) enum Guards<'k> {
    None,
    One([MutexGuard<'k, Shard>; 1]),
    Many(SmallVec<[MutexGuard<'k, Shard>; INLINE]>),
    /// Those of another view, which waits until this one is dropped.
    Lent(&'k mut (dyn OpenShards + 'k)),
}

/// Open shards by their place among the open ones.
pub(crate) trait OpenShards {
    fn len(&self) -> usize;
    fn at(&self, index: usize) -> &Shard;
    fn at_mut(&mut self, index: usize) -> &mut Shard;
}

impl<'k> Guards<'k> {
    /// Locks shards in ascending order; none when a lock is not to be waited for.
    pub(crate) fn lock(keyspace: &'k Keyspace, mask: u64) -> Option<Self> {
        Some(match mask.count_ones() {
            0 => Self::None,
            1 => Self::One([keyspace.lock(mask.trailing_zeros() as usize)?]),
            n => {
                let mut guards = SmallVec::with_capacity(n as usize);
                let mut rest = mask;
                while rest != 0 {
                    guards.push(keyspace.lock(rest.trailing_zeros() as usize)?);
                    rest &= rest - 1;
                }
                Self::Many(guards)
            }
        })
    }

    /// Puts one more in at its place.
    pub(crate) fn insert(&mut self, at: usize, guard: MutexGuard<'k, Shard>) {
        let mut guards = match std::mem::replace(self, Self::None) {
            Self::None => SmallVec::new(),
            Self::One([one]) => smallvec![one],
            Self::Many(many) => many,
            Self::Lent(_) => unreachable!("a nested view opens no shard"),
        };
        guards.insert(at, guard);
        *self = Self::Many(guards);
    }

    /// The same locks where they are needed for less long, which the compiler cannot see by itself
    /// because of `Lent`.
    pub(crate) fn shorten<'s>(self) -> Guards<'s>
    where
        'k: 's,
    {
        match self {
            Self::None => Guards::None,
            Self::One(one) => Guards::One(one),
            // One by one, since the list itself cannot be shortened.
            Self::Many(many) => {
                let shorter = |guard| -> MutexGuard<'s, Shard> { guard };
                Guards::Many(many.into_iter().map(shorter).collect())
            }
            Self::Lent(_) => unreachable!("a nested view is closed where it was opened"),
        }
    }

    /// Hands each open shard over, in ascending order.
    #[inline]
    pub(crate) fn each(&mut self, mut work: impl FnMut(&mut Shard)) {
        for index in 0..self.len() {
            work(self.at_mut(index));
        }
    }

    /// The open shards.
    #[inline]
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Shard> {
        (0..self.len()).map(|index| self.at(index))
    }
}

impl OpenShards for Guards<'_> {
    #[inline]
    fn len(&self) -> usize {
        match self {
            Self::None => 0,
            Self::One(_) => 1,
            Self::Many(many) => many.len(),
            Self::Lent(other) => other.len(),
        }
    }

    #[inline]
    fn at(&self, index: usize) -> &Shard {
        match self {
            Self::None => unreachable!("no shard is open"),
            Self::One(one) => &one[index],
            Self::Many(many) => &many[index],
            Self::Lent(other) => other.at(index),
        }
    }

    #[inline]
    fn at_mut(&mut self, index: usize) -> &mut Shard {
        match self {
            Self::None => unreachable!("no shard is open"),
            Self::One(one) => &mut one[index],
            Self::Many(many) => &mut many[index],
            Self::Lent(other) => other.at_mut(index),
        }
    }
}

/// The shard of a key, which must be among the locked ones.
#[inline]
pub(crate) fn opened<'g>(
    keyspace: &Keyspace,
    mask: u64,
    guards: &'g mut Guards<'_>,
    key: Key<'_>,
) -> &'g mut Shard {
    let bit = 1u64 << keyspace.shard_of(key.hash);
    assert!(mask & bit != 0, "a key outside the command's key positions was touched");
    match guards {
        Guards::One([shard]) => shard,
        guards => guards.at_mut((mask & (bit - 1)).count_ones() as usize),
    }
}
