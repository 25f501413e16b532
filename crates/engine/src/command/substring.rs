//! Parts of strings: lengths, ranges, appending, and the longest common subsequence of two.
//!
//! Appending and SETRANGE change the value in place and let it grow by doubling, so building a
//! string piece by piece costs amortised constant time a byte. No string may exceed
//! `proto-max-bulk-len`. Transcripts: `tests/transcripts/string`.

use pannier_store::{Deadline, NewValue, StrBuffer, class};

use super::bitmap;
use super::keys::{KeySpec, access};
use super::row::{Command, Context, Done, Group, categories, flags};
use crate::error::Error;

/// The family's rows.
pub(super) const ROWS: &[Command] = &[APPEND, STRLEN, GETRANGE, SUBSTR, SETRANGE];

const APPEND: Command = Command {
    name: "append",
    since: "2.0.0",
    group: Group::String,
    arity: 3,
    flags: flags::DENYOOM | flags::FAST | flags::WRITE,
    categories: categories::STRING,
    keys: &[KeySpec::one(1, access::RW | access::INSERT)],
    syntax: "key value",
    summary: "Appends bytes to the string value of a key.",
    complexity: "O(1), amortised over repeated appends",
    handler: append,
    ..Command::DEFAULT
};

const STRLEN: Command = Command {
    name: "strlen",
    since: "2.2.0",
    group: Group::String,
    arity: 2,
    flags: flags::FAST | flags::READONLY,
    categories: categories::STRING,
    keys: &[KeySpec::one(1, access::RO)],
    syntax: "key",
    summary: "Returns the length of the string value of a key.",
    complexity: "O(1)",
    handler: strlen,
    ..Command::DEFAULT
};

const GETRANGE: Command = Command {
    name: "getrange",
    since: "2.4.0",
    group: Group::String,
    arity: 4,
    flags: flags::READONLY,
    categories: categories::STRING,
    keys: &[KeySpec::one(1, access::RO | access::ACCESS)],
    syntax: "key start end",
    summary: "Returns a part of the string value of a key.",
    complexity: "O(N) with N the length of the part",
    handler: getrange,
    ..Command::DEFAULT
};

const SUBSTR: Command = Command {
    name: "substr",
    since: "1.0.0",
    group: Group::String,
    arity: 4,
    flags: flags::READONLY,
    categories: categories::STRING,
    keys: &[KeySpec::one(1, access::RO | access::ACCESS)],
    syntax: "key start end",
    summary: "Returns a part of the string value of a key.",
    complexity: "O(N) with N the length of the part",
    handler: substr,
    ..Command::DEFAULT
};

const SETRANGE: Command = Command {
    name: "setrange",
    since: "2.2.0",
    group: Group::String,
    arity: 4,
    flags: flags::DENYOOM | flags::WRITE,
    categories: categories::STRING,
    keys: &[KeySpec::one(1, access::RW | access::UPDATE)],
    syntax: "key offset value",
    summary: "Overwrites a part of the string value of a key from an offset on.",
    complexity: "O(N) with N the length of the written part",
    handler: setrange,
    ..Command::DEFAULT
};

fn append(cx: &mut Context<'_>) -> Result<Done, Error> {
    let (db, key, tail) = (cx.db(), cx.key(1), cx.arg(2));
    let Some(mut edit) = cx.view.edit(db, key)? else {
        cx.view.set(db, key, NewValue::of(tail), Deadline::Clear);
        cx.notify(class::STRING, "append", key);
        return cx.int(tail.len() as i64);
    };
    let old = edit.string().len();
    let len = old + tail.len();
    check_len(len as u64, cx.config.proto_max_bulk_len as u64)?;
    edit.bytes(len, |bytes| bytes[old..].copy_from_slice(tail));
    drop(edit);
    cx.notify(class::STRING, "append", key);
    cx.int(len as i64)
}

/// Refuses a string longer than `proto-max-bulk-len`.
pub(super) fn check_len(len: u64, max: u64) -> Result<(), Error> {
    if len > max { Err(Error::STRING_TOO_LONG) } else { Ok(()) }
}

fn strlen(cx: &mut Context<'_>) -> Result<Done, Error> {
    let (db, key) = (cx.db(), cx.key(1));
    let len = cx.view.string(db, key)?.map_or(0, |value| value.len());
    cx.int(len as i64)
}

/// The part of a sequence of `len` items that `start` and `end` (inclusive, negative from the
/// end) select, as a range; empty when nothing is selected.
pub(super) fn select(start: i64, end: i64, len: usize) -> std::ops::Range<usize> {
    let len = len as i64;
    if start < 0 && end < 0 && start > end {
        return 0..0;
    }
    let from_end = |at: i64| if at < 0 { (len + at).max(0) } else { at };
    let (start, end) = (from_end(start), from_end(end).min(len - 1));
    if start > end || len == 0 { 0..0 } else { start as usize..end as usize + 1 }
}

fn getrange(cx: &mut Context<'_>) -> Result<Done, Error> {
    let (start, end) = (cx.integer(2)?, cx.integer(3)?);
    let (db, key) = (cx.db(), cx.key(1));
    match cx.view.string(db, key)? {
        None => cx.reply.bulk(b""),
        Some(value) => {
            let mut buffer = StrBuffer::new();
            let part = select(start, end, value.len());
            cx.reply.bulk(&value.head(part.end, &mut buffer)[part]);
        }
    }
    Ok(Done::Replied)
}

fn substr(cx: &mut Context<'_>) -> Result<Done, Error> {
    getrange(cx)
}

fn setrange(cx: &mut Context<'_>) -> Result<Done, Error> {
    let offset = usize::try_from(cx.integer(2)?).map_err(|_| Error::OFFSET_OUT_OF_RANGE)?;
    let (db, key, patch) = (cx.db(), cx.key(1), cx.arg(3));
    let end = (offset as u64).saturating_add(patch.len() as u64);
    let max = cx.config.proto_max_bulk_len as u64;
    let Some(mut edit) = cx.view.edit(db, key)? else {
        if patch.is_empty() {
            return cx.int(0);
        }
        check_len(end, max)?;
        let mut bytes = vec![0; end as usize];
        bytes[offset..].copy_from_slice(patch);
        bitmap::store(&mut cx.view, db, key, bytes);
        cx.notify(class::STRING, "setrange", key);
        return cx.int(end as i64);
    };
    let len = edit.string().len();
    if patch.is_empty() {
        drop(edit);
        return cx.int(len as i64);
    }
    check_len(end, max)?;
    let end = end as usize;
    edit.bytes(end, |bytes| bytes[offset..end].copy_from_slice(patch));
    drop(edit);
    cx.notify(class::STRING, "setrange", key);
    cx.int(len.max(end) as i64)
}
