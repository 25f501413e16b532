//! What a script asks of whoever runs it, and the slot through which the asking goes.
//!
//! The functions that a script calls live as long as its Lua state; what they reach lives for one
//! run. So each thread has one slot into which a run lends its function. It is empty outside a
//! run, and a run never leaves its thread: nothing is shared between two engines of one process.

use pannier_collections::Lent;
use pannier_resp::{OwnedArgs, Reply};

use crate::failure::Interrupt;

thread_local! {
    static SLOT: Lent<Ask> = const { Lent::new() };
}

/// What a script asks. Whoever is asked leaves the answer inside.
pub enum Ask {
    /// Execute a command.
    Call(Box<Call>),
    /// Some time has passed: may the script go on? The answer is none, or why not.
    Continue(Option<Interrupt>),
    /// A line for the log.
    Log(LogLevel, Vec<u8>),
    /// Whether the user may run this command; `None`: there is no such command.
    MayRun(OwnedArgs, Option<bool>),
}

/// A command and its reply.
pub struct Call {
    /// The command.
    pub args: OwnedArgs,
    /// Where the reply goes, in the protocol that the script has chosen.
    pub reply: Reply,
    /// What the script said must follow from writes (`redis.set_repl`).
    pub replicate: u8,
}

/// How much a line in the log matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Of use to developers.
    Debug,
    /// A lot that matters little.
    Verbose,
    /// Of use in production.
    Notice,
    /// Matters.
    Warning,
}

/// The versions that a script is told.
#[derive(Clone, Copy, Debug)]
pub struct Versions {
    /// The name of the server.
    pub name: &'static str,
    /// The version of Redis whose behaviour scripts may expect, as text.
    pub redis: &'static str,
    /// The version of Valkey whose behaviour scripts may expect, as text.
    pub valkey: &'static str,
}

impl Versions {
    /// A version as one number, a byte for each part.
    pub(crate) fn number(version: &str) -> u32 {
        let parts = version.split('.').map(|part| part.parse().unwrap_or(0));
        parts.take(3).fold(0, |number, part: u32| number << 8 | part)
    }
}

/// Runs `body`, in which scripts ask `answer`.
pub(crate) fn answering<R>(answer: &mut dyn FnMut(&mut Ask), body: impl FnOnce() -> R) -> R {
    SLOT.with(|slot| slot.lend(answer, body))
}

/// Asks; false when there is nobody to ask.
pub(crate) fn ask(question: &mut Ask) -> bool {
    SLOT.with(|slot| slot.call(question))
}
