//! Test tools: what goes wrong on purpose, and what clients have sent.
//!
//! Both are of the whole engine, so either hangs on a cache of it, and follows that into a forked
//! child as the cache does. Conditions (which commands, keys, clients) are the library's; they come
//! as one tuple, because Python's side spells them out as keywords. What was recorded is taken from
//! the engine as a whole when it is asked for, and can then be searched again and again, also when
//! the engine records something else meanwhile.
//!
//! Neighbours: `pannier::Faults` and `pannier::Recorder` do the work; `python/pannier/faults.py`
//! and `recorder.py` are what users see. Tests: `tests/python/test_tools.py`.

use std::time::Duration;

use pannier::{Condition, Fault, Recorded, Recording};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use crate::cache::Cache;

/// Commands, a pattern for keys, number and name of a client, a user.
type Wanted = (Vec<String>, Option<Vec<u8>>, Option<u64>, Option<String>, Option<String>);

/// Number, words, hits, how often still.
type Rule = (u64, String, u64, Option<u64>);

/// Rules by which requests fail.
#[pyclass(frozen, module = "pannier._native")]
pub(crate) struct Faults {
    cache: Py<Cache>,
}

#[pymethods]
impl Faults {
    #[new]
    fn new(cache: Py<Cache>) -> Self {
        Self { cache }
    }

    /// Puts a rule into force and returns its number. `what` is `delay` (of `amount` microseconds),
    /// `error` (of a text), `drop before`, `drop after`, `cut` (behind `amount` bytes) or `refuse`.
    #[pyo3(signature = (what, amount, text, wanted, probability, seed, times))]
    #[expect(clippy::too_many_arguments, reason = "Python's side of it has keywords")]
    fn add(
        &self,
        what: &str,
        amount: u64,
        text: &str,
        wanted: Wanted,
        probability: Option<f64>,
        seed: Option<u64>,
        times: Option<u64>,
    ) -> PyResult<u64> {
        let mut fault = match what {
            "delay" => Fault::delay(Duration::from_micros(amount)),
            "error" => Fault::error(text),
            "drop before" => Fault::drop_before(),
            "drop after" => Fault::drop_after(),
            "cut" => Fault::cut(usize::try_from(amount)?),
            "refuse" => Fault::refuse(),
            _ => return Err(PyValueError::new_err(format!("{what}: there is no such fault"))),
        };
        fault = fault.when(condition(wanted));
        if let Some(probability) = probability {
            fault = fault.probability(probability);
        }
        if let Some(seed) = seed {
            fault = fault.seed(seed);
        }
        if let Some(times) = times {
            fault = fault.times(times);
        }
        self.faults()?.add(fault).map_err(refused)
    }

    /// All rules.
    fn list(&self) -> PyResult<Vec<Rule>> {
        let rules = self.faults()?.list().into_iter();
        Ok(rules.map(|rule| (rule.id, rule.fault.to_string(), rule.hits, rule.left)).collect())
    }

    /// Removes a rule; whether there was one of this number.
    fn remove(&self, id: u64) -> PyResult<bool> {
        Ok(self.faults()?.remove(id))
    }

    /// Removes all; how many there were.
    fn clear(&self) -> PyResult<usize> {
        Ok(self.faults()?.clear())
    }
}

impl Faults {
    fn faults(&self) -> PyResult<pannier::Faults> {
        Ok(self.cache.get().cache()?.faults())
    }
}

/// What an engine writes down of its clients' requests.
#[pyclass(frozen, module = "pannier._native")]
pub(crate) struct Recorder {
    cache: Py<Cache>,
}

#[pymethods]
impl Recorder {
    #[new]
    fn new(cache: Py<Cache>) -> Self {
        Self { cache }
    }

    /// Begins to write down the newest requests: so many, of so many bytes. When somebody has begun
    /// already that goes on, and the number of the last request is returned.
    fn start(&self, entries_max: usize, bytes_max: usize) -> PyResult<Option<u64>> {
        let cache = self.cache.get().cache()?;
        if cache.engine().is_recording() {
            return Ok(Some(cache.recorder().commands().last().map_or(0, |last| last.number)));
        }
        let condition = Condition::new();
        let recording = Recording { condition, entries_max, bytes_max };
        cache.recorder().start_with(recording).map_err(refused)?;
        Ok(None)
    }

    /// Writes nothing more down; whether it did.
    fn stop(&self) -> PyResult<bool> {
        Ok(self.cache.get().cache()?.recorder().stop())
    }

    /// What came after a request of this number.
    fn requests(&self, number: u64) -> PyResult<Requests> {
        let mut all = self.cache.get().cache()?.recorder().commands();
        all.retain(|request| request.number > number);
        let lost = all.first().map_or(0, |first| first.number - number - 1);
        Ok(Requests { all, lost })
    }
}

/// Requests that were written down.
#[pyclass(frozen, module = "pannier._native")]
pub(crate) struct Requests {
    all: Vec<Recorded>,
    #[pyo3(get)]
    lost: u64,
}

#[pymethods]
impl Requests {
    /// Those that are wanted.
    fn find(&self, wanted: Wanted) -> PyResult<Self> {
        let condition = condition(wanted);
        condition.check().map_err(|error| said(error.message()))?;
        let found = self.all.iter().filter(|request| request.fulfils(&condition));
        Ok(Self { all: found.cloned().collect(), lost: self.lost })
    }

    /// For each: its number, its round trip, the time in seconds, its client's number, name and
    /// user, the database, the arguments.
    fn rows<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyTuple>>> {
        let row = |request: &Recorded| {
            let args = request.args.iter().map(|arg| PyBytes::new(py, arg));
            let fields = (
                request.number,
                request.round_trip,
                request.time_us as f64 / 1e6,
                request.client,
                &request.name,
                &request.user,
                request.database,
                PyTuple::new(py, args)?,
            );
            fields.into_pyobject(py)
        };
        self.all.iter().map(row).collect()
    }

    fn __len__(&self) -> usize {
        self.all.len()
    }
}

fn condition((commands, key, client, name, user): Wanted) -> Condition {
    let mut condition = commands.into_iter().fold(Condition::new(), Condition::command);
    if let Some(key) = key {
        condition = condition.key(key);
    }
    if let Some(client) = client {
        condition = condition.client(client);
    }
    if let Some(name) = name {
        condition = condition.name(name);
    }
    if let Some(user) = user {
        condition = condition.user(user);
    }
    condition
}

fn refused(error: pannier::Error) -> PyErr {
    said(&error.to_string())
}

fn said(text: &str) -> PyErr {
    PyValueError::new_err(text.strip_prefix("ERR ").unwrap_or(text).to_owned())
}
