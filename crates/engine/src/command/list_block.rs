//! Lists: popping and moving elements, and waiting for them.
//!
//! Each command does what its twin without waiting does; where that finds nothing, the request
//! waits for its keys. The first key in the order of the request wins, whichever became ready.
//! Neighbours: `block` for waiting. Transcripts: `tests/transcripts/list`.

use pannier_store::{End, Kind, List, class};

use super::block::{seconds, wait};
use super::keys::{KeySpec, access};
use super::list::{limits, pop, popped};
use super::list_move::{Several, end_of, move_element, pop_first};
use super::row::{Command, Context, Done, Group, categories, flags};
use crate::error::Error;
use crate::waiting::Wait;

/// The family's rows.
pub(super) const ROWS: &[Command] = &[BLPOP, BRPOP, BLMOVE, BRPOPLPUSH, BLMPOP];

const BLPOP: Command = Command {
    name: "blpop",
    since: "2.0.0",
    group: Group::List,
    arity: -3,
    flags: flags::BLOCKING | flags::WRITE,
    categories: categories::LIST,
    keys: &[KeySpec::range(1, -2, 1, access::RW | access::ACCESS | access::DELETE)],
    syntax: "key [key ...] timeout",
    summary: "Removes and returns the first element of the first list that has one; waits for one.",
    complexity: "O(N) with N the number of keys",
    history: &[("6.0.0", "The timeout may be a fraction.")],
    handler: blpop,
    ..Command::DEFAULT
};

const BRPOP: Command = Command {
    name: "brpop",
    since: "2.0.0",
    group: Group::List,
    arity: -3,
    flags: flags::BLOCKING | flags::WRITE,
    categories: categories::LIST,
    keys: &[KeySpec::range(1, -2, 1, access::RW | access::ACCESS | access::DELETE)],
    syntax: "key [key ...] timeout",
    summary: "Removes and returns the last element of the first list that has one; waits for one.",
    complexity: "O(N) with N the number of keys",
    history: &[("6.0.0", "The timeout may be a fraction.")],
    handler: brpop,
    ..Command::DEFAULT
};

const BLMOVE: Command = Command {
    name: "blmove",
    since: "6.2.0",
    group: Group::List,
    arity: 6,
    flags: flags::BLOCKING | flags::DENYOOM | flags::WRITE,
    categories: categories::LIST,
    keys: &[
        KeySpec::one(1, access::RW | access::ACCESS | access::DELETE),
        KeySpec::one(2, access::RW | access::INSERT),
    ],
    syntax: "source destination <LEFT | RIGHT> <LEFT | RIGHT> timeout",
    summary: "Moves an element from one end of a list to an end of another; waits for one.",
    complexity: "O(1)",
    handler: blmove,
    ..Command::DEFAULT
};

const BRPOPLPUSH: Command = Command {
    name: "brpoplpush",
    since: "2.2.0",
    group: Group::List,
    arity: 4,
    flags: flags::BLOCKING | flags::DENYOOM | flags::WRITE,
    categories: categories::LIST,
    keys: &[
        KeySpec::one(1, access::RW | access::ACCESS | access::DELETE),
        KeySpec::one(2, access::RW | access::INSERT),
    ],
    syntax: "source destination timeout",
    summary: "Moves the last element of a list before the first of another; waits for one.",
    complexity: "O(1)",
    history: &[("6.0.0", "The timeout may be a fraction.")],
    handler: brpoplpush,
    ..Command::DEFAULT
};

const BLMPOP: Command = Command {
    name: "blmpop",
    since: "7.0.0",
    group: Group::List,
    arity: -5,
    flags: flags::BLOCKING | flags::MOVABLE_KEYS | flags::WRITE,
    categories: categories::LIST,
    keys: &[KeySpec::counted(2, 1, access::RW | access::ACCESS | access::DELETE)],
    syntax: "timeout numkeys key [key ...] <LEFT | RIGHT> [COUNT count]",
    summary: "Removes elements of the first list that has some, and returns them; waits for one.",
    complexity: "O(N+M) with N the number of keys and M the number of elements returned",
    handler: blmpop,
    ..Command::DEFAULT
};

fn blpop(cx: &mut Context<'_>) -> Result<Done, Error> {
    pop_or_wait(cx, End::Left)
}

fn brpop(cx: &mut Context<'_>) -> Result<Done, Error> {
    pop_or_wait(cx, End::Right)
}

fn pop_or_wait(cx: &mut Context<'_>, end: End) -> Result<Done, Error> {
    let last = cx.args.len() - 1;
    let until_ms = seconds(cx.arg(last), cx.now)?;
    let (db, limits) = (cx.db(), limits(cx));
    for at in 1..last {
        let key = cx.key(at);
        let reply = &mut *cx.reply;
        let found = cx.view.change::<List, _>(db, key, (&limits, false), |list| {
            reply.array(2);
            reply.bulk(key.bytes);
            pop(list, end, None, reply);
        })?;
        if found.is_some() {
            cx.notify_change(class::LIST, popped(end), key);
            return Ok(Done::Replied);
        }
    }
    wait(cx, Wait::new((1..last).collect(), Kind::List, until_ms))
}

fn blmove(cx: &mut Context<'_>) -> Result<Done, Error> {
    let (from, to) = (end_of(cx.arg(3))?, end_of(cx.arg(4))?);
    move_or_wait(cx, (from, to), 5)
}

fn brpoplpush(cx: &mut Context<'_>) -> Result<Done, Error> {
    move_or_wait(cx, (End::Right, End::Left), 3)
}

fn move_or_wait(cx: &mut Context<'_>, ends: (End, End), timeout: usize) -> Result<Done, Error> {
    let until_ms = seconds(cx.arg(timeout), cx.now)?;
    if move_element(cx, ends)? {
        return Ok(Done::Replied);
    }
    if cx.session.in_exec {
        // Unlike the others, and unlike when its time is over.
        cx.reply.null();
        return Ok(Done::Replied);
    }
    wait(cx, Wait::new(vec![1], Kind::List, until_ms))
}

fn blmpop(cx: &mut Context<'_>) -> Result<Done, Error> {
    let several = Several::read(cx, 2)?;
    let until_ms = seconds(cx.arg(1), cx.now)?;
    if pop_first(cx, &several)? {
        return Ok(Done::Replied);
    }
    wait(cx, Wait::new(several.keys.collect(), Kind::List, until_ms))
}
