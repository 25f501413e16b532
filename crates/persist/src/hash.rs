//! Hashes in payloads.
//!
//! A packed one is a listpack of fields and values in turn, a large one a count and its fields and
//! values as strings. Where fields have deadlines Valkey and Redis went different ways under the
//! same type numbers; both are read, and Valkey's is written. A field that is due is left out.

use std::borrow::Cow;
use std::collections::HashSet;

use foldhash::fast::RandomState;
use pannier_collections::{Encoded, Piece};
use pannier_store::{Deadline, Found, Hash, HashMut, HashRef, Kind, Maker, Taken};

use crate::payload::code;
use crate::reader::Reader;
use crate::writer::Writer;
use crate::{listpack, ziplist};

/// Writes a hash; true when it has deadlines, which younger versions alone can read.
pub(crate) fn write(found: Found<'_>, writer: &mut Writer) -> bool {
    match found.collection::<Hash>() {
        Ok(HashRef::Packed { list, count }) => {
            writer.byte(code::HASH_LISTPACK);
            writer.string(&listpack::write(list.bytes(), count));
        }
        Ok(hash) if hash.has_deadlines() => {
            writer.byte(code::HASH_TIMED);
            writer.count(hash.len());
            hash.for_each_timed(|field, value, deadline| {
                writer.piece(field);
                writer.piece(value);
                writer.bytes(&deadline.unwrap_or(NEVER).to_le_bytes());
            });
            return true;
        }
        Ok(hash) => {
            writer.byte(code::HASH);
            writer.count(hash.len());
            hash.for_each(|field, value| {
                writer.piece(field);
                writer.piece(value);
            });
        }
        Err(_) => {}
    }
    false
}

pub(crate) fn read(code: u8, reader: &mut Reader<'_>, maker: Maker<'_>) -> Option<Taken> {
    if code == code::HASH {
        return read_strings(reader, maker);
    }
    let bytes = reader.string()?;
    let pieces = match code {
        code::HASH_ZIPMAP => ziplist::zipmap_pieces(&bytes),
        code::HASH_ZIPLIST => ziplist::pieces(&bytes),
        _ => listpack::pieces(&bytes),
    };
    from_pieces(&pieces?, maker)
}

fn read_strings(reader: &mut Reader<'_>, maker: Maker<'_>) -> Option<Taken> {
    let count = reader.count(2)?;
    if count <= maker.limits().hash_entries {
        let strings = (0..2 * count).map(|_| reader.string());
        let strings = strings.collect::<Option<Vec<Cow<'_, [u8]>>>>()?;
        let pieces: Vec<_> = strings.iter().map(|string| Piece::of(string)).collect();
        return from_pieces(&pieces, maker);
    }
    maker.collection::<Hash>(|hash| {
        hash.expect(count);
        for _ in 0..count {
            let (field, value) = (reader.string()?, reader.string()?);
            hash.set(&field, &value).then_some(())?;
        }
        Some(())
    })
}

/// The hash of fields and values in turn.
fn from_pieces(pieces: &[Piece<'_>], maker: Maker<'_>) -> Option<Taken> {
    let (pairs, rest) = pieces.as_chunks::<2>();
    if pairs.is_empty() || !rest.is_empty() {
        return None;
    }
    let limits = maker.limits();
    let fits = |piece: &Piece<'_>| piece.len() <= limits.hash_value;
    if pairs.len() <= limits.hash_entries.min(PAIRS_MAX) && pieces.iter().all(fits) {
        let mut fields = HashSet::with_capacity_and_hasher(pairs.len(), RandomState::default());
        let mut encoded = Encoded::new();
        for [field, value] in pairs {
            fields.insert(*field).then_some(())?;
            encoded.push(*field);
            encoded.push(*value);
        }
        return Some(maker.packed(Kind::Hash, encoded.as_bytes(), pieces.len()));
    }
    maker.collection::<Hash>(|hash| {
        hash.expect(pairs.len());
        let (mut field_digits, mut value_digits) = (itoa::Buffer::new(), itoa::Buffer::new());
        pairs.iter().try_for_each(|[field, value]| {
            let field = field.as_bytes(&mut field_digits);
            hash.set(field, value.as_bytes(&mut value_digits)).then_some(())
        })
    })
}

/// Valkey's hash with deadlines: behind each value its time, or -1.
pub(crate) fn read_timed(reader: &mut Reader<'_>, maker: Maker<'_>) -> Option<Taken> {
    let count = reader.count(10)?;
    maker.collection::<Hash>(|hash| {
        (0..count).try_for_each(|_| {
            let (field, value) = (reader.string()?, reader.string()?);
            let deadline = match u64::from_le_bytes(reader.array()?) {
                NEVER => None,
                at => Some(at),
            };
            put(hash, (&field, &value), deadline, maker)
        })
    })
}

/// Redis's: the earliest time, and before each field how much later its own is plus one, or 0.
pub(crate) fn read_timed_redis(reader: &mut Reader<'_>, maker: Maker<'_>) -> Option<Taken> {
    let earliest = u64::from_le_bytes(reader.array()?);
    let count = reader.count(3)?;
    maker.collection::<Hash>(|hash| {
        (0..count).try_for_each(|_| {
            let deadline = match reader.len()? {
                0 => None,
                later => Some(earliest.checked_add(later - 1)?),
            };
            put(hash, (&reader.string()?, &reader.string()?), deadline, maker)
        })
    })
}

/// Redis's, packed: the earliest time, and fields, values and times (or 0) in turn.
pub(crate) fn read_timed_listpack(reader: &mut Reader<'_>, maker: Maker<'_>) -> Option<Taken> {
    reader.array::<8>()?;
    let bytes = reader.string()?;
    let pieces = listpack::pieces(&bytes)?;
    let (triples, rest) = pieces.as_chunks::<3>();
    if triples.is_empty() || !rest.is_empty() {
        return None;
    }
    maker.collection::<Hash>(|hash| {
        let (mut field_digits, mut value_digits) = (itoa::Buffer::new(), itoa::Buffer::new());
        triples.iter().try_for_each(|[field, value, time]| {
            let deadline = match time {
                Piece::Int(0) => None,
                Piece::Int(at) => Some(u64::try_from(*at).ok()?),
                Piece::Bytes(_) => return None,
            };
            let field = field.as_bytes(&mut field_digits);
            put(hash, (field, value.as_bytes(&mut value_digits)), deadline, maker)
        })
    })
}

/// Puts in a field that is not there; one that is due is left out.
fn put(
    hash: &mut HashMut<'_>,
    (field, value): (&[u8], &[u8]),
    deadline: Option<u64>,
    maker: Maker<'_>,
) -> Option<()> {
    let deadline = match deadline {
        None => Deadline::Clear,
        Some(at) if at > DEADLINE_MAX => return None,
        Some(at) if at <= maker.now().unix_ms() => return Some(()),
        Some(at) => Deadline::At(at),
    };
    hash.put(field, value, deadline).then_some(())
}

/// In place of a time.
const NEVER: u64 = u64::MAX;
/// Times are signed where they come from.
const DEADLINE_MAX: u64 = i64::MAX as u64;
/// A packed hash counts its fields and values in two bytes.
const PAIRS_MAX: usize = u16::MAX as usize / 2;
