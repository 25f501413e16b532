//! `floor`: a server that stores nothing, for knowing what the kernel alone costs.
//!
//! One epoll loop. It reads the first request of a connection to learn how long a request is and
//! which reply its command gets, and from then on answers that reply once for every so many bytes,
//! without looking at them. That is right for redis-benchmark, whose requests of one run are all of
//! one length, and for nothing else. No server on the same kernel calls can be faster; the distance
//! to it is what parsing, looking up and storing cost.
//!
//! What it does not do: commands, inline requests, replies that do not fit the socket's buffer
//! (the connection is dropped), an end (`peers` kills it).

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

use anyhow::{Context, Result};
use clap::Parser;
use rustix::buffer::spare_capacity;
use rustix::event::epoll;

/// Answers a fixed reply for each request of the first one's length.
#[derive(Parser)]
struct Flags {
    /// The port on 127.0.0.1.
    #[arg(long)]
    port: u16,
    /// Bytes of the value in GET's reply.
    #[arg(long, default_value_t = 64)]
    value_bytes: usize,
}

/// A connection, and what its first request taught.
struct Connection {
    stream: TcpStream,
    /// Bytes of a request that has not arrived whole.
    partial: usize,
    request_len: usize,
    reply: Vec<u8>,
}

fn main() -> Result<()> {
    let flags = Flags::parse();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, flags.port))?;
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&poll, &listener, epoll::EventData::new_u64(0), epoll::EventFlags::IN)?;
    let mut connections = HashMap::new();
    let mut next_id = 1;
    let mut events = Vec::with_capacity(128);
    let mut buffer = vec![0; 256 * 1024];
    loop {
        epoll::wait(&poll, spare_capacity(&mut events), None)?;
        for event in events.drain(..) {
            let id = event.data.u64();
            if id == 0 {
                let (stream, _) = listener.accept()?;
                stream.set_nonblocking(true)?;
                stream.set_nodelay(true)?;
                let data = epoll::EventData::new_u64(next_id);
                epoll::add(&poll, &stream, data, epoll::EventFlags::IN)?;
                connections.insert(next_id, Connection::new(stream));
                next_id += 1;
            } else if let Some(connection) = connections.get_mut(&id)
                && connection.answer(&mut buffer, flags.value_bytes).is_err()
            {
                // Closing the socket takes it out of the poll as well.
                connections.remove(&id);
            }
        }
    }
}

impl Connection {
    fn new(stream: TcpStream) -> Self {
        Self { stream, partial: 0, request_len: 0, reply: Vec::new() }
    }

    /// Reads what is there and answers the requests that it completes.
    fn answer(&mut self, buffer: &mut [u8], value_bytes: usize) -> Result<()> {
        let len = match self.stream.read(buffer) {
            Ok(0) => return Err(io::Error::from(ErrorKind::UnexpectedEof).into()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            read => read?,
        };
        if self.request_len == 0 {
            self.learn(&buffer[..len], value_bytes).context("not a request")?;
        }
        let arrived = self.partial + len;
        self.partial = arrived % self.request_len;
        let replies = self.reply.repeat(arrived / self.request_len);
        Ok(self.stream.write_all(&replies)?)
    }

    /// Takes the length of the first request, and the reply to its command.
    fn learn(&mut self, input: &[u8], value_bytes: usize) -> Option<()> {
        let mut words = Vec::new();
        let mut at = 0;
        for _ in 0..number(input, &mut at)? {
            let len = number(input, &mut at)?;
            words.push(input.get(at..at + len)?);
            at += len + 2;
        }
        let mut bulk = format!("${value_bytes}\r\n").into_bytes();
        bulk.resize(bulk.len() + value_bytes, b'x');
        bulk.extend_from_slice(b"\r\n");
        self.request_len = at;
        self.reply = match *words.first()? {
            b"PING" => b"+PONG\r\n".to_vec(),
            b"GET" => bulk,
            b"SET" => b"+OK\r\n".to_vec(),
            b"INCR" | b"LPUSH" => b":1000000\r\n".to_vec(),
            b"HSET" | b"SADD" | b"ZADD" => b":0\r\n".to_vec(),
            b"LRANGE" => [b"*100\r\n".to_vec(), bulk.repeat(100)].concat(),
            // redis-benchmark asks for two parameters on a connection of its own, and goes on
            // without them.
            _ => {
                self.request_len = input.len();
                b"-ERR no\r\n-ERR no\r\n".to_vec()
            }
        };
        Some(())
    }
}

/// Reads `*3\r\n` or `$3\r\n` at `at` and moves past it.
fn number(input: &[u8], at: &mut usize) -> Option<usize> {
    let line = input.get(*at + 1..)?.split(|&byte| byte == b'\r').next()?;
    *at += line.len() + 3;
    std::str::from_utf8(line).ok()?.parse().ok()
}
