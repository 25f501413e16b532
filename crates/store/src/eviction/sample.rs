//! Random entries of a shard, several at a time.
//!
//! A look at one entry costs the line of its bucket and its own; a look at the whole bucket costs
//! one line for several entries, whose own lines the processor loads side by side. So a sample is
//! a walk over a bucket and a half from a random position in hash order until enough entries were
//! seen. A bucket is met as often as its share of the hash range, which is its share of the
//! entries.
//!
//! Where keys with a deadline are rare, buckets are the wrong place to look for them; then the
//! marks of the timing wheel are, because every such key has one. A random list of the wheel is
//! entered at a random mark. Stale marks met on the way are dropped, as the sweep would.
//!
//! Rules: bounded work, whatever the share of volatile keys; only when every mark is overdue is
//! the table walked. Neighbours: `mod` offers what is seen here to the pool.

use pannier_collections::Table;

use crate::shard::Shard;
use crate::value::Item;

/// A position in a table is the top of a hash.
const POSITION_SHIFT: u32 = u64::BITS - Table::<Item>::POSITION_BITS;
/// Places looked at for each entry wanted; one shows about seven.
const LOOKS_PER_ENTRY: usize = 16;
/// One volatile key among fewer than so many keys is still found by looking into buckets.
const RARE: usize = 16;
/// Marks looked at from each random place in the wheel.
const MARKS_AT_ONCE: usize = 2;
/// Random places in the wheel for each entry wanted.
const PLACES_PER_ENTRY: usize = 8;

impl Shard {
    /// Shows `see` about `wanted` random entries of one database or of any, with `volatile` only
    /// those with a deadline, each with its database's identity; one may come up more than once.
    /// None are shown only when there are none.
    pub(super) fn sample_many(
        &mut self,
        only: Option<usize>,
        volatile: bool,
        wanted: usize,
        mut see: impl FnMut(u32, &Item),
    ) -> bool {
        let mut seen = 0;
        for _ in 0..wanted * LOOKS_PER_ENTRY {
            let Some(index) = only.or_else(|| self.random_database(volatile)) else { return false };
            let Some(part) = self.databases.get(index) else { return false };
            let eligible = if volatile { part.volatile } else { part.table.len() };
            if eligible == 0 {
                return seen > 0;
            }
            if eligible.saturating_mul(RARE) < part.table.len() {
                break;
            }
            let mut show = |item: &Item| {
                if !volatile || item.deadline().is_some() {
                    seen += 1;
                    see(part.id, item);
                }
            };
            // From the middle of a bucket on, and the whole of the next: the ends of buckets
            // alone would hardly ever show their beginnings.
            let next = part.table.scan(self.rng.u64(..) >> POSITION_SHIFT, &mut show);
            part.table.scan(next, &mut show);
            if seen >= wanted {
                return true;
            }
        }
        if volatile && seen == 0 {
            seen = self.sample_marks(only, wanted, &mut see);
        }
        if seen == 0 {
            let index = only.or_else(|| self.random_database(volatile));
            let Some(part) = index.and_then(|index| self.databases.get(index)) else {
                return false;
            };
            let mut items = part.table.iter().filter(|item| !volatile || item.deadline().is_some());
            if let Some(item) = items.next() {
                seen += 1;
                see(part.id, item);
            }
        }
        seen > 0
    }

    /// The same from the wheel's marks, for keys with a deadline; answers how many it showed.
    pub(crate) fn sample_marks(
        &mut self,
        only: Option<usize>,
        wanted: usize,
        see: &mut impl FnMut(u32, &Item),
    ) -> usize {
        let Self { databases, index_of_id, wheel, rng, hasher, .. } = self;
        let footprint = wheel.footprint() as isize;
        let mut seen = 0;
        for _ in 0..wanted * PLACES_PER_ENTRY {
            wheel.seek(rng.u64(..));
            wheel.sweep(MARKS_AT_ONCE, |mark| {
                let index = index_of_id[mark.id()] as usize;
                let part = &databases[index];
                let found = part.table.find(mark.hash(), |item| mark.is_of(item, hasher));
                if let Some(item) = found.filter(|_| only.is_none_or(|only| only == index)) {
                    seen += 1;
                    see(part.id, item);
                }
                found.is_some()
            });
            if seen >= wanted {
                break;
            }
        }
        self.delta += self.wheel.footprint() as isize - footprint;
        seen
    }
}
