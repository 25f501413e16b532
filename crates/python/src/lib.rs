//! The extension module `pannier._native`, on which the Python package `pannier` is built.
//!
//! What is here is what Python cannot do well: starting and ending threads without the
//! interpreter's lock, and turning requests and replies into bytes and objects. Everything that
//! is a matter of names and habits (redis-py's signatures, Django's cache, fixtures) is Python,
//! in `python/pannier`, where its users can read it.
//!
//! Rules: the product crate is the only one of ours that this one knows. Nothing waits, neither
//! for a socket nor for a shard, while it holds the interpreter's lock. After a fork nothing is
//! touched that belongs to threads of the parent (`fork`).
//!
//! Neighbours: `python/pannier/__init__.py` is the public face; the tests are in `tests/python`
//! and run from the built wheel.

mod aside;
mod bell;
mod brief;
mod cache;
mod checkpoint;
mod client;
mod clock;
mod fork;
mod line;
mod reply;
mod request;
mod script;
mod server;
mod tools;
mod transport;

use pyo3::pymodule;

/// The native half of `pannier`.
#[pymodule]
mod _native {
    #[pymodule_export]
    use crate::cache::Cache;
    #[pymodule_export]
    use crate::checkpoint::Checkpoint;
    #[pymodule_export]
    use crate::client::{Client, TimedOut, pack, unix_time};
    #[pymodule_export]
    use crate::clock::Clock;
    #[pymodule_export]
    use crate::fork::forked;
    #[pymodule_export]
    use crate::server::Server;
    #[pymodule_export]
    use crate::tools::{Faults, Recorder, Requests};
    #[pymodule_export]
    use crate::transport::{Connection, ConnectionPool};
    #[pymodule_export]
    const VERSION: &str = env!("CARGO_PKG_VERSION");
}
