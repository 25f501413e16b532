//! The types of parameters, and how each reads and writes the text that CONFIG GET prints.
//!
//! A value exists in two forms: this typed one, a plain field of `Config` that a hot path reads,
//! and its canonical text. Words from outside become canonical text first (`kind`, which owns
//! every check and error), so that reading a type here only ever sees texts made by `kind` and
//! needs no error of its own. An absent parameter has the text alone.
//!
//! Rule: for every type `read(x.text()) == x`. Tests of it are at the end of `table`.

use pannier_store::{Classes, Policy, class};

/// A type that a parameter can have.
pub(super) trait Typed: Sized {
    /// Reads a canonical text.
    fn read(text: &str) -> Option<Self>;
    /// The canonical text.
    fn text(&self) -> String;
}

/// `loglevel`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogLevel {
    /// Everything.
    Debug,
    /// Much that is rarely useful.
    Verbose,
    /// What one wants to know in production.
    #[default]
    Notice,
    /// Only what is critical.
    Warning,
    /// No log at all.
    Nothing,
}

/// Who may use something guarded: `enable-debug-command`, `enable-protected-configs`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Allowed {
    /// Nobody.
    #[default]
    No,
    /// Everybody.
    Yes,
    /// Connections from this machine.
    Local,
}

/// `tls-auth-clients`: what is asked of clients over TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsAuth {
    /// Nothing.
    No,
    /// A certificate of an authority that is trusted.
    #[default]
    Yes,
    /// The same, but they may have none.
    Optional,
}

impl Allowed {
    /// Whether a connection may; `local` says that it comes from this machine.
    pub const fn allows(self, local: bool) -> bool {
        match self {
            Self::No => false,
            Self::Yes => true,
            Self::Local => local,
        }
    }
}

/// `maxmemory-clients`: bytes, or a share of `maxmemory`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientMemory {
    /// Bytes; 0 means no limit.
    Bytes(usize),
    /// Per cent of `maxmemory`.
    Percent(u8),
}

impl ClientMemory {
    /// The limit in bytes under a `maxmemory`; 0 means no limit.
    pub fn bytes(self, maxmemory: usize) -> usize {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Percent(percent) => maxmemory / 100 * usize::from(percent),
        }
    }
}

/// How much one class of clients may leave unread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputLimit {
    /// Bytes at which the client is disconnected at once; 0 means never.
    pub hard: u64,
    /// Bytes that may not be exceeded for longer than `soft_seconds`; 0 means no such limit.
    pub soft: u64,
    /// Seconds.
    pub soft_seconds: u64,
}

/// `client-output-buffer-limit`: one limit for each class of clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputLimits {
    /// Ordinary clients.
    pub normal: OutputLimit,
    /// Replicas.
    pub replica: OutputLimit,
    /// Subscribers.
    pub pubsub: OutputLimit,
}

impl OutputLimits {
    /// The classes as CONFIG GET names them, with their limits.
    pub(super) fn classes(&self) -> [(&'static str, OutputLimit); 3] {
        [("normal", self.normal), ("slave", self.replica), ("pubsub", self.pubsub)]
    }

    /// The limit of a class by any of its names, in any case.
    pub(super) fn class_mut(&mut self, name: &str) -> Option<&mut OutputLimit> {
        match name.to_ascii_lowercase().as_str() {
            "normal" => Some(&mut self.normal),
            "slave" | "replica" => Some(&mut self.replica),
            "pubsub" => Some(&mut self.pubsub),
            _ => None,
        }
    }
}

/// `notify-keyspace-events`: classes of events, and where they go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Events(pub(crate) Classes);

/// The letters, in the order in which CONFIG GET prints them.
const EVENT_LETTERS: [(char, Classes); 14] = [
    ('g', class::GENERIC),
    ('$', class::STRING),
    ('l', class::LIST),
    ('s', class::SET),
    ('h', class::HASH),
    ('z', class::SORTED_SET),
    ('x', class::EXPIRED),
    ('e', class::EVICTED),
    ('t', class::STREAM),
    ('d', class::MODULE),
    ('n', class::NEW),
    ('K', class::KEYSPACE),
    ('E', class::KEYEVENT),
    ('m', class::MISS),
];

/// What the letter A stands for.
const EVENTS_OF_A: Classes = class::GENERIC
    | class::STRING
    | class::LIST
    | class::SET
    | class::HASH
    | class::SORTED_SET
    | class::EXPIRED
    | class::EVICTED
    | class::STREAM
    | class::MODULE;

impl Typed for Events {
    fn read(text: &str) -> Option<Self> {
        let mut classes = text.chars().map(|letter| {
            let known = EVENT_LETTERS.iter().find(|(known, _)| *known == letter);
            if letter == 'A' { Some(EVENTS_OF_A) } else { known.map(|(_, class)| *class) }
        });
        classes.try_fold(0, |all, class| Some(all | class?)).map(Self)
    }

    fn text(&self) -> String {
        let all = self.0 & EVENTS_OF_A == EVENTS_OF_A;
        let rest = if all { self.0 & !EVENTS_OF_A } else { self.0 };
        let letters = EVENT_LETTERS.iter().filter(|(_, class)| rest & class != 0);
        let head = all.then_some('A').into_iter();
        head.chain(letters.map(|(letter, _)| *letter)).collect()
    }
}

impl Typed for bool {
    fn read(text: &str) -> Option<Self> {
        match text {
            "yes" => Some(true),
            "no" => Some(false),
            _ => None,
        }
    }

    fn text(&self) -> String {
        (if *self { "yes" } else { "no" }).to_owned()
    }
}

impl Typed for String {
    fn read(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }

    fn text(&self) -> String {
        self.clone()
    }
}

macro_rules! numbers {
    ($($type:ty),*) => {$(
        impl Typed for $type {
            fn read(text: &str) -> Option<Self> {
                text.parse().ok()
            }

            fn text(&self) -> String {
                self.to_string()
            }
        }
    )*};
}
numbers!(u16, u32, i32, u64, i64, usize);

/// Permission bits, written in octal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mode(pub u32);

impl Typed for Mode {
    fn read(text: &str) -> Option<Self> {
        u32::from_str_radix(text, 8).ok().map(Self)
    }

    fn text(&self) -> String {
        format!("{:o}", self.0)
    }
}

/// Enumerations: their names in the order in which errors list them, and the variants.
macro_rules! choices {
    ($($names:ident: $type:ty = [$($name:literal => $variant:path),* $(,)?];)*) => {$(
        pub(super) const $names: &[&str] = &[$($name),*];

        impl Typed for $type {
            fn read(text: &str) -> Option<Self> {
                match text {
                    $($name => Some($variant),)*
                    _ => None,
                }
            }

            fn text(&self) -> String {
                match self { $($variant => $name),* }.to_owned()
            }
        }
    )*};
}

choices! {
    LOG_LEVELS: LogLevel = [
        "debug" => LogLevel::Debug,
        "verbose" => LogLevel::Verbose,
        "notice" => LogLevel::Notice,
        "warning" => LogLevel::Warning,
        "nothing" => LogLevel::Nothing,
    ];
    TLS_AUTHS: TlsAuth = [
        "no" => TlsAuth::No,
        "yes" => TlsAuth::Yes,
        "optional" => TlsAuth::Optional,
    ];
    ALLOWED: Allowed = [
        "no" => Allowed::No,
        "yes" => Allowed::Yes,
        "local" => Allowed::Local,
    ];
    POLICIES: Policy = [
        "volatile-lru" => Policy::VolatileLru,
        "volatile-lfu" => Policy::VolatileLfu,
        "volatile-random" => Policy::VolatileRandom,
        "volatile-ttl" => Policy::VolatileTtl,
        "allkeys-lru" => Policy::AllKeysLru,
        "allkeys-lfu" => Policy::AllKeysLfu,
        "allkeys-random" => Policy::AllKeysRandom,
        "noeviction" => Policy::NoEviction,
    ];
}

impl Typed for ClientMemory {
    fn read(text: &str) -> Option<Self> {
        match text.strip_suffix('%') {
            Some(percent) => percent.parse().ok().map(Self::Percent),
            None => text.parse().ok().map(Self::Bytes),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Bytes(bytes) => bytes.to_string(),
            Self::Percent(percent) => format!("{percent}%"),
        }
    }
}

impl Typed for OutputLimits {
    fn read(text: &str) -> Option<Self> {
        let mut limits = Self::default();
        let words: Vec<&str> = text.split(' ').collect();
        for entry in words.chunks(4) {
            let [class, hard, soft, seconds] = entry else { return None };
            *limits.class_mut(class)? = OutputLimit {
                hard: hard.parse().ok()?,
                soft: soft.parse().ok()?,
                soft_seconds: seconds.parse().ok()?,
            };
        }
        Some(limits)
    }

    fn text(&self) -> String {
        let entry = |(name, limit): (&str, OutputLimit)| {
            format!("{name} {} {} {}", limit.hard, limit.soft, limit.soft_seconds)
        };
        self.classes().map(entry).join(" ")
    }
}

/// Lists whose entries hold no blanks.
impl Typed for Vec<String> {
    fn read(text: &str) -> Option<Self> {
        Some(text.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect())
    }

    fn text(&self) -> String {
        self.join(" ")
    }
}

/// Percentiles, printed with at most six digits after the point.
impl Typed for Vec<f64> {
    fn read(text: &str) -> Option<Self> {
        text.split(' ').filter(|word| !word.is_empty()).map(|word| word.parse().ok()).collect()
    }

    fn text(&self) -> String {
        let word = |number: &f64| {
            let digits = format!("{number:.6}");
            digits.trim_end_matches('0').trim_end_matches('.').to_owned()
        };
        self.iter().map(word).collect::<Vec<_>>().join(" ")
    }
}

/// Numbers by database, in the order of the databases.
impl Typed for Vec<(usize, usize)> {
    fn read(text: &str) -> Option<Self> {
        let words: Vec<&str> = text.split(' ').filter(|word| !word.is_empty()).collect();
        let pair = |pair: &[&str]| match pair {
            [database, count] => Some((database.parse().ok()?, count.parse().ok()?)),
            _ => None,
        };
        words.chunks(2).map(pair).collect()
    }

    fn text(&self) -> String {
        let pair = |(database, count): &(usize, usize)| format!("{database} {count}");
        self.iter().map(pair).collect::<Vec<_>>().join(" ")
    }
}
