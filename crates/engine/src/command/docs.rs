//! COMMAND DOCS: what a row says, for people, and its syntax line as a tree of arguments.
//!
//! Clients show it as help and complete command lines by it. The tree is `syntax`'s; what the line
//! does not say is found here: an argument is a key if a key specification covers its position,
//! so there is no list of names that mean keys, and the type of a value follows from its name,
//! which the reference uses consistently.
//!
//! Positions are exact as long as everything before has a fixed length; behind that only keywords
//! tell keys. Neighbours: `introspection` has the command, `keys` the specifications. Transcript:
//! `tests/transcripts/server/command-docs.txt`.

use pannier_resp::Reply;

use super::keys::{Begin, Find, KeySpec, access};
use super::row::{Command, Group, flags};
use super::syntax::{self, Body, Node, Repeat};

/// Writes what COMMAND DOCS says of a command: the value, without the name before it.
pub(super) fn write(reply: &mut Reply, row: &'static Command) {
    let arguments = syntax::parse(row.syntax).unwrap_or_default();
    let pairs = [
        (true, 3),
        (!row.complexity.is_empty(), 1),
        (row.deprecated.is_some(), 3),
        (!row.history.is_empty(), 1),
        (!arguments.is_empty(), 1),
        (!row.subcommands.is_empty(), 1),
    ];
    reply.map(pairs.iter().filter(|(is, _)| *is).map(|(_, pairs)| pairs).sum());
    field(reply, "summary", row.summary);
    field(reply, "since", row.since);
    field(reply, "group", row.group.name());
    if !row.complexity.is_empty() {
        field(reply, "complexity", row.complexity);
    }
    if let Some((since, instead)) = row.deprecated {
        reply.bulk(b"doc_flags");
        reply.set(1);
        reply.simple("deprecated");
        field(reply, "deprecated_since", since);
        field(reply, "replaced_by", instead);
    }
    if !row.history.is_empty() {
        reply.bulk(b"history");
        reply.set(row.history.len());
        for (version, change) in row.history {
            reply.array(2);
            reply.bulk(version.as_bytes());
            reply.bulk(change.as_bytes());
        }
    }
    if !arguments.is_empty() {
        reply.bulk(b"arguments");
        let mut position = Positions::new(row, &arguments);
        write_arguments(reply, &arguments, &mut position);
    }
    if !row.subcommands.is_empty() {
        reply.bulk(b"subcommands");
        reply.map(row.subcommands.len());
        for sub in row.subcommands {
            reply.bulk(sub.name.as_bytes());
            write(reply, sub);
        }
    }
}

fn field(reply: &mut Reply, name: &str, value: &str) {
    reply.bulk(name.as_bytes());
    reply.bulk(value.as_bytes());
}

/// Where in a request the next argument stands, and what follows from that.
struct Positions {
    row: &'static Command,
    /// `None` behind anything whose length varies.
    next: Option<usize>,
    /// Words that every request has, the name included.
    least: usize,
    /// The specification whose keyword has just been passed.
    announced: Option<usize>,
}

impl Positions {
    fn new(row: &'static Command, arguments: &[Node<'_>]) -> Self {
        let head = row.name.split('|').count();
        let least = head + syntax::least_words(arguments).0;
        Self { row, next: Some(head), least, announced: None }
    }

    fn pass_token(&mut self, token: &str) {
        self.next = self.next.map(|at| at + 1);
        let announces = |spec: &KeySpec| match spec.begin {
            Begin::Keyword(word, _) => word.eq_ignore_ascii_case(token),
            Begin::Streams(_) => token.eq_ignore_ascii_case("STREAMS"),
            Begin::Index(_) | Begin::Unknown => false,
        };
        self.announced = self.row.keys.iter().position(announces);
    }

    /// The key specification of the value that stands here.
    fn key_spec(&self) -> Option<usize> {
        let covers = |spec: &KeySpec| {
            self.next.is_some_and(|at| covers(spec, at, self.least))
                && spec.access & access::NOT_KEY == 0
        };
        self.announced.or_else(|| self.row.keys.iter().position(covers))
    }

    fn pass_value(&mut self) {
        self.next = self.next.map(|at| at + 1);
        self.announced = None;
    }
}

/// Whether a specification says that there is a key at a position, in a request of this length.
fn covers(spec: &KeySpec, at: usize, argc: usize) -> bool {
    let Begin::Index(first) = spec.begin else { return false };
    match spec.find {
        Find::Range { last, step, .. } => {
            let last = match last {
                0.. => first + last as usize,
                _ => argc.saturating_sub(last.unsigned_abs() as usize).max(first),
            };
            (first..=last).contains(&at) && (at - first).is_multiple_of(step.max(1) as usize)
        }
        Find::Count { first: after, .. } => at == first + after,
    }
}

fn write_arguments(reply: &mut Reply, arguments: &[Node<'_>], position: &mut Positions) {
    reply.array(arguments.len());
    for argument in arguments {
        write_argument(reply, argument, position);
    }
}

fn write_argument(reply: &mut Reply, argument: &Node<'_>, position: &mut Positions) {
    let after = match argument.least_words() {
        (words, true) => position.next.map(|at| at + words),
        _ => None,
    };
    if let Some(token) = argument.token {
        position.pass_token(token);
    }
    let (text, key_spec, parts) = match &argument.body {
        Body::Token => (argument.token, None, None),
        Body::Value(name) => (Some(*name), position.key_spec(), None),
        Body::OneOf(parts) | Body::Block(parts) => (None, None, Some(parts)),
    };
    let text = text.map(|text| match argument.body {
        Body::Token => text.to_ascii_lowercase(),
        _ => text.to_owned(),
    });
    let flags = argument_flags(argument);
    let optional = [
        text.is_some(),
        key_spec.is_some(),
        argument.token.is_some(),
        !flags.is_empty(),
        parts.is_some(),
    ];
    reply.map(2 + optional.iter().filter(|is| **is).count());
    field(reply, "name", &name(argument));
    field(reply, "type", kind(argument, key_spec, position.row));
    if let Some(text) = text {
        field(reply, "display_text", &text);
    }
    if let Some(index) = key_spec {
        reply.bulk(b"key_spec_index");
        reply.integer(index as i64);
    }
    if let Some(token) = argument.token {
        field(reply, "token", token);
    }
    if !flags.is_empty() {
        reply.bulk(b"flags");
        reply.set(flags.len());
        flags.iter().for_each(|flag| reply.simple(flag));
    }
    match parts {
        None => position.pass_value(),
        Some(parts) => {
            reply.bulk(b"arguments");
            write_parts(reply, argument, parts, position);
        }
    }
    position.next = after;
}

fn write_parts(
    reply: &mut Reply,
    argument: &Node<'_>,
    parts: &[Node<'_>],
    position: &mut Positions,
) {
    if matches!(argument.body, Body::Block(_)) {
        return write_arguments(reply, parts, position);
    }
    // Each alternative stands at the same place.
    let (start, announced) = (position.next, position.announced);
    reply.array(parts.len());
    for part in parts {
        (position.next, position.announced) = (start, announced);
        write_argument(reply, part, position);
    }
}

fn argument_flags(argument: &Node<'_>) -> Vec<&'static str> {
    let mut flags = Vec::new();
    if argument.optional {
        flags.push("optional");
    }
    if argument.repeat != Repeat::Never {
        flags.push("multiple");
    }
    if argument.repeat == Repeat::Token {
        flags.push("multiple_token");
    }
    flags
}

/// A name: what the argument is called, or, for several, what they are called.
fn name(argument: &Node<'_>) -> String {
    /// More would not be a name any more.
    const PARTS_MAX: usize = 3;
    match (&argument.body, argument.token) {
        (Body::Value(name), _) => (*name).to_owned(),
        (Body::Token | Body::OneOf(_), Some(token)) => token.to_ascii_lowercase(),
        (Body::Token, None) => String::new(),
        (Body::OneOf(parts) | Body::Block(parts), _) if parts.len() <= PARTS_MAX => {
            parts.iter().map(name).collect::<Vec<_>>().join("-")
        }
        (Body::OneOf(_), None) => "option".to_owned(),
        (Body::Block(_), _) => "options".to_owned(),
    }
}

/// The type of an argument, as clients know it.
fn kind(argument: &Node<'_>, key_spec: Option<usize>, row: &Command) -> &'static str {
    let name = match &argument.body {
        Body::Token => return "pure-token",
        Body::OneOf(_) => return "oneof",
        Body::Block(_) => return "block",
        Body::Value(_) if key_spec.is_some() => return "key",
        Body::Value(name) => *name,
    };
    match name {
        "pattern" | "match-pattern" => "pattern",
        "unix-time-seconds" | "unix-time-milliseconds" => "unix-time",
        "increment" if row.name.ends_with("float") => "double",
        // Commands that block until there is something take fractions of a second.
        "timeout" if row.is(flags::BLOCKING) && !row.keys.is_empty() => "double",
        "value" if row.group == Group::Bitmap => "integer",
        _ if INTEGERS.contains(&name) => "integer",
        _ => "string",
    }
}

/// Names of values that are integers.
const INTEGERS: &[&str] = &[
    "bit",
    "client-id",
    "count",
    "cursor",
    "db",
    "decrement",
    "destination-db",
    "end",
    "idle",
    "increment",
    "index",
    "index1",
    "index2",
    "maxage",
    "milliseconds",
    "min-match-len",
    "not-client-id",
    "not-db",
    "numkeys",
    "offset",
    "port",
    "protover",
    "seconds",
    "start",
    "timeout",
    "version",
];
