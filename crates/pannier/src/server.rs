//! The embedded server: sockets for a [`Cache`], a builder and a handle.
//!
//! A server lets any Redis client reach a cache, the one that it is given or one of its own, and
//! while it runs its threads keep the cache's house. It runs on threads of its own, on a [`Crew`]
//! that many servers share, or on the caller's tokio runtime: a thousand servers, one for each
//! test, need no thousand threads.
//!
//! The builder takes directives as text, because that is how everybody knows them, or a whole
//! [`Config`]. What is wrong with a directive is said when the server starts, so that calls
//! can be chained. Tests: `tests/embedded.rs`, and the examples here.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::RawFd;
use std::path::Path;
use std::sync::Arc;

use pannier_clock::Clock;
use pannier_engine::config::Config;
use pannier_server::{Attachment, Crew, Place, Running, StartError, TlsOptions};

use crate::builder::CacheBuilder;
use crate::cache::Cache;
use crate::error::Error;
use crate::house::Housekeeping;

/// A server that runs in this process. Dropping it stops it; its cache stays as long as there are
/// handles to it.
///
/// ```
/// use pannier::{Cache, Server};
///
/// let cache = Cache::new();
/// let server = Server::builder().cache(&cache).threads(1).start()?;
/// assert!(server.port() > 0);
/// # Ok::<(), pannier::Error>(())
/// ```
pub struct Server {
    /// Before the cache: what drops first is what uses the other.
    running: Running,
    cache: Cache,
}

/// How to build a [`Server`].
///
/// ```
/// use pannier::Server;
///
/// let server = Server::builder().threads(2).directive("tcp-keepalive", "60").start()?;
/// assert!(server.port() > 0);
/// # Ok::<(), pannier::Error>(())
/// ```
#[must_use = "`start` makes the server"]
pub struct Builder {
    cache: CacheBuilder,
    given: Option<Cache>,
    free_port: bool,
    place: Place,
    tls: Option<TlsOptions>,
    /// Plain TCP is asked for, or refused.
    plain: Option<bool>,
    /// A directive that is not about sockets.
    foreign: Option<String>,
}

impl Server {
    /// A server with default configuration on a free port, with a cache of its own.
    ///
    /// ```
    /// let server = pannier::Server::builder().start()?;
    /// assert!(server.cache().is_empty());
    /// # Ok::<(), pannier::Error>(())
    /// ```
    pub fn builder() -> Builder {
        Builder {
            cache: Cache::builder(),
            given: None,
            free_port: true,
            place: Place::Own,
            tls: None,
            plain: None,
            foreign: None,
        }
    }

    /// Its first TCP address; `None` when it listens on a Unix socket or for TLS only.
    ///
    /// ```
    /// let server = pannier::Server::builder().start()?;
    /// let url = format!("redis://{}", server.addr().expect("a TCP address"));
    /// assert!(url.starts_with("redis://127.0.0.1:"));
    /// # Ok::<(), pannier::Error>(())
    /// ```
    pub fn addr(&self) -> Option<SocketAddr> {
        self.running.addrs().first().copied()
    }

    /// All its TCP addresses, but for TLS.
    ///
    /// ```
    /// let server = pannier::Server::builder().directive("bind", "127.0.0.1 127.0.0.2").start()?;
    /// let ports: Vec<u16> = server.addrs().iter().map(|addr| addr.port()).collect();
    /// assert_eq!(ports, [server.port(); 2]);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    pub fn addrs(&self) -> &[SocketAddr] {
        self.running.addrs()
    }

    /// Its first address for TLS.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    /// # let (cert, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    /// # let tls = pannier::TlsOptions::new(cert.into_bytes(), key.into_bytes());
    /// let server = pannier::Server::builder().tls(tls).start()?;
    /// assert!(server.tls_addr().is_some_and(|addr| addr.ip().is_loopback()));
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "tls")]
    pub fn tls_addr(&self) -> Option<SocketAddr> {
        self.running.tls_addrs().first().copied()
    }

    /// All its addresses for TLS.
    ///
    /// ```
    /// assert!(pannier::Server::builder().start()?.tls_addrs().is_empty());
    /// # Ok::<(), pannier::Error>(())
    /// ```
    #[cfg(feature = "tls")]
    pub fn tls_addrs(&self) -> Vec<SocketAddr> {
        self.running.tls_addrs()
    }

    /// Reads its certificates and its key again where they are files, for clients that come from
    /// now on. [`TlsOptions::reload_every_s`](crate::TlsOptions::reload_every_s) does it by itself.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    /// # let (cert, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    /// # let tls = pannier::TlsOptions::new(cert.into_bytes(), key.into_bytes());
    /// let server = pannier::Server::builder().tls(tls).start()?;
    /// server.reload_tls()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// What is wrong with them; the old ones then stay in force.
    #[cfg(feature = "tls")]
    pub fn reload_tls(&self) -> Result<(), Error> {
        self.running.reload_tls().map_err(refused)
    }

    /// A URL of database 0, as Redis clients take it: `rediss://` when there is TLS only.
    ///
    /// ```
    /// let server = pannier::Server::builder().start()?;
    /// assert_eq!(server.url(), format!("redis://127.0.0.1:{}/0", server.port()));
    /// # Ok::<(), pannier::Error>(())
    /// ```
    pub fn url(&self) -> String {
        let tls = || Some(("rediss", *self.running.tls_addrs().first()?));
        match self.addr().map(|addr| ("redis", addr)).or_else(tls) {
            Some((scheme, mut addr)) => {
                if addr.ip().is_unspecified() {
                    // One listens there and connects elsewhere.
                    let ip: IpAddr = match addr {
                        SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                        SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
                    };
                    addr.set_ip(ip);
                }
                format!("{scheme}://{addr}/0")
            }
            None => {
                let path = self.unix_socket().map(Path::to_string_lossy).unwrap_or_default();
                format!("unix://{path}?db=0")
            }
        }
    }

    /// Its TCP port, 0 without one.
    ///
    /// ```
    /// let server = pannier::Server::builder().start()?;
    /// assert_eq!(server.addr().expect("a TCP address").port(), server.port());
    /// # Ok::<(), pannier::Error>(())
    /// ```
    pub fn port(&self) -> u16 {
        self.running.port()
    }

    /// The path of its Unix socket.
    ///
    /// ```
    /// let path = std::env::temp_dir().join(format!("pannier-doc-path-{}", std::process::id()));
    /// let server = pannier::Server::builder().unix_socket(&path).start()?;
    /// assert_eq!(server.unix_socket(), Some(&*path));
    /// # Ok::<(), pannier::Error>(())
    /// ```
    pub fn unix_socket(&self) -> Option<&Path> {
        self.running.unix_path().map(|path| path.as_path())
    }

    /// The file descriptors of its listening sockets. They are the server's, and only for a process
    /// that forks: what the child does not close keeps the addresses taken when the parent has
    /// ended.
    ///
    /// ```
    /// let server = pannier::Server::builder().start()?;
    /// assert_eq!(server.descriptors().len(), server.addrs().len());
    /// # Ok::<(), pannier::Error>(())
    /// ```
    pub fn descriptors(&self) -> &[RawFd] {
        self.running.descriptors()
    }

    /// The cache that it serves, for calls without a socket.
    ///
    /// ```
    /// let server = pannier::Server::builder().start()?;
    /// server.cache().call(["SET", "seen", "by clients"])?;
    /// # Ok::<(), pannier::Error>(())
    /// ```
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Finishes what was received, closes all connections, and returns when it has ended, as
    /// dropping does. On the caller's runtime use [`Server::stop_async`].
    ///
    /// ```
    /// let cache = pannier::Cache::new();
    /// let server = pannier::Server::builder().cache(&cache).start()?;
    /// server.stop();
    /// // The cache goes on, and may have another server.
    /// let server = pannier::Server::builder().cache(&cache).start()?;
    /// # Ok::<(), pannier::Error>(())
    /// ```
    pub fn stop(self) {
        drop(self);
    }

    /// As [`Server::stop`], for a task: waits without keeping its thread.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let server = pannier::Server::builder().start()?;
    /// server.stop_async().await;
    /// # Ok::<(), pannier::Error>(())
    /// # })?;
    /// # Ok::<(), pannier::Error>(())
    /// ```
    pub async fn stop_async(self) {
        self.running.stopper().stop();
        self.running.ended().await;
    }

    /// Waits until somebody ends it with SHUTDOWN.
    ///
    /// ```
    /// use std::io::Write;
    ///
    /// let server = pannier::Server::builder().start()?;
    /// let mut client = std::net::TcpStream::connect(server.addr().expect("a TCP address"))?;
    /// client.write_all(b"SHUTDOWN\r\n")?;
    /// server.wait();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn wait(&self) {
        self.running.wait();
    }

    /// As [`Server::wait`], for a task.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let server = pannier::Server::builder().start()?;
    /// server.cache().call(["SHUTDOWN"]).ok();
    /// server.ended().await;
    /// # Ok::<(), pannier::Error>(())
    /// # })?;
    /// # Ok::<(), pannier::Error>(())
    /// ```
    pub async fn ended(&self) {
        self.running.ended().await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.running.end();
        self.cache.detach();
    }
}

impl Builder {
    /// Lets clients reach this cache instead of one of its own. Of the directives, those about
    /// sockets and threads are the server's; others belong where the cache is built and are
    /// refused. A cache has one server at a time.
    ///
    /// ```
    /// use pannier::{Cache, Server};
    ///
    /// let cache = Cache::builder().max_memory(64 << 20).build()?;
    /// let server = Server::builder().cache(&cache).start()?;
    /// assert!(Server::builder().cache(&cache).start().is_err());
    /// let wrong = Server::builder().cache(&Cache::new()).directive("maxmemory", "64mb").start();
    /// let error = wrong.err().expect("refused");
    /// assert_eq!(error.to_string(), "maxmemory is the cache's: set it where that is built");
    /// # Ok::<(), pannier::Error>(())
    /// ```
    pub fn cache(mut self, cache: &Cache) -> Self {
        self.given = Some(cache.clone());
        self
    }

    /// Replaces the whole configuration; its port 0 means any free port.
    ///
    /// ```
    /// use pannier::{Config, Server};
    ///
    /// let config = Config { port: 0, databases: 4, ..Config::default() };
    /// let server = Server::builder().config(config).start()?;
    /// assert_eq!(server.cache().databases(), 4);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    pub fn config(mut self, config: Config) -> Self {
        self.cache = self.cache.config(config);
        self
    }

    /// Sets a directive of `redis.conf`; a value of several words is one text.
    ///
    /// ```
    /// let wrong = pannier::Server::builder().directive("maxmemory", "plenty").start();
    /// let error = wrong.err().expect("refused");
    /// assert_eq!(error.to_string(), "maxmemory: argument must be a memory value");
    /// ```
    pub fn directive(mut self, name: &str, value: &str) -> Self {
        if !OF_SOCKETS.contains(&name.to_ascii_lowercase().as_str()) {
            self.foreign.get_or_insert_with(|| name.to_owned());
        }
        self.cache = self.cache.directive(name, value);
        self
    }

    /// The TCP port; 0, the default, means any free one.
    ///
    /// ```
    /// use pannier::{Error, Server};
    ///
    /// let server = Server::builder().port(0).start()?;
    /// let taken = Server::builder().port(server.port()).start();
    /// assert!(matches!(taken, Err(Error::Start(_))));
    /// # Ok::<(), pannier::Error>(())
    /// ```
    pub fn port(mut self, port: u16) -> Self {
        self.cache.config.port = port;
        self.free_port = true;
        self.plain = Some(true);
        self
    }

    /// Speaks TLS, on a free port or that of [`Builder::tls_port`]; then it speaks nothing else
    /// over TCP, unless [`Builder::port`] asks for that besides.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use pannier::{Server, TlsOptions};
    ///
    /// let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    /// let (cert, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    /// let tls = TlsOptions::new(cert.into_bytes(), key.into_bytes());
    /// let server = Server::builder().tls(tls).start()?;
    /// let addr = server.tls_addr().expect("it listens");
    /// assert_eq!(server.url(), format!("rediss://{addr}/0"));
    /// assert_eq!(server.addr(), None);
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "tls")]
    pub fn tls(mut self, options: TlsOptions) -> Self {
        self.tls = Some(options);
        self
    }

    /// The TCP port for TLS; 0, the default, means any free one.
    ///
    /// ```no_run
    /// use std::path::Path;
    /// use pannier::{Server, TlsOptions};
    ///
    /// let tls = TlsOptions::new(Path::new("server.crt"), Path::new("server.key"));
    /// let server = Server::builder().tls(tls).tls_port(6380).start()?;
    /// # Ok::<(), pannier::Error>(())
    /// ```
    #[cfg(feature = "tls")]
    pub fn tls_port(mut self, port: u16) -> Self {
        self.cache.config.tls_port = port;
        self
    }

    /// No TCP but for TLS; add a Unix socket with [`Builder::unix_socket`]: a server that would
    /// listen nowhere does not start.
    ///
    /// ```
    /// let path = std::env::temp_dir().join(format!("pannier-doc-only-{}", std::process::id()));
    /// let server = pannier::Server::builder().without_tcp().unix_socket(&path).start()?;
    /// assert_eq!(server.addr(), None);
    /// # Ok::<(), pannier::Error>(())
    /// ```
    pub fn without_tcp(mut self) -> Self {
        self.plain = Some(false);
        self
    }

    /// Also listens on a Unix socket.
    ///
    /// ```
    /// use std::os::unix::net::UnixStream;
    ///
    /// let path = std::env::temp_dir().join(format!("pannier-doc-{}", std::process::id()));
    /// let server = pannier::Server::builder().unix_socket(&path).start()?;
    /// assert!(UnixStream::connect(&path).is_ok());
    /// drop(server);
    /// assert!(!path.exists());
    /// # Ok::<(), pannier::Error>(())
    /// ```
    pub fn unix_socket(mut self, path: impl AsRef<Path>) -> Self {
        self.cache.config.unixsocket = path.as_ref().display().to_string();
        self
    }

    /// Worker threads of its own; 0, the default, means one for each processor, at most 8.
    ///
    /// ```
    /// let server = pannier::Server::builder().threads(1).start()?;
    /// # Ok::<(), pannier::Error>(())
    /// ```
    pub fn threads(mut self, threads: usize) -> Self {
        self.cache.config.threads = threads;
        self
    }

    /// Runs on threads that it shares with other servers.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use pannier::{Crew, Server};
    ///
    /// let crew = Arc::new(Crew::new(2)?);
    /// let servers: Vec<Server> = (0..10)
    ///     .map(|_| Server::builder().crew(&crew).start())
    ///     .collect::<Result<_, _>>()?;
    /// assert_eq!(servers.len(), 10);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn crew(mut self, crew: &Arc<Crew>) -> Self {
        self.place = Place::Crew(Arc::clone(crew));
        self
    }

    /// Runs on this runtime, whatever its kind; it needs its I/O and time drivers. Dropping the
    /// server then ends it when the runtime comes to it.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    /// let server = pannier::Server::builder().runtime(runtime.handle().clone()).start()?;
    /// runtime.block_on(server.stop_async());
    /// # Ok(())
    /// # }
    /// ```
    pub fn runtime(mut self, runtime: tokio::runtime::Handle) -> Self {
        self.place = Place::Runtime(runtime);
        self
    }

    /// The clock that everything follows.
    ///
    /// ```
    /// use std::time::Duration;
    /// use pannier::{Clock, Server};
    ///
    /// let (clock, hand) = Clock::virtual_at(1_700_000_000_000);
    /// let server = Server::builder().clock(clock).start()?;
    /// server.cache().call(["SET", "key", "value", "EX", "60"])?;
    /// hand.advance(Duration::from_secs(60));
    /// assert!(server.cache().is_empty());
    /// # Ok::<(), pannier::Error>(())
    /// ```
    pub fn clock(mut self, clock: Clock) -> Self {
        self.cache = self.cache.clock(clock);
        self
    }

    /// Seed of every random choice (eviction samples, RANDOMKEY), for runs that repeat.
    ///
    /// ```
    /// let server = pannier::Server::builder().seed(7).start()?;
    /// # Ok::<(), pannier::Error>(())
    /// ```
    pub fn seed(mut self, seed: u64) -> Self {
        self.cache = self.cache.seed(seed);
        self
    }

    /// Starts the server; it accepts connections when this returns.
    ///
    /// ```
    /// use std::io::{Read, Write};
    ///
    /// let server = pannier::Server::builder().start()?;
    /// let mut client = std::net::TcpStream::connect(server.addr().expect("a TCP address"))?;
    /// client.write_all(b"INCR visits\r\n")?;
    /// let mut reply = [0; 4];
    /// client.read_exact(&mut reply)?;
    /// assert_eq!(&reply, b":1\r\n");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The first directive that was refused, or why it cannot start.
    pub fn start(self) -> Result<Server, Error> {
        let Self { cache: mut builder, given, mut free_port, place, tls, plain, foreign } = self;
        let config = &mut builder.config;
        let encrypted = tls.is_some() || config.tls_port > 0;
        if !plain.unwrap_or(!encrypted || config.port > 0) {
            (config.port, free_port) = (0, false);
        }
        let config = config.clone();
        let cache = match (given, foreign) {
            (Some(_), Some(name)) => {
                let text = format!("{name} is the cache's: set it where that is built");
                return Err(Error::Config(text));
            }
            (Some(cache), None) => {
                builder.check()?;
                cache
            }
            // Its threads do what a thread of the cache would do, but for freeing large values.
            (None, _) if matches!(place, Place::Own) => builder.build()?,
            (None, _) => builder.housekeeping(Housekeeping::OnAccess).build()?,
        };
        if !cache.reserve() {
            return Err(Error::Config("this cache has a server already".into()));
        }
        // A caller's runtime may rest for long.
        let keeps_house = cache.is_unattended() || !matches!(place, Place::Runtime(_));
        let clock = cache.clock().clone();
        let attachment = Attachment { config, free_port, clock, tls, place, keeps_house };
        let attach = |host| cache.attach(host, keeps_house);
        match pannier_server::attach(cache.engine(), attachment, attach) {
            Ok(running) => {
                let server = Server { running, cache };
                match server.cache.listens() {
                    true => Ok(server),
                    false => Err(Error::Config("Configured to not listen anywhere".into())),
                }
            }
            Err(error) => {
                cache.detach();
                Err(refused(error))
            }
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("addrs", &self.addrs()).finish_non_exhaustive()
    }
}

/// What is wrong with certificates is wrong with the configuration.
fn refused(error: StartError) -> Error {
    match error {
        StartError::Tls(_) => Error::Config(error.to_string()),
        _ => Error::Start(error),
    }
}

/// The directives that concern a server beside its cache.
const OF_SOCKETS: &[&str] = &[
    "port",
    "bind",
    "unixsocket",
    "unixsocketperm",
    "tcp-backlog",
    "threads",
    "dir",
    "tls-port",
    "tls-cert-file",
    "tls-key-file",
    "tls-key-file-pass",
    "tls-ca-cert-file",
    "tls-ca-cert-dir",
    "tls-auth-clients",
    "tls-protocols",
    "tls-ciphers",
    "tls-ciphersuites",
    "tls-prefer-server-ciphers",
    "tls-session-caching",
    "tls-session-cache-size",
    "tls-session-cache-timeout",
    "tls-auto-reload-interval",
];
