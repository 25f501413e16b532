//! Hashes: fields by their names.
//!
//! A field that is set has no deadline afterwards; one that is counted up keeps it. Walks over all
//! fields are in `hash_walk`, deadlines of fields in `hash_ttl`. Floats add up as Redis's do
//! (see `float`). Transcripts: `tests/transcripts/hash`.

use pannier_resp::Args;
use pannier_store::{Deadline, Hash, class};

use super::keys::{KeySpec, access};
use super::row::{Command, Context, Done, Group, categories, flags, reply_piece};
use crate::args::integer;
use crate::error::Error;
use crate::float::LongDouble;

/// The family's rows.
pub(super) const ROWS: &[Command] =
    &[HSET, HSETNX, HMSET, HGET, HMGET, HDEL, HLEN, HEXISTS, HSTRLEN, HINCRBY, HINCRBYFLOAT];

const HSET: Command = Command {
    name: "hset",
    since: "2.0.0",
    group: Group::Hash,
    arity: -4,
    flags: flags::DENYOOM | flags::FAST | flags::WRITE,
    categories: categories::HASH,
    keys: &[KeySpec::one(1, access::RW | access::UPDATE)],
    element: 2,
    syntax: "key field value [field value ...]",
    summary: "Sets fields of a hash, creating it if necessary.",
    complexity: "O(1) for each field set",
    handler: hset,
    ..Command::DEFAULT
};

const HSETNX: Command = Command {
    name: "hsetnx",
    since: "2.0.0",
    group: Group::Hash,
    arity: 4,
    flags: flags::DENYOOM | flags::FAST | flags::WRITE,
    categories: categories::HASH,
    keys: &[KeySpec::one(1, access::RW | access::INSERT)],
    element: 2,
    syntax: "key field value",
    summary: "Sets a field of a hash unless it is there already.",
    complexity: "O(1)",
    handler: hsetnx,
    ..Command::DEFAULT
};

const HMSET: Command = Command {
    name: "hmset",
    since: "2.0.0",
    group: Group::Hash,
    arity: -4,
    flags: flags::DENYOOM | flags::FAST | flags::WRITE,
    categories: categories::HASH,
    keys: &[KeySpec::one(1, access::RW | access::UPDATE)],
    element: 2,
    syntax: "key field value [field value ...]",
    summary: "Sets fields of a hash.",
    complexity: "O(N) with N the number of fields set",
    handler: hmset,
    ..Command::DEFAULT
};

const HGET: Command = Command {
    name: "hget",
    since: "2.0.0",
    group: Group::Hash,
    arity: 3,
    flags: flags::FAST | flags::READONLY,
    categories: categories::HASH,
    keys: &[KeySpec::one(1, access::RO | access::ACCESS)],
    element: 2,
    syntax: "key field",
    summary: "Returns the value of a field.",
    complexity: "O(1)",
    handler: hget,
    ..Command::DEFAULT
};

const HMGET: Command = Command {
    name: "hmget",
    since: "2.0.0",
    group: Group::Hash,
    arity: -3,
    flags: flags::FAST | flags::READONLY,
    categories: categories::HASH,
    keys: &[KeySpec::one(1, access::RO | access::ACCESS)],
    element: 2,
    syntax: "key field [field ...]",
    summary: "Returns the values of several fields.",
    complexity: "O(N) with N the number of fields asked for",
    handler: hmget,
    ..Command::DEFAULT
};

const HDEL: Command = Command {
    name: "hdel",
    since: "2.0.0",
    group: Group::Hash,
    arity: -3,
    flags: flags::FAST | flags::WRITE,
    categories: categories::HASH,
    keys: &[KeySpec::one(1, access::RW | access::DELETE)],
    element: 2,
    syntax: "key field [field ...]",
    summary: "Removes fields, and the hash with its last one.",
    complexity: "O(N) with N the number of fields named",
    handler: hdel,
    ..Command::DEFAULT
};

const HLEN: Command = Command {
    name: "hlen",
    since: "2.0.0",
    group: Group::Hash,
    arity: 2,
    flags: flags::FAST | flags::READONLY,
    categories: categories::HASH,
    keys: &[KeySpec::one(1, access::RO)],
    syntax: "key",
    summary: "Tells the number of fields.",
    complexity: "O(1)",
    handler: hlen,
    ..Command::DEFAULT
};

const HEXISTS: Command = Command {
    name: "hexists",
    since: "2.0.0",
    group: Group::Hash,
    arity: 3,
    flags: flags::FAST | flags::READONLY,
    categories: categories::HASH,
    keys: &[KeySpec::one(1, access::RO)],
    element: 2,
    syntax: "key field",
    summary: "Tells whether a field is there.",
    complexity: "O(1)",
    handler: hexists,
    ..Command::DEFAULT
};

const HSTRLEN: Command = Command {
    name: "hstrlen",
    since: "3.2.0",
    group: Group::Hash,
    arity: 3,
    flags: flags::FAST | flags::READONLY,
    categories: categories::HASH,
    keys: &[KeySpec::one(1, access::RO)],
    element: 2,
    syntax: "key field",
    summary: "Tells the length of a field's value.",
    complexity: "O(1)",
    handler: hstrlen,
    ..Command::DEFAULT
};

const HINCRBY: Command = Command {
    name: "hincrby",
    since: "2.0.0",
    group: Group::Hash,
    arity: 4,
    flags: flags::DENYOOM | flags::FAST | flags::WRITE,
    categories: categories::HASH,
    keys: &[KeySpec::one(1, access::RW | access::ACCESS | access::UPDATE)],
    element: 2,
    syntax: "key field increment",
    summary: "Adds an integer to the integer value of a field.",
    complexity: "O(1)",
    handler: hincrby,
    ..Command::DEFAULT
};

const HINCRBYFLOAT: Command = Command {
    name: "hincrbyfloat",
    since: "2.6.0",
    group: Group::Hash,
    arity: 4,
    flags: flags::DENYOOM | flags::FAST | flags::WRITE,
    categories: categories::HASH,
    keys: &[KeySpec::one(1, access::RW | access::ACCESS | access::UPDATE)],
    element: 2,
    syntax: "key field increment",
    summary: "Adds a number to the floating-point value of a field.",
    complexity: "O(1)",
    handler: hincrbyfloat,
    ..Command::DEFAULT
};

fn hset(cx: &mut Context<'_>) -> Result<Done, Error> {
    let added = set_pairs(cx)?;
    cx.int(added)
}

fn hmset(cx: &mut Context<'_>) -> Result<Done, Error> {
    set_pairs(cx)?;
    cx.ok()
}

/// Sets the fields that the arguments name; returns how many are new.
fn set_pairs(cx: &mut Context<'_>) -> Result<i64, Error> {
    let pairs = cx.args.from(2);
    if pairs.len() % 2 == 1 {
        return Err(Error::arity(cx.command.name));
    }
    let (db, key, limits) = (cx.db(), cx.key(1), cx.config.limits());
    let dirty = cx.view.dirty();
    let added = cx.view.change::<Hash, _>(db, key, (&limits, true), |hash| {
        hash.expect(pairs.len() / 2);
        let added = |&(field, value): &(&[u8], &[u8])| hash.set(field, value);
        pairs_of(pairs).filter(added).count()
    })?;
    cx.notify_since(dirty, class::HASH, "hset", key);
    Ok(added.unwrap_or(0) as i64)
}

/// Arguments two by two.
pub(super) fn pairs_of(args: Args<'_>) -> impl Iterator<Item = (&[u8], &[u8])> {
    (0..args.len() / 2).map(move |pair| (args.get(2 * pair), args.get(2 * pair + 1)))
}

fn hsetnx(cx: &mut Context<'_>) -> Result<Done, Error> {
    let (db, key, limits) = (cx.db(), cx.key(1), cx.config.limits());
    let (field, value) = (cx.arg(2), cx.arg(3));
    let dirty = cx.view.dirty();
    let added = cx.view.change::<Hash, _>(db, key, (&limits, true), |hash| {
        hash.as_ref().get(field).is_none() && hash.set(field, value)
    })?;
    cx.notify_since(dirty, class::HASH, "hset", key);
    cx.int(i64::from(added == Some(true)))
}

fn hget(cx: &mut Context<'_>) -> Result<Done, Error> {
    let (db, key, field) = (cx.db(), cx.key(1), cx.arg(2));
    match cx.view.read_as::<Hash>(db, key)?.and_then(|hash| hash.get(field)) {
        Some(value) => reply_piece(cx.reply, value),
        None => cx.reply.null(),
    }
    Ok(Done::Replied)
}

fn hmget(cx: &mut Context<'_>) -> Result<Done, Error> {
    let (db, key, fields) = (cx.db(), cx.key(1), cx.args.from(2));
    let hash = cx.view.read_as::<Hash>(db, key)?;
    cx.reply.array(fields.len());
    for field in fields.iter() {
        match hash.and_then(|hash| hash.get(field)) {
            Some(value) => reply_piece(cx.reply, value),
            None => cx.reply.null(),
        }
    }
    Ok(Done::Replied)
}

fn hdel(cx: &mut Context<'_>) -> Result<Done, Error> {
    let (db, key, limits) = (cx.db(), cx.key(1), cx.config.limits());
    let fields = cx.args.from(2);
    let dirty = cx.view.dirty();
    let removed = cx.view.change::<Hash, _>(db, key, (&limits, false), |hash| {
        fields.iter().filter(|field| hash.remove(field)).count()
    })?;
    cx.notify_since(dirty, class::HASH, "hdel", key);
    cx.int(removed.unwrap_or(0) as i64)
}

fn hlen(cx: &mut Context<'_>) -> Result<Done, Error> {
    let (db, key) = (cx.db(), cx.key(1));
    let len = cx.view.read_as::<Hash>(db, key)?.map_or(0, |hash| hash.len());
    cx.int(len as i64)
}

fn hexists(cx: &mut Context<'_>) -> Result<Done, Error> {
    let (db, key, field) = (cx.db(), cx.key(1), cx.arg(2));
    let found = cx.view.read_as::<Hash>(db, key)?.and_then(|hash| hash.get(field));
    let found = found.is_some();
    cx.int(i64::from(found))
}

fn hstrlen(cx: &mut Context<'_>) -> Result<Done, Error> {
    let (db, key, field) = (cx.db(), cx.key(1), cx.arg(2));
    let value = cx.view.read_as::<Hash>(db, key)?.and_then(|hash| hash.get(field));
    let len = value.map_or(0, |value| value.len());
    cx.int(len as i64)
}

fn hincrby(cx: &mut Context<'_>) -> Result<Done, Error> {
    const NOT_INTEGER: Error = Error::new("ERR hash value is not an integer");
    const OVERFLOW: Error = Error::new("ERR increment or decrement would overflow");
    let increment = cx.integer(3)?;
    let (db, key, limits, field) = (cx.db(), cx.key(1), cx.config.limits(), cx.arg(2));
    let dirty = cx.view.dirty();
    let sum = cx.view.change::<Hash, _>(db, key, (&limits, true), |hash| {
        let mut digits = itoa::Buffer::new();
        let old = match hash.as_ref().get(field) {
            None => 0,
            Some(value) => integer(value.as_bytes(&mut digits)).map_err(|_| NOT_INTEGER)?,
        };
        let sum = old.checked_add(increment).ok_or(OVERFLOW)?;
        hash.put(field, digits.format(sum).as_bytes(), Deadline::Keep);
        Ok::<i64, Error>(sum)
    })?;
    cx.notify_since(dirty, class::HASH, "hincrby", key);
    cx.int(sum.transpose()?.unwrap_or(0))
}

fn hincrbyfloat(cx: &mut Context<'_>) -> Result<Done, Error> {
    const NOT_FLOAT: Error = Error::new("ERR hash value is not a float");
    let increment = LongDouble::parse(cx.arg(3)).ok_or(Error::NOT_FLOAT)?;
    if !increment.is_finite() {
        return Err(Error::new("ERR value is NaN or Infinity"));
    }
    let (db, key, limits, field) = (cx.db(), cx.key(1), cx.config.limits(), cx.arg(2));
    let dirty = cx.view.dirty();
    let sum = cx.view.change::<Hash, _>(db, key, (&limits, true), |hash| {
        let mut digits = itoa::Buffer::new();
        let old = match hash.as_ref().get(field) {
            None => LongDouble::ZERO,
            Some(value) => LongDouble::parse(value.as_bytes(&mut digits)).ok_or(NOT_FLOAT)?,
        };
        let sum = old.plus(increment);
        if !sum.is_finite() {
            return Err(Error::new("ERR increment would produce NaN or Infinity"));
        }
        let text = sum.to_text();
        hash.put(field, text.as_bytes(), Deadline::Keep);
        Ok(text)
    })?;
    cx.notify_since(dirty, class::HASH, "hincrbyfloat", key);
    cx.reply.bulk(sum.transpose()?.unwrap_or_default().as_bytes());
    Ok(Done::Replied)
}
