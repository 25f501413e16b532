//! A client: a session of its own, driven by requests in and replies out.
//!
//! It is what a connection to a socket is elsewhere, and has the same two halves: `send` executes
//! at once whatever can be, `receive` takes the next reply or message and waits for it if need be.
//! Threads may use both halves at a time, as they may with a socket (one listens, another
//! subscribes). So waiting is done on the bell, without the lock on the session.
//!
//! Rules: the interpreter's lock is given away while waiting, and while requests run that may take
//! long (`brief`). A wait looks up every tenth of a second, because only then Python sees a signal.
//!
//! Neighbours: `pannier::Client` is the session; `request` and `reply` are the two languages. The
//! transports in `python/pannier/transport.py` and `aio.py` are its users, and so are pipelines and
//! subscriptions of a cache.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use std::time::Duration;

use pyo3::create_exception;
use pyo3::exceptions::{PyBaseException, PyConnectionError, PyTimeoutError};
use pyo3::prelude::*;
use pyo3::sync::MutexExt;
use pyo3::types::{PyBytes, PyList, PyTuple};

use crate::bell::Bell;
use crate::brief::{self, Span};
use crate::fork::{self, Birthplace};
use crate::reply::{Replies, Style};
use crate::request::{self, Bytes};

/// One session of a cache.
#[pyclass(frozen, module = "pannier._native")]
pub(crate) struct Client {
    line: Mutex<Option<Line>>,
    bell: Arc<Bell>,
    waker: Waker,
    style: Style,
    /// For timeouts, which are the system's time whatever the cache's clock says.
    clock: pannier::Clock,
    /// The cache's clock can be moved, so that what ends by it may be over any time.
    is_movable: bool,
    birthplace: Birthplace,
    #[pyo3(get)]
    id: u64,
}

/// The session with what lies before and behind it.
struct Line {
    client: pannier::Client,
    requests: Vec<u8>,
    replies: Vec<u8>,
    /// How far the replies were read.
    read: usize,
}

impl Client {
    pub(crate) fn new(cache: &pannier::Cache, style: Style) -> Self {
        let client = cache.connect();
        let bell = Arc::new(Bell::default());
        let id = client.id();
        let line = Line { client, requests: Vec::new(), replies: Vec::new(), read: 0 };
        Self {
            line: Mutex::new(Some(line)),
            waker: Waker::from(Arc::clone(&bell)),
            bell,
            style,
            clock: pannier::Clock::system(),
            is_movable: cache.clock().hand().is_some(),
            birthplace: Birthplace::here(),
            id,
        }
    }

    /// Runs a command of a session that nobody else has, and waits for its reply.
    pub(crate) fn ask<'py>(
        &self,
        py: Python<'py>,
        args: &[Bytes<'py>],
        raw: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.with_line(py, |line| {
            line.requests.extend_from_slice(RESP3);
            request::encode_words(args, &mut line.requests);
            line.run(py, true)
        })?;
        self.receive(py, true, None)?;
        let reply = self.receive(py, raw, None)?;
        if reply.is_instance_of::<PyBaseException>() {
            return Err(PyErr::from_value(reply));
        }
        Ok(reply)
    }

    /// Its session, without keeping the interpreter waiting.
    fn line(&self, py: Python<'_>) -> PyResult<MutexGuard<'_, Option<Line>>> {
        if !self.birthplace.is_here() {
            return Err(fork::refused("this client's cache"));
        }
        Ok(self.line.lock_py_attached(py).unwrap_or_else(PoisonError::into_inner))
    }

    /// The same, open.
    fn with_line<R>(
        &self,
        py: Python<'_>,
        work: impl FnOnce(&mut Line) -> PyResult<R>,
    ) -> PyResult<R> {
        match self.line(py)?.as_mut() {
            Some(line) => work(line),
            None => Err(closed()),
        }
    }

    /// Waits until there is something to read, or for so long; whether there is.
    fn wait_until(&self, py: Python<'_>, timeout_s: Option<f64>) -> PyResult<bool> {
        let until_us = timeout_s.map(|s| self.clock.mono_us().saturating_add(micros(s)));
        loop {
            let Some(own) = self.with_line(py, |line| Ok(line.arm(&self.waker)))? else {
                return Ok(true);
            };
            let mut most = own.min(LOOK_UP);
            if let Some(until_us) = until_us {
                let left_us = until_us.saturating_sub(self.clock.mono_us());
                if left_us == 0 {
                    return Ok(false);
                }
                most = most.min(Duration::from_micros(left_us));
            }
            py.detach(|| self.bell.wait(most));
            py.check_signals()?;
        }
    }
}

#[pymethods]
impl Client {
    /// Executes a command; its reply is there to be received, unless it waits.
    #[pyo3(signature = (*args))]
    fn send(&self, py: Python<'_>, args: &Bound<'_, PyTuple>) -> PyResult<()> {
        self.with_line(py, |line| {
            request::encode(args, &mut line.requests)?;
            let name = request::name(args)?;
            line.run(py, brief::span(name.as_slice(), args.len()) == Span::Long)
        })
    }

    /// Executes requests that are packed already.
    fn send_packed(&self, py: Python<'_>, requests: &Bound<'_, PyAny>) -> PyResult<()> {
        self.with_line(py, |line| {
            let bytes = Bytes::of(requests)?;
            line.requests.extend_from_slice(bytes.as_slice());
            line.run(py, true)
        })
    }

    /// The next reply or message. `raw` leaves strings bytes. Without one it waits: for ever, or
    /// for so many seconds, after which it raises TimedOut.
    #[pyo3(signature = (raw = false, timeout = None))]
    fn receive<'py>(
        &self,
        py: Python<'py>,
        raw: bool,
        timeout: Option<f64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        loop {
            let received = self.with_line(py, |line| line.receive(py, &self.style, raw))?;
            if let Some(received) = received {
                return Ok(received);
            }
            if !self.wait_until(py, timeout)? {
                return Err(TimedOut::new_err("no reply in time"));
            }
        }
    }

    /// The next reply or message in a tuple, None when there is none yet.
    fn take<'py>(&self, py: Python<'py>, raw: bool) -> PyResult<Option<(Bound<'py, PyAny>,)>> {
        let received = self.with_line(py, |line| line.receive(py, &self.style, raw))?;
        Ok(received.map(|received| (received,)))
    }

    /// Whether something can be received, or the end be noticed, within so many seconds.
    #[pyo3(signature = (timeout = None))]
    fn wait(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<bool> {
        self.wait_until(py, timeout)
    }

    /// Whether something can be received, or the end be noticed, at once.
    fn is_ready(&self, py: Python<'_>) -> PyResult<bool> {
        self.with_line(py, |line| Ok(line.arm(Waker::noop()).is_none()))
    }

    /// Whether it is open and nothing is there to be received.
    fn is_idle(&self, py: Python<'_>) -> PyResult<bool> {
        let mut line = self.line(py)?;
        Ok(line.as_mut().is_some_and(|line| line.arm(Waker::noop()).is_some()))
    }

    /// Executes commands, one after the other, and returns their replies, errors among them.
    fn run<'py>(
        &self,
        py: Python<'py>,
        commands: &Bound<'py, PyList>,
        raw: bool,
    ) -> PyResult<Bound<'py, PyList>> {
        self.with_line(py, |line| {
            for command in commands.iter() {
                let encoded = request::encode(command.cast::<PyTuple>()?, &mut line.requests);
                encoded.inspect_err(|_| line.requests.clear())?;
            }
            line.run(py, true)
        })?;
        let replies = PyList::empty(py);
        for _ in 0..commands.len() {
            replies.append(self.receive(py, raw, None)?)?;
        }
        Ok(replies)
    }

    /// A file that can be read once `arm` has said that there is nothing and something has come.
    fn fileno(&self) -> PyResult<i32> {
        Ok(self.bell.file()?)
    }

    /// For event loops: silences the file, and says in how many seconds to look again though it
    /// stays silent: 0 when something can be received now, None for never.
    fn arm(&self, py: Python<'_>) -> PyResult<Option<f64>> {
        self.bell.silence();
        let most = self.with_line(py, |line| Ok(line.arm(&self.waker)))?;
        Ok(match most {
            None => Some(0.0),
            Some(Duration::MAX) => None,
            Some(most) if self.is_movable => Some(most.min(LOOK_UP).as_secs_f64()),
            Some(most) => Some(most.as_secs_f64()),
        })
    }

    /// Whether its engine is this process's.
    #[getter]
    fn is_here(&self) -> bool {
        self.birthplace.is_here()
    }

    /// Whether it was closed, by either side.
    #[getter]
    fn closed(&self, py: Python<'_>) -> PyResult<bool> {
        let line = self.line(py)?;
        Ok(line.as_ref().is_none_or(|line| line.client.is_closed()))
    }

    /// Ends the session. Again is nothing.
    fn close(&self, py: Python<'_>) {
        if self.birthplace.is_here() {
            let line =
                self.line.lock_py_attached(py).unwrap_or_else(PoisonError::into_inner).take();
            self.waker.wake_by_ref();
            py.detach(|| drop(line));
        }
    }

    /// What a socket is told before it is closed; there is nothing on its way here.
    fn shutdown(&self, _how: &Bound<'_, PyAny>) {}
}

impl Drop for Client {
    fn drop(&mut self) {
        if !self.birthplace.is_here() {
            // Its engine is the parent's, and somebody there may hold its locks.
            std::mem::forget(self.line.get_mut().unwrap_or_else(PoisonError::into_inner).take());
        }
    }
}

impl Line {
    /// Executes the requests that were appended.
    fn run(&mut self, py: Python<'_>, long: bool) -> PyResult<()> {
        if self.client.is_closed() {
            self.requests.clear();
            return Err(closed());
        }
        let Self { client, requests, replies, .. } = self;
        if long || requests.len() > BRIEF_MAX {
            py.detach(|| brief::while_long(|| client.feed(requests, replies)));
        } else {
            client.feed(requests, replies);
        }
        requests.clear();
        requests.shrink_to(KEPT_MAX);
        Ok(())
    }

    /// The next reply, when there is one.
    fn receive<'py>(
        &mut self,
        py: Python<'py>,
        style: &Style,
        raw: bool,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        if self.replies.is_empty() {
            self.client.feed(b"", &mut self.replies);
            if self.replies.is_empty() {
                return if self.client.is_closed() { Err(closed()) } else { Ok(None) };
            }
        }
        let mut replies = Replies::new(py, style, raw, (&self.replies, self.read));
        let reply = replies.next();
        self.read = replies.position();
        if self.read >= self.replies.len() || reply.is_err() {
            self.replies.clear();
            self.replies.shrink_to(KEPT_MAX);
            self.read = 0;
        }
        reply.map(Some)
    }

    /// Leaves a waker for what comes; after how long to look all the same. None when something is
    /// there already.
    fn arm(&mut self, waker: &Waker) -> Option<Duration> {
        if self.replies.is_empty() {
            let ready = self.client.poll_wake(&mut Context::from_waker(waker)).is_ready();
            self.client.feed(b"", &mut self.replies);
            if !ready && self.replies.is_empty() && !self.client.is_closed() {
                return Some(self.client.time_left().unwrap_or(Duration::MAX));
            }
            if self.replies.is_empty() && !self.client.is_closed() {
                return Some(Duration::ZERO);
            }
        }
        None
    }
}

create_exception!(_native, TimedOut, PyTimeoutError, "A wait for a reply that did not come.");

/// Requests in wire form, for `send_packed`.
#[pyo3::pyfunction]
pub(crate) fn pack<'py>(
    py: Python<'py>,
    commands: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyBytes>> {
    let mut requests = Vec::new();
    for command in commands.try_iter()? {
        request::encode(command?.cast::<PyTuple>()?, &mut requests)?;
    }
    Ok(PyBytes::new(py, &requests))
}

/// Seconds since 1970 by the system's clock, whatever Python is made to believe.
#[pyo3::pyfunction]
pub(crate) fn unix_time() -> f64 {
    pannier::Clock::system().now().unix_us as f64 / 1e6
}

#[cold]
fn closed() -> PyErr {
    PyConnectionError::new_err("this client was closed")
}

/// Seconds as whole microseconds; what is no time to wait is none.
fn micros(seconds: f64) -> u64 {
    (seconds.max(0.0) * 1e6) as u64
}

/// The request for that protocol.
const RESP3: &[u8] = b"*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n";

/// How long a thread waits before it looks for signals.
const LOOK_UP: Duration = Duration::from_millis(100);

/// Requests of more bytes are not brief, whatever they ask.
const BRIEF_MAX: usize = 64 << 10;

/// What a client keeps of its buffers.
const KEPT_MAX: usize = 64 << 10;
