//! Replies read back as typed values, for tests, transcripts and small clients.
//!
//! All of RESP2 and RESP3 except streamed aggregates (`$?`, `*?`), which no server sends. A
//! double keeps its text, since how it is written is what tests compare. The crate
//! `redis-protocol` reads frames as well; it is not used here because it merges a null
//! bulk with a null array and parses doubles, and both differences must stay visible.
//!
//! Rules: never panics on any input; nesting is bounded, and nothing is reserved on a peer's word.
//! Tests at the bottom; fuzz target `reply_decode`.

use std::fmt;

/// A reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// `+` status.
    Simple(String),
    /// `-` error, without the sign; RESP3's `!` error too.
    Error(String),
    /// `:` integer.
    Integer(i64),
    /// `$` string of bytes.
    Bulk(Vec<u8>),
    /// `$-1` or `_`.
    Null,
    /// `*-1`.
    NullArray,
    /// `*` array.
    Array(Vec<Self>),
    /// `%` map, in the order sent.
    Map(Vec<(Self, Self)>),
    /// `~` set, in the order sent.
    Set(Vec<Self>),
    /// `,` double, as its text.
    Double(String),
    /// `#` boolean.
    Boolean(bool),
    /// `(` integer of any size.
    BigNumber(String),
    /// `=` text with its three-letter format.
    Verbatim(String, Vec<u8>),
    /// `>` message out of turn.
    Push(Vec<Self>),
    /// `|` attributes, with the reply that they belong to.
    Attribute(Vec<(Self, Self)>, Box<Self>),
}

/// Bytes that are no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecodeError {
    /// No type has this first byte.
    UnknownType(u8),
    /// A length or number that does not parse, or a line that is no UTF-8.
    Malformed,
    /// Aggregates nested deeper than 128 levels.
    TooDeep,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownType(byte) => write!(f, "no reply begins with byte {byte:#04x}"),
            Self::Malformed => f.write_str("malformed reply"),
            Self::TooDeep => f.write_str("reply nested too deeply"),
        }
    }
}

impl std::error::Error for DecodeError {}

/// Reads the reply at the head of `buf`: it and its length, or None when it is not whole.
///
/// ```
/// use pannier_resp::{Value, decode};
///
/// let array = Value::Array(vec![Value::Integer(1), Value::Null]);
/// assert_eq!(decode(b"*2\r\n:1\r\n$-1\r\n+O"), Ok(Some((array, 13))));
/// assert_eq!(decode(b"+O"), Ok(None));
/// ```
pub fn decode(buf: &[u8]) -> Result<Option<(Value, usize)>, DecodeError> {
    let mut reader = Reader { buf, at: 0 };
    match reader.value(0) {
        Ok(value) => Ok(Some((value, reader.at))),
        Err(Stop::NeedMore) => Ok(None),
        Err(Stop::Error(error)) => Err(error),
    }
}

enum Stop {
    NeedMore,
    Error(DecodeError),
}

const MALFORMED: Stop = Stop::Error(DecodeError::Malformed);

struct Reader<'a> {
    buf: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth: usize) -> Result<Value, Stop> {
        if depth > DEPTH_MAX {
            return Err(Stop::Error(DecodeError::TooDeep));
        }
        let kind = *self.buf.get(self.at).ok_or(Stop::NeedMore)?;
        if !b"+-:$*_%~,#(=>|!".contains(&kind) {
            return Err(Stop::Error(DecodeError::UnknownType(kind)));
        }
        self.at += 1;
        let line = self.line()?;
        Ok(match kind {
            b'+' => Value::Simple(text(line)?),
            b'-' => Value::Error(lossy(line)),
            b':' => Value::Integer(crate::parse_i64(line).ok_or(MALFORMED)?),
            b'(' => Value::BigNumber(text(line)?),
            b',' => Value::Double(text(line)?),
            b'_' if line.is_empty() => Value::Null,
            b'#' if line == b"t" => Value::Boolean(true),
            b'#' if line == b"f" => Value::Boolean(false),
            b'$' if line == b"-1" => Value::Null,
            b'*' if line == b"-1" => Value::NullArray,
            b'$' => Value::Bulk(self.blob(line)?.to_vec()),
            b'!' => Value::Error(lossy(self.blob(line)?)),
            b'=' => match self.blob(line)?.split_first_chunk::<4>() {
                Some(([format @ .., b':'], rest)) => Value::Verbatim(text(format)?, rest.to_vec()),
                _ => return Err(MALFORMED),
            },
            b'*' => Value::Array(self.values(line, depth)?),
            b'~' => Value::Set(self.values(line, depth)?),
            b'>' => Value::Push(self.values(line, depth)?),
            b'%' => Value::Map(self.pairs(line, depth)?),
            b'|' => {
                let attributes = self.pairs(line, depth)?;
                Value::Attribute(attributes, Box::new(self.value(depth + 1)?))
            }
            _ => return Err(MALFORMED),
        })
    }

    fn line(&mut self) -> Result<&'a [u8], Stop> {
        let rest = &self.buf[self.at..];
        let end = memchr::memchr(b'\r', rest).ok_or(Stop::NeedMore)?;
        match rest.get(end + 1) {
            None => Err(Stop::NeedMore),
            Some(b'\n') => {
                self.at += end + 2;
                Ok(&rest[..end])
            }
            Some(_) => Err(MALFORMED),
        }
    }

    fn blob(&mut self, line: &[u8]) -> Result<&'a [u8], Stop> {
        let len = length(line)?;
        let rest = &self.buf[self.at..];
        let end = len.checked_add(2).ok_or(MALFORMED)?;
        let whole = rest.get(..end).ok_or(Stop::NeedMore)?;
        self.at += end;
        whole.strip_suffix(b"\r\n").ok_or(MALFORMED)
    }

    fn values(&mut self, line: &[u8], depth: usize) -> Result<Vec<Value>, Stop> {
        (0..length(line)?).map(|_| self.value(depth + 1)).collect()
    }

    fn pairs(&mut self, line: &[u8], depth: usize) -> Result<Vec<(Value, Value)>, Stop> {
        (0..length(line)?).map(|_| Ok((self.value(depth + 1)?, self.value(depth + 1)?))).collect()
    }
}

fn length(line: &[u8]) -> Result<usize, Stop> {
    crate::parse_i64(line).and_then(|len| usize::try_from(len).ok()).ok_or(MALFORMED)
}

fn text(line: &[u8]) -> Result<String, Stop> {
    String::from_utf8(line.to_vec()).map_err(|_| MALFORMED)
}

/// Errors may quote what a client sent.
fn lossy(line: &[u8]) -> String {
    String::from_utf8_lossy(line).into_owned()
}

/// Real replies nest a handful of levels.
const DEPTH_MAX: usize = 128;
