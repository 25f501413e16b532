//! The path of a request: find the row, pass the gate, open the keys, run the handler, settle.
//!
//! [`run`] executes requests of one batch in order for one session. Each goes through the same
//! five steps; an error at any of them becomes the reply, cut back to where it began. Requests
//! that a pause holds back are left unexecuted for the caller to try again.
//!
//! Brief requests that follow each other are opened together (`group`); all others one by one.
//!
//! Neighbours: `gate` is the ordered list of refusals, behind which a test's faults come (`fault`),
//! `open` turns keys into locked shards and
//! makes room, `settle` is the one funnel for consequences. `command` holds rows and handlers.

mod compress;
mod fault;
mod gate;
mod group;
mod open;
mod queue;
pub(crate) mod script;
mod serve;
mod settle;

pub(crate) use compress::Ahead;
pub(crate) use fault::strike;
pub(crate) use open::{make_room, trim};
pub(crate) use serve::serve;
pub(crate) use settle::{Executed, completed, seen, settle};

use std::ops::Range;
use std::sync::atomic::Ordering::Relaxed;

use pannier_resp::{Args, Batch, Reply};
use pannier_store::Now;

use crate::args::is;
use crate::command::{Command, Context, Done, Opens, Resolved, flags};
use crate::config::Config;
use crate::engine::Engine;
use crate::error::Error;
use crate::logs::Request;
use crate::session::{ReplyMode, Session};
use crate::waiting;

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ran {
    /// How many requests were executed.
    pub executed: usize,
    /// What to do next.
    pub next: Next,
}

/// What the caller does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Go on.
    Ready,
    /// The next request is held back until then (Unix milliseconds), or until a letter comes.
    Held {
        /// End of the pause.
        until_ms: u64,
    },
    /// The last request waits: nothing may be executed before `Session::end_wait`.
    Waiting,
    /// Write the replies, then close.
    Close,
}

/// Executes requests of a batch, by their numbers.
pub fn run(
    engine: &Engine,
    session: &mut Session,
    (batch, buf): (&Batch, &[u8]),
    requests: Range<usize>,
    reply: &mut Reply,
    now: Now,
) -> Ran {
    reply.set_protocol(session.protocol);
    let Range { start, end } = requests;
    let mut at = start;
    while at < end {
        let grouped = group::run(engine, session, (batch, buf), at..end, (&mut *reply, now));
        if grouped == 0 {
            // A single request needs no look at the clock: its batch began with one.
            let started = if batch.len() == 1 { now.mono_us } else { engine.host.mono_us() };
            match execute(engine, session, (batch.request(at, buf), started), reply, now) {
                Step::Done if session.closing => {
                    return Ran { executed: at + 1 - start, next: Next::Close };
                }
                Step::Done if session.is_waiting() => {
                    return Ran { executed: at + 1 - start, next: Next::Waiting };
                }
                Step::Done => {}
                Step::Held(until_ms) => {
                    return Ran { executed: at - start, next: Next::Held { until_ms } };
                }
            }
        }
        at += grouped.max(1);
        if session.mailbox().is_full() {
            break;
        }
    }
    Ran { executed: at - start, next: Next::Ready }
}

/// Executes one request that was never on a wire. `Held` leaves it unexecuted, to be tried again.
pub fn call(
    engine: &Engine,
    session: &mut Session,
    args: Args<'_>,
    reply: &mut Reply,
    now: Now,
) -> Next {
    reply.set_protocol(session.protocol);
    session.begin_batch();
    match execute(engine, session, (args, now.mono_us), reply, now) {
        Step::Done if session.closing => Next::Close,
        Step::Done if session.is_waiting() => Next::Waiting,
        Step::Done => Next::Ready,
        Step::Held(until_ms) => Next::Held { until_ms },
    }
}

enum Step {
    Done,
    Held(u64),
}

/// Executes one request.
fn execute(
    engine: &Engine,
    session: &mut Session,
    (args, started): (Args<'_>, u64),
    reply: &mut Reply,
    now: Now,
) -> Step {
    let config = engine.config.load();
    if session.tracking.is_some() && config.maxmemory > 0 {
        // What is evicted for its request is told before the reply.
        make_room(engine, &config, now);
        engine.deliver();
        session.mailbox().take_pushes(reply, usize::MAX);
    }
    let mark = reply.mark();
    if session.reply_mode == ReplyMode::SkipNext {
        session.reply_mode = ReplyMode::Skip;
    }
    let mut speaks = false;
    let step = match gate::find(engine, &config, session, args) {
        Err((id, error)) => {
            if engine.recorder.is_on() {
                let command = id.map(|id| engine.commands.row(id));
                engine.recorder.record(session, (command, args), now);
            }
            let error =
                if is(args.get(0), "exec") { queue::abort(engine, session, &error) } else { error };
            settle::refused(session, id, &error, reply);
            Step::Done
        }
        Ok(found) => match admit(engine, &config, session, (found.command, args), now) {
            gate::Verdict::Pass if session.queues(found.command) => {
                enqueue(engine, &config, session, (found, args), (reply, now));
                Step::Done
            }
            gate::Verdict::Pass => {
                speaks = found.command.is(flags::PUBSUB | flags::NOSCRIPT);
                perform(engine, &config, session, (found, args, started), (reply, now));
                Step::Done
            }
            gate::Verdict::Held(until_ms) => {
                session.client.blocked.store(true, Relaxed);
                // It will be tried again; until then nothing has been skipped.
                if session.reply_mode == ReplyMode::Skip {
                    session.reply_mode = ReplyMode::SkipNext;
                }
                return Step::Held(until_ms);
            }
            gate::Verdict::Refused(error) => {
                let exec = found.command.name == "exec";
                let error = if exec { queue::abort(engine, session, &error) } else { error };
                settle::refused(session, Some(found.id), &error, reply);
                Step::Done
            }
            gate::Verdict::Dropped => return Step::Done,
        },
    };
    settle::silence(session, (mark, speaks), reply);
    if session.fate.is_some() {
        strike(session, mark, reply);
    }
    step
}

/// Whether a known command may run now, and what a fault makes of it if it may. Whatever becomes of
/// it, it is recorded, once.
fn admit(
    engine: &Engine,
    config: &Config,
    session: &mut Session,
    (command, args): (&'static Command, Args<'_>),
    now: Now,
) -> gate::Verdict {
    let verdict = match gate::check(engine, config, session, (command, args), now) {
        gate::Verdict::Pass if engine.faults.any() || session.fate.is_some() => {
            fault::meet(engine, session, (command, args), now)
        }
        verdict => verdict,
    };
    if engine.recorder.is_on() && !matches!(verdict, gate::Verdict::Held(_)) {
        engine.recorder.record(session, (Some(command), args), now);
    }
    verdict
}

/// Puts a request into the transaction's queue.
fn enqueue(
    engine: &Engine,
    config: &Config,
    session: &mut Session,
    (found, args): (Resolved, Args<'_>),
    (reply, now): (&mut Reply, Now),
) {
    if open::lacks_room(engine, config, (found.command, args), now) {
        return settle::refused(session, Some(found.id), &Error::OOM, reply);
    }
    settle::seen(session, found.id, now);
    let in_vain = session.watches.is_raised();
    if let Some(queue) = &mut session.queue
        && !queue.failed
        && !in_vain
    {
        queue.push(found, args);
    }
    session.publish_transaction();
    reply.simple("QUEUED");
}

/// Opens the keys of a request that began at `started` (monotonic microseconds), runs its handler,
/// and settles what follows.
fn perform(
    engine: &Engine,
    config: &Config,
    session: &mut Session,
    (found, args, mut started): (Resolved, Args<'_>, u64),
    (reply, now): (&mut Reply, Now),
) {
    let mark = reply.mark();
    settle::seen(session, found.id, now);
    let command = found.command;
    let hashed = command.lone_key().map(|at| engine.keyspace.key(args.get(at)));
    let (each, script) = (command.opens == Opens::Each, command.runs_script());
    let _walk = match engine.scripts.walk(each, script) {
        Ok(walk) => walk,
        Err(error) => return settle::refused(session, Some(found.id), &error, reply),
    };
    let ahead = &Ahead::of(engine, config, command, args);
    let (mut outcome, dirty, sooner) =
        match open::open(engine, config, session, command, (args, hashed), now) {
            Err(error) => return settle::refused(session, Some(found.id), &error, reply),
            Ok(view) => {
                let mut cx = Context {
                    engine,
                    config,
                    session,
                    command,
                    args,
                    ahead,
                    view,
                    hashed,
                    reply,
                    now,
                };
                let outcome = (command.handler)(&mut cx);
                cx.remember_keys();
                if outcome == Ok(Done::Wait) {
                    waiting::park(&mut cx, found, started);
                }
                let (dirty, sooner) = (cx.view.dirty(), cx.view.sooner());
                started += serve::close(cx);
                (outcome, dirty, sooner)
            }
        };
    if outcome == Ok(Done::RunQueue) {
        outcome = queue::run(engine, config, session, reply, now);
    }
    let mut changed = None;
    match &outcome {
        Ok(Done::Replied | Done::RunQueue) => {}
        Ok(Done::Wait) => {
            settle::changed(engine, session, dirty, sooner);
            return tell(engine, config, session, Request { command, args }, now);
        }
        Ok(Done::Trim) => open::trim(engine, changed.insert(engine.config()), now),
        Ok(Done::Close) => session.close(),
        Err(error) => {
            reply.cut(mark);
            reply.error(error.message());
            settle::count(session, error);
        }
    }
    let failed = outcome.is_err();
    let ran = settle::Executed { id: found.id, args, failed, dirty, sooner, started };
    session.end_caching(command.name);
    tell(engine, config, session, Request { command, args }, now);
    // CONFIG SET is measured by the thresholds that it has set.
    let config = changed.as_deref().unwrap_or(config);
    settle::settle(engine, config, session, ran, (reply, mark), now);
}

/// What other clients hear of a request that ran: its events, and the request itself.
fn tell(engine: &Engine, config: &Config, session: &Session, request: Request<'_>, now: Now) {
    engine.deliver();
    if engine.monitors.any() {
        engine.monitors.show(config, session, request, now);
    }
}
