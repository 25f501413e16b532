//! MONITOR: shows this connection what all others run.
//!
//! The lines are made in `monitor` of the engine. A monitor may not touch keys; RESET ends it.
//! Transcript: `tests/transcripts/server/monitor.txt`.

use super::row::{Command, Context, Done, Group, flags};
use crate::error::Error;

/// The family's rows.
pub(super) const ROWS: &[Command] = &[MONITOR];

const MONITOR: Command = Command {
    name: "monitor",
    since: "1.0.0",
    group: Group::Server,
    arity: 1,
    flags: flags::ADMIN | flags::LOADING | flags::NOSCRIPT | flags::STALE,
    syntax: "",
    summary: "Shows every command that the server runs.",
    complexity: "O(1); each command then costs O(N) with N the number of monitors",
    handler: monitor,
    ..Command::DEFAULT
};

fn monitor(cx: &mut Context<'_>) -> Result<Done, Error> {
    if cx.session.in_exec {
        return Err(Error::new("ERR MONITOR isn't allowed for DENY BLOCKING client"));
    }
    // A second time there is no reply at all, as in Redis.
    if !cx.session.is_monitor() {
        cx.engine.monitors.add(&cx.session.client);
        cx.reply.ok();
    }
    Ok(Done::Replied)
}
