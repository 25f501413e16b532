//! Keys of any type: existence, removal, names, copies.
//!
//! None of these looks into a value; COPY asks the store for a duplicate, RENAME and MOVE take an
//! entry out and put it back elsewhere, deadline included. Expiry is in `expire`, walking in
//! `scan`, whole databases in `database`, OBJECT in `object`.
//! Transcripts: `tests/transcripts/generic`.

use pannier_store::class;

use super::keys::{KeySpec, access};
use super::row::{Command, Context, Done, Group, categories, flags};
use crate::args::{self, Options, is};
use crate::error::Error;

/// The family's rows.
pub(super) const ROWS: &[Command] =
    &[DEL, UNLINK, EXISTS, TYPE, TOUCH, RENAME, RENAMENX, COPY, MOVE];

const DEL: Command = Command {
    name: "del",
    since: "1.0.0",
    group: Group::Generic,
    arity: -2,
    flags: flags::WRITE,
    categories: categories::KEYSPACE,
    keys: &[KeySpec::range(1, -1, 1, access::RM | access::DELETE)],
    syntax: "key [key ...]",
    summary: "Removes keys, whatever they hold.",
    complexity: "O(N) with N the number of keys, and for a collection the number of its elements",
    tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
    handler: del,
    ..Command::DEFAULT
};

const UNLINK: Command = Command {
    name: "unlink",
    since: "4.0.0",
    group: Group::Generic,
    arity: -2,
    flags: flags::FAST | flags::WRITE,
    categories: categories::KEYSPACE,
    keys: &[KeySpec::range(1, -1, 1, access::RM | access::DELETE)],
    syntax: "key [key ...]",
    summary: "Removes keys and frees large values in the background.",
    complexity: "O(N) with N the number of keys; the freeing happens elsewhere",
    tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
    handler: unlink,
    ..Command::DEFAULT
};

const EXISTS: Command = Command {
    name: "exists",
    since: "1.0.0",
    group: Group::Generic,
    arity: -2,
    flags: flags::FAST | flags::READONLY,
    categories: categories::KEYSPACE,
    keys: &[KeySpec::range(1, -1, 1, access::RO)],
    syntax: "key [key ...]",
    summary: "Counts how many of the named keys exist.",
    complexity: "O(N) with N the number of keys",
    tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
    handler: exists,
    ..Command::DEFAULT
};

const TYPE: Command = Command {
    name: "type",
    since: "1.0.0",
    group: Group::Generic,
    arity: 2,
    flags: flags::FAST | flags::READONLY,
    categories: categories::KEYSPACE,
    keys: &[KeySpec::one(1, access::RO)],
    syntax: "key",
    summary: "Tells the type of the value of a key.",
    complexity: "O(1)",
    handler: kind,
    ..Command::DEFAULT
};

const TOUCH: Command = Command {
    name: "touch",
    since: "3.2.1",
    group: Group::Generic,
    arity: -2,
    flags: flags::FAST | flags::READONLY,
    categories: categories::KEYSPACE,
    keys: &[KeySpec::range(1, -1, 1, access::RO)],
    syntax: "key [key ...]",
    summary: "Counts how many of the named keys exist and moves their access clocks.",
    complexity: "O(N) with N the number of keys",
    tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
    handler: touch,
    ..Command::DEFAULT
};

const RENAME: Command = Command {
    name: "rename",
    since: "1.0.0",
    group: Group::Generic,
    arity: 3,
    flags: flags::WRITE,
    categories: categories::KEYSPACE,
    keys: &[
        KeySpec::one(1, access::RW | access::ACCESS | access::DELETE),
        KeySpec::one(2, access::OW | access::UPDATE),
    ],
    syntax: "key newkey",
    summary: "Gives a key another name, over whatever had that name.",
    complexity: "O(1)",
    handler: rename,
    ..Command::DEFAULT
};

const RENAMENX: Command = Command {
    name: "renamenx",
    since: "1.0.0",
    group: Group::Generic,
    arity: 3,
    flags: flags::FAST | flags::WRITE,
    categories: categories::KEYSPACE,
    keys: &[
        KeySpec::one(1, access::RW | access::ACCESS | access::DELETE),
        KeySpec::one(2, access::OW | access::INSERT),
    ],
    syntax: "key newkey",
    summary: "Gives a key another name if that name is free.",
    complexity: "O(1)",
    handler: renamenx,
    ..Command::DEFAULT
};

const COPY: Command = Command {
    name: "copy",
    since: "6.2.0",
    group: Group::Generic,
    arity: -3,
    flags: flags::DENYOOM | flags::WRITE,
    categories: categories::KEYSPACE,
    keys: &[
        KeySpec::one(1, access::RO | access::ACCESS),
        KeySpec::one(2, access::OW | access::UPDATE),
    ],
    syntax: "source destination [DB destination-db] [REPLACE]",
    summary: "Copies a key, possibly into another database.",
    complexity: "O(N) with N the size of the value",
    handler: copy,
    ..Command::DEFAULT
};

const MOVE: Command = Command {
    name: "move",
    since: "1.0.0",
    group: Group::Generic,
    arity: 3,
    flags: flags::FAST | flags::WRITE,
    categories: categories::KEYSPACE,
    keys: &[KeySpec::one(1, access::RW | access::ACCESS | access::UPDATE)],
    syntax: "key db",
    summary: "Moves a key to another database.",
    complexity: "O(1)",
    handler: move_,
    ..Command::DEFAULT
};

fn del(cx: &mut Context<'_>) -> Result<Done, Error> {
    let db = cx.db();
    let mut removed = 0;
    for at in 1..cx.args.len() {
        let key = cx.key(at);
        if cx.view.remove(db, key) {
            removed += 1;
            cx.notify(class::GENERIC, "del", key);
        }
    }
    cx.int(removed)
}

fn unlink(cx: &mut Context<'_>) -> Result<Done, Error> {
    del(cx)
}

fn exists(cx: &mut Context<'_>) -> Result<Done, Error> {
    let db = cx.db();
    let mut found = 0;
    for at in 1..cx.args.len() {
        let key = cx.key(at);
        found += i64::from(cx.view.look(db, key).is_some());
    }
    cx.int(found)
}

fn kind(cx: &mut Context<'_>) -> Result<Done, Error> {
    let (db, key) = (cx.db(), cx.key(1));
    let name = cx.view.look(db, key).map_or("none", |found| found.kind().name());
    cx.reply.simple(name);
    Ok(Done::Replied)
}

fn touch(cx: &mut Context<'_>) -> Result<Done, Error> {
    let db = cx.db();
    let mut found = 0;
    for at in 1..cx.args.len() {
        let key = cx.key(at);
        found += i64::from(cx.view.touch(db, key));
    }
    cx.int(found)
}

fn rename(cx: &mut Context<'_>) -> Result<Done, Error> {
    rename_to(cx, true)?;
    cx.ok()
}

fn renamenx(cx: &mut Context<'_>) -> Result<Done, Error> {
    let renamed = rename_to(cx, false)?;
    cx.int(i64::from(renamed))
}

fn rename_to(cx: &mut Context<'_>, replace: bool) -> Result<bool, Error> {
    let (db, from, to) = (cx.db(), cx.key(1), cx.key(2));
    if cx.view.look_to_write(db, from).is_none() {
        return Err(Error::NO_SUCH_KEY);
    }
    if from.bytes == to.bytes {
        return Ok(replace);
    }
    if !replace && cx.view.look_to_write(db, to).is_some() {
        return Ok(false);
    }
    if let Some(taken) = cx.view.take(db, from) {
        cx.view.put_anew(db, to, taken);
        cx.notify(class::GENERIC, "rename_from", from);
        cx.notify(class::GENERIC, "rename_to", to);
    }
    Ok(true)
}

fn copy(cx: &mut Context<'_>) -> Result<Done, Error> {
    let (from_db, databases) = (cx.db(), cx.engine.keyspace.databases());
    let (mut to_db, mut replace) = (from_db, false);
    let mut options = Options::new(cx.args, 3);
    while let Some(word) = options.next() {
        if is(word, "REPLACE") {
            replace = true;
        } else if is(word, "DB") && options.has_value() {
            to_db = args::database(options.value()?, databases)?;
        } else {
            return Err(Error::SYNTAX);
        }
    }
    let (from, to) = (cx.key(1), cx.key(2));
    if from_db == to_db && from.bytes == to.bytes {
        return Err(Error::SAME_OBJECT);
    }
    if cx.view.read(from_db, from).is_none()
        || !replace && cx.view.look_to_write(to_db, to).is_some()
    {
        return cx.int(0);
    }
    let Some(copy) = cx.view.copy(from_db, from) else { return cx.int(0) };
    cx.view.put_anew(to_db, to, copy);
    cx.view.note(class::GENERIC, "copy_to", to_db, to);
    cx.int(1)
}

fn move_(cx: &mut Context<'_>) -> Result<Done, Error> {
    let (from_db, key) = (cx.db(), cx.key(1));
    let to_db = args::database(cx.arg(2), cx.engine.keyspace.databases())?;
    if from_db == to_db {
        return Err(Error::SAME_OBJECT);
    }
    let missing = cx.view.look_to_write(from_db, key).is_none();
    if missing || cx.view.look_to_write(to_db, key).is_some() {
        return cx.int(0);
    }
    let Some(taken) = cx.view.take(from_db, key) else { return cx.int(0) };
    cx.view.put_anew(to_db, key, taken);
    cx.notify(class::GENERIC, "move_from", key);
    cx.view.note(class::GENERIC, "move_to", to_db, key);
    cx.int(1)
}
