//! The simulation of near-caches: sessions that track keep what they have read, and none is stale.
//!
//! Players read and keep the replies, each under the database and the words of the request, as a
//! client with a cache of its own does; an invalidation makes them forget. They track in every
//! way that the protocol knows: by default, with OPTIN and OPTOUT, by prefixes (BCAST), without
//! hearing of their own changes (NOLOOP), and through another connection (REDIRECT). Writers,
//! scripts, transactions, pushes to those who wait, deadlines of keys and of fields, eviction,
//! FLUSHDB and FLUSHALL change the keys, a small tracking table drives keys out.
//!
//! What must hold after every step, when everybody has read what was sent to him: whatever a
//! player keeps is what the same request would be answered now. That is both promises in one:
//! nothing changes unheard for somebody who has read it, and what is read behind an invalidation
//! is fresh. SWAPDB is not played: as in Valkey it is no change of a key.
//!
//! Rules: as in [`super`]. A player that leaves its own changes out forgets what it changes itself.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use fastrand::Rng;

use crate::target::in_process::InProcess;
use crate::target::{Client, Protocol, Received, Server, Target, Value, encode};

const PLAYERS: usize = 8;
const STRINGS: [&str; 5] = ["s0", "s1", "s2", "t0", "t1"];
const HASHES: [&str; 2] = ["h0", "h1"];
const LISTS: [&str; 2] = ["l0", "l1"];

/// What was played, so that a test can see that it was something.
#[derive(Debug, Default, Clone, Copy)]
pub struct Played {
    /// Replies that were kept when a step was checked.
    pub compared: u64,
    /// Keys that players were told of.
    pub told: u64,
    /// Messages that everything is void.
    pub flushed: u64,
    /// Keys that expired.
    pub expired: u64,
    /// Keys that were evicted.
    pub evicted: u64,
}

/// What a reply tells its player.
enum Class {
    /// Nothing.
    Plain,
    /// What the request, on this key, is answered; kept if the player may.
    Read(String),
    /// It changes these keys.
    Write(Vec<String>),
    /// The replies of a transaction.
    Exec(Vec<Request>),
}

struct Request {
    words: Vec<String>,
    class: Class,
    /// Tracked, so that its reply may be kept.
    kept: bool,
}

impl Request {
    fn new(line: &str, class: Class) -> Self {
        Self { words: line.split(' ').map(str::to_owned).collect(), class, kept: true }
    }

    fn plain(line: &str) -> Self {
        Self::new(line, Class::Plain)
    }
}

/// How a player tracks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Default,
    OptIn,
    OptOut,
    /// Keys that begin with `s`, and with `h`.
    Prefixes,
}

struct Player {
    client: Box<dyn Client>,
    /// Where its invalidations go, if not to itself.
    listener: Option<Box<dyn Client>>,
    id: i64,
    database: usize,
    way: Way,
    no_loop: bool,
    sent: VecDeque<Request>,
    /// Replies by database and request; the key is the request's second word.
    cache: BTreeMap<(usize, Vec<String>), Value>,
}

struct World {
    server: Box<dyn Server>,
    control: Box<dyn Client>,
    players: Vec<Player>,
    rng: Rng,
    values: u64,
    step: u64,
    log: VecDeque<String>,
    played: Played,
}

/// Plays so many steps of a seed.
///
/// # Errors
/// Who holds something stale, and the last steps before it.
pub fn run(seed: u64, steps: u64) -> Result<Played, String> {
    let mut server = InProcess::new(Protocol::Resp3).open(&[])?;
    let control = server.connect()?;
    let mut world = World {
        server,
        control,
        players: Vec::new(),
        rng: Rng::with_seed(seed),
        values: 0,
        step: 0,
        log: VecDeque::new(),
        played: Played::default(),
    };
    let outcome = (0..steps).try_for_each(|_| world.step()).and_then(|()| world.end());
    outcome.map(|()| world.played).map_err(|what| {
        let log: Vec<_> = world.log.into_iter().collect();
        format!("seed {seed}, step {}: {what}\n{}", world.step, log.join("\n"))
    })
}

fn call(client: &mut dyn Client, words: &[String]) -> Value {
    let words: Vec<Vec<u8>> = words.iter().map(|word| word.as_bytes().to_vec()).collect();
    client.send(&words);
    match client.receive(Duration::ZERO) {
        Received::Value(value) => value,
        other => Value::Error(format!("{other:?}")),
    }
}

fn line(client: &mut dyn Client, line: &str) -> Value {
    call(client, &Request::plain(line).words)
}

impl World {
    fn note(&mut self, line: String) {
        self.log.push_back(format!("  {} {line}", self.step));
        if self.log.len() > 50 {
            self.log.pop_front();
        }
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.rng.usize(..from.len())]
    }

    fn step(&mut self) -> Result<(), String> {
        self.step += 1;
        if self.players.len() < PLAYERS {
            return self.join();
        }
        match self.rng.u32(..100) {
            0..80 => self.play(),
            80..92 => {
                let ms = self.rng.u64(1..40);
                self.note(format!("+{ms}ms"));
                self.server.pass(Duration::from_millis(ms));
            }
            92..97 => self.limit()?,
            _ => {
                let at = self.rng.usize(..PLAYERS);
                let player = self.players.swap_remove(at);
                self.note(format!("{} leaves", player.id));
            }
        }
        // What the last write was too much is evicted for the next request: here, not in the check.
        line(&mut *self.control, "PING");
        self.read_all()?;
        self.check()
    }

    fn join(&mut self) -> Result<(), String> {
        let mut client = self.server.connect()?;
        let Value::Integer(id) = line(&mut *client, "CLIENT ID") else {
            return Err("CLIENT ID told nothing".into());
        };
        let database = self.rng.usize(..2);
        line(&mut *client, &format!("SELECT {database}"));
        let (way, mut words) = match self.rng.u32(..4) {
            0 => (Way::Default, String::new()),
            1 => (Way::OptIn, " OPTIN".to_owned()),
            2 => (Way::OptOut, " OPTOUT".to_owned()),
            _ => (Way::Prefixes, " BCAST PREFIX s PREFIX h".to_owned()),
        };
        let no_loop = self.rng.u32(..3) == 0;
        words += if no_loop { " NOLOOP" } else { "" };
        let mut listener = None;
        if self.rng.u32(..3) == 0 {
            let mut other = self.server.connect()?;
            if self.rng.bool() {
                line(&mut *other, "HELLO 2");
                line(&mut *other, "SUBSCRIBE __redis__:invalidate");
                return self.enter(client, other, (id, database, way, no_loop), &words);
            }
            let Value::Integer(to) = line(&mut *other, "CLIENT ID") else {
                return Err("CLIENT ID told nothing".into());
            };
            words += &format!(" REDIRECT {to}");
            listener = Some(other);
        }
        self.begin(client, listener, (id, database, way, no_loop), &words)
    }

    /// A player whose invalidations go to a subscriber under RESP2.
    fn enter(
        &mut self,
        client: Box<dyn Client>,
        listener: Box<dyn Client>,
        about: (i64, usize, Way, bool),
        words: &str,
    ) -> Result<(), String> {
        // A subscriber may not ask for its number, but it came right behind the player.
        let words = format!("{words} REDIRECT {}", about.0 + 1);
        self.begin(client, Some(listener), about, &words)
    }

    fn begin(
        &mut self,
        mut client: Box<dyn Client>,
        listener: Option<Box<dyn Client>>,
        (id, database, way, no_loop): (i64, usize, Way, bool),
        words: &str,
    ) -> Result<(), String> {
        let reply = line(&mut *client, &format!("CLIENT TRACKING ON{words}"));
        self.note(format!("{id} in {database} tracks{words}"));
        if reply != Value::Simple("OK".into()) {
            return Err(format!("CLIENT TRACKING ON{words} answered {reply:?}"));
        }
        let (sent, cache) = (VecDeque::new(), BTreeMap::new());
        let player = Player { client, listener, id, database, way, no_loop, sent, cache };
        self.players.push(player);
        Ok(())
    }

    /// Limits that drive keys or trackers out come and go.
    fn limit(&mut self) -> Result<(), String> {
        let word = self.pick(&[
            "maxentries 4",
            "maxentries 0",
            "tracking-table-max-keys 3",
            "tracking-table-max-keys 0",
            "maxmemory-policy allkeys-random",
            "maxmemory-policy allkeys-lru",
            "maxmemory 1",
            "maxmemory 0",
            "maxmemory 0",
        ]);
        self.note(word.to_owned());
        match line(&mut *self.control, &format!("CONFIG SET {word}")) {
            Value::Simple(_) => Ok(()),
            other => Err(format!("CONFIG SET {word} answered {other:?}")),
        }
    }

    /// A player that does not wait sends a few requests at once.
    fn play(&mut self) {
        let at = self.rng.usize(..PLAYERS);
        let mut player = self.players.swap_remove(at);
        if player.sent.is_empty() {
            let mut bytes = Vec::new();
            for _ in 0..self.rng.usize(1..4) {
                for request in self.requests(player.way) {
                    self.note(format!("{}: {}", player.id, request.words.join(" ")));
                    bytes.extend(encode(&request.words));
                    player.sent.push_back(request);
                }
            }
            player.client.send_raw(&bytes);
        }
        self.players.push(player);
    }

    /// One request, with what has to go before and behind it.
    fn requests(&mut self, way: Way) -> Vec<Request> {
        let opts = self.rng.u32(..3) > 0;
        let kept = match way {
            Way::Default | Way::Prefixes => true,
            Way::OptIn => opts,
            Way::OptOut => !opts,
        };
        let mut all = match (way, opts) {
            (Way::OptIn, true) => vec![Request::plain("CLIENT CACHING YES")],
            (Way::OptOut, true) => vec![Request::plain("CLIENT CACHING NO")],
            _ => Vec::new(),
        };
        if self.rng.u32(..6) > 0 {
            let request = if self.rng.u32(..5) < 3 { self.read() } else { self.write() };
            all.push(Request { kept, ..request });
            return all;
        }
        let count = self.rng.usize(1..5);
        let body = |world: &mut Self| if world.rng.bool() { world.read() } else { world.write() };
        let queued: Vec<Request> = (0..count).map(|_| Request { kept, ..body(self) }).collect();
        all.push(Request::plain("MULTI"));
        for request in &queued {
            all.push(Request { words: request.words.clone(), ..Request::plain("") });
        }
        all.push(Request::new("EXEC", Class::Exec(queued)));
        all
    }

    fn read(&mut self) -> Request {
        let (line, key) = match self.rng.u32(..8) {
            0..4 => ("GET", self.pick(&STRINGS)),
            4 => ("STRLEN", self.pick(&STRINGS)),
            5 | 6 => ("HGETALL", self.pick(&HASHES)),
            _ => ("LLEN", self.pick(&LISTS)),
        };
        Request::new(&format!("{line} {key}"), Class::Read(key.to_owned()))
    }

    fn write(&mut self) -> Request {
        self.values += 1;
        let value = self.values;
        let (a, b) = (self.pick(&STRINGS), self.pick(&STRINGS));
        let (h, l, m) = (self.pick(&HASHES), self.pick(&LISTS), self.pick(&LISTS));
        let field = self.rng.u32(..3);
        let ms = self.rng.u32(1..60);
        let (line, keys) = match self.rng.u32(..24) {
            0..4 => (format!("SET {a} {value}"), vec![a]),
            4 | 5 => (format!("SET {a} {value} PX {ms}"), vec![a]),
            6 => (format!("PEXPIRE {a} {ms}"), vec![a]),
            7 => (format!("PEXPIRE {a} -1"), vec![a]),
            8 => (format!("APPEND {a} x"), vec![a]),
            9 => (format!("DEL {a} {b}"), vec![a, b]),
            10 => (format!("GETDEL {a}"), vec![a]),
            11 => (format!("RENAME {a} {b}"), vec![a, b]),
            12 => (format!("COPY {a} {b} DB 1 REPLACE"), vec![a, b]),
            13 => (format!("MOVE {a} 1"), vec![a]),
            14 => (format!("MSET {a} {value} {b} {value}"), vec![a, b]),
            15 => (format!("HSET {h} f{field} {value}"), vec![h]),
            16 => (format!("HDEL {h} f{field}"), vec![h]),
            17 => (format!("HPEXPIRE {h} {ms} FIELDS 1 f{field}"), vec![h]),
            18 => (format!("RPUSH {l} {value}"), vec![l]),
            19 => (format!("BLPOP {l} {m} 0.0{ms:02}"), vec![l, m]),
            20 => (format!("BLMOVE {l} {m} LEFT RIGHT 0.0{ms:02}"), vec![l, m]),
            21 => return self.script(a, b),
            22 => (self.pick(&["FLUSHALL", "FLUSHDB"]).to_owned(), Vec::new()),
            _ => (format!("SORT {l} STORE {m}"), vec![l, m]),
        };
        let keys = keys.into_iter().map(str::to_owned).collect();
        Request::new(&line, Class::Write(keys))
    }

    /// A script that reads and changes; its words hold spaces.
    fn script(&mut self, a: &str, b: &str) -> Request {
        let text = self.pick(&[
            "return redis.call('set', KEYS[1], ARGV[1])",
            "redis.call('get', KEYS[2]) redis.call('append', KEYS[1], 'y')",
            "redis.call('set', KEYS[1], ARGV[1], 'px', 20) redis.call('del', KEYS[2])",
            "redis.call('del', KEYS[1]) return redis.call('get', KEYS[1])",
        ]);
        let value = self.values.to_string();
        let words = ["EVAL", text, "2", a, b, &value].map(str::to_owned).to_vec();
        Request { words, ..Request::new("", Class::Write(vec![a.to_owned(), b.to_owned()])) }
    }

    fn read_all(&mut self) -> Result<(), String> {
        for at in 0..self.players.len() {
            let mut player = self.players.swap_remove(at);
            let read = self.hear(&mut player);
            self.players.push(player);
            let last = self.players.len() - 1;
            self.players.swap(at, last);
            read?;
        }
        Ok(())
    }

    /// A player reads all that was sent to it and to its listener.
    fn hear(&mut self, player: &mut Player) -> Result<(), String> {
        while let Received::Value(value) = player.client.receive(Duration::ZERO) {
            if let Value::Push(parts) = &value {
                self.void(player, parts)?;
                continue;
            }
            let Request { words, class, kept } = player.sent.pop_front().ok_or("no request")?;
            self.note(format!("{}: {} -> {value:?}", player.id, words.join(" ")));
            player.settle((words, class, kept), value);
        }
        let Some(mut listener) = player.listener.take() else { return Ok(()) };
        while let Received::Value(value) = listener.receive(Duration::ZERO) {
            match &value {
                Value::Push(parts) => self.void(player, parts)?,
                // Under RESP2 it is a message of a channel.
                Value::Array(parts) => self.void(player, &parts[1..])?,
                other => return Err(format!("the listener got {other:?}")),
            }
        }
        player.listener = Some(listener);
        Ok(())
    }

    /// A player is told what is void.
    fn void(&mut self, player: &mut Player, parts: &[Value]) -> Result<(), String> {
        self.note(format!("{} is told {:?}", player.id, parts.last()));
        match parts.last() {
            Some(Value::Null) => {
                self.played.flushed += 1;
                player.cache.clear();
            }
            Some(Value::Array(keys)) => {
                for key in super::world::tokens(&Value::Array(keys.clone())) {
                    self.played.told += 1;
                    player.forget(&key);
                }
            }
            other => return Err(format!("{} was told {other:?}", player.id)),
        }
        Ok(())
    }

    /// Everything that is kept is what the keyspace would answer.
    fn check(&mut self) -> Result<(), String> {
        let mut fresh = BTreeMap::new();
        for player in &self.players {
            for (database, words) in player.cache.keys() {
                fresh.entry((*database, words.clone())).or_insert(Value::Null);
            }
        }
        for ((database, words), value) in &mut fresh {
            line(&mut *self.control, &format!("SELECT {database}"));
            *value = call(&mut *self.control, words);
        }
        for player in &self.players {
            for (place, kept) in &player.cache {
                self.played.compared += 1;
                if &fresh[place] != kept {
                    let (id, now) = (player.id, &fresh[place]);
                    return Err(format!("{id} keeps {place:?} as {kept:?}; it is {now:?}"));
                }
            }
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), String> {
        self.players.clear();
        let stats = super::world::tokens(&line(&mut *self.control, "INFO stats")).join("");
        let number = |name: &str| {
            let line = stats.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|text| text.strip_prefix(':')?.trim().parse::<u64>().ok())
        };
        self.played.expired = number("expired_keys").ok_or("no expired_keys")?;
        self.played.evicted = number("evicted_keys").ok_or("no evicted_keys")?;
        // Nobody is left, so no session tracks.
        match number("tracking_clients").or(Some(0)) {
            Some(0) => Ok(()),
            other => Err(format!("{other:?} sessions track at the end")),
        }
    }
}

impl Player {
    fn forget(&mut self, key: &str) {
        self.cache.retain(|(_, words), _| words[1] != key);
    }

    /// What a reply means for the cache.
    fn settle(&mut self, (words, class, kept): (Vec<String>, Class, bool), value: Value) {
        match class {
            Class::Plain => {}
            Class::Read(key) => {
                let asked = self.way != Way::Prefixes || key.starts_with(['s', 'h']);
                if kept && asked && !matches!(value, Value::Error(_)) {
                    self.cache.insert((self.database, words), value);
                }
            }
            Class::Write(keys) if self.no_loop => keys.iter().for_each(|key| self.forget(key)),
            Class::Write(_) => {}
            Class::Exec(queued) => {
                let Value::Array(replies) = value else { return };
                for (request, reply) in queued.into_iter().zip(replies) {
                    self.settle((request.words, request.class, request.kept), reply);
                }
            }
        }
    }
}
