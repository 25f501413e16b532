//! LZF, the compression of strings inside the format.
//!
//! ```text
//!  000lllll             l + 1 bytes follow as they are
//!  lllooooo oooooooo    l + 2 bytes (l from 1 to 6) are those from o + 1 bytes back
//!  111ooooo n oooooooo  n + 9 bytes
//! ```
//!
//! It is of our own making because the one crate for it is given up by its author, and the format
//! is these three lines. Finding matches takes one probe of a table of positions by the hash of
//! three bytes, as LZF is meant; the table is as large as the input is long, because one of fixed
//! size costs more to clear than short strings cost to compress. What Redis makes of the same
//! input may be other bytes; each reads the other's.
//!
//! Rules: decompressing grows its buffer with what the stream really holds, and stops where it
//! would exceed the length that was announced. Tests: below, and the fuzz
//! target `dump`.

use crate::reader::STRING_MAX;

/// Farthest a match reaches back.
const BACK_MAX: usize = 1 << 13;
/// Longest match.
const MATCH_MAX: usize = 264;
/// Longest run of bytes as they are.
const RUN_MAX: usize = 32;
/// What one byte of a stream can become: three bytes that mean the longest match.
const GROWTH_MAX: usize = MATCH_MAX / 3;

/// The stream for a string, if it is at least four bytes shorter.
pub(crate) fn compress(input: &[u8]) -> Option<Vec<u8>> {
    let room = input.len().checked_sub(4)?;
    let bits = (usize::BITS - input.len().leading_zeros()).clamp(6, BACK_MAX.ilog2());
    // Positions are kept plus one, so that zero is none.
    let mut seen = vec![0u32; 1 << bits];
    let mut out = Vec::with_capacity(room);
    let (mut at, mut run) = (0, 0);
    while let Some(three) = input.get(at..at + 3) {
        let slot = &mut seen[slot_of(three, bits)];
        let candidate = std::mem::replace(slot, u32::try_from(at + 1).ok()?) as usize;
        let back = (at + 1).wrapping_sub(candidate);
        if candidate == 0 || back > BACK_MAX || input[candidate - 1..candidate + 2] != *three {
            at += 1;
            continue;
        }
        let len = 3 + same(&input[candidate + 2..], &input[at + 3..], MATCH_MAX - 3);
        literals(&mut out, &input[run..at]);
        reference(&mut out, back - 1, len);
        if out.len() > room {
            return None;
        }
        at += len;
        run = at;
        // The last position of the match is worth remembering; all would cost too much.
        if let Some(three) = input.get(at - 1..at + 2) {
            seen[slot_of(three, bits)] = u32::try_from(at).ok()?;
        }
    }
    literals(&mut out, &input[run..]);
    (out.len() <= room).then_some(out)
}

/// The string of a stream, if it has exactly this length.
pub(crate) fn decompress(stream: &[u8], len: usize) -> Option<Vec<u8>> {
    if len > STRING_MAX || len.div_ceil(GROWTH_MAX) > stream.len() {
        return None;
    }
    let mut out = Vec::with_capacity(len.min(4 * stream.len()));
    let mut rest = stream.iter();
    while let Some(&head) = rest.next() {
        let head = usize::from(head);
        if head < RUN_MAX {
            let (run, left) = rest.as_slice().split_at_checked(head + 1)?;
            out.extend_from_slice(run);
            rest = left.iter();
        } else {
            let long = if head >> 5 == 7 { usize::from(*rest.next()?) } else { 0 };
            let back = ((head & 0x1F) << 8 | usize::from(*rest.next()?)) + 1;
            let from = out.len().checked_sub(back)?;
            let run = (head >> 5) + long + 2;
            if back >= run {
                out.extend_from_within(from..from + run);
            } else {
                (from..from + run).for_each(|at| out.push(out[at]));
            }
        }
        if out.len() > len {
            return None;
        }
    }
    (out.len() == len).then_some(out)
}

fn slot_of(three: &[u8], bits: u32) -> usize {
    let word = u32::from_le_bytes([three[0], three[1], three[2], 0]);
    (word.wrapping_mul(0x9E37_79B1) >> (32 - bits)) as usize
}

/// How many bytes two slices have in common at their beginnings, up to a limit.
fn same(a: &[u8], b: &[u8], max: usize) -> usize {
    a.iter().zip(b).take(max).take_while(|(a, b)| a == b).count()
}

fn literals(out: &mut Vec<u8>, bytes: &[u8]) {
    for run in bytes.chunks(RUN_MAX) {
        out.push((run.len() - 1) as u8);
        out.extend_from_slice(run);
    }
}

fn reference(out: &mut Vec<u8>, offset: usize, len: usize) {
    let (high, low) = ((offset >> 8) as u8, offset as u8);
    match len - 2 {
        short @ 1..7 => out.extend_from_slice(&[(short as u8) << 5 | high, low]),
        long => out.extend_from_slice(&[7 << 5 | high, (long - 7) as u8, low]),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn streams_of_the_original_are_read() {
        assert_eq!(decompress(b"\x01xx\xe0W\x00\x01xx", 100), Some(vec![b'x'; 100]));
    }

    #[test]
    fn long_runs_become_short() {
        for len in [21, 100, 263, 264, 265, 266, 267, 268, 1000, 100_000] {
            let stream = compress(&vec![b'x'; len]).expect("it shrinks");
            assert!(stream.len() < 8 + len / 80, "{len}: {}", stream.len());
            assert_eq!(decompress(&stream, len), Some(vec![b'x'; len]));
        }
    }

    #[test]
    fn what_does_not_shrink_is_left_alone() {
        let mut rng = fastrand::Rng::with_seed(1);
        for len in [0, 1, 3, 4, 20, 100, 5000] {
            let bytes: Vec<u8> = (0..len).map(|_| rng.u8(..)).collect();
            assert_eq!(compress(&bytes), None, "{len}");
        }
    }

    #[test]
    fn a_stream_cannot_claim_what_it_does_not_hold() {
        assert_eq!(decompress(b"\x00x", 1 << 40), None);
        assert_eq!(decompress(b"\x00x", 2), None);
        assert_eq!(decompress(b"\x01xx\xe0W\x00\x01xx", 99), None);
        // A reference to before the beginning, one without its offset, a run cut short.
        for stream in [&b"\x20\x00"[..], b"\x00x\x20", b"\x00x\x20\x01", b"\x05x", b"\x00x\xE0\x01"]
        {
            for len in 0..400 {
                assert_eq!(decompress(stream, len), None, "{stream:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn every_string_comes_back(
            words in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..30), 1..8),
            picks in prop::collection::vec(0..8usize, 1..2000),
        ) {
            let input: Vec<u8> =
                picks.iter().flat_map(|at| words[at % words.len()].clone()).collect();
            if let Some(stream) = compress(&input) {
                prop_assert!(stream.len() + 4 <= input.len());
                prop_assert_eq!(decompress(&stream, input.len()), Some(input));
            }
        }

        #[test]
        fn any_stream_is_harmless(
            stream in prop::collection::vec(any::<u8>(), 0..200),
            len in 0..20_000usize,
        ) {
            if let Some(out) = decompress(&stream, len) {
                prop_assert_eq!(out.len(), len);
            }
        }
    }
}
