//! Nearest deadline first: what would die soonest anyway is the best victim.
//!
//! Entries without a deadline are never sampled under this policy. The score counts down from the
//! end of time, so that an earlier deadline scores higher.
//! Neighbours: `lru`, `lfu`, and `mod` for the rounds.

use crate::value::Item;

pub(super) fn score(item: &Item) -> u64 {
    u64::MAX - item.deadline().unwrap_or(u64::MAX)
}
