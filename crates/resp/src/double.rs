//! Doubles as Valkey 9.1 prints them in replies.
//!
//! The digits are Grisu2's (see `grisu`), so the text reads back as the same double and is
//! almost always the shortest that does. Around them stand Redis's rules: integers up to 2^62 print
//! all their digits and no point; other values print plainly while that takes few zeros, and
//! else with an exponent that has a sign and no leading zero (`1e+20`, `1e-7`). Zero keeps
//! its sign. Compared with a real server's `ZSCORE` in `tests/double_corpus.txt`.

use crate::grisu::{self, DIGITS_MAX};

/// The longest text: a sign, seventeen digits, a point and four zeros or an exponent.
pub const DOUBLE_LEN_MAX: usize = 32;

/// The text of `d`, written at the head of `buf`.
///
/// ```
/// use pannier_resp::format_f64;
///
/// let mut buf = [0; 32];
/// assert_eq!(format_f64(3.0, &mut buf), "3");
/// assert_eq!(format_f64(-1e-7, &mut buf), "-1e-7");
/// assert_eq!(format_f64(f64::INFINITY, &mut buf), "inf");
/// ```
pub fn format_f64(d: f64, buf: &mut [u8; 32]) -> &str {
    let whole = d.abs() <= INTEGER_MAX && d.trunc() == d;
    if whole && !(d == 0.0 && d.is_sign_negative()) {
        let mut text = Text { buf, len: 0 };
        text.push(itoa::Buffer::new().format(d as i64).as_bytes());
        return text.end();
    }
    shortest_f64(d, buf)
}

/// The same where integers are nothing special: 1e16 prints as `1e+16`, and digits behind the
/// seventeenth are zeros. Digests of data are made of it.
///
/// ```
/// use pannier_resp::shortest_f64;
///
/// let mut buf = [0; 32];
/// assert_eq!(shortest_f64(1e16, &mut buf), "1e+16");
/// assert_eq!(shortest_f64(4611686018427387904.0, &mut buf), "4611686018427388000");
/// ```
pub fn shortest_f64(d: f64, buf: &mut [u8; 32]) -> &str {
    let mut text = Text { buf, len: 0 };
    if d.is_nan() {
        text.push(b"nan");
        return text.end();
    }
    if d.is_sign_negative() {
        text.push(b"-");
    }
    if d.is_infinite() {
        text.push(b"inf");
    } else if d == 0.0 {
        text.push(b"0");
    } else {
        let mut digits = [0; DIGITS_MAX];
        let (count, exponent) = grisu::digits(d.abs(), &mut digits);
        text.decimal(&digits[..count], exponent);
    }
    text.end()
}

struct Text<'a> {
    buf: &'a mut [u8; 32],
    len: usize,
}

impl<'a> Text<'a> {
    fn end(self) -> &'a str {
        let Self { buf, len } = self;
        std::str::from_utf8(&buf[..len]).unwrap_or_default()
    }

    fn push(&mut self, bytes: &[u8]) {
        self.buf[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    fn zeros(&mut self, count: usize) {
        self.buf[self.len..self.len + count].fill(b'0');
        self.len += count;
    }

    /// Writes the number `digits` times ten to the `exponent`.
    fn decimal(&mut self, digits: &[u8], exponent: i32) {
        let count = digits.len() as i32;
        // The exponent of the first digit.
        let leading = exponent + count - 1;
        if exponent >= 0 && leading < count + ZEROS_AFTER {
            self.push(digits);
            self.zeros(exponent as usize);
        } else if exponent < 0 && (exponent > -ZEROS_AFTER || leading.abs() < 4) {
            let (whole, fraction) = digits.split_at((count + exponent).max(0) as usize);
            self.push(if whole.is_empty() { b"0" } else { whole });
            self.push(b".");
            self.zeros((-exponent - count).max(0) as usize);
            self.push(fraction);
        } else {
            self.push(&digits[..1]);
            if count > 1 {
                self.push(b".");
                self.push(&digits[1..]);
            }
            self.push(if leading < 0 { b"e-" } else { b"e+" });
            self.push(itoa::Buffer::new().format(leading.abs()).as_bytes());
        }
    }
}

/// Integers up to this print as integers: half of what 64 bits hold.
const INTEGER_MAX: f64 = (1_u64 << 62) as f64;

/// A plain integer may end in fewer zeros than this, a fraction have fewer digits.
const ZEROS_AFTER: i32 = 7;
