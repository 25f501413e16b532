//! Least recently used: the longer an entry has been idle, the better a victim it is.
//!
//! The stamp is in milliseconds, because seconds cannot rank a small cache that is read thousands
//! of times a second (see `access`). The score is the idle time.
//! Neighbours: `lfu`, `ttl`, and `mod` for the rounds.

use crate::value::Item;
use crate::{Now, Rules};

pub(super) fn score(item: &Item, now: Now) -> u64 {
    Rules::idle_ms(item.access(), now)
}
