//! The cache: one logical database of an engine in this process, without sockets.
//!
//! A [`Cache`] is a handle: cloning it and naming another database cost one reference count. What
//! handles share is the [`Core`]: the engine, its host, its housekeeping, and the seats in which
//! threads make their calls (`seat`). A call goes the path of every request, `exec`, with no
//! parsing before it; what it returns is decoded from the same bytes that a client would
//! read.
//!
//! Rules: a call leaves nothing behind but data. Commands that speak of their connection (MULTI,
//! SUBSCRIBE, CLIENT SETNAME) are undone with the session that they were called on, and an error
//! says to use a [`Client`]. A call whose command waits gives its seat back first.
//! Tests: `tests/cache.rs`.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use pannier_clock::Clock;
use pannier_engine::{
    ConnectionInfo, Engine, Host, Lane, Mailbox, Next, Now, Options, Session, Transport,
};
use pannier_host::now;
use pannier_lock::MappedMutexGuard;
use pannier_resp::{OwnedArgs, Protocol, Reply};

use crate::builder::CacheBuilder;
use crate::calls::Flights;
use crate::client::Client;
use crate::error::Error;
use crate::frame::{self, Frame};
use crate::host::EmbeddedHost;
use crate::house::{House, Housekeeper, Housekeeping};
use crate::seat::{Seat, Seats};

/// A cache in this process: one logical database. Clones are handles to the same one.
///
/// ```
/// use pannier::{Cache, Frame};
///
/// let cache = Cache::new();
/// cache.call(["SET", "greeting", "hello"])?;
/// let Frame::BlobString { data, .. } = cache.call(["GET", "greeting"])? else { panic!() };
/// assert_eq!(&data[..], b"hello");
/// # Ok::<(), pannier::Error>(())
/// ```
#[derive(Clone)]
pub struct Cache {
    core: Arc<Core>,
    database: usize,
}

/// What all handles of a cache share.
pub(crate) struct Core {
    pub(crate) engine: Arc<Engine>,
    pub(crate) host: Arc<EmbeddedHost>,
    pub(crate) clock: Clock,
    pub(crate) flights: Flights,
    pub(crate) default_ttl: Option<Duration>,
    seats: Seats,
    /// Calls do the housekeeping.
    on_access: bool,
    _housekeeper: Option<Housekeeper>,
}

impl Cache {
    /// An empty cache without limits, with 16 databases of which this is the first.
    ///
    /// ```
    /// let cache = pannier::Cache::new();
    /// assert_eq!((cache.databases(), cache.index(), cache.len()), (16, 0, 0));
    /// ```
    pub fn new() -> Self {
        match Self::builder().build() {
            Ok(cache) => cache,
            Err(error) => unreachable!("the default configuration is refused: {error}"),
        }
    }

    /// A cache with limits, a clock, directives.
    ///
    /// ```
    /// let cache = pannier::Cache::builder().databases(4).build()?;
    /// assert!(cache.db(3).is_ok());
    /// # Ok::<(), pannier::Error>(())
    /// ```
    pub fn builder() -> CacheBuilder {
        CacheBuilder::new()
    }

    pub(crate) fn open(builder: CacheBuilder) -> Result<Self, Error> {
        let seed = builder.seed_or_random();
        let CacheBuilder { config, clock, housekeeping, default_ttl, .. } = builder;
        let house = Arc::new(House::default());
        let host = Arc::new(EmbeddedHost::new(clock.clone(), Arc::clone(&house)));
        let threads = match config.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        };
        let threads = threads.min(THREADS_MAX);
        let engine = Engine::new(Options {
            config,
            host: Arc::<EmbeddedHost>::clone(&host),
            now: now(&clock),
            seed,
            shards: pannier_host::shards(threads),
        })
        .map_err(Error::Config)?;
        let housekeeper =
            (housekeeping == Housekeeping::Thread).then(|| House::staff(&house, &engine, &clock));
        House::follow(&house, &engine, &clock);
        let seats = Seats::new(&engine, threads);
        let on_access = !house.is_staffed();
        let core = Core {
            engine,
            host,
            clock,
            flights: Flights::default(),
            default_ttl,
            seats,
            on_access,
            _housekeeper: housekeeper,
        };
        Ok(Self { core: Arc::new(core), database: 0 })
    }

    /// Another logical database of the same cache.
    ///
    /// ```
    /// let cache = pannier::Cache::new();
    /// let sessions = cache.db(1)?;
    /// sessions.call(["SET", "key", "value"])?;
    /// assert_eq!((cache.len(), sessions.len()), (0, 1));
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::NoDatabase`].
    pub fn db(&self, index: usize) -> Result<Self, Error> {
        if index >= self.databases() {
            return Err(Error::NoDatabase(index));
        }
        Ok(Self { core: Arc::clone(&self.core), database: index })
    }

    /// The number of this database.
    ///
    /// ```
    /// assert_eq!(pannier::Cache::new().index(), 0);
    /// ```
    pub fn index(&self) -> usize {
        self.database
    }

    /// How many databases there are.
    ///
    /// ```
    /// assert_eq!(pannier::Cache::new().databases(), 16);
    /// ```
    pub fn databases(&self) -> usize {
        self.core.engine.keyspace().databases()
    }

    /// How many keys this database holds. What has expired is not counted once housekeeping has
    /// come to it.
    ///
    /// ```
    /// assert_eq!(pannier::Cache::new().len(), 0);
    /// ```
    pub fn len(&self) -> usize {
        self.core.engine.keyspace().len(self.database)
    }

    /// Whether this database holds no key.
    ///
    /// ```
    /// assert!(pannier::Cache::new().is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The clock that everything follows.
    ///
    /// ```
    /// assert!(!pannier::Cache::new().clock().is_virtual());
    /// ```
    pub fn clock(&self) -> &Clock {
        &self.core.clock
    }

    /// Runs any command, and waits when it waits. An error reply is an [`Error::Reply`].
    ///
    /// ```
    /// use pannier::{Cache, Frame};
    ///
    /// let cache = Cache::new();
    /// assert!(matches!(cache.call(["INCR", "n"])?, Frame::Number { data: 1, .. }));
    /// assert_eq!(cache.call(["GET", "missing"])?, Frame::Null);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// What the command answers; [`Error::NeedsClient`] for commands about their connection.
    pub fn call<I>(&self, args: I) -> Result<Frame, Error>
    where
        I: IntoIterator<Item: AsRef<[u8]>>,
    {
        frame::checked(self.call_with(args, frame::only, frame::first)??)
    }

    /// The same with the reply, or the error, in the wire form of RESP3.
    ///
    /// ```
    /// let cache = pannier::Cache::new();
    /// assert_eq!(cache.call_bytes(["INCR", "n"])?, b":1\r\n"[..]);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::NeedsClient`] for commands about their connection.
    pub fn call_bytes<I>(&self, args: I) -> Result<Bytes, Error>
    where
        I: IntoIterator<Item: AsRef<[u8]>>,
    {
        self.call_with(args, frame::bytes, |replied| replied)
    }

    /// Runs a command in the thread's seat; what it answers is read there, or, when it has had to
    /// wait, from its bytes.
    fn call_with<I, R>(
        &self,
        args: I,
        read: impl FnOnce(&Reply) -> R,
        read_late: impl FnOnce(Bytes) -> R,
    ) -> Result<R, Error>
    where
        I: IntoIterator<Item: AsRef<[u8]>>,
    {
        match self.call_once(args)? {
            Called::Ready(seat) => Ok(read(&seat.reply)),
            Called::Waits(held) => {
                let (session, args, next) = *held;
                self.client_of(session).finish(&args, next).map(read_late)
            }
        }
    }

    /// Runs a command in the thread's seat, as far as that can be done without waiting.
    pub(crate) fn call_once<I>(&self, args: I) -> Result<Called<'_>, Error>
    where
        I: IntoIterator<Item: AsRef<[u8]>>,
    {
        let now = self.core.enter();
        let mut seat = self.core.seat();
        seat.args.clear();
        args.into_iter().for_each(|arg| seat.args.push(arg.as_ref()));
        self.call_seated(seat, now)
    }

    /// Runs the command whose arguments lie in the seat.
    fn call_seated<'a>(
        &'a self,
        mut guard: MappedMutexGuard<'a, Seat>,
        now: Now,
    ) -> Result<Called<'a>, Error> {
        let core = &self.core;
        let Seat { lane, session: own, args, reply, .. } = &mut *guard;
        if args.args().is_empty() {
            return Err(Error::NoCommand);
        }
        let session = own.get_or_insert_with(|| core.enter_session(now, lane));
        session.speak(Protocol::Resp3);
        session.select_database(self.database);
        reply.clear();
        let next = pannier_engine::call(&core.engine, session, args.args(), reply, now);
        let kept = next == Next::Ready
            && session.is_fresh()
            && session.protocol() == Protocol::Resp3
            && session.database() == self.database;
        if kept {
            return Ok(Called::Ready(guard));
        }
        let Some(mut session) = own.take() else { return Err(Error::NeedsClient) };
        match next {
            Next::Close if session.is_cut() => Err(Error::Closed),
            Next::Close | Next::Ready => Err(Error::NeedsClient),
            Next::Held { .. } | Next::Waiting => {
                let args = std::mem::take(args);
                drop(guard);
                session.swap_lane(&mut Arc::clone(&core.seats.no_lane));
                Ok(Called::Waits(Box::new((session, args, next))))
            }
        }
    }

    /// The session of a call that waits, as a client that can be seen, unblocked and killed.
    pub(crate) fn client_of(&self, session: Session) -> Client {
        session.list();
        Client::new(Arc::clone(&self.core), session)
    }

    /// A client with a session of its own, which begins in this database.
    ///
    /// ```
    /// let cache = pannier::Cache::new();
    /// let mut client = cache.connect();
    /// client.call(["MULTI"])?;
    /// client.call(["SET", "key", "value"])?;
    /// assert!(cache.is_empty());
    /// client.call(["EXEC"])?;
    /// assert_eq!(cache.len(), 1);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    pub fn connect(&self) -> Client {
        let mut session = self.core.enter_session(self.core.now(), &self.core.seats.no_lane);
        session.list();
        session.select_database(self.database);
        Client::new(Arc::clone(&self.core), session)
    }

    /// A database of the cache that has this core.
    #[inline]
    pub(crate) fn handle(core: &Arc<Core>, database: usize) -> Self {
        Self { core: Arc::clone(core), database }
    }

    #[inline]
    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    pub(crate) fn default_ttl(&self) -> Option<Duration> {
        self.core.default_ttl
    }

    pub(crate) fn flights(&self) -> &Flights {
        &self.core.flights
    }

    /// The engine, for Pannier's other crates.
    #[doc(hidden)]
    pub fn engine(&self) -> &Arc<Engine> {
        &self.core.engine
    }

    /// Lets a server answer the engine's questions that only a server can (listeners, SHUTDOWN,
    /// CONFIG SET of what is not the engine's); one that `keeps_house` also expires and ticks, and
    /// is woken for it. For Pannier's other crates.
    #[doc(hidden)]
    pub fn attach(&self, server: Arc<dyn Host>, keeps_house: bool) {
        self.core.host.attach(Some(server));
        self.core.host.house.set_replaced(keeps_house);
    }

    /// Keeps the place of the one server; false when there is one. [`Cache::detach`] gives it back.
    #[cfg(feature = "server")]
    pub(crate) fn reserve(&self) -> bool {
        self.core.host.reserve()
    }

    /// Whether its server has a socket.
    #[cfg(feature = "server")]
    pub(crate) fn listens(&self) -> bool {
        !self.core.host.facts().listeners.is_empty()
    }

    /// Whether nobody would keep house without a server.
    #[cfg(feature = "server")]
    pub(crate) fn is_unattended(&self) -> bool {
        self.core.on_access
    }

    /// Undoes [`Cache::attach`].
    #[doc(hidden)]
    pub fn detach(&self) {
        self.core.host.attach(None);
        self.core.host.house.set_replaced(false);
        self.core.host.release();
    }
}

impl Core {
    /// The time.
    pub(crate) fn now(&self) -> Now {
        now(&self.clock)
    }

    /// The time at which a call begins, after its share of the housekeeping.
    #[inline]
    pub(crate) fn enter(&self) -> Now {
        let now = self.now();
        if self.on_access {
            self.host.house.share(&self.engine, now);
        }
        now
    }

    /// Whether whoever waits has to keep house.
    pub(crate) fn is_on_access(&self) -> bool {
        self.on_access
    }

    /// The calling thread's seat.
    #[inline]
    pub(crate) fn seat(&self) -> MappedMutexGuard<'_, Seat> {
        self.check_not_lent();
        self.seats.take(&self.engine)
    }

    /// A session that nobody sees yet, which counts into this lane.
    #[cold]
    fn enter_session(&self, now: Now, lane: &Arc<Lane>) -> Session {
        let info = ConnectionInfo {
            addr: ADDRESS.into(),
            laddr: ADDRESS.into(),
            fd: -1,
            transport: Transport::Embedded,
            local: true,
            lane: Arc::clone(lane),
            mailbox: Arc::new(Mailbox::default()),
        };
        self.engine.enter(info, now)
    }
}

impl Default for Cache {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("database", &self.database)
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

/// What came of a command.
pub(crate) enum Called<'a> {
    /// The reply lies in the seat.
    Ready(MappedMutexGuard<'a, Seat>),
    /// It waits, or is held back: its session, its request, and for what.
    Waits(Box<(Session, OwnedArgs, Next)>),
}

/// How CLIENT LIST shows those inside the process.
const ADDRESS: &str = "embedded:0";

/// Threads that shards and seats are made for, at most.
const THREADS_MAX: usize = 16;
