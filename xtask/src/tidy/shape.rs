//! The shape of files: headers, lengths, widths, names, white space.
//!
//! The budgets are those of CONTRIBUTING.md. A file has up to 500 lines of code (a warning), never
//! more than 800; a function up to 70; a line up to 100 columns. Lines of code are neither blank
//! nor comment, and test modules and constant tables at the left margin are not counted: a longer
//! table or a better test must not be a reason to split a file.
//!
//! Rules: there is no mark that silences a rule inside a file. A function that is better long
//! (one table of arms, say) is named in `LONG_FUNCTIONS` with its reason, and an entry that is no
//! longer needed is an error, so that the list can only shrink by itself.
//!
//! Neighbours: `source` counts; rustfmt keeps the layout of code, so only what it leaves alone
//! (comments, strings) can be too wide.

use super::Finding;
use super::source::File;

const FILE_LINES_WARNED: usize = 500;
const FILE_LINES_MAX: usize = 800;
const FUNCTION_LINES_MAX: usize = 70;
const COLUMNS_MAX: usize = 100;
const HEADER_LINES_MIN: usize = 4;
const HEADER_LINES_MAX: usize = 25;

/// Functions that may be longer: file, name, reason.
const LONG_FUNCTIONS: &[(&str, &str, &str)] = &[];

/// Names that say nothing about what is inside.
const NAMELESS: &[&str] = &["util", "utils", "common", "helper", "helpers", "misc", "stuff"];

/// Checks one file of any kind.
pub(super) fn check(file: &File) -> Vec<Finding> {
    let mut found = white_space(file);
    found.extend(name(file));
    if file.is_rust() {
        found.extend(header(file));
        if !file.is_test() {
            found.extend(lengths(file));
        }
    }
    found
}

/// Exceptions that no function needs any more.
pub(super) fn stale_exceptions(files: &[File]) -> Vec<Finding> {
    let here = File::new("xtask/src/tidy/shape.rs", "");
    let needed = |path: &str, name: &str| {
        files.iter().filter(|file| file.path == path).any(|file| {
            let functions = file.functions();
            functions.iter().any(|f| f.name == name && file.function_length(f) > FUNCTION_LINES_MAX)
        })
    };
    let stale = LONG_FUNCTIONS.iter().filter(|(path, name, _)| !needed(path, name));
    stale
        .map(|(path, name, _)| {
            let text = format!("`{name}` in {path} is not too long: take it off LONG_FUNCTIONS");
            Finding::error(&here, 0, text)
        })
        .collect()
}

fn white_space(file: &File) -> Vec<Finding> {
    let mut found = Vec::new();
    let narrow = file.is_rust() || file.path.ends_with(".py") || file.path.ends_with(".sh");
    for (number, line) in (1..).zip(file.text.lines()) {
        if line.ends_with([' ', '\t', '\r']) {
            found.push(Finding::error(file, number, "space at the end of the line: remove it"));
        }
        if file.is_rust() && line.contains('\t') {
            found.push(Finding::error(file, number, "tab: indent with four spaces, or write \\t"));
        }
        let columns = line.chars().count();
        // an address cannot be broken
        if narrow && columns > COLUMNS_MAX && !line.contains("://") {
            let text = format!("{columns} columns: break the line at {COLUMNS_MAX}");
            found.push(Finding::error(file, number, text));
        }
    }
    if !file.text.is_empty() && !file.text.ends_with('\n') {
        found.push(Finding::error(file, 0, "no line break at the end: add one"));
    }
    found
}

fn name(file: &File) -> Option<Finding> {
    let nameless = |part: &str| NAMELESS.contains(&part.split('.').next().unwrap_or(part));
    file.path.split('/').any(nameless).then(|| {
        let text = "the name says nothing: name it for what it holds, or move each part to where \
                    it is used";
        Finding::error(file, 0, text)
    })
}

fn header(file: &File) -> Option<Finding> {
    let lines = header_lines(&file.text);
    let strict = !file.is_test() && file.path.contains("/src/");
    if strict && file.room().starts_with("crates/") || file.room() == "xtask" {
        if lines < HEADER_LINES_MIN {
            let text = format!(
                "module header of {lines} lines: say in {HEADER_LINES_MIN} to {HEADER_LINES_MAX} \
                 lines of `//!` what it does, why it has this shape, the rules, the neighbours"
            );
            return Some(Finding::error(file, 1, text));
        }
    } else if lines == 0 {
        return Some(Finding::error(file, 1, "no header: begin with `//!` and say what this is"));
    }
    (lines > HEADER_LINES_MAX).then(|| {
        let text = format!(
            "module header of {lines} lines: keep it within {HEADER_LINES_MAX} (drawings between \
             fences do not count) and move the rest to docs/"
        );
        Finding::error(file, 1, text)
    })
}

/// Lines of the module header; a drawing between fences is not counted.
fn header_lines(text: &str) -> usize {
    let mut fenced = false;
    let lines = text.lines().take_while(|line| line.starts_with("//!"));
    lines
        .filter(|line| {
            let fence = line.contains("```");
            fenced ^= fence;
            !fenced && !fence
        })
        .count()
}

fn lengths(file: &File) -> Vec<Finding> {
    let mut found = Vec::new();
    let lines = file.lines_of_code();
    let text = format!("{lines} lines of code (budget {FILE_LINES_WARNED}): cut it by feature");
    if lines > FILE_LINES_MAX {
        found.push(Finding::error(file, 0, text));
    } else if lines > FILE_LINES_WARNED {
        found.push(Finding::warning(file, 0, text));
    }
    let tests = file.test_lines();
    for function in file.functions() {
        let length = file.function_length(&function);
        let name = &function.name;
        let start = function.lines.start;
        let excused =
            LONG_FUNCTIONS.iter().any(|(path, known, _)| *path == file.path && known == name)
                || tests.iter().any(|range| range.contains(&start));
        if length > FUNCTION_LINES_MAX && !excused {
            let text = format!(
                "`{name}` has {length} lines (budget {FUNCTION_LINES_MAX}): give its steps names"
            );
            found.push(Finding::error(file, start, text));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "//! One.\n//! Two.\n//! Three.\n//! Four.\n";

    fn findings(path: &str, text: &str) -> Vec<String> {
        check(&File::new(path, text)).iter().map(ToString::to_string).collect()
    }

    fn in_store(text: &str) -> Vec<String> {
        findings("crates/store/src/x.rs", &format!("{HEADER}{text}"))
    }

    #[test]
    fn a_module_says_what_it_is() {
        let found = findings("crates/store/src/x.rs", "//! Short.\n");
        assert!(found[0].contains("module header of 1 lines"), "{found:?}");
        let found = findings("crates/store/src/x.rs", &"//! Long.\n".repeat(26));
        assert!(found[0].contains("keep it within 25"), "{found:?}");
        let drawing = format!("//! ```text\n{}//! ```\n", "//! x\n".repeat(30));
        assert!(in_store(&drawing).is_empty());
        assert!(findings("crates/store/tests/model.rs", "//! Short.\n").is_empty());
        assert!(findings("crates/store/tests/model.rs", "use x;\n")[0].contains("no header"));
    }

    #[test]
    fn a_long_function_and_a_long_file_are_refused() {
        let body = "    g();\n";
        assert!(in_store(&format!("fn f() {{\n{}}}\n", body.repeat(68))).is_empty());
        let found = in_store(&format!("fn f() {{\n{}}}\n", body.repeat(69)));
        assert_eq!(
            found,
            ["crates/store/src/x.rs:5: `f` has 71 lines (budget 70): give its steps names"]
        );
        assert!(in_store(&"use x;\n".repeat(501))[0].contains("warning: 501 lines"));
        assert!(!in_store(&"use x;\n".repeat(801))[0].contains("warning"));
    }

    #[test]
    fn long_tests_and_tables_are_fine() {
        let text = format!("#[cfg(test)]\nmod t {{\nfn f() {{\n{}}}\n}}\n", "g();\n".repeat(900));
        assert!(in_store(&text).is_empty());
        assert!(
            in_store(&format!("const A: &[u8] = &[\n{}];\n", "    1,\n".repeat(900))).is_empty()
        );
    }

    #[test]
    fn white_space_and_width_are_kept() {
        assert!(in_store("use x; \n")[0].contains(":5: space at the end"));
        assert!(in_store("\tuse x;\n")[0].contains("tab"));
        assert!(in_store("use x;")[0].contains("no line break"));
        assert!(in_store(&format!("// {}\n", "é".repeat(98)))[0].contains("101 columns"));
        assert!(in_store(&format!("// https://{}\n", "x".repeat(98))).is_empty());
    }

    #[test]
    fn a_name_says_what_is_inside() {
        let found = findings("crates/store/src/util.rs", HEADER);
        assert!(found[0].contains("the name says nothing"), "{found:?}");
        assert_eq!(findings("tests/common/mod.rs", "//! X.\n").len(), 1);
        assert!(findings("crates/store/src/utility.rs", HEADER).is_empty());
    }
}
