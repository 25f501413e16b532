//! Two servers, the same commands, the same events.
//!
//! As `differential`, but what is compared is what a subscriber to all keyspace notifications
//! hears: which events, of which keys, in which order. The commands of a sequence are the random
//! ones, alone and in bursts; a command of the subscriber's own ends each burst, so that it is
//! known when all events have come.
//!
//! Rules: only the channels of keys are listened to, because those of names say the same again;
//! what the servers do by themselves at a time of their own (an expired key that is found) is not
//! in the sequences, which have no deadlines near the present.
//!
//! `tests/tests/events.rs` calls this.

use std::time::Duration;

use crate::random::Generator;
use crate::target::{Client, Received, Server, Target, Value, encode};
use crate::transcript::quote;

const REPLY_WAIT: Duration = Duration::from_secs(10);

/// How many commands are sent at once, in turn; single ones tell most when they differ.
const BURSTS: [usize; 12] = [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 3, 24];

type Command = Vec<Vec<u8>>;

/// One server with a client that sends and one that listens.
struct Side {
    _server: Box<dyn Server>,
    sender: Box<dyn Client>,
    listener: Box<dyn Client>,
}

impl Side {
    fn open(target: &dyn Target, events: &str) -> Result<Self, String> {
        let mut server = target.open(&[])?;
        let (mut sender, mut listener) = (server.connect()?, server.connect()?);
        for command in [&["CONFIG", "SET", "notify-keyspace-events", events][..], &["FLUSHALL"]] {
            sender.send(&words(command));
            match sender.receive(REPLY_WAIT) {
                Received::Value(Value::Simple(ok)) if ok == "OK" => {}
                other => return Err(format!("{command:?} got {other:?}")),
            }
        }
        listener.send(&words(&["PSUBSCRIBE", "__keyspace@*"]));
        listener.receive(REPLY_WAIT);
        Ok(Self { _server: server, sender, listener })
    }

    /// The events of a burst.
    fn events(&mut self, burst: &[Command]) -> Vec<String> {
        let bytes: Vec<u8> = burst.iter().flat_map(|command| encode(command)).collect();
        self.sender.send_raw(&bytes);
        burst.iter().for_each(|_| drop(self.sender.receive(REPLY_WAIT)));
        self.listener.send(&words(&["PING", "end"]));
        let mut events = Vec::new();
        loop {
            match self.listener.receive(REPLY_WAIT) {
                Received::Value(Value::Array(parts) | Value::Push(parts)) if parts.len() == 4 => {
                    events.push(format!("{} {}", text(&parts[2]), text(&parts[3])));
                }
                _ => return events,
            }
        }
    }
}

fn words(words: &[&str]) -> Command {
    words.iter().map(|word| word.as_bytes().to_vec()).collect()
}

fn text(value: &Value) -> String {
    match value {
        Value::Bulk(bytes) => quote::typed(bytes),
        other => format!("{other:?}"),
    }
}

/// Compares the events of `count` commands made from `seed`; `skipped` are left out.
///
/// # Errors
/// The commands after which they differed, with both streams.
pub fn compare(
    [oracle, tested]: [&dyn Target; 2],
    events: &str,
    (seed, count): (u64, usize),
    skipped: &[&str],
) -> Result<(), String> {
    let mut sides = [Side::open(oracle, events)?, Side::open(tested, events)?];
    let mut generator = Generator::new(seed);
    let mut commands: Vec<Command> = (0..count).map(|_| generator.command()).collect();
    commands.retain(|words| !skipped.contains(&&*name(words)));
    let mut reports = Vec::new();
    let mut rest = &commands[..];
    for len in BURSTS.iter().cycle() {
        let (burst, later) = rest.split_at((*len).min(rest.len()));
        rest = later;
        if burst.is_empty() {
            break;
        }
        let [right, wrong] = sides.each_mut().map(|side| side.events(burst));
        if right != wrong {
            reports.push(report(burst, &right, &wrong));
        }
    }
    if reports.is_empty() {
        return Ok(());
    }
    let shown = reports.len().min(40);
    Err(format!("seed {seed}: {} differ\n{}", reports.len(), reports[..shown].join("\n")))
}

fn report(burst: &[Command], right: &[String], wrong: &[String]) -> String {
    let typed = |command: &Command| {
        let words: Vec<String> = command.iter().map(|word| quote::typed(word)).collect();
        format!("> {}\n", words.join(" "))
    };
    let commands: String = burst.iter().map(typed).collect();
    format!("{commands}  - {right:?}\n  + {wrong:?}")
}

fn name(command: &Command) -> String {
    String::from_utf8_lossy(&command[0]).to_uppercase()
}
