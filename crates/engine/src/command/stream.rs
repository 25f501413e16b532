//! Streams: adding, reading ranges, deleting and trimming entries.
//!
//! The log itself is `pannier_store::Log`. A stream stays when its last entry goes: only DEL
//! removes it. The time of `XADD *` is the request's.
//! Neighbours: `stream_read` for XREAD and XREADGROUP, `stream_group` and `stream_claim` for
//! consumer groups, `stream_info`, `stream_delete`. Transcripts: `tests/transcripts/stream`.

use pannier_store::{NewId, Refused, Stream, StreamId, class};
use smallvec::SmallVec;

use super::keys::{KeySpec, access};
use super::row::{Command, Context, Done, Group, categories, flags};
use super::stream_args::{exact_id, interval_end, interval_start, options, reply_id, reply_range};
use crate::args::{integer, is};
use crate::error::Error;

/// The family's rows.
pub(super) const ROWS: &[Command] = &[XADD, XLEN, XRANGE, XREVRANGE, XDEL, XTRIM, XSETID];

const XADD: Command = Command {
    name: "xadd",
    since: "5.0.0",
    group: Group::Stream,
    arity: -5,
    flags: flags::DENYOOM | flags::FAST | flags::WRITE,
    categories: categories::STREAM,
    keys: &[KeySpec::one(1, access::RW | access::UPDATE)
        .noted("An update, not an insertion, because it may trim.")],
    syntax: "key [NOMKSTREAM] [<MAXLEN | MINID> [= | ~] threshold [LIMIT count]] <* | id> \
             field value [field value ...]",
    summary: "Appends an entry to a stream, which it creates if need be.",
    complexity: "O(1) to add an entry, O(N) to trim N of them.",
    tips: &["nondeterministic_output"],
    history: &[
        ("6.2.0", "The options NOMKSTREAM, MINID and LIMIT."),
        ("7.0.0", "Ids of the form ms-*."),
    ],
    handler: xadd,
    ..Command::DEFAULT
};

const XLEN: Command = Command {
    name: "xlen",
    since: "5.0.0",
    group: Group::Stream,
    arity: 2,
    flags: flags::FAST | flags::READONLY,
    categories: categories::STREAM,
    keys: &[KeySpec::one(1, access::RO)],
    syntax: "key",
    summary: "Counts the entries of a stream.",
    complexity: "O(1)",
    handler: xlen,
    ..Command::DEFAULT
};

const XRANGE: Command = Command {
    name: "xrange",
    since: "5.0.0",
    group: Group::Stream,
    arity: -4,
    flags: flags::READONLY,
    categories: categories::STREAM,
    keys: &[KeySpec::one(1, access::RO | access::ACCESS)],
    syntax: "key start end [COUNT count]",
    summary: "Reads the entries between two ids.",
    complexity: "O(log M + N) for N entries out of M",
    history: &[("6.2.0", "Exclusive bounds.")],
    handler: xrange,
    ..Command::DEFAULT
};

const XREVRANGE: Command = Command {
    name: "xrevrange",
    since: "5.0.0",
    group: Group::Stream,
    arity: -4,
    flags: flags::READONLY,
    categories: categories::STREAM,
    keys: &[KeySpec::one(1, access::RO | access::ACCESS)],
    syntax: "key end start [COUNT count]",
    summary: "Reads the entries between two ids, the latest first.",
    complexity: "O(log M + N) for N entries out of M",
    history: &[("6.2.0", "Exclusive bounds.")],
    handler: xrevrange,
    ..Command::DEFAULT
};

const XDEL: Command = Command {
    name: "xdel",
    since: "5.0.0",
    group: Group::Stream,
    arity: -3,
    flags: flags::FAST | flags::WRITE,
    categories: categories::STREAM,
    keys: &[KeySpec::one(1, access::RW | access::DELETE)],
    syntax: "key id [id ...]",
    summary: "Deletes entries; how many there were.",
    complexity: "O(log N) for each id",
    handler: xdel,
    ..Command::DEFAULT
};

const XTRIM: Command = Command {
    name: "xtrim",
    since: "5.0.0",
    group: Group::Stream,
    arity: -4,
    flags: flags::WRITE,
    categories: categories::STREAM,
    keys: &[KeySpec::one(1, access::RW | access::DELETE)],
    syntax: "key <MAXLEN | MINID> [= | ~] threshold [LIMIT count]",
    summary: "Deletes entries from the beginning of a stream.",
    complexity: "O(N) for N entries, with small constants: whole chunks go at once.",
    tips: &["nondeterministic_output"],
    history: &[("6.2.0", "The options MINID and LIMIT.")],
    handler: xtrim,
    ..Command::DEFAULT
};

const XSETID: Command = Command {
    name: "xsetid",
    since: "5.0.0",
    group: Group::Stream,
    arity: -3,
    flags: flags::DENYOOM | flags::FAST | flags::WRITE,
    categories: categories::STREAM,
    keys: &[KeySpec::one(1, access::RW | access::UPDATE)],
    syntax: "key last-id [ENTRIESADDED entries-added] [MAXDELETEDID max-deleted-id]",
    summary: "Sets the last id of a stream, and what it counts.",
    complexity: "O(1)",
    history: &[("7.0.0", "The options ENTRIESADDED and MAXDELETEDID.")],
    handler: xsetid,
    ..Command::DEFAULT
};

fn xadd(cx: &mut Context<'_>) -> Result<Done, Error> {
    let options = options(cx.args, true, cx.config)?;
    let fields = options.end + 1;
    let count = cx.args.len().saturating_sub(fields);
    if count < 2 || !count.is_multiple_of(2) {
        return Err(Error::arity("xadd"));
    }
    let id = match options.id {
        None => NewId::Auto(cx.now.unix_ms()),
        Some((StreamId::MIN, true)) => {
            return Err(Error::new("ERR The ID specified in XADD must be greater than 0-0"));
        }
        Some((id, true)) => NewId::Exact(id),
        Some((id, false)) => NewId::Ms(id.ms),
    };
    let pairs: SmallVec<[&[u8]; 16]> = (fields..cx.args.len()).map(|at| cx.args.get(at)).collect();
    let limits = cx.config.limits();
    let (db, key) = (cx.db(), cx.key(1));
    let mut trimmed = 0;
    let added = cx.view.change::<Stream, _>(db, key, (&limits, !options.no_create), |stream| {
        let added = stream.append(id, &pairs);
        if let (Ok(_), Some(trim)) = (added, options.trim) {
            trimmed = stream.trim(trim);
        }
        added
    })?;
    if matches!(added, Some(Ok(_))) {
        cx.notify(class::STREAM, "xadd", key);
    }
    if trimmed > 0 {
        cx.notify(class::STREAM, "xtrim", key);
    }
    match added {
        None => cx.reply.null(),
        Some(Ok(id)) => reply_id(cx.reply, id),
        Some(Err(refused)) => return Err(refusal(refused)),
    }
    Ok(Done::Replied)
}

fn refusal(refused: Refused) -> Error {
    Error::new(match refused {
        Refused::NotGreater => {
            "ERR The ID specified in XADD is equal or smaller than the target stream top item"
        }
        Refused::Exhausted => {
            "ERR The stream has exhausted the last possible ID, unable to add more items"
        }
        Refused::TooLarge => "ERR Elements are too large to be stored",
    })
}

fn xlen(cx: &mut Context<'_>) -> Result<Done, Error> {
    let (db, key) = (cx.db(), cx.key(1));
    let len = cx.view.read_as::<Stream>(db, key)?.map_or(0, |stream| stream.log().meta().len);
    cx.int(len as i64)
}

fn xrange(cx: &mut Context<'_>) -> Result<Done, Error> {
    range(cx, false)
}

fn xrevrange(cx: &mut Context<'_>) -> Result<Done, Error> {
    range(cx, true)
}

fn range(cx: &mut Context<'_>, backwards: bool) -> Result<Done, Error> {
    let (start, end) = if backwards { (3, 2) } else { (2, 3) };
    let from = interval_start(cx.arg(start))?;
    let to = interval_end(cx.arg(end))?;
    let mut count = None;
    let mut at = 4;
    while at < cx.args.len() {
        if !cx.is(at, "COUNT") || at + 1 == cx.args.len() {
            return Err(Error::SYNTAX);
        }
        count = Some(usize::try_from(cx.integer(at + 1)?).unwrap_or(0));
        at += 2;
    }
    let (db, key) = (cx.db(), cx.key(1));
    let reply = &mut *cx.reply;
    match (cx.view.read_as::<Stream>(db, key)?, count) {
        (None, _) => reply.array(0),
        (Some(_), Some(0)) => reply.null_array(),
        (Some(stream), count) => {
            reply_range(reply, stream.log(), (from, to), count.unwrap_or(0), backwards);
        }
    }
    Ok(Done::Replied)
}

fn xdel(cx: &mut Context<'_>) -> Result<Done, Error> {
    let (db, key) = (cx.db(), cx.key(1));
    let limits = cx.config.limits();
    // A missing key and a wrong type come before ids that cannot be read.
    let ids = ids(cx, 2);
    let dirty = cx.view.dirty();
    let deleted = cx.view.change::<Stream, _>(db, key, (&limits, false), |stream| {
        let ids = ids.as_deref().unwrap_or_default();
        ids.iter().filter(|id| stream.delete(**id)).count()
    })?;
    cx.notify_since(dirty, class::STREAM, "xdel", key);
    match deleted {
        None => cx.int(0),
        Some(deleted) => ids.and_then(|_| cx.int(deleted as i64)),
    }
}

/// The exact ids from an argument on.
pub(super) fn ids(cx: &Context<'_>, from: usize) -> Result<SmallVec<[StreamId; 8]>, Error> {
    (from..cx.args.len()).map(|at| exact_id(cx.args.get(at), 0)).collect()
}

fn xtrim(cx: &mut Context<'_>) -> Result<Done, Error> {
    let options = options(cx.args, false, cx.config)?;
    let (db, key) = (cx.db(), cx.key(1));
    let limits = cx.config.limits();
    let dirty = cx.view.dirty();
    let trimmed = cx.view.change::<Stream, _>(db, key, (&limits, false), |stream| {
        let trimmed = options.trim.map_or(0, |trim| stream.trim(trim));
        stream.count(trimmed);
        trimmed
    })?;
    cx.notify_since(dirty, class::STREAM, "xtrim", key);
    cx.int(trimmed.unwrap_or(0) as i64)
}

fn xsetid(cx: &mut Context<'_>) -> Result<Done, Error> {
    let last = exact_id(cx.arg(2), 0)?;
    let (mut added, mut max_deleted) = (None, None);
    let mut at = 3;
    while at < cx.args.len() {
        let (word, more) = (cx.arg(at), at + 1 < cx.args.len());
        if is(word, "ENTRIESADDED") && more {
            let negative = Error::new("ERR entries_added must be positive");
            added = Some(u64::try_from(integer(cx.arg(at + 1))?).map_err(|_| negative)?);
        } else if is(word, "MAXDELETEDID") && more {
            let id = exact_id(cx.arg(at + 1), 0)?;
            if last < id {
                return Err(Error::new(
                    "ERR The ID specified in XSETID is smaller than the provided \
                     max_deleted_entry_id",
                ));
            }
            max_deleted = Some(id);
        } else {
            return Err(Error::SYNTAX);
        }
        at += 2;
    }
    let (db, key) = (cx.db(), cx.key(1));
    let limits = cx.config.limits();
    let set = cx.view.change::<Stream, _>(db, key, (&limits, false), |stream| {
        let log = stream.data().log();
        let meta = log.meta();
        if last < meta.max_deleted {
            return Err(Error::new(
                "ERR The ID specified in XSETID is smaller than current max_deleted_entry_id",
            ));
        }
        if log.last_entry().is_some_and(|top| last < top) {
            return Err(Error::new(
                "ERR The ID specified in XSETID is smaller than the target stream top item",
            ));
        }
        if meta.len > 0 && added.is_some_and(|added| added < meta.len) {
            return Err(Error::new(
                "ERR The entries_added specified in XSETID is smaller than the target stream \
                 length",
            ));
        }
        stream.set_meta(last, added, max_deleted.filter(|id| *id != StreamId::MIN));
        Ok(())
    })?;
    set.ok_or(Error::NO_SUCH_KEY)??;
    cx.notify(class::STREAM, "xsetid", key);
    cx.ok()
}
