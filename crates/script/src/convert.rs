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

/// Writes a value as a reply.
pub(crate) fn to_reply(value: &Value, reply: &mut Reply) -> Result<()> {
    write(value, reply, 0)
}

fn write(value: &Value, reply: &mut Reply, depth: usize) -> Result<()> {
    match value {
        Value::String(text) => reply.bulk(&text.as_bytes()),
        Value::Integer(n) => reply.integer(*n),
        Value::Number(n) => reply.integer(integer(*n)),
        Value::Boolean(b) => match (reply.protocol(), b) {
            (Protocol::Resp3, b) => reply.boolean(*b),
            (Protocol::Resp2, true) => reply.integer(1),
            (Protocol::Resp2, false) => reply.null(),
        },
        Value::Table(table) => return write_table(table, reply, depth),
        _ => reply.null(),
    }
    Ok(())
}

fn write_table(table: &Table, reply: &mut Reply, depth: usize) -> Result<()> {
    if depth >= NESTING_MAX {
        reply.error("ERR reached lua stack limit");
        return Ok(());
    }
    if let Value::String(text) = table.raw_get("err")? {
        let text = text.as_bytes();
        reply.error_bytes(text.strip_prefix(b"-").unwrap_or(&text));
        return Ok(());
    }
    if let Value::String(text) = table.raw_get("ok")? {
        reply.simple_bytes(&text.as_bytes());
        return Ok(());
    }
    let double = match table.raw_get("double")? {
        Value::Number(n) => Some(n),
        Value::Integer(n) => Some(n as f64),
        _ => None,
    };
    if let Some(double) = double {
        reply.double(double);
        return Ok(());
    }
    if let Value::Table(map) = table.raw_get("map")? {
        return write_map(&map, reply, depth);
    }
    if let Value::Table(set) = table.raw_get("set")? {
        let deferred = reply.deferred();
        let mut len = 0;
        for pair in set.pairs::<Value, Value>() {
            write(&pair?.0, reply, depth + 1)?;
            len += 1;
        }
        reply.fill_set(deferred, len);
        return Ok(());
    }
    if let Value::String(digits) = table.raw_get("big_number")? {
        let line: String = digits.to_string_lossy().replace(['\r', '\n'], " ");
        reply.big_number(&line);
        return Ok(());
    }
    if let Value::Table(verbatim) = table.raw_get("verbatim_string")?
        && let (Value::String(format), Value::String(text)) =
            (verbatim.raw_get("format")?, verbatim.raw_get("string")?)
    {
        let format = format.to_string_lossy();
        let format: String =
            format.chars().filter(char::is_ascii).chain("   ".chars()).take(3).collect();
        reply.verbatim(&format, &text.as_bytes());
        return Ok(());
    }
    write_array(table, reply, depth)
}

fn write_array(table: &Table, reply: &mut Reply, depth: usize) -> Result<()> {
    let deferred = reply.deferred();
    let mut len = 0;
    loop {
        let value: Value = table.raw_get(len + 1)?;
        if value.is_nil() {
            break;
        }
        write(&value, reply, depth + 1)?;
        len += 1;
    }
    reply.fill_array(deferred, len);
    Ok(())
}

fn write_map(map: &Table, reply: &mut Reply, depth: usize) -> Result<()> {
    let deferred = reply.deferred();
    let mut len = 0;
    for pair in map.pairs::<Value, Value>() {
        let (key, value) = pair?;
        write(&key, reply, depth + 1)?;
        write(&value, reply, depth + 1)?;
        len += 1;
    }
    reply.fill_map(deferred, len);
    Ok(())
}
