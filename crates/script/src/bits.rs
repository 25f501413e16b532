//! The library `bit`: operations on 32-bit integers, results signed.
//!
//! It follows Mike Pall's BitOp, which is what scripts for Redis have: arguments are rounded to
//! the nearest integer and taken modulo 2^32, shifts use the lowest five bits of their count.
//!
//! Neighbour: `random::number` reads arguments. Tested in `tests/scripts.rs`.

use mlua::{Lua, Result, Table, Value, Variadic};

use crate::failure::bad_argument;
use crate::random::number;

/// The library's table.
pub(crate) fn library(lua: &Lua) -> Result<Table> {
    let bit = lua.create_table()?;
    unary(lua, &bit, "tobit", |a| a)?;
    unary(lua, &bit, "bnot", |a| !a)?;
    unary(lua, &bit, "bswap", u32::swap_bytes)?;
    fold(lua, &bit, "band", |a, b| a & b)?;
    fold(lua, &bit, "bor", |a, b| a | b)?;
    fold(lua, &bit, "bxor", |a, b| a ^ b)?;
    shift(lua, &bit, "lshift", |a, n| a << n)?;
    shift(lua, &bit, "rshift", |a, n| a >> n)?;
    shift(lua, &bit, "arshift", |a, n| (a as i32 >> n) as u32)?;
    shift(lua, &bit, "rol", u32::rotate_left)?;
    shift(lua, &bit, "ror", u32::rotate_right)?;
    let to_hex = lua.create_function(|lua, (a, digits): (Value, Value)| {
        let a = word(lua, &a, 1, "tohex")?;
        let digits = match digits {
            Value::Nil => 8,
            digits => word(lua, &digits, 2, "tohex")? as i32,
        };
        let len = digits.unsigned_abs().min(8) as usize;
        let text = if digits < 0 { format!("{a:08X}") } else { format!("{a:08x}") };
        Ok(text[8 - len..].to_owned())
    })?;
    bit.raw_set("tohex", to_hex)?;
    Ok(bit)
}

/// A number modulo 2^32, rounded to the nearest integer.
fn word(lua: &Lua, value: &Value, at: usize, function: &str) -> Result<u32> {
    let n = number(lua, value, at, function)?;
    if !n.is_finite() {
        return Ok(0);
    }
    const SPAN: f64 = 4_294_967_296.0;
    Ok(n.round_ties_even().rem_euclid(SPAN) as u64 as u32)
}

fn signed(word: u32) -> i64 {
    i64::from(word as i32)
}

fn unary(lua: &Lua, bit: &Table, name: &'static str, f: fn(u32) -> u32) -> Result<()> {
    let function =
        lua.create_function(move |lua, a: Value| Ok(signed(f(word(lua, &a, 1, name)?))))?;
    bit.raw_set(name, function)
}

fn fold(lua: &Lua, bit: &Table, name: &'static str, f: fn(u32, u32) -> u32) -> Result<()> {
    let function = lua.create_function(move |lua, args: Variadic<Value>| {
        let Some(first) = args.first() else {
            return Err(bad_argument(lua, 1, name, "number expected, got no value"));
        };
        let mut result = word(lua, first, 1, name)?;
        for (at, arg) in args.iter().enumerate().skip(1) {
            result = f(result, word(lua, arg, at + 1, name)?);
        }
        Ok(signed(result))
    })?;
    bit.raw_set(name, function)
}

fn shift(lua: &Lua, bit: &Table, name: &'static str, f: fn(u32, u32) -> u32) -> Result<()> {
    let function = lua.create_function(move |lua, (a, n): (Value, Value)| {
        Ok(signed(f(word(lua, &a, 1, name)?, word(lua, &n, 2, name)? & 31)))
    })?;
    bit.raw_set(name, function)
}
