//! The simulation under a virtual clock: one step after the other, everything checked after each.
//!
//! Players send requests, singly and in pipelines; a control connection kills, unblocks, pauses
//! and reads. Time passes between steps, a few milliseconds at once. What must hold after every
//! step:
//!
//! * the tokens in the keyspace are exactly those pushed and not received;
//! * nobody waits while one of its keys holds what it waits for;
//! * nobody who waits for one key is served before one who has waited longer for it;
//! * inside EXEC a pushed element is still there for the next command;
//! * a group's entry is delivered once.
//!
//! And at the end: every counted EXEC is in the counter, and no key, client or flag is left in
//! the tables of interest.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use super::actions::{Class, LISTS, Maker, Request, SORTED_SETS, STREAM, Type};
use crate::target::in_process::InProcess;
use crate::target::{Client, Protocol, Received, Server, Target, Value, encode};

const PLAYERS: usize = 12;

struct Sent {
    request: Request,
    /// When it was sent, unless it may have been held back at first.
    since: Option<u64>,
}

struct Player {
    client: Box<dyn Client>,
    id: i64,
    database: usize,
    sent: VecDeque<Sent>,
    /// The counter's value that it has read under WATCH.
    read: Option<i64>,
}

impl Player {
    fn waits(&self) -> Option<(&Sent, Type, &[String])> {
        let sent = self.sent.front()?;
        let (kind, keys) = sent.request.waits.as_ref()?;
        Some((sent, *kind, keys))
    }
}

struct World {
    server: Box<dyn Server>,
    control: Box<dyn Client>,
    players: Vec<Player>,
    maker: Maker,
    /// Tokens that were pushed, and those of them that somebody received.
    pushed: BTreeSet<String>,
    received: BTreeSet<String>,
    delivered: BTreeSet<String>,
    counted: i64,
    step: u64,
    now_ms: u64,
    paused_until_ms: u64,
    /// Who was served in this step: database, type, key, since when it had waited.
    served: Vec<(usize, Type, String, u64)>,
    log: VecDeque<String>,
}

/// Plays so many steps of a seed.
///
/// # Errors
/// What did not hold, and the last steps before it.
pub fn run(seed: u64, steps: u64) -> Result<(), String> {
    let mut server = InProcess::new(Protocol::Resp2).open(&[])?;
    let control = server.connect()?;
    let mut world = World {
        server,
        control,
        players: Vec::new(),
        maker: Maker::new(seed),
        pushed: BTreeSet::new(),
        received: BTreeSet::new(),
        delivered: BTreeSet::new(),
        counted: 0,
        step: 0,
        now_ms: 0,
        paused_until_ms: 0,
        served: Vec::new(),
        log: VecDeque::new(),
    };
    let outcome = (0..steps).try_for_each(|_| world.step()).and_then(|()| world.end());
    outcome.map_err(|what| {
        let log: Vec<_> = world.log.into_iter().collect();
        format!("seed {seed}, step {}: {what}\n{}", world.step, log.join("\n"))
    })
}

impl World {
    fn ask(&mut self, line: &str) -> Value {
        let words: Vec<Vec<u8>> = line.split(' ').map(|word| word.as_bytes().to_vec()).collect();
        self.control.send(&words);
        match self.control.receive(Duration::ZERO) {
            Received::Value(value) => value,
            other => Value::Error(format!("{line}: {other:?}")),
        }
    }

    fn note(&mut self, line: String) {
        self.log.push_back(format!("  {} {line}", self.step));
        if self.log.len() > 60 {
            self.log.pop_front();
        }
    }

    fn step(&mut self) -> Result<(), String> {
        self.step += 1;
        self.served.clear();
        if self.players.len() < PLAYERS {
            return self.join();
        }
        match self.maker.rng.u32(..100) {
            0..70 => self.play()?,
            70..85 => {
                let ms = self.maker.rng.u64(1..25);
                self.note(format!("+{ms}ms"));
                self.now_ms += ms;
                self.server.pass(Duration::from_millis(ms));
            }
            85..97 => self.disturb()?,
            _ => self.count()?,
        }
        self.read_all()?;
        self.check()
    }

    fn join(&mut self) -> Result<(), String> {
        let mut client = self.server.connect()?;
        let database = self.maker.rng.usize(..2);
        client.send(&[b"CLIENT".to_vec(), b"ID".to_vec()]);
        let Received::Value(Value::Integer(id)) = client.receive(Duration::ZERO) else {
            return Err("CLIENT ID told nothing".into());
        };
        let mut player = Player { client, id, database, sent: VecDeque::new(), read: None };
        let select = Request::new(&format!("SELECT {database}"), Class::Plain);
        self.send(&mut player, vec![select]);
        self.players.push(player);
        Ok(())
    }

    fn send(&mut self, player: &mut Player, requests: Vec<Request>) {
        let mut bytes = Vec::new();
        for request in requests {
            self.note(format!("{}: {}", player.id, request.words.join(" ")));
            bytes.extend(encode(&request.words));
            let since = (self.now_ms >= self.paused_until_ms).then_some(self.step);
            player.sent.push_back(Sent { request, since });
        }
        player.client.send_raw(&bytes);
    }

    /// A player that is not busy sends something.
    fn play(&mut self) -> Result<(), String> {
        let at = self.maker.rng.usize(..self.players.len());
        let mut player = self.players.swap_remove(at);
        if player.sent.is_empty() {
            let mut requests = Vec::new();
            if self.maker.rng.u32(..3) > 0 {
                requests.extend(self.maker.brief());
            }
            if requests.is_empty() || self.maker.rng.u32(..4) == 0 {
                requests.push(self.maker.wait());
            }
            self.send(&mut player, requests);
        } else if self.maker.rng.u32(..3) == 0 {
            // What it sends while it waits is executed later.
            let push = self.maker.push();
            self.send(&mut player, vec![push]);
        }
        self.players.push(player);
        Ok(())
    }

    /// Something happens to a player from outside.
    fn disturb(&mut self) -> Result<(), String> {
        let at = self.maker.rng.usize(..self.players.len());
        let id = self.players[at].id;
        match self.maker.rng.u32(..8) {
            0 => {
                self.note(format!("{id} hangs up"));
                self.read(at)?;
                let mut player = self.players.swap_remove(at);
                player.client.send_raw(b"*2\r\n$5\r\nRPU");
                self.forget(player)?;
            }
            1 => {
                self.note(format!("{id} is killed"));
                self.ask(&format!("CLIENT KILL ID {id}"));
                let player = self.players.swap_remove(at);
                self.forget(player)?;
            }
            2 if self.now_ms >= self.paused_until_ms => {
                self.note("pause".into());
                self.ask("CLIENT PAUSE 20 WRITE");
                self.paused_until_ms = self.now_ms + 20;
            }
            4 if self.now_ms >= self.paused_until_ms => {
                self.note("FLUSHALL".into());
                self.read_all()?;
                self.ask("FLUSHALL");
                self.pushed.clear();
                self.received.clear();
                self.counted = 0;
            }
            3 => {
                self.note("unpause".into());
                self.ask("CLIENT UNPAUSE");
                self.paused_until_ms = 0;
            }
            _ => {
                let how = self.maker.pick(&["", " TIMEOUT", " ERROR"]);
                self.note(format!("{id} is unblocked{how}"));
                let waits = self.players[at].waits().is_some() && self.paused_until_ms == 0;
                let reply = self.ask(&format!("CLIENT UNBLOCK {id}{how}"));
                if waits && reply != Value::Integer(1) {
                    return Err(format!("{id} waits and is not unblocked: {reply:?}"));
                }
            }
        }
        Ok(())
    }

    /// A player is gone; what it had received counts, what it had not sent to the end does not.
    fn forget(&mut self, player: Player) -> Result<(), String> {
        self.players.push(player);
        self.read(self.players.len() - 1)?;
        self.players.pop();
        Ok(())
    }

    /// Adds one to a counter under WATCH, in two steps.
    fn count(&mut self) -> Result<(), String> {
        let at = self.maker.rng.usize(..self.players.len());
        let mut player = self.players.swap_remove(at);
        if player.sent.is_empty() {
            let requests = match player.read.take() {
                None => vec![
                    Request::new("WATCH counter", Class::Plain),
                    Request::new("GET counter", Class::Read),
                ],
                Some(n) => vec![
                    Request::new("MULTI", Class::Plain),
                    Request::new(&format!("SET counter {}", n + 1), Class::Plain),
                    Request::new("EXEC", Class::Count),
                ],
            };
            self.send(&mut player, requests);
        }
        self.players.push(player);
        Ok(())
    }

    fn read_all(&mut self) -> Result<(), String> {
        (0..self.players.len()).try_for_each(|at| self.read(at))
    }

    fn read(&mut self, at: usize) -> Result<(), String> {
        while let Received::Value(value) = self.players[at].client.receive(Duration::ZERO) {
            let player = &mut self.players[at];
            let sent = player.sent.pop_front().ok_or("a reply to nothing")?;
            let (id, database) = (player.id, player.database);
            if sent.request.class == Class::Read {
                let n = tokens(&value).first().and_then(|text| text.parse().ok());
                player.read = Some(n.unwrap_or(0));
            }
            if matches!(sent.request.class, Class::Exec(_)) {
                // EXEC has forgotten what was watched.
                player.read = None;
            }
            self.note(format!("{id}: {} -> {value:?}", sent.request.words.join(" ")));
            self.settle(&sent, &value, database)?;
        }
        Ok(())
    }

    /// What a reply means for the ledger.
    fn settle(&mut self, sent: &Sent, value: &Value, database: usize) -> Result<(), String> {
        let texts = tokens(value);
        match &sent.request.class {
            Class::Push(token) => self.push(token, value),
            Class::Pop => {
                for token in texts.iter().filter(|text| text.starts_with('t')) {
                    if !self.received.insert(token.clone()) {
                        return Err(format!("{token} was received a second time"));
                    }
                }
            }
            Class::Deliver => {
                for token in texts.into_iter().filter(|text| text.starts_with('t')) {
                    if !self.delivered.insert(token.clone()) {
                        return Err(format!("{token} was delivered a second time"));
                    }
                }
                return Ok(());
            }
            Class::Exec(pushed) => {
                let Value::Array(replies) = value else { return Ok(()) };
                for (token, pair) in pushed.iter().zip(replies.chunks(2)) {
                    self.push(token, &pair[0]);
                    if pair[0] != pair[1] && matches!(pair[0], Value::Integer(_)) {
                        return Err(format!("{token} was taken out of a transaction"));
                    }
                }
            }
            Class::Count => self.counted += i64::from(matches!(value, Value::Array(_))),
            Class::Plain | Class::Move | Class::Read => {}
        }
        if let (Some((kind, keys)), Some(since)) = (&sent.request.waits, sent.since) {
            // Who waits for several keys may be reached by another of them first.
            let lone = keys.iter().all(|key| *key == keys[0]);
            let taken = !matches!(value, Value::Null | Value::NullArray | Value::Error(_));
            if lone && taken {
                self.served.push((database, *kind, keys[0].clone(), since));
            }
        }
        Ok(())
    }

    fn push(&mut self, token: &str, value: &Value) {
        if matches!(value, Value::Integer(_)) {
            self.pushed.insert(token.to_owned());
        }
    }

    /// Counts the tokens in the keyspace, and looks at those who wait.
    fn check(&mut self) -> Result<(), String> {
        let mut found = BTreeSet::new();
        let mut types = Vec::new();
        for database in 0..2 {
            self.ask(&format!("SELECT {database}"));
            for key in LISTS.iter().chain(&SORTED_SETS).chain(&[STREAM]) {
                let Value::Simple(kind) = self.ask(&format!("TYPE {key}")) else { continue };
                let read = match kind.as_str() {
                    "list" => format!("LRANGE {key} 0 -1"),
                    "zset" => format!("ZRANGE {key} 0 -1"),
                    _ => String::new(),
                };
                types.push((database, (*key).to_owned(), kind));
                if read.is_empty() {
                    continue;
                }
                for token in tokens(&self.ask(&read)) {
                    if self.received.contains(&token) || !found.insert(token.clone()) {
                        return Err(format!("{token} is in two places"));
                    }
                }
            }
        }
        // Tokens of a push whose reply is still to come are there without having been counted.
        let unanswered = |token: &String| {
            let requests = self.players.iter().flat_map(|player| &player.sent);
            let mut classes = requests.map(|sent| &sent.request.class);
            classes.any(|class| matches!(class, Class::Push(held) if held == token))
        };
        found.extend(self.received.iter().cloned());
        let odd = found.symmetric_difference(&self.pushed);
        if let Some(token) = odd.into_iter().find(|token| !unanswered(token)) {
            let what = if found.contains(token) { "came from nowhere" } else { "was lost" };
            return Err(format!("{token} {what}"));
        }
        if self.now_ms < self.paused_until_ms {
            return Ok(());
        }
        self.check_waiters(&types)
    }

    fn check_waiters(&self, types: &[(usize, String, String)]) -> Result<(), String> {
        for player in &self.players {
            let Some((sent, kind, keys)) = player.waits() else { continue };
            for (database, key, found) in types {
                let own = *database == player.database && keys.contains(key);
                if own && found == kind.name() && kind != Type::Stream {
                    return Err(format!("{} waits although there is {key}", player.id));
                }
                let earlier = self.served.iter().any(|(served_in, of, from, since)| {
                    let same = (*served_in, *of, from) == (player.database, kind, key);
                    same && own && sent.since.is_some_and(|own| own < *since)
                });
                if earlier {
                    return Err(format!("{} waited longer for {key} and got nothing", player.id));
                }
            }
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), String> {
        self.server.pass(Duration::from_millis(30));
        self.read_all()?;
        let counters: i64 = (0..2)
            .map(|database| {
                self.ask(&format!("SELECT {database}"));
                let texts = tokens(&self.ask("GET counter"));
                texts.first().and_then(|text| text.parse::<i64>().ok()).unwrap_or(0)
            })
            .sum();
        if counters != self.counted {
            return Err(format!("{} EXECs counted to {counters}", self.counted));
        }
        self.players.clear();
        let info = tokens(&self.ask("INFO clients")).join("");
        for line in ["blocked_clients:0", "total_blocking_keys:0", "total_watched_keys:0"] {
            if !info.lines().any(|held| held == line) {
                return Err(format!("not {line} at the end:\n{info}"));
            }
        }
        Ok(())
    }
}

/// All strings in a reply.
pub fn tokens(value: &Value) -> Vec<String> {
    match value {
        Value::Bulk(bytes) => vec![String::from_utf8_lossy(bytes).into_owned()],
        Value::Verbatim(_, bytes) => vec![String::from_utf8_lossy(bytes).into_owned()],
        Value::Array(values) => values.iter().flat_map(tokens).collect(),
        _ => Vec::new(),
    }
}
