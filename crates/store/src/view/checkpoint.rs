//! Checkpoints of the whole keyspace: set, rolled back to, given up.
//!
//! Checkpoints are nested and named by their depth, 0 for the first. All of it is done with every
//! shard open, so a rollback is one step for everybody else: whoever watches or has read a key that
//! comes back in another state is told as of any change, whoever waits for it is served, and
//! databases that came back as a whole invalidate what clients cache as a flush does. There are no
//! events: nobody did to the keys what the events' names say.
//!
//! Rules: a rollback is nobody's own change, so a session that asked for it and wants not to hear
//! of its own changes hears of these. Neighbours: `checkpoint` of the store is each shard's part.

use super::View;
use crate::checkpoint::{Kept, Restored};
use crate::guards::OpenShards;

impl View<'_> {
    /// Sets a checkpoint; returns its depth. Every shard must be open, here and below.
    pub fn checkpoint(&mut self) -> usize {
        self.check_all();
        self.guards.each(|shard| shard.push_layer());
        self.guards.at(0).interest.kept.len() - 1
    }

    /// Brings every database back to what it was at the checkpoint of a depth, which stays; later
    /// ones are given up.
    pub fn rollback(&mut self, depth: usize) {
        self.check_all();
        self.guards.each(|shard| shard.release_later(depth));
        // What was changed so far is still told as this session's change.
        self.gather();
        let origin = std::mem::take(&mut self.origin);
        self.restore_order();
        let (counters, mut restored) = (&self.keyspace.counters, Restored::default());
        self.guards.each(|shard| shard.restore(counters, &mut restored));
        if restored.whole {
            self.note_flush();
        }
        self.gather();
        self.origin = origin;
        self.dirty += restored.keys as u64;
        if let Some(due) = restored.due {
            self.sooner |= self.keyspace.note_deadline(due);
        }
    }

    /// Gives a checkpoint up; later ones move down by one.
    pub fn release(&mut self, depth: usize) {
        self.check_all();
        self.guards.each(|shard| shard.release(depth));
    }

    /// What the checkpoint of a depth keeps, beside what later ones do.
    pub fn kept(&self, depth: usize) -> Kept {
        self.check_all();
        let mut sum = Kept::default();
        for shard in self.guards.iter() {
            let kept = shard.interest.kept[depth].kept();
            (sum.keys, sum.bytes) = (sum.keys + kept.keys, sum.bytes + kept.bytes);
        }
        sum
    }

    /// Lets the databases take the places that they had at the last checkpoint.
    fn restore_order(&mut self) {
        let shard = self.guards.at(0);
        let Some(order) = shard.interest.kept.last().and_then(|layer| layer.order()) else {
            return;
        };
        let (order, len) = (order.to_vec(), shard.databases.len());
        for index in 0..len {
            // Those that are younger had the places of their identities.
            let id = order.get(index).map_or(index, |id| *id as usize);
            let at = self.guards.at(0).index_of_id[id] as usize;
            if at != index {
                self.exchange(index, at);
            }
        }
    }

    fn check_all(&self) {
        assert_eq!(self.guards.len(), self.keyspace.shards.len(), "a checkpoint is of all shards");
    }
}
