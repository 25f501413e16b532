//! Walking a database a little at a time, with Redis's promise: whatever is there from the start
//! of the walk to its end is returned at least once.
//!
//! The walk goes through the shards in turn and through each shard's table in hash order. A cursor
//! is the shard's number over 40 bits of position, so it stays below 2^53 and survives clients
//! that keep cursors in a double. Splitting and merging of segments does not change hash order,
//! so growth and shrinking cannot lose an element. One call locks one shard at a time,
//! unless the view holds them all.

use pannier_collections::Table;

use crate::{Found, View, value};

/// Bits of a cursor that hold the position in a table.
const POSITION_BITS: u32 = Table::<()>::POSITION_BITS;

/// Where a walk stands. 0 is both its start and its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor(pub u64);

impl View<'_> {
    /// Visits live entries of a database from `cursor` on, until about `count` were looked at;
    /// returns where to go on. At most `10 * count` empty buckets are crossed in one call.
    pub fn scan(
        &mut self,
        database: usize,
        cursor: Cursor,
        count: usize,
        mut visit: impl FnMut(&[u8], Found<'_>),
    ) -> Cursor {
        let (now, rules) = (self.now(), self.rules());
        let mut shard = (cursor.0 >> POSITION_BITS) as usize;
        let mut position = cursor.0 & ((1 << POSITION_BITS) - 1);
        let (mut seen, mut crossed) = (0, 0);
        while shard < self.shards() {
            self.with_shard(shard, |held| {
                let Some(part) = held.databases.get(database) else {
                    position = 0;
                    return;
                };
                while seen < count && crossed < count.saturating_mul(10) {
                    crossed += 1;
                    position = part.table.scan(position, |item| {
                        seen += 1;
                        if value::is_live(item, now.unix_ms()) {
                            visit(item.key(), Found::new(item, now, rules));
                        }
                    });
                    if position == 0 {
                        break;
                    }
                }
            });
            shard += usize::from(position == 0);
            let enough = seen >= count || crossed >= count.saturating_mul(10);
            if enough && shard < self.shards() {
                return Cursor((shard as u64) << POSITION_BITS | position);
            }
        }
        Cursor(0)
    }
}
