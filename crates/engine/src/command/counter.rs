//! Counters: strings that hold numbers.
//!
//! Integers are kept as such in their entry, so INCR on an existing counter changes eight bytes in
//! place. INCRBYFLOAT computes as Redis does, in 80-bit floats (see `float`).
//! Transcripts: `tests/transcripts/string`.

use pannier_store::{Deadline, NewValue, StrBuffer, class};

use super::keys::{KeySpec, access};
use super::row::{Command, Context, Done, Group, categories, flags};
use crate::args::integer;
use crate::error::Error;
use crate::float::LongDouble;

/// The family's rows.
pub(super) const ROWS: &[Command] = &[INCR, DECR, INCRBY, DECRBY, INCRBYFLOAT];

const INCR: Command = Command {
    name: "incr",
    since: "1.0.0",
    group: Group::String,
    arity: 2,
    flags: flags::DENYOOM | flags::FAST | flags::WRITE,
    categories: categories::STRING,
    keys: &[KeySpec::one(1, access::RW | access::ACCESS | access::UPDATE)],
    syntax: "key",
    summary: "Adds one to the integer value of a key.",
    complexity: "O(1)",
    handler: incr,
    ..Command::DEFAULT
};

const DECR: Command = Command {
    name: "decr",
    since: "1.0.0",
    group: Group::String,
    arity: 2,
    flags: flags::DENYOOM | flags::FAST | flags::WRITE,
    categories: categories::STRING,
    keys: &[KeySpec::one(1, access::RW | access::ACCESS | access::UPDATE)],
    syntax: "key",
    summary: "Subtracts one from the integer value of a key.",
    complexity: "O(1)",
    handler: decr,
    ..Command::DEFAULT
};

const INCRBY: Command = Command {
    name: "incrby",
    since: "1.0.0",
    group: Group::String,
    arity: 3,
    flags: flags::DENYOOM | flags::FAST | flags::WRITE,
    categories: categories::STRING,
    keys: &[KeySpec::one(1, access::RW | access::ACCESS | access::UPDATE)],
    syntax: "key increment",
    summary: "Adds an integer to the integer value of a key.",
    complexity: "O(1)",
    handler: incrby,
    ..Command::DEFAULT
};

const DECRBY: Command = Command {
    name: "decrby",
    since: "1.0.0",
    group: Group::String,
    arity: 3,
    flags: flags::DENYOOM | flags::FAST | flags::WRITE,
    categories: categories::STRING,
    keys: &[KeySpec::one(1, access::RW | access::ACCESS | access::UPDATE)],
    syntax: "key decrement",
    summary: "Subtracts an integer from the integer value of a key.",
    complexity: "O(1)",
    handler: decrby,
    ..Command::DEFAULT
};

const INCRBYFLOAT: Command = Command {
    name: "incrbyfloat",
    since: "2.6.0",
    group: Group::String,
    arity: 3,
    flags: flags::DENYOOM | flags::FAST | flags::WRITE,
    categories: categories::STRING,
    keys: &[KeySpec::one(1, access::RW | access::ACCESS | access::UPDATE)],
    syntax: "key increment",
    summary: "Adds a number to the floating-point value of a key.",
    complexity: "O(1)",
    handler: incrbyfloat,
    ..Command::DEFAULT
};

fn incr(cx: &mut Context<'_>) -> Result<Done, Error> {
    add(cx, 1)
}

fn decr(cx: &mut Context<'_>) -> Result<Done, Error> {
    add(cx, -1)
}

fn incrby(cx: &mut Context<'_>) -> Result<Done, Error> {
    let increment = cx.integer(2)?;
    add(cx, increment)
}

fn decrby(cx: &mut Context<'_>) -> Result<Done, Error> {
    let decrement = cx.integer(2)?;
    let Some(increment) = decrement.checked_neg() else {
        return Err(Error::new("ERR decrement would overflow"));
    };
    add(cx, increment)
}

fn add(cx: &mut Context<'_>, increment: i64) -> Result<Done, Error> {
    const OVERFLOW: Error = Error::new("ERR increment or decrement would overflow");
    let (db, key) = (cx.db(), cx.key(1));
    let Some(mut edit) = cx.view.edit(db, key)? else {
        cx.view.set(db, key, NewValue::Int(increment), Deadline::Clear);
        cx.notify(class::STRING, "incrby", key);
        return cx.int(increment);
    };
    let old = integer(edit.string().as_bytes(&mut StrBuffer::new()))?;
    let new = old.checked_add(increment).ok_or(OVERFLOW)?;
    edit.set_int(new);
    drop(edit);
    cx.notify(class::STRING, "incrby", key);
    cx.int(new)
}

fn incrbyfloat(cx: &mut Context<'_>) -> Result<Done, Error> {
    let (db, key) = (cx.db(), cx.key(1));
    let old = match cx.view.edit(db, key)? {
        None => LongDouble::ZERO,
        Some(edit) => {
            let mut buffer = StrBuffer::new();
            let value = edit.string();
            LongDouble::parse(value.as_bytes(&mut buffer)).ok_or(Error::NOT_FLOAT)?
        }
    };
    let increment = LongDouble::parse(cx.arg(2)).ok_or(Error::NOT_FLOAT)?;
    let sum = old.plus(increment);
    if !sum.is_finite() {
        return Err(Error::new("ERR increment would produce NaN or Infinity"));
    }
    let text = sum.to_text();
    cx.view.set(db, key, NewValue::Bytes(text.as_bytes()), Deadline::Keep);
    cx.notify(class::STRING, "incrbyfloat", key);
    cx.reply.bulk(text.as_bytes());
    Ok(Done::Replied)
}
