//! PANNIER CLOCK: the time that everything follows, moved over the wire.
//!
//! The clock is the program's, so the host moves it. While it is moved on, what is due happens at
//! its own moment and in its order, on this thread and under the shards' locks; that is why the
//! command runs neither in a transaction nor in a script, which hold them.
//! Transcript: `tests/transcripts/server/pannier-clock`.

use super::row::{Command, Context, Done, Group, flags};
use crate::args::is;
use crate::error::Error;
use crate::host::ClockChange;

pub(super) const PANNIER_CLOCK: Command = Command {
    name: "pannier|clock",
    since: "0.1.0",
    group: Group::Server,
    arity: -2,
    flags: flags::ADMIN | flags::NOSCRIPT | flags::NO_MULTI,
    syntax: "[FREEZE | RESUME | SET unix-time-milliseconds | ADVANCE milliseconds]",
    summary: "Tells, stops, sets or advances the clock.",
    complexity: "O(1) and the work that is due until then",
    handler: clock,
    ..Command::DEFAULT
};

fn clock(cx: &mut Context<'_>) -> Result<Done, Error> {
    let change = match cx.args.len() {
        2 => ClockChange::Look,
        3 if is(cx.arg(2), "freeze") => ClockChange::Freeze,
        3 if is(cx.arg(2), "resume") => ClockChange::Resume,
        4 if is(cx.arg(2), "set") => ClockChange::Set(milliseconds(cx)?),
        4 if is(cx.arg(2), "advance") => ClockChange::Advance(milliseconds(cx)?),
        _ => return Err(Error::SYNTAX),
    };
    let state = cx.engine.host.move_clock(change).map_err(Error::text)?;
    cx.reply.map(2);
    cx.reply.bulk(b"unix-time-milliseconds");
    cx.reply.integer(i64::try_from(state.unix_ms).unwrap_or(i64::MAX));
    cx.reply.bulk(b"frozen");
    cx.reply.boolean(state.frozen);
    Ok(Done::Replied)
}

fn milliseconds(cx: &Context<'_>) -> Result<u64, Error> {
    let at = u64::try_from(cx.integer(3)?).ok().filter(|at| *at <= MILLISECONDS_MAX);
    at.ok_or(Error::new("ERR value is out of range, must be positive"))
}

/// What microseconds can still hold.
const MILLISECONDS_MAX: u64 = i64::MAX as u64 / 1_000;
