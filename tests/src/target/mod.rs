//! What a transcript can be run on.
//!
//! A [`Target`] opens servers, a [`Server`] opens connections and lets time pass, a [`Client`]
//! sends requests and receives replies. Three small traits, because a server in this process, one
//! of ours over TCP and a real Valkey differ in nothing else. Sending and receiving are apart, so
//! that one thread can play several clients of which some are blocked.
//!
//! Rules: every file gets a fresh server, so that no file depends on another; a real server costs
//! about 40 ms for that, which four lanes hide. Servers listen on loopback only, write no files
//! outside their temporary directory, and die with their value.
//!
//! [`in_process`] is the engine under a virtual clock, [`spawned`] starts servers as processes,
//! [`oracle`] finds the real ones, [`tcp`] is the client over a socket. The runner is in
//! [`crate::transcript`].

use std::fmt;
use std::time::Duration;

pub mod in_process;
pub mod oracle;
pub mod spawned;
pub mod tcp;

pub use pannier_resp::Value;

/// Who made a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Maker {
    /// This project.
    Pannier,
    /// The Valkey project.
    Valkey,
    /// The Redis project.
    Redis,
}

impl fmt::Display for Maker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pannier => "pannier",
            Self::Valkey => "valkey",
            Self::Redis => "redis",
        })
    }
}

/// The protocol a client speaks from its first command on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// What every connection begins with.
    Resp2,
    /// What `HELLO 3` switches to.
    Resp3,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resp2 => "RESP2",
            Self::Resp3 => "RESP3",
        })
    }
}

/// A server's version: major, minor, patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub [u32; 3]);

impl Version {
    /// Reads `9`, `9.1` or `9.1.2`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = [0; 3];
        let mut words = text.split('.');
        for part in &mut parts {
            match words.next() {
                Some(word) => *part = word.parse().ok()?,
                None => break,
            }
        }
        words.next().is_none().then_some(Self(parts))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.0;
        write!(f, "{major}.{minor}.{patch}")
    }
}

/// The facts about a target that expected replies may depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Who made it.
    pub maker: Maker,
    /// Which version it is.
    pub version: Version,
    /// What its clients speak.
    pub protocol: Protocol,
    /// Whether time passes only when it is told to.
    pub virtual_clock: bool,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}, {}", self.maker, self.version, self.protocol)?;
        if self.virtual_clock { f.write_str(", in process") } else { Ok(()) }
    }
}

/// Something that opens servers of one kind.
pub trait Target: Sync {
    /// What it is.
    fn place(&self) -> Place;
    /// Opens a fresh server; `directives` are like `--requirepass x`.
    ///
    /// # Errors
    /// The server did not start, in words.
    fn open(&self, directives: &[String]) -> Result<Box<dyn Server>, String>;
}

/// A running server.
pub trait Server {
    /// Opens a connection that speaks the target's protocol.
    ///
    /// # Errors
    /// No connection was made, in words.
    fn connect(&mut self) -> Result<Box<dyn Client>, String>;
    /// Lets time pass.
    fn pass(&mut self, time: Duration);
}

/// A connection to a server.
pub trait Client {
    /// Sends a command.
    fn send(&mut self, args: &[Vec<u8>]);
    /// Sends bytes as they are.
    fn send_raw(&mut self, bytes: &[u8]);
    /// The next message from the server, waited for at most so long. A client in process does not
    /// wait: there, what has not come does not come before time passes.
    fn receive(&mut self, wait: Duration) -> Received;
    /// The bytes of the message that was received last.
    fn last_bytes(&self) -> &[u8];
}

/// What came from a server.
#[derive(Debug, Clone, PartialEq)]
pub enum Received {
    /// A reply or a push.
    Value(Value),
    /// Nothing in that time.
    Nothing,
    /// The end of the connection.
    Closed,
    /// Bytes that are no reply.
    Garbage(String),
}

/// A command as it is sent: an array of bulk strings.
pub fn encode<A: AsRef<[u8]>>(args: &[A]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", args.len()).into_bytes();
    for arg in args {
        let arg = arg.as_ref();
        out.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        out.extend_from_slice(arg);
        out.extend_from_slice(b"\r\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_compared_by_number() {
        assert_eq!(Version::parse("9.1"), Some(Version([9, 1, 0])));
        assert_eq!(Version::parse("7.0.15"), Some(Version([7, 0, 15])));
        assert!(Version::parse("7.0.15") < Version::parse("7.2"));
        assert_eq!(Version::parse("nine"), None);
        assert_eq!(Version::parse("1.2.3.4"), None);
    }
}
