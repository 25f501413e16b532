//! The library `cmsgpack`: values as MessagePack and back.
//!
//! The choices are those of the library of that name in Redis: an integral number takes the
//! shortest integer, others a float if it loses nothing; a table is an array when its keys are 1
//! to n, an empty one too; what cannot be packed, and what is nested too deeply, is nil.

use mlua::{BString, Lua, MultiValue, Result, Table, Value};
use rmp::Marker;
use rmp::encode;

use crate::failure::{bad_argument, error};

/// Tables nested deeper than this are packed as nil.
const NESTING_MAX: usize = 16;
/// A packed value nested deeper than this is refused.
const UNPACK_NESTING_MAX: usize = 200;

/// The library's table.
pub(crate) fn library(lua: &Lua) -> Result<Table> {
    let table = lua.create_table()?;
    table.raw_set("pack", lua.create_function(pack)?)?;
    table.raw_set("unpack", lua.create_function(unpack)?)?;
    table.raw_set("unpack_one", lua.create_function(unpack_one)?)?;
    table.raw_set("unpack_limit", lua.create_function(unpack_limit)?)?;
    table.raw_set("_NAME", "cmsgpack")?;
    table.raw_set("_VERSION", "lua-cmsgpack 0.4.0")?;
    table.raw_set("_COPYRIGHT", "Copyright (C) 2012, Redis Ltd.")?;
    table.raw_set("_DESCRIPTION", "MessagePack C implementation for Lua")?;
    Ok(table)
}

fn pack(lua: &Lua, args: MultiValue) -> Result<BString> {
    if args.is_empty() {
        return Err(bad_argument(lua, 0, "pack", "MessagePack pack needs input."));
    }
    let mut out = Vec::new();
    for value in &args {
        pack_value(&mut out, value, 0)?;
    }
    Ok(out.into())
}

/// Writing into memory cannot fail.
fn written<T, E>(_: std::result::Result<T, E>) {}

fn pack_value(out: &mut Vec<u8>, value: &Value, depth: usize) -> Result<()> {
    match value {
        Value::Boolean(b) => written(encode::write_bool(out, *b)),
        Value::Integer(n) => written(encode::write_sint(out, *n)),
        Value::Number(n) => pack_number(out, *n),
        Value::String(text) => {
            let bytes = text.as_bytes();
            written(encode::write_str_len(out, bytes.len() as u32));
            out.extend_from_slice(&bytes);
        }
        Value::Table(table) if depth < NESTING_MAX => return pack_table(out, table, depth),
        _ => written(encode::write_nil(out)),
    }
    Ok(())
}

fn pack_number(out: &mut Vec<u8>, n: f64) {
    const BEYOND: f64 = 9_223_372_036_854_775_808.0;
    if n.floor() == n && (-BEYOND..BEYOND).contains(&n) {
        written(encode::write_sint(out, n as i64));
    } else if f64::from(n as f32) == n {
        written(encode::write_f32(out, n as f32));
    } else {
        written(encode::write_f64(out, n));
    }
}

fn pack_table(out: &mut Vec<u8>, table: &Table, depth: usize) -> Result<()> {
    let (mut count, mut max, mut array) = (0u32, 0i64, true);
    for pair in table.pairs::<Value, Value>() {
        let (key, _) = pair?;
        count += 1;
        match key {
            Value::Integer(n) if n > 0 => max = max.max(n),
            _ => array = false,
        }
    }
    if array && max == i64::from(count) {
        written(encode::write_array_len(out, count));
        for at in 1..=max {
            pack_value(out, &table.raw_get(at)?, depth + 1)?;
        }
        return Ok(());
    }
    written(encode::write_map_len(out, count));
    for pair in table.pairs::<Value, Value>() {
        let (key, value) = pair?;
        pack_value(out, &key, depth + 1)?;
        pack_value(out, &value, depth + 1)?;
    }
    Ok(())
}

fn unpack(lua: &Lua, data: BString) -> Result<MultiValue> {
    Ok(unpack_from(lua, &data, 0, usize::MAX)?.0)
}

fn unpack_one(lua: &Lua, (data, offset): (BString, Option<i64>)) -> Result<MultiValue> {
    unpack_some(lua, &data, 1, offset.unwrap_or(0))
}

fn unpack_limit(
    lua: &Lua,
    (data, limit, offset): (BString, i64, Option<i64>),
) -> Result<MultiValue> {
    unpack_some(lua, &data, limit, offset.unwrap_or(0))
}

/// Some values, and before them where to go on: -1 at the end.
fn unpack_some(lua: &Lua, data: &[u8], limit: i64, offset: i64) -> Result<MultiValue> {
    let (Ok(from), Ok(most)) = (usize::try_from(offset), usize::try_from(limit)) else {
        let text = format!(
            "Invalid request to unpack with offset of {offset} and limit of {}.",
            data.len()
        );
        return Err(error(lua, text));
    };
    if from > data.len() {
        let text = format!("Start offset {offset} greater than input length {}.", data.len());
        return Err(error(lua, text));
    }
    let most = if most == 0 { usize::MAX } else { most };
    let (mut values, left) = unpack_from(lua, data, from, most)?;
    let next = if left == 0 { -1 } else { (data.len() - left) as i64 };
    values.push_front(Value::Integer(next));
    Ok(values)
}

fn unpack_from(lua: &Lua, data: &[u8], from: usize, most: usize) -> Result<(MultiValue, usize)> {
    let mut reader = Reader { lua, rest: &data[from..] };
    let mut values = MultiValue::new();
    while !reader.rest.is_empty() && values.len() < most {
        values.push_back(reader.value(0)?);
    }
    Ok((values, reader.rest.len()))
}

struct Reader<'a> {
    lua: &'a Lua,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn bad(&self) -> mlua::Error {
        error(self.lua, "Bad data format in input.")
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        let Some((head, rest)) = self.rest.split_at_checked(len) else {
            return Err(error(self.lua, "Missing bytes in input."));
        };
        self.rest = rest;
        Ok(head)
    }

    /// An integer without a sign, of so many bytes.
    fn word(&mut self, len: usize) -> Result<u64> {
        Ok(self.take(len)?.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)))
    }

    fn signed(&mut self, len: usize) -> Result<f64> {
        let unused = 64 - 8 * len as u32;
        Ok(((self.word(len)? << unused) as i64 >> unused) as f64)
    }

    fn string(&mut self, len: u64) -> Result<Value> {
        let bytes = self.take(usize::try_from(len).unwrap_or(usize::MAX))?;
        Ok(Value::String(self.lua.create_string(bytes)?))
    }

    fn array(&mut self, len: u64, depth: usize) -> Result<Value> {
        let table = self.lua.create_table()?;
        for at in 1..=len {
            table.raw_set(at, self.value(depth + 1)?)?;
        }
        Ok(Value::Table(table))
    }

    fn map(&mut self, len: u64, depth: usize) -> Result<Value> {
        let table = self.lua.create_table()?;
        for _ in 0..len {
            let key = self.value(depth + 1)?;
            let value = self.value(depth + 1)?;
            let unusable = key.is_nil() || matches!(&key, Value::Number(n) if n.is_nan());
            if unusable {
                return Err(self.bad());
            }
            table.raw_set(key, value)?;
        }
        Ok(Value::Table(table))
    }

    fn value(&mut self, depth: usize) -> Result<Value> {
        if depth > UNPACK_NESTING_MAX {
            return Err(self.bad());
        }
        let marker = Marker::from_u8(self.take(1)?[0]);
        Ok(match marker {
            Marker::FixPos(n) => Value::Integer(n.into()),
            Marker::FixNeg(n) => Value::Integer(n.into()),
            Marker::U8 => Value::Number(self.word(1)? as f64),
            Marker::U16 => Value::Number(self.word(2)? as f64),
            Marker::U32 => Value::Number(self.word(4)? as f64),
            Marker::U64 => Value::Number(self.word(8)? as f64),
            Marker::I8 => Value::Number(self.signed(1)?),
            Marker::I16 => Value::Number(self.signed(2)?),
            Marker::I32 => Value::Number(self.signed(4)?),
            Marker::I64 => Value::Number(self.signed(8)?),
            Marker::F32 => Value::Number(f32::from_bits(self.word(4)? as u32).into()),
            Marker::F64 => Value::Number(f64::from_bits(self.word(8)?)),
            Marker::Null => Value::Nil,
            Marker::False => Value::Boolean(false),
            Marker::True => Value::Boolean(true),
            Marker::FixStr(len) => self.string(len.into())?,
            Marker::Str8 | Marker::Bin8 => {
                let len = self.word(1)?;
                self.string(len)?
            }
            Marker::Str16 | Marker::Bin16 => {
                let len = self.word(2)?;
                self.string(len)?
            }
            Marker::Str32 | Marker::Bin32 => {
                let len = self.word(4)?;
                self.string(len)?
            }
            Marker::FixArray(len) => self.array(len.into(), depth)?,
            Marker::Array16 => {
                let len = self.word(2)?;
                self.array(len, depth)?
            }
            Marker::Array32 => {
                let len = self.word(4)?;
                self.array(len, depth)?
            }
            Marker::FixMap(len) => self.map(len.into(), depth)?,
            Marker::Map16 => {
                let len = self.word(2)?;
                self.map(len, depth)?
            }
            Marker::Map32 => {
                let len = self.word(4)?;
                self.map(len, depth)?
            }
            _ => return Err(self.bad()),
        })
    }
}
