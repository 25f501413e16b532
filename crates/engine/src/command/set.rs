//! Sets: members added, removed, asked for, moved and walked over.
//!
//! What a set looks like inside and when that changes is the store's affair (`SetMut`). A walk
//! (SSCAN) over a packed set hands it over whole; over a table it goes in hash order, as SCAN does
//! over keys, and its cursor is the position there. Random members are in `set_random`, several
//! sets at once in `set_algebra`. Transcripts: `tests/transcripts/set`.

use pannier_resp::Reply;
use pannier_store::{Piece, Set, class};

use super::keys::{KeySpec, access};
use super::row::{Command, Context, Done, Group, categories, flags};
use super::scan::{ScanOptions, cursor};
use crate::args::Options;
use crate::error::Error;

/// The family's rows.
pub(super) const ROWS: &[Command] =
    &[SADD, SCARD, SISMEMBER, SMEMBERS, SMISMEMBER, SMOVE, SREM, SSCAN];

const SADD: Command = Command {
    name: "sadd",
    since: "1.0.0",
    group: Group::Set,
    arity: -3,
    flags: flags::DENYOOM | flags::FAST | flags::WRITE,
    categories: categories::SET,
    keys: &[KeySpec::one(1, access::RW | access::INSERT)],
    element: 2,
    syntax: "key member [member ...]",
    summary: "Adds members to a set, which is created if it does not exist.",
    complexity: "O(N) with N the number of members given",
    history: &[("2.4.0", "Accepts multiple `member` arguments.")],
    handler: sadd,
    ..Command::DEFAULT
};

const SCARD: Command = Command {
    name: "scard",
    since: "1.0.0",
    group: Group::Set,
    arity: 2,
    flags: flags::FAST | flags::READONLY,
    categories: categories::SET,
    keys: &[KeySpec::one(1, access::RO)],
    syntax: "key",
    summary: "Returns the number of members of a set.",
    complexity: "O(1)",
    handler: scard,
    ..Command::DEFAULT
};

const SISMEMBER: Command = Command {
    name: "sismember",
    since: "1.0.0",
    group: Group::Set,
    arity: 3,
    flags: flags::FAST | flags::READONLY,
    categories: categories::SET,
    keys: &[KeySpec::one(1, access::RO)],
    element: 2,
    syntax: "key member",
    summary: "Tells whether a set has a member.",
    complexity: "O(1)",
    handler: sismember,
    ..Command::DEFAULT
};

const SMEMBERS: Command = Command {
    name: "smembers",
    since: "1.0.0",
    group: Group::Set,
    arity: 2,
    flags: flags::READONLY,
    categories: categories::SET,
    keys: &[KeySpec::one(1, access::RO | access::ACCESS)],
    syntax: "key",
    summary: "Returns all members of a set.",
    complexity: "O(N) with N the number of members",
    tips: &["nondeterministic_output_order"],
    handler: smembers,
    ..Command::DEFAULT
};

const SMISMEMBER: Command = Command {
    name: "smismember",
    since: "6.2.0",
    group: Group::Set,
    arity: -3,
    flags: flags::FAST | flags::READONLY,
    categories: categories::SET,
    keys: &[KeySpec::one(1, access::RO | access::ACCESS)],
    element: 2,
    syntax: "key member [member ...]",
    summary: "Tells of each of several strings whether it is a member of a set.",
    complexity: "O(N) with N the number of members given",
    handler: smismember,
    ..Command::DEFAULT
};

const SMOVE: Command = Command {
    name: "smove",
    since: "1.0.0",
    group: Group::Set,
    arity: 4,
    flags: flags::FAST | flags::WRITE,
    categories: categories::SET,
    keys: &[
        KeySpec::one(1, access::RW | access::ACCESS | access::DELETE),
        KeySpec::one(2, access::RW | access::INSERT),
    ],
    syntax: "source destination member",
    summary: "Moves a member from one set to another.",
    complexity: "O(1)",
    handler: smove,
    ..Command::DEFAULT
};

const SREM: Command = Command {
    name: "srem",
    since: "1.0.0",
    group: Group::Set,
    arity: -3,
    flags: flags::FAST | flags::WRITE,
    categories: categories::SET,
    keys: &[KeySpec::one(1, access::RW | access::DELETE)],
    element: 2,
    syntax: "key member [member ...]",
    summary: "Removes members from a set; the key goes with the last one.",
    complexity: "O(N) with N the number of members given",
    history: &[("2.4.0", "Accepts multiple `member` arguments.")],
    handler: srem,
    ..Command::DEFAULT
};

const SSCAN: Command = Command {
    name: "sscan",
    since: "2.8.0",
    group: Group::Set,
    arity: -3,
    flags: flags::READONLY,
    categories: categories::SET,
    keys: &[KeySpec::one(1, access::RO | access::ACCESS)],
    syntax: "key cursor [MATCH pattern] [COUNT count]",
    summary: "Walks over the members of a set a few at a time.",
    complexity: "O(1) a call; O(N) for a whole walk, with N the number of members",
    tips: &["nondeterministic_output"],
    handler: sscan,
    ..Command::DEFAULT
};

fn sadd(cx: &mut Context<'_>) -> Result<Done, Error> {
    let (db, key, args, limits) = (cx.db(), cx.key(1), cx.args, cx.config.limits());
    let dirty = cx.view.dirty();
    let added = cx.view.change::<Set, _>(db, key, (&limits, true), |set| {
        set.prepare(args.get(2), args.len() - 2);
        (2..args.len()).filter(|at| set.add(args.get(*at))).count()
    })?;
    cx.notify_since(dirty, class::SET, "sadd", key);
    cx.int(added.unwrap_or(0) as i64)
}

fn scard(cx: &mut Context<'_>) -> Result<Done, Error> {
    let (db, key) = (cx.db(), cx.key(1));
    let len = cx.view.read_as::<Set>(db, key)?.map_or(0, |set| set.len());
    cx.int(len as i64)
}

fn sismember(cx: &mut Context<'_>) -> Result<Done, Error> {
    let (db, key, member) = (cx.db(), cx.key(1), cx.arg(2));
    let held = cx.view.read_as::<Set>(db, key)?.is_some_and(|set| set.contains(member));
    cx.int(i64::from(held))
}

fn smembers(cx: &mut Context<'_>) -> Result<Done, Error> {
    let (db, key) = (cx.db(), cx.key(1));
    let reply = &mut *cx.reply;
    match cx.view.read_as::<Set>(db, key)? {
        None => reply.set(0),
        Some(set) => {
            reply.set(set.len());
            set.for_each(|member| reply_member(reply, member));
        }
    }
    Ok(Done::Replied)
}

fn smismember(cx: &mut Context<'_>) -> Result<Done, Error> {
    let (db, key, args) = (cx.db(), cx.key(1), cx.args);
    let reply = &mut *cx.reply;
    let set = cx.view.read_as::<Set>(db, key)?;
    reply.array(args.len() - 2);
    for at in 2..args.len() {
        let held = set.is_some_and(|set| set.contains(args.get(at)));
        reply.integer(i64::from(held));
    }
    Ok(Done::Replied)
}

fn smove(cx: &mut Context<'_>) -> Result<Done, Error> {
    let (db, limits, member) = (cx.db(), cx.config.limits(), cx.arg(3));
    let (source, destination) = (cx.key(1), cx.key(2));
    let Some(from) = cx.view.look_to_write(db, source) else { return cx.int(0) };
    let held = from.collection::<Set>()?.contains(member);
    if let Some(to) = cx.view.look_to_write(db, destination) {
        to.collection::<Set>()?;
    }
    if !held || source.bytes == destination.bytes {
        return cx.int(i64::from(held));
    }
    cx.view.change::<Set, _>(db, source, (&limits, false), |set| set.remove(member))?;
    cx.notify_change(class::SET, "srem", source);
    let dirty = cx.view.dirty();
    cx.view.change::<Set, _>(db, destination, (&limits, true), |set| {
        if set.as_ref().is_empty() {
            set.prepare(member, 1);
        }
        set.add(member)
    })?;
    cx.notify_since(dirty, class::SET, "sadd", destination);
    cx.int(1)
}

fn srem(cx: &mut Context<'_>) -> Result<Done, Error> {
    let (db, key, args, limits) = (cx.db(), cx.key(1), cx.args, cx.config.limits());
    let dirty = cx.view.dirty();
    let removed = cx.view.change::<Set, _>(db, key, (&limits, false), |set| {
        (2..args.len()).filter(|at| set.remove(args.get(*at))).count()
    })?;
    cx.notify_since(dirty, class::SET, "srem", key);
    cx.int(removed.unwrap_or(0) as i64)
}

fn sscan(cx: &mut Context<'_>) -> Result<Done, Error> {
    let position = cursor(cx.arg(2))?.0;
    let (db, key) = (cx.db(), cx.key(1));
    let reply = &mut *cx.reply;
    let Some(set) = cx.view.read_as::<Set>(db, key)? else {
        reply.array(2);
        reply.bulk(b"0");
        reply.array(0);
        return Ok(Done::Replied);
    };
    let options = ScanOptions::parse(Options::new(cx.args, 3), "")?;
    let (mut found, mut ends) = (Vec::new(), Vec::new());
    let next = set.scan(position, options.count, |member| {
        let mut digits = itoa::Buffer::new();
        let member = member.as_bytes(&mut digits);
        if options.matches(member) {
            found.extend_from_slice(member);
            ends.push(found.len());
        }
    });
    reply.array(2);
    reply.bulk_integer(next as i64);
    reply.array(ends.len());
    let mut start = 0;
    for end in ends {
        reply.bulk(&found[start..end]);
        start = end;
    }
    Ok(Done::Replied)
}

/// Writes a member.
#[inline]
pub(super) fn reply_member(reply: &mut Reply, member: Piece<'_>) {
    match member {
        Piece::Int(number) => reply.bulk_integer(number),
        Piece::Bytes(bytes) => reply.bulk(bytes),
    }
}
