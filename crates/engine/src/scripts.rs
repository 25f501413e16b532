//! Scripts and functions: the two Lua states, what they hold, and what runs at the moment.
//!
//! A script runs under every shard, so no two run at once, and one Lua state for EVAL and one for
//! functions are enough for all workers; each is made when it is first needed. Their locks are
//! taken after the shards.
//!
//! A script that runs longer than `busy-reply-threshold` makes the server *busy*: whoever waits
//! for a shard stops waiting and gets the error BUSY, and so does every later request but the few
//! that may kill the script. These must be answered while the script holds the shards and its
//! thread, so they touch neither: what they need is in atomics here, and the host is asked to let
//! another thread serve the clients of the one that the script keeps (`Host::step_aside`).
//!
//! Neighbours: `walks` keeps scripts and commands that walk over the shards apart, `functions`
//! holds the other state, `exec::script` runs, `command::script` and `command::function` are the
//! commands.

use std::sync::Arc;
use std::sync::atomic::{
    AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering::AcqRel, Ordering::Relaxed,
};
use std::time::Duration;

use pannier_lock::{MappedMutexGuard, Mutex, MutexGuard};
use pannier_script::{Cache, Failure, Interrupt, Machine, Versions};

use crate::engine::Engine;
use crate::error::Error;
use crate::functions::Functions;
use crate::walks::{Walking, Walks};

/// What scripts are told: the versions whose behaviour they can expect.
pub(crate) const VERSIONS: Versions = Versions { name: "valkey", redis: "7.2.4", valkey: "9.1.0" };

/// What both Lua states may hold: a quarter of the machine's memory, but not less than the one and
/// not more than the other.
const MEMORY_MIN: usize = 64 << 20;
const MEMORY_MAX: usize = 1 << 30;

/// How long a lock is waited for before a look whether the server is busy.
const PATIENCE: Duration = Duration::from_millis(5);

/// The Lua state of EVAL. A clone is cheap; the cache is copied by the first change that comes
/// while a checkpoint holds it, too.
#[derive(Clone)]
pub(crate) struct Evaluator {
    pub(crate) machine: Arc<Machine>,
    pub(crate) cache: Arc<Cache>,
}

/// See the module's header.
#[derive(Default)]
pub(crate) struct Scripts {
    evaluator: Mutex<Option<Evaluator>>,
    walks: Walks,
    pub(crate) run: Run,
    /// For INFO: bytes that Lua holds for EVAL, bytes beside that, scripts, evicted scripts.
    pub(crate) lua_bytes: AtomicUsize,
    pub(crate) cache_bytes: AtomicUsize,
    pub(crate) cached: AtomicUsize,
    pub(crate) evicted: AtomicU64,
    pub(crate) functions: Functions,
}

/// What kind of script runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One of EVAL.
    Script,
    /// A function.
    Function,
}

/// The script that runs, as others may see it.
#[derive(Default)]
pub(crate) struct Run {
    /// 0: the server is not busy; 1: with a script; 2: with a function.
    busy: AtomicU8,
    /// As `busy`, from the first instruction on.
    active: AtomicU8,
    wrote: AtomicBool,
    killed: AtomicBool,
    /// When it began (monotonic microseconds); 0 until the first look.
    started_us: AtomicU64,
}

impl Scripts {
    /// The Lua state of EVAL, made if there is none.
    ///
    /// # Errors
    /// The server is busy, or there is not enough memory.
    pub(crate) fn evaluator(
        &self,
        engine: &Engine,
    ) -> Result<MappedMutexGuard<'_, Evaluator>, Failure> {
        let held = self.run.wait(&self.evaluator);
        let mut held = held.map_err(|error| Failure::new(error.message()))?;
        if held.is_none() {
            let machine = Arc::new(Machine::scripts(&VERSIONS, memory_max(engine))?);
            *held = Some(Evaluator { machine, cache: Arc::default() });
        }
        MutexGuard::try_map(held, Option::as_mut).map_err(|_| Failure::new("ERR no Lua state"))
    }

    /// Throws the Lua state and all scripts of EVAL away; dropping the result takes a while.
    ///
    /// # Errors
    /// The server is busy.
    pub(crate) fn flush(&self) -> Result<Option<Evaluator>, Error> {
        let evaluator = self.run.wait(&self.evaluator)?.take();
        for number in [&self.lua_bytes, &self.cache_bytes, &self.cached] {
            number.store(0, Relaxed);
        }
        Ok(evaluator)
    }

    /// The scripts of EVAL as they are, to be put back later.
    ///
    /// # Errors
    /// The server is busy.
    pub(crate) fn keep(&self) -> Result<Option<Evaluator>, Error> {
        self.run.wait(&self.evaluator).map(|held| held.clone())
    }

    /// Puts kept scripts back. A Lua state that is younger stays, with no script in it.
    ///
    /// # Errors
    /// The server is busy.
    pub(crate) fn put_back(&self, kept: Option<&Evaluator>) -> Result<(), Error> {
        let mut held = self.run.wait(&self.evaluator)?;
        match (&mut *held, kept) {
            (held, Some(kept)) => *held = Some(kept.clone()),
            (Some(younger), None) => younger.cache = Arc::default(),
            (None, None) => {}
        }
        if let Some(Evaluator { machine, cache }) = &*held {
            self.publish(machine, cache, 0);
        }
        Ok(())
    }

    /// Counts evicted scripts from 0 again.
    pub(crate) fn reset_evicted(&self) {
        self.evicted.store(0, Relaxed);
    }

    /// Takes down what INFO says of the scripts of EVAL.
    pub(crate) fn publish(&self, machine: &Machine, cache: &Cache, evicted: u64) {
        self.lua_bytes.store(machine.used_memory(), Relaxed);
        self.cache_bytes.store(cache.bytes(), Relaxed);
        self.cached.store(cache.len(), Relaxed);
        self.evicted.fetch_add(evicted, Relaxed);
    }

    /// The permission that a request needs which opens `each` shard after the other, or which is
    /// a script; others need none.
    ///
    /// # Errors
    /// The server is busy.
    #[inline]
    pub(crate) fn walk(&self, each: bool, script: bool) -> Result<Option<Walking<'_>>, Error> {
        if each || script { self.wait_to_walk(script).map(Some) } else { Ok(None) }
    }

    fn wait_to_walk(&self, alone: bool) -> Result<Walking<'_>, Error> {
        loop {
            if let Some(permission) = self.walks.enter(alone, PATIENCE) {
                return Ok(permission);
            }
            if let Some(error) = self.run.busy_error() {
                return Err(error);
            }
        }
    }
}

/// What a Lua state may hold in bytes.
pub(crate) fn memory_max(engine: &Engine) -> usize {
    (engine.host.facts().memory_total / 4).clamp(MEMORY_MIN, MEMORY_MAX)
}

impl Run {
    /// A script begins.
    pub(crate) fn begin(&self, kind: Kind) {
        self.wrote.store(false, Relaxed);
        self.killed.store(false, Relaxed);
        self.started_us.store(0, Relaxed);
        self.active.store(number(kind), Relaxed);
    }

    /// It has ended.
    pub(crate) fn end(&self, engine: &Engine) {
        self.active.store(0, Relaxed);
        if self.busy.swap(0, AcqRel) != 0 {
            engine.keyspace.set_stuck(false);
        }
    }

    /// Whether a script runs, from its first instruction on.
    #[inline]
    pub(crate) fn is_active(&self) -> bool {
        self.active.load(Relaxed) != 0
    }

    /// It calls a command that may change data.
    pub(crate) fn mark_write(&self) {
        self.wrote.store(true, Relaxed);
    }

    /// Whether the script that runs has called a command that may change data.
    pub(crate) fn has_written(&self) -> bool {
        self.wrote.load(Relaxed)
    }

    /// Whether the server is busy with a script: the error that says so.
    #[inline]
    pub(crate) fn busy_error(&self) -> Option<Error> {
        match self.busy.load(Relaxed) {
            0 => None,
            kind => Some(busy(kind)),
        }
    }

    /// Takes a lock that is held while a script runs. The thread must not be lost to a script that
    /// somebody still has to kill.
    ///
    /// # Errors
    /// The server is busy.
    pub(crate) fn wait<'a, T>(&self, lock: &'a Mutex<T>) -> Result<MutexGuard<'a, T>, Error> {
        loop {
            if let Some(held) = lock.try_lock_for(PATIENCE) {
                return Ok(held);
            }
            if let Some(error) = self.busy_error() {
                return Err(error);
            }
        }
    }

    /// Whether the server is busy.
    #[inline]
    pub(crate) fn is_busy(&self) -> bool {
        self.busy.load(Relaxed) != 0
    }

    /// Some time has passed in the script of this client: why it must stop, if it must.
    pub(crate) fn look(
        &self,
        engine: &Engine,
        client: u64,
        threshold_ms: u64,
    ) -> Option<Interrupt> {
        let now_us = engine.host.mono_us();
        if self.started_us.load(Relaxed) == 0 {
            self.started_us.store(now_us.max(1), Relaxed);
        }
        let us = self.running_us(now_us);
        if threshold_ms > 0 && us / 1_000 >= threshold_ms && !self.is_busy() {
            self.busy.store(self.active.load(Relaxed), Relaxed);
            engine.keyspace.set_stuck(true);
            engine.host.log(&format!(
                "Slow script detected: still in execution after {} milliseconds. You can try \
                 killing the script using the SCRIPT KILL command or FUNCTION KILL.",
                us / 1_000
            ));
            engine.host.step_aside(client);
        }
        let stop = self.killed.load(Relaxed) || engine.host.ends_scripts(client);
        stop.then_some(match self.kind() {
            Some(Kind::Function) => Interrupt::FunctionKilled,
            _ => Interrupt::Killed,
        })
    }

    /// How long the script has been running.
    pub(crate) fn running_us(&self, now_us: u64) -> u64 {
        now_us.saturating_sub(self.started_us.load(Relaxed).max(1))
    }

    /// What kind of script runs.
    pub(crate) fn kind(&self) -> Option<Kind> {
        match self.active.load(Relaxed) {
            0 => None,
            1 => Some(Kind::Script),
            _ => Some(Kind::Function),
        }
    }

    /// SCRIPT KILL and FUNCTION KILL.
    ///
    /// # Errors
    /// None runs, one of the other kind does, or it has written.
    pub(crate) fn kill(&self, kind: Kind) -> Result<(), Error> {
        let Some(running) = self.kind() else { return Err(NOT_BUSY) };
        if self.wrote.load(Relaxed) {
            return Err(UNKILLABLE);
        }
        if running != kind {
            return Err(busy(number(running)));
        }
        self.killed.store(true, Relaxed);
        Ok(())
    }
}

const fn number(kind: Kind) -> u8 {
    match kind {
        Kind::Script => 1,
        Kind::Function => 2,
    }
}

fn busy(kind: u8) -> Error {
    if kind == number(Kind::Script) { Error::BUSY_SCRIPT } else { Error::BUSY_FUNCTION }
}

const NOT_BUSY: Error = Error::new("NOTBUSY No scripts in execution right now.");

const UNKILLABLE: Error = Error::new(
    "UNKILLABLE Sorry the script already executed write commands against the dataset. You can \
     either wait the script termination or kill the server in a hard way using the SHUTDOWN \
     NOSAVE command.",
);
