//! Ziplists and zipmaps: how small collections lay in payloads before Redis 7 and 2.6.
//!
//! ```text
//!  ziplist: | bytes in all, 4 | offset of the last element, 4 | elements, 2 | elements | 255 |
//!  element: | length of the one before, 1, or 254 and 4 | head | string |
//!
//!  00llllll             string            11000000 nn         2 bytes, signed
//!  01llllll l           string            11010000 nnnn       4 bytes
//!  10...... llll        string            11100000 nnnnnnnn   8 bytes
//!  (big-endian)                           11110000 nnn        3 bytes
//!                                         11111110 n          1 byte
//!                                         1111vvvv            v - 1, from 0 to 12
//!
//!  zipmap:  | pairs, 1; 254 if there are more | pairs | 255 |
//!  pair:    | length, 1, or 254 and 4 | key | length | unused, 1 | value | unused bytes |
//! ```
//!
//! They are only read; what is read is written as a listpack.

use pannier_collections::Piece;

use crate::listpack::canonical;
use crate::reader::Reader;

/// Behind the last element.
const END: u8 = 0xFF;
/// In place of a one-byte length: a longer one follows.
const LONG: u8 = 0xFE;
/// A count that says only that there are at least so many.
const MANY: usize = u16::MAX as usize;
/// Bytes before the elements.
const HEADER_LEN: usize = 10;

/// The elements of a sound ziplist, integers as such.
pub(crate) fn pieces(bytes: &[u8]) -> Option<Vec<Piece<'_>>> {
    let mut reader = Reader::new(bytes);
    let total = u32::from_le_bytes(reader.array()?) as usize;
    let tail = u32::from_le_bytes(reader.array()?) as usize;
    let counted = usize::from(u16::from_le_bytes(reader.array()?));
    let mut left = Reader::new(reader.bytes(bytes.len().checked_sub(HEADER_LEN + 1)?)?);
    if total != bytes.len() || reader.byte()? != END {
        return None;
    }
    let mut pieces = Vec::new();
    let (mut at, mut last, mut before) = (HEADER_LEN, HEADER_LEN, 0);
    while !left.is_done() {
        let start = left;
        if length(&mut left)? != before {
            return None;
        }
        pieces.push(element(&mut left)?);
        before = start.left() - left.left();
        last = at;
        at += before;
    }
    let count = pieces.len();
    let sound = tail == last && (counted == count || counted == MANY && count >= MANY);
    sound.then_some(pieces)
}

/// The keys and values of a sound zipmap in turn, integers as such.
pub(crate) fn zipmap_pieces(bytes: &[u8]) -> Option<Vec<Piece<'_>>> {
    let [counted, inside @ .., END] = bytes else { return None };
    let mut reader = Reader::new(inside);
    let mut pieces = Vec::new();
    while !reader.is_done() {
        let len = length(&mut reader)?;
        pieces.push(canonical(Piece::Bytes(reader.bytes(len)?)));
        let len = length(&mut reader)?;
        let unused = usize::from(reader.byte()?);
        pieces.push(canonical(Piece::Bytes(reader.bytes(len)?)));
        reader.bytes(unused)?;
    }
    let counted = usize::from(*counted);
    let many = usize::from(LONG);
    (counted == pieces.len() / 2 || counted == many && pieces.len() / 2 >= many).then_some(pieces)
}

/// A length of one byte, or of four behind the mark for it.
fn length(reader: &mut Reader<'_>) -> Option<usize> {
    match reader.byte()? {
        END => None,
        LONG => Some(u32::from_le_bytes(reader.array()?) as usize),
        short => Some(usize::from(short)),
    }
}

fn element<'a>(reader: &mut Reader<'a>) -> Option<Piece<'a>> {
    let head = reader.byte()?;
    let number = match head {
        0..=0x3F => return string(reader, usize::from(head)),
        0x40..=0x7F => {
            let len = usize::from(head & 0x3F) << 8 | usize::from(reader.byte()?);
            return string(reader, len);
        }
        0x80..=0xBF => {
            let len = u32::from_be_bytes(reader.array()?);
            return string(reader, len as usize);
        }
        0xC0 => i64::from(i16::from_le_bytes(reader.array()?)),
        0xD0 => i64::from(i32::from_le_bytes(reader.array()?)),
        0xE0 => i64::from_le_bytes(reader.array()?),
        0xF0 => {
            let [low, middle, high] = reader.array()?;
            i64::from(i32::from_le_bytes([0, low, middle, high]) >> 8)
        }
        0xF1..=0xFD => i64::from(head & 0x0F) - 1,
        0xFE => i64::from(i8::from_le_bytes(reader.array()?)),
        _ => return None,
    };
    Some(Piece::Int(number))
}

fn string<'a>(reader: &mut Reader<'a>, len: usize) -> Option<Piece<'a>> {
    reader.bytes(len).map(|string| canonical(Piece::Bytes(string)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A ziplist of elements that are given without the length of the one before.
    fn ziplist(elements: &[&[u8]]) -> Vec<u8> {
        let (mut out, mut before, mut last) = (vec![0; HEADER_LEN], 0, HEADER_LEN);
        for element in elements {
            last = out.len();
            if before < 254 {
                out.push(before as u8);
            } else {
                out.push(LONG);
                out.extend_from_slice(&(before as u32).to_le_bytes());
            }
            out.extend_from_slice(element);
            before = out.len() - last;
        }
        out.push(END);
        let total = out.len() as u32;
        out[..4].copy_from_slice(&total.to_le_bytes());
        out[4..8].copy_from_slice(&(last as u32).to_le_bytes());
        out[8..10].copy_from_slice(&(elements.len() as u16).to_le_bytes());
        out
    }

    #[test]
    fn every_form_of_element_is_read() {
        let long = [&b"\x41\x2C"[..], &[b'x'; 300]].concat();
        let huge = [&b"\x80\x00\x00\x40\x00"[..], &[b'y'; 16384]].concat();
        let bytes = ziplist(&[
            b"\x01a",
            &long,
            &huge,
            b"\x0242",
            b"\xC0\x00\x80",
            b"\xD0\xFF\xFF\xFF\x7F",
            b"\xE0\0\0\0\0\0\0\0\x80",
            b"\xF0\xFF\xFF\xFF",
            b"\xFE\x80",
            b"\xF1",
            b"\xFD",
        ]);
        let expected = [
            Piece::Bytes(b"a"),
            Piece::Bytes(&[b'x'; 300]),
            Piece::Bytes(&[b'y'; 16384]),
            Piece::Int(42),
            Piece::Int(-32768),
            Piece::Int(i64::from(i32::MAX)),
            Piece::Int(i64::MIN),
            Piece::Int(-1),
            Piece::Int(-128),
            Piece::Int(0),
            Piece::Int(12),
        ];
        assert_eq!(pieces(&bytes).as_deref(), Some(&expected[..]));
        for len in 0..bytes.len() {
            assert_eq!(pieces(&bytes[..len]), None);
        }
    }

    #[test]
    fn lengths_and_offsets_must_be_true() {
        let sound = ziplist(&[b"\x01a", b"\x01b"]);
        for at in [0, 4, 8, 10, 13, sound.len() - 1] {
            let mut damaged = sound.clone();
            damaged[at] ^= 1;
            assert_eq!(pieces(&damaged), None, "{at}");
        }
    }

    #[test]
    fn zipmaps_are_read() {
        let bytes = b"\x02\x01f\x01\x00v\x03foo\x05\x02hello\0\0\xFF";
        let expected = [b"f", &b"v"[..], b"foo", b"hello"].map(Piece::Bytes);
        assert_eq!(zipmap_pieces(bytes).as_deref(), Some(&expected[..]));
        for len in 0..bytes.len() {
            assert_eq!(zipmap_pieces(&bytes[..len]), None);
        }
        assert_eq!(zipmap_pieces(b"\x01\x01f\x01\x00v\x03foo\x05\x02hello\0\0\xFF"), None);
    }
}
