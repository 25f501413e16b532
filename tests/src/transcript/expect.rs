//! Whether the lines of a reply are the lines that a transcript expects.
//!
//! A line matches when it is equal, or when it begins with `~ ` and the rest is a regular
//! expression for the whole line, or when it is `...` and stands for any number of lines. A
//! pattern may name a part, `(?<id>[0-9]+)`; the text it found is `${id}` in later commands and
//! replies. `${x*1000}` is `x` a thousand times. Patterns are there for what is different in
//! every run, addresses and ids; for everything else equality is the better test.
//!
//! Rules: names hold for one run of one file; an unknown name is an error, not empty text.
//!
//! [`super::run`] compares with this, [`super::record`] keeps the lines that still match.

use std::collections::HashMap;
use std::sync::LazyLock;

use regex::Regex;

/// The longest text that `${x*n}` may make.
const REPEAT_MAX: usize = 64 << 20;

static HOLE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\$\{(?:([A-Za-z_][A-Za-z0-9_]*)|([^{}]+)\*([0-9]+))\}").expect("a valid pattern")
});

/// What patterns have found so far.
#[derive(Debug, Clone, Default)]
pub struct Names(HashMap<String, String>);

impl Names {
    /// `text` with its `${name}` and `${x*n}` filled in.
    ///
    /// # Errors
    /// A name that no pattern has found, or more than 64 MiB of repetition.
    pub fn fill(&self, text: &str) -> Result<String, String> {
        self.fill_with(text, str::to_owned)
    }

    fn fill_with(&self, text: &str, escape: fn(&str) -> String) -> Result<String, String> {
        if !text.contains("${") {
            return Ok(text.to_owned());
        }
        let mut out = String::new();
        let mut from = 0;
        for found in HOLE.captures_iter(text) {
            let Some(whole) = found.get(0) else { continue };
            out.push_str(&text[from..whole.start()]);
            from = whole.end();
            if let Some(name) = found.get(1) {
                let value = self.0.get(name.as_str());
                let value = value.ok_or_else(|| format!("nothing has found ${{{}}}", &found[1]))?;
                out.push_str(&escape(value));
            } else {
                let count: usize = found[3].parse().map_err(|_| "too many repetitions")?;
                if found[2].len().saturating_mul(count) > REPEAT_MAX {
                    return Err("too many repetitions".to_owned());
                }
                out.push_str(&escape(&found[2].repeat(count)));
            }
        }
        out.push_str(&text[from..]);
        Ok(out)
    }

    /// Whether `line` is what `expected` asks for; remembers what its pattern names.
    ///
    /// # Errors
    /// A pattern that is no regular expression, or an unknown name in it.
    pub fn line_matches(&mut self, expected: &str, line: &str) -> Result<bool, String> {
        let Some(pattern) = expected.strip_prefix("~ ") else {
            return Ok(self.fill(expected)? == line);
        };
        let pattern = self.fill_with(pattern, regex::escape)?;
        let pattern = Regex::new(&format!("^(?s:{pattern})$")).map_err(|e| e.to_string())?;
        let Some(found) = pattern.captures(line) else { return Ok(false) };
        for name in pattern.capture_names().flatten() {
            if let Some(part) = found.name(name) {
                self.0.insert(name.to_owned(), part.as_str().to_owned());
            }
        }
        Ok(true)
    }

    /// Whether `lines` are what `expected` asks for; remembers what patterns name when they are.
    ///
    /// # Errors
    /// As [`Self::line_matches`].
    pub fn matches(&mut self, expected: &[String], lines: &[String]) -> Result<bool, String> {
        let mut names = self.clone();
        let matched = names.matches_from(expected, lines)?;
        if matched {
            *self = names;
        }
        Ok(matched)
    }

    fn matches_from(&mut self, expected: &[String], lines: &[String]) -> Result<bool, String> {
        let Some((first, rest)) = expected.split_first() else { return Ok(lines.is_empty()) };
        if first == "..." {
            for skipped in 0..=lines.len() {
                let mut names = self.clone();
                if names.matches_from(rest, &lines[skipped..])? {
                    *self = names;
                    return Ok(true);
                }
            }
            return Ok(false);
        }
        let Some((line, others)) = lines.split_first() else { return Ok(false) };
        Ok(self.line_matches(first, line)? && self.matches_from(rest, others)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|l| (*l).to_owned()).collect()
    }

    #[test]
    fn patterns_match_whole_lines_and_give_names() {
        let mut names = Names::default();
        let id = |names: &mut Names, line| names.line_matches(r"~ \(integer\) (?<id>\d+)", line);
        assert_eq!(id(&mut names, "(integer) 12"), Ok(true));
        assert_eq!(id(&mut names, "(integer) 12 "), Ok(false));
        assert_eq!(names.fill("CLIENT KILL ID ${id}"), Ok("CLIENT KILL ID 12".to_owned()));
        assert!(names.fill("${other}").is_err());
    }

    #[test]
    fn repetitions_are_filled_in_commands_and_in_replies() {
        let mut names = Names::default();
        assert_eq!(names.fill("SET k ${ab*3}"), Ok("SET k ababab".to_owned()));
        assert_eq!(names.line_matches("\"${x*4}\"", "\"xxxx\""), Ok(true));
        assert!(names.fill("${x*99999999999}").is_err());
    }

    #[test]
    fn three_dots_stand_for_any_number_of_lines() {
        let mut names = Names::default();
        let lines = owned(&["a", "b", "c"]);
        for expected in [&["..."][..], &["a", "..."], &["...", "c"], &["a", "...", "b", "c"]] {
            assert_eq!(names.matches(&owned(expected), &lines), Ok(true), "{expected:?}");
        }
        assert_eq!(names.matches(&owned(&["...", "b"]), &lines), Ok(false));
    }
}
