//! The simulation with real threads: producers, consumers and sessions that go away, all at once.
//!
//! Each thread is the smallest shell around one session: it runs a request, and where that waits
//! it sleeps until the mailbox wakes it or the time is over. Producers push tokens, alone, in
//! pipelines and in transactions; movers carry them from list to list; consumers pop with several
//! keys, which lie in different shards, with short times and none; quitters drop their session
//! while it waits. When all are done, each token must be in one list or have been received once,
//! by a reply that was read or by one in the mailbox of a session that had gone, and the
//! tables of interest must be empty.
//!
//! Rules: the seed decides what is sent, the scheduler in which order; a run is bounded in
//! requests, and one that does not end in time is a deadlock and fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::mpsc;
use std::task::{Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use pannier_clock::Clock;
use pannier_engine::config::Config;
use pannier_engine::{
    ConnectionInfo, Ending, Engine, Letter, Mailbox, Next, Options, Session, Transport, run,
};
use pannier_resp::{Batch, Limits, Parser, Protocol, Reply, Value, decode};

use super::world::tokens;
use crate::target::encode;
use crate::target::in_process::{StillHost, reading};

const LISTS: usize = 6;
const SHARDS: usize = 8;
const END_WAIT: Duration = Duration::from_secs(60);

/// One session with its thread.
struct Actor {
    engine: Arc<Engine>,
    clock: Clock,
    mailbox: Arc<Mailbox>,
    session: Option<Session>,
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

impl Actor {
    fn new(engine: &Arc<Engine>, clock: &Clock) -> Self {
        let mailbox = Arc::new(Mailbox::default());
        let info = ConnectionInfo {
            addr: "127.0.0.1:1".into(),
            laddr: "127.0.0.1:2".into(),
            fd: -1,
            transport: Transport::Embedded,
            local: true,
            lane: engine.lane(),
            mailbox: Arc::clone(&mailbox),
        };
        let session = Some(engine.connect(info, reading(clock)));
        Self { engine: Arc::clone(engine), clock: clock.clone(), mailbox, session }
    }

    /// Sends requests in one pipeline, and waits for the replies; with `leaves` the session goes
    /// away instead of waiting; it may have been served just before.
    fn call(&mut self, lines: &[String], leaves: bool) -> Vec<Value> {
        let mut bytes = Vec::new();
        for line in lines {
            bytes.extend(encode(&line.split(' ').collect::<Vec<_>>()));
        }
        let mut output = Vec::new();
        let mut at = 0;
        while let (true, Some(session)) = (at < bytes.len(), &mut self.session) {
            let mut batch = Batch::new();
            Parser::new().parse(&bytes[at..], &Limits::default(), &mut batch, 64);
            let mut reply = Reply::new(Protocol::Resp2);
            let all = 0..batch.len();
            let now = reading(&self.clock);
            let ran = run(&self.engine, session, (&batch, &bytes[at..]), all, &mut reply, now);
            reply.write_to(&mut output);
            at += ran.executed.checked_sub(1).map_or(0, |last| batch.end_of(last));
            if ran.next == Next::Waiting {
                if leaves {
                    thread::yield_now();
                    self.session = None;
                } else {
                    self.wait(&mut output);
                }
            }
        }
        let mut values = Vec::new();
        while let Ok(Some((value, len))) = decode(&output) {
            values.push(value);
            output.drain(..len);
        }
        values
    }

    fn wait(&mut self, output: &mut Vec<u8>) {
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        while let Some(session) = self.session.as_mut().filter(|session| session.is_waiting()) {
            self.mailbox.register(&waker);
            let now = reading(&self.clock);
            let mut reply = Reply::new(Protocol::Resp2);
            let until_ms = session.waits_until_ms().unwrap_or(0);
            match self.mailbox.take() {
                Some(Letter::Served(bytes)) => {
                    session.end_wait(Ending::Served(bytes), &mut reply, now);
                }
                Some(Letter::Unblocked { error }) => {
                    session.end_wait(Ending::Unblocked { error }, &mut reply, now);
                }
                Some(Letter::Kill) => self.session = None,
                Some(_) => {}
                None if until_ms <= now.unix_ms() => {
                    session.end_wait(Ending::TimedOut, &mut reply, now);
                }
                None => {
                    let left = until_ms.saturating_sub(now.unix_ms()).min(1_000);
                    thread::park_timeout(Duration::from_millis(left));
                }
            }
            reply.write_to(output);
        }
    }
}

/// What a thread leaves.
#[derive(Default)]
struct Outcome {
    made: Vec<String>,
    received: Vec<String>,
    /// Of sessions that are gone.
    mailboxes: Vec<Arc<Mailbox>>,
}

/// What the threads share.
struct Race {
    engine: Arc<Engine>,
    clock: Clock,
    /// Producers and movers that still work.
    working: AtomicU32,
}

fn key(rng: &mut fastrand::Rng) -> String {
    format!("list:{}", rng.usize(..LISTS))
}

fn keys(rng: &mut fastrand::Rng) -> String {
    let keys: Vec<_> = (0..rng.usize(1..4)).map(|_| key(rng)).collect();
    keys.join(" ")
}

impl Race {
    /// Pushes so many tokens and returns them.
    fn produce(&self, name: usize, requests: usize, mut rng: fastrand::Rng) -> Vec<String> {
        let mut actor = Actor::new(&self.engine, &self.clock);
        let made: Vec<String> = (0..requests).map(|n| format!("t{name}-{n}")).collect();
        for chunk in made.chunks(6) {
            let mut lines: Vec<_> = chunk
                .iter()
                .map(|token| {
                    format!("{} {} {token}", ["RPUSH", "LPUSH"][rng.usize(..2)], key(&mut rng))
                })
                .collect();
            if rng.bool() {
                lines.insert(0, "MULTI".into());
                lines.push("EXEC".into());
            }
            actor.call(&lines, false);
        }
        self.working.fetch_sub(1, Relaxed);
        made
    }

    /// Pops until nobody works any more and nothing comes; returns what it got.
    fn consume(&self, mut rng: fastrand::Rng) -> Vec<String> {
        let mut actor = Actor::new(&self.engine, &self.clock);
        let mut received = Vec::new();
        loop {
            let over = self.working.load(Relaxed) == 0;
            let line = match rng.u32(..3) {
                0 => format!("BLPOP {} 0.00{}", keys(&mut rng), rng.u32(1..9)),
                1 => format!("BRPOP {} 0.02", keys(&mut rng)),
                _ => format!("BLMPOP 0.01 2 {} {} LEFT COUNT 3", key(&mut rng), key(&mut rng)),
            };
            let got = values(&actor.call(&[line], false));
            if over && got.is_empty() {
                return received;
            }
            received.extend(got);
        }
    }

    /// Moves tokens between lists, waiting and not.
    fn carry(&self, requests: usize, mut rng: fastrand::Rng) -> Outcome {
        let mut actor = Actor::new(&self.engine, &self.clock);
        for _ in 0..requests / 4 {
            let line = format!("BLMOVE {} {} LEFT RIGHT 0.003", key(&mut rng), key(&mut rng));
            actor.call(&[line], false);
        }
        self.working.fetch_sub(1, Relaxed);
        Outcome::default()
    }

    /// Goes away while it waits, again and again; returns what it was served at once, and the
    /// mailboxes in which more may arrive.
    fn quit(&self, mut rng: fastrand::Rng) -> (Vec<String>, Vec<Arc<Mailbox>>) {
        let (mut received, mut mailboxes) = (Vec::new(), Vec::new());
        while self.working.load(Relaxed) > 0 {
            let mut actor = Actor::new(&self.engine, &self.clock);
            let line = format!("BLPOP {} 0", keys(&mut rng));
            received.extend(values(&actor.call(&[line], true)));
            mailboxes.push(actor.mailbox);
        }
        (received, mailboxes)
    }

    /// Ends the waits of others.
    fn unblock(&self, mut rng: fastrand::Rng) -> Outcome {
        let mut actor = Actor::new(&self.engine, &self.clock);
        while self.working.load(Relaxed) > 0 {
            let id = rng.u32(1..40);
            let how = ["TIMEOUT", "ERROR"][rng.usize(..2)];
            actor.call(&[format!("CLIENT UNBLOCK {id} {how}")], false);
            thread::yield_now();
        }
        Outcome::default()
    }
}

fn values(replies: &[Value]) -> Vec<String> {
    let texts = replies.iter().flat_map(tokens);
    texts.filter(|text| text.starts_with('t')).collect()
}

/// Lets the threads of a seed race, with so many requests for each producer.
///
/// # Errors
/// What did not hold.
pub fn race(seed: u64, requests: usize) -> Result<(), String> {
    let clock = Clock::system();
    let host = Arc::new(StillHost::new(&clock));
    let (config, now) = (Config::default(), reading(&clock));
    let engine = Engine::new(Options { config, host, now, seed, shards: SHARDS })?;
    let race = Arc::new(Race { engine, clock, working: AtomicU32::new(4) });
    let (done, results) = mpsc::channel();
    let mut rng = fastrand::Rng::with_seed(seed);
    let threads = 11;
    for name in 0..threads {
        let (race, done, rng) = (Arc::clone(&race), done.clone(), rng.fork());
        thread::spawn(move || {
            let result = match name {
                0..3 => Outcome { made: race.produce(name, requests, rng), ..Outcome::default() },
                3 => race.carry(requests, rng),
                4..8 => Outcome { received: race.consume(rng), ..Outcome::default() },
                8..10 => {
                    let (received, mailboxes) = race.quit(rng);
                    Outcome { received, mailboxes, ..Outcome::default() }
                }
                _ => race.unblock(rng),
            };
            // Whoever waited for it has given up.
            let _ = done.send(result);
        });
    }
    let (mut pushed, mut held, mut mailboxes) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..threads {
        let outcome = results.recv_timeout(END_WAIT);
        let outcome = outcome.map_err(|_| format!("seed {seed}: a deadlock or a panic"))?;
        pushed.extend(outcome.made);
        held.extend(outcome.received);
        mailboxes.extend(outcome.mailboxes);
    }
    for mailbox in mailboxes {
        while let Some(letter) = mailbox.take() {
            if let Letter::Served(bytes) = letter {
                let value = decode(&bytes).map_err(|e| e.to_string())?;
                held.extend(values(&value.into_iter().map(|(value, _)| value).collect::<Vec<_>>()));
            }
        }
    }
    let mut actor = Actor::new(&race.engine, &race.clock);
    let reads: Vec<_> = (0..LISTS).map(|list| format!("LRANGE list:{list} 0 -1")).collect();
    held.extend(values(&actor.call(&reads, false)));
    pushed.sort_unstable();
    held.sort_unstable();
    if pushed != held {
        let twice = held.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| &pair[0]);
        let lost = pushed.iter().find(|token| held.binary_search(token).is_err());
        return Err(format!("seed {seed}: received twice {twice:?}, lost {lost:?}"));
    }
    let info =
        actor.call(&["INFO clients".into()], false).iter().flat_map(tokens).collect::<String>();
    let empty = ["blocked_clients:0", "total_blocking_keys:0", "connected_clients:1"];
    match empty.iter().find(|line| !info.lines().any(|held| held == **line)) {
        Some(line) => Err(format!("seed {seed}: not {line} at the end:\n{info}")),
        None => Ok(()),
    }
}
