//! Lists: pushing and popping at the ends, and reading.
//!
//! A list exists while it has elements: the first push makes its key, the last pop removes it.
//! Replies are written from the list's own bytes, element by element, so that LRANGE copies each
//! once and allocates nothing. What pops and replies is one function, [`pop`].
//!
//! Neighbours: `list_edit` for changes in the middle, `list_move` for several lists at once.
//! Transcripts: `tests/transcripts/list`.

use std::sync::atomic::Ordering::Relaxed;

use pannier_resp::Reply;
use pannier_store::{End, Limits, List, ListMut, ListRef, Piece, class};

use super::keys::{KeySpec, access};
use super::row::{Command, Context, Done, Group, categories, flags};
use crate::error::Error;

/// The family's rows.
pub(super) const ROWS: &[Command] =
    &[LPUSH, RPUSH, LPUSHX, RPUSHX, LPOP, RPOP, LLEN, LRANGE, LINDEX];

const LPUSH: Command = Command {
    name: "lpush",
    since: "1.0.0",
    group: Group::List,
    arity: -3,
    flags: flags::DENYOOM | flags::FAST | flags::WRITE,
    categories: categories::LIST,
    keys: &[KeySpec::one(1, access::RW | access::INSERT)],
    syntax: "key element [element ...]",
    summary: "Puts elements before the first of a list, one after the other.",
    complexity: "O(1) for each element",
    history: &[("2.4.0", "Takes several elements.")],
    handler: lpush,
    ..Command::DEFAULT
};

const RPUSH: Command = Command {
    name: "rpush",
    since: "1.0.0",
    group: Group::List,
    arity: -3,
    flags: flags::DENYOOM | flags::FAST | flags::WRITE,
    categories: categories::LIST,
    keys: &[KeySpec::one(1, access::RW | access::INSERT)],
    syntax: "key element [element ...]",
    summary: "Puts elements behind the last of a list.",
    complexity: "O(1) for each element",
    history: &[("2.4.0", "Takes several elements.")],
    handler: rpush,
    ..Command::DEFAULT
};

const LPUSHX: Command = Command {
    name: "lpushx",
    since: "2.2.0",
    group: Group::List,
    arity: -3,
    flags: flags::DENYOOM | flags::FAST | flags::WRITE,
    categories: categories::LIST,
    keys: &[KeySpec::one(1, access::RW | access::INSERT)],
    syntax: "key element [element ...]",
    summary: "Puts elements before the first of a list, if there is one.",
    complexity: "O(1) for each element",
    history: &[("4.0.0", "Takes several elements.")],
    handler: lpushx,
    ..Command::DEFAULT
};

const RPUSHX: Command = Command {
    name: "rpushx",
    since: "2.2.0",
    group: Group::List,
    arity: -3,
    flags: flags::DENYOOM | flags::FAST | flags::WRITE,
    categories: categories::LIST,
    keys: &[KeySpec::one(1, access::RW | access::INSERT)],
    syntax: "key element [element ...]",
    summary: "Puts elements behind the last of a list, if there is one.",
    complexity: "O(1) for each element",
    history: &[("4.0.0", "Takes several elements.")],
    handler: rpushx,
    ..Command::DEFAULT
};

const LPOP: Command = Command {
    name: "lpop",
    since: "1.0.0",
    group: Group::List,
    arity: -2,
    flags: flags::FAST | flags::WRITE,
    categories: categories::LIST,
    keys: &[KeySpec::one(1, access::RW | access::ACCESS | access::DELETE)],
    syntax: "key [count]",
    summary: "Removes the first elements of a list and returns them.",
    complexity: "O(N) with N the number of elements returned",
    history: &[("6.2.0", "Takes a count.")],
    handler: lpop,
    ..Command::DEFAULT
};

const RPOP: Command = Command {
    name: "rpop",
    since: "1.0.0",
    group: Group::List,
    arity: -2,
    flags: flags::FAST | flags::WRITE,
    categories: categories::LIST,
    keys: &[KeySpec::one(1, access::RW | access::ACCESS | access::DELETE)],
    syntax: "key [count]",
    summary: "Removes the last elements of a list and returns them.",
    complexity: "O(N) with N the number of elements returned",
    history: &[("6.2.0", "Takes a count.")],
    handler: rpop,
    ..Command::DEFAULT
};

const LLEN: Command = Command {
    name: "llen",
    since: "1.0.0",
    group: Group::List,
    arity: 2,
    flags: flags::FAST | flags::READONLY,
    categories: categories::LIST,
    keys: &[KeySpec::one(1, access::RO)],
    syntax: "key",
    summary: "Counts the elements of a list.",
    complexity: "O(1)",
    handler: llen,
    ..Command::DEFAULT
};

const LRANGE: Command = Command {
    name: "lrange",
    since: "1.0.0",
    group: Group::List,
    arity: 4,
    flags: flags::READONLY,
    categories: categories::LIST,
    keys: &[KeySpec::one(1, access::RO | access::ACCESS)],
    syntax: "key start stop",
    summary: "Returns the elements of a list between two positions.",
    complexity: "O(S+N) with S the distance of the first from the nearer end, by nodes, and N the \
                 number of elements",
    handler: lrange,
    ..Command::DEFAULT
};

const LINDEX: Command = Command {
    name: "lindex",
    since: "1.0.0",
    group: Group::List,
    arity: 3,
    flags: flags::READONLY,
    categories: categories::LIST,
    keys: &[KeySpec::one(1, access::RO | access::ACCESS)],
    syntax: "key index",
    summary: "Returns the element of a list at a position.",
    complexity: "O(N) with N the number of nodes up to it from the nearer end",
    handler: lindex,
    ..Command::DEFAULT
};

/// The limits in force, with what DEBUG says of long elements.
pub(super) fn limits(cx: &Context<'_>) -> Limits {
    let list_alone = cx.engine.packed_threshold.load(Relaxed);
    Limits { list_alone, ..cx.config.limits() }
}

/// Writes an element.
#[inline]
pub(super) fn reply_piece(reply: &mut Reply, piece: Piece<'_>) {
    match piece {
        Piece::Int(number) => reply.bulk_integer(number),
        Piece::Bytes(bytes) => reply.bulk(bytes),
    }
}

/// Removes elements from an end and replies them: one as it is, or as an array of at most so many.
pub(super) fn pop(list: &mut ListMut<'_>, end: End, count: Option<usize>, reply: &mut Reply) {
    let held = list.as_ref();
    let count = match count {
        None => {
            match held.at(end) {
                Some(piece) => reply_piece(reply, piece),
                None => reply.null(),
            }
            1
        }
        Some(count) => {
            let count = count.min(held.len());
            reply.array(count);
            reply_some(held, end, (0, count), reply);
            count
        }
    };
    list.drop(end, count);
}

/// Writes so many elements, from the one that is so far from an end on.
fn reply_some(list: ListRef<'_>, end: End, (skip, count): (usize, usize), reply: &mut Reply) {
    if count == 0 {
        return;
    }
    let mut left = count;
    let from = if end == End::Left { skip } else { list.len() - 1 - skip };
    list.visit(end, from, |piece| {
        reply_piece(reply, piece);
        left -= 1;
        left > 0
    });
}

/// The index that a client means: a negative one counts from the end.
pub(super) fn position(index: i64, len: usize) -> Option<usize> {
    let index = if index < 0 { index + len as i64 } else { index };
    usize::try_from(index).ok().filter(|index| *index < len)
}

/// The first index between two positions, and how many there are.
pub(super) fn range(start: i64, stop: i64, len: usize) -> (usize, usize) {
    let len = len as i64;
    let from = if start < 0 { (start + len).max(0) } else { start };
    let to = if stop < 0 { stop + len } else { stop.min(len - 1) };
    if from > to { (0, 0) } else { (from as usize, (to - from + 1) as usize) }
}

fn lpush(cx: &mut Context<'_>) -> Result<Done, Error> {
    push(cx, End::Left, true)
}

fn rpush(cx: &mut Context<'_>) -> Result<Done, Error> {
    push(cx, End::Right, true)
}

fn lpushx(cx: &mut Context<'_>) -> Result<Done, Error> {
    push(cx, End::Left, false)
}

fn rpushx(cx: &mut Context<'_>) -> Result<Done, Error> {
    push(cx, End::Right, false)
}

fn push(cx: &mut Context<'_>, end: End, create: bool) -> Result<Done, Error> {
    let (db, key, limits) = (cx.db(), cx.key(1), limits(cx));
    let strings = cx.args.iter().skip(2);
    let dirty = cx.view.dirty();
    let len = cx.view.change::<List, _>(db, key, (&limits, create), |list| {
        list.push(end, strings);
        list.as_ref().len()
    })?;
    cx.notify_since(dirty, class::LIST, pushed(end), key);
    cx.int(len.unwrap_or(0) as i64)
}

/// The event of elements added at an end.
pub(super) const fn pushed(end: End) -> &'static str {
    match end {
        End::Left => "lpush",
        End::Right => "rpush",
    }
}

/// The event of elements taken from an end.
pub(super) const fn popped(end: End) -> &'static str {
    match end {
        End::Left => "lpop",
        End::Right => "rpop",
    }
}

fn lpop(cx: &mut Context<'_>) -> Result<Done, Error> {
    pop_key(cx, End::Left)
}

fn rpop(cx: &mut Context<'_>) -> Result<Done, Error> {
    pop_key(cx, End::Right)
}

fn pop_key(cx: &mut Context<'_>, end: End) -> Result<Done, Error> {
    let count = match cx.args.len() {
        2 => None,
        3 => {
            let count = cx.integer(2).ok().and_then(|count| usize::try_from(count).ok());
            Some(count.ok_or(Error::NOT_POSITIVE)?)
        }
        _ => return Err(Error::arity(cx.command.name)),
    };
    let (db, key, limits) = (cx.db(), cx.key(1), limits(cx));
    let reply = &mut *cx.reply;
    let dirty = cx.view.dirty();
    let found = cx.view.change::<List, _>(db, key, (&limits, false), |list| {
        pop(list, end, count, reply);
    })?;
    cx.notify_since(dirty, class::LIST, popped(end), key);
    match (found, count) {
        (Some(()), _) => {}
        (None, None) => cx.reply.null(),
        (None, Some(_)) => cx.reply.null_array(),
    }
    Ok(Done::Replied)
}

fn llen(cx: &mut Context<'_>) -> Result<Done, Error> {
    let (db, key) = (cx.db(), cx.key(1));
    let len = cx.view.read_as::<List>(db, key)?.map_or(0, ListRef::len);
    cx.int(len as i64)
}

fn lrange(cx: &mut Context<'_>) -> Result<Done, Error> {
    let (start, stop) = (cx.integer(2)?, cx.integer(3)?);
    let (db, key) = (cx.db(), cx.key(1));
    let Some(list) = cx.view.read_as::<List>(db, key)? else {
        cx.reply.array(0);
        return Ok(Done::Replied);
    };
    let (from, count) = range(start, stop, list.len());
    cx.reply.array(count);
    reply_some(list, End::Left, (from, count), cx.reply);
    Ok(Done::Replied)
}

fn lindex(cx: &mut Context<'_>) -> Result<Done, Error> {
    let (db, key, index) = (cx.db(), cx.key(1), cx.integer(2));
    let Some(list) = cx.view.read_as::<List>(db, key)? else {
        cx.reply.null();
        return Ok(Done::Replied);
    };
    match position(index?, list.len()).and_then(|index| list.get(index)) {
        Some(piece) => reply_piece(cx.reply, piece),
        None => cx.reply.null(),
    }
    Ok(Done::Replied)
}
