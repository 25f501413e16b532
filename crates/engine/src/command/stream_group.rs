//! Consumer groups: XGROUP, and XACK.
//!
//! A group belongs to its stream and goes with it. What a group knows of its readers is
//! `pannier_store::Group`; a change of a group counts as a change of the key.
//! Neighbours: `stream_read` delivers, `stream_pending` lists and claims, `stream_info` shows.
//! Transcripts: `tests/transcripts/stream`.

use pannier_store::{Group as Readers, Stream, StreamData, StreamId, class};

use super::keys::{KeySpec, access};
use super::row::{Command, Context, Done, Group, categories, flags};
use super::stream::ids;
use super::stream_args::{any_id, exact_id, no_group_of, subcommand_syntax};
use crate::args::integer;
use crate::error::Error;

/// The family's rows.
pub(super) const ROWS: &[Command] = &[XGROUP, XACK];

const XGROUP: Command = Command {
    name: "xgroup",
    since: "5.0.0",
    group: Group::Stream,
    arity: -2,
    syntax: "",
    summary: "Creates, changes and removes consumer groups.",
    complexity: "Depends on the sub-command.",
    subcommands: &[
        XGROUP_CREATE,
        XGROUP_CREATECONSUMER,
        XGROUP_DELCONSUMER,
        XGROUP_DESTROY,
        XGROUP_HELP,
        XGROUP_SETID,
    ],
    ..Command::DEFAULT
};

const XGROUP_CREATE: Command = Command {
    name: "xgroup|create",
    since: "5.0.0",
    group: Group::Stream,
    arity: -5,
    flags: flags::DENYOOM | flags::WRITE,
    categories: categories::STREAM,
    keys: &[KeySpec::one(2, access::RW | access::INSERT)],
    syntax: "key group <id | $> [MKSTREAM] [ENTRIESREAD entries-read]",
    summary: "Creates a consumer group.",
    complexity: "O(1)",
    history: &[("7.0.0", "The option ENTRIESREAD.")],
    handler: xgroup_create,
    ..Command::DEFAULT
};

const XGROUP_CREATECONSUMER: Command = Command {
    name: "xgroup|createconsumer",
    since: "6.2.0",
    group: Group::Stream,
    arity: 5,
    flags: flags::DENYOOM | flags::WRITE,
    categories: categories::STREAM,
    keys: &[KeySpec::one(2, access::RW | access::INSERT)],
    syntax: "key group consumer",
    summary: "Creates a consumer in a group.",
    complexity: "O(log N) for N consumers",
    handler: xgroup_createconsumer,
    ..Command::DEFAULT
};

const XGROUP_DELCONSUMER: Command = Command {
    name: "xgroup|delconsumer",
    since: "5.0.0",
    group: Group::Stream,
    arity: 5,
    flags: flags::WRITE,
    categories: categories::STREAM,
    keys: &[KeySpec::one(2, access::RW | access::DELETE)],
    syntax: "key group consumer",
    summary: "Removes a consumer and what it has pending.",
    complexity: "O(N log M) for N of M pending entries",
    handler: xgroup_delconsumer,
    ..Command::DEFAULT
};

const XGROUP_DESTROY: Command = Command {
    name: "xgroup|destroy",
    since: "5.0.0",
    group: Group::Stream,
    arity: 4,
    flags: flags::WRITE,
    categories: categories::STREAM,
    keys: &[KeySpec::one(2, access::RW | access::DELETE)],
    syntax: "key group",
    summary: "Removes a consumer group.",
    complexity: "O(N) for N pending entries",
    handler: xgroup_destroy,
    ..Command::DEFAULT
};

const XGROUP_HELP: Command = Command {
    name: "xgroup|help",
    since: "5.0.0",
    group: Group::Stream,
    arity: 2,
    flags: flags::LOADING | flags::STALE,
    categories: categories::STREAM,
    syntax: "",
    summary: "Lists the sub-commands.",
    complexity: "O(1)",
    handler: xgroup_help,
    ..Command::DEFAULT
};

const XGROUP_SETID: Command = Command {
    name: "xgroup|setid",
    since: "5.0.0",
    group: Group::Stream,
    arity: -5,
    flags: flags::WRITE,
    categories: categories::STREAM,
    keys: &[KeySpec::one(2, access::RW | access::UPDATE)],
    syntax: "key group <id | $> [ENTRIESREAD entries-read]",
    summary: "Sets the id that a group has read up to.",
    complexity: "O(1)",
    history: &[("7.0.0", "The option ENTRIESREAD.")],
    handler: xgroup_setid,
    ..Command::DEFAULT
};

const XACK: Command = Command {
    name: "xack",
    since: "5.0.0",
    group: Group::Stream,
    arity: -4,
    flags: flags::FAST | flags::WRITE,
    categories: categories::STREAM,
    keys: &[KeySpec::one(1, access::RW | access::UPDATE)],
    syntax: "key group id [id ...]",
    summary: "Acknowledges entries; how many were pending.",
    complexity: "O(log N) for each id",
    handler: xack,
    ..Command::DEFAULT
};

/// The event of a consumer that a command has created.
pub(super) const CONSUMER_CREATED: &str = "xgroup-createconsumer";

/// The options of CREATE and SETID.
#[derive(Default)]
struct Options {
    make_stream: bool,
    read: Option<u64>,
}

impl Options {
    fn read(cx: &Context<'_>, creates: bool) -> Result<Self, Error> {
        let mut options = Self::default();
        let mut at = 5;
        while at < cx.args.len() {
            if creates && cx.is(at, "MKSTREAM") {
                options.make_stream = true;
                at += 1;
            } else if cx.is(at, "ENTRIESREAD") && at + 1 < cx.args.len() {
                options.read = entries_read(cx.arg(at + 1))?;
                at += 2;
            } else {
                return Err(subcommand_syntax(cx));
            }
        }
        Ok(options)
    }
}

fn entries_read(word: &[u8]) -> Result<Option<u64>, Error> {
    match integer(word)? {
        -1 => Ok(None),
        read => u64::try_from(read)
            .map(Some)
            .map_err(|_| Error::new("ERR value for ENTRIESREAD must be positive or -1")),
    }
}

/// The key must be there, and where `needs_group` says so, the group.
fn look<'c>(cx: &'c mut Context<'_>, needs_group: bool) -> Result<&'c StreamData, Error> {
    const NO_KEY: Error = Error::new(
        "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to \
         use the MKSTREAM option to create an empty stream automatically.",
    );
    let (db, key, group) = (cx.db(), cx.key(2), cx.arg(3));
    let found = cx.view.look_to_write(db, key);
    let stream = found.map(|found| found.collection::<Stream>()).transpose()?.ok_or(NO_KEY)?;
    if needs_group && stream.group(group).is_none() {
        return Err(no_group_of(key.bytes, group));
    }
    Ok(stream)
}

fn xgroup_create(cx: &mut Context<'_>) -> Result<Done, Error> {
    let options = Options::read(cx, true)?;
    let last = match (look(cx, false), options.make_stream) {
        (Ok(stream), _) => stream.log().meta().last,
        (Err(error), true) if error != Error::WRONG_TYPE => StreamId::MIN,
        (Err(error), _) => return Err(error),
    };
    if cx.args.len() > 8 {
        return Err(subcommand_syntax(cx));
    }
    let id = if cx.arg(4) == b"$" { last } else { exact_id(cx.arg(4), 0)? };
    let (db, key, name) = (cx.db(), cx.key(2), cx.arg(3));
    let limits = cx.config.limits();
    let created =
        cx.view.change::<Stream, _>(db, key, (&limits, options.make_stream), |stream| {
            stream.create_group(name, Readers::new(id, options.read))
        })?;
    match created {
        Some(true) => {
            cx.notify(class::STREAM, "xgroup-create", key);
            cx.ok()
        }
        _ => Err(Error::new("BUSYGROUP Consumer Group name already exists")),
    }
}

fn xgroup_setid(cx: &mut Context<'_>) -> Result<Done, Error> {
    let options = Options::read(cx, false)?;
    let last = look(cx, true)?.log().meta().last;
    if !matches!(cx.args.len(), 5 | 7) {
        return Err(subcommand_syntax(cx));
    }
    let id = if cx.arg(4) == b"$" { last } else { any_id(cx.arg(4), 0)? };
    change(cx, |group| {
        (group.last, group.read) = (id, options.read);
        ((), 1)
    })?;
    let key = cx.key(2);
    cx.notify(class::STREAM, "xgroup-setid", key);
    cx.ok()
}

fn xgroup_destroy(cx: &mut Context<'_>) -> Result<Done, Error> {
    look(cx, false)?;
    let (db, key, name) = (cx.db(), cx.key(2), cx.arg(3));
    let limits = cx.config.limits();
    let destroyed = cx
        .view
        .change::<Stream, _>(db, key, (&limits, false), |stream| stream.destroy_group(name))?;
    if destroyed == Some(true) {
        cx.notify(class::STREAM, "xgroup-destroy", key);
    }
    cx.int(i64::from(destroyed == Some(true)))
}

fn xgroup_createconsumer(cx: &mut Context<'_>) -> Result<Done, Error> {
    look(cx, true)?;
    let (name, now_ms) = (cx.arg(4), cx.now.unix_ms());
    let created = change(cx, |group| {
        let (_, created) = group.add_consumer(name, now_ms);
        (created, u64::from(created))
    })?;
    if created == Some(true) {
        let key = cx.key(2);
        cx.notify(class::STREAM, CONSUMER_CREATED, key);
    }
    cx.int(i64::from(created == Some(true)))
}

fn xgroup_delconsumer(cx: &mut Context<'_>) -> Result<Done, Error> {
    look(cx, true)?;
    let name = cx.arg(4);
    let dirty = cx.view.dirty();
    let pending = change(cx, |group| {
        let pending = group.remove_consumer(name);
        (pending.unwrap_or(0), u64::from(pending.is_some()))
    })?;
    let key = cx.key(2);
    cx.notify_since(dirty, class::STREAM, "xgroup-delconsumer", key);
    cx.int(pending.unwrap_or(0) as i64)
}

/// Changes the group that XGROUP names.
fn change<R>(
    cx: &mut Context<'_>,
    work: impl FnOnce(&mut Readers) -> (R, u64),
) -> Result<Option<R>, Error> {
    let (db, key, name) = (cx.db(), cx.key(2), cx.arg(3));
    let limits = cx.config.limits();
    let changed = cx.view.change::<Stream, _>(db, key, (&limits, false), |stream| {
        stream.group(name, |_, group| work(group))
    })?;
    Ok(changed.flatten())
}

fn xgroup_help(cx: &mut Context<'_>) -> Result<Done, Error> {
    cx.help(&[
        "CREATE <key> <group> <id|$> [MKSTREAM] [ENTRIESREAD <count>]",
        "    Create a group that has read up to the id; MKSTREAM creates the stream too.",
        "CREATECONSUMER <key> <group> <consumer>",
        "    Create a consumer in a group.",
        "DELCONSUMER <key> <group> <consumer>",
        "    Remove a consumer and what it has pending.",
        "DESTROY <key> <group>",
        "    Remove a group.",
        "SETID <key> <group> <id|$> [ENTRIESREAD <count>]",
        "    Set the id that a group has read up to.",
    ])
}

fn xack(cx: &mut Context<'_>) -> Result<Done, Error> {
    let (db, key, name) = (cx.db(), cx.key(1), cx.arg(2));
    let limits = cx.config.limits();
    // A missing key or group comes before ids that cannot be read.
    let ids = ids(cx, 3);
    cx.tell_miss(key);
    let acknowledged = cx.view.change::<Stream, _>(db, key, (&limits, false), |stream| {
        stream.group(name, |_, group| {
            let ids = ids.as_deref().unwrap_or_default();
            let count = ids.iter().filter(|id| group.acknowledge(**id)).count();
            (count, count as u64)
        })
    })?;
    match acknowledged.flatten() {
        None => cx.int(0),
        Some(count) => ids.and_then(|_| cx.int(count as i64)),
    }
}
