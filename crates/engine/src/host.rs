//! What the engine asks of the program around it.
//!
//! The engine owns no clock, file, socket or thread. Where a command needs one (SHUTDOWN, CONFIG
//! REWRITE, INFO's process facts, the stopwatch of the slow log) it goes through this trait. A
//! test's host answers from fixed values and a virtual clock.

use std::any::Any;

use crate::config::Config;

/// The program around an engine.
pub trait Host: Send + Sync {
    /// A monotonic reading in microseconds, for durations only.
    fn mono_us(&self) -> u64;

    /// A cheaper reading of another origin, which moves on every few milliseconds: between two
    /// equal readings nothing slow has happened.
    fn coarse_us(&self) -> u64 {
        self.mono_us()
    }

    /// The next deadline moved to an earlier time: look at `Engine::next_deadline` again.
    fn wake_expiry(&self);

    /// The calling thread will be kept by a script of this client for an unknown time: whatever
    /// else it had to do must be done by another, until
    /// [`Engine::is_busy`](crate::Engine::is_busy) says no.
    fn step_aside(&self, _client: u64) {}

    /// Whether scripts of this client end now, whatever they have written: the server that it is
    /// connected to shuts down. A running script asks once in a hundred thousand instructions.
    fn ends_scripts(&self, _client: u64) -> bool {
        false
    }

    /// Ends the program (or cancels that); the reply to a refused request is the error.
    ///
    /// # Errors
    /// The text of the error reply.
    fn shutdown(&self, request: ShutdownRequest) -> Result<(), String>;

    /// Facts about the process, for INFO.
    fn facts(&self) -> Facts;

    /// Puts a changed configuration into effect outside the engine (listeners, log level).
    ///
    /// # Errors
    /// Why it cannot; the old configuration then stays.
    fn configure(&self, old: &Config, new: &Config) -> Result<(), String>;

    /// Writes the configuration back to the file that the program was started with.
    ///
    /// # Errors
    /// Why not; there may be no file.
    fn rewrite_config(&self, config: &Config) -> Result<(), String>;

    /// Frees something large elsewhere, so that the caller does not wait for it.
    fn discard(&self, garbage: Box<dyn Any + Send>);

    /// Moves the clock, where it can be moved, and says how it stands then. What is due at a later
    /// time has happened when this returns, so no shard may be locked by the caller.
    ///
    /// # Errors
    /// The text of the error reply.
    fn move_clock(&self, _change: ClockChange) -> Result<ClockState, String> {
        Err("ERR the clock of this server cannot be moved".into())
    }

    /// Stops this thread for a while (DEBUG SLEEP).
    fn sleep_us(&self, us: u64);

    /// Gives unused memory back to the system (MEMORY PURGE).
    fn purge_memory(&self);

    /// Writes a line into the log (DEBUG LOG).
    fn log(&self, line: &str);
}

/// What is to be done to a clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockChange {
    /// Nothing: say how it stands.
    Look,
    /// It stands still from now on.
    Freeze,
    /// It goes on from where it is.
    Resume,
    /// The wall clock is set (Unix milliseconds).
    Set(u64),
    /// So many milliseconds pass.
    Advance(u64),
}

/// How a clock stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockState {
    /// Unix milliseconds.
    pub unix_ms: u64,
    /// It stands still.
    pub frozen: bool,
}

/// What SHUTDOWN asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShutdownRequest {
    /// Do not wait for anything.
    pub now: bool,
    /// Ignore what would prevent it.
    pub force: bool,
    /// Save first: `Some(true)` for SAVE, `Some(false)` for NOSAVE.
    pub save: Option<bool>,
    /// Cancel a shutdown in progress.
    pub abort: bool,
}

/// Facts about the process.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Process id.
    pub pid: u32,
    /// Path of the program.
    pub executable: String,
    /// Path of the configuration file, or empty.
    pub config_file: String,
    /// Operating system, release and machine.
    pub os: String,
    /// Resident set size in bytes.
    pub rss: usize,
    /// Memory of the machine in bytes.
    pub memory_total: usize,
    /// CPU time of the process in the kernel and in user mode, microseconds.
    pub cpu_us: (u64, u64),
    /// CPU time of finished children.
    pub cpu_children_us: (u64, u64),
    /// CPU time of the calling thread.
    pub cpu_thread_us: (u64, u64),
    /// What the server listens on.
    pub listeners: Vec<Listener>,
    /// The TCP port, 0 without one.
    pub port: u16,
    /// The certificates of TLS in force: the server's, and the first authority's.
    pub certificates: [Option<Certificate>; 2],
    /// Worker threads.
    pub threads: usize,
    /// Name of the memory allocator.
    pub allocator: &'static str,
    /// What that allocator says of itself (MEMORY MALLOC-STATS); empty when it says nothing.
    pub allocator_stats: String,
    /// Name of the polling interface.
    pub multiplexing: &'static str,
}

/// What INFO tells of a certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Certificate {
    /// Its serial number, in hexadecimal digits.
    pub serial: String,
    /// Its end (Unix seconds).
    pub expires_s: u64,
}

/// One listening socket.
#[derive(Clone, Debug, Default)]
pub struct Listener {
    /// `tcp` or `unix`.
    pub name: &'static str,
    /// Bound addresses, or the path.
    pub binds: Vec<String>,
    /// Port, for TCP.
    pub port: u16,
}
