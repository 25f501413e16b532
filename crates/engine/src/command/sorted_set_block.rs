//! Sorted sets: popping members, and waiting for them.
//!
//! Each command does what its twin without waiting does; where that finds nothing, the request
//! waits for its keys. Neighbours: `block` for waiting, `sorted_set_pop` for popping.
//! Transcripts: `tests/transcripts/sorted-set`.

use pannier_store::Kind;

use super::block::{seconds, wait};
use super::keys::{KeySpec, access};
use super::row::{Command, Context, Done, Group, categories, flags};
use super::sorted_set_pop::{End, Shape, pop, several};
use crate::error::Error;
use crate::waiting::Wait;

/// The family's rows.
pub(super) const ROWS: &[Command] = &[BZPOPMIN, BZPOPMAX, BZMPOP];

const BZPOPMIN: Command = Command {
    name: "bzpopmin",
    since: "5.0.0",
    group: Group::SortedSet,
    arity: -3,
    flags: flags::BLOCKING | flags::FAST | flags::WRITE,
    categories: categories::SORTEDSET,
    keys: &[KeySpec::range(1, -2, 1, access::RW | access::ACCESS | access::DELETE)],
    syntax: "key [key ...] timeout",
    summary: "Removes and returns the member with the lowest score of the first sorted set that \
              has one; waits for one.",
    complexity: "O(log(N)) with N the number of members",
    history: &[("6.0.0", "The timeout may be a fraction.")],
    handler: bzpopmin,
    ..Command::DEFAULT
};

const BZPOPMAX: Command = Command {
    name: "bzpopmax",
    since: "5.0.0",
    group: Group::SortedSet,
    arity: -3,
    flags: flags::BLOCKING | flags::FAST | flags::WRITE,
    categories: categories::SORTEDSET,
    keys: &[KeySpec::range(1, -2, 1, access::RW | access::ACCESS | access::DELETE)],
    syntax: "key [key ...] timeout",
    summary: "Removes and returns the member with the highest score of the first sorted set that \
              has one; waits for one.",
    complexity: "O(log(N)) with N the number of members",
    history: &[("6.0.0", "The timeout may be a fraction.")],
    handler: bzpopmax,
    ..Command::DEFAULT
};

const BZMPOP: Command = Command {
    name: "bzmpop",
    since: "7.0.0",
    group: Group::SortedSet,
    arity: -5,
    flags: flags::BLOCKING | flags::MOVABLE_KEYS | flags::WRITE,
    categories: categories::SORTEDSET,
    keys: &[KeySpec::counted(2, 1, access::RW | access::ACCESS | access::DELETE)],
    syntax: "timeout numkeys key [key ...] <MIN | MAX> [COUNT count]",
    summary: "Removes and returns members of the first sorted set that has some; waits for one.",
    complexity: "O(K) + O(M*log(N)) with K the number of keys and M the number of members popped",
    handler: bzmpop,
    ..Command::DEFAULT
};

fn bzpopmin(cx: &mut Context<'_>) -> Result<Done, Error> {
    pop_or_wait(cx, End::Min)
}

fn bzpopmax(cx: &mut Context<'_>) -> Result<Done, Error> {
    pop_or_wait(cx, End::Max)
}

fn pop_or_wait(cx: &mut Context<'_>, end: End) -> Result<Done, Error> {
    let last = cx.args.len() - 1;
    let until_ms = seconds(cx.arg(last), cx.now)?;
    for at in 1..last {
        let key = cx.key(at);
        if pop(cx, key, end, 1, Shape::KeyFlat)? {
            return Ok(Done::Replied);
        }
    }
    wait(cx, Wait::new((1..last).collect(), Kind::SortedSet, until_ms))
}

fn bzmpop(cx: &mut Context<'_>) -> Result<Done, Error> {
    let (keys, end, count) = several(cx, 2)?;
    let until_ms = seconds(cx.arg(1), cx.now)?;
    for at in keys.clone() {
        let key = cx.key(at);
        if pop(cx, key, end, count, Shape::KeyPairs)? {
            return Ok(Done::Replied);
        }
    }
    wait(cx, Wait::new(keys.collect(), Kind::SortedSet, until_ms))
}
