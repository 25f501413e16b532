//! Fan-out: what a published message costs the server for each subscriber that it reaches.
//!
//! Subscribers of one channel are connected, a publisher sends a pipeline of messages, and nothing
//! more is sent until every subscriber has all of them; then the next pipeline follows. The figure
//! is the server's CPU time over the messages delivered, which is the number of messages times
//! that of subscribers. redis-benchmark does not subscribe, so the load is our own: one thread
//! which waits for all sockets by epoll.
//!
//! Checked on the way: PUBLISH must tell the number of subscribers, and every subscriber must get
//! exactly the bytes of every message, in order; a byte more, less or other fails the sample.
//! Messages carry their numbers, so that one delivered twice shows.

use std::io::{ErrorKind, Read};
use std::net::TcpStream;

use anyhow::{Context, Result, ensure};
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};

use crate::client::{Client, encode};
use crate::cpu::on_cpu_ns;
use crate::definition::Fanout;
use crate::peer::Server;
use crate::result::{Row, Table, Target};
use crate::run::Run;

/// Measures every such row that was asked for.
pub(crate) fn measure(run: &mut Run) -> Table {
    let mut rows = Vec::new();
    if !run.quick {
        for row in run.definitions.fanout.clone() {
            if run.wants(&row.name) {
                rows.push(measure_row(run, &row));
            }
        }
    }
    Table { title: "Messages to many: server CPU time per message delivered".into(), rows }
}

fn measure_row(run: &mut Run, row: &Fanout) -> Row {
    eprintln!("fan-out: {}", row.name);
    let mut cells = run.cells();
    let mut servers: Vec<Option<Server>> = Vec::new();
    for index in 0..run.peers.len() {
        if run.peers[index].definition.fixed_reply {
            servers.push(None);
            continue;
        }
        let started = run.peers[index].start();
        servers.push(started.map_err(|why| run.left_out(index, &row.name, why)).ok());
    }
    for round in 0..run.rounds {
        for index in run.order(round) {
            let Some(server) = &servers[index] else { continue };
            match sample(server, row) {
                Ok(us) => cells[index].samples.push(us),
                Err(why) => {
                    run.left_out(index, &row.name, why);
                    cells[index].samples.clear();
                    servers[index] = None;
                }
            }
        }
    }
    Row::new(&row.name, "us", cells).target(Some(Target::Ratio(row.cpu_ratio)))
}

/// Microseconds of CPU for a message delivered to a subscriber.
fn sample(server: &Server, row: &Fanout) -> Result<f64> {
    let mut audience = Audience::gather(server, row.subscribers)?;
    let mut publisher = server.client()?;
    // The first pipeline makes the buffers that the others find.
    audience.hear(&mut publisher, row, 0)?;
    let before = on_cpu_ns(server.pid())?;
    let pipelines = row.messages / row.pipeline;
    (1..=pipelines).try_for_each(|number| audience.hear(&mut publisher, row, number))?;
    let spent = on_cpu_ns(server.pid())? - before;
    audience.expect_silence()?;
    Ok(spent as f64 / 1e3 / (pipelines * row.pipeline * row.subscribers as u64) as f64)
}

/// All subscribers, and how much each has heard of the pipeline under way.
struct Audience {
    sockets: Vec<TcpStream>,
    heard: Vec<usize>,
    poll: rustix::fd::OwnedFd,
    buffer: Vec<u8>,
}

impl Audience {
    fn gather(server: &Server, subscribers: usize) -> Result<Self> {
        let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut sockets = Vec::with_capacity(subscribers);
        for index in 0..subscribers {
            let mut client = server.client()?;
            let reply = client.call(&["SUBSCRIBE", CHANNEL])?.to_string();
            ensure!(reply == "(array of 3)", "SUBSCRIBE answered {reply}");
            let socket = client.into_stream()?;
            socket.set_nonblocking(true)?;
            let data = epoll::EventData::new_u64(index as u64);
            epoll::add(&poll, &socket, data, epoll::EventFlags::IN)?;
            sockets.push(socket);
        }
        let (heard, buffer) = (vec![0; subscribers], vec![0; 256 << 10]);
        Ok(Self { sockets, heard, poll, buffer })
    }

    /// Sends pipeline `number` and reads until everybody has heard all of it.
    fn hear(&mut self, publisher: &mut Client, row: &Fanout, number: u64) -> Result<()> {
        let (mut requests, mut wanted) = (Vec::new(), Vec::new());
        for index in 0..row.pipeline {
            let mut message = pannier_benches::value(index, row.message_bytes);
            let told = format!("{:012}", number * row.pipeline + index);
            message[..told.len()].copy_from_slice(told.as_bytes());
            encode(&mut requests, &[b"PUBLISH", CHANNEL.as_bytes(), &message]);
            encode(&mut wanted, &[b"message", CHANNEL.as_bytes(), &message]);
        }
        let reached = self.sockets.len().to_string();
        let count = usize::try_from(row.pipeline)?;
        publisher.exchange(
            |output| output.extend_from_slice(&requests),
            count,
            |_, reply| {
                let told = reply.to_string();
                ensure!(told == reached, "PUBLISH reached {told} of {reached} subscribers");
                Ok(())
            },
        )?;
        self.heard.fill(0);
        let mut missing = self.sockets.len();
        let mut events = Vec::with_capacity(256);
        while missing > 0 {
            epoll::wait(&self.poll, spare_capacity(&mut events), Some(&LIMIT))?;
            ensure!(!events.is_empty(), "{missing} subscribers wait for a message");
            for event in events.drain(..) {
                missing -= usize::from(self.read(event.data.u64() as usize, &wanted)?);
            }
        }
        Ok(())
    }

    /// Reads what a subscriber has got; true when that makes the pipeline whole.
    fn read(&mut self, index: usize, wanted: &[u8]) -> Result<bool> {
        let len = match self.sockets[index].read(&mut self.buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            read => read.context("a subscriber cannot read")?,
        };
        ensure!(len > 0, "the server closed a subscriber's connection");
        let rest = &wanted[self.heard[index]..];
        ensure!(rest.starts_with(&self.buffer[..len]), "a subscriber got something else");
        self.heard[index] += len;
        Ok(self.heard[index] == wanted.len())
    }

    /// Nobody has got a byte that is not of a message sent.
    fn expect_silence(&self) -> Result<()> {
        let mut events = Vec::with_capacity(1);
        epoll::wait(&self.poll, spare_capacity(&mut events), Some(&AT_ONCE))?;
        ensure!(events.is_empty(), "a subscriber got more than was published");
        Ok(())
    }
}

const CHANNEL: &str = "news";
/// A subscriber that has heard nothing for so long was forgotten.
const LIMIT: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };
const AT_ONCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };
