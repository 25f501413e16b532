//! Listpacks: how small collections lie in payloads.
//!
//! ```text
//!  | bytes in all, 4 | elements, 2; 65535 if there are more | elements (see `Packed`) | 255 |
//! ```
//!
//! The elements are those of a packed collection here, so a dump is a copy. Reading is one too,
//! but through [`pieces`], because a payload may hold as a string what is an integer.

use pannier_collections::{Packed, Piece};

/// Bytes before the elements.
const HEADER_LEN: usize = 6;
/// Behind the last element.
const END: u8 = 0xFF;
/// A count that says only that there are at least so many.
const MANY: usize = u16::MAX as usize;

/// The listpack of so many elements.
pub(crate) fn write(elements: &[u8], count: usize) -> Vec<u8> {
    let total = HEADER_LEN + elements.len() + 1;
    let mut out = Vec::with_capacity(total);
    out.extend_from_slice(&(total as u32).to_le_bytes());
    out.extend_from_slice(&(count.min(MANY) as u16).to_le_bytes());
    out.extend_from_slice(elements);
    out.push(END);
    out
}

/// The elements of a sound listpack and their number.
pub(crate) fn read(bytes: &[u8]) -> Option<(Packed<'_>, usize)> {
    let (total, rest) = bytes.split_first_chunk::<4>()?;
    let (count, rest) = rest.split_first_chunk::<2>()?;
    let [elements @ .., END] = rest else { return None };
    let counted = usize::from(u16::from_le_bytes(*count));
    let (list, count) = Packed::check(elements)?;
    let sound = u32::from_le_bytes(*total) as usize == bytes.len()
        && (counted == count || counted == MANY && count >= MANY);
    sound.then_some((list, count))
}

/// The elements, integers as such.
pub(crate) fn pieces(bytes: &[u8]) -> Option<Vec<Piece<'_>>> {
    let (list, count) = read(bytes)?;
    let mut pieces = Vec::with_capacity(count);
    pieces.extend(list.iter().map(canonical));
    Some(pieces)
}

/// An element as it is kept: what looks like an integer is one.
pub(crate) fn canonical(piece: Piece<'_>) -> Piece<'_> {
    match piece {
        Piece::Int(_) => piece,
        Piece::Bytes(string) => Piece::of(string),
    }
}

#[cfg(test)]
mod tests {
    use pannier_collections::Encoded;

    use super::*;

    #[test]
    fn what_was_written_is_read() {
        let elements = Encoded::of(&[b"a", b"12", b""]);
        let bytes = write(elements.as_bytes(), 3);
        let expected = [Piece::Bytes(b"a"), Piece::Int(12), Piece::Bytes(b"")];
        assert_eq!(pieces(&bytes).as_deref(), Some(&expected[..]));
        assert_eq!(pieces(&write(&[], 0)), Some(vec![]));
    }

    #[test]
    fn headers_must_be_true() {
        let elements = Encoded::of(&[b"a", b"12"]);
        let sound = write(elements.as_bytes(), 2);
        for (at, byte) in [(0, 0), (3, 1), (4, 3), (5, 1), (sound.len() - 1, 0), (7, b'a')] {
            let mut damaged = sound.clone();
            damaged[at] = byte;
            assert_eq!(pieces(&damaged).is_some(), at == 7, "{at}");
        }
        // 65535 is only said of that many.
        let mut many = sound.clone();
        many[4..6].fill(0xFF);
        assert_eq!(pieces(&many), None);
        for len in 0..sound.len() {
            assert_eq!(pieces(&sound[..len]), None);
        }
    }

    #[test]
    fn an_integer_kept_as_text_becomes_an_integer() {
        let bytes = write(b"\x8242\x03", 1);
        assert_eq!(pieces(&bytes), Some(vec![Piece::Int(42)]));
    }
}
