//! A server from start to end: what runs where, and the order in which it begins and stops.
//!
//! `start` opens the sockets first, so that it can say why not, then the engine, the workers, and
//! the task that accepts and keeps house. `attach` does the same for an engine that is there
//! already and has its own housekeeping. The end comes in two phases. Draining: no new
//! connections, whatever was received is executed and answered, but for scripts, which are ended
//! where they are (`ShellHost::ends_scripts`); idle connections are closed. Leaving: what is left
//! is cut. Draining becomes leaving after [`DRAIN_MAX`], or when it is asked for; threads of the
//! server's own end when nobody holds it any more.
//!
//! Only the holder of a [`Running`] waits for the end; a request may ask for it (SHUTDOWN) but
//! never waits for it. Neighbours: `crew` has the threads, `worker` the connections.

use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use pannier_clock::Clock;
use pannier_engine::config::Config;
use pannier_engine::{Engine, Host};
use tokio::task::JoinSet;

use crate::accept::{Acceptor, accept};
use crate::crew::{Crew, Place, Site};
use crate::error::StartError;
use crate::host::{Listening, NoProgram, Phase, Program, ShellHost};
use crate::listener::{Listener, Listeners};
use crate::socket::Kind;
use crate::tasks::{Reaper, cron, expiry};
use crate::tls::{Door, TlsOptions};
use crate::worker::Worker;
use crate::{now, process};

/// How to start a server.
pub struct Options {
    /// The configuration to start with.
    pub config: Config,
    /// Port 0 in the configuration means any free port, not none.
    pub free_port: bool,
    /// The time that everything follows.
    pub clock: Clock,
    /// Seed of every random choice; by default another one each time.
    pub seed: Option<u64>,
    /// The program around the server.
    pub program: Arc<dyn Program>,
    /// TLS on `tls-port`, where 0 means any free one; by default as the directives say.
    pub tls: Option<TlsOptions>,
    /// Where it runs.
    pub place: Place,
}

/// How to let an engine listen that is there already.
pub struct Attachment {
    /// The sockets: `port`, `bind`, `unixsocket` and what belongs to them; `threads`.
    pub config: Config,
    /// Port 0 in the configuration means any free port, not none.
    pub free_port: bool,
    /// The engine's time.
    pub clock: Clock,
    /// TLS on `tls-port`, where 0 means any free one; by default as the directives say.
    pub tls: Option<TlsOptions>,
    /// Where it runs.
    pub place: Place,
    /// It expires keys and does the periodic work while it runs; else somebody else does.
    pub keeps_house: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            config: Config::default(),
            free_port: false,
            clock: Clock::system(),
            seed: None,
            program: Arc::new(NoProgram),
            tls: None,
            place: Place::Own,
        }
    }
}

/// A running server. Dropping it shuts it down, and waits for that unless it is on the caller's
/// runtime.
pub struct Running {
    engine: Arc<Engine>,
    host: Arc<ShellHost>,
    addrs: Vec<SocketAddr>,
    unix: Option<PathBuf>,
    descriptors: Vec<RawFd>,
    crew: Option<Arc<Crew>>,
}

/// A way to end a server from elsewhere, for signal handlers.
#[derive(Clone)]
pub struct Stopper(Arc<ShellHost>);

impl Stopper {
    /// Asks for a graceful end and returns at once.
    pub fn stop(&self) {
        self.0.advance(Phase::Draining);
    }
}

/// Starts a server and returns when its sockets listen.
///
/// # Errors
/// A socket that cannot be opened, a thread that cannot be started, or a configuration that
/// contradicts the commands.
pub fn start(options: Options) -> Result<Running, StartError> {
    let Options { mut config, free_port, clock, seed, program, tls, place } = options;
    if let Err(most) = process::make_room_for(config.maxclients) {
        tracing::warn!(
            "You requested maxclients of {} but the system allows only {most} open connections: \
             maxclients is now {most}",
            config.maxclients
        );
        config.maxclients = most.max(1);
    }
    let sockets = Listeners::open(&config, free_port)?;
    let door = Door::open(&config, tls, &clock)?;
    let threads = if config.threads == 0 { default_threads() } else { config.threads };
    let reaper = Reaper::spawn().map_err(StartError::Thread)?;
    let host = Arc::new(ShellHost::new(clock.clone(), program, Some(reaper), door));
    let engine = Engine::new(pannier_engine::Options {
        config,
        host: Arc::<ShellHost>::clone(&host),
        now: now(&clock),
        seed: seed.unwrap_or_else(|| RandomState::new().hash_one(threads)),
        shards: pannier_host::shards(threads),
    })
    .map_err(StartError::Config)?;
    let launch = Launch { engine, host, clock, sockets, keeps_house: true, alone: true };
    launch.at(place, threads)
}

/// Lets an engine listen that is there already and has a host of its own; `tell` is told, before
/// anybody can connect, to whom that host must hand on what concerns sockets: shutdown,
/// configuration, facts, slow scripts, and nearer deadlines if this server keeps house.
///
/// # Errors
/// A socket that cannot be opened, or a thread that cannot be started.
pub fn attach(
    engine: &Arc<Engine>,
    attachment: Attachment,
    tell: impl FnOnce(Arc<dyn Host>),
) -> Result<Running, StartError> {
    let Attachment { config, free_port, clock, tls, place, keeps_house } = attachment;
    if let Err(most) = process::make_room_for(config.maxclients) {
        tracing::warn!("The system allows only {most} open connections");
    }
    let sockets = Listeners::open(&config, free_port)?;
    let door = Door::open(&config, tls, &clock)?.follow(&engine.config());
    let threads = if config.threads == 0 { default_threads() } else { config.threads };
    let host = Arc::new(ShellHost::new(clock.clone(), Arc::new(NoProgram), None, door));
    tell(Arc::<ShellHost>::clone(&host));
    let engine = Arc::clone(engine);
    Launch { engine, host, clock, sockets, keeps_house, alone: false }.at(place, threads)
}

impl Running {
    /// The addresses that it listens on, in the order of `bind`.
    pub fn addrs(&self) -> &[SocketAddr] {
        &self.addrs
    }

    /// The TCP port, 0 without one.
    pub fn port(&self) -> u16 {
        self.addrs.first().map_or(0, SocketAddr::port)
    }

    /// The addresses that it listens on for TLS.
    pub fn tls_addrs(&self) -> Vec<SocketAddr> {
        self.host.door.addrs()
    }

    /// Reads the files of its TLS again, for clients that come from now on.
    ///
    /// # Errors
    /// What is wrong with them; the old ones then stay in force.
    pub fn reload_tls(&self) -> Result<(), StartError> {
        self.host.door.reload()
    }

    /// The path of the Unix socket.
    pub fn unix_path(&self) -> Option<&PathBuf> {
        self.unix.as_ref()
    }

    /// The file descriptors of its listening sockets, which are open until it ends.
    pub fn descriptors(&self) -> &[RawFd] {
        &self.descriptors
    }

    /// The engine that it serves.
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// A handle that can end it from another thread.
    pub fn stopper(&self) -> Stopper {
        Stopper(Arc::clone(&self.host))
    }

    /// Waits until it has ended: by SHUTDOWN, or by a [`Stopper`]. Not for a task of the runtime
    /// that it is on: see [`Running::ended`].
    pub fn wait(&self) {
        self.host.end.wait();
    }

    /// Waits until it has ended.
    pub async fn ended(&self) {
        self.host.end.reached().await;
    }

    /// Finishes what was received, closes all connections, and returns when that is done; on the
    /// caller's runtime it cuts what is left instead, when the runtime comes to it, and returns at
    /// once.
    pub fn end(&self) {
        if self.crew.is_some() {
            self.host.advance(Phase::Draining);
            self.host.end.wait();
        } else {
            self.host.advance(Phase::Leaving);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

/// All that a server consists of, before it runs.
struct Launch {
    engine: Arc<Engine>,
    host: Arc<ShellHost>,
    clock: Clock,
    sockets: Listeners,
    /// Nobody else expires keys.
    keeps_house: bool,
    /// The engine ends with the server.
    alone: bool,
}

impl Launch {
    fn at(self, place: Place, threads: usize) -> Result<Running, StartError> {
        let Self { engine, host, clock, sockets, keeps_house, alone } = self;
        let Listeners { listeners, addrs, unix } = sockets;
        let descriptors = listeners.iter().map(|listener| listener.socket.as_raw_fd()).collect();
        let Site { workers, control, crew } =
            Site::at(place, threads).map_err(StartError::Thread)?;
        let shell = Arc::downgrade(&host);
        let wake = move || _ = shell.upgrade().map(|host| host.expiry.notify_one());
        if alone {
            pannier_host::follow(&clock, &engine, wake);
        } else {
            // The engine follows it already.
            clock.on_change(wake);
        }
        let handles: Vec<_> =
            workers.iter().map(|runtime| Worker::start(&engine, &clock, runtime)).collect();
        let known = handles.iter().map(|handle| Arc::downgrade(&handle.worker)).collect();
        // Nobody else sets these.
        let _ = host.workers.set(known);
        let _ = host.listening.set(listening(&listeners, &addrs, workers.len()));
        let acceptor = Arc::new(Acceptor {
            engine: Arc::clone(&engine),
            clock: clock.clone(),
            lane: engine.lane(),
            workers: handles,
            door: Arc::clone(&host.door),
            next: AtomicUsize::new(0),
            waiting: Arc::new(()),
        });
        let mut house = JoinSet::new();
        if alone {
            engine.set_startup_bytes(host.program.allocated_bytes());
        }
        if keeps_house {
            let lane = Arc::clone(&acceptor.lane);
            let (own, shell) = (Arc::clone(&engine), Arc::clone(&host));
            house.spawn_on(expiry(own, shell, clock.clone()), &workers[0]);
            let (own, shell) = (Arc::clone(&engine), Arc::clone(&host));
            house.spawn_on(cron(own, shell, clock, lane), &control);
        }
        let ending = Ending(Arc::clone(&host));
        control.spawn(serve((acceptor, alone), ending, listeners, house));
        Ok(Running { engine, host, addrs, unix, descriptors, crew })
    }
}

/// Says that the server has ended, when its task has; the task may be dropped with its runtime.
struct Ending(Arc<ShellHost>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.end.reach();
    }
}

/// Accepts until the end is asked for, then drains.
async fn serve(
    (acceptor, alone): (Arc<Acceptor>, bool),
    ending: Ending,
    listeners: Vec<Listener>,
    mut house: JoinSet<()>,
) {
    let (engine, host) = (&acceptor.engine, &ending.0);
    let mut doors = JoinSet::new();
    doors.spawn(Door::keep(Arc::clone(&acceptor)));
    for listener in listeners {
        doors.spawn(accept(Arc::clone(&acceptor), listener));
    }
    let mut phase = host.phase.subscribe();
    // The sender lives in `host`, so waiting cannot fail.
    let _ = phase.wait_for(|phase| *phase > Phase::Serving).await;
    doors.shutdown().await;
    house.shutdown().await;
    for handle in &acceptor.workers {
        handle.worker.drain();
    }
    let drained = async {
        for handle in &acceptor.workers {
            handle.worker.drained().await;
        }
    };
    tokio::select! {
        () = drained => {}
        _ = phase.wait_for(|phase| *phase == Phase::Leaving) => {}
        () = tokio::time::sleep(DRAIN_MAX) => {
            tracing::warn!("Cutting {} clients that do not read", engine.connected());
        }
    }
    for handle in &acceptor.workers {
        handle.worker.leave();
    }
    if alone {
        tracing::warn!("Pannier is now ready to exit, bye bye...");
    }
}

fn listening(listeners: &[Listener], addrs: &[SocketAddr], threads: usize) -> Listening {
    let of = |kind: Kind, name: &'static str, port: u16| {
        let binds: Vec<String> = listeners
            .iter()
            .filter(|listener| listener.kind == kind)
            .map(|listener| listener.host())
            .collect();
        (!binds.is_empty()).then_some(pannier_engine::Listener { name, binds, port })
    };
    let port = addrs.first().map_or(0, SocketAddr::port);
    let listeners = [of(Kind::Tcp, "tcp", port), of(Kind::Unix, "unix", 0)];
    Listening { listeners: listeners.into_iter().flatten().collect(), port, threads }
}

fn default_threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(THREADS_DEFAULT_MAX)
}

/// Threads that a server has by default, at most.
const THREADS_DEFAULT_MAX: usize = 8;

/// Time that clients have to read their last replies.
const DRAIN_MAX: Duration = Duration::from_secs(10);
