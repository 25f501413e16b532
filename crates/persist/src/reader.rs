//! Reading the primitives of the format: lengths, strings, integers.
//!
//! ```text
//!  length:  00nnnnnn                  string:  length, bytes
//!           01nnnnnn n                         11000000 n      one byte, signed, as decimal text
//!           10000000 nnnn                      11000001 nn     two bytes
//!           10000001 nnnnnnnn                  11000010 nnnn   four bytes
//!           (big-endian)                       11000011 length, length inflated, LZF stream
//! ```
//!
//! Rules: a [`Reader`] never reads beyond its bytes and allocates no more than they are worth
//! (see `lzf` for what a compressed string can grow to). Neighbours: `writer` is the other way.

use std::borrow::Cow;

use crate::lzf;

/// Longest string that is taken: entries count their bytes in 32 bits.
pub(crate) const STRING_MAX: usize = 1 << 31;

/// What is left to be read.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Bytes that are left.
    pub(crate) const fn left(&self) -> usize {
        self.rest.len()
    }

    /// Whether everything was read.
    pub(crate) const fn is_done(&self) -> bool {
        self.rest.is_empty()
    }

    /// So many bytes.
    pub(crate) fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(head)
    }

    /// A fixed number of bytes.
    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*head)
    }

    pub(crate) fn byte(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// A length, or any other number that is kept as one.
    pub(crate) fn len(&mut self) -> Option<u64> {
        match self.head()? {
            Head::Len(len) => Some(len),
            Head::Int(_) | Head::Compressed => None,
        }
    }

    /// The number of things that follow and take at least `least` bytes each: never zero, and
    /// never more than there can be.
    pub(crate) fn count(&mut self, least: usize) -> Option<usize> {
        self.count_or_none(least).filter(|count| *count > 0)
    }

    /// The same, where there may be none.
    pub(crate) fn count_or_none(&mut self, least: usize) -> Option<usize> {
        let count = usize::try_from(self.len()?).ok()?;
        (count.checked_mul(least)? <= self.rest.len()).then_some(count)
    }

    /// A string.
    pub(crate) fn string(&mut self) -> Option<Cow<'a, [u8]>> {
        match self.head()? {
            Head::Len(len) => {
                let len = usize::try_from(len).ok().filter(|len| *len <= STRING_MAX)?;
                self.bytes(len).map(Cow::Borrowed)
            }
            Head::Int(number) => {
                Some(Cow::Owned(itoa::Buffer::new().format(number).as_bytes().to_vec()))
            }
            Head::Compressed => {
                let stored = usize::try_from(self.len()?).ok()?;
                let len = usize::try_from(self.len()?).ok()?;
                lzf::decompress(self.bytes(stored)?, len).map(Cow::Owned)
            }
        }
    }

    fn head(&mut self) -> Option<Head> {
        let first = self.byte()?;
        Some(match (first >> 6, first & 0x3F) {
            (0, low) => Head::Len(u64::from(low)),
            (1, high) => Head::Len(u64::from(high) << 8 | u64::from(self.byte()?)),
            (2, 0) => Head::Len(u64::from(u32::from_be_bytes(self.array()?))),
            (2, 1) => Head::Len(u64::from_be_bytes(self.array()?)),
            (3, 0) => Head::Int(i32::from(i8::from_le_bytes(self.array()?))),
            (3, 1) => Head::Int(i32::from(i16::from_le_bytes(self.array()?))),
            (3, 2) => Head::Int(i32::from_le_bytes(self.array()?)),
            (3, 3) => Head::Compressed,
            _ => return None,
        })
    }
}

/// How a length or a string begins.
enum Head {
    Len(u64),
    Int(i32),
    Compressed,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn string(bytes: &[u8]) -> Option<Vec<u8>> {
        let mut reader = Reader::new(bytes);
        let text = reader.string()?.into_owned();
        reader.is_done().then_some(text)
    }

    #[test]
    fn strings_come_in_all_forms() {
        assert_eq!(string(b"\x02hi").as_deref(), Some(&b"hi"[..]));
        assert_eq!(string(b"\x00").as_deref(), Some(&b""[..]));
        assert_eq!(string(b"\x40\x02hi").as_deref(), Some(&b"hi"[..]));
        assert_eq!(string(b"\x80\0\0\0\x02hi").as_deref(), Some(&b"hi"[..]));
        assert_eq!(string(b"\x81\0\0\0\0\0\0\0\x02hi").as_deref(), Some(&b"hi"[..]));
        assert_eq!(string(b"\xC0\xFF").as_deref(), Some(&b"-1"[..]));
        assert_eq!(string(b"\xC1\x10\x27").as_deref(), Some(&b"10000"[..]));
        assert_eq!(string(b"\xC2\x90\xEE\xFE\xFF").as_deref(), Some(&b"-70000"[..]));
        let xs = string(b"\xc3\t@d\x01xx\xe0W\x00\x01xx");
        assert_eq!(xs, Some(vec![b'x'; 100]));
    }

    #[test]
    fn lengths_are_bounded_by_what_is_there() {
        for bytes in [&b""[..], b"\x02h", b"\x40", b"\x80\xFF\xFF\xFF\xFFx", b"\xC4", b"\x82"] {
            assert_eq!(string(bytes), None, "{bytes:?}");
        }
        assert_eq!(string(b"\x81\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"), None);
        assert_eq!(Reader::new(b"\x05abc").count(1), None);
        assert_eq!(Reader::new(b"\x03abc").count(1), Some(3));
        assert_eq!(Reader::new(b"\x02abc").count(2), None);
        assert_eq!(Reader::new(b"\x00").count(1), None);
        assert_eq!(Reader::new(b"\x00").count_or_none(1), Some(0));
        assert_eq!(Reader::new(b"\x81\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF").count(16), None);
        assert_eq!(Reader::new(b"\xC0\x01").len(), None);
    }
}
