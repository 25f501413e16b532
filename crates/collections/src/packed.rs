//! A packed list: short strings and integers one behind the other in one run of bytes.
//!
//! ```text
//!  element: | head 1 to 9: kind, length or the integer | the string | length of the two, 1 to 5 |
//!
//!  0nnnnnnn              0 to 127            1111_0000 llll..  string, 4 bytes of length
//!  110nnnnn nn           13 bits, signed     1111_0001 nn      2 bytes, signed
//!  10llllll              string, under 64    1111_0010 nnn     3 bytes
//!  1110llll ll           string, under 4096  1111_0011 nnnn    4 bytes; 1111_0100 8 bytes
//! ```
//!
//! Small collections are kept so: a hash as fields and values in turn, a sorted set as members
//! and scores, a list as it is. The bytes are those of Redis's listpack without its six bytes of
//! header and its terminator, so that a payload of DUMP is a copy and not a translation, and what
//! looks like an integer takes one to nine bytes. The length behind each element is read backwards
//! (seven bits a byte, the lowest last) and makes the list walkable from its end.
//!
//! This module only reads and encodes. Whoever owns the bytes changes them with an exchange
//! ([`Splice`]): inside an entry's block, or in a vector. Nothing here counts elements; owners do.
//!
//! Rules: a [`Packed`] trusts its bytes; what comes from outside passes [`Packed::check`] first.
//! Offsets are those of element starts; the end of the bytes is a valid place to insert.
//! Neighbours: `entry` is one owner. Tests: `tests/packed.rs`.

use crate::integer::canonical_integer;

/// Bytes of a packed list, to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packed<'a> {
    bytes: &'a [u8],
}

/// One element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Piece<'a> {
    /// What looks like an integer.
    Int(i64),
    /// Any other string.
    Bytes(&'a [u8]),
}

/// Bytes that can be changed in the middle.
pub trait Splice {
    /// All bytes of the packed list.
    fn bytes(&self) -> &[u8];

    /// Puts `added` in place of the `removed` bytes at `at`.
    fn exchange(&mut self, at: usize, removed: usize, added: &[u8]);
}

impl Splice for Vec<u8> {
    fn bytes(&self) -> &[u8] {
        self
    }

    fn exchange(&mut self, at: usize, removed: usize, added: &[u8]) {
        let (old, tail) = (self.len(), at + removed);
        if added.len() > removed {
            self.resize(old + added.len() - removed, 0);
        }
        self.copy_within(tail..old, at + added.len());
        self.truncate(old + added.len() - removed);
        self[at..at + added.len()].copy_from_slice(added);
    }
}

/// Elements in their encoding, to be spliced in.
///
/// ```
/// use pannier_collections::{Encoded, Packed, Piece, Splice};
/// let mut list = Vec::new();
/// list.exchange(0, 0, Encoded::of(&[b"field", b"42"]).as_bytes());
/// let mut pieces = Packed::new(&list).iter();
/// assert_eq!(pieces.next(), Some(Piece::Bytes(b"field")));
/// assert_eq!(pieces.next(), Some(Piece::Int(42)));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Encoded {
    bytes: smallvec::SmallVec<[u8; 160]>,
}

impl Encoded {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Strings as clients send them.
    pub fn of(strings: &[&[u8]]) -> Self {
        let mut encoded = Self::new();
        for string in strings {
            encoded.push(Piece::of(string));
        }
        encoded
    }

    /// Appends an element.
    ///
    /// # Panics
    /// When a string is longer than `u32::MAX`.
    pub fn push(&mut self, piece: Piece<'_>) {
        let start = self.bytes.len();
        match piece {
            Piece::Int(number) => self.push_int(number),
            Piece::Bytes(string) => {
                self.push_string_head(string.len());
                self.bytes.extend_from_slice(string);
            }
        }
        self.push_back_len(self.bytes.len() - start);
    }

    fn push_string_head(&mut self, len: usize) {
        match len {
            0..64 => self.bytes.push(STR6 | len as u8),
            64..4096 => self.bytes.extend_from_slice(&[STR12 | (len >> 8) as u8, len as u8]),
            _ => {
                let Ok(len) = u32::try_from(len) else { panic!("a string over 4 GiB") };
                self.bytes.push(STR32);
                self.bytes.extend_from_slice(&len.to_le_bytes());
            }
        }
    }

    fn push_int(&mut self, number: i64) {
        let le = number.to_le_bytes();
        match number {
            0..=127 => self.bytes.push(number as u8),
            -4096..=4095 => {
                let bits = (number & 0x1FFF) as u16;
                self.bytes.extend_from_slice(&[INT13 | (bits >> 8) as u8, bits as u8]);
            }
            -0x8000..=0x7FFF => self.push_wide(INT16, &le[..2]),
            -0x80_0000..=0x7F_FFFF => self.push_wide(INT24, &le[..3]),
            -0x8000_0000..=0x7FFF_FFFF => self.push_wide(INT32, &le[..4]),
            _ => self.push_wide(INT64, &le),
        }
    }

    fn push_wide(&mut self, head: u8, le: &[u8]) {
        self.bytes.push(head);
        self.bytes.extend_from_slice(le);
    }

    fn push_back_len(&mut self, len: usize) {
        let count = back_len_bytes(len);
        for at in (0..count).rev() {
            let more = if at + 1 < count { 0x80 } else { 0 };
            // The first byte is the one at which a backward reader stops.
            self.bytes.push((len >> (7 * at) & 0x7F) as u8 | more);
        }
    }

    /// The encoded bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl<'a> Piece<'a> {
    /// The element that a string becomes.
    #[inline]
    pub fn of(string: &'a [u8]) -> Self {
        match canonical_integer(string) {
            Some(number) => Self::Int(number),
            None => Self::Bytes(string),
        }
    }

    /// The string; an integer's digits are written into `digits`.
    #[inline]
    pub fn as_bytes<'b>(&'b self, digits: &'b mut itoa::Buffer) -> &'b [u8] {
        match self {
            Self::Int(number) => digits.format(*number).as_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }

    /// A copy of the string.
    pub fn to_vec(self) -> Vec<u8> {
        self.as_bytes(&mut itoa::Buffer::new()).to_vec()
    }

    /// Length of the string.
    pub fn len(self) -> usize {
        self.as_bytes(&mut itoa::Buffer::new()).len()
    }

    /// Whether the string is empty.
    pub fn is_empty(self) -> bool {
        matches!(self, Self::Bytes([]))
    }

    /// Appends the element in its encoding to a packed list; a string is copied once.
    ///
    /// # Panics
    /// As [`Encoded::push`].
    pub fn append_to(self, list: &mut Vec<u8>) {
        let mut head = Encoded::new();
        match self {
            Self::Bytes(string) if string.len() >= 64 => {
                head.push_string_head(string.len());
                list.reserve(self.encoded_len());
                list.extend_from_slice(head.as_bytes());
                list.extend_from_slice(string);
                let len = head.bytes.len() + string.len();
                head.bytes.clear();
                head.push_back_len(len);
            }
            _ => head.push(self),
        }
        list.extend_from_slice(head.as_bytes());
    }

    /// Bytes that the element takes in a packed list.
    pub fn encoded_len(self) -> usize {
        let len = match self {
            Self::Int(number) => match number {
                0..=127 => 1,
                -4096..=4095 => 2,
                -0x8000..=0x7FFF => 3,
                -0x80_0000..=0x7F_FFFF => 4,
                -0x8000_0000..=0x7FFF_FFFF => 5,
                _ => 9,
            },
            Self::Bytes(string) => match string.len() {
                len @ 0..64 => len + 1,
                len @ 64..4096 => len + 2,
                len => len + 5,
            },
        };
        len + back_len_bytes(len)
    }
}

impl<'a> Packed<'a> {
    /// The list in bytes that are known to be one.
    #[inline]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// The list in bytes from outside and its number of elements, unless they are not a list.
    pub fn check(bytes: &'a [u8]) -> Option<(Self, usize)> {
        let (mut at, mut count) = (0, 0);
        while at < bytes.len() {
            at += Head::check(&bytes[at..])?;
            count += 1;
        }
        Some((Self { bytes }, count))
    }

    /// The bytes.
    #[inline]
    pub const fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// Whether it has no element.
    #[inline]
    pub const fn is_empty(self) -> bool {
        self.bytes.is_empty()
    }

    /// The element that starts at `at`, and where the next one starts; `None` at the end.
    #[inline]
    pub fn get(self, at: usize) -> Option<(Piece<'a>, usize)> {
        let rest = self.bytes.get(at..).filter(|rest| !rest.is_empty())?;
        let head = Head::read(rest);
        Some((head.piece(rest), at + head.total()))
    }

    /// Where the element before `at` starts; `None` at the beginning.
    #[inline]
    pub fn before(self, at: usize) -> Option<usize> {
        let mut end = at.checked_sub(1)?;
        let (mut len, mut shift) = (0, 0);
        loop {
            len |= (self.bytes[end] as usize & 0x7F) << shift;
            if self.bytes[end] & 0x80 == 0 {
                return end.checked_sub(len);
            }
            shift += 7;
            end -= 1;
        }
    }

    /// Where element number `index` starts.
    pub fn offset(self, index: usize) -> Option<usize> {
        let mut at = 0;
        for _ in 0..index {
            at = self.skip(at)?;
        }
        (at < self.bytes.len()).then_some(at)
    }

    /// Where element number `index` from the end starts; 0 is the last one.
    pub fn offset_back(self, index: usize) -> Option<usize> {
        let mut at = self.bytes.len();
        for _ in 0..=index {
            at = self.before(at)?;
        }
        Some(at)
    }

    /// Where the element behind the one at `at` starts.
    #[inline]
    pub fn skip(self, at: usize) -> Option<usize> {
        let rest = self.bytes.get(at..).filter(|rest| !rest.is_empty())?;
        Some(at + Head::read(rest).total())
    }

    /// Where the first of every `stride` elements that equals `needle` starts.
    #[inline]
    pub fn find(self, needle: Piece<'_>, stride: usize) -> Option<usize> {
        let mut at = 0;
        while at < self.bytes.len() {
            let rest = &self.bytes[at..];
            let head = Head::read(rest);
            if head.piece(rest) == needle {
                return Some(at);
            }
            at += head.total();
            for _ in 1..stride {
                at = self.skip(at)?;
            }
        }
        None
    }

    /// The elements, from both ends.
    #[inline]
    pub const fn iter(self) -> Iter<'a> {
        Iter { list: self, front: 0, back: self.bytes.len() }
    }
}

impl<'a> IntoIterator for Packed<'a> {
    type Item = Piece<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// The elements of a packed list.
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    list: Packed<'a>,
    front: usize,
    back: usize,
}

impl<'a> Iter<'a> {
    /// Where the next element from the front starts.
    pub const fn offset(&self) -> usize {
        self.front
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = Piece<'a>;

    #[inline]
    fn next(&mut self) -> Option<Piece<'a>> {
        if self.front >= self.back {
            return None;
        }
        let (piece, next) = self.list.get(self.front)?;
        self.front = next;
        Some(piece)
    }
}

impl DoubleEndedIterator for Iter<'_> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        if self.front >= self.back {
            return None;
        }
        self.back = self.list.before(self.back)?;
        self.list.get(self.back).map(|(piece, _)| piece)
    }
}

/// What the head of an element says.
struct Head {
    /// The integer, when it is one.
    number: Option<i64>,
    /// Bytes of the head, and of the string behind it.
    head: usize,
    string: usize,
}

impl Head {
    /// Reads the head of the element at the beginning of `bytes`.
    #[inline]
    fn read(bytes: &[u8]) -> Self {
        let first = bytes[0];
        let (number, head, string) = match first {
            0..STR6 => (Some(i64::from(first)), 1, 0),
            STR6..INT13 => (None, 1, (first & 0x3F) as usize),
            INT13..STR12 => (Some(signed(&[bytes[1], first & 0x1F], 13)), 2, 0),
            STR12..STR32 => (None, 2, (first as usize & 0xF) << 8 | bytes[1] as usize),
            STR32 => {
                (None, 5, u32::from_le_bytes([bytes[1], bytes[2], bytes[3], bytes[4]]) as usize)
            }
            INT16 => (Some(signed(&bytes[1..3], 16)), 3, 0),
            INT24 => (Some(signed(&bytes[1..4], 24)), 4, 0),
            INT32 => (Some(signed(&bytes[1..5], 32)), 5, 0),
            _ => (Some(signed(&bytes[1..9], 64)), 9, 0),
        };
        Self { number, head, string }
    }

    /// The length of the element at the beginning of `bytes`, if there is a sound one.
    fn check(bytes: &[u8]) -> Option<usize> {
        let first = *bytes.first()?;
        let needed = match first {
            0..INT13 => 1,
            INT13..STR32 => 2,
            STR32 | INT32 => 5,
            INT16 => 3,
            INT24 => 4,
            INT64 => 9,
            _ => return None,
        };
        bytes.get(..needed)?;
        let head = Self::read(bytes);
        let len = head.head + head.string;
        let back = bytes.get(len..len.checked_add(back_len_bytes(len))?)?;
        let mut sound = Encoded::new();
        sound.push_back_len(len);
        (sound.as_bytes() == back).then_some(len + back.len())
    }

    #[inline]
    fn piece<'a>(&self, bytes: &'a [u8]) -> Piece<'a> {
        match self.number {
            Some(number) => Piece::Int(number),
            None => Piece::Bytes(&bytes[self.head..self.head + self.string]),
        }
    }

    /// Bytes of the whole element.
    #[inline]
    fn total(&self) -> usize {
        let len = self.head + self.string;
        len + back_len_bytes(len)
    }
}

/// The signed integer of so many bits in little-endian bytes.
#[inline]
fn signed(le: &[u8], bits: u32) -> i64 {
    let mut wide = [0; 8];
    wide[..le.len()].copy_from_slice(le);
    i64::from_le_bytes(wide) << (64 - bits) >> (64 - bits)
}

/// Bytes of the length behind an element; the odd limits are the format's.
#[inline]
const fn back_len_bytes(len: usize) -> usize {
    match len {
        0..=127 => 1,
        128..=16_382 => 2,
        16_383..=2_097_150 => 3,
        2_097_151..=268_435_454 => 4,
        _ => 5,
    }
}

const STR6: u8 = 0x80;
const INT13: u8 = 0xC0;
const STR12: u8 = 0xE0;
const STR32: u8 = 0xF0;
const INT16: u8 = 0xF1;
const INT24: u8 = 0xF2;
const INT32: u8 = 0xF3;
const INT64: u8 = 0xF4;
