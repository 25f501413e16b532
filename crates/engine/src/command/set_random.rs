//! Random members of a set: SPOP and SRANDMEMBER.
//!
//! The store chooses (`set_sample`), with a generator drawn from the key's shard, so that a
//! replayed server chooses the same. Transcripts: `tests/transcripts/set`.

use pannier_resp::parse_i64;
use pannier_store::{Set, class};

use super::keys::{KeySpec, access};
use super::row::{Command, Context, Done, Group, categories, flags};
use super::set::reply_member;
use crate::error::Error;

/// The family's rows.
pub(super) const ROWS: &[Command] = &[SPOP, SRANDMEMBER];

const SPOP: Command = Command {
    name: "spop",
    since: "1.0.0",
    group: Group::Set,
    arity: -2,
    flags: flags::FAST | flags::WRITE,
    categories: categories::SET,
    keys: &[KeySpec::one(1, access::RW | access::ACCESS | access::DELETE)],
    syntax: "key [count]",
    summary: "Takes random members out of a set and returns them.",
    complexity: "O(1) without a count, else O(N) with N the count",
    tips: &["nondeterministic_output"],
    history: &[("3.2.0", "Added the `count` argument.")],
    handler: spop,
    ..Command::DEFAULT
};

const SRANDMEMBER: Command = Command {
    name: "srandmember",
    since: "1.0.0",
    group: Group::Set,
    arity: -2,
    flags: flags::READONLY,
    categories: categories::SET,
    keys: &[KeySpec::one(1, access::RO | access::ACCESS)],
    syntax: "key [count]",
    summary: "Returns random members of a set.",
    complexity: "O(1) without a count, else O(N) with N the count without its sign",
    tips: &["nondeterministic_output"],
    history: &[("2.6.0", "Added the optional `count` argument.")],
    handler: srandmember,
    ..Command::DEFAULT
};

fn spop(cx: &mut Context<'_>) -> Result<Done, Error> {
    let (db, key, limits) = (cx.db(), cx.key(1), cx.config.limits());
    match cx.args.len() {
        2 => {}
        3 => return spop_some(cx),
        _ => return Err(Error::SYNTAX),
    }
    let mut rng = cx.view.rng(key);
    let reply = &mut *cx.reply;
    let dirty = cx.view.dirty();
    let popped = cx.view.change::<Set, _>(db, key, (&limits, false), |set| {
        set.pop(&mut rng, |member| reply_member(reply, member));
    })?;
    cx.notify_since(dirty, class::SET, "spop", key);
    if popped.is_none() {
        cx.reply.null();
    }
    Ok(Done::Replied)
}

fn spop_some(cx: &mut Context<'_>) -> Result<Done, Error> {
    let (db, key, limits) = (cx.db(), cx.key(1), cx.config.limits());
    let count = parse_i64(cx.arg(2)).and_then(|count| usize::try_from(count).ok());
    let count = count.ok_or(Error::NOT_POSITIVE)?;
    let len = match cx.view.look_to_write(db, key) {
        None => 0,
        Some(found) => found.collection::<Set>()?.len(),
    };
    let mut rng = cx.view.rng(key);
    let reply = &mut *cx.reply;
    reply.set(count.min(len));
    if count == 0 {
        return Ok(Done::Replied);
    }
    let dirty = cx.view.dirty();
    cx.view.change::<Set, _>(db, key, (&limits, false), |set| {
        set.pop_some(count, &mut rng, |member| reply_member(reply, member));
    })?;
    cx.notify_since(dirty, class::SET, "spop", key);
    Ok(Done::Replied)
}

fn srandmember(cx: &mut Context<'_>) -> Result<Done, Error> {
    let (db, key) = (cx.db(), cx.key(1));
    match cx.args.len() {
        2 => {}
        3 => return srandmember_some(cx),
        _ => return Err(Error::SYNTAX),
    }
    let mut rng = cx.view.rng(key);
    match cx.view.read_as::<Set>(db, key)?.and_then(|set| set.random(&mut rng)) {
        None => cx.reply.null(),
        Some(member) => reply_member(cx.reply, member),
    }
    Ok(Done::Replied)
}

fn srandmember_some(cx: &mut Context<'_>) -> Result<Done, Error> {
    const OUT_OF_RANGE: Error = Error::new(
        "ERR value is out of range, value must between -9223372036854775807 and \
         9223372036854775807",
    );
    let (db, key, count) = (cx.db(), cx.key(1), cx.integer(2)?);
    if count == i64::MIN {
        return Err(OUT_OF_RANGE);
    }
    let wanted = count.unsigned_abs() as usize;
    let mut rng = cx.view.rng(key);
    let reply = &mut *cx.reply;
    match cx.view.read_as::<Set>(db, key)? {
        Some(set) if count > 0 => {
            reply.array(wanted.min(set.len()));
            set.random_distinct(wanted, &mut rng, |member| reply_member(reply, member));
        }
        Some(set) if count < 0 => {
            reply.array(wanted);
            set.random_any(wanted, &mut rng, |member| reply_member(reply, member));
        }
        _ => reply.array(0),
    }
    Ok(Done::Replied)
}
