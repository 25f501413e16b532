//! Sets in payloads.
//!
//! A set of integers is a sorted run with its width and length in front. All others are written as
//! a count and strings, also those that are packed here: Redis 7.0 does not know sets as
//! listpacks, and whoever reads the strings packs them again where they fit.
//!
//! ```text
//!  intset: | bytes of an integer, 4: 2, 4 or 8 | count, 4 | integers, ascending |
//! ```

use pannier_collections::{Intset, Piece};
use pannier_store::{Found, Maker, Set, SetRef, Taken};

use crate::listpack;
use crate::payload::code;
use crate::reader::Reader;
use crate::writer::Writer;

pub(crate) fn write(found: Found<'_>, writer: &mut Writer) {
    match found.collection::<Set>() {
        Ok(SetRef::Integers(integers)) => {
            let (width, len) = (integers.width() as u32, integers.len() as u32);
            let head = [width.to_le_bytes(), len.to_le_bytes()].concat();
            writer.byte(code::SET_INTEGERS);
            writer.string(&[&head, integers.bytes()].concat());
        }
        Ok(set) => {
            writer.byte(code::SET);
            writer.count(set.len());
            set.for_each(|member| writer.piece(member));
        }
        Err(_) => {}
    }
}

pub(crate) fn read(code: u8, reader: &mut Reader<'_>, maker: Maker<'_>) -> Option<Taken> {
    match code {
        code::SET => read_strings(reader, maker),
        code::SET_INTEGERS => read_integers(&reader.string()?, maker),
        _ => {
            let bytes = reader.string()?;
            let pieces = listpack::pieces(&bytes).filter(|pieces| !pieces.is_empty())?;
            // Packed where it was dumped, it is packed here as far as the limits permit.
            let large = pieces.len() > maker.limits().set_entries;
            from_pieces(pieces.into_iter(), large, false, maker)
        }
    }
}

/// Integers while there are not too many and nothing else comes: what the set was when it was
/// dumped cannot be seen.
fn read_strings(reader: &mut Reader<'_>, maker: Maker<'_>) -> Option<Taken> {
    let count = reader.count(1)?;
    maker.collection::<Set>(|set| {
        if count > maker.limits().set_integers {
            set.make_large();
        } else {
            set.prepare_integers();
        }
        (0..count).try_for_each(|_| set.add(&reader.string()?).then_some(()))
    })
}

fn read_integers(bytes: &[u8], maker: Maker<'_>) -> Option<Taken> {
    let mut reader = Reader::new(bytes);
    let width = u32::from_le_bytes(reader.array()?) as usize;
    let len = u32::from_le_bytes(reader.array()?) as usize;
    let integers = Intset::check(reader.bytes(reader.left())?, width)?;
    if len == 0 || integers.len() != len {
        return None;
    }
    let large = len > maker.limits().set_integers;
    from_pieces(integers.iter().map(Piece::Int), large, true, maker)
}

/// The set of members, which begins as a large one, as one of integers, or as neither.
fn from_pieces<'a>(
    mut pieces: impl Iterator<Item = Piece<'a>>,
    large: bool,
    integers: bool,
    maker: Maker<'_>,
) -> Option<Taken> {
    let mut digits = itoa::Buffer::new();
    maker.collection::<Set>(|set| {
        if large {
            set.make_large();
        } else if integers {
            set.prepare_integers();
        }
        pieces.try_for_each(|piece| set.add(piece.as_bytes(&mut digits)).then_some(()))
    })
}
