//! Whole databases: DBSIZE, FLUSHDB, FLUSHALL, SWAPDB.
//!
//! Flushing takes the tables out under the locks, which is quick, and by default frees them
//! elsewhere; SYNC frees them before it answers. Transcripts: `tests/transcripts/server`.

use super::row::{Command, Context, Done, Group, Opens, categories, flags};
use crate::args;
use crate::error::Error;

/// The family's rows.
pub(super) const ROWS: &[Command] = &[DBSIZE, FLUSHDB, FLUSHALL, SWAPDB];

const DBSIZE: Command = Command {
    name: "dbsize",
    since: "1.0.0",
    group: Group::Server,
    arity: 1,
    flags: flags::FAST | flags::READONLY,
    categories: categories::KEYSPACE,
    syntax: "",
    summary: "Counts the keys of the selected database.",
    complexity: "O(1)",
    tips: &["request_policy:all_shards", "response_policy:agg_sum"],
    handler: dbsize,
    ..Command::DEFAULT
};

const FLUSHDB: Command = Command {
    name: "flushdb",
    opens: Opens::Everything,
    since: "1.0.0",
    group: Group::Server,
    arity: -1,
    flags: flags::WRITE,
    categories: categories::KEYSPACE | categories::DANGEROUS,
    syntax: "[ASYNC | SYNC]",
    summary: "Removes every key of the selected database.",
    complexity: "O(N) with N the number of keys in the database",
    tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
    handler: flushdb,
    ..Command::DEFAULT
};

const FLUSHALL: Command = Command {
    name: "flushall",
    opens: Opens::Everything,
    since: "1.0.0",
    group: Group::Server,
    arity: -1,
    flags: flags::WRITE,
    categories: categories::KEYSPACE | categories::DANGEROUS,
    syntax: "[ASYNC | SYNC]",
    summary: "Removes every key of every database.",
    complexity: "O(N) with N the number of keys",
    tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
    handler: flushall,
    ..Command::DEFAULT
};

const SWAPDB: Command = Command {
    name: "swapdb",
    opens: Opens::Everything,
    since: "4.0.0",
    group: Group::Server,
    arity: 3,
    flags: flags::FAST | flags::WRITE,
    categories: categories::KEYSPACE | categories::DANGEROUS,
    syntax: "index1 index2",
    summary: "Exchanges two databases, for all clients at once.",
    complexity: "O(S) with S the number of shards",
    handler: swapdb,
    ..Command::DEFAULT
};

fn dbsize(cx: &mut Context<'_>) -> Result<Done, Error> {
    let keys = cx.engine.keyspace.len(cx.db());
    cx.int(keys as i64)
}

fn flushdb(cx: &mut Context<'_>) -> Result<Done, Error> {
    let db = cx.db();
    flush(cx, Some(db))
}

fn flushall(cx: &mut Context<'_>) -> Result<Done, Error> {
    flush(cx, None)
}

fn flush(cx: &mut Context<'_>, database: Option<usize>) -> Result<Done, Error> {
    let sync = match cx.args.len() {
        1 => false,
        2 if cx.is(1, "SYNC") => true,
        2 if cx.is(1, "ASYNC") => false,
        _ => return Err(Error::SYNTAX),
    };
    let garbage = cx.view.flush(database);
    if sync {
        drop(garbage);
    } else {
        cx.engine.host.discard(Box::new(garbage));
    }
    cx.ok()
}

fn swapdb(cx: &mut Context<'_>) -> Result<Done, Error> {
    let databases = cx.engine.keyspace.databases();
    let number = |at: usize, bad: Error| match args::integer(cx.arg(at)).map(i32::try_from) {
        Ok(Ok(_)) => Ok(at),
        _ => Err(bad),
    };
    let first = number(1, Error::new("ERR invalid first DB index"))?;
    let second = number(2, Error::new("ERR invalid second DB index"))?;
    let a = args::database(cx.arg(first), databases)?;
    let b = args::database(cx.arg(second), databases)?;
    cx.view.swap_databases(a, b);
    cx.ok()
}
