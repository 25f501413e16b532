//! PANNIER CHECKPOINT, CHECKPOINTS, RELEASE and ROLLBACK: the engine's checkpoints over the wire.
//!
//! A checkpoint is named by the number that CHECKPOINT replied or by a name that the client chose;
//! without either the latest is meant, because that is what nested tests want. So that no word is
//! ambiguous, a name must be neither a number nor the option's word. Everything else is in
//! `checkpoint` of the engine. Transcripts: `tests/transcripts/server/pannier-*`.

use super::row::{Command, Context, Done, Flags, Group, Opens, flags};
use crate::args;
use crate::checkpoint::{CheckpointId, Extent, Which};
use crate::error::Error;

const TOOL: Flags = flags::ADMIN | flags::NOSCRIPT;

pub(super) const PANNIER_CHECKPOINT: Command = Command {
    name: "pannier|checkpoint",
    opens: Opens::Everything,
    since: "0.1.0",
    group: Group::Server,
    arity: -2,
    flags: TOOL,
    syntax: "[name]",
    summary: "Remembers all data, scripts, functions and parameters as they are.",
    complexity: "O(S) with S the number of shards",
    handler: checkpoint,
    ..Command::DEFAULT
};

pub(super) const PANNIER_CHECKPOINTS: Command = Command {
    name: "pannier|checkpoints",
    opens: Opens::Everything,
    since: "0.1.0",
    group: Group::Server,
    arity: 2,
    flags: TOOL,
    syntax: "",
    summary: "Lists the active checkpoints with what they keep.",
    complexity: "O(N) with N the number of databases in which something has changed",
    handler: checkpoints,
    ..Command::DEFAULT
};

pub(super) const PANNIER_RELEASE: Command = Command {
    name: "pannier|release",
    opens: Opens::Everything,
    since: "0.1.0",
    group: Group::Server,
    arity: -2,
    flags: TOOL,
    syntax: "[id | name]",
    summary: "Gives up a checkpoint; the data stay as they are.",
    complexity: "O(N) with N the number of keys that have changed between it and the next one",
    handler: release,
    ..Command::DEFAULT
};

pub(super) const PANNIER_ROLLBACK: Command = Command {
    name: "pannier|rollback",
    opens: Opens::Everything,
    since: "0.1.0",
    group: Group::Server,
    arity: -2,
    flags: TOOL | flags::WRITE,
    syntax: "[id | name] [CONFIG]",
    summary: "Brings data, scripts and functions back to a checkpoint, which stays.",
    complexity: "O(N) with N the number of keys that have changed since",
    handler: rollback,
    ..Command::DEFAULT
};

fn checkpoint(cx: &mut Context<'_>) -> Result<Done, Error> {
    let name = match cx.args.len() {
        2 => None,
        3 if is_ambiguous(cx.arg(2)) => return Err(AMBIGUOUS),
        3 => Some(cx.arg(2)),
        _ => return Err(Error::SYNTAX),
    };
    let CheckpointId(id) = cx.engine.set_checkpoint(&mut cx.view, name)?;
    cx.int(id as i64)
}

fn checkpoints(cx: &mut Context<'_>) -> Result<Done, Error> {
    let active = cx.engine.list_checkpoints(&cx.view);
    cx.reply.array(active.len());
    for one in active {
        cx.reply.map(4);
        cx.reply.bulk(b"id");
        cx.reply.integer(one.id.0 as i64);
        cx.reply.bulk(b"name");
        match one.name {
            Some(name) => cx.reply.bulk(&name),
            None => cx.reply.null(),
        }
        cx.reply.bulk(b"changed-keys");
        cx.reply.integer(one.kept.keys as i64);
        cx.reply.bulk(b"kept-bytes");
        cx.reply.integer(one.kept.bytes as i64);
    }
    Ok(Done::Replied)
}

fn release(cx: &mut Context<'_>) -> Result<Done, Error> {
    let which = match cx.args.len() {
        2 => Which::Latest,
        3 => which(cx.arg(2)),
        _ => return Err(Error::SYNTAX),
    };
    cx.engine.give_up(&mut cx.view, which)?;
    cx.ok()
}

fn rollback(cx: &mut Context<'_>) -> Result<Done, Error> {
    let last = cx.args.len() - 1;
    let (named, extent) = match last > 1 && cx.is(last, CONFIG) {
        true => (last - 2, Extent::WithConfig),
        false => (last - 1, Extent::Data),
    };
    let which = match named {
        0 => Which::Latest,
        1 => which(cx.arg(2)),
        _ => return Err(Error::SYNTAX),
    };
    cx.engine.roll_back(&mut cx.view, which, extent)?;
    cx.reply.ok();
    // The limits of then may be lower than those of before, or were lowered since.
    Ok(Done::Trim)
}

/// The checkpoint that a word means.
fn which(word: &[u8]) -> Which<'_> {
    match args::integer(word).map(u64::try_from) {
        Ok(Ok(id)) => Which::Id(CheckpointId(id)),
        _ => Which::Name(word),
    }
}

/// Whether a word means something else than a name.
fn is_ambiguous(word: &[u8]) -> bool {
    args::integer(word).is_ok() || word.eq_ignore_ascii_case(CONFIG.as_bytes())
}

/// The option that brings the configuration back, too.
const CONFIG: &str = "CONFIG";

const AMBIGUOUS: Error = Error::new("ERR a checkpoint's name must be neither a number nor CONFIG");
