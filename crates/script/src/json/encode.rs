//! Values to JSON.
//!
//! A table is an array when all its keys are positive integers; a sparse one, by the settings, is
//! an error or an object. An empty table is an object, since cjson cannot know better. Nesting is
//! limited by the settings, and with it the recursion.

use std::sync::atomic::Ordering::Relaxed;

use mlua::{Error, Lua, Result, Table, Value};

use super::settings::{Settings, invalid};
use crate::failure::error;
use crate::number::general;

/// A value as JSON.
pub(super) fn encode(lua: &Lua, settings: &Settings, value: &Value) -> Result<Vec<u8>> {
    let mut encoder = Encoder { lua, settings, out: Vec::new() };
    encoder.value(value, 0)?;
    Ok(encoder.out)
}

struct Encoder<'a> {
    lua: &'a Lua,
    settings: &'a Settings,
    out: Vec<u8>,
}

impl Encoder<'_> {
    fn refuse(&self, what: &str, why: &str) -> Error {
        error(self.lua, format!("Cannot serialise {what}: {why}"))
    }

    fn value(&mut self, value: &Value, depth: i64) -> Result<()> {
        match value {
            Value::Nil => self.out.extend_from_slice(b"null"),
            Value::Boolean(true) => self.out.extend_from_slice(b"true"),
            Value::Boolean(false) => self.out.extend_from_slice(b"false"),
            Value::Integer(n) => self.number(*n as f64)?,
            Value::Number(n) => self.number(*n)?,
            Value::String(text) => self.string(&text.as_bytes()),
            Value::Table(table) => return self.table(table, depth + 1),
            null if null.is_null() => self.out.extend_from_slice(b"null"),
            other => return Err(self.refuse(other.type_name(), "type not supported")),
        }
        Ok(())
    }

    fn number(&mut self, n: f64) -> Result<()> {
        if !n.is_finite() {
            match self.settings.encode_invalid.load(Relaxed) {
                invalid::REFUSED => {
                    return Err(self.refuse("number", "must not be NaN or Inf"));
                }
                invalid::NULL => {
                    self.out.extend_from_slice(b"null");
                    return Ok(());
                }
                _ => {}
            }
        }
        let digits = self.settings.precision.load(Relaxed) as usize;
        self.out.extend_from_slice(general(n, digits).as_bytes());
        Ok(())
    }

    fn string(&mut self, bytes: &[u8]) {
        self.out.reserve(bytes.len() + 2);
        self.out.push(b'"');
        for byte in bytes {
            match byte {
                b'"' => self.out.extend_from_slice(b"\\\""),
                b'\\' => self.out.extend_from_slice(b"\\\\"),
                b'/' => self.out.extend_from_slice(b"\\/"),
                8 => self.out.extend_from_slice(b"\\b"),
                9 => self.out.extend_from_slice(b"\\t"),
                10 => self.out.extend_from_slice(b"\\n"),
                12 => self.out.extend_from_slice(b"\\f"),
                13 => self.out.extend_from_slice(b"\\r"),
                0..=31 | 127 => self.out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
                plain => self.out.push(*plain),
            }
        }
        self.out.push(b'"');
    }

    fn table(&mut self, table: &Table, depth: i64) -> Result<()> {
        if depth > self.settings.encode_depth.load(Relaxed) {
            let text = format!("Cannot serialise, excessive nesting ({depth})");
            return Err(error(self.lua, text));
        }
        match self.array_len(table)? {
            Some(len) => self.array(table, len, depth),
            None => self.object(table, depth),
        }
    }

    /// The length of the array that a table stands for; `None` for an object.
    fn array_len(&self, table: &Table) -> Result<Option<i64>> {
        let (mut max, mut items) = (0, 0);
        for pair in table.pairs::<Value, Value>() {
            match pair?.0 {
                Value::Integer(n) if n >= 1 => {
                    max = max.max(n);
                    items += 1;
                }
                _ => return Ok(None),
            }
        }
        if max == 0 {
            return Ok(None);
        }
        let ratio = self.settings.sparse_ratio.load(Relaxed);
        let sparse = ratio > 0
            && max > i64::saturating_mul(items, ratio)
            && max > self.settings.sparse_safe.load(Relaxed);
        if sparse {
            if !self.settings.sparse_convert.load(Relaxed) {
                return Err(self.refuse("table", "excessively sparse array"));
            }
            return Ok(None);
        }
        Ok(Some(max))
    }

    fn array(&mut self, table: &Table, len: i64, depth: i64) -> Result<()> {
        self.out.push(b'[');
        for at in 1..=len {
            if at > 1 {
                self.out.push(b',');
            }
            self.value(&table.raw_get(at)?, depth)?;
        }
        self.out.push(b']');
        Ok(())
    }

    fn object(&mut self, table: &Table, depth: i64) -> Result<()> {
        self.out.push(b'{');
        let mut first = true;
        for pair in table.pairs::<Value, Value>() {
            let (key, value) = pair?;
            if !std::mem::take(&mut first) {
                self.out.push(b',');
            }
            match &key {
                Value::String(text) => self.string(&text.as_bytes()),
                Value::Integer(_) | Value::Number(_) => {
                    self.out.push(b'"');
                    self.value(&key, depth)?;
                    self.out.push(b'"');
                }
                other => {
                    let why = "table key must be a number or string";
                    return Err(self.refuse(other.type_name(), why));
                }
            }
            self.out.push(b':');
            self.value(&value, depth)?;
        }
        self.out.push(b'}');
        Ok(())
    }
}
