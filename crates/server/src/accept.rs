//! Accepting: who may come in, and to which worker.
//!
//! One task for each listening socket, all on the control thread. A newcomer is refused with
//! Redis's words when there are `maxclients` already, or when it comes from another machine while
//! `protected-mode` is on and there is no password; such words are written once and not waited
//! for. Over TLS a full server just closes, as Redis does, and the other refusal comes when the
//! client can read it. A session begins here, so that the count of clients is exact, and goes with
//! the socket to the worker that has fewest connections.
//!
//! A full server looks twice: a worker may not have seen yet that somebody has left, and a client
//! that reconnects at once must not be refused for its own last connection. So a few newcomers may
//! wait until the workers have caught up with their sockets; the others are refused at once.
//!
//! A test can have newcomers refused (`Engine::refuses_connection`): their sockets are reset.
//!
//! Rules: errors never make this spin. When file descriptors or memory run out the task waits
//! before it accepts again; a connection that was lost before it was accepted is skipped.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use pannier_clock::Clock;
use pannier_engine::config::Config;
use pannier_engine::{ConnectionInfo, Engine, Lane, Mailbox, Transport};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, UnixListener};

use crate::listener::Listener;
use crate::now;
use crate::socket::Kind;
use crate::tls::Door;
use crate::worker::{Arrival, Handle};

/// What the accepting tasks share.
pub(crate) struct Acceptor {
    pub(crate) engine: Arc<Engine>,
    pub(crate) clock: Clock,
    /// The control thread's counters.
    pub(crate) lane: Arc<Lane>,
    pub(crate) workers: Vec<Handle>,
    /// The TLS port.
    pub(crate) door: Arc<Door>,
    /// Where the search for the least loaded begins, so that equals take turns.
    pub(crate) next: AtomicUsize,
    /// Shared once more by each newcomer that waits for a place.
    pub(crate) waiting: Arc<()>,
}

/// Accepts connections until it is dropped.
pub(crate) async fn accept(acceptor: Arc<Acceptor>, listener: Listener) {
    let Listener { socket, kind, name, file: _file } = listener;
    let source = match Source::register(socket, kind) {
        Ok(source) => source,
        Err(error) => return tracing::warn!("Cannot listen on {name}: {error}"),
    };
    let name: Arc<str> = name.into();
    loop {
        // It gives way by itself, now and then, to what else runs on this thread.
        match source.accept().await {
            Ok((socket, peer)) => {
                let listener = Arc::clone(&name);
                Acceptor::admit_or_wait(&acceptor, Newcomer { socket, kind, peer, listener });
            }
            Err(error) if is_about_the_peer(&error) => {}
            Err(error) => {
                tracing::warn!("Accepting client connection: {error}");
                tokio::time::sleep(BACK_OFF).await;
            }
        }
    }
}

/// A listening socket of the control thread's runtime.
enum Source {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Source {
    fn register(socket: OwnedFd, kind: Kind) -> io::Result<Self> {
        Ok(match kind {
            Kind::Tcp | Kind::Tls => Self::Tcp(TcpListener::from_std(socket.into())?),
            Kind::Unix => Self::Unix(UnixListener::from_std(socket.into())?),
        })
    }

    /// The next connection, free of this thread's runtime, and its address over TCP.
    async fn accept(&self) -> io::Result<(OwnedFd, Option<SocketAddr>)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                Ok((stream.into_std()?.into(), Some(peer)))
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok((stream.into_std()?.into(), None))
            }
        }
    }
}

/// Whether a connection was lost before it was accepted: no reason to wait.
fn is_about_the_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}

/// Somebody at the door.
struct Newcomer {
    socket: OwnedFd,
    kind: Kind,
    /// The peer's address over TCP.
    peer: Option<SocketAddr>,
    /// Name of the listening socket.
    listener: Arc<str>,
}

impl Acceptor {
    /// Lets a newcomer in, or lets it wait for a place if there is none and few are waiting.
    fn admit_or_wait(acceptor: &Arc<Self>, newcomer: Newcomer) {
        let waiting = Arc::strong_count(&acceptor.waiting);
        if !acceptor.is_full() || waiting > WAITING_MAX {
            return acceptor.admit(newcomer);
        }
        let (acceptor, place) = (Arc::clone(acceptor), Arc::clone(&acceptor.waiting));
        tokio::spawn(async move {
            let caught_up = async {
                for worker in &acceptor.workers {
                    worker.catch_up().await;
                }
            };
            // A worker that is busy for so long is not waited for.
            let _ = tokio::time::timeout(WAIT_MAX, caught_up).await;
            acceptor.admit(newcomer);
            drop(place);
        });
    }

    fn is_full(&self) -> bool {
        self.engine.connected() >= self.engine.peek_config().maxclients
    }

    fn admit(&self, newcomer: Newcomer) {
        let Newcomer { socket, kind, peer, listener } = newcomer;
        if self.engine.refuses_connection() {
            self.lane.rejected_connections.add(1);
            // The peer sees a reset, which is the nearest to nobody listening.
            let _ = SockRef::from(&socket).set_linger(Some(Duration::ZERO));
            return;
        }
        if self.is_full() {
            return self.refuse(&socket, kind, MAX_CLIENTS);
        }
        let config = self.engine.peek_config();
        let local = peer.is_none_or(|addr| addr.ip().to_canonical().is_loopback());
        let denied = !local && config.protected_mode && config.requirepass.is_empty();
        if denied && kind != Kind::Tls {
            return self.refuse(&socket, kind, PROTECTED);
        }
        if kind != Kind::Unix && set_options(&socket, &config).is_err() {
            // It is gone already.
            return;
        }
        let (addr, laddr) = match (kind, peer) {
            (Kind::Tcp | Kind::Tls, Some(peer)) => (peer.to_string(), own_address(&socket)),
            _ => (format!("{listener}:0"), format!("{listener}:0")),
        };
        let opening = match kind {
            Kind::Tls => match self.door.opening(denied.then_some(PROTECTED)) {
                Some(opening) => Some(opening),
                // The port was closed just now.
                None => return,
            },
            Kind::Tcp | Kind::Unix => None,
        };
        tracing::debug!("Accepted {addr}");
        let Some(worker) = self.least_loaded() else { return };
        let info = ConnectionInfo {
            addr,
            laddr,
            fd: socket.as_raw_fd(),
            transport: if kind == Kind::Unix { Transport::Unix } else { Transport::Tcp },
            local,
            lane: Arc::clone(&worker.worker.lane),
            mailbox: Arc::new(Mailbox::default()),
        };
        let session = self.engine.connect(info, now(&self.clock));
        self.lane.connections.add(1);
        if denied {
            self.lane.rejected_connections.add(1);
        }
        worker.send(Arrival { socket, kind, session, opening });
    }

    fn refuse(&self, socket: &OwnedFd, kind: Kind, words: &str) {
        self.lane.rejected_connections.add(1);
        if kind == Kind::Tls {
            return;
        }
        // The peer is not waited for: what its socket does not take, it does not get.
        let _ = rustix::io::write(socket, words.as_bytes());
    }

    fn least_loaded(&self) -> Option<&Handle> {
        let first = self.next.fetch_add(1, Relaxed) % self.workers.len().max(1);
        let (before, from) = self.workers.split_at(first);
        from.iter().chain(before).min_by_key(|worker| worker.load())
    }
}

fn set_options(socket: &OwnedFd, config: &Config) -> io::Result<()> {
    let socket = SockRef::from(socket);
    socket.set_tcp_nodelay(true)?;
    if config.tcp_keepalive > 0 {
        // As Redis: a third of the time between probes, three probes.
        let idle = Duration::from_secs(config.tcp_keepalive.into());
        let probes = Duration::from_secs((config.tcp_keepalive / 3).max(1).into());
        let keepalive = TcpKeepalive::new().with_time(idle).with_interval(probes).with_retries(3);
        socket.set_tcp_keepalive(&keepalive)?;
    }
    Ok(())
}

fn own_address(socket: &OwnedFd) -> String {
    let addr = SockRef::from(socket).local_addr().ok().and_then(|addr| addr.as_socket());
    addr.map_or_else(String::new, |addr| addr.to_string())
}

/// Time to wait when the system has no more descriptors or memory.
const BACK_OFF: Duration = Duration::from_millis(100);

/// Time that a newcomer waits at most.
const WAIT_MAX: Duration = Duration::from_millis(500);

/// Newcomers that may wait: fewer than the files that are reserved besides clients.
const WAITING_MAX: usize = 16;

const MAX_CLIENTS: &str = "-ERR max number of clients reached\r\n";

const PROTECTED: &str = "-DENIED Running in protected mode because protected mode is enabled and \
    no password is set for the default user. In this mode connections are only accepted from the \
    loopback interface. If you want to connect from external computers, you may adopt one of the \
    following solutions: 1) Just disable protected mode sending the command 'CONFIG SET \
    protected-mode no' from the loopback interface by connecting from the same host the server \
    is running, however MAKE SURE it's not publicly accessible from internet if you do so. Use \
    CONFIG REWRITE to make this change permanent. 2) Alternatively you can just disable the \
    protected mode by editing the configuration file, and setting the protected mode option to \
    'no', and then restarting the server. 3) If you started the server manually just for testing, \
    restart it with the '--protected-mode no' option. 4) Set up an authentication password for \
    the default user. NOTE: You only need to do one of the above things in order for the server \
    to start accepting connections from the outside.\r\n";
