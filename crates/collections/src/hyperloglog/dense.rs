//! Dense registers: 6 bits each, the low bits of a byte first.
//!
//! Four registers lie in three bytes, so eight lie in the 48 bits of six bytes. Three steps of
//! masks and shifts spread them over the eight bytes of a word, or gather them again; the
//! loops work on 24 bytes (four such words) at a time, which the compiler puts into vectors.
//! Against one register at a time, as its two bytes are found by a division, merging takes a
//! sixth of the time.
//!
//! Rules: slices are the registers alone, without the header, of their exact length; what is too
//! short is left alone. Neighbour: `hyperloglog`.

use super::{HISTOGRAM, REGISTERS};

/// Raises a register to a value; false when it was that high already.
pub(super) fn raise(registers: &mut [u8], index: usize, value: u8) -> bool {
    let (at, shift) = (index * 6 / 8, index * 6 % 8);
    let low = registers[at];
    // The last register ends with the last byte.
    let high = registers.get(at + 1).copied().unwrap_or(0);
    let pair = u16::from_le_bytes([low, high]);
    if (pair >> shift & MASK) as u8 >= value {
        return false;
    }
    let [low, high] = (pair & !(MASK << shift) | u16::from(value) << shift).to_le_bytes();
    registers[at] = low;
    if let Some(next) = registers.get_mut(at + 1) {
        *next = high;
    }
    true
}

/// Raises each of `best` to the register of its number; `wide` may use what this CPU has beyond
/// the least that the program asks for.
pub(super) fn merge(registers: &[u8], best: &mut [u8; REGISTERS], wide: bool) {
    #[cfg(target_arch = "x86_64")]
    if wide && std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the CPU has AVX2, which is all that the function asks for.
        return unsafe { merge_avx2(registers, best) };
    }
    merge_portable(registers, best);
}

/// The same code, compiled for AVX2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn merge_avx2(registers: &[u8], best: &mut [u8; REGISTERS]) {
    merge_portable(registers, best);
}

#[inline(always)]
fn merge_portable(registers: &[u8], best: &mut [u8; REGISTERS]) {
    for (six, bytes) in blocks(registers).iter().zip(best.as_chunks_mut::<32>().0) {
        let values = spread_block(six);
        for (byte, value) in bytes.iter_mut().zip(values) {
            *byte = (*byte).max(value);
        }
    }
}

/// Writes all registers.
pub(super) fn write(registers: &mut [u8], values: &[u8; REGISTERS]) {
    for (six, eight) in registers.as_chunks_mut::<6>().0.iter_mut().zip(values.as_chunks().0) {
        let word = gather(u64::from_le_bytes(*eight)).to_le_bytes();
        six.copy_from_slice(&word[..6]);
    }
}

/// Counts how many registers have which value.
pub(super) fn histogram(registers: &[u8], histogram: &mut [u32; HISTOGRAM]) {
    let mut values = [0; REGISTERS];
    for (six, bytes) in blocks(registers).iter().zip(values.as_chunks_mut::<32>().0) {
        *bytes = spread_block(six);
    }
    add_to_histogram(&values, histogram);
}

/// The same for registers of a byte each. Several tables take turns, because counting the
/// same value twice in a row in one table waits for the store before.
pub(super) fn add_to_histogram(values: &[u8; REGISTERS], histogram: &mut [u32; HISTOGRAM]) {
    let mut tables = [[0_u32; HISTOGRAM]; 8];
    for eight in values.as_chunks::<8>().0 {
        if *eight == [0; 8] {
            histogram[0] += 8;
            continue;
        }
        for (table, value) in tables.iter_mut().zip(eight) {
            table[usize::from(*value) % HISTOGRAM] += 1;
        }
    }
    for table in tables {
        for (sum, count) in histogram.iter_mut().zip(table) {
            *sum += count;
        }
    }
}

/// The registers in blocks of 32.
fn blocks(registers: &[u8]) -> &[[u8; 24]] {
    registers.as_chunks().0
}

/// 32 registers, a byte each.
#[inline(always)]
fn spread_block(block: &[u8; 24]) -> [u8; 32] {
    let (words, _) = block.as_chunks::<8>();
    let word = |at: usize| u64::from_le_bytes(words[at]);
    let (a, b, c) = (word(0), word(1), word(2));
    let groups = [a, a >> 48 | b << 16, b >> 32 | c << 32, c >> 16];
    let mut out = [0; 32];
    for (eight, group) in out.as_chunks_mut::<8>().0.iter_mut().zip(groups) {
        *eight = spread(group).to_le_bytes();
    }
    out
}

/// Eight registers from the low 48 bits, a byte each.
#[inline(always)]
const fn spread(x: u64) -> u64 {
    let x = x & 0xff_ffff | (x & 0xffff_ff00_0000) << 8;
    let x = x & 0x0000_0fff_0000_0fff | (x & 0x00ff_f000_00ff_f000) << 4;
    x & 0x003f_003f_003f_003f | (x & 0x0fc0_0fc0_0fc0_0fc0) << 2
}

/// The opposite of [`spread`].
#[inline]
const fn gather(x: u64) -> u64 {
    let x = x & 0x003f_003f_003f_003f | (x & 0x3f00_3f00_3f00_3f00) >> 2;
    let x = x & 0x0000_0fff_0000_0fff | (x & 0x0fff_0000_0fff_0000) >> 4;
    x & 0xff_ffff | (x & 0x00ff_ffff_0000_0000) >> 8
}

/// A register of 6 bits.
const MASK: u16 = 63;
