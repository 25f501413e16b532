//! Values, as entries hold them and as commands see them.
//!
//! A string lives in one of three places: as an `i64` in the entry (what looks like an integer is
//! one), as bytes inside the entry's allocation up to [`INLINE_MAX`], or beyond that as a
//! reference-counted buffer, so that a reply can carry it without copying it under the lock.
//! A compressed one (see `compress`) is bytes inside the entry, whatever its length, under the
//! flag [`COMPRESSED`]. Commands see [`Str`] and never ask which. Collections are packed inside
//! the entry under the flag [`PACKED`], or objects (see `types`).
//!
//! OBJECT ENCODING answers Redis's names at Redis's thresholds: `int`, `embstr` up to 44 bytes,
//! `raw` above, and `raw` for whatever was modified in place (the flag [`RAW`]).

use bytes::{Bytes, BytesMut};
use pannier_collections::{Entry, NewPayload, Payload, Shape, canonical_integer};

use crate::compress::{Compressed, CompressedStr};
use crate::types::{LargeHash, LargeList, LargeSet, LargeSortedSet, StreamData};

/// Longest string kept inside its entry. Copying 16 KiB costs about what a reference count and a
/// second element of a vectored write cost, so shorter strings are copied.
pub const INLINE_MAX: usize = 16 * 1024;

/// Longest string that Redis would have embedded in its object header.
const EMBSTR_MAX: usize = 44;

/// Entry flag: the string was modified in place, so its encoding shows as `raw`.
pub(crate) const RAW: u8 = 1;
/// Entry flag: the wheel holds a mark for this entry, due no later than its deadline.
pub(crate) const ARMED: u8 = 2;
/// Entry flag: the bytes are a string that was compressed.
pub(crate) const COMPRESSED: u8 = 4;
/// Entry flag: the bytes are a packed collection.
pub(crate) const PACKED: u8 = 8;
/// The flags that say what the value is, and that go where it goes.
pub(crate) const FORM: u8 = RAW | COMPRESSED | PACKED;

/// A string longer than [`INLINE_MAX`]: a shared buffer, and how much room it really has.
#[derive(Clone, Default)]
pub(crate) struct Large {
    bytes: Bytes,
    capacity: usize,
}

impl Large {
    fn new(bytes: Bytes) -> Self {
        let capacity = bytes.len();
        Self { bytes, capacity }
    }

    /// A copy of `bytes` with room for `len`.
    pub(crate) fn with_room(bytes: &[u8], len: usize) -> Self {
        let mut owned = BytesMut::with_capacity(len);
        owned.extend_from_slice(bytes);
        Self { capacity: owned.capacity(), bytes: owned.freeze() }
    }

    /// Hands the bytes, lengthened to `len`, to `change`. Copies them first if a reply still
    /// holds them.
    pub(crate) fn change<R>(&mut self, len: usize, change: impl FnOnce(&mut [u8]) -> R) -> R {
        let mut owned = match std::mem::take(&mut self.bytes).try_into_mut() {
            Ok(owned) => owned,
            Err(shared) => {
                let mut owned = BytesMut::with_capacity(len);
                owned.extend_from_slice(&shared);
                owned
            }
        };
        owned.resize(len, 0);
        let result = change(&mut owned);
        self.capacity = owned.capacity();
        self.bytes = owned.freeze();
        result
    }
}

/// What an entry holds when it is neither an integer nor a small string.
#[derive(Clone)]
pub(crate) enum Object {
    /// A string longer than [`INLINE_MAX`].
    Large(Large),
    /// A large hash.
    Hash(Box<LargeHash>),
    /// A large set.
    Set(Box<LargeSet>),
    /// A large sorted set.
    SortedSet(Box<LargeSortedSet>),
    /// A large list.
    List(Box<LargeList>),
    /// A stream.
    Stream(Box<StreamData>),
}

impl Object {
    /// Bytes that the object owns outside its entry, as the allocator rounds them.
    pub(crate) fn footprint(&self) -> usize {
        match self {
            // The buffer, and the shared counter that `bytes` allocates beside it.
            Self::Large(large) => pannier_collections::allocated(large.capacity) + 32,
            Self::Hash(hash) => hash.footprint(),
            Self::Set(set) => set.footprint(),
            Self::SortedSet(set) => set.footprint(),
            Self::List(list) => list.footprint(),
            Self::Stream(stream) => stream.footprint(),
        }
    }

    /// Asks the CPU to load where an element of this name would be; returns what
    /// `prefetch_found` wants next, if that is worth it.
    pub(crate) fn prefetch(&self, element: &[u8]) -> Option<u64> {
        match self {
            Self::Hash(hash) => Some(hash.prefetch(element)),
            Self::Set(set) => Some(set.prefetch_name(element)),
            Self::SortedSet(set) => Some(set.prefetch(element)),
            _ => None,
        }
    }

    /// Asks the CPU to load the element itself, after `prefetch`.
    pub(crate) fn prefetch_found(&self, hash: u64) {
        match self {
            Self::Hash(fields) => fields.prefetch_found(hash),
            Self::Set(set) => set.prefetch_members(hash),
            Self::SortedSet(set) => set.prefetch_found(hash),
            _ => {}
        }
    }

    /// The type of the value.
    pub(crate) const fn kind(&self) -> Kind {
        match self {
            Self::Large(_) => Kind::String,
            Self::Hash(_) => Kind::Hash,
            Self::Set(_) => Kind::Set,
            Self::SortedSet(_) => Kind::SortedSet,
            Self::List(_) => Kind::List,
            Self::Stream(_) => Kind::Stream,
        }
    }

    /// Whether it is a collection without elements.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Large(_) => false,
            Self::Hash(hash) => hash.len() == 0,
            Self::Set(set) => set.len() == 0,
            Self::SortedSet(set) => set.len() == 0,
            Self::List(list) => list.len() == 0,
            // Its last id and its groups are there for ever.
            Self::Stream(_) => false,
        }
    }

    /// The shape of its table, if it is one.
    pub(crate) fn shape(&self) -> Option<Shape> {
        match self {
            Self::Hash(hash) => Some(hash.shape()),
            Self::Set(set) => Some(set.shape()),
            _ => None,
        }
    }

    /// Whether freeing it takes so long that it should be done elsewhere.
    pub(crate) fn is_heavy(&self) -> bool {
        match self {
            Self::Large(large) => large.capacity > HEAVY_LEN,
            Self::Hash(hash) => hash.len() > HEAVY_COUNT,
            Self::Set(set) => set.len() > HEAVY_COUNT,
            Self::SortedSet(set) => set.len() > HEAVY_COUNT,
            Self::List(list) => list.is_heavy(),
            Self::Stream(stream) => stream.parts() > HEAVY_COUNT,
        }
    }
}

/// A buffer longer than this is returned to the system page by page.
const HEAVY_LEN: usize = 1 << 20;
/// Freeing so many elements takes about as long as handing them to another thread.
const HEAVY_COUNT: usize = 64;

/// The entry type of this keyspace.
pub(crate) type Item = Entry<Object>;

/// Bytes that an entry and its value take.
pub(crate) fn footprint(item: &Item) -> usize {
    match item.payload() {
        Payload::Object(object) => item.footprint() + object.footprint(),
        Payload::Int(_) | Payload::Bytes(_) => item.footprint(),
    }
}

/// A copy of an entry that may take its place in a table: the marks in the wheels speak of it as
/// they did of the entry.
pub(crate) fn twin(item: &Item) -> Item {
    let mut twin = item.twin(match item.payload() {
        Payload::Int(n) => NewPayload::Int(n),
        Payload::Bytes(bytes) => NewPayload::Bytes(bytes),
        Payload::Object(object) => NewPayload::Object(object.clone()),
    });
    if let Some(Object::Hash(hash)) = twin.object_mut() {
        hash.set_mark(large_hash(item).and_then(LargeHash::mark));
    }
    twin
}

/// The large hash that an entry holds, if it does.
#[inline]
pub(crate) fn large_hash(item: &Item) -> Option<&LargeHash> {
    match item.payload() {
        Payload::Object(Object::Hash(hash)) => Some(hash),
        _ => None,
    }
}

/// When the first field of the entry's value is due, if one ever is.
#[inline]
pub(crate) fn field_due(item: &Item) -> Option<u64> {
    large_hash(item).and_then(LargeHash::next_due)
}

/// Whether an entry is there for those who look at this time: neither its own deadline has passed
/// nor that of each of its fields.
#[inline]
pub(crate) fn is_live(item: &Item, now_ms: u64) -> bool {
    item.deadline().is_none_or(|deadline| deadline > now_ms)
        && large_hash(item).is_none_or(|hash| !hash.is_dead(now_ms))
}

/// The type of a value, as TYPE names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A string.
    String,
    /// A hash.
    Hash,
    /// A list.
    List,
    /// A set.
    Set,
    /// A sorted set.
    SortedSet,
    /// A stream.
    Stream,
}

impl Kind {
    /// Every kind.
    pub(crate) const ALL: [Self; 6] =
        [Self::String, Self::Hash, Self::List, Self::Set, Self::SortedSet, Self::Stream];

    /// The name that TYPE and SCAN's TYPE option use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Hash => "hash",
            Self::List => "list",
            Self::Set => "set",
            Self::SortedSet => "zset",
            Self::Stream => "stream",
        }
    }

    /// The first byte of a packed collection of this type.
    pub(crate) const fn tag(self) -> u8 {
        self as u8
    }

    /// The type that a packed collection's first byte names.
    pub(crate) fn of_tag(tag: u8) -> Self {
        const ALL: [Kind; 6] =
            [Kind::String, Kind::Hash, Kind::List, Kind::Set, Kind::SortedSet, Kind::Stream];
        if tag == INTEGERS { Self::Set } else { ALL[tag as usize] }
    }
}

/// The first byte of a packed set whose members are a sorted run of integers.
pub(crate) const INTEGERS: u8 = 0x40;

/// The encoding of a value, as OBJECT ENCODING names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// A string kept as an integer.
    Int,
    /// A short string that was never modified.
    Embstr,
    /// Any other string.
    Raw,
    /// A small collection in one run of bytes.
    Listpack,
    /// A large hash or set.
    Hashtable,
    /// A set of integers, sorted.
    Intset,
    /// A large list.
    Quicklist,
    /// A large sorted set.
    Skiplist,
    /// A stream.
    Stream,
}

impl Encoding {
    /// Redis's name of it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Int => "int",
            Self::Embstr => "embstr",
            Self::Raw => "raw",
            Self::Listpack => "listpack",
            Self::Hashtable => "hashtable",
            Self::Intset => "intset",
            Self::Quicklist => "quicklist",
            Self::Skiplist => "skiplist",
            Self::Stream => "stream",
        }
    }
}

/// The key holds a value of another type than the command works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongType;

/// A string value, borrowed from the keyspace.
#[derive(Clone, Copy, Debug)]
pub enum Str<'a> {
    /// Kept as an integer.
    Int(i64),
    /// Kept inside the entry.
    Bytes(&'a [u8]),
    /// Kept by reference.
    Large(&'a Bytes),
    /// Kept deflated inside the entry.
    Compressed(CompressedStr<'a>),
}

/// Room for a string's bytes while somebody looks at them: those of an integer and of a
/// compressed string do not lie in the keyspace.
#[derive(Default)]
pub struct StrBuffer {
    digits: itoa::Buffer,
    inflated: Vec<u8>,
}

impl StrBuffer {
    /// An empty one; allocates nothing.
    pub fn new() -> Self {
        Self { digits: itoa::Buffer::new(), inflated: Vec::new() }
    }
}

impl<'a> Str<'a> {
    pub(crate) fn of(item: &'a Item) -> Result<Self, WrongType> {
        match item.payload() {
            Payload::Int(n) => Ok(Self::Int(n)),
            Payload::Bytes(bytes) if item.flags() & (COMPRESSED | PACKED) == 0 => {
                Ok(Self::Bytes(bytes))
            }
            Payload::Object(Object::Large(large)) => Ok(Self::Large(&large.bytes)),
            Payload::Bytes(stored) if item.flags() & COMPRESSED != 0 => {
                Ok(Self::Compressed(CompressedStr::new(stored)))
            }
            Payload::Bytes(_) | Payload::Object(_) => Err(WrongType),
        }
    }

    /// The bytes; what does not lie in the keyspace as such is written into `buffer` first.
    pub fn as_bytes<'b>(&'b self, buffer: &'b mut StrBuffer) -> &'b [u8] {
        self.head(usize::MAX, buffer)
    }

    /// At least the first `len` bytes, or all if there are fewer: cheaper than all of a
    /// compressed string.
    pub fn head<'b>(&'b self, len: usize, buffer: &'b mut StrBuffer) -> &'b [u8] {
        match self {
            Self::Int(n) => buffer.digits.format(*n).as_bytes(),
            Self::Bytes(bytes) => bytes,
            Self::Large(bytes) => bytes,
            Self::Compressed(string) => {
                buffer.inflated.clear();
                if string.inflate_into(&mut buffer.inflated, len).is_err() {
                    // It reads as zeros, so that all commands agree on its length.
                    buffer.inflated.resize(string.len().min(len), 0);
                }
                &buffer.inflated
            }
        }
    }

    /// Length in bytes of the text.
    pub fn len(&self) -> usize {
        match self {
            Self::Int(n) => itoa::Buffer::new().format(*n).len(),
            Self::Bytes(bytes) => bytes.len(),
            Self::Large(bytes) => bytes.len(),
            Self::Compressed(string) => string.len(),
        }
    }

    /// Whether the text is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A copy of the bytes.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut buffer = StrBuffer::new();
        let bytes = self.as_bytes(&mut buffer);
        if let Self::Compressed(_) = self { buffer.inflated } else { bytes.to_vec() }
    }
}

/// A string to be stored.
#[derive(Clone, Debug)]
pub enum NewValue<'a> {
    /// An integer.
    Int(i64),
    /// Bytes that are known not to be an integer's text.
    Bytes(&'a [u8]),
    /// Bytes to be shared, longer than [`INLINE_MAX`].
    Large(Bytes),
    /// Bytes that a command computed piecewise; OBJECT ENCODING calls them `raw`.
    Raw(&'a [u8]),
    /// Bytes as a client sent them, deflated.
    Compressed(&'a Compressed),
}

impl<'a> NewValue<'a> {
    /// Chooses the representation for bytes as a client sent them.
    pub fn of(bytes: &'a [u8]) -> Self {
        match canonical_integer(bytes) {
            Some(n) => Self::Int(n),
            None if bytes.len() <= INLINE_MAX => Self::Bytes(bytes),
            None => Self::Large(Bytes::copy_from_slice(bytes)),
        }
    }

    /// The entry's payload, and the flags of its form.
    pub(crate) fn into_payload(self) -> (NewPayload<'a, Object>, u8) {
        match self {
            Self::Int(n) => (NewPayload::Int(n), 0),
            Self::Raw(bytes) if bytes.len() > INLINE_MAX => {
                (NewPayload::Object(Object::Large(Large::with_room(bytes, bytes.len()))), RAW)
            }
            Self::Bytes(bytes) => (NewPayload::Bytes(bytes), 0),
            Self::Raw(bytes) => (NewPayload::Bytes(bytes), RAW),
            Self::Large(bytes) => (NewPayload::Object(Object::Large(Large::new(bytes))), 0),
            Self::Compressed(stored) => (NewPayload::Bytes(stored.as_bytes()), COMPRESSED),
        }
    }
}

/// Replaces a compressed value by its bytes, which stay uncompressed: what is changed in place
/// once is likely to be changed again.
pub(crate) fn inflate(item: &mut Item) {
    let Ok(string @ Str::Compressed(_)) = Str::of(item) else { return };
    let bytes = string.to_vec();
    let payload = if bytes.len() <= INLINE_MAX {
        NewPayload::Bytes(&bytes)
    } else {
        NewPayload::Object(Object::Large(Large::new(Bytes::from(bytes))))
    };
    item.set_payload(payload);
    item.set_flags(item.flags() & !COMPRESSED);
}

/// The encoding that OBJECT ENCODING shows for an entry.
pub(crate) fn encoding(item: &Item) -> Encoding {
    match item.payload() {
        Payload::Int(_) => Encoding::Int,
        Payload::Bytes(bytes) if item.flags() & FORM == 0 && bytes.len() <= EMBSTR_MAX => {
            Encoding::Embstr
        }
        Payload::Bytes(stored)
            if item.flags() & FORM == COMPRESSED
                && CompressedStr::new(stored).len() <= EMBSTR_MAX =>
        {
            Encoding::Embstr
        }
        Payload::Bytes([INTEGERS, ..]) if item.flags() & PACKED != 0 => Encoding::Intset,
        Payload::Bytes(_) if item.flags() & PACKED != 0 => Encoding::Listpack,
        Payload::Object(Object::Hash(_) | Object::Set(_)) => Encoding::Hashtable,
        Payload::Object(Object::SortedSet(_)) => Encoding::Skiplist,
        Payload::Object(Object::List(list)) if list.is_quick() => Encoding::Quicklist,
        Payload::Object(Object::List(_)) => Encoding::Listpack,
        Payload::Object(Object::Stream(_)) => Encoding::Stream,
        Payload::Bytes(_) | Payload::Object(Object::Large(_)) => Encoding::Raw,
    }
}

/// Whether a string is kept as an integer.
pub(crate) fn is_integer(bytes: &[u8]) -> bool {
    canonical_integer(bytes).is_some()
}
