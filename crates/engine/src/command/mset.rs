//! Strings under several keys at once: MGET, MSET, MSETNX, MSETEX.
//!
//! All keys are open while the handler runs, so each of these is atomic against every other
//! client. Transcripts: `tests/transcripts/string`.

use pannier_store::{Deadline, class};

use super::keys::{KeySpec, access};
use super::row::{Command, Context, Done, Group, categories, flags, reply_string};
use crate::args::{Options, Unit, is};
use crate::error::Error;

/// The family's rows.
pub(super) const ROWS: &[Command] = &[MGET, MSET, MSETNX, MSETEX];

const MGET: Command = Command {
    name: "mget",
    since: "1.0.0",
    group: Group::String,
    arity: -2,
    flags: flags::FAST | flags::READONLY,
    categories: categories::STRING,
    keys: &[KeySpec::range(1, -1, 1, access::RO | access::ACCESS)],
    syntax: "key [key ...]",
    summary: "Returns the string values of several keys at once.",
    complexity: "O(N) with N the number of keys",
    tips: &["request_policy:multi_shard"],
    handler: mget,
    ..Command::DEFAULT
};

const MSET: Command = Command {
    name: "mset",
    since: "1.0.1",
    group: Group::String,
    arity: -3,
    flags: flags::DENYOOM | flags::WRITE,
    categories: categories::STRING,
    keys: &[KeySpec::range(1, -1, 2, access::OW | access::UPDATE)],
    stores: 1,
    syntax: "key value [key value ...]",
    summary: "Stores strings under several keys at once.",
    complexity: "O(N) with N the number of keys",
    tips: &["request_policy:multi_shard", "response_policy:all_succeeded"],
    handler: mset,
    ..Command::DEFAULT
};

const MSETNX: Command = Command {
    name: "msetnx",
    since: "1.0.1",
    group: Group::String,
    arity: -3,
    flags: flags::DENYOOM | flags::WRITE,
    categories: categories::STRING,
    keys: &[KeySpec::range(1, -1, 2, access::OW | access::INSERT)],
    stores: 1,
    syntax: "key value [key value ...]",
    summary: "Stores strings under several keys if none of them exists.",
    complexity: "O(N) with N the number of keys",
    handler: msetnx,
    ..Command::DEFAULT
};

const MSETEX: Command = Command {
    name: "msetex",
    since: "9.1.0",
    group: Group::String,
    arity: -4,
    flags: flags::DENYOOM | flags::MOVABLE_KEYS | flags::WRITE,
    categories: categories::STRING,
    keys: &[KeySpec::counted(1, 2, access::OW | access::UPDATE)],
    stores: 1,
    syntax: "numkeys key value [key value ...] [NX | XX] [EX seconds | PX milliseconds | EXAT \
             unix-time-seconds | PXAT unix-time-milliseconds | KEEPTTL]",
    summary: "Stores strings under several keys with one condition and one time to live.",
    complexity: "O(N) with N the number of keys",
    tips: &["request_policy:multi_shard", "response_policy:all_succeeded"],
    handler: msetex,
    ..Command::DEFAULT
};

fn mget(cx: &mut Context<'_>) -> Result<Done, Error> {
    let db = cx.db();
    cx.reply.array(cx.args.len() - 1);
    for at in 1..cx.args.len() {
        let key = cx.key(at);
        match cx.view.string(db, key) {
            // A key of another type is no string: nil, not an error.
            Ok(None) | Err(_) => cx.reply.null(),
            Ok(Some(value)) => reply_string(cx.reply, value),
        }
    }
    Ok(Done::Replied)
}

/// Stores the pairs in the arguments from `first` on, `n` of them.
fn store(cx: &mut Context<'_>, first: usize, n: usize, deadline: Deadline) {
    let db = cx.db();
    let past = matches!(deadline, Deadline::At(at) if at <= cx.now.unix_ms());
    for at in (0..n).map(|i| first + 2 * i) {
        let key = cx.key(at);
        if past {
            // Stored and gone at once.
            cx.view.remove(db, key);
            cx.notify(class::STRING, "set", key);
            cx.notify(class::GENERIC, "expire", key);
            cx.notify(class::EXPIRED, "expired", key);
        } else {
            let value = cx.value(at + 1);
            cx.view.set(db, key, value, deadline);
            cx.notify(class::STRING, "set", key);
            if matches!(deadline, Deadline::At(_)) {
                cx.notify(class::GENERIC, "expire", key);
            }
        }
    }
}

/// Whether any of the keys of the pairs exists, or whether all do.
fn present(cx: &mut Context<'_>, first: usize, n: usize) -> (bool, bool) {
    let db = cx.db();
    let (mut any, mut all) = (false, true);
    for at in (0..n).map(|i| first + 2 * i) {
        let key = cx.key(at);
        let there = cx.view.look_to_write(db, key).is_some();
        any |= there;
        all &= there;
    }
    (any, all)
}

fn mset(cx: &mut Context<'_>) -> Result<Done, Error> {
    if cx.args.len().is_multiple_of(2) {
        return Err(Error::arity("mset"));
    }
    store(cx, 1, cx.args.len() / 2, Deadline::Clear);
    cx.ok()
}

fn msetnx(cx: &mut Context<'_>) -> Result<Done, Error> {
    if cx.args.len().is_multiple_of(2) {
        return Err(Error::arity("msetnx"));
    }
    let n = cx.args.len() / 2;
    if present(cx, 1, n).0 {
        return cx.int(0);
    }
    store(cx, 1, n, Deadline::Clear);
    cx.int(1)
}

fn msetex(cx: &mut Context<'_>) -> Result<Done, Error> {
    let n = match cx.integer(1) {
        Ok(n) if (1..=i64::from(i32::MAX)).contains(&n) => n as usize,
        _ => return Err(Error::new("ERR invalid numkeys value or out of range")),
    };
    let end = n.checked_mul(2).and_then(|args| args.checked_add(2));
    let Some(end) = end.filter(|end| *end <= cx.args.len()) else {
        return Err(Error::SYNTAX);
    };
    let mut options = Options::new(cx.args, end);
    let (mut absent, mut present_all, mut keep) = (false, false, false);
    let mut expiry = None;
    while let Some(word) = options.next() {
        if is(word, "NX") && !present_all {
            absent = true;
        } else if is(word, "XX") && !absent {
            present_all = true;
        } else if is(word, "KEEPTTL") && expiry.is_none() {
            keep = true;
        } else if let Some(unit) = Unit::of(word)
            && expiry.is_none_or(|(held, _)| held == unit)
            && !keep
        {
            expiry = Some((unit, options.value()?));
        } else {
            return Err(Error::SYNTAX);
        }
    }
    let deadline = match expiry {
        Some((unit, value)) => Deadline::At(unit.deadline(value, cx.now, "msetex")?),
        None if keep => Deadline::Keep,
        None => Deadline::Clear,
    };
    let (any, all) = present(cx, 2, n);
    if absent && any || present_all && !all {
        return cx.int(0);
    }
    store(cx, 2, n, deadline);
    cx.int(1)
}
