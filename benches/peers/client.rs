//! A blocking client for what redis-benchmark cannot do: fills, checks, and one timed request.
//!
//! One connection, one thread. Requests are encoded here, replies are decoded by the crate
//! redis-protocol, so that a fault in our own codec cannot hide behind itself. A batch is written
//! whole and then its replies are read; `fill` keeps batches small enough (`BATCH`) that neither
//! side's socket buffers can fill up and wait for each other.

use std::borrow::Cow;
use std::fmt;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use redis_protocol::resp2::decode::decode;
use redis_protocol::resp2::types::OwnedFrame;

/// A connection.
pub(crate) struct Client {
    stream: TcpStream,
    output: Vec<u8>,
    input: Vec<u8>,
    /// Bytes of `input` that were decoded already.
    taken: usize,
}

/// A reply, shown as `redis-cli` would without its quotes.
#[derive(PartialEq)]
pub(crate) struct Reply(OwnedFrame);

impl Client {
    /// Connects to a server of this machine.
    pub(crate) fn connect(port: u16) -> Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let stream = TcpStream::connect_timeout(&address, CONNECT_LIMIT)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(REPLY_LIMIT))?;
        stream.set_write_timeout(Some(REPLY_LIMIT))?;
        Ok(Self { stream, output: Vec::new(), input: Vec::new(), taken: 0 })
    }

    /// The connection alone; nothing may have been received that was not asked for.
    pub(crate) fn into_stream(self) -> Result<TcpStream> {
        ensure!(self.taken == self.input.len(), "the server said more than it was asked for");
        Ok(self.stream)
    }

    /// Sends one request and waits for its reply.
    pub(crate) fn call<A: AsRef<[u8]>>(&mut self, request: &[A]) -> Result<Reply> {
        self.output.clear();
        encode(&mut self.output, request);
        self.stream.write_all(&self.output).context("the server does not take the request")?;
        self.reply()
    }

    /// Sends one request whose reply must be `wanted`.
    pub(crate) fn expect<A: AsRef<[u8]>>(
        &mut self,
        request: &[A],
        wanted: impl AsRef<[u8]>,
    ) -> Result<()> {
        let (reply, wanted) = (self.call(request)?, wanted.as_ref());
        if *reply.shown() == *wanted {
            return Ok(());
        }
        let words: Vec<_> = request.iter().map(|word| excerpt(word.as_ref())).collect();
        let answer = excerpt(&reply.shown());
        bail!("{} answered {answer:?}, not {:?}", words.join(" "), excerpt(wanted))
    }

    /// Sends requests that are written already, all at once, and reads `count` replies meanwhile;
    /// an error reply ends it.
    pub(crate) fn pipeline(&mut self, requests: &[u8], count: u64) -> Result<()> {
        let mut writing = self.stream.try_clone()?;
        thread::scope(|scope| {
            let written = scope.spawn(move || writing.write_all(requests));
            for _ in 0..count {
                let reply = self.reply()?;
                ensure!(!reply.is_error(), "{reply}");
            }
            let written = written.join().map_err(|_| anyhow!("the writer panicked"))?;
            written.context("the server does not take the pipeline")
        })
    }

    /// Sends `count` requests that `build` writes by index, pipelined; an error reply ends it.
    pub(crate) fn fill(
        &mut self,
        count: u64,
        mut build: impl FnMut(u64, &mut Vec<u8>),
    ) -> Result<()> {
        let mut index = 0;
        while index < count {
            let mut end = index;
            self.output.clear();
            while end < count.min(index + BATCH) && self.output.len() < BATCH_LEN {
                build(end, &mut self.output);
                end += 1;
            }
            self.stream.write_all(&self.output).context("the server does not take the fill")?;
            for _ in index..end {
                let reply = self.reply()?;
                ensure!(!reply.is_error(), "{reply}");
            }
            index = end;
        }
        Ok(())
    }

    /// Sends the requests that `build` writes, as one, and hands `count` replies over in order.
    pub(crate) fn exchange(
        &mut self,
        build: impl FnOnce(&mut Vec<u8>),
        count: usize,
        mut each: impl FnMut(usize, &Reply) -> Result<()>,
    ) -> Result<()> {
        self.output.clear();
        build(&mut self.output);
        self.stream.write_all(&self.output).context("the server does not take the requests")?;
        (0..count).try_for_each(|index| each(index, &self.reply()?))
    }

    /// The number that DBSIZE answers.
    pub(crate) fn dbsize(&mut self) -> Result<u64> {
        let reply = self.call(&["DBSIZE"])?.to_string();
        reply.parse().with_context(|| format!("DBSIZE answered {reply:?}"))
    }

    fn reply(&mut self) -> Result<Reply> {
        loop {
            let decoded = decode(&self.input[self.taken..]).context("not a RESP2 reply")?;
            if let Some((frame, len)) = decoded {
                self.taken += len;
                return Ok(Reply(frame));
            }
            self.input.drain(..self.taken);
            self.taken = 0;
            let mut chunk = [0; 64 * 1024];
            let len = self.stream.read(&mut chunk).context("the server does not reply")?;
            ensure!(len > 0, "the server closed the connection");
            self.input.extend_from_slice(&chunk[..len]);
        }
    }
}

/// Appends a request as the wire has it.
pub(crate) fn encode<A: AsRef<[u8]>>(output: &mut Vec<u8>, request: &[A]) {
    // Writing into a vector does not fail.
    let _ = write!(output, "*{}\r\n", request.len());
    for word in request {
        let word = word.as_ref();
        let _ = write!(output, "${}\r\n", word.len());
        output.extend_from_slice(word);
        output.extend_from_slice(b"\r\n");
    }
}

/// The beginning of a text, for messages.
fn excerpt(bytes: &[u8]) -> String {
    let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(EXCERPT_LEN)]);
    if bytes.len() > EXCERPT_LEN { format!("{shown}...") } else { shown.into_owned() }
}

impl Reply {
    /// The bytes of a string; `None` when it is the null reply or anything else.
    pub(crate) fn bytes(&self) -> Option<&[u8]> {
        match &self.0 {
            OwnedFrame::SimpleString(bytes) | OwnedFrame::BulkString(bytes) => Some(bytes),
            _ => None,
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self.0, OwnedFrame::Null)
    }

    /// The reply's own bytes where it is a string, else as it is shown.
    fn shown(&self) -> Cow<'_, [u8]> {
        match &self.0 {
            OwnedFrame::SimpleString(text) | OwnedFrame::BulkString(text) => Cow::Borrowed(text),
            _ => Cow::Owned(self.to_string().into_bytes()),
        }
    }

    pub(crate) fn is_error(&self) -> bool {
        matches!(self.0, OwnedFrame::Error(_))
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            OwnedFrame::SimpleString(text) | OwnedFrame::BulkString(text) => {
                f.write_str(&String::from_utf8_lossy(text))
            }
            OwnedFrame::Error(text) => write!(f, "(error) {text}"),
            OwnedFrame::Integer(number) => write!(f, "{number}"),
            OwnedFrame::Array(elements) => write!(f, "(array of {})", elements.len()),
            OwnedFrame::Null => f.write_str("(nil)"),
        }
    }
}

const CONNECT_LIMIT: Duration = Duration::from_secs(2);
/// Longer than any stall worth a figure; beyond it the server counts as hanging.
const REPLY_LIMIT: Duration = Duration::from_secs(30);
/// Bytes of a word that a message shows.
const EXCERPT_LEN: usize = 60;
/// Requests written before their replies are read.
const BATCH: u64 = 500;
/// Bytes of them after which no further one is added.
const BATCH_LEN: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_an_array_of_bulk_strings() {
        let mut output = Vec::new();
        encode(&mut output, &["GET", "key"]);
        assert_eq!(output, b"*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n");
    }

    #[test]
    fn replies_are_shown_as_text() {
        let shown = |frame| Reply(frame).to_string();
        assert_eq!(shown(OwnedFrame::Integer(-3)), "-3");
        assert_eq!(shown(OwnedFrame::Null), "(nil)");
        assert_eq!(shown(OwnedFrame::Error("ERR no".into())), "(error) ERR no");
        assert_eq!(shown(OwnedFrame::Array(vec![OwnedFrame::Null])), "(array of 1)");
    }
}
