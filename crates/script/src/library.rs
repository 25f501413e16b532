//! Registering functions: what the text of a library does when it is loaded.
//!
//! `redis.register_function` takes a name and a function, or one table of named arguments. It
//! gathers rows on a desk that exists only during a load, so that a function that tries to
//! register another one when it runs is refused. What a row says is checked here; whether its name
//! is free in other libraries is the engine's affair.

use std::sync::Arc;

use mlua::{Function, Lua, MultiValue, Result, Table, Value};
use parking_lot::Mutex;

use crate::failure::reply;
use crate::shebang::{Flags, flags};

/// A function of a library.
#[derive(Clone)]
pub struct FunctionRow {
    /// Its name.
    pub name: Vec<u8>,
    /// What it says of itself, if anything.
    pub description: Option<Vec<u8>>,
    /// What it may do.
    pub flags: Flags,
    pub(crate) body: Function,
}

/// What a library registered while it was loaded.
#[derive(Default)]
pub struct Registration {
    /// Its functions, in the order in which they were registered.
    pub functions: Vec<FunctionRow>,
}

/// Where registrations are gathered; none outside a load.
pub(crate) type Desk = Arc<Mutex<Option<Registration>>>;

/// `redis.register_function`.
pub(crate) fn register(desk: &Desk, args: &MultiValue) -> Result<()> {
    let mut desk = desk.lock();
    let Some(registration) = &mut *desk else {
        return Err(reply(
            "ERR server.register_function can only be called on FUNCTION LOAD command",
        ));
    };
    let row = match args.len() {
        1 => by_name(args)?,
        2 => by_position(args)?,
        _ => return Err(reply("ERR wrong number of arguments to server.register_function")),
    };
    let valid = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    if row.name.is_empty() || !row.name.iter().all(valid) {
        return Err(reply(
            "ERR Library names can only contain letters, numbers, or underscores(_) and must be \
             at least one character long",
        ));
    }
    if registration.functions.iter().any(|held| held.name == row.name) {
        return Err(reply("ERR Function already exists in the library"));
    }
    registration.functions.push(row);
    Ok(())
}

fn by_position(args: &MultiValue) -> Result<FunctionRow> {
    let Some(Value::String(name)) = args.front() else {
        return Err(reply("ERR first argument to server.register_function must be a string"));
    };
    let Some(Value::Function(body)) = args.get(1) else {
        return Err(reply("ERR second argument to server.register_function must be a function"));
    };
    Ok(FunctionRow {
        name: name.as_bytes().to_vec(),
        description: None,
        flags: 0,
        body: body.clone(),
    })
}

fn by_name(args: &MultiValue) -> Result<FunctionRow> {
    let Some(Value::Table(table)) = args.front() else {
        return Err(reply(
            "ERR calling server.register_function with a single argument is only applicable to \
             Lua table (representing named arguments).",
        ));
    };
    let (mut name, mut description, mut body, mut bits) = (None, None, None, 0);
    for pair in table.pairs::<Value, Value>() {
        let (key, value) = pair?;
        let Value::String(key) = key else {
            return Err(reply(
                "ERR named argument key given to server.register_function is not a string",
            ));
        };
        let key = key.as_bytes();
        match &key[..] {
            b"function_name" => match value {
                Value::String(text) => name = Some(text.as_bytes().to_vec()),
                _ => {
                    return Err(reply(
                        "ERR function_name argument given to server.register_function must be \
                         a string",
                    ));
                }
            },
            b"description" => match value {
                Value::String(text) => description = Some(text.as_bytes().to_vec()),
                _ => {
                    return Err(reply(
                        "ERR description argument given to server.register_function must be a \
                         string",
                    ));
                }
            },
            b"callback" => match value {
                Value::Function(function) => body = Some(function),
                _ => {
                    return Err(reply(
                        "ERR callback argument given to server.register_function must be a \
                         function",
                    ));
                }
            },
            b"flags" => bits = flag_list(&value)?,
            _ => {
                return Err(reply("ERR unknown argument given to server.register_function"));
            }
        }
    }
    let name = name
        .ok_or_else(|| reply("ERR server.register_function must get a function name argument"))?;
    let body =
        body.ok_or_else(|| reply("ERR server.register_function must get a callback argument"))?;
    Ok(FunctionRow { name, description, flags: bits, body })
}

fn flag_list(value: &Value) -> Result<Flags> {
    let Value::Table(list) = value else {
        return Err(reply(
            "ERR flags argument to server.register_function must be a table representing \
             function flags",
        ));
    };
    let mut bits = 0;
    for name in list.sequence_values::<Value>() {
        let flag = match name? {
            Value::String(name) => flags::named(&name.as_bytes()),
            _ => None,
        };
        bits |= flag.ok_or_else(|| reply("ERR unknown flag given"))?;
    }
    Ok(bits)
}

/// The function for a Lua state.
pub(crate) fn function(lua: &Lua, desk: &Desk) -> Result<Function> {
    let desk = Arc::clone(desk);
    lua.create_function(move |_, args: MultiValue| register(&desk, &args))
}

/// The table that `redis` is while a library is loaded.
pub(crate) fn api(lua: &Lua, common: &Table, desk: &Desk) -> Result<()> {
    common.raw_set("register_function", function(lua, desk)?)
}
