//! Lists in payloads: nodes, each a listpack or one long element alone.
//!
//! ```text
//!  | nodes | 2 | listpack | 1 | element | ..     QUICKLIST_2
//!  | nodes | ziplist | ..                        QUICKLIST
//!  | ziplist |, or | elements | element | ..     before
//! ```
//!
//! The nodes that are written are those that the list has. What is read is pushed element by
//! element, so the nodes made are those that the limits want.

use pannier_collections::Piece;
use pannier_store::{End, Found, List, ListMut, Maker, Taken};

use crate::payload::code;
use crate::reader::Reader;
use crate::writer::Writer;
use crate::{listpack, ziplist};

/// A node that is one element.
const ALONE: u64 = 1;
/// A node that is a listpack.
const PACKED: u64 = 2;

pub(crate) fn write(found: Found<'_>, writer: &mut Writer) {
    let Ok(list) = found.collection::<List>() else { return };
    writer.byte(code::LIST_NODES);
    writer.count(list.runs());
    list.for_each_run(|run| match run.alone() {
        Some(element) => {
            writer.len(ALONE);
            writer.string(element);
        }
        None => {
            writer.len(PACKED);
            writer.string(&listpack::write(run.bytes(), run.len()));
        }
    });
}

pub(crate) fn read(code: u8, reader: &mut Reader<'_>, maker: Maker<'_>) -> Option<Taken> {
    maker.collection::<List>(|list| {
        match code {
            code::LIST => {
                let count = reader.count(1)?;
                (0..count).try_for_each(|_| push(list, &reader.string()?))?;
            }
            code::LIST_ZIPLIST => push_ziplist(list, &reader.string()?)?,
            code::LIST_ZIPLISTS => {
                let count = reader.count(1)?;
                (0..count).try_for_each(|_| push_ziplist(list, &reader.string()?))?;
            }
            _ => {
                let count = reader.count(2)?;
                (0..count).try_for_each(|_| push_node(list, reader))?;
            }
        }
        // Nodes may be empty, a list may not.
        (!list.as_ref().is_empty()).then_some(())
    })
}

fn push_node(list: &mut ListMut<'_>, reader: &mut Reader<'_>) -> Option<()> {
    match reader.len()? {
        ALONE => push(list, &reader.string()?),
        PACKED => push_pieces(list, &listpack::pieces(&reader.string()?)?),
        _ => None,
    }
}

fn push_ziplist(list: &mut ListMut<'_>, bytes: &[u8]) -> Option<()> {
    push_pieces(list, &ziplist::pieces(bytes)?)
}

fn push_pieces(list: &mut ListMut<'_>, pieces: &[Piece<'_>]) -> Option<()> {
    let mut digits = itoa::Buffer::new();
    pieces.iter().try_for_each(|piece| push(list, piece.as_bytes(&mut digits)))
}

/// Pushes an element; never refused, so that a walk over many can go on with it.
fn push(list: &mut ListMut<'_>, element: &[u8]) -> Option<()> {
    list.push(End::Right, std::iter::once(element));
    Some(())
}
