//! How a thread waits for a mailbox: a condition variable behind a [`Waker`].
//!
//! Whoever posts a letter wakes the waker that lies in the box; an asynchronous program leaves
//! its own there instead (`Client::poll_wake`).

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};
use std::time::Duration;

/// Rings until somebody has waited for it.
#[derive(Default)]
pub(crate) struct Alarm {
    state: Mutex<State>,
    bell: Condvar,
}

#[derive(Default)]
struct State {
    rung: bool,
    /// Somebody waits: ringing for nobody would be a system call for nothing.
    awaited: bool,
}

impl Alarm {
    /// An alarm, and the waker that rings it.
    pub(crate) fn new() -> (Arc<Self>, Waker) {
        let alarm = Arc::new(Self::default());
        let waker = Waker::from(Arc::clone(&alarm));
        (alarm, waker)
    }

    /// Waits until it has been rung since the last wait, or for so long.
    pub(crate) fn wait(&self, most: Duration) {
        let mut state = self.state();
        if !state.rung {
            state.awaited = true;
            let woken = self.bell.wait_timeout(state, most);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
        *state = State::default();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut state = self.state();
        state.rung = true;
        let awaited = state.awaited;
        drop(state);
        if awaited {
            self.bell.notify_one();
        }
    }
}
