//! Sparse registers: runs of equal ones.
//!
//! ```text
//!  00llllll           1 to 64 registers of 0
//!  01llllll llllllll  1 to 16384 registers of 0, the high bits first
//!  1vvvvvll           1 to 4 registers of 1 to 32
//! ```
//!
//! Lengths and values are stored less one. To raise a register splits the run it lies in into up
//! to three, and then joins neighbours of equal value within five runs from the one before. That
//! this is greedy, and not the shortest writing, is part of the format: the bytes must be those
//! that Redis would have after the same elements.
//!
//! A change is computed first, as a splice of at most [`WINDOW`] bytes, and applied by the caller,
//! so that nothing is copied for an element that changes nothing. A merge raises registers in
//! ascending order and goes on from where it was ([`Cursor`]), so that it takes linear time.
//!
//! Rules: lengths are checked, never trusted. Neighbour: `hyperloglog`.

use super::{Buffer, Corrupt, HEADER, HISTOGRAM, REGISTERS};

/// A run of registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Run {
    /// Zeros, in one byte.
    Zeros(usize),
    /// Zeros, in two bytes.
    ManyZeros(usize),
    /// Registers of a value.
    Values(u8, usize),
}

impl Run {
    /// The run at an offset, which is within the bytes. A second byte that is missing counts as 0.
    fn at(bytes: &[u8], at: usize) -> Self {
        let byte = bytes[at];
        let low = usize::from(byte & 0x3f);
        match byte >> 6 {
            0 => Self::Zeros(low + 1),
            1 => {
                let next = bytes.get(at + 1).copied().unwrap_or(0);
                Self::ManyZeros((low << 8 | usize::from(next)) + 1)
            }
            _ => Self::Values((byte >> 2 & 0x1f) + 1, usize::from(byte & 3) + 1),
        }
    }

    /// How many there are.
    pub const fn registers(self) -> usize {
        match self {
            Self::Zeros(len) | Self::ManyZeros(len) | Self::Values(_, len) => len,
        }
    }

    /// Bytes it takes.
    const fn size(self) -> usize {
        match self {
            Self::ManyZeros(_) => 2,
            Self::Zeros(_) | Self::Values(..) => 1,
        }
    }
}

/// The runs of a sparse sketch, as far as its bytes go.
pub fn runs(bytes: &[u8]) -> impl Iterator<Item = Run> {
    let mut at = HEADER;
    std::iter::from_fn(move || {
        let run = (at < bytes.len()).then(|| Run::at(bytes, at))?;
        at += run.size();
        Some(run)
    })
}

/// What raising a register takes.
pub(super) enum Step {
    /// It is that high already.
    Kept,
    /// These bytes.
    Splice(Splice),
    /// The dense form: the value or the length does not fit.
    Promote,
}

/// Bytes to be put in place of others.
pub(super) struct Splice {
    at: usize,
    removed: usize,
    added: Window,
    /// From where to look for the next register.
    pub(super) next: Cursor,
}

impl Splice {
    pub(super) fn apply(&self, sketch: &mut impl Buffer) {
        let added = self.added.bytes();
        if added.len() == self.removed {
            sketch.bytes_mut()[self.at..][..self.removed].copy_from_slice(added);
        } else {
            sketch.splice(self.at, self.removed, added);
        }
    }
}

/// Where a run begins: its offset, and its first register.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Cursor {
    at: usize,
    first: usize,
}

impl Default for Cursor {
    fn default() -> Self {
        Self { at: HEADER, first: 0 }
    }
}

/// Finds what must be done to raise a register to a value. The search begins at `from`, which is
/// not after the run before the register's.
pub(super) fn raise(
    bytes: &[u8],
    from: Cursor,
    (index, value): (usize, u8),
    len_max: usize,
) -> Result<Step, Corrupt> {
    if value > VALUE_MAX {
        return Ok(Step::Promote);
    }
    // The run before the register's, and the one before that.
    let (mut previous, mut earlier) = (None, None);
    let mut here = from;
    let run = loop {
        if here.at >= bytes.len() {
            return Err(Corrupt);
        }
        let run = Run::at(bytes, here.at);
        if index < here.first + run.registers() {
            break run;
        }
        earlier = previous;
        previous = Some(here);
        here = Cursor { at: here.at + run.size(), first: here.first + run.registers() };
    };
    if here.at + run.size() > bytes.len() {
        return Err(Corrupt);
    }
    let mut window = Window::default();
    let start = previous.map_or(here.at, |previous| previous.at);
    window.extend(&bytes[start..here.at]);
    if let Run::Values(held, _) = run
        && held >= value
    {
        return Ok(Step::Kept);
    }
    let before = index - here.first;
    let after = run.registers() - before - 1;
    window.push_part(run, before);
    window.push(Run::Values(value, 1));
    window.push_part(run, after);
    let (old, tail) = (here.at - start + run.size(), here.at + run.size());
    if window.len > old && bytes.len() + window.len - old > len_max {
        return Ok(Step::Promote);
    }
    let end = bytes.len().min(tail + REACH);
    window.extend(&bytes[tail..end]);
    window.join();
    // The run before the register's may be another now; the one before that is not.
    let next = earlier.unwrap_or_default();
    Ok(Step::Splice(Splice { at: start, removed: end - start, added: window, next }))
}

/// Raises each of `best` to the register of its number.
pub(super) fn merge(bytes: &[u8], best: &mut [u8; REGISTERS]) -> Result<(), Corrupt> {
    let mut first = 0;
    for run in runs(bytes) {
        let registers = best.get_mut(first..first + run.registers()).ok_or(Corrupt)?;
        if let Run::Values(value, _) = run {
            registers.iter_mut().for_each(|register| *register = (*register).max(value));
        }
        first += run.registers();
    }
    if first == REGISTERS { Ok(()) } else { Err(Corrupt) }
}

/// Counts how many registers have which value.
pub(super) fn histogram(bytes: &[u8], histogram: &mut [u32; HISTOGRAM]) -> Result<(), Corrupt> {
    let mut first = 0;
    for run in runs(bytes) {
        let value = if let Run::Values(value, _) = run { value } else { 0 };
        histogram[usize::from(value)] += run.registers() as u32;
        first += run.registers();
        if first > REGISTERS {
            break;
        }
    }
    if first == REGISTERS { Ok(()) } else { Err(Corrupt) }
}

/// A few runs while they are being changed.
#[derive(Default)]
struct Window {
    bytes: [u8; WINDOW],
    len: usize,
}

impl Window {
    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn extend(&mut self, bytes: &[u8]) {
        self.bytes[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    fn push(&mut self, run: Run) {
        match run {
            Run::Zeros(len) => self.extend(&[(len - 1) as u8]),
            Run::ManyZeros(len) => {
                let [high, low] = ((len - 1) as u16).to_be_bytes();
                self.extend(&[high | 0x40, low]);
            }
            Run::Values(value, len) => self.extend(&[values(value, len)]),
        }
    }

    /// Writes what is left of a run: so many of its registers.
    fn push_part(&mut self, run: Run, len: usize) {
        match run {
            _ if len == 0 => {}
            Run::Values(value, _) => self.push(Run::Values(value, len)),
            _ if len > ZEROS_MAX => self.push(Run::ManyZeros(len)),
            _ => self.push(Run::Zeros(len)),
        }
    }

    /// Joins neighbours of equal value, in at most [`JOIN_STEPS`] steps.
    fn join(&mut self) {
        let mut at = 0;
        for _ in 0..JOIN_STEPS {
            if at >= self.len {
                break;
            }
            let run = Run::at(self.bytes(), at);
            if let Run::Values(value, len) = run
                && at + 1 < self.len
                && let Run::Values(next, next_len) = Run::at(self.bytes(), at + 1)
                && value == next
                && len + next_len <= VALUES_MAX
            {
                self.bytes[at + 1] = values(value, len + next_len);
                self.bytes.copy_within(at + 1..self.len, at);
                self.len -= 1;
            } else {
                at += run.size();
            }
        }
    }
}

/// A run of registers of a value, encoded.
const fn values(value: u8, len: usize) -> u8 {
    0x80 | (value - 1) << 2 | (len - 1) as u8
}

/// The highest value that fits.
const VALUE_MAX: u8 = 32;
/// The longest run of a value.
const VALUES_MAX: usize = 4;
/// The longest run of zeros in one byte.
const ZEROS_MAX: usize = 64;
/// Runs looked at for neighbours to be joined.
const JOIN_STEPS: usize = 5;
/// Bytes after a change that joining may look at: two a step, and one beyond.
const REACH: usize = 2 * JOIN_STEPS + 1;
/// A run, three in place of the next, and what follows.
const WINDOW: usize = 2 + 5 + REACH;

#[cfg(test)]
mod tests {
    use super::super::{EMPTY, Registers, raise_to};
    use super::*;

    /// Raises a register with a search from the beginning.
    fn raise_alone(sketch: &mut Vec<u8>, index: usize, value: u8) {
        match raise(sketch, Cursor::default(), (index, value), usize::MAX) {
            Ok(Step::Splice(splice)) => splice.apply(sketch),
            Ok(Step::Kept) => {}
            Ok(Step::Promote) | Err(Corrupt) => panic!("register {index} to {value}"),
        }
    }

    fn values_of(sketch: &[u8]) -> [u8; REGISTERS] {
        let mut registers = [0; REGISTERS];
        assert_eq!(merge(sketch, &mut registers), Ok(()));
        registers
    }

    #[test]
    fn registers_raised_one_by_one_are_those_of_an_array() {
        let mut rng = fastrand::Rng::with_seed(5);
        for values in [1, 2, 3, 32] {
            // Few registers far and near, so that runs of every kind are split and joined.
            let (mut sketch, mut twin) = (EMPTY.to_vec(), [0; REGISTERS]);
            for _ in 0..3000 {
                let far = rng.usize(..4) * 5000;
                let (index, value) = (far + rng.usize(..200), rng.u8(1..=values));
                raise_alone(&mut sketch, index, value);
                twin[index] = twin[index].max(value);
                assert!(runs(&sketch).all(|run| run.registers() > 0), "{sketch:?}");
            }
            assert!(values_of(&sketch) == twin);
        }
    }

    #[test]
    fn raising_many_in_order_leaves_the_bytes_that_each_alone_would() {
        let mut rng = fastrand::Rng::with_seed(6);
        for round in 0..300 {
            let (start, kinds) = (rng.usize(..16_000), rng.u8(1..=4));
            let mut sketch = EMPTY.to_vec();
            for _ in 0..rng.usize(..300) {
                let index =
                    if round % 2 == 0 { start + rng.usize(..300) } else { rng.usize(..REGISTERS) };
                raise_alone(&mut sketch, index, rng.u8(1..=kinds));
            }
            let mut best = Registers::new(true);
            best.values = values_of(&sketch);
            for _ in 0..rng.usize(..300) {
                let index = start + rng.usize(..300);
                best.values[index] = best.values[index].max(rng.u8(1..=kinds));
            }
            let mut alone = sketch.clone();
            for (index, value) in best.values.iter().enumerate().filter(|(_, value)| **value > 0) {
                raise_alone(&mut alone, index, *value);
            }
            raise_to(&mut sketch, &best, false, usize::MAX);
            assert_eq!(sketch[HEADER..], alone[HEADER..], "round {round}");
        }
    }
}
