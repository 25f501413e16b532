//! Checkpoints from outside: random commands of all families, and what a rollback brings back.
//!
//! A client sends what [`pannier_tests::random`] makes, with whole databases flushed and swapped,
//! short deadlines, scripts, libraries and parameters in between, and sets, gives up and rolls
//! back to nested checkpoints. At each checkpoint everything is written down that a client can see
//! (DUMP, encodings, deadlines of keys and fields, consumer groups, sizes), and read again after
//! each rollback. Time goes on meanwhile: what was due by then is left out.
//!
//! Rules: seeds are fixed; `PANNIER_SEED=n` replays one, `PANNIER_SEED=random` tries another,
//! `PANNIER_COUNT=n` makes them longer. What the sums and the wheels hold afterwards is tested in
//! the store (`tests/checkpoint.rs` there).

use std::collections::BTreeMap;
use std::time::Duration;

use fastrand::Rng;
use pannier_tests::random::{Generator, KEYS};
use pannier_tests::target::in_process::InProcess;
use pannier_tests::target::{Client, Protocol, Received, Server, Target, Value};

const STEPS: usize = 6_000;
const SEEDS: std::ops::RangeInclusive<u64> = 1..=6;
const DATABASES: usize = 4;
/// Scripts and libraries that come and go.
const TEXTS: usize = 4;
/// Collections leave their packed form early.
const SMALL: &str = "--hash-max-listpack-entries 3 --set-max-intset-entries 2 \
                     --set-max-listpack-entries 3 --zset-max-listpack-entries 3 \
                     --list-max-listpack-size 3 --stream-node-max-entries 3";

/// What a client sees of a key.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    deadline: Option<u64>,
    /// Deadlines of a hash's fields.
    fields: Vec<u64>,
    replies: Vec<Value>,
}

impl Seen {
    /// Whether nothing of it is due at this time.
    fn lasts(&self, now_ms: u64) -> bool {
        self.deadline.iter().chain(&self.fields).all(|at| *at > now_ms)
    }
}

/// What a client sees of everything.
struct Digest {
    keys: BTreeMap<(usize, Vec<u8>), Seen>,
    scripts: Value,
    functions: Value,
    config: Value,
}

struct Walk {
    server: Box<dyn Server>,
    client: Box<dyn Client>,
    rng: Rng,
    generator: Generator,
    /// The active checkpoints.
    marks: Vec<(i64, Digest)>,
    scripts: Vec<Vec<u8>>,
    rollbacks: usize,
    /// Rollbacks that had something to do.
    effective: usize,
}

fn words(line: &str) -> Vec<Vec<u8>> {
    line.split(' ').map(|word| word.as_bytes().to_vec()).collect()
}

fn numbers(value: &Value) -> Vec<u64> {
    match value {
        Value::Array(values) => values.iter().flat_map(numbers).collect(),
        Value::Integer(n) => u64::try_from(*n).into_iter().collect(),
        _ => Vec::new(),
    }
}

impl Walk {
    fn new(seed: u64) -> Self {
        let mut directives = words("--test-mode yes --enable-debug-command yes");
        if seed.is_multiple_of(2) {
            directives.extend(words(&SMALL.split_whitespace().collect::<Vec<_>>().join(" ")));
        }
        let directives: Vec<String> =
            directives.into_iter().map(|word| String::from_utf8(word).expect("ASCII")).collect();
        let mut server = InProcess::new(Protocol::Resp2).open(&directives).expect("it starts");
        let client = server.connect().expect("it accepts");
        let (rng, generator) = (Rng::with_seed(seed), Generator::new(seed));
        let mut walk = Self {
            server,
            client,
            rng,
            generator,
            marks: Vec::new(),
            scripts: Vec::new(),
            rollbacks: 0,
            effective: 0,
        };
        for n in 0..TEXTS {
            match walk.call(vec![b"SCRIPT".to_vec(), b"LOAD".to_vec(), script(n)]) {
                Value::Bulk(name) => walk.scripts.push(name),
                other => panic!("{other:?}"),
            }
        }
        walk.ask("SCRIPT FLUSH");
        walk
    }

    fn call(&mut self, args: Vec<Vec<u8>>) -> Value {
        self.client.send(&args);
        match self.client.receive(Duration::ZERO) {
            Received::Value(value) => value,
            other => panic!("{args:?}: {other:?}"),
        }
    }

    fn ask(&mut self, line: &str) -> Value {
        self.call(words(line))
    }

    fn ask_key(&mut self, line: &str, key: &[u8]) -> Value {
        let mut args = words(line);
        args.push(key.to_vec());
        self.call(args)
    }

    fn now_ms(&mut self) -> u64 {
        let Value::Array(parts) = self.ask("TIME") else { panic!("no time") };
        let part = |at: usize| match &parts[at] {
            Value::Bulk(digits) => String::from_utf8_lossy(digits).parse::<u64>().expect("digits"),
            other => panic!("{other:?}"),
        };
        part(0) * 1000 + part(1) / 1000
    }

    fn digest(&mut self) -> Digest {
        // What is due goes.
        self.server.pass(Duration::ZERO);
        let mut keys = BTreeMap::new();
        for database in 0..DATABASES {
            self.ask(&format!("SELECT {database}"));
            let Value::Array(names) = self.ask("KEYS *") else { panic!("no keys") };
            assert_eq!(self.ask("DBSIZE"), Value::Integer(names.len() as i64));
            for name in names {
                let Value::Bulk(name) = name else { panic!("{name:?}") };
                let seen = self.see(&name);
                keys.insert((database, name), seen);
            }
        }
        let mut exists = words("SCRIPT EXISTS");
        exists.extend(self.scripts.clone());
        Digest {
            keys,
            scripts: self.call(exists),
            functions: self.ask("FUNCTION DUMP"),
            config: self.ask("CONFIG GET *-max-*entries"),
        }
    }

    fn see(&mut self, name: &[u8]) -> Seen {
        let deadline = numbers(&self.ask_key("PEXPIRETIME", name)).first().copied();
        let (mut fields, mut replies) = (Vec::new(), Vec::new());
        for question in ["TYPE", "DUMP", "OBJECT ENCODING", "MEMORY USAGE"] {
            replies.push(self.ask_key(question, name));
        }
        if let Value::Array(names) = self.ask_key("HKEYS", name) {
            let names = names.into_iter().map(|name| match name {
                Value::Bulk(name) => name,
                other => panic!("{other:?}"),
            });
            let names: Vec<_> = names.collect();
            let mut args = vec![b"HPEXPIRETIME".to_vec(), name.to_vec(), b"FIELDS".to_vec()];
            args.push(names.len().to_string().into_bytes());
            args.extend(names);
            fields = numbers(&self.call(args));
        }
        Seen { deadline, fields, replies }
    }

    /// Compares with what was seen at a checkpoint; true when there was something to bring back.
    fn compare(&mut self, depth: usize, with_config: bool) {
        let now_ms = {
            self.server.pass(Duration::ZERO);
            self.now_ms()
        };
        let found = self.digest();
        let then = &self.marks[depth].1;
        for (place, seen) in &then.keys {
            if seen.lasts(now_ms) {
                assert_eq!(found.keys.get(place), Some(seen), "{place:?}");
            }
        }
        for place in found.keys.keys() {
            assert!(then.keys.contains_key(place), "{place:?} was not there");
        }
        assert_eq!(found.scripts, then.scripts);
        assert_eq!(found.functions, then.functions);
        assert!(!with_config || found.config == then.config, "{:?}", found.config);
    }

    fn step(&mut self) {
        match self.rng.u32(..400) {
            0..4 if self.marks.len() < 4 => {
                let digest = self.digest();
                let Value::Integer(id) = self.ask("PANNIER CHECKPOINT") else { panic!("no id") };
                self.marks.push((id, digest));
            }
            4 if !self.marks.is_empty() => {
                let (id, _) = self.marks.remove(self.rng.usize(..self.marks.len()));
                assert_eq!(self.ask(&format!("PANNIER RELEASE {id}")), ok());
            }
            5..13 if !self.marks.is_empty() => self.roll_back(),
            13..20 => {
                let ms = self.rng.u64(..400);
                self.server.pass(Duration::from_millis(ms));
            }
            20..60 => self.other(),
            _ => {
                let command = self.generator.command();
                self.call(command);
            }
        }
        let database = self.rng.usize(..DATABASES);
        self.ask(&format!("SELECT {database}"));
    }

    fn roll_back(&mut self) {
        let depth = self.rng.usize(..self.marks.len());
        self.marks.truncate(depth + 1);
        let (id, before) = (self.marks[depth].0, self.digest());
        self.effective += usize::from(before.keys != self.marks[depth].1.keys);
        let with_config = self.rng.bool();
        let option = if with_config { " CONFIG" } else { "" };
        assert_eq!(self.ask(&format!("PANNIER ROLLBACK {id}{option}")), ok());
        self.compare(depth, with_config);
        self.rollbacks += 1;
    }

    /// What the families' generator does not make.
    fn other(&mut self) {
        let key = KEYS[self.rng.usize(..KEYS.len())].to_vec();
        let (a, b) = (self.rng.usize(..DATABASES), self.rng.usize(..DATABASES));
        let (n, ms) = (self.rng.usize(..TEXTS), self.rng.u64(1..1000));
        let with_key = |before: &str, after: String| {
            let mut args = words(before);
            args.push(key.clone());
            args.extend(words(&after));
            args
        };
        let args = match self.rng.u32(..20) {
            0 => words(&format!("SWAPDB {a} {b}")),
            1 => words("FLUSHDB"),
            2 if self.rng.u32(..4) == 0 => words("FLUSHALL"),
            3 | 4 => with_key("MOVE", a.to_string()),
            5 | 6 => with_key("COPY", format!("a DB {a} REPLACE")),
            7 | 8 => with_key("RENAME", "b".to_owned()),
            9 | 10 => with_key("PEXPIRE", ms.to_string()),
            11 | 12 => with_key("HPEXPIRE", format!("{ms} FIELDS 2 a b")),
            13 => vec![b"SCRIPT".to_vec(), b"LOAD".to_vec(), script(n)],
            14 => vec![b"EVAL".to_vec(), script(n), b"1".to_vec(), key],
            15 => words("SCRIPT FLUSH"),
            16 => vec![b"FUNCTION".to_vec(), b"LOAD".to_vec(), b"REPLACE".to_vec(), library(n)],
            17 => words(&format!("FUNCTION DELETE lib{n}")),
            18 => words(&format!("CONFIG SET hash-max-listpack-entries {}", 2 + n)),
            _ => with_key("DEL", String::from("c")),
        };
        self.call(args);
    }
}

fn ok() -> Value {
    Value::Simple("OK".to_owned())
}

fn script(n: usize) -> Vec<u8> {
    format!("return {{KEYS[1], {n}}}").into_bytes()
}

fn library(n: usize) -> Vec<u8> {
    format!("#!lua name=lib{n}\nredis.register_function('f{n}', function() return {n} end)")
        .into_bytes()
}

#[test]
fn a_rollback_brings_back_all_that_a_client_can_see() {
    let seeds = match std::env::var("PANNIER_SEED").as_deref() {
        Ok("random") => vec![fastrand::u64(..)],
        Ok(seed) => vec![seed.parse().expect("PANNIER_SEED is a number or `random`")],
        Err(_) => SEEDS.collect(),
    };
    let count = std::env::var("PANNIER_COUNT").ok();
    let steps = count.map_or(STEPS, |n| n.parse().expect("PANNIER_COUNT is a number"));
    for seed in seeds {
        println!("PANNIER_SEED={seed}");
        let mut walk = Walk::new(seed);
        (0..steps).for_each(|_| walk.step());
        let Walk { rollbacks, effective, .. } = walk;
        println!("{rollbacks} rollbacks, {effective} of them with something to do");
        assert!(effective > steps / 200, "too few to mean something");
    }
}
