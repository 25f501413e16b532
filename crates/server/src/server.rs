//! A server from start to end: its threads, and the order in which they begin and stop.
//!
//! `start` opens the sockets first, so that it can say why not, then the engine, the workers, and
//! the control thread, which accepts and runs the periodic tasks. The end comes in two phases.
//! Draining: no new connections, whatever was received is executed and answered, idle connections
//! are closed. Leaving: what is left is cut, threads are joined. Draining becomes leaving after
//! [`DRAIN_MAX`], or when it is asked for.
//!
//! Only the control thread joins the workers, and whoever waits for the server waits for the
//! control thread; a request may therefore ask for the end (SHUTDOWN) but never waits for it.

use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::AtomicUsize;
use std::thread::JoinHandle;
use std::time::Duration;

use pannier_clock::Clock;
use pannier_engine::config::Config;
use pannier_engine::{Engine, Letter};
use tokio::runtime::Runtime;
use tokio::sync::{Notify, watch};

use crate::accept::{Acceptor, accept};
use crate::error::StartError;
use crate::host::{Listening, NoProgram, Phase, Program, ShellHost};
use crate::listener::{Listener, Listeners};
use crate::socket::Kind;
use crate::tasks::{Reaper, cron};
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
}

impl Default for Options {
    fn default() -> Self {
        Self {
            config: Config::default(),
            free_port: false,
            clock: Clock::system(),
            seed: None,
            program: Arc::new(NoProgram),
        }
    }
}

/// A running server. Dropping it shuts it down and waits.
pub struct Running {
    engine: Arc<Engine>,
    host: Arc<ShellHost>,
    addrs: Vec<SocketAddr>,
    unix: Option<PathBuf>,
    control: Option<JoinHandle<()>>,
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
    let Options { mut config, free_port, clock, seed, program } = options;
    if let Err(most) = process::make_room_for(config.maxclients) {
        tracing::warn!(
            "You requested maxclients of {} but the system allows only {most} open connections: \
             maxclients is now {most}",
            config.maxclients
        );
        config.maxclients = most.max(1);
    }
    let sockets = Listeners::open(&config, free_port)?;
    let threads = if config.threads == 0 { default_threads() } else { config.threads };
    let reaper = Reaper::spawn().map_err(StartError::Thread)?;
    let host = Arc::new(ShellHost {
        clock: clock.clone(),
        program,
        phase: watch::Sender::new(Phase::Serving),
        expiry: Notify::new(),
        reaper,
        listening: OnceLock::new(),
        workers: OnceLock::new(),
    });
    let engine = Engine::new(pannier_engine::Options {
        config,
        host: Arc::<ShellHost>::clone(&host),
        now: now(&clock),
        seed: seed.unwrap_or_else(|| RandomState::new().hash_one(threads)),
        shards: shards(threads),
    })
    .map_err(StartError::Config)?;
    follow_virtual_clock(&clock, &engine, &host);
    let Listeners { listeners, addrs, unix } = sockets;
    // Nobody else sets it.
    let _ = host.listening.set(listening(&listeners, &addrs, threads));
    let control = Control::new(&engine, &host, clock, listeners, threads)?;
    engine.set_startup_bytes(host.program.allocated_bytes());
    let control = std::thread::Builder::new()
        .name("pannier-control".into())
        .spawn(move || control.run())
        .map_err(StartError::Thread)?;
    Ok(Running { engine, host, addrs, unix, control: Some(control) })
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

    /// The path of the Unix socket.
    pub fn unix_path(&self) -> Option<&PathBuf> {
        self.unix.as_ref()
    }

    /// The engine that it serves.
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// A handle that can end it from another thread.
    pub fn stopper(&self) -> Stopper {
        Stopper(Arc::clone(&self.host))
    }

    /// Waits until it has ended: by SHUTDOWN, or by a [`Stopper`].
    pub fn wait(mut self) {
        self.join();
    }

    /// Finishes what was received, closes all connections, and returns when all threads have
    /// ended.
    pub fn shutdown(mut self) {
        self.host.advance(Phase::Draining);
        self.join();
    }

    fn join(&mut self) {
        if let Some(control) = self.control.take()
            && control.join().is_err()
        {
            tracing::error!("The control thread panicked");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.host.advance(Phase::Draining);
        self.join();
    }
}

/// What the control thread owns.
struct Control {
    runtime: Runtime,
    acceptor: Arc<Acceptor>,
    workers: Vec<JoinHandle<()>>,
    host: Arc<ShellHost>,
    listeners: Vec<Listener>,
}

impl Control {
    fn new(
        engine: &Arc<Engine>,
        host: &Arc<ShellHost>,
        clock: Clock,
        listeners: Vec<Listener>,
        threads: usize,
    ) -> Result<Self, StartError> {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_io().enable_time().build().map_err(StartError::Thread)?;
        let (mut handles, mut workers) = (Vec::new(), Vec::new());
        for index in 0..threads {
            let (handle, thread) =
                Worker::spawn(index, engine, host, &clock).map_err(StartError::Thread)?;
            handles.push(handle);
            workers.push(thread);
        }
        let known = handles.iter().map(|handle| Arc::downgrade(&handle.worker)).collect();
        // Nobody else sets it.
        let _ = host.workers.set(known);
        let acceptor = Arc::new(Acceptor {
            engine: Arc::clone(engine),
            clock,
            lane: engine.lane(),
            workers: handles,
            next: AtomicUsize::new(0),
            waiting: Arc::new(()),
        });
        Ok(Self { runtime, acceptor, workers, host: Arc::clone(host), listeners })
    }

    fn run(self) {
        let Self { runtime, acceptor, workers, host, listeners } = self;
        runtime.block_on(serve(&acceptor, &host, listeners));
        // Connections that are left are dropped with their workers' runtimes.
        drop(runtime);
        drop(acceptor);
        for worker in workers {
            if worker.join().is_err() {
                tracing::error!("A worker panicked");
            }
        }
        tracing::warn!("Pannier is now ready to exit, bye bye...");
    }
}

/// Accepts and keeps house until the end is asked for, then drains.
async fn serve(acceptor: &Arc<Acceptor>, host: &Arc<ShellHost>, listeners: Vec<Listener>) {
    let Acceptor { engine, clock, lane, .. } = &**acceptor;
    let mut tasks = tokio::task::JoinSet::new();
    for listener in listeners {
        tasks.spawn(accept(Arc::clone(acceptor), listener));
    }
    tasks.spawn(cron(Arc::clone(engine), Arc::clone(host), clock.clone(), Arc::clone(lane)));
    let mut phase = host.phase.subscribe();
    // The sender lives in `host`, so waiting cannot fail.
    let _ = phase.wait_for(|phase| *phase > Phase::Serving).await;
    tasks.shutdown().await;
    engine.end_scripts();
    for handle in &acceptor.workers {
        handle.worker.drain();
    }
    engine.post_to_all(&Letter::Resume);
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
}

/// A virtual clock has no timers: whatever waits for a deadline looks when it is moved.
fn follow_virtual_clock(clock: &Clock, engine: &Arc<Engine>, host: &Arc<ShellHost>) {
    let (engine, host) = (Arc::downgrade(engine), Arc::downgrade(host));
    clock.on_change(move || {
        if let (Some(engine), Some(host)) = (engine.upgrade(), host.upgrade()) {
            host.expiry.notify_one();
            engine.post_to_all(&Letter::Resume);
        }
    });
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

/// Shards for so many threads. One thread has nobody to share with, and one lock is taken faster
/// than four.
fn shards(threads: usize) -> usize {
    match threads {
        1 => 1,
        _ => (threads * SHARDS_PER_THREAD).next_power_of_two().min(SHARDS_MAX),
    }
}

/// Threads that a server has by default, at most.
const THREADS_DEFAULT_MAX: usize = 8;

/// Shards for each of several threads: enough that two seldom want the same.
const SHARDS_PER_THREAD: usize = 4;

const SHARDS_MAX: usize = 64;

/// Time that clients have to read their last replies.
const DRAIN_MAX: Duration = Duration::from_secs(10);
