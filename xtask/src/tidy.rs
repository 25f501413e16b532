//! `cargo xtask tidy`: the rules of the house that neither rustc nor clippy knows, checked over
//! every file of the project. It also runs as a test, so `cargo test` keeps them too.
//!
//! A rule is a function from a file to findings, with its tests beside it; this file walks the
//! tree, applies them all and prints. Rules live in a program and not in a style page because a
//! program never tires of saying the same thing (the idea is TigerBeetle's tidy.zig), and every
//! message says what to do instead, because a refusal alone only costs time.
//!
//! Rules here: a finding names file and line; errors fail, warnings are printed; nothing is
//! skipped by a mark in the checked file. The few exceptions are lists beside the rule, each with
//! its reason, and an exception that is no longer needed is an error itself.
//!
//! Neighbours: `source` reads Rust; `arrows` knows the levels, `forbidden` what a level must not
//! use, `shape` headers and lengths, `links` the pages.

mod arrows;
mod forbidden;
mod links;
mod shape;
mod source;

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use source::File;

/// One broken rule at one place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    path: String,
    /// Counted from 1; 0 when the whole file is meant.
    line: usize,
    /// What is wrong and what to do instead.
    text: String,
    warning: bool,
}

impl Finding {
    fn error(file: &File, line: usize, text: impl Into<String>) -> Self {
        Self { path: file.path.clone(), line, text: text.into(), warning: false }
    }

    fn warning(file: &File, line: usize, text: impl Into<String>) -> Self {
        Self { warning: true, ..Self::error(file, line, text) }
    }

    /// Whether it is only told, and fails nothing.
    pub(crate) fn is_warning(&self) -> bool {
        self.warning
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.warning { "warning: " } else { "" };
        if self.line == 0 {
            write!(f, "{}: {kind}{}", self.path, self.text)
        } else {
            write!(f, "{}:{}: {kind}{}", self.path, self.line, self.text)
        }
    }
}

/// Checks every file below `root` and returns what was found, in the order of the files.
///
/// # Errors
/// A folder or file that cannot be read.
pub(crate) fn run(root: &Path) -> io::Result<Vec<Finding>> {
    let mut files = Vec::new();
    collect(root, "", &mut files)?;
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let mut found: Vec<Finding> = files.iter().flat_map(check).collect();
    found.extend(shape::stale_exceptions(&files));
    found.extend(links::check(&files));
    found.sort();
    Ok(found)
}

/// All rules that look at one file alone.
fn check(file: &File) -> Vec<Finding> {
    let mut found = shape::check(file);
    if file.is_rust() {
        found.extend(forbidden::check(file));
    }
    if file.name() == "Cargo.toml" {
        found.extend(arrows::check(file));
    }
    found
}

/// Folders that hold nothing written by hand, as paths from the root.
const GENERATED: &[&str] = &[
    "target",
    "fuzz/target",
    "fuzz/corpus",
    "fuzz/artifacts",
    "tests/clients/node/node_modules",
    // measurements as they were recorded, machine and all
    "benches/record",
];

/// Endings of the files that are looked at.
const ENDINGS: &[&str] = &[".rs", ".toml", ".md", ".py", ".sh", "Makefile", ".ci/run"];

fn collect(root: &Path, inside: &str, files: &mut Vec<File>) -> io::Result<()> {
    for entry in fs::read_dir(root.join(inside))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if inside.is_empty() { name.clone() } else { format!("{inside}/{name}") };
        let hidden = name.starts_with('.') && !matches!(name.as_str(), ".ci" | ".cargo");
        let kind = entry.file_type()?;
        if kind.is_dir() {
            if !hidden && name != "__pycache__" && !GENERATED.contains(&path.as_str()) {
                collect(root, &path, files)?;
            }
        } else if kind.is_file() && ENDINGS.iter().any(|ending| path.ends_with(ending)) {
            let bytes = fs::read(entry.path())?;
            files.push(File::new(path, String::from_utf8_lossy(&bytes)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_project_is_tidy() {
        let root = crate::root();
        let found = run(&root).expect("the project's own files can be read");
        let errors: Vec<String> =
            found.iter().filter(|f| !f.is_warning()).map(ToString::to_string).collect();
        assert!(errors.is_empty(), "{} findings:\n{}", errors.len(), errors.join("\n"));
    }

    #[test]
    fn a_finding_names_file_line_and_severity() {
        let file = File::new("a.rs", "");
        assert_eq!(Finding::error(&file, 3, "no").to_string(), "a.rs:3: no");
        assert_eq!(Finding::warning(&file, 0, "no").to_string(), "a.rs: warning: no");
    }
}
