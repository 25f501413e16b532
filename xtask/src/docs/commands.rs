//! The page of the commands: one section for each group, one entry for each command.
//!
//! Everything here is read from the rows. A section lists its commands alphabetically and their
//! sub-commands below them, since a reader looks for a name, while the rows stand in the order in
//! which their families are read.
//!
//! Rules: syntax stands in code, so that its brackets and bars need no escaping.
//! Neighbours: `crates/engine/src/command`; the same rows answer COMMAND DOCS on the wire.

use std::collections::BTreeMap;
use std::fmt::Write;

use pannier_engine::command::keys::access;
use pannier_engine::command::{self, Begin, Command, Find, KeySpec, flags};

use super::wrap;

const HEAD: &str = "\
<!-- Written by `cargo xtask docs` from the rows in crates/engine/src/command; do not edit. -->

# Commands

";

/// The whole page.
pub(super) fn page() -> String {
    let mut groups: BTreeMap<&str, Vec<&Command>> = BTreeMap::new();
    for row in command::all() {
        groups.entry(row.group.name()).or_default().push(row);
    }
    let rows: usize = groups.values().map(Vec::len).sum();
    let subcommands: usize = groups.values().flatten().map(|row| row.subcommands.len()).sum();
    let mut out = HEAD.to_owned();
    let count = format!(
        "{rows} commands and {subcommands} sub-commands. \"Since\" is the version of Redis or \
         Valkey that introduced them; of Pannier for what only it has. The same facts are on the \
         wire: `COMMAND DOCS`, `COMMAND INFO`."
    );
    let _ = writeln!(out, "{}", wrap(&count, ""));
    for (name, mut rows) in groups {
        rows.sort_by_key(|row| row.name);
        let _ = write!(out, "\n## {}\n", capitalised(name));
        for row in rows {
            entry(&mut out, row);
            let mut subcommands: Vec<&Command> = row.subcommands.iter().collect();
            subcommands.sort_by_key(|row| row.name);
            for row in subcommands {
                entry(&mut out, row);
            }
        }
    }
    out
}

fn entry(out: &mut String, row: &Command) {
    let name = row.name.replace('|', " ").to_uppercase();
    let _ = write!(out, "\n### {name}\n\n");
    // A container is only called by its sub-commands.
    if row.subcommands.is_empty() || !row.syntax.is_empty() {
        let call = format!("{name} {}", row.syntax);
        let _ = write!(out, "```text\n{}\n```\n\n", wrap(&call, "    "));
    }
    let _ = writeln!(out, "{}\n", wrap(row.summary, ""));
    if let Some((version, instead)) = row.deprecated {
        let text = format!("Deprecated since {version}: use {instead}.");
        let _ = writeln!(out, "{}\n", wrap(&text, ""));
    }
    let _ = writeln!(out, "{}", wrap(&facts(row), ""));
    if !row.history.is_empty() {
        out.push('\n');
    }
    for (version, change) in row.history {
        let _ = writeln!(out, "{}", wrap(&format!("* {version}: {change}"), "  "));
    }
}

fn facts(row: &Command) -> String {
    let mut facts = format!("Since {}.", row.since);
    if row.test_only {
        facts.push_str(" Exists only with `test-mode yes`.");
    }
    if row.subcommands.is_empty() {
        let _ = write!(facts, " Cost: {}.", row.complexity.trim_end_matches('.'));
    }
    let keys: Vec<String> = row.keys.iter().map(keys).collect();
    if !keys.is_empty() {
        let _ = write!(facts, " Keys: {}.", keys.join("; "));
    }
    let flags = names(flags::NAMES, row.flags);
    if !flags.is_empty() {
        let _ = write!(facts, " Flags: {flags}.");
    }
    facts
}

/// Where the keys of one specification stand, and what happens to them.
fn keys(spec: &KeySpec) -> String {
    let begin = match spec.begin {
        Begin::Index(at) => format!("argument {at}"),
        Begin::Keyword(word, _) => format!("the argument after {word}"),
        Begin::Streams(_) => "the argument after STREAMS".to_owned(),
        Begin::Unknown => return "keys that depend on the request".to_owned(),
    };
    let place = match spec.find {
        Find::Range { last: 0, .. } => begin,
        Find::Range { last, step, limit } => {
            let each = match step {
                ..=1 => "from",
                2 => "every second from",
                _ => "some from",
            };
            let end = match last {
                1.. => format!("the {} after it", count(last)),
                -1 if limit > 1 => format!("1/{limit} of what is left"),
                -1 => "the last".to_owned(),
                _ => format!("the last but {}", -last - 1),
            };
            format!("{each} {begin} to {end}")
        }
        Find::Count { step, .. } => {
            let apart = if step > 1 { format!(", {step} apart") } else { String::new() };
            format!("as many as {begin} says, after it{apart}")
        }
    };
    format!("{place} ({})", names(access::NAMES, spec.access))
}

fn count(n: i32) -> String {
    match n {
        1 => "one".to_owned(),
        2 => "second".to_owned(),
        _ => format!("{n}th"),
    }
}

fn names(known: &[(u32, &str)], set: u32) -> String {
    let names: Vec<&str> =
        known.iter().filter(|(bit, _)| set & bit != 0).map(|(_, name)| *name).collect();
    names.join(", ")
}

fn capitalised(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_shows_the_row() {
        const ROW: Command = Command {
            name: "set",
            since: "1.0.0",
            arity: -3,
            flags: flags::WRITE | flags::DENYOOM,
            keys: &[KeySpec::one(1, access::OW | access::UPDATE)],
            syntax: "key value [NX | XX]",
            summary: "Stores a string.",
            history: &[("2.6.12", "Added NX and XX.")],
            ..Command::DEFAULT
        };
        let mut out = String::new();
        entry(&mut out, &ROW);
        let expected = "\n### SET\n\n```text\nSET key value [NX | XX]\n```\n\nStores a string.\n\n\
                        Since 1.0.0. Cost: O(1). Keys: argument 1 (OW, update). Flags: write, \
                        denyoom.\n\n* 2.6.12: Added NX and XX.\n";
        assert_eq!(out, expected);
    }

    #[test]
    fn key_positions_are_said_in_words() {
        let all = KeySpec::range(1, -1, 2, access::RO);
        assert_eq!(keys(&all), "every second from argument 1 to the last (RO)");
        let counted = KeySpec::counted(1, 1, access::RO);
        let two = KeySpec::range(1, 1, 1, access::RO);
        assert_eq!(keys(&two), "from argument 1 to the one after it (RO)");
        assert_eq!(keys(&counted), "as many as argument 1 says, after it (RO)");
    }
}
