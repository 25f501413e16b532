//! Integers and doubles as clients write them.
//!
//! An integer has one spelling only: no plus, no leading zero, no blank, no `-0`. That is Redis's
//! rule, and it is what makes a string that parses storable as an integer without changing how
//! it reads back. A double may be written in any decimal form, or as an infinity; NaN, hexadecimal
//! forms, overflow to infinity and underflow to zero are refused, as by Valkey 9.1 (Redis 7
//! takes hexadecimal forms). Writing integers is `itoa`'s job, writing doubles `double`'s.

/// The integer that `b` spells, exactly.
///
/// ```
/// use pannier_resp::parse_i64;
///
/// assert_eq!(parse_i64(b"-9223372036854775808"), Some(i64::MIN));
/// assert_eq!(parse_i64(b"9223372036854775808"), None);
/// assert_eq!([&b"+1"[..], b"01", b"-0", b" 1", b""].map(parse_i64), [None; 5]);
/// ```
#[inline]
pub fn parse_i64(b: &[u8]) -> Option<i64> {
    let (negative, digits) = match *b {
        [b'0'] => return Some(0),
        [b'-', ref digits @ ..] => (true, digits),
        _ => (false, b),
    };
    if !matches!(digits.first(), Some(b'1'..=b'9')) || digits.len() > 19 {
        return None;
    }
    let mut value = 0_u64;
    for &byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        // Nineteen digits fit 64 unsigned bits.
        value = value * 10 + u64::from(digit);
    }
    if negative { 0_i64.checked_sub_unsigned(value) } else { i64::try_from(value).ok() }
}

/// The double that `b` spells.
///
/// ```
/// use pannier_resp::parse_f64;
///
/// assert_eq!(parse_f64(b"+.5e1"), Some(5.0));
/// assert_eq!(parse_f64(b"-Infinity"), Some(f64::NEG_INFINITY));
/// assert_eq!([&b"nan"[..], b"1e400", b"1e-400", b" 1", b"0x10"].map(parse_f64), [None; 5]);
/// ```
pub fn parse_f64(b: &[u8]) -> Option<f64> {
    let value: f64 = std::str::from_utf8(b).ok()?.parse().ok()?;
    let in_range = if value == 0.0 {
        let mut mantissa = b.iter().take_while(|&&byte| !matches!(byte, b'e' | b'E'));
        !mantissa.any(|byte| matches!(byte, b'1'..=b'9'))
    } else if value.is_infinite() {
        !b.iter().any(u8::is_ascii_digit)
    } else {
        !value.is_nan()
    };
    in_range.then_some(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_integer_is_accepted_exactly_when_it_prints_as_it_was_written(
            text in "-?[0-9]{0,21}|[-+ ]?[0-9]{1,3}[a ]?"
        ) {
            let expected = text.parse::<i64>().ok().filter(|n| n.to_string() == text);
            prop_assert_eq!(parse_i64(text.as_bytes()), expected);
        }

        #[test]
        fn every_integer_is_read_back(n: i64) {
            prop_assert_eq!(parse_i64(n.to_string().as_bytes()), Some(n));
        }
    }

    /// Each was given to ZADD on a valkey-server 9.1.
    #[test]
    fn doubles_are_accepted_and_refused_as_by_the_real_server() {
        let accepted: &[(&[u8], f64)] = &[
            (b"+5", 5.0),
            (b".5", 0.5),
            (b"5.", 5.0),
            (b"infinity", f64::INFINITY),
            (b"INF", f64::INFINITY),
            (b"+inf", f64::INFINITY),
            (b"-INFINITY", f64::NEG_INFINITY),
            (b"5e-324", 5e-324),
            (b"1e-320", 1e-320),
            (b"0e999", 0.0),
            (b"0e99999999999999999999999", 0.0),
            (b"1E5", 1e5),
            (b"00012", 12.0),
            (b"1e0000000000000000001", 10.0),
        ];
        for (text, value) in accepted {
            assert_eq!(parse_f64(text), Some(*value), "{}", text.escape_ascii());
        }
        let refused: &[&[u8]] = &[
            b"0x1p3",
            b"0X10",
            b"0x",
            b"--5",
            b"+-5",
            b"1e",
            b"1e+",
            b".",
            b"infin",
            b"infi",
            b"nan",
            b"nan(1)",
            b"1e400",
            b"-1e400",
            b"1e-400",
            b"2e-324",
            b"1\x002",
            b"1 ",
            b" 1",
            b"\x0b1",
            b"",
            b"1_0",
            b"1d5",
            b"1,5",
            b"1e99999999999999999999",
            b"1e-99999999999999999999",
            b"3.0e2x",
            b"\xff",
        ];
        for text in refused {
            assert_eq!(parse_f64(text), None, "{}", text.escape_ascii());
        }
    }
}
