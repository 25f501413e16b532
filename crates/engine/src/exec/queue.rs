//! EXEC: running a transaction's queue under the union of its keys.
//!
//! Every shard that any queued or watched key lives in is open from the first command to the last,
//! so nobody sees a transaction half done. Room is made before: in bytes once, and in entries for
//! all keys that the queue may create. A command that fails leaves its error in its place of the
//! reply; the others run all the same, as in Redis.

use std::sync::atomic::Ordering::Relaxed;

use pannier_resp::Reply;
use pannier_store::{Now, Open, View};

use super::compress::Ahead;
use super::open::{self, Creates};
use super::script;
use super::serve;
use super::settle;
use crate::command::row::KeyList;
use crate::command::{Context, Done, Opens, flags};
use crate::config::Config;
use crate::engine::Engine;
use crate::error::Error;
use crate::logs::Request;
use crate::session::Session;
use crate::transaction::{Queued, Watches};

/// Runs the session's queue and replies.
pub(super) fn run(
    engine: &Engine,
    config: &Config,
    session: &mut Session,
    reply: &mut Reply,
    now: Now,
) -> Result<Done, Error> {
    let queue = session.queue.take().unwrap_or_default();
    let watches = std::mem::take(&mut session.watches);
    // Its commands see the transaction that they are in, and no watched key.
    session.client.watched.store(0, Relaxed);
    let done = if watches.is_raised() {
        reply.null_array();
        Ok(Done::Replied)
    } else {
        run_opened(engine, config, session, (&queue.commands, &watches), (reply, now))
    };
    watches.forget(engine);
    session.publish_transaction();
    done
}

fn run_opened<'a>(
    engine: &'a Engine,
    config: &'a Config,
    session: &'a mut Session,
    (commands, watches): (&'a [Queued], &Watches),
    (reply, now): (&'a mut Reply, Now),
) -> Result<Done, Error> {
    let denies_oom = |queued: &Queued| {
        let command = queued.found.command;
        command.is(flags::DENYOOM) || script::denies_oom(engine, command, queued.args.args())
    };
    if config.maxmemory > 0
        && !open::make_room(engine, config, now)
        && commands.iter().any(denies_oom)
    {
        return Err(because(&Error::OOM));
    }
    let ahead =
        |queued: &Queued| Ahead::of(engine, config, queued.found.command, queued.args.args());
    let aheads: Vec<Ahead> = commands.iter().map(ahead).collect();
    let script = commands.iter().any(|queued| queued.found.command.runs_script());
    let _walk = engine.scripts.walk(false, script).map_err(|error| because(&error))?;
    let mut view = open_union(engine, config, session, (commands, watches), now)?;
    view.set_origin(session.id());
    for (database, key) in &watches.keys {
        // A watched key that has expired meanwhile is removed here, which raises the flag.
        let key = view.key(key);
        view.contains(*database, key);
    }
    if watches.is_raised() {
        reply.null_array();
        return Ok(Done::Replied);
    }
    reply.array(commands.len());
    let (Some(first), Some(first_ahead)) = (commands.first(), aheads.first()) else {
        return Ok(Done::Replied);
    };
    let (command, args) = (first.found.command, first.args.args());
    let (hashed, ahead) = (None, first_ahead);
    let mut cx =
        Context { engine, config, session, command, args, ahead, view, hashed, reply, now };
    let mut all = Done::Replied;
    cx.session.in_exec = true;
    for (queued, ahead) in commands.iter().zip(&aheads) {
        let done = run_one(&mut cx, queued, ahead);
        if done != Done::Replied {
            all = done;
        }
    }
    cx.session.in_exec = false;
    serve::close(cx);
    Ok(all)
}

/// Opens the shards of all keys, with room reserved for those that may be created.
fn open_union<'a>(
    engine: &'a Engine,
    config: &Config,
    session: &Session,
    (commands, watches): (&[Queued], &Watches),
    now: Now,
) -> Result<View<'a>, Error> {
    let keyspace = &engine.keyspace;
    let rules = Engine::rules(config, !session.no_touch());
    let mut keys = KeyList::new();
    let mut creates: Creates<'_> = Vec::new();
    let mut everything = false;
    let mut database = session.database;
    for queued in commands {
        let (command, args) = (queued.found.command, queued.args.args());
        everything |= command.opens != Opens::Keys || command.opens_everything(args);
        command.key_positions(args, |at, _| keys.push(keyspace.key(args.get(at))));
        if command.name == "select" {
            database = crate::args::database(args.get(1), keyspace.databases()).unwrap_or(database);
        }
        if command.is(flags::WRITE) && keyspace.has_entry_limit() {
            open::creatable(keyspace, command, args, database, &mut creates);
        }
    }
    keys.extend(watches.keys.iter().map(|(_, key)| keyspace.key(key)));
    let open = if everything { Open::All } else { Open::Keys(&keys) };
    let open = || keyspace.try_open(open, now, rules);
    open::reserve(engine, config, &creates, open, now).map_err(|error| because(&error))
}

/// Runs one queued command in the opened view.
fn run_one<'a>(cx: &mut Context<'a>, queued: &'a Queued, ahead: &'a Ahead) -> Done {
    (cx.command, cx.args, cx.ahead) = (queued.found.command, queued.args.args(), ahead);
    let mark = cx.reply.mark();
    let (started, dirty_before) = (cx.engine.host.mono_us(), cx.view.dirty());
    let outcome = (cx.command.handler)(cx);
    cx.remember_keys();
    let failed = outcome.is_err();
    let done = outcome.unwrap_or_else(|error| {
        cx.reply.cut(mark);
        cx.reply.error(error.message());
        settle::count(cx.session, &error);
        Done::Replied
    });
    if cx.engine.monitors.any() {
        let request = Request { command: cx.command, args: cx.args };
        cx.engine.monitors.show(cx.config, cx.session, request, cx.now);
    }
    let (dirty, sooner) = (cx.view.dirty() - dirty_before, cx.view.sooner());
    let (id, args) = (queued.found.id, cx.args);
    let ran = settle::Executed { id, args, failed, dirty, sooner, started };
    settle::settle(cx.engine, cx.config, cx.session, ran, (cx.reply, mark), cx.now);
    done
}

/// Gives a transaction up that may not begin; the error that says why.
pub(super) fn abort(engine: &Engine, session: &mut Session, error: &Error) -> Error {
    session.discard(engine);
    because(error)
}

fn because(error: &Error) -> Error {
    let reason = error.message();
    let reason = reason.strip_prefix("ERR ").unwrap_or(reason);
    Error::text(format!("EXECABORT Transaction discarded because of: {reason}"))
}
