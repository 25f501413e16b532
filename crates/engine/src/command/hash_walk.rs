//! Hashes as a whole: all fields, random fields, and a walk a few fields at a time.
//!
//! HRANDFIELD with a count draws single fields while these are few beside the hash, and otherwise
//! passes over all fields once, keeping each with the probability that leaves the right number.
//! HSCAN's cursor is a position in the hash's table, as SCAN's is in the keyspace's; a packed hash
//! comes at once. Transcripts: `tests/transcripts/hash`.

use std::collections::HashSet;

use pannier_resp::{Protocol, Reply};
use pannier_store::{Hash, HashRef, Piece};

use super::keys::{KeySpec, access};
use super::row::{Command, Context, Done, Group, categories, flags, reply_piece};
use super::scan::{ScanOptions, cursor};
use crate::args::Options;
use crate::error::Error;

/// The family's rows.
pub(super) const ROWS: &[Command] = &[HGETALL, HKEYS, HVALS, HRANDFIELD, HSCAN];

/// What is told of a field.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tell {
    Fields,
    Values,
    Both,
}

const HGETALL: Command = Command {
    name: "hgetall",
    since: "2.0.0",
    group: Group::Hash,
    arity: 2,
    flags: flags::READONLY,
    categories: categories::HASH,
    keys: &[KeySpec::one(1, access::RO | access::ACCESS)],
    syntax: "key",
    summary: "Returns all fields with their values.",
    complexity: "O(N) with N the number of fields of the hash",
    tips: &["nondeterministic_output_order"],
    handler: hgetall,
    ..Command::DEFAULT
};

const HKEYS: Command = Command {
    name: "hkeys",
    since: "2.0.0",
    group: Group::Hash,
    arity: 2,
    flags: flags::READONLY,
    categories: categories::HASH,
    keys: &[KeySpec::one(1, access::RO | access::ACCESS)],
    syntax: "key",
    summary: "Returns the names of all fields.",
    complexity: "O(N) with N the number of fields of the hash",
    tips: &["nondeterministic_output_order"],
    handler: hkeys,
    ..Command::DEFAULT
};

const HVALS: Command = Command {
    name: "hvals",
    since: "2.0.0",
    group: Group::Hash,
    arity: 2,
    flags: flags::READONLY,
    categories: categories::HASH,
    keys: &[KeySpec::one(1, access::RO | access::ACCESS)],
    syntax: "key",
    summary: "Returns the values of all fields.",
    complexity: "O(N) with N the number of fields of the hash",
    tips: &["nondeterministic_output_order"],
    handler: hvals,
    ..Command::DEFAULT
};

const HRANDFIELD: Command = Command {
    name: "hrandfield",
    since: "6.2.0",
    group: Group::Hash,
    arity: -2,
    flags: flags::READONLY,
    categories: categories::HASH,
    keys: &[KeySpec::one(1, access::RO | access::ACCESS)],
    syntax: "key [count [WITHVALUES]]",
    summary: "Returns random fields.",
    complexity: "O(N) with N the number of fields returned",
    tips: &["nondeterministic_output"],
    handler: hrandfield,
    ..Command::DEFAULT
};

const HSCAN: Command = Command {
    name: "hscan",
    since: "2.8.0",
    group: Group::Hash,
    arity: -3,
    flags: flags::READONLY,
    categories: categories::HASH,
    keys: &[KeySpec::one(1, access::RO | access::ACCESS)],
    syntax: "key cursor [MATCH pattern] [COUNT count] [NOVALUES]",
    summary: "Walks over the fields of a hash a few at a time.",
    complexity: "O(1) a call; O(N) for a whole walk, with N the number of fields",
    tips: &["nondeterministic_output"],
    handler: hscan,
    ..Command::DEFAULT
};

fn hgetall(cx: &mut Context<'_>) -> Result<Done, Error> {
    all(cx, Tell::Both)
}

fn hkeys(cx: &mut Context<'_>) -> Result<Done, Error> {
    all(cx, Tell::Fields)
}

fn hvals(cx: &mut Context<'_>) -> Result<Done, Error> {
    all(cx, Tell::Values)
}

fn all(cx: &mut Context<'_>, tell: Tell) -> Result<Done, Error> {
    let (db, key) = (cx.db(), cx.key(1));
    let hash = cx.view.read_as::<Hash>(db, key)?;
    let len = hash.map_or(0, |hash| hash.len());
    match tell {
        Tell::Both => cx.reply.map(len),
        Tell::Fields | Tell::Values => cx.reply.array(len),
    }
    if let Some(hash) = hash {
        hash.for_each(|field, value| write(cx.reply, tell, field, value));
    }
    Ok(Done::Replied)
}

#[inline]
fn write(reply: &mut Reply, tell: Tell, field: Piece<'_>, value: Piece<'_>) {
    if tell != Tell::Values {
        reply_piece(reply, field);
    }
    if tell != Tell::Fields {
        reply_piece(reply, value);
    }
}

fn hrandfield(cx: &mut Context<'_>) -> Result<Done, Error> {
    let count = if cx.args.len() > 2 { Some(random_count(cx)?) } else { None };
    let (db, key, tell) =
        (cx.db(), cx.key(1), if cx.args.len() > 3 { Tell::Both } else { Tell::Fields });
    let mut rng = cx.view.rng(key);
    let hash = cx.view.read_as::<Hash>(db, key)?;
    match (count, hash) {
        (None, None) => cx.reply.null(),
        (None, Some(hash)) => match hash.random(&mut rng) {
            Some((field, _)) => reply_piece(cx.reply, field),
            None => cx.reply.null(),
        },
        (Some(_), None) => cx.reply.array(0),
        (Some(count), Some(hash)) if count < 0 => {
            let times = count.unsigned_abs() as usize;
            announce(cx.reply, tell, times);
            for _ in 0..times {
                if let Some((field, value)) = hash.random(&mut rng) {
                    write_random(cx.reply, tell, field, value);
                }
            }
        }
        (Some(count), Some(hash)) => {
            let reply = &mut *cx.reply;
            distinct(reply, hash, (count as usize, tell), &mut rng);
        }
    }
    Ok(Done::Replied)
}

/// How many random fields are wanted; a negative number allows repetitions.
fn random_count(cx: &Context<'_>) -> Result<i64, Error> {
    let count = cx.integer(2)?;
    if count == i64::MIN {
        return Err(Error::new(
            "ERR value is out of range, value must between -9223372036854775807 and \
             9223372036854775807",
        ));
    }
    if cx.args.len() > 3 {
        if cx.args.len() > 4 || !cx.is(3, "WITHVALUES") {
            return Err(Error::SYNTAX);
        }
        if count.unsigned_abs() > i64::MAX as u64 / 2 {
            return Err(Error::OUT_OF_RANGE);
        }
    }
    Ok(count)
}

/// Announces so many random fields: with values a flat list in RESP2, a list of pairs in RESP3.
fn announce(reply: &mut Reply, tell: Tell, fields: usize) {
    let flat = tell == Tell::Both && reply.protocol() == Protocol::Resp2;
    reply.array(if flat { fields * 2 } else { fields });
}

fn write_random(reply: &mut Reply, tell: Tell, field: Piece<'_>, value: Piece<'_>) {
    if tell == Tell::Both && reply.protocol() == Protocol::Resp3 {
        reply.array(2);
    }
    write(reply, tell, field, value);
}

/// Replies up to `count` random fields, all different.
fn distinct(
    reply: &mut Reply,
    hash: HashRef<'_>,
    (count, tell): (usize, Tell),
    rng: &mut fastrand::Rng,
) {
    let len = hash.len();
    let count = count.min(len);
    announce(reply, tell, count);
    if hash.draws_well() && count < len / DRAWN_PART {
        let mut drawn = HashSet::with_capacity(count);
        while drawn.len() < count {
            let Some((field, value)) = hash.random(rng) else { break };
            if let Piece::Bytes(name) = field
                && drawn.insert(name)
            {
                write_random(reply, tell, field, value);
            }
        }
        return;
    }
    let (mut wanted, mut left) = (count, len);
    hash.for_each(|field, value| {
        if wanted > 0 && rng.usize(..left) < wanted {
            wanted -= 1;
            write_random(reply, tell, field, value);
        }
        left -= 1;
    });
}

/// Up to this part of a large hash, different fields are drawn one by one.
const DRAWN_PART: usize = 3;

fn hscan(cx: &mut Context<'_>) -> Result<Done, Error> {
    let start = cursor(cx.arg(2))?;
    let (db, key) = (cx.db(), cx.key(1));
    let Some(hash) = cx.view.read_as::<Hash>(db, key)? else {
        cx.reply.array(2);
        cx.reply.bulk(b"0");
        cx.reply.array(0);
        return Ok(Done::Replied);
    };
    let options = ScanOptions::parse(Options::new(cx.args, 3), "NOVALUES")?;
    let mut digits = itoa::Buffer::new();
    let (mut found, mut seen, mut crossed) = (Vec::new(), 0, 0usize);
    let mut position = start.0;
    loop {
        crossed += 1;
        position = hash.scan(position, |field, value| {
            seen += 1;
            if options.matches(field.as_bytes(&mut digits)) {
                found.push((field, value));
            }
        });
        let enough = seen >= options.count || crossed >= options.count.saturating_mul(10);
        if position == 0 || enough {
            break;
        }
    }
    let tell = if options.names_only { Tell::Fields } else { Tell::Both };
    cx.reply.array(2);
    cx.reply.bulk_integer(position as i64);
    cx.reply.array(found.len() * if options.names_only { 1 } else { 2 });
    for (field, value) in found {
        write(cx.reply, tell, field, value);
    }
    Ok(Done::Replied)
}
