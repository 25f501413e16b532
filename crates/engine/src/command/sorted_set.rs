//! Sorted sets: their members and scores.
//!
//! ZADD reads all its scores before it touches anything, and then walks over the pairs once; each
//! is one search. What goes by rank, score or bytes is in `sorted_set_range` and
//! `sorted_set_rank`, popping and random members in `sorted_set_pop`, and what works on several
//! sets in `sorted_set_algebra`. Transcripts: `tests/transcripts/sorted-set`.

use pannier_resp::{Protocol, Reply, format_f64, parse_f64};
use pannier_store::{Piece, SortedSet, SortedSetRef, class};
use smallvec::SmallVec;

use super::keys::{KeySpec, access};
use super::row::{Command, Context, Done, Group, categories, flags};
use super::scan::{ScanOptions, cursor};
use crate::args::{Options, is};
use crate::error::Error;

/// The family's rows.
pub(super) const ROWS: &[Command] = &[ZADD, ZINCRBY, ZREM, ZCARD, ZSCORE, ZMSCORE, ZSCAN];

const ZADD: Command = Command {
    name: "zadd",
    since: "1.2.0",
    group: Group::SortedSet,
    arity: -4,
    flags: flags::DENYOOM | flags::FAST | flags::WRITE,
    categories: categories::SORTEDSET,
    keys: &[KeySpec::one(1, access::RW | access::UPDATE)],
    element: 3,
    syntax: "key [NX | XX] [GT | LT] [CH] [INCR] score member [score member ...]",
    summary: "Adds members to a sorted set, or changes their scores.",
    complexity: "O(log(N)) for each member",
    history: &[
        ("2.4.0", "Takes several members."),
        ("3.0.2", "Added XX, NX, CH and INCR."),
        ("6.2.0", "Added GT and LT."),
    ],
    handler: zadd,
    ..Command::DEFAULT
};

const ZINCRBY: Command = Command {
    name: "zincrby",
    since: "1.2.0",
    group: Group::SortedSet,
    arity: 4,
    flags: flags::DENYOOM | flags::FAST | flags::WRITE,
    categories: categories::SORTEDSET,
    keys: &[KeySpec::one(1, access::RW | access::ACCESS | access::UPDATE)],
    element: 3,
    syntax: "key increment member",
    summary: "Adds a number to the score of a member.",
    complexity: "O(log(N))",
    handler: zincrby,
    ..Command::DEFAULT
};

const ZREM: Command = Command {
    name: "zrem",
    since: "1.2.0",
    group: Group::SortedSet,
    arity: -3,
    flags: flags::FAST | flags::WRITE,
    categories: categories::SORTEDSET,
    keys: &[KeySpec::one(1, access::RW | access::DELETE)],
    element: 2,
    syntax: "key member [member ...]",
    summary: "Removes members of a sorted set.",
    complexity: "O(M*log(N)) with M the number of members to remove",
    history: &[("2.4.0", "Takes several members.")],
    handler: zrem,
    ..Command::DEFAULT
};

const ZCARD: Command = Command {
    name: "zcard",
    since: "1.2.0",
    group: Group::SortedSet,
    arity: 2,
    flags: flags::FAST | flags::READONLY,
    categories: categories::SORTEDSET,
    keys: &[KeySpec::one(1, access::RO)],
    syntax: "key",
    summary: "Counts the members of a sorted set.",
    complexity: "O(1)",
    handler: zcard,
    ..Command::DEFAULT
};

const ZSCORE: Command = Command {
    name: "zscore",
    since: "1.2.0",
    group: Group::SortedSet,
    arity: 3,
    flags: flags::FAST | flags::READONLY,
    categories: categories::SORTEDSET,
    keys: &[KeySpec::one(1, access::RO | access::ACCESS)],
    element: 2,
    syntax: "key member",
    summary: "Returns the score of a member.",
    complexity: "O(1)",
    handler: zscore,
    ..Command::DEFAULT
};

const ZMSCORE: Command = Command {
    name: "zmscore",
    since: "6.2.0",
    group: Group::SortedSet,
    arity: -3,
    flags: flags::FAST | flags::READONLY,
    categories: categories::SORTEDSET,
    keys: &[KeySpec::one(1, access::RO | access::ACCESS)],
    element: 2,
    syntax: "key member [member ...]",
    summary: "Returns the scores of members.",
    complexity: "O(N) with N the number of members asked for",
    handler: zmscore,
    ..Command::DEFAULT
};

const ZSCAN: Command = Command {
    name: "zscan",
    since: "2.8.0",
    group: Group::SortedSet,
    arity: -3,
    flags: flags::READONLY,
    categories: categories::SORTEDSET,
    keys: &[KeySpec::one(1, access::RO | access::ACCESS)],
    syntax: "key cursor [MATCH pattern] [COUNT count] [NOSCORES]",
    summary: "Walks over the members and scores of a sorted set a few at a time.",
    complexity: "O(1) a call; O(N) for a whole walk, with N the number of members",
    tips: &["nondeterministic_output"],
    history: &[("8.0.0", "Added NOSCORES.")],
    handler: zscan,
    ..Command::DEFAULT
};

/// How ZADD adds.
#[derive(Clone, Copy, Default)]
struct How {
    /// Only members that are there, or only others.
    xx: bool,
    nx: bool,
    /// Only to a higher score, or a lower one.
    gt: bool,
    lt: bool,
    /// Replies how many changed, not only how many are new.
    ch: bool,
    /// Adds to the score, and replies it.
    incr: bool,
}

impl How {
    /// Reads the words before the first score; returns where that is.
    fn parse(cx: &Context<'_>) -> (Self, usize) {
        let (mut how, mut at) = (Self::default(), 2);
        while at < cx.args.len() {
            match cx.arg(at) {
                word if is(word, "XX") => how.xx = true,
                word if is(word, "NX") => how.nx = true,
                word if is(word, "GT") => how.gt = true,
                word if is(word, "LT") => how.lt = true,
                word if is(word, "CH") => how.ch = true,
                word if is(word, "INCR") => how.incr = true,
                _ => break,
            }
            at += 1;
        }
        (how, at)
    }

    /// The score that a member gets, if any.
    fn decide(self, old: Option<f64>, score: f64) -> Option<f64> {
        let Some(old) = old else { return Some(score).filter(|_| !self.xx) };
        let new = if self.incr { old + score } else { score };
        let refused = self.nx || self.gt && new <= old || self.lt && new >= old;
        Some(new).filter(|_| !refused)
    }
}

fn zadd(cx: &mut Context<'_>) -> Result<Done, Error> {
    let (how, first) = How::parse(cx);
    let words = cx.args.len() - first;
    if words == 0 || !words.is_multiple_of(2) {
        return Err(Error::SYNTAX);
    }
    if how.nx && how.xx {
        return Err(Error::new("ERR XX and NX options at the same time are not compatible"));
    }
    if how.nx && (how.gt || how.lt) || how.gt && how.lt {
        return Err(Error::new(
            "ERR GT, LT, and/or NX options at the same time are not compatible",
        ));
    }
    if how.incr && words > 2 {
        return Err(Error::new("ERR INCR option supports a single increment-element pair"));
    }
    add(cx, how, first)
}

fn zincrby(cx: &mut Context<'_>) -> Result<Done, Error> {
    add(cx, How { incr: true, ..How::default() }, 2)
}

/// Adds the pairs of score and member from `first` on.
fn add(cx: &mut Context<'_>, how: How, first: usize) -> Result<Done, Error> {
    let args = cx.args;
    let mut scores = SmallVec::<[f64; 4]>::new();
    let mut longest = 0;
    for at in (first..args.len()).step_by(2) {
        scores.push(parse_f64(args.get(at)).ok_or(Error::NOT_FLOAT)?);
        longest = longest.max(args.get(at + 1).len());
    }
    let (db, key, limits) = (cx.db(), cx.key(1), cx.config.limits());
    let (mut added, mut changed, mut last, mut nan) = (0, 0, None, false);
    let dirty = cx.view.dirty();
    cx.view.change::<SortedSet, _>(db, key, (&limits, !how.xx), |set| {
        set.expect(scores.len(), longest);
        for (pair, score) in scores.iter().enumerate() {
            set.update(args.get(first + 2 * pair + 1), |old| {
                let new = how.decide(old, *score);
                nan |= new.is_some_and(f64::is_nan);
                let new = new.filter(|new| !new.is_nan());
                added += i64::from(old.is_none() && new.is_some());
                changed += i64::from(old.is_some() && new.is_some() && old != new);
                last = new;
                new
            });
        }
    })?;
    cx.notify_since(dirty, class::SORTED_SET, if how.incr { "zincr" } else { "zadd" }, key);
    if nan {
        return Err(Error::new("ERR resulting score is not a number (NaN)"));
    }
    match (how.incr, last) {
        (true, Some(score)) => cx.reply.double(score),
        (true, None) => cx.reply.null(),
        (false, _) => cx.reply.integer(added + if how.ch { changed } else { 0 }),
    }
    Ok(Done::Replied)
}

fn zrem(cx: &mut Context<'_>) -> Result<Done, Error> {
    let (db, key, limits, args) = (cx.db(), cx.key(1), cx.config.limits(), cx.args);
    let dirty = cx.view.dirty();
    let removed = cx.view.change::<SortedSet, _>(db, key, (&limits, false), |set| {
        (2..args.len()).filter(|at| set.remove(args.get(*at)).is_some()).count()
    })?;
    cx.notify_since(dirty, class::SORTED_SET, "zrem", key);
    cx.int(removed.unwrap_or(0) as i64)
}

fn zcard(cx: &mut Context<'_>) -> Result<Done, Error> {
    let (db, key) = (cx.db(), cx.key(1));
    let len = cx.view.read_as::<SortedSet>(db, key)?.map_or(0, SortedSetRef::len);
    cx.int(len as i64)
}

fn zscore(cx: &mut Context<'_>) -> Result<Done, Error> {
    let (db, key, member) = (cx.db(), cx.key(1), cx.arg(2));
    let set = cx.view.read_as::<SortedSet>(db, key)?;
    reply_score(cx.reply, set.and_then(|set| set.score(member)));
    Ok(Done::Replied)
}

fn zmscore(cx: &mut Context<'_>) -> Result<Done, Error> {
    let (db, key, args) = (cx.db(), cx.key(1), cx.args);
    let set = cx.view.read_as::<SortedSet>(db, key)?;
    cx.reply.array(args.len() - 2);
    for at in 2..args.len() {
        reply_score(cx.reply, set.and_then(|set| set.score(args.get(at))));
    }
    Ok(Done::Replied)
}

fn reply_score(reply: &mut Reply, score: Option<f64>) {
    match score {
        Some(score) => reply.double(score),
        None => reply.null(),
    }
}

fn zscan(cx: &mut Context<'_>) -> Result<Done, Error> {
    let (db, key) = (cx.db(), cx.key(1));
    let cursor = cursor(cx.arg(2))?;
    let reply = &mut *cx.reply;
    let Some(set) = cx.view.read_as::<SortedSet>(db, key)? else {
        reply.array(2);
        reply.bulk(b"0");
        reply.array(0);
        return Ok(Done::Replied);
    };
    let options = ScanOptions::parse(Options::new(cx.args, 3), "NOSCORES")?;
    let (mut found, mut ends) = (Vec::new(), Vec::new());
    let next = set.scan(cursor, options.count, |member, score| {
        let mut digits = itoa::Buffer::new();
        let member = member.as_bytes(&mut digits);
        if options.matches(member) {
            found.extend_from_slice(member);
            ends.push((found.len(), score));
        }
    });
    reply.array(2);
    reply.bulk_integer(next.0 as i64);
    reply.array(ends.len() * if options.names_only { 1 } else { 2 });
    let mut start = 0;
    for (end, score) in ends {
        reply.bulk(&found[start..end]);
        start = end;
        if options.names_only {
            continue;
        }
        // Redis prints a score of the walk as it is packed, or in full.
        if set.is_packed() {
            reply.bulk(format_f64(score, &mut [0; 32]).as_bytes());
        } else {
            reply.bulk(seventeen_digits(score).as_bytes());
        }
    }
    Ok(Done::Replied)
}

/// A score in C's `%.17g`.
fn seventeen_digits(score: f64) -> String {
    if !score.is_finite() || score == 0.0 {
        return format!("{score}");
    }
    let text = format!("{score:.16e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let plain = match exponent {
        -4..17 => format!("{score:.*}", (16 - exponent) as usize),
        _ => digits.to_owned(),
    };
    let plain = match plain.contains('.') {
        true => plain.trim_end_matches('0').trim_end_matches('.'),
        false => &plain,
    };
    match exponent {
        -4..17 => plain.to_owned(),
        _ if exponent < 0 => format!("{plain}e-{:02}", -exponent),
        _ => format!("{plain}e+{exponent:02}"),
    }
}

/// Writes members with their scores, if asked for: in one row, or under RESP3 as pairs.
pub(super) fn reply_members<'v>(
    reply: &mut Reply,
    len: usize,
    members: impl Iterator<Item = (Piece<'v>, f64)>,
    scores: bool,
) {
    let pairs = scores && reply.protocol() == Protocol::Resp3;
    reply.array(len * if scores && !pairs { 2 } else { 1 });
    for (member, score) in members {
        if pairs {
            reply.array(2);
        }
        reply_member(reply, member);
        if scores {
            reply.double(score);
        }
    }
}

/// Writes a member.
#[inline]
pub(super) fn reply_member(reply: &mut Reply, member: Piece<'_>) {
    match member {
        Piece::Int(number) => reply.bulk_integer(number),
        Piece::Bytes(bytes) => reply.bulk(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::seventeen_digits;

    #[test]
    fn seventeen_digits_are_those_of_printf() {
        let texts = [
            (0.1, "0.10000000000000001"),
            (1.5, "1.5"),
            (-3.0, "-3"),
            (1e16, "10000000000000000"),
            (1e17, "1e+17"),
            (123456.789, "123456.789"),
            (1e-4, "0.0001"),
            (1e-5, "1.0000000000000001e-05"),
            (-1e-10, "-1e-10"),
            (5e-324, "4.9406564584124654e-324"),
            (1e300, "1.0000000000000001e+300"),
            (f64::NEG_INFINITY, "-inf"),
            (-0.0, "-0"),
        ];
        for (score, text) in texts {
            assert_eq!(seventeen_digits(score), text);
        }
    }
}
