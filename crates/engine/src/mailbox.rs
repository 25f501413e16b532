//! What reaches a session from outside its own requests.
//!
//! Whoever has something for a client (a published message, a kill, the end of a pause, what it
//! waited for) posts a letter and wakes the session through the waker that its connection left
//! here. The connection loop therefore waits for three things only: bytes, mailbox, deadline.
//! Posting takes one short lock, held over no other; the flag spares the reader that lock while the
//! box is empty.
//!
//! Messages are bytes in wire form, shared by all who get them: posting one to a thousand sessions
//! copies nothing. They keep the order in which they were posted. The first letter takes the
//! waker, so that all further ones, until the session has looked, wake nobody. The bytes that wait
//! are counted: together with those that the socket did not take they may not exceed the hard
//! limit of the client's class, and whoever posts one too many throws all of them away and leaves
//! word that the client is to be cut. So a client that does not read costs no more than its limit,
//! and those who publish never wait for it.

use std::collections::VecDeque;
use std::sync::atomic::{
    AtomicBool, AtomicUsize, Ordering::AcqRel, Ordering::Acquire, Ordering::Relaxed,
    Ordering::Release,
};
use std::task::Waker;

use bytes::Bytes;
use pannier_lock::Mutex;
use pannier_resp::Reply;

/// Something for a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Letter {
    /// Close the connection.
    Kill,
    /// Close the connection: what it has not read is more than its class may leave unread.
    Overflow,
    /// Whatever held the session back may be over: try again.
    Resume,
    /// Bytes to be written between replies.
    Push(Bytes),
    /// What the session waited for has come: the reply (`Session::end_wait`).
    Served(Box<[u8]>),
    /// Another client ended the session's wait, as if its time were over or as an error.
    Unblocked {
        /// As an error.
        error: bool,
    },
}

/// One session's mailbox.
#[derive(Default)]
pub struct Mailbox {
    full: AtomicBool,
    /// Bytes of the messages inside.
    waiting: AtomicUsize,
    inside: Mutex<Inside>,
}

#[derive(Default)]
struct Inside {
    letters: VecDeque<Letter>,
    waker: Option<Waker>,
    /// No message is taken any more.
    overflowed: bool,
}

impl Mailbox {
    /// Leaves a letter and wakes the session.
    pub fn post(&self, letter: Letter) {
        let waker = {
            let mut inside = self.inside.lock();
            if matches!(letter, Letter::Push(_)) || inside.letters.back() != Some(&letter) {
                inside.letters.push_back(letter);
            }
            self.full.store(true, Release);
            inside.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Leaves a message for a client that has `unsent` bytes of output, and may have `hard` (0: as
    /// many as there are) before it is cut. Returns the waker to call, once no lock is held any
    /// more, if the session has to be woken.
    pub fn push(&self, message: &Bytes, unsent: usize, hard: u64) -> Option<Waker> {
        let mut inside = self.inside.lock();
        if inside.overflowed {
            return None;
        }
        let waiting = self.waiting.load(Relaxed) + message.len();
        if hard > 0 && (waiting + unsent) as u64 >= hard {
            inside.overflowed = true;
            inside.letters.retain(|letter| !matches!(letter, Letter::Push(_)));
            inside.letters.push_back(Letter::Overflow);
            self.waiting.store(0, Relaxed);
        } else {
            inside.letters.push_back(Letter::Push(message.clone()));
            self.waiting.store(waiting, Relaxed);
        }
        self.full.store(true, Release);
        inside.waker.take()
    }

    /// Whether a letter is waiting.
    pub fn is_full(&self) -> bool {
        self.full.load(Acquire)
    }

    /// Bytes of the messages that wait.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Relaxed)
    }

    /// Takes the oldest letter.
    pub fn take(&self) -> Option<Letter> {
        if !self.is_full() {
            return None;
        }
        let mut inside = self.inside.lock();
        let letter = inside.letters.pop_front();
        if let Some(Letter::Push(message)) = &letter {
            self.waiting.fetch_sub(message.len(), Relaxed);
        }
        self.full.store(!inside.letters.is_empty(), Release);
        letter
    }

    /// Moves the messages that come before any other letter behind the replies, until these are
    /// `len_max` bytes or more; returns whether there were any.
    pub fn take_pushes(&self, reply: &mut Reply, len_max: usize) -> bool {
        if !self.is_full() {
            return false;
        }
        let mut inside = self.inside.lock();
        let mut taken = 0;
        while reply.len() < len_max
            && let Some(Letter::Push(_)) = inside.letters.front()
            && let Some(Letter::Push(message)) = inside.letters.pop_front()
        {
            taken += message.len();
            reply.raw_shared(message);
        }
        if inside.letters.is_empty() && inside.letters.capacity() > LETTERS_KEPT {
            inside.letters = VecDeque::new();
        }
        self.waiting.fetch_sub(taken, Relaxed);
        self.full.store(!inside.letters.is_empty(), Release);
        taken > 0
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
        self.waiting.store(0, Relaxed);
        self.inside.lock().letters.clear();
    }
}

/// Letters for which an emptied box keeps room.
const LETTERS_KEPT: usize = 64;

#[cfg(test)]
mod tests {
    use pannier_resp::Protocol;

    use super::*;

    #[test]
    fn messages_come_out_in_order_and_stop_at_other_letters() {
        let mailbox = Mailbox::default();
        let mut reply = Reply::new(Protocol::Resp3);
        for text in ["a", "b", "b"] {
            assert!(mailbox.push(&Bytes::from(text), 0, 0).is_none());
        }
        mailbox.post(Letter::Resume);
        mailbox.push(&Bytes::from("c"), 0, 0);
        assert_eq!(mailbox.waiting(), 4);
        assert!(mailbox.take_pushes(&mut reply, 100));
        assert_eq!((reply.as_slice(), mailbox.waiting()), (Some(&b"abb"[..]), 1));
        assert!(!mailbox.take_pushes(&mut reply, 100));
        assert_eq!(mailbox.take(), Some(Letter::Resume));
        assert!(mailbox.take_pushes(&mut reply, 100));
        assert!(!mailbox.is_full());
    }

    #[test]
    fn more_than_the_hard_limit_is_thrown_away_and_cuts_the_client() {
        let mailbox = Mailbox::default();
        let message = Bytes::from(vec![b'x'; 40]);
        mailbox.push(&message, 0, 100);
        mailbox.push(&message, 19, 100);
        assert_eq!(mailbox.waiting(), 80);
        // What the socket did not take counts, too.
        mailbox.push(&message, 0, 100);
        mailbox.push(&message, 0, 100);
        assert_eq!((mailbox.waiting(), mailbox.take()), (0, Some(Letter::Overflow)));
        assert_eq!(mailbox.take(), None);
    }
}
