//! A live entry, to look at: what OBJECT, TTL, TYPE, SCAN and the readers of values ask.
//!
//! Made by the lookups of a `View`, which decide what the look costs the entry's access clock and
//! the statistics; looking through this changes nothing. It borrows the entry, so it cannot
//! outlive the locks.
//!
//! Neighbours: `view` makes it, `value` knows types and encodings.

use std::fmt::Write;

use pannier_collections::Payload;

use crate::keyspace::Keyspace;
use crate::types::{self, Collection};
use crate::value::{self, Item, Str, WrongType};
use crate::{Encoding, Kind, Now, Rules};

/// A live entry, to look at.
#[derive(Clone, Copy)]
pub struct Found<'v> {
    pub(crate) item: &'v Item,
    pub(crate) now: Now,
    pub(crate) rules: Rules,
}

impl<'v> Found<'v> {
    pub(crate) fn new(item: &'v Item, now: Now, rules: Rules) -> Self {
        Self { item, now, rules }
    }

    /// The type, as TYPE names it.
    pub fn kind(self) -> Kind {
        types::kind(self.item)
    }

    /// The encoding, as OBJECT ENCODING names it.
    pub fn encoding(self) -> Encoding {
        value::encoding(self.item)
    }

    /// The string it holds.
    ///
    /// # Errors
    /// [`WrongType`] when it holds another type.
    pub fn string(self) -> Result<Str<'v>, WrongType> {
        Str::of(self.item)
    }

    /// The collection it holds.
    ///
    /// # Errors
    /// [`WrongType`] when it holds another type.
    pub fn collection<T: Collection>(self) -> Result<T::Ref<'v>, WrongType> {
        types::read::<T>(self)
    }

    /// The deadline in Unix milliseconds, if it has one.
    pub fn deadline(self) -> Option<u64> {
        self.item.deadline()
    }

    /// Bytes that the entry, its key and its value take in memory.
    pub fn footprint(self) -> usize {
        value::footprint(self.item)
    }

    /// How full the table of a large collection is, in lines of text.
    pub fn table_report(self) -> String {
        let mut text = String::from("[Dictionary HT]\n");
        if let Payload::Object(object) = self.item.payload()
            && let Some(shape) = object.shape()
        {
            let _ = write!(
                text,
                "Table 0 stats:\n table size: {}\n number of entries: {}\n segments: {}\n \
                 overflow buckets: {}\n max chain length: {}\n",
                shape.slots, shape.len, shape.segments, shape.overflow_buckets, shape.longest_chain,
            );
        }
        text
    }

    /// Milliseconds since the last access.
    pub fn idle_ms(self) -> u64 {
        Keyspace::idle_ms(self.item.access(), self.now)
    }

    /// The decayed LFU counter.
    pub fn frequency(self) -> u32 {
        self.rules.frequency_of(self.item.access(), self.now)
    }

    /// The raw access clock, as DEBUG OBJECT prints it.
    pub fn access(self) -> u32 {
        self.item.access()
    }
}
