//! Values that lie in no database yet: made from parts, put into the keyspace afterwards.
//!
//! A loader (RESTORE, a dump file) reads a value piece by piece and may find in its middle that it
//! is damaged. So the value is made here, on the side, and goes into the keyspace with `View::put`
//! only when it is whole. Making one takes no lock: a [`Maker`] borrows nothing but the keyspace's
//! hash and the limits between packed and large.
//!
//! Rules: what is made has no deadline and the oldest access clock until [`Taken`] is told
//! otherwise; a collection must not be put in while it is empty.
//! Neighbours: `view` puts in, `types` fills, the crate `persist` is the user.

use pannier_collections::{Entry, NewPayload};

use crate::hash::{Key, KeyHasher};
use crate::types::{self, Changes, Collection, Limits, Opened};
use crate::value::{Item, NewValue, PACKED};
use crate::view::Taken;
use crate::{Compressor, Keyspace, Kind, Now, Rules, View};

/// Makes values for one key.
#[derive(Clone, Copy)]
pub struct Maker<'k> {
    hasher: &'k KeyHasher,
    limits: &'k Limits,
    key: &'k [u8],
    now: Now,
    compression: Option<(&'k Compressor, MakerCompression)>,
}

/// Which of the strings that are made get compressed, and how.
#[derive(Clone, Copy, Debug)]
pub struct MakerCompression {
    /// From which length on; 0 for none.
    pub threshold: usize,
    /// From 1 to 9.
    pub level: u32,
}

/// What a new value's access clock says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Age {
    /// It was used just now.
    Fresh,
    /// It was last used so many milliseconds ago. Under an LFU policy the same as `Fresh`.
    Idle(u64),
    /// Its LFU counter. Under any other policy the same as `Fresh`.
    Frequency(u8),
    /// The raw clock of another entry.
    Clock(u32),
}

impl Keyspace {
    /// Makes values for a key of this keyspace.
    pub fn maker<'k>(&'k self, key: &'k [u8], limits: &'k Limits, now: Now) -> Maker<'k> {
        Maker { hasher: &self.hasher, limits, key, now, compression: None }
    }
}

impl<'k> Maker<'k> {
    /// The limits between packed and large.
    pub const fn limits(self) -> &'k Limits {
        self.limits
    }

    /// The same, which compresses long strings.
    pub fn compressing(self, compressor: &'k Compressor, rule: MakerCompression) -> Self {
        let compression = (rule.threshold > 0).then_some((compressor, rule));
        Self { compression, ..self }
    }

    /// The time at which the value is made.
    pub const fn now(self) -> Now {
        self.now
    }

    /// A string.
    pub fn string(self, string: &[u8]) -> Taken {
        let rule = self.compression.filter(|(_, rule)| string.len() >= rule.threshold);
        let stored = rule.and_then(|(compressor, rule)| compressor.compress(string, rule.level));
        let value = stored.as_ref().map_or_else(|| NewValue::of(string), NewValue::Compressed);
        let (payload, form) = value.into_payload();
        let mut item = Entry::new(self.key, payload, None);
        item.set_flags(form);
        Taken(item)
    }

    /// A packed collection of so many elements, which must be as its type keeps them: within the
    /// limits, without duplicates, integers as integers, and in order where there is one.
    pub fn packed(self, kind: Kind, elements: &[u8], count: usize) -> Taken {
        debug_assert!(count <= types::PACKED_COUNT_MAX);
        let mut bytes = Vec::with_capacity(elements.len() + 3);
        bytes.push(kind.tag());
        bytes.extend_from_slice(&(count as u16).to_le_bytes());
        bytes.extend_from_slice(elements);
        let mut item: Item = Entry::new(self.key, NewPayload::Bytes(&bytes), None);
        item.set_flags(PACKED);
        Taken(item)
    }

    /// A collection that `fill` puts elements into; `None` when it says so.
    pub fn collection<T: Collection>(
        self,
        fill: impl FnOnce(&mut T::Mut<'_>) -> Option<()>,
    ) -> Option<Taken> {
        let mut item = types::new_item::<T>(self.key);
        let (limits, hasher, now_ms) = (self.limits, self.hasher, self.now.unix_ms());
        let changes = &mut Changes::default();
        fill(&mut T::open(Opened { item: &mut item, limits, hasher, changes, now_ms }))?;
        Some(Taken(item))
    }
}

impl View<'_> {
    /// Puts a new entry in under a key, over whatever was there, with what its access clock is to
    /// say.
    pub fn put_aged(&mut self, database: usize, key: Key<'_>, mut taken: Taken, age: Age) {
        taken.set_age(age, self.now(), self.rules());
        self.put_anew(database, key, taken);
    }
}

impl Taken {
    /// Whether it is a collection without elements, which must not be put in.
    pub fn is_empty(&self) -> bool {
        types::is_empty(&self.0)
    }

    /// Sets or removes the deadline, in Unix milliseconds.
    pub fn set_deadline(&mut self, deadline: Option<u64>) {
        self.0.set_deadline(deadline);
    }

    /// Sets the access clock.
    fn set_age(&mut self, age: Age, now: Now, rules: Rules) {
        self.0.set_access(match age {
            Age::Fresh => rules.fresh(now),
            Age::Idle(ms) => rules.idle_since(now, ms),
            Age::Frequency(counter) => rules.used(now, counter),
            Age::Clock(clock) => clock,
        });
    }
}
