//! MEMORY: how memory is used, by key and in all.
//!
//! Bytes are counted per entry, as the allocator rounds them (see `store`), so MEMORY USAGE and
//! the limits agree. Transcripts: `tests/transcripts/server`.

use std::sync::atomic::Ordering::Relaxed;

use pannier_resp::Reply;

use super::keys::{KeySpec, access};
use super::row::{Command, Context, Done, Group, Opens, flags};
use crate::args::{Options, integer, is};
use crate::error::Error;

/// The family's rows.
pub(super) const ROWS: &[Command] = &[MEMORY];

/// Below this the doctor has nothing to look at.
const LITTLE: usize = 5 * 1024 * 1024;

const MEMORY: Command = Command {
    name: "memory",
    since: "4.0.0",
    group: Group::Server,
    arity: -2,
    syntax: "",
    summary: "Looks at how memory is used.",
    complexity: "depends on the sub-command",
    subcommands: &[
        MEMORY_DOCTOR,
        MEMORY_HELP,
        MEMORY_MALLOC_STATS,
        MEMORY_PURGE,
        MEMORY_STATS,
        MEMORY_USAGE,
    ],
    ..Command::DEFAULT
};

const MEMORY_DOCTOR: Command = Command {
    name: "memory|doctor",
    since: "4.0.0",
    group: Group::Server,
    arity: 2,
    syntax: "",
    summary: "Explains memory problems in words.",
    complexity: "O(1)",
    tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
    handler: memory_doctor,
    ..Command::DEFAULT
};

const MEMORY_HELP: Command = Command {
    name: "memory|help",
    since: "4.0.0",
    group: Group::Server,
    arity: 2,
    flags: flags::LOADING | flags::STALE,
    syntax: "",
    summary: "Lists the sub-commands.",
    complexity: "O(1)",
    handler: memory_help,
    ..Command::DEFAULT
};

const MEMORY_MALLOC_STATS: Command = Command {
    name: "memory|malloc-stats",
    since: "4.0.0",
    group: Group::Server,
    arity: 2,
    flags: flags::LOADING,
    syntax: "",
    summary: "Shows what the memory allocator says of itself.",
    complexity: "depends on the allocator",
    tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
    handler: memory_malloc_stats,
    ..Command::DEFAULT
};

const MEMORY_PURGE: Command = Command {
    name: "memory|purge",
    since: "4.0.0",
    group: Group::Server,
    arity: 2,
    flags: flags::LOADING,
    syntax: "",
    summary: "Gives unused memory back to the system.",
    complexity: "depends on the allocator",
    tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
    handler: memory_purge,
    ..Command::DEFAULT
};

const MEMORY_STATS: Command = Command {
    name: "memory|stats",
    opens: Opens::Each,
    since: "4.0.0",
    group: Group::Server,
    arity: 2,
    syntax: "",
    summary: "Tells how memory is used, as numbers.",
    complexity: "O(1)",
    tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
    handler: memory_stats,
    ..Command::DEFAULT
};

const MEMORY_USAGE: Command = Command {
    name: "memory|usage",
    since: "4.0.0",
    group: Group::Server,
    arity: -3,
    flags: flags::READONLY,
    keys: &[KeySpec::one(2, access::RO)],
    syntax: "key [SAMPLES count]",
    summary: "Tells how many bytes a key and its value take.",
    complexity: "O(N) with N the number of samples",
    handler: memory_usage,
    ..Command::DEFAULT
};

fn memory_usage(cx: &mut Context<'_>) -> Result<Done, Error> {
    let mut options = Options::new(cx.args, 3);
    while let Some(word) = options.next() {
        if !is(word, "SAMPLES") || !options.has_value() || integer(options.value()?)? < 0 {
            return Err(Error::SYNTAX);
        }
    }
    let (db, key) = (cx.db(), cx.key(2));
    match cx.view.peek(db, key).map(|found| found.footprint()) {
        None => cx.reply.null(),
        Some(bytes) => cx.reply.integer(bytes as i64),
    }
    Ok(Done::Replied)
}

/// One line of MEMORY STATS.
enum Number {
    Bytes(usize),
    Share(f64),
}

fn memory_stats(cx: &mut Context<'_>) -> Result<Done, Error> {
    use Number::{Bytes, Share};
    let engine = cx.engine;
    let facts = engine.host.facts();
    let used = engine.used_memory();
    let peak = engine.peak_bytes.load(Relaxed);
    let startup = engine.startup_bytes.load(Relaxed);
    let tables = cx.view.overhead();
    let clients: usize = engine.clients.all().iter().map(|client| client.memory()).sum();
    let overhead = tables + clients;
    let keys = engine.keyspace.totals().entries;
    let dataset = used.saturating_sub(overhead);
    let databases: Vec<usize> =
        (0..engine.keyspace.databases()).filter(|db| engine.keyspace.len(*db) > 0).collect();
    let before = [
        ("peak.allocated", Bytes(peak)),
        ("total.allocated", Bytes(used)),
        ("startup.allocated", Bytes(startup)),
        ("replication.backlog", Bytes(0)),
        ("clients.slaves", Bytes(0)),
        ("clients.normal", Bytes(clients)),
        ("cluster.links", Bytes(0)),
        ("aof.buffer", Bytes(0)),
        ("lua.caches", Bytes(engine.scripts.cache_bytes.load(Relaxed))),
        ("functions.caches", Bytes(engine.scripts.functions.bytes.load(Relaxed))),
    ];
    let after = [
        ("overhead.total", Bytes(overhead)),
        ("keys.count", Bytes(keys)),
        ("keys.bytes-per-key", Bytes(used / keys.max(1))),
        ("dataset.bytes", Bytes(dataset)),
        ("dataset.percentage", Share(dataset as f64 * 100.0 / used.max(1) as f64)),
        ("peak.percentage", Share(used as f64 * 100.0 / peak.max(1) as f64)),
        ("allocator.allocated", Bytes(used)),
        ("allocator.active", Bytes(facts.rss)),
        ("allocator.resident", Bytes(facts.rss)),
        ("fragmentation", Share(facts.rss as f64 / used.max(1) as f64)),
        ("fragmentation.bytes", Bytes(facts.rss.saturating_sub(used))),
    ];
    cx.reply.map(before.len() + databases.len() + after.len());
    lines(cx.reply, &before);
    for database in databases {
        let bytes = cx.view.table_bytes(database);
        cx.reply.bulk(format!("db.{database}").as_bytes());
        cx.reply.map(2);
        lines(
            cx.reply,
            &[("overhead.hashtable.main", Bytes(bytes)), ("overhead.hashtable.expires", Bytes(0))],
        );
    }
    lines(cx.reply, &after);
    Ok(Done::Replied)
}

fn lines(reply: &mut Reply, lines: &[(&str, Number)]) {
    for (name, number) in lines {
        reply.bulk(name.as_bytes());
        match number {
            Number::Bytes(n) => reply.integer(*n as i64),
            Number::Share(share) => reply.double(*share),
        }
    }
}

fn memory_doctor(cx: &mut Context<'_>) -> Result<Done, Error> {
    let used = cx.engine.used_memory();
    let peak = cx.engine.peak_bytes.load(Relaxed);
    let rss = cx.engine.host.facts().rss;
    let mut text = String::new();
    if used < LITTLE {
        text.push_str("Too little data is stored to say anything about memory.\n");
    } else {
        if peak > used + used / 2 {
            text.push_str(
                "- The peak was more than half above what is used now. The allocator may keep \
                 the difference; MEMORY PURGE gives it back.\n",
            );
        }
        if rss > used + used / 2 {
            text.push_str(
                "- The process holds half as much again as is used: fragmentation, client \
                 buffers, or memory that MEMORY PURGE would give back.\n",
            );
        }
        if cx.config.maxmemory > 0 && used > cx.config.maxmemory / 100 * 95 {
            text.push_str("- Use is within 5 % of maxmemory.\n");
        }
        if text.is_empty() {
            text.push_str("No problem was found.\n");
        }
    }
    cx.reply.verbatim("txt", text.as_bytes());
    Ok(Done::Replied)
}

fn memory_malloc_stats(cx: &mut Context<'_>) -> Result<Done, Error> {
    let facts = cx.engine.host.facts();
    if facts.allocator_stats.is_empty() {
        cx.reply.bulk(b"Stats not supported for the current allocator");
    } else {
        cx.reply.verbatim("txt", facts.allocator_stats.as_bytes());
    }
    Ok(Done::Replied)
}

fn memory_purge(cx: &mut Context<'_>) -> Result<Done, Error> {
    cx.engine.host.purge_memory();
    cx.ok()
}

fn memory_help(cx: &mut Context<'_>) -> Result<Done, Error> {
    cx.help(&[
        "DOCTOR",
        "    Memory problems in words.",
        "MALLOC-STATS",
        "    What the memory allocator says of itself.",
        "PURGE",
        "    Give unused memory back to the system.",
        "STATS",
        "    How memory is used, as numbers.",
        "USAGE <key> [SAMPLES <count>]",
        "    The bytes that a key and its value take. SAMPLES is how many elements of a",
        "    collection are looked at (0 for all).",
    ])
}
