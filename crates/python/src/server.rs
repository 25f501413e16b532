//! A server that runs in this process on threads of its own.
//!
//! It is started and ended without the interpreter's lock, and its threads never ask for it: so
//! an event loop, a greenlet or a thread that waits for a reply waits for the server alone. The
//! addresses are kept beside it, because they are still of use when it has ended or when this is
//! a forked child, which can connect to the parent's server but not end it.
//!
//! Neighbours: `pannier::Server` is the server; `python/pannier/server.py` is the class that users
//! see, with URLs and clients. Tests: `tests/python/test_server.py`.

use std::sync::{Mutex, PoisonError};

use std::path::PathBuf;

use pannier::{TlsAuth, TlsOptions};
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;

use crate::cache::{self, Cache, Family};
use crate::fork::{self, Birthplace, PannierError};

/// A running server; `stop()` ends it, and so does its deletion.
#[pyclass(frozen, module = "pannier._native")]
pub(crate) struct Server {
    running: Mutex<Option<pannier::Server>>,
    birthplace: Birthplace,
    directives: Vec<(String, String)>,
    seed: Option<u64>,
    /// Host and port of each TCP address.
    #[pyo3(get)]
    addresses: Vec<(String, u16)>,
    /// They are for TLS.
    #[pyo3(get)]
    encrypted: bool,
    /// Path of the Unix socket.
    #[pyo3(get)]
    unix_socket: Option<String>,
    /// File descriptors of the listening sockets, when it started.
    #[pyo3(get)]
    descriptors: Vec<i32>,
}

/// Certificates or a key: the text itself, or its file.
#[derive(FromPyObject)]
enum Pem {
    Text(Vec<u8>),
    File(PathBuf),
}

/// Certificate, key and its password, authorities, and what is asked of clients.
type Tls = (Pem, Pem, Option<String>, Option<Pem>, Option<String>);

#[pymethods]
impl Server {
    /// Starts it, for a given cache or for one of its own. `port` 0 is any free port, `None` is
    /// no TCP at all. With `tls` it is the port for that, and there is no other.
    #[new]
    #[pyo3(signature = (cache, port, unix_socket, seed, directives, tls))]
    #[expect(clippy::too_many_arguments, reason = "Python names them, and one class calls it")]
    fn new(
        py: Python<'_>,
        cache: Option<&Cache>,
        port: Option<u16>,
        unix_socket: Option<String>,
        seed: Option<u64>,
        directives: Vec<(String, String)>,
        tls: Option<Tls>,
    ) -> PyResult<Self> {
        let tls = tls.map(options).transpose()?;
        let cache = cache.map(Cache::cache).transpose()?;
        let server = py.detach(|| {
            let mut builder = pannier::Server::builder();
            builder = match cache {
                Some(cache) => builder.cache(cache),
                None => builder.clock(cache::clock(&directives)),
            };
            for (name, value) in &directives {
                builder = builder.directive(name, value);
            }
            builder = match (port, tls) {
                (Some(port), None) => builder.port(port),
                (Some(port), Some(tls)) => builder.without_tcp().tls(tls).tls_port(port),
                (None, _) => builder.without_tcp(),
            };
            if let Some(path) = unix_socket {
                builder = builder.unix_socket(path);
            }
            if let Some(seed) = seed {
                builder = builder.seed(seed);
            }
            builder.start()
        });
        let server = server.map_err(|error| match error {
            pannier::Error::Directive { .. } | pannier::Error::Config(_) => {
                PyValueError::new_err(error.to_string())
            }
            error => PyOSError::new_err(error.to_string()),
        })?;
        let (plain, secure) = (server.addrs(), server.tls_addrs());
        let encrypted = plain.is_empty() && !secure.is_empty();
        let listening = if encrypted { &secure } else { plain };
        Ok(Self {
            birthplace: Birthplace::here(),
            addresses: listening.iter().map(|at| (at.ip().to_string(), at.port())).collect(),
            encrypted,
            unix_socket: server.unix_socket().map(|path| path.display().to_string()),
            descriptors: server.descriptors().to_vec(),
            running: Mutex::new(Some(server)),
            directives,
            seed,
        })
    }

    /// Whether this process is the one that started it.
    #[getter]
    fn is_here(&self) -> bool {
        self.birthplace.is_here()
    }

    /// Finishes what was received, closes all connections and ends its threads. Again is nothing.
    fn stop(&self, py: Python<'_>) {
        if self.birthplace.is_here() {
            py.detach(|| {
                let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
                if let Some(server) = running {
                    server.stop();
                }
            });
        }
    }
}

impl Server {
    /// Its engine, for caches.
    pub(crate) fn family(&self) -> PyResult<Family> {
        if !self.birthplace.is_here() {
            return Err(fork::refused("this server"));
        }
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let stopped = || PannierError::new_err("this server was stopped");
        let cache = running.as_ref().ok_or_else(stopped)?.cache().clone();
        Ok(Family::of(cache, self.directives.clone(), self.seed))
    }
}

fn options((cert, key, password, authorities, auth): Tls) -> PyResult<TlsOptions> {
    let mut options = TlsOptions::new(cert, key);
    if let Some(password) = password {
        options = options.key_password(&password);
    }
    if let Some(authorities) = authorities {
        options = options.client_ca(authorities);
    }
    match auth.as_deref() {
        None => Ok(options),
        Some("yes") => Ok(options.client_auth(TlsAuth::Yes)),
        Some("no") => Ok(options.client_auth(TlsAuth::No)),
        Some("optional") => Ok(options.client_auth(TlsAuth::Optional)),
        Some(_) => Err(PyValueError::new_err("tls_auth: must be yes, no or optional")),
    }
}

impl From<Pem> for pannier::Pem {
    fn from(pem: Pem) -> Self {
        match pem {
            Pem::Text(text) => Self::Bytes(text),
            Pem::File(path) => Self::File(path),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let running = self.running.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if self.birthplace.is_here() {
            // Its end is waited for, and nobody else has to wait for that.
            Python::attach(|py| py.detach(|| drop(running)));
        } else {
            // Its threads are the parent's: there is nobody to wait for.
            std::mem::forget(running);
        }
    }
}
