//! A client inside the process: a session of its own, in place of a connection.
//!
//! It is driven in one of two ways. `call` takes arguments, waits when the command waits, and
//! returns a frame; it speaks RESP3, so that messages can be told from replies. `feed` takes bytes
//! as a socket would carry them, whole requests or halves, and gives back bytes: replies and
//! messages in the order in which a socket would have them. It begins with RESP2 as a connection
//! does and never waits, so that any transport, blocking or asynchronous, can be built on it:
//! [`Client::wait`] parks the thread until there is something to fetch, [`Client::poll_wake`]
//! leaves a waker instead.
//!
//! Rules: a client runs nothing of its own accord. A wait is over by the engine's clock; under a
//! virtual one only its mover ends it. No seat is held while waiting.
//! Neighbours: `feed` below this is the path of bytes. Tests: `tests/client.rs`, `tests/feed.rs`.

mod feed;

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use pannier_engine::{Ending, Letter, Next, Now, Session};
use pannier_resp::{OwnedArgs, Protocol, Reply};

use crate::alarm::Alarm;
use crate::cache::{Cache, Core};
use crate::client::feed::Input;
use crate::error::Error;
use crate::frame::{self, Frame};

/// One client, with a session of its own: database, name, transaction, subscriptions. Made by
/// [`Cache::connect`](crate::Cache::connect).
///
/// ```
/// use std::time::Duration;
///
/// let cache = pannier::Cache::new();
/// let mut client = cache.connect();
/// client.call(["SUBSCRIBE", "news"])?;
/// cache.call(["PUBLISH", "news", "hello"])?;
/// let message = client.next_push(Some(Duration::from_secs(1))).expect("a message");
/// assert!(format!("{message:?}").contains("hello"));
/// # Ok::<(), pannier::Error>(())
/// ```
pub struct Client {
    // Dropped before the core: it takes itself out of the engine's registry.
    session: Session,
    core: Arc<Core>,
    alarm: Arc<Alarm>,
    waker: Waker,
    /// Messages that came and were not asked for yet.
    pushes: VecDeque<Bytes>,
    input: Box<Input>,
    closed: bool,
}

/// What ends a wait for letters.
enum Heard {
    Letter(Letter),
    Time,
}

impl Client {
    pub(crate) fn new(core: Arc<Core>, session: Session) -> Self {
        let (alarm, waker) = Alarm::new();
        Self {
            session,
            core,
            alarm,
            waker,
            pushes: VecDeque::new(),
            input: Box::default(),
            closed: false,
        }
    }

    /// Its number, as CLIENT ID answers it.
    ///
    /// ```
    /// let cache = pannier::Cache::new();
    /// assert_ne!(cache.connect().id(), cache.connect().id());
    /// ```
    pub fn id(&self) -> u64 {
        self.session.id()
    }

    /// Whether it is closed: by QUIT, by CLIENT KILL, by a protocol error in what it was fed, or
    /// because it left too many messages unread.
    ///
    /// ```
    /// let mut client = pannier::Cache::new().connect();
    /// client.call(["QUIT"])?;
    /// assert!(client.is_closed());
    /// # Ok::<(), pannier::Error>(())
    /// ```
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Runs any command, and waits when it waits. An error reply is an [`Error::Reply`]. Messages
    /// that come meanwhile are kept for [`Client::next_push`]. SUBSCRIBE and its sisters, which
    /// answer once for each channel, return the first confirmation and keep the others likewise.
    ///
    /// ```
    /// let cache = pannier::Cache::new();
    /// let mut client = cache.connect();
    /// client.call(["RPUSH", "jobs", "a"])?;
    /// let popped = client.call(["BLPOP", "jobs", "0.1"])?;
    /// assert!(format!("{popped:?}").contains("jobs"));
    /// assert_eq!(client.call(["BLPOP", "jobs", "0.01"])?, pannier::Frame::Null);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// What the command answers; [`Error::Closed`].
    pub fn call<I>(&mut self, args: I) -> Result<Frame, Error>
    where
        I: IntoIterator<Item: AsRef<[u8]>>,
    {
        let args = OwnedArgs::new(args);
        if args.args().is_empty() {
            return Err(Error::NoCommand);
        }
        let before = self.session.protocol();
        self.session.speak(Protocol::Resp3);
        let replied = self.run(&args);
        if self.input.is_used() {
            // Whoever feeds it has chosen the protocol.
            self.session.speak(before);
        }
        self.sort_out(replied?)
    }

    /// Of the frames that came, returns the reply and keeps the messages.
    fn sort_out(&mut self, mut replied: Bytes) -> Result<Frame, Error> {
        let (mut reply, mut first_push) = (None, None);
        while let Some((frame, bytes)) = frame::next(&mut replied)? {
            if !matches!(frame, Frame::Push { .. }) {
                reply.get_or_insert(frame);
            } else {
                first_push.get_or_insert((frame, self.pushes.len()));
                self.pushes.push_back(bytes);
            }
        }
        match (reply, first_push) {
            (Some(reply), _) => frame::checked(reply),
            (None, Some((confirmation, at))) => {
                self.pushes.remove(at);
                Ok(confirmation)
            }
            // CLIENT REPLY OFF.
            (None, None) => Ok(Frame::Null),
        }
    }

    /// Runs a request to its end; the bytes of the reply.
    fn run(&mut self, args: &OwnedArgs) -> Result<Bytes, Error> {
        self.read_mail();
        if self.closed {
            return Err(Error::Closed);
        }
        let (replied, next) = self.attempt(args);
        match next {
            Next::Ready => Ok(replied),
            Next::Close => self.end(replied),
            Next::Held { .. } | Next::Waiting => self.finish(args, next),
        }
    }

    /// The last reply: what a fault has left of one is none.
    fn end(&mut self, replied: Bytes) -> Result<Bytes, Error> {
        self.closed = true;
        if self.session.is_cut() { Err(Error::Closed) } else { Ok(replied) }
    }

    /// Runs a request once.
    fn attempt(&mut self, args: &OwnedArgs) -> (Bytes, Next) {
        let now = self.core.enter();
        let mut seat = self.core.seat();
        let engine = &self.core.engine;
        let next = seat.lend(&mut self.session, |session, _, reply| {
            pannier_engine::call(engine, session, args.args(), reply, now)
        });
        (frame::bytes(&seat.reply), next)
    }

    /// Waits as long as a request has to that was run once; the bytes of its reply.
    pub(crate) fn finish(&mut self, args: &OwnedArgs, mut next: Next) -> Result<Bytes, Error> {
        loop {
            match next {
                Next::Waiting => return self.wait_for_reply(),
                Next::Held { until_ms } => {
                    // Whoever is killed meanwhile hears no more.
                    while let Heard::Letter(letter) = self.listen(until_ms) {
                        if letter == Letter::Resume {
                            break;
                        }
                        self.note(letter);
                        if self.closed {
                            return Err(Error::Closed);
                        }
                    }
                    let (replied, after) = self.attempt(args);
                    match after {
                        Next::Ready => return Ok(replied),
                        Next::Close => return self.end(replied),
                        after => next = after,
                    }
                }
                Next::Ready | Next::Close => unreachable!("the request does not wait"),
            }
        }
    }

    /// Waits until the blocking command is served, unblocked, or its time is over.
    fn wait_for_reply(&mut self) -> Result<Bytes, Error> {
        loop {
            let until_ms = self.session.waits_until_ms().unwrap_or(u64::MAX);
            let ending = match self.listen(until_ms) {
                Heard::Time => Ending::TimedOut,
                Heard::Letter(Letter::Served(reply)) => Ending::Served(reply),
                Heard::Letter(Letter::Unblocked { error }) => Ending::Unblocked { error },
                Heard::Letter(letter) => {
                    self.note(letter);
                    if self.closed {
                        return Err(Error::Closed);
                    }
                    continue;
                }
            };
            if let Some(replied) = self.end_wait(ending, frame::bytes) {
                return if self.session.is_cut() { self.end(replied) } else { Ok(replied) };
            }
        }
    }

    /// Ends the session's wait; `None` when it goes on.
    fn end_wait<R>(&mut self, ending: Ending, read: impl FnOnce(&Reply) -> R) -> Option<R> {
        let now = self.core.now();
        let mut seat = self.core.seat();
        let ended =
            seat.lend(&mut self.session, |session, _, reply| session.end_wait(ending, reply, now));
        ended.then(|| read(&seat.reply))
    }

    /// Waits for a letter, until a time of the engine's clock (Unix milliseconds).
    fn listen(&mut self, until_ms: u64) -> Heard {
        loop {
            if let Some(letter) = self.session.mailbox().take() {
                return Heard::Letter(letter);
            }
            if !self.await_mail(until_ms) {
                return Heard::Time;
            }
        }
    }

    /// Waits until there is a letter; false when that time has come first.
    fn await_mail(&self, until_ms: u64) -> bool {
        loop {
            self.session.mailbox().register(&self.waker);
            if self.session.mailbox().is_full() {
                return true;
            }
            let now = self.core.enter();
            let left_ms = until_ms.saturating_sub(now.unix_ms());
            if left_ms == 0 {
                return self.session.mailbox().is_full();
            }
            let mut most = WAIT_MAX;
            if !self.core.clock.is_frozen() {
                most = most.min(Duration::from_millis(left_ms));
            }
            if self.core.is_on_access() {
                // Nobody else frees what others wait for.
                most = most.min(SHARE_MAX);
            }
            self.alarm.wait(most);
        }
    }

    /// Takes note of a letter that ends nothing.
    fn note(&mut self, letter: Letter) {
        match letter {
            Letter::Kill | Letter::Overflow => {
                self.closed = true;
                self.session.close();
            }
            Letter::Push(message) => self.pushes.push_back(message),
            Letter::Resume => self.input.resume(),
            // Nothing waits any more.
            Letter::Served(_) | Letter::Unblocked { .. } => {}
        }
    }

    /// A handle to its database, if a command on one key fares in it as in any other session.
    #[inline]
    pub(crate) fn plain_cache(&self) -> Option<Cache> {
        let plain = self.session.is_plain() && self.is_quiet() && self.input.is_empty();
        plain.then(|| Cache::handle(&self.core, self.session.database()))
    }

    /// Takes note of a command that was executed directly.
    #[inline]
    pub(crate) fn ran_directly(&mut self, name: &str) {
        let now = Now { unix_us: self.core.clock.coarse_unix_us(), mono_us: 0 };
        self.session.ran_directly(name, now);
    }

    /// Whether there are messages, or letters that nobody has read.
    #[inline]
    pub(crate) fn has_mail(&self) -> bool {
        !self.pushes.is_empty() || self.session.mailbox().is_full()
    }

    fn read_mail(&mut self) {
        while let Some(letter) = self.session.mailbox().take() {
            self.note(letter);
        }
    }

    /// The next message (published, an invalidation, a line of MONITOR), after waiting for one if
    /// need be: for ever without a timeout, not at all with a timeout of zero. `None` when the
    /// time is over or the client is closed.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let mut client = pannier::Cache::new().connect();
    /// assert!(client.next_push(Some(Duration::ZERO)).is_none());
    /// ```
    pub fn next_push(&mut self, timeout: Option<Duration>) -> Option<Frame> {
        self.next_push_until(timeout.map(|timeout| self.deadline_after(timeout)))
    }

    /// The same, until a time of the engine's clock.
    pub(crate) fn next_push_until(&mut self, until_ms: Option<u64>) -> Option<Frame> {
        let mut bytes = self.next_push_bytes_until(until_ms)?;
        frame::next(&mut bytes).ok().flatten().map(|(frame, _)| frame)
    }

    /// The same as bytes in wire form.
    ///
    /// ```
    /// let cache = pannier::Cache::new();
    /// let mut client = cache.connect();
    /// client.call(["SUBSCRIBE", "news"])?;
    /// cache.call(["PUBLISH", "news", "hi"])?;
    /// let bytes = client.next_push_bytes(None).expect("a message");
    /// assert_eq!(&bytes[..], b">3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$2\r\nhi\r\n");
    /// # Ok::<(), pannier::Error>(())
    /// ```
    pub fn next_push_bytes(&mut self, timeout: Option<Duration>) -> Option<Bytes> {
        self.next_push_bytes_until(timeout.map(|timeout| self.deadline_after(timeout)))
    }

    fn next_push_bytes_until(&mut self, until_ms: Option<u64>) -> Option<Bytes> {
        let until_ms = until_ms.unwrap_or(u64::MAX);
        loop {
            if let Some(message) = self.pushes.pop_front() {
                return Some(message);
            }
            if self.closed {
                return None;
            }
            match self.listen(until_ms) {
                Heard::Letter(letter) => self.note(letter),
                Heard::Time => return None,
            }
        }
    }

    /// A time of the engine's clock, no earlier than so long from now.
    pub(crate) fn deadline_after(&self, timeout: Duration) -> u64 {
        let now_ms = self.core.now().unix_ms();
        let left_ms = u64::try_from(timeout.as_micros().div_ceil(1_000)).unwrap_or(u64::MAX);
        now_ms.saturating_add(left_ms)
    }

    /// Leaves the task's waker to be woken when there is something for this client: a message,
    /// the reply to a command that waits, its end. Ready when there is something already. What
    /// ends by the clock alone wakes nobody: see [`Client::time_left`].
    ///
    /// ```
    /// use std::task::{Context, Poll, Waker};
    ///
    /// let cache = pannier::Cache::new();
    /// let mut client = cache.connect();
    /// client.call(["SUBSCRIBE", "news"])?;
    /// let mut cx = Context::from_waker(Waker::noop());
    /// assert!(client.poll_wake(&mut cx).is_pending());
    /// cache.call(["PUBLISH", "news", "hi"])?;
    /// assert!(client.poll_wake(&mut cx).is_ready());
    /// # Ok::<(), pannier::Error>(())
    /// ```
    pub fn poll_wake(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.session.mailbox().register(cx.waker());
        if self.closed
            || self.is_due()
            || !self.pushes.is_empty()
            || self.session.mailbox().is_full()
        {
            return Poll::Ready(());
        }
        Poll::Pending
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("id", &self.id())
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}

/// A look after so long, though nobody has rung.
const WAIT_MAX: Duration = Duration::from_secs(3600);

/// Time between two shares of the housekeeping while waiting.
const SHARE_MAX: Duration = Duration::from_millis(100);
