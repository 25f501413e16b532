//! Transactions: MULTI, EXEC, DISCARD, WATCH, UNWATCH.
//!
//! The queue and the watched keys belong to the session (`transaction`); running the queue is a
//! step of `exec` (`exec::queue`), because it opens the union of all keys. What may not be queued
//! is refused by the gate. Transcripts: `tests/transcripts/transactions`.

use super::keys::{KeySpec, access};
use super::row::{Command, Context, Done, Group, categories, flags};
use crate::error::Error;
use crate::transaction::Queue;

/// The family's rows.
pub(super) const ROWS: &[Command] = &[MULTI, EXEC, DISCARD, WATCH, UNWATCH];

const MULTI: Command = Command {
    name: "multi",
    since: "1.2.0",
    group: Group::Transactions,
    arity: 1,
    flags: flags::ALLOW_BUSY
        | flags::FAST
        | flags::LOADING
        | flags::NO_MULTI
        | flags::NOSCRIPT
        | flags::STALE,
    categories: categories::TRANSACTION,
    syntax: "",
    summary: "Starts a transaction: what follows is queued.",
    complexity: "O(1)",
    handler: multi,
    ..Command::DEFAULT
};

const EXEC: Command = Command {
    name: "exec",
    since: "1.2.0",
    group: Group::Transactions,
    arity: 1,
    flags: flags::LOADING | flags::NOSCRIPT | flags::SKIP_COMMANDLOG | flags::STALE,
    categories: categories::TRANSACTION,
    syntax: "",
    summary: "Runs the queued commands as one.",
    complexity: "the sum of the queued commands",
    handler: exec,
    ..Command::DEFAULT
};

const DISCARD: Command = Command {
    name: "discard",
    since: "2.0.0",
    group: Group::Transactions,
    arity: 1,
    flags: flags::ALLOW_BUSY | flags::FAST | flags::LOADING | flags::NOSCRIPT | flags::STALE,
    categories: categories::TRANSACTION,
    syntax: "",
    summary: "Throws the queued commands away.",
    complexity: "O(N) with N the number of queued commands",
    handler: discard,
    ..Command::DEFAULT
};

const WATCH: Command = Command {
    name: "watch",
    since: "2.2.0",
    group: Group::Transactions,
    arity: -2,
    flags: flags::ALLOW_BUSY
        | flags::FAST
        | flags::LOADING
        | flags::NO_MULTI
        | flags::NOSCRIPT
        | flags::STALE,
    categories: categories::TRANSACTION,
    keys: &[KeySpec::range(1, -1, 1, access::RO)],
    syntax: "key [key ...]",
    summary: "Makes the next transaction depend on keys staying as they are.",
    complexity: "O(1) a key",
    handler: watch,
    ..Command::DEFAULT
};

const UNWATCH: Command = Command {
    name: "unwatch",
    since: "2.2.0",
    group: Group::Transactions,
    arity: 1,
    flags: flags::ALLOW_BUSY | flags::FAST | flags::LOADING | flags::NOSCRIPT | flags::STALE,
    categories: categories::TRANSACTION,
    syntax: "",
    summary: "Forgets all watched keys.",
    complexity: "O(N) with N the number of watched keys",
    handler: unwatch,
    ..Command::DEFAULT
};

fn multi(cx: &mut Context<'_>) -> Result<Done, Error> {
    cx.session.queue = Some(Queue::default());
    cx.session.publish_transaction();
    cx.ok()
}

fn exec(cx: &mut Context<'_>) -> Result<Done, Error> {
    match &cx.session.queue {
        None => Err(Error::new("ERR EXEC without MULTI")),
        Some(queue) if queue.failed => {
            cx.session.discard(cx.engine);
            Err(Error::new("EXECABORT Transaction discarded because of previous errors."))
        }
        Some(_) => Ok(Done::RunQueue),
    }
}

fn discard(cx: &mut Context<'_>) -> Result<Done, Error> {
    if cx.session.queue.is_none() {
        return Err(Error::new("ERR DISCARD without MULTI"));
    }
    cx.session.discard(cx.engine);
    cx.ok()
}

fn watch(cx: &mut Context<'_>) -> Result<Done, Error> {
    let db = cx.db();
    for at in 1..cx.args.len() {
        let key = cx.key(at);
        if let Some(flag) = cx.session.remember_watch(db, key.bytes) {
            cx.view.watch(db, key, &flag);
        }
    }
    cx.session.publish_transaction();
    cx.ok()
}

fn unwatch(cx: &mut Context<'_>) -> Result<Done, Error> {
    std::mem::take(&mut cx.session.watches).forget(cx.engine);
    cx.session.publish_transaction();
    cx.ok()
}
