//! Writing the primitives of the format: lengths, strings, integers, doubles.
//!
//! A string that is the text of a 32-bit integer becomes that integer, one of more than
//! [`COMPRESSED_MIN`] bytes an LZF stream if that saves four bytes; both as Redis decides it, so
//! that what is neither or an integer is the same bytes there and here.
//! Drawings of the forms are in `reader`.

use pannier_collections::{Piece, canonical_integer};

use crate::lzf;

/// Shorter strings are not worth a stream.
const COMPRESSED_MIN: usize = 21;

/// Bytes that are written, and how.
pub(crate) struct Writer {
    pub(crate) out: Vec<u8>,
    compress: bool,
}

impl Writer {
    pub(crate) const fn new(compress: bool) -> Self {
        Self { out: Vec::new(), compress }
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    pub(crate) fn byte(&mut self, byte: u8) {
        self.out.push(byte);
    }

    pub(crate) fn len(&mut self, len: u64) {
        match len {
            0..0x40 => self.byte(len as u8),
            0x40..0x4000 => self.bytes(&(0x4000 | len as u16).to_be_bytes()),
            0x4000..=0xFFFF_FFFF => {
                self.byte(0x80);
                self.bytes(&(len as u32).to_be_bytes());
            }
            _ => {
                self.byte(0x81);
                self.bytes(&len.to_be_bytes());
            }
        }
    }

    pub(crate) fn count(&mut self, count: usize) {
        self.len(count as u64);
    }

    /// A string in its shortest form.
    pub(crate) fn string(&mut self, string: &[u8]) {
        let small = canonical_integer(string).and_then(|number| i32::try_from(number).ok());
        match small {
            Some(number) => self.small(number),
            None => self.text(string),
        }
    }

    /// An integer, as the string of its digits.
    pub(crate) fn integer(&mut self, number: i64) {
        match i32::try_from(number) {
            Ok(number) => self.small(number),
            Err(_) => self.text(itoa::Buffer::new().format(number).as_bytes()),
        }
    }

    /// An element of a collection, as a string.
    pub(crate) fn piece(&mut self, piece: Piece<'_>) {
        match piece {
            Piece::Int(number) => self.integer(number),
            Piece::Bytes(string) => self.string(string),
        }
    }

    fn small(&mut self, number: i32) {
        if let Ok(number) = i8::try_from(number) {
            self.bytes(&[0xC0, number as u8]);
        } else if let Ok(number) = i16::try_from(number) {
            self.byte(0xC1);
            self.bytes(&number.to_le_bytes());
        } else {
            self.byte(0xC2);
            self.bytes(&number.to_le_bytes());
        }
    }

    fn text(&mut self, string: &[u8]) {
        if self.compress
            && string.len() >= COMPRESSED_MIN
            && let Some(stream) = lzf::compress(string)
        {
            self.byte(0xC3);
            self.count(stream.len());
            self.count(string.len());
            self.bytes(&stream);
            return;
        }
        self.count(string.len());
        self.bytes(string);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn string(string: &[u8]) -> Vec<u8> {
        let mut writer = Writer::new(true);
        writer.string(string);
        writer.out
    }

    #[test]
    fn strings_take_the_forms_that_redis_gives_them() {
        assert_eq!(string(b"hello"), b"\x05hello");
        assert_eq!(string(b"123"), b"\xC0{");
        assert_eq!(string(b"-129"), b"\xC1\x7F\xFF");
        assert_eq!(string(b"-70000"), b"\xC2\x90\xEE\xFE\xFF");
        assert_eq!(string(b"12345678901"), b"\x0b12345678901");
        assert_eq!(string(b"0123"), b"\x040123");
        assert_eq!(string(&[b'x'; 100])[..3], *b"\xC3\x05\x40");
        assert_eq!(string(&[b'x'; 20])[..2], *b"\x14x");
        let mut writer = Writer::new(false);
        writer.string(&[b'x'; 100]);
        assert_eq!(writer.out[..3], *b"\x40\x64x");
    }

    #[test]
    fn lengths_grow_with_the_number() {
        let len = |len| {
            let mut writer = Writer::new(true);
            writer.len(len);
            writer.out
        };
        assert_eq!(len(63), b"\x3F");
        assert_eq!(len(64), b"\x40\x40");
        assert_eq!(len(16383), b"\x7F\xFF");
        assert_eq!(len(16384), b"\x80\0\0\x40\0");
        assert_eq!(len(u64::MAX), b"\x81\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF");
    }
}
