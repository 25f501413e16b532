//! The embedded server: a builder and a handle.
//!
//! The builder takes directives as text, because that is how everybody knows them, or a whole
//! [`Config`]. What is wrong with a directive is said when the server starts, so that calls
//! can be chained. Tests: `tests/embedded.rs`, and the examples here.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;

use pannier_clock::Clock;
use pannier_engine::config::Config;
use pannier_server::{Options, Running};

use crate::error::Error;

/// A server that runs in this process. Dropping it stops it.
///
/// ```
/// # fn main() -> Result<(), pannier::Error> {
/// let server = pannier::Server::builder().threads(1).start()?;
/// assert!(server.port() > 0);
/// # Ok(())
/// # }
/// ```
pub struct Server {
    running: Running,
}

/// How to build a [`Server`].
pub struct Builder {
    options: Options,
    refused: Option<Error>,
}

impl Server {
    /// A server with default configuration on a free port.
    pub fn builder() -> Builder {
        let config = Config { port: 0, ..Config::default() };
        Builder {
            options: Options { config, free_port: true, ..Options::default() },
            refused: None,
        }
    }

    /// Its first TCP address; `None` when it listens on a Unix socket only.
    pub fn addr(&self) -> Option<SocketAddr> {
        self.running.addrs().first().copied()
    }

    /// All its TCP addresses.
    pub fn addrs(&self) -> &[SocketAddr] {
        self.running.addrs()
    }

    /// Its TCP port, 0 without one.
    pub fn port(&self) -> u16 {
        self.running.port()
    }

    /// The path of its Unix socket.
    pub fn unix_socket(&self) -> Option<&Path> {
        self.running.unix_path().map(|path| path.as_path())
    }

    /// Finishes what was received, closes all connections, and returns when it has ended, as
    /// dropping does.
    pub fn stop(self) {
        self.running.shutdown();
    }

    /// Waits until somebody ends it with SHUTDOWN.
    pub fn wait(self) {
        self.running.wait();
    }
}

impl Builder {
    /// Replaces the whole configuration; its port 0 means any free port.
    pub fn config(mut self, config: Config) -> Self {
        self.options.config = config;
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
        if let Err(source) = self.options.config.set(name, &[value]) {
            self.refused.get_or_insert(Error::Directive { name: name.to_owned(), source });
        }
        self
    }

    /// The TCP port; 0, the default, means any free one.
    pub fn port(mut self, port: u16) -> Self {
        self.options.config.port = port;
        self.options.free_port = true;
        self
    }

    /// No TCP at all; add a Unix socket with [`Builder::unix_socket`].
    pub fn without_tcp(mut self) -> Self {
        self.options.config.port = 0;
        self.options.free_port = false;
        self
    }

    /// Also listens on a Unix socket.
    pub fn unix_socket(mut self, path: impl AsRef<Path>) -> Self {
        self.options.config.unixsocket = path.as_ref().display().to_string();
        self
    }

    /// Worker threads; 0, the default, means one for each processor, at most 8.
    pub fn threads(mut self, threads: usize) -> Self {
        self.options.config.threads = threads;
        self
    }

    /// The clock that everything follows.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.options.clock = clock;
        self
    }

    /// Seed of every random choice (eviction samples, RANDOMKEY), for runs that repeat.
    pub fn seed(mut self, seed: u64) -> Self {
        self.options.seed = Some(seed);
        self
    }

    /// Starts the server; it accepts connections when this returns.
    ///
    /// # Errors
    /// The first directive that was refused, or why it cannot start.
    pub fn start(self) -> Result<Server, Error> {
        if let Some(refused) = self.refused {
            return Err(refused);
        }
        let running = pannier_server::start(self.options).map_err(Error::Start)?;
        Ok(Server { running })
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("addrs", &self.addrs()).finish_non_exhaustive()
    }
}
