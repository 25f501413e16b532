//! The locks that a view holds.
//!
//! They lie in ascending order of their shards, so that the lock of a shard is found by counting
//! the bits below its own in the view's mask. Rules: `Guards::lock` takes them in that order; one
//! that is added later was taken as `View::extend` says. Neighbours: `view`, `waiters`.

use parking_lot::{Mutex, MutexGuard};

use crate::shard::Shard;

/// The locks held, ascending by shard. One, the common case, needs no allocation.
pub(crate) enum Guards<'k> {
    None,
    One([MutexGuard<'k, Shard>; 1]),
    Many(Vec<MutexGuard<'k, Shard>>),
}

impl<'k> Guards<'k> {
    /// Locks the shards of a mask, in ascending order.
    pub(crate) fn lock(shards: &'k [Mutex<Shard>], mask: u64) -> Self {
        match mask.count_ones() {
            0 => Self::None,
            1 => Self::One([shards[mask.trailing_zeros() as usize].lock()]),
            n => {
                let mut guards = Vec::with_capacity(n as usize);
                let mut rest = mask;
                while rest != 0 {
                    guards.push(shards[rest.trailing_zeros() as usize].lock());
                    rest &= rest - 1;
                }
                Self::Many(guards)
            }
        }
    }

    pub(crate) fn as_slice(&self) -> &[MutexGuard<'k, Shard>] {
        match self {
            Self::None => &[],
            Self::One(one) => one,
            Self::Many(many) => many,
        }
    }

    /// Puts one more in at its place.
    pub(crate) fn insert(&mut self, at: usize, guard: MutexGuard<'k, Shard>) {
        let mut guards = match std::mem::replace(self, Self::None) {
            Self::None => Vec::new(),
            Self::One([one]) => vec![one],
            Self::Many(many) => many,
        };
        guards.insert(at, guard);
        *self = Self::Many(guards);
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [MutexGuard<'k, Shard>] {
        match self {
            Self::None => &mut [],
            Self::One(one) => one,
            Self::Many(many) => many,
        }
    }
}
