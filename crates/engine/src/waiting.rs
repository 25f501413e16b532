//! A session that waits: what a blocking command leaves behind when it finds nothing.
//!
//! The handler says for which keys, which type and how long ([`Wait`]); `exec` parks the request
//! with the store (`pannier_store::Waiter`) while the keys are still open, so that no push can
//! come in between. From then on the session executes nothing. Its wait ends once, and whoever
//! takes the waiter out of the queues decides how:
//!
//! | who | how the session hears of it |
//! |---|---|
//! | whoever makes a key ready (`exec::serve`) | `Letter::Served`, with the reply |
//! | CLIENT UNBLOCK | `Letter::Unblocked` |
//! | the session's own shell, when the time is over | [`Session::end_wait`] |
//! | the end of the session | not at all |
//!
//! Rules: a wait counts as one call of its command, with the time of its attempts; the time
//! between them is nobody's. The deadline is compared with the engine's clock, which may be
//! virtual. Neighbours: `command::block` makes waits, the shells watch the deadline.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use pannier_resp::{OwnedArgs, Protocol, Reply};
use pannier_store::{Kind, Now, Waiter, Want};

use crate::clients::Client;
use crate::command::row::KeyList;
use crate::command::{Context, Resolved};
use crate::error::Error;
use crate::exec::{Executed, settle, strike};
use crate::session::{ReplyMode, Session};

/// What a blocking command waits for.
pub(crate) struct Wait {
    /// Where its keys stand among the arguments.
    pub(crate) keys: Vec<usize>,
    /// The type that may serve it.
    pub(crate) kind: Kind,
    /// Whether it ends with an error when its key goes or becomes another type.
    pub(crate) without_key: bool,
    /// See [`Want::kin`].
    pub(crate) kin: u64,
    /// Until when, in Unix milliseconds; `u64::MAX` is for ever.
    pub(crate) until_ms: u64,
    /// Arguments that mean something else when the request is tried again.
    pub(crate) rewritten: Rewritten,
    /// The reply when the time is over.
    pub(crate) over: Over,
    /// Once the request is parked.
    pub(crate) parked: Option<Arc<Waiter>>,
    /// The client wants no reply.
    pub(crate) silent: bool,
}

/// Arguments by their positions.
pub(crate) type Rewritten = Vec<(usize, Vec<u8>)>;

/// The reply to a wait whose time is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    /// Null.
    Null,
    /// WAIT: no replica.
    Replicas,
    /// WAITAOF: no file, no replica.
    Files,
}

/// A request that waits, as whoever serves it finds it.
pub(crate) struct Parked {
    pub(crate) client: Arc<Client>,
    pub(crate) found: Resolved,
    pub(crate) args: OwnedArgs,
    pub(crate) database: usize,
    pub(crate) until_ms: u64,
    pub(crate) protocol: Protocol,
    /// What it reads is tracked.
    pub(crate) tracks: bool,
    /// Time that its attempts have taken.
    pub(crate) spent_us: AtomicU64,
}

/// How a wait ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With this reply (`Letter::Served`).
    Served(Box<[u8]>),
    /// By another client (`Letter::Unblocked`).
    Unblocked {
        /// As an error.
        error: bool,
    },
    /// Its time is over.
    TimedOut,
}

impl Wait {
    /// A wait for keys.
    pub(crate) fn new(keys: Vec<usize>, kind: Kind, until_ms: u64) -> Self {
        Self {
            keys,
            kind,
            without_key: false,
            kin: 0,
            until_ms,
            rewritten: Vec::new(),
            over: Over::Null,
            parked: None,
            silent: false,
        }
    }
}

impl Over {
    /// Writes the reply.
    pub(crate) fn reply(self, reply: &mut Reply) {
        match self {
            Self::Null => reply.null_array(),
            Self::Replicas => reply.integer(0),
            Self::Files => {
                reply.array(2);
                reply.integer(0);
                reply.integer(0);
            }
        }
    }
}

/// Parks the request whose handler has said what it waits for; its keys are still open.
pub(crate) fn park(cx: &mut Context<'_>, found: Resolved, started: u64) {
    let Some(mut wait) = cx.session.wait.take() else { return };
    let rewritten = |at: usize| wait.rewritten.iter().find(|(held, _)| *held == at);
    let args = cx.args.iter().enumerate();
    let args = args.map(|(at, arg)| rewritten(at).map_or(arg, |(_, bytes)| bytes));
    let client = Arc::clone(&cx.session.client);
    let parked = Parked {
        client: Arc::clone(&client),
        found,
        args: OwnedArgs::new(args),
        database: cx.session.database,
        until_ms: wait.until_ms,
        protocol: cx.session.protocol,
        tracks: cx.tracks(),
        spent_us: AtomicU64::new(cx.engine.host.mono_us().saturating_sub(started)),
    };
    let keys: KeyList<'_> = wait.keys.iter().map(|at| cx.key(*at)).collect();
    let (database, kind, without_key) = (cx.session.database, wait.kind, wait.without_key);
    let want = Want { database, kind, without_key, kin: wait.kin, keys: &keys };
    client.blocked.store(true, Relaxed);
    let waiter = cx.view.park(want, Box::new(parked));
    *client.waiting.lock() = Some(Arc::clone(&waiter));
    wait.silent = cx.session.reply_mode != ReplyMode::On;
    wait.parked = Some(waiter);
    cx.session.wait = Some(wait);
}

impl Session {
    /// Whether it waits inside a blocking command: nothing may be executed for it.
    #[inline]
    pub fn is_waiting(&self) -> bool {
        self.wait.is_some()
    }

    /// Until when it waits, in Unix milliseconds.
    pub fn waits_until_ms(&self) -> Option<u64> {
        self.wait.as_ref().map(|wait| wait.until_ms)
    }

    /// Ends its wait and replies; false when it goes on. That its time is over means nothing any
    /// more when it has just been served: the letter is on its way.
    pub fn end_wait(&mut self, ending: Ending, reply: &mut Reply, now: Now) -> bool {
        let Some(mut wait) = self.wait.take() else { return false };
        let Some(waiter) = wait.parked.take() else { return false };
        if ending == Ending::TimedOut && !self.engine.keyspace.withdraw(&waiter) {
            (wait.until_ms, wait.parked) = (u64::MAX, Some(waiter));
            self.wait = Some(wait);
            return false;
        }
        *self.client.waiting.lock() = None;
        self.client.blocked.store(false, Relaxed);
        self.end_caching("");
        reply.set_protocol(self.protocol);
        let mark = reply.mark();
        let failed = match ending {
            Ending::Served(bytes) => {
                reply.raw(&bytes);
                None
            }
            Ending::Unblocked { error: true } => {
                reply.error(UNBLOCKED.message());
                self.lane.count_error(UNBLOCKED.code());
                Some(true)
            }
            Ending::Unblocked { error: false } | Ending::TimedOut => {
                wait.over.reply(reply);
                Some(false)
            }
        };
        if let (Some(failed), Some(parked)) = (failed, waiter.parked::<Parked>()) {
            let (engine, id, args) = (&*self.engine, parked.found.id, parked.args.args());
            let started = engine.host.mono_us().saturating_sub(parked.spent_us.load(Relaxed));
            let ran = Executed { id, args, failed, dirty: 0, sooner: false, started };
            settle(engine, &engine.config.load(), self, ran, (reply, mark), now);
        }
        if wait.silent {
            reply.cut(mark);
        }
        if self.fate.is_some() {
            strike(self, mark, reply);
        }
        true
    }

    /// Leaves nothing behind of a wait.
    pub(crate) fn give_up_wait(&mut self) {
        if let Some(waiter) = self.wait.take().and_then(|wait| wait.parked) {
            self.engine.keyspace.withdraw(&waiter);
            *self.client.waiting.lock() = None;
        }
    }
}

const UNBLOCKED: Error = Error::new("UNBLOCKED client unblocked via CLIENT UNBLOCK");
