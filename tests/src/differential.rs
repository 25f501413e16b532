//! Two servers, the same commands, the same bytes.
//!
//! A random sequence is sent to both, one command at a time, and the bytes of each reply are
//! compared; a decoded comparison would not see a bulk string where a status belongs. After a
//! sequence both keyspaces are compared as well. A mismatch is shrunk by leaving commands out for
//! as long as the servers still disagree, and printed as a transcript.
//!
//! Rules: the order of KEYS and SCAN is nobody's promise, so those are sorted; what tells a time
//! that was set relative to now may be off by a second. All else is equal to the byte.
//!
//! The commands come from [`crate::random`]; `tests/tests/differential.rs` calls this.

use std::fmt::Write;

use crate::random::{self, Generator};
use crate::target::spawned::Process;
use crate::target::tcp::TcpClient;
use crate::target::{Protocol, Received, Value};
use crate::transcript::{quote, show};

/// How often a failing sequence is tried again while shrinking.
const SHRINK_ATTEMPTS_MAX: usize = 400;

type Command = Vec<Vec<u8>>;

/// Two servers that are compared.
pub struct Pair<'a> {
    /// The one that is right.
    pub oracle: &'a Process,
    /// The one that is tested.
    pub tested: &'a Process,
    /// What both are asked in.
    pub protocol: Protocol,
}

struct Mismatch {
    /// How many commands it took.
    at: usize,
    replies: [Vec<String>; 2],
}

impl Pair<'_> {
    /// Sends `count` commands made from `seed` to both servers.
    ///
    /// # Errors
    /// The first mismatch, shrunk and printed with the seed.
    pub fn compare(&self, seed: u64, count: usize) -> Result<(), String> {
        let mut generator = Generator::new(seed);
        let mut commands: Vec<Command> = (0..count).map(|_| generator.command()).collect();
        commands.extend(inventory());
        let Some(found) = self.mismatch(&commands)? else { return Ok(()) };
        let at = found.at;
        commands.truncate(at);
        let (commands, found) = self.shrink(commands, found)?;
        Err(self.report(seed, at, &commands, &found))
    }

    /// The first command whose replies differ.
    fn mismatch(&self, commands: &[Command]) -> Result<Option<Mismatch>, String> {
        let mut clients = [self.fresh(self.oracle)?, self.fresh(self.tested)?];
        for (index, command) in commands.iter().enumerate() {
            if let Some(replies) = ask(&mut clients, command) {
                return Ok(Some(Mismatch { at: index + 1, replies }));
            }
        }
        Ok(None)
    }

    fn fresh(&self, process: &Process) -> Result<TcpClient, String> {
        let mut client = process.connect(self.protocol)?;
        match client.call(&["FLUSHALL"]) {
            Received::Value(Value::Simple(ok)) if ok == "OK" => Ok(client),
            other => Err(format!("FLUSHALL got {other:?}")),
        }
    }

    /// Leaves out ever smaller runs of commands, from the end to the beginning.
    fn shrink(
        &self,
        mut commands: Vec<Command>,
        mut found: Mismatch,
    ) -> Result<(Vec<Command>, Mismatch), String> {
        let mut attempts = 0;
        let mut run = commands.len() / 2;
        while run > 0 {
            let mut end = commands.len() - 1;
            while end > 0 && attempts < SHRINK_ATTEMPTS_MAX {
                let start = end.saturating_sub(run);
                let mut fewer = commands.clone();
                fewer.drain(start..end);
                attempts += 1;
                if let Some(smaller) = self.mismatch(&fewer)? {
                    fewer.truncate(smaller.at);
                    commands = fewer;
                    found = smaller;
                }
                end = start.min(commands.len() - 1);
            }
            run /= 2;
        }
        Ok((commands, found))
    }

    fn report(&self, seed: u64, at: usize, commands: &[Command], found: &Mismatch) -> String {
        let mut out = format!(
            "{}: seed {seed} (PANNIER_SEED={seed} to replay), command {at}; shrunk to {}:\n",
            self.protocol,
            commands.len()
        );
        for command in commands {
            let words: Vec<String> = command.iter().map(|w| quote::typed(w)).collect();
            let _ = writeln!(out, "> {}", words.join(" "));
        }
        let [right, wrong] = &found.replies;
        for (mark, lines) in [("-", right), ("+", wrong)] {
            for line in lines {
                let _ = writeln!(out, "  {mark} {line}");
            }
        }
        out
    }
}

/// Commands that tell all there is in both databases that sequences use.
fn inventory() -> Vec<Command> {
    let mut commands = Vec::new();
    for database in ["0", "1"] {
        commands.push(vec![b"SELECT".to_vec(), database.into()]);
        commands.push(vec![b"KEYS".to_vec(), b"*".to_vec()]);
        for key in random::KEYS {
            for name in ["GET", "PEXPIRETIME"] {
                commands.push(vec![name.into(), key.to_vec()]);
            }
        }
    }
    commands
}

/// Asks both; the replies where they differ.
fn ask(clients: &mut [TcpClient; 2], command: &Command) -> Option<[Vec<String>; 2]> {
    let received = clients.each_mut().map(|client| client.call(command));
    let same_bytes = clients[0].last_bytes() == clients[1].last_bytes();
    let name = command[0].to_ascii_uppercase();
    match &received {
        [Received::Value(_), Received::Value(_)] if same_bytes => return None,
        [Received::Value(a), Received::Value(b)] if alike(&name, a, b) => return None,
        _ => {}
    }
    let differ = received.map(|received| match received {
        Received::Value(value) => show::lines(&value),
        other => vec![format!("{other:?}")],
    });
    if differ[0] == differ[1] {
        // The text is the same and the bytes are not.
        let bytes = clients.each_ref().map(|c| vec![quote::quoted(c.last_bytes())]);
        return Some(bytes);
    }
    Some(differ)
}

/// Whether two replies to `name` mean the same although their bytes differ.
fn alike(name: &[u8], a: &Value, b: &Value) -> bool {
    let tolerance = match name {
        b"KEYS" | b"SCAN" => return show::sorted(a.clone()) == show::sorted(b.clone()),
        b"TTL" | b"EXPIRETIME" => 1,
        b"PTTL" | b"PEXPIRETIME" => 1_000,
        _ => return false,
    };
    match (a, b) {
        (Value::Integer(a), Value::Integer(b)) => *a > 0 && *b > 0 && a.abs_diff(*b) <= tolerance,
        _ => false,
    }
}
