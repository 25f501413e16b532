//! A live string entry, opened for change in place.
//!
//! Made by `View::edit`. Every method that changes the value counts one change and tells whoever
//! watches the key; the bytes by which the entry grew are accounted when the guard goes. A value
//! that outgrows its entry moves into a large buffer here, and nowhere else.
//!
//! Neighbours: `value` for the representations, `view` for everything that is not in place.

use bytes::Bytes;
use pannier_collections::hyperloglog::Buffer;
use pannier_collections::{NewPayload, Payload};

use crate::shard::Slot;
use crate::value::{self, INLINE_MAX, Item, Large, NewValue, Object, RAW, Str};

/// A live string entry, to change in place.
pub struct Edit<'v> {
    slot: Slot<'v>,
    dirty: &'v mut u64,
    before: usize,
}

impl<'v> Edit<'v> {
    pub(crate) fn new(mut slot: Slot<'v>, dirty: &'v mut u64) -> Self {
        let before = value::footprint(slot.item);
        slot.inflate();
        Self { slot, dirty, before }
    }

    /// The value before the change.
    pub fn string(&self) -> Str<'_> {
        Str::of(self.slot.item).unwrap_or(Str::Bytes(&[]))
    }

    /// Hands the value's bytes to `change`, to be changed here and there, longer or shorter; it
    /// says how many changes that counts as. The value is `raw` afterwards even without any.
    pub fn pieces(&mut self, change: impl FnOnce(&mut Pieces<'_>) -> u64) {
        let changes = match Str::of(self.slot.item) {
            Ok(Str::Bytes(_)) => change(&mut Pieces(Place::Inline(self.slot.item))),
            Ok(string) => {
                let mut bytes = string.to_vec();
                let changes = change(&mut Pieces(Place::Apart(&mut bytes)));
                self.slot.item.set_payload(NewValue::Raw(&bytes).into_payload().0);
                changes
            }
            Err(_) => 0,
        };
        if let Payload::Bytes(bytes) = self.slot.item.payload()
            && bytes.len() > INLINE_MAX
        {
            let large = NewValue::Large(Bytes::copy_from_slice(bytes));
            self.slot.item.set_payload(large.into_payload().0);
        }
        self.slot.item.set_flags(self.slot.item.flags() | RAW);
        if changes > 0 {
            *self.dirty += changes;
            self.slot.changed();
        }
    }

    /// Counts a change, and tells whoever watches the key.
    fn changed(&mut self) {
        *self.dirty += 1;
        self.slot.changed();
    }

    /// Replaces the value by an integer.
    pub fn set_int(&mut self, n: i64) {
        self.changed();
        self.slot.item.set_payload(NewPayload::Int(n));
        self.slot.item.set_flags(self.slot.item.flags() & !RAW);
    }

    /// Hands the value's bytes to `change`, lengthened with zeros to at least `len_min`.
    /// Counts as one change.
    pub fn bytes<R>(&mut self, len_min: usize, change: impl FnOnce(&mut [u8]) -> R) -> R {
        self.changed();
        self.slot.item.set_flags(self.slot.item.flags() | RAW);
        if let Payload::Int(n) = self.slot.item.payload() {
            let mut digits = itoa::Buffer::new();
            self.slot.item.set_payload(NewPayload::Bytes(digits.format(n).as_bytes()));
        }
        let len = self.string().len().max(len_min);
        if len > INLINE_MAX
            && let Payload::Bytes(bytes) = self.slot.item.payload()
        {
            let large = Large::with_room(bytes, len);
            self.slot.item.set_payload(NewPayload::Object(Object::Large(large)));
        }
        if let Some(Object::Large(large)) = self.slot.item.object_mut() {
            return large.change(len, change);
        }
        self.slot.item.resize_bytes(len);
        change(self.slot.item.bytes_mut().unwrap_or_default())
    }
}

/// The bytes of a string, to be changed piece by piece: those in the entry themselves, or a copy.
pub struct Pieces<'p>(Place<'p>);

enum Place<'p> {
    Inline(&'p mut Item),
    Apart(&'p mut Vec<u8>),
}

impl Buffer for Pieces<'_> {
    fn bytes(&self) -> &[u8] {
        match &self.0 {
            Place::Inline(item) => match item.payload() {
                Payload::Bytes(bytes) => bytes,
                Payload::Int(_) | Payload::Object(_) => &[],
            },
            Place::Apart(bytes) => bytes,
        }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        match &mut self.0 {
            Place::Inline(item) => item.bytes_mut().unwrap_or_default(),
            Place::Apart(bytes) => bytes,
        }
    }

    fn splice(&mut self, at: usize, removed: usize, added: &[u8]) {
        match &mut self.0 {
            Place::Inline(item) => {
                item.splice_bytes(at, removed, added);
            }
            Place::Apart(bytes) => Buffer::splice(*bytes, at, removed, added),
        }
    }
}

impl Drop for Edit<'_> {
    fn drop(&mut self) {
        self.slot.resized(self.before);
    }
}
