//! Which strings are integers: the rule by which values are kept as numbers.
//!
//! A string that is the canonical decimal text of an `i64` (no sign but `-`, no leading zero, no
//! `-0`) can be kept as that number and printed back unchanged; every other string must be kept as
//! its bytes. Neighbours: `packed` and the store's values.

/// The integer whose decimal text is exactly `bytes`.
///
/// ```
/// use pannier_collections::canonical_integer;
/// assert_eq!(canonical_integer(b"-42"), Some(-42));
/// assert_eq!(canonical_integer(b"042"), None);
/// ```
#[inline]
pub fn canonical_integer(bytes: &[u8]) -> Option<i64> {
    let (negative, digits) = match bytes {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, bytes),
    };
    match digits {
        [] => return None,
        [b'0', ..] if digits.len() > 1 || negative => return None,
        _ if digits.len() > 19 => return None,
        _ => {}
    }
    let mut magnitude: u64 = 0;
    for digit in digits {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        magnitude = magnitude * 10 + u64::from(digit);
    }
    if negative { 0i64.checked_sub_unsigned(magnitude) } else { i64::try_from(magnitude).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_canonical_decimals_are_integers() {
        for text in ["0", "7", "-1", "9223372036854775807", "-9223372036854775808"] {
            let Some(n) = canonical_integer(text.as_bytes()) else { panic!("{text}") };
            assert_eq!(n.to_string(), text);
        }
        for text in ["", "-", "-0", "00", "01", "+1", " 1", "1 ", "1.0", "9223372036854775808"] {
            assert_eq!(canonical_integer(text.as_bytes()), None, "{text}");
        }
        assert_eq!(canonical_integer(b"-9223372036854775809"), None);
        assert_eq!(canonical_integer(b"99999999999999999999"), None);
    }
}
