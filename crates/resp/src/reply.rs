//! The reply writer: everything a server says, in RESP2 or RESP3.
//!
//! Replies of a whole batch go into one growing buffer. A large value that the keyspace
//! shares goes in by reference instead (`shared`), so that sending it costs no copy under a lock;
//! the socket gets both kinds in one vectored write. A handler names what it means (map, set,
//! double, null) and the protocol of its session decides the bytes, so no handler asks which
//! protocol it speaks unless the replies differ in shape.
//!
//! Rules: a length known only afterwards is announced by `deferred` and filled innermost first;
//! filling moves what came after it, unless that is much, when the header becomes a part of
//! its own. `cut` takes everything back to a mark, which is how an error discards half a reply.
//! A mark taken inside a deferred length is void once that length is filled. Bytes follow
//! Valkey 9.1. `pending` keeps what a socket did not take. Tests at the bottom.

use std::io::IoSlice;

use bytes::Bytes;

use crate::double::{DOUBLE_LEN_MAX, format_f64};
use crate::error::ProtocolError;
use crate::pending::Part;

/// Which version of the protocol a session speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Since Redis 1.2; the default of a connection.
    Resp2,
    /// Since Redis 6, chosen by HELLO.
    Resp3,
}

/// Replies being built.
#[derive(Debug)]
pub struct Reply {
    protocol: Protocol,
    buf: Vec<u8>,
    /// Parts by reference, in order, each with the offset in `buf` before which it stands.
    shared: Vec<(usize, Bytes)>,
    shared_len: usize,
    /// Deferred lengths that are not filled.
    open: usize,
}

/// A place in a reply that one can cut back to.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    buf: usize,
    shared: usize,
    shared_len: usize,
    open: usize,
}

/// A length that is filled in later.
#[derive(Debug)]
#[must_use = "an aggregate without a header breaks the stream"]
pub struct Deferred {
    at: usize,
    depth: usize,
}

impl Reply {
    /// An empty reply; allocates nothing.
    pub const fn new(protocol: Protocol) -> Self {
        Self { protocol, buf: Vec::new(), shared: Vec::new(), shared_len: 0, open: 0 }
    }

    /// Changes the protocol of what is written from now on.
    pub fn set_protocol(&mut self, protocol: Protocol) {
        self.protocol = protocol;
    }

    /// `+OK`.
    #[inline]
    pub fn ok(&mut self) {
        self.buf.extend_from_slice(b"+OK\r\n");
    }

    /// A status such as `PONG`; holds no CR or LF.
    pub fn simple(&mut self, text: &str) {
        debug_assert!(!text.contains(['\r', '\n']), "a status is one line");
        self.line(b'+', text.as_bytes());
    }

    /// A status of any bytes. CR and LF become spaces.
    pub fn simple_bytes(&mut self, text: &[u8]) {
        self.buf.push(b'+');
        let space = |byte: &u8| if matches!(byte, b'\r' | b'\n') { b' ' } else { *byte };
        self.buf.extend(text.iter().map(space));
        self.buf.extend_from_slice(b"\r\n");
    }

    /// An error such as `ERR no such key`, without the `-`. CR and LF become spaces.
    pub fn error(&mut self, text: &str) {
        self.error_bytes(text.as_bytes());
    }

    /// As [`Reply::error`], for a text that quotes what a client sent.
    #[cold]
    pub fn error_bytes(&mut self, text: &[u8]) {
        let is_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
        let len = text.iter().rposition(|byte| !is_end(byte)).map_or(0, |last| last + 1);
        self.buf.push(b'-');
        self.buf.extend(text[..len].iter().map(|byte| if is_end(byte) { b' ' } else { *byte }));
        self.buf.extend_from_slice(b"\r\n");
    }

    /// The error that a broken request gets before its connection closes.
    pub fn protocol_error(&mut self, error: &ProtocolError) {
        self.error_bytes(&[b"ERR ", &error.wire_text()[..]].concat());
    }

    /// An integer.
    #[inline]
    pub fn integer(&mut self, n: i64) {
        if let 0..=9 = n {
            self.buf.extend_from_slice(&[b':', b'0' + n as u8, b'\r', b'\n']);
        } else {
            self.line(b':', itoa::Buffer::new().format(n).as_bytes());
        }
    }

    /// A string of any bytes, copied.
    #[inline]
    pub fn bulk(&mut self, bytes: &[u8]) {
        self.buf.reserve(bytes.len() + HEADER_LEN_MAX + 2);
        self.header(b'$', bytes.len());
        self.buf.extend_from_slice(bytes);
        self.buf.extend_from_slice(b"\r\n");
    }

    /// A string of `len` bytes that `write` appends, or nothing if it fails.
    ///
    /// # Errors
    /// That of `write`.
    pub fn bulk_with<E>(
        &mut self,
        len: usize,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let before = self.buf.len();
        self.buf.reserve(len + HEADER_LEN_MAX + 2);
        self.header(b'$', len);
        let begin = self.buf.len();
        if let Err(error) = write(&mut self.buf) {
            self.buf.truncate(before);
            return Err(error);
        }
        assert!(self.buf.len() == begin + len, "the length was announced");
        self.buf.extend_from_slice(b"\r\n");
        Ok(())
    }

    /// An integer as a string of digits.
    #[inline]
    pub fn bulk_integer(&mut self, n: i64) {
        self.bulk(itoa::Buffer::new().format(n).as_bytes());
    }

    /// A string that is shared with the keyspace: by reference from [`SHARED_MIN`] bytes on.
    pub fn shared(&mut self, bytes: Bytes) {
        if bytes.len() < SHARED_MIN {
            return self.bulk(&bytes);
        }
        self.header(b'$', bytes.len());
        self.shared_len += bytes.len();
        self.shared.push((self.buf.len(), bytes));
        self.buf.extend_from_slice(b"\r\n");
    }

    /// No value.
    #[inline]
    pub fn null(&mut self) {
        self.buf.extend_from_slice(match self.protocol {
            Protocol::Resp2 => b"$-1\r\n",
            Protocol::Resp3 => b"_\r\n",
        });
    }

    /// No value where an array was expected.
    pub fn null_array(&mut self) {
        self.buf.extend_from_slice(match self.protocol {
            Protocol::Resp2 => b"*-1\r\n",
            Protocol::Resp3 => b"_\r\n",
        });
    }

    /// Announces an array of `len` replies.
    #[inline]
    pub fn array(&mut self, len: usize) {
        self.header(b'*', len);
    }

    /// Announces `pairs` keys, each followed by its value.
    pub fn map(&mut self, pairs: usize) {
        let (kind, len) = self.map_header(pairs);
        self.header(kind, len);
    }

    /// Announces a set of `len` replies.
    pub fn set(&mut self, len: usize) {
        let kind = self.set_kind();
        self.header(kind, len);
    }

    /// Announces a message out of turn, of `len` replies.
    pub fn push(&mut self, len: usize) {
        let kind = if self.protocol == Protocol::Resp2 { b'*' } else { b'>' };
        self.header(kind, len);
    }

    /// Announces attributes of the reply that follows them. RESP2 has none: writing them there
    /// would shift every later reply, so a caller asks for the protocol first.
    pub fn attribute(&mut self, pairs: usize) {
        debug_assert!(self.protocol == Protocol::Resp3, "RESP2 has no attributes");
        self.header(b'|', pairs);
    }

    /// A floating-point number.
    pub fn double(&mut self, d: f64) {
        let mut text = [0; DOUBLE_LEN_MAX];
        let text = format_f64(d, &mut text).as_bytes();
        match self.protocol {
            Protocol::Resp2 => self.bulk(text),
            Protocol::Resp3 => self.line(b',', text),
        }
    }

    /// A truth value.
    pub fn boolean(&mut self, b: bool) {
        self.buf.extend_from_slice(match (self.protocol, b) {
            (Protocol::Resp2, false) => b":0\r\n",
            (Protocol::Resp2, true) => b":1\r\n",
            (Protocol::Resp3, false) => b"#f\r\n",
            (Protocol::Resp3, true) => b"#t\r\n",
        });
    }

    /// An integer of any size.
    pub fn big_number(&mut self, digits: &str) {
        match self.protocol {
            Protocol::Resp2 => self.bulk(digits.as_bytes()),
            Protocol::Resp3 => self.line(b'(', digits.as_bytes()),
        }
    }

    /// A text for people, in a format of three characters (`txt`, `mkd`).
    pub fn verbatim(&mut self, format: &str, text: &[u8]) {
        debug_assert!(format.len() == 3, "a verbatim string's format has three bytes");
        if self.protocol == Protocol::Resp2 {
            return self.bulk(text);
        }
        self.header(b'=', text.len() + 4);
        self.buf.extend_from_slice(format.as_bytes());
        self.buf.push(b':');
        self.buf.extend_from_slice(text);
        self.buf.extend_from_slice(b"\r\n");
    }

    /// Bytes that are replies already.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.buf.extend_from_slice(bytes);
    }

    /// Bytes that are replies already and shared: by reference when they are many.
    pub fn raw_shared(&mut self, bytes: Bytes) {
        if bytes.len() < SHARED_MIN {
            return self.raw(&bytes);
        }
        self.shared_len += bytes.len();
        self.shared.push((self.buf.len(), bytes));
    }

    /// Announces an aggregate whose length is known only after its elements are written.
    pub fn deferred(&mut self) -> Deferred {
        self.open += 1;
        Deferred { at: self.buf.len(), depth: self.open }
    }

    /// The deferred aggregate is an array of `len` replies.
    pub fn fill_array(&mut self, deferred: Deferred, len: usize) {
        self.fill(deferred, b'*', len);
    }

    /// The deferred aggregate is a map of `pairs` keys and values.
    pub fn fill_map(&mut self, deferred: Deferred, pairs: usize) {
        let (kind, len) = self.map_header(pairs);
        self.fill(deferred, kind, len);
    }

    /// The deferred aggregate is a set of `len` replies.
    pub fn fill_set(&mut self, deferred: Deferred, len: usize) {
        let kind = self.set_kind();
        self.fill(deferred, kind, len);
    }

    /// Takes back what was written since the mark.
    pub fn cut(&mut self, mark: Mark) {
        debug_assert!(mark.buf <= self.buf.len(), "a mark of an earlier reply");
        self.buf.truncate(mark.buf);
        self.shared.truncate(mark.shared);
        (self.shared_len, self.open) = (mark.shared_len, mark.open);
    }

    /// Keeps no more than so many bytes of what was written since the mark.
    pub fn keep(&mut self, mark: Mark, len: usize) {
        if self.len_since(mark) <= len {
            return;
        }
        let (mut skip, mut kept) = (mark.buf + mark.shared_len, Vec::new());
        self.parts(|part, _| {
            let (skipped, part) = part.split_at(skip.min(part.len()));
            skip -= skipped.len();
            kept.extend_from_slice(&part[..part.len().min(len - kept.len())]);
        });
        self.cut(mark);
        self.raw(&kept);
    }

    /// Empties the reply, and keeps a reasonable capacity.
    pub fn clear(&mut self) {
        self.buf.clear();
        if self.buf.capacity() > CAPACITY_KEPT {
            self.buf.shrink_to(CAPACITY_KEPT);
        }
        self.shared.clear();
        (self.shared_len, self.open) = (0, 0);
    }

    /// The protocol spoken.
    #[inline]
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// The present end.
    #[inline]
    pub fn mark(&self) -> Mark {
        Mark {
            buf: self.buf.len(),
            shared: self.shared.len(),
            shared_len: self.shared_len,
            open: self.open,
        }
    }

    /// The error that was written at the mark, without `-` and line end, if one was.
    pub fn starts_with_error_at(&self, mark: Mark) -> Option<&[u8]> {
        let line = self.buf.get(mark.buf..)?.strip_prefix(b"-")?;
        let end = memchr::memchr(b'\r', line)?;
        Some(&line[..end])
    }

    /// Bytes written, those by reference included.
    #[inline]
    pub fn len(&self) -> usize {
        self.buf.len() + self.shared_len
    }

    /// Bytes written since the mark.
    pub fn len_since(&self, mark: Mark) -> usize {
        self.len() - mark.buf - mark.shared_len
    }

    /// Whether nothing is written.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.buf.is_empty() && self.shared.is_empty()
    }

    /// Everything as one slice, unless some of it is by reference.
    #[inline]
    pub fn as_slice(&self) -> Option<&[u8]> {
        self.shared.is_empty().then_some(&self.buf)
    }

    /// Appends everything in order as slices, for one vectored write.
    pub fn slices<'a>(&'a self, out: &mut Vec<IoSlice<'a>>) {
        self.parts(|part, _| out.push(IoSlice::new(part)));
    }

    /// Appends a copy of everything.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        out.reserve(self.len());
        self.parts(|part, _| out.extend_from_slice(part));
    }

    /// Hands over everything in order, and clears.
    pub(crate) fn drain(&mut self, mut take: impl FnMut(Part<'_>)) {
        self.parts(|part, shared| {
            take(match shared {
                Some(bytes) => Part::Shared(bytes.clone()),
                None => Part::Copied(part),
            });
        });
        self.clear();
    }

    /// Calls `visit` with each part in order, and with its reference when it has one.
    fn parts<'a>(&'a self, mut visit: impl FnMut(&'a [u8], Option<&'a Bytes>)) {
        let mut from = 0;
        for (at, bytes) in &self.shared {
            if from < *at {
                visit(&self.buf[from..*at], None);
            }
            visit(bytes, Some(bytes));
            from = *at;
        }
        if from < self.buf.len() {
            visit(&self.buf[from..], None);
        }
    }

    fn map_header(&self, pairs: usize) -> (u8, usize) {
        match self.protocol {
            Protocol::Resp2 => (b'*', pairs * 2),
            Protocol::Resp3 => (b'%', pairs),
        }
    }

    fn set_kind(&self) -> u8 {
        if self.protocol == Protocol::Resp2 { b'*' } else { b'~' }
    }

    fn line(&mut self, kind: u8, text: &[u8]) {
        self.buf.reserve(text.len() + 3);
        self.buf.push(kind);
        self.buf.extend_from_slice(text);
        self.buf.extend_from_slice(b"\r\n");
    }

    /// `kind`, the number, CR LF. Up to 999 it is one store of known size.
    #[inline]
    fn header(&mut self, kind: u8, n: usize) {
        let digit = |n: usize| b'0' + (n % 10) as u8;
        match n {
            0..=9 => self.buf.extend_from_slice(&[kind, digit(n), b'\r', b'\n']),
            10..=99 => {
                self.buf.extend_from_slice(&[kind, digit(n / 10), digit(n), b'\r', b'\n']);
            }
            100..=999 => self.buf.extend_from_slice(&[
                kind,
                digit(n / 100),
                digit(n / 10),
                digit(n),
                b'\r',
                b'\n',
            ]),
            _ => self.line(kind, itoa::Buffer::new().format(n).as_bytes()),
        }
    }

    fn fill(&mut self, deferred: Deferred, kind: u8, len: usize) {
        let Deferred { at, depth } = deferred;
        debug_assert!(depth == self.open, "deferred lengths are filled innermost first");
        self.open = depth - 1;
        let end = self.buf.len();
        self.header(kind, len);
        let header_len = self.buf.len() - end;
        let later = self.shared.partition_point(|(offset, _)| *offset < at);
        if end - at > MOVED_MAX {
            let header = Bytes::copy_from_slice(&self.buf[end..]);
            self.buf.truncate(end);
            self.shared_len += header_len;
            self.shared.insert(later, (at, header));
            return;
        }
        let mut header = [0; HEADER_LEN_MAX];
        header[..header_len].copy_from_slice(&self.buf[end..]);
        self.buf.copy_within(at..end, at + header_len);
        self.buf[at..at + header_len].copy_from_slice(&header[..header_len]);
        self.shared[later..].iter_mut().for_each(|(offset, _)| *offset += header_len);
    }
}

/// From so many bytes on a shared value is sent by reference: below, copying is cheaper than
/// another slice in the vectored write.
pub const SHARED_MIN: usize = 16 << 10;

/// `kind`, twenty digits, CR LF.
const HEADER_LEN_MAX: usize = 23;

/// Capacity that an emptied reply keeps.
const CAPACITY_KEPT: usize = 64 << 10;

/// Bytes that filling a deferred length moves at most.
const MOVED_MAX: usize = 64 << 10;
