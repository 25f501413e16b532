//! Counts of distinct elements, by HyperLogLog.
//!
//! A sketch is a string (`pannier_store::hyperloglog` draws its bytes), so GET, SET and
//! SETRANGE work on it, and what they leave need not be sound: a string without the header gets
//! WRONGTYPE, damaged registers get INVALIDOBJ, a header that claims a count is believed. PFADD
//! changes a sketch where it lies. PFCOUNT of one key keeps the count in the header, and is a
//! write in that; of several keys, and for PFMERGE, registers are merged on the stack.
//!
//! Transcripts: `tests/transcripts/hyperloglog`.

use std::fmt::Write;
use std::sync::atomic::Ordering::Relaxed;

use pannier_resp::Args;
use pannier_store::hyperloglog::{
    self, Buffer, Corrupt, EMPTY, Form, Registers, Run, forget_count, form, keep_count, kept_count,
};
use pannier_store::{Deadline, Edit, Encoding, NewValue, Str, StrBuffer, class};

use super::keys::{KeySpec, access};
use super::row::{Command, Context, Done, Group, categories, flags};
use crate::args::is;
use crate::error::{Error, quoted};

/// The family's rows.
pub(super) const ROWS: &[Command] = &[PFADD, PFCOUNT, PFMERGE, PFDEBUG, PFSELFTEST];

const PFADD: Command = Command {
    name: "pfadd",
    since: "2.8.9",
    group: Group::HyperLogLog,
    arity: -2,
    flags: flags::DENYOOM | flags::FAST | flags::WRITE,
    categories: categories::HYPERLOGLOG,
    keys: &[KeySpec::one(1, access::RW | access::INSERT)],
    syntax: "key [element [element ...]]",
    summary: "Adds elements to a HyperLogLog; 1 when its count may have changed.",
    complexity: "O(1) for each element",
    handler: pfadd,
    ..Command::DEFAULT
};

const PFCOUNT: Command = Command {
    name: "pfcount",
    since: "2.8.9",
    group: Group::HyperLogLog,
    arity: -2,
    flags: flags::MAY_REPLICATE | flags::READONLY,
    categories: categories::HYPERLOGLOG,
    keys: &[KeySpec::range(1, -1, 1, access::RW | access::ACCESS).noted(
        "RW because it may change the internal representation of the key, and propagate to \
         replicas",
    )],
    syntax: "key [key ...]",
    summary: "Returns about how many distinct elements were added to all of the HyperLogLogs.",
    complexity: "O(1) for one key whose count is known, else O(N) with N the number of keys",
    handler: pfcount,
    ..Command::DEFAULT
};

const PFMERGE: Command = Command {
    name: "pfmerge",
    since: "2.8.9",
    group: Group::HyperLogLog,
    arity: -2,
    flags: flags::DENYOOM | flags::WRITE,
    categories: categories::HYPERLOGLOG,
    keys: &[
        KeySpec::one(1, access::RW | access::ACCESS | access::INSERT),
        KeySpec::range(2, -1, 1, access::RO | access::ACCESS),
    ],
    syntax: "destkey [sourcekey [sourcekey ...]]",
    summary: "Merges HyperLogLogs into one.",
    complexity: "O(N) with N the number of keys",
    handler: pfmerge,
    ..Command::DEFAULT
};

const PFDEBUG: Command = Command {
    name: "pfdebug",
    since: "2.8.9",
    group: Group::HyperLogLog,
    arity: 3,
    flags: flags::ADMIN | flags::DENYOOM | flags::WRITE,
    categories: categories::HYPERLOGLOG,
    keys: &[KeySpec::one(2, access::RW | access::ACCESS)],
    syntax: "<GETREG key | DECODE key | ENCODING key | TODENSE key | SIMD <ON | OFF>>",
    summary: "Shows the inside of a HyperLogLog.",
    complexity: "O(1): there are 16384 registers",
    handler: pfdebug,
    ..Command::DEFAULT
};

const PFSELFTEST: Command = Command {
    name: "pfselftest",
    since: "2.8.9",
    group: Group::HyperLogLog,
    arity: 1,
    flags: flags::ADMIN,
    categories: categories::HYPERLOGLOG,
    syntax: "",
    summary: "Tests the implementation of HyperLogLog with made-up elements.",
    complexity: "O(1): it takes some tens of milliseconds",
    handler: pfselftest,
    ..Command::DEFAULT
};

/// A string without the header of a sketch.
const NOT_A_SKETCH: Error = Error::new("WRONGTYPE Key is not a valid HyperLogLog string value.");

impl From<Corrupt> for Error {
    fn from(Corrupt: Corrupt) -> Self {
        Self::new("INVALIDOBJ Corrupted HLL object detected")
    }
}

fn pfadd(cx: &mut Context<'_>) -> Result<Done, Error> {
    let (db, key) = (cx.db(), cx.key(1));
    let (args, sparse_max) = (cx.args, cx.config.hll_sparse_max_bytes);
    let Some(edit) = cx.view.edit(db, key)? else {
        cx.view.set(db, key, NewValue::Raw(&EMPTY), Deadline::Clear);
        if let Some(edit) = cx.view.edit(db, key)? {
            add(edit, args, sparse_max, true)?;
        }
        cx.notify(class::STRING, "pfadd", key);
        return cx.int(1);
    };
    let changed = add(edit, args, sparse_max, false)?;
    if changed {
        cx.notify(class::STRING, "pfadd", key);
    }
    cx.int(i64::from(changed))
}

/// Adds the elements among the arguments; true when a register has changed.
fn add(mut edit: Edit<'_>, args: Args<'_>, sparse_max: usize, new: bool) -> Result<bool, Error> {
    check(edit.string())?;
    let mut result = Ok(false);
    edit.pieces(|sketch| {
        let mut changes = 0;
        for element in args.iter().skip(2) {
            match hyperloglog::add(sketch, element, sparse_max) {
                Ok(changed) => changes += u64::from(changed),
                Err(corrupt) => {
                    result = Err(corrupt.into());
                    break;
                }
            }
        }
        if new || changes > 0 {
            forget_count(sketch.bytes_mut());
        }
        result = result.clone().map(|_: bool| changes > 0);
        changes
    });
    result
}

/// Refuses a string that has not the header of a sketch.
fn check(string: Str<'_>) -> Result<Form, Error> {
    form(string.as_bytes(&mut StrBuffer::new())).ok_or(NOT_A_SKETCH)
}

fn pfcount(cx: &mut Context<'_>) -> Result<Done, Error> {
    let db = cx.db();
    if cx.args.len() > 2 {
        let (registers, _) = merged(cx)?;
        return cx.int(registers.count() as i64);
    }
    let key = cx.key(1);
    let Some(found) = cx.view.read(db, key) else { return cx.int(0) };
    let (string, mut buffer) = (found.string()?, StrBuffer::new());
    let bytes = string.as_bytes(&mut buffer);
    form(bytes).ok_or(NOT_A_SKETCH)?;
    let kept = kept_count(bytes);
    let count = match kept {
        Some(count) => count,
        None => hyperloglog::count(bytes)?,
    };
    // As in Redis a sketch is `raw` once it was counted.
    if (kept.is_none() || found.encoding() == Encoding::Embstr)
        && let Some(mut edit) = cx.view.edit(db, key)?
    {
        edit.pieces(|sketch| {
            keep_count(sketch.bytes_mut(), count);
            u64::from(kept.is_none())
        });
    }
    cx.int(count as i64)
}

/// The registers of all keys merged, and whether any of them is dense.
fn merged(cx: &mut Context<'_>) -> Result<(Registers, bool), Error> {
    let db = cx.db();
    let mut registers = Registers::new(cx.engine.wide_merges.load(Relaxed));
    let mut dense = false;
    for at in 1..cx.args.len() {
        let key = cx.key(at);
        let Some(string) = cx.view.string(db, key)? else { continue };
        let mut buffer = StrBuffer::new();
        let bytes = string.as_bytes(&mut buffer);
        dense |= form(bytes).ok_or(NOT_A_SKETCH)? == Form::Dense;
        registers.merge(bytes)?;
    }
    Ok((registers, dense))
}

fn pfmerge(cx: &mut Context<'_>) -> Result<Done, Error> {
    let (registers, dense) = merged(cx)?;
    let (db, key, sparse_max) = (cx.db(), cx.key(1), cx.config.hll_sparse_max_bytes);
    let merge = |mut edit: Edit<'_>, changes| {
        edit.pieces(|sketch| {
            hyperloglog::raise_to(sketch, &registers, dense, sparse_max);
            changes
        });
    };
    let Some(edit) = cx.view.edit(db, key)? else {
        // Making the key is the change.
        cx.view.set(db, key, NewValue::Raw(&EMPTY), Deadline::Clear);
        if let Some(edit) = cx.view.edit(db, key)? {
            merge(edit, 0);
        }
        cx.notify(class::STRING, "pfadd", key);
        return cx.ok();
    };
    merge(edit, 1);
    cx.notify(class::STRING, "pfadd", key);
    cx.ok()
}

fn pfdebug(cx: &mut Context<'_>) -> Result<Done, Error> {
    const NO_KEY: Error = Error::new("ERR The specified key does not exist");
    let (db, word, key) = (cx.db(), cx.arg(1), cx.key(2));
    if is(word, "simd") {
        return pfdebug_simd(cx);
    }
    let mut edit = cx.view.edit(db, key)?.ok_or(NO_KEY)?;
    let form = check(edit.string())?;
    let mut converted = Ok(false);
    edit.pieces(|sketch| {
        if is(word, "getreg") || is(word, "todense") {
            converted = hyperloglog::to_dense(sketch);
        }
        u64::from(converted == Ok(true))
    });
    let converted = converted?;
    let (string, mut buffer) = (edit.string(), StrBuffer::new());
    let bytes = string.as_bytes(&mut buffer);
    if is(word, "getreg") {
        let mut registers = Registers::new(false);
        registers.merge(bytes)?;
        cx.reply.array(hyperloglog::REGISTERS);
        registers.values().iter().for_each(|value| cx.reply.integer(i64::from(*value)));
    } else if is(word, "decode") {
        if form != Form::Sparse {
            return Err(Error::new("ERR HLL encoding is not sparse"));
        }
        cx.reply.bulk(decoded(bytes).as_bytes());
    } else if is(word, "encoding") {
        cx.reply.simple(if form == Form::Dense { "dense" } else { "sparse" });
    } else if is(word, "todense") {
        cx.reply.integer(i64::from(converted));
    } else {
        let word = quoted(word, usize::MAX);
        return Err(Error::text(format!("ERR Unknown PFDEBUG subcommand '{word}'")));
    }
    Ok(Done::Replied)
}

fn pfdebug_simd(cx: &mut Context<'_>) -> Result<Done, Error> {
    let on = match cx.arg(2) {
        word if is(word, "on") => true,
        word if is(word, "off") => false,
        _ => return Err(Error::new("ERR Argument must be ON or OFF")),
    };
    cx.engine.wide_merges.store(on, Relaxed);
    cx.reply.simple(if on { "enabled" } else { "disabled" });
    Ok(Done::Replied)
}

/// The runs of a sparse sketch, one word each.
fn decoded(bytes: &[u8]) -> String {
    let mut text = String::new();
    for run in hyperloglog::runs(bytes) {
        let _ = match run {
            Run::Zeros(len) => write!(text, "z:{len} "),
            Run::ManyZeros(len) => write!(text, "Z:{len} "),
            Run::Values(value, len) => write!(text, "v:{value},{len} "),
        };
    }
    text.truncate(text.trim_end().len());
    text
}

fn pfselftest(cx: &mut Context<'_>) -> Result<Done, Error> {
    let seed = cx.engine.rng.lock().u64(..);
    match hyperloglog::self_test(seed, cx.config.hll_sparse_max_bytes) {
        Ok(()) => cx.ok(),
        Err(why) => Err(Error::text(format!("TESTFAILED {why}"))),
    }
}
