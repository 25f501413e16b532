//! DEBUG: the sub-commands that the test suites of Redis servers call.
//!
//! Gated by `enable-debug-command` (see `exec::gate`). Every shard is open while one runs, so
//! DEBUG SLEEP holds up everyone, as in Redis. Transcripts: `tests/transcripts/server`.

use std::sync::atomic::Ordering::Relaxed;

use pannier_resp::Protocol;
use pannier_store::{Age, Encoding, Found, Limits};

use super::digest;
use super::dump::maker;
use super::row::{Command, Context, Done, Group, Opens, flags};
use crate::args;
use crate::error::Error;
use crate::glob;

/// The family's rows.
pub(super) const ROWS: &[Command] = &[DEBUG];

const DEBUG: Command = Command {
    name: "debug",
    since: "1.0.0",
    group: Group::Server,
    arity: -2,
    flags: flags::ADMIN | flags::LOADING | flags::NOSCRIPT | flags::STALE,
    opens: Opens::Everything,
    syntax: "subcommand [argument [argument ...]]",
    summary: "Looks at and disturbs the insides of the server, for tests.",
    complexity: "depends on the sub-command",
    handler: debug,
    ..Command::DEFAULT
};

fn debug(cx: &mut Context<'_>) -> Result<Done, Error> {
    let word = cx.arg(1).to_ascii_lowercase();
    match (word.as_slice(), cx.args.len()) {
        (b"sleep", 3) => sleep(cx),
        (b"object", 3 | 4) => object(cx),
        (b"reload", _) => reload(cx),
        (b"set-active-expire", 3) => {
            cx.engine.active_expire.store(number(cx.arg(2)) != 0, Relaxed);
            cx.engine.host.wake_expiry();
            cx.ok()
        }
        (b"digest", 2) => digest::all(cx),
        (b"digest-value", _) => digest::values(cx),
        (b"protocol", 3) => protocol(cx),
        (b"listpack", 3) => listpack(cx),
        (b"htstats", 3 | 4) => htstats(cx),
        (b"htstats-key", 3 | 4) => htstats_key(cx),
        (b"stringmatch-len", 4) => stringmatch_len(cx),
        (b"quicklist-packed-threshold", 3) => quicklist_packed_threshold(cx),
        (b"pause-cron", 3) => {
            cx.engine.cron_paused.store(number(cx.arg(2)) != 0, Relaxed);
            cx.ok()
        }
        (b"change-repl-id", 2) => {
            cx.engine.renew_run_id();
            cx.ok()
        }
        (b"log", 3) => {
            let line = String::from_utf8_lossy(cx.arg(2));
            cx.engine.host.log(&format!("DEBUG LOG: {line}"));
            cx.ok()
        }
        (b"error", 3) => Err(Error::text(String::from_utf8_lossy(cx.arg(2)))),
        (b"help", 2) => help(cx),
        _ => Err(unknown(cx.arg(1))),
    }
}

fn unknown(word: &[u8]) -> Error {
    let word = String::from_utf8_lossy(word);
    Error::text(format!(
        "ERR unknown subcommand or wrong number of arguments for '{word}'. Try DEBUG HELP."
    ))
}

/// A number as C's `atoi` reads it: what is none counts as zero.
fn number(text: &[u8]) -> i64 {
    args::integer(text).unwrap_or(0)
}

fn sleep(cx: &mut Context<'_>) -> Result<Done, Error> {
    let seconds = pannier_resp::parse_f64(cx.arg(2)).unwrap_or(0.0);
    if seconds > 0.0 {
        cx.engine.host.sleep_us((seconds * 1e6) as u64);
    }
    cx.ok()
}

fn object(cx: &mut Context<'_>) -> Result<Done, Error> {
    let (db, key) = (cx.db(), cx.key(2));
    let Some(found) = cx.view.peek(db, key) else { return Err(Error::NO_SUCH_KEY) };
    let length = pannier_persist::dumped_len(found, cx.config.rdbcompression);
    let line = format!(
        "Value at:{:#x} refcount:1 encoding:{} serializedlength:{length} lru:{} \
         lru_seconds_idle:{}",
        key.hash(),
        found.encoding().name(),
        found.access(),
        found.idle_ms() / 1000,
    );
    cx.reply.simple(&line);
    Ok(Done::Replied)
}

/// Takes every value through its payload and back, in memory: what a save and a load would do to
/// it. Deadlines and access clocks stay; encodings follow the limits in force now.
fn reload(cx: &mut Context<'_>) -> Result<Done, Error> {
    for at in 2..cx.args.len() {
        match cx.arg(at).to_ascii_lowercase().as_slice() {
            // There is never a key in memory that is not in the dump.
            b"merge" => {}
            // There is no file to load from, and nothing is put over the keys that are there.
            b"nosave" | b"noflush" => {
                return Err(Error::new(
                    "ERR Error trying to load the RDB dump, check server logs.",
                ));
            }
            _ => {
                return Err(Error::new(
                    "ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.",
                ));
            }
        }
    }
    let limits = cx.config.limits();
    for database in 0..cx.engine.keyspace.databases() {
        let mut keys = Vec::new();
        cx.view.for_each(database, |key, _| keys.push(key.to_vec()));
        for bytes in keys {
            reload_key(cx, (database, &bytes), &limits)?;
        }
    }
    cx.ok()
}

fn reload_key(
    cx: &mut Context<'_>,
    (database, bytes): (usize, &[u8]),
    limits: &Limits,
) -> Result<(), Error> {
    let key = cx.view.key(bytes);
    let Some(found) = cx.view.peek(database, key) else { return Ok(()) };
    let (deadline, age) = (found.deadline(), Age::Clock(found.access()));
    let payload = pannier_persist::dump(found, false);
    let restored = pannier_persist::restore(&payload, maker(cx, bytes, limits));
    let Ok(mut value) = restored else {
        let bytes = String::from_utf8_lossy(bytes);
        return Err(Error::text(format!("ERR The value of '{bytes}' does not survive a reload")));
    };
    if value.is_empty() {
        // A hash, and the last of its fields is due by now.
        cx.view.remove(database, key);
        return Ok(());
    }
    value.set_deadline(deadline);
    cx.view.put_aged(database, key, value, age);
    Ok(())
}

/// One reply of every kind, for the authors of client libraries.
#[expect(clippy::approx_constant, reason = "the number that Redis replies")]
fn protocol(cx: &mut Context<'_>) -> Result<Done, Error> {
    let word = cx.arg(2).to_ascii_lowercase();
    let resp3 = cx.session.protocol == Protocol::Resp3;
    let reply = &mut *cx.reply;
    match word.as_slice() {
        b"string" => reply.bulk(b"Hello World"),
        b"integer" => reply.integer(12345),
        b"double" => reply.double(3.141),
        b"null" => reply.null(),
        b"bignum" => reply.big_number("1234567999999999999999999999999999999"),
        b"true" => reply.boolean(true),
        b"false" => reply.boolean(false),
        b"verbatim" => reply.verbatim("txt", b"This is a verbatim\nstring"),
        b"array" | b"set" | b"map" => {
            match word[0] {
                b'a' => reply.array(3),
                b's' => reply.set(3),
                _ => reply.map(3),
            }
            for n in 0..3 {
                reply.integer(n);
                if word == b"map" {
                    reply.boolean(n == 1);
                }
            }
        }
        b"attrib" => {
            if resp3 {
                reply.attribute(1);
                reply.bulk(b"key-popularity");
                reply.array(2);
                reply.bulk(b"key:123");
                reply.integer(90);
            }
            reply.bulk(b"Some real reply following the attribute");
        }
        b"push" if !resp3 => {
            return Err(Error::new("ERR RESP2 is not supported by this command"));
        }
        b"push" => {
            reply.bulk(b"Some real reply following the push reply");
            reply.push(2);
            reply.bulk(b"server-cpu-usage");
            reply.integer(42);
        }
        _ => {
            return Err(Error::new(
                "ERR Wrong protocol type name. Please use one of the following: \
                 string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false",
            ));
        }
    }
    Ok(Done::Replied)
}

/// The value of a key that must be encoded in a certain way.
fn encoded<'c>(
    cx: &'c mut Context<'_>,
    encoding: Encoding,
    otherwise: &'static str,
) -> Result<Found<'c>, Error> {
    let (db, key) = (cx.db(), cx.key(2));
    let found = cx.view.peek(db, key).ok_or(Error::NO_SUCH_KEY)?;
    if found.encoding() == encoding { Ok(found) } else { Err(Error::new(otherwise)) }
}

/// Writes what a packed collection takes into the log.
fn listpack(cx: &mut Context<'_>) -> Result<Done, Error> {
    let found = encoded(cx, Encoding::Listpack, "ERR Not a listpack encoded object.")?;
    let (kind, bytes) = (found.kind().name(), found.footprint());
    cx.engine.host.log(&format!("DEBUG LISTPACK: a {kind} of {bytes} bytes in one block"));
    cx.reply.simple("Listpack structure printed on stdout");
    Ok(Done::Replied)
}

fn htstats_key(cx: &mut Context<'_>) -> Result<Done, Error> {
    const OTHERWISE: &str =
        "ERR The value stored at the specified key is not represented using an hash table";
    let found = encoded(cx, Encoding::Hashtable, OTHERWISE)?;
    let text = found.table_report();
    cx.reply.verbatim("txt", text.as_bytes());
    Ok(Done::Replied)
}

fn htstats(cx: &mut Context<'_>) -> Result<Done, Error> {
    let databases = cx.engine.keyspace.databases();
    let index = usize::try_from(cx.integer(2)?).ok().filter(|index| *index < databases);
    let Some(index) = index else { return Err(Error::new("ERR Out of range database")) };
    let text = cx.view.table_report(index);
    cx.reply.verbatim("txt", text.as_bytes());
    Ok(Done::Replied)
}

/// Matches a long text against a pattern, to see that no pattern takes exponential time.
fn stringmatch_len(cx: &mut Context<'_>) -> Result<Done, Error> {
    const LEN_MAX: i64 = 64 * 1024 * 1024;
    let len = cx.integer(2)?;
    let len = usize::try_from(len.min(LEN_MAX)).map_err(|_| Error::NOT_POSITIVE)?;
    let matched = glob::matches(cx.arg(3), &vec![b'a'; len], true);
    cx.int(i64::from(matched))
}

fn quicklist_packed_threshold(cx: &mut Context<'_>) -> Result<Done, Error> {
    let text = String::from_utf8_lossy(cx.arg(2));
    let bytes = crate::config::memory(&text);
    let Some(bytes) = bytes.filter(|bytes| *bytes < 1 << 32) else {
        return Err(Error::new(
            "ERR argument must be a memory value bigger than 1 and smaller than 4gb",
        ));
    };
    cx.engine.packed_threshold.store(bytes as usize, Relaxed);
    cx.ok()
}

fn help(cx: &mut Context<'_>) -> Result<Done, Error> {
    cx.help(&[
        "CHANGE-REPL-ID",
        "    Give the server another replication id.",
        "DIGEST",
        "    A digest of all data.",
        "DIGEST-VALUE <key> [<key> ...]",
        "    A digest of each value.",
        "ERROR <text>",
        "    Reply an error.",
        "HTSTATS <db>",
        "    How full the tables of a database are.",
        "HTSTATS-KEY <key>",
        "    The same for a collection.",
        "LISTPACK <key>",
        "    The insides of a packed collection.",
        "LOG <text>",
        "    Write a line into the log.",
        "OBJECT <key>",
        "    How a value is kept.",
        "PAUSE-CRON (0|1)",
        "    Stop the periodic work.",
        "PROTOCOL <kind>",
        "    Reply something of that kind.",
        "QUICKLIST-PACKED-THRESHOLD <size>",
        "    From which size on an element of a list stands alone.",
        "RELOAD [MERGE]",
        "    Take every value through its dump and back.",
        "SET-ACTIVE-EXPIRE (0|1)",
        "    Free keys as they expire, or only when they are looked at.",
        "SLEEP <seconds>",
        "    Hold up the server.",
        "STRINGMATCH-LEN <len> <pattern>",
        "    Match a text of that length against a pattern.",
    ])
}
