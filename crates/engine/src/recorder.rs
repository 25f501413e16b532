//! The recorder: the requests that clients have sent, for tests that assert what a program asks of
//! its cache, and in how many round trips.
//!
//! A request is written down before it runs, as it came: refused ones too, those of a transaction
//! when they are queued, EVAL but not what its script calls. Secrets are left out as in the logs.
//! With each stands the round trip that brought it. A shell says where one begins
//! (`Session::begin_batch`): where requests arrive while none of that client's was half-arrived or
//! waited in its buffer. So a pipeline of any length is one round trip, however the network
//! has cut it, unless it happens to be cut between two requests.
//!
//! Rules. What is kept is bounded in entries and in bytes; the oldest go first, and are counted.
//! The requests of PANNIER are never recorded. While it is off, all this is one check of a flag;
//! while it is on, requests are executed one by one (`exec::group`). Its lock is taken while no
//! shard is held, and over none but a client's labels. Neighbours: `condition` says which requests
//! are meant. Transcript: `server/pannier-recorder`.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use bytes::Bytes;
use pannier_lock::Mutex;
use pannier_resp::{Args, OwnedArgs};
use pannier_store::Now;

use crate::command::Command;
use crate::condition::Condition;
use crate::engine::Engine;
use crate::error::Error;
use crate::logs::{self, Request};
use crate::session::Session;

/// What the recorder writes down, and how much of it is kept.
///
/// ```
/// use pannier_engine::{Condition, Recording};
///
/// let all = Recording::default();
/// assert_eq!(all.entries_max, 10_000);
/// let writes = Recording { condition: Condition::new().command("@write"), ..all };
/// # assert!(writes.bytes_max > 0);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    /// Which requests.
    pub condition: Condition,
    /// How many are kept.
    pub entries_max: usize,
    /// How many bytes of arguments are kept.
    pub bytes_max: usize,
}

impl Default for Recording {
    fn default() -> Self {
        Self { condition: Condition::new(), entries_max: 10_000, bytes_max: 16 << 20 }
    }
}

/// A request that was sent.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Which request since the recorder was last cleared, from 1.
    pub number: u64,
    /// Which of its client's round trips brought it.
    pub round_trip: u64,
    /// When, in microseconds since the epoch.
    pub time_us: u64,
    /// Whose it was (CLIENT ID).
    pub client: u64,
    /// That client's name (CLIENT SETNAME).
    pub name: String,
    /// That client's user.
    pub user: String,
    /// The selected database.
    pub database: usize,
    /// The request; secrets are replaced by `(redacted)`.
    pub args: Vec<Bytes>,
    /// Its row, if it names one.
    command: Option<&'static Command>,
}

/// How much was recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Requests.
    pub commands: u64,
    /// Round trips that brought them.
    pub round_trips: u64,
    /// Requests that were not kept for want of room, and are not among those.
    pub lost: u64,
}

/// See the module's header.
#[derive(Default)]
pub(crate) struct Recorder {
    on: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    recording: Recording,
    entries: VecDeque<Recorded>,
    bytes: usize,
    number: u64,
    lost: u64,
}

impl Recorder {
    /// Whether requests are recorded.
    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.on.load(Relaxed)
    }

    /// Writes a request down, whose row is unknown when it names none.
    #[cold]
    pub(crate) fn record(
        &self,
        session: &Session,
        (command, args): (Option<&'static Command>, Args<'_>),
        now: Now,
    ) {
        if args.is_empty() || command.is_some_and(|command| command.name.starts_with("pannier")) {
            return;
        }
        let mut state = self.state.lock();
        if !self.is_on() || !state.recording.condition.holds(session, command, args) {
            return;
        }
        let labels = session.client.labels.lock().clone();
        state.number += 1;
        let entry = Recorded {
            number: state.number,
            round_trip: session.batch,
            time_us: now.unix_us,
            client: session.id(),
            name: labels.name,
            user: labels.user,
            database: session.database,
            args: kept(command, args),
            command,
        };
        state.bytes += entry.size();
        state.entries.push_back(entry);
        state.trim();
    }
}

impl State {
    fn trim(&mut self) {
        while self.entries.len() > self.recording.entries_max
            || self.bytes > self.recording.bytes_max
        {
            let Some(oldest) = self.entries.pop_front() else { return };
            self.bytes -= oldest.size();
            self.lost += 1;
        }
    }

    fn clear(&mut self) {
        let recording = std::mem::take(&mut self.recording);
        *self = Self { recording, ..Self::default() };
    }
}

impl Recorded {
    /// Bytes that it counts for.
    fn size(&self) -> usize {
        let args: usize = self.args.iter().map(|arg| arg.len() + size_of::<Bytes>()).sum();
        size_of::<Self>() + self.name.len() + self.user.len() + args
    }

    /// Whether a condition holds for it. For Pannier's other crates.
    #[doc(hidden)]
    pub fn fulfils(&self, condition: &Condition) -> bool {
        let args = OwnedArgs::new(&self.args);
        condition.held((self.client, &self.name, &self.user), self.command, args.args())
    }
}

/// A copy of the arguments without secrets, in one allocation.
fn kept(command: Option<&'static Command>, args: Args<'_>) -> Vec<Bytes> {
    let secrets: Vec<usize> = match command {
        Some(command) => logs::secrets(Request { command, args }).collect(),
        None => Vec::new(),
    };
    let all: Vec<u8> = args.iter().flatten().copied().collect();
    let (mut rest, mut kept) = (Bytes::from(all), Vec::with_capacity(args.len()));
    for (at, arg) in args.iter().enumerate() {
        let copy = rest.split_to(arg.len());
        kept.push(if secrets.contains(&at) { Bytes::from_static(logs::REDACTED) } else { copy });
    }
    kept
}

impl Engine {
    /// Forgets what was recorded, and writes down from now on what clients send.
    ///
    /// # Errors
    /// The condition names a command that does not exist, or nothing could be kept.
    pub fn start_recorder(&self, recording: Recording) -> Result<(), Error> {
        recording.condition.check()?;
        if recording.entries_max == 0 || recording.bytes_max == 0 {
            return Err(Error::NOT_POSITIVE);
        }
        let mut state = self.recorder.state.lock();
        *state = State { recording, ..State::default() };
        self.recorder.on.store(true, Relaxed);
        Ok(())
    }

    /// Writes nothing down any more; what was recorded stays. False when it was off.
    pub fn stop_recorder(&self) -> bool {
        self.recorder.on.swap(false, Relaxed)
    }

    /// Whether requests are recorded.
    pub fn is_recording(&self) -> bool {
        self.recorder.is_on()
    }

    /// Forgets what was recorded, and goes on if it is on; how many requests were kept.
    pub fn clear_recorder(&self) -> usize {
        let mut state = self.recorder.state.lock();
        let kept = state.entries.len();
        state.clear();
        kept
    }

    /// What was recorded and fulfils a condition, the oldest first.
    ///
    /// # Errors
    /// The condition names a command that does not exist.
    pub fn recorded(&self, condition: &Condition) -> Result<Vec<Recorded>, Error> {
        condition.check()?;
        let state = self.recorder.state.lock();
        let all = state.entries.iter();
        Ok(all.filter(|entry| entry.fulfils(condition)).cloned().collect())
    }

    /// How much was recorded that fulfils a condition. A round trip counts that has brought at
    /// least one such request.
    ///
    /// # Errors
    /// The condition names a command that does not exist.
    pub fn recorder_tally(&self, condition: &Condition) -> Result<Tally, Error> {
        condition.check()?;
        let state = self.recorder.state.lock();
        let found = state.entries.iter().filter(|entry| entry.fulfils(condition));
        let mut trips: Vec<_> = found.map(|entry| (entry.client, entry.round_trip)).collect();
        let commands = trips.len() as u64;
        trips.sort_unstable();
        trips.dedup();
        Ok(Tally { commands, round_trips: trips.len() as u64, lost: state.lost })
    }
}
