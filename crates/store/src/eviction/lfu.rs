//! Least frequently used: the lower an entry's decayed counter, the better a victim it is.
//!
//! Counter and decay are Redis's (see `access`): eight logarithmic bits that fade by one step for
//! every `lfu-decay-time`. The score lies between 0 and 255.
//! Neighbours: `lru`, `ttl`, and `mod` for the rounds.

use crate::value::Item;
use crate::{Now, Rules};

pub(super) fn score(item: &Item, now: Now, rules: Rules) -> u64 {
    255 - u64::from(rules.frequency_of(item.access(), now))
}
