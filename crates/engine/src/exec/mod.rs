//! The path of a request: find the row, pass the gate, open the keys, run the handler, settle.
//!
//! [`run`] executes requests of one batch in order for one session. Each goes through the same
//! five steps; an error at any of them becomes the reply, cut back to where it began. Requests
//! that a pause holds back are left unexecuted for the caller to try again.
//!
//! Neighbours: `gate` is the ordered list of refusals, `open` turns keys into locked shards and
//! makes room, `settle` is the one funnel for consequences. `command` holds rows and handlers.

mod gate;
mod open;
mod settle;

pub(crate) use open::make_room;

use pannier_resp::{Args, Batch, Reply};
use pannier_store::Now;

use crate::command::{Context, Done};
use crate::engine::Engine;
use crate::session::{ReplyMode, Session};

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
    /// Write the replies, then close.
    Close,
}

/// Executes at most `max` requests of a batch, from the one numbered `from` on.
pub fn run(
    engine: &Engine,
    session: &mut Session,
    (batch, buf): (&Batch, &[u8]),
    requests: std::ops::Range<usize>,
    reply: &mut Reply,
    now: Now,
) -> Ran {
    reply.set_protocol(session.protocol);
    let (from, end) = (requests.start, requests.end);
    for at in requests {
        match execute(engine, session, batch.request(at, buf), reply, now) {
            Step::Done if session.closing => {
                return Ran { executed: at + 1 - from, next: Next::Close };
            }
            Step::Done => {}
            Step::Held(until_ms) => {
                return Ran { executed: at - from, next: Next::Held { until_ms } };
            }
        }
        if session.mailbox().is_full() {
            return Ran { executed: at + 1 - from, next: Next::Ready };
        }
    }
    Ran { executed: end - from, next: Next::Ready }
}

enum Step {
    Done,
    Held(u64),
}

/// Executes one request.
fn execute(
    engine: &Engine,
    session: &mut Session,
    args: Args<'_>,
    reply: &mut Reply,
    now: Now,
) -> Step {
    let config = engine.config.load();
    let mark = reply.mark();
    if session.reply_mode == ReplyMode::SkipNext {
        session.reply_mode = ReplyMode::Skip;
    }
    let found = match gate::find(engine, args) {
        Ok(found) => found,
        Err(error) => {
            settle::refused(session, None, &error, reply);
            settle::silence(session, mark, reply);
            return Step::Done;
        }
    };
    match gate::check(engine, &config, session, found.command, now) {
        gate::Verdict::Pass => {}
        gate::Verdict::Held(until_ms) => return Step::Held(until_ms),
        gate::Verdict::Refused(error) => {
            settle::refused(session, Some(found.id), &error, reply);
            settle::silence(session, mark, reply);
            return Step::Done;
        }
    }
    let started = engine.host.mono_us();
    settle::seen(session, found.id, now);
    let opened = open::open(engine, &config, session, found.command, args, now);
    let (outcome, dirty, sooner) = match opened {
        Err(error) => {
            settle::refused(session, Some(found.id), &error, reply);
            settle::silence(session, mark, reply);
            return Step::Done;
        }
        Ok(view) => {
            let command = found.command;
            let mut cx =
                Context { engine, config: &config, session, command, args, view, reply, now };
            let outcome = (command.handler)(&mut cx);
            (outcome, cx.view.dirty(), cx.view.sooner())
        }
    };
    let failed = match outcome {
        Ok(Done::Replied) => false,
        Ok(Done::Trim) => {
            open::trim(engine, &engine.config.load(), now);
            false
        }
        Ok(Done::Close) => {
            session.closing = true;
            false
        }
        Err(error) => {
            reply.cut(mark);
            reply.error(error.message());
            session.lane.count_error(error.code());
            true
        }
    };
    let ran = settle::Executed { id: found.id, args, failed, dirty, sooner, started };
    settle::settle(engine, &config, session, ran, (reply, mark), now);
    settle::silence(session, mark, reply);
    Step::Done
}
