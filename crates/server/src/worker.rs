//! Workers: the connections that live on one runtime, as a rule a thread of its own.
//!
//! A connection is given to the worker that has fewest and stays there for life, so its state is
//! hardly shared and its wake-ups stay on one thread. Connections are ordinary tasks of a
//! current-thread runtime: a `LocalSet` would be a second scheduler around the first. What they
//! share per worker (a read buffer, the parsed batch, the replies being built) is the [`Scratch`]:
//! it is only used within one poll, and an idle connection owns no buffers at all.
//!
//! A worker ends when its sender of arrivals is dropped and its last connection is over.
//!
//! Neighbours: `seat` is the task of a connection, and what is done for all of them while a script
//! keeps the thread.

use std::collections::HashMap;
use std::future::poll_fn;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::time::Duration;

use pannier_clock::Clock;
use pannier_engine::{Engine, Lane, Session};
use pannier_lock::Mutex;
use pannier_resp::{Batch, Protocol, Reply};
use tokio::runtime::Handle as Runtime;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::AbortHandle;

use crate::bell::Bell;
use crate::connection::Connection;
use crate::seat::{Seat, Task};
use crate::socket::{Kind, Stream};
use crate::tls::Opening;

/// Bytes that one read takes at most.
pub(crate) const READ_LEN: usize = 64 << 10;

/// Time that a connection's turn takes at most, unless it runs a script.
const TURN_MAX: Duration = Duration::from_millis(2);

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
    /// Over TLS.
    pub(crate) opening: Option<Opening>,
}

/// What the connections of one worker share.
pub(crate) struct Worker {
    pub(crate) engine: Arc<Engine>,
    pub(crate) clock: Clock,
    pub(crate) lane: Arc<Lane>,
    pub(crate) bell: Arc<Bell>,
    pub(crate) runtime: Runtime,
    /// The seats of its connections, by the client's number.
    pub(crate) roster: Mutex<HashMap<u64, Weak<Seat>>>,
    /// Another thread serves its connections.
    pub(crate) has_stand_in: AtomicBool,
    scratch: Mutex<Scratch>,
    messages: Mutex<mpsc::UnboundedReceiver<Message>>,
    /// Connections that live here or are on their way.
    load: AtomicUsize,
    /// The server is shutting down: finish what was received, then close.
    draining: AtomicBool,
    /// Nothing is waited for any more.
    leaving: AtomicBool,
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
    bell: AbortHandle,
}

impl Worker {
    /// Makes a worker of a runtime.
    pub(crate) fn start(engine: &Arc<Engine>, clock: &Clock, runtime: &Runtime) -> Handle {
        let (sender, messages) = mpsc::unbounded_channel();
        let worker = Arc::new(Self {
            engine: Arc::clone(engine),
            clock: clock.clone(),
            lane: engine.lane(),
            bell: Arc::default(),
            runtime: runtime.clone(),
            roster: Mutex::default(),
            has_stand_in: AtomicBool::new(false),
            scratch: Mutex::default(),
            messages: Mutex::new(messages),
            load: AtomicUsize::new(0),
            draining: AtomicBool::new(false),
            leaving: AtomicBool::new(false),
            drained: Notify::new(),
        });
        runtime.spawn(Arc::clone(&worker).receive());
        let bell = runtime.spawn(Arc::clone(&worker.bell).serve()).abort_handle();
        Handle { worker, messages: sender, bell }
    }

    async fn receive(self: Arc<Self>) {
        while let Some(message) = poll_fn(|cx| self.messages.lock().poll_recv(cx)).await {
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

    /// Settles those who have arrived, from another thread. Nobody can catch up meanwhile: whoever
    /// asks for that is answered by what is dropped here.
    pub(crate) fn take_arrivals(self: &Arc<Self>) {
        while let Ok(message) = self.messages.lock().try_recv() {
            if let Message::Arrival(arrival) = message {
                self.settle(arrival);
            }
        }
    }

    /// Makes a connection a task of the runtime that is entered.
    fn settle(self: &Arc<Self>, arrival: Arrival) {
        let Arrival { socket, kind, session, opening } = arrival;
        let resident = Resident(Arc::clone(self));
        let client = session.id();
        match Stream::register(socket, kind, opening) {
            Ok(stream) => {
                let connection = Connection::new(stream, session, Arc::clone(self));
                drop(tokio::spawn(Task::new(connection, client, resident)));
            }
            Err(error) => tracing::warn!("Cannot register a connection: {error}"),
        }
    }

    /// The seats of all connections.
    pub(crate) fn seats(&self) -> Vec<Arc<Seat>> {
        self.roster.lock().values().filter_map(Weak::upgrade).collect()
    }

    /// Whether the client with this number has its connection here.
    pub(crate) fn seats_client(&self, client: u64) -> bool {
        self.roster.lock().contains_key(&client)
    }

    /// Lends the buffers that connections share. On a runtime of several threads another connection
    /// may use them, for a turn, or as long as a script takes, which is not waited for.
    pub(crate) fn with_scratch<R>(&self, body: impl FnOnce(&mut Scratch) -> R) -> R {
        match self.scratch.try_lock().or_else(|| self.scratch.try_lock_for(TURN_MAX)) {
            Some(mut scratch) => body(&mut scratch),
            None => body(&mut Scratch::default()),
        }
    }

    /// Whether connections are to finish.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Relaxed)
    }

    /// Tells connections to finish.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Relaxed);
        self.wake_all();
    }

    /// Whether connections are to be cut.
    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.load(Relaxed)
    }

    /// Cuts all connections.
    pub(crate) fn leave(&self) {
        self.leaving.store(true, Relaxed);
        for seat in self.seats() {
            seat.cut();
        }
    }

    /// Has all connections look again.
    pub(crate) fn wake_all(&self) {
        for seat in self.seats() {
            seat.wake();
        }
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

impl Drop for Handle {
    fn drop(&mut self) {
        self.bell.abort();
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
