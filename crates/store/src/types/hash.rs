//! Hashes: fields with values.
//!
//! Packed, a field is followed by its value; a lookup walks over at most `hash_entries` pairs.
//! Large, each field is an entry of its own (field and value in one allocation) in a table in hash
//! order, as the keys of the keyspace are: lookups, growth in small steps and HSCAN come with it.
//!
//! Rules: the footprint of a large hash is kept as fields change. Neighbours: `types` for what is
//! common. Tests: below, and the transcripts of the group `hash`.

use pannier_collections::{Encoded, Entry, NewPayload, Packed, Payload, Piece, Table};

use super::{Body, Collection, Limits, Opened, PACKED_COUNT_MAX, packed};
use crate::hash::KeyHasher;
use crate::value::{Kind, Object};

/// The type hash.
#[derive(Debug)]
pub enum Hash {}

impl Collection for Hash {
    const KIND: Kind = Kind::Hash;
    type Ref<'v> = HashRef<'v>;
    type Mut<'v> = HashMut<'v>;

    fn read(body: Body<'_>) -> HashRef<'_> {
        match (packed(body.item), body.item.payload()) {
            (Some((list, count)), _) => HashRef::Packed { list, count },
            (None, Payload::Object(Object::Hash(large))) => HashRef::Large(large),
            (None, _) => HashRef::Packed { list: Packed::new(&[]), count: 0 },
        }
    }

    fn open(opened: Opened<'_>) -> HashMut<'_> {
        HashMut { opened }
    }
}

/// A hash, to be read.
#[derive(Clone, Copy)]
pub enum HashRef<'v> {
    #[doc(hidden)]
    Packed { list: Packed<'v>, count: usize },
    #[doc(hidden)]
    Large(&'v LargeHash),
}

impl<'v> HashRef<'v> {
    /// Number of fields.
    pub fn len(self) -> usize {
        match self {
            Self::Packed { count, .. } => count / 2,
            Self::Large(large) => large.table.len(),
        }
    }

    /// Whether it has no field.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The value of a field.
    pub fn get(self, field: &[u8]) -> Option<Piece<'v>> {
        match self {
            Self::Packed { list, .. } => {
                let at = list.find(Piece::of(field), 2)?;
                Some(list.get(list.skip(at)?)?.0)
            }
            Self::Large(large) => large.find(field).map(value_of),
        }
    }

    /// Hands every field with its value to `visit`, in no particular order.
    pub fn for_each(self, mut visit: impl FnMut(Piece<'v>, Piece<'v>)) {
        match self {
            Self::Packed { list, .. } => {
                let mut pieces = list.iter();
                while let (Some(field), Some(value)) = (pieces.next(), pieces.next()) {
                    visit(field, value);
                }
            }
            Self::Large(large) => {
                for field in large.table.iter() {
                    visit(Piece::Bytes(field.key()), value_of(field));
                }
            }
        }
    }
}

/// A hash, to be changed.
pub struct HashMut<'v> {
    opened: Opened<'v>,
}

impl HashMut<'_> {
    /// The hash as it is now.
    pub fn as_ref(&self) -> HashRef<'_> {
        Hash::read(self.opened.body())
    }

    /// Sets a field; true when it is new.
    pub fn set(&mut self, field: &[u8], value: &[u8]) -> bool {
        self.opened.count(1);
        let limits = self.opened.limits;
        if let Some((list, count)) = self.opened.packed() {
            let fits = field.len().max(value.len()) <= limits.hash_value;
            match list.find(Piece::of(field), 2) {
                Some(at) if fits => {
                    let (from, to) = value_range(list, at);
                    let value = Encoded::of(&[value]);
                    self.opened.splice(from, to - from, value.as_bytes(), 0);
                    return false;
                }
                None if fits && count / 2 < pairs_max(limits) => {
                    let end = list.bytes().len();
                    let pair = Encoded::of(&[field, value]);
                    self.opened.splice(end, 0, pair.as_bytes(), 2);
                    return true;
                }
                _ => self.enlarge(),
            }
        }
        self.large().is_some_and(|large| large.set(field, value))
    }

    /// Removes a field; false when there was none.
    pub fn remove(&mut self, field: &[u8]) -> bool {
        let removed = if let Some((list, _)) = self.opened.packed() {
            let range = list.find(Piece::of(field), 2).map(|at| (at, value_range(list, at).1));
            range.map(|(at, end)| self.opened.splice(at, end - at, &[], -2)).is_some()
        } else {
            self.large().is_some_and(|large| large.remove(field))
        };
        self.opened.count(u64::from(removed));
        removed
    }

    fn enlarge(&mut self) {
        let mut large = LargeHash::new(self.opened.hasher);
        self.as_ref().for_each(|field, value| {
            let mut digits = itoa::Buffer::new();
            let field = field.as_bytes(&mut digits);
            large.insert(Entry::new(field, payload_of(value), None));
        });
        self.opened.enlarge(Object::Hash(Box::new(large)));
    }

    fn large(&mut self) -> Option<&mut LargeHash> {
        match self.opened.item.object_mut() {
            Some(Object::Hash(large)) => Some(large),
            _ => None,
        }
    }
}

/// A hash as a table of its fields.
pub struct LargeHash {
    table: Table<Field>,
    hasher: KeyHasher,
    /// Bytes of the fields, without the table.
    bytes: usize,
}

/// A field with its value.
type Field = Entry<std::convert::Infallible>;

impl LargeHash {
    fn new(hasher: &KeyHasher) -> Self {
        Self { table: Table::new(), hasher: hasher.clone(), bytes: 0 }
    }

    fn find(&self, field: &[u8]) -> Option<&Field> {
        self.table.find(self.hasher.hash(field), |held| held.key() == field)
    }

    fn find_mut(&mut self, field: &[u8]) -> Option<&mut Field> {
        self.table.find_mut(self.hasher.hash(field), |held| held.key() == field)
    }

    fn set(&mut self, field: &[u8], value: &[u8]) -> bool {
        let payload = payload_of(Piece::of(value));
        if let Some(held) = self.find_mut(field) {
            let before = held.footprint();
            held.set_payload(payload);
            let after = held.footprint();
            self.bytes = self.bytes + after - before;
            return false;
        }
        self.insert(Entry::new(field, payload, None));
        true
    }

    /// Puts in a field that is not there.
    fn insert(&mut self, field: Field) {
        let hasher = &self.hasher;
        self.bytes += field.footprint();
        self.table.insert(hasher.hash(field.key()), field, |held| hasher.hash(held.key()));
    }

    fn remove(&mut self, field: &[u8]) -> bool {
        let hasher = &self.hasher;
        let hash_of = |held: &Field| hasher.hash(held.key());
        let removed = self.table.remove(hasher.hash(field), |held| held.key() == field, hash_of);
        self.bytes -= removed.as_ref().map_or(0, Field::footprint);
        removed.is_some()
    }

    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    pub(crate) fn footprint(&self) -> usize {
        size_of::<Self>() + self.bytes + self.table.footprint()
    }
}

impl Clone for LargeHash {
    fn clone(&self) -> Self {
        let mut copy = Self::new(&self.hasher);
        for field in self.table.iter() {
            copy.insert(Entry::new(field.key(), payload_of(value_of(field)), field.deadline()));
        }
        copy
    }
}

fn payload_of(value: Piece<'_>) -> NewPayload<'_, std::convert::Infallible> {
    match value {
        Piece::Int(number) => NewPayload::Int(number),
        Piece::Bytes(bytes) => NewPayload::Bytes(bytes),
    }
}

fn value_of(field: &Field) -> Piece<'_> {
    match field.payload() {
        Payload::Int(number) => Piece::Int(number),
        Payload::Bytes(bytes) => Piece::Bytes(bytes),
        Payload::Object(never) => match *never {},
    }
}

/// Where the value of the packed field at `at` begins and ends.
fn value_range(list: Packed<'_>, at: usize) -> (usize, usize) {
    let from = list.skip(at).unwrap_or(at);
    (from, list.skip(from).unwrap_or(from))
}

fn pairs_max(limits: &Limits) -> usize {
    limits.hash_entries.min(PACKED_COUNT_MAX / 2)
}
