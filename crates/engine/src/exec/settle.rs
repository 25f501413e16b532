//! The one funnel for consequences: what follows from a request after its handler has returned.
//!
//! Handlers change data and reply; whatever else must happen happens here, so no handler can
//! forget it: statistics, the slow log, latency samples, the wake-up of the expiry task, and
//! silence for CLIENT REPLY. The locks are given back before this runs.

use std::sync::atomic::Ordering::Relaxed;

use pannier_resp::{Args, Mark, Reply};
use pannier_store::Now;

use crate::clients::Client;
use crate::command::flags;
use crate::config::Config;
use crate::engine::Engine;
use crate::error::{Error, Origin};
use crate::logs::Request;
use crate::session::{ReplyMode, Session};

/// What is known of a request that ran.
pub(crate) struct Executed<'a> {
    pub(crate) id: u16,
    pub(crate) args: Args<'a>,
    pub(crate) failed: bool,
    pub(crate) dirty: u64,
    pub(crate) sooner: bool,
    pub(crate) started: u64,
}

/// What is known of a group that ran.
pub(super) struct Ran<'a> {
    /// The rows' numbers, in order.
    pub(super) ids: &'a [u16],
    /// Bit `i` says that request `i` failed.
    pub(super) failures: u64,
    pub(super) dirty: u64,
    pub(super) sooner: bool,
}

/// Marks a client as having sent this command.
#[inline]
pub(crate) fn seen(session: &Session, id: u16, now: Now) {
    let client = &session.client;
    client.blocked.store(false, Relaxed);
    client.last_seen_ms.store(now.unix_ms(), Relaxed);
    client.last_command.store(i32::from(id), Relaxed);
}

/// Counts `n` commands of a client that have run.
#[inline]
pub(crate) fn completed(client: &Client, n: u64) {
    client.commands.store(client.commands.load(Relaxed) + n, Relaxed);
}

/// Everything that follows from an executed request, or from a command that a script called.
pub(crate) fn settle(
    engine: &Engine,
    config: &Config,
    session: &Session,
    ran: Executed<'_>,
    (reply, mark): (&Reply, Mark),
    now: Now,
) {
    changed(engine, session, ran.dirty, ran.sooner);
    let us = engine.host.mono_us().saturating_sub(ran.started);
    session.lane.count(ran.id, us, ran.failed, config.latency_tracking);
    completed(&session.client, 1);
    let command = engine.commands.row(ran.id);
    if command.is(flags::SKIP_COMMANDLOG) {
        return;
    }
    let reply_len = reply.len_since(mark);
    let request = Request { command, args: ran.args };
    offer(engine, config, session, request, (us, reply_len), now);
}

/// Everything that follows from a group but for what its [`Watch`] has seen to.
pub(super) fn settle_group(
    engine: &Engine,
    config: &Config,
    session: &Session,
    ran: Ran<'_>,
    us: u64,
    now: Now,
) {
    changed(engine, session, ran.dirty, ran.sooner);
    let Some(last) = ran.ids.last() else { return };
    let all = ran.ids.len() as u64;
    seen(session, *last, now);
    completed(&session.client, all);
    let (mut before, mut failures) = (0, ran.failures);
    for run in ran.ids.chunk_by(|a, b| a == b) {
        let calls = run.len() as u64;
        let own = failures & (u64::MAX >> (64 - calls));
        failures = failures.checked_shr(calls as u32).unwrap_or(0);
        // Shares of whole microseconds that add up.
        let share = us * (before + calls) / all - us * before / all;
        before += calls;
        let failed = u64::from(own.count_ones());
        session.lane.count_all(run[0], (calls, failed), share, config.latency_tracking);
    }
}

/// Looks after each request of a group whether it belongs into a log.
pub(super) struct Watch<'a> {
    config: &'a Config,
    started_us: u64,
    /// When the request that runs began, at the earliest.
    since_us: u64,
    coarse_us: u64,
    /// From these lengths on, a request or a reply is logged.
    request_len: u64,
    reply_len: u64,
}

impl<'a> Watch<'a> {
    pub(super) fn start(engine: &Engine, config: &'a Config) -> Self {
        let started_us = engine.host.mono_us();
        let from = |threshold: i64| u64::try_from(threshold).unwrap_or(u64::MAX);
        Self {
            config,
            started_us,
            since_us: started_us,
            coarse_us: engine.host.coarse_us(),
            request_len: from(config.commandlog_request_larger_than),
            reply_len: from(config.commandlog_reply_larger_than),
        }
    }

    /// A request of the group has been executed.
    #[inline]
    pub(super) fn passed(
        &mut self,
        engine: &Engine,
        session: &Session,
        request: Request<'_>,
        reply_len: usize,
        now: Now,
    ) {
        let long = request.args.wire_len() as u64 >= self.request_len;
        let coarse_us = engine.host.coarse_us();
        if long || reply_len as u64 >= self.reply_len || coarse_us != self.coarse_us {
            self.coarse_us = coarse_us;
            let now_us = engine.host.mono_us();
            let us = now_us - self.since_us;
            self.since_us = now_us;
            if !request.command.is(flags::SKIP_COMMANDLOG) {
                offer(engine, self.config, session, request, (us, reply_len), now);
            }
        }
    }

    /// Microseconds since the start.
    pub(super) fn elapsed_us(&self, engine: &Engine) -> u64 {
        engine.host.mono_us().saturating_sub(self.started_us)
    }
}

/// What follows from changes of data.
#[inline]
pub(super) fn changed(engine: &Engine, session: &Session, dirty: u64, sooner: bool) {
    if sooner {
        engine.host.wake_expiry();
    }
    if dirty > 0 {
        session.lane.changes.add(dirty);
    }
}

/// Writes a request into the logs that want it.
fn offer(
    engine: &Engine,
    config: &Config,
    session: &Session,
    request: Request<'_>,
    (us, reply_len): (u64, usize),
    now: Now,
) {
    engine.logs.offer(config, session, request, (us, reply_len), now);
    let threshold_ms = config.latency_monitor_threshold;
    if threshold_ms > 0 && us / 1000 >= threshold_ms {
        let event = if request.command.is(flags::FAST) { "fast-command" } else { "command" };
        engine.latency.add(event, us / 1000, now.unix_s());
    }
}

/// Counts the error that a request ended with.
pub(super) fn count(session: &Session, error: &Error) {
    match error.origin() {
        Origin::Command => session.lane.count_error(error.code()),
        Origin::Script => session.lane.count_script_error(error.code()),
        Origin::Counted => {}
    }
}

/// Replies an error for a request that did not run, and counts it.
pub(super) fn refused(session: &mut Session, id: Option<u16>, error: &Error, reply: &mut Reply) {
    if let Some(queue) = &mut session.queue {
        queue.fail();
        session.client.queued_len.store(0, Relaxed);
        session.publish_transaction();
    }
    reply.error(error.message());
    session.lane.count_error(error.code());
    if let Some(id) = id {
        session.lane.count_rejected(id);
    }
    if session.tracking.is_some() {
        let command = id.map(|id| session.engine().commands.row(id).name);
        session.end_caching(command.unwrap_or_default());
    }
}

/// Takes the reply back if the client asked for none (CLIENT REPLY OFF, SKIP); one that `speaks`
/// is no mere reply (the confirmations of subscriptions), and stays.
pub(super) fn silence(session: &mut Session, (mark, speaks): (Mark, bool), reply: &mut Reply) {
    if session.reply_mode == ReplyMode::On || session.reply_mode == ReplyMode::SkipNext {
        return;
    }
    if !speaks {
        reply.cut(mark);
    }
    if session.reply_mode == ReplyMode::Skip {
        session.reply_mode = ReplyMode::On;
    }
}
