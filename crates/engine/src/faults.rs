//! Faults: what goes wrong on purpose, so that a test sees how a client takes it.
//!
//! A [`Fault`] says what happens (a delay, an error, a lost connection, half a reply), to which
//! requests (`condition`), how likely and how often. A request is judged once, when it could run:
//! all rules that hold for it are hit in the order in which they were added, delays add up, and the
//! first that is no delay decides the rest. A delayed request is held back as by CLIENT PAUSE, so
//! nobody else waits for it. Everything follows the engine's clock and a seed.
//!
//! Rules. The requests of PANNIER are never judged, or nobody could remove a rule. A rule that has
//! been hit as often as it was to be stays in the list, with its hits, and costs nothing more. Of
//! the commands inside a transaction or a script the requests are judged that bring them, not their
//! execution. While no rule is left, all this is one check of a flag. The lock of the list is held
//! over none but a client's labels. Neighbours: `exec::fault` carries out, the shell refuses
//! connections. Transcript: `server/pannier-fault`; with sockets, `tests/faults.rs` of `server`.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use pannier_lock::Mutex;
use pannier_resp::Args;

use crate::command::Command;
use crate::condition::Condition;
use crate::engine::Engine;
use crate::error::Error;
use crate::mailbox::Letter;
use crate::session::Session;

/// What happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// The request runs so many milliseconds later.
    Delay(u64),
    /// It does not run, and gets an error.
    Error(ErrorText),
    /// It does not run, and the connection is closed.
    DropBefore,
    /// It runs, and the connection is closed behind so many bytes of its reply.
    Cut(usize),
    /// A new connection is closed at once.
    Refuse,
}

/// Which error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ErrorText {
    /// With this text.
    Fixed(String),
    /// To the server's own address, with the slot of the request's first key.
    Moved,
}

/// Something that goes wrong, and when. [`Engine::add_fault`] puts it into force.
///
/// ```
/// use pannier_engine::Fault;
///
/// let fault = Fault::error("READONLY").command("set").key("user:*").times(3);
/// assert_eq!(fault.to_string(), "ERROR READONLY COMMAND set KEY user:* COUNT 3");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    pub(crate) action: Action,
    pub(crate) condition: Condition,
    /// How many of the requests are hit, between 0 and 1.
    pub(crate) probability: Option<f64>,
    pub(crate) seed: Option<u64>,
    pub(crate) count: Option<u64>,
}

/// A fault in force.
#[derive(Clone, Debug, PartialEq)]
pub struct FaultRule {
    /// What it is removed by.
    pub id: u64,
    /// What goes wrong, and when.
    pub fault: Fault,
    /// How often it has happened.
    pub hits: u64,
    /// How often it will happen, if that is limited.
    pub left: Option<u64>,
}

impl Fault {
    pub(crate) fn new(action: Action) -> Self {
        let condition = Condition::new();
        Self { action, condition, probability: None, seed: None, count: None }
    }

    /// Requests run so much later (in whole milliseconds, rounded up).
    pub fn delay(time: Duration) -> Self {
        let ms = time.as_micros().div_ceil(1_000);
        Self::new(Action::Delay(u64::try_from(ms).unwrap_or(u64::MAX)))
    }

    /// Requests do not run and get this error. `LOADING`, `READONLY`, `OOM` and `MOVED` alone stand
    /// for what a server says then; `MOVED` leads to where the client is connected already. A text
    /// that does not begin with a code in capitals gets `ERR` before it.
    pub fn error(text: impl AsRef<str>) -> Self {
        Self::new(Action::Error(ErrorText::of(text.as_ref())))
    }

    /// Connections are closed in place of running requests.
    pub fn drop_before() -> Self {
        Self::new(Action::DropBefore)
    }

    /// Connections are closed after requests have run, in place of a reply.
    pub fn drop_after() -> Self {
        Self::new(Action::Cut(0))
    }

    /// Connections are closed when so many bytes of a reply are written.
    pub fn cut(bytes: usize) -> Self {
        Self::new(Action::Cut(bytes))
    }

    /// New connections over sockets are closed at once. Only [`Fault::probability`] and
    /// [`Fault::times`] say which.
    pub fn refuse() -> Self {
        Self::new(Action::Refuse)
    }

    /// Only requests of this command or category: see [`Condition::command`].
    #[must_use]
    pub fn command(mut self, word: impl Into<String>) -> Self {
        self.condition = self.condition.command(word);
        self
    }

    /// Only requests with a key that matches this glob pattern.
    #[must_use]
    pub fn key(mut self, pattern: impl Into<Vec<u8>>) -> Self {
        self.condition = self.condition.key(pattern);
        self
    }

    /// Only requests that fulfil this, instead of what was said before.
    #[must_use]
    pub fn when(mut self, condition: Condition) -> Self {
        self.condition = condition;
        self
    }

    /// Only so many of them, between 0 and 1, chosen at random.
    #[must_use]
    pub fn probability(mut self, probability: f64) -> Self {
        self.probability = Some(probability);
        self
    }

    /// The seed of that choice; without it, it follows from the engine's seed.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Only the next so many.
    #[must_use]
    pub fn times(mut self, count: u64) -> Self {
        self.count = Some(count);
        self
    }

    fn check(&self) -> Result<(), Error> {
        self.condition.check()?;
        if self.action == Action::Refuse && !self.condition.is_empty() {
            return Err(REFUSES_ALL);
        }
        if self.probability.is_some_and(|probability| !(0.0..=1.0).contains(&probability)) {
            return Err(NO_PROBABILITY);
        }
        match &self.action {
            Action::Error(ErrorText::Fixed(text)) if text.contains(['\r', '\n']) => Err(TWO_LINES),
            Action::Delay(ms) if *ms > DELAY_MS_MAX => Err(Error::OUT_OF_RANGE),
            _ => Ok(()),
        }
    }

    /// The words of it, as PANNIER FAULT ADD takes them.
    pub(crate) fn words(&self) -> Vec<Vec<u8>> {
        let mut words: Vec<Vec<u8>> = match &self.action {
            Action::Delay(ms) => vec!["DELAY".into(), ms.to_string().into()],
            Action::Error(text) => vec!["ERROR".into(), text.word().into()],
            Action::DropBefore => vec!["DROP".into(), "BEFORE".into()],
            Action::Cut(0) => vec!["DROP".into(), "AFTER".into()],
            Action::Cut(bytes) => vec!["CUT".into(), bytes.to_string().into()],
            Action::Refuse => vec!["REFUSE".into()],
        };
        words.extend(self.condition.words());
        let mut say = |word: &str, value: String| words.extend([word.into(), value.into()]);
        if let Some(probability) = self.probability {
            say("PROBABILITY", probability.to_string());
        }
        if let Some(seed) = self.seed {
            say("SEED", seed.to_string());
        }
        if let Some(count) = self.count {
            say("COUNT", count.to_string());
        }
        words
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.words().join(&b' ')))
    }
}

impl ErrorText {
    /// The error that a text stands for.
    pub(crate) fn of(text: &str) -> Self {
        if text == MOVED {
            return Self::Moved;
        }
        let known = KNOWN.iter().find(|(code, _)| *code == text);
        let code = text.split(' ').next().unwrap_or_default();
        let is_code = !code.is_empty() && code.bytes().all(|byte| byte.is_ascii_uppercase());
        Self::Fixed(match known {
            Some((_, error)) => error.message().to_owned(),
            None if is_code => text.to_owned(),
            None => format!("ERR {text}"),
        })
    }

    /// What it was made of, or what makes the same.
    fn word(&self) -> &str {
        match self {
            Self::Moved => MOVED,
            Self::Fixed(text) => {
                let known = KNOWN.iter().find(|(_, error)| error.message() == text);
                known.map_or(text, |(code, _)| code)
            }
        }
    }

    fn error(&self, session: &Session, command: &Command, args: Args<'_>) -> Error {
        match self {
            Self::Fixed(text) => Error::text(text.clone()),
            Self::Moved => {
                let mut key = None;
                command.key_positions(args, |at, _| {
                    key.get_or_insert(args.get(at));
                });
                let slot = key.map_or(0, slot);
                Error::text(format!("{MOVED} {slot} {}", session.client.laddr))
            }
        }
    }
}

/// All rules. See the module's header.
pub(crate) struct Faults {
    /// Some rule may still be hit by a request.
    any: AtomicBool,
    /// Some rule may still be hit by a new connection.
    refuses: AtomicBool,
    state: Mutex<State>,
}

struct State {
    last_id: u64,
    rules: Vec<Rule>,
    rng: fastrand::Rng,
}

struct Rule {
    public: FaultRule,
    rng: fastrand::Rng,
}

/// What a fault has in store for a session's request.
pub(crate) struct Fate {
    /// It does not run before (Unix milliseconds),
    pub(crate) until_ms: u64,
    /// unless one of these rules is gone.
    pub(crate) delays: Vec<u64>,
    /// What happens then.
    pub(crate) end: Option<End>,
    /// The connection is cut: what is replied already is all that is replied.
    pub(crate) done: bool,
}

/// How a request ends.
pub(crate) enum End {
    Error(Error),
    Before,
    Cut(usize),
}

impl Faults {
    pub(crate) fn new(seed: u64) -> Self {
        let (any, refuses) = (AtomicBool::new(false), AtomicBool::new(false));
        let rng = fastrand::Rng::with_seed(seed);
        Self { any, refuses, state: Mutex::new(State { last_id: 0, rules: Vec::new(), rng }) }
    }

    /// Whether requests have to be judged.
    #[inline]
    pub(crate) fn any(&self) -> bool {
        self.any.load(Relaxed)
    }

    /// Which fate a request has, if any.
    pub(crate) fn judge(
        &self,
        session: &Session,
        (command, args): (&Command, Args<'_>),
        now_ms: u64,
    ) -> Option<Box<Fate>> {
        let mut state = self.state.lock();
        let mut fate = Fate { until_ms: now_ms, delays: Vec::new(), end: None, done: false };
        for rule in &mut state.rules {
            if rule.public.fault.action == Action::Refuse
                || !rule.public.fault.condition.holds(session, Some(command), args)
                || !rule.hit()
            {
                continue;
            }
            fate.end = Some(match &rule.public.fault.action {
                Action::Delay(ms) => {
                    fate.until_ms = fate.until_ms.saturating_add(*ms);
                    fate.delays.push(rule.public.id);
                    continue;
                }
                Action::Error(text) => End::Error(text.error(session, command, args)),
                Action::DropBefore | Action::Refuse => End::Before,
                Action::Cut(bytes) => End::Cut(*bytes),
            });
            break;
        }
        self.publish(&state);
        (fate.end.is_some() || !fate.delays.is_empty()).then(|| Box::new(fate))
    }

    /// Whether all of these rules are still there.
    pub(crate) fn has_all(&self, ids: &[u64]) -> bool {
        let state = self.state.lock();
        ids.iter().all(|id| state.rules.iter().any(|rule| rule.public.id == *id))
    }

    fn refuse(&self) -> bool {
        let mut state = self.state.lock();
        let mut refusals =
            state.rules.iter_mut().filter(|rule| rule.public.fault.action == Action::Refuse);
        let refused = refusals.any(Rule::hit);
        self.publish(&state);
        refused
    }

    fn publish(&self, state: &State) {
        let (mut any, mut refuses) = (false, false);
        for FaultRule { fault, left, .. } in state.rules.iter().map(|rule| &rule.public) {
            let alive = *left != Some(0);
            match fault.action {
                Action::Refuse => refuses |= alive,
                _ => any |= alive,
            }
        }
        self.any.store(any, Relaxed);
        self.refuses.store(refuses, Relaxed);
    }
}

impl Rule {
    /// Whether it is hit now, which counts.
    fn hit(&mut self) -> bool {
        let Self { public: FaultRule { fault, hits, left, .. }, rng } = self;
        let spent = *left == Some(0);
        if spent || fault.probability.is_some_and(|probability| rng.f64() >= probability) {
            return false;
        }
        *hits += 1;
        *left = left.map(|left| left - 1);
        true
    }
}

impl Engine {
    /// Makes something go wrong from now on; the number that the rule is removed by.
    ///
    /// # Errors
    /// A command that does not exist, an error of two lines, a probability beyond 1, a condition
    /// for [`Fault::refuse`], or a thousand rules.
    pub fn add_fault(&self, fault: Fault) -> Result<u64, Error> {
        fault.check()?;
        let state = &mut *self.faults.state.lock();
        if state.rules.len() >= RULES_MAX {
            return Err(TOO_MANY);
        }
        state.last_id += 1;
        let (id, left) = (state.last_id, fault.count);
        let seed = fault.seed.unwrap_or_else(|| state.rng.u64(..));
        let rng = fastrand::Rng::with_seed(seed);
        state.rules.push(Rule { public: FaultRule { id, fault, hits: 0, left }, rng });
        self.faults.publish(state);
        Ok(id)
    }

    /// All rules, in the order in which they were added; also those that will not be hit any more.
    pub fn faults(&self) -> Vec<FaultRule> {
        self.faults.state.lock().rules.iter().map(|rule| rule.public.clone()).collect()
    }

    /// Removes a rule; false when there is none of this number. A request that it delays goes on.
    pub fn remove_fault(&self, id: u64) -> bool {
        self.remove_faults(|rule| rule.id == id) > 0
    }

    /// Removes all rules; how many there were. Requests that they delay go on.
    pub fn clear_faults(&self) -> usize {
        self.remove_faults(|_| true)
    }

    fn remove_faults(&self, is_removed: impl Fn(&FaultRule) -> bool) -> usize {
        let (mut removed, mut delays) = (0, false);
        let mut state = self.faults.state.lock();
        state.rules.retain(|Rule { public, .. }| {
            let goes = is_removed(public);
            removed += usize::from(goes);
            delays |= goes && public.hits > 0 && matches!(public.fault.action, Action::Delay(_));
            !goes
        });
        self.faults.publish(&state);
        drop(state);
        if delays {
            self.post_to_all(&Letter::Resume);
        }
        removed
    }

    /// Whether a new connection is to be refused, which counts as a hit.
    #[inline]
    pub fn refuses_connection(&self) -> bool {
        self.faults.refuses.load(Relaxed) && self.faults.refuse()
    }
}

/// The slot of a key in a cluster: CRC16 (XMODEM) of the key, or of what stands between its first
/// `{` and the next `}`, modulo 16384.
fn slot(key: &[u8]) -> u16 {
    let find = |text: &[u8], wanted: u8| text.iter().position(|byte| *byte == wanted);
    let tag = find(key, b'{').map(|open| &key[open + 1..]);
    let tag = tag.and_then(|rest| find(rest, b'}').map(|close| &rest[..close]));
    let hashed = tag.filter(|tag| !tag.is_empty()).unwrap_or(key);
    let step = |crc: u16, byte: &u8| {
        let shift = |crc: u16, _| if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 };
        (0..8).fold(crc ^ u16::from(*byte) << 8, shift)
    };
    hashed.iter().fold(0, step) & 0x3fff
}

/// Errors that a code alone stands for, besides [`MOVED`].
const KNOWN: &[(&str, Error)] = &[
    ("LOADING", Error::new("LOADING Valkey is loading the dataset in memory")),
    ("READONLY", Error::new("READONLY You can't write against a read only replica.")),
    ("OOM", Error::OOM),
];

const MOVED: &str = "MOVED";

/// Rules at once: each is looked at for each request.
const RULES_MAX: usize = 1_000;

/// A hundred years: far from where sums of times overflow.
const DELAY_MS_MAX: u64 = 100 * 366 * 86_400_000;

const TOO_MANY: Error = Error::new("ERR there are a thousand faults already");
const TWO_LINES: Error = Error::new("ERR an error is one line");
const NO_PROBABILITY: Error = Error::new("ERR a probability is between 0 and 1");
const REFUSES_ALL: Error = Error::new(
    "ERR a connection is refused before it has a command, a key, a name or a user: REFUSE takes \
     only PROBABILITY, SEED and COUNT",
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_a_cluster() {
        for (key, expected) in [
            ("", 0),
            ("123456789", 0x31c3),
            ("foo", 12182),
            ("bar", 5061),
            ("{foo}bar", 12182),
            ("x{foo}{bar}", 12182),
            ("{}foo", slot(b"{}foo")),
        ] {
            assert_eq!(slot(key.as_bytes()), expected, "{key}");
        }
        assert_ne!(slot(b"{}foo"), slot(b"foo"));
    }

    #[test]
    fn a_text_without_a_code_is_an_err() {
        let text = |text| match ErrorText::of(text) {
            ErrorText::Fixed(text) => text,
            ErrorText::Moved => "moved".into(),
        };
        assert_eq!(text("something broke"), "ERR something broke");
        assert_eq!(text("TRYAGAIN later"), "TRYAGAIN later");
        assert_eq!(text("CLUSTERDOWN"), "CLUSTERDOWN");
        assert_eq!(text("MOVED 1 a:2"), "MOVED 1 a:2");
        assert_eq!(text("MOVED"), "moved");
        assert_eq!(text(""), "ERR ");
        assert!(text("OOM").starts_with("OOM command not allowed"));
    }

    #[test]
    fn one_of_three_is_about_a_third_and_the_same_with_the_same_seed() {
        let hits = |seed: u64| {
            let fault = Fault::drop_before().probability(1.0 / 3.0);
            let public = FaultRule { id: 1, fault, hits: 0, left: Some(2_000) };
            let mut rule = Rule { public, rng: fastrand::Rng::with_seed(seed) };
            let hits: Vec<bool> = (0..3_000).map(|_| rule.hit()).collect();
            assert_eq!(rule.public.left, Some(2_000 - rule.public.hits));
            (hits, rule.public.hits)
        };
        assert!((800..1_200).contains(&hits(7).1));
        assert_eq!(hits(7), hits(7));
        assert_ne!(hits(7), hits(8));
    }
}
