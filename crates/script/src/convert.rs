//! Replies as values, and values as replies.
//!
//! A command's reply arrives in wire form, in the protocol that the script has chosen, and is read
//! here without being kept: null is false in RESP2 and nil in RESP3, statuses and errors are
//! tables with the field `ok` or `err`, what only RESP3 has are tables with the field `double`,
//! `map`, `set`, `big_number` or `verbatim_string`. The way back is the mirror image; a table
//! without such a field is an array up to its first nil, and a number is cut to an integer.

use mlua::{Lua, Result, Table, Value};
use pannier_resp::{Protocol, Reply, parse_f64, parse_i64};

use crate::number::integer;

/// Tables nested deeper than this are an error in a reply.
const NESTING_MAX: usize = 1000;

/// Reads one reply; the whole of it is there.
pub(crate) fn to_lua(lua: &Lua, reply: &[u8]) -> Result<Value> {
    Reader { lua, rest: reply }.value()
}

struct Reader<'a> {
    lua: &'a Lua,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn line(&mut self) -> &'a [u8] {
        let end = self.rest.iter().position(|byte| *byte == b'\r').unwrap_or(self.rest.len());
        let line = &self.rest[..end];
        self.rest = self.rest.get(end + 2..).unwrap_or_default();
        line
    }

    fn bytes(&mut self, len: usize) -> &'a [u8] {
        let bytes = self.rest.get(..len).unwrap_or_default();
        self.rest = self.rest.get(len + 2..).unwrap_or_default();
        bytes
    }

    fn string(&self, bytes: &[u8]) -> Result<Value> {
        Ok(Value::String(self.lua.create_string(bytes)?))
    }

    fn field(&self, name: &str, value: Value) -> Result<Value> {
        let table = self.lua.create_table_with_capacity(0, 1)?;
        table.raw_set(name, value)?;
        Ok(Value::Table(table))
    }

    fn value(&mut self) -> Result<Value> {
        let line = self.line();
        let Some((kind, line)) = line.split_first() else { return Ok(Value::Nil) };
        let len = || parse_i64(line).and_then(|len| usize::try_from(len).ok());
        match kind {
            b':' => Ok(Value::Number(parse_i64(line).unwrap_or_default() as f64)),
            b'$' => match len() {
                Some(len) => {
                    let bytes = self.bytes(len);
                    self.string(bytes)
                }
                None => Ok(Value::Boolean(false)),
            },
            b'+' => self.field("ok", self.string(line)?),
            b'-' => self.field("err", self.string(line)?),
            b'*' | b'>' => match len() {
                Some(len) => self.array(len),
                None => Ok(Value::Boolean(false)),
            },
            b'_' => Ok(Value::Nil),
            b'#' => Ok(Value::Boolean(line == b"t")),
            b',' => self.field("double", Value::Number(parse_f64(line).unwrap_or(f64::NAN))),
            b'(' => self.field("big_number", self.string(line)?),
            b'=' => {
                let bytes = self.bytes(len().unwrap_or_default());
                let (format, text) = bytes.split_at_checked(4).unwrap_or((b"txt:", bytes));
                let table = self.lua.create_table_with_capacity(0, 2)?;
                table.raw_set("format", self.string(&format[..3])?)?;
                table.raw_set("string", self.string(text)?)?;
                self.field("verbatim_string", Value::Table(table))
            }
            b'%' => {
                let table = self.lua.create_table_with_capacity(0, len().unwrap_or_default())?;
                for _ in 0..len().unwrap_or_default() {
                    let key = self.value()?;
                    table.raw_set(key, self.value()?)?;
                }
                self.field("map", Value::Table(table))
            }
            b'~' => {
                let table = self.lua.create_table_with_capacity(0, len().unwrap_or_default())?;
                for _ in 0..len().unwrap_or_default() {
                    table.raw_set(self.value()?, true)?;
                }
                self.field("set", Value::Table(table))
            }
            b'|' => {
                for _ in 0..len().unwrap_or_default() * 2 {
                    self.value()?;
                }
                self.value()
            }
            _ => Ok(Value::Nil),
        }
    }

    fn array(&mut self, len: usize) -> Result<Value> {
        let table = self.lua.create_table_with_capacity(len, 0)?;
        for at in 1..=len {
            table.raw_set(at, self.value()?)?;
        }
        Ok(Value::Table(table))
    }
}

/// Writes a value as a reply. Truth values stay what they are only for a script that has chosen
/// RESP3 for itself, whatever its client speaks.
pub(crate) fn to_reply(value: &Value, reply: &mut Reply, chosen: Protocol) -> Result<()> {
    Writer { reply, chosen }.write(value, 0)
}

struct Writer<'a> {
    reply: &'a mut Reply,
    chosen: Protocol,
}

impl Writer<'_> {
    fn write(&mut self, value: &Value, depth: usize) -> Result<()> {
        match value {
            Value::String(text) => self.reply.bulk(&text.as_bytes()),
            Value::Integer(n) => self.reply.integer(*n),
            Value::Number(n) => self.reply.integer(integer(*n)),
            Value::Boolean(b) => match (self.chosen, b) {
                (Protocol::Resp3, b) => self.reply.boolean(*b),
                (Protocol::Resp2, true) => self.reply.integer(1),
                (Protocol::Resp2, false) => self.reply.null(),
            },
            Value::Table(table) => return self.write_table(table, depth),
            _ => self.reply.null(),
        }
        Ok(())
    }

    fn write_table(&mut self, table: &Table, depth: usize) -> Result<()> {
        if depth >= NESTING_MAX {
            self.reply.error("ERR reached lua stack limit");
            return Ok(());
        }
        if let Value::String(text) = table.raw_get("err")? {
            let text = text.as_bytes();
            self.reply.error_bytes(text.strip_prefix(b"-").unwrap_or(&text));
            return Ok(());
        }
        if let Value::String(text) = table.raw_get("ok")? {
            self.reply.simple_bytes(&text.as_bytes());
            return Ok(());
        }
        let double = match table.raw_get("double")? {
            Value::Number(n) => Some(n),
            Value::Integer(n) => Some(n as f64),
            _ => None,
        };
        if let Some(double) = double {
            self.reply.double(double);
            return Ok(());
        }
        if let Value::Table(map) = table.raw_get("map")? {
            return self.write_map(&map, depth);
        }
        if let Value::Table(set) = table.raw_get("set")? {
            let deferred = self.reply.deferred();
            let mut len = 0;
            for pair in set.pairs::<Value, Value>() {
                self.write(&pair?.0, depth + 1)?;
                len += 1;
            }
            self.reply.fill_set(deferred, len);
            return Ok(());
        }
        if let Value::String(digits) = table.raw_get("big_number")? {
            let line: String = digits.to_string_lossy().replace(['\r', '\n'], " ");
            self.reply.big_number(&line);
            return Ok(());
        }
        if let Value::Table(verbatim) = table.raw_get("verbatim_string")?
            && let (Value::String(format), Value::String(text)) =
                (verbatim.raw_get("format")?, verbatim.raw_get("string")?)
        {
            let format = format.to_string_lossy();
            let format: String =
                format.chars().filter(char::is_ascii).chain("   ".chars()).take(3).collect();
            self.reply.verbatim(&format, &text.as_bytes());
            return Ok(());
        }
        self.write_array(table, depth)
    }

    fn write_array(&mut self, table: &Table, depth: usize) -> Result<()> {
        let deferred = self.reply.deferred();
        let mut len = 0;
        loop {
            let value: Value = table.raw_get(len + 1)?;
            if value.is_nil() {
                break;
            }
            self.write(&value, depth + 1)?;
            len += 1;
        }
        self.reply.fill_array(deferred, len);
        Ok(())
    }

    fn write_map(&mut self, map: &Table, depth: usize) -> Result<()> {
        let deferred = self.reply.deferred();
        let mut len = 0;
        for pair in map.pairs::<Value, Value>() {
            let (key, value) = pair?;
            self.write(&key, depth + 1)?;
            self.write(&value, depth + 1)?;
            len += 1;
        }
        self.reply.fill_map(deferred, len);
        Ok(())
    }
}
