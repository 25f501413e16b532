//! GET and SET past the path of requests, for calls from inside the process.
//!
//! A call knows its command, its key and its value, so parsing, the table of commands, the gate,
//! a session and a written reply would be most of what it costs: the general way takes 700 ns, this
//! one less than 80. It does the same with fewer questions, because it is taken only while
//! nothing would come of the others. [`Engine::is_observed`] is the one place that says so:
//! whoever adds something that looks at single requests (a log, a recorder, a fault) adds a line
//! there. What depends on the key the store says when it has found it (`store/direct.rs`), and what
//! the configuration wants is kept here as a few atomics, written when it changes, so that a call
//! does not touch its snapshot.
//!
//! Rules: `None` means that nothing has happened, and that the caller takes the general way. The
//! caller is one of the process: it needs no password, no protocol, and tracks nothing. Counted
//! are calls and hits one by one; times, which the exact clock would double, by samples.
//! Tests: `tests/direct.rs` of the crate `pannier`, which runs both ways side by side.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use pannier_store::direct::Place;
use pannier_store::{NewValue, Now, Rules, Str};

use crate::command::Table;
use crate::config::Config;
use crate::engine::Engine;

/// What direct calls need to know of the configuration.
pub(crate) struct Direct {
    /// GET and SET are there under their names.
    named: bool,
    /// Every request must be looked at.
    closed: AtomicBool,
    /// The policy counts frequencies.
    frequency: AtomicBool,
    memory_max: AtomicUsize,
    /// A value from this length on is set the general way, by the length of its request.
    set_len: AtomicUsize,
    /// A value from this length on is read the general way.
    get_len: AtomicUsize,
}

impl Direct {
    pub(crate) fn new(commands: &Table) -> Self {
        let is_named = |name: &str| {
            let found = commands.find(name.as_bytes());
            found.is_some_and(|found| found.command.name == name)
        };
        Self {
            named: is_named("get") && is_named("set"),
            closed: AtomicBool::new(true),
            frequency: AtomicBool::new(false),
            memory_max: AtomicUsize::new(0),
            set_len: AtomicUsize::new(0),
            get_len: AtomicUsize::new(0),
        }
    }

    /// Takes note of a configuration.
    pub(crate) fn configure(&self, config: &Config) {
        let threshold = |bytes: i64| usize::try_from(bytes).unwrap_or(usize::MAX);
        let less_head = |bytes: usize| bytes.saturating_sub(HEAD_LEN);
        let compressed = match config.compression_threshold {
            0 => usize::MAX,
            threshold => threshold,
        };
        let logged = threshold(config.commandlog_request_larger_than);
        self.set_len.store(less_head(compressed.min(logged)).min(SET_LEN_MAX), Relaxed);
        let logged = threshold(config.commandlog_reply_larger_than);
        self.get_len.store(less_head(logged), Relaxed);
        self.memory_max.store(config.maxmemory, Relaxed);
        self.frequency.store(config.maxmemory_policy.frequency(), Relaxed);
        let closed = !self.named || config.measures_each() || !config.latency_tracking;
        self.closed.store(closed, Relaxed);
    }
}

impl Engine {
    /// Whether somebody wants to see each request, or to hold it back: then none is executed
    /// directly, or in a group. The only list of such reasons; those that depend on a session
    /// or on a key are its own and the store's.
    #[inline]
    pub(crate) fn is_observed(&self, now: Now) -> bool {
        self.monitors.any()
            || self.faults.any()
            || self.recorder.is_on()
            || self.scripts.run.is_busy()
            || self.pause.active(now.unix_ms()).is_some()
    }

    /// GET. `now` may be coarse (see [`pannier_store::direct`]); `read` is handed the value, or
    /// nothing, and runs under a lock: it must not call the engine. `None` when GET must be called
    /// the general way: then nothing has happened, and `read` was not called.
    #[inline]
    pub fn get_directly<R>(
        &self,
        (database, key): (usize, &[u8]),
        now: Now,
        read: impl FnOnce(Option<Str<'_>>) -> R,
    ) -> Option<R> {
        let place = self.place(database, key, now)?;
        let len_max = self.direct.get_len.load(Relaxed);
        self.keyspace.get_directly(
            place,
            || self.host.mono_us(),
            |value| {
                let fits = match &value {
                    Some(Str::Bytes(bytes)) => bytes.len() < len_max,
                    Some(Str::Large(bytes)) => bytes.len() < len_max,
                    _ => len_max > INTEGER_LEN_MAX,
                };
                fits.then(|| read(value))
            },
        )
    }

    /// SET without options but for a deadline (Unix milliseconds), which lies in the future. `None`
    /// when SET must be called the general way: then nothing has happened. With a deadline `now`
    /// is only good for this when it is exact.
    #[inline]
    pub fn set_directly(
        &self,
        (database, key): (usize, &[u8]),
        now: Now,
        value: &[u8],
        deadline: Option<u64>,
    ) -> Option<()> {
        if key.len() + value.len() >= self.direct.set_len.load(Relaxed) {
            return None;
        }
        let place = self.place(database, key, now)?;
        let (clock, value) = (|| self.host.mono_us(), NewValue::of(value));
        if self.keyspace.set_directly(place, clock, value, deadline)? {
            self.host.wake_expiry();
        }
        Some(())
    }

    /// Where a direct call looks, if it may.
    #[inline]
    fn place<'a>(&self, database: usize, key: &'a [u8], now: Now) -> Option<Place<'a>> {
        let direct = &self.direct;
        if direct.closed.load(Relaxed) || self.is_observed(now) {
            return None;
        }
        let memory_max = direct.memory_max.load(Relaxed);
        if memory_max > 0 && self.used_memory() > memory_max {
            return None;
        }
        let rules = if direct.frequency.load(Relaxed) {
            Self::rules(&self.config.load(), true)
        } else {
            Rules::default()
        };
        Some(Place { database, key: self.keyspace.key(key), now, rules })
    }
}

/// A longer value is copied before it is stored; the general way measures that.
const SET_LEN_MAX: usize = 64 << 10;

/// What a request or a reply has beside a key and a value, at most.
const HEAD_LEN: usize = 64;

/// Digits and sign of an integer.
const INTEGER_LEN_MAX: usize = 20;
