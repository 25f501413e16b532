//! Work beside an event loop: what may take long runs on a thread of its own.
//!
//! An event loop must not wait for a script. So its requests are executed by another thread, which
//! holds the session meanwhile and rings the client's bell when it is done; the loop waits for
//! that for a moment, and goes on with something else after it. A thread for each such piece of
//! work costs some 20 us, which is little beside what takes long and beside a turn of a loop, and
//! leaves nothing behind that a fork could break or an idle client would keep.
//!
//! Rules: while it is busy, nobody asks for the session's lock on the loop's thread. Whoever sends
//! more meanwhile, or closes the client, leaves that to the thread. Neighbours: `client`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::PyResult;
use pyo3::exceptions::PyOSError;

use crate::bell::Bell;
use crate::brief::{self, Long};
use crate::line::Line;

/// Whether a session is executed on a thread of its own.
#[derive(Default)]
pub(crate) struct Aside(Mutex<State>);

#[derive(Default)]
enum State {
    #[default]
    Idle,
    /// With requests that came meanwhile.
    Busy(Vec<u8>),
    /// And is to be closed.
    Closing,
}

impl Aside {
    /// Whether it is.
    pub(crate) fn is_busy(&self) -> bool {
        !matches!(*self.state(), State::Idle)
    }

    /// Has requests executed behind those that it is busy with; false when it is not busy.
    pub(crate) fn add(&self, requests: &[u8]) -> bool {
        let mut state = self.state();
        if let State::Busy(more) = &mut *state {
            more.extend_from_slice(requests);
        }
        !matches!(*state, State::Idle)
    }

    /// Has the session closed when it is not busy any more; false when it is not.
    pub(crate) fn close_later(&self) -> bool {
        let mut state = self.state();
        let busy = !matches!(*state, State::Idle);
        if busy {
            *state = State::Closing;
        }
        busy
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Executes the requests of a session, or what it has to do when its wait is over, and rings when
/// that is done.
pub(crate) fn run(
    aside: &Arc<Aside>,
    line: &Arc<Mutex<Option<Line>>>,
    bell: &Arc<Bell>,
    long: Long,
) -> PyResult<()> {
    *aside.state() = State::Busy(Vec::new());
    let (own, line, bell) = (Arc::clone(aside), Arc::clone(line), Arc::clone(bell));
    let work = move || {
        let lock = || line.lock().unwrap_or_else(PoisonError::into_inner);
        let mut requests = Vec::new();
        let closed = loop {
            if let Some(line) = lock().as_mut() {
                line.requests.append(&mut requests);
                line.feed();
            }
            // Nobody sends or closes between the look and the change.
            let mut state = own.state();
            match std::mem::take(&mut *state) {
                State::Busy(more) if !more.is_empty() => {
                    *state = State::Busy(Vec::new());
                    requests = more;
                }
                State::Closing => break lock().take(),
                State::Busy(_) | State::Idle => break None,
            }
        };
        drop(long);
        drop(closed);
        std::task::Wake::wake(bell);
    };
    spawn(work).inspect_err(|_| *aside.state() = State::Idle)
}

/// Ends a session: by a thread of its own when something is in the way of what it gives back.
pub(crate) fn end(line: Line) {
    if brief::is_in_the_way(&line.cache) {
        // Where no thread is to be had it ends here, with the work that was for one.
        let _ = spawn(move || drop(line));
    }
}

fn spawn(work: impl FnOnce() + Send + 'static) -> PyResult<()> {
    let spawned = std::thread::Builder::new().name("pannier-aside".into()).spawn(work);
    spawned.map(drop).map_err(|error| PyOSError::new_err(error.to_string()))
}
