//! Whether `used_memory` is true: it is counted entry by entry, and limits go by it.
//!
//! The program is filled with keys of mixed sizes, half of them with a time to live; what INFO
//! says it has grown by is compared with what the system says. A count that is off by more than a
//! tenth lets a server with `maxmemory` take what it was not given. The figures are printed: they
//! say what a key costs, and what deleting and MEMORY PURGE give back.
//!
//! Rules: the process is fresh, so that nothing is reused that an earlier test has left. It needs
//! `/proc`; elsewhere it is skipped aloud.
//!
//! The size classes are in `crates/collections/src/size_class.rs`, the allocator in
//! `crates/pannier`.

use std::time::Duration;

use pannier_tests::target::spawned::Process;
use pannier_tests::target::tcp::TcpClient;
use pannier_tests::target::{Client, Protocol, Received, Value, encode, oracle};
use pannier_tests::transcript::suite;

const KEYS: usize = 200_000;
/// Commands sent before their replies are read.
const PIPELINE: usize = 500;
/// Lengths of values are spread evenly below one of these.
const LEN_MAX: [u64; 8] = [8, 20, 50, 100, 200, 400, 1_000, 3_000];
/// The size of the pages that the kernel counts in.
const PAGE: usize = 4096;
const WAIT: Duration = Duration::from_secs(30);
/// How often one looks whether memory was given back.
const STEP: Duration = Duration::from_millis(100);

/// A server and a client of it.
struct Bench {
    process: Process,
    client: TcpClient,
}

/// What the server and the system say, in bytes.
#[derive(Clone, Copy)]
struct Held {
    used: f64,
    resident: f64,
}

impl Bench {
    fn call(&mut self, args: &[&str]) -> Value {
        self.client.send_raw(&encode(args));
        self.reply()
    }

    fn reply(&mut self) -> Value {
        match self.client.receive(WAIT) {
            Received::Value(value) => value,
            other => panic!("no reply: {other:?}"),
        }
    }

    /// Runs one command for every key.
    fn for_keys(&mut self, mut command: impl FnMut(usize) -> Vec<String>) {
        for first in (0..KEYS).step_by(PIPELINE) {
            let keys = first..KEYS.min(first + PIPELINE);
            let bytes: Vec<u8> = keys.clone().flat_map(|key| encode(&command(key))).collect();
            self.client.send_raw(&bytes);
            keys.for_each(|_| assert!(!matches!(self.reply(), Value::Error(_))));
        }
    }

    fn held(&mut self) -> Held {
        let Value::Bulk(text) = self.call(&["INFO", "memory"]) else { panic!("INFO is no text") };
        let text = String::from_utf8(text).expect("INFO is text");
        let used = text.lines().find_map(|line| line.strip_prefix("used_memory:"));
        let used = used.and_then(|n| n.parse().ok()).expect("used_memory is a number");
        let path = format!("/proc/{}/statm", self.process.id());
        let statm = std::fs::read_to_string(path).expect("the process runs");
        let pages = statm.split(' ').nth(1).and_then(|n| n.parse::<usize>().ok());
        Held { used, resident: (pages.expect("statm has its form") * PAGE) as f64 }
    }
}

/// The numbers of a small generator (Vigna's splitmix64), so that every run stores the same.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn report(what: &str, now: Held, start: Held) -> f64 {
    let (used, resident) = (now.used - start.used, now.resident - start.resident);
    let mib = |bytes: f64| bytes / f64::from(1 << 20);
    let (used_mib, resident_mib) = (mib(used), mib(resident));
    suite::say(&format!(
        "memory {what}: used_memory {used_mib:+.1} MiB, resident {resident_mib:+.1} MiB"
    ));
    resident / used
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a real server frees in its own time")]
fn used_memory_is_true_within_a_tenth() {
    if !std::path::Path::new("/proc/self/statm").exists() {
        return suite::missing("used_memory_is_true_within_a_tenth", "there is no /proc");
    }
    let spawner = match oracle::pannier() {
        Ok(spawner) => spawner,
        Err(why) => return suite::missing("used_memory_is_true_within_a_tenth", &why),
    };
    let process = spawner.start(&[]).expect("the program starts");
    let client = process.connect(Protocol::Resp2).expect("the program accepts");
    let mut bench = Bench { process, client };
    // The buffers of the connection are no data.
    bench.for_keys(|_| vec!["PING".to_owned(), "x".repeat(1_000)]);
    let start = bench.held();

    let mut state = 1;
    bench.for_keys(|key| {
        let most = LEN_MAX[next(&mut state) as usize % LEN_MAX.len()];
        let len = 1 + next(&mut state) % most;
        let mut args = vec!["SET".to_owned(), format!("key:{key}"), "x".repeat(len as usize)];
        if key % 2 == 0 {
            args.extend(["EX".to_owned(), (1_000 + next(&mut state) % 100_000).to_string()]);
        }
        args
    });
    let full = bench.held();
    let ratio = report("of 200,000 keys", full, start);
    assert!((0.9..1.1).contains(&ratio), "the system says {ratio:.3} times as much");

    bench.for_keys(|key| {
        let name = if key % 2 == 0 { key } else { key - 1 };
        vec!["DEL".to_owned(), format!("key:{name}")]
    });
    let half = bench.held();
    report("of the half without a deadline", half, start);
    let share = (half.used - start.used) / (full.used - start.used);
    assert!((0.4..0.6).contains(&share), "half the keys are {share:.3} of it");

    bench.call(&["FLUSHALL", "SYNC"]);
    bench.call(&["MEMORY", "PURGE"]);
    let mut empty = bench.held();
    let kept = |empty: Held| (empty.resident - start.resident) / (full.resident - start.resident);
    let mut waited = Duration::ZERO;
    // The allocator's own threads do the rest.
    while kept(empty) > 0.5 && waited < WAIT {
        std::thread::sleep(STEP);
        waited += STEP;
        empty = bench.held();
    }
    report(&format!("{waited:?} after FLUSHALL and MEMORY PURGE"), empty, start);
    let left = (empty.used - start.used) / (full.used - start.used);
    assert!(left < 0.01, "{left:.3} of it is still counted");
    assert!(kept(empty) < 0.5, "{:.3} of it was not given back", kept(empty));
}
