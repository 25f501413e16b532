//! CLIENT TRACKING, CACHING, GETREDIR, TRACKINGINFO: client-side caching.
//!
//! What is told to whom is the business of `tracking` in the engine; here are the options and their
//! refusals, in Valkey's order and words. Transcripts: `tests/transcripts/connection`.

use std::collections::BTreeSet;

use super::row::{Command, Context, Done, Group, categories, flags};
use crate::args::{self, Options, is};
use crate::clients::{BROKEN_REDIRECT, TRACKS};
use crate::error::Error;
use crate::tracking::Mode;

pub(super) const CLIENT_CACHING: Command = Command {
    name: "client|caching",
    since: "6.0.0",
    group: Group::Connection,
    arity: 3,
    flags: flags::ALLOW_BUSY | flags::LOADING | flags::NOSCRIPT | flags::STALE,
    categories: categories::CONNECTION,
    syntax: "<YES | NO>",
    summary: "Says whether the keys of the next command are tracked.",
    complexity: "O(1)",
    handler: client_caching,
    ..Command::DEFAULT
};

pub(super) const CLIENT_GETREDIR: Command = Command {
    name: "client|getredir",
    since: "6.0.0",
    group: Group::Connection,
    arity: 2,
    flags: flags::ALLOW_BUSY | flags::LOADING | flags::NOSCRIPT | flags::STALE,
    categories: categories::CONNECTION,
    syntax: "",
    summary: "Tells which connection is told of changes in place of this one.",
    complexity: "O(1)",
    handler: |cx| cx.int(cx.client().redirect()),
    ..Command::DEFAULT
};

pub(super) const CLIENT_TRACKING: Command = Command {
    name: "client|tracking",
    since: "6.0.0",
    group: Group::Connection,
    arity: -3,
    flags: flags::LOADING | flags::NOSCRIPT | flags::STALE,
    categories: categories::CONNECTION,
    syntax: "<ON | OFF> [REDIRECT client-id] [PREFIX prefix [PREFIX prefix ...]] [BCAST] [OPTIN] \
             [OPTOUT] [NOLOOP]",
    summary: "Tells the connection when keys change that it has read.",
    complexity: "O(N) with N the number of prefixes",
    handler: client_tracking,
    ..Command::DEFAULT
};

pub(super) const CLIENT_TRACKINGINFO: Command = Command {
    name: "client|trackinginfo",
    since: "6.2.0",
    group: Group::Connection,
    arity: 2,
    flags: flags::LOADING | flags::NOSCRIPT | flags::STALE,
    categories: categories::CONNECTION,
    syntax: "",
    summary: "Tells how the connection tracks keys.",
    complexity: "O(1)",
    handler: client_trackinginfo,
    ..Command::DEFAULT
};

/// Reads the options into a mode; prefixes in the order given.
fn options<'a>(cx: &Context<'a>) -> Result<(Mode, Vec<&'a [u8]>), Error> {
    let (mut mode, mut prefixes) = (Mode::default(), Vec::new());
    let mut options = Options::new(cx.args, 3);
    while let Some(word) = options.next() {
        if is(word, "REDIRECT") && options.has_value() {
            if mode.redirect != 0 {
                return Err(Error::new("ERR A client can only redirect to a single other client"));
            }
            let id = args::integer(options.value()?)?;
            let found = u64::try_from(id).ok().filter(|id| cx.engine.clients.get(*id).is_some());
            mode.redirect =
                found.ok_or(Error::new("ERR The client ID you want redirect to does not exist"))?;
        } else if is(word, "BCAST") {
            mode.broadcast = true;
        } else if is(word, "OPTIN") {
            mode.opt_in = true;
        } else if is(word, "OPTOUT") {
            mode.opt_out = true;
        } else if is(word, "NOLOOP") {
            mode.no_loop = true;
        } else if is(word, "PREFIX") && options.has_value() {
            prefixes.push(options.value()?);
        } else {
            return Err(Error::SYNTAX);
        }
    }
    Ok((mode, prefixes))
}

/// Refuses what contradicts itself or the way in which the session tracks already.
fn check(mode: &Mode, prefixes: &[&[u8]], held: Option<&Mode>) -> Result<(), Error> {
    if !mode.broadcast && !prefixes.is_empty() {
        return Err(Error::new("ERR PREFIX option requires BCAST mode to be enabled"));
    }
    if held.is_some_and(|held| held.broadcast != mode.broadcast) {
        return Err(Error::new(
            "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and \
             then re-enabling it with a different mode.",
        ));
    }
    if mode.broadcast && (mode.opt_in || mode.opt_out) {
        return Err(Error::new("ERR OPTIN and OPTOUT are not compatible with BCAST"));
    }
    if mode.opt_in && mode.opt_out {
        return Err(Error::new("ERR You can't specify both OPTIN mode and OPTOUT mode"));
    }
    if held.is_some_and(|held| mode.opt_in && held.opt_out || mode.opt_out && held.opt_in) {
        return Err(Error::new(
            "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and \
             then re-enabling it with a different mode.",
        ));
    }
    let overlap = |a: &[u8], b: &[u8]| a.starts_with(b) || b.starts_with(a);
    let refused = |prefix: &[u8], kind: &str, other: &[u8]| {
        let (prefix, other) = (String::from_utf8_lossy(prefix), String::from_utf8_lossy(other));
        Err(Error::text(format!(
            "ERR Prefix '{prefix}' overlaps with {kind} prefix '{other}'. Prefixes for a single \
             client must not overlap."
        )))
    };
    let none = BTreeSet::new();
    let present = held.map_or(&none, |held| &held.prefixes);
    for (at, prefix) in prefixes.iter().enumerate() {
        if let Some(other) = present.iter().find(|other| overlap(prefix, other)) {
            return refused(prefix, "an existing", other);
        }
        if let Some(other) = prefixes[at + 1..].iter().find(|other| overlap(prefix, other)) {
            return refused(prefix, "another provided", other);
        }
    }
    Ok(())
}

fn client_tracking(cx: &mut Context<'_>) -> Result<Done, Error> {
    let (mut mode, mut prefixes) = options(cx)?;
    if cx.is(2, "OFF") {
        cx.session.untrack();
        return cx.ok();
    }
    if !cx.is(2, "ON") {
        return Err(Error::SYNTAX);
    }
    check(&mode, &prefixes, cx.session.tracking.as_deref())?;
    if mode.broadcast && prefixes.is_empty() {
        prefixes.push(b"");
    }
    mode.prefixes = prefixes.into_iter().map(Box::from).collect();
    if let Some(held) = cx.session.tracking.take() {
        mode.prefixes.extend(held.prefixes);
        mode.caching = held.caching;
    }
    let redirect = cx.engine.clients.get(mode.redirect);
    cx.engine.tracking.enter(&cx.engine.keyspace, &cx.session.client, &mode, redirect);
    cx.session.tracking = Some(Box::new(mode));
    cx.ok()
}

fn client_caching(cx: &mut Context<'_>) -> Result<Done, Error> {
    let (yes, no) = (cx.is(2, "YES"), cx.is(2, "NO"));
    let mode = cx.session.tracking.as_mut().ok_or(Error::new(
        "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or \
         OPTOUT mode enabled",
    ))?;
    if yes && !mode.opt_in {
        return Err(Error::new(
            "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.",
        ));
    }
    if no && !mode.opt_out {
        return Err(Error::new(
            "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.",
        ));
    }
    if !yes && !no {
        return Err(Error::SYNTAX);
    }
    mode.caching = true;
    cx.ok()
}

fn client_trackinginfo(cx: &mut Context<'_>) -> Result<Done, Error> {
    let client = cx.client();
    let (on, broken) = (client.tracks(TRACKS), client.tracks(BROKEN_REDIRECT));
    let redirect = client.redirect();
    let mode = cx.session.tracking.as_deref().cloned().unwrap_or_default();
    let words: Vec<&str> = [
        (!on, "off"),
        (on, "on"),
        (mode.broadcast, "bcast"),
        (mode.opt_in, "optin"),
        (mode.opt_in && mode.caching, "caching-yes"),
        (mode.opt_out, "optout"),
        (mode.opt_out && mode.caching, "caching-no"),
        (mode.no_loop, "noloop"),
        (broken, "broken_redirect"),
    ]
    .into_iter()
    .filter_map(|(shown, word)| shown.then_some(word))
    .collect();
    let reply = &mut *cx.reply;
    reply.map(3);
    reply.bulk(b"flags");
    reply.set(words.len());
    words.iter().for_each(|word| reply.bulk(word.as_bytes()));
    reply.bulk(b"redirect");
    reply.integer(redirect);
    reply.bulk(b"prefixes");
    reply.array(mode.prefixes.len());
    mode.prefixes.iter().for_each(|prefix| reply.bulk(prefix));
    Ok(Done::Replied)
}
