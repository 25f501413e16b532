//! Rust source as tidy sees it: the text, the same text with comments and literals blanked out,
//! and what was found by matching braces in that: test modules, tables, functions.
//!
//! A real parser (syn) was weighed and refused: it drops comments, which half of the rules are
//! about, and it would be the largest dependency of the project. A scanner that knows strings,
//! characters, lifetimes and nested comments is enough, because rustfmt has fixed the layout.
//!
//! Rules: blanking keeps every line break and the byte length, so that a line number or an offset
//! means the same in `text` and `code`. Line numbers are counted from 1.
//!
//! The rules themselves are in the sibling modules; the tests are at the bottom.

use std::ops::Range;

/// One file of the project, its path relative to the root and with `/`.
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
    /// `text` with comments and literals as spaces; equal to `text` where it is not Rust.
    pub(crate) code: String,
}

/// One function: its name and the lines from its signature to its closing brace.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) lines: Range<usize>,
}

impl File {
    /// Takes a file in; `path` decides by its ending whether it is Rust.
    pub(crate) fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        let (path, text) = (path.into(), text.into());
        let code = if path.ends_with(".rs") { blank(&text) } else { text.clone() };
        Self { path, text, code }
    }

    /// Whether this is Rust source.
    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// The last part of the path.
    pub(crate) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// The crate's folder (`crates/store`, `xtask`), or nothing for files outside of one.
    pub(crate) fn room(&self) -> &str {
        let mut ends = self.path.match_indices('/').map(|(at, _)| at);
        let end = if self.path.starts_with("crates/") { ends.nth(1) } else { ends.next() };
        end.map_or("", |end| &self.path[..end])
    }

    /// Whether the whole file is a test, a benchmark or a fuzz target by the place it lies in.
    pub(crate) fn is_test(&self) -> bool {
        let inside = self.path.strip_prefix(self.room()).unwrap_or(&self.path);
        matches!(self.room(), "tests" | "benches" | "fuzz")
            || inside.starts_with("/tests/")
            || inside.starts_with("/benches/")
            || inside.starts_with("/examples/")
            || matches!(self.name(), "tests.rs" | "test.rs")
            || inside.contains("/tests/")
    }

    /// The lines of `#[cfg(test)]` items, each from the attribute to the closing brace.
    pub(crate) fn test_lines(&self) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        for (at, _) in self.code.match_indices("#[cfg(test)]") {
            let end = item_end(&self.code, at + "#[cfg(test)]".len());
            let lines = line_of(&self.code, at)..line_of(&self.code, end) + 1;
            if found.last().is_none_or(|last: &Range<usize>| lines.start >= last.end) {
                found.push(lines);
            }
        }
        found
    }

    /// The lines of constants and statics at the left margin that take more than one line.
    pub(crate) fn table_lines(&self) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        let mut at = 0;
        for line in self.code.split_inclusive('\n') {
            let bare = line.strip_prefix("pub ").unwrap_or(line);
            let bare = bare.strip_prefix("pub(crate) ").unwrap_or(bare);
            let bare = bare.strip_prefix("pub(super) ").unwrap_or(bare);
            let table = bare.starts_with("static ")
                || bare.starts_with("const ")
                    && !bare.starts_with("const fn ")
                    && !bare.starts_with("const unsafe ");
            if table {
                let end = statement_end(&self.code, at);
                let lines = line_of(&self.code, at)..line_of(&self.code, end) + 1;
                if lines.len() > 1 {
                    found.push(lines);
                }
            }
            at += line.len();
        }
        found
    }

    /// Lines of code: neither blank nor comment, outside test modules and tables.
    pub(crate) fn lines_of_code(&self) -> usize {
        let mut skipped = self.test_lines();
        skipped.extend(self.table_lines());
        self.count(1..usize::MAX, &skipped)
    }

    /// Lines of code of one function, its signature and closing brace included.
    pub(crate) fn function_length(&self, function: &Function) -> usize {
        self.count(function.lines.clone(), &[])
    }

    fn count(&self, among: Range<usize>, skipped: &[Range<usize>]) -> usize {
        let lines = (1..).zip(self.code.lines().zip(self.text.lines()));
        lines
            .filter(|(number, _)| among.contains(number))
            .filter(|(number, _)| !skipped.iter().any(|range| range.contains(number)))
            // A line inside a long string is blank in `code`, but it is no comment either.
            .filter(|(_, (code, text))| {
                !code.trim().is_empty()
                    || !text.trim().is_empty() && !text.trim_start().starts_with("//")
            })
            .count()
    }

    /// Every function with a body.
    pub(crate) fn functions(&self) -> Vec<Function> {
        let mut found = Vec::new();
        for at in words(&self.code, "fn") {
            let rest = &self.code[at + 2..];
            let name: String = rest.trim_start().chars().take_while(|c| is_word(*c)).collect();
            let Some(open) = body_start(&self.code, at) else { continue };
            if name.is_empty() {
                continue;
            }
            let end = closing(&self.code, open);
            let lines = line_of(&self.code, at)..line_of(&self.code, end) + 1;
            found.push(Function { name, lines });
        }
        found
    }
}

/// Whether a character can be part of a name.
pub(crate) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Offsets at which `word` stands in `code` as a whole word (its ends may be punctuation).
pub(crate) fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let edge = |c: Option<char>, inner: Option<char>| {
        !inner.is_some_and(is_word) || !c.is_some_and(is_word)
    };
    code.match_indices(word).map(|(at, _)| at).filter(move |&at| {
        let before = code[..at].chars().next_back();
        let after = code[at + word.len()..].chars().next();
        edge(before, word.chars().next()) && edge(after, word.chars().next_back())
    })
}

/// The line of an offset, counted from 1.
pub(crate) fn line_of(text: &str, at: usize) -> usize {
    1 + text.as_bytes()[..at.min(text.len())].iter().filter(|b| **b == b'\n').count()
}

/// The offset of the brace that closes the one at `open`, or the end of the text.
fn closing(code: &str, open: usize) -> usize {
    let mut depth = 0usize;
    for (at, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b'}' if depth <= 1 => return at,
            b'}' => depth -= 1,
            _ => {}
        }
    }
    code.len()
}

/// Where an item that begins after `at` ends: at its closing brace, or its semicolon.
fn item_end(code: &str, at: usize) -> usize {
    let mut nested = 0usize;
    for (at, byte) in code.bytes().enumerate().skip(at) {
        match byte {
            b'(' | b'[' => nested += 1,
            b')' | b']' => nested = nested.saturating_sub(1),
            b'{' if nested == 0 => return closing(code, at),
            b';' if nested == 0 => return at,
            _ => {}
        }
    }
    code.len()
}

/// Where a statement that begins at `at` has its semicolon, whatever it nests.
fn statement_end(code: &str, at: usize) -> usize {
    let mut nested = 0usize;
    for (at, byte) in code.bytes().enumerate().skip(at) {
        match byte {
            b'(' | b'[' | b'{' => nested += 1,
            b')' | b']' | b'}' => nested = nested.saturating_sub(1),
            b';' if nested == 0 => return at,
            _ => {}
        }
    }
    code.len()
}

/// The brace that opens the body of the function at `at`; none for a declaration or a type.
fn body_start(code: &str, at: usize) -> Option<usize> {
    let mut nested = 0usize;
    for (at, byte) in code.bytes().enumerate().skip(at) {
        match byte {
            b'(' | b'[' => nested += 1,
            b')' | b']' if nested == 0 => return None,
            b')' | b']' => nested -= 1,
            b'{' if nested == 0 => return Some(at),
            b';' | b'}' if nested == 0 => return None,
            _ => {}
        }
    }
    None
}

/// Rust text with comments, strings and characters as spaces; line breaks stay.
pub(crate) fn blank(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let end = literal_end(bytes, at);
        if end == at {
            out.push(bytes[at]);
            at += 1;
        } else {
            out.extend(bytes[at..end].iter().map(|b| if *b == b'\n' { b'\n' } else { b' ' }));
            at = end;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Where the comment or literal that begins at `at` ends; `at` when none begins there.
fn literal_end(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    let in_word = at > 0 && is_word(char::from(bytes[at - 1]));
    let end = match rest {
        [b'/', b'/', ..] => at + rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len()),
        [b'/', b'*', ..] => at + block_comment(rest),
        [b'"', ..] => at + quoted(rest),
        [b'r', b'"' | b'#', ..] if !in_word => at + raw(rest, 1),
        [b'b' | b'c', b'r', b'"' | b'#', ..] if !in_word => at + raw(rest, 2),
        [b'\'', ..] => at + character(rest),
        _ => at,
    };
    end.min(bytes.len())
}

fn block_comment(rest: &[u8]) -> usize {
    let mut depth = 0usize;
    let mut at = 0;
    while at < rest.len() {
        match &rest[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] if depth == 1 => return at + 2,
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    rest.len()
}

fn quoted(rest: &[u8]) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// A raw string whose hashes begin at `prefix`; a raw name (`r#type`) is not one.
fn raw(rest: &[u8], prefix: usize) -> usize {
    let hashes = rest[prefix..].iter().take_while(|b| **b == b'#').count();
    if rest.get(prefix + hashes) != Some(&b'"') {
        return 0;
    }
    let close: Vec<u8> = std::iter::once(b'"').chain(std::iter::repeat_n(b'#', hashes)).collect();
    let body = prefix + hashes + 1;
    let inside = rest[body..].windows(close.len()).position(|w| w == close);
    inside.map_or(rest.len(), |inside| body + inside + close.len())
}

/// A character; a lifetime (`'a` without a closing quote) is not one.
fn character(rest: &[u8]) -> usize {
    match rest {
        [_, b'\\', _, tail @ ..] => 3 + tail.iter().take_while(|b| **b != b'\'').count() + 1,
        [_, _, b'\'', ..] => 3,
        // a character beyond ASCII: two to four bytes
        [_, first, tail @ ..] if *first >= 0x80 => {
            2 + tail.iter().take_while(|b| **b != b'\'').count() + 1
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rust(text: &str) -> File {
        File::new("crates/store/src/x.rs", text)
    }

    #[test]
    fn comments_and_literals_are_blanked_and_lines_stay() {
        let text =
            "let a = \"un//safe\\\"\"; // unsafe\nlet b = 'x'; /* a /* b */ c */ let c = 1;\n";
        let code = blank(text);
        assert_eq!(code.len(), text.len());
        assert_eq!(code.lines().count(), 2);
        assert!(!code.contains("safe") && !code.contains('x') && code.contains("let c = 1;"));
    }

    #[test]
    fn raw_strings_bytes_and_lifetimes_are_told_apart() {
        assert_eq!(blank("r#\"a \" b\"# + 1").trim(), "+ 1");
        assert_eq!(blank("br\"\\\" + 1").trim(), "+ 1");
        assert_eq!(blank("fn f<'a>(r#type: &'a str) {}"), "fn f<'a>(r#type: &'a str) {}");
        assert_eq!(blank("['\\'', '\\u{1F600}', 'é', b'\"']"), {
            let spaces = |n| " ".repeat(n);
            format!("[{}, {}, {}, b{}]", spaces(4), spaces(11), spaces(4), spaces(3))
        });
    }

    #[test]
    fn lines_of_code_leave_out_tests_tables_comments_and_blanks() {
        let text = "//! Header.\n\nuse x;\n/// Doc.\nconst A: &[u8] = &[\n    1,\n    2,\n];\n\
                    const B: u8 = 1;\nfn f() {\n    g();\n}\n\n#[cfg(test)]\n\
                    mod tests {\n    \
                    fn t() {}\n}\n";
        assert_eq!(rust(text).lines_of_code(), 5, "use, B and the three lines of f");
    }

    #[test]
    fn functions_are_found_with_their_lines() {
        let text = "trait T {\n    fn declared(&self) -> u8;\n}\nfn long<T>(x: [u8; 3]) -> u8\n\
                    where\n    T: Fn(u8),\n{\n    // note\n    if x {\n    }\n    1\n}\n\
                    type F = fn(u8);\n";
        let file = rust(text);
        let found = file.functions();
        assert_eq!(found, [Function { name: "long".into(), lines: 4..13 }]);
        assert_eq!(file.function_length(&found[0]), 8, "the note is not counted");
    }

    #[test]
    fn a_file_knows_its_room_and_whether_it_is_a_test() {
        assert_eq!(rust("").room(), "crates/store");
        assert_eq!(File::new("xtask/src/main.rs", "").room(), "xtask");
        assert_eq!(File::new("README.md", "").room(), "");
        assert!(File::new("crates/store/tests/model.rs", "").is_test());
        assert!(File::new("tests/src/lib.rs", "").is_test());
        assert!(!rust("").is_test());
    }

    #[test]
    fn a_word_is_found_only_whole() {
        assert_eq!(words("unsafe_code unsafe un", "unsafe").collect::<Vec<_>>(), [12]);
        assert_eq!(words("a #[allow(b)]", "#[allow(").count(), 1);
    }
}
