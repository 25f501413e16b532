//! Frees large values on a thread of its own, so that no client waits for it.
//!
//! UNLINK, FLUSHALL ASYNC and lazy expiry hand over what they took out of the keyspace; what is
//! freed here is already invisible. The thread ends when the last sender is dropped, after it has
//! freed what was handed over.

use std::any::Any;
use std::io;
use std::sync::mpsc::{Sender, channel};

/// Anything that is dropped.
type Garbage = Box<dyn Any + Send>;

/// The way to the reaper's thread.
pub(crate) struct Reaper(Sender<Garbage>);

impl Reaper {
    /// Starts the thread.
    pub(crate) fn spawn() -> io::Result<Self> {
        let (sender, receiver) = channel::<Garbage>();
        std::thread::Builder::new()
            .name("pannier-reaper".into())
            .spawn(move || receiver.into_iter().for_each(drop))?;
        Ok(Self(sender))
    }

    /// Drops `garbage` later.
    pub(crate) fn discard(&self, garbage: Garbage) {
        // Without the thread it is dropped here, inside the error.
        let _ = self.0.send(garbage);
    }
}
