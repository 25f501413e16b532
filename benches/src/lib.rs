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

/// A JSON object of exactly `len` bytes, such as an application caches: the same fields each time,
/// other numbers and words in them. Deflate makes about a quarter of it.
///
/// ```
/// let text = String::from_utf8(pannier_benches::json(7, 200)).unwrap();
/// assert!(text.starts_with("{\"id\":7,") && text.ends_with('}') && text.len() == 200);
/// ```
pub fn json(index: u64, len: usize) -> Vec<u8> {
    let mut text = format!("{{\"id\":{index},\"items\":[").into_bytes();
    let mut step = 0;
    while text.len() + 2 < len {
        let mixed = mix(index * 1_000 + step);
        let word = |at: u32| WORDS[(mixed >> (8 * at)) as usize % WORDS.len()];
        let item = format!(
            "{{\"sku\":\"{:06}\",\"name\":\"{} {}\",\"price\":{}.{:02},\"in_stock\":{}}},",
            mixed % 1_000_000,
            word(3),
            word(4),
            mixed >> 56,
            (mixed >> 48) % 100,
            mixed & 1 == 0,
        );
        text.extend_from_slice(item.as_bytes());
        step += 1;
    }
    text.truncate(len.saturating_sub(2));
    text.extend_from_slice(b"]}");
    text.truncate(len);
    text
}

/// `len` bytes that no compression makes smaller; none of them is 0, because redis-benchmark
/// takes its placeholders for C strings.
///
/// ```
/// assert!(pannier_benches::noise(1, 100).iter().all(|&byte| byte != 0));
/// ```
pub fn noise(index: u64, len: usize) -> Vec<u8> {
    let from = index << 20;
    (0..len as u64).map(|at| (mix(from + at) % 255) as u8 + 1).collect()
}

/// A number that looks random, from one that does not (the finalizer of splitmix64).
pub fn mix(index: u64) -> u64 {
    let mut z = index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
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

/// What the names in [`json`] are made of.
const WORDS: [&str; 16] = [
    "bicycle", "pannier", "bell", "saddle", "tyre", "chain", "lamp", "basket", "pump", "pedal",
    "spoke", "lock", "helmet", "glove", "bottle", "rack",
];
