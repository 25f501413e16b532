//! What two workers cost each other: real threads at the engine's door, with no socket between.
//!
//! Each thread is what a worker is: it has a session and a lane of its own, and runs pipelines of
//! 16 requests that were parsed before. All threads ask for one hot key, or each request asks for
//! another key out of 100,000, which lie on all shards. Two threads on spread keys should carry
//! nearly twice what one carries; on one key they wait for its shard, and the loss against one
//! thread is the price of a lock at the door. A figure is the time from the start of all
//! threads to the end of the last, over the requests of all of them; with fewer cores than threads
//! it says nothing.
//!
//! Checked: every reply's length on the way, and in the end the sum of all counters, which must be
//! the number of INCRs that were sent.

use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use pannier_benches::scattered;
use pannier_clock::Clock;
use pannier_engine::config::Config;
use pannier_engine::{ConnectionInfo, Engine, Mailbox, Next, Now, Session, Transport, run};
use pannier_resp::{Batch, Limits, Parser, Protocol, Reply};
use pannier_server::{Options, Running};

/// A thread's pipelines, and the session that runs them.
struct Worker {
    engine: Arc<Engine>,
    session: Session,
    pipelines: Vec<(Batch, Vec<u8>)>,
    now: Now,
}

impl Worker {
    fn new(engine: &Arc<Engine>, index: u64, verb: &str, keys: u64) -> Self {
        let time = Clock::system().now();
        let now = Now { mono_us: time.mono_us, unix_us: time.unix_us };
        let info = ConnectionInfo {
            addr: format!("127.0.0.1:{}", 50_000 + index),
            laddr: "127.0.0.1:0".into(),
            fd: -1,
            transport: Transport::Tcp,
            local: true,
            lane: engine.lane(),
            mailbox: Arc::new(Mailbox::default()),
        };
        let session = engine.connect(info, now);
        let first = index * PIPELINES * LEN;
        let pipelines = (0..PIPELINES).map(|at| pipeline(verb, first + at * LEN, keys)).collect();
        Self { engine: Arc::clone(engine), session, pipelines, now }
    }

    /// Runs so many pipelines; the bytes of all replies.
    fn work(&mut self, count: u64) -> usize {
        let mut reply = Reply::new(Protocol::Resp2);
        let mut bytes = 0;
        for step in 0..count {
            let (batch, buf) = &self.pipelines[(step % PIPELINES) as usize];
            let (all, session) = (0..batch.len(), &mut self.session);
            let ran = run(&self.engine, session, (batch, buf), all, &mut reply, self.now);
            assert!(ran.executed == LEN as usize && ran.next == Next::Ready);
            bytes += reply.len();
            reply.clear();
        }
        bytes
    }
}

/// Sixteen requests for keys that are far apart, parsed.
fn pipeline(verb: &str, from: u64, keys: u64) -> (Batch, Vec<u8>) {
    let mut buf = Vec::new();
    for step in from..from + LEN {
        let key = key(scattered(step, keys));
        buf.extend_from_slice(format!("*2\r\n${}\r\n{verb}\r\n", verb.len()).as_bytes());
        buf.extend_from_slice(format!("${}\r\n{key}\r\n", key.len()).as_bytes());
    }
    let mut batch = Batch::new();
    let limits = Limits { authenticated: true, ..Limits::default() };
    Parser::new().parse(&buf, &limits, &mut batch, LEN as usize);
    assert_eq!(batch.len() as u64, LEN);
    (batch, buf)
}

fn key(index: u64) -> String {
    format!("counter:{index:012}")
}

fn started() -> Running {
    let config = Config { port: 0, threads: 2, ..Config::default() };
    pannier_server::start(Options { config, free_port: true, ..Options::default() })
        .expect("a server on a free port")
}

fn contention(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("contention");
    group.sample_size(20);
    for verb in ["GET", "INCR"] {
        for (what, keys) in [("one hot key", 1), ("spread keys", 100_000)] {
            for threads in [1, 2] {
                let running = started();
                let engine = running.engine();
                // So that GET finds something everywhere.
                let begun = incremented(engine, keys);
                let mut workers: Vec<_> =
                    (0..threads).map(|index| Worker::new(engine, index, verb, keys)).collect();
                let mut sent = 0;
                group.throughput(Throughput::Elements(threads * LEN));
                let plural = if threads == 1 { "" } else { "s" };
                let name = format!("{verb}, {what}, {threads} thread{plural}");
                group.bench_function(name, |bencher| {
                    bencher.iter_custom(|count| {
                        sent += count * threads * LEN;
                        together(&mut workers, count)
                    });
                });
                let counted = if verb == "INCR" { sent } else { 0 };
                assert_eq!(sum(engine, keys), begun + counted);
            }
        }
    }
    group.finish();
}

/// All workers at once.
fn together(workers: &mut [Worker], count: u64) -> Duration {
    let ready = Barrier::new(workers.len() + 1);
    thread::scope(|scope| {
        let threads: Vec<_> = workers
            .iter_mut()
            .map(|worker| {
                scope.spawn(|| {
                    ready.wait();
                    assert!(worker.work(count) as u64 >= count * LEN * REPLY_LEN_MIN);
                })
            })
            .collect();
        ready.wait();
        let began = now();
        threads.into_iter().for_each(|thread| thread.join().expect("its checks held"));
        began.elapsed()
    })
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn now() -> Instant {
    Instant::now()
}

/// Sets every counter to 1; how many there are.
fn incremented(engine: &Arc<Engine>, keys: u64) -> u64 {
    let mut worker = Worker::new(engine, 0, "INCR", keys);
    let mut reply = Reply::new(Protocol::Resp2);
    for from in (0..keys).step_by(LEN as usize) {
        let (batch, buf) = pipeline("INCR", from, keys);
        let many = 0..LEN.min(keys - from) as usize;
        run(engine, &mut worker.session, (&batch, &buf), many, &mut reply, worker.now);
        reply.clear();
    }
    assert_eq!(sum(engine, keys), keys);
    keys
}

/// The sum of all counters, asked for one by one.
fn sum(engine: &Arc<Engine>, keys: u64) -> u64 {
    let mut worker = Worker::new(engine, 0, "GET", keys);
    let mut reply = Reply::new(Protocol::Resp2);
    let mut sum = 0;
    for from in (0..keys).step_by(LEN as usize) {
        let (batch, buf) = pipeline("GET", from, keys);
        for one in 0..LEN.min(keys - from) as usize {
            let source = (&batch, buf.as_slice());
            run(engine, &mut worker.session, source, one..one + 1, &mut reply, worker.now);
            let mut wire = Vec::new();
            reply.write_to(&mut wire);
            reply.clear();
            // `$3\r\n100\r\n`
            let text = String::from_utf8(wire).expect("digits");
            let number = text.lines().nth(1).and_then(|line| line.parse::<u64>().ok());
            sum += number.expect("a counter");
        }
    }
    sum
}

/// Requests of a pipeline.
const LEN: u64 = 16;
/// The shortest right reply, `:1` and its line end.
const REPLY_LEN_MIN: u64 = 4;
/// Pipelines that a thread has, before it begins again.
const PIPELINES: u64 = 4096;

criterion_group!(benches, contention);
criterion_main!(benches);
