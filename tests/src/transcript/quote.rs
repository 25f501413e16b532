//! Command lines as `redis-cli` reads them, and bytes as it prints them.
//!
//! Both directions live here because they must be inverse: what a reply shows can be pasted into
//! a command. The rules are redis-cli's: double quotes with `\n \r \t \a \b \\ \"` and `\xHH`,
//! single quotes with `\'` only, a closing quote is followed by a blank or the end.
//!
//! The functions are pure and work on bytes, since a key may be any bytes.
//!
//! Used by [`super::run`] and [`super::show`]; the tests are below.

/// Splits a command line into its arguments; `None` when the quotes do not balance.
pub fn split(line: &str) -> Option<Vec<Vec<u8>>> {
    let mut rest = line.as_bytes();
    let mut args = Vec::new();
    loop {
        rest = rest.trim_ascii_start();
        if rest.is_empty() {
            return Some(args);
        }
        let mut arg = Vec::new();
        loop {
            match rest.split_first() {
                None => break,
                Some((b, _)) if b.is_ascii_whitespace() => break,
                Some((b'"', tail)) => rest = closed(double(tail, &mut arg)?)?,
                Some((b'\'', tail)) => rest = closed(single(tail, &mut arg)?)?,
                Some((&b, tail)) => {
                    arg.push(b);
                    rest = tail;
                    continue;
                }
            }
            if rest.first().is_none_or(u8::is_ascii_whitespace) {
                break;
            }
        }
        args.push(arg);
    }
}

/// Bytes in double quotes with escapes, as redis-cli shows a bulk string.
pub fn quoted(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let mut out = String::with_capacity(bytes.len() + 2);
    out.push('"');
    for &b in bytes {
        match b {
            b'\\' | b'"' => {
                out.push('\\');
                out.push(char::from(b));
            }
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            7 => out.push_str("\\a"),
            8 => out.push_str("\\b"),
            b' '..=b'~' => out.push(char::from(b)),
            _ => {
                let _ = write!(out, "\\x{b:02x}");
            }
        }
    }
    out.push('"');
    out
}

/// An argument as one would type it: bare when it can be, quoted otherwise.
pub fn typed(bytes: &[u8]) -> String {
    let bare = |b: &u8| b.is_ascii_graphic() && !b"\"'\\".contains(b);
    if !bytes.is_empty() && bytes.iter().all(bare) {
        return String::from_utf8_lossy(bytes).into_owned();
    }
    quoted(bytes)
}

fn closed(rest: &[u8]) -> Option<&[u8]> {
    rest.first().is_none_or(u8::is_ascii_whitespace).then_some(rest)
}

fn double<'a>(mut rest: &'a [u8], arg: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        match rest {
            [] => return None,
            [b'"', tail @ ..] => return Some(tail),
            [b'\\', b'x', high, low, tail @ ..]
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                let digit = |b: &u8| char::from(*b).to_digit(16).map_or(0, |d| d as u8);
                arg.push(digit(high) * 16 + digit(low));
                rest = tail;
            }
            [b'\\', escaped, tail @ ..] => {
                arg.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 8,
                    b'a' => 7,
                    other => *other,
                });
                rest = tail;
            }
            [b, tail @ ..] => {
                arg.push(*b);
                rest = tail;
            }
        }
    }
}

fn single<'a>(mut rest: &'a [u8], arg: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        match rest {
            [] => return None,
            [b'\'', tail @ ..] => return Some(tail),
            [b'\\', b'\'', tail @ ..] => {
                arg.push(b'\'');
                rest = tail;
            }
            [b, tail @ ..] => {
                arg.push(*b);
                rest = tail;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_split_as_redis_cli_splits_them() {
        let words = |line| {
            split(line).map(|args| {
                args.iter().map(|a| String::from_utf8_lossy(a).into_owned()).collect::<Vec<_>>()
            })
        };
        assert_eq!(words("SET  k v"), Some(vec!["SET".into(), "k".into(), "v".into()]));
        assert_eq!(words(r#"SET "a b" '' "#), Some(vec!["SET".into(), "a b".into(), "".into()]));
        assert_eq!(words(r#"x "\x41\n\q" '\'\n'"#), {
            Some(vec!["x".into(), "A\nq".into(), "'\\n".into()])
        });
        assert_eq!(words(r#"a"b c""#), Some(vec!["ab c".into()]));
        assert_eq!(words(r#""a"b"#), None);
        assert_eq!(words(r#""a"#), None);
        assert_eq!(words(""), Some(vec![]));
    }

    #[test]
    fn what_is_quoted_splits_back_to_the_same_bytes() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(split(&quoted(&all)), Some(vec![all.clone()]));
        assert_eq!(split(&typed(&all)), Some(vec![all]));
        assert_eq!(typed(b"key:1"), "key:1");
        assert_eq!(typed(b""), "\"\"");
    }
}
