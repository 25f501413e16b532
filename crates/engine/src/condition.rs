//! Conditions on requests: which ones a fault or the recorder is about.
//!
//! A condition names commands (or categories of them, `@write`; with `-` before it what is left
//! out), a pattern for keys, and the client by its number, name or user. What it does not name it
//! does not ask for, so the empty condition holds for every request. Words on the wire and methods
//! in the library make the same conditions (`accept`), and `words` writes one down again.
//!
//! Rules: a container's name stands for all its sub-commands. Names are those of the table,
//! whatever `rename-command` has made of them. Neighbours: `faults`,
//! `recorder`. Transcripts: `server/pannier-fault`, `server/pannier-recorder`.

use pannier_resp::Args;

use crate::args::{Options, integer, is};
use crate::command::row::{Categories, categories};
use crate::command::{self, Command};
use crate::error::Error;
use crate::glob;
use crate::session::Session;

/// Which requests are meant.
///
/// ```
/// use pannier_engine::Condition;
///
/// let writes = Condition::new().command("@write").command("-del").key("user:*");
/// assert_eq!(writes.to_string(), "COMMAND @write COMMAND -del KEY user:*");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    commands: Vec<String>,
    key: Option<Vec<u8>>,
    client: Option<u64>,
    name: Option<String>,
    user: Option<String>,
}

impl Condition {
    /// Every request.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only this command (`get`, `client|kill`, a container for all of it), or those of a category
    /// (`@write`). Said again it adds to them; with `-` before it takes away.
    #[must_use]
    pub fn command(mut self, word: impl Into<String>) -> Self {
        self.commands.push(word.into().to_ascii_lowercase());
        self
    }

    /// Only requests with a key that matches this glob pattern.
    #[must_use]
    pub fn key(mut self, pattern: impl Into<Vec<u8>>) -> Self {
        self.key = Some(pattern.into());
        self
    }

    /// Only this client's, by the number that CLIENT ID answers.
    #[must_use]
    pub fn client(mut self, id: u64) -> Self {
        self.client = Some(id);
        self
    }

    /// Only those of clients of this name (CLIENT SETNAME).
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Only those of this user's clients.
    #[must_use]
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// Whether it says nothing.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether all that it names exists.
    ///
    /// ```
    /// use pannier_engine::Condition;
    ///
    /// assert!(Condition::new().command("@write").check().is_ok());
    /// assert!(Condition::new().command("gett").check().is_err());
    /// ```
    ///
    /// # Errors
    /// A command or category that does not exist.
    pub fn check(&self) -> Result<(), Error> {
        let unknown = |word: &&String| !is_known(word.strip_prefix('-').unwrap_or(word));
        match self.commands.iter().find(unknown) {
            None => Ok(()),
            Some(word) => Err(Error::text(format!("ERR no such command or category '{word}'"))),
        }
    }

    /// Takes an option word, and its value; false when the word is none of a condition's.
    ///
    /// # Errors
    /// No value, or a wrong one.
    pub(crate) fn accept(&mut self, word: &[u8], rest: &mut Options<'_>) -> Result<bool, Error> {
        if is(word, "COMMAND") {
            self.commands.push(text(rest.value()?)?.to_ascii_lowercase());
        } else if is(word, "KEY") {
            self.key = Some(rest.value()?.to_vec());
        } else if is(word, "ID") {
            let id = u64::try_from(integer(rest.value()?)?);
            self.client = Some(id.map_err(|_| Error::NOT_POSITIVE)?);
        } else if is(word, "NAME") {
            self.name = Some(text(rest.value()?)?);
        } else if is(word, "USER") {
            self.user = Some(text(rest.value()?)?);
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// The words that make it, as they stand in a request.
    pub(crate) fn words(&self) -> Vec<Vec<u8>> {
        let mut words = Vec::new();
        let mut say = |word: &str, value: &[u8]| words.extend([word.into(), value.to_vec()]);
        self.commands.iter().for_each(|command| say("COMMAND", command.as_bytes()));
        if let Some(key) = &self.key {
            say("KEY", key);
        }
        if let Some(id) = self.client {
            say("ID", id.to_string().as_bytes());
        }
        if let Some(name) = &self.name {
            say("NAME", name.as_bytes());
        }
        if let Some(user) = &self.user {
            say("USER", user.as_bytes());
        }
        words
    }

    /// Whether it holds for a session's request; of one that names no command the row is unknown.
    pub(crate) fn holds(
        &self,
        session: &Session,
        command: Option<&Command>,
        args: Args<'_>,
    ) -> bool {
        let client = &session.client;
        if self.name.is_none() && self.user.is_none() {
            return self.held((client.id, "", ""), command, args);
        }
        let labels = client.labels.lock();
        self.held((client.id, &labels.name, &labels.user), command, args)
    }

    /// Whether it holds for a request of which this was written down.
    pub(crate) fn held(
        &self,
        (client, name, user): (u64, &str, &str),
        command: Option<&Command>,
        args: Args<'_>,
    ) -> bool {
        self.client.is_none_or(|id| id == client)
            && self.name.as_ref().is_none_or(|wanted| wanted == name)
            && self.user.as_ref().is_none_or(|wanted| wanted == user)
            && self.names(command)
            && self.key.as_ref().is_none_or(|pattern| has_key(pattern, command, args))
    }

    /// Whether a command is one of those named and none of those left out.
    fn names(&self, command: Option<&Command>) -> bool {
        let Some(command) = command else { return self.commands.is_empty() };
        let (mut any, mut wanted) = (false, false);
        for word in &self.commands {
            match word.strip_prefix('-') {
                Some(word) if is_named(command, word) => return false,
                Some(_) => {}
                None => (any, wanted) = (true, wanted || is_named(command, word)),
            }
        }
        wanted || !any
    }
}

impl std::fmt::Display for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.words().join(&b' ')))
    }
}

fn text(bytes: &[u8]) -> Result<String, Error> {
    str::from_utf8(bytes).map(str::to_owned).map_err(|_| NOT_TEXT)
}

/// Whether a word names this command: its name, its container's, or a category.
fn is_named(command: &Command, word: &str) -> bool {
    match word.strip_prefix('@') {
        Some(category) => category_bit(category).is_some_and(|bit| command.categories() & bit != 0),
        None => {
            let rest = command.name.strip_prefix(word);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('|'))
        }
    }
}

fn category_bit(name: &str) -> Option<Categories> {
    categories::NAMES.iter().find(|(_, held)| *held == name).map(|(bit, _)| *bit)
}

/// Whether a word names anything.
fn is_known(word: &str) -> bool {
    match word.strip_prefix('@') {
        Some(category) => category_bit(category).is_some(),
        None => command::all()
            .flat_map(|row| std::iter::once(row).chain(row.subcommands))
            .any(|row| row.name == word),
    }
}

/// Whether a request has a key that matches.
fn has_key(pattern: &[u8], command: Option<&Command>, args: Args<'_>) -> bool {
    let mut found = false;
    if let Some(command) = command {
        command.key_positions(args, |at, _| {
            found = found || glob::matches(pattern, args.get(at), true);
        });
    }
    found
}

const NOT_TEXT: Error = Error::new("ERR names of commands, clients and users are UTF-8");

#[cfg(test)]
mod tests {
    use super::*;

    fn names(condition: &Condition, command: &str) -> bool {
        let mut rows = command::all().flat_map(|row| std::iter::once(row).chain(row.subcommands));
        condition.names(rows.find(|row| row.name == command))
    }

    #[test]
    fn words_that_take_away_win_over_those_that_add() {
        let all = Condition::new();
        assert!(names(&all, "get") && names(&all, "no such command"));
        let one = Condition::new().command("GET");
        assert!(names(&one, "get") && !names(&one, "getex") && !names(&one, "no such command"));
        let container = Condition::new().command("client");
        assert!(names(&container, "client|kill") && !names(&container, "config|get"));
        let writes = Condition::new().command("@write").command("-del").command("get");
        assert!(names(&writes, "set") && names(&writes, "get") && !names(&writes, "del"));
        let others = Condition::new().command("-@connection");
        assert!(names(&others, "get") && !names(&others, "hello"));
    }

    #[test]
    fn what_does_not_exist_cannot_be_named() {
        for word in ["get", "client|kill", "-client", "@write", "-@write"] {
            assert_eq!(Condition::new().command(word).check(), Ok(()), "{word}");
        }
        for word in ["gett", "@writes", "", "-", "@", "get|x"] {
            assert!(Condition::new().command(word).check().is_err(), "{word}");
        }
    }
}
