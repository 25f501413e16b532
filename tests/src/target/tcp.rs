//! A client over TCP.
//!
//! Blocking, with a read deadline, and nothing between it and the wire: what a library would
//! smooth over (a reply cut in two, an unexpected push, bytes after an error) is what the tests
//! want to see. The bytes of the last reply are kept, for tests that compare bytes.
//!
//! Rules: a write that fails is not an error here, the next [`Client::receive`] tells.
//!
//! The traits are in [`super`].

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use pannier_resp::decode;

use super::{Client, Protocol, Received, Value, encode};

/// A connection.
pub struct TcpClient {
    stream: TcpStream,
    buffer: Vec<u8>,
    last: Vec<u8>,
}

impl TcpClient {
    /// Connects to a port on loopback and switches to `protocol`. A server that wants a password
    /// first is left at RESP2.
    ///
    /// # Errors
    /// No connection, or `HELLO` was refused.
    pub fn connect(port: u16, protocol: Protocol) -> Result<Self, String> {
        let stream = TcpStream::connect(("127.0.0.1", port)).map_err(|e| e.to_string())?;
        stream.set_nodelay(true).map_err(|e| e.to_string())?;
        let mut client = Self { stream, buffer: Vec::new(), last: Vec::new() };
        if protocol == Protocol::Resp3 {
            match client.call(&["HELLO", "3"]) {
                Received::Value(Value::Map(_)) => {}
                Received::Value(Value::Error(text)) if text.starts_with("NOAUTH") => {}
                other => return Err(format!("HELLO 3 got {other:?}")),
            }
        }
        Ok(client)
    }

    /// Sends a command and waits up to ten seconds for its reply.
    pub fn call<A: AsRef<[u8]>>(&mut self, args: &[A]) -> Received {
        self.send_raw(&encode(args));
        self.receive(Duration::from_secs(10))
    }
}

impl Client for TcpClient {
    fn send(&mut self, args: &[Vec<u8>]) {
        self.send_raw(&encode(args));
    }

    fn send_raw(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    fn receive(&mut self, wait: Duration) -> Received {
        let mut piece = vec![0; 64 << 10];
        // A read deadline for each piece, not for the whole: a long reply that keeps coming is
        // not late.
        if self.stream.set_read_timeout(Some(wait)).is_err() {
            return Received::Closed;
        }
        loop {
            match decode(&self.buffer) {
                Ok(Some((value, len))) => {
                    self.last = self.buffer.drain(..len).collect();
                    return Received::Value(value);
                }
                Ok(None) => {}
                Err(what) => return Received::Garbage(what.to_string()),
            }
            match self.stream.read(&mut piece) {
                Ok(0) => return Received::Closed,
                Ok(n) => self.buffer.extend_from_slice(&piece[..n]),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return Received::Nothing;
                }
                Err(_) => return Received::Closed,
            }
        }
    }

    fn last_bytes(&self) -> &[u8] {
        &self.last
    }
}
