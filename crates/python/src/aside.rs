//! Work beside an event loop: what may take long runs on a thread of its own.
//!
//! An event loop must not wait for a script. So its requests are executed by another thread, which
//! holds the session meanwhile and rings the client's bell when it is done; the loop waits for
//! that for a moment, and goes on with something else after it. A thread for each such piece of
//! work costs some 20 us, which is little beside what takes long and beside a turn of a loop, and
//! leaves nothing behind that a fork could break or an idle client would keep.
//!
//! Rules: while it is busy, nobody asks for the session's lock on the loop's thread. Whoever closes
//! the client meanwhile leaves that to the thread. Neighbours: `client`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::PyResult;
use pyo3::exceptions::PyOSError;

use crate::bell::Bell;
use crate::line::Line;

/// Whether a session is executed on a thread of its own.
#[derive(Default)]
pub(crate) struct Aside(Mutex<State>);

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Idle,
    Busy,
    /// And is to be closed.
    Closing,
}

impl Aside {
    /// Whether it is.
    pub(crate) fn is_busy(&self) -> bool {
        *self.state() != State::Idle
    }

    /// Has the session closed when it is not busy any more; false when it is not.
    pub(crate) fn close_later(&self) -> bool {
        let mut state = self.state();
        let busy = *state != State::Idle;
        if busy {
            *state = State::Closing;
        }
        busy
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Executes the requests of a session, and rings when that is done.
pub(crate) fn run(
    aside: &Arc<Aside>,
    line: &Arc<Mutex<Option<Line>>>,
    bell: &Arc<Bell>,
) -> PyResult<()> {
    *aside.state() = State::Busy;
    let (own, line, bell) = (Arc::clone(aside), Arc::clone(line), Arc::clone(bell));
    let work = move || {
        let lock = || line.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = lock().as_mut() {
            line.run_long();
        }
        // Nobody closes it between the look and the change.
        let mut state = own.state();
        let closed = (*state == State::Closing).then(|| lock().take());
        *state = State::Idle;
        drop(state);
        drop(closed);
        std::task::Wake::wake(bell);
    };
    let spawned = std::thread::Builder::new().name("pannier-aside".into()).spawn(work);
    spawned.map(drop).map_err(|error| {
        *aside.state() = State::Idle;
        PyOSError::new_err(error.to_string())
    })
}
