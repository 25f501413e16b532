//! Several sets at once: SINTER, SUNION, SDIFF, their STORE forms, SINTERCARD.
//!
//! A reply is written while the members are found, straight from the keyspace. A stored result is
//! made beside the keyspace and then takes the destination's place, so that a destination may be
//! one of the sources; an empty result removes it. The store does the work (`intersection`,
//! `union`, `Difference`); which form a result has follows Redis, because OBJECT ENCODING and DUMP
//! show it. Transcripts: `tests/transcripts/set`.

use std::ops::ControlFlow;

use pannier_resp::parse_i64;
use pannier_store::{Difference, Key, Set, SetMut, SetRef, View, class, intersection, union};
use smallvec::SmallVec;

use super::keys::{Begin, Find, KeySpec, access};
use super::row::{Command, Context, Done, Group, categories, flags};
use super::set::reply_member;
use crate::args::{Options, is};
use crate::error::Error;

/// The family's rows.
pub(super) const ROWS: &[Command] =
    &[SDIFF, SDIFFSTORE, SINTER, SINTERCARD, SINTERSTORE, SUNION, SUNIONSTORE];

const SDIFF: Command = Command {
    name: "sdiff",
    since: "1.0.0",
    group: Group::Set,
    arity: -2,
    flags: flags::READONLY,
    categories: categories::SET,
    keys: &[KeySpec::range(1, -1, 1, access::RO | access::ACCESS)],
    syntax: "key [key ...]",
    summary: "Returns the members of the first set that no other has.",
    complexity: "O(N) with N the number of members of all sets",
    tips: &["nondeterministic_output_order"],
    handler: sdiff,
    ..Command::DEFAULT
};

const SDIFFSTORE: Command = Command {
    name: "sdiffstore",
    since: "1.0.0",
    group: Group::Set,
    arity: -3,
    flags: flags::DENYOOM | flags::WRITE,
    categories: categories::SET,
    keys: STORE_KEYS,
    syntax: "destination key [key ...]",
    summary: "Stores the members of the first set that no other has.",
    complexity: "O(N) with N the number of members of all sets",
    handler: sdiffstore,
    ..Command::DEFAULT
};

const SINTER: Command = Command {
    name: "sinter",
    since: "1.0.0",
    group: Group::Set,
    arity: -2,
    flags: flags::READONLY,
    categories: categories::SET,
    keys: &[KeySpec::range(1, -1, 1, access::RO | access::ACCESS)],
    syntax: "key [key ...]",
    summary: "Returns the members that all sets have.",
    complexity: "O(N*M) with N the members of the smallest set and M the number of sets",
    tips: &["nondeterministic_output_order"],
    handler: sinter,
    ..Command::DEFAULT
};

const SINTERCARD: Command = Command {
    name: "sintercard",
    since: "7.0.0",
    group: Group::Set,
    arity: -3,
    flags: flags::READONLY | flags::MOVABLE_KEYS,
    categories: categories::SET,
    keys: &[KeySpec {
        begin: Begin::Index(1),
        find: Find::Count { count: 0, first: 1, step: 1 },
        access: access::RO | access::ACCESS,
        notes: "",
    }],
    syntax: "numkeys key [key ...] [LIMIT limit]",
    summary: "Returns the number of members that all sets have.",
    complexity: "O(N*M) with N the members of the smallest set and M the number of sets",
    handler: sintercard,
    ..Command::DEFAULT
};

const SINTERSTORE: Command = Command {
    name: "sinterstore",
    since: "1.0.0",
    group: Group::Set,
    arity: -3,
    flags: flags::DENYOOM | flags::WRITE,
    categories: categories::SET,
    keys: STORE_KEYS,
    syntax: "destination key [key ...]",
    summary: "Stores the members that all sets have.",
    complexity: "O(N*M) with N the members of the smallest set and M the number of sets",
    handler: sinterstore,
    ..Command::DEFAULT
};

const SUNION: Command = Command {
    name: "sunion",
    since: "1.0.0",
    group: Group::Set,
    arity: -2,
    flags: flags::READONLY,
    categories: categories::SET,
    keys: &[KeySpec::range(1, -1, 1, access::RO | access::ACCESS)],
    syntax: "key [key ...]",
    summary: "Returns the members that any of the sets has.",
    complexity: "O(N) with N the number of members of all sets",
    tips: &["nondeterministic_output_order"],
    handler: sunion,
    ..Command::DEFAULT
};

const SUNIONSTORE: Command = Command {
    name: "sunionstore",
    since: "1.0.0",
    group: Group::Set,
    arity: -3,
    flags: flags::DENYOOM | flags::WRITE,
    categories: categories::SET,
    keys: STORE_KEYS,
    syntax: "destination key [key ...]",
    summary: "Stores the members that any of the sets has.",
    complexity: "O(N) with N the number of members of all sets",
    handler: sunionstore,
    ..Command::DEFAULT
};

const STORE_KEYS: &[KeySpec] = &[
    KeySpec::one(1, access::OW | access::UPDATE),
    KeySpec::range(2, -1, 1, access::RO | access::ACCESS),
];

/// The sources of a command, in order; `None` for one that does not exist.
type Sources<'a> = SmallVec<[Option<Key<'a>>; 4]>;

/// The sets of those that exist.
type Sets<'v> = SmallVec<[SetRef<'v>; 4]>;

fn sdiff(cx: &mut Context<'_>) -> Result<Done, Error> {
    let sources = sources(cx, 1..cx.args.len())?;
    let (db, reply) = (cx.db(), &mut *cx.reply);
    let list = reply.deferred();
    let mut found = 0;
    if sources[0].is_some() {
        let mut sets = sets(&cx.view, db, &sources);
        Difference::of(&sets).visit(&mut sets, |member| {
            reply_member(reply, member);
            found += 1;
        });
    }
    reply.fill_set(list, found);
    Ok(Done::Replied)
}

fn sinter(cx: &mut Context<'_>) -> Result<Done, Error> {
    let sources = sources(cx, 1..cx.args.len())?;
    let (db, reply) = (cx.db(), &mut *cx.reply);
    let list = reply.deferred();
    let mut found = 0;
    if sources.iter().all(Option::is_some) {
        let _ = intersection(&mut sets(&cx.view, db, &sources), |member| {
            reply_member(reply, member);
            found += 1;
            ControlFlow::<()>::Continue(())
        });
    }
    reply.fill_set(list, found);
    Ok(Done::Replied)
}

fn sunion(cx: &mut Context<'_>) -> Result<Done, Error> {
    let sources = sources(cx, 1..cx.args.len())?;
    let (db, reply) = (cx.db(), &mut *cx.reply);
    let list = reply.deferred();
    let mut found = 0;
    union(&sets(&cx.view, db, &sources), |member| {
        reply_member(reply, member);
        found += 1;
    });
    reply.fill_set(list, found);
    Ok(Done::Replied)
}

fn sintercard(cx: &mut Context<'_>) -> Result<Done, Error> {
    let keys = parse_i64(cx.arg(1)).and_then(|keys| usize::try_from(keys).ok());
    let keys = keys.filter(|keys| *keys > 0);
    let keys = keys.ok_or(Error::new("ERR numkeys should be greater than 0"))?;
    if keys > cx.args.len() - 2 {
        return Err(Error::new("ERR Number of keys can't be greater than number of args"));
    }
    let mut limit = 0;
    let mut options = Options::new(cx.args, 2 + keys);
    while let Some(word) = options.next() {
        if !is(word, "LIMIT") {
            return Err(Error::SYNTAX);
        }
        let value = parse_i64(options.value()?).and_then(|limit| usize::try_from(limit).ok());
        limit = value.ok_or(Error::new("ERR LIMIT can't be negative"))?;
    }
    let sources = sources(cx, 2..2 + keys)?;
    let mut found = 0;
    if sources.iter().all(Option::is_some) {
        let _ = intersection(&mut sets(&cx.view, cx.db(), &sources), |_| {
            found += 1;
            if found == limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
    }
    cx.int(found as i64)
}

fn sdiffstore(cx: &mut Context<'_>) -> Result<Done, Error> {
    let sources = sources(cx, 2..cx.args.len())?;
    let first = sources[0].is_some();
    store(cx, first.then_some(&sources), |sets, result| {
        result.prepare_integers();
        match Difference::of(sets) {
            Difference::Asking => Difference::Asking.visit(sets, |member| {
                result.add(member.as_bytes(&mut itoa::Buffer::new()));
            }),
            // In this way, because the form of the result depends on what it once was.
            Difference::Removing => {
                sets[0].for_each(|member| {
                    result.add(member.as_bytes(&mut itoa::Buffer::new()));
                });
                for set in &sets[1..] {
                    set.for_each(|member| {
                        result.remove(member.as_bytes(&mut itoa::Buffer::new()));
                    });
                }
            }
        }
    })
}

fn sinterstore(cx: &mut Context<'_>) -> Result<Done, Error> {
    let sources = sources(cx, 2..cx.args.len())?;
    let all = sources.iter().all(Option::is_some);
    store(cx, all.then_some(&sources), |sets, result| {
        if sets.iter().min_by_key(|set| set.len()).is_some_and(|set| set.is_intset()) {
            result.prepare_integers();
        }
        let _ = intersection(sets, |member| {
            result.add(member.as_bytes(&mut itoa::Buffer::new()));
            ControlFlow::<()>::Continue(())
        });
        result.pack_integers();
    })
}

fn sunionstore(cx: &mut Context<'_>) -> Result<Done, Error> {
    let sources = sources(cx, 2..cx.args.len())?;
    store(cx, Some(&sources), |sets, result| {
        result.prepare_integers();
        for set in sets {
            set.for_each(|member| {
                result.add(member.as_bytes(&mut itoa::Buffer::new()));
            });
        }
    })
}

/// Looks the sources up: each counts as read, and must be a set if it exists.
fn sources<'a>(
    cx: &mut Context<'a>,
    positions: std::ops::Range<usize>,
) -> Result<Sources<'a>, Error> {
    let db = cx.db();
    let mut sources = Sources::new();
    for at in positions {
        let key = cx.key(at);
        let exists = cx.view.read_as::<Set>(db, key)?.is_some();
        sources.push(exists.then_some(key));
    }
    Ok(sources)
}

/// The sources that exist, all at once.
fn sets<'v>(view: &'v View<'_>, db: usize, sources: &[Option<Key<'_>>]) -> Sets<'v> {
    let found = sources.iter().flatten().filter_map(|key| view.again(db, *key));
    found.filter_map(|found| found.collection::<Set>().ok()).collect()
}

/// Puts what `work` makes of the sources under the first key; without sources it is nothing.
fn store(
    cx: &mut Context<'_>,
    sources: Option<&Sources<'_>>,
    work: impl FnOnce(&mut [SetRef<'_>], &mut SetMut<'_>),
) -> Result<Done, Error> {
    let (db, destination, limits) = (cx.db(), cx.key(1), cx.config.limits());
    let mut len = 0;
    let made = sources.and_then(|sources| {
        let mut sets = sets(&cx.view, db, sources);
        cx.view.make::<Set>(destination, &limits, |result| {
            work(&mut sets, result);
            len = result.as_ref().len();
        })
    });
    match made {
        Some(made) => {
            cx.view.put(db, destination, made);
            cx.notify(class::SET, cx.command.name, destination);
        }
        None if cx.view.remove(db, destination) => {
            cx.notify(class::GENERIC, "del", destination);
        }
        None => {}
    }
    cx.int(len as i64)
}
