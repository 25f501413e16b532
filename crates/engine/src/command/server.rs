//! The server as a whole: TIME, LASTSAVE, LOLWUT, SHUTDOWN.
//!
//! SHUTDOWN is a request to the host, which decides how the program ends; the connection closes
//! without a reply when it is granted. Nothing is saved to disk yet, so SHUTDOWN SAVE is refused.
//! Transcripts: `tests/transcripts/server`.

use super::row::{Command, Context, Done, Group, categories, flags};
use crate::args::{Options, integer, is};
use crate::error::Error;
use crate::host::ShutdownRequest;

/// The family's rows.
pub(super) const ROWS: &[Command] = &[TIME, LASTSAVE, LOLWUT, SHUTDOWN];

const TIME: Command = Command {
    name: "time",
    since: "2.6.0",
    group: Group::Server,
    arity: 1,
    flags: flags::FAST | flags::LOADING | flags::STALE,
    syntax: "",
    summary: "Tells the server's time.",
    complexity: "O(1)",
    tips: &["nondeterministic_output"],
    handler: time,
    ..Command::DEFAULT
};

const LASTSAVE: Command = Command {
    name: "lastsave",
    since: "1.0.0",
    group: Group::Server,
    arity: 1,
    flags: flags::FAST | flags::LOADING | flags::STALE,
    categories: categories::ADMIN | categories::DANGEROUS,
    syntax: "",
    summary: "Tells the Unix time of the last save to disk.",
    complexity: "O(1)",
    tips: &["nondeterministic_output"],
    handler: lastsave,
    ..Command::DEFAULT
};

const LOLWUT: Command = Command {
    name: "lolwut",
    since: "5.0.0",
    group: Group::Server,
    arity: -1,
    flags: flags::FAST | flags::READONLY,
    syntax: "[VERSION version]",
    summary: "Shows a picture made of characters, and the version.",
    complexity: "O(1)",
    handler: lolwut,
    ..Command::DEFAULT
};

const SHUTDOWN: Command = Command {
    name: "shutdown",
    since: "1.0.0",
    group: Group::Server,
    arity: -1,
    flags: flags::ADMIN
        | flags::ALLOW_BUSY
        | flags::LOADING
        | flags::NO_MULTI
        | flags::NOSCRIPT
        | flags::STALE,
    syntax: "[[NOSAVE | SAVE] [NOW] [FORCE] [SAFE] [FAILOVER] | ABORT]",
    summary: "Ends the server.",
    complexity: "O(1)",
    handler: shutdown,
    ..Command::DEFAULT
};

fn time(cx: &mut Context<'_>) -> Result<Done, Error> {
    cx.reply.array(2);
    let us = cx.now.unix_us;
    let mut digits = itoa::Buffer::new();
    cx.reply.bulk(digits.format(us / 1_000_000).as_bytes());
    cx.reply.bulk(digits.format(us % 1_000_000).as_bytes());
    Ok(Done::Replied)
}

/// Nothing is saved to disk yet; as in Redis the answer before the first save is the start.
fn lastsave(cx: &mut Context<'_>) -> Result<Done, Error> {
    let started = cx.engine.started.unix_s();
    cx.int(started as i64)
}

/// A pannier, as full as the keyspace.
fn lolwut(cx: &mut Context<'_>) -> Result<Done, Error> {
    let mut options = Options::new(cx.args, 1);
    if let Some(word) = options.peek()
        && is(word, "VERSION")
    {
        options.next();
        integer(options.value()?)?;
    }
    let keys = cx.engine.keyspace.totals().entries;
    let full = (usize::BITS - keys.leading_zeros()).min(12) as usize;
    let mut text = String::from("      ________________\n     /                \\\n");
    for row in 0..6usize {
        let wares = full.saturating_sub((5 - row) * 2).min(2) * 7;
        text.push_str(&format!("    |  {:<14}  |\n", "o".repeat(wares)));
    }
    text.push_str("     \\________________/\n\n");
    text.push_str(&format!("A pannier with {keys} keys in it. Pannier ver. {}\n", crate::VERSION));
    cx.reply.verbatim("txt", text.as_bytes());
    Ok(Done::Replied)
}

fn shutdown(cx: &mut Context<'_>) -> Result<Done, Error> {
    let mut request = ShutdownRequest::default();
    let mut options = Options::new(cx.args, 1);
    while let Some(word) = options.next() {
        if is(word, "NOSAVE") && request.save.is_none() {
            request.save = Some(false);
        } else if is(word, "SAVE") && request.save.is_none() {
            request.save = Some(true);
        } else if is(word, "NOW") {
            request.now = true;
        } else if is(word, "FORCE") {
            request.force = true;
        } else if is(word, "ABORT") && cx.args.len() == 2 {
            request.abort = true;
        } else if !is(word, "SAFE") && !is(word, "FAILOVER") {
            return Err(Error::SYNTAX);
        }
    }
    if let Some(busy) = cx.engine.scripts.run.busy_error()
        && request.save != Some(false)
        && !request.abort
    {
        return Err(busy);
    }
    if request.save == Some(true) && !request.force {
        cx.engine.host.log("SHUTDOWN SAVE was refused: Pannier does not save to disk");
        return Err(Error::new("ERR Errors trying to SHUTDOWN. Check logs."));
    }
    cx.engine.host.shutdown(request).map_err(|reason| Error::text(format!("ERR {reason}")))?;
    if request.abort {
        return cx.ok();
    }
    cx.session.ends_server = true;
    Ok(Done::Close)
}
