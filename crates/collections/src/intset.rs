//! A set of integers in one sorted run of bytes, all as wide as the widest needs.
//!
//! ```text
//!  | -3 | 0 | 17 | 1200 |   little-endian, two, four or eight bytes each, ascending
//! ```
//!
//! Small sets of integers are kept so: the least memory there is (two bytes a member, mostly) and
//! a lookup by halves. The bytes are those of Redis's intset without its header, whose width and
//! count their owner knows: the count is stored, and the width is the bytes' length by it. A
//! member that is too wide for the run widens all others; nothing narrows them again.
//!
//! This module only reads, and says how the run must change ([`Exchange`]); whoever owns the bytes
//! changes them, as with `packed`. Inserting moves what lies behind, so that owners stop at some
//! hundred members.
//!
//! Rules: an [`Intset`] trusts its bytes; what comes from outside passes [`Intset::check`] first.
//! Neighbours: `packed` for small collections of anything. Tests: `tests/intset.rs`.

use smallvec::SmallVec;

/// A sorted run of integers, to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Intset<'a> {
    bytes: &'a [u8],
    width: usize,
}

/// How a run must change: `added` comes in place of the `removed` bytes at `at`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// Where, in bytes.
    pub at: usize,
    /// Bytes to take away.
    pub removed: usize,
    /// Bytes to put there.
    pub added: SmallVec<[u8; 8]>,
}

impl<'a> Intset<'a> {
    /// The set in bytes that are known to be one of `len` integers.
    ///
    /// ```
    /// use pannier_collections::Intset;
    /// let set = Intset::new(&[1, 0, 44, 1], 2);
    /// assert_eq!(set.iter().collect::<Vec<_>>(), [1, 300]);
    /// assert!(set.contains(300) && !set.contains(2));
    /// ```
    #[inline]
    pub const fn new(bytes: &'a [u8], len: usize) -> Self {
        let width = match bytes.len().checked_div(len) {
            Some(width) => width,
            None => NARROWEST,
        };
        Self { bytes, width }
    }

    /// The set in bytes from outside that are said to have `width` bytes an integer, unless they
    /// are none.
    pub fn check(bytes: &'a [u8], width: usize) -> Option<Self> {
        if !matches!(width, 2 | 4 | 8) || !bytes.len().is_multiple_of(width) {
            return None;
        }
        let set = Self { bytes, width };
        set.iter().is_sorted_by(|a, b| a < b).then_some(set)
    }

    /// How the run changes when `value` is added; `None` when it is there.
    pub fn insertion(self, value: i64) -> Option<Exchange> {
        let width = width_of(value);
        if width > self.width {
            // It lies outside of what is there: before the first, or behind the last.
            let mut added = SmallVec::with_capacity((self.len() + 1) * width);
            let mut push = |value: i64| added.extend_from_slice(&value.to_le_bytes()[..width]);
            if value < 0 {
                push(value);
            }
            self.iter().for_each(&mut push);
            if value >= 0 {
                push(value);
            }
            return Some(Exchange { at: 0, removed: self.bytes.len(), added });
        }
        let at = self.search(value).err()? * self.width;
        let added = SmallVec::from_slice(&value.to_le_bytes()[..self.width]);
        Some(Exchange { at, removed: 0, added })
    }

    /// How the run changes when `value` is removed; `None` when it is not there.
    pub fn removal(self, value: i64) -> Option<Exchange> {
        let at = self.search(value).ok()? * self.width;
        Some(Exchange { at, removed: self.width, added: SmallVec::new() })
    }

    /// Number of integers.
    #[inline]
    pub const fn len(self) -> usize {
        self.bytes.len() / self.width
    }

    /// Whether there is none.
    #[inline]
    pub const fn is_empty(self) -> bool {
        self.bytes.is_empty()
    }

    /// Bytes of one integer: 2, 4 or 8.
    #[inline]
    pub const fn width(self) -> usize {
        self.width
    }

    /// The bytes.
    #[inline]
    pub const fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// Integer number `index` in ascending order.
    #[inline]
    pub fn get(self, index: usize) -> Option<i64> {
        let at = index.checked_mul(self.width)?;
        let bytes = self.bytes.get(at..at.checked_add(self.width)?)?;
        Some(match *bytes {
            [a, b] => i64::from(i16::from_le_bytes([a, b])),
            [a, b, c, d] => i64::from(i32::from_le_bytes([a, b, c, d])),
            [a, b, c, d, e, f, g, h] => i64::from_le_bytes([a, b, c, d, e, f, g, h]),
            _ => return None,
        })
    }

    /// Whether `value` is there.
    #[inline]
    pub fn contains(self, value: i64) -> bool {
        width_of(value) <= self.width && self.search(value).is_ok()
    }

    /// The integers, ascending.
    #[inline]
    pub fn iter(self) -> impl DoubleEndedIterator<Item = i64> {
        (0..self.len()).filter_map(move |index| self.get(index))
    }

    /// The index of `value`, or the one at which it would have to be.
    fn search(self, value: i64) -> Result<usize, usize> {
        let (mut low, mut high) = (0, self.len());
        // What is added in order comes last.
        if self.get(high.wrapping_sub(1)).is_some_and(|last| last < value) {
            return Err(high);
        }
        while low < high {
            let middle = low + (high - low) / 2;
            match self.get(middle) {
                Some(held) if held == value => return Ok(middle),
                Some(held) if held < value => low = middle + 1,
                _ => high = middle,
            }
        }
        Err(low)
    }
}

/// Bytes that an integer needs.
#[inline]
const fn width_of(value: i64) -> usize {
    if value as i16 as i64 == value {
        NARROWEST
    } else if value as i32 as i64 == value {
        4
    } else {
        8
    }
}

/// Bytes of an integer in a run that has none yet.
const NARROWEST: usize = 2;
