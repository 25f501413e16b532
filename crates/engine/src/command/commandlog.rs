//! SLOWLOG and COMMANDLOG: reading the logs of slow commands, large requests and large replies.
//!
//! SLOWLOG is the older name of the first of the three. What is logged, and what is left out of it
//! (passwords, long arguments), is decided where requests are settled, in `logs`; here entries are
//! only shown. Transcripts: `tests/transcripts/server`.

use super::row::{Command, Context, Done, Group, flags};
use crate::error::Error;
use crate::logs::Which;

/// The family's rows.
pub(super) const ROWS: &[Command] = &[SLOWLOG, COMMANDLOG];

/// How many entries SLOWLOG GET lists when it is not told.
const COUNT: usize = 10;

const SLOWLOG: Command = Command {
    name: "slowlog",
    since: "2.2.12",
    group: Group::Server,
    arity: -2,
    syntax: "",
    summary: "Looks at the log of slow commands.",
    complexity: "depends on the sub-command",
    subcommands: &[SLOWLOG_GET, SLOWLOG_HELP, SLOWLOG_LEN, SLOWLOG_RESET],
    ..Command::DEFAULT
};

const SLOWLOG_GET: Command = Command {
    name: "slowlog|get",
    since: "2.2.12",
    group: Group::Server,
    arity: -2,
    flags: flags::ADMIN | flags::LOADING | flags::STALE,
    syntax: "[count]",
    summary: "Lists the newest entries of the slow log.",
    complexity: "O(N) with N the number of entries listed",
    tips: &["request_policy:all_nodes", "nondeterministic_output"],
    handler: slowlog_get,
    ..Command::DEFAULT
};

const SLOWLOG_HELP: Command = Command {
    name: "slowlog|help",
    since: "6.2.0",
    group: Group::Server,
    arity: 2,
    flags: flags::LOADING | flags::STALE,
    syntax: "",
    summary: "Lists the sub-commands.",
    complexity: "O(1)",
    handler: slowlog_help,
    ..Command::DEFAULT
};

const SLOWLOG_LEN: Command = Command {
    name: "slowlog|len",
    since: "2.2.12",
    group: Group::Server,
    arity: 2,
    flags: flags::ADMIN | flags::LOADING | flags::STALE,
    syntax: "",
    summary: "Counts the entries of the slow log.",
    complexity: "O(1)",
    tips: &["request_policy:all_nodes", "response_policy:agg_sum", "nondeterministic_output"],
    handler: slowlog_len,
    ..Command::DEFAULT
};

const SLOWLOG_RESET: Command = Command {
    name: "slowlog|reset",
    since: "2.2.12",
    group: Group::Server,
    arity: 2,
    flags: flags::ADMIN | flags::LOADING | flags::STALE,
    syntax: "",
    summary: "Empties the slow log.",
    complexity: "O(N) with N the number of entries",
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    handler: slowlog_reset,
    ..Command::DEFAULT
};

const COMMANDLOG: Command = Command {
    name: "commandlog",
    since: "8.1.0",
    group: Group::Server,
    arity: -2,
    syntax: "",
    summary: "Looks at the logs of slow commands, large requests and large replies.",
    complexity: "depends on the sub-command",
    subcommands: &[COMMANDLOG_GET, COMMANDLOG_HELP, COMMANDLOG_LEN, COMMANDLOG_RESET],
    ..Command::DEFAULT
};

const COMMANDLOG_GET: Command = Command {
    name: "commandlog|get",
    since: "8.1.0",
    group: Group::Server,
    arity: 4,
    flags: flags::ADMIN | flags::LOADING | flags::STALE,
    syntax: "count <SLOW | LARGE-REQUEST | LARGE-REPLY>",
    summary: "Lists the newest entries of one of the logs.",
    complexity: "O(N) with N the number of entries listed",
    tips: &["request_policy:all_nodes", "nondeterministic_output"],
    handler: commandlog_get,
    ..Command::DEFAULT
};

const COMMANDLOG_HELP: Command = Command {
    name: "commandlog|help",
    since: "8.1.0",
    group: Group::Server,
    arity: 2,
    flags: flags::LOADING | flags::STALE,
    syntax: "",
    summary: "Lists the sub-commands.",
    complexity: "O(1)",
    handler: commandlog_help,
    ..Command::DEFAULT
};

const COMMANDLOG_LEN: Command = Command {
    name: "commandlog|len",
    since: "8.1.0",
    group: Group::Server,
    arity: 3,
    flags: flags::ADMIN | flags::LOADING | flags::STALE,
    syntax: "<SLOW | LARGE-REQUEST | LARGE-REPLY>",
    summary: "Counts the entries of one of the logs.",
    complexity: "O(1)",
    tips: &["request_policy:all_nodes", "response_policy:agg_sum", "nondeterministic_output"],
    handler: commandlog_len,
    ..Command::DEFAULT
};

const COMMANDLOG_RESET: Command = Command {
    name: "commandlog|reset",
    since: "8.1.0",
    group: Group::Server,
    arity: 3,
    flags: flags::ADMIN | flags::LOADING | flags::STALE,
    syntax: "<SLOW | LARGE-REQUEST | LARGE-REPLY>",
    summary: "Empties one of the logs.",
    complexity: "O(N) with N the number of entries",
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    handler: commandlog_reset,
    ..Command::DEFAULT
};

fn which(name: &[u8]) -> Result<Which, Error> {
    match name.to_ascii_lowercase().as_slice() {
        b"slow" => Ok(Which::Slow),
        b"large-request" => Ok(Which::LargeRequest),
        b"large-reply" => Ok(Which::LargeReply),
        _ => Err(Error::new(
            "ERR type should be one of the following: slow, large-request, large-reply",
        )),
    }
}

/// The number of entries that an argument asks for; -1 asks for all.
fn count(cx: &Context<'_>, at: usize) -> Result<usize, Error> {
    const BAD: Error = Error::new("ERR count should be greater than or equal to -1");
    match cx.integer(at) {
        Ok(-1) => Ok(usize::MAX),
        Ok(n) => usize::try_from(n).map_err(|_| BAD),
        Err(_) => Err(BAD),
    }
}

fn list(cx: &mut Context<'_>, which: Which, count: usize) -> Result<Done, Error> {
    let entries = cx.engine.logs.newest(which, count);
    cx.reply.array(entries.len());
    for entry in entries {
        cx.reply.array(6);
        cx.reply.integer(entry.id as i64);
        cx.reply.integer(entry.time_s as i64);
        cx.reply.integer(entry.value as i64);
        cx.reply.array(entry.args.len());
        for argument in &entry.args {
            cx.reply.bulk(argument);
        }
        cx.reply.bulk(entry.addr.as_bytes());
        cx.reply.bulk(entry.name.as_bytes());
    }
    Ok(Done::Replied)
}

fn slowlog_get(cx: &mut Context<'_>) -> Result<Done, Error> {
    let count = match cx.args.len() {
        2 => COUNT,
        3 => count(cx, 2)?,
        _ => {
            let word = String::from_utf8_lossy(cx.arg(1));
            return Err(Error::text(format!(
                "ERR unknown subcommand or wrong number of arguments for '{word}'. Try SLOWLOG \
                 HELP."
            )));
        }
    };
    list(cx, Which::Slow, count)
}

fn slowlog_len(cx: &mut Context<'_>) -> Result<Done, Error> {
    let len = cx.engine.logs.len(Which::Slow);
    cx.int(len as i64)
}

fn slowlog_reset(cx: &mut Context<'_>) -> Result<Done, Error> {
    cx.engine.logs.reset(Which::Slow);
    cx.ok()
}

fn slowlog_help(cx: &mut Context<'_>) -> Result<Done, Error> {
    cx.help(&[
        "GET [<count>]",
        "    The newest entries of the slow log: 10 by default, -1 for all. An entry is its",
        "    number, the time, the microseconds taken, the arguments, the client's address",
        "    and the client's name.",
        "LEN",
        "    The number of entries.",
        "RESET",
        "    Empty the log.",
    ])
}

fn commandlog_get(cx: &mut Context<'_>) -> Result<Done, Error> {
    let (count, which) = (count(cx, 2)?, which(cx.arg(3))?);
    list(cx, which, count)
}

fn commandlog_len(cx: &mut Context<'_>) -> Result<Done, Error> {
    let len = cx.engine.logs.len(which(cx.arg(2))?);
    cx.int(len as i64)
}

fn commandlog_reset(cx: &mut Context<'_>) -> Result<Done, Error> {
    cx.engine.logs.reset(which(cx.arg(2))?);
    cx.ok()
}

fn commandlog_help(cx: &mut Context<'_>) -> Result<Done, Error> {
    cx.help(&[
        "GET <count> <type>",
        "    The newest entries of a log, -1 for all. The types are slow, large-request and",
        "    large-reply. An entry is its number, the time, the microseconds or bytes, the",
        "    arguments, the client's address and the client's name.",
        "LEN <type>",
        "    The number of entries.",
        "RESET <type>",
        "    Empty a log.",
    ])
}
