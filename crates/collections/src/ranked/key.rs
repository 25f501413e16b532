//! What the tree sorts by, as one string of bytes: the score, made comparable as an unsigned
//! number, and behind it the member.
//!
//! ```text
//!  | score, 8: bits turned so that they sort | member ...   | zeros without end
//! ```
//!
//! One string instead of a pair makes one rule of "by score, ties by bytes": nodes can cut what
//! all their keys share, wherever it ends, and keep the next eight bytes ([`Key::word`]).
//!
//! Rules: -0 and 0 are one score. A missing byte reads as zero, so words order keys only weakly:
//! equal words say nothing. Neighbours: `keys` uses it.

/// A place in the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key<'a> {
    score: u64,
    bytes: &'a [u8],
}

impl<'a> Key<'a> {
    /// The place of a member with its score.
    #[inline]
    pub(super) fn new(score: f64, bytes: &'a [u8]) -> Self {
        // The sum turns -0 into 0.
        let bits = (score + 0.0).to_bits();
        let negative = ((bits as i64) >> 63) as u64;
        Self { score: bits ^ (negative | 1 << 63), bytes }
    }

    /// The place behind all members with this score.
    #[inline]
    pub(super) fn behind(score: f64) -> Self {
        // The largest score is infinity, whose bits are not the largest number.
        Self { score: Self::new(score, &[]).score + 1, bytes: &[] }
    }

    /// Length of the string.
    #[inline]
    pub(super) fn len(self) -> usize {
        SCORE + self.bytes.len()
    }

    /// Eight bytes from `at` on as a number that sorts as they do.
    #[inline]
    pub(super) fn word(self, at: usize) -> u64 {
        match at {
            0 => self.score,
            1..SCORE => self.score << (8 * at) | load(self.bytes, 0) >> (64 - 8 * at),
            _ => load(self.bytes, at - SCORE),
        }
    }

    /// The bytes from `at` on, which is not within the score.
    pub(super) fn tail(self, at: usize) -> &'a [u8] {
        self.bytes.get(at - SCORE..).unwrap_or_default()
    }

    /// How many bytes two keys share at the beginning.
    pub(super) fn common(self, other: Self) -> usize {
        if self.score != other.score {
            return ((self.score ^ other.score).leading_zeros() / 8) as usize;
        }
        let same = self.bytes.iter().zip(other.bytes).take_while(|(a, b)| a == b);
        SCORE + same.count()
    }
}

/// Eight bytes from `at` on, the first the most significant; what is missing is zero.
#[inline]
fn load(bytes: &[u8], at: usize) -> u64 {
    let rest = bytes.get(at..).unwrap_or_default();
    if let Some(whole) = rest.first_chunk() {
        return u64::from_be_bytes(*whole);
    }
    let mut word = [0; 8];
    word[..rest.len()].copy_from_slice(rest);
    u64::from_be_bytes(word)
}

/// Bytes that the score takes.
pub(super) const SCORE: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_order_by_score_and_then_by_bytes_and_words_do_not_contradict() {
        let scores =
            [f64::NEG_INFINITY, -1e300, -1.0, -5e-324, 0.0, 5e-324, 1.0, 1.5, f64::INFINITY];
        let strings: [&[u8]; 6] = [b"", b"\0", b"a", b"a\0", b"abcdefghijk", b"b"];
        let keys: Vec<Key<'_>> = scores
            .iter()
            .flat_map(|score| strings.iter().map(|bytes| Key::new(*score, bytes)))
            .collect();
        assert!(keys.is_sorted());
        assert_eq!(Key::new(-0.0, b"a"), Key::new(0.0, b"a"));
        for pair in keys.windows(2) {
            assert!(pair[0] < pair[1]);
            let common = pair[0].common(pair[1]);
            for at in 0..=common {
                assert!(pair[0].word(at) <= pair[1].word(at), "{pair:?} at {at}");
            }
            assert!(pair[0] < Key::behind(f64::INFINITY));
        }
    }

    #[test]
    fn a_word_takes_the_end_of_the_score_and_the_beginning_of_the_bytes() {
        let key = Key { score: 0x0102_0304_0506_0708, bytes: b"\x09\x0a\x0b" };
        assert_eq!(key.word(0), 0x0102_0304_0506_0708);
        assert_eq!(key.word(3), 0x0405_0607_0809_0A0B);
        assert_eq!(key.word(7), 0x0809_0A0B_0000_0000);
        assert_eq!(key.word(9), 0x0A0B_0000_0000_0000);
        assert_eq!(key.word(40), 0);
    }
}
