//! A live string entry, opened for change in place.
//!
//! Made by `View::edit`. Every method that changes the value counts one change and tells whoever
//! watches the key; the bytes by which the entry grew are accounted when the guard goes. A value
//! that outgrows its entry moves into a large buffer here, and nowhere else.
//!
//! Neighbours: `value` for the representations, `view` for everything that is not in place.

use pannier_collections::{NewPayload, Payload};

use crate::interest::Interest;
use crate::value::{self, INLINE_MAX, Item, Large, NewValue, Object, RAW, Str};

/// A live string entry, to change in place.
pub struct Edit<'v> {
    pub(crate) item: &'v mut Item,
    pub(crate) interest: &'v Interest,
    pub(crate) database: usize,
    pub(crate) part_bytes: &'v mut isize,
    pub(crate) delta: &'v mut isize,
    pub(crate) dirty: &'v mut u64,
    pub(crate) before: usize,
}

impl Edit<'_> {
    /// The value before the change.
    pub fn string(&self) -> Str<'_> {
        Str::of(self.item).unwrap_or(Str::Bytes(&[]))
    }

    /// Counts a change, and tells whoever watches the key.
    fn changed(&mut self) {
        *self.dirty += 1;
        if !self.interest.is_empty() {
            self.interest.changed(self.database, self.item.key());
        }
    }

    /// Replaces the value by an integer.
    pub fn set_int(&mut self, n: i64) {
        self.changed();
        self.item.set_payload(NewPayload::Int(n));
        self.item.set_flags(self.item.flags() & !RAW);
    }

    /// Replaces the value; the deadline stays.
    pub fn set(&mut self, value: NewValue<'_>) {
        self.changed();
        let (payload, raw) = value.into_payload();
        self.item.set_payload(payload);
        self.item.set_flags(self.item.flags() & !RAW | raw);
    }

    /// Hands the value's bytes to `change`, lengthened with zeros to at least `len_min`.
    /// Counts as one change.
    pub fn bytes<R>(&mut self, len_min: usize, change: impl FnOnce(&mut [u8]) -> R) -> R {
        self.changed();
        self.item.set_flags(self.item.flags() | RAW);
        if let Payload::Int(n) = self.item.payload() {
            let mut digits = itoa::Buffer::new();
            self.item.set_payload(NewPayload::Bytes(digits.format(n).as_bytes()));
        }
        let len = self.string().len().max(len_min);
        if len > INLINE_MAX
            && let Payload::Bytes(bytes) = self.item.payload()
        {
            let large = Large::with_room(bytes, len);
            self.item.set_payload(NewPayload::Object(Object::Large(large)));
        }
        if let Some(Object::Large(large)) = self.item.object_mut() {
            return large.change(len, change);
        }
        self.item.resize_bytes(len);
        change(self.item.bytes_mut().unwrap_or_default())
    }
}

impl Drop for Edit<'_> {
    fn drop(&mut self) {
        let grown = value::footprint(self.item) as isize - self.before as isize;
        *self.part_bytes += grown;
        *self.delta += grown;
    }
}
