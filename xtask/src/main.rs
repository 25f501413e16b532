//! The project's own checks and generated pages: `cargo xtask tidy`, `cargo xtask docs`.
//!
//! A program of the workspace instead of scripts, so that it runs wherever the project builds and
//! is tested as the rest is (the pattern is <https://github.com/matklad/cargo-xtask>). Both verbs
//! also run as tests, so that nobody has to remember them.
//!
//! Rules: exit status 0 when all is well, 1 when something was found, 2 for a wrong call. Messages
//! go to standard error and name the place and the way out.
//!
//! Neighbours: `tidy` keeps the rules, `docs` writes docs/reference from the engine's tables.

mod docs;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask <verb>
  tidy            check the rules of the house
  docs            write docs/reference from the engine's tables
  docs --check    fail when docs/reference is stale";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["tidy"] => run_tidy(),
        ["docs"] => write_docs(),
        ["docs", "--check"] => check_docs(),
        ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn run_tidy() -> ExitCode {
    let found = match tidy::run(&root()) {
        Ok(found) => found,
        Err(error) => {
            eprintln!("tidy: cannot read the project: {error}");
            return ExitCode::FAILURE;
        }
    };
    for finding in &found {
        eprintln!("{finding}");
    }
    match found.iter().filter(|finding| !finding.is_warning()).count() {
        0 => ExitCode::SUCCESS,
        errors => {
            eprintln!("tidy: {errors} to correct");
            ExitCode::FAILURE
        }
    }
}

fn write_docs() -> ExitCode {
    match docs::write(&root()) {
        Ok(written) => {
            written.iter().for_each(|path| eprintln!("docs: wrote {path}"));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("docs: cannot write: {error}");
            ExitCode::FAILURE
        }
    }
}

fn check_docs() -> ExitCode {
    let stale = docs::stale(&root());
    stale.iter().for_each(|path| eprintln!("{path}: stale: run `cargo xtask docs`"));
    if stale.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The root of the project, wherever the program is called.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}
