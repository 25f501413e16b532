//! A server for each test: how long until its first reply, and what a thousand of them take.
//!
//! ```text
//! cargo bench -p pannier-benches --bench servers [-- <servers>]
//! ```
//!
//! Three ways to run a server are measured: with a thread of its own, on a crew of two threads
//! that all share, and no server at all but a cache. Printed are the median and the 99th percentile
//! of the time from the call that starts it to the first reply (for a server over a new
//! connection), with all the others still there; then resident memory and threads for each, and
//! the time in which all end. It is no statistic over samples, so criterion has no part in it.
//!
//! Checked: every reply, and that each holds its own data.

#![expect(clippy::disallowed_methods, reason = "a benchmark measures time")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pannier::{Cache, Crew, Frame, Server};

fn main() {
    let asked = std::env::args().skip(1).find_map(|word| word.parse().ok());
    let count: usize = asked.unwrap_or(1_000);
    println!("{count} of each, side by side");
    println!(
        "{:24} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "", "p50 ms", "p99 ms", "KiB", "threads", "end ms"
    );
    let own = || Server::builder().threads(1).start();
    measure("own thread", count, || own().expect("a server"), first_reply, seen);
    let crew = Arc::new(Crew::new(2).expect("threads"));
    let shared = || Server::builder().crew(&crew).start().expect("a server");
    measure("shared crew of two", count, shared, first_reply, seen);
    measure("cache, no socket", count, Cache::new, first_call, |cache, index| {
        let Frame::BlobString { data, .. } = cache.call(["GET", "key"]).expect("GET") else {
            panic!("a value")
        };
        assert_eq!(data, index.to_string());
    });
}

fn measure<S>(
    name: &str,
    count: usize,
    start: impl Fn() -> S,
    first: impl Fn(&S, usize),
    check: impl Fn(&S, usize),
) {
    let (memory, threads) = (resident_kib(), threads());
    let mut taken = Vec::with_capacity(count);
    let mut all = Vec::with_capacity(count);
    for index in 0..count {
        let started = Instant::now();
        let one = start();
        first(&one, index);
        taken.push(started.elapsed());
        all.push(one);
    }
    let each_kib = (resident_kib() - memory) / count as f64;
    let each_threads = (self::threads() as f64 - threads as f64) / count as f64;
    all.iter().enumerate().for_each(|(index, one)| check(one, index));
    let ending = Instant::now();
    drop(all);
    let end = ending.elapsed();
    taken.sort_unstable();
    let at = |share: usize| ms(taken[(count - 1) * share / 100]);
    println!(
        "{name:24} {:9.3} {:9.3} {each_kib:9.0} {each_threads:9.2} {:9.0}",
        at(50),
        at(99),
        ms(end)
    );
}

/// The first reply of a server, over a new connection.
fn first_reply(server: &Server, index: usize) {
    let value = index.to_string();
    let request = format!("*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n${}\r\n{value}\r\n", value.len());
    ask(server, &request, "+OK\r\n");
}

fn seen(server: &Server, index: usize) {
    let value = index.to_string();
    ask(server, "GET key\r\n", &format!("${}\r\n{value}\r\n", value.len()));
}

fn ask(server: &Server, request: &str, reply: &str) {
    let mut client = TcpStream::connect(server.addr().expect("an address")).expect("connected");
    client.set_nodelay(true).expect("an option");
    client.write_all(request.as_bytes()).expect("written");
    let mut found = vec![0; reply.len()];
    client.read_exact(&mut found).expect("a reply");
    assert_eq!(String::from_utf8_lossy(&found), reply);
}

fn first_call(cache: &Cache, index: usize) {
    cache.call(["SET", "key", &index.to_string()]).expect("SET");
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn resident_kib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("a status");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a size");
    line.split_whitespace().nth(1).and_then(|word| word.parse().ok()).expect("a number")
}

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").expect("tasks").count()
}
