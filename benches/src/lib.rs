//! Inputs that every benchmark here shares: keys, values and orders of visit.
//!
//! Benchmarks are compared over months, so their inputs must be the same each time and on every
//! machine: all of them are functions of an index, and nothing here is random. An order of visit
//! is a multiplication by a prime modulo the number of elements, which is a permutation when the
//! prime does not divide that number; it defeats the caches and the prefetcher as well as a
//! random one and needs no memory of its own.
//!
//! Rules: no clock, no allocation beyond what is returned. The neighbours are `benches/peers`
//! (whole servers, over sockets) and `benches/benches` (criterion, one structure at a time).
//! `trace` and `simulate` are what both need for hit ratios: requests drawn from a seed, and what
//! exact policies make of them; `cache` is a keyspace used as a cache, without a server.

pub mod cache;
pub mod simulate;
pub mod trace;

/// Bytes of a key made by [`key`].
pub const KEY_LEN: usize = 24;

/// The key of element `index`: 24 bytes, as long as a session key of a web framework with a prefix.
///
/// ```
/// assert_eq!(&pannier_benches::key(7), b"session:0000000000000007");
/// ```
pub fn key(index: u64) -> [u8; KEY_LEN] {
    let mut key = *b"session:0000000000000000";
    let mut rest = index;
    for digit in key[8..].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    key
}

/// A value of `len` bytes that is no number and that no two neighbouring indices share.
///
/// ```
/// assert_eq!(pannier_benches::value(3, 8), b"defghijk");
/// ```
pub fn value(index: u64, len: usize) -> Vec<u8> {
    (0..len as u64).map(|at| b'a' + ((index + at) % 26) as u8).collect()
}

/// The index visited at step `step` of a walk over `count` elements that visits each once.
///
/// ```
/// let mut seen: Vec<u64> = (0..1000).map(|step| pannier_benches::scattered(step, 1000)).collect();
/// seen.sort_unstable();
/// assert!(seen.into_iter().eq(0..1000));
/// ```
pub fn scattered(step: u64, count: u64) -> u64 {
    // The product of two numbers below 2^32 does not overflow; counts are far below that.
    (step % count) * STRIDE % count
}

/// A prime near 2^31 over the golden ratio, so that neighbouring steps land far apart.
const STRIDE: u64 = 1_327_217_909;
