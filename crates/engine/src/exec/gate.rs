//! The gate: every reason to refuse a request before it touches data, in Redis's order.
//!
//! The order is part of the protocol: clients depend on which error wins. It is Valkey 9's: who is
//! not authenticated learns nothing else, not even which commands exist; then come unknown command
//! and arity, switches that protect the server, and pauses. Room for writes is made where keys are
//! opened (`open`), since it depends on them.

use std::fmt::Write;

use pannier_resp::Args;
use pannier_store::Now;

use super::script;
use crate::command::{Command, Flags, Resolved, flags};
use crate::config::Config;
use crate::engine::Engine;
use crate::error::{Error, quoted};
use crate::pause::Held;
use crate::session::Session;

/// How much of the arguments an unknown command's error repeats.
const ECHO_MAX: usize = 128;

/// Flags of what a pause of writes holds back.
const WRITES: Flags = flags::WRITE | flags::MAY_REPLICATE;

/// What a subscriber may do under RESP2.
const SUBSCRIBERS: &[&str] = &[
    "ping",
    "subscribe",
    "ssubscribe",
    "unsubscribe",
    "sunsubscribe",
    "psubscribe",
    "punsubscribe",
    "quit",
    "reset",
];

/// What the gate says.
pub(super) enum Verdict {
    /// Go on.
    Pass,
    /// Wait until then.
    Held(u64),
    /// No.
    Refused(Error),
    /// No, and the session is closed without a reply.
    Dropped,
}

/// Why a request has no row that may run: the error, and the row's number if there is one.
pub(super) type Refusal = (Option<u16>, Error);

/// The row of a request; the errors are those of missing authentication, unknown names and wrong
/// arity.
pub(super) fn find(
    engine: &Engine,
    config: &Config,
    session: &Session,
    args: Args<'_>,
) -> Result<Resolved, Refusal> {
    let found = lookup(engine, args);
    if session.needs_password(config) {
        let row = found.as_ref().ok();
        if !row.is_some_and(|row| row.command.is(flags::NO_AUTH)) {
            return Err((row.map(|row| row.id), Error::NO_AUTH));
        }
    }
    let found = found.map_err(|error| (None, error))?;
    if found.command.accepts(args.len()) {
        Ok(found)
    } else {
        Err((Some(found.id), Error::arity(found.command.name)))
    }
}

/// The row of a name, or of the sub-command that the second argument names.
pub(super) fn lookup(engine: &Engine, args: Args<'_>) -> Result<Resolved, Error> {
    let found = engine.commands.find(args.get(0));
    let found = found.filter(|found| !found.command.name.contains('|'));
    let found = found.ok_or_else(|| unknown(args))?;
    if found.command.subcommands.is_empty() || args.len() == 1 {
        return Ok(found);
    }
    let sub = engine.commands.find_sub(found, args.get(1));
    sub.ok_or_else(|| unknown_sub(found.command.name, args.get(1)))
}

/// Whether a known command may run now.
pub(super) fn check(
    engine: &Engine,
    config: &Config,
    session: &Session,
    (command, args): (&Command, Args<'_>),
    now: Now,
) -> Verdict {
    if command.name == "debug" && !config.enable_debug_command.allows(session.local) {
        return Verdict::Refused(Error::new(
            "ERR DEBUG command not allowed. If the enable-debug-command option is set to \
             \"local\", you can run it from a local connection, otherwise you need to set this \
             option in the configuration file, and then restart the server.",
        ));
    }
    if let Some(busy) = engine.scripts.run.busy_error()
        && !command.is(flags::ALLOW_BUSY)
    {
        return Verdict::Refused(busy);
    }
    if session.queue.is_some() && command.is(flags::NO_MULTI) {
        return Verdict::Refused(Error::text(format!(
            "ERR Command '{}' not allowed inside a transaction",
            command.name
        )));
    }
    if session.is_restricted() && !SUBSCRIBERS.contains(&command.name) {
        return Verdict::Refused(Error::text(format!(
            "ERR Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET \
             are allowed in this context",
            command.name
        )));
    }
    let touches = flags::READONLY | WRITES;
    if session.is_monitor() && script::request_flags(engine, command, args) & touches != 0 {
        return Verdict::Refused(Error::new("ERR Replica can't interact with the keyspace"));
    }
    match engine.pause.active(now.unix_ms()) {
        None => Verdict::Pass,
        Some((Held::Writes, _)) if !writes(engine, session, (command, args)) => Verdict::Pass,
        // Nothing is let through: where all is held back, CLIENT UNPAUSE is too, as in Valkey.
        Some((_, until_ms)) => Verdict::Held(until_ms),
    }
}

/// Whether a request may write: EXEC does when its queue does, and what is queued waits, too.
fn writes(engine: &Engine, session: &Session, (command, args): (&Command, Args<'_>)) -> bool {
    let may = |command, args| script::request_flags(engine, command, args) & WRITES != 0;
    let queue = session.queue.as_ref().filter(|_| command.name == "exec");
    may(command, args)
        || queue.is_some_and(|queue| {
            queue.commands.iter().any(|queued| may(queued.found.command, queued.args.args()))
        })
}

fn unknown(args: Args<'_>) -> Error {
    let mut echo = String::new();
    for argument in args.iter().skip(1) {
        if echo.len() >= ECHO_MAX {
            break;
        }
        let room = ECHO_MAX - echo.len();
        let _ = write!(echo, "'{}' ", quoted(argument, room));
    }
    let name = quoted(args.get(0), ECHO_MAX);
    Error::text(format!("ERR unknown command '{name}', with args beginning with: {echo}"))
}

fn unknown_sub(container: &str, word: &[u8]) -> Error {
    let word = quoted(word, ECHO_MAX);
    let container = container.to_ascii_uppercase();
    Error::text(format!("ERR unknown subcommand '{word}'. Try {container} HELP."))
}
