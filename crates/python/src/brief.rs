//! Which commands are brief enough to keep the interpreter's lock, and which may wait.
//!
//! Giving the lock away costs little by itself, but a thread that waits for it then runs for a
//! whole switch interval (5 ms) before we are back: far too much for a command that takes a
//! microsecond. So a command that the command table calls fast (constant or logarithmic time)
//! keeps the lock, and anything else gives it away. While something long runs, every command
//! gives it away, because it may have to wait for a shard that is held: what runs here is counted
//! before it gives the lock away, a script is known to the engine, and what else a server's client
//! may have sent is seen by the shards that stay locked.
//!
//! The names come from the table itself, by COMMAND, once in a process. Neighbours: `client` and
//! `cache` ask here.

use std::collections::HashMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use pyo3::prelude::*;

/// How long a command may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Span {
    /// A microsecond or a few.
    Brief,
    /// As long as what it works on is large.
    Long,
    /// As long as somebody has written it to: a script, or many requests.
    Script,
    /// Until somebody else does something.
    Waits,
    /// As long as what is in its way, whatever it is itself.
    Held,
}

impl Span {
    /// Whether the interpreter's lock is given away meanwhile. What waits does so later.
    pub(crate) fn is_long(self) -> bool {
        matches!(self, Self::Long | Self::Script | Self::Held)
    }
}

/// How long a command of so many arguments may take.
pub(crate) fn span(cache: &pannier::Cache, name: &[u8], args: usize) -> Span {
    if is_in_the_way(cache) {
        return Span::Held;
    }
    let mut lower = [0; NAME_MAX];
    let Some(lower) = lower.get_mut(..name.len()) else { return Span::Long };
    lower.copy_from_slice(name);
    lower.make_ascii_lowercase();
    match SPANS.get().and_then(|spans| spans.get(&*lower)) {
        Some(Span::Brief) if args > ARGS_MAX => Span::Long,
        Some(span) => *span,
        None => Span::Long,
    }
}

/// Whether a command runs what somebody has written.
pub(crate) fn is_script(name: &[u8]) -> bool {
    let spans = SPANS.get();
    spans.and_then(|spans| spans.get(&*name.to_ascii_lowercase())) == Some(&Span::Script)
}

/// How long packed requests may take; few of them are long at most, unless one may run a script.
pub(crate) fn span_of_packed(cache: &pannier::Cache, requests: &[u8]) -> Span {
    let runs = |word: &[u8]| SCRIPTS.iter().any(|name| word.eq_ignore_ascii_case(name));
    if is_in_the_way(cache) {
        Span::Held
    } else if requests.len() > FEW_BYTES || requests.windows(SCRIPTS[0].len()).any(runs) {
        Span::Script
    } else {
        Span::Long
    }
}

/// Learns the names from the reply to COMMAND, when nobody has yet.
pub(crate) fn learn<'py>(ask: impl FnOnce() -> PyResult<Bound<'py, PyAny>>) -> PyResult<()> {
    if SPANS.get().is_none() {
        let rows: Vec<Bound<'py, PyAny>> = ask()?.extract()?;
        let spans: PyResult<Vec<_>> = rows.iter().map(span_of_row).collect();
        let spans = spans?.into_iter().flatten().collect();
        SPANS.get_or_init(|| spans);
    }
    Ok(())
}

/// Name and span of a row; none for what is neither brief nor waits.
fn span_of_row(row: &Bound<'_, PyAny>) -> PyResult<Option<(Vec<u8>, Span)>> {
    let name: Vec<u8> = row.get_item(0)?.extract()?;
    let flags: Vec<Vec<u8>> = row.get_item(2)?.extract()?;
    let categories: Vec<Vec<u8>> = row.get_item(6)?.extract()?;
    let has = |wanted: &[u8]| flags.iter().any(|flag| flag == wanted);
    let span = if has(b"blocking") {
        Some(Span::Waits)
    } else if categories.iter().any(|category| category == b"@scripting")
        || SCRIPTS_TOO.contains(&&*name)
    {
        Some(Span::Script)
    } else if has(b"fast") || BRIEF_TOO.contains(&&*name) {
        Some(Span::Brief)
    } else {
        None
    };
    Ok(span.map(|span| (name, span)))
}

/// Whether something long is known to run, for which even brief commands may have to wait: called
/// from here, or a script that a client of a server has sent. Direct calls ask no more, because
/// they give up where a shard is held.
#[inline]
pub(crate) fn is_long_running(cache: &pannier::Cache) -> bool {
    LONG.load(Relaxed) > 0 || cache.runs_script()
}

/// Whether something is in the way of a command, so that it would wait for a shard.
pub(crate) fn is_in_the_way(cache: &pannier::Cache) -> bool {
    is_long_running(cache) || cache.is_held_up()
}

/// While there is one, something long runs and nothing counts as brief. It is made under the
/// interpreter's lock, so that nobody comes between.
pub(crate) struct Long(());

impl Long {
    pub(crate) fn begin() -> Self {
        LONG.fetch_add(1, Relaxed);
        Self(())
    }
}

impl Drop for Long {
    fn drop(&mut self) {
        LONG.fetch_sub(1, Relaxed);
    }
}

/// Runs something long without the interpreter's lock.
pub(crate) fn detached<R: Send>(py: Python<'_>, work: impl FnOnce() -> R + Send) -> R {
    let long = Long::begin();
    py.detach(|| {
        let done = work();
        drop(long);
        done
    })
}

/// In a forked child nothing runs of what ran in the parent.
pub(crate) fn forked() {
    LONG.store(0, Relaxed);
}

/// Not called fast, because what they replace or remove may be large; here that is freed in the
/// background.
const BRIEF_TOO: [&[u8]; 8] =
    [b"set", b"setex", b"psetex", b"getset", b"del", b"unlink", b"getrange", b"setrange"];

/// What they run may be a script.
const SCRIPTS_TOO: [&[u8]; 2] = [b"exec", b"debug"];

static SPANS: OnceLock<HashMap<Vec<u8>, Span>> = OnceLock::new();

/// How the names of commands begin that run scripts.
const SCRIPTS: [&[u8]; 2] = [b"eval", b"fcal"];

/// Packed requests of no more bytes are a few.
const FEW_BYTES: usize = 4 << 10;

/// How many long ones run.
static LONG: AtomicUsize = AtomicUsize::new(0);

/// Whoever passes more arguments than these may keep the engine busy with any command.
const ARGS_MAX: usize = 64;

/// No command that is fast has a longer name.
const NAME_MAX: usize = 24;
