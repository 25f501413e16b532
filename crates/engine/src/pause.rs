//! CLIENT PAUSE: until when which commands are held back.
//!
//! A held request is not answered and not lost: `exec` reports it unexecuted, the connection keeps
//! it, and tries again when the pause ends or CLIENT UNPAUSE posts `Letter::Resume`. A second
//! CLIENT PAUSE extends the end and may strengthen the mode, as in Redis.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// The pause in force, if any. All times in Unix milliseconds.
#[derive(Default)]
pub(crate) struct Pause {
    until_ms: AtomicU64,
    all: AtomicBool,
}

/// What is held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// Commands that may write.
    Writes,
    /// Every command.
    All,
}

impl Pause {
    /// Starts or extends a pause.
    pub(crate) fn start(&self, now_ms: u64, until_ms: u64, held: Held) {
        let active = self.until_ms.load(Relaxed) > now_ms;
        let all = held == Held::All || active && self.all.load(Relaxed);
        self.all.store(all, Relaxed);
        let until = if active { until_ms.max(self.until_ms.load(Relaxed)) } else { until_ms };
        self.until_ms.store(until, Relaxed);
    }

    /// Ends it.
    pub(crate) fn end(&self) {
        self.until_ms.store(0, Relaxed);
    }

    /// The pause in force: what is held and until when.
    #[inline]
    pub(crate) fn active(&self, now_ms: u64) -> Option<(Held, u64)> {
        let until = self.until_ms.load(Relaxed);
        if until <= now_ms {
            return None;
        }
        let held = if self.all.load(Relaxed) { Held::All } else { Held::Writes };
        Some((held, until))
    }
}
