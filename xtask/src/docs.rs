//! `cargo xtask docs`: the reference pages, generated from the engine's tables.
//!
//! The tables are the only list of commands and of parameters; the pages are kept in the
//! repository all the same, because people read them where there is no compiler. `--check`, and a
//! test, compare the pages with the tables, so that neither can change without the other.
//!
//! Rules: a page is a function of the table alone: no dates, no versions, the order of the rows.
//! Lines are wrapped at 100 columns where Markdown permits.
//!
//! Neighbours: `commands` and `config` write one page each; the tables are
//! `pannier_engine::command` and `pannier_engine::config`.

mod commands;
mod config;

use std::fs;
use std::io;
use std::path::Path;

/// A page: its path from the root, and what writes it.
type Page = (&'static str, fn() -> String);

const PAGES: &[Page] =
    &[("docs/reference/commands.md", commands::page), ("docs/reference/config.md", config::page)];

/// Writes the pages that are stale, and returns their paths.
///
/// # Errors
/// A page that cannot be written.
pub(crate) fn write(root: &Path) -> io::Result<Vec<&'static str>> {
    let stale = stale(root);
    for (path, page) in PAGES.iter().filter(|(path, _)| stale.contains(path)) {
        let path = root.join(path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(path, page())?;
    }
    Ok(stale)
}

/// The paths of the pages that do not say what the tables say.
pub(crate) fn stale(root: &Path) -> Vec<&'static str> {
    let differs = |path: &str, page: fn() -> String| {
        fs::read_to_string(root.join(path)).is_ok_and(|text| text == page())
    };
    PAGES.iter().filter(|(path, page)| !differs(path, *page)).map(|(path, _)| *path).collect()
}

/// Breaks text into lines of at most `COLUMNS` columns; lines after the first get `indent`.
fn wrap(text: &str, indent: &str) -> String {
    let mut out = String::new();
    let mut column = 0;
    for word in text.split_whitespace() {
        let columns = word.chars().count();
        if column > 0 && column + 1 + columns > COLUMNS {
            out.push('\n');
            out.push_str(indent);
            column = indent.len();
        } else if column > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += columns;
    }
    out
}

const COLUMNS: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_pages_say_what_the_tables_say() {
        let stale = stale(&crate::root());
        assert!(stale.is_empty(), "stale: {}; run `cargo xtask docs`", stale.join(", "));
    }

    #[test]
    fn a_page_that_is_not_there_is_stale_and_then_written() {
        let root = std::env::temp_dir().join(format!("pannier-xtask-{}", std::process::id()));
        assert_eq!(stale(&root).len(), PAGES.len());
        assert_eq!(write(&root).expect("a temporary folder").len(), PAGES.len());
        assert!(stale(&root).is_empty());
        fs::remove_dir_all(root).expect("what was just written");
    }

    #[test]
    fn text_is_broken_between_words() {
        let text = format!("{} {}", "a".repeat(60), "b".repeat(60));
        assert_eq!(wrap(&text, "  "), format!("{}\n  {}", "a".repeat(60), "b".repeat(60)));
        assert_eq!(wrap("a  b", ""), "a b");
    }
}
