//! JSON to values: one pass, token by token.
//!
//! Errors name what was expected, the token that was found and the character it begins at, because
//! scripts print them. A number is read as C's `strtod` reads it, hexadecimal, NaN and infinity
//! included, unless the settings refuse those. Nesting is limited by the settings; the recursion
//! here is one frame of some hundred bytes a level.

use std::sync::atomic::Ordering::Relaxed;

use mlua::{Error, Lua, Result, Value};

use super::settings::Settings;
use crate::failure::error;

/// The value that a text stands for.
pub(super) fn decode(lua: &Lua, settings: &Settings, text: &[u8]) -> Result<Value> {
    if text.len() >= 2 && (text[0] == 0 || text[1] == 0) {
        return Err(error(lua, "JSON parser does not support UTF-16 or UTF-32"));
    }
    let mut decoder = Decoder { lua, settings, text, at: 0, depth: 0 };
    let token = decoder.token();
    let value = decoder.value(token)?;
    match decoder.token() {
        (_, Token::End) => Ok(value),
        other => Err(decoder.expected("the end", other)),
    }
}

/// A token, and where it begins.
type Placed = (usize, Token);

enum Token {
    ObjectBegin,
    ObjectEnd,
    ArrayBegin,
    ArrayEnd,
    String(Vec<u8>),
    Number(f64),
    Boolean(bool),
    Null,
    Colon,
    Comma,
    End,
    Wrong(&'static str),
}

impl Token {
    fn name(&self) -> &'static str {
        match self {
            Self::ObjectBegin => "T_OBJ_BEGIN",
            Self::ObjectEnd => "T_OBJ_END",
            Self::ArrayBegin => "T_ARR_BEGIN",
            Self::ArrayEnd => "T_ARR_END",
            Self::String(_) => "T_STRING",
            Self::Number(_) => "T_NUMBER",
            Self::Boolean(_) => "T_BOOLEAN",
            Self::Null => "T_NULL",
            Self::Colon => "T_COLON",
            Self::Comma => "T_COMMA",
            Self::End => "T_END",
            Self::Wrong(what) => what,
        }
    }
}

struct Decoder<'a> {
    lua: &'a Lua,
    settings: &'a Settings,
    text: &'a [u8],
    at: usize,
    depth: i64,
}

const INVALID_TOKEN: Token = Token::Wrong("invalid token");

impl Decoder<'_> {
    fn expected(&self, what: &str, (at, found): Placed) -> Error {
        let found = found.name();
        let text = format!("Expected {what} but found {found} at character {}", at + 1);
        error(self.lua, text)
    }

    fn descend(&mut self) -> Result<()> {
        self.depth += 1;
        if self.depth <= self.settings.decode_depth.load(Relaxed) {
            return Ok(());
        }
        let text = format!(
            "Found too many nested data structures ({}) at character {}",
            self.depth, self.at
        );
        Err(error(self.lua, text))
    }

    fn value(&mut self, (at, token): Placed) -> Result<Value> {
        Ok(match token {
            Token::String(bytes) => Value::String(self.lua.create_string(bytes)?),
            Token::Number(n) => Value::Number(n),
            Token::Boolean(b) => Value::Boolean(b),
            Token::Null => Value::NULL,
            Token::ObjectBegin => self.object()?,
            Token::ArrayBegin => self.array()?,
            other => return Err(self.expected("value", (at, other))),
        })
    }

    fn object(&mut self) -> Result<Value> {
        self.descend()?;
        let table = self.lua.create_table()?;
        let mut token = self.token();
        if !matches!(token.1, Token::ObjectEnd) {
            loop {
                let key = match token {
                    (_, Token::String(key)) => self.lua.create_string(key)?,
                    other => return Err(self.expected("object key string", other)),
                };
                match self.token() {
                    (_, Token::Colon) => {}
                    other => return Err(self.expected("colon", other)),
                }
                let next = self.token();
                table.raw_set(key, self.value(next)?)?;
                match self.token() {
                    (_, Token::ObjectEnd) => break,
                    (_, Token::Comma) => token = self.token(),
                    other => return Err(self.expected("comma or object end", other)),
                }
            }
        }
        self.depth -= 1;
        Ok(Value::Table(table))
    }

    fn array(&mut self) -> Result<Value> {
        self.descend()?;
        let table = self.lua.create_table()?;
        let mut token = self.token();
        if !matches!(token.1, Token::ArrayEnd) {
            for index in 1.. {
                table.raw_set(index, self.value(token)?)?;
                match self.token() {
                    (_, Token::ArrayEnd) => break,
                    (_, Token::Comma) => token = self.token(),
                    other => return Err(self.expected("comma or array end", other)),
                }
            }
        }
        self.depth -= 1;
        Ok(Value::Table(table))
    }

    fn token(&mut self) -> Placed {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.text.get(self.at) {
            self.at += 1;
        }
        let begin = self.at;
        let Some(byte) = self.text.get(begin) else { return (begin, Token::End) };
        let simple = match byte {
            b'{' => Token::ObjectBegin,
            b'}' => Token::ObjectEnd,
            b'[' => Token::ArrayBegin,
            b']' => Token::ArrayEnd,
            b':' => Token::Colon,
            b',' => Token::Comma,
            b'"' => return self.string(),
            0 => return (begin, INVALID_TOKEN),
            _ => return (begin, self.word()),
        };
        self.at += 1;
        (begin, simple)
    }

    /// A number or a literal.
    fn word(&mut self) -> Token {
        let rest = &self.text[self.at..];
        let invalid = self.settings.decode_invalid.load(Relaxed);
        if matches!(rest[0], b'-' | b'+' | b'0'..=b'9') {
            if !invalid && !is_plain_number(rest) {
                return Token::Wrong("invalid number");
            }
            return self.number();
        }
        let words = [
            (&b"true"[..], Token::Boolean(true)),
            (b"false", Token::Boolean(false)),
            (b"null", Token::Null),
        ];
        for (word, token) in words {
            if rest.starts_with(word) {
                self.at += word.len();
                return token;
            }
        }
        let unusual = begins_with(rest, b"inf") || begins_with(rest, b"nan");
        if unusual && invalid { self.number() } else { INVALID_TOKEN }
    }

    fn number(&mut self) -> Token {
        match strtod(&self.text[self.at..]) {
            Some((n, len)) => {
                self.at += len;
                Token::Number(n)
            }
            None => Token::Wrong("invalid number"),
        }
    }

    fn string(&mut self) -> Placed {
        let begin = self.at;
        let mut out = Vec::new();
        let mut at = begin + 1;
        loop {
            match self.text.get(at) {
                None => return (self.text.len(), Token::Wrong("unexpected end of string")),
                Some(b'"') => break,
                Some(b'\\') => match self.escape(at, &mut out) {
                    Ok(next) => at = next,
                    Err(what) => return (at, Token::Wrong(what)),
                },
                Some(plain) => {
                    out.push(*plain);
                    at += 1;
                }
            }
        }
        self.at = at + 1;
        (begin, Token::String(out))
    }

    /// Reads an escape code; where it ends.
    fn escape(&self, at: usize, out: &mut Vec<u8>) -> std::result::Result<usize, &'static str> {
        let byte = match self.text.get(at + 1) {
            Some(b'"') => b'"',
            Some(b'\\') => b'\\',
            Some(b'/') => b'/',
            Some(b'b') => 8,
            Some(b'f') => 12,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'u') => {
                let (point, next) = self.code_point(at).ok_or("invalid unicode escape code")?;
                out.extend_from_slice(point.encode_utf8(&mut [0; 4]).as_bytes());
                return Ok(next);
            }
            _ => return Err("invalid escape code"),
        };
        out.push(byte);
        Ok(at + 2)
    }

    fn code_point(&self, at: usize) -> Option<(char, usize)> {
        let first = self.hex(at)?;
        if !(0xD800..0xE000).contains(&first) {
            return Some((char::from_u32(first)?, at + 6));
        }
        let second = self.hex(at + 6)?;
        if first >= 0xDC00 || !(0xDC00..0xE000).contains(&second) {
            return None;
        }
        let point = 0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00);
        Some((char::from_u32(point)?, at + 12))
    }

    /// The four digits of `\uXXXX`.
    fn hex(&self, at: usize) -> Option<u32> {
        let digits = self.text.get(at..at + 6)?.strip_prefix(b"\\u")?;
        digits.iter().try_fold(0, |n, digit| Some(n * 16 + char::from(*digit).to_digit(16)?))
    }
}

/// Whether a number is one that JSON knows: neither hexadecimal nor with zeros in front.
fn is_plain_number(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    match digits {
        [b'0', next, ..] => !next.is_ascii_digit() && !next.eq_ignore_ascii_case(&b'x'),
        [first, ..] => first.is_ascii_digit(),
        [] => false,
    }
}

fn begins_with(text: &[u8], word: &[u8]) -> bool {
    text.get(..word.len()).is_some_and(|head| head.eq_ignore_ascii_case(word))
}

/// The number at the head of a text as C's `strtod` reads it, and its length.
fn strtod(text: &[u8]) -> Option<(f64, usize)> {
    let signed = matches!(text.first(), Some(b'+' | b'-'));
    let sign = if text.first() == Some(&b'-') { -1.0 } else { 1.0 };
    let start = usize::from(signed);
    let rest = &text[start..];
    for (word, value) in [(&b"infinity"[..], f64::INFINITY), (b"inf", f64::INFINITY)] {
        if begins_with(rest, word) {
            return Some((sign * value, start + word.len()));
        }
    }
    if begins_with(rest, b"nan") {
        return Some((f64::NAN, start + 3));
    }
    if begins_with(rest, b"0x") && rest.get(2).is_some_and(u8::is_ascii_hexdigit) {
        let digits = rest[2..].iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let value = rest[2..2 + digits].iter().fold(0.0, |n, digit| {
            n * 16.0 + f64::from(char::from(*digit).to_digit(16).unwrap_or(0))
        });
        return Some((sign * value, start + 2 + digits));
    }
    let count = |from: usize| rest[from..].iter().take_while(|b| b.is_ascii_digit()).count();
    let whole = count(0);
    let mut end = whole;
    if rest.get(end) == Some(&b'.') {
        let fraction = count(end + 1);
        if whole + fraction > 0 {
            end += 1 + fraction;
        }
    }
    if end == 0 {
        return None;
    }
    if matches!(rest.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(rest.get(end + 1), Some(b'+' | b'-')));
        if end + 1 + sign <= rest.len() {
            let exponent = count(end + 1 + sign);
            if exponent > 0 {
                end += 1 + sign + exponent;
            }
        }
    }
    let number: f64 = std::str::from_utf8(&rest[..end]).ok()?.parse().ok()?;
    Some((sign * number, start + end))
}
