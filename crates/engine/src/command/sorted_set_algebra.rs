//! Sorted sets: unions, intersections and differences, shown, stored or counted.
//!
//! Inputs may be sorted sets and plain sets, whose members have the score 1. Sources are looked up
//! first, each on its own, and then read together where they lie; what comes out is a list of
//! borrowed members with new scores, which is sorted once: for the reply, and so that a stored
//! result fills its nodes in order.
//!
//! Rules: as in Redis sums are made from the smallest source to the largest, which shows in the
//! last digit; a sum or product that is no number becomes 0; differences know no weights.
//! Transcripts: `tests/transcripts/sorted-set`.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use pannier_resp::{parse_f64, parse_i64};
use pannier_store::{
    Found, Key, Kind, Piece, Set, SetRef, SortedSet, SortedSetRef, View, WrongType, class,
};
use smallvec::SmallVec;

use super::keys::{KeySpec, access};
use super::row::{Command, Context, Done, Group, categories, flags};
use super::sorted_set::reply_members;
use crate::args::{Options, integer, is};
use crate::error::Error;

/// The family's rows.
pub(super) const ROWS: &[Command] =
    &[ZUNION, ZINTER, ZDIFF, ZUNIONSTORE, ZINTERSTORE, ZDIFFSTORE, ZINTERCARD];

const ZUNION: Command = Command {
    name: "zunion",
    since: "6.2.0",
    group: Group::SortedSet,
    arity: -3,
    flags: flags::READONLY | flags::MOVABLE_KEYS,
    categories: categories::SORTEDSET,
    keys: &[KeySpec::counted(1, 1, access::RO | access::ACCESS)],
    syntax: "numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE SUM | MIN | MAX] \
             [WITHSCORES]",
    summary: "Returns the union of sorted sets.",
    complexity: "O(N)+O(M*log(M)) with N the members of all sources and M those of the result",
    handler: zunion,
    ..Command::DEFAULT
};

const ZINTER: Command = Command {
    name: "zinter",
    since: "6.2.0",
    group: Group::SortedSet,
    arity: -3,
    flags: flags::READONLY | flags::MOVABLE_KEYS,
    categories: categories::SORTEDSET,
    keys: &[KeySpec::counted(1, 1, access::RO | access::ACCESS)],
    syntax: "numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE SUM | MIN | MAX] \
             [WITHSCORES]",
    summary: "Returns the intersection of sorted sets.",
    complexity: "O(N*K)+O(M*log(M)) with N the members of the smallest source, K the number of \
             sources and M the members of the result",
    handler: zinter,
    ..Command::DEFAULT
};

const ZDIFF: Command = Command {
    name: "zdiff",
    since: "6.2.0",
    group: Group::SortedSet,
    arity: -3,
    flags: flags::READONLY | flags::MOVABLE_KEYS,
    categories: categories::SORTEDSET,
    keys: &[KeySpec::counted(1, 1, access::RO | access::ACCESS)],
    syntax: "numkeys key [key ...] [WITHSCORES]",
    summary: "Returns the members of the first sorted set that no other has.",
    complexity: "O(N*K)+O(M*log(M)) with N the members of the first source, K the number of \
             sources and M the members of the result",
    handler: zdiff,
    ..Command::DEFAULT
};

const ZUNIONSTORE: Command = Command {
    name: "zunionstore",
    since: "2.0.0",
    group: Group::SortedSet,
    arity: -4,
    flags: flags::DENYOOM | flags::WRITE | flags::MOVABLE_KEYS,
    categories: categories::SORTEDSET,
    keys: &[
        KeySpec::one(1, access::OW | access::UPDATE),
        KeySpec::counted(2, 1, access::RO | access::ACCESS),
    ],
    syntax: "destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE SUM | \
             MIN | MAX]",
    summary: "Stores the union of sorted sets.",
    complexity: "O(N)+O(M*log(M)) with N the members of all sources and M those of the result",
    handler: zunionstore,
    ..Command::DEFAULT
};

const ZINTERSTORE: Command = Command {
    name: "zinterstore",
    since: "2.0.0",
    group: Group::SortedSet,
    arity: -4,
    flags: flags::DENYOOM | flags::WRITE | flags::MOVABLE_KEYS,
    categories: categories::SORTEDSET,
    keys: &[
        KeySpec::one(1, access::OW | access::UPDATE),
        KeySpec::counted(2, 1, access::RO | access::ACCESS),
    ],
    syntax: "destination numkeys key [key ...] [WEIGHTS weight [weight ...]] [AGGREGATE SUM | \
             MIN | MAX]",
    summary: "Stores the intersection of sorted sets.",
    complexity: "O(N*K)+O(M*log(M)) with N the members of the smallest source, K the number of \
             sources and M the members of the result",
    handler: zinterstore,
    ..Command::DEFAULT
};

const ZDIFFSTORE: Command = Command {
    name: "zdiffstore",
    since: "6.2.0",
    group: Group::SortedSet,
    arity: -4,
    flags: flags::DENYOOM | flags::WRITE | flags::MOVABLE_KEYS,
    categories: categories::SORTEDSET,
    keys: &[
        KeySpec::one(1, access::OW | access::UPDATE),
        KeySpec::counted(2, 1, access::RO | access::ACCESS),
    ],
    syntax: "destination numkeys key [key ...]",
    summary: "Stores the members of the first sorted set that no other has.",
    complexity: "O(N*K)+O(M*log(M)) with N the members of the first source, K the number of \
             sources and M the members of the result",
    handler: zdiffstore,
    ..Command::DEFAULT
};

const ZINTERCARD: Command = Command {
    name: "zintercard",
    since: "7.0.0",
    group: Group::SortedSet,
    arity: -3,
    flags: flags::READONLY | flags::MOVABLE_KEYS,
    categories: categories::SORTEDSET,
    keys: &[KeySpec::counted(1, 1, access::RO | access::ACCESS)],
    syntax: "numkeys key [key ...] [LIMIT limit]",
    summary: "Counts the members that sorted sets have in common.",
    complexity: "O(N*K) with N the members of the smallest source and K the number of sources",
    handler: zintercard,
    ..Command::DEFAULT
};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Union,
    Intersection,
    Difference,
}

/// What a command is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Show,
    Store,
    Count,
}

/// How scores of one member become one.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Aggregate {
    #[default]
    Sum,
    Min,
    Max,
}

impl Aggregate {
    fn of(word: &[u8]) -> Result<Self, Error> {
        match word {
            word if is(word, "SUM") => Ok(Self::Sum),
            word if is(word, "MIN") => Ok(Self::Min),
            word if is(word, "MAX") => Ok(Self::Max),
            _ => Err(Error::SYNTAX),
        }
    }

    fn join(self, one: f64, other: f64) -> f64 {
        match self {
            Self::Sum => number(one + other),
            Self::Min => {
                if other < one {
                    other
                } else {
                    one
                }
            }
            Self::Max => {
                if other > one {
                    other
                } else {
                    one
                }
            }
        }
    }
}

/// The number, or 0 for what is none: infinities that cancel out, or weighed with 0.
fn number(score: f64) -> f64 {
    if score.is_nan() { 0.0 } else { score }
}

/// What a command asks for.
struct Asked<'a> {
    operation: Operation,
    sources: SmallVec<[Option<Key<'a>>; 4]>,
    /// None, or one for each source.
    weights: SmallVec<[f64; 4]>,
    aggregate: Aggregate,
    scores: bool,
    /// How many to count at most; 0 is no limit.
    limit: usize,
}

impl<'a> Asked<'a> {
    /// Reads the arguments from the number of keys on, and looks the sources up.
    fn parse(cx: &mut Context<'a>, operation: Operation, purpose: Purpose) -> Result<Self, Error> {
        let at = if purpose == Purpose::Store { 2 } else { 1 };
        let keys = integer(cx.arg(at))?;
        if keys < 1 {
            let name = cx.command.name;
            return Err(Error::text(format!(
                "ERR at least 1 input key is needed for '{name}' command"
            )));
        }
        let behind = usize::try_from(keys).unwrap_or(usize::MAX).saturating_add(at + 1);
        if behind > cx.args.len() {
            return Err(Error::SYNTAX);
        }
        let mut asked = Self {
            operation,
            sources: SmallVec::new(),
            weights: SmallVec::new(),
            aggregate: Aggregate::Sum,
            scores: false,
            limit: 0,
        };
        let db = cx.db();
        for at in at + 1..behind {
            let key = cx.key(at);
            let kind = cx.view.read(db, key).map(Found::kind);
            if !matches!(kind, None | Some(Kind::Set | Kind::SortedSet)) {
                return Err(WrongType.into());
            }
            asked.sources.push(kind.map(|_| key));
        }
        asked.options(Options::new(cx.args, behind), purpose)?;
        Ok(asked)
    }

    fn options(&mut self, mut options: Options<'a>, purpose: Purpose) -> Result<(), Error> {
        let weighs = self.operation != Operation::Difference && purpose != Purpose::Count;
        while let Some(word) = options.next() {
            if weighs && is(word, "WEIGHTS") && options.left() >= self.sources.len() {
                self.weights.clear();
                for _ in 0..self.sources.len() {
                    let weight = parse_f64(options.value()?);
                    let weight = weight.ok_or(Error::new("ERR weight value is not a float"))?;
                    self.weights.push(weight);
                }
            } else if weighs && is(word, "AGGREGATE") && options.has_value() {
                self.aggregate = Aggregate::of(options.value()?)?;
            } else if purpose == Purpose::Show && is(word, "WITHSCORES") {
                self.scores = true;
            } else if purpose == Purpose::Count && is(word, "LIMIT") && options.has_value() {
                let limit = parse_i64(options.value()?).and_then(|limit| limit.try_into().ok());
                self.limit = limit.ok_or(Error::new("ERR LIMIT can't be negative"))?;
            } else {
                return Err(Error::SYNTAX);
            }
        }
        Ok(())
    }

    /// The sources with their weights, those that do not exist left out; for unions and
    /// intersections the smallest first.
    fn open<'v>(&self, view: &'v View<'_>, db: usize) -> Vec<(Source<'v>, f64)> {
        let found = |key: &Option<Key<'_>>| key.and_then(|key| view.again(db, key));
        let sources = self.sources.iter().map(|key| Source::of(found(key)));
        let weights = self.weights.iter().copied().chain(std::iter::repeat(1.0));
        let mut sources: Vec<(Source<'v>, f64)> = sources.zip(weights).collect();
        if self.operation != Operation::Difference {
            sources.sort_by_key(|(source, _)| source.len());
        }
        sources
    }

    /// The members of the result with their scores, in no order.
    fn members<'v>(&self, view: &'v View<'_>, db: usize) -> Vec<(Piece<'v>, f64)> {
        let sources = self.open(view, db);
        let mut members = Vec::new();
        match self.operation {
            Operation::Union => self.unite(&sources, &mut members),
            Operation::Intersection => {
                self.intersect(&sources, |member, score| {
                    members.push((member, score));
                    true
                });
            }
            Operation::Difference => {
                let [(first, _), others @ ..] = &sources[..] else { return members };
                let mut digits = itoa::Buffer::new();
                first.visit(|member, score| {
                    let bytes = member.as_bytes(&mut digits);
                    if others.iter().all(|(other, _)| other.score(bytes).is_none()) {
                        members.push((member, score));
                    }
                    true
                });
            }
        }
        members
    }

    fn unite<'v>(&self, sources: &[(Source<'v>, f64)], members: &mut Vec<(Piece<'v>, f64)>) {
        let largest = sources.last().map_or(0, |(source, _)| source.len());
        let hasher = foldhash::fast::RandomState::default();
        let mut places = HashMap::with_capacity_and_hasher(largest, hasher);
        for (source, weight) in sources {
            source.visit(|member, score| {
                let score = number(score * weight);
                // Large sets hold integers as text.
                let member = match member {
                    Piece::Bytes(bytes) => Piece::of(bytes),
                    member => member,
                };
                let name = match member {
                    Piece::Int(number) => (number, &[][..]),
                    Piece::Bytes(bytes) => (i64::MIN, bytes),
                };
                // No string is an integer's text, so the two kinds do not meet.
                let place = places.entry((matches!(member, Piece::Int(_)), name));
                match place {
                    Entry::Vacant(place) => {
                        place.insert(members.len());
                        members.push((member, score));
                    }
                    Entry::Occupied(place) => {
                        let (_, held) = &mut members[*place.get()];
                        *held = self.aggregate.join(*held, score);
                    }
                }
                true
            });
        }
    }

    /// Hands the members that all sources have to `visit`, until it says no.
    fn intersect<'v>(
        &self,
        sources: &[(Source<'v>, f64)],
        mut visit: impl FnMut(Piece<'v>, f64) -> bool,
    ) {
        let [(first, weight), others @ ..] = sources else { return };
        let mut digits = itoa::Buffer::new();
        first.visit(|member, score| {
            let bytes = member.as_bytes(&mut digits);
            let mut sum = number(score * weight);
            for (other, weight) in others {
                let Some(score) = other.score(bytes) else { return true };
                // What is no number here leaves a sum 0, and MIN and MAX as they were.
                sum = self.aggregate.join(sum, score * weight);
            }
            visit(member, sum)
        });
    }
}

/// One input.
#[derive(Clone, Copy)]
enum Source<'v> {
    Missing,
    Plain(SetRef<'v>),
    Sorted(SortedSetRef<'v>),
}

impl<'v> Source<'v> {
    fn of(found: Option<Found<'v>>) -> Self {
        let Some(found) = found else { return Self::Missing };
        match found.collection::<SortedSet>() {
            Ok(set) => Self::Sorted(set),
            Err(WrongType) => found.collection::<Set>().map_or(Self::Missing, Self::Plain),
        }
    }

    fn len(self) -> usize {
        match self {
            Self::Missing => 0,
            Self::Plain(set) => set.len(),
            Self::Sorted(set) => set.len(),
        }
    }

    fn score(self, member: &[u8]) -> Option<f64> {
        match self {
            Self::Missing => None,
            Self::Plain(set) => set.contains(member).then_some(1.0),
            Self::Sorted(set) => set.score(member),
        }
    }

    /// Hands every member with its score to `visit`, until it says no.
    fn visit(self, mut visit: impl FnMut(Piece<'v>, f64) -> bool) {
        match self {
            Self::Missing => {}
            Self::Plain(set) => {
                let _ = set.try_for_each(|member| match visit(member, 1.0) {
                    true => std::ops::ControlFlow::Continue(()),
                    false => std::ops::ControlFlow::Break(()),
                });
            }
            Self::Sorted(set) => {
                set.range(0..usize::MAX).all(|(member, score)| visit(member, score));
            }
        }
    }
}

fn zunion(cx: &mut Context<'_>) -> Result<Done, Error> {
    show(cx, Operation::Union)
}

fn zinter(cx: &mut Context<'_>) -> Result<Done, Error> {
    show(cx, Operation::Intersection)
}

fn zdiff(cx: &mut Context<'_>) -> Result<Done, Error> {
    show(cx, Operation::Difference)
}

fn zunionstore(cx: &mut Context<'_>) -> Result<Done, Error> {
    store(cx, Operation::Union)
}

fn zinterstore(cx: &mut Context<'_>) -> Result<Done, Error> {
    store(cx, Operation::Intersection)
}

fn zdiffstore(cx: &mut Context<'_>) -> Result<Done, Error> {
    store(cx, Operation::Difference)
}

fn show(cx: &mut Context<'_>, operation: Operation) -> Result<Done, Error> {
    let asked = Asked::parse(cx, operation, Purpose::Show)?;
    let mut members = asked.members(&cx.view, cx.session.database);
    sort(&mut members);
    reply_members(cx.reply, members.len(), members.into_iter(), asked.scores);
    Ok(Done::Replied)
}

fn store(cx: &mut Context<'_>, operation: Operation) -> Result<Done, Error> {
    let asked = Asked::parse(cx, operation, Purpose::Store)?;
    let (db, destination, limits) = (cx.db(), cx.key(1), cx.config.limits());
    let mut members = asked.members(&cx.view, db);
    sort(&mut members);
    let len = members.len();
    let made = cx.view.make::<SortedSet>(destination, &limits, |result| {
        result.expect(len, members.iter().map(|(member, _)| member.len()).max().unwrap_or(0));
        let mut digits = itoa::Buffer::new();
        for (member, score) in members {
            result.put(member.as_bytes(&mut digits), |_| Some(score));
        }
    });
    match made {
        Some(made) => {
            cx.view.put(db, destination, made);
            cx.notify(class::SORTED_SET, cx.command.name, destination);
        }
        None if cx.view.remove(db, destination) => {
            cx.notify(class::GENERIC, "del", destination);
        }
        None => {}
    }
    cx.int(len as i64)
}

/// Sorts as a sorted set does.
fn sort(members: &mut [(Piece<'_>, f64)]) {
    members.sort_unstable_by(|(a, one), (b, other)| {
        let scores = one.partial_cmp(other).unwrap_or(std::cmp::Ordering::Equal);
        scores.then_with(|| {
            let mut digits = [itoa::Buffer::new(), itoa::Buffer::new()];
            let [first, second] = &mut digits;
            a.as_bytes(first).cmp(b.as_bytes(second))
        })
    });
}

fn zintercard(cx: &mut Context<'_>) -> Result<Done, Error> {
    let asked = Asked::parse(cx, Operation::Intersection, Purpose::Count)?;
    let mut found = 0;
    asked.intersect(&asked.open(&cx.view, cx.session.database), |_, _| {
        found += 1;
        found != asked.limit
    });
    cx.int(found as i64)
}
