//! The one funnel for consequences: what follows from a request after its handler has returned.
//!
//! Handlers change data and reply; whatever else must happen happens here, so no handler can
//! forget it: statistics, the slow log, latency samples, the wake-up of the expiry task, and
//! silence for CLIENT REPLY. The locks are given back before this runs.

use std::sync::atomic::Ordering::Relaxed;

use pannier_resp::{Args, Mark, Reply};
use pannier_store::Now;

use crate::command::flags;
use crate::config::Config;
use crate::engine::Engine;
use crate::error::Error;
use crate::logs::Request;
use crate::session::{ReplyMode, Session};

/// What is known of a request that ran.
pub(super) struct Executed<'a> {
    pub(super) id: u16,
    pub(super) args: Args<'a>,
    pub(super) failed: bool,
    pub(super) dirty: u64,
    pub(super) sooner: bool,
    pub(super) started: u64,
}

/// Marks a client as having sent this command.
#[inline]
pub(super) fn seen(session: &Session, id: u16, now: Now) {
    let client = &session.client;
    client.blocked.store(false, Relaxed);
    client.last_seen_ms.store(now.unix_ms(), Relaxed);
    client.last_command.store(i32::from(id), Relaxed);
    client.commands.store(client.commands.load(Relaxed) + 1, Relaxed);
}

/// Everything that follows from an executed request.
pub(super) fn settle(
    engine: &Engine,
    config: &Config,
    session: &Session,
    ran: Executed<'_>,
    (reply, mark): (&Reply, Mark),
    now: Now,
) {
    if ran.sooner {
        engine.host.wake_expiry();
    }
    if ran.dirty > 0 {
        session.lane.changes.add(ran.dirty);
    }
    let us = engine.host.mono_us().saturating_sub(ran.started);
    session.lane.count(ran.id, us, ran.failed, config.latency_tracking);
    let command = engine.commands.row(ran.id);
    if command.is(flags::SKIP_COMMANDLOG) {
        return;
    }
    let reply_len = reply.len_since(mark);
    let request = Request { command, args: ran.args };
    engine.logs.offer(config, session, request, (us, reply_len), now);
    let threshold_ms = config.latency_monitor_threshold;
    if threshold_ms > 0 && us / 1000 >= threshold_ms {
        let event = if command.is(flags::FAST) { "fast-command" } else { "command" };
        engine.latency.add(event, us / 1000, now.unix_s());
    }
}

/// Replies an error for a request that did not run, and counts it.
pub(super) fn refused(session: &mut Session, id: Option<u16>, error: &Error, reply: &mut Reply) {
    if let Some(queue) = &mut session.queue {
        queue.failed = true;
    }
    reply.error(error.message());
    session.lane.count_error(error.code());
    if let Some(id) = id {
        session.lane.count_rejected(id);
    }
}

/// Takes the reply back if the client asked for none (CLIENT REPLY OFF, SKIP).
pub(super) fn silence(session: &mut Session, mark: Mark, reply: &mut Reply) {
    match session.reply_mode {
        ReplyMode::On | ReplyMode::SkipNext => {}
        ReplyMode::Off => reply.cut(mark),
        ReplyMode::Skip => {
            reply.cut(mark);
            session.reply_mode = ReplyMode::On;
        }
    }
}
