//! The commands that a script calls: the same path as a client's, inside the script's own view.
//!
//! A nested command finds its row, passes a gate of its own (arity, `noscript`, writes of read-only
//! scripts, room), runs its handler in a view of the shards that the script holds, and settles.
//! Nothing is locked: a script holds every shard. So nothing can be evicted while it runs; room in
//! entries is made for the keys that it declares, and what goes beyond the limit is refused.
//!
//! The session is the client's, with the database and the protocol set back when the script ends.
//! Nothing may wait in it. Neighbours: `queue` runs transactions likewise, `command::script` and
//! `command::function` begin here. Tests: the transcripts of the group `scripting`.

use pannier_resp::Args;
use pannier_script::{Ask, Call, Failure, LogLevel, Shebang, flags as script_flags};
use pannier_store::Now;

use super::compress::Ahead;
use super::gate;
use super::open::{self, Creates};
use super::settle;
use crate::command::{Command, Context, Flags, Resolved, flags};
use crate::engine::Engine;
use crate::error::Error;
use crate::logs::Request;
use crate::scripts::Kind;

/// What a script may do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rights {
    /// Which kill ends it.
    pub(crate) kind: Kind,
    /// It may change data.
    pub(crate) writes: bool,
    /// It may need room even when memory is short.
    pub(crate) ignores_memory: bool,
}

/// Runs a script by `body`, which is given the function that answers its questions.
pub(crate) fn run(
    cx: &mut Context<'_>,
    rights: Rights,
    body: impl FnOnce(&mut dyn FnMut(&mut Ask), &mut pannier_resp::Reply) -> Result<(), Failure>,
) -> Result<(), Error> {
    let engine = cx.engine;
    if engine.monitors.any() {
        let request = Request { command: cx.command, args: cx.args };
        engine.monitors.show_script(cx.config, cx.session, request, cx.now);
    }
    let (database, protocol) = (cx.session.database, cx.session.protocol);
    let (in_exec, full) = (cx.session.in_exec, is_full(cx));
    cx.session.in_exec = true;
    engine.scripts.run.begin(rights.kind);
    let mut reply = std::mem::replace(cx.reply, pannier_resp::Reply::new(protocol));
    let (threshold_ms, mark) = (cx.config.busy_reply_threshold, reply.mark());
    let client = cx.session.id();
    let mut answer = |question: &mut Ask| match question {
        Ask::Call(asked) => call(cx, (rights, full), asked),
        Ask::Continue(verdict) => *verdict = engine.scripts.run.look(engine, client, threshold_ms),
        Ask::Log(level, text) => log(engine, *level, text),
        Ask::MayRun(args, may) => *may = gate::lookup(engine, args.args()).is_ok().then_some(true),
    };
    let outcome = body(&mut answer, &mut reply);
    if let Some(line) = reply.starts_with_error_at(mark) {
        // An error that the script returned as its reply, with bytes that an `Error` cannot hold.
        let code = line.split(|byte| *byte == b' ').next().unwrap_or_default();
        cx.session.lane.count_script_error(&String::from_utf8_lossy(code));
    }
    *cx.reply = reply;
    engine.scripts.run.end(engine);
    cx.session.in_exec = in_exec;
    cx.session.protocol = protocol;
    if cx.session.database != database {
        cx.session.select(database);
    }
    outcome.map_err(|failure| Error::script(&failure))
}

/// Whether a request that runs a script is refused when memory is short, by what the script's
/// first line says; a script without such a line is judged by its commands.
pub(super) fn denies_oom(engine: &Engine, command: &Command, args: Args<'_>) -> bool {
    let excused = script_flags::NO_WRITES | script_flags::ALLOW_OOM;
    declared(engine, command, args).is_some_and(|flags| flags & excused == 0)
}

/// The flags of a request: its row's, but whether a script may write is what it declares itself.
pub(super) fn request_flags(engine: &Engine, command: &Command, args: Args<'_>) -> Flags {
    let Some(declared) = declared(engine, command, args) else { return command.flags };
    let writes = if declared & script_flags::NO_WRITES == 0 { flags::WRITE } else { 0 };
    command.flags & !flags::MAY_REPLICATE | writes
}

/// What the script that a request runs declares of itself; `None`: nothing, or there is no script.
fn declared(engine: &Engine, command: &Command, args: Args<'_>) -> Option<pannier_script::Flags> {
    if !command.runs_script() {
        return None;
    }
    let named = args.get(1);
    let flags = if command.name.starts_with("fcall") {
        let held = engine.scripts.functions.hold(engine);
        held.ok().and_then(|held| held.shelf.find(named).map(|function| function.flags))
    } else if command.name.starts_with("evalsha") {
        let held = engine.scripts.evaluator(engine);
        held.ok().and_then(|held| held.cache.look(named).map(|cached| cached.flags))
    } else {
        let shebang = Shebang::read(named).ok().flatten();
        shebang.and_then(|shebang| shebang.script_flags().ok())
    };
    flags.filter(|flags| flags & script_flags::COMPATIBLE == 0)
}

/// Whether memory is short at the beginning of a script, which is what its commands are judged by.
fn is_full(cx: &Context<'_>) -> bool {
    cx.config.maxmemory > 0 && cx.engine.used_memory() > cx.config.maxmemory
}

/// Executes one command of a script.
fn call(cx: &mut Context<'_>, (rights, full): (Rights, bool), call: &mut Call) {
    let Call { args, reply, .. } = call;
    let args = args.args();
    let outcome = match admit(cx.engine, (rights, full), args) {
        Ok(found) => perform(cx, (rights, found, args), reply),
        Err((id, error)) => {
            if let Some(id) = id {
                cx.session.lane.count_rejected(id);
            }
            cx.session.lane.count_error(error.code());
            Err(error)
        }
    };
    if let Err(error) = outcome {
        reply.clear();
        reply.error(error.message());
    }
}

/// Finds the row of a command that a script may run.
fn admit(
    engine: &Engine,
    (rights, full): (Rights, bool),
    args: Args<'_>,
) -> Result<Resolved, (Option<u16>, Error)> {
    let found = gate::lookup(engine, args).map_err(|error| {
        let sub = error.message().starts_with("ERR unknown subcommand");
        (None, if sub { error } else { UNKNOWN })
    })?;
    let command: &Command = found.command;
    // What it has begun it may end: half of its writes would help nobody.
    let wrote = engine.scripts.run.has_written();
    let refusal = if !command.accepts(args.len()) {
        WRONG_ARITY
    } else if command.is(flags::NOSCRIPT) {
        NOT_ALLOWED
    } else if command.is(flags::DENYOOM) && full && !rights.ignores_memory && !wrote {
        Error::OOM
    } else if command.flags & (flags::WRITE | flags::MAY_REPLICATE) != 0 && !rights.writes {
        READ_ONLY
    } else {
        return Ok(found);
    };
    Err((Some(found.id), refusal))
}

/// Runs the handler and settles.
fn perform(
    cx: &mut Context<'_>,
    (rights, found, args): (Rights, Resolved, Args<'_>),
    reply: &mut pannier_resp::Reply,
) -> Result<(), Error> {
    let (engine, config) = (cx.engine, cx.config);
    let command = found.command;
    // To its commands a script is one moment; only who asks for the time sees it pass.
    let now = if command.name == "time" { later(engine, cx.now) } else { cx.now };
    if command.is(flags::WRITE) {
        debug_assert!(rights.writes, "a read-only script was let through");
        engine.scripts.run.mark_write();
        if engine.keyspace.has_entry_limit() {
            reserve(cx, command, args)?;
        }
    }
    let started = engine.host.mono_us();
    let hashed = command.lone_key().map(|at| engine.keyspace.key(args.get(at)));
    let ahead = &Ahead::of(engine, config, command, args);
    let mark = reply.mark();
    let protocol = reply.protocol();
    cx.session.protocol = protocol;
    let (outcome, dirty, sooner, left) = {
        let (session, view) = (&mut *cx.session, cx.view.nested());
        let mut inner =
            Context { engine, config, session, command, args, ahead, view, hashed, reply, now };
        let outcome = (command.handler)(&mut inner);
        if outcome.is_err() {
            inner.reply.cut(mark);
        }
        inner.remember_keys();
        (outcome, inner.view.dirty(), inner.view.sooner(), inner.view.close())
    };
    let (failed, session) = (outcome.is_err(), &*cx.session);
    if let Err(error) = &outcome {
        session.lane.count_error(error.code());
    }
    let ran = settle::Executed { id: found.id, args, failed, dirty, sooner, started };
    settle::settle(engine, config, session, ran, (reply, mark), now);
    if engine.monitors.any() {
        engine.monitors.show_nested(config, session, Request { command, args }, now);
    }
    cx.view.absorb(left);
    outcome.map(|_| ())
}

/// Reserves room for the keys that a command may create, as far as none is reserved.
fn reserve(cx: &mut Context<'_>, command: &Command, args: Args<'_>) -> Result<(), Error> {
    let mut creates = Creates::new();
    open::creatable(&cx.engine.keyspace, command, args, cx.session.database, &mut creates);
    for (database, keys) in &creates {
        let missing = cx.view.missing(*database, keys);
        let lacking = missing.saturating_sub(cx.view.reserved(*database));
        cx.view.reserve(*database, lacking).map_err(|(which, _)| match which {
            None => Error::OOM_ENTRIES,
            Some(_) => Error::OOM_DATABASE_ENTRIES,
        })?;
    }
    Ok(())
}

/// The time now, in a script that began at `now`.
fn later(engine: &Engine, now: Now) -> Now {
    let passed_us = engine.host.mono_us().saturating_sub(now.mono_us);
    Now { unix_us: now.unix_us + passed_us, mono_us: now.mono_us + passed_us }
}

/// Writes what a script logs, unless it is chatter.
pub(crate) fn log(engine: &Engine, level: LogLevel, text: &[u8]) {
    if level >= LogLevel::Notice {
        engine.host.log(&String::from_utf8_lossy(text));
    }
}

const UNKNOWN: Error = Error::new("ERR Unknown command called from script");

const WRONG_ARITY: Error = Error::new("ERR Wrong number of args calling command from script");

const NOT_ALLOWED: Error = Error::new("ERR This Valkey command is not allowed from script");

const READ_ONLY: Error = Error::new("ERR Write commands are not allowed from read-only scripts.");
