//! XINFO: what a stream, its groups and their consumers are like.
//!
//! A stream's radix tree is here a log of chunks: `radix-tree-keys` counts the chunks, as Redis's
//! keys do, and `radix-tree-nodes` is one more, for the index over them.
//! Neighbours: `stream_group` changes what is shown. Transcripts: `tests/transcripts/stream`.

use pannier_resp::Reply;
use pannier_store::{Consumer, Group as Readers, Log, Stream, StreamData, StreamId};

use super::keys::{KeySpec, access};
use super::row::{Command, Context, Done, Group, categories, flags};
use super::stream_args::{no_group_of, reply_entry, reply_id, reply_range, subcommand_syntax};
use crate::error::Error;

/// The family's rows.
pub(super) const ROWS: &[Command] = &[XINFO];

const XINFO: Command = Command {
    name: "xinfo",
    since: "5.0.0",
    group: Group::Stream,
    arity: -2,
    syntax: "",
    summary: "Tells about a stream and its consumer groups.",
    complexity: "Depends on the sub-command.",
    subcommands: &[XINFO_CONSUMERS, XINFO_GROUPS, XINFO_HELP, XINFO_STREAM],
    ..Command::DEFAULT
};

const XINFO_CONSUMERS: Command = Command {
    name: "xinfo|consumers",
    since: "5.0.0",
    group: Group::Stream,
    arity: 4,
    flags: flags::READONLY,
    categories: categories::STREAM,
    keys: &[KeySpec::one(2, access::RO | access::ACCESS)],
    syntax: "key group",
    summary: "Lists the consumers of a group.",
    complexity: "O(N) for N consumers",
    tips: &["nondeterministic_output"],
    history: &[("7.2.0", "The field `inactive`.")],
    handler: xinfo_consumers,
    ..Command::DEFAULT
};

const XINFO_GROUPS: Command = Command {
    name: "xinfo|groups",
    since: "5.0.0",
    group: Group::Stream,
    arity: 3,
    flags: flags::READONLY,
    categories: categories::STREAM,
    keys: &[KeySpec::one(2, access::RO | access::ACCESS)],
    syntax: "key",
    summary: "Lists the consumer groups of a stream.",
    complexity: "O(N) for N groups",
    history: &[("7.0.0", "The fields `entries-read` and `lag`.")],
    handler: xinfo_groups,
    ..Command::DEFAULT
};

const XINFO_HELP: Command = Command {
    name: "xinfo|help",
    since: "5.0.0",
    group: Group::Stream,
    arity: 2,
    flags: flags::LOADING | flags::STALE,
    categories: categories::STREAM,
    syntax: "",
    summary: "Lists the sub-commands.",
    complexity: "O(1)",
    handler: xinfo_help,
    ..Command::DEFAULT
};

const XINFO_STREAM: Command = Command {
    name: "xinfo|stream",
    since: "5.0.0",
    group: Group::Stream,
    arity: -3,
    flags: flags::READONLY,
    categories: categories::STREAM,
    keys: &[KeySpec::one(2, access::RO | access::ACCESS)],
    syntax: "key [FULL [COUNT count]]",
    summary: "Tells about a stream.",
    complexity: "O(1), or with FULL O(N) for N entries, groups and consumers returned.",
    history: &[
        ("6.0.0", "The option FULL."),
        ("7.0.0", "The fields `max-deleted-entry-id`, `entries-added`, `recorded-first-entry-id`."),
        ("7.2.0", "The field `active-time`."),
    ],
    handler: xinfo_stream,
    ..Command::DEFAULT
};

/// The stream that the command names.
fn look<'c>(cx: &'c mut Context<'_>) -> Result<&'c StreamData, Error> {
    let (db, key) = (cx.db(), cx.key(2));
    cx.view.read_as::<Stream>(db, key)?.ok_or(Error::NO_SUCH_KEY)
}

fn xinfo_help(cx: &mut Context<'_>) -> Result<Done, Error> {
    cx.help(&[
        "CONSUMERS <key> <group>",
        "    List the consumers of a group.",
        "GROUPS <key>",
        "    List the groups of a stream.",
        "STREAM <key> [FULL [COUNT <count>]]",
        "    Tell about a stream.",
    ])
}

fn xinfo_consumers(cx: &mut Context<'_>) -> Result<Done, Error> {
    let (db, key, name) = (cx.db(), cx.key(2), cx.arg(3));
    let now_ms = cx.now.unix_ms() as i64;
    let stream = cx.view.read_as::<Stream>(db, key)?.ok_or(Error::NO_SUCH_KEY)?;
    let group = stream.group(name).ok_or_else(|| no_group_of(key.bytes, name))?;
    let reply = &mut *cx.reply;
    reply.array(group.consumer_count());
    for consumer in group.consumers() {
        reply.map(4);
        reply.bulk(b"name");
        reply.bulk(consumer.name());
        field(reply, "pending", consumer.pending_len() as i64);
        field(reply, "idle", (now_ms - consumer.seen_ms as i64).max(0));
        field(reply, "inactive", consumer.active_ms.map_or(-1, |at| now_ms - at as i64));
    }
    Ok(Done::Replied)
}

fn xinfo_groups(cx: &mut Context<'_>) -> Result<Done, Error> {
    let (db, key) = (cx.db(), cx.key(2));
    let stream = cx.view.read_as::<Stream>(db, key)?.ok_or(Error::NO_SUCH_KEY)?;
    let reply = &mut *cx.reply;
    reply.array(stream.groups().len());
    for (name, group) in stream.groups() {
        reply.map(6);
        reply.bulk(b"name");
        reply.bulk(name);
        field(reply, "consumers", group.consumer_count() as i64);
        field(reply, "pending", group.pending_len() as i64);
        reply_progress(reply, stream, group);
    }
    Ok(Done::Replied)
}

fn xinfo_stream(cx: &mut Context<'_>) -> Result<Done, Error> {
    look(cx)?;
    let words = cx.args.len();
    let full = words > 3;
    if full && !(matches!(words, 4 | 6) && cx.is(3, "FULL") && (words == 4 || cx.is(4, "COUNT"))) {
        return Err(subcommand_syntax(cx));
    }
    let asked = if words == 6 { cx.integer(5)? } else { FULL_COUNT };
    let count = usize::try_from(asked).unwrap_or(FULL_COUNT as usize);
    let (db, key) = (cx.db(), cx.key(2));
    let Some(found) = cx.view.again(db, key) else { return Err(Error::NO_SUCH_KEY) };
    let stream = found.collection::<Stream>()?;
    let reply = &mut *cx.reply;
    let (log, meta) = (stream.log(), stream.log().meta());
    reply.map(if full { 9 } else { 10 });
    field(reply, "length", meta.len as i64);
    field(reply, "radix-tree-keys", log.chunk_count() as i64);
    field(reply, "radix-tree-nodes", log.chunk_count() as i64 + 1);
    id_field(reply, "last-generated-id", meta.last);
    id_field(reply, "max-deleted-entry-id", meta.max_deleted);
    field(reply, "entries-added", meta.added as i64);
    id_field(reply, "recorded-first-entry-id", meta.first);
    if full {
        reply.bulk(b"entries");
        reply_range(reply, log, (StreamId::MIN, StreamId::MAX), count, false);
        reply.bulk(b"groups");
        reply.array(stream.groups().len());
        for (name, group) in stream.groups() {
            reply_group(reply, stream, (name, group), count);
        }
    } else {
        field(reply, "groups", stream.groups().len() as i64);
        reply_ends(reply, log);
    }
    Ok(Done::Replied)
}

/// The first and the last entry.
fn reply_ends(reply: &mut Reply, log: &Log) {
    let first = log.range(StreamId::MIN, StreamId::MAX).next();
    let last = log.range(StreamId::MIN, StreamId::MAX).next_back();
    for (name, entry) in [("first-entry", first), ("last-entry", last)] {
        reply.bulk(name.as_bytes());
        match entry {
            Some(entry) => reply_entry(reply, &entry),
            None => reply.null(),
        }
    }
}

/// All of a group, with so many pending entries at most; 0 is all of them.
fn reply_group(
    reply: &mut Reply,
    stream: &StreamData,
    (name, group): (&[u8], &Readers),
    count: usize,
) {
    let most = if count == 0 { usize::MAX } else { count };
    reply.map(7);
    reply.bulk(b"name");
    reply.bulk(name);
    reply_progress(reply, stream, group);
    field(reply, "pel-count", group.pending_len() as i64);
    reply.bulk(b"pending");
    reply.array(group.pending_len().min(most));
    for (id, pending) in group.pending(StreamId::MIN, StreamId::MAX).take(most) {
        reply.array(4);
        reply_id(reply, id);
        reply.bulk(group.owner_name(pending));
        reply.integer(pending.delivered_ms as i64);
        reply.integer(pending.count as i64);
    }
    reply.bulk(b"consumers");
    reply.array(group.consumer_count());
    for consumer in group.consumers() {
        reply_consumer(reply, group, consumer, most);
    }
}

fn reply_consumer(reply: &mut Reply, group: &Readers, consumer: &Consumer, most: usize) {
    reply.map(5);
    reply.bulk(b"name");
    reply.bulk(consumer.name());
    field(reply, "seen-time", consumer.seen_ms as i64);
    field(reply, "active-time", consumer.active_ms.map_or(-1, |at| at as i64));
    field(reply, "pel-count", consumer.pending_len() as i64);
    reply.bulk(b"pending");
    reply.array(consumer.pending_len().min(most));
    for id in consumer.pending_from(StreamId::MIN).take(most) {
        let (at, count) =
            group.pending_of(id).map_or((0, 0), |held| (held.delivered_ms, held.count));
        reply.array(3);
        reply_id(reply, id);
        reply.integer(at as i64);
        reply.integer(count as i64);
    }
}

/// How far a group has read.
fn reply_progress(reply: &mut Reply, stream: &StreamData, group: &Readers) {
    id_field(reply, "last-delivered-id", group.last);
    let numbers =
        [("entries-read", group.read.map(|read| read as i64)), ("lag", stream.lag(group))];
    for (name, number) in numbers {
        reply.bulk(name.as_bytes());
        match number {
            Some(number) => reply.integer(number),
            None => reply.null(),
        }
    }
}

fn field(reply: &mut Reply, name: &str, number: i64) {
    reply.bulk(name.as_bytes());
    reply.integer(number);
}

fn id_field(reply: &mut Reply, name: &str, id: StreamId) {
    reply.bulk(name.as_bytes());
    reply_id(reply, id);
}

/// Entries and pending entries that FULL shows, unless told otherwise.
const FULL_COUNT: i64 = 10;
