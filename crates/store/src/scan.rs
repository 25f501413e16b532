//! Walking a database a little at a time, with Redis's promise: whatever is there from the start
//! of the walk to its end is returned at least once.
//!
//! The walk goes through the shards in turn and through each shard's table in hash order. A cursor
//! is the shard's number over 40 bits of position, so it stays below 2^53 and survives clients
//! that keep cursors in a double. Splitting and merging of segments does not change hash order,
//! so growth and shrinking cannot lose an element. One call locks one shard at a time.

use pannier_collections::Table;

use crate::keyspace::Keyspace;
use crate::{Found, Now, Rules};

/// Bits of a cursor that hold the position in a table.
const POSITION_BITS: u32 = Table::<()>::POSITION_BITS;

/// Where a walk stands. 0 is both its start and its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor(pub u64);

impl Keyspace {
    /// Visits live entries of a database from `cursor` on, until about `count` were looked at;
    /// returns where to go on. At most `10 * count` empty buckets are crossed in one call.
    pub fn scan(
        &self,
        database: usize,
        cursor: Cursor,
        count: usize,
        (now, rules): (Now, Rules),
        mut visit: impl FnMut(&[u8], Found<'_>),
    ) -> Cursor {
        let mut shard = (cursor.0 >> POSITION_BITS) as usize;
        let mut position = cursor.0 & ((1 << POSITION_BITS) - 1);
        let (mut seen, mut crossed) = (0, 0);
        while shard < self.shards.len() {
            let guard = self.shards[shard].lock();
            let Some(part) = guard.databases.get(database) else {
                (shard, position) = (shard + 1, 0);
                continue;
            };
            while seen < count && crossed < count.saturating_mul(10) {
                crossed += 1;
                position = part.table.scan(position, |item| {
                    seen += 1;
                    if item.deadline().is_none_or(|deadline| deadline > now.unix_ms()) {
                        visit(item.key(), Found::new(item, now, rules));
                    }
                });
                if position == 0 {
                    break;
                }
            }
            if position != 0 {
                return Cursor((shard as u64) << POSITION_BITS | position);
            }
            (shard, position) = (shard + 1, 0);
            if seen >= count && shard < self.shards.len() {
                return Cursor((shard as u64) << POSITION_BITS);
            }
        }
        Cursor(0)
    }
}
