//! Value compression: strings deflated when they are stored and inflated when they are read.
//!
//! A compressed string lies in its entry as any short string does, under the flag `COMPRESSED`:
//! four bytes with its length (so STRLEN inflates nothing), then a raw deflate stream. It is kept
//! so only if that saves an eighth; else the value is stored as it came.
//!
//! Deflating costs 8 us a KiB and more, so it happens before any lock is taken: the caller
//! compresses the arguments first (`exec::compress`) and hands [`Compressed`] to the view. Reading
//! inflates under the shard's lock, at a third of that; [`COMPRESSED_LEN_MAX`] bounds both. The
//! state of a compressor is 320 KB, whose setting up takes as long as deflating a KiB, so states
//! are kept and reused, as many as workers compress at once. An inflater takes 0.3 us to make and
//! is made anew. What looks random (a sample whose bytes are spread evenly) is not tried: 64 KiB
//! of it would cost a millisecond for nothing. Figures, and why zlib-rs: docs/ideas/compression.md.
//!
//! Rules: nothing here panics on a damaged stream; it is logged, and the caller is told.
//! Neighbours: `value` shows compressed strings to commands, `database` counts them.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use pannier_lock::Mutex;

use crate::value::is_integer;

/// Longer strings are not compressed: inflating one holds a shard's lock for a few milliseconds.
const COMPRESSED_LEN_MAX: usize = 4 << 20;

/// Bytes of the length in front of the stream.
const HEADER_LEN: usize = 4;

/// Capacity of the output buffer that a resting compressor keeps.
const CAPACITY_KEPT: usize = 128 << 10;

/// Compressors that are kept for the next value, at most.
const IDLE_MAX: usize = 16;

/// A sample is so many stripes of so many bytes, spread over the value.
const STRIPES: usize = 16;
const STRIPE_LEN: usize = 64;

/// Shorter values are not sampled: too few bytes to tell, and trying them costs little.
const SAMPLED_MIN: usize = STRIPES * STRIPE_LEN;

/// The sum of the squared counts of a sample's bytes, up to which it looks random. Random bytes
/// give 5116 +- 90; what Huffman codes alone shrink by an eighth gives at least 9216.
const RANDOM_MAX: u32 = 6000;

/// Deflates values. One for an engine; shared between its workers.
#[derive(Default)]
pub struct Compressor {
    idle: Mutex<Vec<State>>,
    /// Values that did not shrink enough.
    rejected: AtomicU64,
    /// Keep what does not shrink, too.
    keeps_all: AtomicBool,
}

struct State {
    level: u32,
    deflate: Compress,
    out: Vec<u8>,
}

/// A deflated string, to be stored.
#[derive(Clone, Debug)]
pub struct Compressed(Box<[u8]>);

/// A deflated string in the keyspace.
#[derive(Clone, Copy, Debug)]
pub struct CompressedStr<'a>(&'a [u8]);

/// A deflate stream that does not give back what it was made of: a bug, and logged as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damaged;

impl Compressor {
    /// Deflates a value at a level from 1 (fast) to 9; `None` if that saves less than an eighth.
    ///
    /// ```
    /// let compressor = pannier_store::Compressor::default();
    /// let value = b"all work and no play ".repeat(50);
    /// let stored = compressor.compress(&value, 2).expect("it shrinks");
    /// assert!(stored.as_bytes().len() < value.len() / 10);
    /// ```
    pub fn compress(&self, value: &[u8], level: u32) -> Option<Compressed> {
        let keeps_all = self.keeps_all.load(Relaxed);
        if value.is_empty() || value.len() > COMPRESSED_LEN_MAX || is_integer(value) {
            return None;
        }
        if keeps_all || !looks_random(value) {
            let mut state = self.take(level);
            let len_max = if keeps_all { usize::MAX } else { value.len() - value.len() / 8 };
            let stored = state.deflate(value).filter(|stored| stored.len() <= len_max);
            let stored = stored.map(|stored| Compressed(stored.into()));
            self.put(state);
            if stored.is_some() {
                return stored;
            }
        }
        self.rejected.fetch_add(1, Relaxed);
        None
    }

    /// Keeps whatever was deflated, also what grew by it. For tests, whose values are short.
    pub fn keep_all(&self) {
        self.keeps_all.store(true, Relaxed);
    }

    /// Frees the memory of compressors that are not at work.
    pub fn rest(&self) {
        self.idle.lock().clear();
    }

    /// Begins to count rejected values anew.
    pub fn reset_rejected(&self) {
        self.rejected.store(0, Relaxed);
    }

    /// Values that were tried and stored as they came.
    pub fn rejected(&self) -> u64 {
        self.rejected.load(Relaxed)
    }

    fn take(&self, level: u32) -> State {
        let level = level.clamp(1, 9);
        let idle = self.idle.lock().pop();
        idle.filter(|state| state.level == level).unwrap_or_else(|| State::new(level))
    }

    fn put(&self, mut state: State) {
        state.out.clear();
        state.out.shrink_to(CAPACITY_KEPT);
        let mut idle = self.idle.lock();
        if idle.len() < IDLE_MAX {
            idle.push(state);
        }
    }
}

impl std::fmt::Debug for Compressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compressor").field("rejected", &self.rejected).finish_non_exhaustive()
    }
}

impl State {
    fn new(level: u32) -> Self {
        Self { level, deflate: Compress::new(Compression::new(level), false), out: Vec::new() }
    }

    /// The value as it is stored: its length and the stream.
    fn deflate(&mut self, value: &[u8]) -> Option<&[u8]> {
        let len = u32::try_from(value.len()).ok()?;
        self.deflate.reset();
        self.out.clear();
        // Room for the worst case, nine bits a byte: zlib-rs 0.6 panics at level 1 when the output
        // is too short.
        self.out.reserve(HEADER_LEN + value.len() / 8 * 9 + value.len() / 1024 + 128);
        self.out.extend_from_slice(&len.to_le_bytes());
        let status = self.deflate.compress_vec(value, &mut self.out, FlushCompress::Finish);
        matches!(status, Ok(Status::StreamEnd)).then_some(&self.out)
    }
}

impl Compressed {
    /// The bytes to keep.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl<'a> CompressedStr<'a> {
    /// What [`Compressed::as_bytes`] gave.
    pub(crate) fn new(stored: &'a [u8]) -> Self {
        Self(stored)
    }

    /// Length of the string.
    pub fn len(self) -> usize {
        self.0.first_chunk().map_or(0, |len| u32::from_le_bytes(*len) as usize)
    }

    /// Whether the string is empty; none that is was ever compressed.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Length of what is stored.
    pub(crate) fn stored_len(self) -> usize {
        self.0.len()
    }

    /// Appends the first `len` bytes of the string, or all if there are fewer.
    ///
    /// # Errors
    /// [`Damaged`]; then nothing is appended.
    pub fn inflate_into(self, out: &mut Vec<u8>, len: usize) -> Result<(), Damaged> {
        let (begin, whole) = (out.len(), self.len());
        // A damaged length must not ask for the memory of a whole machine.
        let wanted = whole.min(len).min(COMPRESSED_LEN_MAX);
        out.reserve(wanted);
        let stream = self.0.get(HEADER_LEN..).unwrap_or_default();
        let status = Decompress::new(false).decompress_vec(stream, out, FlushDecompress::Finish);
        let inflated = out.len() - begin;
        // The vector may have had more room than was asked for.
        out.truncate(begin + wanted);
        let sound = match status {
            Ok(Status::StreamEnd) => inflated == whole,
            Ok(Status::Ok | Status::BufError) => wanted < whole && inflated >= wanted,
            Err(_) => false,
        };
        if sound {
            return Ok(());
        }
        out.truncate(begin);
        tracing::error!(len = whole, stored = self.0.len(), "a compressed value is damaged");
        Err(Damaged)
    }
}

/// Whether a sample of a value gives no hope of compressing it.
fn looks_random(value: &[u8]) -> bool {
    if value.len() < SAMPLED_MIN {
        return false;
    }
    let mut counts = [0u16; 256];
    for stripe in value.chunks(value.len() / STRIPES).take(STRIPES) {
        for byte in stripe.iter().take(STRIPE_LEN) {
            counts[usize::from(*byte)] += 1;
        }
    }
    counts.iter().map(|count| u32::from(*count) * u32::from(*count)).sum::<u32>() <= RANDOM_MAX
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn random(len: usize, seed: u64) -> Vec<u8> {
        let mut rng = fastrand::Rng::with_seed(seed);
        (0..len).map(|_| rng.u8(..)).collect()
    }

    fn inflated(stored: &[u8]) -> Result<Vec<u8>, Damaged> {
        let mut out = b"before".to_vec();
        let done = CompressedStr::new(stored).inflate_into(&mut out, usize::MAX);
        assert!(out.starts_with(b"before"));
        done.map(|()| out.split_off(6))
    }

    proptest! {
        #[test]
        fn every_value_comes_back_at_every_level(
            words in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 1..6),
            picks in prop::collection::vec(0..6usize, 1..400),
            level in 1..=9u32,
            part in 0..3000usize,
        ) {
            let value: Vec<u8> =
                picks.iter().flat_map(|at| words[at % words.len()].clone()).collect();
            let compressor = Compressor::default();
            compressor.keep_all();
            let stored = compressor.compress(&value, level).expect("all is kept");
            prop_assert_eq!(CompressedStr::new(stored.as_bytes()).len(), value.len());
            prop_assert_eq!(inflated(stored.as_bytes()), Ok(value.clone()));
            let mut head = Vec::new();
            let string = CompressedStr::new(stored.as_bytes());
            prop_assert_eq!(string.inflate_into(&mut head, part), Ok(()));
            prop_assert_eq!(&head[..], &value[..part.min(value.len())]);
        }

        #[test]
        fn damaged_streams_are_told_or_harmless(
            at in 0..10_000usize,
            bit in 0..8u32,
            cut in 0..10_000usize,
        ) {
            let value = b"{\"name\":\"value\",\"list\":[1,2,3]}".repeat(30);
            let stored = Compressor::default().compress(&value, 2).expect("it shrinks");
            let mut stored = stored.as_bytes().to_vec();
            let at = at % stored.len();
            stored[at] ^= 1 << bit;
            stored.truncate(1 + cut % stored.len());
            if let Ok(bytes) = inflated(&stored) {
                // A stream may survive the change of a bit, at another value of the same length.
                prop_assert_eq!(bytes.len(), CompressedStr::new(&stored).len());
            }
        }
    }

    #[test]
    fn garbage_is_damaged() {
        assert_eq!(inflated(b""), Err(Damaged));
        assert_eq!(inflated(b"\x05\0\0\0hello"), Err(Damaged));
        assert_eq!(inflated(&[0xff; 100]), Err(Damaged));
    }

    #[test]
    fn nothing_is_kept_that_does_not_shrink_by_an_eighth() {
        let compressor = Compressor::default();
        for (rejected, len) in [1, 20, 1000, 4096, 70_000].into_iter().enumerate() {
            for level in [1, 2, 9] {
                assert!(compressor.compress(&random(len, 7), level).is_none(), "{len}");
            }
            assert_eq!(compressor.rejected(), 3 * (rejected as u64 + 1));
        }
        assert!(compressor.compress(&[b'x'; 70_000], 1).is_some());
        assert!(compressor.compress(&vec![b'x'; COMPRESSED_LEN_MAX + 1], 1).is_none());
        assert!(compressor.compress(b"", 1).is_none());
    }

    #[test]
    fn the_worst_case_has_room_at_every_level() {
        let compressor = Compressor::default();
        compressor.keep_all();
        // The fixed codes of level 1 take nine bits for each of these bytes.
        let mut rng = fastrand::Rng::with_seed(3);
        let worst: Vec<u8> = (0..COMPRESSED_LEN_MAX).map(|_| rng.u8(144..)).collect();
        for level in [1, 2, 6] {
            for len in (1..300).chain([4096, 65_536, 300_000, COMPRESSED_LEN_MAX]) {
                let stored = compressor.compress(&worst[..len], level).expect("all is kept");
                let kept = inflated(stored.as_bytes());
                assert!(kept.as_deref() == Ok(&worst[..len]), "level {level}, {len} bytes");
            }
        }
    }

    #[test]
    fn only_what_cannot_shrink_looks_random() {
        assert!(looks_random(&random(SAMPLED_MIN, 1)));
        assert!(looks_random(&random(1 << 20, 2)));
        assert!(!looks_random(&random(SAMPLED_MIN - 1, 3)));
        let text =
            "{\"id\":7391,\"name\":\"Greta\",\"city\":\"Oslo\",\"tags\":[\"a\",\"b\"]}".repeat(30);
        assert!(!looks_random(text.as_bytes()));
        // Numbers of 64 bits that are small or close to each other.
        let numbers = (0..2000u64).flat_map(|n| (n * n * 7919).to_le_bytes()).collect::<Vec<_>>();
        assert!(!looks_random(&numbers));
        // A random block that repeats, and seven random bits of eight.
        assert!(!looks_random(&random(1024, 4).repeat(64)));
        let ascii: Vec<u8> = random(70_000, 5).iter().map(|byte| byte & 0x7f).collect();
        assert!(!looks_random(&ascii));
    }
}
