//! Seats: the tasks of connections, and what a stand-in does for them.
//!
//! A connection is served by a task of its worker's runtime. While a script keeps the worker's
//! thread for long, nobody polls these tasks, and yet somebody must be able to kill the script. So
//! a connection stands in a [`Seat`] that another thread can take a turn at: the [`stand_in`],
//! started when the script is found to be slow, goes round all seats of the worker, reading and
//! writing the sockets directly, until the server is not busy any more. The seat of the script's
//! own client is locked meanwhile, and passed over.
//!
//! Why so: tokio's multi-threaded runtime can hand its work to another thread by itself, but with
//! it an unpipelined GET cost up to a third more CPU time, and each worker a second thread.
//!
//! Rules: a seat is locked for one turn. Whatever a stand-in does, it wakes all tasks afterwards,
//! so that they see to their own wakers. A worker has one stand-in at most.
//!
//! Neighbours: `worker` holds the roster of seats, `host` is told of slow scripts. Tests:
//! `tests/busy.rs` of this crate.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::Ordering::AcqRel;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use pannier_lock::Mutex;

use crate::connection::{Connection, Served};
use crate::worker::{Resident, Scratch, Worker};

/// Time between two rounds of a stand-in, at least.
const ROUND: Duration = Duration::from_millis(2);

/// See the module's header.
pub(crate) struct Seat {
    /// None when it is over.
    connection: Mutex<Option<Connection>>,
    /// Wakes the task; known once it was polled.
    waker: OnceLock<Waker>,
}

impl Seat {
    /// A turn by another thread than the worker's, unless it is taken.
    fn serve_directly(&self, scratch: &mut Scratch) -> Served {
        let Some(mut held) = self.connection.try_lock() else { return Served::Waits };
        let Some(connection) = &mut *held else { return Served::Waits };
        let waker = self.waker.get().unwrap_or(Waker::noop());
        let served = connection.serve_directly(&mut Context::from_waker(waker), scratch);
        if served == Served::Ended {
            *held = None;
        }
        served
    }

    /// Has the task look again.
    pub(crate) fn wake(&self) {
        // A task that was never polled is about to be.
        if let Some(waker) = self.waker.get() {
            waker.wake_by_ref();
        }
    }

    /// Ends the connection; the one whose turn it is will see that the worker leaves.
    pub(crate) fn cut(&self) {
        if let Some(mut held) = self.connection.try_lock() {
            *held = None;
        }
        self.wake();
    }
}

/// The task that serves a connection.
pub(crate) struct Task {
    seat: Arc<Seat>,
    client: u64,
    worker: Resident,
}

impl Task {
    /// A task for a connection of the client with this number.
    pub(crate) fn new(connection: Connection, client: u64, worker: Resident) -> Self {
        let connection = Mutex::new(Some(connection));
        let seat = Arc::new(Seat { connection, waker: OnceLock::new() });
        worker.roster.lock().insert(client, Arc::downgrade(&seat));
        Self { seat, client, worker }
    }
}

impl Future for Task {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { seat, worker, .. } = self.get_mut();
        // A task has one waker for life.
        seat.waker.get_or_init(|| cx.waker().clone());
        let mut connection = seat.connection.lock();
        let Some(held) = &mut *connection else { return Poll::Ready(()) };
        let served = worker.with_scratch(|scratch| held.serve(cx, scratch));
        if served == Served::Ended || worker.is_leaving() {
            *connection = None;
            return Poll::Ready(());
        }
        if served == Served::Waits {
            return Poll::Pending;
        }
        // Deferred: the others are polled and the sockets looked at before this one is again.
        pin!(tokio::task::yield_now()).poll(cx)
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.worker.roster.lock().remove(&self.client);
    }
}

/// Has another thread serve the worker's clients while the server is busy.
///
/// # Errors
/// There is no other thread.
pub(crate) fn stand_in(worker: &Arc<Worker>) -> io::Result<()> {
    if worker.has_stand_in.swap(true, AcqRel) {
        return Ok(());
    }
    let own = Arc::clone(worker);
    let spawned =
        std::thread::Builder::new().name("pannier-stand-in".into()).spawn(move || serve(&own));
    spawned.map(drop).inspect_err(|_| {
        worker.has_stand_in.swap(false, AcqRel);
    })
}

fn serve(worker: &Arc<Worker>) {
    // What is registered here belongs to the worker's runtime.
    let _entered = worker.runtime.enter();
    let mut scratch = Scratch::default();
    loop {
        while worker.engine.is_busy() {
            worker.take_arrivals();
            let mut early = false;
            for seat in worker.seats() {
                early |= seat.serve_directly(&mut scratch) == Served::Early;
            }
            if !early {
                std::thread::park_timeout(ROUND);
            }
        }
        worker.has_stand_in.swap(false, AcqRel);
        // Another script may have become slow before that was said.
        if !worker.engine.is_busy() || worker.has_stand_in.swap(true, AcqRel) {
            break;
        }
    }
    worker.wake_all();
}
