//! The test that a running server does on itself (PFSELFTEST).
//!
//! Registers must keep what is written to each, and a sketch in both forms must count up to a
//! million elements within six times its standard error, alike in both. The unit tests do this
//! and more; here it is for a machine in use. It takes some tens of milliseconds.

use super::{DENSE, REGISTERS};
use super::{EMPTY, FORM, HEADER, Registers, add, count, dense, make_dense, place};

/// Runs the test with elements that a seed makes different.
///
/// # Errors
/// What failed.
pub fn self_test(seed: u64, sparse_max: usize) -> Result<(), String> {
    registers(seed)?;
    let mut dense_form = EMPTY.to_vec();
    make_dense(&mut dense_form, &Registers::new(true));
    let mut sparse_form = EMPTY.to_vec();
    let standard_error = 1.04 / (REGISTERS as f64).sqrt();
    let mut checkpoint = 1;
    for number in 1..=ELEMENTS {
        let element = (number ^ seed).to_le_bytes();
        let (index, value) = place(&element);
        dense::raise(&mut dense_form[HEADER..], index, value);
        add(&mut sparse_form, &element, sparse_max).map_err(|_| "a sketch is corrupted")?;
        if number != checkpoint {
            continue;
        }
        if number < sparse_max as u64 / 2 && sparse_form[FORM] == DENSE {
            return Err("sparse encoding not used".to_owned());
        }
        let counted = count(&dense_form).map_err(|_| "a sketch is corrupted")?;
        if Ok(counted) != count(&sparse_form) {
            return Err("dense/sparse disagree".to_owned());
        }
        let allowed = match number {
            10 => 1,
            _ => (standard_error * 6.0 * number as f64).ceil() as u64,
        };
        let error = counted.abs_diff(number);
        if error > allowed {
            return Err(format!("Too big error. card:{number} abserr:{error}"));
        }
        checkpoint *= 10;
    }
    Ok(())
}

/// Writes registers and reads them back.
fn registers(seed: u64) -> Result<(), String> {
    let mut state = seed;
    for _ in 0..ROUNDS {
        let mut written = Registers::new(true);
        for value in &mut written.values {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            *value = (state >> 58) as u8;
        }
        let mut sketch = EMPTY.to_vec();
        make_dense(&mut sketch, &written);
        let mut read = Registers::new(true);
        read.merge(&sketch).map_err(|_| "a sketch is corrupted")?;
        let differs =
            written.values.iter().zip(&read.values).position(|(written, read)| written != read);
        if let Some(at) = differs {
            let (written, read) = (written.values[at], read.values[at]);
            return Err(format!("Register {at} should be {written} but is {read}"));
        }
    }
    Ok(())
}

const ROUNDS: usize = 100;
const ELEMENTS: u64 = 1_000_000;
