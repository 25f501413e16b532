//! Scripts that a signal ends.
//!
//! Python runs the handlers of signals (Ctrl-C among them) in the main thread, between two of its
//! instructions. So a script that might never end is not run in that thread: another one runs it,
//! as beside an event loop, and the main thread waits and looks for signals. When a handler raises,
//! the script is killed as SCRIPT KILL does, unless it has written: then it goes on to its end
//! without its caller, because half of its writes would help nobody. A thread costs ten times what
//! a brief script does. So what ended within two milliseconds runs in place the next time, and in
//! any other thread, where no signal is seen, every script does.
//!
//! Rules: the engine kills whatever script runs. So none is killed when another one ran before ours
//! began. Neighbours: `client` runs and waits; `brief` says what is a script. Tests:
//! `tests/python/test_signals.py`.

use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::hash::Hasher;
use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;

use crate::brief::{self, Span};

/// A script that is about to run.
pub(crate) struct Script {
    /// Of the command's name and its first argument.
    key: u64,
    begun_us: u64,
    /// It is the only one.
    alone: bool,
}

impl Script {
    /// The script that a command runs, if it does.
    pub(crate) fn of(
        cache: &pannier::Cache,
        span: Span,
        words: [Option<&[u8]>; 2],
    ) -> Option<Self> {
        let [name, text] = words.map(Option::unwrap_or_default);
        let is_script = span == Span::Script || (span == Span::Held && brief::is_script(name));
        is_script.then(|| {
            let mut hasher = DefaultHasher::new();
            hasher.write(name);
            hasher.write_u8(b' ');
            hasher.write(text);
            let begun_us = pannier::Clock::system().mono_us();
            Self { key: hasher.finish(), begun_us, alone: !cache.runs_script() }
        })
    }

    /// Whether it may be endless, as far as is known, in the thread that sees signals.
    pub(crate) fn is_to_be_watched(&self, py: Python<'_>) -> bool {
        let known = brief_ones().as_ref().is_some_and(|known| known.contains(&self.key));
        !known && is_main_thread(py).unwrap_or(false)
    }

    /// Takes note of how long it took.
    pub(crate) fn ended(&self) {
        let took_us = pannier::Clock::system().mono_us().saturating_sub(self.begun_us);
        let mut known = brief_ones();
        let known = known.get_or_insert_default();
        if took_us > BRIEF_US {
            known.remove(&self.key);
        } else if !known.contains(&self.key) {
            if known.len() == KNOWN_MAX {
                known.clear();
            }
            known.insert(self.key);
        }
    }

    /// Ends it, if it is the one that runs and has not written.
    pub(crate) fn kill(&self, cache: &pannier::Cache) {
        if self.alone {
            for kind in ["SCRIPT", "FUNCTION"] {
                // It may have written, have ended, or be of the other kind.
                let _ = cache.call_bytes_at_once([kind, "KILL"]);
            }
        }
    }
}

fn is_main_thread(py: Python<'_>) -> PyResult<bool> {
    let threading = py.import("threading")?;
    let main = threading.call_method0("main_thread")?.getattr("ident")?;
    main.eq(threading.call_method0("get_ident")?)
}

fn brief_ones() -> MutexGuard<'static, Option<HashSet<u64>>> {
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Scripts that were brief the last time.
static KNOWN: Mutex<Option<HashSet<u64>>> = Mutex::new(None);

/// So many are known; then it begins anew.
const KNOWN_MAX: usize = 1024;

/// What has taken no longer is brief.
const BRIEF_US: u64 = 2_000;
