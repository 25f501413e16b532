//! How a client's user is woken: a thread that waits, or an event loop that watches a file.
//!
//! The engine wakes a client's waker from any of its threads, sometimes with locks in hand. So
//! the waker must not ask for the interpreter's lock, whose holder may want those very locks: it
//! rings a condition variable, and writes a byte into a socket pair when an event loop watches
//! the other end. The pair is made when a loop first asks for it; blocking users never have one.
//!
//! What one user of a client does while another one waits (a task subscribes, another reads the
//! messages) rings too, but only when somebody has said that he is about to wait.
//!
//! Neighbours: `client` registers it and waits.

use std::io::{Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Wake;
use std::time::Duration;

/// See the module's header.
#[derive(Default)]
pub(crate) struct Bell {
    rung: Mutex<bool>,
    waiting: Condvar,
    /// Somebody is about to wait, or waits.
    awaited: AtomicBool,
    /// The end that is watched, and the end that is written.
    pair: OnceLock<(UnixStream, UnixStream)>,
}

impl Bell {
    /// Waits until it was rung since the last wait, or for so long.
    pub(crate) fn wait(&self, most: Duration) {
        let rung = self.rung();
        let waited = self.waiting.wait_timeout_while(rung, most, |rung| !*rung);
        *waited.unwrap_or_else(PoisonError::into_inner).0 = false;
    }

    /// Says that the caller is about to wait.
    pub(crate) fn expect(&self) {
        self.awaited.store(true, Relaxed);
    }

    /// Rings when somebody waits. He has said so before the caller took the lock on the session.
    #[inline]
    pub(crate) fn ring_if_awaited(self: &Arc<Self>) {
        if self.awaited.load(Relaxed) {
            self.wake_by_ref();
        }
    }

    /// The file that can be read once it was rung.
    pub(crate) fn file(&self) -> std::io::Result<RawFd> {
        if let Some((watched, _)) = self.pair.get() {
            return Ok(watched.as_raw_fd());
        }
        let (watched, written) = UnixStream::pair()?;
        watched.set_nonblocking(true)?;
        written.set_nonblocking(true)?;
        let (watched, written) = self.pair.get_or_init(|| (watched, written));
        if *self.rung() {
            // By somebody who came before the pair.
            let _ = { written }.write(&[1]);
        }
        Ok(watched.as_raw_fd())
    }

    /// Takes notice: the file cannot be read any more until it is rung again.
    pub(crate) fn silence(&self) {
        *self.rung() = false;
        if let Some((mut watched, _)) = self.pair.get().map(|(watched, _)| (watched, ())) {
            let mut bytes = [0; 64];
            while watched.read(&mut bytes).is_ok_and(|read| read == bytes.len()) {}
        }
    }

    fn rung(&self) -> MutexGuard<'_, bool> {
        self.rung.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.awaited.store(false, Relaxed);
        *self.rung() = true;
        self.waiting.notify_all();
        if let Some((_, mut written)) = self.pair.get().map(|(_, written)| ((), written)) {
            // A full pair is as good as another byte in it.
            let _ = written.write(&[1]);
        }
    }
}
