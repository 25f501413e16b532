//! Views in views: for the commands that a script calls, and for whoever is served in passing.
//!
//! A script holds its shards from its first command to its last. Each command sees a view of its
//! own all the same, so that its changes can be counted and its consequences drawn; the view
//! borrows the shards of the one around it, and what it leaves behind is taken over at its end.
//!
//! Rules: the outer view rests while an inner one lives, which the borrow sees to. Neighbours:
//! `guards` for the locks; `exec::script` and `exec::serve` of the engine use this.

use super::View;
use crate::guards::Guards;

/// What a nested view leaves to the one around it.
pub struct Nested {
    dirty: u64,
    sooner: bool,
    reserved: Vec<(usize, usize)>,
}

impl<'k> View<'k> {
    /// A view of the same shards for a command inside a command; when that has ended, it is closed
    /// and [`View::absorb`]ed by this one.
    pub fn nested(&mut self) -> View<'_> {
        View {
            keyspace: self.keyspace,
            mask: self.mask,
            guards: Guards::Lent(&mut self.guards),
            now: self.now,
            rules: self.rules,
            reserved: std::mem::take(&mut self.reserved),
            dirty: 0,
            sooner: false,
            wanted: self.wanted,
            events: std::mem::take(&mut self.events),
            changes: std::mem::take(&mut self.changes),
            origin: self.origin,
            emptied: false,
            hits: 0,
            misses: 0,
        }
    }

    /// Whether this is the view of a command inside a command.
    pub fn is_nested(&self) -> bool {
        matches!(self.guards, Guards::Lent(_))
    }

    /// The same view where it is needed for less long. Not for nested ones.
    pub fn shorten<'s>(mut self) -> View<'s>
    where
        'k: 's,
    {
        View {
            keyspace: self.keyspace,
            mask: std::mem::take(&mut self.mask),
            guards: std::mem::replace(&mut self.guards, Guards::None).shorten(),
            now: self.now,
            rules: self.rules,
            reserved: std::mem::take(&mut self.reserved),
            dirty: self.dirty,
            sooner: self.sooner,
            wanted: self.wanted,
            events: std::mem::take(&mut self.events),
            changes: std::mem::take(&mut self.changes),
            origin: self.origin,
            emptied: self.emptied,
            hits: std::mem::take(&mut self.hits),
            misses: std::mem::take(&mut self.misses),
        }
    }

    /// Ends a nested view.
    pub fn close(mut self) -> Nested {
        let reserved = std::mem::take(&mut self.reserved);
        Nested { dirty: self.dirty, sooner: self.sooner, reserved }
    }

    /// Takes over what a nested view leaves.
    pub fn absorb(&mut self, nested: Nested) {
        self.dirty += nested.dirty;
        self.sooner |= nested.sooner;
        self.reserved = nested.reserved;
    }
}
