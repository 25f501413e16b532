//! Collections: what all types of value other than strings have in common.
//!
//! A small collection is packed into its entry: one allocation holds key and value, and an
//! operation looks through a few hundred bytes. A large one is an [`Object`] of its own structure.
//! The limits between the two are parameters ([`Limits`]), and OBJECT ENCODING tells which it is.
//!
//! ```text
//!  packed: | tag, 1: which type | count of elements, 2 | elements (see `Packed`, `Intset`) |
//! ```
//!
//! Commands read through `View::read_as` and `View::get_as` and change through `View::change`,
//! which hands a guard (`HashMut` and its like) to a closure. What must follow a change is done
//! there, in one place: the sums of bytes, the count of changes, whoever watches the key, and
//! the removal of a key whose collection has become empty. So a handler cannot leave an empty
//! collection behind, and a guard reports each change by [`Opened::count`] and nothing else.
//!
//! Rules: a collection in the keyspace is never empty. A packed one has at most
//! [`PACKED_COUNT_MAX`] elements, whatever the limits say. A large object knows its own footprint
//! in O(1).
//! Neighbours: one file per type; `view` for finding and locking; `value` for strings.

mod hash;
mod list;
mod set;
mod set_algebra;
mod set_large;
mod set_sample;
mod sorted_set;
mod stream;

pub(crate) use hash::LargeHash;
pub use hash::{Hash, HashMut, HashRef};
pub(crate) use list::LargeList;
pub use list::{End, List, ListMut, ListRef};
use pannier_collections::{Entry, NewPayload, Packed, Payload};
pub use set::{Set, SetMut, SetRef};
pub use set_algebra::{Difference, intersection, union};
pub(crate) use set_large::LargeSet;
pub(crate) use sorted_set::LargeSortedSet;
pub use sorted_set::{BytesEnd, ScoreRange, SortedSet, SortedSetMut, SortedSetRange, SortedSetRef};
pub use stream::{
    Consumer, ConsumerId, Entries, Group, Keep, Log, NewId, Pending, Refused, Stream, StreamData,
    StreamEntry, StreamId, StreamMeta, StreamMut, Trim,
};

use crate::found::Found;
use crate::hash::KeyHasher;
use crate::value::{Item, Kind, Object, PACKED, WrongType};

/// A type of value other than a string: what it is called, and how it is opened.
pub trait Collection {
    /// Its name.
    const KIND: Kind;
    /// The collection, to be read.
    type Ref<'v>;
    /// The collection, to be changed.
    type Mut<'v>;

    /// Opens a value of this type for reading.
    #[doc(hidden)]
    fn read(body: Body<'_>) -> Self::Ref<'_>;

    /// Opens a value of this type for change.
    #[doc(hidden)]
    fn open(opened: Opened<'_>) -> Self::Mut<'_>;
}

/// From which size on a collection is no longer packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Fields of a packed hash.
    pub hash_entries: usize,
    /// Bytes of its longest field or value.
    pub hash_value: usize,
    /// Elements of one node of a list, or with -1 to -5 4 to 64 KiB.
    pub list_size: i32,
    /// From how many bytes on an element of a list stands alone; 0: from the limit of a node on.
    pub list_alone: usize,
    /// Members of a set of integers that is kept sorted in one run.
    pub set_integers: usize,
    /// Members of any other packed set.
    pub set_entries: usize,
    /// Bytes of its longest member.
    pub set_value: usize,
    /// Members of a packed sorted set.
    pub sorted_set_entries: usize,
    /// Bytes of its longest member.
    pub sorted_set_value: usize,
    /// Bytes of one node of a stream; 0 is no limit.
    pub stream_bytes: usize,
    /// Entries of one node of a stream; 0 is no limit.
    pub stream_entries: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            hash_entries: 512,
            hash_value: 64,
            list_size: -2,
            list_alone: 0,
            set_integers: 512,
            set_entries: 128,
            set_value: 64,
            sorted_set_entries: 128,
            sorted_set_value: 64,
            stream_bytes: 4096,
            stream_entries: 100,
        }
    }
}

/// A live value, to be read by its type.
#[derive(Clone, Copy)]
pub struct Body<'v> {
    pub(crate) item: &'v Item,
    /// The time, in Unix milliseconds.
    pub(crate) now_ms: u64,
}

/// A live or new value, to be changed by its type.
pub struct Opened<'v> {
    pub(crate) item: &'v mut Item,
    pub(crate) limits: &'v Limits,
    pub(crate) hasher: &'v KeyHasher,
    pub(crate) changes: &'v mut Changes,
    /// The time, in Unix milliseconds.
    pub(crate) now_ms: u64,
}

/// What was done to a value while it was open.
#[derive(Default)]
pub(crate) struct Changes {
    /// Changes, as Redis counts them.
    pub(crate) count: u64,
    /// Whether whoever is interested in the key is to be told.
    pub(crate) told: bool,
    /// Whether whoever waits for the key is to try again, told or not.
    pub(crate) wakes: bool,
    /// Of these: fields removed because their deadline had passed.
    pub(crate) expired_fields: u64,
    /// Whether all elements were taken, so that the value goes as it is.
    pub(crate) discarded: bool,
}

impl<'v> Opened<'v> {
    /// Counts changes as Redis counts them.
    pub(crate) fn count(&mut self, changes: u64) {
        self.changes.count += changes;
        self.changes.told |= changes > 0;
    }

    /// Counts changes of which WATCH and caches hear nothing, as in Redis.
    pub(crate) fn count_untold(&mut self, changes: u64) {
        self.changes.count += changes;
    }

    /// Has those who wait for the key try again, without telling anybody else.
    pub(crate) fn wake(&mut self) {
        self.changes.wakes = true;
    }

    /// Tells whoever is interested in the key of a change that counts elsewhere.
    pub(crate) fn tell(&mut self) {
        self.changes.told = true;
    }

    /// All elements have been taken: the value goes as it is, and what is large is freed
    /// elsewhere.
    pub(crate) fn discard(&mut self) {
        self.changes.discarded = true;
    }

    /// The value as it is now.
    pub(crate) fn body(&self) -> Body<'_> {
        Body { item: self.item, now_ms: self.now_ms }
    }

    /// The packed elements and their number, unless the collection is large.
    pub(crate) fn packed(&self) -> Option<(Packed<'_>, usize)> {
        packed(self.item)
    }

    /// Puts encoded elements in place of others in a packed collection, which then has so many
    /// more elements, or fewer. Offsets are those of the list.
    pub(crate) fn splice(&mut self, at: usize, removed: usize, added: &[u8], grown: isize) {
        let count = packed(self.item).map_or(0, |(_, count)| count).saturating_add_signed(grown);
        self.item.splice_bytes(HEADER + at, removed, added);
        if let Some(bytes) = self.item.bytes_mut() {
            bytes[1..HEADER].copy_from_slice(&(count as u16).to_le_bytes());
        }
    }

    /// The collection becomes, or stays, a packed one of these elements.
    pub(crate) fn pack(&mut self, tag: u8, count: usize, elements: &[u8]) {
        debug_assert!(count <= PACKED_COUNT_MAX, "the count has two bytes");
        let mut bytes = Vec::with_capacity(HEADER + elements.len());
        bytes.push(tag);
        bytes.extend_from_slice(&(count as u16).to_le_bytes());
        bytes.extend_from_slice(elements);
        self.item.set_payload(NewPayload::Bytes(&bytes));
        self.item.set_flags(self.item.flags() | PACKED);
    }

    /// The collection becomes large.
    pub(crate) fn enlarge(&mut self, object: Object) {
        self.item.set_payload(NewPayload::Object(object));
        self.item.set_flags(self.item.flags() & !PACKED);
    }
}

/// The type of an entry's value.
pub(crate) fn kind(item: &Item) -> Kind {
    match item.payload() {
        Payload::Object(object) => object.kind(),
        Payload::Bytes(bytes) if item.flags() & PACKED != 0 => Kind::of_tag(bytes[0]),
        Payload::Bytes(_) | Payload::Int(_) => Kind::String,
    }
}

/// Opens a value for reading if it is of the type asked for.
pub(crate) fn read<'v, T: Collection>(found: Found<'v>) -> Result<T::Ref<'v>, WrongType> {
    if kind(found.item) != T::KIND {
        return Err(WrongType);
    }
    Ok(T::read(Body { item: found.item, now_ms: found.now.unix_ms() }))
}

/// A new entry with an empty collection, to be filled before it goes into the keyspace.
pub(crate) fn new_item<T: Collection>(key: &[u8]) -> Item {
    let mut item = Entry::new(key, NewPayload::Bytes(&[T::KIND.tag(), 0, 0]), None);
    item.set_flags(PACKED);
    item
}

/// The packed elements of a collection and their number, unless it is large.
pub(crate) fn packed(item: &Item) -> Option<(Packed<'_>, usize)> {
    match item.payload() {
        Payload::Bytes([_, low, high, elements @ ..]) if item.flags() & PACKED != 0 => {
            Some((Packed::new(elements), u16::from_le_bytes([*low, *high]) as usize))
        }
        _ => None,
    }
}

/// Whether a value is a collection without elements, which must go.
pub(crate) fn is_empty(item: &Item) -> bool {
    match item.payload() {
        Payload::Object(object) => object.is_empty(),
        _ => packed(item).is_some_and(|(_, count)| count == 0),
    }
}

/// Bytes before the elements of a packed collection.
const HEADER: usize = 3;

/// Elements that a packed collection can count.
pub(crate) const PACKED_COUNT_MAX: usize = u16::MAX as usize;
