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
//! Neighbours: `line` is the session with its buffers, `aside` runs it beside an event loop;
//! `request` and `reply` are the two languages. The transports in `python/pannier/transport.py`
//! and `aio.py` are its users, and so are pipelines and subscriptions of a cache.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use pyo3::create_exception;
use pyo3::exceptions::{PyBaseException, PyTimeoutError};
use pyo3::prelude::*;
use pyo3::sync::MutexExt;
use pyo3::types::{PyBytes, PyList, PyTuple};

use crate::aside::{self, Aside};
use crate::bell::Bell;
use crate::brief::{self, Long, Span};
use crate::fork::{self, Birthplace};
use crate::line::{Armed, Line, Taken, closed};
use crate::reply::{Style, Text};
use crate::request::{self, Bytes};
use crate::script::Script;

/// One session of a cache.
#[pyclass(frozen, module = "pannier._native")]
pub(crate) struct Client {
    line: Arc<Mutex<Option<Line>>>,
    aside: Arc<Aside>,
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

impl Client {
    pub(crate) fn new(cache: &pannier::Cache, style: Style) -> Self {
        Self::of(cache.connect(), cache, style)
    }

    /// A session of a cache that is there already.
    pub(crate) fn of(client: pannier::Client, cache: &pannier::Cache, style: Style) -> Self {
        let bell = Arc::new(Bell::default());
        let id = client.id();
        let line = Line::new(client, cache);
        Self {
            line: Arc::new(Mutex::new(Some(line))),
            aside: Arc::default(),
            waker: Waker::from(Arc::clone(&bell)),
            bell,
            style,
            clock: pannier::Clock::system(),
            is_movable: cache.clock().hand().is_some(),
            birthplace: Birthplace::here(),
            id,
        }
    }

    /// Runs a command of a session that nobody else has, a script that signals end or anything
    /// else, and waits for its reply.
    pub(crate) fn ask<'py>(
        &self,
        py: Python<'py>,
        args: &[Bytes<'py>],
        raw: bool,
        script: Option<(&Script, &pannier::Cache)>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.with_line(py, |line| {
            line.requests.extend_from_slice(RESP3);
            request::encode_words(args, &mut line.requests);
            if script.is_none() { line.run(py, true) } else { Ok(()) }
        })?;
        if let Some((script, cache)) = script {
            self.run_watched(py, script, cache)?;
        }
        self.receive(py, true, None)?;
        self.reply(py, raw)
    }

    /// Waits for a reply that must come, and raises it if it is an error.
    pub(crate) fn reply<'py>(&self, py: Python<'py>, raw: bool) -> PyResult<Bound<'py, PyAny>> {
        let reply = self.receive(py, raw, None)?;
        if reply.is_instance_of::<PyBaseException>() {
            return Err(PyErr::from_value(reply));
        }
        Ok(reply)
    }

    /// The next reply or message, and whether it is nothing but a reply.
    pub(crate) fn take_reply<'py>(&self, py: Python<'py>) -> PyResult<Taken<'py>> {
        self.with_line(py, |line| {
            let special = matches!(line.next_mark(), Some(b'>' | b'-' | b'!' | b'|'));
            Ok(match line.receive(py, (&self.style, &self.waker), false)? {
                None => Taken::Nothing,
                Some(reply) if special => Taken::Special(reply),
                Some(reply) => Taken::Reply(reply),
            })
        })
    }

    /// Whether it is open, nothing is there to be received, and nothing is on its way.
    pub(crate) fn is_quiet(&self) -> bool {
        if !self.birthplace.is_here() || self.aside.is_busy() {
            return false;
        }
        let Ok(line) = self.line.try_lock() else { return false };
        let quiet = |line: &Line| line.is_read() && line.client.is_quiet();
        line.as_ref().is_some_and(quiet)
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

    /// Executes the requests that are appended, for an event loop: what it cannot wait for is done
    /// on a thread of its own, after a moment beside the loop.
    fn run_for_loop(
        &self,
        py: Python<'_>,
        append: impl FnOnce(&mut Line) -> PyResult<Option<Span>>,
    ) -> PyResult<()> {
        let aside = self.with_line(py, |line| {
            let Some(span) = append(line)? else { return Ok(None) };
            line.check_open()?;
            if line.goes_aside(span) {
                return Ok(Some(span));
            }
            line.run(py, false)?;
            Ok(None)
        })?;
        let Some(span) = aside else {
            self.bell.ring_if_awaited();
            return Ok(());
        };
        let moment = if span == Span::Held { Duration::ZERO } else { MOMENT };
        self.run_aside(py, moment)
    }

    /// Has a thread of its own execute what there is to be executed, and waits so long for it.
    fn run_aside(&self, py: Python<'_>, most: Duration) -> PyResult<()> {
        let long = Long::begin();
        py.detach(|| {
            aside::run(&self.aside, &self.line, &self.bell, long)?;
            if !most.is_zero() {
                self.bell.wait(most);
            }
            Ok(())
        })
    }

    /// Has a thread of its own execute a script, and waits for it or for a signal.
    fn run_watched(&self, py: Python<'_>, script: &Script, cache: &pannier::Cache) -> PyResult<()> {
        self.run_aside(py, LOOK_UP)?;
        while self.aside.is_busy() {
            if let Err(raised) = py.check_signals() {
                // It may be that it has not even begun; and who has written goes on by himself.
                for _ in 0..KILLS_MAX {
                    py.detach(|| {
                        script.kill(cache);
                        self.bell.wait(KILL_WAIT);
                    });
                    if !self.aside.is_busy() {
                        break;
                    }
                }
                return Err(raised);
            }
            py.detach(|| self.bell.wait(LOOK_UP));
        }
        script.ended();
        Ok(())
    }

    /// Leaves the client's waker for what comes.
    fn arm_line(&self, py: Python<'_>) -> PyResult<Armed> {
        self.with_line(py, |line| {
            let armed = line.arm(&self.waker);
            if matches!(armed, Armed::For(_)) {
                self.bell.expect();
            }
            Ok(armed)
        })
    }

    /// The same for an event loop; None when it is busy, and rings when that is over.
    fn arm_for_loop(&self, py: Python<'_>) -> PyResult<Option<Armed>> {
        if self.aside.is_busy() {
            return Ok(None);
        }
        match self.arm_line(py)? {
            Armed::Held => self.run_aside(py, Duration::ZERO).map(|()| None),
            armed => Ok(Some(armed)),
        }
    }

    /// Waits until there is something to read, or for so long; whether there is.
    fn wait_until(&self, py: Python<'_>, timeout_s: Option<f64>) -> PyResult<bool> {
        let until_us = timeout_s.map(|s| self.clock.mono_us().saturating_add(micros(s)));
        loop {
            let mut most = match self.arm_line(py)? {
                Armed::Ready => return Ok(true),
                Armed::For(own) => own.min(LOOK_UP),
                Armed::Held => {
                    self.with_line(py, |line| line.run(py, true))?;
                    continue;
                }
            };
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
    pub(crate) fn send(&self, py: Python<'_>, args: &Bound<'_, PyTuple>) -> PyResult<()> {
        let watched = self.with_line(py, |line| {
            let Some(span) = line.append(args, &self.style)? else { return Ok(None) };
            let script = if span.is_long() { line.script(args, span)? } else { None };
            line.check_open()?;
            match script {
                Some(script) if script.is_to_be_watched(py) => {
                    return Ok(Some((script, line.cache.clone())));
                }
                Some(script) => {
                    line.run(py, true)?;
                    script.ended();
                }
                None => line.run(py, span.is_long())?,
            }
            Ok(None)
        })?;
        if let Some((script, cache)) = watched {
            self.run_watched(py, &script, &cache)?;
        }
        self.bell.ring_if_awaited();
        Ok(())
    }

    /// The same for event loops: what may take long, or has something long in its way, goes on
    /// beside the loop when it is not done in a moment.
    #[pyo3(signature = (*args))]
    fn send_aside(&self, py: Python<'_>, args: &Bound<'_, PyTuple>) -> PyResult<()> {
        if self.aside.is_busy() {
            let mut requests = Vec::new();
            request::encode(args, self.style.text.as_ref(), &mut requests)?;
            if self.aside.add(&requests) {
                return Ok(());
            }
        }
        self.run_for_loop(py, |line| line.append(args, &self.style))
    }

    /// Executes requests that are packed already.
    fn send_packed(&self, py: Python<'_>, requests: &Bound<'_, PyAny>) -> PyResult<()> {
        self.with_line(py, |line| {
            let bytes = Bytes::of(requests)?;
            line.requests.extend_from_slice(bytes.as_slice());
            line.run(py, true)
        })?;
        self.bell.ring_if_awaited();
        Ok(())
    }

    /// The same for event loops.
    fn send_packed_aside(&self, py: Python<'_>, requests: &Bound<'_, PyAny>) -> PyResult<()> {
        let bytes = Bytes::of(requests)?;
        if self.aside.is_busy() && self.aside.add(bytes.as_slice()) {
            return Ok(());
        }
        self.run_for_loop(py, |line| {
            line.requests.extend_from_slice(bytes.as_slice());
            Ok(Some(brief::span_of_packed(&line.cache, bytes.as_slice())))
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
            let received =
                self.with_line(py, |line| line.receive(py, (&self.style, &self.waker), raw))?;
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
        if !self.is_ready(py)? {
            return Ok(None);
        }
        let received =
            self.with_line(py, |line| line.receive(py, (&self.style, &self.waker), raw))?;
        Ok(received.map(|received| (received,)))
    }

    /// Whether something can be received, or the end be noticed, within so many seconds.
    #[pyo3(signature = (timeout = None))]
    fn wait(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<bool> {
        self.wait_until(py, timeout)
    }

    /// Whether something can be received, or the end be noticed, at once.
    fn is_ready(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(matches!(self.arm_for_loop(py)?, Some(Armed::Ready)))
    }

    /// Whether it is open and nothing is there to be received.
    fn is_idle(&self, py: Python<'_>) -> PyResult<bool> {
        if self.aside.is_busy() {
            return Ok(false);
        }
        let mut line = self.line(py)?;
        Ok(line.as_mut().is_some_and(|line| matches!(line.arm(&self.waker), Armed::For(_))))
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
                let (command, text) = (command.cast::<PyTuple>()?, self.style.text.as_ref());
                let encoded = request::encode(command, text, &mut line.requests);
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
        Ok(match self.arm_for_loop(py)? {
            None | Some(Armed::Held | Armed::For(Duration::MAX)) => None,
            Some(Armed::Ready) => Some(0.0),
            Some(Armed::For(most)) if self.is_movable => Some(most.min(LOOK_UP).as_secs_f64()),
            Some(Armed::For(most)) => Some(most.as_secs_f64()),
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
        if self.aside.is_busy() {
            return Ok(false);
        }
        let line = self.line(py)?;
        Ok(line.as_ref().is_none_or(|line| line.client.is_closed()))
    }

    /// Ends the session; when it is busy beside an event loop, as soon as that is over. Again is
    /// nothing.
    fn close(&self, py: Python<'_>) {
        if self.birthplace.is_here() && !self.aside.close_later() {
            let line =
                self.line.lock_py_attached(py).unwrap_or_else(PoisonError::into_inner).take();
            self.waker.wake_by_ref();
            if let Some(line) = line {
                py.detach(|| aside::end(line));
            }
        }
    }

    /// What a socket is told before it is closed; there is nothing on its way here.
    fn shutdown(&self, _how: &Bound<'_, PyAny>) {}
}

impl Drop for Client {
    fn drop(&mut self) {
        if !self.birthplace.is_here() {
            // Its engine is the parent's, and somebody there may hold its locks.
            std::mem::forget(Arc::clone(&self.line));
        } else if let Ok(mut line) = self.line.try_lock()
            && let Some(line) = line.take()
        {
            aside::end(line);
        }
    }
}

create_exception!(_native, TimedOut, PyTimeoutError, "A wait for a reply that did not come.");

/// Requests in wire form, for `send_packed`; `text` is encoding and error handler of strings.
#[pyo3::pyfunction]
#[pyo3(signature = (commands, text = None))]
pub(crate) fn pack<'py>(
    py: Python<'py>,
    commands: &Bound<'py, PyAny>,
    text: Option<(String, String)>,
) -> PyResult<Bound<'py, PyBytes>> {
    let text = text.map(|(encoding, errors)| Text::new(encoding, errors));
    let mut requests = Vec::new();
    for command in commands.try_iter()? {
        request::encode(command?.cast::<PyTuple>()?, text.as_ref(), &mut requests)?;
    }
    Ok(PyBytes::new(py, &requests))
}

/// Seconds since 1970 by the system's clock, whatever Python is made to believe.
#[pyo3::pyfunction]
pub(crate) fn unix_time() -> f64 {
    pannier::Clock::system().now().unix_us as f64 / 1e6
}

/// Seconds as whole microseconds; what is no time to wait is none.
fn micros(seconds: f64) -> u64 {
    (seconds.max(0.0) * 1e6) as u64
}

/// The request for that protocol.
const RESP3: &[u8] = b"*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n";

/// How long an event loop waits for what may take long, before it goes on without it.
const MOMENT: Duration = Duration::from_micros(200);

/// How often a script is killed before its caller goes without it, and how long it has each time.
const KILLS_MAX: u32 = 10;
const KILL_WAIT: Duration = Duration::from_millis(10);

/// How long a thread waits before it looks for signals.
const LOOK_UP: Duration = Duration::from_millis(100);
