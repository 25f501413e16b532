//! The library `cjson`: values as JSON and back, with the settings, limits and errors of lua-cjson
//! 2.1 as Redis has it.
//!
//! Why not serde_json: a script sees what it would not do. Numbers are printed as `%.14g`, slashes
//! are escaped, hexadecimal numbers and NaN are read, a sparse table becomes an object or an error
//! by settings, and every error names the token and its place.

mod decode;
mod encode;
mod settings;

use std::sync::Arc;

use mlua::{BString, Lua, MultiValue, Result, Table, Value};

use crate::failure::bad_argument;
use settings::Settings;

/// The library's table, with settings of its own.
pub(crate) fn library(lua: &Lua) -> Result<Table> {
    let table = lua.create_table()?;
    let settings = Arc::new(Settings::default());
    let own = Arc::clone(&settings);
    let encode = lua.create_function(move |lua, args: MultiValue| {
        let value = only(lua, args, "encode")?;
        encode::encode(lua, &own, &value).map(BString::from)
    })?;
    table.raw_set("encode", encode)?;
    let own = Arc::clone(&settings);
    let decode = lua.create_function(move |lua, args: MultiValue| {
        let value = only(lua, args, "decode")?;
        let text = match &value {
            Value::String(text) => text.clone(),
            Value::Integer(_) | Value::Number(_) => match lua.coerce_string(value)? {
                Some(text) => text,
                None => return Ok(Value::Nil),
            },
            other => {
                let why = format!("string expected, got {}", other.type_name());
                return Err(bad_argument(lua, 1, "decode", &why));
            }
        };
        decode::decode(lua, &own, &text.as_bytes())
    })?;
    table.raw_set("decode", decode)?;
    settings::functions(lua, &table, &settings)?;
    table.raw_set("new", lua.create_function(|lua, ()| library(lua))?)?;
    table.raw_set("null", Value::NULL)?;
    table.raw_set("_NAME", "cjson")?;
    table.raw_set("_VERSION", "2.1.0")?;
    Ok(table)
}

fn only(lua: &Lua, mut args: MultiValue, function: &str) -> Result<Value> {
    match args.pop_front() {
        Some(value) if args.is_empty() => Ok(value),
        _ => Err(bad_argument(lua, 1, function, "expected 1 argument")),
    }
}
