//! Numbers as Lua and its libraries print and cut them.
//!
//! Lua 5.1 prints with C's `%.14g`, which Rust's formatting does not have, and a reply cuts a
//! number to an integer as the processor does, where Rust's cast would saturate. Scripts depend on
//! both. Tests at the bottom.

/// A number in C's `%.{digits}g`.
pub(crate) fn general(n: f64, digits: usize) -> String {
    if n.is_nan() {
        return if n.is_sign_negative() { "-nan" } else { "nan" }.into();
    }
    if n.is_infinite() {
        return if n < 0.0 { "-inf" } else { "inf" }.into();
    }
    let digits = digits.max(1);
    let scientific = format!("{:.*e}", digits - 1, n);
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if exponent < -4 || exponent >= digits as i32 {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", trimmed(mantissa), exponent.abs());
    }
    let decimals = (digits as i32 - 1 - exponent).max(0) as usize;
    trimmed(&format!("{n:.decimals$}")).to_owned()
}

/// Without zeros at the end of the fraction.
fn trimmed(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

/// A number cut to an integer as the processor does it: what does not fit is the least one.
pub(crate) fn integer(n: f64) -> i64 {
    const BEYOND: f64 = 9_223_372_036_854_775_808.0;
    if (-BEYOND..BEYOND).contains(&n) { n as i64 } else { i64::MIN }
}

#[cfg(test)]
mod tests {
    use super::{general, integer};

    #[test]
    fn numbers_are_printed_as_c_prints_them() {
        let cases: [(f64, &str); 13] = [
            (1.0, "1"),
            (0.1, "0.1"),
            (-0.0, "-0"),
            (1e15, "1e+15"),
            (123_456_789_012_345_680.0, "1.2345678901235e+17"),
            (1e100, "1e+100"),
            (1.0 / 3.0, "0.33333333333333"),
            (1e-5, "1e-05"),
            (0.0001, "0.0001"),
            (99_999_999_999_999.0, "99999999999999"),
            (100_000_000_000_000.0, "1e+14"),
            (2.5e-10, "2.5e-10"),
            (f64::INFINITY, "inf"),
        ];
        for (n, text) in cases {
            assert_eq!(general(n, 14), text);
        }
    }

    #[test]
    fn what_does_not_fit_is_the_least_integer() {
        assert_eq!(integer(3.99), 3);
        assert_eq!(integer(-3.7), -3);
        for n in [1e20, -1e20, f64::NAN, f64::INFINITY] {
            assert_eq!(integer(n), i64::MIN);
        }
    }
}
