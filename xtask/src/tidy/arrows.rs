//! The arrows between the crates, read from their Cargo.toml, and the reason that each dependency
//! has to have beside it.
//!
//! The levels are those of docs/ARCHITECTURE.md: a crate may depend only on crates of a strictly
//! lower level. Levels alone would let the keyspace learn about the protocol, so a second list
//! names what a room must not know although its level would permit it, and why.
//!
//! Rules: `[dependencies]` and `[build-dependencies]` count, with their per-target forms;
//! `[dev-dependencies]` need a reason but have no direction, since a test may use anything. The
//! manifest is read line by line and not by a TOML parser, because the reasons are comments.
//!
//! Neighbours: `forbidden` looks at the same borders inside the source text.

use super::Finding;
use super::source::File;

/// Our crates by folder, with the level of each.
pub(super) const LEVELS: &[(&str, &str, u8)] = &[
    ("crates/lock", "pannier-lock", 0),
    ("crates/collections", "pannier-collections", 0),
    ("crates/resp", "pannier-resp", 0),
    ("crates/clock", "pannier-clock", 0),
    ("crates/store", "pannier-store", 1),
    ("crates/persist", "pannier-persist", 2),
    ("crates/script", "pannier-script", 2),
    ("crates/engine", "pannier-engine", 3),
    ("crates/host", "pannier-host", 4),
    ("crates/server", "pannier-server", 5),
    ("crates/pannier", "pannier", 6),
    ("crates/python", "pannier-python", 7),
];

/// Arrows that the levels permit and the rooms do not: who, what, why.
const REFUSED: &[(&str, &[&str], &str)] = &[
    (
        "crates/store",
        &["pannier-resp", "pannier-clock"],
        "the keyspace knows no protocol and no clock: take plain bytes and `Now` as arguments",
    ),
    (
        "crates/script",
        &["pannier-store", "pannier-clock"],
        "a script sees no store: it is given a `call` function",
    ),
    (
        "crates/engine",
        &["pannier-clock"],
        "the engine reads no clock: the shell hands it `Now` with each batch",
    ),
    (
        "crates/server",
        &["pannier-collections", "pannier-store"],
        "the server knows no value type: ask the engine for what is needed",
    ),
    (
        "crates/python",
        &[
            "pannier-lock",
            "pannier-collections",
            "pannier-resp",
            "pannier-clock",
            "pannier-store",
            "pannier-engine",
            "pannier-host",
            "pannier-server",
        ],
        "the Python package sees the product crate only",
    ),
];

/// Crates that belong to the shell, with what to do below it.
const SHELL_ONLY: &[(&str, &str)] = &[
    ("tokio", "return what to wait for, and let `server` wait"),
    ("mio", "sockets belong to `server`"),
    ("socket2", "sockets belong to `server`"),
    ("rustix", "facts about the process come through the engine's host"),
    ("libc", "facts about the process come through the engine's host"),
    ("tracing-subscriber", "only the program decides where logs go"),
];

/// Rooms below the shell that may know one of them all the same.
const SHELL_TOO: &[(&str, &str)] = &[
    // It is the one reader of the system's clocks.
    ("crates/clock", "rustix"),
    // A thread sleeps by the system's futex.
    ("crates/lock", "rustix"),
];

/// Checks one Cargo.toml.
pub(super) fn check(file: &File) -> Vec<Finding> {
    let level = LEVELS.iter().find(|(folder, ..)| *folder == file.room()).map(|(.., level)| *level);
    let mut found = Vec::new();
    if file.room().starts_with("crates/") && level.is_none() {
        let text = "this crate has no level: add it to LEVELS in xtask/src/tidy/arrows.rs and to \
                    the rooms of docs/ARCHITECTURE.md";
        found.push(Finding::error(file, 0, text));
    }
    for dependency in dependencies(&file.text) {
        if !dependency.has_reason {
            let text = format!(
                "`{}` has no reason: say in a comment above or beside it what it does for us",
                dependency.name
            );
            found.push(Finding::error(file, dependency.line, text));
        }
        if let Some(level) = level.filter(|_| dependency.ships) {
            found.extend(arrow(file, level, &dependency));
        }
    }
    found
}

fn arrow(file: &File, level: u8, dependency: &Dependency<'_>) -> Option<Finding> {
    let name = dependency.name;
    let ours = LEVELS.iter().find(|(_, known, _)| *known == name);
    let refused = REFUSED.iter().find(|(who, what, _)| *who == file.room() && what.contains(&name));
    let text = match (ours, refused) {
        (Some((folder, _, below)), _) if *below >= level => format!(
            "arrow to `{name}` (level {below}) from level {level}: a crate may know strictly lower \
             levels only; move what is shared down, or pass it in from {folder}"
        ),
        (_, Some((.., why))) => format!("arrow to `{name}`: {why}"),
        _ if level < SERVER_LEVEL && !SHELL_TOO.contains(&(file.room(), name)) => {
            let (_, instead) = SHELL_ONLY.iter().find(|(known, _)| *known == name)?;
            format!("`{name}` is for the shell (`server` and above): {instead}")
        }
        _ => return None,
    };
    Some(Finding::error(file, dependency.line, text))
}

const SERVER_LEVEL: u8 = 4;

/// One dependency line of a manifest.
struct Dependency<'a> {
    name: &'a str,
    line: usize,
    /// Part of what is built for users, so that its direction counts.
    ships: bool,
    /// It has a comment, or is ours, or the workspace's list gives the reason.
    has_reason: bool,
}

fn dependencies(text: &str) -> Vec<Dependency<'_>> {
    let mut found = Vec::new();
    let mut section = "";
    let mut before = "";
    for (number, line) in (1..).zip(text.lines().map(str::trim)) {
        if line.starts_with('[') {
            section = line.split(']').next().unwrap_or("").trim_start_matches('[');
        } else if let Some((key, value)) = line.split_once('=').filter(|_| !line.starts_with('#')) {
            let (key, value) = (key.trim(), value.trim());
            let last = section.rsplit('.').next().unwrap_or("");
            if last.ends_with("dependencies") {
                let name = key.split('.').next().unwrap_or(key).trim_matches('"');
                let elsewhere = key.ends_with(".workspace") || value.contains("workspace = true");
                found.push(Dependency {
                    name,
                    line: number,
                    ships: matches!(last, "dependencies" | "build-dependencies"),
                    has_reason: elsewhere
                        || value.contains("path =")
                        || value.contains('#')
                        || before.starts_with('#'),
                });
            }
        }
        before = line;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(room: &str, dependencies: &str) -> Vec<String> {
        let text = format!("[package]\nname = \"x\"\n\n{dependencies}");
        let found = check(&File::new(format!("{room}/Cargo.toml"), text));
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_arrow_upwards_or_sideways_is_refused() {
        let found = findings("crates/resp", "[dependencies]\npannier-store.workspace = true\n");
        assert!(found[0].starts_with("crates/resp/Cargo.toml:5: arrow to `pannier-store`"));
        assert_eq!(
            findings("crates/resp", "[dependencies]\npannier-clock.workspace = true").len(),
            1
        );
        assert_eq!(
            findings("crates/store", "[dependencies]\npannier-collections.workspace = true").len(),
            0
        );
    }

    #[test]
    fn a_room_may_be_kept_from_a_lower_one() {
        let found = findings("crates/engine", "[dependencies]\npannier-clock.workspace = true");
        assert!(found[0].contains("reads no clock"), "{found:?}");
        assert_eq!(
            findings("crates/server", "[dependencies]\npannier-clock.workspace = true").len(),
            0
        );
    }

    #[test]
    fn tests_may_depend_on_anything_and_the_core_on_no_socket() {
        assert_eq!(findings("crates/store", "[dev-dependencies]\ntokio.workspace = true").len(), 0);
        let found =
            findings("crates/store", "[target.'cfg(unix)'.dependencies]\ntokio.workspace = true");
        assert!(found[0].contains("is for the shell"), "{found:?}");
    }

    #[test]
    fn a_dependency_without_a_reason_is_refused() {
        let found = findings("crates/store", "[dependencies]\nitoa = \"1\"\n");
        assert!(found[0].contains("`itoa` has no reason"), "{found:?}");
        for fine in ["itoa = \"1\" # digits", "# digits\nitoa = \"1\"", "x = { path = \"../x\" }"] {
            assert_eq!(findings("tests", &format!("[dependencies]\n{fine}\n")).len(), 0, "{fine}");
        }
    }

    #[test]
    fn a_crate_without_a_level_is_refused() {
        assert!(findings("crates/new", "")[0].contains("has no level"));
    }
}
