//! Strings: reading and writing whole values, with conditions and deadlines.
//!
//! Values over several keys are in `mset`, counters in `counter`, parts of a value in `substring`.
//! SET without options, the commonest write, takes a path of its own past the option parser.
//! Transcripts: `tests/transcripts/string`.

use pannier_store::{Deadline, Key, Str, StrBuffer, class};

use super::keys::{KeySpec, access};
use super::row::{Command, Context, Done, Group, categories, flags, reply_string};
use crate::args::{Options, Unit, is};
use crate::error::Error;

/// The family's rows.
pub(super) const ROWS: &[Command] =
    &[GET, SET, SETEX, PSETEX, SETNX, GETSET, GETDEL, GETEX, DELIFEQ];

const GET: Command = Command {
    name: "get",
    since: "1.0.0",
    group: Group::String,
    arity: 2,
    flags: flags::FAST | flags::READONLY,
    categories: categories::STRING,
    keys: &[KeySpec::one(1, access::RO | access::ACCESS)],
    syntax: "key",
    summary: "Returns the string value of a key.",
    complexity: "O(1)",
    handler: get,
    ..Command::DEFAULT
};

const SET: Command = Command {
    name: "set",
    since: "1.0.0",
    group: Group::String,
    arity: -3,
    flags: flags::DENYOOM | flags::WRITE,
    categories: categories::STRING,
    keys: &[KeySpec::one(1, access::RW | access::ACCESS | access::UPDATE | access::VARIABLE)
        .noted("reads the old value only with GET")],
    stores: 1,
    syntax: "key value [NX | XX | IFEQ comparison-value] [GET] [EX seconds | PX milliseconds \
             | EXAT unix-time-seconds | PXAT unix-time-milliseconds | KEEPTTL]",
    summary: "Stores a string under a key, whatever it held before.",
    complexity: "O(1)",
    handler: set,
    ..Command::DEFAULT
};

const SETEX: Command = Command {
    name: "setex",
    since: "2.0.0",
    group: Group::String,
    arity: 4,
    flags: flags::DENYOOM | flags::WRITE,
    categories: categories::STRING,
    keys: &[KeySpec::one(1, access::OW | access::UPDATE)],
    stores: 2,
    syntax: "key seconds value",
    summary: "Stores a string with a time to live in seconds.",
    complexity: "O(1)",
    handler: setex,
    ..Command::DEFAULT
};

const PSETEX: Command = Command {
    name: "psetex",
    since: "2.6.0",
    group: Group::String,
    arity: 4,
    flags: flags::DENYOOM | flags::WRITE,
    categories: categories::STRING,
    keys: &[KeySpec::one(1, access::OW | access::UPDATE)],
    stores: 2,
    syntax: "key milliseconds value",
    summary: "Stores a string with a time to live in milliseconds.",
    complexity: "O(1)",
    handler: psetex,
    ..Command::DEFAULT
};

const SETNX: Command = Command {
    name: "setnx",
    since: "1.0.0",
    group: Group::String,
    arity: 3,
    flags: flags::DENYOOM | flags::FAST | flags::WRITE,
    categories: categories::STRING,
    keys: &[KeySpec::one(1, access::OW | access::INSERT)],
    stores: 1,
    syntax: "key value",
    summary: "Stores a string if the key does not exist.",
    complexity: "O(1)",
    handler: setnx,
    ..Command::DEFAULT
};

const GETSET: Command = Command {
    name: "getset",
    since: "1.0.0",
    group: Group::String,
    arity: 3,
    flags: flags::DENYOOM | flags::FAST | flags::WRITE,
    categories: categories::STRING,
    keys: &[KeySpec::one(1, access::RW | access::ACCESS | access::UPDATE)],
    stores: 1,
    syntax: "key value",
    summary: "Stores a string and returns the one it replaces.",
    complexity: "O(1)",
    handler: getset,
    ..Command::DEFAULT
};

const GETDEL: Command = Command {
    name: "getdel",
    since: "6.2.0",
    group: Group::String,
    arity: 2,
    flags: flags::FAST | flags::WRITE,
    categories: categories::STRING,
    keys: &[KeySpec::one(1, access::RW | access::ACCESS | access::DELETE)],
    syntax: "key",
    summary: "Returns the string value of a key and removes the key.",
    complexity: "O(1)",
    handler: getdel,
    ..Command::DEFAULT
};

const GETEX: Command = Command {
    name: "getex",
    since: "6.2.0",
    group: Group::String,
    arity: -2,
    flags: flags::FAST | flags::WRITE,
    categories: categories::STRING,
    keys: &[KeySpec::one(1, access::RW | access::ACCESS | access::UPDATE)
        .noted("writes only the deadline")],
    syntax: "key [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT \
             unix-time-milliseconds | PERSIST]",
    summary: "Returns the string value of a key and changes its time to live.",
    complexity: "O(1)",
    handler: getex,
    ..Command::DEFAULT
};

const DELIFEQ: Command = Command {
    name: "delifeq",
    since: "9.0.0",
    group: Group::String,
    arity: 3,
    flags: flags::FAST | flags::WRITE,
    categories: categories::STRING,
    keys: &[KeySpec::one(1, access::RM | access::DELETE)],
    syntax: "key value",
    summary: "Removes a key if it holds exactly this string.",
    complexity: "O(1)",
    handler: delifeq,
    ..Command::DEFAULT
};

fn get(cx: &mut Context<'_>) -> Result<Done, Error> {
    let (db, key) = (cx.db(), cx.key(1));
    match cx.view.string(db, key)? {
        None => cx.reply.null(),
        Some(value) => reply_string(cx.reply, value),
    }
    Ok(Done::Replied)
}

/// What SET must find for it to write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Condition<'a> {
    /// Anything.
    #[default]
    Always,
    /// No key.
    Absent,
    /// A key.
    Present,
    /// A string that equals this one.
    Equals(&'a [u8]),
}

/// The options of SET.
#[derive(Default)]
struct SetOptions<'a> {
    condition: Condition<'a>,
    get: bool,
    keep_ttl: bool,
    expiry: Option<(Unit, &'a [u8])>,
}

impl<'a> SetOptions<'a> {
    fn parse(cx: &Context<'a>) -> Result<Self, Error> {
        let mut parsed = Self::default();
        let mut options = Options::new(cx.args, 3);
        while let Some(word) = options.next() {
            let free = parsed.condition == Condition::Always;
            if is(word, "NX") && (free || parsed.condition == Condition::Absent) {
                parsed.condition = Condition::Absent;
            } else if is(word, "XX") && (free || parsed.condition == Condition::Present) {
                parsed.condition = Condition::Present;
            } else if is(word, "IFEQ") && free && options.has_value() {
                parsed.condition = Condition::Equals(options.value()?);
            } else if is(word, "GET") {
                parsed.get = true;
            } else if is(word, "KEEPTTL") && parsed.expiry.is_none() {
                parsed.keep_ttl = true;
            } else if let Some(unit) = Unit::of(word)
                && parsed.expiry.is_none_or(|(held, _)| held == unit)
                && !parsed.keep_ttl
            {
                parsed.expiry = Some((unit, options.value()?));
            } else {
                return Err(Error::SYNTAX);
            }
        }
        Ok(parsed)
    }
}

fn set(cx: &mut Context<'_>) -> Result<Done, Error> {
    if cx.args.len() == 3 {
        let (db, key, value) = (cx.db(), cx.key(1), cx.value(2));
        cx.view.set(db, key, value, Deadline::Clear);
        cx.notify(class::STRING, "set", key);
        return cx.ok();
    }
    let options = SetOptions::parse(cx)?;
    let deadline = match options.expiry {
        Some((unit, value)) => Deadline::At(unit.deadline(value, cx.now, "set")?),
        None if options.keep_ttl => Deadline::Keep,
        None => Deadline::Clear,
    };
    let (db, key) = (cx.db(), cx.key(1));
    if options.get {
        match cx.view.string(db, key)? {
            None => cx.reply.null(),
            Some(value) => reply_string(cx.reply, value),
        }
    }
    let allowed = match options.condition {
        Condition::Always => true,
        Condition::Absent => cx.view.look_to_write(db, key).is_none(),
        Condition::Present => cx.view.look_to_write(db, key).is_some(),
        Condition::Equals(expected) => match cx.view.look_to_write(db, key) {
            None => false,
            Some(found) => equals(found.string()?, expected),
        },
    };
    if !allowed {
        if !options.get {
            cx.reply.null();
        }
        return Ok(Done::Replied);
    }
    store(cx, key, deadline, 2);
    if !options.get {
        cx.reply.ok();
    }
    Ok(Done::Replied)
}

/// Stores the argument at `at`; one whose deadline has passed already is a removal.
fn store(cx: &mut Context<'_>, key: Key<'_>, deadline: Deadline, at: usize) {
    let db = cx.db();
    if matches!(deadline, Deadline::At(at) if at <= cx.now.unix_ms()) {
        if cx.view.expire(db, key) {
            cx.notify(class::EXPIRED, "expired", key);
        }
    } else {
        let value = cx.value(at);
        cx.view.set(db, key, value, deadline);
        cx.notify(class::STRING, "set", key);
        if matches!(deadline, Deadline::At(_)) {
            cx.notify(class::GENERIC, "expire", key);
        }
    }
}

fn equals(value: Str<'_>, expected: &[u8]) -> bool {
    value.len() == expected.len() && value.as_bytes(&mut StrBuffer::new()) == expected
}

fn setex(cx: &mut Context<'_>) -> Result<Done, Error> {
    set_with_ttl(cx, Unit::Seconds)
}

fn psetex(cx: &mut Context<'_>) -> Result<Done, Error> {
    set_with_ttl(cx, Unit::Milliseconds)
}

fn set_with_ttl(cx: &mut Context<'_>, unit: Unit) -> Result<Done, Error> {
    let deadline = unit.deadline(cx.arg(2), cx.now, cx.command.name)?;
    let key = cx.key(1);
    store(cx, key, Deadline::At(deadline), 3);
    cx.ok()
}

fn setnx(cx: &mut Context<'_>) -> Result<Done, Error> {
    let (db, key, value) = (cx.db(), cx.key(1), cx.value(2));
    if cx.view.look_to_write(db, key).is_some() {
        return cx.int(0);
    }
    cx.view.set(db, key, value, Deadline::Clear);
    cx.notify(class::STRING, "set", key);
    cx.int(1)
}

fn getset(cx: &mut Context<'_>) -> Result<Done, Error> {
    get(cx)?;
    let (db, key, value) = (cx.db(), cx.key(1), cx.value(2));
    cx.view.set(db, key, value, Deadline::Clear);
    cx.notify(class::STRING, "set", key);
    Ok(Done::Replied)
}

fn getdel(cx: &mut Context<'_>) -> Result<Done, Error> {
    get(cx)?;
    let (db, key) = (cx.db(), cx.key(1));
    if cx.view.remove(db, key) {
        cx.notify(class::GENERIC, "del", key);
    }
    Ok(Done::Replied)
}

fn getex(cx: &mut Context<'_>) -> Result<Done, Error> {
    let mut options = Options::new(cx.args, 2);
    let mut change: Option<Option<(Unit, &[u8])>> = None;
    while let Some(word) = options.next() {
        let unit = Unit::of(word);
        // The same word again is no contradiction.
        if change.is_some_and(|held| held.map(|(held, _)| held) != unit) {
            return Err(Error::SYNTAX);
        } else if is(word, "PERSIST") {
            change = Some(None);
        } else if let Some(unit) = unit {
            change = Some(Some((unit, options.value()?)));
        } else {
            return Err(Error::SYNTAX);
        }
    }
    let deadline = match change {
        Some(Some((unit, value))) => Some(Some(unit.deadline(value, cx.now, "getex")?)),
        Some(None) => Some(None),
        None => None,
    };
    get(cx)?;
    let (db, key, now_ms) = (cx.db(), cx.key(1), cx.now.unix_ms());
    match deadline {
        Some(Some(at)) if at <= now_ms => {
            if cx.view.expire(db, key) {
                cx.notify(class::EXPIRED, "expired", key);
            }
        }
        Some(Some(at)) => {
            if cx.view.set_deadline(db, key, Some(at)) {
                cx.notify(class::GENERIC, "expire", key);
            }
        }
        Some(None) if cx.view.peek(db, key).is_some_and(|found| found.deadline().is_some()) => {
            cx.view.set_deadline(db, key, None);
            cx.notify(class::GENERIC, "persist", key);
        }
        None | Some(None) => {}
    }
    Ok(Done::Replied)
}

fn delifeq(cx: &mut Context<'_>) -> Result<Done, Error> {
    let (db, key, expected) = (cx.db(), cx.key(1), cx.arg(2));
    let Some(found) = cx.view.look_to_write(db, key) else { return cx.int(0) };
    if !equals(found.string()?, expected) {
        return cx.int(0);
    }
    cx.view.remove(db, key);
    cx.notify(class::GENERIC, "del", key);
    cx.int(1)
}
