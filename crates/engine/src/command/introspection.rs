//! COMMAND: the table of commands, as clients read it.
//!
//! Cluster clients, proxies and redis-cli ask for it to find keys, to decide what may be retried
//! and to show help. Everything is derived from the rows. A command that was renamed is found
//! under its new name and shown under its own, as Valkey does; one that was removed is not there.
//! What DOCS says is in `docs`. Transcripts: `tests/transcripts/server`.

use pannier_resp::{Args, Reply};

use super::docs;
use super::keys::{Access, Begin, Find, KeySpec, access};
use super::row::{Categories, Command, Context, Done, Flags, Group, categories, flags};
use super::table::Resolved;
use crate::args::is;
use crate::engine::Engine;
use crate::error::Error;
use crate::glob;

/// The family's rows.
pub(super) const ROWS: &[Command] = &[COMMAND];

const COMMAND: Command = Command {
    name: "command",
    since: "2.8.13",
    group: Group::Server,
    arity: -1,
    flags: flags::LOADING | flags::STALE,
    categories: categories::CONNECTION,
    syntax: "",
    summary: "Describes every command of the server.",
    complexity: "O(N) with N the number of commands",
    tips: &["nondeterministic_output_order"],
    handler: command,
    subcommands: &[
        COMMAND_COUNT,
        COMMAND_DOCS,
        COMMAND_GETKEYS,
        COMMAND_GETKEYSANDFLAGS,
        COMMAND_HELP,
        COMMAND_INFO,
        COMMAND_LIST,
    ],
    ..Command::DEFAULT
};

const COMMAND_COUNT: Command = Command {
    name: "command|count",
    since: "2.8.13",
    group: Group::Server,
    arity: 2,
    flags: flags::LOADING | flags::STALE,
    categories: categories::CONNECTION,
    syntax: "",
    summary: "Counts the commands.",
    complexity: "O(1)",
    handler: command_count,
    ..Command::DEFAULT
};

const COMMAND_DOCS: Command = Command {
    name: "command|docs",
    since: "7.0.0",
    group: Group::Server,
    arity: -2,
    flags: flags::LOADING | flags::STALE,
    categories: categories::CONNECTION,
    syntax: "[command-name [command-name ...]]",
    summary: "Explains commands: summary, history, arguments.",
    complexity: "O(N) with N the number of commands asked for",
    tips: &["nondeterministic_output_order"],
    handler: command_docs,
    ..Command::DEFAULT
};

const COMMAND_GETKEYS: Command = Command {
    name: "command|getkeys",
    since: "2.8.13",
    group: Group::Server,
    arity: -3,
    flags: flags::LOADING | flags::STALE,
    categories: categories::CONNECTION,
    syntax: "command [arg [arg ...]]",
    summary: "Finds the keys in a whole command.",
    complexity: "O(N) with N the number of arguments",
    handler: command_getkeys,
    ..Command::DEFAULT
};

const COMMAND_GETKEYSANDFLAGS: Command = Command {
    name: "command|getkeysandflags",
    since: "7.0.0",
    group: Group::Server,
    arity: -3,
    flags: flags::LOADING | flags::STALE,
    categories: categories::CONNECTION,
    syntax: "command [arg [arg ...]]",
    summary: "Finds the keys in a whole command, and what it does to each.",
    complexity: "O(N) with N the number of arguments",
    handler: command_getkeysandflags,
    ..Command::DEFAULT
};

const COMMAND_HELP: Command = Command {
    name: "command|help",
    since: "5.0.0",
    group: Group::Server,
    arity: 2,
    flags: flags::LOADING | flags::STALE,
    categories: categories::CONNECTION,
    syntax: "",
    summary: "Lists the sub-commands.",
    complexity: "O(1)",
    handler: command_help,
    ..Command::DEFAULT
};

const COMMAND_INFO: Command = Command {
    name: "command|info",
    since: "2.8.13",
    group: Group::Server,
    arity: -2,
    flags: flags::LOADING | flags::STALE,
    categories: categories::CONNECTION,
    syntax: "[command-name [command-name ...]]",
    summary: "Describes commands: arity, flags, keys, categories.",
    complexity: "O(N) with N the number of commands asked for",
    history: &[("7.0.0", "Without a name it describes all commands.")],
    tips: &["nondeterministic_output_order"],
    handler: command_info,
    ..Command::DEFAULT
};

const COMMAND_LIST: Command = Command {
    name: "command|list",
    since: "7.0.0",
    group: Group::Server,
    arity: -2,
    flags: flags::LOADING | flags::STALE,
    categories: categories::CONNECTION,
    syntax: "[FILTERBY MODULE module-name | ACLCAT category | PATTERN pattern]",
    summary: "Lists the names of commands.",
    complexity: "O(N) with N the number of commands",
    tips: &["nondeterministic_output_order"],
    handler: command_list,
    ..Command::DEFAULT
};

fn command(cx: &mut Context<'_>) -> Result<Done, Error> {
    let rows = shown(cx.engine);
    cx.reply.array(rows.len());
    for row in rows {
        write_info(cx.reply, row);
    }
    Ok(Done::Replied)
}

fn command_count(cx: &mut Context<'_>) -> Result<Done, Error> {
    let count = shown(cx.engine).len();
    cx.int(count as i64)
}

fn command_info(cx: &mut Context<'_>) -> Result<Done, Error> {
    if cx.args.len() == 2 {
        return command(cx);
    }
    let names = cx.args.from(2);
    cx.reply.array(names.len());
    for name in names.iter() {
        match find(cx.engine, name) {
            Some(found) => write_info(cx.reply, found.command),
            None => cx.reply.null(),
        }
    }
    Ok(Done::Replied)
}

fn command_docs(cx: &mut Context<'_>) -> Result<Done, Error> {
    let rows: Vec<&'static Command> = if cx.args.len() == 2 {
        shown(cx.engine)
    } else {
        let found = cx.args.from(2).iter().filter_map(|name| find(cx.engine, name));
        found.map(|found| found.command).collect()
    };
    cx.reply.map(rows.len());
    for row in rows {
        cx.reply.bulk(row.name.as_bytes());
        docs::write(cx.reply, row);
    }
    Ok(Done::Replied)
}

fn command_list(cx: &mut Context<'_>) -> Result<Done, Error> {
    let filter = match cx.args.len() {
        2 => Filter::All,
        5 if cx.is(2, "FILTERBY") && cx.is(3, "MODULE") => Filter::Nothing,
        5 if cx.is(2, "FILTERBY") && cx.is(3, "ACLCAT") => Filter::category(cx.arg(4)),
        5 if cx.is(2, "FILTERBY") && cx.is(3, "PATTERN") => Filter::Pattern(cx.arg(4)),
        _ => return Err(Error::SYNTAX),
    };
    let rows = shown(cx.engine).into_iter();
    let rows = rows.flat_map(|row| std::iter::once(row).chain(row.subcommands));
    let names: Vec<&str> = rows.filter(|row| filter.passes(row)).map(|row| row.name).collect();
    cx.reply.array(names.len());
    for name in names {
        cx.reply.bulk(name.as_bytes());
    }
    Ok(Done::Replied)
}

fn command_getkeys(cx: &mut Context<'_>) -> Result<Done, Error> {
    let args = cx.args.from(2);
    let keys = keys(cx.engine, args)?;
    cx.reply.array(keys.len());
    for (at, _) in keys {
        cx.reply.bulk(args.get(at));
    }
    Ok(Done::Replied)
}

fn command_getkeysandflags(cx: &mut Context<'_>) -> Result<Done, Error> {
    let args = cx.args.from(2);
    let keys = keys(cx.engine, args)?;
    cx.reply.array(keys.len());
    for (at, access) in keys {
        cx.reply.array(2);
        cx.reply.bulk(args.get(at));
        write_set(cx.reply, access::NAMES, access, "");
    }
    Ok(Done::Replied)
}

fn command_help(cx: &mut Context<'_>) -> Result<Done, Error> {
    cx.help(&[
        "(no subcommand)",
        "    Return details about all commands.",
        "COUNT",
        "    Return the total number of commands in this server.",
        "LIST",
        "    Return a list of all commands in this server.",
        "INFO [<command-name> ...]",
        "    Return details about multiple commands.",
        "    If no command names are given, documentation details for all",
        "    commands are returned.",
        "DOCS [<command-name> ...]",
        "    Return documentation details about multiple commands.",
        "    If no command names are given, documentation details for all",
        "    commands are returned.",
        "GETKEYS <full-command>",
        "    Return the keys from a full command.",
        "GETKEYSANDFLAGS <full-command>",
        "    Return the keys and the access flags from a full command.",
    ])
}

/// Which names COMMAND LIST wants.
enum Filter<'a> {
    All,
    /// Those of a module: there are no modules.
    Nothing,
    Category(Categories),
    Pattern(&'a [u8]),
}

impl Filter<'_> {
    fn category(name: &[u8]) -> Self {
        let found = categories::NAMES.iter().find(|(_, known)| is(name, known));
        found.map_or(Self::Nothing, |(category, _)| Self::Category(*category))
    }

    fn passes(&self, row: &Command) -> bool {
        match self {
            Self::All => true,
            Self::Nothing => false,
            Self::Category(category) => row.categories() & category != 0,
            Self::Pattern(pattern) => glob::matches(pattern, row.name.as_bytes(), false),
        }
    }
}

/// The rows that are shown, in the order of the reference pages.
fn shown(engine: &Engine) -> Vec<&'static Command> {
    engine.commands.callable().collect()
}

/// The row of a name, or of `container|sub`.
fn find(engine: &Engine, name: &[u8]) -> Option<Resolved> {
    let mut parts = name.splitn(2, |byte| *byte == b'|');
    let found = engine.commands.find(parts.next()?)?;
    match parts.next() {
        None => Some(found),
        Some(word) => engine.commands.find_sub(found, word),
    }
}

/// Positions of the keys in a whole command, and what it does to each.
fn keys(engine: &Engine, args: Args<'_>) -> Result<Vec<(usize, Access)>, Error> {
    const UNKNOWN: Error = Error::new("ERR Invalid command specified");
    const KEYLESS: Error = Error::new("ERR The command has no key arguments");
    const ARITY: Error = Error::new("ERR Invalid number of arguments specified for command");
    const INVALID: Error = Error::new("ERR Invalid arguments specified for command");
    let name = args.get(0);
    let named = if name.contains(&b'|') { None } else { engine.commands.find(name) };
    let mut found = named.ok_or(UNKNOWN)?;
    if !found.command.subcommands.is_empty() && args.len() > 1 {
        found = engine.commands.find_sub(found, args.get(1)).ok_or(UNKNOWN)?;
    }
    let row = found.command;
    if row.keys.iter().all(|spec| spec.access & access::NOT_KEY != 0) {
        return Err(KEYLESS);
    }
    if !row.accepts(args.len()) {
        return Err(ARITY);
    }
    let mut keys = Vec::new();
    let fit = row.key_positions(args, |at, access| keys.push((at, access_in(row, access, args))));
    match fit && !keys.is_empty() {
        true => Ok(keys),
        // A script may have no keys, and how many it says is not looked at here.
        false if row.is(flags::NO_MANDATORY_KEYS) => Ok(Vec::new()),
        false => Err(INVALID),
    }
}

/// What a request does to the keys of a specification, where that depends on its arguments.
fn access_in(row: &Command, access: Access, args: Args<'_>) -> Access {
    const READS: Access = access::RO | access::ACCESS;
    const OVERWRITES: Access = access::OW | access::UPDATE;
    const CHANGES: Access = access::RW | access::ACCESS | access::UPDATE;
    match row.name {
        _ if access & access::VARIABLE == 0 => access,
        "set" if args.iter().skip(3).any(|word| is(word, "GET")) => CHANGES,
        "set" => OVERWRITES,
        "bitfield" if only_gets(args) => READS,
        "bitfield" => CHANGES,
        _ => access,
    }
}

/// Whether all operations of a BITFIELD are reads.
fn only_gets(args: Args<'_>) -> bool {
    let mut at = 2;
    while at < args.len() {
        let left = args.len() - at - 1;
        at += match args.get(at) {
            word if is(word, "GET") && left >= 2 => 3,
            word if is(word, "OVERFLOW") && left >= 1 => 2,
            _ => return false,
        };
    }
    true
}

/// Writes a command as COMMAND INFO shows it.
fn write_info(reply: &mut Reply, row: &Command) {
    let (first, last, step) = row.key_range();
    reply.array(10);
    reply.bulk(row.name.as_bytes());
    reply.integer(row.arity.into());
    write_set(reply, flags::NAMES, row.flags, "");
    for n in [first, last, step] {
        reply.integer(n.into());
    }
    write_set(reply, categories::NAMES, row.categories(), "@");
    reply.set(row.tips.len());
    row.tips.iter().for_each(|tip| reply.bulk(tip.as_bytes()));
    reply.set(row.keys.len());
    row.keys.iter().for_each(|spec| write_key_spec(reply, spec));
    reply.array(row.subcommands.len());
    row.subcommands.iter().for_each(|sub| write_info(reply, sub));
}

/// Writes the names of a bit set.
fn write_set(reply: &mut Reply, names: &[(Flags, &str)], set: Flags, sigil: &str) {
    let names = || names.iter().filter(|(bit, _)| set & bit != 0);
    reply.set(names().count());
    for (_, name) in names() {
        reply.simple(&[sigil, name].concat());
    }
}

fn write_key_spec(reply: &mut Reply, spec: &KeySpec) {
    reply.map(if spec.notes.is_empty() { 3 } else { 4 });
    if !spec.notes.is_empty() {
        reply.bulk(b"notes");
        reply.bulk(spec.notes.as_bytes());
    }
    reply.bulk(b"flags");
    write_set(reply, access::NAMES, spec.access, "");
    reply.bulk(b"begin_search");
    match spec.begin {
        Begin::Unknown => {
            write_step(reply, "unknown", &[]);
            reply.bulk(b"find_keys");
            return write_step(reply, "unknown", &[]);
        }
        Begin::Index(at) => write_step(reply, "index", &[("index", at as i64)]),
        Begin::Keyword(word, from) => write_keyword(reply, word, from),
        Begin::Streams(from) => write_keyword(reply, "STREAMS", from),
    }
    reply.bulk(b"find_keys");
    match spec.find {
        Find::Range { last, step, limit } => write_step(
            reply,
            "range",
            &[("lastkey", last.into()), ("keystep", step.into()), ("limit", limit.into())],
        ),
        Find::Count { count, first, step } => write_step(
            reply,
            "keynum",
            &[("keynumidx", count as i64), ("firstkey", first as i64), ("keystep", step as i64)],
        ),
    }
}

fn write_keyword(reply: &mut Reply, word: &str, from: i32) {
    write_type(reply, "keyword");
    reply.map(2);
    reply.bulk(b"keyword");
    reply.bulk(word.as_bytes());
    reply.bulk(b"startfrom");
    reply.integer(from.into());
}

fn write_type(reply: &mut Reply, name: &str) {
    reply.map(2);
    reply.bulk(b"type");
    reply.bulk(name.as_bytes());
    reply.bulk(b"spec");
}

/// Writes one step of a key specification whose fields are numbers.
fn write_step(reply: &mut Reply, name: &str, fields: &[(&str, i64)]) {
    write_type(reply, name);
    reply.map(fields.len());
    for (field, n) in fields {
        reply.bulk(field.as_bytes());
        reply.integer(*n);
    }
}
