//! What a script can set about JSON, and the functions that set it and answer what is set.
//!
//! The settings belong to the library's table, so that `cjson.new()` has its own. They live as
//! long as the Lua state, as in Redis: one script's settings are there for the next. Atomics,
//! because functions of a state that moves between threads may share nothing else; nobody contends
//! for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, Ordering::Relaxed};

use mlua::{Lua, MultiValue, Result, Table, Value};

use crate::failure::bad_argument;
use crate::random::number;

/// What becomes of NaN and infinity when encoding.
pub(super) mod invalid {
    /// An error.
    pub(crate) const REFUSED: u8 = 0;
    /// `nan`, `inf`.
    pub(crate) const WRITTEN: u8 = 1;
    /// `null`.
    pub(crate) const NULL: u8 = 2;
}

/// The settings of one library.
pub(super) struct Settings {
    pub(super) sparse_convert: AtomicBool,
    pub(super) sparse_ratio: AtomicI64,
    pub(super) sparse_safe: AtomicI64,
    pub(super) encode_depth: AtomicI64,
    pub(super) decode_depth: AtomicI64,
    pub(super) precision: AtomicI64,
    keep_buffer: AtomicBool,
    pub(super) encode_invalid: AtomicU8,
    pub(super) decode_invalid: AtomicBool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            sparse_convert: AtomicBool::new(false),
            sparse_ratio: AtomicI64::new(2),
            sparse_safe: AtomicI64::new(10),
            encode_depth: AtomicI64::new(1000),
            decode_depth: AtomicI64::new(1000),
            precision: AtomicI64::new(14),
            keep_buffer: AtomicBool::new(true),
            encode_invalid: AtomicU8::new(invalid::REFUSED),
            decode_invalid: AtomicBool::new(true),
        }
    }
}

const INT_MAX: i64 = i32::MAX as i64;

/// Adds the functions to the library's table.
pub(super) fn functions(lua: &Lua, table: &Table, settings: &Arc<Settings>) -> Result<()> {
    let own = Arc::clone(settings);
    let sparse = lua.create_function(move |lua, args: MultiValue| {
        let name = "encode_sparse_array";
        most(lua, &args, 3, name)?;
        if let Some(on) = switch(lua, args.front(), name)? {
            own.sparse_convert.store(on, Relaxed);
        }
        count(lua, args.get(1), (2, 0, INT_MAX), name, &own.sparse_ratio)?;
        count(lua, args.get(2), (3, 0, INT_MAX), name, &own.sparse_safe)?;
        let convert = own.sparse_convert.load(Relaxed);
        Ok((convert, own.sparse_ratio.load(Relaxed), own.sparse_safe.load(Relaxed)))
    })?;
    table.raw_set("encode_sparse_array", sparse)?;
    counter(lua, table, settings, ("encode_max_depth", INT_MAX), |own| &own.encode_depth)?;
    counter(lua, table, settings, ("decode_max_depth", INT_MAX), |own| &own.decode_depth)?;
    counter(lua, table, settings, ("encode_number_precision", 14), |own| &own.precision)?;
    switcher(lua, table, settings, "encode_keep_buffer", |own| &own.keep_buffer)?;
    switcher(lua, table, settings, "decode_invalid_numbers", |own| &own.decode_invalid)?;
    let own = Arc::clone(settings);
    let encode_invalid = lua.create_function(move |lua, args: MultiValue| {
        let name = "encode_invalid_numbers";
        most(lua, &args, 1, name)?;
        let null = matches!(args.front(), Some(Value::String(word)) if word.as_bytes() == *b"null");
        if null {
            own.encode_invalid.store(invalid::NULL, Relaxed);
        } else if let Some(on) = switch(lua, args.front(), name)? {
            own.encode_invalid.store(if on { invalid::WRITTEN } else { invalid::REFUSED }, Relaxed);
        }
        match own.encode_invalid.load(Relaxed) {
            invalid::NULL => Ok(Value::String(lua.create_string("null")?)),
            other => Ok(Value::Boolean(other == invalid::WRITTEN)),
        }
    })?;
    table.raw_set("encode_invalid_numbers", encode_invalid)
}

fn most(lua: &Lua, args: &MultiValue, most: usize, name: &str) -> Result<()> {
    if args.len() <= most {
        return Ok(());
    }
    Err(bad_argument(lua, most + 1, name, "found too many arguments"))
}

fn counter(
    lua: &Lua,
    table: &Table,
    settings: &Arc<Settings>,
    (name, max): (&'static str, i64),
    field: fn(&Settings) -> &AtomicI64,
) -> Result<()> {
    let own = Arc::clone(settings);
    let function = lua.create_function(move |lua, args: MultiValue| {
        most(lua, &args, 1, name)?;
        count(lua, args.front(), (1, 1, max), name, field(&own))?;
        Ok(field(&own).load(Relaxed))
    })?;
    table.raw_set(name, function)
}

fn switcher(
    lua: &Lua,
    table: &Table,
    settings: &Arc<Settings>,
    name: &'static str,
    field: fn(&Settings) -> &AtomicBool,
) -> Result<()> {
    let own = Arc::clone(settings);
    let function = lua.create_function(move |lua, args: MultiValue| {
        most(lua, &args, 1, name)?;
        if let Some(on) = switch(lua, args.front(), name)? {
            field(&own).store(on, Relaxed);
        }
        Ok(field(&own).load(Relaxed))
    })?;
    table.raw_set(name, function)
}

/// Sets a count, if one is given.
fn count(
    lua: &Lua,
    value: Option<&Value>,
    (at, min, max): (usize, i64, i64),
    name: &str,
    field: &AtomicI64,
) -> Result<()> {
    let Some(value) = value.filter(|value| !value.is_nil()) else { return Ok(()) };
    let n = number(lua, value, at, name)? as i64;
    if !(min..=max).contains(&n) {
        let why = format!("expected integer between {min} and {max}");
        return Err(bad_argument(lua, at, name, &why));
    }
    field.store(n, Relaxed);
    Ok(())
}

/// A switch, if one is given: a truth value, `on` or `off`.
fn switch(lua: &Lua, value: Option<&Value>, name: &str) -> Result<Option<bool>> {
    match value {
        None | Some(Value::Nil) => Ok(None),
        Some(Value::Boolean(on)) => Ok(Some(*on)),
        Some(Value::String(word)) if word.as_bytes() == *b"on" => Ok(Some(true)),
        Some(Value::String(word)) if word.as_bytes() == *b"off" => Ok(Some(false)),
        Some(Value::String(word)) => {
            let why = format!("invalid option '{}'", word.display());
            Err(bad_argument(lua, 1, name, &why))
        }
        Some(other) => {
            let why = format!("string expected, got {}", other.type_name());
            Err(bad_argument(lua, 1, name, &why))
        }
    }
}
