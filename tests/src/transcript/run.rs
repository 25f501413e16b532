//! Playing a transcript on a target.
//!
//! One function plays a file step by step and says for each step what came of it; comparing with
//! the expected reply happens on the way, because patterns give names that later commands use.
//! The same function serves the tests and the recorder, so a recorded file passes by
//! construction. Clients are opened at their first command and all of them live on one thread:
//! a transcript has one order, and that order is the file's.
//!
//! Rules: an error in a file (an unknown name, unbalanced quotes) is the step's failure, with its
//! line; after a failed step the file goes on, since one report with all mismatches saves time.
//!
//! [`super::suite`] runs many files and prints the mismatches.

use std::collections::HashMap;
use std::time::Duration;

use super::expect::Names;
use super::parse::{Action, Step, Transcript};
use super::{quote, show};
use crate::target::{Client, Maker, Place, Received, Server, Target};

/// How long a command may take on a target with a real clock.
const REPLY_WAIT: Duration = Duration::from_secs(10);
/// How long one listens before saying that nothing came.
const SILENCE_WAIT: Duration = Duration::from_millis(60);

/// What came of a step.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// It is not for this target.
    Skipped(String),
    /// It has no reply.
    Silent,
    /// The reply's lines, and whether they were expected.
    Reply { lines: Vec<String>, expected: bool },
    /// The step cannot be played as it is written.
    Wrong(String),
}

/// Plays `file` on a fresh server of `target`; one outcome for each step.
///
/// # Errors
/// The server did not start, or refused the file's configuration.
pub fn play(file: &Transcript, target: &dyn Target) -> Result<Vec<Outcome>, String> {
    let place = target.place();
    let mut server = target.open(&file.start)?;
    if !file.config.is_empty() {
        configure(server.as_mut(), file)?;
    }
    let mut player = Player { server, place, clients: HashMap::new(), names: Names::default() };
    Ok(file.steps.iter().map(|step| player.step(step)).collect())
}

fn configure(server: &mut dyn Server, file: &Transcript) -> Result<(), String> {
    let mut client = server.connect()?;
    for (name, value) in &file.config {
        client.send(&[
            b"CONFIG".to_vec(),
            b"SET".to_vec(),
            name.clone().into(),
            value.clone().into(),
        ]);
        match client.receive(REPLY_WAIT) {
            Received::Value(crate::target::Value::Simple(ok)) if ok == "OK" => {}
            other => return Err(format!("CONFIG SET {name} {value} got {other:?}")),
        }
    }
    Ok(())
}

struct Player {
    server: Box<dyn Server>,
    place: Place,
    clients: HashMap<String, Box<dyn Client>>,
    names: Names,
}

impl Player {
    fn step(&mut self, step: &Step) -> Outcome {
        if let Some(why) = step.gate.refuses(&self.place) {
            return Outcome::Skipped(why);
        }
        match self.act(step) {
            Ok(outcome) => outcome,
            Err(what) => Outcome::Wrong(what),
        }
    }

    fn act(&mut self, step: &Step) -> Result<Outcome, String> {
        let expected = step.expect.lines_for(&self.place);
        let quiet = expected.len() == 1 && expected[0] == "(nothing)";
        let wait = if quiet { SILENCE_WAIT } else { REPLY_WAIT };
        let (client, wait) = match &step.action {
            Action::Pass { ms } => {
                self.server.pass(Duration::from_millis(*ms));
                return Ok(Outcome::Silent);
            }
            Action::Send { client, text } => {
                let args = self.args(text)?;
                self.client(client)?.send(&args);
                return Ok(Outcome::Silent);
            }
            Action::Call { client, text } => {
                let args = self.args(text)?;
                self.client(client)?.send(&args);
                (client, wait)
            }
            Action::Raw { client, text } => {
                let bytes = self.args(text)?.concat();
                self.client(client)?.send_raw(&bytes);
                (client, wait)
            }
            // A message that was not expected yet is given less time: the recorder must find
            // out that there is none.
            Action::Read { client } if expected.is_empty() => (client, SILENCE_WAIT * 5),
            Action::Read { client } => (client, wait),
        };
        let received = self.client(client)?.receive(wait);
        self.compare(step, received)
    }

    fn compare(&mut self, step: &Step, received: Received) -> Result<Outcome, String> {
        let lines = match received {
            Received::Value(value) if step.unordered => show::lines(&show::sorted(value)),
            Received::Value(value) => show::lines(&value),
            Received::Nothing => vec!["(nothing)".to_owned()],
            Received::Closed => vec!["(closed)".to_owned()],
            Received::Garbage(what) => vec![format!("(garbage) {what}")],
        };
        let wanted = step.expect.lines_for(&self.place);
        let expected = self.names.matches(wanted, &lines)?;
        if expected {
            return Ok(Outcome::Reply { lines, expected });
        }
        if self.place.maker == Maker::Redis && is_unknown(&lines) {
            return Ok(Outcome::Skipped(format!("{} does not know it", self.place.maker)));
        }
        // Later steps may need the names that the lines which do match give.
        for (wanted, line) in wanted.iter().zip(&lines) {
            self.names.line_matches(wanted, line)?;
        }
        Ok(Outcome::Reply { lines, expected })
    }

    fn args(&self, text: &str) -> Result<Vec<Vec<u8>>, String> {
        let text = self.names.fill(text)?;
        quote::split(&text).ok_or_else(|| "the quotes do not balance".to_owned())
    }

    fn client(&mut self, name: &str) -> Result<&mut Box<dyn Client>, String> {
        if !self.clients.contains_key(name) {
            let client = self.server.connect()?;
            self.clients.insert(name.to_owned(), client);
        }
        self.clients.get_mut(name).ok_or_else(|| "a client is missing".to_owned())
    }
}

fn is_unknown(lines: &[String]) -> bool {
    let unknown = ["(error) ERR unknown command", "(error) ERR unknown subcommand"];
    lines.first().is_some_and(|line| unknown.iter().any(|text| line.starts_with(text)))
}
