//! HyperLogLog: how many distinct elements were added, within 0.81 %, in at most 12 KiB.
//!
//! An element's hash (MurmurHash64A) chooses one of 16384 registers by its low 14 bits; the
//! register keeps the longest run of zeros seen in the other 50, plus one. The count follows from
//! the histogram of the registers by Ertl's estimator ("New cardinality estimation algorithms for
//! HyperLogLog sketches", arXiv:1702.01284), which needs no table of corrections. Bytes and counts
//! are Redis's to the bit, because clients read such values with GET and move them with SET.
//!
//! ```text
//!  | "HYLL" | form | 0 0 0 | count, 8 bytes | registers                          |
//!  0        4      5       8                16
//!  form 0, dense:  16384 registers of 6 bits, the low bits of a byte first; 12304 bytes in all
//!  form 1, sparse: runs of registers, until they would exceed a limit (see `sparse`)
//! ```
//!
//! The count is kept once it is known; its top bit says that the registers have changed since.
//! Dense registers are taken apart and put together eight at a time in one word (six bytes are
//! 48 bits), which the compiler turns into vector code; the best of several sketches is then a
//! maximum of bytes.
//!
//! Rules: no bytes, however damaged, make anything here panic: they are [`Corrupt`]. What is
//! changed is a [`Buffer`], because a value lives in an entry, and in tests in a `Vec`.
//! Neighbours: `sparse` and `dense` for the forms. Tests: `tests/hyperloglog.rs`.

mod dense;
mod selftest;
mod sparse;

pub use selftest::self_test;
pub use sparse::{Run, runs};

/// Registers of a sketch.
pub const REGISTERS: usize = 1 << INDEX_BITS;

/// An empty sketch: one run of zeros, and a count of 0 that is known.
pub const EMPTY: [u8; HEADER + 2] = {
    let mut bytes = [0; HEADER + 2];
    (bytes[0], bytes[1], bytes[2], bytes[3]) = (b'H', b'Y', b'L', b'L');
    (bytes[FORM], bytes[HEADER], bytes[HEADER + 1]) = (1, 0x7f, 0xff);
    bytes
};

/// How a sketch keeps its registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// All registers, 6 bits each.
    Dense,
    /// Runs of equal registers.
    Sparse,
}

/// The bytes have the header of a sketch, but its registers are damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corrupt;

/// Where a sketch lives that is to be changed.
pub trait Buffer {
    /// The bytes.
    fn bytes(&self) -> &[u8];
    /// The bytes, to be changed in place.
    fn bytes_mut(&mut self) -> &mut [u8];
    /// Puts `added` in place of the `removed` bytes at `at`.
    fn splice(&mut self, at: usize, removed: usize, added: &[u8]);
}

impl Buffer for Vec<u8> {
    fn bytes(&self) -> &[u8] {
        self
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        self
    }

    fn splice(&mut self, at: usize, removed: usize, added: &[u8]) {
        drop(Self::splice(self, at..at + removed, added.iter().copied()));
    }
}

/// The form that the header states; nothing when it is not that of a sketch.
///
/// ```
/// use pannier_collections::hyperloglog::{EMPTY, Form, form};
/// assert_eq!(form(&EMPTY), Some(Form::Sparse));
/// assert_eq!(form(b"a text of more than sixteen bytes"), None);
/// ```
pub fn form(bytes: &[u8]) -> Option<Form> {
    match bytes {
        [b'H', b'Y', b'L', b'L', 0, ..] if bytes.len() == DENSE_LEN => Some(Form::Dense),
        [b'H', b'Y', b'L', b'L', 1, ..] if bytes.len() >= HEADER => Some(Form::Sparse),
        _ => None,
    }
}

/// The count that the header keeps, unless the registers have changed since.
pub fn kept_count(bytes: &[u8]) -> Option<u64> {
    let count = u64::from_le_bytes(*bytes[COUNT..].first_chunk()?);
    (count & STALE == 0).then_some(count)
}

/// Keeps a count in the header.
pub fn keep_count(bytes: &mut [u8], count: u64) {
    bytes[COUNT..HEADER].copy_from_slice(&count.to_le_bytes());
}

/// The registers have changed: the kept count is no longer right.
pub fn forget_count(bytes: &mut [u8]) {
    bytes[HEADER - 1] |= (STALE >> 56) as u8;
}

/// Adds an element; true when a register has changed. A sparse sketch that would exceed
/// `sparse_max` bytes becomes dense. The kept count is left to the caller.
///
/// # Errors
/// [`Corrupt`], when the damage is in the way.
pub fn add(sketch: &mut impl Buffer, element: &[u8], sparse_max: usize) -> Result<bool, Corrupt> {
    let (index, value) = place(element);
    if sketch.bytes()[FORM] == DENSE {
        return Ok(dense::raise(&mut sketch.bytes_mut()[HEADER..], index, value));
    }
    let step = sparse::raise(sketch.bytes(), Default::default(), (index, value), sparse_max)?;
    match step {
        sparse::Step::Kept => return Ok(false),
        sparse::Step::Splice(splice) => splice.apply(sketch),
        sparse::Step::Promote => {
            to_dense(sketch)?;
            dense::raise(&mut sketch.bytes_mut()[HEADER..], index, value);
        }
    }
    Ok(true)
}

/// Makes a sketch dense; false when it is already.
///
/// # Errors
/// [`Corrupt`]; the sketch is as it was then.
pub fn to_dense(sketch: &mut impl Buffer) -> Result<bool, Corrupt> {
    if sketch.bytes()[FORM] == DENSE {
        return Ok(false);
    }
    let mut registers = Registers::new(false);
    registers.merge(sketch.bytes())?;
    make_dense(sketch, &registers);
    Ok(true)
}

/// Raises the registers of a sketch to those of `best`, in which its own have been merged before;
/// it becomes dense if `dense` says so, or for want of room. The kept count is forgotten.
pub fn raise_to(sketch: &mut impl Buffer, best: &Registers, dense: bool, sparse_max: usize) {
    if dense || sketch.bytes()[FORM] == DENSE {
        make_dense(sketch, best);
    } else {
        let mut from = sparse::Cursor::default();
        for (index, value) in best.values.iter().enumerate().filter(|(_, value)| **value > 0) {
            match sparse::raise(sketch.bytes(), from, (index, *value), sparse_max) {
                Ok(sparse::Step::Splice(splice)) => {
                    splice.apply(sketch);
                    from = splice.next;
                }
                Ok(sparse::Step::Promote) => {
                    make_dense(sketch, best);
                    break;
                }
                // It was found sound when it was merged.
                Ok(sparse::Step::Kept) | Err(Corrupt) => {}
            }
        }
    }
    forget_count(sketch.bytes_mut());
}

/// Counts the elements of one sketch, from its registers.
///
/// # Errors
/// [`Corrupt`].
pub fn count(bytes: &[u8]) -> Result<u64, Corrupt> {
    let mut histogram = [0; HISTOGRAM];
    match bytes[FORM] {
        DENSE => dense::histogram(&bytes[HEADER..], &mut histogram),
        _ => sparse::histogram(bytes, &mut histogram)?,
    }
    Ok(estimate(&histogram))
}

/// Registers, a byte each: for merging.
pub struct Registers {
    values: [u8; REGISTERS],
    wide: bool,
}

impl Registers {
    /// Those of an empty sketch. Merging may be `wide`: with vector instructions that not every
    /// CPU has, if this one has them.
    pub const fn new(wide: bool) -> Self {
        Self { values: [0; REGISTERS], wide }
    }

    /// Raises them to those of a sketch.
    ///
    /// # Errors
    /// [`Corrupt`]; some may be raised then.
    pub fn merge(&mut self, bytes: &[u8]) -> Result<(), Corrupt> {
        match bytes[FORM] {
            DENSE => dense::merge(&bytes[HEADER..], &mut self.values, self.wide),
            _ => sparse::merge(bytes, &mut self.values)?,
        }
        Ok(())
    }

    /// Counts the elements.
    pub fn count(&self) -> u64 {
        let mut histogram = [0; HISTOGRAM];
        dense::add_to_histogram(&self.values, &mut histogram);
        estimate(&histogram)
    }

    /// The values.
    pub fn values(&self) -> &[u8; REGISTERS] {
        &self.values
    }
}

/// Puts all registers into a sketch, which is dense then; the rest of the header stays.
fn make_dense(sketch: &mut impl Buffer, registers: &Registers) {
    if sketch.bytes()[FORM] != DENSE {
        let len = sketch.bytes().len();
        sketch.splice(HEADER, len - HEADER, &[0; DENSE_LEN - HEADER]);
        sketch.bytes_mut()[FORM] = DENSE;
    }
    dense::write(&mut sketch.bytes_mut()[HEADER..], &registers.values);
}

/// The register of an element, and the value it asks for: 1 to 51.
fn place(element: &[u8]) -> (usize, u8) {
    let hash = murmur_hash_64a(element);
    let rest = hash >> INDEX_BITS | 1 << VALUE_BITS;
    ((hash & (REGISTERS as u64 - 1)) as usize, rest.trailing_zeros() as u8 + 1)
}

/// MurmurHash2 in its 64-bit form (Austin Appleby, public domain), with Redis's seed.
fn murmur_hash_64a(bytes: &[u8]) -> u64 {
    const SEED: u64 = 0xadc8_3b19;
    const M: u64 = 0xc6a4_a793_5bd1_e995;
    const R: u32 = 47;
    let mut hash = SEED ^ (bytes.len() as u64).wrapping_mul(M);
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        let mut k = u64::from_le_bytes(*word).wrapping_mul(M);
        k = (k ^ k >> R).wrapping_mul(M);
        hash = (hash ^ k).wrapping_mul(M);
    }
    if !rest.is_empty() {
        let mut word = [0; 8];
        word[..rest.len()].copy_from_slice(rest);
        hash = (hash ^ u64::from_le_bytes(word)).wrapping_mul(M);
    }
    hash = (hash ^ hash >> R).wrapping_mul(M);
    hash ^ hash >> R
}

/// Ertl's estimate from how many registers have which value.
fn estimate(histogram: &[u32; HISTOGRAM]) -> u64 {
    const REGISTERS_F: f64 = REGISTERS as f64;
    /// 0.5 / ln 2.
    const ALPHA: f64 = 0.721_347_520_444_481_7;
    let full = f64::from(histogram[VALUE_BITS + 1]);
    let mut z = REGISTERS_F * tau((REGISTERS_F - full) / REGISTERS_F);
    for value in (1..=VALUE_BITS).rev() {
        z = (z + f64::from(histogram[value])) * 0.5;
    }
    z += REGISTERS_F * sigma(f64::from(histogram[0]) / REGISTERS_F);
    let count = (ALPHA * REGISTERS_F * REGISTERS_F / z).round();
    // Beyond what 63 bits hold, which takes registers that no element makes, Redis's conversion
    // leaves the top bit.
    if count < STALE as f64 { count as u64 } else { STALE }
}

/// The paper's sigma: x + x^2 + 2 x^4 + 4 x^8 ...
fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z == before {
            return z;
        }
    }
}

/// The paper's tau.
fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x) * (1.0 - x) * y;
        if z == before {
            return z / 3.0;
        }
    }
}

/// Bits of a hash that choose the register.
const INDEX_BITS: u32 = 14;
/// Bits of a hash in which zeros are counted.
const VALUE_BITS: usize = 64 - INDEX_BITS as usize;
/// Values that 6 bits can have; hashes only make those up to 51.
const HISTOGRAM: usize = 64;

/// Where the header says which form follows, and the value for dense.
const FORM: usize = 4;
const DENSE: u8 = 0;
/// Where the kept count stands, and its bit that says it is out of date.
const COUNT: usize = 8;
const STALE: u64 = 1 << 63;
/// Bytes before the registers.
const HEADER: usize = 16;
/// Bytes of a dense sketch.
const DENSE_LEN: usize = HEADER + REGISTERS * 6 / 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_raise_the_registers_that_they_raise_in_redis() {
        for (element, index, value) in [
            ("", 5938, 2),
            ("a", 12711, 2),
            ("abc", 9474, 1),
            ("01234567", 594, 2),
            ("hello world", 9399, 4),
            ("0123456789abcdef", 5949, 1),
        ] {
            assert_eq!(place(element.as_bytes()), (index, value), "{element}");
        }
    }

    #[test]
    fn a_dense_register_takes_every_value_and_leaves_the_others() {
        let mut registers = vec![0; DENSE_LEN - HEADER];
        let mut twin = [0; REGISTERS];
        let mut rng = fastrand::Rng::with_seed(1);
        for _ in 0..40_000 {
            let (index, value) = (rng.usize(..REGISTERS), rng.u8(..64));
            assert_eq!(dense::raise(&mut registers, index, value), value > twin[index]);
            twin[index] = twin[index].max(value);
        }
        dense::raise(&mut registers, REGISTERS - 1, 63);
        twin[REGISTERS - 1] = 63;
        let mut read = [0; REGISTERS];
        dense::merge(&registers, &mut read, false);
        assert!(read == twin);
        dense::merge(&registers, &mut read, true);
        assert!(read == twin);
        let mut written = vec![0; DENSE_LEN - HEADER];
        dense::write(&mut written, &twin);
        assert!(written == registers);
        let (mut counted, mut expected) = ([0; HISTOGRAM], [0; HISTOGRAM]);
        dense::histogram(&registers, &mut counted);
        twin.iter().for_each(|value| expected[usize::from(*value)] += 1);
        assert_eq!(counted, expected);
    }

    #[test]
    fn estimates_end_where_registers_do() {
        let all_at = |value: usize| {
            let mut histogram = [0; HISTOGRAM];
            histogram[value] = REGISTERS as u32;
            estimate(&histogram)
        };
        assert_eq!(all_at(0), 0);
        assert_eq!(all_at(VALUE_BITS + 1), STALE);
        assert_eq!(all_at(HISTOGRAM - 1), STALE);
    }

    #[test]
    fn the_self_test_passes() {
        assert_eq!(self_test(7, 3000), Ok(()));
    }
}
