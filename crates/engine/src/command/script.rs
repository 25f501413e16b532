//! EVAL and its sisters, and SCRIPT.
//!
//! A script runs under every shard, so it is atomic and may touch keys that it did not declare; the
//! keys that it declares matter for COMMAND GETKEYS and for limits in entries. Scripts are kept
//! compiled by the SHA-1 of their text (`pannier_script::Cache`). What a script may do follows from
//! the command and from the flags in the script's first line; one without such a line is judged
//! command by command.
//!
//! Neighbours: `exec::script` executes the commands that a script calls, `scripts` holds the Lua
//! state and says who is busy. Transcripts: `tests/transcripts/scripting`.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use pannier_resp::Reply;
use pannier_script::{
    Ask, Cache, Flags, Machine, Name, Origin, Shebang, flags as script_flags, sha1_hex,
};
use smallvec::SmallVec;

use super::keys::{KeySpec, access};
use super::row::{Command, Context, Done, Group, Opens, categories, flags};
use crate::engine::Engine;
use crate::error::Error;
use crate::exec::script::{Rights, run};
use crate::scripts::{Evaluator, Kind};

/// The family's rows.
pub(super) const ROWS: &[Command] = &[EVAL, EVAL_RO, EVALSHA, EVALSHA_RO, SCRIPT];

const EVAL: Command = Command {
    name: "eval",
    since: "2.6.0",
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
    syntax: "script numkeys [key [key ...]] [arg [arg ...]]",
    summary: "Runs a Lua script.",
    complexity: "that of the script",
    handler: eval,
    ..Command::DEFAULT
};

const EVAL_RO: Command = Command {
    name: "eval_ro",
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
    syntax: "script numkeys [key [key ...]] [arg [arg ...]]",
    summary: "Runs a Lua script that may not write.",
    complexity: "that of the script",
    handler: eval_ro,
    ..Command::DEFAULT
};

const EVALSHA: Command = Command {
    name: "evalsha",
    since: "2.6.0",
    group: Group::Scripting,
    arity: -3,
    flags: flags::MAY_REPLICATE
        | flags::MOVABLE_KEYS
        | flags::NO_MANDATORY_KEYS
        | flags::NOSCRIPT
        | flags::SKIP_MONITOR
        | flags::STALE,
    categories: categories::SCRIPTING,
    keys: &[KeySpec::counted(2, 1, access::RW | access::ACCESS | access::UPDATE)],
    opens: Opens::Everything,
    syntax: "sha1 numkeys [key [key ...]] [arg [arg ...]]",
    summary: "Runs a Lua script that is known by its SHA-1.",
    complexity: "that of the script",
    handler: evalsha,
    ..Command::DEFAULT
};

const EVALSHA_RO: Command = Command {
    name: "evalsha_ro",
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
    keys: &[KeySpec::counted(2, 1, access::RO | access::ACCESS)],
    opens: Opens::Everything,
    syntax: "sha1 numkeys [key [key ...]] [arg [arg ...]]",
    summary: "Runs a Lua script that is known by its SHA-1 and may not write.",
    complexity: "that of the script",
    handler: evalsha_ro,
    ..Command::DEFAULT
};

const SCRIPT: Command = Command {
    name: "script",
    since: "2.6.0",
    group: Group::Scripting,
    arity: -2,
    syntax: "",
    summary: "About the scripts that are known.",
    complexity: "that of the sub-command",
    subcommands: &[
        SCRIPT_DEBUG,
        SCRIPT_EXISTS,
        SCRIPT_FLUSH,
        SCRIPT_HELP,
        SCRIPT_KILL,
        SCRIPT_LOAD,
        SCRIPT_SHOW,
    ],
    ..Command::DEFAULT
};

const SCRIPT_DEBUG: Command = Command {
    name: "script|debug",
    since: "3.2.0",
    group: Group::Scripting,
    arity: -3,
    flags: flags::NOSCRIPT,
    categories: categories::SCRIPTING,
    syntax: "<YES | SYNC | NO> [engine]",
    summary: "Switches the debugger of scripts off; there is none to switch on.",
    complexity: "O(1)",
    handler: script_debug,
    ..Command::DEFAULT
};

const SCRIPT_EXISTS: Command = Command {
    name: "script|exists",
    since: "2.6.0",
    group: Group::Scripting,
    arity: -3,
    flags: flags::NOSCRIPT | flags::STALE,
    categories: categories::SCRIPTING,
    syntax: "sha1 [sha1 ...]",
    summary: "Says which scripts are known by their SHA-1.",
    complexity: "O(N) with N the number of scripts asked for",
    tips: &["request_policy:all_shards", "response_policy:agg_logical_and"],
    handler: script_exists,
    ..Command::DEFAULT
};

const SCRIPT_FLUSH: Command = Command {
    name: "script|flush",
    since: "2.6.0",
    group: Group::Scripting,
    arity: -2,
    flags: flags::NOSCRIPT | flags::STALE,
    categories: categories::SCRIPTING,
    syntax: "[ASYNC | SYNC]",
    summary: "Forgets all scripts.",
    complexity: "O(N) with N the number of scripts",
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    history: &[("6.2.0", "ASYNC and SYNC")],
    handler: script_flush,
    ..Command::DEFAULT
};

const SCRIPT_HELP: Command = Command {
    name: "script|help",
    since: "5.0.0",
    group: Group::Scripting,
    arity: 2,
    flags: flags::LOADING | flags::STALE,
    categories: categories::SCRIPTING,
    syntax: "",
    summary: "Lists the sub-commands.",
    complexity: "O(1)",
    handler: script_help,
    ..Command::DEFAULT
};

const SCRIPT_KILL: Command = Command {
    name: "script|kill",
    since: "2.6.0",
    group: Group::Scripting,
    arity: 2,
    flags: flags::ALLOW_BUSY | flags::NOSCRIPT,
    categories: categories::SCRIPTING,
    syntax: "",
    summary: "Ends the script that runs, unless it has written.",
    complexity: "O(1)",
    tips: &["request_policy:all_shards", "response_policy:one_succeeded"],
    handler: script_kill,
    ..Command::DEFAULT
};

const SCRIPT_LOAD: Command = Command {
    name: "script|load",
    since: "2.6.0",
    group: Group::Scripting,
    arity: 3,
    flags: flags::NOSCRIPT | flags::STALE,
    categories: categories::SCRIPTING,
    syntax: "script",
    summary: "Makes a script known without running it; answers its SHA-1.",
    complexity: "O(N) with N the length of the script",
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    handler: script_load,
    ..Command::DEFAULT
};

const SCRIPT_SHOW: Command = Command {
    name: "script|show",
    since: "8.0.0",
    group: Group::Scripting,
    arity: 3,
    flags: flags::NOSCRIPT | flags::STALE,
    categories: categories::SCRIPTING,
    syntax: "sha1",
    summary: "Shows the text of a script that is known.",
    complexity: "O(1)",
    handler: script_show,
    ..Command::DEFAULT
};

fn eval(cx: &mut Context<'_>) -> Result<Done, Error> {
    evaluate(cx, Named::Text, false)
}

fn eval_ro(cx: &mut Context<'_>) -> Result<Done, Error> {
    evaluate(cx, Named::Text, true)
}

fn evalsha(cx: &mut Context<'_>) -> Result<Done, Error> {
    evaluate(cx, Named::Hash, false)
}

fn evalsha_ro(cx: &mut Context<'_>) -> Result<Done, Error> {
    evaluate(cx, Named::Hash, true)
}

/// How a request names its script.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Named {
    Text,
    Hash,
}

fn evaluate(cx: &mut Context<'_>, named: Named, read_only: bool) -> Result<Done, Error> {
    let (keys, args) = keys_and_args(cx)?;
    let engine = cx.engine;
    let mut held = engine.scripts.evaluator(engine).map_err(|failure| Error::script(&failure))?;
    let Evaluator { machine, cache } = &mut *held;
    let cache = Arc::make_mut(cache);
    let text = cx.arg(1);
    let hash: Name;
    let name = match named {
        Named::Hash => text,
        Named::Text => {
            hash = sha1_hex(text);
            if cache.look(&hash).is_none() {
                load(engine, (machine, cache), (hash, text), Origin::Eval)?;
            }
            &hash[..]
        }
    };
    let cached = cache.run(name).ok_or(NO_SCRIPT)?;
    let rights = rights(cx, Kind::Script, cached.flags, read_only)?;
    let body = |answer: &mut dyn FnMut(&mut Ask), reply: &mut Reply| {
        machine.eval(&cached.script, (&keys, &args), answer, reply)
    };
    run(cx, rights, body)?;
    engine.scripts.lua_bytes.store(machine.used_memory(), Relaxed);
    Ok(Done::Replied)
}

/// Words of a request.
pub(super) type Words<'a> = SmallVec<[&'a [u8]; 8]>;

/// The keys and the other arguments behind the number of keys.
pub(super) fn keys_and_args<'a>(cx: &Context<'a>) -> Result<(Words<'a>, Words<'a>), Error> {
    let count = cx.integer(2)?;
    if count > (cx.args.len() - 3) as i64 {
        return Err(Error::new("ERR Number of keys can't be greater than number of args"));
    }
    let Ok(count) = usize::try_from(count) else {
        return Err(Error::new("ERR Number of keys can't be negative"));
    };
    let mut words = cx.args.iter().skip(3);
    let keys = words.by_ref().take(count).collect();
    Ok((keys, words.collect()))
}

/// What a script may do, when it may run at all.
pub(super) fn rights(
    cx: &Context<'_>,
    kind: Kind,
    flags: Flags,
    read_only: bool,
) -> Result<Rights, Error> {
    if flags & script_flags::COMPATIBLE != 0 {
        return Ok(Rights { kind, writes: !read_only, ignores_memory: false });
    }
    let writes = flags & script_flags::NO_WRITES == 0;
    if writes && read_only {
        return Err(Error::new("ERR Can not execute a script with write flag using *_ro command."));
    }
    let ignores_memory = flags & script_flags::ALLOW_OOM != 0;
    let full = cx.config.maxmemory > 0 && cx.engine.used_memory() > cx.config.maxmemory;
    if full && writes && !ignores_memory {
        return Err(Error::new(
            "OOM allow-oom flag is not set on the script, can not run it when used memory > \
             'maxmemory'",
        ));
    }
    Ok(Rights { kind, writes, ignores_memory })
}

/// Compiles a script that is not known, and keeps it.
fn load(
    engine: &Engine,
    (machine, cache): (&Machine, &mut Cache),
    (name, text): (Name, &[u8]),
    origin: Origin,
) -> Result<(), Error> {
    let wrong = |text: String| Error::text(format!("ERR {text}"));
    let (flags, body) = match Shebang::read(text).map_err(|text| wrong(text.into()))? {
        None => (script_flags::COMPATIBLE, text),
        Some(shebang) => (shebang.script_flags().map_err(wrong)?, shebang.body),
    };
    let script = machine.compile(body).map_err(|text| {
        let text = String::from_utf8_lossy(&text);
        Error::text(format!("ERR Error compiling script (new function): {text}"))
    })?;
    let before = cache.evicted();
    cache.add(name, text, (script, flags), origin);
    engine.scripts.publish(machine, cache, cache.evicted() - before);
    Ok(())
}

fn script_load(cx: &mut Context<'_>) -> Result<Done, Error> {
    let (engine, text) = (cx.engine, cx.arg(2));
    let mut held = engine.scripts.evaluator(engine).map_err(|failure| Error::script(&failure))?;
    let Evaluator { machine, cache } = &mut *held;
    let cache = Arc::make_mut(cache);
    let name = sha1_hex(text);
    if cache.look(&name).is_some() {
        cache.keep(&name);
    } else {
        load(engine, (machine, cache), (name, text), Origin::Load)?;
    }
    cx.reply.bulk(&name);
    Ok(Done::Replied)
}

fn script_exists(cx: &mut Context<'_>) -> Result<Done, Error> {
    let engine = cx.engine;
    let held = engine.scripts.evaluator(engine).map_err(|failure| Error::script(&failure))?;
    cx.reply.array(cx.args.len() - 2);
    for name in cx.args.iter().skip(2) {
        cx.reply.integer(held.cache.look(name).is_some().into());
    }
    Ok(Done::Replied)
}

fn script_flush(cx: &mut Context<'_>) -> Result<Done, Error> {
    let later = match cx.args.len() {
        2 => true,
        3 if cx.is(2, "ASYNC") => true,
        3 if cx.is(2, "SYNC") => false,
        _ => return Err(Error::new("ERR SCRIPT FLUSH only support SYNC|ASYNC option")),
    };
    if let Some(evaluator) = cx.engine.scripts.flush()?
        && later
    {
        cx.engine.host.discard(Box::new(evaluator));
    }
    cx.ok()
}

fn script_kill(cx: &mut Context<'_>) -> Result<Done, Error> {
    cx.engine.scripts.run.kill(Kind::Script)?;
    cx.ok()
}

fn script_show(cx: &mut Context<'_>) -> Result<Done, Error> {
    let engine = cx.engine;
    let held = engine.scripts.evaluator(engine).map_err(|failure| Error::script(&failure))?;
    let cached = held.cache.look(cx.arg(2)).ok_or(NO_SCRIPT)?;
    cx.reply.bulk(&cached.text);
    Ok(Done::Replied)
}

fn script_debug(cx: &mut Context<'_>) -> Result<Done, Error> {
    if cx.is(2, "NO") {
        return cx.ok();
    }
    if cx.is(2, "YES") || cx.is(2, "SYNC") {
        return Err(Error::new("ERR Pannier has no debugger for scripts"));
    }
    Err(Error::new("ERR Use SCRIPT DEBUG YES/SYNC/NO"))
}

fn script_help(cx: &mut Context<'_>) -> Result<Done, Error> {
    cx.help(&[
        "DEBUG (YES|SYNC|NO) [<engine_name>]",
        "    Set the debug mode for subsequent scripts executed of the specified engine.",
        "    Default engine name: 'lua'",
        "EXISTS <sha1> [<sha1> ...]",
        "    Return information about the existence of the scripts in the script cache.",
        "FLUSH [ASYNC|SYNC]",
        "    Flush the Lua scripts cache. Very dangerous on replicas.",
        "    When called without the optional mode argument, the behavior is determined",
        "     by the lazyfree-lazy-user-flush configuration directive. Valid modes are:",
        "    * ASYNC: Asynchronously flush the scripts cache.",
        "    * SYNC: Synchronously flush the scripts cache.",
        "KILL",
        "    Kill the currently executing Lua script.",
        "LOAD <script>",
        "    Load a script into the scripts cache without executing it.",
        "SHOW <sha1>",
        "    Show a script from the scripts cache.",
    ])
}

const NO_SCRIPT: Error = Error::new("NOSCRIPT No matching script.");
