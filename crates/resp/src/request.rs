//! The hot parser: cuts whole requests out of a buffer of bytes that a client sent.
//!
//! A request is `*n CRLF` and n times `$len CRLF bytes CRLF`, or a typed line (see `inline`).
//! The parser writes down only where the arguments lie, as eight-byte spans counted from the
//! request's first byte, so nothing is copied or allocated per request, and spans outlive a move
//! of the buffer. A header of up to four digits, which is nearly every one, is compared with its
//! few possible forms. Reading it as one eight-byte word without branches was tried and lost, by
//! 60 against 50 ns a request even with random lengths: each header's place depends on
//! the one before, and predicted branches take that chain off the processor's critical path.
//!
//! Rules: bytes that were looked at are not looked at again, so a request that arrives byte by
//! byte costs O(n) in all; the spans of a half-arrived request live in the parser until it is
//! whole. Nothing is reserved on a client's word: memory grows with the bytes that arrived,
//! at most 8/6 of them. Splitting the input differently never changes the outcome; Valkey's own
//! 64 KiB line limit depends on how it happened to read, here it counts the line's bytes.
//! Before authentication one request is delivered at a time, because it may change the limits.
//!
//! The errors' order is Valkey 9.1's. Callers drop `consumed` bytes before they parse again.
//! Tested in `tests/request_parser.rs` and by the fuzz target `request`.

use crate::batch::Batch;
use crate::error::ProtocolError;
use crate::inline;

/// Where an argument lies, in bytes from the request's first byte (or its part of `side`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Offset of the first byte.
    pub start: u32,
    /// Number of bytes.
    pub len: u32,
}

impl Span {
    /// The caller has checked that both fit, see `REQUEST_LEN_MAX`.
    pub(crate) fn new(start: usize, len: usize) -> Self {
        Self { start: start as u32, len: len as u32 }
    }

    pub(crate) fn range(self) -> std::ops::Range<usize> {
        let start = self.start as usize;
        start..start + self.len as usize
    }
}

/// The limits that apply to a connection's requests.
#[derive(Debug, Clone)]
pub struct Limits {
    /// `proto-max-bulk-len`: the longest argument in bytes.
    pub bulk_len_max: usize,
    /// The largest number of arguments.
    pub multibulk_max: usize,
    /// The longest line in bytes, of an inline request or of a header; at least 16 are allowed.
    pub inline_max: usize,
    /// Whether the client may run commands; until then ten arguments of 16 KiB are allowed.
    pub authenticated: bool,
}

impl Limits {
    /// A header that `short_header` reads is within any limit.
    fn line_max(&self) -> usize {
        self.inline_max.max(16)
    }
}

impl Default for Limits {
    /// The limits of a server with default configuration, for an authenticated client.
    fn default() -> Self {
        Self {
            bulk_len_max: 512 << 20,
            multibulk_max: i32::MAX as usize,
            inline_max: 64 << 10,
            authenticated: true,
        }
    }
}

/// What a call of [`Parser::parse`] did.
#[derive(Debug, PartialEq, Eq)]
pub struct Parsed {
    /// Bytes of whole requests and empty lines. The caller drops them once it has executed the
    /// batch, and before it parses again.
    pub consumed: usize,
    /// Why parsing stopped.
    pub state: State,
}

/// Why parsing stopped.
#[derive(Debug, PartialEq, Eq)]
pub enum State {
    /// The rest of the buffer is not a whole request.
    NeedMore {
        /// Bytes that are known to be missing, at least 1.
        hint: usize,
    },
    /// As many requests were delivered as were asked for; the buffer holds more bytes.
    Full,
    /// The stream cannot be understood from here on. Requests before that are in the batch.
    Broken(ProtocolError),
}

/// Cuts requests from one connection's bytes, and remembers where a half-arrived one stands.
///
/// ```
/// use pannier_resp::{Batch, Limits, Parser, State};
///
/// let input = b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*1\r\n$4\r\nPI";
/// let (mut parser, mut batch) = (Parser::new(), Batch::new());
/// let parsed = parser.parse(input, &Limits::default(), &mut batch, 100);
/// assert_eq!(parsed.state, State::NeedMore { hint: 4 });
/// assert_eq!(parsed.consumed, 20);
/// assert_eq!(batch.request(0, input).get(1), b"k");
/// ```
#[derive(Debug, Default)]
pub struct Parser {
    /// The arguments of the half-arrived request.
    partial: Vec<Span>,
    cursor: Cursor,
}

/// Where a half-arrived request stands. All offsets count from the request's first byte.
#[derive(Debug, Default, Clone, Copy)]
struct Cursor {
    /// Arguments still missing; 0 means that not even the `*` line is whole.
    missing: usize,
    /// Where the next header or argument begins.
    at: usize,
    /// The length of the argument at `at`, when its header was read.
    bulk_len: Option<usize>,
    /// Bytes of the line at `at` that hold no line end.
    searched: usize,
}

/// What stopped the parsing of one request.
enum Stop {
    NeedMore(usize),
    Broken(ProtocolError),
}

impl From<ProtocolError> for Stop {
    fn from(error: ProtocolError) -> Self {
        Self::Broken(error)
    }
}

impl Parser {
    /// A parser at the beginning of a stream.
    pub const fn new() -> Self {
        Self {
            partial: Vec::new(),
            cursor: Cursor { missing: 0, at: 0, bulk_len: None, searched: 0 },
        }
    }

    /// Cuts whole requests out of `buf`, which begins with the unconsumed rest of earlier
    /// calls, into `batch`: at most `max` of them, and one before authentication.
    pub fn parse(&mut self, buf: &[u8], limits: &Limits, batch: &mut Batch, max: usize) -> Parsed {
        let full = batch.len().saturating_add(if limits.authenticated { max } else { max.min(1) });
        let mut start = 0;
        let state = loop {
            let input = &buf[start..];
            let Some(&first) = input.first() else { break State::NeedMore { hint: 1 } };
            if batch.len() >= full {
                break State::Full;
            }
            let len = if first == b'*' {
                self.multibulk(input, limits, batch, start)
            } else {
                self.inline(input, limits, batch, start)
            };
            match len {
                Ok(len) => start += len,
                Err(Stop::NeedMore(hint)) => break State::NeedMore { hint },
                Err(Stop::Broken(error)) => break State::Broken(error),
            }
        };
        Parsed { consumed: start, state }
    }

    /// Whether part of a request has been seen.
    pub fn is_mid_request(&self) -> bool {
        self.cursor.missing > 0 || self.cursor.searched > 0
    }

    /// Parses the request at the head of `input`; returns its length.
    #[inline]
    fn multibulk(
        &mut self,
        input: &[u8],
        limits: &Limits,
        batch: &mut Batch,
        start: usize,
    ) -> Result<usize, Stop> {
        let first = batch.spans.len();
        let mut cursor = self.cursor;
        let resumed = cursor.missing > 0;
        if !resumed && !cursor.open(input, limits, &mut self.cursor)? {
            return Ok(cursor.at);
        }
        let spans = if resumed { &mut self.partial } else { &mut batch.spans };
        if let Err(stop) = cursor.arguments(input, limits, spans) {
            if !resumed {
                self.partial.extend(batch.spans.drain(first..));
            }
            self.cursor = cursor;
            return Err(stop);
        }
        if resumed {
            batch.spans.extend_from_slice(&self.partial);
            self.forget_partial();
        }
        batch.push(first, start, cursor.at, None);
        Ok(cursor.at)
    }

    /// Parses the typed line at the head of `input`; returns its length.
    #[cold]
    fn inline(
        &mut self,
        input: &[u8],
        limits: &Limits,
        batch: &mut Batch,
        start: usize,
    ) -> Result<usize, Stop> {
        let window = &input[..input.len().min(limits.line_max() + 1)];
        let from = self.cursor.searched.min(window.len());
        // A NUL ends Valkey's search too, so a line that holds one never becomes whole.
        let found = memchr::memchr2(b'\n', 0, &window[from..]).map(|index| from + index);
        let Some(end) = found.filter(|&index| window[index] == b'\n') else {
            if input.len() > limits.line_max() {
                return Err(ProtocolError::TooBigInline.into());
            }
            self.cursor.searched = found.unwrap_or(window.len());
            return Err(Stop::NeedMore(1));
        };
        self.cursor = Cursor::default();
        let (first, base) = (batch.spans.len(), batch.side.len());
        let line = input[..end].strip_suffix(b"\r").unwrap_or(&input[..end]);
        inline::split(line, &mut batch.side, base, &mut batch.spans)
            .map_err(|_| ProtocolError::UnbalancedQuotes)?;
        if batch.spans.len() > first {
            batch.push(first, start, end + 1, Some(base));
        }
        Ok(end + 1)
    }

    fn forget_partial(&mut self) {
        self.cursor = Cursor::default();
        self.partial.clear();
        self.partial.shrink_to(SPANS_KEPT);
    }
}

impl Cursor {
    /// Reads the `*` line. False: there is no argument, and the request is over.
    #[inline]
    fn open(&mut self, input: &[u8], limits: &Limits, kept: &mut Self) -> Result<bool, Stop> {
        let count = match short_header(input) {
            Some((count, len)) => {
                (self.at, self.searched) = (len, 0);
                count as i64
            }
            None => match self.header(input, limits, ProtocolError::TooBigMultibulkCount) {
                Ok(count) => count.ok_or(ProtocolError::InvalidMultibulkLength)?,
                Err(stop) => {
                    kept.searched = self.searched;
                    return Err(stop);
                }
            },
        };
        if count > limits.multibulk_max as i64 {
            return Err(ProtocolError::InvalidMultibulkLength.into());
        }
        if count > UNAUTHENTICATED_ARGUMENTS_MAX && !limits.authenticated {
            return Err(ProtocolError::UnauthenticatedMultibulkLength.into());
        }
        *kept = Self::default();
        self.missing = count.max(0) as usize;
        Ok(count > 0)
    }

    /// Reads arguments until none is missing or the input ends.
    #[inline]
    fn arguments(
        &mut self,
        input: &[u8],
        limits: &Limits,
        spans: &mut Vec<Span>,
    ) -> Result<(), Stop> {
        loop {
            if self.bulk_len.is_none() {
                self.short_arguments(input, limits, spans);
            }
            if self.missing == 0 {
                return Ok(());
            }
            self.any_argument(input, limits, spans)?;
        }
    }

    /// Reads whole arguments with short headers as long as there are some. Its state is
    /// in local variables, hence in registers; whatever is unusual is left to `any_argument`.
    #[inline]
    fn short_arguments(&mut self, input: &[u8], limits: &Limits, spans: &mut Vec<Span>) {
        let input = &input[..input.len().min(REQUEST_LEN_MAX)];
        let (mut at, mut missing) = (self.at, self.missing);
        while missing > 0 {
            let Some(line) = input.get(at..) else { break };
            let Some((len, header)) = short_header(line) else { break };
            let end = header + len;
            if line[0] != b'$' || len > limits.bulk_len_max || line.get(end..end + 2) != CRLF {
                break;
            }
            spans.push(Span::new(at + header, len));
            at += end + 2;
            missing -= 1;
        }
        if at > self.at {
            (self.at, self.missing, self.searched) = (at, missing, 0);
        }
    }

    /// Reads one argument of any length, or finds out what is wrong with it.
    #[inline(never)]
    fn any_argument(
        &mut self,
        input: &[u8],
        limits: &Limits,
        spans: &mut Vec<Span>,
    ) -> Result<(), Stop> {
        let len = match self.bulk_len {
            Some(len) => len,
            None => self.bulk_header(input, limits)?,
        };
        let rest = &input[self.at..];
        let Some(tail) = rest.get(len..len + 2) else {
            self.bulk_len = Some(len);
            return Err(Stop::NeedMore(len + 2 - rest.len()));
        };
        if Some(tail) != CRLF {
            return Err(ProtocolError::InvalidLineEnd.into());
        }
        spans.push(Span::new(self.at, len));
        self.at += len + 2;
        self.missing -= 1;
        self.bulk_len = None;
        Ok(())
    }

    /// Reads the `$` line at `at`, moves past it and returns the argument's length.
    fn bulk_header(&mut self, input: &[u8], limits: &Limits) -> Result<usize, Stop> {
        let number = self.header(input, limits, ProtocolError::TooBigBulkCount)?;
        let len = number.and_then(|len| usize::try_from(len).ok());
        let len = len.ok_or(ProtocolError::InvalidBulkLength)?;
        if len > limits.bulk_len_max || self.at.saturating_add(len) > REQUEST_LEN_MAX {
            return Err(ProtocolError::InvalidBulkLength.into());
        }
        if len > UNAUTHENTICATED_BULK_LEN_MAX && !limits.authenticated {
            return Err(ProtocolError::UnauthenticatedBulkLength.into());
        }
        Ok(len)
    }

    /// Reads any `*` or `$` line at `at` and moves past it; None when it holds no integer.
    fn header(
        &mut self,
        input: &[u8],
        limits: &Limits,
        too_big: ProtocolError,
    ) -> Result<Option<i64>, Stop> {
        let line = &input[self.at..];
        let window = &line[..line.len().min(limits.line_max() + 1)];
        let from = self.searched.min(window.len());
        let Some(end) = memchr::memchr(b'\r', &window[from..]).map(|index| from + index) else {
            if line.len() > limits.line_max() {
                return Err(too_big.into());
            }
            self.searched = window.len();
            return Err(Stop::NeedMore(1));
        };
        self.searched = end;
        let Some(&after) = line.get(end + 1) else { return Err(Stop::NeedMore(1)) };
        if self.at > 0 && line[0] != b'$' {
            return Err(ProtocolError::ExpectedBulk(line[0]).into());
        }
        if after != b'\n' {
            return Err(ProtocolError::InvalidLineEnd.into());
        }
        self.searched = 0;
        self.at += end + 2;
        Ok(crate::parse_i64(&line[1..end]))
    }
}

/// Reads a whole header line `*` or `$`, one to four digits without a leading zero, CR LF:
/// the number and the line's length. None for everything else, which is not yet an error.
#[inline(always)]
fn short_header(line: &[u8]) -> Option<(usize, usize)> {
    let digit = |byte: u8| usize::from(byte.wrapping_sub(b'0'));
    match *line {
        [_, a @ b'0'..=b'9', b'\r', b'\n', ..] => Some((digit(a), 4)),
        [_, a @ b'1'..=b'9', b @ b'0'..=b'9', b'\r', b'\n', ..] => {
            Some((digit(a) * 10 + digit(b), 5))
        }
        [_, a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', b'\r', b'\n', ..] => {
            Some((digit(a) * 100 + digit(b) * 10 + digit(c), 6))
        }
        [
            _,
            a @ b'1'..=b'9',
            b @ b'0'..=b'9',
            c @ b'0'..=b'9',
            d @ b'0'..=b'9',
            b'\r',
            b'\n',
            ..,
        ] => Some((digit(a) * 1000 + digit(b) * 100 + digit(c) * 10 + digit(d), 7)),
        _ => None,
    }
}

const CRLF: Option<&[u8]> = Some(b"\r\n");

// Short headers need no check against the tighter limit.
const _: () = assert!(UNAUTHENTICATED_BULK_LEN_MAX > 9_999);

/// Arguments that a request may have before authentication, as in Redis.
const UNAUTHENTICATED_ARGUMENTS_MAX: i64 = 10;

/// Bytes that an argument may have before authentication, as in Redis.
const UNAUTHENTICATED_BULK_LEN_MAX: usize = 16384;

/// A request's spans are 32 bits wide; a longer request is refused at the header that says so.
const REQUEST_LEN_MAX: usize = u32::MAX as usize - 2;

/// Spans that a parser or a batch keeps room for between uses: 64 KiB of memory.
pub(crate) const SPANS_KEPT: usize = 8192;
