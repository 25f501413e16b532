//! The engine in this process, without a socket, under a virtual clock.
//!
//! This is the smallest shell there can be around the engine: bytes in, bytes out, on one thread.
//! It is what `crates/server` is over tokio, and it is here a second time because a transcript
//! must be able to move time by an hour. Requests go through the same parser as on the wire, so
//! that inline requests and protocol errors are tested too.
//!
//! Rules: nothing waits. What one client does may set others free (CLIENT UNPAUSE, CLIENT KILL,
//! time that passes), so after every step all of them are driven until nothing moves.
//!
//! The traits are in [`super`]; the engine's side is `pannier_engine::run`.

use std::any::Any;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pannier_clock::{Clock, VirtualClock};
use pannier_engine::config::{Config, file};
use pannier_engine::{
    ConnectionInfo, Ending, Engine, Facts, Host, Lane, Letter, Mailbox, Next, Now, Options,
    Session, ShutdownRequest, Transport,
};
use pannier_resp::{Batch, Limits, Parser, Reply, State, decode};

use super::{Client, Maker, Place, Protocol, Received, Server, Target, Value, Version, encode};

/// When the virtual clock begins: a moment in June 2025 that is no whole second.
const BEGIN_UNIX_MS: u64 = 1_750_000_000_123;
const SEED: u64 = 1;
const SHARDS: usize = 4;
/// Requests that are run at once, as a worker would.
const BATCH_MAX: usize = 64;
/// Expired keys freed in one go.
const EXPIRE_BUDGET: usize = 1_000;

/// The engine under one protocol.
#[derive(Debug, Clone, Copy)]
pub struct InProcess {
    protocol: Protocol,
    begin_unix_ms: u64,
    compresses: bool,
}

impl InProcess {
    /// The engine at the moment when every virtual clock here begins.
    pub fn new(protocol: Protocol) -> Self {
        Self::at(protocol, BEGIN_UNIX_MS)
    }

    /// The engine at some moment.
    pub fn at(protocol: Protocol, begin_unix_ms: u64) -> Self {
        Self { protocol, begin_unix_ms, compresses: false }
    }

    /// The same, with every value compressed that is sent whole, also where that saves nothing.
    pub fn compressing(self) -> Self {
        Self { compresses: true, ..self }
    }
}

impl Target for InProcess {
    fn place(&self) -> Place {
        let version = Version::parse(env!("CARGO_PKG_VERSION")).unwrap_or(Version([0; 3]));
        let (maker, protocol) = (Maker::Pannier, self.protocol);
        Place { maker, version, protocol, virtual_clock: true }
    }

    fn open(&self, directives: &[String]) -> Result<Box<dyn Server>, String> {
        let lines = file::from_arguments(directives).map_err(|e| e.to_string())?;
        let mut config = Config::default();
        config.apply(&lines).map_err(|e| e.to_string())?;
        if self.compresses {
            config.compression_threshold = 1;
        }
        let (clock, hand) = Clock::virtual_at(self.begin_unix_ms);
        let down = Arc::new(AtomicBool::new(false));
        let host = Arc::new(StillHost { clock: clock.clone(), down: Arc::clone(&down) });
        let now = reading(&clock);
        let engine = Engine::new(Options { config, host, now, seed: SEED, shards: SHARDS })?;
        if self.compresses {
            engine.compressor().keep_all();
        }
        let lane = engine.lane();
        let world = World { engine, clock, down, lane, lines: Vec::new(), accepted: 0 };
        let world = Rc::new(RefCell::new(world));
        Ok(Box::new(EngineServer { world, hand, protocol: self.protocol }))
    }
}

/// A program around the engine that does nothing by itself.
pub(crate) struct StillHost {
    clock: Clock,
    down: Arc<AtomicBool>,
}

impl StillHost {
    pub(crate) fn new(clock: &Clock) -> Self {
        Self { clock: clock.clone(), down: Arc::default() }
    }
}

impl Host for StillHost {
    fn mono_us(&self) -> u64 {
        self.clock.mono_us()
    }

    fn wake_expiry(&self) {}

    fn shutdown(&self, request: ShutdownRequest) -> Result<(), String> {
        if request.abort {
            return Err("No shutdown in progress.".to_owned());
        }
        self.down.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn facts(&self) -> Facts {
        Facts { pid: std::process::id(), threads: 1, ..Facts::default() }
    }

    fn configure(&self, _: &Config, _: &Config) -> Result<(), String> {
        Ok(())
    }

    fn rewrite_config(&self, _: &Config) -> Result<(), String> {
        Err("The server is running without a config file".to_owned())
    }

    fn discard(&self, garbage: Box<dyn Any + Send>) {
        drop(garbage);
    }

    fn sleep_us(&self, us: u64) {
        self.clock.sleep(Duration::from_micros(us));
    }

    fn purge_memory(&self) {}

    fn log(&self, _: &str) {}
}

/// The engine and everybody who is connected to it.
struct World {
    engine: Arc<Engine>,
    clock: Clock,
    down: Arc<AtomicBool>,
    lane: Arc<Lane>,
    lines: Vec<Rc<RefCell<Line>>>,
    /// Connections so far.
    accepted: i32,
}

/// One client's connection, seen from the server.
struct Line {
    /// Gone once the connection is closed.
    session: Option<Session>,
    mailbox: Arc<Mailbox>,
    parser: Parser,
    input: Vec<u8>,
    output: Vec<u8>,
    /// Until then the next request is held back, in Unix milliseconds.
    held_until_ms: u64,
}

struct EngineServer {
    world: Rc<RefCell<World>>,
    hand: VirtualClock,
    protocol: Protocol,
}

struct EngineClient {
    world: Rc<RefCell<World>>,
    line: Rc<RefCell<Line>>,
    last: Vec<u8>,
}

pub(crate) fn reading(clock: &Clock) -> Now {
    let now = clock.now();
    Now { unix_us: now.unix_us, mono_us: now.mono_us }
}

impl World {
    fn connect(&mut self) -> Rc<RefCell<Line>> {
        let mailbox = Arc::new(Mailbox::default());
        self.accepted += 1;
        let info = ConnectionInfo {
            addr: format!("127.0.0.1:{}", 50_000 + self.accepted),
            laddr: "127.0.0.1:6379".to_owned(),
            fd: 7 + self.accepted,
            transport: Transport::Tcp,
            local: true,
            lane: Arc::clone(&self.lane),
            mailbox: Arc::clone(&mailbox),
        };
        let session = self.engine.connect(info, reading(&self.clock));
        let line = Line {
            session: Some(session),
            mailbox,
            parser: Parser::new(),
            input: Vec::new(),
            output: Vec::new(),
            held_until_ms: 0,
        };
        let line = Rc::new(RefCell::new(line));
        self.lines.push(Rc::clone(&line));
        line
    }

    /// Drives every connection until nothing moves.
    fn drive(&mut self) {
        loop {
            let mut moved = false;
            for line in &self.lines {
                moved |= line.borrow_mut().drive(self);
                if self.down.load(Ordering::Relaxed) {
                    self.lines.iter().for_each(|line| line.borrow_mut().session = None);
                    return;
                }
            }
            if !moved {
                return;
            }
        }
    }

    /// What a server does by itself when time has passed.
    fn tick(&mut self) {
        let now = reading(&self.clock);
        while self.engine.expire(now, EXPIRE_BUDGET).more {}
        self.engine.tick(now);
        self.drive();
    }
}

impl Line {
    /// Reads letters, then runs what has arrived; whether anything happened.
    fn drive(&mut self, world: &World) -> bool {
        let mut moved = false;
        while let Some(letter) = self.mailbox.take() {
            moved = true;
            match letter {
                Letter::Kill | Letter::Overflow => self.session = None,
                Letter::Push(message) => self.output.extend_from_slice(&message),
                Letter::Resume => self.held_until_ms = 0,
                Letter::Served(reply) => self.end_wait(world, Ending::Served(reply)),
                Letter::Unblocked { error } => {
                    self.end_wait(world, Ending::Unblocked { error });
                }
            }
        }
        let now = reading(&world.clock);
        let until_ms = self.session.as_ref().and_then(Session::waits_until_ms);
        if until_ms.is_some_and(|until_ms| until_ms <= now.unix_ms()) {
            moved = true;
            self.end_wait(world, Ending::TimedOut);
        }
        let Some(mut session) = self.session.take() else { return moved };
        if session.is_waiting() || now.unix_ms() < self.held_until_ms || self.input.is_empty() {
            self.session = Some(session);
            return moved;
        }
        self.held_until_ms = 0;
        let before = (self.input.len(), self.output.len());
        session.begin_batch();
        if self.requests(world, &mut session, now) {
            self.session = Some(session);
        }
        moved || before != (self.input.len(), self.output.len()) || self.session.is_none()
    }

    /// Replies to the request that waited.
    fn end_wait(&mut self, world: &World, ending: Ending) {
        if let Some(session) = &mut self.session {
            let mut reply = Reply::new(session.protocol());
            session.end_wait(ending, &mut reply, reading(&world.clock));
            reply.write_to(&mut self.output);
            if session.is_cut() {
                self.session = None;
            }
        }
    }

    /// Runs one batch; whether the connection stays open.
    fn requests(&mut self, world: &World, session: &mut Session, now: Now) -> bool {
        let config = world.engine.config();
        let limits = Limits {
            bulk_len_max: config.proto_max_bulk_len,
            authenticated: session.is_authenticated(),
            ..Limits::default()
        };
        let mut batch = Batch::new();
        let parsed = self.parser.parse(&self.input, &limits, &mut batch, BATCH_MAX);
        let mut reply = Reply::new(session.protocol());
        let all = 0..batch.len();
        let source = (&batch, self.input.as_slice());
        let ran = pannier_engine::run(&world.engine, session, source, all, &mut reply, now);
        let mut open = ran.next != Next::Close;
        let mut consumed = parsed.consumed;
        if ran.executed < batch.len() {
            // The rest is parsed again, from its beginning.
            consumed = ran.executed.checked_sub(1).map_or(0, |last| batch.end_of(last));
            self.parser = Parser::new();
        } else if let (true, State::Broken(error)) = (open, &parsed.state) {
            reply.protocol_error(error);
            open = false;
        }
        if let Next::Held { until_ms } = ran.next {
            self.held_until_ms = until_ms;
        }
        let before = self.output.len();
        reply.write_to(&mut self.output);
        self.input.drain(..consumed);
        let client = session.client();
        client.net_in.fetch_add(consumed as u64, Ordering::Relaxed);
        client.net_out.fetch_add((self.output.len() - before) as u64, Ordering::Relaxed);
        open
    }
}

impl Server for EngineServer {
    fn connect(&mut self) -> Result<Box<dyn Client>, String> {
        let line = self.world.borrow_mut().connect();
        let mut client = EngineClient { world: Rc::clone(&self.world), line, last: Vec::new() };
        if self.protocol == Protocol::Resp3 {
            client.send(&[b"HELLO".to_vec(), b"3".to_vec()]);
            match client.receive(Duration::ZERO) {
                Received::Value(Value::Map(_)) => {}
                Received::Value(Value::Error(text)) if text.starts_with("NOAUTH") => {}
                other => return Err(format!("HELLO 3 got {other:?}")),
            }
        }
        Ok(Box::new(client))
    }

    fn pass(&mut self, time: Duration) {
        self.hand.advance(time);
        self.world.borrow_mut().tick();
    }
}

impl Drop for EngineClient {
    /// The client hangs up.
    fn drop(&mut self) {
        self.world.borrow_mut().lines.retain(|line| !Rc::ptr_eq(line, &self.line));
    }
}

impl Client for EngineClient {
    fn send(&mut self, args: &[Vec<u8>]) {
        self.send_raw(&encode(args));
    }

    fn send_raw(&mut self, bytes: &[u8]) {
        self.line.borrow_mut().input.extend_from_slice(bytes);
        self.world.borrow_mut().drive();
    }

    fn receive(&mut self, _: Duration) -> Received {
        let mut line = self.line.borrow_mut();
        match decode(&line.output) {
            Ok(Some((value, len))) => {
                self.last = line.output.drain(..len).collect();
                Received::Value(value)
            }
            Ok(None) if line.session.is_none() => Received::Closed,
            Ok(None) => Received::Nothing,
            Err(what) => Received::Garbage(what.to_string()),
        }
    }

    fn last_bytes(&self) -> &[u8] {
        &self.last
    }
}
