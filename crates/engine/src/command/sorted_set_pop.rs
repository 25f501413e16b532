//! Sorted sets: taking the lowest or highest members out, and random members.
//!
//! Popping is one function for all its commands ([`pop`]): it replies and removes in one walk over
//! the ranks at one end. Random members are random ranks, so each is equally likely.
//! Transcripts: `tests/transcripts/sorted-set`.

use std::collections::HashSet;

use pannier_resp::{Protocol, parse_i64};
use pannier_store::{Key, Piece, SortedSet, class};

use super::keys::{KeySpec, access};
use super::row::{Command, Context, Done, Group, categories, flags};
use super::sorted_set::{reply_member, reply_members};
use crate::args::{Options, integer, is};
use crate::error::Error;

/// The family's rows.
pub(super) const ROWS: &[Command] = &[ZPOPMIN, ZPOPMAX, ZMPOP, ZRANDMEMBER];

const ZPOPMIN: Command = Command {
    name: "zpopmin",
    since: "5.0.0",
    group: Group::SortedSet,
    arity: -2,
    flags: flags::FAST | flags::WRITE,
    categories: categories::SORTEDSET,
    keys: &[KeySpec::one(1, access::RW | access::ACCESS | access::DELETE)],
    syntax: "key [count]",
    summary: "Removes and returns the members with the lowest scores.",
    complexity: "O(log(N)*M) with M the number of members popped",
    handler: zpopmin,
    ..Command::DEFAULT
};

const ZPOPMAX: Command = Command {
    name: "zpopmax",
    since: "5.0.0",
    group: Group::SortedSet,
    arity: -2,
    flags: flags::FAST | flags::WRITE,
    categories: categories::SORTEDSET,
    keys: &[KeySpec::one(1, access::RW | access::ACCESS | access::DELETE)],
    syntax: "key [count]",
    summary: "Removes and returns the members with the highest scores.",
    complexity: "O(log(N)*M) with M the number of members popped",
    handler: zpopmax,
    ..Command::DEFAULT
};

const ZMPOP: Command = Command {
    name: "zmpop",
    since: "7.0.0",
    group: Group::SortedSet,
    arity: -4,
    flags: flags::WRITE | flags::MOVABLE_KEYS,
    categories: categories::SORTEDSET,
    keys: &[KeySpec::counted(1, 1, access::RW | access::ACCESS | access::DELETE)],
    syntax: "numkeys key [key ...] <MIN | MAX> [COUNT count]",
    summary: "Removes and returns members of the first sorted set that has some.",
    complexity: "O(K) + O(M*log(N)) with K the number of keys and M the number of members popped",
    handler: zmpop,
    ..Command::DEFAULT
};

const ZRANDMEMBER: Command = Command {
    name: "zrandmember",
    since: "6.2.0",
    group: Group::SortedSet,
    arity: -2,
    flags: flags::READONLY,
    categories: categories::SORTEDSET,
    keys: &[KeySpec::one(1, access::RO | access::ACCESS)],
    syntax: "key [count [WITHSCORES]]",
    summary: "Returns random members of a sorted set.",
    complexity: "O(N*log(M)) with N the number of members returned and M that of all",
    tips: &["nondeterministic_output"],
    handler: zrandmember,
    ..Command::DEFAULT
};

/// Which members are popped.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Those with the lowest scores, the lowest first.
    Min,
    /// Those with the highest scores, the highest first.
    Max,
}

impl End {
    /// The end that a word names.
    pub(super) fn of(word: &[u8]) -> Result<Self, Error> {
        match word {
            word if is(word, "MIN") => Ok(Self::Min),
            word if is(word, "MAX") => Ok(Self::Max),
            _ => Err(Error::SYNTAX),
        }
    }
}

/// The shape of the reply to a pop.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Members and scores in one row.
    Flat,
    /// An array of pairs.
    Pairs,
    /// The key, a member and its score in one row.
    KeyFlat,
    /// The key and an array of pairs.
    KeyPairs,
}

fn zpopmin(cx: &mut Context<'_>) -> Result<Done, Error> {
    pop_one_key(cx, End::Min)
}

fn zpopmax(cx: &mut Context<'_>) -> Result<Done, Error> {
    pop_one_key(cx, End::Max)
}

fn pop_one_key(cx: &mut Context<'_>, end: End) -> Result<Done, Error> {
    if cx.args.len() > 3 {
        return Err(Error::SYNTAX);
    }
    let (mut count, mut shape) = (1, Shape::Flat);
    if cx.args.len() == 3 {
        let given = parse_i64(cx.arg(2)).and_then(|count| usize::try_from(count).ok());
        count = given.ok_or(Error::NOT_POSITIVE)?;
        if cx.reply.protocol() == Protocol::Resp3 {
            shape = Shape::Pairs;
        }
    }
    let key = cx.key(1);
    if !pop(cx, key, end, count, shape)? {
        cx.reply.array(0);
    }
    Ok(Done::Replied)
}

fn zmpop(cx: &mut Context<'_>) -> Result<Done, Error> {
    let (keys, end, count) = several(cx, 1)?;
    for at in keys {
        let key = cx.key(at);
        if pop(cx, key, end, count, Shape::KeyPairs)? {
            return Ok(Done::Replied);
        }
    }
    cx.reply.null_array();
    Ok(Done::Replied)
}

/// Reads `numkeys key [key ...] MIN|MAX [COUNT count]` from an argument on: the positions of the
/// keys, the end, the count.
pub(super) fn several(
    cx: &Context<'_>,
    at: usize,
) -> Result<(std::ops::Range<usize>, End, usize), Error> {
    let positive = |text: &[u8], error: &'static str| {
        let number = parse_i64(text).and_then(|number| usize::try_from(number).ok());
        number.filter(|number| *number > 0).ok_or(Error::new(error))
    };
    let keys = positive(cx.arg(at), "ERR numkeys should be greater than 0")?;
    if keys >= cx.args.len() - (at + 1) {
        return Err(Error::SYNTAX);
    }
    let behind = at + 1 + keys;
    let end = End::of(cx.arg(behind))?;
    let mut count = None;
    let mut options = Options::new(cx.args, behind + 1);
    while let Some(word) = options.next() {
        if count.is_some() || !is(word, "COUNT") {
            return Err(Error::SYNTAX);
        }
        count = Some(positive(options.value()?, "ERR count should be greater than 0")?);
    }
    Ok((at + 1..behind, end, count.unwrap_or(1)))
}

/// Takes up to `count` members out at one end of a key's set and replies them; false, and no
/// reply, when there is no key. A count of 0 is an empty array.
pub(super) fn pop(
    cx: &mut Context<'_>,
    key: Key<'_>,
    end: End,
    count: usize,
    shape: Shape,
) -> Result<bool, Error> {
    let (db, limits) = (cx.db(), cx.config.limits());
    let reply = &mut *cx.reply;
    let dirty = cx.view.dirty();
    let popped = cx.view.change::<SortedSet, _>(db, key, (&limits, false), |set| {
        let len = set.as_ref().len();
        let count = count.min(len);
        if count == 0 {
            return reply.array(0);
        }
        match shape {
            Shape::Flat => reply.array(count * 2),
            Shape::Pairs => reply.array(count),
            Shape::KeyPairs => reply.array(2),
            Shape::KeyFlat => reply.array(3),
        }
        if matches!(shape, Shape::KeyFlat | Shape::KeyPairs) {
            reply.bulk(key.bytes);
        }
        if shape == Shape::KeyPairs {
            reply.array(count);
        }
        let mut write = |member: Piece<'_>, score| {
            if matches!(shape, Shape::Pairs | Shape::KeyPairs) {
                reply.array(2);
            }
            reply_member(reply, member);
            reply.double(score);
        };
        if end == End::Min {
            set.remove_range(0..count, write);
        } else {
            let highest = len - count..len;
            let members = set.as_ref().range(highest.clone()).rev();
            members.for_each(|(member, score)| write(member, score));
            set.remove_range(highest, |_, _| {});
        }
    })?;
    let event = if end == End::Min { "zpopmin" } else { "zpopmax" };
    cx.notify_since(dirty, class::SORTED_SET, event, key);
    Ok(popped.is_some())
}

fn zrandmember(cx: &mut Context<'_>) -> Result<Done, Error> {
    let (db, key, argc) = (cx.db(), cx.key(1), cx.args.len());
    if argc == 2 {
        let mut rng = cx.view.rng(key);
        let set = cx.view.read_as::<SortedSet>(db, key)?;
        match set.and_then(|set| set.get(rng.usize(..set.len().max(1)))) {
            None => cx.reply.null(),
            Some((member, _)) => reply_member(cx.reply, member),
        }
        return Ok(Done::Replied);
    }
    let count = integer(cx.arg(2))?;
    if count == i64::MIN {
        return Err(Error::new(
            "ERR value is out of range, value must between -9223372036854775807 and \
             9223372036854775807",
        ));
    }
    let scores = argc == 4;
    if argc > 4 || scores && !cx.is(3, "WITHSCORES") {
        return Err(Error::SYNTAX);
    }
    if scores && count.unsigned_abs() > i64::MAX as u64 / 2 {
        return Err(Error::OUT_OF_RANGE);
    }
    let mut rng = cx.view.rng(key);
    let reply = &mut *cx.reply;
    let Some(set) = cx.view.read_as::<SortedSet>(db, key)? else {
        reply.array(0);
        return Ok(Done::Replied);
    };
    let len = set.len();
    let drawn = count.unsigned_abs() as usize;
    if count < 0 {
        let members = (0..drawn).filter_map(|_| set.get(rng.usize(..len)));
        reply_members(reply, drawn, members, scores);
    } else if drawn >= len {
        reply_members(reply, len, set.range(0..len), scores);
    } else {
        let ranks = distinct(drawn, len, &mut rng);
        let members = ranks.into_iter().filter_map(|rank| set.get(rank));
        reply_members(reply, drawn, members, scores);
    }
    Ok(Done::Replied)
}

/// So many different numbers below `len`, every choice equally likely: Floyd's algorithm, which
/// draws once for each.
fn distinct(count: usize, len: usize, rng: &mut fastrand::Rng) -> Vec<usize> {
    let mut drawn = Vec::with_capacity(count);
    let mut seen = HashSet::with_capacity_and_hasher(count, foldhash::fast::RandomState::default());
    for last in len - count..len {
        let number = rng.usize(..=last);
        let number = if seen.contains(&number) { last } else { number };
        seen.insert(number);
        drawn.push(number);
    }
    drawn
}
