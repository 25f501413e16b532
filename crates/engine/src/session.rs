//! A session: one client's state between its requests.
//!
//! A session belongs to whoever runs its requests, one at a time; what others may see of it is in
//! its [`Client`]. Dropping it takes it out of the registry. RESET brings it back to where it
//! began.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use pannier_resp::Protocol;
use pannier_store::Now;

use crate::clients::{Client, Transport};
use crate::command::Command;
use crate::config::Config;
use crate::engine::Engine;
use crate::faults::Fate;
use crate::mailbox::Mailbox;
use crate::pubsub::Subscriptions;
use crate::stats::Lane;
use crate::tracking::Mode;
use crate::transaction::{Queue, Watches};
use crate::waiting::Wait;

/// CLIENT REPLY.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ReplyMode {
    /// Replies are sent.
    #[default]
    On,
    /// None is.
    Off,
    /// The next command's reply is left out (set by the command that is running).
    SkipNext,
    /// This command's reply is left out.
    Skip,
}

/// One client's state. See the module's header.
pub struct Session {
    pub(crate) engine: Arc<Engine>,
    pub(crate) client: Arc<Client>,
    pub(crate) lane: Arc<Lane>,
    pub(crate) database: usize,
    pub(crate) protocol: Protocol,
    pub(crate) authenticated: bool,
    pub(crate) local: bool,
    pub(crate) reply_mode: ReplyMode,
    pub(crate) closing: bool,
    /// It has asked for the end of the server.
    pub(crate) ends_server: bool,
    /// What MULTI opened, if it did.
    pub(crate) queue: Option<Queue>,
    /// EXEC is running its queue: no command may wait.
    pub(crate) in_exec: bool,
    pub(crate) watches: Watches,
    /// What it is subscribed to; none while that is nothing.
    pub(crate) subscriptions: Option<Box<Subscriptions>>,
    /// What its blocking command waits for.
    pub(crate) wait: Option<Box<Wait>>,
    /// It stands in for a session that waits, while that one's request is tried again.
    pub(crate) stands_in: bool,
    /// How it tracks keys, if it does.
    pub(crate) tracking: Option<Box<Mode>>,
    /// What a fault has in store for its request.
    pub(crate) fate: Option<Box<Fate>>,
    /// How often requests have come.
    pub(crate) batch: u64,
}

impl Session {
    pub(crate) fn new(
        engine: Arc<Engine>,
        client: Arc<Client>,
        lane: Arc<Lane>,
        local: bool,
    ) -> Self {
        // Whoever is inside the process needs no password.
        let trusted = client.transport == Transport::Embedded;
        let authenticated = trusted || engine.config().requirepass.is_empty();
        Self {
            engine,
            client,
            lane,
            database: 0,
            protocol: Protocol::Resp2,
            authenticated,
            local,
            reply_mode: ReplyMode::On,
            closing: false,
            ends_server: false,
            queue: None,
            in_exec: false,
            watches: Watches::default(),
            subscriptions: None,
            wait: None,
            stands_in: false,
            tracking: None,
            fate: None,
            batch: 0,
        }
    }

    /// Its number, as CLIENT ID answers it.
    pub fn id(&self) -> u64 {
        self.client.id
    }

    /// What others see of it.
    pub fn client(&self) -> &Arc<Client> {
        &self.client
    }

    /// Its mailbox.
    pub fn mailbox(&self) -> &Mailbox {
        &self.client.mailbox
    }

    /// Whether it may run commands that need authentication; the request parser's limits are
    /// tighter before.
    pub fn is_authenticated(&self) -> bool {
        !self.needs_password(&self.engine.peek_config())
    }

    /// Whether a password is set that it has not given. One that connected while there was none
    /// need not give it later.
    pub(crate) fn needs_password(&self, config: &Config) -> bool {
        !self.authenticated && !config.requirepass.is_empty()
    }

    /// Whether messages are sent to it that are no replies.
    pub fn expects_pushes(&self) -> bool {
        self.subscriptions.is_some() || self.tracking.is_some() || self.is_monitor()
    }

    /// Whether it is shown what others run.
    pub(crate) fn is_monitor(&self) -> bool {
        self.client.monitoring.load(Relaxed)
    }

    /// Whether it may only do what a subscriber may: RESP2 has no way to tell a message from a
    /// reply.
    pub(crate) fn is_restricted(&self) -> bool {
        self.subscriptions.is_some() && self.protocol == Protocol::Resp2
    }

    /// The engine that it is a session of.
    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// Ends all subscriptions, tracking and monitoring.
    pub(crate) fn unsubscribe_all(&mut self) {
        self.untrack();
        self.engine.monitors.remove(&self.client);
        if let Some(held) = self.subscriptions.take() {
            self.engine.pubsub.forget(&self.client, *held);
        }
    }

    /// The protocol of its replies.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Where its commands are counted.
    pub fn lane(&self) -> &Lane {
        &self.lane
    }

    /// Whether a command is queued now instead of run.
    pub(crate) fn queues(&self, command: &Command) -> bool {
        let runs = ["exec", "discard", "multi", "watch", "quit", "reset"];
        self.queue.is_some() && !runs.contains(&command.name)
    }

    /// Whether its reads leave access clocks alone (CLIENT NO-TOUCH).
    pub(crate) fn no_touch(&self) -> bool {
        self.client.no_touch.load(Relaxed)
    }

    /// Nothing more is executed for it: it closes once its replies are written.
    pub fn close(&mut self) {
        self.closing = true;
        self.unsubscribe_all();
        self.engine.clients.leave(&self.client);
    }

    /// Whether it closes because it has ended the server (SHUTDOWN).
    pub fn ends_server(&self) -> bool {
        self.ends_server
    }

    /// What is executed from now on came in one round trip. A shell says so where requests arrive
    /// while none was half-arrived or waited.
    #[inline]
    pub fn begin_batch(&mut self) {
        self.batch += 1;
    }

    /// Whether a fault has cut its connection: it is closed, and nothing may be written behind what
    /// its requests have replied so far.
    pub fn is_cut(&self) -> bool {
        self.fate.as_ref().is_some_and(|fate| fate.done)
    }

    /// The selected database.
    pub fn database(&self) -> usize {
        self.database
    }

    /// Exchanges the lane that it counts into. A lane has one writer: whoever runs sessions on
    /// several threads lends each the lane that the thread holds.
    pub fn swap_lane(&mut self, lane: &mut Arc<Lane>) {
        std::mem::swap(&mut self.lane, lane);
    }

    /// Whether nothing that its requests have said lasts, besides the database and the protocol:
    /// another client's requests would fare the same in it.
    pub fn is_fresh(&self) -> bool {
        let asked = self.queue.is_some() || self.expects_pushes() || self.is_waiting();
        let client = &self.client;
        !asked
            && !self.closing
            && self.reply_mode == ReplyMode::On
            && self.watches.keys.is_empty()
            && !client.no_touch.load(Relaxed)
            && !client.no_evict.load(Relaxed)
            && client.labels.lock().is_default()
    }

    /// Whether a command on one key would fare in it, and be answered, as in any other.
    #[inline]
    pub fn is_plain(&self) -> bool {
        let asked = self.queue.is_some() || self.expects_pushes() || self.is_waiting();
        let (mode, fate) = (self.reply_mode, &self.fate);
        !asked && !self.closing && mode == ReplyMode::On && fate.is_none() && !self.no_touch()
    }

    /// Takes note of a command that was executed for it directly, in a round trip of its own.
    pub fn ran_directly(&mut self, name: &str, now: Now) {
        self.begin_batch();
        if let Some(found) = self.engine.commands.find(name.as_bytes()) {
            crate::exec::seen(self, found.id, now);
            crate::exec::completed(&self.client, 1);
        }
    }

    /// Shows its client in the list of clients, if it was begun without ([`Engine::enter`]).
    pub fn list(&self) {
        self.engine.clients.list(&self.client);
    }

    /// Takes its client out of that list again.
    pub fn unlist(&self) {
        self.engine.clients.disconnect(&self.client);
    }

    /// Selects a database. Panics when there are not so many.
    pub fn select_database(&mut self, database: usize) {
        assert!(database < self.engine.keyspace.databases(), "there is no database {database}");
        if self.database != database {
            self.select(database);
        }
    }

    /// Chooses the protocol of its replies, as HELLO does.
    pub fn speak(&mut self, protocol: Protocol) {
        if self.protocol != protocol {
            self.set_protocol(protocol);
        }
    }

    /// Selects a database.
    pub(crate) fn select(&mut self, database: usize) {
        self.database = database;
        self.client.database.store(database, Relaxed);
    }

    /// Chooses the protocol of the replies.
    pub(crate) fn set_protocol(&mut self, protocol: Protocol) {
        self.protocol = protocol;
        let number = if protocol == Protocol::Resp2 { 2 } else { 3 };
        self.client.protocol.store(number, Relaxed);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.stands_in {
            return;
        }
        self.give_up_wait();
        self.unsubscribe_all();
        std::mem::take(&mut self.watches).forget(&self.engine);
        self.engine.clients.disconnect(&self.client);
    }
}
