//! A checkpoint of a cache: a state of its whole engine to come back to.
//!
//! The library's checkpoint rolls back when it is dropped. Python drops things when its collector
//! comes to it, which is no time for that: so one that is merely forgotten is given up, and the
//! data stay as they are. Whoever wants to come back says so, or uses it as a context manager.
//!
//! Neighbours: `pannier::Checkpoint`. Tests: `tests/python/test_checkpoints.py`.

use std::sync::{Mutex, PoisonError};

use pyo3::prelude::*;

use crate::fork::{self, Birthplace, PannierError};

/// A state of a cache to come back to.
#[pyclass(frozen, module = "pannier._native")]
pub(crate) struct Checkpoint {
    held: Mutex<Option<pannier::Checkpoint>>,
    birthplace: Birthplace,
}

impl Checkpoint {
    pub(crate) fn new(py: Python<'_>, cache: &pannier::Cache) -> PyResult<Self> {
        let held = py.detach(|| cache.checkpoint()).map_err(failed)?;
        Ok(Self { held: Mutex::new(Some(held)), birthplace: Birthplace::here() })
    }

    fn check(&self) -> PyResult<()> {
        let here = self.birthplace.is_here();
        here.then_some(()).ok_or_else(|| fork::refused("this checkpoint's cache"))
    }
}

#[pymethods]
impl Checkpoint {
    /// Brings data, scripts and functions back as they were, and what CONFIG SET has changed if
    /// `config`. Can be repeated; later checkpoints are given up.
    #[pyo3(signature = (config = false))]
    fn rollback(&self, py: Python<'_>, config: bool) -> PyResult<()> {
        self.check()?;
        py.detach(|| match &*self.held.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(held) if config => held.rollback_with_config().map_err(failed),
            Some(held) => held.rollback().map_err(failed),
            None => Err(PannierError::new_err("this checkpoint was released")),
        })
    }

    /// Gives it up; the data stay as they are. Again is nothing.
    fn release(&self, py: Python<'_>) -> PyResult<()> {
        self.check()?;
        let held = py.detach(|| self.held.lock().unwrap_or_else(PoisonError::into_inner).take());
        held.map_or(Ok(()), |held| py.detach(|| held.release()).map_err(failed))
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    /// Comes back, however the block ended, and gives it up.
    #[pyo3(signature = (*_args))]
    fn __exit__(&self, py: Python<'_>, _args: &Bound<'_, pyo3::types::PyTuple>) -> PyResult<()> {
        let released = self.held.lock().unwrap_or_else(PoisonError::into_inner).is_none();
        if !released && self.birthplace.is_here() {
            self.rollback(py, false)?;
            self.release(py)?;
        }
        Ok(())
    }
}

impl Drop for Checkpoint {
    fn drop(&mut self) {
        if let Some(held) = self.held.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            if self.birthplace.is_here() {
                // One that was given up for an earlier one has nothing to release.
                let _ = held.release();
            } else {
                std::mem::forget(held);
            }
        }
    }
}

fn failed(error: pannier::Error) -> PyErr {
    PannierError::new_err(error.to_string())
}
