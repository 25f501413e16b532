//! The page of the parameters: those that are honoured, and those that are accepted only.
//!
//! Everything here is read from the table of the configuration. The second list matters as much as
//! the first: a configuration file written for Redis starts this server, and its reader has to
//! know which lines of it do nothing here.
//!
//! Rules: the honoured ones stand in the order of the table, which groups them by what they are
//! about; the others alphabetically, by the feature that is absent.
//! Neighbours: `crates/engine/src/config`; the same table answers CONFIG GET.

use std::collections::BTreeMap;
use std::fmt::Write;

use pannier_engine::config::{self, Change, Kind, Parameter};

use super::wrap;

const HEAD: &str = "\
<!-- Written by `cargo xtask docs` from the table in crates/engine/src/config; do not edit. -->

# Configuration

A parameter is set by a line `name value` in the file, by `--name value` on the command line, or,
where it says so, by `CONFIG SET name value` while the server runs. Sizes take the units `k kb m mb
g gb`.

| parameter | default | accepts | CONFIG SET | what it does |
|---|---|---|---|---|
";

const ABSENT: &str = "
## Accepted without effect

These are parameters of Redis or Valkey whose feature Pannier does not have. A file may set them,
and one line in the log says that nothing follows; `CONFIG SET` refuses any value but the one in
effect.

| feature | parameters |
|---|---|
";

/// The whole page.
pub(super) fn page() -> String {
    let mut out = HEAD.to_owned();
    let mut absent: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for parameter in config::parameters() {
        match parameter.absent {
            None => row(&mut out, parameter),
            Some(feature) => absent.entry(feature).or_default().push(parameter.name),
        }
    }
    out.push_str(ABSENT);
    for (feature, mut names) in absent {
        names.sort_unstable();
        let _ = writeln!(out, "| {feature} | `{}` |", names.join("`, `"));
    }
    out
}

fn row(out: &mut String, parameter: &Parameter) {
    let mut name = format!("`{}`", parameter.name);
    if let Some(alias) = parameter.alias {
        let _ = write!(name, ", also `{alias}`");
    }
    let default = match parameter.default {
        "" => "(empty)".to_owned(),
        text => format!("`{text}`"),
    };
    let change = match parameter.change {
        Change::Live => "yes",
        Change::Protected => "if `enable-protected-configs` permits",
        Change::Immutable => "no",
    };
    let accepts = accepts(&parameter.kind);
    let summary = wrap(parameter.summary, "").replace('\n', " ").replace('|', "\\|");
    let _ = writeln!(out, "| {name} | {default} | {accepts} | {change} | {summary} |");
}

/// What a kind accepts, in words.
fn accepts(kind: &Kind) -> String {
    match *kind {
        Kind::Bool => "`yes`, `no`".to_owned(),
        Kind::Integer { min, max } => range(min, max),
        Kind::Pace { low, high, .. } => format!("number, used within {low} to {high}"),
        Kind::Memory { min: 0, max: 0x7fff_ffff_ffff_ffff.. } => "size".to_owned(),
        Kind::Memory { min, max: 0x7fff_ffff_ffff_ffff.. } => format!("size from {min}"),
        Kind::Memory { min, max } => format!("size from {min} to {max}"),
        Kind::MemoryOrPercent => "size, or per cent of `maxmemory`".to_owned(),
        Kind::Octal => "octal permission bits".to_owned(),
        Kind::Choice(names) => format!("`{}`", names.join("`, `")),
        Kind::Flags(names) => format!("some of `{}`", names.join("`, `")),
        Kind::Text => "text".to_owned(),
        Kind::Directory => "folder".to_owned(),
        Kind::FileName => "file name".to_owned(),
        Kind::Version => "version such as `7.4.0`".to_owned(),
        Kind::Words(max) => format!("up to {max} words"),
        Kind::Percentiles => "numbers from 0 to 100".to_owned(),
        Kind::OutputLimits => "`class hard soft seconds` …".to_owned(),
        Kind::DatabaseCounts => "`database count` …; 0 removes".to_owned(),
        Kind::SavePoints => "`seconds changes` …".to_owned(),
        Kind::OomScores => "three numbers from -2000 to 2000".to_owned(),
        Kind::Events => "letters for classes of events".to_owned(),
        Kind::Primary => "`host port`, or `no one`".to_owned(),
        _ => String::new(),
    }
}

fn range(min: i64, max: i64) -> String {
    match (min, max) {
        (i64::MIN, i64::MAX) => "number".to_owned(),
        (min, i64::MAX) => format!("number from {min}"),
        (min, max) if max == i64::from(i32::MAX) => format!("number from {min}"),
        (min, max) => format!("number from {min} to {max}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_said_in_words() {
        assert_eq!(accepts(&Kind::Integer { min: 0, max: 65535 }), "number from 0 to 65535");
        assert_eq!(accepts(&Kind::Integer { min: 1, max: i64::MAX }), "number from 1");
        assert_eq!(accepts(&Kind::Choice(&["a", "b"])), "`a`, `b`");
        assert_eq!(accepts(&Kind::Memory { min: 0, max: i64::MAX as u64 }), "size");
    }

    #[test]
    fn every_parameter_is_on_the_page() {
        let page = page();
        let missing: Vec<&str> = config::parameters()
            .map(|parameter| parameter.name)
            .filter(|name| !page.contains(&format!("`{name}`")))
            .collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
