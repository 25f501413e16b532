//! What reaches a session from outside its own requests.
//!
//! Whoever has something for a client (a kill, the end of a pause) posts a letter and wakes the
//! session through the waker that its connection left here. The connection loop therefore waits
//! for three things only: bytes, mailbox, deadline. Posting takes one short lock, held over no
//! other; the flag spares the reader that lock while the box is empty.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering::AcqRel, Ordering::Acquire, Ordering::Release};
use std::task::Waker;

use parking_lot::Mutex;

/// Something for a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Letter {
    /// Close the connection.
    Kill,
    /// Whatever held the session back may be over: try again.
    Resume,
}

/// One session's mailbox.
#[derive(Default)]
pub struct Mailbox {
    full: AtomicBool,
    inside: Mutex<Inside>,
}

#[derive(Default)]
struct Inside {
    letters: VecDeque<Letter>,
    waker: Option<Waker>,
}

impl Mailbox {
    /// Leaves a letter and wakes the session.
    pub fn post(&self, letter: Letter) {
        let waker = {
            let mut inside = self.inside.lock();
            if inside.letters.back() != Some(&letter) {
                inside.letters.push_back(letter);
            }
            self.full.store(true, Release);
            inside.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Whether a letter is waiting.
    pub fn is_full(&self) -> bool {
        self.full.load(Acquire)
    }

    /// Takes the oldest letter.
    pub fn take(&self) -> Option<Letter> {
        if !self.is_full() {
            return None;
        }
        let mut inside = self.inside.lock();
        let letter = inside.letters.pop_front();
        self.full.store(!inside.letters.is_empty(), Release);
        letter
    }

    /// Leaves the waker to be called when a letter comes; call before checking for letters.
    pub fn register(&self, waker: &Waker) {
        let mut inside = self.inside.lock();
        match &mut inside.waker {
            Some(held) if held.will_wake(waker) => {}
            held => *held = Some(waker.clone()),
        }
    }

    /// Empties the box without looking.
    pub fn clear(&self) {
        self.full.swap(false, AcqRel);
        self.inside.lock().letters.clear();
    }
}
