//! FCALL and its sister, and FUNCTION.
//!
//! A function is a script that has a name: it is loaded with a library, runs as a script of EVAL
//! does, and what it may do follows from the flags that it was registered with. There is no engine
//! but Lua.
//!
//! FUNCTION STATS and FUNCTION KILL are answered while a function keeps the server busy, so they
//! touch neither a shard nor the libraries. Neighbours: `functions` holds the libraries, `script`
//! the commands of EVAL, `exec::script` runs. Transcripts: `tests/transcripts/scripting`; exchange
//! with real servers: `tests/tests/dump.rs`.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use pannier_persist::{dump_libraries, restore_libraries};
use pannier_resp::Reply;
use pannier_script::{Ask, flags as script_flags};

use super::keys::{KeySpec, access};
use super::row::{Command, Context, Done, Group, Opens, categories, flags};
use super::script::{keys_and_args, rights};
use crate::args::is;
use crate::error::Error;
use crate::exec::script::run;
use crate::functions::{Held, Library, Shelf};
use crate::glob;
use crate::scripts::Kind;

/// The family's rows.
pub(super) const ROWS: &[Command] = &[FCALL, FCALL_RO, FUNCTION];

const FCALL: Command = Command {
    name: "fcall",
    since: "7.0.0",
    group: Group::Scripting,
    arity: -3,
    flags: flags::MAY_REPLICATE
        | flags::MOVABLE_KEYS
        | flags::NO_MANDATORY_KEYS
        | flags::NOSCRIPT
        | flags::SKIP_MONITOR
        | flags::STALE,
    categories: categories::SCRIPTING,
    keys: &[KeySpec::counted(2, 1, access::RW | access::ACCESS | access::UPDATE)
        .noted("We cannot tell how the keys will be used so we assume the worst, RW and UPDATE")],
    opens: Opens::Everything,
    syntax: "function numkeys [key [key ...]] [arg [arg ...]]",
    summary: "Runs a function.",
    complexity: "that of the function",
    handler: fcall,
    ..Command::DEFAULT
};

const FCALL_RO: Command = Command {
    name: "fcall_ro",
    since: "7.0.0",
    group: Group::Scripting,
    arity: -3,
    flags: flags::MOVABLE_KEYS
        | flags::NO_MANDATORY_KEYS
        | flags::NOSCRIPT
        | flags::READONLY
        | flags::SKIP_MONITOR
        | flags::STALE,
    categories: categories::SCRIPTING,
    keys: &[KeySpec::counted(2, 1, access::RO | access::ACCESS)
        .noted("We cannot tell how the keys will be used so we assume the worst, RO and ACCESS")],
    opens: Opens::Everything,
    syntax: "function numkeys [key [key ...]] [arg [arg ...]]",
    summary: "Runs a function that may not write.",
    complexity: "that of the function",
    handler: fcall_ro,
    ..Command::DEFAULT
};

const FUNCTION: Command = Command {
    name: "function",
    since: "7.0.0",
    group: Group::Scripting,
    arity: -2,
    syntax: "",
    summary: "About the libraries of functions.",
    complexity: "that of the sub-command",
    subcommands: &[
        FUNCTION_DELETE,
        FUNCTION_DUMP,
        FUNCTION_FLUSH,
        FUNCTION_HELP,
        FUNCTION_KILL,
        FUNCTION_LIST,
        FUNCTION_LOAD,
        FUNCTION_RESTORE,
        FUNCTION_STATS,
    ],
    ..Command::DEFAULT
};

const FUNCTION_DELETE: Command = Command {
    name: "function|delete",
    since: "7.0.0",
    group: Group::Scripting,
    arity: 3,
    flags: flags::NOSCRIPT | flags::WRITE,
    categories: categories::SCRIPTING,
    syntax: "library-name",
    summary: "Removes a library with its functions.",
    complexity: "O(N) with N the number of functions in the library",
    tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
    handler: function_delete,
    ..Command::DEFAULT
};

const FUNCTION_DUMP: Command = Command {
    name: "function|dump",
    since: "7.0.0",
    group: Group::Scripting,
    arity: 2,
    flags: flags::NOSCRIPT,
    categories: categories::SCRIPTING,
    syntax: "",
    summary: "Returns all libraries as bytes that FUNCTION RESTORE takes.",
    complexity: "O(N) with N the length of all libraries",
    handler: function_dump,
    ..Command::DEFAULT
};

const FUNCTION_FLUSH: Command = Command {
    name: "function|flush",
    since: "7.0.0",
    group: Group::Scripting,
    arity: -2,
    flags: flags::NOSCRIPT | flags::WRITE,
    categories: categories::SCRIPTING,
    syntax: "[ASYNC | SYNC]",
    summary: "Removes all libraries.",
    complexity: "O(N) with N the number of functions; ASYNC leaves most of it to the background",
    tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
    handler: function_flush,
    ..Command::DEFAULT
};

const FUNCTION_HELP: Command = Command {
    name: "function|help",
    since: "7.0.0",
    group: Group::Scripting,
    arity: 2,
    flags: flags::LOADING | flags::STALE,
    categories: categories::SCRIPTING,
    syntax: "",
    summary: "Lists the sub-commands.",
    complexity: "O(1)",
    handler: function_help,
    ..Command::DEFAULT
};

const FUNCTION_KILL: Command = Command {
    name: "function|kill",
    since: "7.0.0",
    group: Group::Scripting,
    arity: 2,
    flags: flags::ALLOW_BUSY | flags::NOSCRIPT,
    categories: categories::SCRIPTING,
    syntax: "",
    summary: "Ends the function that runs, unless it has written.",
    complexity: "O(1)",
    tips: &["request_policy:all_shards", "response_policy:one_succeeded"],
    handler: function_kill,
    ..Command::DEFAULT
};

const FUNCTION_LIST: Command = Command {
    name: "function|list",
    since: "7.0.0",
    group: Group::Scripting,
    arity: -2,
    flags: flags::NOSCRIPT,
    categories: categories::SCRIPTING,
    syntax: "[LIBRARYNAME library-name-pattern] [WITHCODE]",
    summary: "Lists libraries and their functions.",
    complexity: "O(N) with N the number of functions",
    tips: &["nondeterministic_output_order"],
    handler: function_list,
    ..Command::DEFAULT
};

const FUNCTION_LOAD: Command = Command {
    name: "function|load",
    since: "7.0.0",
    group: Group::Scripting,
    arity: -3,
    flags: flags::DENYOOM | flags::NOSCRIPT | flags::WRITE,
    categories: categories::SCRIPTING,
    syntax: "[REPLACE] function-code",
    summary: "Adds a library: runs its text, which registers functions.",
    complexity: "that of the text, plus O(N) with N its length",
    tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
    handler: function_load,
    ..Command::DEFAULT
};

const FUNCTION_RESTORE: Command = Command {
    name: "function|restore",
    since: "7.0.0",
    group: Group::Scripting,
    arity: -3,
    flags: flags::DENYOOM | flags::NOSCRIPT | flags::WRITE,
    categories: categories::SCRIPTING,
    syntax: "serialized-value [FLUSH | APPEND | REPLACE]",
    summary: "Adds the libraries of a payload of FUNCTION DUMP; all or none.",
    complexity: "O(N) with N the number of all functions",
    tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
    handler: function_restore,
    ..Command::DEFAULT
};

const FUNCTION_STATS: Command = Command {
    name: "function|stats",
    since: "7.0.0",
    group: Group::Scripting,
    arity: 2,
    flags: flags::ALLOW_BUSY | flags::NOSCRIPT,
    categories: categories::SCRIPTING,
    syntax: "",
    summary: "Says which function runs, and how many there are.",
    complexity: "O(N) with N the length of the request that runs it",
    tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
    handler: function_stats,
    ..Command::DEFAULT
};

fn fcall(cx: &mut Context<'_>) -> Result<Done, Error> {
    call(cx, false)
}

fn fcall_ro(cx: &mut Context<'_>) -> Result<Done, Error> {
    call(cx, true)
}

fn call(cx: &mut Context<'_>, read_only: bool) -> Result<Done, Error> {
    let engine = cx.engine;
    let functions = &engine.scripts.functions;
    let held = functions.hold(engine)?;
    let Held { machine, shelf } = &*held;
    let function = shelf.find(cx.arg(1)).ok_or(Error::new("ERR Function not found"))?;
    cx.integer(2).map_err(|_| Error::new("ERR Bad number of keys provided"))?;
    let (keys, args) = keys_and_args(cx)?;
    let rights = rights(cx, Kind::Function, function.flags, read_only)?;
    {
        let mut caller = functions.caller.lock();
        caller.clear();
        cx.args.iter().for_each(|word| caller.push(word));
    }
    let body = |answer: &mut dyn FnMut(&mut Ask), reply: &mut Reply| {
        machine.call(function, (&keys, &args), answer, reply)
    };
    run(cx, rights, body)?;
    functions.lua_bytes.store(machine.used_memory(), Relaxed);
    Ok(Done::Replied)
}

fn function_load(cx: &mut Context<'_>) -> Result<Done, Error> {
    let (mut replace, last) = (false, cx.args.len() - 1);
    for word in cx.args.iter().take(last).skip(2) {
        if !is(word, "REPLACE") {
            let word = String::from_utf8_lossy(word);
            return Err(Error::text(format!("ERR Unknown option given: {word}")));
        }
        replace = true;
    }
    let (engine, text) = (cx.engine, cx.arg(last));
    let functions = &engine.scripts.functions;
    let mut held = functions.hold(engine)?;
    let taken = |name: &[u8]| match held.shelf.libraries.contains_key(name) && !replace {
        true => Err(exists(name, "'")),
        false => Ok(()),
    };
    let library = held.compile(engine, text, taken)?;
    let name = library.name.clone();
    Arc::make_mut(&mut held.shelf).put(library)?;
    functions.publish(&held);
    cx.reply.bulk(&name);
    Ok(Done::Replied)
}

/// The error that a library of this name is there; its name is quoted or not.
fn exists(name: &[u8], quote: &str) -> Error {
    let name = String::from_utf8_lossy(name);
    Error::text(format!("ERR Library {quote}{name}{quote} already exists"))
}

fn function_delete(cx: &mut Context<'_>) -> Result<Done, Error> {
    let functions = &cx.engine.scripts.functions;
    let mut held = functions.hold(cx.engine)?;
    if !Arc::make_mut(&mut held.shelf).remove(cx.arg(2)) {
        return Err(Error::new("ERR Library not found"));
    }
    functions.publish(&held);
    cx.ok()
}

fn function_flush(cx: &mut Context<'_>) -> Result<Done, Error> {
    let later = match cx.args.len() {
        2 => true,
        3 if cx.is(2, "ASYNC") => true,
        3 if cx.is(2, "SYNC") => false,
        3 => return Err(Error::new("ERR FUNCTION FLUSH only supports SYNC|ASYNC option")),
        _ => return Err(too_many(cx)),
    };
    if let Some(held) = cx.engine.scripts.functions.flush(cx.engine)?
        && later
    {
        cx.engine.host.discard(Box::new(held));
    }
    cx.ok()
}

/// The error that there are too many arguments for a sub-command.
fn too_many(cx: &Context<'_>) -> Error {
    let name = String::from_utf8_lossy(cx.arg(1));
    Error::text(format!(
        "ERR unknown subcommand or wrong number of arguments for '{name}'. Try FUNCTION HELP."
    ))
}

fn function_dump(cx: &mut Context<'_>) -> Result<Done, Error> {
    let held = cx.engine.scripts.functions.hold(cx.engine)?;
    let texts = held.shelf.libraries.values().map(|library| &library.text[..]);
    cx.reply.bulk(&dump_libraries(texts, cx.config.rdbcompression));
    Ok(Done::Replied)
}

/// What RESTORE does with the libraries that are there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Policy {
    Flush,
    Append,
    Replace,
}

fn function_restore(cx: &mut Context<'_>) -> Result<Done, Error> {
    let policy = match cx.args.len() {
        3 => Policy::Append,
        4 if cx.is(3, "APPEND") => Policy::Append,
        4 if cx.is(3, "REPLACE") => Policy::Replace,
        4 if cx.is(3, "FLUSH") => Policy::Flush,
        4 => {
            return Err(Error::new(
                "ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.",
            ));
        }
        _ => return Err(too_many(cx)),
    };
    let texts =
        restore_libraries(cx.arg(2)).map_err(|refused| Error::text(format!("ERR {refused}")))?;
    let engine = cx.engine;
    let functions = &engine.scripts.functions;
    let mut held = functions.hold(engine)?;
    let mut given = Shelf::default();
    for text in &texts {
        let taken = |name: &[u8]| match given.libraries.contains_key(name) {
            true => Err(exists(name, "'")),
            false => Ok(()),
        };
        let library = held.compile(engine, text, taken)?;
        given.put(library)?;
    }
    if policy == Policy::Flush {
        held.shelf = Arc::new(given);
    } else {
        held.shelf = Arc::new(joined(&held.shelf, given, policy)?);
    }
    functions.publish(&held);
    cx.ok()
}

/// The libraries of both shelves.
fn joined(old: &Shelf, given: Shelf, policy: Policy) -> Result<Shelf, Error> {
    let mut all = old.clone();
    for name in given.libraries.keys() {
        if all.remove(name) && policy == Policy::Append {
            return Err(exists(name, ""));
        }
    }
    for library in given.libraries.into_values() {
        all.put(library)?;
    }
    Ok(all)
}

fn function_list(cx: &mut Context<'_>) -> Result<Done, Error> {
    let (mut pattern, mut with_code) = (None, false);
    let mut words = cx.args.iter().skip(2);
    while let Some(word) = words.next() {
        if !with_code && is(word, "WITHCODE") {
            with_code = true;
        } else if pattern.is_none() && is(word, "LIBRARYNAME") {
            let value = words.next();
            pattern = Some(value.ok_or(Error::new("ERR library name argument was not given"))?);
        } else {
            let word = String::from_utf8_lossy(word);
            return Err(Error::text(format!("ERR Unknown argument {word}")));
        }
    }
    let held = cx.engine.scripts.functions.hold(cx.engine)?;
    let listed = |library: &Library| {
        pattern.is_none_or(|pattern| glob::matches(pattern, &library.name, false))
    };
    let libraries: Vec<_> =
        held.shelf.libraries.values().filter(|library| listed(library)).collect();
    cx.reply.array(libraries.len());
    for library in libraries {
        describe(library, with_code, cx.reply);
    }
    Ok(Done::Replied)
}

fn describe(library: &Library, with_code: bool, reply: &mut Reply) {
    reply.map(if with_code { 4 } else { 3 });
    reply.bulk(b"library_name");
    reply.bulk(&library.name);
    reply.bulk(b"engine");
    reply.bulk(b"LUA");
    reply.bulk(b"functions");
    reply.array(library.functions.len());
    for function in &library.functions {
        reply.map(3);
        reply.bulk(b"name");
        reply.bulk(&function.name);
        reply.bulk(b"description");
        match &function.description {
            Some(text) => reply.bulk(text),
            None => reply.null(),
        }
        reply.bulk(b"flags");
        let flags = || script_flags::NAMES.iter().filter(|(flag, _)| function.flags & flag != 0);
        reply.set(flags().count());
        flags().for_each(|(_, name)| reply.simple(name));
    }
    if with_code {
        reply.bulk(b"library_code");
        reply.bulk(&library.text);
    }
}

fn function_stats(cx: &mut Context<'_>) -> Result<Done, Error> {
    let scripts = &cx.engine.scripts;
    let running = scripts.run.kind();
    if running == Some(Kind::Script) {
        return Err(Error::BUSY_SCRIPT);
    }
    cx.reply.map(2);
    cx.reply.bulk(b"running_script");
    if running.is_some() {
        let caller = scripts.functions.caller.lock();
        let words = caller.args();
        cx.reply.map(3);
        cx.reply.bulk(b"name");
        cx.reply.bulk(words.get(1));
        cx.reply.bulk(b"command");
        cx.reply.array(words.len());
        words.iter().for_each(|word| cx.reply.bulk(word));
        cx.reply.bulk(b"duration_ms");
        let us = scripts.run.running_us(cx.engine.host.mono_us());
        cx.reply.integer((us / 1_000) as i64);
    } else {
        cx.reply.null();
    }
    cx.reply.bulk(b"engines");
    cx.reply.map(1);
    cx.reply.bulk(b"LUA");
    cx.reply.map(2);
    cx.reply.bulk(b"libraries_count");
    cx.reply.integer(scripts.functions.libraries.load(Relaxed) as i64);
    cx.reply.bulk(b"functions_count");
    cx.reply.integer(scripts.functions.functions.load(Relaxed) as i64);
    Ok(Done::Replied)
}

fn function_kill(cx: &mut Context<'_>) -> Result<Done, Error> {
    cx.engine.scripts.run.kill(Kind::Function)?;
    cx.ok()
}

fn function_help(cx: &mut Context<'_>) -> Result<Done, Error> {
    cx.help(&[
        "LOAD [REPLACE] <FUNCTION CODE>",
        "    Create a new library with the given library name and code.",
        "DELETE <LIBRARY NAME>",
        "    Delete the given library.",
        "LIST [LIBRARYNAME PATTERN] [WITHCODE]",
        "    Return general information on all the libraries:",
        "    * Library name",
        "    * The engine used to run the Library",
        "    * Functions list",
        "    * Library code (if WITHCODE is given)",
        "    It also possible to get only function that matches a pattern using LIBRARYNAME \
         argument.",
        "STATS",
        "    Return information about the current function running:",
        "    * Function name",
        "    * Command used to run the function",
        "    * Duration in MS that the function is running",
        "    If no function is running, return nil",
        "    In addition, returns a list of available engines.",
        "KILL",
        "    Kill the current running function.",
        "FLUSH [ASYNC|SYNC]",
        "    Delete all the libraries.",
        "    When called without the optional mode argument, the behavior is determined by the",
        "    lazyfree-lazy-user-flush configuration directive. Valid modes are:",
        "    * ASYNC: Asynchronously flush the libraries.",
        "    * SYNC: Synchronously flush the libraries.",
        "DUMP",
        "    Return a serialized payload representing the current libraries, can be restored \
         using FUNCTION RESTORE command",
        "RESTORE <PAYLOAD> [FLUSH|APPEND|REPLACE]",
        "    Restore the libraries represented by the given payload, it is possible to give a \
         restore policy to",
        "    control how to handle existing libraries (default APPEND):",
        "    * FLUSH: delete all existing libraries.",
        "    * APPEND: appends the restored libraries to the existing libraries. On collision, \
         abort.",
        "    * REPLACE: appends the restored libraries to the existing libraries, On collision, \
         replace the old",
        "      libraries with the new libraries (notice that even on this option there is a \
         chance of failure",
        "      in case of functions name collision with another library).",
    ])
}
