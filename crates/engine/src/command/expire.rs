//! Expiry: setting, reading and removing deadlines.
//!
//! A deadline is kept in Unix milliseconds whatever the command's unit. One in the past removes
//! the key at once. Transcripts: `tests/transcripts/generic`; the wheel's tests are in `store`.

use pannier_store::class;

use super::keys::{KeySpec, access};
use super::row::{Command, Context, Done, Group, categories, flags};
use crate::args::{Unit, is};
use crate::error::{Error, quoted};

/// The family's rows.
pub(super) const ROWS: &[Command] =
    &[EXPIRE, PEXPIRE, EXPIREAT, PEXPIREAT, TTL, PTTL, EXPIRETIME, PEXPIRETIME, PERSIST];

const EXPIRE: Command = Command {
    name: "expire",
    since: "1.0.0",
    group: Group::Generic,
    arity: -3,
    flags: flags::FAST | flags::WRITE,
    categories: categories::KEYSPACE,
    keys: &[KeySpec::one(1, access::RW | access::UPDATE)],
    syntax: "key seconds [NX | XX | GT | LT]",
    summary: "Sets the time to live of a key in seconds.",
    complexity: "O(1)",
    handler: expire,
    ..Command::DEFAULT
};

const PEXPIRE: Command = Command {
    name: "pexpire",
    since: "2.6.0",
    group: Group::Generic,
    arity: -3,
    flags: flags::FAST | flags::WRITE,
    categories: categories::KEYSPACE,
    keys: &[KeySpec::one(1, access::RW | access::UPDATE)],
    syntax: "key milliseconds [NX | XX | GT | LT]",
    summary: "Sets the time to live of a key in milliseconds.",
    complexity: "O(1)",
    handler: pexpire,
    ..Command::DEFAULT
};

const EXPIREAT: Command = Command {
    name: "expireat",
    since: "1.2.0",
    group: Group::Generic,
    arity: -3,
    flags: flags::FAST | flags::WRITE,
    categories: categories::KEYSPACE,
    keys: &[KeySpec::one(1, access::RW | access::UPDATE)],
    syntax: "key unix-time-seconds [NX | XX | GT | LT]",
    summary: "Sets the time at which a key expires, in Unix seconds.",
    complexity: "O(1)",
    handler: expireat,
    ..Command::DEFAULT
};

const PEXPIREAT: Command = Command {
    name: "pexpireat",
    since: "2.6.0",
    group: Group::Generic,
    arity: -3,
    flags: flags::FAST | flags::WRITE,
    categories: categories::KEYSPACE,
    keys: &[KeySpec::one(1, access::RW | access::UPDATE)],
    syntax: "key unix-time-milliseconds [NX | XX | GT | LT]",
    summary: "Sets the time at which a key expires, in Unix milliseconds.",
    complexity: "O(1)",
    handler: pexpireat,
    ..Command::DEFAULT
};

const TTL: Command = Command {
    name: "ttl",
    since: "1.0.0",
    group: Group::Generic,
    arity: 2,
    flags: flags::FAST | flags::READONLY,
    categories: categories::KEYSPACE,
    keys: &[KeySpec::one(1, access::RO | access::ACCESS)],
    syntax: "key",
    summary: "Tells the time to live of a key in seconds.",
    complexity: "O(1)",
    tips: &["nondeterministic_output"],
    handler: ttl,
    ..Command::DEFAULT
};

const PTTL: Command = Command {
    name: "pttl",
    since: "2.6.0",
    group: Group::Generic,
    arity: 2,
    flags: flags::FAST | flags::READONLY,
    categories: categories::KEYSPACE,
    keys: &[KeySpec::one(1, access::RO | access::ACCESS)],
    syntax: "key",
    summary: "Tells the time to live of a key in milliseconds.",
    complexity: "O(1)",
    tips: &["nondeterministic_output"],
    handler: pttl,
    ..Command::DEFAULT
};

const EXPIRETIME: Command = Command {
    name: "expiretime",
    since: "7.0.0",
    group: Group::Generic,
    arity: 2,
    flags: flags::FAST | flags::READONLY,
    categories: categories::KEYSPACE,
    keys: &[KeySpec::one(1, access::RO | access::ACCESS)],
    syntax: "key",
    summary: "Tells the Unix time in seconds at which a key expires.",
    complexity: "O(1)",
    handler: expiretime,
    ..Command::DEFAULT
};

const PEXPIRETIME: Command = Command {
    name: "pexpiretime",
    since: "7.0.0",
    group: Group::Generic,
    arity: 2,
    flags: flags::FAST | flags::READONLY,
    categories: categories::KEYSPACE,
    keys: &[KeySpec::one(1, access::RO | access::ACCESS)],
    syntax: "key",
    summary: "Tells the Unix time in milliseconds at which a key expires.",
    complexity: "O(1)",
    handler: pexpiretime,
    ..Command::DEFAULT
};

const PERSIST: Command = Command {
    name: "persist",
    since: "2.2.0",
    group: Group::Generic,
    arity: 2,
    flags: flags::FAST | flags::WRITE,
    categories: categories::KEYSPACE,
    keys: &[KeySpec::one(1, access::RW | access::UPDATE)],
    syntax: "key",
    summary: "Removes the time to live of a key.",
    complexity: "O(1)",
    handler: persist,
    ..Command::DEFAULT
};

fn expire(cx: &mut Context<'_>) -> Result<Done, Error> {
    set(cx, Unit::Seconds)
}

fn pexpire(cx: &mut Context<'_>) -> Result<Done, Error> {
    set(cx, Unit::Milliseconds)
}

fn expireat(cx: &mut Context<'_>) -> Result<Done, Error> {
    set(cx, Unit::UnixSeconds)
}

fn pexpireat(cx: &mut Context<'_>) -> Result<Done, Error> {
    set(cx, Unit::UnixMilliseconds)
}

/// NX, XX, GT, LT.
#[derive(Clone, Copy, Default)]
pub(super) struct Conditions {
    none: bool,
    some: bool,
    greater: bool,
    less: bool,
}

impl Conditions {
    /// Reads them; other words are refused.
    pub(super) fn parse<'a>(words: impl Iterator<Item = &'a [u8]>) -> Result<Self, Error> {
        let mut parsed = Self::default();
        for word in words {
            if is(word, "NX") {
                parsed.none = true;
            } else if is(word, "XX") {
                parsed.some = true;
            } else if is(word, "GT") {
                parsed.greater = true;
            } else if is(word, "LT") {
                parsed.less = true;
            } else {
                let word = quoted(word, usize::MAX);
                return Err(Error::text(format!("ERR Unsupported option {word}")));
            }
        }
        if parsed.none && (parsed.some || parsed.greater || parsed.less) {
            return Err(Error::new(
                "ERR NX and XX, GT or LT options at the same time are not compatible",
            ));
        }
        if parsed.greater && parsed.less {
            return Err(Error::new("ERR GT and LT options at the same time are not compatible"));
        }
        Ok(parsed)
    }

    /// Whether `new` may replace `old`; no deadline counts as an infinite one.
    pub(super) fn allow(self, old: Option<u64>, new: i64) -> bool {
        let new = i128::from(new);
        let old_at = old.map_or(i128::MAX, i128::from);
        !(self.none && old.is_some()
            || self.some && old.is_none()
            || self.greater && new <= old_at
            || self.less && new >= old_at)
    }
}

fn set(cx: &mut Context<'_>, unit: Unit) -> Result<Done, Error> {
    let conditions = Conditions::parse(cx.args.from(3).iter())?;
    let value = cx.integer(2)?;
    let deadline = unit.deadline_of(value, cx.now);
    let deadline = deadline.ok_or_else(|| Error::invalid_expire(cx.command.name))?;
    let (db, key) = (cx.db(), cx.key(1));
    let Some(found) = cx.view.look_to_write(db, key) else { return cx.int(0) };
    if !conditions.allow(found.deadline(), deadline) {
        return cx.int(0);
    }
    match u64::try_from(deadline) {
        Ok(at) if at > cx.now.unix_ms() => {
            cx.view.set_deadline(db, key, Some(at));
            cx.notify(class::GENERIC, "expire", key);
        }
        Ok(_) | Err(_) => {
            cx.view.expire(db, key);
            cx.notify(class::EXPIRED, "expired", key);
        }
    }
    cx.int(1)
}

fn ttl(cx: &mut Context<'_>) -> Result<Done, Error> {
    tell(cx, |left, _| (left + 500) / 1000)
}

fn pttl(cx: &mut Context<'_>) -> Result<Done, Error> {
    tell(cx, |left, _| left)
}

fn expiretime(cx: &mut Context<'_>) -> Result<Done, Error> {
    tell(cx, |_, at| at.saturating_add(500) / 1000)
}

fn pexpiretime(cx: &mut Context<'_>) -> Result<Done, Error> {
    tell(cx, |_, at| at)
}

/// Replies what `show` makes of the milliseconds left and the deadline.
fn tell(cx: &mut Context<'_>, show: fn(u64, u64) -> u64) -> Result<Done, Error> {
    let (db, key) = (cx.db(), cx.key(1));
    let reply = match cx.view.look(db, key).map(|found| found.deadline()) {
        None => -2,
        Some(None) => -1,
        Some(Some(at)) => show(at.saturating_sub(cx.now.unix_ms()), at) as i64,
    };
    cx.int(reply)
}

fn persist(cx: &mut Context<'_>) -> Result<Done, Error> {
    let (db, key) = (cx.db(), cx.key(1));
    let found = cx.view.look_to_write(db, key);
    let volatile = found.is_some_and(|found| found.deadline().is_some());
    if volatile {
        cx.view.set_deadline(db, key, None);
        cx.notify(class::GENERIC, "persist", key);
    }
    cx.int(i64::from(volatile))
}
