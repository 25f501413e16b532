//! What the source text of a room must not contain, each with its reason and the way out.
//!
//! The list is data: a set of rooms, words, a message. Words are sought in code with comments and
//! literals blanked out, and in `use` trees written out in full, so that `use std::{fs, io}` is
//! seen as `std::fs`. This is textual, so a renamed import could get past it; it is a guard
//! against forgetting, not against intent, and it needs no compiler.
//!
//! Rules: test modules and test files are free to use sockets and files, but not to hold
//! `unsafe` or `#[allow]`. SAFETY notes are asked for here only in the room that may hold unsafe.
//!
//! Neighbours: `arrows` checks the same borders in the manifests; clippy.toml forbids the clock
//! by type, which sees through imports.

use std::ops::Range;

use super::Finding;
use super::source::{File, line_of, words};

/// Rooms below the shell: what they do must follow from their arguments alone.
const CORE: &[&str] = &[
    "crates/collections",
    "crates/resp",
    "crates/store",
    "crates/persist",
    "crates/script",
    "crates/engine",
];

/// Rooms that know no socket and no file; `clock` is one of them.
const NO_IO: &[&str] = &[
    "crates/clock",
    "crates/lock",
    "crates/collections",
    "crates/resp",
    "crates/store",
    "crates/persist",
    "crates/script",
    "crates/engine",
];

/// The homes of unsafe code.
const UNSAFE: &[&str] = &["crates/collections", "crates/lock"];

const ENGINE: &[&str] = &["crates/engine"];

/// Where it holds, what is refused, what to do instead.
const REFUSED: &[(&[&str], &[&str], &str)] = &[
    (NO_IO, &["tokio"], "only `server` and above know tokio: return what to wait for"),
    (NO_IO, &["std::fs"], "only `server` and above open files: ask the host, or take bytes"),
    (NO_IO, &["std::net", "std::os"], "only `server` and above know sockets: take text or bytes"),
    (NO_IO, &["std::process"], "ending the process is the program's: return a request to the host"),
    (
        CORE,
        &["Instant::now", "SystemTime::now", "std::time::Instant", "std::time::SystemTime"],
        "only the crate `clock` reads the clock: take `now` as an argument",
    ),
    (CORE, &["thread::sleep"], "nothing below `server` waits: return a deadline"),
    (CORE, &["thread::spawn"], "nothing below `server` starts threads: return work to the shell"),
    (CORE, &["std::env"], "nothing below `server` reads the environment: take it as a parameter"),
    (ENGINE, &["thread_local!"], "no globals in the engine: keep it in `Engine` or the session"),
];

/// Checks one Rust file.
pub(super) fn check(file: &File) -> Vec<Finding> {
    let mut found = Vec::new();
    if !file.is_test() {
        let tests = file.test_lines();
        found.extend(refused_words(file, &tests));
        if file.room() == "crates/engine" {
            found.extend(globals(file, &tests));
        }
    }
    found.extend(attributes(file));
    if UNSAFE.contains(&file.room()) {
        found.extend(safety_notes(file));
    } else {
        found.extend(words(&file.code, "unsafe").map(|at| {
            let text = "`unsafe` lives in crates/collections and crates/lock only: build on their \
                        safe roof, or add the smallest operation there";
            Finding::error(file, line_of(&file.code, at), text)
        }));
    }
    found
}

fn refused_words(file: &File, tests: &[Range<usize>]) -> Vec<Finding> {
    let uses = use_paths(&file.code);
    let mut found = Vec::new();
    for (_, refused, instead) in REFUSED.iter().filter(|(rooms, ..)| rooms.contains(&file.room())) {
        for word in *refused {
            let text = words(&file.code, word).map(|at| line_of(&file.code, at));
            let used = uses.iter().filter(|(_, path)| words(path, word).next().is_some());
            let mut lines: Vec<usize> = text.chain(used.map(|(line, _)| *line)).collect();
            lines.sort_unstable();
            lines.dedup();
            lines.retain(|line| !tests.iter().any(|range| range.contains(line)));
            let message = |line| Finding::error(file, line, format!("`{word}` here: {instead}"));
            found.extend(lines.into_iter().map(message));
        }
    }
    found
}

/// Statics that hold state: two engines in one process must not see one another.
fn globals(file: &File, tests: &[Range<usize>]) -> Vec<Finding> {
    const STATE: &[&str] = &["Mutex<", "RwLock<", "Atomic", "OnceLock<", "LazyLock<", "Cell<"];
    let lines = (1..).zip(file.code.lines());
    lines
        .filter(|(number, _)| !tests.iter().any(|range| range.contains(number)))
        .filter(|(_, line)| words(line, "static").any(|at| !line[..at].ends_with('\'')))
        .filter(|(_, line)| STATE.iter().any(|state| line.contains(state)))
        .map(|(number, _)| {
            let text = "a global with state: keep it in `Engine`, so that two servers in one \
                        process do not share it";
            Finding::error(file, number, text)
        })
        .collect()
}

fn attributes(file: &File) -> Vec<Finding> {
    let mut found = Vec::new();
    for word in ["#[allow(", "#![allow("] {
        found.extend(file.code.match_indices(word).map(|(at, _)| {
            let text = "use `#[expect(.., reason = \"..\")]`: it says why, and tells when it is no \
                        longer needed";
            Finding::error(file, line_of(&file.code, at), text)
        }));
    }
    for (number, line) in (1..).zip(file.text.lines()) {
        let comment = line.trim_start();
        if comment.starts_with("//") && ["TODO", "FIXME"].iter().any(|mark| line.contains(mark)) {
            let text = "do it, or open an issue and leave the note there";
            found.push(Finding::error(file, number, text));
        }
    }
    found
}

/// How far above `unsafe` its note may begin to count: a statement may start earlier.
const NOTE_DISTANCE: usize = 12;

fn safety_notes(file: &File) -> Vec<Finding> {
    let lines: Vec<&str> = file.text.lines().collect();
    let mut found = Vec::new();
    for at in words(&file.code, "unsafe") {
        let line = line_of(&file.code, at);
        let what = file.code[at + "unsafe".len()..].trim_start();
        // declarations document their contract under `# Safety`, uses say why it holds
        let (marks, text): (&[&str], _) = if what.starts_with('{') || what.starts_with("impl") {
            (&["SAFETY:"], "say in a `// SAFETY:` note which invariant makes this sound")
        } else if what.starts_with("fn") || what.starts_with("trait") {
            (&["# Safety", "SAFETY:"], "say under `# Safety` what the caller has to make sure of")
        } else {
            continue;
        };
        let from = (line - 1).saturating_sub(NOTE_DISTANCE);
        let noted = lines[from..line].iter().any(|l| marks.iter().any(|mark| l.contains(mark)));
        if !noted {
            found.push(Finding::error(file, line, text));
        }
    }
    found
}

/// Every path that a `use` brings in, written out in full, with the line of its `use`.
fn use_paths(code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for at in words(code, "use") {
        let rest = &code[at + "use".len()..];
        let tree: String = rest.split(';').next().unwrap_or("").split_whitespace().collect();
        let mut paths = Vec::new();
        flatten("", &tree, &mut paths);
        found.extend(paths.into_iter().map(|path| (line_of(code, at), path)));
    }
    found
}

/// Writes out one use tree without spaces: `std::{fs,io::{self,Read}}`.
fn flatten(prefix: &str, tree: &str, paths: &mut Vec<String>) {
    let (mut depth, mut start) = (0usize, 0);
    for (at, c) in tree.char_indices().chain([(tree.len(), ',')]) {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                let part = &tree[start..at];
                start = at + 1;
                match part.split_once('{') {
                    Some((head, inner)) => {
                        let inner = inner.strip_suffix('}').unwrap_or(inner);
                        flatten(&format!("{prefix}{head}"), inner, paths);
                    }
                    None if !part.is_empty() => paths.push(format!("{prefix}{part}")),
                    None => {}
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(path: &str, text: &str) -> Vec<String> {
        check(&File::new(path, text)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_core_knows_no_socket_file_or_clock() {
        let path = "crates/store/src/x.rs";
        assert!(findings(path, "\nuse std::fs::File;\n")[0].starts_with(&format!("{path}:2: ")));
        assert_eq!(findings(path, "use std::{\n    collections::{HashMap},\n    fs,\n};").len(), 1);
        assert_eq!(findings(path, "fn f() { tokio::spawn(g()); }").len(), 1);
        assert_eq!(findings(path, "use std::time::Instant;\nfn f() { Instant::now(); }").len(), 2);
        assert_eq!(findings(path, "use std::time::Duration; // no std::fs here").len(), 0);
        assert_eq!(findings("crates/server/src/x.rs", "use tokio::net;").len(), 0);
        assert_eq!(findings("crates/clock/src/lib.rs", "use std::time::Instant;").len(), 0);
    }

    #[test]
    fn tests_of_the_core_may_use_files() {
        let text = "#[cfg(test)]\nmod tests {\n    use std::fs;\n}\n";
        assert_eq!(findings("crates/store/src/x.rs", text).len(), 0);
        assert_eq!(findings("crates/store/tests/x.rs", "use std::fs;").len(), 0);
    }

    #[test]
    fn the_engine_has_no_globals() {
        let path = "crates/engine/src/x.rs";
        assert_eq!(findings(path, "static COUNT: AtomicU64 = AtomicU64::new(0);").len(), 1);
        assert_eq!(findings(path, "thread_local! { }").len(), 1);
        assert_eq!(findings(path, "fn f(c: &'static AtomicU64) {}").len(), 0);
        assert_eq!(findings(path, "static ROWS: &[Row] = &[];").len(), 0);
    }

    #[test]
    fn unsafe_lives_in_two_rooms_with_notes() {
        assert_eq!(findings("crates/store/src/x.rs", "fn f() { unsafe { g() } }").len(), 1);
        assert_eq!(findings("crates/store/src/x.rs", "#![forbid(unsafe_code)] // unsafe").len(), 0);
        let path = "crates/collections/src/x.rs";
        assert_eq!(findings(path, "fn f() { unsafe { g() } }").len(), 1);
        assert_eq!(findings(path, "// SAFETY: g is harmless\nunsafe { g() }").len(), 0);
        assert_eq!(
            findings(path, "/// # Safety\n/// Give a live pointer.\nunsafe fn f();").len(),
            0
        );
        assert_eq!(findings(path, "unsafe fn f() {}").len(), 1);
    }

    #[test]
    fn expectations_replace_permissions_and_notes_are_kept_elsewhere() {
        let path = "crates/server/src/x.rs";
        assert_eq!(findings(path, "#[allow(dead_code)]\nfn f() {}").len(), 1);
        assert_eq!(findings(path, "#[expect(dead_code, reason = \"x\")]\nfn f() {}").len(), 0);
        assert_eq!(findings(path, "// TODO: later").len(), 1);
    }

    #[test]
    fn use_trees_are_written_out() {
        let found = use_paths("use a::{b, c::{self, d as e}};\nuse f;");
        let paths: Vec<&str> = found.iter().map(|(_, path)| path.as_str()).collect();
        assert_eq!(paths, ["a::b", "a::c::self", "a::c::dase", "f"]);
    }
}
