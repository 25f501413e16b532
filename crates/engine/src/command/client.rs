//! CLIENT: names, listing, killing, pausing and silencing connections.
//!
//! The filters that LIST and KILL share are in `client_filter`, client-side caching is in
//! `client_tracking`, UNBLOCK in `block`. Transcripts:
//! `tests/transcripts/connection`.

use std::fmt::Write;
use std::sync::atomic::Ordering::Relaxed;

use super::block::CLIENT_UNBLOCK;
use super::client_filter::Filter;
use super::client_tracking::{
    CLIENT_CACHING, CLIENT_GETREDIR, CLIENT_TRACKING, CLIENT_TRACKINGINFO,
};
use super::row::{Command, Context, Done, Group, categories, flags};
use crate::args::is;
use crate::clients::{BROADCASTS, BROKEN_REDIRECT, Client, TRACKS, Transport};
use crate::engine::Engine;
use crate::error::Error;
use crate::mailbox::Letter;
use crate::pause::Held;
use crate::session::ReplyMode;

/// The family's rows.
pub(super) const ROWS: &[Command] = &[CLIENT];

const CLIENT: Command = Command {
    name: "client",
    since: "2.4.0",
    group: Group::Connection,
    arity: -2,
    syntax: "",
    summary: "Looks at and controls client connections.",
    complexity: "depends on the sub-command",
    subcommands: &[
        CLIENT_CACHING,
        CLIENT_GETNAME,
        CLIENT_GETREDIR,
        CLIENT_HELP,
        CLIENT_ID,
        CLIENT_INFO,
        CLIENT_KILL,
        CLIENT_LIST,
        CLIENT_NO_EVICT,
        CLIENT_NO_TOUCH,
        CLIENT_PAUSE,
        CLIENT_REPLY,
        CLIENT_SETINFO,
        CLIENT_SETNAME,
        CLIENT_TRACKING,
        CLIENT_TRACKINGINFO,
        CLIENT_UNBLOCK,
        CLIENT_UNPAUSE,
    ],
    ..Command::DEFAULT
};

const CLIENT_GETNAME: Command = Command {
    name: "client|getname",
    since: "2.6.9",
    group: Group::Connection,
    arity: 2,
    flags: flags::ALLOW_BUSY | flags::LOADING | flags::NOSCRIPT | flags::STALE,
    categories: categories::CONNECTION,
    syntax: "",
    summary: "Tells the name of the connection.",
    complexity: "O(1)",
    handler: client_getname,
    ..Command::DEFAULT
};

const CLIENT_HELP: Command = Command {
    name: "client|help",
    since: "5.0.0",
    group: Group::Connection,
    arity: 2,
    flags: flags::LOADING | flags::STALE,
    categories: categories::CONNECTION,
    syntax: "",
    summary: "Lists the sub-commands.",
    complexity: "O(1)",
    handler: client_help,
    ..Command::DEFAULT
};

const CLIENT_ID: Command = Command {
    name: "client|id",
    since: "5.0.0",
    group: Group::Connection,
    arity: 2,
    flags: flags::ALLOW_BUSY | flags::LOADING | flags::NOSCRIPT | flags::STALE,
    categories: categories::CONNECTION,
    syntax: "",
    summary: "Tells the number of the connection.",
    complexity: "O(1)",
    handler: client_id,
    ..Command::DEFAULT
};

const CLIENT_INFO: Command = Command {
    name: "client|info",
    since: "6.2.0",
    group: Group::Connection,
    arity: 2,
    flags: flags::LOADING | flags::NOSCRIPT | flags::STALE,
    categories: categories::CONNECTION,
    syntax: "",
    summary: "Describes this connection.",
    complexity: "O(1)",
    tips: &["nondeterministic_output"],
    handler: client_info,
    ..Command::DEFAULT
};

const CLIENT_KILL: Command = Command {
    name: "client|kill",
    since: "2.4.0",
    group: Group::Connection,
    arity: -3,
    flags: flags::ADMIN | flags::LOADING | flags::NOSCRIPT | flags::STALE,
    categories: categories::CONNECTION,
    syntax: "<ip:port | <[ID client-id [client-id ...]] | [TYPE NORMAL | MASTER | PRIMARY | \
             SLAVE | REPLICA | PUBSUB] | [USER username] | [ADDR ip:port] | [LADDR ip:port] | \
             [SKIPME YES | NO] | [MAXAGE maxage] | [NAME name] | [IDLE idle] | [FLAGS flags] \
             | [LIB-NAME lib-name] | [LIB-VER lib-ver] | [DB db] | [CAPA capa] | [IP ip] | \
             [NOT-TYPE NORMAL | MASTER | PRIMARY | SLAVE | REPLICA | PUBSUB] | [NOT-ID \
             not-client-id [not-client-id ...]] | [NOT-USER not-username] | [NOT-ADDR \
             ip:port] | [NOT-LADDR ip:port] | [NOT-NAME not-name] | [NOT-FLAGS not-flags] | \
             [NOT-LIB-NAME not-lib-name] | [NOT-LIB-VER not-lib-ver] | [NOT-DB not-db] | \
             [NOT-CAPA not-capa] | [NOT-IP not-ip]> [<[ID client-id [client-id ...]] | [TYPE \
             NORMAL | MASTER | PRIMARY | SLAVE | REPLICA | PUBSUB] | [USER username] | [ADDR \
             ip:port] | [LADDR ip:port] | [SKIPME YES | NO] | [MAXAGE maxage] | [NAME name] | \
             [IDLE idle] | [FLAGS flags] | [LIB-NAME lib-name] | [LIB-VER lib-ver] | [DB db] \
             | [CAPA capa] | [IP ip] | [NOT-TYPE NORMAL | MASTER | PRIMARY | SLAVE | REPLICA \
             | PUBSUB] | [NOT-ID not-client-id [not-client-id ...]] | [NOT-USER not-username] \
             | [NOT-ADDR ip:port] | [NOT-LADDR ip:port] | [NOT-NAME not-name] | [NOT-FLAGS \
             not-flags] | [NOT-LIB-NAME not-lib-name] | [NOT-LIB-VER not-lib-ver] | [NOT-DB \
             not-db] | [NOT-CAPA not-capa] | [NOT-IP not-ip]> ...]>",
    summary: "Closes connections, chosen by address or by filters.",
    complexity: "O(N) with N the number of connections",
    handler: client_kill,
    ..Command::DEFAULT
};

const CLIENT_LIST: Command = Command {
    name: "client|list",
    since: "2.4.0",
    group: Group::Connection,
    arity: -2,
    flags: flags::ADMIN | flags::LOADING | flags::NOSCRIPT | flags::STALE,
    categories: categories::CONNECTION,
    syntax: "[TYPE NORMAL | MASTER | REPLICA | PUBSUB] [ID client-id [client-id ...]] [USER \
             username] [ADDR ip:port] [LADDR ip:port] [SKIPME YES | NO] [MAXAGE maxage] [NAME \
             name] [IDLE idle] [FLAGS flags] [LIB-NAME lib-name] [LIB-VER lib-ver] [DB db] \
             [CAPA capa] [IP ip] [NOT-TYPE NORMAL | MASTER | REPLICA | PUBSUB] [NOT-ID \
             not-client-id [not-client-id ...]] [NOT-USER not-username] [NOT-ADDR ip:port] \
             [NOT-LADDR ip:port] [NOT-NAME not-name] [NOT-FLAGS not-flags] [NOT-LIB-NAME \
             not-lib-name] [NOT-LIB-VER not-lib-ver] [NOT-DB not-db] [NOT-CAPA not-capa] \
             [NOT-IP not-ip]",
    summary: "Describes all connections, or those that pass the filters.",
    complexity: "O(N) with N the number of connections",
    tips: &["nondeterministic_output"],
    handler: client_list,
    ..Command::DEFAULT
};

const CLIENT_NO_EVICT: Command = Command {
    name: "client|no-evict",
    since: "7.0.0",
    group: Group::Connection,
    arity: 3,
    flags: flags::ADMIN | flags::ALLOW_BUSY | flags::LOADING | flags::NOSCRIPT | flags::STALE,
    categories: categories::CONNECTION,
    syntax: "<ON | OFF>",
    summary: "Protects the connection from eviction by maxmemory-clients, or not.",
    complexity: "O(1)",
    handler: client_no_evict,
    ..Command::DEFAULT
};

const CLIENT_NO_TOUCH: Command = Command {
    name: "client|no-touch",
    since: "7.2.0",
    group: Group::Connection,
    arity: 3,
    flags: flags::ALLOW_BUSY | flags::LOADING | flags::NOSCRIPT | flags::STALE,
    categories: categories::CONNECTION,
    syntax: "<ON | OFF>",
    summary: "Lets the connection's reads leave access clocks alone, or not.",
    complexity: "O(1)",
    handler: client_no_touch,
    ..Command::DEFAULT
};

const CLIENT_PAUSE: Command = Command {
    name: "client|pause",
    since: "3.0.0",
    group: Group::Connection,
    arity: -3,
    flags: flags::ADMIN | flags::LOADING | flags::NOSCRIPT | flags::STALE,
    categories: categories::CONNECTION,
    syntax: "timeout [WRITE | ALL]",
    summary: "Holds back commands of all clients for a while.",
    complexity: "O(1)",
    handler: client_pause,
    ..Command::DEFAULT
};

const CLIENT_REPLY: Command = Command {
    name: "client|reply",
    since: "3.2.0",
    group: Group::Connection,
    arity: 3,
    flags: flags::ALLOW_BUSY | flags::LOADING | flags::NO_MULTI | flags::NOSCRIPT | flags::STALE,
    categories: categories::CONNECTION,
    syntax: "<ON | OFF | SKIP>",
    summary: "Turns the replies of the connection on or off, or skips one.",
    complexity: "O(1)",
    handler: client_reply,
    ..Command::DEFAULT
};

const CLIENT_SETINFO: Command = Command {
    name: "client|setinfo",
    since: "7.2.0",
    group: Group::Connection,
    arity: 4,
    flags: flags::ALLOW_BUSY | flags::LOADING | flags::NOSCRIPT | flags::STALE,
    categories: categories::CONNECTION,
    syntax: "<LIB-NAME libname | LIB-VER libver>",
    summary: "Records facts about the client library.",
    complexity: "O(1)",
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    handler: client_setinfo,
    ..Command::DEFAULT
};

const CLIENT_SETNAME: Command = Command {
    name: "client|setname",
    since: "2.6.9",
    group: Group::Connection,
    arity: 3,
    flags: flags::ALLOW_BUSY | flags::LOADING | flags::NOSCRIPT | flags::STALE,
    categories: categories::CONNECTION,
    syntax: "connection-name",
    summary: "Names the connection.",
    complexity: "O(1)",
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    handler: client_setname,
    ..Command::DEFAULT
};

const CLIENT_UNPAUSE: Command = Command {
    name: "client|unpause",
    since: "6.2.0",
    group: Group::Connection,
    arity: 2,
    flags: flags::ADMIN | flags::LOADING | flags::NOSCRIPT | flags::STALE,
    categories: categories::CONNECTION,
    syntax: "",
    summary: "Ends a pause.",
    complexity: "O(1)",
    handler: client_unpause,
    ..Command::DEFAULT
};

fn client_id(cx: &mut Context<'_>) -> Result<Done, Error> {
    let id = cx.session.id();
    cx.int(id as i64)
}

fn client_getname(cx: &mut Context<'_>) -> Result<Done, Error> {
    let name = cx.client().labels.lock().name.clone();
    if name.is_empty() {
        cx.reply.null()
    } else {
        cx.reply.bulk(name.as_bytes())
    }
    Ok(Done::Replied)
}

fn client_setname(cx: &mut Context<'_>) -> Result<Done, Error> {
    cx.client().labels.lock().name = name(cx.arg(2))?;
    cx.ok()
}

/// A text that may be a connection's name.
pub(super) fn name(text: &[u8]) -> Result<String, Error> {
    const SPECIAL: Error =
        Error::new("ERR Client names cannot contain spaces, newlines or special characters.");
    label(text).ok_or(SPECIAL)
}

/// A text of printable characters without spaces.
fn label(text: &[u8]) -> Option<String> {
    let printable = text.iter().all(|byte| (b'!'..=b'~').contains(byte));
    printable.then(|| String::from_utf8_lossy(text).into_owned())
}

fn client_setinfo(cx: &mut Context<'_>) -> Result<Done, Error> {
    let option = cx.arg(2);
    let named = String::from_utf8_lossy(option);
    let text = || {
        let special = "cannot contain spaces, newlines or special characters.";
        label(cx.arg(3)).ok_or_else(|| Error::text(format!("ERR {named} {special}")))
    };
    if is(option, "lib-name") {
        cx.client().labels.lock().lib_name = text()?;
    } else if is(option, "lib-ver") {
        cx.client().labels.lock().lib_version = text()?;
    } else {
        return Err(Error::text(format!("ERR Unrecognized option '{named}'")));
    }
    cx.ok()
}

/// ON or OFF.
fn switch(cx: &Context<'_>) -> Result<bool, Error> {
    if cx.is(2, "ON") {
        Ok(true)
    } else if cx.is(2, "OFF") {
        Ok(false)
    } else {
        Err(Error::SYNTAX)
    }
}

fn client_no_evict(cx: &mut Context<'_>) -> Result<Done, Error> {
    let on = switch(cx)?;
    cx.client().no_evict.store(on, Relaxed);
    cx.ok()
}

fn client_no_touch(cx: &mut Context<'_>) -> Result<Done, Error> {
    let on = switch(cx)?;
    cx.client().no_touch.store(on, Relaxed);
    cx.ok()
}

fn client_reply(cx: &mut Context<'_>) -> Result<Done, Error> {
    if cx.is(2, "ON") {
        cx.session.reply_mode = ReplyMode::On;
        cx.reply.ok();
    } else if cx.is(2, "OFF") {
        cx.session.reply_mode = ReplyMode::Off;
    } else if cx.is(2, "SKIP") {
        if cx.session.reply_mode != ReplyMode::Off {
            cx.session.reply_mode = ReplyMode::SkipNext;
        }
    } else {
        return Err(Error::SYNTAX);
    }
    Ok(Done::Replied)
}

fn client_pause(cx: &mut Context<'_>) -> Result<Done, Error> {
    // Valkey reads a mode only where it is the last argument.
    let held = match cx.args.len() {
        4 if cx.is(3, "WRITE") => Held::Writes,
        4 if !cx.is(3, "ALL") => {
            return Err(Error::new("ERR CLIENT PAUSE mode must be WRITE or ALL"));
        }
        _ => Held::All,
    };
    let ms = cx.integer(2);
    let ms = ms.map_err(|_| Error::new("ERR timeout is not an integer or out of range"))?;
    let ms = u64::try_from(ms).map_err(|_| Error::new("ERR timeout is negative"))?;
    let now_ms = cx.now.unix_ms();
    let until_ms = now_ms.checked_add(ms).filter(|until| i64::try_from(*until).is_ok());
    let until_ms = until_ms.ok_or(Error::new("ERR timeout is out of range"))?;
    cx.engine.pause.start(now_ms, until_ms, held);
    cx.ok()
}

fn client_unpause(cx: &mut Context<'_>) -> Result<Done, Error> {
    cx.engine.pause.end();
    cx.engine.post_to_all(&Letter::Resume);
    cx.ok()
}

fn client_info(cx: &mut Context<'_>) -> Result<Done, Error> {
    let line = describe(cx.engine, cx.client(), cx.now.unix_ms());
    cx.reply.verbatim("txt", line.as_bytes());
    Ok(Done::Replied)
}

fn client_list(cx: &mut Context<'_>) -> Result<Done, Error> {
    let filter = Filter::parse(cx, 2, false)?;
    let now_ms = cx.now.unix_ms();
    let own = cx.session.id();
    let mut text = String::new();
    for client in cx.engine.clients.all() {
        if filter.matches(&client, own, now_ms) {
            text.push_str(&describe(cx.engine, &client, now_ms));
        }
    }
    cx.reply.verbatim("txt", text.as_bytes());
    Ok(Done::Replied)
}

fn client_kill(cx: &mut Context<'_>) -> Result<Done, Error> {
    let (old, own) = (cx.args.len() == 3, cx.session.id());
    let filter = if old { Filter::address(cx.arg(2)) } else { Filter::parse(cx, 2, true)? };
    let mut killed = 0;
    for client in cx.engine.clients.all() {
        if !filter.matches(&client, own, cx.now.unix_ms()) {
            continue;
        }
        killed += 1;
        if client.id == own {
            cx.session.close();
        } else {
            cx.engine.clients.leave(&client);
            client.mailbox.post(Letter::Kill);
        }
    }
    if !old {
        return cx.int(killed);
    }
    if killed == 0 { Err(Error::new("ERR No such client")) } else { cx.ok() }
}

/// A client's line in CLIENT LIST.
fn describe(engine: &Engine, client: &Client, now_ms: u64) -> String {
    let labels = client.labels.lock().clone();
    let last = client.last_command.load(Relaxed);
    let command = u16::try_from(last).map_or("NULL", |id| engine.commands.row(id).name);
    let age = now_ms.saturating_sub(client.created_ms) / 1000;
    let idle = now_ms.saturating_sub(client.last_seen_ms()) / 1000;
    let output = client.output_len.load(Relaxed) + client.mailbox.waiting();
    let mut line = String::with_capacity(400);
    let _ = write!(
        line,
        "id={} addr={} laddr={} fd={} name={} age={age} idle={idle} flags={} capa= db={} sub={} \
         psub={} ssub={} multi={} watch={} qbuf={} qbuf-free={} argv-mem=0 multi-mem={} rbs=0 \
         rbp=0 obl=0 oll={} omem={output} tot-mem={} events={} cmd={command} user={} redir={} \
         resp={} lib-name={} lib-ver={} tot-net-in={} tot-net-out={} tot-cmds={}",
        client.id,
        client.addr,
        client.laddr,
        client.fd,
        labels.name,
        flag_letters(client),
        client.database.load(Relaxed),
        client.subscribed[0].load(Relaxed),
        client.subscribed[1].load(Relaxed),
        client.subscribed[2].load(Relaxed),
        client.queued.load(Relaxed),
        client.watched.load(Relaxed),
        client.query_len.load(Relaxed),
        client.query_free.load(Relaxed),
        client.queued_len.load(Relaxed),
        client.output_chunks.load(Relaxed),
        client.memory(),
        if output > 0 { "rw" } else { "r" },
        labels.user,
        client.redirect(),
        client.protocol.load(Relaxed),
        labels.lib_name,
        labels.lib_version,
        client.net_in.load(Relaxed),
        client.net_out.load(Relaxed),
        client.commands.load(Relaxed),
    );
    line.push('\n');
    line
}

/// The flags of a client, as letters; N when there is none.
pub(super) fn flag_letters(client: &Client) -> String {
    let mut letters = String::new();
    for (set, letter) in [
        (client.monitoring.load(Relaxed), 'O'),
        (client.is_subscribed(), 'P'),
        (client.in_transaction.load(Relaxed), 'x'),
        (client.blocked.load(Relaxed), 'b'),
        (client.tracks(TRACKS), 't'),
        (client.tracks(BROKEN_REDIRECT), 'R'),
        (client.tracks(BROADCASTS), 'B'),
        (client.closing.load(Relaxed), 'c'),
        (client.transport == Transport::Unix, 'U'),
        (client.no_evict.load(Relaxed), 'e'),
        (client.no_touch.load(Relaxed), 'T'),
    ] {
        if set {
            letters.push(letter);
        }
    }
    if letters.is_empty() { "N".into() } else { letters }
}

fn client_help(cx: &mut Context<'_>) -> Result<Done, Error> {
    cx.help(&[
        "CACHING (YES|NO)",
        "    Whether the keys of the next command are tracked, with OPTIN or OPTOUT.",
        "GETNAME",
        "    The name of this connection.",
        "GETREDIR",
        "    The number of the connection that is told in place of this one.",
        "ID",
        "    The number of this connection.",
        "INFO",
        "    This connection, described as LIST does.",
        "KILL <ip:port>",
        "    Close the connection from that address.",
        "KILL <filter> <value> [<filter> <value> ...]",
        "    Close the connections that pass every filter (see LIST); SKIPME defaults to yes.",
        "LIST [<filter> <value> ...]",
        "    Describe the connections that pass every filter: ID, TYPE, USER, ADDR, LADDR,",
        "    SKIPME, MAXAGE, NAME, IDLE, FLAGS, LIB-NAME, LIB-VER, DB, CAPA, IP, and each but",
        "    SKIPME, MAXAGE and IDLE also with NOT- before it.",
        "NO-EVICT (ON|OFF)",
        "    Protect this connection from eviction by maxmemory-clients.",
        "NO-TOUCH (ON|OFF)",
        "    Let the reads of this connection leave access clocks alone.",
        "PAUSE <timeout> [WRITE|ALL]",
        "    Hold back commands, or writes only, for a number of milliseconds.",
        "REPLY (ON|OFF|SKIP)",
        "    Send replies to this connection, or none, or skip one.",
        "SETINFO <option> <value>",
        "    Record the client library's LIB-NAME or LIB-VER.",
        "SETNAME <name>",
        "    Name this connection.",
        "TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> ...] [OPTIN] [OPTOUT] [NOLOOP]",
        "    Tell this connection when keys change that it has read.",
        "TRACKINGINFO",
        "    How this connection tracks.",
        "UNBLOCK <client-id> [TIMEOUT|ERROR]",
        "    End the wait of a client inside a blocking command: as if its time were over, or as",
        "    an error.",
        "UNPAUSE",
        "    End a pause.",
    ])
}
