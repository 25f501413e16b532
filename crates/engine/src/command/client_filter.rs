//! The filters of CLIENT LIST and CLIENT KILL.
//!
//! A client must pass every filter given; one given twice counts as it was given last, but for ID
//! and NOT-ID, which add up. Each has a negated twin (`NOT-`) but SKIPME, MAXAGE and IDLE. Texts
//! of errors are Valkey 9.1's.

use std::mem::discriminant;
use std::sync::atomic::Ordering::Relaxed;

use super::client::flag_letters;
use super::row::Context;
use crate::args::{Options, integer, is};
use crate::clients::Client;
use crate::error::Error;

/// Letters that a flags filter may name.
const FLAG_LETTERS: &[u8] = b"AbcdeigMNOPrStTuUxBRIE";
/// Letters that a capability filter may name.
const CAPABILITY_LETTERS: &[u8] = b"r";
/// The types that a client may be of.
const TYPES: [(&str, Kind); 6] = [
    ("normal", Kind::Normal),
    ("master", Kind::Absent),
    ("primary", Kind::Absent),
    ("slave", Kind::Absent),
    ("replica", Kind::Absent),
    ("pubsub", Kind::Subscriber),
];

/// The types that clients of ours can have, and those that none has.
#[derive(Clone, Copy)]
enum Kind {
    Normal,
    Subscriber,
    Absent,
}

/// One property and the value that it must (or must not) have.
enum Test {
    Ids(Vec<u64>),
    Type(Kind),
    User(String),
    Addr(String),
    Laddr(String),
    Name(String),
    Flags(String),
    LibName(String),
    LibVersion(String),
    Database(usize),
    /// Letters; no client of ours has any.
    Capabilities(String),
    Ip(String),
    MaxAge(u64),
    Idle(u64),
}

impl Test {
    fn holds(&self, client: &Client, now_ms: u64) -> bool {
        let label = |text: &str, wanted: &str| text == wanted && !wanted.is_empty();
        match self {
            Self::Ids(ids) => ids.contains(&client.id),
            Self::Type(Kind::Normal) => !client.is_subscribed(),
            Self::Type(Kind::Subscriber) => client.is_subscribed(),
            Self::Type(Kind::Absent) => false,
            Self::User(user) => client.labels.lock().user == *user,
            Self::Addr(addr) => client.addr == *addr,
            Self::Laddr(laddr) => client.laddr == *laddr,
            Self::Name(name) => label(&client.labels.lock().name, name),
            Self::LibName(name) => label(&client.labels.lock().lib_name, name),
            Self::LibVersion(version) => label(&client.labels.lock().lib_version, version),
            Self::Flags(wanted) => {
                let letters = flag_letters(client);
                wanted.chars().all(|letter| letters.contains(letter))
            }
            Self::Database(index) => client.database.load(Relaxed) == *index,
            Self::Capabilities(wanted) => wanted.is_empty(),
            Self::Ip(ip) => client.addr.rsplit_once(':').is_some_and(|(held, _)| held == ip),
            Self::MaxAge(s) => now_ms.saturating_sub(client.created_ms) / 1000 >= *s,
            Self::Idle(s) => now_ms.saturating_sub(client.last_seen_ms()) / 1000 >= *s,
        }
    }
}

/// All filters of one command.
#[derive(Default)]
pub(super) struct Filter {
    tests: Vec<(bool, Test)>,
    skip_own: bool,
}

impl Filter {
    /// The one filter of the old form of CLIENT KILL.
    pub(super) fn address(addr: &[u8]) -> Self {
        let addr = String::from_utf8_lossy(addr).into_owned();
        Self { tests: vec![(true, Test::Addr(addr))], skip_own: false }
    }

    /// Filters from an argument on; `skip_own` is what SKIPME is when it is not given.
    pub(super) fn parse(cx: &Context<'_>, from: usize, skip_own: bool) -> Result<Self, Error> {
        let mut filter = Self { tests: Vec::new(), skip_own };
        let mut options = Options::new(cx.args, from);
        while let Some(word) = options.next() {
            if !options.has_value() {
                return Err(Error::SYNTAX);
            }
            if is(word, "SKIPME") {
                filter.skip_own = match options.value()? {
                    value if is(value, "YES") => true,
                    value if is(value, "NO") => false,
                    _ => return Err(Error::SYNTAX),
                };
                continue;
            }
            let (wanted, property) = match word.get(..4) {
                Some(not) if is(not, "NOT-") => (false, &word[4..]),
                _ => (true, word),
            };
            let test = test(cx, property, wanted, &mut options)?;
            filter.add(wanted, test);
        }
        Ok(filter)
    }

    /// Adds a test, in the place of one of the same kind.
    fn add(&mut self, wanted: bool, test: Test) {
        let same = |(held, other): &&mut (bool, Test)| {
            *held == wanted && discriminant(other) == discriminant(&test)
        };
        match (self.tests.iter_mut().find(same), test) {
            (Some((_, Test::Ids(ids))), Test::Ids(more)) => ids.extend(more),
            (Some((_, held)), test) => *held = test,
            (None, test) => self.tests.push((wanted, test)),
        }
    }

    /// Whether a client passes.
    pub(super) fn matches(&self, client: &Client, own: u64, now_ms: u64) -> bool {
        let skipped = self.skip_own && client.id == own || client.closing.load(Relaxed);
        !skipped && self.tests.iter().all(|(wanted, test)| test.holds(client, now_ms) == *wanted)
    }
}

fn test(
    cx: &Context<'_>,
    property: &[u8],
    wanted: bool,
    options: &mut Options<'_>,
) -> Result<Test, Error> {
    if is(property, "ID") {
        return ids(options);
    }
    let value = options.value()?;
    let text = || String::from_utf8_lossy(value).into_owned();
    let name = property.to_ascii_lowercase();
    Ok(match name.as_slice() {
        b"type" => Test::Type(kind(value)?),
        b"user" => {
            if value != b"default" {
                return Err(Error::text(format!("ERR No such user '{}'", text())));
            }
            Test::User(text())
        }
        b"addr" => Test::Addr(text()),
        b"laddr" => Test::Laddr(text()),
        b"name" => Test::Name(text()),
        b"lib-name" => Test::LibName(text()),
        b"lib-ver" => Test::LibVersion(text()),
        b"ip" => Test::Ip(text()),
        b"flags" => {
            if !value.iter().all(|letter| FLAG_LETTERS.contains(letter)) {
                return Err(unknown("flags", wanted, &text()));
            }
            Test::Flags(text())
        }
        b"capa" => {
            if !value.iter().all(|letter| CAPABILITY_LETTERS.contains(letter)) {
                return Err(unknown("capa", wanted, &text()));
            }
            Test::Capabilities(text())
        }
        b"db" => Test::Database(database(cx, value, wanted)?),
        b"maxage" if wanted => Test::MaxAge(seconds("maxage", value)?),
        b"idle" if wanted => Test::Idle(seconds("idle", value)?),
        _ => return Err(Error::SYNTAX),
    })
}

/// One id, and as many as follow it.
fn ids(options: &mut Options<'_>) -> Result<Test, Error> {
    let mut ids = Vec::new();
    while let Some(n) = options.peek().and_then(pannier_resp::parse_i64) {
        options.next();
        match u64::try_from(n) {
            Ok(id) if id > 0 => ids.push(id),
            _ => return Err(Error::new("ERR client-id should be greater than 0")),
        }
    }
    if ids.is_empty() { Err(Error::SYNTAX) } else { Ok(Test::Ids(ids)) }
}

fn kind(value: &[u8]) -> Result<Kind, Error> {
    let known = TYPES.iter().find(|(name, _)| is(value, name));
    known.map(|(_, kind)| *kind).ok_or_else(|| {
        Error::text(format!("ERR Unknown client type '{}'", String::from_utf8_lossy(value)))
    })
}

fn unknown(what: &str, wanted: bool, value: &str) -> Error {
    let filter = match wanted {
        true => "provided".to_owned(),
        false => format!("NOT-{}", what.to_ascii_uppercase()),
    };
    Error::text(format!("ERR Unknown {what} found in the {filter} filter: {value}"))
}

fn database(cx: &Context<'_>, value: &[u8], wanted: bool) -> Result<usize, Error> {
    let name = if wanted { "DB" } else { "NOT-DB" };
    let databases = cx.engine.keyspace.databases();
    let n = integer(value);
    let n = n.map_err(|_| Error::text(format!("ERR {name} is not an integer or out of range")))?;
    usize::try_from(n).ok().filter(|index| *index < databases).ok_or_else(|| {
        Error::text(format!("ERR {name} number should be between 0 and {}", databases - 1))
    })
}

fn seconds(name: &str, value: &[u8]) -> Result<u64, Error> {
    let n = integer(value);
    let n = n.map_err(|_| Error::text(format!("ERR {name} is not an integer or out of range")))?;
    match u64::try_from(n) {
        Ok(n) if n > 0 => Ok(n),
        _ => Err(Error::text(format!("ERR {name} should be greater than 0"))),
    }
}
