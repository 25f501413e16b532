//! Least frequently used: the fewer uses an entry has for the time that it was idle, the better
//! a victim it is.
//!
//! Redis ranks by the counter alone, which leaves two things open: nearly all entries share the
//! two or three lowest counts, so its choice among those is chance; and a key that was popular
//! once outlives the fashion by as many `lfu-decay-time`s as it has counts. Here the counter is
//! turned back into the number of uses that it stands for, and the score is idle time over uses:
//! of two keys used as often the longer idle one goes, and a key with ten times the uses may rest
//! ten times as long. The first use, which only put the key in, counts half. At 205,000 entries
//! that gives 0.816, 0.553 and 0.650 on the three traces against 0.815, 0.554 and 0.638 for the
//! counter alone (`docs/ideas/eviction.md` has the alternatives).
//!
//! Rules: entries idle for the same time go by their counters alone, so that order is Redis's.
//! Neighbours: `access` for counter, decay and clock; `lru`, `ttl`, and `mod` for the rounds.

use crate::value::Item;
use crate::{Now, Rules};

/// Idle time is scaled so that its quotient by a large number of uses is not 0.
const SCALE_BITS: u32 = 32;

pub(super) fn score(item: &Item, now: Now, rules: Rules) -> u64 {
    // What was used in the present tick has been idle for half of one.
    let idle = (2 * Rules::idle_ticks(item.access(), now) + 1) << SCALE_BITS;
    match rules.uses_of(item.access(), now) {
        Ok(uses) => idle / (2 * uses - 1),
        Err(decayed) => idle << decayed,
    }
}
