//! The hand of an engine's clock, which exists in test mode.
//!
//! `PANNIER CLOCK` moves the same hand, but it is a request: CLIENT PAUSE holds it back, a fault
//! may hit it, and a recorder writes it down. What a test does to the time is none of that. While
//! the hand moves, what is due happens on this thread, without the interpreter's lock.
//!
//! Neighbours: `pannier::VirtualClock` is the hand; `python/pannier/clock.py` is what users see.
//! Tests: `tests/python/test_clock.py`.

use std::time::Duration;

use pyo3::prelude::*;

use crate::cache::Cache;
use crate::fork::PannierError;

/// The hand of a cache's clock.
#[pyclass(frozen, module = "pannier._native")]
pub(crate) struct Clock {
    cache: Py<Cache>,
}

#[pymethods]
impl Clock {
    #[new]
    fn new(cache: Py<Cache>) -> Self {
        Self { cache }
    }

    /// Milliseconds since 1970, and whether it stands still.
    fn state(&self) -> PyResult<(u64, bool)> {
        let hand = self.hand()?;
        Ok((hand.clock().now().unix_ms(), hand.is_frozen()))
    }

    /// Stops it where it is.
    fn freeze(&self, py: Python<'_>) -> PyResult<()> {
        let hand = self.hand()?;
        py.detach(|| hand.freeze());
        Ok(())
    }

    /// Lets it go on from where it stands.
    fn resume(&self, py: Python<'_>) -> PyResult<()> {
        let hand = self.hand()?;
        py.detach(|| hand.resume());
        Ok(())
    }

    /// Sets it to a moment, in milliseconds since 1970.
    fn set(&self, py: Python<'_>, unix_ms: u64) -> PyResult<()> {
        let hand = self.hand()?;
        py.detach(|| hand.set(unix_ms));
        Ok(())
    }

    /// Moves it on by so many milliseconds.
    fn advance(&self, py: Python<'_>, ms: u64) -> PyResult<()> {
        let hand = self.hand()?;
        py.detach(|| hand.advance(Duration::from_millis(ms)));
        Ok(())
    }
}

impl Clock {
    fn hand(&self) -> PyResult<pannier::VirtualClock> {
        let hand = self.cache.get().cache()?.clock().hand();
        hand.ok_or_else(|| PannierError::new_err(SYSTEMS))
    }
}

const SYSTEMS: &str = "the clock can be moved with test_mode=True only";
