//! The table of commands as a whole: what every row must have.
//!
//! Rows are compared through COMMAND INFO, as a client sees them, with those of a real server:
//! clients route, retry and pipeline by these facts, so a wrong flag is a wrong server. What is
//! compared: arity, flags, key positions, ACL categories, key specifications.
//!
//! Rules: a name that the real server lacks is not compared; where we differ on purpose the name
//! stands in [`ON_PURPOSE`] with its reason.
//!
//! The rows are in `crates/engine/src/command/`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use pannier_engine::command::{self, Command};
use pannier_tests::target::in_process::InProcess;
use pannier_tests::target::spawned::SpawnedTarget;
use pannier_tests::target::{Protocol, Received, Target, Value, oracle};
use pannier_tests::transcript::{show, suite};

/// Rows that differ from Valkey's: name, field, reason.
const ON_PURPOSE: &[(&str, &str, &str)] = &[];

/// All rows, those of sub-commands too.
fn rows() -> Vec<&'static Command> {
    command::all().flat_map(|row| std::iter::once(row).chain(row.subcommands)).collect()
}

#[test]
fn every_command_has_a_transcript() {
    let path = |row: &Command| {
        let name = row.name.replace('|', "-");
        suite::folder().join(row.group.name()).join(name).with_extension("txt")
    };
    // What only holds sub-commands is shown by them.
    let callable = |row: &&Command| row.subcommands.is_empty() || row.accepts(1);
    let missing: Vec<PathBuf> =
        rows().into_iter().filter(callable).map(path).filter(|path| !path.exists()).collect();
    assert!(missing.is_empty(), "{} transcripts are missing: {missing:#?}", missing.len());
}

#[test]
fn names_are_unique() {
    let mut names = BTreeMap::new();
    for row in rows() {
        *names.entry(row.name).or_insert(0) += 1;
    }
    names.retain(|_, count| *count > 1);
    assert!(names.is_empty(), "{names:?}");
}

#[test]
fn rows_say_what_valkey_says() {
    let valkey = match oracle::valkey() {
        Ok(spawner) => SpawnedTarget { spawner, protocol: Protocol::Resp2 },
        Err(why) => return suite::missing("rows_say_what_valkey_says", &why),
    };
    let theirs = infos(&valkey);
    let ours = infos(&InProcess::new(Protocol::Resp2));
    let mut wrong = Vec::new();
    for (name, fields) in &ours {
        let Some(expected) = theirs.get(name) else { continue };
        for (field, value) in fields {
            let purpose = ON_PURPOSE.iter().any(|(n, f, _)| n == name && f == field);
            if !purpose && expected.get(field) != Some(value) {
                let expected = expected.get(field).map_or("nothing", String::as_str);
                wrong.push(format!("{name}: {field}\n  - {expected}\n  + {value}"));
            }
        }
    }
    assert!(!ours.is_empty());
    assert!(wrong.is_empty(), "{} fields differ\n{}", wrong.len(), wrong.join("\n"));
}

type Fields = BTreeMap<&'static str, String>;

/// What COMMAND INFO says of our rows' names on a target.
fn infos(target: &dyn Target) -> BTreeMap<String, Fields> {
    let mut server = target.open(&[]).expect("the server starts");
    let mut client = server.connect().expect("the server accepts");
    let mut infos = BTreeMap::new();
    for row in rows() {
        client.send(&[b"COMMAND".to_vec(), b"INFO".to_vec(), row.name.into()]);
        match client.receive(Duration::from_secs(10)) {
            Received::Value(Value::Array(replies)) => {
                if let [Value::Array(info)] = replies.as_slice() {
                    infos.insert(row.name.to_owned(), fields(info));
                }
            }
            other => panic!("COMMAND INFO {} on {} got {other:?}", row.name, target.place()),
        }
    }
    infos
}

fn fields(info: &[Value]) -> Fields {
    let text = |at: usize| {
        let value = info.get(at).cloned().unwrap_or(Value::Null);
        show::lines(&show::sorted(value)).join(" ")
    };
    let specifications = match info.get(8) {
        Some(Value::Array(all)) => all.iter().map(specification).collect::<Vec<_>>().join("; "),
        other => format!("{other:?}"),
    };
    Fields::from([
        ("arity", text(1)),
        ("flags", text(2)),
        ("keys", [text(3), text(4), text(5)].join(", ")),
        ("categories", text(6)),
        ("specifications", specifications),
    ])
}

/// A key specification on one line, without its notes, which are prose.
fn specification(spec: &Value) -> String {
    let Value::Array(parts) = spec else { return format!("{spec:?}") };
    let is_notes = |name: &Value| *name == Value::Bulk(b"notes".to_vec());
    let pairs = parts.chunks(2).filter(|pair| !is_notes(&pair[0]));
    pairs
        .flatten()
        .flat_map(|v| show::lines(&show::sorted(v.clone())))
        .collect::<Vec<_>>()
        .join(" ")
}
