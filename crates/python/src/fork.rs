//! Which process this is: a count of the forks that lie between it and the first.
//!
//! A forked child has the parent's memory but only one of its threads: no worker will answer, and
//! a lock that another thread held is held for good. So whatever owns threads or locks remembers
//! the count it was made under, and is left alone under another. The count is kept by Python's
//! `os.register_at_fork`, because comparing a number costs nothing and asking the system for the
//! process id on every call of a cache does (50 ns of the 300 that a GET takes).
//!
//! Rules: a child leaks what it must not drop. A fork that Python does not know of (C code that
//! goes on without exec) is not seen.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use pyo3::{PyErr, import_exception, pyfunction};

use crate::brief;

static FORKS: AtomicU32 = AtomicU32::new(0);

/// Counts a fork; called in the child.
#[pyfunction]
pub(crate) fn forked() {
    FORKS.fetch_add(1, Relaxed);
    brief::forked();
}

/// The process in which something was made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Birthplace(u32);

impl Birthplace {
    /// This process.
    pub(crate) fn here() -> Self {
        Self(FORKS.load(Relaxed))
    }

    /// Whether this process is still that one.
    pub(crate) fn is_here(self) -> bool {
        self == Self::here()
    }
}

/// Why something of the parent's is not used here.
#[cold]
pub(crate) fn refused(what: &str) -> PyErr {
    ForkedError::new_err(format!(
        "{what} lives in the process of which this one is a fork: open another here"
    ))
}

import_exception!(pannier.exceptions, ConnectionError);
import_exception!(pannier.exceptions, ForkedError);
import_exception!(pannier.exceptions, PannierError);
