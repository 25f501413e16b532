//! Letters: what reaches a connection from outside its own requests.
//!
//! Messages (published ones, notifications) go out between replies, in the order in which they
//! were posted. They are gathered in the worker's buffer for replies, so that a connection that is
//! woken for many of them writes once. One look takes a bounded number of bytes, or a publisher
//! that is faster than the socket could hold the worker for itself.
//!
//! Rules: the waker is left in the mailbox before the box is seen empty; whoever posts takes it, so
//! that one wake-up serves all letters until the next look. Neighbours: `bell` wakes those who
//! are sent messages.

use pannier_engine::{Ending, Letter};

use super::{Connection, End, SEND_LEN, Turn};
use crate::bell::Bell;

impl Connection {
    /// Letters, and the waker for the next one.
    pub(super) fn read_mail(&mut self, turn: &mut Turn<'_, '_>) -> Result<(), End> {
        loop {
            self.read_pushes(turn)?;
            if turn.requests_left == 0 {
                return Ok(());
            }
            if let Some(letter) = self.session.mailbox().take() {
                self.registered = false;
                match letter {
                    Letter::Kill => return Err(End::Killed),
                    Letter::Overflow => return Err(End::OutputLimit),
                    Letter::Resume => self.held_until_ms = None,
                    Letter::Served(reply) => self.end_wait(turn, Ending::Served(reply))?,
                    Letter::Unblocked { error } => {
                        self.end_wait(turn, Ending::Unblocked { error })?;
                    }
                    // Behind what a fault has cut nothing may come.
                    Letter::Push(_) if self.closing => {}
                    // Posted since the messages were read.
                    Letter::Push(message) => {
                        turn.scratch.reply.clear();
                        turn.scratch.reply.raw_shared(message);
                        self.send(turn)?;
                    }
                }
            } else if self.registered {
                return Ok(());
            } else {
                self.register(turn);
            }
        }
    }

    /// Sends the messages that come next; ends the turn when there are many.
    fn read_pushes(&mut self, turn: &mut Turn<'_, '_>) -> Result<(), End> {
        let reply = &mut turn.scratch.reply;
        if !self.session.mailbox().is_full() {
            return Ok(());
        }
        // Another connection may have ended in the middle of its replies.
        reply.clear();
        if !self.session.mailbox().take_pushes(reply, SEND_LEN) {
            return Ok(());
        }
        self.registered = false;
        if self.closing {
            reply.clear();
            return Ok(());
        }
        if reply.len() >= SEND_LEN {
            turn.requests_left = 0;
        }
        self.send(turn)
    }

    fn register(&mut self, turn: &mut Turn<'_, '_>) {
        self.registered = true;
        if !self.session.expects_pushes() {
            self.ring = None;
            return self.session.mailbox().register(turn.cx.waker());
        }
        let (bell, task) = (&self.worker.bell, turn.cx.waker());
        let ring = self.ring.get_or_insert_with(|| Bell::waker(bell, task));
        self.session.mailbox().register(ring);
    }
}
