//! What connections and pools of redis-py do for every command, in place of Python code.
//!
//! redis-py takes a connection from its pool, sends, reads, and gives the connection back: four
//! calls, which in Python cost more than the command. Here they are methods of base classes: a
//! connection in its usual state (open, no health checks, a reply that is there) runs none of
//! Python's code but redis-py's own. Whatever is not usual goes to the methods of the derived
//! classes in `python/pannier/transport.py`, which know redis-py.
//!
//! Rules: a base class decides nothing, it only skips. The lists of a pool are redis-py's, which
//! other methods of it use, too. Nothing here keeps the interpreter waiting, or gives it away
//! between looking at a list and changing it.
//!
//! Neighbours: `client` is the session. Tests: `tests/python/test_transport.py`.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PySet, PyTuple};

use crate::client::Client;
use crate::fork::Birthplace;
use crate::line::Taken;

/// The part of a connection that is the same for every command.
#[pyclass(subclass, frozen, module = "pannier._native")]
pub(crate) struct Connection {
    client: Mutex<Option<Py<Client>>>,
    /// Nothing has to be done before a command or behind its reply.
    usual: AtomicBool,
    should_reconnect: AtomicBool,
}

#[pymethods]
impl Connection {
    #[new]
    #[pyo3(signature = (*_args, **_options))]
    fn new(_args: &Bound<'_, PyTuple>, _options: Option<&Bound<'_, PyDict>>) -> Self {
        let (usual, should_reconnect) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { client: Mutex::new(None), usual, should_reconnect }
    }

    /// The session, where redis-py has its socket.
    #[getter(_sock)]
    fn sock(&self, py: Python<'_>) -> Option<Py<Client>> {
        self.client(py)
    }

    #[setter(_sock)]
    fn set_sock(slf: &Bound<'_, Self>, client: Option<Py<Client>>) -> PyResult<()> {
        let usual = match &client {
            Some(_) => slf.call_method0("_is_usual")?.is_truthy()?,
            None => false,
        };
        let own = slf.get();
        own.usual.store(usual, Relaxed);
        let before = {
            let mut held = own.client.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *held, client)
        };
        drop(before);
        Ok(())
    }

    /// Whether it is to be opened anew when it is free.
    #[getter(_should_reconnect)]
    fn get_should_reconnect(&self) -> bool {
        self.should_reconnect.load(Relaxed)
    }

    #[setter(_should_reconnect)]
    fn set_should_reconnect(&self, should: bool) {
        self.should_reconnect.store(should, Relaxed);
    }

    /// The same, as redis-py asks.
    fn should_reconnect(&self) -> bool {
        self.should_reconnect.load(Relaxed)
    }

    /// Executes a command; its reply is there to be read, unless it waits.
    #[pyo3(signature = (*args, **options))]
    fn send_command(
        slf: &Bound<'_, Self>,
        args: &Bound<'_, PyTuple>,
        options: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<()> {
        // The options are about health checks, and of no account in the usual state.
        if let Some(client) = slf.get().usual(slf.py()) {
            let sent = client.get().send(slf.py(), args);
            return match sent {
                Ok(()) => Ok(()),
                Err(error) => slf.call_method1("_not_sent", (error,)).map(drop),
            };
        }
        slf.call_method("_send_command", args, options).map(drop)
    }

    /// The next reply, after waiting for it.
    #[pyo3(signature = (*args, **options))]
    fn read_response<'py>(
        slf: &Bound<'py, Self>,
        args: &Bound<'py, PyTuple>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if options.is_none()
            && args.is_empty()
            && let Some(client) = slf.get().usual(slf.py())
        {
            match client.get().take_reply(slf.py()) {
                Ok(Taken::Reply(reply)) => return Ok(reply),
                Ok(Taken::Special(reply)) => return slf.call_method1("_read_on", (reply,)),
                Ok(Taken::Nothing) => {}
                Err(error) => return slf.call_method1("_not_read", (error,)),
            }
        }
        slf.call_method("_read_response", args, options)
    }
}

impl Connection {
    fn client(&self, py: Python<'_>) -> Option<Py<Client>> {
        let held = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        held.as_ref().map(|client| client.clone_ref(py))
    }

    #[inline]
    fn usual(&self, py: Python<'_>) -> Option<Py<Client>> {
        if self.usual.load(Relaxed) { self.client(py) } else { None }
    }

    /// Whether it is open, and nothing is on its way.
    fn is_idle(&self, py: Python<'_>) -> bool {
        let client = self.client(py);
        client.is_some_and(|client| client.get().is_quiet()) && !self.should_reconnect()
    }
}

/// The part of a pool that is the same for every command.
#[pyclass(subclass, frozen, module = "pannier._native")]
pub(crate) struct ConnectionPool {
    lists: Mutex<Option<Lists>>,
}

/// redis-py's two, and the process in which their connections were made.
struct Lists {
    available: Py<PyList>,
    in_use: Py<PySet>,
    birthplace: Birthplace,
}

#[pymethods]
impl ConnectionPool {
    #[new]
    #[pyo3(signature = (*_args, **_options))]
    fn new(_args: &Bound<'_, PyTuple>, _options: Option<&Bound<'_, PyDict>>) -> Self {
        Self { lists: Mutex::new(None) }
    }

    /// Takes note of the lists that connections are from now on taken from and given back to; None
    /// when that is not to be done here.
    fn _watch(&self, lists: Option<(Py<PyList>, Py<PySet>)>) {
        let lists = lists.map(|(available, in_use)| {
            let birthplace = Birthplace::here();
            Lists { available, in_use, birthplace }
        });
        let before = {
            let mut held = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *held, lists)
        };
        drop(before);
    }

    /// A connection that is ready.
    #[pyo3(signature = (*args, **options))]
    fn get_connection<'py>(
        slf: &Bound<'py, Self>,
        args: &Bound<'py, PyTuple>,
        options: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if let Some((available, in_use)) = slf.get().lists(slf.py())
            && let Some(last) = available.len().checked_sub(1)
        {
            let connection = available.get_item(last)?;
            if let Ok(ours) = connection.cast::<Connection>()
                && ours.get().is_idle(slf.py())
            {
                available.del_item(last)?;
                in_use.add(&connection)?;
                return Ok(connection);
            }
        }
        slf.call_method("_get_connection", args, options)
    }

    /// Takes a connection back.
    fn release(slf: &Bound<'_, Self>, connection: &Bound<'_, PyAny>) -> PyResult<()> {
        if let Some((available, in_use)) = slf.get().lists(slf.py())
            && let Ok(ours) = connection.cast::<Connection>()
            && !ours.get().should_reconnect()
            && in_use.discard(connection)?
        {
            return available.append(connection);
        }
        slf.call_method1("_release", (connection,)).map(drop)
    }
}

impl ConnectionPool {
    fn lists<'py>(&self, py: Python<'py>) -> Option<(Bound<'py, PyList>, Bound<'py, PySet>)> {
        let held = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
        let lists = held.as_ref().filter(|lists| lists.birthplace.is_here())?;
        Some((lists.available.bind(py).clone(), lists.in_use.bind(py).clone()))
    }
}
