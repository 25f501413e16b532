//! The syntax of configuration files and of the command line, both redis-server's.
//!
//! A file is a directive a line, words quoted as redis-cli quotes them, `#` for comments. The
//! command line `--port 6380 --loglevel verbose` is the same lines in another dress, and is read
//! after the file. `include` is resolved here, but files are opened by the program: it hands in a
//! function from a path (which may hold wildcards) to texts.
//!
//! Rules: a line's words must be UTF-8; includes nest at most `DEPTH_MAX` deep, which also ends
//! a circle. An error knows its line and prints as redis-server's does.

use std::fmt;

use super::{Applied, Config};

/// How deep includes may nest.
const DEPTH_MAX: usize = 16;

/// Where a line stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a file: its path, and the number of the line from 1 on.
    File {
        /// The path as it was given.
        path: String,
        /// The line's number.
        number: usize,
    },
    /// On the command line.
    CommandLine,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, number } => write!(f, "{path}, line {number}"),
            Self::CommandLine => f.write_str("the command line"),
        }
    }
}

/// One directive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Where it stands.
    pub place: Place,
    /// The line as it was written, without blanks around it.
    pub text: String,
    /// The directive, in lower case.
    pub name: String,
    /// Its arguments.
    pub args: Vec<String>,
}

/// A line that is refused. Prints as redis-server's last words, several lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileError {
    /// Where it stands; `None` when no single line is at fault.
    pub place: Option<Place>,
    /// The line.
    pub text: String,
    /// What is wrong.
    pub reason: String,
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = env!("CARGO_PKG_VERSION");
        writeln!(f, "*** FATAL CONFIG FILE ERROR (Pannier {version}) ***")?;
        match &self.place {
            Some(Place::File { path, number }) => {
                writeln!(f, "Reading the configuration file, at line {number} of {path}")?;
            }
            Some(Place::CommandLine) => writeln!(f, "Reading the command line")?,
            None => return f.write_str(&self.reason),
        }
        writeln!(f, ">>> '{}'", self.text)?;
        f.write_str(&self.reason)
    }
}

impl std::error::Error for FileError {}

/// A directive that does nothing because its feature is absent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Where it stands.
    pub place: Place,
    /// The directive.
    pub name: String,
    /// The feature that Pannier does not have.
    pub feature: &'static str,
    /// Whether it asks for what Pannier does anyway.
    pub agrees: bool,
}

/// A file that an `include` (or the command line) named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// Its path.
    pub path: String,
    /// What it holds.
    pub text: String,
}

/// From a path, which may hold wildcards, to the files that it names; the error says why not.
pub type Load<'a> = dyn FnMut(&str) -> Result<Vec<Text>, String> + 'a;

/// Splits a line into words.
pub(super) fn split(text: &str) -> Result<Vec<String>, &'static str> {
    let words = pannier_resp::split_line(text.as_bytes());
    let words = words.map_err(|_| "Unbalanced quotes in configuration line")?;
    let words = words.into_iter().map(String::from_utf8).collect::<Result<Vec<_>, _>>();
    words.map_err(|_| "argument must be UTF-8 text")
}

/// Reads the directives of a file's text; `path` is for errors. Includes stay as they are.
///
/// # Errors
/// The first line with unbalanced quotes.
pub fn parse(path: &str, text: &str) -> Result<Vec<Line>, FileError> {
    let mut lines = Vec::new();
    for (number, line) in (1..).zip(text.split('\n')) {
        let line = line.trim_matches([' ', '\t', '\r', '\n']);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let place = Place::File { path: path.to_owned(), number };
        match split(line) {
            Ok(words) => lines.extend(directive(place, line.to_owned(), words)),
            Err(reason) => return Err(refused(place, line, reason)),
        }
    }
    Ok(lines)
}

/// Reads the directives of a file and of those it includes, in their order.
///
/// # Errors
/// A file that cannot be loaded, or a line with unbalanced quotes.
pub fn read(path: &str, load: &mut Load<'_>) -> Result<Vec<Line>, FileError> {
    let mut lines = Vec::new();
    let texts = load(path).map_err(|reason| FileError {
        place: None,
        text: String::new(),
        reason: format!("Fatal error, can't open config file '{path}': {reason}"),
    })?;
    for Text { path, text } in texts {
        resolve(parse(&path, &text)?, load, 0, &mut lines)?;
    }
    Ok(lines)
}

fn resolve(
    lines: Vec<Line>,
    load: &mut Load<'_>,
    depth: usize,
    out: &mut Vec<Line>,
) -> Result<(), FileError> {
    for line in lines {
        let [path] = line.args.as_slice() else {
            out.push(line);
            continue;
        };
        if line.name != "include" {
            out.push(line);
            continue;
        }
        if depth == DEPTH_MAX {
            return Err(refused(line.place, &line.text, "too many nested includes"));
        }
        let texts = load(path).map_err(|reason| {
            let reason = format!("Fatal error, can't open config file '{path}': {reason}");
            refused(line.place.clone(), &line.text, &reason)
        })?;
        for Text { path, text } in texts {
            resolve(parse(&path, &text)?, load, depth + 1, out)?;
        }
    }
    Ok(())
}

/// Reads the directives of a command line (without the program's name and the file's path): each
/// `--name` begins one. After a name without a value the next argument is its value, whatever it
/// begins with. `--save` alone means `--save ""`. Includes stay as they are.
///
/// # Errors
/// A name with unbalanced quotes.
pub fn from_arguments<S: AsRef<str>>(arguments: &[S]) -> Result<Vec<Line>, FileError> {
    let mut commands: Vec<Vec<String>> = Vec::new();
    let mut complete = true;
    let mut arguments = arguments.iter().map(AsRef::as_ref).peekable();
    while let Some(argument) = arguments.next() {
        let Some(option) = argument.strip_prefix("--").filter(|_| complete) else {
            let mut words = commands.pop().unwrap_or_default();
            words.push(argument.to_owned());
            commands.push(words);
            complete = true;
            continue;
        };
        let mut words =
            split(option).map_err(|reason| refused(Place::CommandLine, argument, reason))?;
        let bare = words.len() <= 1;
        let next_is_option = arguments.peek().is_none_or(|next| next.starts_with("--"));
        let empty_save = bare && next_is_option && option.trim().eq_ignore_ascii_case("save");
        if empty_save {
            words.push(String::new());
        }
        complete = !bare || empty_save;
        commands.push(words);
    }
    let line = |words: Vec<String>| directive(Place::CommandLine, quoted(&words), words);
    Ok(commands.into_iter().filter_map(line).collect())
}

/// The first word bare, the others in quotes.
fn quoted(words: &[String]) -> String {
    let (name, args) = words.split_first().map_or(("", &[][..]), |(name, args)| (name, args));
    args.iter().fold(name.to_owned(), |text, arg| text + " " + &quote(arg))
}

/// A word in double quotes, such that [`split`] gives it back.
pub(super) fn quote(word: &str) -> String {
    let mut quoted = String::from("\"");
    for byte in word.bytes() {
        match byte {
            b'\\' | b'"' => quoted.extend(['\\', char::from(byte)]),
            b'\n' => quoted.push_str("\\n"),
            b'\r' => quoted.push_str("\\r"),
            b'\t' => quoted.push_str("\\t"),
            0x07 => quoted.push_str("\\a"),
            0x08 => quoted.push_str("\\b"),
            b' '..=b'~' => quoted.push(char::from(byte)),
            _ => quoted.push_str(&format!("\\x{byte:02x}")),
        }
    }
    quoted + "\""
}

fn directive(place: Place, text: String, words: Vec<String>) -> Option<Line> {
    let mut words = words.into_iter();
    let name = words.next()?.to_ascii_lowercase();
    Some(Line { place, text, name, args: words.collect() })
}

fn refused(place: Place, text: &str, reason: &str) -> FileError {
    FileError { place: Some(place), text: text.to_owned(), reason: reason.to_owned() }
}

impl Config {
    /// Applies lines in their order and checks the outcome. Returns a notice for each line whose
    /// feature is absent, for the program to log.
    ///
    /// ```
    /// use pannier_engine::config::{Config, file};
    /// let mut config = Config::default();
    /// let mut lines = file::parse("a.conf", "port 0\nappendonly yes\n")?;
    /// lines.extend(file::from_arguments(&["--maxentries", "1000"])?);
    /// let notices = config.apply(&lines)?;
    /// assert_eq!((config.port, config.maxentries), (0, 1000));
    /// assert_eq!(notices[0].feature, "persistence");
    /// # Ok::<(), file::FileError>(())
    /// ```
    ///
    /// # Errors
    /// The first line that is refused.
    pub fn apply(&mut self, lines: &[Line]) -> Result<Vec<Notice>, FileError> {
        let mut notices = Vec::new();
        for line in lines {
            let args: Vec<&str> = line.args.iter().map(String::as_str).collect();
            match self.set(&line.name, &args) {
                Ok(Applied::Set) => {}
                Ok(Applied::Absent { feature, agrees }) => {
                    let (place, name) = (line.place.clone(), line.name.clone());
                    notices.push(Notice { place, name, feature, agrees });
                }
                Err(error) => {
                    return Err(refused(line.place.clone(), &line.text, &error.to_string()));
                }
            }
        }
        self.check().map_err(|(name, reason)| {
            let line = lines.iter().rev().find(|line| line.name == name);
            FileError {
                place: line.map(|line| line.place.clone()),
                text: line.map(|line| line.text.clone()).unwrap_or_default(),
                reason,
            }
        })?;
        Ok(notices)
    }
}
