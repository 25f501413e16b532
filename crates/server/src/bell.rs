//! A worker's bell: wakes many connections from another thread at the price of one.
//!
//! A runtime wakes a task from another thread by writing to an event descriptor, a system call
//! each time. A message to a thousand subscribers, half of which live on another worker, would
//! make five hundred of them. So the wakers of those who are sent messages put the task on the
//! worker's list instead, and only the first of a list wakes the worker, where one task then wakes
//! the others without leaving the thread. Who rings from the worker's own thread wakes directly.
//!
//! Neighbours: `connection::mail` leaves such a waker in the mailbox.

use std::sync::{Arc, OnceLock};
use std::task::{Wake, Waker};
use std::thread::ThreadId;

use pannier_lock::Mutex;
use tokio::sync::Notify;

/// See the module's header.
#[derive(Default)]
pub(crate) struct Bell {
    thread: OnceLock<ThreadId>,
    rung: Mutex<Vec<Waker>>,
    notify: Notify,
}

impl Bell {
    /// A waker that wakes `task` by way of the bell.
    pub(crate) fn waker(bell: &Arc<Self>, task: &Waker) -> Waker {
        Waker::from(Arc::new(Ring { bell: Arc::clone(bell), task: task.clone() }))
    }

    /// Wakes those who were rung for, on the worker's own thread, until it is dropped.
    pub(crate) async fn serve(self: Arc<Self>) {
        self.thread.get_or_init(|| std::thread::current().id());
        loop {
            self.notify.notified().await;
            let rung = std::mem::take(&mut *self.rung.lock());
            rung.into_iter().for_each(Waker::wake);
        }
    }
}

struct Ring {
    bell: Arc<Bell>,
    task: Waker,
}

impl Wake for Ring {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.bell.thread.get() == Some(&std::thread::current().id()) {
            return self.task.wake_by_ref();
        }
        let first = {
            let mut rung = self.bell.rung.lock();
            rung.push(self.task.clone());
            rung.len() == 1
        };
        if first {
            self.bell.notify.notify_one();
        }
    }
}
