//! One connection: bytes in, requests through the engine, replies out.
//!
//! The loop waits for three things only: bytes, mailbox, deadline. It is written as turns
//! and not as an async function, because everything between two waits happens while the worker's
//! scratch buffers are borrowed, and because what a sleeping connection keeps is then plain to
//! see: no buffer while nothing is half-arrived and nothing waits to be written.
//!
//! Rules. The clock is read once per batch. A turn is bounded in requests and in time; a connection
//! that has more to do yields, and tokio polls the others and the sockets first. Requests are
//! executed in order, so one that is held back (CLIENT PAUSE) or waits (BLPOP) holds back those
//! behind it. Reading goes on while output is pending, as in Redis, because a client may send a
//! whole pipeline before it reads; `client-output-buffer-limit` bounds that. Replies to what was
//! received before the end of the stream, or before a protocol error, are written before closing.
//!
//! Neighbours: `seat` is the task that gives it its turns; `mail` below this reads letters;
//! `pannier_resp` cuts requests and keeps replies, `pannier_engine::run` executes.
//! Tests: `tests/connections.rs` of this crate.

mod mail;

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use pannier_engine::{Ending, Next, Now, Session, run};
use pannier_resp::{Limits, Parser, Pending, State};
use tokio::time::Sleep;

use crate::now;
use crate::socket::Stream;
use crate::worker::{READ_LEN, Scratch, Worker};

/// One client's connection. See the module's header.
pub(crate) struct Connection {
    stream: Stream,
    session: Session,
    parser: Parser,
    /// What arrived and is not executed: part of a request, or requests that must wait.
    input: Vec<u8>,
    /// Bytes that the half-arrived request is known to lack.
    missing: usize,
    /// `input` may hold whole requests.
    more: bool,
    /// Its next request is held back until then (Unix milliseconds).
    held_until_ms: Option<u64>,
    /// Replies that the socket did not take.
    pending: Pending,
    /// Since when `pending` exceeds the soft limit (monotonic microseconds).
    soft_since_us: Option<u64>,
    /// Nothing more will be read.
    ended: bool,
    /// Nothing more will be executed: close when the replies are written.
    closing: bool,
    /// The mailbox knows this task's waker.
    registered: bool,
    /// The waker for whoever is sent messages: rings the worker's bell.
    ring: Option<Waker>,
    /// When to look again without being woken (monotonic microseconds).
    deadline: Option<(u64, Pin<Box<Sleep>>)>,
    worker: Arc<Worker>,
}

/// What became of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Served {
    /// It waits to be woken.
    Waits,
    /// There may be more to do, once others had their turn.
    Early,
    /// The connection is over.
    Ended,
}

/// Why a connection ends.
#[derive(Debug)]
enum End {
    /// All is done.
    Finished,
    /// Another client or a limit of the server ended it.
    Killed,
    OutputLimit,
    QueryLimit,
    Lost(io::Error),
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        Self::Lost(error)
    }
}

/// Why work was left.
enum Left {
    /// What remains must wait: for the rest of a request, or for the socket.
    Drained,
    /// The turn was over; there may be more to do.
    Early,
}

/// One poll: where to register, the worker's buffers, and what bounds it.
struct Turn<'a, 'w> {
    cx: &'a mut Context<'w>,
    scratch: &'a mut Scratch,
    requests_left: usize,
    /// Monotonic microseconds; unknown until the first batch reads the clock.
    until_us: u64,
}

impl Connection {
    /// Serves `stream` for `session`.
    pub(crate) fn new(stream: Stream, session: Session, worker: Arc<Worker>) -> Self {
        Self {
            stream,
            session,
            parser: Parser::new(),
            input: Vec::new(),
            missing: 0,
            more: false,
            held_until_ms: None,
            pending: Pending::new(),
            soft_since_us: None,
            ended: false,
            closing: false,
            registered: false,
            ring: None,
            deadline: None,
            worker,
        }
    }

    /// Does what can be done now, with these buffers.
    pub(crate) fn serve(&mut self, cx: &mut Context<'_>, scratch: &mut Scratch) -> Served {
        let (requests_left, until_us) = (REQUESTS_PER_TURN, u64::MAX);
        match self.turn(&mut Turn { cx, scratch, requests_left, until_us }) {
            Ok(Left::Drained) => Served::Waits,
            Ok(Left::Early) => Served::Early,
            Err(end) => {
                self.say_goodbye(&end);
                Served::Ended
            }
        }
    }

    /// As [`Connection::serve`], from another thread than its own: without asking the runtime
    /// whether the socket is ready.
    pub(crate) fn serve_directly(&mut self, cx: &mut Context<'_>, scratch: &mut Scratch) -> Served {
        self.stream.set_direct(true);
        let served = self.serve(cx, scratch);
        self.stream.set_direct(false);
        // The waker may not be the task's.
        self.registered = false;
        self.ring = None;
        served
    }

    /// Does what can be done now. `Early` asks to be polled again.
    fn turn(&mut self, turn: &mut Turn<'_, '_>) -> Result<Left, End> {
        let left = loop {
            self.read_mail(turn)?;
            if turn.requests_left == 0 {
                // There may be more mail, and nobody has a waker for it yet.
                break Left::Early;
            }
            self.watch_deadline(turn)?;
            if self.is_finished() {
                break Left::Drained;
            }
            if self.more && !self.is_held() {
                self.run_input(turn)?;
            } else if self.receive(turn)?.is_pending() {
                break Left::Drained;
            }
            if turn.requests_left == 0 {
                break Left::Early;
            }
        };
        let flushed = self.flush(turn.cx)?;
        self.check_output_limits(turn.cx)?;
        self.publish();
        let empty = self.pending.is_empty();
        if self.is_finished() && empty && self.stream.poll_flush(turn.cx)?.is_ready() {
            return Err(End::Finished);
        }
        Ok(if matches!(flushed, Left::Early) { flushed } else { left })
    }

    /// Whether nothing more is executed. A shutdown does not wait for the end of a pause.
    fn is_finished(&self) -> bool {
        let given_up = self.is_held() && self.worker.is_draining();
        // Who has hung up is not served any more, whatever it sent behind what it waits for.
        let left = self.ended && (!self.more || self.session.is_waiting());
        // Who has asked for the end of the server takes the end of its connection for it: it comes
        // when nobody is let in any more.
        let early = self.session.ends_server() && !self.worker.is_draining();
        self.closing && !early || given_up || left
    }

    /// Whether the next request may not be executed yet.
    fn is_held(&self) -> bool {
        self.held_until_ms.is_some() || self.session.is_waiting()
    }

    /// Replies to the request that waited.
    fn end_wait(&mut self, turn: &mut Turn<'_, '_>, ending: Ending) -> Result<(), End> {
        let now = now(&self.worker.clock);
        turn.scratch.reply.clear();
        if self.session.end_wait(ending, &mut turn.scratch.reply, now) {
            self.deadline = None;
        }
        self.closing |= self.session.is_cut();
        self.send(turn)
    }

    /// The end of a wait or a pause, and of the time that the soft output limit grants.
    fn watch_deadline(&mut self, turn: &mut Turn<'_, '_>) -> Result<(), End> {
        loop {
            if let Some(until_ms) = self.session.waits_until_ms().filter(|until| *until < u64::MAX)
            {
                let now = now(&self.worker.clock);
                match until_ms.checked_sub(now.unix_ms()) {
                    None | Some(0) => self.end_wait(turn, Ending::TimedOut)?,
                    Some(ms) => self.look_again(now.mono_us, ms.saturating_mul(1_000)),
                }
            }
            self.watch_pause();
            let Some((_, sleep)) = &mut self.deadline else { return Ok(()) };
            if sleep.as_mut().poll(turn.cx).is_pending() {
                return Ok(());
            }
            // Whoever set it looks again, and may set it again.
            self.deadline = None;
            self.held_until_ms = None;
            self.check_output_limits(turn.cx)?;
        }
    }

    /// Ends a pause that is over.
    fn watch_pause(&mut self) {
        if let Some(until_ms) = self.held_until_ms {
            let now = now(&self.worker.clock);
            match until_ms.checked_sub(now.unix_ms()) {
                None | Some(0) => self.held_until_ms = None,
                Some(ms) => self.look_again(now.mono_us, ms.saturating_mul(1_000)),
            }
        }
    }

    /// Sets the deadline, unless there is an earlier one. A frozen clock has no timers: whoever
    /// moves it wakes all connections.
    fn look_again(&mut self, now_us: u64, wait_us: u64) {
        let at_us = now_us.saturating_add(wait_us);
        let earlier = self.deadline.as_ref().is_some_and(|(held_us, _)| *held_us <= at_us);
        if !earlier && !self.worker.clock.is_frozen() {
            let wait = Duration::from_micros(wait_us).min(DEADLINE_MAX);
            self.deadline = Some((at_us, Box::pin(tokio::time::sleep(wait))));
        }
    }

    /// Reads once and executes what is whole. Pending: nothing has arrived, or none is wanted.
    fn receive(&mut self, turn: &mut Turn<'_, '_>) -> Result<Poll<()>, End> {
        let full = self.is_held() && self.input.len() >= HELD_LEN_MAX;
        if self.ended || self.closing || full {
            return Ok(Poll::Pending);
        }
        turn.requests_left = turn.requests_left.saturating_sub(READ_COST);
        if self.more || self.input.len() > MOVED_MAX || self.missing > READ_LEN / 2 {
            return self.receive_more(turn.cx);
        }
        let mut read = std::mem::take(&mut turn.scratch.read);
        read.clear();
        read.reserve(READ_LEN + MOVED_MAX);
        read.extend_from_slice(&self.input);
        let polled = self.stream.poll_read(turn.cx, &mut read);
        let outcome = match polled {
            Poll::Pending => Ok(self.nothing_arrived()),
            Poll::Ready(len) => {
                self.count_read(len?);
                if self.input.is_empty() {
                    self.session.begin_batch();
                }
                self.run_read(turn, &read).map(Poll::Ready)
            }
        };
        turn.scratch.read = read;
        outcome
    }

    /// Executes what was read into the worker's buffer, and keeps what is left of it.
    fn run_read(&mut self, turn: &mut Turn<'_, '_>, read: &[u8]) -> Result<(), End> {
        self.input = Vec::new();
        let (consumed, left) = self.run_buffer(turn, read)?;
        if consumed < read.len() {
            self.input.extend_from_slice(&read[consumed..]);
        }
        self.more = matches!(left, Left::Early);
        // What is left of this read is short, but MULTI may have queued any number of them.
        if self.session.queued_len() > 0 { self.check_query_limit() } else { Ok(()) }
    }

    /// Reads behind what is already there, straight into the connection's own buffer.
    fn receive_more(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, End> {
        // What a client announces is no reason to reserve it: the buffer at most doubles.
        let room = self.missing.clamp(READ_MIN, self.input.len().max(READ_LEN));
        if self.input.capacity() - self.input.len() < room.min(READ_LEN) {
            self.input.reserve_exact(room);
        }
        let Poll::Ready(len) = self.stream.poll_read(cx, &mut self.input) else {
            return Ok(self.nothing_arrived());
        };
        let len = len?;
        self.count_read(len);
        self.missing = self.missing.saturating_sub(len);
        self.more |= len > 0;
        self.check_query_limit()?;
        Ok(Poll::Ready(()))
    }

    /// Ends the connection when it keeps too much that was not executed.
    fn check_query_limit(&self) -> Result<(), End> {
        let kept = self.input.len() + self.session.queued_len();
        if kept > self.worker.engine.peek_config().client_query_buffer_limit {
            return Err(End::QueryLimit);
        }
        Ok(())
    }

    fn nothing_arrived(&mut self) -> Poll<()> {
        // What was received before the shutdown is executed by now.
        self.ended |= self.worker.is_draining();
        if self.ended { Poll::Ready(()) } else { Poll::Pending }
    }

    fn count_read(&mut self, len: usize) {
        self.ended |= len == 0;
        self.worker.lane.reads.add(1);
        self.worker.lane.net_in.add(len as u64);
        let client = self.session.client();
        client.net_in.store(client.net_in.load(Relaxed) + len as u64, Relaxed);
    }

    /// Executes requests of the connection's own buffer.
    fn run_input(&mut self, turn: &mut Turn<'_, '_>) -> Result<(), End> {
        let mut input = std::mem::take(&mut self.input);
        let (consumed, left) = self.run_buffer(turn, &input)?;
        self.more = matches!(left, Left::Early);
        if consumed < input.len() {
            input.drain(..consumed);
            if consumed > READ_LEN {
                input.shrink_to_fit();
            }
            self.input = input;
        }
        Ok(())
    }

    /// Executes the requests at the head of `buf` and sends their replies; returns how many bytes
    /// are done with.
    fn run_buffer(&mut self, turn: &mut Turn<'_, '_>, buf: &[u8]) -> Result<(usize, Left), End> {
        let now = now(&self.worker.clock);
        turn.until_us = turn.until_us.min(now.mono_us + TURN_US);
        turn.scratch.reply.clear();
        let mut done = 0;
        let left = loop {
            let rest = &buf[done..];
            let limits = self.limits();
            let batch = &mut turn.scratch.batch;
            batch.clear();
            let parsed = self.parser.parse(rest, &limits, batch, REQUESTS_PER_TURN);
            let executed = self.run_batch(turn, rest, now)?;
            let batch = &turn.scratch.batch;
            if self.closing {
                break Left::Drained;
            }
            if executed < batch.len() || self.session.is_waiting() {
                // The parser is past what was not executed: it starts again from there.
                self.parser = Parser::new();
                done += executed.checked_sub(1).map_or(0, |last| batch.end_of(last));
                break Left::Early;
            }
            done += parsed.consumed;
            match parsed.state {
                State::NeedMore { hint } => {
                    self.missing = hint;
                    break Left::Drained;
                }
                State::Full if turn.requests_left == 0 => break Left::Early,
                State::Full => {}
                State::Broken(error) => {
                    tracing::debug!("Protocol error ({error}) from {}", self.session.client().addr);
                    turn.scratch.reply.protocol_error(&error);
                    self.session.close();
                    self.closing = true;
                    break Left::Drained;
                }
            }
        };
        self.send(turn)?;
        Ok((if self.closing { buf.len() } else { done }, left))
    }

    /// Executes the requests of the parsed batch until one closes the connection or is held back,
    /// a letter comes, or the turn is over; returns how many.
    fn run_batch(&mut self, turn: &mut Turn<'_, '_>, buf: &[u8], now: Now) -> Result<usize, End> {
        let mut at = 0;
        while at < turn.scratch.batch.len() {
            let Scratch { batch, reply, .. } = &mut *turn.scratch;
            let to = batch.len().min(at + REQUESTS_PER_LOOK);
            let engine = &self.worker.engine;
            let ran = run(engine, &mut self.session, (batch, buf), at..to, reply, now);
            at += ran.executed;
            turn.requests_left = turn.requests_left.saturating_sub(ran.executed);
            match ran.next {
                Next::Ready | Next::Waiting => {}
                Next::Close => self.closing = true,
                Next::Held { until_ms } => self.held_until_ms = Some(until_ms),
            }
            if !self.session.is_cut() && self.session.mailbox().take_pushes(reply, usize::MAX) {
                // Whoever posted them took the waker.
                self.registered = false;
            }
            if reply.len() >= SEND_LEN {
                self.send(turn)?;
                self.check_output_limits(turn.cx)?;
            }
            if self.is_held() || self.closing || self.session.mailbox().is_full() {
                break;
            }
            // A short batch needs no look at the clock: the next one begins with one.
            if at < turn.scratch.batch.len() && self.worker.clock.mono_us() >= turn.until_us {
                turn.requests_left = 0;
                break;
            }
        }
        Ok(at)
    }

    fn limits(&self) -> Limits {
        Limits {
            bulk_len_max: self.worker.engine.peek_config().proto_max_bulk_len,
            authenticated: self.session.is_authenticated(),
            ..Limits::default()
        }
    }

    /// Writes the replies, after what is pending; what the socket does not take becomes pending.
    fn send(&mut self, turn: &mut Turn<'_, '_>) -> Result<(), End> {
        let (reply, cx) = (&mut turn.scratch.reply, &mut *turn.cx);
        if reply.is_empty() {
            return Ok(());
        }
        let mut written = 0;
        if self.pending.is_empty() {
            let outcome = if let Some(one) = reply.as_slice() {
                self.stream.poll_write(cx, &[io::IoSlice::new(one)])
            } else {
                let mut slices = Vec::new();
                reply.slices(&mut slices);
                self.stream.poll_write(cx, &slices)
            };
            if let Poll::Ready(len) = outcome {
                written = len?;
                self.count_write(written);
            }
        }
        if written == reply.len() {
            reply.clear();
        } else {
            self.pending.take_from(reply, written);
        }
        Ok(())
    }

    /// Writes what is pending until the socket takes no more. A peer that reads as fast as this
    /// writes must not keep the others waiting: `Early` after so many bytes.
    fn flush(&mut self, cx: &mut Context<'_>) -> Result<Left, End> {
        let mut written = 0;
        while !self.pending.is_empty() {
            if written >= FLUSH_LEN {
                return Ok(Left::Early);
            }
            let slices: Vec<_> = self.pending.slices(SLICES_MAX).collect();
            let Poll::Ready(len) = self.stream.poll_write(cx, &slices) else { break };
            let len = len?;
            drop(slices);
            self.pending.advance(len);
            self.count_write(len);
            written += len;
        }
        // A socket that took no more has left its waker already.
        let _ = self.stream.poll_flush(cx)?;
        Ok(Left::Drained)
    }

    fn count_write(&self, len: usize) {
        self.worker.lane.writes.add(1);
        self.worker.lane.net_out.add(len as u64);
        let client = self.session.client();
        client.net_out.store(client.net_out.load(Relaxed) + len as u64, Relaxed);
    }

    /// `client-output-buffer-limit`.
    fn check_output_limits(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        let waiting = self.pending.len() as u64;
        if waiting == 0 {
            self.soft_since_us = None;
            return Ok(());
        }
        let limits = self.worker.engine.peek_config().client_output_buffer_limit;
        let limit = self.session.client().output_limit(&limits);
        if limit.hard > 0 && waiting >= limit.hard {
            return Err(End::OutputLimit);
        }
        if limit.soft == 0 || waiting < limit.soft {
            self.soft_since_us = None;
            return Ok(());
        }
        let now_us = self.worker.clock.mono_us();
        let since_us = *self.soft_since_us.get_or_insert(now_us);
        let grace_us = limit.soft_seconds.saturating_mul(1_000_000);
        let passed_us = now_us.saturating_sub(since_us);
        if passed_us > grace_us {
            return Err(End::OutputLimit);
        }
        self.look_again(now_us, (grace_us - passed_us).saturating_add(1_000));
        if let Some((_, sleep)) = &mut self.deadline
            && sleep.as_mut().poll(cx).is_ready()
        {
            cx.waker().wake_by_ref();
        }
        Ok(())
    }

    /// Tells the registry what is held for this client.
    fn publish(&self) {
        let client = self.session.client();
        client.query_len.store(self.input.len(), Relaxed);
        client.query_free.store(self.input.capacity() - self.input.len(), Relaxed);
        client.output_len.store(self.pending.len(), Relaxed);
        client.output_chunks.store(self.pending.chunks(), Relaxed);
    }

    fn say_goodbye(&self, end: &End) {
        let addr = &self.session.client().addr;
        match end {
            End::Finished => tracing::debug!("Client {addr} closed connection"),
            End::Killed => tracing::debug!("Client {addr} was killed"),
            End::Lost(error) if self.stream.is_handshaking() => {
                let laddr = &self.session.client().laddr;
                tracing::warn!(
                    "Error accepting a client connection: {error} (addr={addr} laddr={laddr})"
                );
            }
            End::Lost(error) => tracing::debug!("Lost client {addr}: {error}"),
            End::OutputLimit => {
                self.worker.lane.output_limit_cuts.add(1);
                tracing::warn!(
                    "Client {addr} closed: {} bytes of replies that it did not read",
                    self.pending.len()
                );
            }
            End::QueryLimit => {
                self.worker.lane.query_limit_cuts.add(1);
                tracing::warn!(
                    "Client {addr} closed: {} bytes of an unfinished request",
                    self.input.len()
                );
            }
        }
    }
}

/// Requests that one turn executes before others have theirs.
const REQUESTS_PER_TURN: usize = 1024;

/// Requests between two looks at the clock.
const REQUESTS_PER_LOOK: usize = 64;

/// Time that a turn may take.
const TURN_US: u64 = 1_000;

/// Replies that are sent before the rest of a batch is executed.
const SEND_LEN: usize = 256 << 10;

/// Pending bytes that one turn writes before others have theirs.
const FLUSH_LEN: usize = 512 << 10;

/// Requests that a read counts for.
const READ_COST: usize = 32;

/// Bytes of a half-arrived request that are moved into the worker's buffer to read behind them;
/// a larger one stays where it is, so that it is not moved with every read.
const MOVED_MAX: usize = 4 << 10;

/// Room that a read into the own buffer has at least.
const READ_MIN: usize = 16 << 10;

/// Bytes that are received behind a request that is held back or waits; the rest stays in the
/// socket.
const HELD_LEN_MAX: usize = 512 << 10;

/// Parts of one vectored write.
const SLICES_MAX: usize = 16;

/// A timer that looks again after so long, however far its deadline is.
const DEADLINE_MAX: Duration = Duration::from_secs(3600);
