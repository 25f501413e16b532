//! The registry of clients: who is connected, and what CLIENT LIST and CLIENT KILL know of them.
//!
//! Each connection shares one [`Client`] between its session, which writes it, and whoever lists
//! or kills clients, who reads it. Numbers are relaxed atomics written by one thread; texts sit
//! behind a small lock of their own. The registry's map is locked only to connect, disconnect and
//! list, never on the path of a request.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{
    AtomicBool, AtomicI32, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed,
};

use pannier_lock::Mutex;
use pannier_store::Waiter;

use crate::config::{OutputLimit, OutputLimits};
use crate::mailbox::Mailbox;
use crate::stats::Lane;
use crate::waiting::Parked;

/// How a client is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Over TCP.
    Tcp,
    /// Over a Unix socket.
    Unix,
    /// Inside the process.
    Embedded,
}

/// What the shell knows of a new connection.
pub struct ConnectionInfo {
    /// Peer's address as CLIENT LIST shows it (`ip:port`, `path:0`).
    pub addr: String,
    /// Own address.
    pub laddr: String,
    /// File descriptor, -1 without one.
    pub fd: i32,
    /// Kind of connection.
    pub transport: Transport,
    /// The peer is on this machine.
    pub local: bool,
    /// Where its commands are counted: one lane a worker.
    pub lane: Arc<Lane>,
    /// Its mailbox.
    pub mailbox: Arc<Mailbox>,
}

/// Texts that a client may set.
#[derive(Clone, Debug, Default)]
pub(crate) struct Labels {
    pub(crate) name: String,
    pub(crate) lib_name: String,
    pub(crate) lib_version: String,
    pub(crate) user: String,
}

impl Labels {
    /// Whether the client has set nothing.
    pub(crate) fn is_default(&self) -> bool {
        self.name.is_empty() && self.lib_name.is_empty() && self.lib_version.is_empty()
    }
}

/// The shared face of a connection. Times in milliseconds since the epoch, sizes in bytes.
pub struct Client {
    /// Unique, ascending.
    pub id: u64,
    /// Peer's address.
    pub addr: String,
    /// Own address.
    pub laddr: String,
    pub(crate) fd: i32,
    pub(crate) transport: Transport,
    pub(crate) created_ms: u64,
    pub(crate) labels: Mutex<Labels>,
    /// Its mailbox.
    pub mailbox: Arc<Mailbox>,
    pub(crate) database: AtomicUsize,
    pub(crate) protocol: AtomicU32,
    pub(crate) last_seen_ms: AtomicU64,
    /// Id of the last command (see `command::Table`), -1 before the first.
    pub(crate) last_command: AtomicI32,
    /// It is inside a transaction.
    pub(crate) in_transaction: AtomicBool,
    /// Commands queued by MULTI, -1 before its first MULTI or WATCH.
    pub(crate) queued: AtomicI32,
    /// Bytes of these commands.
    pub(crate) queued_len: AtomicUsize,
    /// Keys watched.
    pub(crate) watched: AtomicUsize,
    /// Bytes that they take.
    pub(crate) watched_len: AtomicUsize,
    /// Subscriptions to channels, patterns and shard channels.
    pub(crate) subscribed: [AtomicUsize; 3],
    /// Bits: it tracks keys, by prefixes, and whoever is told in its place has gone.
    pub(crate) tracking: AtomicU32,
    /// Who is told in its place, 0 for nobody.
    pub(crate) redirect: AtomicU64,
    /// It is shown what others run.
    pub(crate) monitoring: AtomicBool,
    pub(crate) no_evict: AtomicBool,
    pub(crate) no_touch: AtomicBool,
    /// It is not listed: about to close, or never shown.
    pub(crate) closing: AtomicBool,
    pub(crate) blocked: AtomicBool,
    /// What it waits for, inside a blocking command.
    pub(crate) waiting: Mutex<Option<Arc<Waiter>>>,
    /// Bytes in the query buffer, and its free room; set by the connection.
    pub query_len: AtomicUsize,
    /// Free room in the query buffer.
    pub query_free: AtomicUsize,
    /// Bytes of replies that are not written yet.
    pub output_len: AtomicUsize,
    /// Chunks in which they wait.
    pub output_chunks: AtomicUsize,
    /// Bytes read since it connected.
    pub net_in: AtomicU64,
    /// Bytes written since it connected.
    pub net_out: AtomicU64,
    pub(crate) commands: AtomicU64,
}

impl Client {
    /// Forgets what the client set about itself, but for the library's name (RESET).
    pub(crate) fn reset(&self) {
        self.labels.lock().name.clear();
        self.no_evict.store(false, Relaxed);
        self.no_touch.store(false, Relaxed);
    }

    /// When it last sent something, Unix milliseconds.
    pub fn last_seen_ms(&self) -> u64 {
        self.last_seen_ms.load(Relaxed)
    }

    /// Whether it has a subscription.
    pub(crate) fn is_subscribed(&self) -> bool {
        self.subscribed.iter().any(|count| count.load(Relaxed) > 0)
    }

    pub(crate) fn publish_subscriptions(&self, counts: [usize; 3]) {
        for (cell, count) in self.subscribed.iter().zip(counts) {
            cell.store(count, Relaxed);
        }
    }

    /// Shows in CLIENT LIST how it tracks.
    pub(crate) fn publish_tracking(&self, on: bool, broadcast: bool, broken: bool, redirect: u64) {
        let bits = [(on, TRACKS), (broadcast, BROADCASTS), (broken, BROKEN_REDIRECT)];
        let bits = bits.iter().fold(0, |all, (set, bit)| if *set { all | bit } else { all });
        self.tracking.store(bits, Relaxed);
        self.redirect.store(redirect, Relaxed);
    }

    /// Whether all of these bits of its tracking are set.
    pub(crate) fn tracks(&self, bits: u32) -> bool {
        self.tracking.load(Relaxed) & bits == bits
    }

    /// Who is told in its place, as CLIENT GETREDIR answers.
    pub(crate) fn redirect(&self) -> i64 {
        if self.tracks(TRACKS) { self.redirect.load(Relaxed) as i64 } else { -1 }
    }

    /// How much it may leave unread.
    pub fn output_limit(&self, limits: &OutputLimits) -> OutputLimit {
        let is_sent = self.is_subscribed() || self.monitoring.load(Relaxed);
        if is_sent { limits.pubsub } else { limits.normal }
    }

    /// Memory held for it: buffers, what MULTI has queued, watched keys, and this record.
    pub fn memory(&self) -> usize {
        self.query_len.load(Relaxed)
            + self.queued_len.load(Relaxed)
            + self.watched_len.load(Relaxed)
            + self.query_free.load(Relaxed)
            + self.output_len.load(Relaxed)
            + self.mailbox.waiting()
            + size_of::<Self>()
            + self.addr.len()
            + self.laddr.len()
    }

    /// Whether a request of its is held back; it is then not idle.
    pub fn is_blocked(&self) -> bool {
        self.blocked.load(Relaxed)
    }

    /// Whether it waits inside a blocking command, and not for ever.
    pub(crate) fn waits_for_a_time(&self) -> bool {
        let waiting = self.waiting.lock();
        let parked = waiting.as_ref().and_then(|waiter| waiter.parked::<Parked>());
        parked.is_some_and(|parked| parked.until_ms != u64::MAX)
    }

    /// Whether CLIENT NO-EVICT protects it from `maxmemory-clients`.
    pub fn is_protected(&self) -> bool {
        self.no_evict.load(Relaxed)
    }
}

/// It tracks keys.
pub(crate) const TRACKS: u32 = 1;
/// It tracks keys by their prefixes.
pub(crate) const BROADCASTS: u32 = 1 << 1;
/// Whoever should be told in its place has gone.
pub(crate) const BROKEN_REDIRECT: u32 = 1 << 2;

/// All connected clients, by id.
#[derive(Default)]
pub(crate) struct Clients {
    map: Mutex<BTreeMap<u64, Arc<Client>>>,
    next_id: AtomicU64,
    connected: AtomicUsize,
}

impl Clients {
    pub(crate) fn connect(&self, info: &ConnectionInfo, now_ms: u64) -> Arc<Client> {
        let client = self.unlisted(info, now_ms);
        self.list(&client);
        client
    }

    /// A client that nobody sees until it is listed.
    pub(crate) fn unlisted(&self, info: &ConnectionInfo, now_ms: u64) -> Arc<Client> {
        Arc::new(Client {
            id: self.next_id.fetch_add(1, Relaxed) + 1,
            addr: info.addr.clone(),
            laddr: info.laddr.clone(),
            fd: info.fd,
            transport: info.transport,
            created_ms: now_ms,
            labels: Mutex::new(Labels { user: "default".into(), ..Labels::default() }),
            mailbox: Arc::clone(&info.mailbox),
            database: AtomicUsize::new(0),
            protocol: AtomicU32::new(2),
            last_seen_ms: AtomicU64::new(now_ms),
            last_command: AtomicI32::new(-1),
            in_transaction: AtomicBool::new(false),
            queued: AtomicI32::new(-1),
            queued_len: AtomicUsize::new(0),
            watched: AtomicUsize::new(0),
            watched_len: AtomicUsize::new(0),
            subscribed: Default::default(),
            tracking: AtomicU32::new(0),
            redirect: AtomicU64::new(0),
            monitoring: AtomicBool::new(false),
            no_evict: AtomicBool::new(false),
            no_touch: AtomicBool::new(false),
            closing: AtomicBool::new(true),
            blocked: AtomicBool::new(false),
            waiting: Mutex::new(None),
            query_len: AtomicUsize::new(0),
            query_free: AtomicUsize::new(0),
            output_len: AtomicUsize::new(0),
            output_chunks: AtomicUsize::new(0),
            net_in: AtomicU64::new(0),
            net_out: AtomicU64::new(0),
            commands: AtomicU64::new(0),
        })
    }

    /// Shows a client from now on: it is counted, listed, and can be killed.
    pub(crate) fn list(&self, client: &Arc<Client>) {
        if client.closing.swap(false, Relaxed) {
            self.map.lock().insert(client.id, Arc::clone(client));
            self.connected.fetch_add(1, Relaxed);
        }
    }

    /// A client is about to be closed: it is neither counted nor listed any more, although its
    /// last replies may still be on their way. Whoever sees those replies sees it gone.
    pub(crate) fn leave(&self, client: &Client) {
        if !client.closing.swap(true, Relaxed) {
            self.connected.fetch_sub(1, Relaxed);
        }
    }

    pub(crate) fn disconnect(&self, client: &Client) {
        self.leave(client);
        self.map.lock().remove(&client.id);
    }

    pub(crate) fn len(&self) -> usize {
        self.connected.load(Relaxed)
    }

    /// The client of an id, unless it is about to go.
    pub(crate) fn get(&self, id: u64) -> Option<Arc<Client>> {
        let found = self.map.lock().get(&id).cloned();
        found.filter(|client| !client.closing.load(Relaxed))
    }

    /// All clients, in ascending order of id.
    pub(crate) fn all(&self) -> Vec<Arc<Client>> {
        self.map.lock().values().cloned().collect()
    }
}
