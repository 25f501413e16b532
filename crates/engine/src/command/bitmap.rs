//! Bits of strings: one at an offset, counting, finding.
//!
//! Bit 0 is the most significant bit of the first byte, and beyond the end of a string, or without
//! a key, every bit is 0. Ranges in bytes become ranges in bits, so that counting and finding
//! exist once; both look at many words at a time and mask the bits at the edges.
//!
//! Rules: no bit lies at or beyond `proto-max-bulk-len` bytes. SETBIT that changes nothing counts
//! as no change. Operations on whole strings are in `bitop`, integers of any width in `bitfield`.
//! Transcripts: `tests/transcripts/bitmap`.

use std::ops::Range;

use bytes::Bytes;
use pannier_resp::parse_i64;
use pannier_store::{Deadline, INLINE_MAX, Key, NewValue, StrBuffer, View, class};

use super::keys::{KeySpec, access};
use super::row::{Command, Context, Done, Group, categories, flags};
use crate::args::{integer, is};
use crate::error::Error;

/// The family's rows.
pub(super) const ROWS: &[Command] = &[SETBIT, GETBIT, BITCOUNT, BITPOS];

const SETBIT: Command = Command {
    name: "setbit",
    since: "2.2.0",
    group: Group::Bitmap,
    arity: 4,
    flags: flags::DENYOOM | flags::WRITE,
    categories: categories::BITMAP,
    keys: &[KeySpec::one(1, access::RW | access::ACCESS | access::UPDATE)],
    syntax: "key offset value",
    summary: "Sets or clears a bit of a string, which grows as needed, and returns the old bit.",
    complexity: "O(1), and O(N) with N the number of bytes when the string must grow",
    handler: setbit,
    ..Command::DEFAULT
};

const GETBIT: Command = Command {
    name: "getbit",
    since: "2.2.0",
    group: Group::Bitmap,
    arity: 3,
    flags: flags::FAST | flags::READONLY,
    categories: categories::BITMAP,
    keys: &[KeySpec::one(1, access::RO | access::ACCESS)],
    syntax: "key offset",
    summary: "Returns the bit at an offset of a string; beyond its end bits are 0.",
    complexity: "O(1)",
    handler: getbit,
    ..Command::DEFAULT
};

const BITCOUNT: Command = Command {
    name: "bitcount",
    since: "2.6.0",
    group: Group::Bitmap,
    arity: -2,
    flags: flags::READONLY,
    categories: categories::BITMAP,
    keys: &[KeySpec::one(1, access::RO | access::ACCESS)],
    syntax: "key [start [end [BYTE | BIT]]]",
    summary: "Counts the set bits of a string, or of a part of it.",
    complexity: "O(N) with N the number of bytes looked at",
    handler: bitcount,
    ..Command::DEFAULT
};

const BITPOS: Command = Command {
    name: "bitpos",
    since: "2.8.7",
    group: Group::Bitmap,
    arity: -3,
    flags: flags::READONLY,
    categories: categories::BITMAP,
    keys: &[KeySpec::one(1, access::RO | access::ACCESS)],
    syntax: "key bit [start [end [BYTE | BIT]]]",
    summary: "Finds the first set or clear bit of a string, or of a part of it.",
    complexity: "O(N) with N the number of bytes looked at",
    handler: bitpos,
    ..Command::DEFAULT
};

/// A bit offset that is no number, or beyond what a string may hold.
pub(super) const BIT_OFFSET: Error = Error::new("ERR bit offset is not an integer or out of range");

/// The bit offset in an argument, below `bytes_max` bytes.
pub(super) fn bit_offset(argument: &[u8], bytes_max: usize) -> Result<u64, Error> {
    let offset = parse_i64(argument).and_then(|n| u64::try_from(n).ok()).ok_or(BIT_OFFSET)?;
    if offset / 8 >= bytes_max as u64 { Err(BIT_OFFSET) } else { Ok(offset) }
}

/// Stores bytes that a command computed, over whatever the key held; a long string is not copied.
pub(super) fn store(view: &mut View<'_>, db: usize, key: Key<'_>, bytes: Vec<u8>) {
    if bytes.len() > INLINE_MAX {
        view.set(db, key, NewValue::Large(Bytes::from(bytes)), Deadline::Clear);
    } else {
        view.set(db, key, NewValue::Raw(&bytes), Deadline::Clear);
    }
}

fn setbit(cx: &mut Context<'_>) -> Result<Done, Error> {
    const NO_BIT: Error = Error::new("ERR bit is not an integer or out of range");
    let offset = bit_offset(cx.arg(2), cx.config.proto_max_bulk_len)?;
    let on = match parse_i64(cx.arg(3)) {
        Some(0) => false,
        Some(1) => true,
        _ => return Err(NO_BIT),
    };
    let (db, key) = (cx.db(), cx.key(1));
    let (at, mask) = ((offset / 8) as usize, 0x80 >> (offset % 8));
    let Some(mut edit) = cx.view.edit(db, key)? else {
        let mut bytes = vec![0; at + 1];
        bytes[at] = if on { mask } else { 0 };
        store(&mut cx.view, db, key, bytes);
        cx.notify(class::STRING, "setbit", key);
        return cx.int(0);
    };
    let old = edit.string().as_bytes(&mut StrBuffer::new()).get(at).map(|byte| byte & mask != 0);
    if old != Some(on) {
        edit.bytes(at + 1, |bytes| if on { bytes[at] |= mask } else { bytes[at] &= !mask });
    }
    drop(edit);
    if old != Some(on) {
        cx.notify(class::STRING, "setbit", key);
    }
    cx.int(i64::from(old.unwrap_or(false)))
}

fn getbit(cx: &mut Context<'_>) -> Result<Done, Error> {
    let offset = bit_offset(cx.arg(2), cx.config.proto_max_bulk_len)?;
    let (db, key) = (cx.db(), cx.key(1));
    let byte = match cx.view.string(db, key)? {
        None => 0,
        Some(value) => {
            let mut buffer = StrBuffer::new();
            let at = (offset / 8) as usize;
            value.head(at + 1, &mut buffer).get(at).copied().unwrap_or(0)
        }
    };
    cx.int(i64::from(byte >> (7 - offset % 8) & 1))
}

/// The optional `[start [end [BYTE | BIT]]]` of BITCOUNT and BITPOS.
struct Part {
    start: i64,
    end: Option<i64>,
    /// Bits in a unit: 8 or 1.
    unit: i64,
}

impl Part {
    /// The part that the arguments from `at` on state, the whole string without any.
    fn parse(cx: &Context<'_>, at: usize) -> Result<Self, Error> {
        let mut part = Self { start: 0, end: None, unit: 8 };
        let given = cx.args.len() - at;
        if given > 3 {
            return Err(Error::SYNTAX);
        }
        if given > 0 {
            part.start = integer(cx.arg(at))?;
        }
        if given > 2 {
            part.unit = match cx.arg(at + 2) {
                word if is(word, "BIT") => 1,
                word if is(word, "BYTE") => 8,
                _ => return Err(Error::SYNTAX),
            };
        }
        if given > 1 {
            part.end = Some(integer(cx.arg(at + 1))?);
        }
        Ok(part)
    }

    /// Whether both ends count from the end of the string and contradict each other.
    fn is_backwards(&self) -> bool {
        self.start < 0 && self.end.is_some_and(|end| end < 0 && self.start > end)
    }

    /// The bits that it selects in a string of `len` bytes, if any. What lies before the
    /// beginning stands for the first unit, at both ends.
    fn bits(&self, len: usize) -> Option<Range<usize>> {
        let units = len as i64 * (8 / self.unit);
        let place = |at: i64| if at < 0 { (units + at).max(0) } else { at };
        let (start, end) = (place(self.start), place(self.end.unwrap_or(-1)).min(units - 1));
        (start <= end).then(|| (start * self.unit) as usize..((end + 1) * self.unit) as usize)
    }
}

fn bitcount(cx: &mut Context<'_>) -> Result<Done, Error> {
    let part = Part::parse(cx, 2)?;
    let (db, key) = (cx.db(), cx.key(1));
    let count = match cx.view.string(db, key)? {
        Some(value) if !part.is_backwards() => {
            let mut buffer = StrBuffer::new();
            let bytes = value.as_bytes(&mut buffer);
            part.bits(bytes.len()).map_or(0, |bits| count(bytes, bits))
        }
        _ => 0,
    };
    cx.int(count as i64)
}

fn bitpos(cx: &mut Context<'_>) -> Result<Done, Error> {
    let bit = match cx.integer(2)? {
        0 => false,
        1 => true,
        _ => return Err(Error::new("ERR The bit argument must be 1 or 0.")),
    };
    let part = Part::parse(cx, 3)?;
    let (db, key) = (cx.db(), cx.key(1));
    let Some(value) = cx.view.string(db, key)? else {
        return cx.int(if bit { -1 } else { 0 });
    };
    let mut buffer = StrBuffer::new();
    let bytes = value.as_bytes(&mut buffer);
    let found = match part.bits(bytes.len()) {
        None => None,
        // Without a stated end the zeros beyond the string belong to it.
        Some(bits) => find(bytes, bit, bits)
            .or_else(|| (!bit && part.end.is_none()).then_some(bytes.len() * 8)),
    };
    cx.int(found.map_or(-1, |at| at as i64))
}

/// How many bits are set in a range of bits, which lies within `bytes`.
fn count(bytes: &[u8], bits: Range<usize>) -> u64 {
    let bytes = &bytes[bits.start / 8..bits.end.div_ceil(8)];
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return 0 };
    let before = first & !(0xff >> (bits.start % 8));
    let after = if bits.end.is_multiple_of(8) { 0 } else { last & (0xff >> (bits.end % 8)) };
    set_bits(bytes) - u64::from(before.count_ones() + after.count_ones())
}

/// How many bits are set.
///
/// Eight vectors at a time pass through a tree of carry-save adders (Harley and Seal's method, in
/// Mula, Kurz and Lemire, "Faster Population Counts Using AVX2 Instructions", 2016), so that only
/// one vector in eight is counted by itself. The compiler puts the vectors into wide registers;
/// 1 MiB takes a third of the time of counting word by word.
fn set_bits(bytes: &[u8]) -> u64 {
    let (vectors, rest) = bytes.as_chunks::<{ 8 * LANES }>();
    let (blocks, single) = vectors.as_chunks::<8>();
    let (mut ones, mut twos, mut fours) = ([0; LANES], [0; LANES], [0; LANES]);
    let mut eights = 0;
    for [a, b, c, d, e, f, g, h] in blocks {
        let two = [
            add(&mut ones, lanes(a), lanes(b)),
            add(&mut ones, lanes(c), lanes(d)),
            add(&mut ones, lanes(e), lanes(f)),
            add(&mut ones, lanes(g), lanes(h)),
        ];
        let four = [add(&mut twos, two[0], two[1]), add(&mut twos, two[2], two[3])];
        eights += sum(add(&mut fours, four[0], four[1]));
    }
    let single: u64 = single.iter().map(|vector| sum(lanes(vector))).sum();
    let (words, rest) = rest.as_chunks::<8>();
    let words: u32 = words.iter().map(|word| u64::from_ne_bytes(*word).count_ones()).sum();
    let rest: u32 = rest.iter().map(|byte| byte.count_ones()).sum();
    8 * eights + 4 * sum(fours) + 2 * sum(twos) + sum(ones) + single + u64::from(words + rest)
}

/// Words in a vector.
const LANES: usize = 4;

#[inline]
fn lanes(bytes: &[u8; 8 * LANES]) -> [u64; LANES] {
    let words = bytes.as_chunks::<8>().0;
    std::array::from_fn(|lane| u64::from_ne_bytes(words[lane]))
}

/// Adds two vectors to `total`, bit by bit; returns the carries.
#[inline]
fn add(total: &mut [u64; LANES], a: [u64; LANES], b: [u64; LANES]) -> [u64; LANES] {
    std::array::from_fn(|lane| {
        let (t, a, b) = (total[lane], a[lane], b[lane]);
        total[lane] = t ^ a ^ b;
        (t & a) | ((t ^ a) & b)
    })
}

#[inline]
fn sum(vector: [u64; LANES]) -> u64 {
    vector.iter().map(|word| u64::from(word.count_ones())).sum()
}

/// Where the first bit of this value is in a range of bits, which lies within `bytes`.
fn find(bytes: &[u8], bit: bool, bits: Range<usize>) -> Option<usize> {
    // What is looked for is a 1 after this.
    let flip = if bit { 0 } else { u8::MAX };
    let mut at = bits.start / 8;
    let last = bits.end.div_ceil(8);
    if !bits.start.is_multiple_of(8) {
        let byte = (bytes[at] ^ flip) & (0xff >> (bits.start % 8));
        if byte != 0 {
            return Some(at * 8 + byte.leading_zeros() as usize).filter(|at| *at < bits.end);
        }
        at += 1;
    }
    let bytes = bytes.get(at..last)?;
    let words = bytes.as_chunks::<8>().0;
    let skip = u64::from_ne_bytes([flip; 8]);
    let is_other = |word: &[u8; 8]| u64::from_ne_bytes(*word) != skip;
    // Eight words are one test, which the compiler does in wide registers.
    let blocks = words.as_chunks::<8>().0;
    let any = |block: &[[u8; 8]; 8]| {
        block.iter().fold(0, |seen, word| seen | (u64::from_ne_bytes(*word) ^ skip)) != 0
    };
    let skipped = blocks.iter().position(any).unwrap_or(blocks.len()) * 8;
    let skipped =
        skipped + words[skipped..].iter().position(is_other).unwrap_or(words.len() - skipped);
    let tail = &bytes[skipped * 8..];
    let inside = tail.iter().position(|byte| *byte != flip)?;
    let found = (at + skipped * 8 + inside) * 8 + (tail[inside] ^ flip).leading_zeros() as usize;
    Some(found).filter(|at| *at < bits.end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bit(bytes: &[u8], at: usize) -> bool {
        bytes[at / 8] & (0x80 >> (at % 8)) != 0
    }

    #[test]
    fn counting_and_finding_agree_with_one_bit_at_a_time() {
        let mut rng = fastrand::Rng::with_seed(7);
        for round in 0..3000 {
            let mut bytes = vec![if round % 2 == 0 { 0 } else { 0xff }; rng.usize(1..1000)];
            for _ in 0..rng.usize(0..4) {
                let at = rng.usize(..bytes.len());
                bytes[at] ^= 0x80 >> rng.u32(..8);
            }
            let (a, b) = (rng.usize(..bytes.len() * 8), rng.usize(..bytes.len() * 8));
            let bits = a.min(b)..a.max(b) + 1;
            let set = bits.clone().filter(|at| bit(&bytes, *at)).count();
            assert_eq!(count(&bytes, bits.clone()), set as u64, "{bits:?} of {bytes:?}");
            for value in [false, true] {
                let first = bits.clone().find(|at| bit(&bytes, *at) == value);
                assert_eq!(find(&bytes, value, bits.clone()), first, "{bits:?} of {bytes:?}");
            }
        }
    }
}
