//! A client's session, with what lies before and behind it.
//!
//! Requests are appended in wire form, executed, and their replies kept in wire form until they are
//! asked for: then they become objects, one by one. The two commands that are most of what a cache
//! is asked take a shorter way, on which no request and no reply is written: GET and SET of a key,
//! when nothing speaks against it, leave the object itself.
//!
//! Neighbours: `client` holds one behind a lock, and waits; `aside` runs one on another thread.

use std::task::{Context, Waker};
use std::time::Duration;

use pyo3::exceptions::PyConnectionError;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};

use crate::brief::{self, Span};
use crate::reply::{Replies, Style};
use crate::request::{self, Bytes};

/// What was received.
pub(crate) enum Taken<'py> {
    /// A reply.
    Reply(Bound<'py, PyAny>),
    /// A message, or an error.
    Special(Bound<'py, PyAny>),
    /// Nothing yet.
    Nothing,
}

/// The session with what lies before and behind it.
pub(crate) struct Line {
    pub(crate) client: pannier::Client,
    pub(crate) cache: pannier::Cache,
    pub(crate) requests: Vec<u8>,
    /// A reply that was made at once; before the others.
    made: Option<Py<PyAny>>,
    replies: Vec<u8>,
    /// How far the replies were read.
    read: usize,
}

impl Line {
    pub(crate) fn new(client: pannier::Client, cache: &pannier::Cache) -> Self {
        let (requests, replies) = (Vec::new(), Vec::new());
        Self { client, cache: cache.clone(), requests, made: None, replies, read: 0 }
    }

    /// GET and SET of a key without options, when nothing speaks against it; false when nothing has
    /// happened.
    pub(crate) fn send_at_once(
        &mut self,
        args: &Bound<'_, PyTuple>,
        style: &Style,
    ) -> PyResult<bool> {
        let py = args.py();
        let (name, len) = (args.get_borrowed_item(0), args.len());
        let Ok(name) = name else { return Ok(false) };
        let (is_get, is_set) = (
            len == 2 && name.is(pyo3::intern!(py, "GET")),
            len == 3 && name.is(pyo3::intern!(py, "SET")),
        );
        if !(is_get || is_set) || !self.is_read() || brief::is_long_running(&self.cache) {
            return Ok(false);
        }
        let arg = |at: usize| Bytes::of(&args.get_item(at)?);
        let key = arg(1)?;
        if is_set {
            let value = arg(2)?;
            if !self.client.set_at_once(key.as_slice(), value.as_slice()) {
                return Ok(false);
            }
            self.made = Some(style.string(py, b"OK")?.unbind());
            return Ok(true);
        }
        let read = |value: &[u8]| style.string_at_once(py, value);
        match self.client.get_with_at_once(key.as_slice(), read) {
            None => return Ok(false),
            Some(None) => self.made = Some(py.None()),
            Some(Some(Ok(made))) => self.made = Some(made.unbind()),
            // To be decoded, or found to be no text, when it is received.
            Some(Some(Err(value))) => request::string(&value, &mut self.replies),
        }
        Ok(true)
    }

    /// Executes a command that is brief and usual, or appends it and says how long it may take.
    pub(crate) fn append(
        &mut self,
        args: &Bound<'_, PyTuple>,
        style: &Style,
    ) -> PyResult<Option<Span>> {
        if self.send_at_once(args, style)? {
            return Ok(None);
        }
        request::encode(args, &mut self.requests)?;
        let name = request::name(args)?;
        Ok(Some(brief::span(&self.cache, name.as_slice(), args.len())))
    }

    /// Whether there is so little in the cache that nothing but a script takes long, and nobody is
    /// in the way.
    pub(crate) fn has_little(&self) -> bool {
        self.cache.engine().used_memory() < LITTLE
            && self.requests.len() < BRIEF_MAX
            && !self.cache.is_held_up()
    }

    /// Whether everything was received.
    pub(crate) fn is_read(&self) -> bool {
        self.made.is_none() && self.replies.is_empty()
    }

    /// The kind of what is received next, if it has come and is no object already.
    pub(crate) fn next_mark(&self) -> Option<u8> {
        if self.made.is_some() { None } else { self.replies.get(self.read).copied() }
    }

    /// Executes the requests that were appended.
    pub(crate) fn run(&mut self, py: Python<'_>, long: bool) -> PyResult<()> {
        self.check_open()?;
        if long || self.requests.len() > BRIEF_MAX {
            py.detach(|| self.run_long());
        } else {
            self.feed();
        }
        Ok(())
    }

    /// The same for what takes long, by whoever does not hold the interpreter's lock.
    pub(crate) fn run_long(&mut self) {
        brief::while_long(|| self.feed());
    }

    fn feed(&mut self) {
        let Self { client, requests, replies, .. } = self;
        client.feed(requests, replies);
        requests.clear();
        requests.shrink_to(KEPT_MAX);
    }

    /// Says that it was closed, and forgets what was to be executed.
    pub(crate) fn check_open(&mut self) -> PyResult<()> {
        if self.client.is_closed() {
            self.requests.clear();
            return Err(closed());
        }
        Ok(())
    }

    /// The next reply, when there is one.
    pub(crate) fn receive<'py>(
        &mut self,
        py: Python<'py>,
        style: &Style,
        raw: bool,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        if let Some(made) = self.made.take() {
            let made = made.into_bound(py);
            // What is text at once is UTF-8.
            return match made.cast::<PyString>() {
                Ok(text) if raw => Ok(Some(text.encode_utf8()?.into_any())),
                _ => Ok(Some(made)),
            };
        }
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
    pub(crate) fn arm(&mut self, waker: &Waker) -> Option<Duration> {
        if self.is_read() {
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

#[cold]
pub(crate) fn closed() -> PyErr {
    PyConnectionError::new_err("this client was closed")
}

/// Requests of more bytes are not brief, whatever they ask.
const BRIEF_MAX: usize = 64 << 10;

/// What a client keeps of its buffers.
const KEPT_MAX: usize = 64 << 10;

/// Commands that work on so many bytes take a millisecond or two.
const LITTLE: usize = 4 << 20;
