//! Waiting: what blocking commands have in common, and the commands that only wait.
//!
//! A handler that has nothing to give calls [`wait`]. Inside a transaction or a script that is the
//! reply for a time that is over; when a waiting request is tried again it means: still nothing.
//! There are no replicas and no append-only file, so WAIT and WAITAOF answer what Valkey answers
//! without them: none, at once if none is asked for, else when the time is over.
//! Neighbours: `waiting` for what follows; `list_block`, `sorted_set_block` and `stream_read` for
//! the commands that wait for keys. Transcripts: `tests/transcripts/generic`, `connection`.

use std::sync::atomic::Ordering::Relaxed;

use pannier_resp::parse_f64;
use pannier_store::{Kind, Now};

use super::row::{Command, Context, Done, Group, Opens, categories, flags};
use crate::args::{integer, is};
use crate::error::Error;
use crate::mailbox::Letter;
use crate::waiting::{Over, Wait};

/// The family's rows.
pub(super) const ROWS: &[Command] = &[WAIT, WAITAOF];

const WAIT: Command = Command {
    name: "wait",
    since: "3.0.0",
    group: Group::Generic,
    arity: 3,
    flags: flags::BLOCKING,
    categories: categories::CONNECTION,
    syntax: "numreplicas timeout",
    summary: "Waits until so many replicas have the connection's writes; there are none.",
    complexity: "O(1)",
    tips: &["request_policy:all_shards", "response_policy:agg_min"],
    handler: wait_replicas,
    ..Command::DEFAULT
};

const WAITAOF: Command = Command {
    name: "waitaof",
    since: "7.2.0",
    group: Group::Generic,
    arity: 4,
    flags: flags::BLOCKING,
    categories: categories::CONNECTION,
    syntax: "numlocal numreplicas timeout",
    summary: "Waits until the connection's writes are in append-only files; there are none.",
    complexity: "O(1)",
    tips: &["request_policy:all_shards", "response_policy:agg_min"],
    handler: wait_files,
    ..Command::DEFAULT
};

pub(super) const CLIENT_UNBLOCK: Command = Command {
    name: "client|unblock",
    since: "5.0.0",
    group: Group::Connection,
    arity: -3,
    flags: flags::ADMIN | flags::LOADING | flags::NOSCRIPT | flags::STALE,
    categories: categories::CONNECTION,
    opens: Opens::Each,
    syntax: "client-id [TIMEOUT | ERROR]",
    summary: "Ends the wait of a client that is inside a blocking command.",
    complexity: "O(log N) with N the number of connections",
    handler: client_unblock,
    ..Command::DEFAULT
};

/// Waits, if the session may.
pub(super) fn wait(cx: &mut Context<'_>, wait: Wait) -> Result<Done, Error> {
    if cx.session.stands_in {
        return Ok(Done::Wait);
    }
    if cx.session.in_exec {
        wait.over.reply(cx.reply);
        return Ok(Done::Replied);
    }
    cx.session.wait = Some(Box::new(wait));
    Ok(Done::Wait)
}

/// The end of a timeout in seconds, fractions allowed; 0 is for ever.
pub(super) fn seconds(text: &[u8], now: Now) -> Result<u64, Error> {
    let seconds = parse_f64(text).or_else(|| odd_float(text));
    let seconds = seconds.ok_or(Error::new("ERR timeout is not a float or out of range"))?;
    let ms = (seconds * 1000.0).ceil();
    if ms >= i64::MAX as f64 {
        return Err(OUT_OF_RANGE);
    }
    end(ms as i64, now)
}

/// The end of a timeout in milliseconds; 0 is for ever.
pub(super) fn milliseconds(text: &[u8], now: Now) -> Result<u64, Error> {
    let ms = integer(text);
    end(ms.map_err(|_| Error::new("ERR timeout is not an integer or out of range"))?, now)
}

/// What a `long double` may be besides: a whole number in hexadecimal digits, or beyond a double.
fn odd_float(text: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(text).ok()?;
    if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        let digits = Some(digits).filter(|digits| !digits.starts_with('+'))?;
        return u64::from_str_radix(digits, 16).ok().map(|n| n as f64);
    }
    text.parse().ok().filter(|n: &f64| n.is_infinite())
}

fn end(ms: i64, now: Now) -> Result<u64, Error> {
    match u64::try_from(ms) {
        Err(_) => Err(Error::new("ERR timeout is negative")),
        Ok(0) => Ok(u64::MAX),
        Ok(ms) => {
            let end = now.unix_ms().saturating_add(ms);
            if i64::try_from(end).is_ok() { Ok(end) } else { Err(OUT_OF_RANGE) }
        }
    }
}

const OUT_OF_RANGE: Error = Error::new("ERR timeout is out of range");

fn wait_replicas(cx: &mut Context<'_>) -> Result<Done, Error> {
    let replicas = cx.integer(1)?;
    let until_ms = milliseconds(cx.arg(2), cx.now)?;
    wait_unless(cx, replicas <= 0, until_ms, Over::Replicas)
}

fn wait_files(cx: &mut Context<'_>) -> Result<Done, Error> {
    let local = cx.integer(1)?;
    if !(0..=1).contains(&local) {
        return Err(Error::new("ERR value is out of range, value must between 0 and 1"));
    }
    let replicas = integer(cx.arg(2)).ok().filter(|replicas| *replicas >= 0);
    let replicas = replicas.ok_or(Error::NOT_POSITIVE)?;
    let until_ms = milliseconds(cx.arg(3), cx.now)?;
    if local > 0 {
        return Err(Error::new(
            "ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.",
        ));
    }
    wait_unless(cx, replicas == 0, until_ms, Over::Files)
}

fn wait_unless(cx: &mut Context<'_>, done: bool, until_ms: u64, over: Over) -> Result<Done, Error> {
    if done {
        over.reply(cx.reply);
        return Ok(Done::Replied);
    }
    wait(cx, Wait { over, ..Wait::new(Vec::new(), Kind::String, until_ms) })
}

fn client_unblock(cx: &mut Context<'_>) -> Result<Done, Error> {
    const REASON: Error = Error::new("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR");
    let error = match cx.args.len() {
        4 if is(cx.arg(3), "TIMEOUT") => false,
        4 if is(cx.arg(3), "ERROR") => true,
        4 => return Err(REASON),
        _ => false,
    };
    let id = cx.integer(2)?;
    let client = u64::try_from(id).ok().and_then(|id| cx.engine.clients.get(id));
    let waiter = client.as_ref().and_then(|client| client.waiting.lock().clone());
    let (Some(client), Some(waiter)) = (client, waiter) else { return cx.int(0) };
    if !cx.view.withdraw(&waiter) {
        return cx.int(0);
    }
    client.blocked.store(false, Relaxed);
    client.mailbox.post(Letter::Unblocked { error });
    cx.int(1)
}
