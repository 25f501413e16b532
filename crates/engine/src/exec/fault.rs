//! Faults carried out: between the gate and the handler, and at the end of the reply.
//!
//! [`meet`] is the last thing that is asked before a request runs, so what cannot run anyway hits
//! no rule. What was decided there and is not over (a delay, a reply that will be cut) lies in the
//! session, because a delayed request is tried again and a blocking one replies later: [`strike`]
//! is called wherever a reply ends. A lost connection needs nothing of the shell but that it
//! closes: the reply is cut, and the session closed.
//!
//! Neighbours: `faults` decides; `Session::is_cut` tells shells that no more may be written.

use pannier_resp::{Args, Mark, Reply};
use pannier_store::Now;

use super::gate::Verdict;
use crate::command::Command;
use crate::engine::Engine;
use crate::faults::End;
use crate::session::Session;

/// What becomes of a request that could run.
#[cold]
pub(super) fn meet(
    engine: &Engine,
    session: &mut Session,
    (command, args): (&Command, Args<'_>),
    now: Now,
) -> Verdict {
    if command.name.starts_with("pannier") {
        return Verdict::Pass;
    }
    let fate = session.fate.take();
    let fate = fate.or_else(|| engine.faults.judge(session, (command, args), now.unix_ms()));
    let Some(mut fate) = fate else { return Verdict::Pass };
    if fate.until_ms > now.unix_ms() && engine.faults.has_all(&fate.delays) {
        let until_ms = fate.until_ms;
        session.fate = Some(fate);
        return Verdict::Held(until_ms);
    }
    match fate.end {
        None => Verdict::Pass,
        Some(End::Error(error)) => Verdict::Refused(error),
        Some(End::Before) => {
            fate.done = true;
            session.fate = Some(fate);
            session.close();
            Verdict::Dropped
        }
        Some(End::Cut(_)) => {
            session.fate = Some(fate);
            Verdict::Pass
        }
    }
}

/// Cuts the reply that began at the mark, if that is its fate, and the connection with it.
#[cold]
pub(crate) fn strike(session: &mut Session, mark: Mark, reply: &mut Reply) {
    if session.is_waiting() {
        return;
    }
    if let Some(fate) = &mut session.fate
        && let (Some(End::Cut(bytes)), false) = (&fate.end, fate.done)
    {
        reply.keep(mark, *bytes);
        fate.done = true;
        session.close();
    }
}
