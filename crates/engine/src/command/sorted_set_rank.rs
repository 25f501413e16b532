//! Sorted sets: counting, ranks, and removal by rank, score or bytes.
//!
//! Every such question is a range of ranks, which the set finds in O(log n); counting one costs
//! nothing more. Neighbours: `sorted_set_range` reads the ends of ranges.
//! Transcripts: `tests/transcripts/sorted-set`.

use std::ops::Range;

use pannier_store::{SortedSet, SortedSetRef, class};

use super::keys::{KeySpec, access};
use super::row::{Command, Context, Done, Group, categories, flags};
use super::sorted_set_range::{bytes_range, ranks_between, score_range};
use crate::error::Error;

/// The family's rows.
pub(super) const ROWS: &[Command] =
    &[ZCOUNT, ZLEXCOUNT, ZRANK, ZREVRANK, ZREMRANGEBYRANK, ZREMRANGEBYSCORE, ZREMRANGEBYLEX];

const ZCOUNT: Command = Command {
    name: "zcount",
    since: "2.0.0",
    group: Group::SortedSet,
    arity: 4,
    flags: flags::FAST | flags::READONLY,
    categories: categories::SORTEDSET,
    keys: &[KeySpec::one(1, access::RO | access::ACCESS)],
    syntax: "key min max",
    summary: "Counts the members whose scores lie in a range.",
    complexity: "O(log(N))",
    handler: zcount,
    ..Command::DEFAULT
};

const ZLEXCOUNT: Command = Command {
    name: "zlexcount",
    since: "2.8.9",
    group: Group::SortedSet,
    arity: 4,
    flags: flags::FAST | flags::READONLY,
    categories: categories::SORTEDSET,
    keys: &[KeySpec::one(1, access::RO | access::ACCESS)],
    syntax: "key min max",
    summary: "Counts the members that lie in a range of bytes.",
    complexity: "O(log(N))",
    handler: zlexcount,
    ..Command::DEFAULT
};

const ZRANK: Command = Command {
    name: "zrank",
    since: "2.0.0",
    group: Group::SortedSet,
    arity: -3,
    flags: flags::FAST | flags::READONLY,
    categories: categories::SORTEDSET,
    keys: &[KeySpec::one(1, access::RO | access::ACCESS)],
    element: 2,
    syntax: "key member [WITHSCORE]",
    summary: "Returns the rank of a member, from the lowest score.",
    complexity: "O(log(N))",
    history: &[("7.2.0", "Added WITHSCORE.")],
    handler: zrank,
    ..Command::DEFAULT
};

const ZREVRANK: Command = Command {
    name: "zrevrank",
    since: "2.0.0",
    group: Group::SortedSet,
    arity: -3,
    flags: flags::FAST | flags::READONLY,
    categories: categories::SORTEDSET,
    keys: &[KeySpec::one(1, access::RO | access::ACCESS)],
    element: 2,
    syntax: "key member [WITHSCORE]",
    summary: "Returns the rank of a member, from the highest score.",
    complexity: "O(log(N))",
    history: &[("7.2.0", "Added WITHSCORE.")],
    handler: zrevrank,
    ..Command::DEFAULT
};

const ZREMRANGEBYRANK: Command = Command {
    name: "zremrangebyrank",
    since: "2.0.0",
    group: Group::SortedSet,
    arity: 4,
    flags: flags::WRITE,
    categories: categories::SORTEDSET,
    keys: &[KeySpec::one(1, access::RW | access::DELETE)],
    syntax: "key start stop",
    summary: "Removes the members of a range of ranks.",
    complexity: "O(log(N)+M) with M the number of members removed",
    handler: zremrangebyrank,
    ..Command::DEFAULT
};

const ZREMRANGEBYSCORE: Command = Command {
    name: "zremrangebyscore",
    since: "1.2.0",
    group: Group::SortedSet,
    arity: 4,
    flags: flags::WRITE,
    categories: categories::SORTEDSET,
    keys: &[KeySpec::one(1, access::RW | access::DELETE)],
    syntax: "key min max",
    summary: "Removes the members of a range of scores.",
    complexity: "O(log(N)+M) with M the number of members removed",
    handler: zremrangebyscore,
    ..Command::DEFAULT
};

const ZREMRANGEBYLEX: Command = Command {
    name: "zremrangebylex",
    since: "2.8.9",
    group: Group::SortedSet,
    arity: 4,
    flags: flags::WRITE,
    categories: categories::SORTEDSET,
    keys: &[KeySpec::one(1, access::RW | access::DELETE)],
    syntax: "key min max",
    summary: "Removes the members of a range of bytes.",
    complexity: "O(log(N)+M) with M the number of members removed",
    handler: zremrangebylex,
    ..Command::DEFAULT
};

fn zcount(cx: &mut Context<'_>) -> Result<Done, Error> {
    let range = score_range(cx.arg(2), cx.arg(3))?;
    count(cx, |set| set.by_score(range))
}

fn zlexcount(cx: &mut Context<'_>) -> Result<Done, Error> {
    let (min, max) = bytes_range(cx.arg(2), cx.arg(3))?;
    count(cx, |set| set.by_bytes(min, max))
}

fn count(
    cx: &mut Context<'_>,
    ranks: impl FnOnce(SortedSetRef<'_>) -> Range<usize>,
) -> Result<Done, Error> {
    let (db, key) = (cx.db(), cx.key(1));
    let found = cx.view.read_as::<SortedSet>(db, key)?.map_or(0, |set| ranks(set).len());
    cx.int(found as i64)
}

fn zrank(cx: &mut Context<'_>) -> Result<Done, Error> {
    rank(cx, |_, rank| rank)
}

fn zrevrank(cx: &mut Context<'_>) -> Result<Done, Error> {
    rank(cx, |len, rank| len - 1 - rank)
}

fn rank(cx: &mut Context<'_>, count: impl FnOnce(usize, usize) -> usize) -> Result<Done, Error> {
    let argc = cx.args.len();
    if argc > 4 {
        return Err(Error::arity(cx.command.name));
    }
    let with_score = argc == 4;
    if with_score && !cx.is(3, "WITHSCORE") {
        return Err(Error::SYNTAX);
    }
    let (db, key, member) = (cx.db(), cx.key(1), cx.arg(2));
    let set = cx.view.read_as::<SortedSet>(db, key)?;
    match set.and_then(|set| set.rank(member).map(|(rank, score)| (count(set.len(), rank), score)))
    {
        None if with_score => cx.reply.null_array(),
        None => cx.reply.null(),
        Some((rank, score)) => {
            if with_score {
                cx.reply.array(2);
            }
            cx.reply.integer(rank as i64);
            if with_score {
                cx.reply.double(score);
            }
        }
    }
    Ok(Done::Replied)
}

fn zremrangebyrank(cx: &mut Context<'_>) -> Result<Done, Error> {
    let (start, stop) = (cx.integer(2)?, cx.integer(3)?);
    remove(cx, |set| ranks_between(start, stop, set.len()))
}

fn zremrangebyscore(cx: &mut Context<'_>) -> Result<Done, Error> {
    let range = score_range(cx.arg(2), cx.arg(3))?;
    remove(cx, |set| set.by_score(range))
}

fn zremrangebylex(cx: &mut Context<'_>) -> Result<Done, Error> {
    let (min, max) = bytes_range(cx.arg(2), cx.arg(3))?;
    remove(cx, |set| set.by_bytes(min, max))
}

fn remove(
    cx: &mut Context<'_>,
    ranks: impl FnOnce(SortedSetRef<'_>) -> Range<usize>,
) -> Result<Done, Error> {
    let (db, key, limits) = (cx.db(), cx.key(1), cx.config.limits());
    let dirty = cx.view.dirty();
    let removed = cx.view.change::<SortedSet, _>(db, key, (&limits, false), |set| {
        let ranks = ranks(set.as_ref());
        let count = ranks.len();
        set.remove_range(ranks, |_, _| {});
        count
    })?;
    cx.notify_since(dirty, class::SORTED_SET, cx.command.name, key);
    cx.int(removed.unwrap_or(0) as i64)
}
