//! DUMP and RESTORE: a value as bytes, in the format of Redis's dump files, and back.
//!
//! What was dumped here can be restored by Redis and Valkey and the other way round; the format,
//! and what is refused of it, is the crate `persist`. A payload comes from outside, so it is read
//! before anything is replaced. Transcripts: `tests/transcripts/generic`; exchange with real
//! servers: `tests/tests/dump.rs`.

use bytes::Bytes;
use pannier_persist::Refused;
use pannier_resp::SHARED_MIN;
use pannier_store::{Age, Limits, Maker, MakerCompression, class};

use super::keys::{KeySpec, access};
use super::row::{Command, Context, Done, Group, categories, flags};
use crate::args::{Options, integer, is};
use crate::error::Error;

/// The family's rows.
pub(super) const ROWS: &[Command] = &[DUMP, RESTORE];

const DUMP: Command = Command {
    name: "dump",
    since: "2.6.0",
    group: Group::Generic,
    arity: 2,
    flags: flags::READONLY,
    categories: categories::KEYSPACE,
    keys: &[KeySpec::one(1, access::RO | access::ACCESS)],
    syntax: "key",
    summary: "Returns the value of a key as bytes that RESTORE takes.",
    complexity: "O(N) with N the size of the value",
    tips: &["nondeterministic_output"],
    handler: dump,
    ..Command::DEFAULT
};

const RESTORE: Command = Command {
    name: "restore",
    since: "2.6.0",
    group: Group::Generic,
    arity: -4,
    flags: flags::DENYOOM | flags::WRITE,
    categories: categories::KEYSPACE | categories::DANGEROUS,
    keys: &[KeySpec::one(1, access::OW | access::UPDATE)],
    syntax: "key ttl serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]",
    summary: "Creates a key from the bytes that DUMP returned.",
    complexity: "O(N) with N the size of the value; for a sorted set O(N*log(N))",
    handler: restore,
    ..Command::DEFAULT
};

fn dump(cx: &mut Context<'_>) -> Result<Done, Error> {
    let (db, key) = (cx.db(), cx.key(1));
    let Some(found) = cx.view.read(db, key) else {
        cx.reply.null();
        return Ok(Done::Replied);
    };
    let payload = pannier_persist::dump(found, cx.config.rdbcompression);
    if payload.len() < SHARED_MIN {
        cx.reply.bulk(&payload);
    } else {
        cx.reply.shared(Bytes::from(payload));
    }
    Ok(Done::Replied)
}

fn restore(cx: &mut Context<'_>) -> Result<Done, Error> {
    let (db, key) = (cx.db(), cx.key(1));
    let words = Words::of(Options::new(cx.args, 4))?;
    let taken = cx.view.look_to_write(db, key).is_some();
    if taken && !words.replace {
        return Err(Error::BUSY_KEY);
    }
    let ttl = integer(cx.arg(2))?;
    let Ok(ttl) = u64::try_from(ttl) else {
        return Err(Error::new("ERR Invalid TTL value, must be >= 0"));
    };
    let limits = cx.config.limits();
    let maker = maker(cx, key.bytes, &limits);
    let value = pannier_persist::restore(cx.arg(3), maker);
    let mut value = value.map_err(|why| match why {
        Refused::Footer => Error::new("ERR DUMP payload version or checksum are wrong"),
        Refused::Value => Error::new("ERR Bad data format"),
    })?;
    let now_ms = cx.now.unix_ms();
    let deadline = match ttl {
        0 => None,
        at if words.absolute => Some(at),
        ttl => Some(now_ms.saturating_add(ttl)),
    };
    // Nothing of it is alive: the key's deadline has passed, or those of all fields of a hash.
    if deadline.is_some_and(|at| at <= now_ms) || value.is_empty() {
        if cx.view.remove(db, key) {
            cx.notify(class::GENERIC, "del", key);
        }
        return cx.ok();
    }
    value.set_deadline(deadline);
    cx.view.put_aged(db, key, value, words.age);
    cx.notify(class::GENERIC, "restore", key);
    cx.ok()
}

/// Makes values as the configuration wants them.
pub(super) fn maker<'c>(cx: &'c Context<'_>, key: &'c [u8], limits: &'c Limits) -> Maker<'c> {
    let (threshold, level) = (cx.config.compression_threshold, cx.config.compression_level);
    let rule = MakerCompression { threshold, level };
    cx.engine.keyspace.maker(key, limits, cx.now).compressing(&cx.engine.compressor, rule)
}

/// The options of RESTORE.
struct Words {
    replace: bool,
    absolute: bool,
    age: Age,
}

impl Words {
    fn of(mut options: Options<'_>) -> Result<Self, Error> {
        let mut words = Self { replace: false, absolute: false, age: Age::Fresh };
        while let Some(word) = options.next() {
            // One of the two clocks only, whichever comes first.
            let (idle, frequency) = match words.age {
                Age::Fresh | Age::Clock(_) => (true, true),
                Age::Idle(_) => (true, false),
                Age::Frequency(_) => (false, true),
            };
            if is(word, "REPLACE") {
                words.replace = true;
            } else if is(word, "ABSTTL") {
                words.absolute = true;
            } else if is(word, "IDLETIME") && idle && options.has_value() {
                let seconds = integer(options.value()?)?;
                let seconds = u64::try_from(seconds)
                    .map_err(|_| Error::new("ERR Invalid IDLETIME value, must be >= 0"))?;
                words.age = Age::Idle(seconds.saturating_mul(1000));
            } else if is(word, "FREQ") && frequency && options.has_value() {
                let counter = integer(options.value()?)?;
                let counter = u8::try_from(counter)
                    .map_err(|_| Error::new("ERR Invalid FREQ value, must be >= 0 and <= 255"))?;
                words.age = Age::Frequency(counter);
            } else {
                return Err(Error::SYNTAX);
            }
        }
        Ok(words)
    }
}
