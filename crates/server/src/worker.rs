//! Workers: one thread each, with a runtime of its own, and the connections that live on it.
//!
//! A connection is given to the worker that has fewest and stays there for life, so its state is
//! never shared and its wake-ups stay on one thread. Connections are ordinary tasks of a runtime
//! with one thread. It is tokio's multi-threaded one, because that one can replace its thread: when
//! a script keeps it for too long, another takes over and serves all other connections
//! (`Host::step_aside`), so that somebody can kill the script.
//!
//! What connections share per worker (a read buffer, the parsed batch, the replies being built) is
//! the [`Scratch`]: it is only used within one poll, so its lock is contended only while a script
//! keeps it, when others make do with one of their own; an idle connection owns no buffers at all.
//!
//! A worker ends when its sender of arrivals is dropped; its runtime then drops what is left.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread::JoinHandle;

use pannier_clock::Clock;
use pannier_engine::{Engine, Lane, Session};
use pannier_resp::{Batch, Protocol, Reply};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc, oneshot};

use crate::bell::Bell;
use crate::connection::Connection;
use crate::host::ShellHost;
use crate::socket::{Kind, Stream};
use crate::tasks::expiry;

/// Bytes that one read takes at most.
pub(crate) const READ_LEN: usize = 64 << 10;

/// Threads that may take over from one another: one keeps a script, one serves, others end.
const REPLACEMENTS_MAX: usize = 16;

/// What reaches a worker from the control thread.
enum Message {
    Arrival(Arrival),
    /// Answer when everything that is ready has had its turn.
    CatchUp(oneshot::Sender<()>),
}

/// An accepted connection on its way to its worker.
pub(crate) struct Arrival {
    pub(crate) socket: OwnedFd,
    pub(crate) kind: Kind,
    pub(crate) session: Session,
}

/// What the connections of one worker share.
pub(crate) struct Worker {
    pub(crate) engine: Arc<Engine>,
    pub(crate) clock: Clock,
    pub(crate) lane: Arc<Lane>,
    pub(crate) scratch: Mutex<Scratch>,
    pub(crate) bell: Arc<Bell>,
    /// Connections that live here or are on their way.
    load: AtomicUsize,
    /// The server is shutting down: finish what was received, then close.
    draining: AtomicBool,
    drained: Notify,
}

/// Buffers that a connection uses while it is polled.
pub(crate) struct Scratch {
    pub(crate) read: Vec<u8>,
    pub(crate) batch: Batch,
    pub(crate) reply: Reply,
}

impl Default for Scratch {
    fn default() -> Self {
        Self { read: Vec::new(), batch: Batch::new(), reply: Reply::new(Protocol::Resp2) }
    }
}

/// A running worker as the acceptor sees it.
pub(crate) struct Handle {
    pub(crate) worker: Arc<Worker>,
    messages: mpsc::UnboundedSender<Message>,
}

impl Worker {
    /// Starts a worker's thread. The first worker frees expired keys besides (see
    /// `tasks::expiry`).
    pub(crate) fn spawn(
        index: usize,
        engine: &Arc<Engine>,
        host: &Arc<ShellHost>,
        clock: &Clock,
    ) -> io::Result<(Handle, JoinHandle<()>)> {
        let worker = Arc::new(Self {
            engine: Arc::clone(engine),
            clock: clock.clone(),
            lane: engine.lane(),
            scratch: Mutex::default(),
            bell: Arc::default(),
            load: AtomicUsize::new(0),
            draining: AtomicBool::new(false),
            drained: Notify::new(),
        });
        let (messages, received) = mpsc::unbounded_channel();
        let name = format!("pannier-worker-{index}");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .max_blocking_threads(REPLACEMENTS_MAX)
            .thread_name(&name)
            .enable_io()
            .enable_time()
            .build()?;
        let own = Arc::clone(&worker);
        if index == 0 {
            runtime.spawn(expiry(Arc::clone(engine), Arc::clone(host), clock.clone()));
        }
        runtime.spawn(Arc::clone(&worker.bell).serve());
        let thread = std::thread::Builder::new().name(name).spawn(move || {
            // On the runtime's own thread, so that catching up waits for what is ready there.
            let receiving = runtime.spawn(own.receive(received));
            if runtime.block_on(receiving).is_err() {
                tracing::error!("A worker panicked");
            }
        })?;
        Ok((Handle { worker, messages }, thread))
    }

    async fn receive(self: Arc<Self>, mut messages: mpsc::UnboundedReceiver<Message>) {
        while let Some(message) = messages.recv().await {
            match message {
                Message::Arrival(arrival) => self.settle(arrival),
                Message::CatchUp(done) => {
                    // Back only when the run queue was empty and the sockets were looked at.
                    tokio::task::yield_now().await;
                    tokio::task::yield_now().await;
                    // Whoever asked may have stopped waiting.
                    let _ = done.send(());
                }
            }
        }
    }

    fn settle(self: &Arc<Self>, Arrival { socket, kind, session }: Arrival) {
        let resident = Resident(Arc::clone(self));
        match Stream::register(socket, kind) {
            Ok(stream) => drop(tokio::spawn(Connection::new(stream, session, resident))),
            Err(error) => tracing::warn!("Cannot register a connection: {error}"),
        }
    }

    /// Whether connections are to finish.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Relaxed)
    }

    /// Tells connections to finish; they look when they are next polled.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Relaxed);
    }

    /// Waits until no connection is left.
    pub(crate) async fn drained(&self) {
        loop {
            let notified = self.drained.notified();
            if self.load.load(Relaxed) == 0 {
                return;
            }
            notified.await;
        }
    }
}

/// A connection's place on its worker, given back on drop.
pub(crate) struct Resident(Arc<Worker>);

impl Resident {
    /// The worker, to keep beside a change of the connection.
    pub(crate) fn shared(&self) -> Arc<Worker> {
        Arc::clone(&self.0)
    }
}

impl std::ops::Deref for Resident {
    type Target = Worker;

    fn deref(&self) -> &Worker {
        &self.0
    }
}

impl Drop for Resident {
    fn drop(&mut self) {
        if self.0.load.fetch_sub(1, Relaxed) == 1 {
            self.0.drained.notify_waiters();
        }
    }
}

impl Handle {
    /// Number of connections.
    pub(crate) fn load(&self) -> usize {
        self.worker.load.load(Relaxed)
    }

    /// Hands a connection over.
    pub(crate) fn send(&self, arrival: Arrival) {
        self.worker.load.fetch_add(1, Relaxed);
        if self.messages.send(Message::Arrival(arrival)).is_err() {
            // The thread has ended: the socket is closed with the arrival.
            self.worker.load.fetch_sub(1, Relaxed);
        }
    }

    /// Waits until the worker has seen what its connections had to say so far.
    pub(crate) async fn catch_up(&self) {
        let (done, caught_up) = oneshot::channel();
        if self.messages.send(Message::CatchUp(done)).is_ok() {
            // The worker may end instead.
            let _ = caught_up.await;
        }
    }
}
