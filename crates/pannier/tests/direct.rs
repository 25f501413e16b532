//! Typed GET and SET take a direct way past the path of requests: they must do the same.
//!
//! Two caches of the same seed under virtual clocks are given the same operations, one by typed
//! calls, the other by `query`, which goes the general way; after each, everything that can be seen
//! is compared: results, data, deadlines, access clocks, sums, statistics, and what those
//! are told who watch, track, monitor or subscribe.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::time::Duration;

use bytes::Bytes;
use pannier::{Cache, Client, Clock, Error, ErrorKind, FromFrame, Housekeeping, SetOptions};
use pannier::{Frame, VirtualClock};
use proptest::prelude::*;

/// What both caches are told.
#[derive(Clone, Debug)]
enum Op {
    Get(u8),
    GetWith(u8),
    Set(u8, usize),
    SetNumber(u8, i64),
    SetFor(u8, usize, u64),
    SetIfAbsent(u8),
    Del(u8),
    Incr(u8),
    Collect(u8),
    Expire(u8, u64),
    Advance(u64),
    Configure(&'static str, &'static str),
    ResetStatistics,
    /// A client watches a key, and later asks whether it has changed.
    Watch(u8),
    Exec,
    /// A client caches what it reads.
    Read(u8),
    Monitor,
    Subscribe,
    /// A client waits for a list under a key.
    Wait(u8),
    SwapDatabases,
    Checkpoint,
    Rollback,
}

/// What a configuration may say, and what it says at first.
const SETTINGS: &[(&str, &str)] = &[
    ("maxmemory-policy", "allkeys-lfu"),
    ("maxmemory-policy", "allkeys-lru"),
    ("maxmemory-policy", "noeviction"),
    ("maxmemory", "40kb"),
    ("maxmemory", "0"),
    ("maxentries", "6"),
    ("maxentries", "0"),
    ("compression-threshold", "200"),
    ("compression-threshold", "0"),
    ("notify-keyspace-events", "KEA"),
    ("notify-keyspace-events", "KEmn"),
    ("notify-keyspace-events", ""),
    ("commandlog-request-larger-than", "300"),
    ("commandlog-reply-larger-than", "300"),
    ("commandlog-execution-slower-than", "0"),
    ("commandlog-execution-slower-than", "10000"),
    ("latency-tracking", "no"),
    ("latency-tracking", "yes"),
];

fn op() -> impl Strategy<Value = Op> {
    let key = 0..10_u8;
    let len = prop_oneof![0..100_usize, 100..2_000_usize, Just(20_000), Just(80_000)];
    let ms = prop_oneof![1..150_u64, 150..5_000_u64];
    prop_oneof![
        12 => key.clone().prop_map(Op::Get),
        4 => key.clone().prop_map(Op::GetWith),
        10 => (key.clone(), len.clone()).prop_map(|(key, len)| Op::Set(key, len)),
        2 => (key.clone(), any::<i64>()).prop_map(|(key, n)| Op::SetNumber(key, n)),
        6 => (key.clone(), len, ms.clone()).prop_map(|(key, len, ms)| Op::SetFor(key, len, ms)),
        1 => key.clone().prop_map(Op::SetIfAbsent),
        2 => key.clone().prop_map(Op::Del),
        1 => key.clone().prop_map(Op::Incr),
        2 => key.clone().prop_map(Op::Collect),
        1 => (key.clone(), ms.clone()).prop_map(|(key, ms)| Op::Expire(key, ms)),
        4 => ms.prop_map(Op::Advance),
        4 => proptest::sample::select(SETTINGS).prop_map(|(name, to)| Op::Configure(name, to)),
        1 => Just(Op::ResetStatistics),
        1 => key.clone().prop_map(Op::Watch),
        1 => Just(Op::Exec),
        1 => key.clone().prop_map(Op::Read),
        1 => Just(Op::Monitor),
        1 => Just(Op::Subscribe),
        1 => key.prop_map(Op::Wait),
        1 => Just(Op::SwapDatabases),
        1 => Just(Op::Checkpoint),
        1 => Just(Op::Rollback),
    ]
}

/// One of the two caches, with those who look on.
struct Side {
    cache: Cache,
    hand: VirtualClock,
    /// Typed calls.
    direct: bool,
    transaction: Client,
    tracker: Client,
    listeners: Vec<Client>,
}

impl Side {
    fn new(direct: bool) -> Self {
        let (clock, hand) = Clock::virtual_at(1_700_000_000_000);
        let builder = Cache::builder().clock(clock).seed(7).directive("threads", "1");
        let cache = builder.directive("test-mode", "yes").build().unwrap();
        let (transaction, mut tracker) = (cache.connect(), cache.connect());
        tracker.call(["CLIENT", "TRACKING", "ON"]).unwrap();
        Self { cache, hand, direct, transaction, tracker, listeners: Vec::new() }
    }

    fn ask<T: FromFrame + std::fmt::Debug>(&self, args: &[&[u8]]) -> String {
        shown(self.cache.query::<T>(args))
    }

    fn listen(&mut self, command: &[&str]) -> String {
        if self.listeners.len() >= 2 {
            // They are all gone at once.
            self.listeners.clear();
            return String::new();
        }
        let mut client = self.cache.connect();
        let reply = format!("{:?}", client.call(command));
        self.listeners.push(client);
        reply
    }

    fn run(&mut self, op: &Op) -> String {
        let key = |n: &u8| format!("key:{n}").into_bytes();
        match op {
            Op::Get(n) if self.direct => shown(self.cache.get(key(n))),
            Op::GetWith(n) if self.direct => {
                shown(self.cache.get_with(key(n), Bytes::copy_from_slice))
            }
            Op::Get(n) | Op::GetWith(n) => self.ask::<Option<Bytes>>(&[b"GET", &key(n)]),
            Op::Set(n, len) if self.direct => shown(self.cache.set(key(n), vec![b'x'; *len])),
            Op::Set(n, len) => self.ask::<()>(&[b"SET", &key(n), &vec![b'x'; *len]]),
            Op::SetNumber(n, to) if self.direct => shown(self.cache.set(key(n), to.to_string())),
            Op::SetNumber(n, to) => self.ask::<()>(&[b"SET", &key(n), to.to_string().as_bytes()]),
            Op::SetFor(n, len, ms) if self.direct => {
                let options = SetOptions::new().ttl(Duration::from_millis(*ms));
                shown(self.cache.set_with(key(n), vec![b'y'; *len], options))
            }
            Op::SetFor(n, len, ms) => {
                let (value, ms) = (vec![b'y'; *len], ms.to_string());
                self.ask::<bool>(&[b"SET", &key(n), &value, b"PX", ms.as_bytes()])
            }
            Op::SetIfAbsent(n) if self.direct => {
                shown(self.cache.set_with(key(n), "new", SetOptions::new().nx()))
            }
            Op::SetIfAbsent(n) => self.ask::<bool>(&[b"SET", &key(n), b"new", b"NX"]),
            Op::Del(n) => self.ask::<bool>(&[b"DEL", &key(n)]),
            Op::Incr(n) => self.ask::<i64>(&[b"INCR", &key(n)]),
            Op::Collect(n) => self.ask::<i64>(&[b"RPUSH", &key(n), b"element"]),
            Op::Expire(n, ms) => {
                self.ask::<bool>(&[b"PEXPIRE", &key(n), ms.to_string().as_bytes()])
            }
            Op::Advance(ms) => {
                self.hand.advance(Duration::from_millis(*ms));
                String::new()
            }
            Op::Configure(name, to) => {
                self.ask::<()>(&[b"CONFIG", b"SET", name.as_bytes(), to.as_bytes()])
            }
            Op::ResetStatistics => self.ask::<()>(&[b"CONFIG", b"RESETSTAT"]),
            Op::Watch(n) => format!("{:?}", self.transaction.call([b"WATCH", &key(n)[..]])),
            Op::Exec => {
                self.transaction.call(["MULTI"]).unwrap();
                format!("{:?}", self.transaction.call(["EXEC"]))
            }
            Op::Read(n) => format!("{:?}", self.tracker.call([b"GET", &key(n)[..]])),
            Op::Monitor => self.listen(&["MONITOR"]),
            Op::Subscribe => self.listen(&["PSUBSCRIBE", "__key*"]),
            Op::Wait(n) => {
                let mut client = self.cache.connect();
                let request = format!("BLPOP key:{n} 0\r\n");
                client.feed(request.as_bytes(), &mut Vec::new());
                self.listeners.push(client);
                String::new()
            }
            Op::SwapDatabases => self.ask::<()>(&[b"SWAPDB", b"0", b"1"]),
            Op::Checkpoint => self.ask::<Frame>(&[b"PANNIER", b"CHECKPOINT"]),
            Op::Rollback => self.ask::<Frame>(&[b"PANNIER", b"ROLLBACK"]),
        }
    }

    /// Everything that can be seen.
    fn look(&mut self) -> String {
        let mut seen = Vec::new();
        for n in 0..10 {
            let key = format!("key:{n}");
            for words in [["OBJECT", "IDLETIME"], ["OBJECT", "FREQ"], ["OBJECT", "ENCODING"]] {
                seen.push(shown(self.cache.query::<Frame>([words[0], words[1], &key])));
            }
            seen.push(shown(self.cache.query::<i64>(["PEXPIRETIME", &key])));
            seen.push(shown(self.cache.query::<Frame>(["DUMP", &key])));
        }
        for section in ["commandstats", "errorstats", "latencystats", "keyspace"] {
            seen.push(self.cache.query::<String>(["INFO", section]).unwrap());
        }
        let info: String = self.cache.query(["INFO", "stats", "persistence"]).unwrap();
        let counted = ["total_commands", "expired_", "evicted_", "keyspace_", "total_error"];
        let counted = |line: &&str| {
            counted.iter().any(|name| line.starts_with(name))
                || line.starts_with("rdb_changes_since_last_save")
        };
        seen.extend(info.lines().filter(counted).map(str::to_owned));
        for log in ["slow", "large-request", "large-reply"] {
            let entries: Vec<Frame> = self.cache.query(["COMMANDLOG", "GET", "9", log]).unwrap();
            seen.push(format!("{entries:?}"));
        }
        seen.push(format!("{:?}", self.cache.engine().keyspace().totals()));
        for client in self.listeners.iter_mut().chain([&mut self.tracker]) {
            while let Some(message) = client.next_push_bytes(Some(Duration::ZERO)) {
                seen.push(String::from_utf8_lossy(&message).into_owned());
            }
        }
        seen.join("\n")
    }

    /// Calls that went the direct way.
    fn tally(&self) -> u64 {
        let tallies = self.cache.engine().keyspace().tallies();
        tallies.iter().map(|tally| tally.gets.calls() + tally.sets.calls()).sum()
    }
}

fn shown<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
    match result {
        Ok(value) => format!("{value:?}"),
        Err(error) => error.to_string(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn both_ways_have_the_same_effects(ops in proptest::collection::vec(op(), 1..120)) {
        let (mut direct, mut general) = (Side::new(true), Side::new(false));
        for op in &ops {
            prop_assert_eq!(direct.run(op), general.run(op), "{:?}", op);
            prop_assert_eq!(direct.look(), general.look(), "after {:?}", op);
        }
        prop_assert_eq!(general.tally(), 0);
    }
}

/// Runs typed calls; how many of them went the direct way.
fn directly(side: &Side) -> u64 {
    let before = side.tally();
    side.cache.set("a", "1").unwrap();
    side.cache.get("a").unwrap();
    side.cache.get("missing").unwrap();
    side.cache.get_with("a", |_| ()).unwrap();
    side.tally() - before
}

#[test]
fn calls_go_the_direct_way_unless_somebody_looks_on() {
    let side = Side::new(true);
    assert_eq!(directly(&side), 4);
    let configure = |name: &str, to: &str| {
        side.cache.call(["CONFIG", "SET", name, to]).unwrap();
    };
    for (name, to, back, expected) in [
        ("commandlog-execution-slower-than", "1", "10000", 0),
        ("latency-monitor-threshold", "1", "0", 0),
        ("latency-tracking", "no", "yes", 0),
        ("maxmemory-policy", "allkeys-lfu", "noeviction", 4),
        ("maxmemory", "1gb", "0", 4),
        // The key is there already.
        ("maxentries", "100", "0", 4),
        // A miss is an event, and so is each write.
        ("notify-keyspace-events", "KEm$", "", 2),
    ] {
        configure(name, to);
        assert_eq!(directly(&side), expected, "{name} {to}");
        configure(name, back);
        assert_eq!(directly(&side), 4, "{name} {back}");
    }
    let mut monitor = side.cache.connect();
    monitor.call(["MONITOR"]).unwrap();
    assert_eq!(directly(&side), 0);
    drop(monitor);
    assert_eq!(directly(&side), 4);
    side.cache.call(["PANNIER", "FAULT", "ADD", "ERROR", "READONLY", "COMMAND", "GET"]).unwrap();
    assert!(side.cache.get("a").unwrap_err().to_string().starts_with("READONLY"));
    assert!(side.cache.get_with("a", |_| ()).is_err());
    side.cache.call(["PANNIER", "FAULT", "CLEAR"]).unwrap();
    assert_eq!(directly(&side), 4);
    let mut watcher = side.cache.connect();
    watcher.call(["WATCH", "a"]).unwrap();
    let set_in_the_same_shard = directly(&side);
    assert_eq!(set_in_the_same_shard, 3);
    assert!(watcher.call(["MULTI"]).is_ok() && watcher.call(["EXEC"]).unwrap() == Frame::Null);
    assert_eq!(directly(&side), 4);
}

#[test]
fn a_pause_and_a_busy_script_hold_direct_calls_back_too() {
    let side = Side::new(true);
    side.cache.set("a", "1").unwrap();
    side.cache.call(["CLIENT", "PAUSE", "1000", "WRITE"]).unwrap();
    let before = side.tally();
    assert!(side.cache.get("a").unwrap().is_some());
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| side.cache.set("a", "2"));
        // It waits for the clock, however long it takes to come there.
        assert_eq!(side.cache.get("a").unwrap().unwrap(), "1");
        side.hand.advance(Duration::from_secs(1));
        waiting.join().unwrap().unwrap();
    });
    assert_eq!(side.cache.get("a").unwrap().unwrap(), "2");
    assert!(side.tally() - before <= 2);

    let cache = Cache::builder().directive("busy-reply-threshold", "1").build().unwrap();
    cache.set("a", "1").unwrap();
    std::thread::scope(|scope| {
        let script = scope.spawn(|| cache.call(["EVAL", "while true do end", "0"]));
        let busy = || matches!(cache.get("a"), Err(error) if error.kind() == Some(ErrorKind::Busy));
        while !busy() {}
        let set = cache.set("a", "2").unwrap_err();
        assert_eq!(set.kind(), Some(ErrorKind::Busy));
        cache.call(["SCRIPT", "KILL"]).unwrap();
        assert!(script.join().unwrap().is_err());
    });
    assert_eq!(cache.get("a").unwrap().unwrap(), "1");
}

#[test]
fn a_renamed_command_is_not_called_past_its_name() {
    let mut config = pannier::Config::default();
    config.set("rename-command", &["GET", ""]).unwrap();
    let cache = Cache::builder().config(config).build().unwrap();
    assert!(cache.get("a").is_err());
    assert!(cache.set("a", "1").is_ok());
}

#[test]
fn without_a_thread_direct_calls_have_the_housekeeping_done() {
    let cache = Cache::builder().housekeeping(Housekeeping::OnAccess).build().unwrap();
    for i in 0..1_000 {
        let short = SetOptions::new().ttl(Duration::from_millis(1));
        cache.set_with(format!("key:{i}"), "value", short).unwrap();
    }
    let clock = Clock::system();
    while !cache.is_empty() {
        assert!(clock.mono_us() < 20_000_000, "nobody frees what has expired");
        cache.get("another").unwrap();
    }
}

#[test]
fn what_has_expired_is_never_seen_by_the_exact_clock() {
    let cache = Cache::new();
    for _ in 0..200 {
        let options = SetOptions::new().ttl(Duration::from_millis(2));
        cache.set_with("key", "value", options).unwrap();
        let deadline: u64 = cache.query(["PEXPIRETIME", "key"]).unwrap_or(0);
        loop {
            let before = cache.clock().now().unix_ms();
            let held = cache.get("key").unwrap().is_some();
            let after = cache.clock().now().unix_ms();
            assert!(!(held && before >= deadline), "seen after its deadline");
            assert!(held || after >= deadline, "gone before its deadline");
            if !held {
                break;
            }
        }
    }
}

#[test]
fn whoever_looks_at_a_value_may_call_other_caches_but_not_this_one() {
    let (cache, other) = (Cache::new(), Cache::new());
    cache.set("a", "1").unwrap();
    let copied = cache.get_with("a", |bytes| other.set("b", bytes)).unwrap();
    copied.unwrap().unwrap();
    assert_eq!(other.get("b").unwrap().unwrap(), "1");
    for call in [|cache: &Cache| drop(cache.get("a")), |cache: &Cache| drop(cache.incr("n"))] {
        let own = cache.clone();
        let called = std::thread::spawn(move || own.get_with("a", |_| call(&own)).map(drop));
        assert!(called.join().is_err());
        // Nothing stays locked.
        cache.set("a", "1").unwrap();
    }
}
