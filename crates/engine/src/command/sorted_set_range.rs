//! Sorted sets: ranges by rank, score or bytes, in both directions.
//!
//! ZRANGE has them all by options; the six older commands are each one case of it, and ZRANGESTORE
//! puts what ZRANGE would say under another key. All end in a range of ranks, cut by LIMIT, which
//! is then walked in one direction or the other.
//!
//! Rules: Redis's order of checks. An end of a range is read before the key is looked up.
//! Transcripts: `tests/transcripts/sorted-set`.

use std::ops::Range;

use pannier_resp::parse_f64;
use pannier_store::{BytesEnd, ScoreRange, SortedSet, SortedSetRef, class};

use super::keys::{KeySpec, access};
use super::row::{Command, Context, Done, Group, categories, flags};
use super::sorted_set::reply_members;
use crate::args::{Options, integer, is};
use crate::error::Error;

/// The family's rows.
pub(super) const ROWS: &[Command] =
    &[ZRANGE, ZREVRANGE, ZRANGEBYSCORE, ZREVRANGEBYSCORE, ZRANGEBYLEX, ZREVRANGEBYLEX, ZRANGESTORE];

const ZRANGE: Command = Command {
    name: "zrange",
    since: "1.2.0",
    group: Group::SortedSet,
    arity: -4,
    flags: flags::READONLY,
    categories: categories::SORTEDSET,
    keys: &[KeySpec::one(1, access::RO | access::ACCESS)],
    syntax: "key start stop [BYSCORE | BYLEX] [REV] [LIMIT offset count] [WITHSCORES]",
    summary: "Returns the members of a range of ranks, scores or bytes.",
    complexity: "O(log(N)+M) with M the number of members returned",
    history: &[("6.2.0", "Added REV, BYSCORE, BYLEX and LIMIT.")],
    handler: zrange,
    ..Command::DEFAULT
};

const ZREVRANGE: Command = Command {
    name: "zrevrange",
    since: "1.2.0",
    group: Group::SortedSet,
    arity: -4,
    flags: flags::READONLY,
    categories: categories::SORTEDSET,
    keys: &[KeySpec::one(1, access::RO | access::ACCESS)],
    syntax: "key start stop [WITHSCORES]",
    summary: "Returns the members of a range of ranks, from the highest score.",
    complexity: "O(log(N)+M) with M the number of members returned",
    handler: zrevrange,
    ..Command::DEFAULT
};

const ZRANGEBYSCORE: Command = Command {
    name: "zrangebyscore",
    since: "1.0.5",
    group: Group::SortedSet,
    arity: -4,
    flags: flags::READONLY,
    categories: categories::SORTEDSET,
    keys: &[KeySpec::one(1, access::RO | access::ACCESS)],
    syntax: "key min max [WITHSCORES] [LIMIT offset count]",
    summary: "Returns the members of a range of scores.",
    complexity: "O(log(N)+M) with M the number of members returned",
    history: &[("2.0.0", "Added WITHSCORES.")],
    handler: zrangebyscore,
    ..Command::DEFAULT
};

const ZREVRANGEBYSCORE: Command = Command {
    name: "zrevrangebyscore",
    since: "2.2.0",
    group: Group::SortedSet,
    arity: -4,
    flags: flags::READONLY,
    categories: categories::SORTEDSET,
    keys: &[KeySpec::one(1, access::RO | access::ACCESS)],
    syntax: "key max min [WITHSCORES] [LIMIT offset count]",
    summary: "Returns the members of a range of scores, from the highest.",
    complexity: "O(log(N)+M) with M the number of members returned",
    history: &[("2.1.6", "Ends of a range may be exclusive.")],
    handler: zrevrangebyscore,
    ..Command::DEFAULT
};

const ZRANGEBYLEX: Command = Command {
    name: "zrangebylex",
    since: "2.8.9",
    group: Group::SortedSet,
    arity: -4,
    flags: flags::READONLY,
    categories: categories::SORTEDSET,
    keys: &[KeySpec::one(1, access::RO | access::ACCESS)],
    syntax: "key min max [LIMIT offset count]",
    summary: "Returns the members of a range of bytes.",
    complexity: "O(log(N)+M) with M the number of members returned",
    handler: zrangebylex,
    ..Command::DEFAULT
};

const ZREVRANGEBYLEX: Command = Command {
    name: "zrevrangebylex",
    since: "2.8.9",
    group: Group::SortedSet,
    arity: -4,
    flags: flags::READONLY,
    categories: categories::SORTEDSET,
    keys: &[KeySpec::one(1, access::RO | access::ACCESS)],
    syntax: "key max min [LIMIT offset count]",
    summary: "Returns the members of a range of bytes, from the last.",
    complexity: "O(log(N)+M) with M the number of members returned",
    handler: zrevrangebylex,
    ..Command::DEFAULT
};

const ZRANGESTORE: Command = Command {
    name: "zrangestore",
    since: "6.2.0",
    group: Group::SortedSet,
    arity: -5,
    flags: flags::DENYOOM | flags::WRITE,
    categories: categories::SORTEDSET,
    keys: &[
        KeySpec::one(1, access::OW | access::UPDATE),
        KeySpec::one(2, access::RO | access::ACCESS),
    ],
    syntax: "dst src min max [BYSCORE | BYLEX] [REV] [LIMIT offset count]",
    summary: "Stores a range of one sorted set as another.",
    complexity: "O(log(N)+M) with M the number of members stored",
    handler: zrangestore,
    ..Command::DEFAULT
};

/// What the ends of a range are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Rank,
    Score,
    Bytes,
}

/// A range as a command states it.
struct Asked<'a> {
    ends: Ends<'a>,
    reverse: bool,
    /// LIMIT: how many to pass over, and how many to take at most, if that is not negative.
    limit: (i64, i64),
    scores: bool,
}

/// The ends, read.
enum Ends<'a> {
    Ranks(i64, i64),
    Scores(ScoreRange),
    Bytes(BytesEnd<'a>, BytesEnd<'a>),
}

impl<'a> Asked<'a> {
    /// Reads a range whose key is at `key`. What the command's name has not said is `None`.
    fn parse(
        cx: &Context<'a>,
        key: usize,
        by: Option<By>,
        reverse: Option<bool>,
    ) -> Result<Self, Error> {
        let store = key == 2;
        let (mut by, mut reverse) = (by, reverse);
        let (mut limit, mut scores) = ((0, -1), false);
        let mut options = Options::new(cx.args, key + 3);
        while let Some(word) = options.next() {
            if !store && is(word, "WITHSCORES") {
                scores = true;
            } else if is(word, "LIMIT") && options.left() >= 2 {
                limit = (integer(options.value()?)?, integer(options.value()?)?);
            } else if reverse.is_none() && is(word, "REV") {
                reverse = Some(true);
            } else if by.is_none() && is(word, "BYLEX") {
                by = Some(By::Bytes);
            } else if by.is_none() && is(word, "BYSCORE") {
                by = Some(By::Score);
            } else {
                return Err(Error::SYNTAX);
            }
        }
        let (kind, back) = (by.unwrap_or(By::Rank), reverse.unwrap_or(false));
        if limit.1 != -1 && kind == By::Rank {
            return Err(Error::new(
                "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or \
                 BYLEX",
            ));
        }
        if scores && kind == By::Bytes {
            return Err(Error::new(
                "ERR syntax error, WITHSCORES not supported in combination with BYLEX",
            ));
        }
        let (mut min, mut max) = (cx.arg(key + 1), cx.arg(key + 2));
        if back && kind != By::Rank {
            std::mem::swap(&mut min, &mut max);
        }
        let ends = match kind {
            By::Rank => Ends::Ranks(integer(min)?, integer(max)?),
            By::Score => Ends::Scores(score_range(min, max)?),
            By::Bytes => {
                let (min, max) = bytes_range(min, max)?;
                Ends::Bytes(min, max)
            }
        };
        Ok(Self { ends, reverse: back, limit, scores })
    }

    /// The ranks in a set, counted from the lowest score.
    fn ranks(&self, set: SortedSetRef<'_>) -> Range<usize> {
        let range = match self.ends {
            Ends::Ranks(start, stop) => {
                let Range { start, end } = ranks_between(start, stop, set.len());
                return match self.reverse {
                    true => set.len() - end..set.len() - start,
                    false => start..end,
                };
            }
            Ends::Scores(range) => set.by_score(range),
            Ends::Bytes(min, max) => set.by_bytes(min, max),
        };
        let passed = match usize::try_from(self.limit.0) {
            Ok(passed) => passed.min(range.len()),
            // As in Redis a negative offset passes over everything in a packed set, and counts
            // from the end in a large one.
            Err(_) if set.is_packed() => range.len(),
            Err(_) => {
                let back = usize::try_from(self.limit.0.unsigned_abs()).unwrap_or(usize::MAX);
                range.len().checked_sub(back).unwrap_or(range.len())
            }
        };
        let left = range.len() - passed;
        let taken = usize::try_from(self.limit.1).unwrap_or(left).min(left);
        match self.reverse {
            true => range.end - passed - taken..range.end - passed,
            false => range.start + passed..range.start + passed + taken,
        }
    }
}

fn zrange(cx: &mut Context<'_>) -> Result<Done, Error> {
    range(cx, None, None)
}

fn zrevrange(cx: &mut Context<'_>) -> Result<Done, Error> {
    range(cx, Some(By::Rank), Some(true))
}

fn zrangebyscore(cx: &mut Context<'_>) -> Result<Done, Error> {
    range(cx, Some(By::Score), Some(false))
}

fn zrevrangebyscore(cx: &mut Context<'_>) -> Result<Done, Error> {
    range(cx, Some(By::Score), Some(true))
}

fn zrangebylex(cx: &mut Context<'_>) -> Result<Done, Error> {
    range(cx, Some(By::Bytes), Some(false))
}

fn zrevrangebylex(cx: &mut Context<'_>) -> Result<Done, Error> {
    range(cx, Some(By::Bytes), Some(true))
}

fn range(cx: &mut Context<'_>, by: Option<By>, reverse: Option<bool>) -> Result<Done, Error> {
    let asked = Asked::parse(cx, 1, by, reverse)?;
    let (db, key) = (cx.db(), cx.key(1));
    let reply = &mut *cx.reply;
    let Some(set) = cx.view.read_as::<SortedSet>(db, key)? else {
        reply.array(0);
        return Ok(Done::Replied);
    };
    let ranks = asked.ranks(set);
    let (len, members) = (ranks.len(), set.range(ranks));
    if asked.reverse {
        reply_members(reply, len, members.rev(), asked.scores);
    } else {
        reply_members(reply, len, members, asked.scores);
    }
    Ok(Done::Replied)
}

fn zrangestore(cx: &mut Context<'_>) -> Result<Done, Error> {
    let asked = Asked::parse(cx, 2, None, None)?;
    let (db, destination, source) = (cx.db(), cx.key(1), cx.key(2));
    let limits = cx.config.limits();
    cx.view.read_as::<SortedSet>(db, source)?;
    let mut len = 0;
    let set = cx.view.again(db, source).and_then(|found| found.collection::<SortedSet>().ok());
    let made = set.and_then(|set| {
        let ranks = asked.ranks(set);
        len = ranks.len();
        cx.view.make::<SortedSet>(destination, &limits, |result| {
            let mut digits = itoa::Buffer::new();
            if let Ends::Ranks(..) = asked.ends {
                result.expect(len, 0);
            }
            for (member, score) in set.range(ranks) {
                result.put(member.as_bytes(&mut digits), |_| Some(score));
            }
        })
    });
    match made {
        Some(made) => {
            cx.view.put(db, destination, made);
            cx.notify(class::SORTED_SET, "zrangestore", destination);
        }
        None if cx.view.remove(db, destination) => {
            cx.notify(class::GENERIC, "del", destination);
        }
        None => {}
    }
    cx.int(len as i64)
}

/// The ranks from one to another, both counted from the end if negative, among `len`.
pub(super) fn ranks_between(start: i64, stop: i64, len: usize) -> Range<usize> {
    let count = |rank: i64| if rank < 0 { rank.saturating_add(len as i64) } else { rank };
    let start = count(start).max(0) as usize;
    let end = (count(stop).saturating_add(1).max(0) as usize).min(len);
    start.min(end)..end
}

/// Reads a range of scores.
pub(super) fn score_range(min: &[u8], max: &[u8]) -> Result<ScoreRange, Error> {
    let end = |text: &[u8]| {
        let open = text.strip_prefix(b"(");
        let score = score_end(open.unwrap_or(text));
        score.map(|score| (score, open.is_some()))
    };
    match (end(min), end(max)) {
        (Some((min, above_min)), Some((max, below_max))) => {
            Ok(ScoreRange { min, max, above_min, below_max })
        }
        _ => Err(Error::new("ERR min or max is not a float")),
    }
}

/// An end of a range of scores. Unlike a score it may be empty, which is 0, and too large or too
/// small for a double.
fn score_end(text: &[u8]) -> Option<f64> {
    match parse_f64(text) {
        None if text.is_empty() => Some(0.0),
        None => {
            let number = text.iter().any(u8::is_ascii_digit);
            std::str::from_utf8(text).ok().filter(|_| number)?.parse().ok()
        }
        score => score,
    }
}

/// Reads a range of bytes.
pub(super) fn bytes_range<'a>(
    min: &'a [u8],
    max: &'a [u8],
) -> Result<(BytesEnd<'a>, BytesEnd<'a>), Error> {
    let end = |text: &'a [u8]| match text {
        [b'-'] => Some(BytesEnd::First),
        [b'+'] => Some(BytesEnd::Last),
        [b'(', bytes @ ..] => Some(BytesEnd::Excluded(bytes)),
        [b'[', bytes @ ..] => Some(BytesEnd::Included(bytes)),
        _ => None,
    };
    match (end(min), end(max)) {
        (Some(min), Some(max)) => Ok((min, max)),
        _ => Err(Error::new("ERR min or max not valid string range item")),
    }
}
