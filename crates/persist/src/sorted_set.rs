//! Sorted sets in payloads.
//!
//! A packed one is a listpack of members and scores in turn, in order; a large one a count and
//! members as strings, each with its score as eight bytes, from the last to the first as Redis
//! writes them (it builds its list from the end). Scores of old payloads are texts.

use pannier_collections::Piece;
use pannier_store::{Found, Maker, SortedSet, SortedSetRef, Taken};

use crate::payload::code;
use crate::reader::Reader;
use crate::writer::Writer;
use crate::{listpack, ziplist};

pub(crate) fn write(found: Found<'_>, writer: &mut Writer) {
    match found.collection::<SortedSet>() {
        Ok(SortedSetRef::Packed { list, count }) => {
            writer.byte(code::SORTED_SET_LISTPACK);
            writer.string(&listpack::write(list.bytes(), count));
        }
        Ok(set) => {
            writer.byte(code::SORTED_SET_DOUBLES);
            writer.count(set.len());
            for (member, score) in set.range(0..usize::MAX).rev() {
                writer.piece(member);
                writer.bytes(&score.to_le_bytes());
            }
        }
        Err(_) => {}
    }
}

pub(crate) fn read(code: u8, reader: &mut Reader<'_>, maker: Maker<'_>) -> Option<Taken> {
    let score = match code {
        code::SORTED_SET => text_score,
        code::SORTED_SET_DOUBLES => {
            |reader: &mut Reader<'_>| reader.array().map(f64::from_le_bytes)
        }
        _ => {
            let bytes = reader.string()?;
            let pieces = match code {
                code::SORTED_SET_ZIPLIST => ziplist::pieces(&bytes),
                _ => listpack::pieces(&bytes),
            };
            return from_pieces(&pieces?, maker);
        }
    };
    let count = reader.count(2)?;
    maker.collection::<SortedSet>(|set| {
        set.expect(count, 0);
        (0..count).try_for_each(|_| {
            let member = reader.string()?;
            let score = score(reader).filter(|score| !score.is_nan())?;
            set.put(&member, |held| held.is_none().then_some(score)).then_some(())
        })
    })
}

/// The sorted set of members and scores in turn.
fn from_pieces(pieces: &[Piece<'_>], maker: Maker<'_>) -> Option<Taken> {
    let (pairs, rest) = pieces.as_chunks::<2>();
    if pairs.is_empty() || !rest.is_empty() {
        return None;
    }
    let mut digits = itoa::Buffer::new();
    maker.collection::<SortedSet>(|set| {
        set.expect(pairs.len(), 0);
        pairs.iter().try_for_each(|[member, score]| {
            let score = match score {
                Piece::Int(number) => *number as f64,
                Piece::Bytes(text) => number(text)?,
            };
            let member = member.as_bytes(&mut digits);
            set.put(member, |held| held.is_none().then_some(score)).then_some(())
        })
    })
}

/// A score as the oldest payloads have it: a length and digits, or a mark in place of the length.
fn text_score(reader: &mut Reader<'_>) -> Option<f64> {
    match reader.byte()? {
        253 => None,
        254 => Some(f64::INFINITY),
        255 => Some(f64::NEG_INFINITY),
        len => number(reader.bytes(usize::from(len))?),
    }
}

/// The number that a text is.
fn number(text: &[u8]) -> Option<f64> {
    let number: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    (!number.is_nan()).then_some(number)
}
