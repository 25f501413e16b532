//! What scripts see: the standard library without what reaches outside, and the libraries that
//! Redis adds; nothing of it can be changed.
//!
//! The larger part is `prelude.lua`, because what scripts hold are Lua values and Lua builds them
//! best. Here are its helpers in Rust: the handler that finds out where an error happened (the
//! first frame of a script's own text, from the inside), and what an error is to whoever catches
//! it. mlua loads the libraries; `io`, `package` and `debug` are not even loaded.
//!
//! Neighbours: `api` and the libraries are handed in, `machine` calls what the prelude returns.

use mlua::{Error, Function, Lua, LuaOptions, Result, StdLib, Table, Value};

use crate::failure::{Raised, is_counted, raised, reply};
use crate::{bits, json, msgpack, random, structure};

/// Globals of Lua's own that scripts have.
const ALLOWED: &[&str] = &[
    "_VERSION",
    "assert",
    "collectgarbage",
    "error",
    "gcinfo",
    "getmetatable",
    "ipairs",
    "rawequal",
    "select",
    "tonumber",
    "tostring",
    "type",
    "unpack",
];

/// A Lua state, ready for scripts.
pub(crate) struct Sandbox {
    pub(crate) lua: Lua,
    /// What `prelude.lua` offers to Rust.
    pub(crate) entries: Table,
}

/// Name of the chunk that the sandbox is built by.
const PRELUDE: &str = "=prelude";

impl Sandbox {
    /// Makes one, in which `redis` and `server` are the first table of `api`, and the second one
    /// while a library is loaded.
    pub(crate) fn new(api: impl FnOnce(&Lua) -> Result<(Table, Table)>) -> Result<Self> {
        let libraries = StdLib::TABLE | StdLib::OS | StdLib::STRING | StdLib::MATH;
        let lua = Lua::new_with(libraries, LuaOptions::new())?;
        let host = lua.create_table()?;
        host.raw_set("handler", lua.create_function(handle)?)?;
        host.raw_set("text", lua.create_function(|lua, error: Value| text(lua, &error))?)?;
        host.raw_set("as_table", lua.create_function(|lua, error: Value| as_table(lua, &error))?)?;
        let raise = |_: &Lua, text: String| -> Result<()> { Err(reply(format!("ERR {text}"))) };
        host.raw_set("raise_reply", lua.create_function(raise)?)?;
        let (next, seed) = random::functions(&lua)?;
        host.raw_set("random", next)?;
        host.raw_set("randomseed", seed)?;
        let shared = lua.create_table()?;
        let (running, loading) = api(&lua)?;
        shared.raw_set("redis", running)?;
        shared.raw_set("cjson", json::library(&lua)?)?;
        shared.raw_set("cmsgpack", msgpack::library(&lua)?)?;
        shared.raw_set("bit", bits::library(&lua)?)?;
        shared.raw_set("struct", structure::library(&lua)?)?;
        let allowed = lua.create_table()?;
        for name in ALLOWED {
            allowed.raw_set(*name, true)?;
        }
        let prelude = lua.load(include_str!("prelude.lua")).set_name(PRELUDE);
        let (globals, entries): (Table, Table) = prelude.call((host, shared, loading, allowed))?;
        lua.set_globals(globals)?;
        Ok(Self { lua, entries })
    }

    /// One of the prelude's functions.
    pub(crate) fn entry(&self, name: &str) -> Result<Function> {
        self.entries.raw_get(name)
    }
}

/// Makes an error into the table that a run ends with: its text, and where it happened.
fn handle(lua: &Lua, error: Value) -> Result<Table> {
    let table = lua.create_table()?;
    let (text, counted) = describe(&error)?;
    table.raw_set("err", lua.create_string(text)?)?;
    table.raw_set("counted", counted)?;
    for level in 1..FRAMES_MAX {
        let frame = lua.inspect_stack(level, |frame| {
            let source = frame.source().source?.into_owned();
            Some((source, frame.current_line()? as i64))
        });
        match frame {
            None => break,
            Some(Some((source, line))) if source.starts_with('@') => {
                table.raw_set("source", source)?;
                table.raw_set("line", line)?;
                break;
            }
            Some(_) => {}
        }
    }
    Ok(table)
}

/// The text of an error, and whether it was counted as a command's already.
fn describe(error: &Value) -> Result<(Vec<u8>, bool)> {
    let of = |raised: Raised| match raised {
        Raised::Text(text) => ([b"ERR ", &text[..]].concat(), false),
        Raised::Reply(text, counted) => (text, counted),
    };
    Ok(match error {
        Value::Error(error) => of(raised(error)),
        Value::String(text) => of(Raised::Text(text.as_bytes().to_vec())),
        Value::Table(table) => match table.raw_get("err")? {
            Value::String(text) => (text.as_bytes().to_vec(), is_counted(table)),
            _ => (b"ERR unknown error".to_vec(), false),
        },
        other => of(Raised::Text(other.to_string()?.into_bytes())),
    })
}

/// What `pcall` returns for an error of a Rust function.
fn text(lua: &Lua, error: &Value) -> Result<Value> {
    let Value::Error(error) = error else { return Ok(error.clone()) };
    let (Raised::Text(text) | Raised::Reply(text, _)) = raised(error);
    Ok(Value::String(lua.create_string(text)?))
}

/// What the handler of `xpcall` is given for an error of a Rust function.
fn as_table(lua: &Lua, error: &Value) -> Result<Value> {
    let Value::Error(error) = error else { return Ok(error.clone()) };
    match raised(error) {
        Raised::Text(text) => Ok(Value::String(lua.create_string(text)?)),
        Raised::Reply(text, _) => {
            let table = lua.create_table()?;
            table.raw_set("err", lua.create_string(text)?)?;
            Ok(Value::Table(table))
        }
    }
}

/// An error that mlua met while it built or ran something, as text.
pub(crate) fn explain(error: &Error) -> Vec<u8> {
    match error {
        Error::SyntaxError { message, .. } => message.clone().into_bytes(),
        other => {
            let (Raised::Text(text) | Raised::Reply(text, _)) = raised(other);
            text
        }
    }
}

/// Frames that are looked through for the script's own.
const FRAMES_MAX: usize = 64;
