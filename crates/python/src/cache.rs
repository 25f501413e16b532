//! A cache without a socket: one logical database of an engine in this process.
//!
//! Caches made from one another share the engine. After a fork the engine is the parent's, whose
//! threads may hold its locks, so the child leaves it alone and opens an empty one of its own by
//! the same directives when it first uses the cache: a cache may forget. Each fork adds a link to
//! a chain that starts at the parent's; there is no lock on the way to the first.
//!
//! Rules: what is brief keeps the interpreter's lock, everything else gives it away (`brief`). No
//! lock of the engine is held while an object is made whose making may run Python code; a bytes
//! object or a str runs none.
//!
//! Neighbours: `client` for whatever needs a session; `python/pannier/cache.py` has the methods
//! that users see. Tests: `tests/python/test_cache.py`.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use pannier::SetOptions;
use pyo3::exceptions::{PyIndexError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyInt, PyTuple};

use crate::brief::{self, Span};
use crate::checkpoint::Checkpoint;
use crate::client::Client;
use crate::fork::{Birthplace, PannierError};
use crate::line::closed;
use crate::reply::{Replies, Style, Text};
use crate::request::{self, Bytes};
use crate::script::Script;
use crate::server::Server;

/// One database of a cache in this process.
#[pyclass(subclass, frozen, module = "pannier._native")]
pub(crate) struct Cache {
    family: Arc<Family>,
    handles: Link,
    style: Style,
    #[pyo3(get)]
    db: usize,
}

/// Whose engine a cache is to share.
#[derive(FromPyObject)]
enum Source<'py> {
    /// Another cache's.
    Cache(Bound<'py, Cache>),
    /// A server's.
    Server(Bound<'py, Server>),
}

/// What caches of one engine share.
pub(crate) struct Family {
    directives: Vec<(String, String)>,
    seed: Option<u64>,
    engines: Link,
}

/// A cache by the process that it was opened in.
struct Link {
    birthplace: Birthplace,
    cache: Option<pannier::Cache>,
    next: OnceLock<Box<Self>>,
}

#[pymethods]
impl Cache {
    /// Opens an engine by directives, or another database of a given cache's or server's. `text`
    /// is encoding and error handler of strings that are to be decoded; `error` makes an exception
    /// of an error's text, `push` something of a message.
    #[new]
    #[pyo3(signature = (other, directives, seed, db, text, error, push))]
    #[expect(clippy::too_many_arguments, reason = "Python's side of it has keywords")]
    fn new(
        py: Python<'_>,
        other: Option<Source<'_>>,
        directives: Vec<(String, String)>,
        seed: Option<u64>,
        db: usize,
        text: Option<(String, String)>,
        error: Py<PyAny>,
        push: Py<PyAny>,
    ) -> PyResult<Self> {
        let family = match other {
            Some(Source::Cache(other)) => Arc::clone(&other.get().family),
            Some(Source::Server(server)) => Arc::new(server.get().family()?),
            None => py.detach(|| Family::open(directives, seed)).map(Arc::new)?,
        };
        let handle = family.database(db)?;
        let text = text.map(|(encoding, errors)| Text::new(encoding, errors));
        let style = Style { text, error, push };
        let cache = Self { handles: Link::new(handle), family, style, db };
        brief::learn(|| cache.run(py, &PyTuple::new(py, ["COMMAND"])?, true))?;
        Ok(cache)
    }

    /// How many databases there are.
    #[getter]
    fn databases(&self) -> PyResult<usize> {
        Ok(self.cache()?.databases())
    }

    /// Number of keys in this database.
    fn __len__(&self) -> PyResult<usize> {
        Ok(self.cache()?.len())
    }

    /// A cache is true, also an empty one: `if cache:` asks whether there is one.
    fn __bool__(&self) -> bool {
        true
    }

    /// The value of a key, None when there is none.
    fn get<'py>(&self, py: Python<'py>, name: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let cache = self.cache()?;
        let key = Bytes::of_arg(name, self.style.text.as_ref())?;
        if !brief::is_long_running(cache)
            && let Some(found) =
                cache.get_with_at_once(key.as_slice(), |value| self.style.string_at_once(py, value))
        {
            return match found {
                Some(Ok(made)) => Ok(made),
                Some(Err(value)) => self.style.string(py, &value),
                None => Ok(py.None().into_bound(py)),
            };
        }
        self.run_words(py, &[Bytes::Made(b"GET".to_vec()), key], false)
    }

    /// Stores a value; True, or None when a condition forbade it.
    ///
    /// `ex` and `px` are a lifetime in seconds and milliseconds, `exat` and `pxat` its end;
    /// `keepttl` leaves it as it was. `nx` only makes, `xx` only replaces. `get` returns what was
    /// there before.
    #[pyo3(signature = (
        name, value, ex = None, px = None, nx = false, xx = false, keepttl = false, get = false,
        exat = None, pxat = None
    ))]
    #[expect(clippy::too_many_arguments, reason = "redis-py's signature")]
    fn set<'py>(
        slf: &Bound<'py, Self>,
        name: &Bound<'py, PyAny>,
        value: &Bound<'py, PyAny>,
        ex: Option<Bound<'py, PyAny>>,
        px: Option<Bound<'py, PyAny>>,
        nx: bool,
        xx: bool,
        keepttl: bool,
        get: bool,
        exat: Option<Bound<'py, PyAny>>,
        pxat: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let is_special = nx || xx || keepttl || get || exat.is_some() || pxat.is_some();
        let ttl = if is_special { None } else { ttl(ex.as_ref(), px.as_ref()) };
        if let Some(ttl) = ttl
            && slf.get().set_at_once(name, value, ttl)?
        {
            return Ok(PyBool::new(py, true).to_owned().into_any());
        }
        let options = PyDict::new(py);
        for (word, value) in [("ex", ex), ("px", px), ("exat", exat), ("pxat", pxat)] {
            options.set_item(word, value)?;
        }
        for (word, value) in [("nx", nx), ("xx", xx), ("keepttl", keepttl), ("get", get)] {
            options.set_item(word, value)?;
        }
        let commands = py.import("pannier.commands.strings")?.getattr("StringCommands")?;
        commands.call_method("set", (slf, name, value), Some(&options))
    }

    /// Runs any command and returns its reply as RESP3 shapes it; raises what it refuses.
    #[pyo3(signature = (*args))]
    fn execute<'py>(
        &self,
        py: Python<'py>,
        args: &Bound<'py, PyTuple>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.run(py, args, false)
    }

    /// The same, with strings as bytes whatever this cache decodes.
    #[pyo3(signature = (*args))]
    fn execute_raw<'py>(
        &self,
        py: Python<'py>,
        args: &Bound<'py, PyTuple>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.run(py, args, true)
    }

    /// A state to come back to.
    fn checkpoint(&self, py: Python<'_>) -> PyResult<Checkpoint> {
        Checkpoint::new(py, self.cache()?)
    }

    /// A session of its own that begins in this database. Given functions take the place of this
    /// cache's, and so does `text`.
    #[pyo3(signature = (text, error, push))]
    fn connect(
        &self,
        text: Option<(String, String)>,
        error: Py<PyAny>,
        push: Py<PyAny>,
    ) -> PyResult<Client> {
        let text = text.map(|(encoding, errors)| Text::new(encoding, errors));
        Ok(Client::new(self.cache()?, Style { text, error, push }))
    }
}

impl Cache {
    /// The cache of this process.
    #[inline]
    pub(crate) fn cache(&self) -> PyResult<&pannier::Cache> {
        self.handles.here(|| self.family.database(self.db))
    }

    fn run<'py>(
        &self,
        py: Python<'py>,
        args: &Bound<'py, PyTuple>,
        raw: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.run_words(py, &request::words(args, self.style.text.as_ref())?, raw)
    }

    fn run_words<'py>(
        &self,
        py: Python<'py>,
        args: &[Bytes<'py>],
        raw: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let cache = self.cache()?;
        let replied = match brief::span(cache, args[0].as_slice(), args.len()) {
            Span::Brief => cache.call_bytes_at_once(args),
            span @ (Span::Long | Span::Script | Span::Held) => {
                let words = [args.first(), args.get(1)].map(|arg| arg.map(Bytes::as_slice));
                let script = Script::of(cache, span, words);
                if let Some(script) = &script
                    && script.is_to_be_watched(py)
                {
                    let client = Client::new(cache, self.style.clone_ref(py));
                    return client.ask(py, args, raw, Some((script, cache)));
                }
                let args: Vec<Vec<u8>> = args.iter().map(|arg| arg.as_slice().to_vec()).collect();
                let replied = brief::detached(py, || cache.call_bytes_at_once(&args));
                script.iter().for_each(Script::ended);
                replied
            }
            // As a client of its own, so that signals are seen meanwhile.
            Span::Waits => {
                return Client::new(cache, self.style.clone_ref(py)).ask(py, args, raw, None);
            }
        };
        match replied.map_err(|error| self.failed(py, &error))? {
            Ok(replied) => {
                let reply = Replies::new(py, &self.style, raw, (&replied, 0)).next()?;
                if matches!(replied.first(), Some(b'-' | b'!')) {
                    return Err(PyErr::from_value(reply));
                }
                Ok(reply)
            }
            // Held back by a pause or a fault: it waits as a client that sees signals.
            Err(held) => Client::of(held, cache, self.style.clone_ref(py)).reply(py, raw),
        }
    }

    /// Whether a value was stored at once.
    fn set_at_once(
        &self,
        key: &Bound<'_, PyAny>,
        value: &Bound<'_, PyAny>,
        ttl: Option<Duration>,
    ) -> PyResult<bool> {
        let cache = self.cache()?;
        let options = SetOptions::new();
        let options = ttl.map_or(options, |ttl| options.ttl(ttl));
        let text = self.style.text.as_ref();
        let (key, value) = (Bytes::of_arg(key, text)?, Bytes::of_arg(value, text)?);
        let (key, value) = (key.as_slice(), value.as_slice());
        Ok(!brief::is_long_running(cache) && cache.set_with_at_once(key, value, &options))
    }

    #[cold]
    fn failed(&self, py: Python<'_>, error: &pannier::Error) -> PyErr {
        match error {
            pannier::Error::Reply(reply) => {
                let made = self.style.error.bind(py).call1((reply.text(),));
                made.map_or_else(|error| error, PyErr::from_value)
            }
            pannier::Error::Closed => closed(),
            pannier::Error::NeedsClient => PannierError::new_err(NEEDS_CLIENT),
            error => PannierError::new_err(error.to_string()),
        }
    }
}

impl Family {
    /// That of a cache which somebody else has opened, by these directives.
    pub(crate) fn of(
        cache: pannier::Cache,
        directives: Vec<(String, String)>,
        seed: Option<u64>,
    ) -> Self {
        Self { directives, seed, engines: Link::new(cache) }
    }

    fn open(directives: Vec<(String, String)>, seed: Option<u64>) -> PyResult<Self> {
        let cache = open(&directives, seed)?;
        Ok(Self { directives, seed, engines: Link::new(cache) })
    }

    /// A handle to a database of this process's engine.
    fn database(&self, db: usize) -> PyResult<pannier::Cache> {
        let engine = self.engines.here(|| open(&self.directives, self.seed))?;
        engine.db(db).map_err(|error| PyIndexError::new_err(error.to_string()))
    }
}

/// A lifetime in whole numbers, which is the usual; none for anything else, which is for Python.
fn ttl(ex: Option<&Bound<'_, PyAny>>, px: Option<&Bound<'_, PyAny>>) -> Option<Option<Duration>> {
    let whole = |value: &Bound<'_, PyAny>| {
        let value: u64 = value.is_exact_instance_of::<PyInt>().then(|| value.extract().ok())??;
        (1..=LIFETIME_MAX_S).contains(&value).then_some(value)
    };
    match (ex, px) {
        (None, None) => Some(None),
        (Some(ex), None) => Some(Some(Duration::from_secs(whole(ex)?))),
        (None, Some(px)) => Some(Some(Duration::from_millis(whole(px)?))),
        (Some(_), Some(_)) => None,
    }
}

/// The clock of an engine: one that can be moved in test mode.
pub(crate) fn clock(directives: &[(String, String)]) -> pannier::Clock {
    let tests = directives.iter().any(|(name, value)| name == "test-mode" && value == "yes");
    if tests { pannier::Clock::adjustable().0 } else { pannier::Clock::system() }
}

fn open(directives: &[(String, String)], seed: Option<u64>) -> PyResult<pannier::Cache> {
    let mut builder = pannier::Cache::builder().clock(clock(directives));
    for (name, value) in directives {
        builder = builder.directive(name, value);
    }
    if let Some(seed) = seed {
        builder = builder.seed(seed);
    }
    builder.build().map_err(|error| PyValueError::new_err(error.to_string()))
}

impl Link {
    fn new(cache: pannier::Cache) -> Self {
        Self { birthplace: Birthplace::here(), cache: Some(cache), next: OnceLock::new() }
    }

    /// The cache of this process, made at need.
    #[inline]
    fn here(&self, make: impl Fn() -> PyResult<pannier::Cache>) -> PyResult<&pannier::Cache> {
        match &self.cache {
            Some(cache) if self.birthplace.is_here() => Ok(cache),
            _ => self.in_child(make),
        }
    }

    #[cold]
    fn in_child(&self, make: impl Fn() -> PyResult<pannier::Cache>) -> PyResult<&pannier::Cache> {
        let mut link = self;
        loop {
            link = match link.next.get() {
                Some(next) => next,
                None => {
                    let made = Box::new(Self::new(make()?));
                    link.next.get_or_init(|| made)
                }
            };
            if link.birthplace.is_here() {
                let gone = || PyRuntimeError::new_err("a cache was dropped while it was used");
                return link.cache.as_ref().ok_or_else(gone);
            }
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if !self.birthplace.is_here() {
            std::mem::forget(self.cache.take());
        }
    }
}

const NEEDS_CLIENT: &str = "the command changes the state of its connection, and a cache has none: \
    use pipeline(), pubsub(), or redis()";

/// Longer lifetimes are for the command to refuse: here a century and more.
const LIFETIME_MAX_S: u64 = u32::MAX as u64;
