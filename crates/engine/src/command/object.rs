//! OBJECT: how the value of a key is kept, and how lately or often it was used.
//!
//! None of it moves access clocks. Encodings carry Redis's names at Redis's thresholds, whatever
//! the store does inside; a value has one owner, so REFCOUNT is always 1.
//! Transcripts: `tests/transcripts/generic`.

use pannier_store::Found;

use super::keys::{KeySpec, access};
use super::row::{Command, Context, Done, Group, categories, flags};
use crate::error::Error;

/// The family's rows.
pub(super) const ROWS: &[Command] = &[OBJECT];

const OBJECT: Command = Command {
    name: "object",
    since: "2.2.3",
    group: Group::Generic,
    arity: -2,
    syntax: "",
    summary: "Looks at how the value of a key is kept.",
    complexity: "O(1)",
    subcommands: &[OBJECT_ENCODING, OBJECT_FREQ, OBJECT_HELP, OBJECT_IDLETIME, OBJECT_REFCOUNT],
    ..Command::DEFAULT
};

const OBJECT_ENCODING: Command = Command {
    name: "object|encoding",
    since: "2.2.3",
    group: Group::Generic,
    arity: 3,
    flags: flags::READONLY,
    categories: categories::KEYSPACE,
    keys: &[KeySpec::one(2, access::RO)],
    syntax: "key",
    summary: "Tells the internal encoding of a value.",
    complexity: "O(1)",
    tips: &["nondeterministic_output"],
    handler: object_encoding,
    ..Command::DEFAULT
};

const OBJECT_FREQ: Command = Command {
    name: "object|freq",
    since: "4.0.0",
    group: Group::Generic,
    arity: 3,
    flags: flags::READONLY,
    categories: categories::KEYSPACE,
    keys: &[KeySpec::one(2, access::RO)],
    syntax: "key",
    summary: "Tells the access frequency counter of a key.",
    complexity: "O(1)",
    tips: &["nondeterministic_output"],
    handler: object_freq,
    ..Command::DEFAULT
};

const OBJECT_HELP: Command = Command {
    name: "object|help",
    since: "6.2.0",
    group: Group::Generic,
    arity: 2,
    flags: flags::LOADING | flags::STALE,
    categories: categories::KEYSPACE,
    syntax: "",
    summary: "Lists the sub-commands.",
    complexity: "O(1)",
    handler: object_help,
    ..Command::DEFAULT
};

const OBJECT_IDLETIME: Command = Command {
    name: "object|idletime",
    since: "2.2.3",
    group: Group::Generic,
    arity: 3,
    flags: flags::READONLY,
    categories: categories::KEYSPACE,
    keys: &[KeySpec::one(2, access::RO)],
    syntax: "key",
    summary: "Tells the time since the last access to a key, in seconds.",
    complexity: "O(1)",
    tips: &["nondeterministic_output"],
    handler: object_idletime,
    ..Command::DEFAULT
};

const OBJECT_REFCOUNT: Command = Command {
    name: "object|refcount",
    since: "2.2.3",
    group: Group::Generic,
    arity: 3,
    flags: flags::READONLY,
    categories: categories::KEYSPACE,
    keys: &[KeySpec::one(2, access::RO)],
    syntax: "key",
    summary: "Tells the number of references to a value.",
    complexity: "O(1)",
    tips: &["nondeterministic_output"],
    handler: object_refcount,
    ..Command::DEFAULT
};

/// The live entry of the key, or a nil reply.
fn look<'c>(cx: &'c mut Context<'_>) -> Option<Found<'c>> {
    let (db, key) = (cx.db(), cx.key(2));
    cx.view.inspect(db, key)
}

fn object_encoding(cx: &mut Context<'_>) -> Result<Done, Error> {
    match look(cx).map(|found| found.encoding().name()) {
        None => cx.reply.null(),
        Some(name) => cx.reply.bulk(name.as_bytes()),
    }
    Ok(Done::Replied)
}

fn object_refcount(cx: &mut Context<'_>) -> Result<Done, Error> {
    match look(cx) {
        None => cx.reply.null(),
        Some(_) => cx.reply.integer(1),
    }
    Ok(Done::Replied)
}

fn object_freq(cx: &mut Context<'_>) -> Result<Done, Error> {
    let Some(found) = look(cx) else {
        cx.reply.null();
        return Ok(Done::Replied);
    };
    let frequency = found.frequency();
    if !cx.config.maxmemory_policy.frequency() {
        return Err(Error::new(
            "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please \
             note that when switching between policies at runtime LRU and LFU data will take \
             some time to adjust.",
        ));
    }
    cx.int(i64::from(frequency))
}

fn object_idletime(cx: &mut Context<'_>) -> Result<Done, Error> {
    let Some(found) = look(cx) else {
        cx.reply.null();
        return Ok(Done::Replied);
    };
    let idle_ms = found.idle_ms();
    if cx.config.maxmemory_policy.frequency() {
        return Err(Error::new(
            "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that \
             when switching between policies at runtime LRU and LFU data will take some time to \
             adjust.",
        ));
    }
    cx.int((idle_ms / 1000) as i64)
}

fn object_help(cx: &mut Context<'_>) -> Result<Done, Error> {
    cx.help(&[
        "ENCODING <key>",
        "    How the value is kept: int, embstr, raw, and so on.",
        "FREQ <key>",
        "    The logarithmic access counter of the key (LFU policies only).",
        "IDLETIME <key>",
        "    Seconds since the last access to the key (not with LFU policies).",
        "REFCOUNT <key>",
        "    The number of references to the value, which is always 1.",
    ])
}
