//! What the engine asks of the program around it, answered by this server and its program.
//!
//! The engine's [`Host`] is one trait for all that lies outside; here it is answered from the
//! clock, from the process, and from what only the program knows (its configuration file, its log,
//! its allocator), which is a [`Program`]. Nothing here blocks for long: freeing large values goes
//! to the reaper's thread, and a shutdown is only asked for, since its caller is a connection
//! that the shutdown waits for.

use std::any::Any;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use pannier_clock::Clock;
use pannier_engine::config::Config;
use pannier_engine::{ClockChange, ClockState, Facts, Host, Listener, ShutdownRequest};
use tokio::sync::{Notify, watch};

use crate::process;
use crate::seat::stand_in;
use crate::tasks::Reaper;
use crate::tls::Door;
use crate::worker::Worker;

/// What only the program knows. Every answer has a default that suits a server in a library.
pub trait Program: Send + Sync {
    /// Path of the configuration file, or empty.
    fn config_file(&self) -> String {
        String::new()
    }

    /// Writes the configuration back to its file.
    ///
    /// # Errors
    /// The text after `ERR `.
    fn rewrite_config(&self, _config: &Config) -> Result<(), String> {
        Err("The server is running without a config file".into())
    }

    /// Puts a changed configuration into effect in the program: the log level.
    ///
    /// # Errors
    /// Why it cannot.
    fn configure(&self, _old: &Config, _new: &Config) -> Result<(), String> {
        Ok(())
    }

    /// Name of the memory allocator.
    fn allocator(&self) -> &'static str {
        "libc"
    }

    /// What the allocator says of itself.
    fn allocator_stats(&self) -> String {
        String::new()
    }

    /// Bytes that the process holds, or 0 where the allocator does not say.
    fn allocated_bytes(&self) -> usize {
        0
    }

    /// Gives unused memory back to the system.
    fn purge_memory(&self) {}

    /// Called some times a second with the bytes that the keyspace holds.
    fn keep_house(&self, _stored_bytes: usize) {}
}

/// A program with nothing to say.
pub(crate) struct NoProgram;

impl Program for NoProgram {}

/// How far the server's end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Serving,
    /// Finish what was received.
    Draining,
    /// Wait for nothing.
    Leaving,
}

/// See the module's header.
pub(crate) struct ShellHost {
    pub(crate) clock: Clock,
    pub(crate) program: Arc<dyn Program>,
    pub(crate) phase: watch::Sender<Phase>,
    pub(crate) end: End,
    pub(crate) expiry: Notify,
    /// The TLS port.
    pub(crate) door: Arc<Door>,
    /// None where another host is asked to free things, because the engine is not the server's own.
    reaper: Option<Reaper>,
    /// Known once the sockets are open.
    pub(crate) listening: OnceLock<Listening>,
    /// Known once they are started.
    pub(crate) workers: OnceLock<Vec<Weak<Worker>>>,
}

/// Purges when the reaper comes to it.
struct PurgeOnDrop(Arc<dyn Program>);

impl Drop for PurgeOnDrop {
    fn drop(&mut self) {
        self.0.purge_memory();
    }
}

/// Where the server listens, and with how many threads it serves.
#[derive(Default)]
pub(crate) struct Listening {
    pub(crate) listeners: Vec<Listener>,
    pub(crate) port: u16,
    pub(crate) threads: usize,
}

/// The end of the server, to be waited for.
#[derive(Default)]
pub(crate) struct End {
    reached: Mutex<bool>,
    blocking: Condvar,
    waiting: Notify,
}

impl End {
    pub(crate) fn reach(&self) {
        *self.state() = true;
        self.blocking.notify_all();
        self.waiting.notify_waiters();
    }

    pub(crate) fn wait(&self) {
        drop(self.blocking.wait_while(self.state(), |reached| !*reached));
    }

    pub(crate) async fn reached(&self) {
        loop {
            let waiting = self.waiting.notified();
            if *self.state() {
                return;
            }
            waiting.await;
        }
    }

    fn state(&self) -> MutexGuard<'_, bool> {
        self.reached.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ShellHost {
    pub(crate) fn new(
        clock: Clock,
        program: Arc<dyn Program>,
        reaper: Option<Reaper>,
        door: Door,
    ) -> Self {
        Self {
            clock,
            program,
            phase: watch::Sender::new(Phase::Serving),
            end: End::default(),
            expiry: Notify::new(),
            door: Arc::new(door),
            reaper,
            listening: OnceLock::new(),
            workers: OnceLock::new(),
        }
    }

    /// Goes to a later phase; never back.
    pub(crate) fn advance(&self, phase: Phase) {
        self.phase.send_if_modified(|now| {
            let later = phase > *now;
            *now = phase.max(*now);
            later
        });
    }

    /// Whether the client with this number has its connection here.
    fn seats_client(&self, client: u64) -> bool {
        let mut workers = self.workers.get().into_iter().flatten().filter_map(Weak::upgrade);
        workers.any(|worker| worker.seats_client(client))
    }
}

impl Host for ShellHost {
    fn mono_us(&self) -> u64 {
        self.clock.mono_us()
    }

    fn coarse_us(&self) -> u64 {
        self.clock.coarse_us()
    }

    fn wake_expiry(&self) {
        self.expiry.notify_one();
    }

    fn step_aside(&self, client: u64) {
        let workers = self.workers.get().into_iter().flatten().filter_map(Weak::upgrade);
        for worker in workers.filter(|worker| worker.seats_client(client)) {
            if let Err(error) = stand_in(&worker) {
                tracing::warn!("Nobody serves the clients beside a slow script: {error}");
            }
        }
    }

    fn ends_scripts(&self, client: u64) -> bool {
        let is_ours = || self.reaper.is_some() || self.seats_client(client);
        *self.phase.borrow() > Phase::Serving && is_ours()
    }

    fn shutdown(&self, request: ShutdownRequest) -> Result<(), String> {
        if request.abort {
            return Err("No shutdown in progress.".into());
        }
        tracing::warn!("User requested shutdown...");
        self.advance(if request.now { Phase::Leaving } else { Phase::Draining });
        Ok(())
    }

    fn facts(&self) -> Facts {
        let listening = self.listening.get();
        let mut listeners = listening.map(|known| known.listeners.clone()).unwrap_or_default();
        listeners.extend(self.door.listener());
        let port = listening.map_or(0, |known| known.port);
        let tls_port = || self.door.addrs().first().map_or(0, SocketAddr::port);
        Facts {
            config_file: self.program.config_file(),
            listeners,
            port: if port == 0 { tls_port() } else { port },
            certificates: self.door.certificates(),
            threads: listening.map_or(0, |known| known.threads),
            allocator: self.program.allocator(),
            allocator_stats: self.program.allocator_stats(),
            ..pannier_host::facts()
        }
    }

    fn configure(&self, old: &Config, new: &Config) -> Result<(), String> {
        if new.maxclients > old.maxclients {
            process::make_room_for(new.maxclients).map_err(|most| {
                format!(
                    "The operating system is not able to handle the specified number of clients, \
                     try with {most}"
                )
            })?;
        }
        self.program.configure(old, new)?;
        self.door.configure(old, new)
    }

    fn rewrite_config(&self, config: &Config) -> Result<(), String> {
        self.program.rewrite_config(config)
    }

    fn discard(&self, garbage: Box<dyn Any + Send>) {
        match &self.reaper {
            Some(reaper) => reaper.discard(garbage),
            None => drop(garbage),
        }
    }

    fn move_clock(&self, change: ClockChange) -> Result<ClockState, String> {
        pannier_host::move_clock(&self.clock, change)
    }

    fn sleep_us(&self, us: u64) {
        self.clock.sleep(Duration::from_micros(us));
    }

    fn purge_memory(&self) {
        self.program.purge_memory();
        // What was handed to the reaper before (FLUSHALL) goes back as well, once it is free.
        self.discard(Box::new(PurgeOnDrop(Arc::clone(&self.program))));
    }

    fn log(&self, line: &str) {
        tracing::warn!("{line}");
    }
}
