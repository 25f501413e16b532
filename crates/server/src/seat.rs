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
use std::sync::Arc;
use std::sync::atomic::Ordering::AcqRel;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use parking_lot::Mutex;

use crate::connection::{Connection, Served};
use crate::worker::{Resident, Scratch, Worker};

/// Time between two rounds of a stand-in, at least.
const ROUND: Duration = Duration::from_millis(2);

/// See the module's header.
pub(crate) struct Seat(Mutex<Inside>);

struct Inside {
    /// None when it is over.
    connection: Option<Connection>,
    /// Wakes the task.
    waker: Option<Waker>,
}

impl Seat {
    /// A turn by another thread than the worker's, unless it is taken.
    fn serve_directly(&self, scratch: &mut Scratch) -> Served {
        let Some(mut inside) = self.0.try_lock() else { return Served::Waits };
        let Inside { connection: Some(connection), waker } = &mut *inside else {
            return Served::Waits;
        };
        let waker = waker.as_ref().unwrap_or(Waker::noop());
        let served = connection.serve_directly(&mut Context::from_waker(waker), scratch);
        if served == Served::Ended {
            inside.connection = None;
        }
        served
    }

    /// Has the task look again.
    fn wake(&self) {
        // Who is at its turn will look anyway.
        if let Some(inside) = self.0.try_lock()
            && let Some(waker) = &inside.waker
        {
            waker.wake_by_ref();
        }
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
        let inside = Inside { connection: Some(connection), waker: None };
        let seat = Arc::new(Seat(Mutex::new(inside)));
        worker.roster.lock().insert(client, Arc::downgrade(&seat));
        Self { seat, client, worker }
    }
}

impl Future for Task {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { seat, worker, .. } = self.get_mut();
        let Inside { connection, waker } = &mut *seat.0.lock();
        if !waker.as_ref().is_some_and(|held| held.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
        let Some(held) = connection else { return Poll::Ready(()) };
        match worker.with_scratch(|scratch| held.serve(cx, scratch)) {
            Served::Waits => Poll::Pending,
            // Deferred: the others are polled and the sockets looked at before this one is again.
            Served::Early => pin!(tokio::task::yield_now()).poll(cx),
            Served::Ended => {
                *connection = None;
                Poll::Ready(())
            }
        }
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
    for seat in worker.seats() {
        seat.wake();
    }
}
