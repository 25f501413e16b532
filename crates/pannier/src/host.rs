//! What the engine asks of the program around it, answered inside a process.
//!
//! The clock is the one that the cache was built with; wake-ups and garbage go to the
//! [`House`]. There is nothing to shut down and no file to write back, so those are refused in
//! Redis's words, until a server is attached: then whatever concerns sockets, threads, the
//! configuration file and the end of the program is the server's to answer.
//!
//! Neighbours: `house` does the work, `pannier-host` knows the process.

use std::any::Any;
use std::sync::Arc;
#[cfg(feature = "server")]
use std::sync::atomic::Ordering::AcqRel;
use std::sync::atomic::{AtomicBool, Ordering::Release};
use std::time::Duration;

use pannier_clock::Clock;
use pannier_engine::config::Config;
use pannier_engine::{ClockChange, ClockState, Facts, Host, ShutdownRequest};
use pannier_lock::Mutex;

use crate::house::House;

/// See the module's header.
pub(crate) struct EmbeddedHost {
    pub(crate) clock: Clock,
    pub(crate) house: Arc<House>,
    attached: Mutex<Option<Arc<dyn Host>>>,
    /// There is a server, or about to be.
    reserved: AtomicBool,
}

impl EmbeddedHost {
    pub(crate) fn new(clock: Clock, house: Arc<House>) -> Self {
        Self { clock, house, attached: Mutex::new(None), reserved: AtomicBool::new(false) }
    }

    /// Lets a server answer what only a server can, or none any more; returns the one before.
    pub(crate) fn attach(&self, server: Option<Arc<dyn Host>>) -> Option<Arc<dyn Host>> {
        std::mem::replace(&mut self.attached.lock(), server)
    }

    /// Keeps the place of the one server for the caller; false when there is one already.
    #[cfg(feature = "server")]
    pub(crate) fn reserve(&self) -> bool {
        !self.reserved.swap(true, AcqRel)
    }

    /// Gives the place back.
    pub(crate) fn release(&self) {
        self.reserved.store(false, Release);
    }

    fn attached(&self) -> Option<Arc<dyn Host>> {
        self.attached.lock().clone()
    }
}

impl Host for EmbeddedHost {
    fn mono_us(&self) -> u64 {
        self.clock.mono_us()
    }

    fn coarse_us(&self) -> u64 {
        self.clock.coarse_us()
    }

    fn wake_expiry(&self) {
        self.house.ring();
        if let Some(server) = self.attached() {
            server.wake_expiry();
        }
    }

    fn step_aside(&self, client: u64) {
        // Without a server the thread is its caller's, and other callers have their own.
        if let Some(server) = self.attached() {
            server.step_aside(client);
        }
    }

    fn ends_scripts(&self, client: u64) -> bool {
        self.attached().is_some_and(|server| server.ends_scripts(client))
    }

    fn shutdown(&self, request: ShutdownRequest) -> Result<(), String> {
        match self.attached() {
            Some(server) => server.shutdown(request),
            None if request.abort => Err("No shutdown in progress.".into()),
            None => Err("this cache has no server: it ends when its program drops it".into()),
        }
    }

    fn facts(&self) -> Facts {
        let alone =
            || Facts { allocator: "unknown", multiplexing: "none", ..pannier_host::facts() };
        self.attached().map_or_else(alone, |server| server.facts())
    }

    fn configure(&self, old: &Config, new: &Config) -> Result<(), String> {
        match self.attached() {
            Some(server) => server.configure(old, new),
            None if old.tls_port != new.tls_port => Err("this cache has no server".into()),
            None => Ok(()),
        }
    }

    fn rewrite_config(&self, config: &Config) -> Result<(), String> {
        let refused = || Err("The server is running without a config file".into());
        self.attached().map_or_else(refused, |server| server.rewrite_config(config))
    }

    fn discard(&self, garbage: Box<dyn Any + Send>) {
        self.house.discard(garbage);
    }

    fn move_clock(&self, change: ClockChange) -> Result<ClockState, String> {
        pannier_host::move_clock(&self.clock, change)
    }

    fn sleep_us(&self, us: u64) {
        self.clock.sleep(Duration::from_micros(us));
    }

    fn purge_memory(&self) {
        if let Some(server) = self.attached() {
            server.purge_memory();
        }
    }

    fn log(&self, line: &str) {
        tracing::warn!("{line}");
    }
}
