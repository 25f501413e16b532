//! How a thread waits for a mailbox: a condition variable behind a [`Waker`].
//!
//! Whoever posts a letter wakes the waker that lies in the box; an asynchronous program leaves
//! its own there instead (`Client::poll_wake`).

use std::sync::Arc;
use std::task::{Wake, Waker};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// Rings until somebody has waited for it.
#[derive(Default)]
pub(crate) struct Alarm {
    rung: Mutex<bool>,
    bell: Condvar,
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
        let mut rung = self.rung.lock();
        if !*rung {
            self.bell.wait_for(&mut rung, most);
        }
        *rung = false;
    }
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        *self.rung.lock() = true;
        self.bell.notify_one();
    }
}
