//! Loading ahead: what the requests of a pipeline will look at is asked of the memory all at once.
//!
//! On a keyspace larger than the CPU's caches a lookup is mostly waiting for memory: for a bucket,
//! then for an entry, and in a large hash, set or sorted set for a bucket and an element once more.
//! Whoever knows several lookups ahead has their buckets loaded first, all together, and then what
//! these point at. A load that proves needless costs a nanosecond or two; nothing here changes
//! anything.
//!
//! Rules: keys first, elements after them, because the second reads entries, which should have
//! come by then. Neighbours: `exec::group` in the engine, which knows what comes next.

use pannier_collections::Payload;
use smallvec::SmallVec;

use crate::hash::Key;
use crate::view::View;

impl View<'_> {
    /// Has the CPU load what lookups of these keys will need.
    pub fn prefetch(&self, database: usize, keys: &[Key<'_>]) {
        for key in keys {
            if let Some(part) = self.shard_of(*key).databases.get(database) {
                part.table.prefetch(key.hash);
            }
        }
        // By now the first buckets have come.
        for key in keys {
            if let Some(part) = self.shard_of(*key).databases.get(database) {
                part.table.prefetch_values(key.hash);
            }
        }
    }

    /// Has the CPU load elements of large collections, after `prefetch` of their keys.
    pub fn prefetch_elements(&self, database: usize, elements: &[(Key<'_>, &[u8])]) {
        let mut begun = SmallVec::<[_; 64]>::new();
        // A pipeline is often about one collection.
        let mut last = None;
        for (key, element) in elements {
            let object = match last {
                Some((held, object)) if held == key.bytes => object,
                _ => self.again(database, *key).and_then(|found| match found.item.payload() {
                    Payload::Object(object) => Some(object),
                    _ => None,
                }),
            };
            last = Some((key.bytes, object));
            if let Some(object) = object
                && let Some(hash) = object.prefetch(element)
            {
                begun.push((object, hash));
            }
        }
        for (object, hash) in begun {
            object.prefetch_found(hash);
        }
    }
}
