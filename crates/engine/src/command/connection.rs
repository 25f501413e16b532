//! Commands about the connection itself: AUTH, HELLO, PING, ECHO, SELECT, RESET, QUIT.
//!
//! There is one user, `default`, whose password is `requirepass`; passwords are compared in a time
//! that does not depend on where they differ. CLIENT has files of its own.
//! Transcripts: `tests/transcripts/connection`.

use pannier_resp::{Protocol, Reply};

use super::row::{Command, Context, Done, Group, categories, flags};
use crate::args::{self, Options, is};
use crate::error::Error;
use crate::session::ReplyMode;

/// The family's rows.
pub(super) const ROWS: &[Command] = &[AUTH, HELLO, PING, ECHO, SELECT, RESET, QUIT];

/// The only user there is until access lists come.
const DEFAULT_USER: &[u8] = b"default";

const AUTH: Command = Command {
    name: "auth",
    since: "1.0.0",
    group: Group::Connection,
    arity: -2,
    flags: flags::ALLOW_BUSY
        | flags::FAST
        | flags::LOADING
        | flags::NO_AUTH
        | flags::NOSCRIPT
        | flags::STALE,
    categories: categories::CONNECTION,
    syntax: "[username] password",
    summary: "Authenticates the connection.",
    complexity: "O(N) with N the number of passwords of the user",
    handler: auth,
    ..Command::DEFAULT
};

const HELLO: Command = Command {
    name: "hello",
    since: "6.0.0",
    group: Group::Connection,
    arity: -1,
    flags: flags::ALLOW_BUSY
        | flags::FAST
        | flags::LOADING
        | flags::NO_AUTH
        | flags::NOSCRIPT
        | flags::STALE,
    categories: categories::CONNECTION,
    syntax: "[protover [AUTH username password] [SETNAME clientname]]",
    summary: "Negotiates the protocol, and optionally authenticates and names the connection.",
    complexity: "O(1)",
    handler: hello,
    ..Command::DEFAULT
};

const PING: Command = Command {
    name: "ping",
    since: "1.0.0",
    group: Group::Connection,
    arity: -1,
    flags: flags::FAST,
    categories: categories::CONNECTION,
    syntax: "[message]",
    summary: "Answers PONG, or the message, to show that the server is alive.",
    complexity: "O(1)",
    tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
    handler: ping,
    ..Command::DEFAULT
};

const ECHO: Command = Command {
    name: "echo",
    since: "1.0.0",
    group: Group::Connection,
    arity: 2,
    flags: flags::FAST | flags::LOADING | flags::STALE,
    categories: categories::CONNECTION,
    syntax: "message",
    summary: "Answers with the message.",
    complexity: "O(1)",
    handler: echo,
    ..Command::DEFAULT
};

const SELECT: Command = Command {
    name: "select",
    since: "1.0.0",
    group: Group::Connection,
    arity: 2,
    flags: flags::ALLOW_BUSY | flags::FAST | flags::LOADING | flags::STALE,
    categories: categories::CONNECTION,
    syntax: "index",
    summary: "Chooses the database of the connection.",
    complexity: "O(1)",
    handler: select,
    ..Command::DEFAULT
};

const RESET: Command = Command {
    name: "reset",
    since: "6.2.0",
    group: Group::Connection,
    arity: 1,
    flags: flags::ALLOW_BUSY
        | flags::FAST
        | flags::LOADING
        | flags::NO_AUTH
        | flags::NOSCRIPT
        | flags::STALE,
    categories: categories::CONNECTION,
    syntax: "",
    summary: "Brings the connection back to the state of a new one.",
    complexity: "O(1)",
    handler: reset,
    ..Command::DEFAULT
};

const QUIT: Command = Command {
    name: "quit",
    since: "1.0.0",
    group: Group::Connection,
    arity: -1,
    flags: flags::ALLOW_BUSY
        | flags::FAST
        | flags::LOADING
        | flags::NO_AUTH
        | flags::NOSCRIPT
        | flags::STALE,
    categories: categories::CONNECTION,
    syntax: "",
    summary: "Closes the connection.",
    complexity: "O(1)",
    handler: quit,
    ..Command::DEFAULT
};

fn auth(cx: &mut Context<'_>) -> Result<Done, Error> {
    let (user, password) = match cx.args.len() {
        2 if cx.config.requirepass.is_empty() => {
            return Err(Error::new(
                "ERR AUTH <password> called without any password configured for the default \
                 user. Are you sure your configuration is correct?",
            ));
        }
        2 => (DEFAULT_USER, cx.arg(1)),
        3 => (cx.arg(1), cx.arg(2)),
        _ => return Err(Error::SYNTAX),
    };
    authenticate(cx, user, password)?;
    cx.ok()
}

fn authenticate(cx: &mut Context<'_>, user: &[u8], password: &[u8]) -> Result<(), Error> {
    let required = cx.config.requirepass.as_bytes();
    if user == DEFAULT_USER && (required.is_empty() || same(required, password)) {
        cx.session.authenticated = true;
        return Ok(());
    }
    cx.session.lane.auth_failures.add(1);
    Err(Error::WRONG_PASS)
}

/// Whether two passwords are equal, in a time that does not tell where they differ.
fn same(required: &[u8], given: &[u8]) -> bool {
    let mut difference = required.len() ^ given.len();
    for (at, byte) in given.iter().enumerate() {
        difference |= usize::from(byte ^ required[at % required.len()]);
    }
    difference == 0
}

fn hello(cx: &mut Context<'_>) -> Result<Done, Error> {
    let mut protocol = None;
    let mut name = None;
    if cx.args.len() > 1 {
        let version = args::integer(cx.arg(1))
            .map_err(|_| Error::new("ERR Protocol version is not an integer or out of range"))?;
        protocol = Some(match version {
            2 => Protocol::Resp2,
            3 => Protocol::Resp3,
            _ => return Err(Error::new("NOPROTO unsupported protocol version")),
        });
    }
    let mut credentials = None;
    let mut options = Options::new(cx.args, 2);
    while let Some(word) = options.next() {
        if is(word, "AUTH") && options.left() >= 2 {
            credentials = Some((options.value()?, options.value()?));
        } else if is(word, "SETNAME") && options.has_value() {
            let value = options.value()?;
            name = Some(super::client::name(value)?);
        } else {
            let word = String::from_utf8_lossy(word);
            return Err(Error::text(format!("ERR Syntax error in HELLO option '{word}'")));
        }
    }
    if let Some((user, password)) = credentials {
        authenticate(cx, user, password)?;
    }
    if cx.session.needs_password(cx.config) {
        return Err(Error::new(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the \
             HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and \
             select the RESP protocol version at the same time",
        ));
    }
    if let Some(name) = name {
        cx.client().labels.lock().name = name;
    }
    if let Some(protocol) = protocol {
        cx.session.set_protocol(protocol);
        cx.reply.set_protocol(protocol);
    }
    introduce(cx);
    Ok(Done::Replied)
}

/// What the server says of itself.
fn introduce(cx: &mut Context<'_>) {
    let version = &cx.config.compat_redis_version;
    let protocol = if cx.session.protocol == Protocol::Resp2 { 2 } else { 3 };
    let id = cx.session.id() as i64;
    let reply = &mut *cx.reply;
    let texts = |reply: &mut Reply, pairs: [(&str, &str); 2]| {
        for text in pairs.into_iter().flat_map(|(name, value)| [name, value]) {
            reply.bulk(text.as_bytes());
        }
    };
    reply.map(8);
    texts(reply, [("server", "redis"), ("version", version)]);
    reply.bulk(b"proto");
    reply.integer(protocol);
    reply.bulk(b"id");
    reply.integer(id);
    texts(reply, [("mode", "standalone"), ("role", "master")]);
    reply.bulk(b"modules");
    reply.array(0);
    reply.bulk(b"pannier_version");
    reply.bulk(crate::VERSION.as_bytes());
}

fn ping(cx: &mut Context<'_>) -> Result<Done, Error> {
    match cx.args.len() {
        // In the shape of a message, since it may come between messages.
        1 | 2 if cx.session.is_restricted() => {
            cx.reply.array(2);
            cx.reply.bulk(b"pong");
            cx.reply.bulk(if cx.args.len() == 2 { cx.arg(1) } else { b"" });
        }
        1 => cx.reply.simple("PONG"),
        2 => cx.reply.bulk(cx.arg(1)),
        _ => return Err(Error::arity("ping")),
    }
    Ok(Done::Replied)
}

fn echo(cx: &mut Context<'_>) -> Result<Done, Error> {
    cx.reply.bulk(cx.arg(1));
    Ok(Done::Replied)
}

fn select(cx: &mut Context<'_>) -> Result<Done, Error> {
    let database = args::database(cx.arg(1), cx.engine.keyspace.databases())?;
    cx.session.select(database);
    cx.ok()
}

fn reset(cx: &mut Context<'_>) -> Result<Done, Error> {
    cx.session.discard(cx.engine);
    cx.session.unsubscribe_all();
    // What was sent to it before comes before the reply.
    cx.session.mailbox().take_pushes(cx.reply, usize::MAX);
    cx.session.select(0);
    cx.session.set_protocol(Protocol::Resp2);
    cx.reply.set_protocol(Protocol::Resp2);
    // After CLIENT REPLY SKIP its own reply is still left out, as in Valkey.
    if cx.session.reply_mode != ReplyMode::Skip {
        cx.session.reply_mode = ReplyMode::On;
    }
    cx.session.authenticated = cx.config.requirepass.is_empty();
    cx.client().reset();
    cx.reply.simple("RESET");
    Ok(Done::Replied)
}

fn quit(cx: &mut Context<'_>) -> Result<Done, Error> {
    cx.reply.ok();
    Ok(Done::Close)
}
