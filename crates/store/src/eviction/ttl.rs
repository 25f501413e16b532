//! Nearest deadline first: what would die soonest anyway is the best victim.
//! Entries without a deadline are never sampled under this policy. Neighbours: `lru`, `lfu`.

use crate::value::Item;

pub(super) fn score(item: &Item) -> u64 {
    u64::MAX - item.deadline().unwrap_or(u64::MAX)
}
