//! The path of bytes: requests in as they come, replies out in order.
//!
//! What a connection does with a socket, without one. Half a request is kept until the rest comes;
//! requests behind one that waits, or that a pause holds back, are kept until it is over. Each
//! call does all that can be done now and returns.
//!
//! Rules: replies and messages leave in the order in which a socket would carry them. After a
//! protocol error, or the end of the session, nothing more is executed.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use pannier_engine::{Ending, Letter, Next, run};
use pannier_resp::{Limits, OwnedArgs, Parser, State};

use super::Client;

/// What was fed and is not executed.
#[derive(Default)]
pub(super) struct Input {
    parser: Parser,
    /// Part of a request, or requests that must wait.
    bytes: Vec<u8>,
    /// The next request is held back until then (Unix milliseconds).
    held_until_ms: Option<u64>,
    /// It was ever fed.
    used: bool,
}

impl Input {
    pub(super) fn is_used(&self) -> bool {
        self.used
    }

    /// Whether nothing is left that was fed.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Keeps a request, as if it had been fed and could not run before then.
    pub(super) fn keep(&mut self, request: Vec<u8>, until_ms: u64) {
        self.bytes = request;
        self.held_until_ms = Some(until_ms);
    }

    /// Whatever held requests back may be over.
    pub(super) fn resume(&mut self) {
        self.held_until_ms = None;
    }
}

impl Client {
    /// This client with a request that its session was asked and that waits, or is held back.
    pub(crate) fn keeping(mut self, args: &OwnedArgs, next: &Next) -> Self {
        self.input.used = true;
        if let Next::Held { until_ms } = next {
            self.input.keep(args.encode(), *until_ms);
        }
        self
    }

    /// Executes requests in wire form, whole ones and halves, and appends what a socket would
    /// carry back: replies, and messages in between. Never waits: what a blocking command answers
    /// later comes with a later call, which may have nothing to feed.
    ///
    /// ```
    /// let mut client = pannier::Cache::new().connect();
    /// let mut out = Vec::new();
    /// client.feed(b"PING\r\n*2\r\n$4\r\nECHO\r\n", &mut out);
    /// client.feed(b"$2\r\nhi\r\n", &mut out);
    /// assert_eq!(out, b"+PONG\r\n$2\r\nhi\r\n");
    /// ```
    pub fn feed(&mut self, requests: &[u8], out: &mut Vec<u8>) {
        self.input.used = true;
        while let Some(message) = self.pushes.pop_front() {
            out.extend_from_slice(&message);
        }
        self.deliver(out);
        if self.closed {
            return;
        }
        if self.input.bytes.is_empty() {
            self.session.begin_batch();
            let done = self.execute(requests, out);
            self.input.bytes.extend_from_slice(&requests[done..]);
        } else {
            let mut bytes = std::mem::take(&mut self.input.bytes);
            bytes.extend_from_slice(requests);
            let done = self.execute(&bytes, out);
            bytes.drain(..done);
            self.input.bytes = bytes;
        }
        if self.closed || self.input.bytes.is_empty() {
            self.input.bytes = Vec::new();
        }
        self.publish();
    }

    /// Waits until a call of [`Client::feed`] has something to fetch, or for so long; whether
    /// there is something.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let cache = pannier::Cache::new();
    /// let (mut client, mut out) = (cache.connect(), Vec::new());
    /// client.feed(b"BLPOP jobs 0\r\n", &mut out);
    /// assert!(client.is_waiting() && out.is_empty());
    /// cache.call(["RPUSH", "jobs", "a"])?;
    /// assert!(client.wait(Some(Duration::from_secs(1))));
    /// client.feed(b"", &mut out);
    /// assert_eq!(out, b"*2\r\n$4\r\njobs\r\n$1\r\na\r\n");
    /// # Ok::<(), pannier::Error>(())
    /// ```
    pub fn wait(&mut self, timeout: Option<Duration>) -> bool {
        let until_ms = timeout.map_or(u64::MAX, |timeout| self.deadline_after(timeout));
        let has_something = self.closed || !self.pushes.is_empty();
        has_something || self.await_mail(until_ms.min(self.looks_again_ms())) || self.is_due()
    }

    /// Whether a blocking command waits, or a pause holds requests back: what is fed meanwhile is
    /// kept.
    ///
    /// ```
    /// let mut client = pannier::Cache::new().connect();
    /// client.feed(b"BLPOP jobs 0\r\n", &mut Vec::new());
    /// assert!(client.is_waiting());
    /// ```
    pub fn is_waiting(&self) -> bool {
        self.session.is_waiting() || self.input.held_until_ms.is_some()
    }

    /// Time, by the cache's clock, until a wait ends by itself and there is something to fetch;
    /// `None` when nothing waits, or waits for ever.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let mut client = pannier::Cache::new().connect();
    /// client.feed(b"BLPOP jobs 100\r\n", &mut Vec::new());
    /// assert!(client.time_left().expect("a deadline") > Duration::from_secs(99));
    /// ```
    pub fn time_left(&self) -> Option<Duration> {
        let until_ms = self.looks_again_ms();
        let left_ms = until_ms.saturating_sub(self.core.now().unix_ms());
        (until_ms < u64::MAX).then(|| Duration::from_millis(left_ms))
    }

    /// Whether a wait is over by the clock.
    pub(super) fn is_due(&self) -> bool {
        self.time_left().is_some_and(|left| left.is_zero())
    }

    /// When a wait or a pause ends by itself (Unix milliseconds).
    fn looks_again_ms(&self) -> u64 {
        let waits_ms = self.session.waits_until_ms().unwrap_or(u64::MAX);
        waits_ms.min(self.input.held_until_ms.unwrap_or(u64::MAX))
    }

    /// Letters, and waits that are over.
    fn deliver(&mut self, out: &mut Vec<u8>) {
        while !self.closed
            && let Some(letter) = self.session.mailbox().take()
        {
            match letter {
                Letter::Served(reply) => self.answer(Ending::Served(reply), out),
                Letter::Unblocked { error } => self.answer(Ending::Unblocked { error }, out),
                Letter::Push(message) => out.extend_from_slice(&message),
                letter => self.note(letter),
            }
        }
        let now_ms = self.core.now().unix_ms();
        if self.session.waits_until_ms().is_some_and(|until_ms| until_ms <= now_ms) {
            self.answer(Ending::TimedOut, out);
        }
        self.input.held_until_ms = self.input.held_until_ms.filter(|until_ms| *until_ms > now_ms);
    }

    /// Replies to the request that waited.
    fn answer(&mut self, ending: Ending, out: &mut Vec<u8>) {
        self.end_wait(ending, |reply| reply.write_to(out));
        self.closed |= self.session.is_cut();
    }

    /// Executes what is whole in `buf`; returns how many bytes are done with.
    fn execute(&mut self, buf: &[u8], out: &mut Vec<u8>) -> usize {
        let mut done = 0;
        while !self.closed && !self.is_waiting() {
            let now = self.core.enter();
            let mut seat = self.core.seat();
            let engine = &self.core.engine;
            let limits = Limits {
                bulk_len_max: engine.peek_config().proto_max_bulk_len,
                authenticated: self.session.is_authenticated(),
                ..Limits::default()
            };
            let Input { parser, held_until_ms, .. } = &mut *self.input;
            let (rest, closed) = (&buf[done..], &mut self.closed);
            let (consumed, more) = seat.lend(&mut self.session, |session, batch, reply| {
                batch.clear();
                let parsed = parser.parse(rest, &limits, batch, BATCH_MAX);
                let requests = 0..batch.len();
                let ran = run(engine, session, (batch, rest), requests, reply, now);
                match ran.next {
                    Next::Close => *closed = true,
                    Next::Held { until_ms } => *held_until_ms = Some(until_ms),
                    Next::Ready | Next::Waiting => {}
                }
                if !session.is_cut() {
                    session.mailbox().take_pushes(reply, usize::MAX);
                }
                let mut state = (parsed.consumed, !batch.is_empty());
                if ran.executed < batch.len() || ran.next == Next::Waiting {
                    // The rest is parsed again, from its beginning.
                    *parser = Parser::new();
                    state.0 = ran.executed.checked_sub(1).map_or(0, |last| batch.end_of(last));
                } else if let (false, State::Broken(error)) = (*closed, &parsed.state) {
                    reply.protocol_error(error);
                    session.close();
                    *closed = true;
                } else if let State::NeedMore { .. } = parsed.state {
                    state.1 = false;
                }
                reply.write_to(out);
                state
            });
            drop(seat);
            done += consumed;
            self.deliver(out);
            if !more {
                break;
            }
        }
        done
    }

    /// Tells the registry what is held for this client.
    fn publish(&self) {
        let (client, bytes) = (self.session.client(), &self.input.bytes);
        client.query_len.store(bytes.len(), Relaxed);
        client.query_free.store(bytes.capacity() - bytes.len(), Relaxed);
    }
}

/// Requests that are executed in one seat before another thread may have it.
const BATCH_MAX: usize = 1024;
