//! Looking through a database: KEYS, SCAN, RANDOMKEY.
//!
//! KEYS holds every shard while it runs, as atomic and as costly as in Redis. SCAN locks one shard
//! at a time and moves in hash order, so that growth, shrinking and removal between two calls
//! lose nothing (see `store::scan`). Transcripts: `tests/transcripts/generic`.

use pannier_store::Cursor;

use super::row::{Command, Context, Done, Group, Opens, categories, flags};
use crate::args::{Options, integer, is};
use crate::error::{Error, quoted};
use crate::glob;

/// The family's rows.
pub(super) const ROWS: &[Command] = &[KEYS, SCAN, RANDOMKEY];

/// Every type name that SCAN's TYPE option knows.
const TYPES: [&str; 6] = ["string", "list", "set", "zset", "hash", "stream"];

const KEYS: Command = Command {
    name: "keys",
    opens: Opens::Everything,
    since: "1.0.0",
    group: Group::Generic,
    arity: 2,
    flags: flags::READONLY,
    categories: categories::KEYSPACE | categories::DANGEROUS,
    syntax: "pattern",
    summary: "Lists all keys that match a pattern.",
    complexity: "O(N) with N the number of keys in the database",
    tips: &["request_policy:all_shards", "nondeterministic_output_order"],
    handler: keys,
    ..Command::DEFAULT
};

const SCAN: Command = Command {
    name: "scan",
    opens: Opens::Each,
    since: "2.8.0",
    group: Group::Generic,
    arity: -2,
    flags: flags::READONLY,
    categories: categories::KEYSPACE,
    syntax: "cursor [MATCH pattern] [COUNT count] [TYPE type]",
    summary: "Walks over the keys of the database a few at a time.",
    complexity: "O(1) a call; O(N) for a whole walk, with N the number of keys",
    tips: &["nondeterministic_output", "request_policy:special", "response_policy:special"],
    handler: scan,
    ..Command::DEFAULT
};

const RANDOMKEY: Command = Command {
    name: "randomkey",
    opens: Opens::Each,
    since: "1.0.0",
    group: Group::Generic,
    arity: 1,
    flags: flags::READONLY,
    categories: categories::KEYSPACE,
    syntax: "",
    summary: "Returns a random key of the database.",
    complexity: "O(1)",
    tips: &["request_policy:all_shards", "response_policy:special", "nondeterministic_output"],
    handler: randomkey,
    ..Command::DEFAULT
};

fn keys(cx: &mut Context<'_>) -> Result<Done, Error> {
    let (db, pattern) = (cx.db(), cx.arg(1));
    if glob::is_literal(pattern) {
        let key = cx.view.key(pattern);
        let found = cx.view.contains(db, key);
        cx.reply.array(usize::from(found));
        if found {
            cx.reply.bulk(pattern);
        }
        return Ok(Done::Replied);
    }
    let everything = pattern == b"*";
    let list = cx.reply.deferred();
    let mut found = 0;
    let reply = &mut *cx.reply;
    cx.view.for_each(db, |key, _| {
        if everything || glob::matches(pattern, key, true) {
            reply.bulk(key);
            found += 1;
        }
    });
    cx.reply.fill_array(list, found);
    Ok(Done::Replied)
}

/// The options that SCAN, HSCAN, SSCAN and ZSCAN share.
pub(super) struct ScanOptions<'a> {
    /// MATCH, unless everything matches.
    pub(super) pattern: Option<&'a [u8]>,
    /// COUNT, at least 1.
    pub(super) count: usize,
    /// TYPE.
    pub(super) kind: Option<&'static str>,
    /// NOVALUES, or NOSCORES: only the names.
    pub(super) names_only: bool,
}

impl<'a> ScanOptions<'a> {
    /// Reads the options behind the cursor. `own` is the one that only this command knows: TYPE
    /// for SCAN, NOVALUES for HSCAN, NOSCORES for ZSCAN, none for SSCAN. A walk over a collection
    /// looks its key up first, and a missing one makes an empty reply whatever the options say.
    pub(super) fn parse(mut options: Options<'a>, own: &str) -> Result<Self, Error> {
        let mut parsed = Self { pattern: None, count: 10, kind: None, names_only: false };
        while let Some(word) = options.next() {
            if own.starts_with("NO") && is(word, own) {
                parsed.names_only = true;
                continue;
            }
            if is(word, "NOSCORES") {
                return Err(Error::new("ERR NOSCORES option can only be used in ZSCAN"));
            }
            if is(word, "NOVALUES") {
                return Err(Error::new("ERR NOVALUES option can only be used in HSCAN"));
            }
            if !options.has_value() {
                return Err(Error::SYNTAX);
            }
            if is(word, "MATCH") {
                parsed.pattern = Some(options.value()?).filter(|pattern| *pattern != b"*");
            } else if is(word, "COUNT") {
                let count = integer(options.value()?)?;
                if count < 1 {
                    return Err(Error::SYNTAX);
                }
                parsed.count = count as usize;
            } else if is(word, "TYPE") && own == "TYPE" {
                let name = options.value()?;
                let known = TYPES.iter().find(|known| is(name, known));
                parsed.kind = Some(known.ok_or_else(|| unknown_type(name))?);
            } else {
                return Err(Error::SYNTAX);
            }
        }
        Ok(parsed)
    }

    /// Whether MATCH lets a name through.
    pub(super) fn matches(&self, name: &[u8]) -> bool {
        self.pattern.is_none_or(|pattern| glob::matches(pattern, name, true))
    }
}

fn unknown_type(name: &[u8]) -> Error {
    Error::text(format!("ERR unknown type name '{}'", quoted(name, usize::MAX)))
}

/// A cursor: any number that fits 64 bits, also with leading spaces, zeros or a plus sign.
pub(super) fn cursor(text: &[u8]) -> Result<Cursor, Error> {
    let number = std::str::from_utf8(text).ok();
    let number = number.and_then(|text| text.trim_start().parse().ok());
    number.map(Cursor).ok_or(Error::new("ERR invalid cursor"))
}

fn scan(cx: &mut Context<'_>) -> Result<Done, Error> {
    let cursor = cursor(cx.arg(1))?;
    let options = ScanOptions::parse(Options::new(cx.args, 2), "TYPE")?;
    let db = cx.db();
    let mut found: Vec<u8> = Vec::new();
    let mut ends: Vec<usize> = Vec::new();
    let next = cx.view.scan(db, cursor, options.count, |key, entry| {
        let fits =
            options.matches(key) && options.kind.is_none_or(|kind| entry.kind().name() == kind);
        if fits {
            found.extend_from_slice(key);
            ends.push(found.len());
        }
    });
    cx.reply.array(2);
    cx.reply.bulk(next.0.to_string().as_bytes());
    cx.reply.array(ends.len());
    let mut start = 0;
    for end in ends {
        cx.reply.bulk(&found[start..end]);
        start = end;
    }
    Ok(Done::Replied)
}

fn randomkey(cx: &mut Context<'_>) -> Result<Done, Error> {
    let db = cx.db();
    match cx.view.random_key(db) {
        None => cx.reply.null(),
        Some(key) => cx.reply.bulk(&key),
    }
    Ok(Done::Replied)
}
