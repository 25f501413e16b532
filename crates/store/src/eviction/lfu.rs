//! Least frequently used: the lower an entry's decayed counter, the better a victim it is.
//! Counter and decay are Redis's (see `access`). Neighbours: `lru`, `ttl`, and `mod`.

use crate::value::Item;
use crate::{Now, Rules};

pub(super) fn score(item: &Item, now: Now, rules: Rules) -> u64 {
    255 - u64::from(rules.frequency_of(item.access(), now))
}
