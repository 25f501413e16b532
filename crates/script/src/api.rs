//! The tables `redis` and `server`: how a script talks to the server.
//!
//! A command is asked for through one question that is kept from call to call, so that its buffers
//! are allocated once; its arguments are the script's strings, and numbers as commands see them.
//! What the script chose for the run (the protocol of replies, `set_repl`) stands in the same
//! question and is set back when a run begins. Errors carry the words of Valkey 9.1.
//!
//! Neighbours: `ask` carries the questions, `convert` reads the replies.

use std::ops::RangeInclusive;
use std::sync::Arc;

use mlua::{Lua, MultiValue, Result, Table, Value, Variadic};
use pannier_lock::Mutex;
use pannier_resp::{OwnedArgs, Protocol, Reply, format_f64};

use crate::ask::{Ask, Call, LogLevel, Versions, ask};
use crate::cache::sha1_hex;
use crate::convert::to_lua;
use crate::failure::{Raised, reply, set_counted};
use crate::number::{general, integer};

/// Where the writes of a script go, as `redis.set_repl` says.
const REPLICATE: &[(&str, u8)] =
    &[("REPL_NONE", 0), ("REPL_AOF", 1), ("REPL_SLAVE", 2), ("REPL_REPLICA", 2), ("REPL_ALL", 3)];
pub(crate) const REPLICATE_ALL: u8 = 3;

const LOG_LEVELS: &[(&str, LogLevel)] = &[
    ("LOG_DEBUG", LogLevel::Debug),
    ("LOG_VERBOSE", LogLevel::Verbose),
    ("LOG_NOTICE", LogLevel::Notice),
    ("LOG_WARNING", LogLevel::Warning),
];

/// Whole numbers that commands see digit by digit; the digits of others are those that count.
const EXACT: RangeInclusive<i64> = -(1 << 62)..=1 << 62;

/// The question about a command that is put again and again, with the settings of the run.
pub(crate) type Line = Arc<Mutex<Ask>>;

/// A question as it stands before a run.
pub(crate) fn new_line() -> Line {
    let call = Call {
        args: OwnedArgs::default(),
        reply: Reply::new(Protocol::Resp2),
        replicate: REPLICATE_ALL,
    };
    Arc::new(Mutex::new(Ask::Call(Box::new(call))))
}

/// Sets the line back to what every script begins with.
pub(crate) fn reset(line: &Line) {
    if let Ask::Call(call) = &mut *line.lock() {
        call.replicate = REPLICATE_ALL;
        call.reply.set_protocol(Protocol::Resp2);
    }
}

/// The protocol that the script has chosen.
pub(crate) fn chosen(line: &Line) -> Protocol {
    match &*line.lock() {
        Ask::Call(call) => call.reply.protocol(),
        _ => Protocol::Resp2,
    }
}

/// What is there while a library is loaded, too.
pub(crate) fn common(lua: &Lua, versions: &Versions) -> Result<Table> {
    let api = lua.create_table()?;
    api.raw_set("log", lua.create_function(log)?)?;
    for (number, (name, _)) in LOG_LEVELS.iter().enumerate() {
        api.raw_set(*name, number)?;
    }
    api.raw_set("REDIS_VERSION", versions.redis)?;
    api.raw_set("REDIS_VERSION_NUM", Versions::number(versions.redis))?;
    api.raw_set("VALKEY_VERSION", versions.valkey)?;
    api.raw_set("VALKEY_VERSION_NUM", Versions::number(versions.valkey))?;
    api.raw_set("SERVER_NAME", versions.name)?;
    Ok(api)
}

/// The whole of it.
pub(crate) fn whole(lua: &Lua, line: &Line, versions: &Versions) -> Result<Table> {
    let api = common(lua, versions)?;
    for (name, catches) in [("call", false), ("pcall", true)] {
        let line = Arc::clone(line);
        let function =
            lua.create_function(move |lua, args: MultiValue| match call(lua, &line, &args) {
                Err(error) if catches => caught(lua, &error),
                Ok(reply) if catches => {
                    if let Value::Table(table) = &reply
                        && table.raw_get::<Value>("err")?.is_string()
                    {
                        set_counted(table)?;
                    }
                    Ok(reply)
                }
                Ok(reply) => raise_error_reply(reply),
                Err(error) => Err(error),
            })?;
        api.raw_set(name, function)?;
    }
    api.raw_set("error_reply", lua.create_function(|lua, args| one_field(lua, "err", args))?)?;
    api.raw_set("status_reply", lua.create_function(|lua, args| one_field(lua, "ok", args))?)?;
    api.raw_set("sha1hex", lua.create_function(sha1hex)?)?;
    let own = Arc::clone(line);
    api.raw_set("setresp", lua.create_function(move |lua, args| setresp(lua, &own, &args))?)?;
    let own = Arc::clone(line);
    api.raw_set("set_repl", lua.create_function(move |_, args| set_repl(&own, &args))?)?;
    for (name, bits) in REPLICATE {
        api.raw_set(*name, *bits)?;
    }
    api.raw_set("replicate_commands", lua.create_function(|_, ()| Ok(true))?)?;
    api.raw_set("breakpoint", lua.create_function(|_, ()| Ok(false))?)?;
    api.raw_set("debug", lua.create_function(|_, _: MultiValue| Ok(()))?)?;
    api.raw_set("acl_check_cmd", lua.create_function(acl_check_cmd)?)?;
    Ok(api)
}

/// Takes away what is there only for scripts that were written before there were functions.
pub(crate) fn without_old(api: &Table) -> Result<()> {
    ["breakpoint", "debug", "replicate_commands"].iter().try_for_each(|name| api.raw_remove(*name))
}

/// Asks for a command; the value of its reply.
fn call(lua: &Lua, line: &Line, args: &MultiValue) -> Result<Value> {
    let mut line = line.lock();
    let question = &mut *line;
    let Ask::Call(call) = question else { return Ok(Value::Nil) };
    fill(&mut call.args, args)?;
    call.reply.clear();
    if !ask(question) {
        return Err(reply("ERR a script can call the server only while it runs"));
    }
    let Ask::Call(call) = question else { return Ok(Value::Nil) };
    if let Some(bytes) = call.reply.as_slice() {
        return to_lua(lua, bytes);
    }
    let mut bytes = Vec::new();
    call.reply.write_to(&mut bytes);
    to_lua(lua, &bytes)
}

/// Takes the arguments of a command over.
fn fill(owned: &mut OwnedArgs, args: &MultiValue) -> Result<()> {
    owned.clear();
    if args.is_empty() {
        return Err(reply("ERR Please specify at least one argument for this call"));
    }
    for arg in args {
        match arg {
            Value::String(text) => owned.push(&text.as_bytes()),
            Value::Integer(n) if EXACT.contains(n) => owned.push(n.to_string().as_bytes()),
            // mlua tells whole numbers apart, which have no sign of zero and no rounding in Lua.
            Value::Integer(n) => owned.push(printed(*n as f64).as_bytes()),
            Value::Number(0.0) => owned.push(b"0"),
            Value::Number(n) => owned.push(printed(*n).as_bytes()),
            _ => return Err(reply("ERR Command arguments must be strings or integers")),
        }
    }
    Ok(())
}

/// A number as a command sees it.
fn printed(n: f64) -> String {
    if n.is_nan() {
        return general(n, 17);
    }
    let mut text = [0; pannier_resp::DOUBLE_LEN_MAX];
    format_f64(n, &mut text).to_owned()
}

/// An error reply becomes an error.
fn raise_error_reply(value: Value) -> Result<Value> {
    if let Value::Table(table) = &value
        && let Value::String(text) = table.raw_get("err")?
    {
        let raised = Raised::Reply(text.as_bytes().to_vec(), true);
        return Err(mlua::Error::external(raised));
    }
    Ok(value)
}

/// An error as `redis.pcall` returns it.
fn caught(lua: &Lua, error: &mlua::Error) -> Result<Value> {
    let (Raised::Text(text) | Raised::Reply(text, _)) = crate::failure::raised(error);
    let table = lua.create_table()?;
    table.raw_set("err", lua.create_string(text)?)?;
    Ok(Value::Table(table))
}

/// `redis.error_reply` and `redis.status_reply`.
fn one_field(lua: &Lua, name: &'static str, args: Variadic<Value>) -> Result<Table> {
    let table = lua.create_table()?;
    let text = match &args[..] {
        [Value::String(text)] => text.as_bytes().to_vec(),
        _ => {
            table.raw_set("err", "ERR wrong number or type of arguments")?;
            return Ok(table);
        }
    };
    if name == "ok" {
        table.raw_set(name, lua.create_string(text)?)?;
        return Ok(table);
    }
    // The code is there already when the text begins with a minus sign or has a space.
    let full = match text.strip_prefix(b"-") {
        Some(rest) => rest.to_vec(),
        None if text.contains(&b' ') => text,
        None => [b"ERR ", &text[..]].concat(),
    };
    table.raw_set(name, lua.create_string(full)?)?;
    Ok(table)
}

fn sha1hex(lua: &Lua, args: Variadic<Value>) -> Result<mlua::LuaString> {
    let [value] = &args[..] else { return Err(reply("ERR wrong number of arguments")) };
    let text = lua.coerce_string(value.clone())?;
    let bytes = text.as_ref().map(|text| text.as_bytes().to_vec()).unwrap_or_default();
    lua.create_string(sha1_hex(&bytes))
}

fn log(lua: &Lua, args: Variadic<Value>) -> Result<()> {
    let [level, words @ ..] = &args[..] else {
        return Err(reply("ERR server.log() requires two arguments or more."));
    };
    if words.is_empty() {
        return Err(reply("ERR server.log() requires two arguments or more."));
    }
    let level = match level {
        Value::Integer(n) => *n,
        Value::Number(n) => *n as i64,
        _ => return Err(reply("ERR First argument must be a number (log level).")),
    };
    let level = usize::try_from(level).ok().and_then(|level| LOG_LEVELS.get(level));
    let (_, level) = level.ok_or_else(|| reply("ERR Invalid log level."))?;
    let mut text = Vec::new();
    for word in words {
        if let Some(word) = lua.coerce_string(word.clone())? {
            if !text.is_empty() {
                text.push(b' ');
            }
            text.extend_from_slice(&word.as_bytes());
        }
    }
    // Without anybody to ask there is no log either.
    let _ = ask(&mut Ask::Log(*level, text));
    Ok(())
}

fn setresp(lua: &Lua, line: &Line, args: &MultiValue) -> Result<()> {
    let (Some(version), 1) = (args.front(), args.len()) else {
        return Err(reply("ERR server.setresp() requires one argument."));
    };
    let protocol = match lua.coerce_number(version.clone())?.map(integer) {
        Some(2) => Protocol::Resp2,
        Some(3) => Protocol::Resp3,
        _ => return Err(reply("ERR RESP version must be 2 or 3.")),
    };
    if let Ask::Call(call) = &mut *line.lock() {
        call.reply.set_protocol(protocol);
    }
    Ok(())
}

fn set_repl(line: &Line, args: &MultiValue) -> Result<()> {
    if args.len() != 1 {
        return Err(reply("ERR server.set_repl() requires one argument."));
    }
    let bits = match args.front() {
        Some(Value::Integer(n)) => *n,
        Some(Value::Number(n)) => *n as i64,
        _ => 0,
    };
    let Some(bits) = u8::try_from(bits).ok().filter(|bits| *bits <= REPLICATE_ALL) else {
        let text = "ERR Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or \
                    REPL_NONE.";
        return Err(reply(text));
    };
    if let Ask::Call(call) = &mut *line.lock() {
        call.replicate = bits;
    }
    Ok(())
}

fn acl_check_cmd(_: &Lua, args: MultiValue) -> Result<bool> {
    let mut owned = OwnedArgs::default();
    fill(&mut owned, &args)?;
    let mut question = Ask::MayRun(owned, None);
    ask(&mut question);
    match question {
        Ask::MayRun(_, Some(may)) => Ok(may),
        _ => Err(reply("ERR Invalid command passed to server.acl_check_cmd()")),
    }
}
