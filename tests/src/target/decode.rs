//! Replies decoded by a reader of the tests' own.
//!
//! The tests judge what `pannier-resp` writes, so they do not read it with `pannier-resp`: a
//! mistake made twice in one crate would cancel out. This is the grammar of RESP2 and RESP3 in its
//! plainest form, recursive, strict, and slow.
//!
//! Rules: every kind of reply on the wire is a variant of its own; nothing is normalised, also
//! not numbers, whose text is kept.
//!
//! Used by [`super::tcp`] and the targets in process; printed by [`crate::transcript::show`].

/// A decoded reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// `+text`
    Simple(String),
    /// `-text`
    Error(String),
    /// `:n`
    Integer(i64),
    /// `$n` and bytes
    Bulk(Vec<u8>),
    /// `$-1` or `_`
    Null,
    /// `*-1`
    NullArray,
    /// `*n`
    Array(Vec<Self>),
    /// `%n`
    Map(Vec<(Self, Self)>),
    /// `~n`
    Set(Vec<Self>),
    /// `,text`
    Double(String),
    /// `#t` or `#f`
    Boolean(bool),
    /// `(digits`
    BigNumber(String),
    /// `=n`, the format, `:` and bytes
    Verbatim(String, Vec<u8>),
    /// `>n`
    Push(Vec<Self>),
    /// `|n`
    Attribute(Vec<(Self, Self)>),
}

/// Decodes the first reply in `bytes`, and says how many bytes it is; `None` when it has not
/// arrived in full.
///
/// # Errors
/// The bytes are no reply, in words.
pub fn decode(bytes: &[u8]) -> Result<Option<(Value, usize)>, String> {
    let mut reader = Reader { bytes, at: 0 };
    Ok(reader.value()?.map(|value| (value, reader.at)))
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// `None` out of a function when the rest has not arrived.
macro_rules! arrived {
    ($e:expr) => {
        match $e? {
            Some(value) => value,
            None => return Ok(None),
        }
    };
}

impl<'a> Reader<'a> {
    fn value(&mut self) -> Result<Option<Value>, String> {
        let line = arrived!(self.line());
        let Some((&kind, text)) = line.split_first() else {
            return Err("an empty line where a reply begins".to_owned());
        };
        let text = || String::from_utf8_lossy(text).into_owned();
        Ok(Some(match kind {
            b'+' => Value::Simple(text()),
            b'-' => Value::Error(text()),
            b':' => Value::Integer(number(&text())?),
            b',' => Value::Double(text()),
            b'(' => Value::BigNumber(text()),
            b'_' if text().is_empty() => Value::Null,
            b'#' if text() == "t" => Value::Boolean(true),
            b'#' if text() == "f" => Value::Boolean(false),
            b'$' if text() == "-1" => Value::Null,
            b'*' if text() == "-1" => Value::NullArray,
            b'$' => Value::Bulk(arrived!(self.bytes(&text())).to_vec()),
            b'=' => match arrived!(self.bytes(&text())) {
                [a, b, c, b':', rest @ ..] => {
                    let format = String::from_utf8_lossy(&[*a, *b, *c]).into_owned();
                    Value::Verbatim(format, rest.to_vec())
                }
                _ => return Err("a verbatim string without its format".to_owned()),
            },
            b'*' => Value::Array(arrived!(self.items(&text()))),
            b'~' => Value::Set(arrived!(self.items(&text()))),
            b'>' => Value::Push(arrived!(self.items(&text()))),
            b'%' => Value::Map(arrived!(self.pairs(&text()))),
            b'|' => Value::Attribute(arrived!(self.pairs(&text()))),
            _ => return Err(format!("no reply begins with {:?}", String::from_utf8_lossy(line))),
        }))
    }

    fn line(&mut self) -> Result<Option<&'a [u8]>, String> {
        let rest = &self.bytes[self.at..];
        let Some(end) = rest.iter().position(|b| *b == b'\n') else { return Ok(None) };
        let Some(line) = rest[..end].strip_suffix(b"\r") else {
            return Err("a line feed without its carriage return".to_owned());
        };
        self.at += end + 1;
        Ok(Some(line))
    }

    fn bytes(&mut self, len: &str) -> Result<Option<&'a [u8]>, String> {
        let len = count(len)?;
        let Some(rest) = self.bytes.get(self.at..self.at + len + 2) else { return Ok(None) };
        self.at += len + 2;
        let bytes = rest.strip_suffix(b"\r\n").ok_or("a string is longer than it says")?;
        Ok(Some(bytes))
    }

    fn items(&mut self, len: &str) -> Result<Option<Vec<Value>>, String> {
        let mut items = Vec::new();
        for _ in 0..count(len)? {
            items.push(arrived!(self.value()));
        }
        Ok(Some(items))
    }

    fn pairs(&mut self, len: &str) -> Result<Option<Vec<(Value, Value)>>, String> {
        let mut pairs = Vec::new();
        for _ in 0..count(len)? {
            pairs.push((arrived!(self.value()), arrived!(self.value())));
        }
        Ok(Some(pairs))
    }
}

fn number(text: &str) -> Result<i64, String> {
    let n: i64 = text.parse().map_err(|_| format!("{text:?} is no integer"))?;
    if n.to_string() == text { Ok(n) } else { Err(format!("{text:?} is oddly written")) }
}

fn count(text: &str) -> Result<usize, String> {
    usize::try_from(number(text)?).map_err(|_| format!("{text:?} is no length"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_reply_is_read_whole_and_waited_for_when_cut() {
        let wire =
            b"*13\r\n+OK\r\n-ERR x\r\n:-1\r\n$2\r\n\r\n\r\n$-1\r\n_\r\n*-1\r\n,1.5\r\n#t\r\n\
                     (12\r\n=5\r\ntxt:a\r\n~1\r\n:1\r\n%1\r\n+k\r\n>1\r\n#f\r\n";
        let expected = Value::Array(vec![
            Value::Simple("OK".into()),
            Value::Error("ERR x".into()),
            Value::Integer(-1),
            Value::Bulk(b"\r\n".to_vec()),
            Value::Null,
            Value::Null,
            Value::NullArray,
            Value::Double("1.5".into()),
            Value::Boolean(true),
            Value::BigNumber("12".into()),
            Value::Verbatim("txt".into(), b"a".to_vec()),
            Value::Set(vec![Value::Integer(1)]),
            Value::Map(vec![(Value::Simple("k".into()), Value::Push(vec![Value::Boolean(false)]))]),
        ]);
        assert_eq!(decode(wire), Ok(Some((expected, wire.len()))));
        for end in 0..wire.len() {
            assert_eq!(decode(&wire[..end]), Ok(None), "cut at {end}");
        }
    }

    #[test]
    fn what_no_server_may_send_is_refused() {
        for wire in ["x\r\n", "\r\n", ":01\r\n", ":+1\r\n", "$2\r\nabcd\r\n", "+OK\n", "#x\r\n"] {
            assert!(decode(wire.as_bytes()).is_err(), "{wire:?}");
        }
    }
}
