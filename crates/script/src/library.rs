//! Registering functions: what the text of a library does when it is loaded.
//!
//! `redis.register_function` takes a name and a function, or one table of named arguments. It
//! gathers rows on a desk that exists only during a load, so that a function that tries to
//! register another one when it runs is refused. What a row says is checked here; whether its name
//! is free in other libraries is the engine's affair.

use std::collections::HashSet;
use std::sync::Arc;

use mlua::{Function, Lua, MultiValue, Result, Table, Value};
use pannier_lock::Mutex;

use crate::failure::{Failure, reply};
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

impl Registration {
    /// What cannot be said before all of them are known.
    pub(crate) fn check(&self) -> std::result::Result<(), Failure> {
        let refusal = |text: &str| Err(Failure::new(text));
        let mut names = HashSet::new();
        for function in &self.functions {
            if !is_name(&function.name) {
                return refusal(
                    "ERR Function names can only contain letters, numbers, or underscores(_) and \
                     must be at least one character long",
                );
            }
            if !names.insert(&function.name) {
                return refusal("ERR Function already exists in the library");
            }
        }
        if names.is_empty() { refusal("ERR No functions registered") } else { Ok(()) }
    }
}

/// Whether a function or a library may be called so.
pub fn is_name(name: &[u8]) -> bool {
    let valid = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    !name.is_empty() && name.iter().all(valid)
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
    registration.functions.push(row);
    Ok(())
}

fn by_position(args: &MultiValue) -> Result<FunctionRow> {
    let Some(name) = args.front().and_then(text) else {
        return Err(reply("ERR first argument to server.register_function must be a string"));
    };
    let Some(Value::Function(body)) = args.get(1) else {
        return Err(reply("ERR second argument to server.register_function must be a function"));
    };
    Ok(FunctionRow { name, description: None, flags: 0, body: body.clone() })
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
        let Some(key) = text(&key) else {
            return Err(reply(
                "ERR named argument key given to server.register_function is not a string",
            ));
        };
        match &key[..] {
            b"function_name" => match text(&value) {
                Some(text) => name = Some(text),
                None => {
                    return Err(reply(
                        "ERR function_name argument given to server.register_function must be \
                         a string",
                    ));
                }
            },
            b"description" => match text(&value) {
                Some(text) => description = Some(text),
                None => {
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

/// A value as text, if Lua would take it for one.
fn text(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::String(text) => Some(text.as_bytes().to_vec()),
        Value::Integer(n) => Some(n.to_string().into_bytes()),
        Value::Number(n) => Some(crate::number::general(*n, 14).into_bytes()),
        _ => None,
    }
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
