//! Inline requests: a line of words as a person types it into telnet.
//!
//! Words are separated by blanks. A part in double quotes may hold the escapes `\n \r \t \b \a`,
//! `\xHH`, and a backslash before any other byte gives that byte; a part in single quotes knows
//! `\'` only. Quoted and bare parts join into one word as in a shell (`a"b c"d`), which is
//! Valkey 9.1's rule; Redis 7 refuses a closing quote that is followed by anything but a blank.
//! Between words any ASCII white space is skipped, but only space, tab, CR and LF end a bare one.
//!
//! This is a slow path used by people and health checks: words are copied into one side
//! buffer, nothing else is allocated. `request` finds the line's end and owns its limit; the
//! configuration file's reader splits its lines with the same function.

use crate::request::Span;

/// A quoted part of a line does not end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnbalancedQuotes;

/// The words of one line (without its line end), quotes and escapes resolved.
///
/// ```
/// let words = pannier_resp::split_line(br#"set "a key" 'it\'s' \x41"#).unwrap();
/// assert_eq!(words, [&b"set"[..], b"a key", b"it's", b"\\x41"]);
/// ```
pub fn split_line(line: &[u8]) -> Result<Vec<Vec<u8>>, UnbalancedQuotes> {
    let (mut side, mut spans) = (Vec::new(), Vec::new());
    split(line, &mut side, 0, &mut spans)?;
    let word = |span: &Span| side[span.range()].to_vec();
    Ok(spans.iter().map(word).collect())
}

/// Appends the words' bytes to `side`, and to `spans` their places, counted from `side[base]`.
pub(crate) fn split(
    line: &[u8],
    side: &mut Vec<u8>,
    base: usize,
    spans: &mut Vec<Span>,
) -> Result<(), UnbalancedQuotes> {
    let mut at = 0;
    loop {
        while line.get(at).is_some_and(|&byte| is_space(byte)) {
            at += 1;
        }
        if at == line.len() {
            return Ok(());
        }
        let start = side.len();
        at = word(line, at, side)?;
        spans.push(Span::new(start - base, side.len() - start));
    }
}

/// Copies the word that begins at `at`, and returns where it ends.
fn word(line: &[u8], mut at: usize, side: &mut Vec<u8>) -> Result<usize, UnbalancedQuotes> {
    while let Some(&byte) = line.get(at) {
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => break,
            b'"' => at = double_quoted(line, at + 1, side)?,
            b'\'' => at = single_quoted(line, at + 1, side)?,
            _ => {
                side.push(byte);
                at += 1;
            }
        }
    }
    Ok(at)
}

fn double_quoted(
    line: &[u8],
    mut at: usize,
    side: &mut Vec<u8>,
) -> Result<usize, UnbalancedQuotes> {
    loop {
        let (byte, length) = match line.get(at..).unwrap_or_default() {
            [] | [b'\\'] => return Err(UnbalancedQuotes),
            [b'"', ..] => return Ok(at + 1),
            [b'\\', b'x', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                (hex(*high) << 4 | hex(*low), 4)
            }
            [b'\\', escaped, ..] => (unescape(*escaped), 2),
            [byte, ..] => (*byte, 1),
        };
        side.push(byte);
        at += length;
    }
}

fn single_quoted(
    line: &[u8],
    mut at: usize,
    side: &mut Vec<u8>,
) -> Result<usize, UnbalancedQuotes> {
    loop {
        let (byte, length) = match line.get(at..).unwrap_or_default() {
            [] => return Err(UnbalancedQuotes),
            [b'\'', ..] => return Ok(at + 1),
            [b'\\', b'\'', ..] => (b'\'', 2),
            [byte, ..] => (*byte, 1),
        };
        side.push(byte);
        at += length;
    }
}

fn unescape(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 0x08,
        b'a' => 0x07,
        other => other,
    }
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

/// The white space of C's `isspace` in the C locale: Rust's ASCII notion lacks vertical tab.
fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &[u8]) -> Vec<Vec<u8>> {
        split_line(line).unwrap()
    }

    /// Every line here was sent to a valkey-server 9.1, which answered with these words.
    #[test]
    fn words_are_those_of_the_real_server() {
        let cases: &[(&[u8], &[&[u8]])] = &[
            (b"", &[]),
            (b"  \t ", &[]),
            (b"\x0b", &[]),
            (b"  PING   ", &[b"PING"]),
            (b"PING\r", &[b"PING"]),
            (b"P\rING", &[b"P", b"ING"]),
            (b"ECHO \"a b\"", &[b"ECHO", b"a b"]),
            (b"ECHO 'a\\'b\\n'", &[b"ECHO", b"a'b\\n"]),
            (b"ECHO \"a\"b", &[b"ECHO", b"ab"]),
            (b"ECHO a\"b c\"", &[b"ECHO", b"ab c"]),
            (b"ECHO \"a\"'b'\"c\"d", &[b"ECHO", b"abcd"]),
            (b"ECHO \"\\x41\\n\\q\\a\\xzz\"", &[b"ECHO", b"A\nq\x07xzz"]),
            (b"ECHO \"\\x4\"", &[b"ECHO", b"x4"]),
            (b"ECHO \"\\b\\t\\r\\v\\0\"", &[b"ECHO", b"\x08\t\rv0"]),
            (b"ECHO a\\nb", &[b"ECHO", b"a\\nb"]),
            (b"ECHO '\\x41'", &[b"ECHO", b"\\x41"]),
            (b"ECHO \"\"", &[b"ECHO", b""]),
            (b"ECHO \"\" \"\"", &[b"ECHO", b"", b""]),
            (b"ECHO a\x0bb", &[b"ECHO", b"a\x0bb"]),
            (b"ECHO \x0bb", &[b"ECHO", b"b"]),
            (b"ECHO \"a\"\x0bb", &[b"ECHO", b"a\x0bb"]),
            (b"ECHO \xa0b", &[b"ECHO", b"\xa0b"]),
        ];
        for (line, expected) in cases {
            assert_eq!(words(line), *expected, "{:?}", String::from_utf8_lossy(line));
        }
    }

    #[test]
    fn an_open_quote_is_refused() {
        for line in
            [&b"ECHO \"a"[..], b"ECHO 'a", b"ECHO \"a\\", b"ECHO a\"", b"ECHO \"a\\\"", b"'"]
        {
            assert_eq!(split_line(line), Err(UnbalancedQuotes));
        }
    }
}
