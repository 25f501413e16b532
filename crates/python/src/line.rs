//! A client's session, with what lies before and behind it.
//!
//! Requests are appended in wire form, executed, and their replies kept in wire form until they are
//! asked for: then they become objects, one by one. The two commands that are most of what a cache
//! is asked take a shorter way, on which no request and no reply is written: GET and SET of a key,
//! when nothing speaks against it, leave the object itself.
//!
//! Rules: what has come for a session may have to be fetched as a request is executed (a wait that
//! is over gives a shard something back), so not at once when something is in the way.
//!
//! Neighbours: `client` holds one behind a lock, and waits; `aside` runs one on another thread.

use std::task::{Context, Waker};
use std::time::Duration;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};

use crate::brief::{self, Span};
use crate::fork::ConnectionError;
use crate::reply::{Replies, Style};
use crate::request::{self, Bytes};
use crate::script::Script;

/// What was received.
pub(crate) enum Taken<'py> {
    /// A reply.
    Reply(Bound<'py, PyAny>),
    /// A message, or an error.
    Special(Bound<'py, PyAny>),
    /// Nothing yet.
    Nothing,
}

/// What a waker was left for.
pub(crate) enum Armed {
    /// Nothing: something can be received.
    Ready,
    /// What comes; it is to be looked for all the same after so long.
    For(Duration),
    /// Nothing: something has come, and something is in the way of fetching it.
    Held,
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
        let arg = |at: usize| Bytes::of_arg(&args.get_item(at)?, style.text.as_ref());
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
        request::encode(args, style.text.as_ref(), &mut self.requests)?;
        let name = request::name(args)?;
        Ok(Some(brief::span(&self.cache, name.as_slice(), args.len())))
    }

    /// The script that a command runs which was appended, if it does.
    pub(crate) fn script(&self, args: &Bound<'_, PyTuple>, span: Span) -> PyResult<Option<Script>> {
        let name = request::name(args)?;
        let text = args.get_item(1).ok().map(|text| Bytes::of(&text)).transpose()?;
        let words = [Some(name.as_slice()), text.as_ref().map(Bytes::as_slice)];
        Ok(Script::of(&self.cache, span, words))
    }

    /// Whether an event loop cannot wait for requests that may take so long. While there is little
    /// in a cache nothing but a script takes long.
    pub(crate) fn goes_aside(&self, span: Span) -> bool {
        match span {
            Span::Brief | Span::Waits => false,
            Span::Long => {
                self.cache.engine().used_memory() >= LITTLE || self.requests.len() >= BRIEF_MAX
            }
            Span::Script | Span::Held => true,
        }
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
            brief::detached(py, || self.feed());
        } else {
            self.feed();
        }
        Ok(())
    }

    /// The same, whatever it takes; without requests what has come is fetched.
    pub(crate) fn feed(&mut self) {
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

    /// The next reply, when there is one; otherwise a waker is left for it.
    pub(crate) fn receive<'py>(
        &mut self,
        py: Python<'py>,
        (style, waker): (&Style, &Waker),
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
            if let Armed::Held = self.arm(waker) {
                brief::detached(py, || self.feed());
            }
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
        // What a fault has left of a reply is none.
        let cut =
            |error: &PyErr| self.client.is_closed() && error.is_instance_of::<PyRuntimeError>(py);
        reply.map(Some).map_err(|error| if cut(&error) { closed() } else { error })
    }

    /// Leaves a waker for what comes, unless something is there already.
    pub(crate) fn arm(&mut self, waker: &Waker) -> Armed {
        if !self.is_read() || self.client.is_closed() {
            return Armed::Ready;
        }
        if self.client.poll_wake(&mut Context::from_waker(waker)).is_pending() {
            return Armed::For(self.client.time_left().unwrap_or(Duration::MAX));
        }
        if brief::is_in_the_way(&self.cache) {
            return Armed::Held;
        }
        self.feed();
        let came = !self.replies.is_empty() || self.client.is_closed();
        if came { Armed::Ready } else { Armed::For(Duration::ZERO) }
    }
}

#[cold]
pub(crate) fn closed() -> PyErr {
    ConnectionError::new_err("this client was closed")
}

/// Requests of more bytes are not brief, whatever they ask.
const BRIEF_MAX: usize = 64 << 10;

/// What a client keeps of its buffers.
const KEPT_MAX: usize = 64 << 10;

/// Commands that work on so many bytes take a millisecond or two.
const LITTLE: usize = 4 << 20;
