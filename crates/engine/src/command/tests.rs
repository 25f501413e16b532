//! The list of commands as a whole: what every row must have, and what its fields say of each
//! other. That rows say what the real server says is compared in `tests/tests/rows.rs`.

use std::collections::BTreeSet;

use super::keys::{Begin, Find, access};
use super::{Command, Table, all, flags, syntax};

/// Rows whose arity the syntax line cannot say: name, reason.
const ARITY_ON_PURPOSE: &[(&str, &str)] = &[
    ("geosearch", "a polygon needs no FROM, and what needs one is longer"),
    ("geosearchstore", "a polygon needs no FROM, and what needs one is longer"),
    ("quit", "arguments are accepted and do nothing, as in Redis"),
];

/// All rows, those of sub-commands too.
fn rows() -> impl Iterator<Item = &'static Command> {
    all().flat_map(|row| std::iter::once(row).chain(row.subcommands))
}

/// Fails with everything that is wrong, since a list is repaired in one go.
#[track_caller]
fn none(wrong: impl Iterator<Item = String>) {
    let wrong: Vec<String> = wrong.collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn names_are_unique_and_lower_case() {
    let mut seen = BTreeSet::new();
    none(rows().filter(|row| !seen.insert(row.name)).map(|row| format!("{} twice", row.name)));
    let plain = |byte: u8| byte.is_ascii_lowercase() || b"-_|".contains(&byte);
    none(rows().filter(|row| !row.name.bytes().all(plain)).map(|row| row.name.to_owned()));
}

#[test]
fn sub_commands_are_named_after_their_container() {
    for row in all() {
        assert!(!row.name.contains('|'), "{}", row.name);
        for sub in row.subcommands {
            assert_eq!(sub.name, format!("{}|{}", row.name, sub.word()));
            assert!(sub.subcommands.is_empty(), "{}", sub.name);
            assert_eq!(sub.group, row.group, "{}", sub.name);
        }
    }
}

#[test]
fn every_row_explains_itself() {
    let todo = |text: &str| text.is_empty() || text.to_ascii_lowercase().contains("todo");
    none(rows().filter(|row| todo(row.summary)).map(|row| format!("{}: summary", row.name)));
    none(rows().filter(|row| todo(row.complexity)).map(|row| format!("{}: complexity", row.name)));
    let sentence = |text: &str| text.ends_with('.') && text.starts_with(char::is_uppercase);
    none(
        rows().filter(|row| !sentence(row.summary)).map(|row| format!("{}: no sentence", row.name)),
    );
}

#[test]
fn versions_are_versions() {
    let version = |text: &str| {
        let parts: Vec<&str> = text.split('.').collect();
        parts.len() == 3 && parts.iter().all(|part| part.parse::<u8>().is_ok())
    };
    for row in rows() {
        let history = row.history.iter().map(|(since, _)| *since);
        let deprecated = row.deprecated.iter().map(|(since, _)| *since);
        for text in std::iter::once(row.since).chain(history).chain(deprecated) {
            assert!(version(text), "{}: {text:?}", row.name);
        }
    }
}

#[test]
fn arity_agrees_with_the_syntax_line() {
    none(rows().filter_map(|row| {
        let purpose = ARITY_ON_PURPOSE.iter().any(|(name, _)| *name == row.name);
        if purpose || !row.subcommands.is_empty() {
            return None;
        }
        let nodes = syntax::parse(row.syntax).expect(row.name);
        let (words, exact) = syntax::least_words(&nodes);
        let least = (words + row.name.split('|').count()) as i32;
        let arity = if exact { least } else { -least };
        (row.arity != arity).then(|| format!("{}: {} instead of {arity}", row.name, row.arity))
    }));
}

#[test]
fn containers_need_a_sub_command_unless_they_do_something_alone() {
    for row in all().filter(|row| !row.subcommands.is_empty()) {
        assert!(row.arity == -2 || row.arity == -1, "{}", row.name);
        assert!(row.syntax.is_empty(), "{}", row.name);
    }
}

#[test]
fn keys_stand_inside_the_shortest_request() {
    for row in rows() {
        let argc = row.arity.unsigned_abs() as usize;
        for spec in row.keys {
            let Begin::Index(first) = spec.begin else { continue };
            let last = match spec.find {
                Find::Range { last: last @ 0.., .. } => first + last as usize,
                // From the end: even then nothing is left between.
                Find::Range { last, .. } => argc - last.unsigned_abs() as usize,
                Find::Count { count, .. } => first + count,
            };
            // Sources may be missing (PFMERGE).
            let optional = row.arity < 0 && first == argc && last + 1 == argc;
            let inside = first <= last && last < argc;
            assert!(first > 0 && (inside || optional), "{}: {spec:?}", row.name);
        }
    }
}

#[test]
fn what_is_stored_stands_behind_its_key_and_before_the_next() {
    for row in rows().filter(|row| row.stores > 0) {
        let argc = row.arity.unsigned_abs() as usize;
        let [spec] = row.keys else { panic!("{}: one specification", row.name) };
        let Begin::Index(first) = spec.begin else { panic!("{}: an index", row.name) };
        let (first, step) = match spec.find {
            Find::Range { last: 0, .. } => (first, argc),
            Find::Range { step, .. } => (first, step as usize),
            Find::Count { first: key, step, .. } => (first + key, step),
        };
        assert!(row.is(flags::WRITE) && row.stores < step, "{}: {spec:?}", row.name);
        assert!(first + row.stores < argc, "{}: {spec:?}", row.name);
    }
}

#[test]
fn elements_stand_inside_the_shortest_request_behind_a_lone_key() {
    none(rows().filter(|row| row.element > 0).filter_map(|row| {
        let inside = row.element < row.arity.unsigned_abs() as usize;
        let behind = row.lone_key().is_some_and(|key| key < row.element);
        (!inside || !behind).then(|| row.name.to_owned())
    }));
}

#[test]
fn keys_are_read_or_changed_as_the_flags_say() {
    for row in rows() {
        for spec in row.keys {
            let changes = spec.access & (access::RW | access::OW | access::RM) != 0;
            let optional = spec.access & access::VARIABLE != 0;
            // PFCOUNT reads, but keeps the count in the key; a script may do anything.
            let may = row.is(flags::WRITE) || row.name == "pfcount" || row.runs_script();
            assert!(!changes || may, "{} changes", row.name);
            let only_reads = spec.access & access::RO != 0;
            let none = spec.access & access::NOT_KEY != 0;
            assert!(changes || only_reads || optional || none, "{}: no access", row.name);
        }
    }
}

#[test]
fn a_removed_command_is_not_found_and_a_renamed_one_is() {
    let long = "b840fc02d524045429941cc15f59e41cb7be6c52";
    let renames = [("CONFIG", long), ("KEYS", ""), ("get", "Fetch")];
    let renames = renames.map(|(from, to)| (from.to_owned(), to.to_owned()));
    let table = Table::new(&renames, false).unwrap();
    let name = |name: &str| table.find(name.as_bytes()).map(|found| found.command.name);
    assert_eq!(name(&long.to_uppercase()), Some("config"));
    assert_eq!(name("FETCH"), Some("get"));
    assert_eq!([name("config"), name("keys"), name("get")], [None; 3]);
    assert_eq!(name(&"x".repeat(100)), None);
    assert!(table.callable().all(|row| row.name != "keys"));
    assert!(table.callable().any(|row| row.name == "config"));
}

#[test]
fn what_is_for_tests_has_names_in_test_mode_only() {
    let named = |test_mode| {
        let table = Table::new(&[], test_mode).unwrap();
        let names: BTreeSet<_> = table.callable().map(|row| row.name).collect();
        let found = table.find(b"pannier").is_some() || table.find(b"pannier|help").is_some();
        assert_eq!(found, test_mode);
        names
    };
    let (with, without) = (named(true), named(false));
    let only: Vec<_> = with.difference(&without).copied().collect();
    assert_eq!(only, ["pannier"]);
    assert!(without.is_subset(&with));
}
