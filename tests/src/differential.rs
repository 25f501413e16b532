//! Two servers, the same commands, the same bytes.
//!
//! A random sequence is sent to both, in bursts of different lengths because a server executes a
//! pipeline in another way than single requests, and the bytes of each reply are compared; a
//! decoded comparison would not see a bulk string where a status belongs. After a sequence both
//! keyspaces are compared as well. A mismatch is shrunk by leaving commands out for as long as the
//! servers still disagree, and printed as a transcript.
//!
//! Rules: the order of keys, fields and members is nobody's promise, so those are sorted; what
//! tells a time that was set relative to now may be off by half a minute, since one clock may
//! stand still. All else is equal to the byte.
//!
//! The commands come from [`crate::random`]; `tests/tests/differential.rs` calls this.

use std::cell::RefCell;
use std::fmt::Write;
use std::time::Duration;

use crate::random::{self, Generator};
use crate::target::{Client, Received, Server, Target, Value, encode};
use crate::transcript::{quote, show};

/// How often a failing sequence is tried again while shrinking.
const SHRINK_ATTEMPTS_MAX: usize = 400;

/// How many mismatches are told of a sequence.
const REPORTS_MAX: usize = 10;

/// How many commands are sent at once, in turn: single ones, and pipelines shorter and longer than
/// what a server executes together.
const BURSTS: [usize; 6] = [1, 2, 7, 16, 1, 150];

type Command = Vec<Vec<u8>>;

const REPLY_WAIT: Duration = Duration::from_secs(10);

/// Two servers that are compared: the one that is right, and the one that is tested.
pub struct Pair {
    servers: RefCell<[Box<dyn Server>; 2]>,
    names: [String; 2],
}

struct Mismatch {
    /// How many commands it took.
    at: usize,
    replies: [Vec<String>; 2],
}

impl Pair {
    /// Opens a server of each.
    ///
    /// # Errors
    /// One of them did not start.
    pub fn open(oracle: &dyn Target, tested: &dyn Target) -> Result<Self, String> {
        let names = [oracle, tested].map(|target| target.place().to_string());
        Ok(Self { servers: RefCell::new([oracle.open(&[])?, tested.open(&[])?]), names })
    }

    /// Sends `count` commands made from `seed` to both servers; when `only` is not empty, those
    /// of them that have these names.
    ///
    /// # Errors
    /// The mismatches, shrunk and printed with the seed; after one, the rest is compared without
    /// commands of that name.
    pub fn compare(&self, seed: u64, count: usize, only: &[String]) -> Result<(), String> {
        let mut generator = Generator::new(seed);
        let mut commands: Vec<Command> = (0..count).map(|_| generator.command()).collect();
        commands.retain(|words| only.is_empty() || only.contains(&name(words)));
        commands.extend(inventory());
        let mut reports = Vec::new();
        while let Some(found) = self.mismatch(&commands)? {
            let wrong = name(&commands[found.at - 1]);
            let (shrunk, smaller) = self.shrink(commands[..found.at].to_vec(), found)?;
            reports.push(self.report(seed, &shrunk, &smaller));
            commands.retain(|words| name(words) != wrong);
            if reports.len() == REPORTS_MAX {
                break;
            }
        }
        if reports.is_empty() { Ok(()) } else { Err(reports.join("\n")) }
    }

    /// The first command whose replies differ.
    fn mismatch(&self, commands: &[Command]) -> Result<Option<Mismatch>, String> {
        let mut clients = self.fresh()?;
        let mut at = 0;
        for burst in BURSTS.iter().cycle() {
            let rest = &commands[at..];
            let burst = &rest[..rest.len().min(*burst)];
            if burst.is_empty() {
                break;
            }
            let bytes: Vec<u8> = burst.iter().flat_map(|command| encode(command)).collect();
            clients.iter_mut().for_each(|client| client.send_raw(&bytes));
            for command in burst {
                at += 1;
                if let Some(replies) = hear(&mut clients, command) {
                    return Ok(Some(Mismatch { at, replies }));
                }
            }
        }
        Ok(None)
    }

    /// A new connection to each, and no keys.
    fn fresh(&self) -> Result<[Box<dyn Client>; 2], String> {
        let mut servers = self.servers.borrow_mut();
        let [oracle, tested] = &mut *servers;
        let mut clients = [oracle.connect()?, tested.connect()?];
        for client in &mut clients {
            client.send(&[b"FLUSHALL".to_vec()]);
            match client.receive(REPLY_WAIT) {
                Received::Value(Value::Simple(ok)) if ok == "OK" => {}
                other => return Err(format!("FLUSHALL got {other:?}")),
            }
        }
        Ok(clients)
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

    fn report(&self, seed: u64, commands: &[Command], found: &Mismatch) -> String {
        let mut out = format!(
            "{}: seed {seed} (PANNIER_SEED={seed} to replay), shrunk to {}:\n",
            self.names.join(" and "),
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
            for name in ["GET", "SMEMBERS", "PEXPIRETIME"] {
                commands.push(vec![name.into(), key.to_vec()]);
            }
            commands.push(vec![b"OBJECT".to_vec(), b"ENCODING".to_vec(), key.to_vec()]);
        }
    }
    commands
}

/// Hears both; the replies to the command where they differ.
fn hear(clients: &mut [Box<dyn Client>; 2], command: &Command) -> Option<[Vec<String>; 2]> {
    let received = clients.each_mut().map(|client| client.receive(REPLY_WAIT));
    let same_bytes = clients[0].last_bytes() == clients[1].last_bytes();
    match &received {
        [Received::Value(_), Received::Value(_)] if same_bytes => return None,
        [Received::Value(a), Received::Value(b)] if alike(command, a, b) => return None,
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

fn name(command: &Command) -> String {
    String::from_utf8_lossy(&command[0]).to_uppercase()
}

/// Whether two replies to a command mean the same although their bytes differ.
fn alike(command: &Command, a: &Value, b: &Value) -> bool {
    let tolerance = match name(command).as_str() {
        // A cursor that nobody gave lies somewhere else in each server.
        "HSCAN" if command.get(2).is_some_and(|cursor| cursor != b"0") => {
            return matches!((a, b), (Value::Array(_), Value::Array(_)));
        }
        // Valkey takes a key of that name for the word that fields stand behind.
        "HGETEX" if command.get(1).is_some_and(|key| key.eq_ignore_ascii_case(b"FIELDS")) => {
            return true;
        }
        // Chance decides.
        "HRANDFIELD" => {
            return match (a, b) {
                (Value::Array(a), Value::Array(b)) => a.len() == b.len(),
                (Value::Bulk(_), Value::Bulk(_)) => true,
                _ => false,
            };
        }
        "SCAN" if command.get(1).is_some_and(|cursor| cursor != b"0") => {
            return matches!((a, b), (Value::Array(_), Value::Array(_)));
        }
        // Which part comes first is each server's affair.
        "ZSCAN"
            if command.get(2..5).is_none_or(|words| words != [&b"0"[..], b"COUNT", b"1000"]) =>
        {
            return matches!((a, b), (Value::Array(_), Value::Array(_)));
        }
        "ZRANDMEMBER" => match (a, b) {
            (Value::Bulk(_), Value::Bulk(_)) => return true,
            (Value::Array(a), Value::Array(b)) => return a.len() == b.len(),
            _ => return false,
        },
        "SSCAN" if command.get(2).is_some_and(|cursor| cursor != b"0") => {
            return matches!((a, b), (Value::Array(_), Value::Array(_)));
        }
        // Spoiled, it asks for members by chance.
        "SRANDMEMBER" if matches!((a, b), (Value::Bulk(_), Value::Bulk(_))) => return true,
        "SRANDMEMBER" if matches!(command.get(2), Some(count) if count == b"-1") => {
            return matches!((a, b), (Value::Array(_), Value::Array(_)));
        }
        "SMEMBERS" | "SRANDMEMBER" | "SSCAN" | "SINTER" | "SUNION" | "SDIFF" => {
            return show::sorted(a.clone()) == show::sorted(b.clone());
        }
        // How a string is kept is every server's own affair; how a collection is kept is not.
        "OBJECT" => {
            let of_string = |value: &Value| {
                let names = [&b"int"[..], b"embstr", b"raw"];
                matches!(value, Value::Bulk(name) if names.contains(&name.as_slice()))
            };
            return of_string(a) && of_string(b);
        }
        "KEYS" | "SCAN" | "HGETALL" | "HKEYS" | "HVALS" | "HSCAN" | "ZSCAN" => {
            return show::sorted(a.clone()) == show::sorted(b.clone());
        }
        "TTL" | "EXPIRETIME" | "HTTL" | "HEXPIRETIME" => 30,
        "PTTL" | "PEXPIRETIME" | "HPTTL" | "HPEXPIRETIME" => 30_000,
        _ => return false,
    };
    close(a, b, tolerance)
}

/// Whether two times, or lists of times, are the same but for a tolerance.
fn close(a: &Value, b: &Value, tolerance: u64) -> bool {
    match (a, b) {
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| close(a, b, tolerance))
        }
        (Value::Integer(a), Value::Integer(b)) if a == b => true,
        (Value::Integer(a), Value::Integer(b)) => *a > 0 && *b > 0 && a.abs_diff(*b) <= tolerance,
        _ => false,
    }
}
