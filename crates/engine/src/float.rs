//! 80-bit floats, as INCRBYFLOAT and HINCRBYFLOAT compute in Redis.
//!
//! Redis adds in C's `long double` and prints with seventeen decimals; on x86 that is the x87
//! format with a 64-bit significand. An `f64` would answer 3.1000000000000001 where Redis says
//! 3.1, so the sums are made in software (`rustc_apfloat`, a port of LLVM's), and the digits come
//! from exact integer arithmetic (`num-bigint`). On other architectures this keeps x86's answers.

use num_bigint::BigUint;
use rustc_apfloat::ieee::X87DoubleExtended;
use rustc_apfloat::{Float, Round, Status};

/// Digits after the decimal point before trailing zeros are cut.
const DECIMALS: u32 = 17;
/// Longest text of a number that is read.
const TEXT_MAX: usize = 5 * 1024;

/// One such number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LongDouble(X87DoubleExtended);

impl LongDouble {
    pub(crate) const ZERO: Self = Self(X87DoubleExtended::ZERO);

    /// Reads a number; the whole text must be one.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        if text.is_empty() || text.len() >= TEXT_MAX {
            return None;
        }
        let text = std::str::from_utf8(text).ok()?;
        let (negative, digits) = match text.as_bytes()[0] {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let lower = digits.to_ascii_lowercase();
        let number = match lower.as_str() {
            "inf" | "infinity" => X87DoubleExtended::INFINITY,
            _ => finite(&lower)?,
        };
        Some(Self(if negative { -number } else { number }))
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        Self((self.0 + other.0).value)
    }

    pub(crate) fn is_finite(self) -> bool {
        self.0.is_finite()
    }

    /// The decimal text, without exponent and without trailing zeros.
    pub(crate) fn to_text(self) -> String {
        let bits = self.0.to_bits();
        let significand = BigUint::from(bits as u64);
        let exponent = ((bits >> 64) as i64 & 0x7fff).max(1) - 16383 - 63;
        let scaled = significand * BigUint::from(10u32).pow(DECIMALS);
        let whole = if exponent >= 0 {
            scaled << exponent as u64
        } else {
            round_half_even(&scaled, exponent.unsigned_abs())
        };
        let mut digits = whole.to_string();
        let least = DECIMALS as usize + 1;
        if digits.len() < least {
            digits.insert_str(0, &"0".repeat(least - digits.len()));
        }
        digits.insert(digits.len() - DECIMALS as usize, '.');
        let text = digits.trim_end_matches('0').trim_end_matches('.');
        let negative = bits >> 79 & 1 == 1 && text != "0";
        if negative { format!("-{text}") } else { text.to_owned() }
    }
}

/// A finite number without its sign, decimal or hexadecimal; nothing on overflow or underflow.
fn finite(text: &str) -> Option<X87DoubleExtended> {
    let hexadecimal = text.strip_prefix("0x");
    let digits = hexadecimal.unwrap_or(text);
    let (mantissa, exponent) =
        match digits.split_once(if hexadecimal.is_some() { 'p' } else { 'e' }) {
            Some((mantissa, exponent)) => (mantissa, Some(exponent)),
            None => (digits, None),
        };
    let is_digit = |c: char| c.is_ascii_digit() || hexadecimal.is_some() && c.is_ascii_hexdigit();
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let plain = whole.chars().chain(fraction.chars()).all(is_digit);
    if !plain || whole.is_empty() && fraction.is_empty() || !exponent.is_none_or(is_exponent) {
        return None;
    }
    let padded = match hexadecimal {
        Some(_) if exponent.is_none() => format!("{text}p0"),
        _ => text.to_owned(),
    };
    let parsed = X87DoubleExtended::from_str_r(&padded, Round::NearestTiesToEven).ok()?;
    let lost = parsed.status.intersects(Status::OVERFLOW | Status::UNDERFLOW);
    (!lost).then_some(parsed.value)
}

/// Digits, possibly after a sign.
fn is_exponent(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}

/// `n / 2^shift`, rounded to the nearest, to even at a tie.
fn round_half_even(n: &BigUint, shift: u64) -> BigUint {
    let quotient = n >> shift;
    let rest = n - (&quotient << shift);
    let half = BigUint::from(1u32) << (shift - 1);
    if rest > half || rest == half && quotient.bit(0) { quotient + 1u32 } else { quotient }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(a: &str, b: &str) -> String {
        let read = |text: &str| LongDouble::parse(text.as_bytes()).expect("a number");
        read(a).plus(read(b)).to_text()
    }

    #[test]
    fn sums_print_as_long_doubles_do() {
        assert_eq!(sum("3", "0.1"), "3.1");
        assert_eq!(sum("10.50", "0.1"), "10.6");
        assert_eq!(sum("5.0e3", "2.0e2"), "5200");
        assert_eq!(sum("1", "-1"), "0");
        assert_eq!(sum("-0.25", "0"), "-0.25");
        assert_eq!(sum("0", "-1e-20"), "0");
        assert_eq!(sum("17179869184", "1.5"), "17179869185.5");
    }

    #[test]
    fn only_whole_numbers_are_read() {
        for text in ["", " 1", "1 ", "abc", "1.2.3", "nan", "1e", "--1", "1e99999", "1e+", "."] {
            assert!(LongDouble::parse(text.as_bytes()).is_none(), "{text}");
        }
        for text in ["0x", "0x.", "0x1p", "0x1p+", "e5", ".e5", "1e5e5", "1_0", "+-1", "0x1g"] {
            assert!(LongDouble::parse(text.as_bytes()).is_none(), "{text}");
        }
        let (far, near) = ("1e99999999999999999999", "1e-99999999999999999999");
        for text in [far, near, "0x1p99999999999999999999", "0x1p-99999999999999999999"] {
            assert!(LongDouble::parse(text.as_bytes()).is_none(), "{text}");
        }
        for text in [
            "1",
            "+1.5",
            ".5",
            "5.",
            "1e3",
            "inf",
            "-infinity",
            "0x10",
            "0x1p-2",
            "0x.8",
            "0e99999999999999999999",
        ] {
            assert!(LongDouble::parse(text.as_bytes()).is_some(), "{text}");
        }
    }
}
