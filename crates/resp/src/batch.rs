//! Requests as the parser leaves them, and their arguments as the engine reads them.
//!
//! A batch is three flat vectors that are reused from one read to the next, so that after
//! the first few requests nothing is allocated. It holds no borrow: the buffer is given again to
//! look at a request, which lets a connection keep buffer and batch side by side. The words
//! of inline requests, which need unquoting, lie in `side` and are reached the same way.
//!
//! Rules: a batch belongs to the buffer it was parsed from until it is cleared; asking with
//! another buffer gives other bytes or panics, never undefined behaviour. Clearing gives
//! back what an unusually large batch grew. Filled by `request`; `OwnedArgs` makes arguments
//! that never were on a wire, for tests, scripts and embedded calls.

use crate::request::{SPANS_KEPT, Span};

/// Requests parsed from one buffer.
#[derive(Debug, Default)]
pub struct Batch {
    pub(crate) spans: Vec<Span>,
    pub(crate) side: Vec<u8>,
    requests: Vec<Request>,
}

#[derive(Debug, Clone, Copy)]
struct Request {
    /// Index of the first argument in `spans`.
    first: usize,
    argc: u32,
    /// Whether the arguments lie in `side`.
    inline: bool,
    /// Offset in the input, or in `side`, that the spans count from.
    base: usize,
    /// Length on the wire.
    len: usize,
    /// Offset in the input just past the request.
    end: usize,
}

impl Batch {
    /// An empty batch; allocates nothing.
    pub const fn new() -> Self {
        Self { spans: Vec::new(), side: Vec::new(), requests: Vec::new() }
    }

    /// Forgets the requests and keeps a reasonable capacity.
    pub fn clear(&mut self) {
        self.spans.clear();
        self.requests.clear();
        self.side.clear();
        if self.spans.capacity() > SPANS_KEPT {
            self.spans.shrink_to(SPANS_KEPT);
        }
        if self.requests.capacity() > SPANS_KEPT {
            self.requests.shrink_to(SPANS_KEPT);
        }
        if self.side.capacity() > SIDE_KEPT {
            self.side.shrink_to(SIDE_KEPT);
        }
    }

    /// Number of requests.
    pub fn len(&self) -> usize {
        self.requests.len()
    }

    /// Whether there is no request.
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// The arguments of request `index`; `buf` is the buffer that was parsed.
    ///
    /// Panics when there is no such request.
    #[inline]
    pub fn request<'a>(&'a self, index: usize, buf: &'a [u8]) -> Args<'a> {
        let request = &self.requests[index];
        let base = if request.inline { &self.side[request.base..] } else { &buf[request.base..] };
        let spans = &self.spans[request.first..][..request.argc as usize];
        Args { base, spans, wire_len: request.len }
    }

    /// Offset in the buffer just past request `index`.
    pub fn end_of(&self, index: usize) -> usize {
        self.requests[index].end
    }

    /// Bytes that request `index` took on the wire.
    pub fn wire_len(&self, index: usize) -> usize {
        self.requests[index].len
    }

    /// Adds the request whose spans are those from `first` on, which began at `start` in the
    /// input and has `len` bytes; `side` is where its words begin when it was inline.
    #[inline]
    pub(crate) fn push(&mut self, first: usize, start: usize, len: usize, side: Option<usize>) {
        self.requests.push(Request {
            first,
            argc: (self.spans.len() - first) as u32,
            inline: side.is_some(),
            base: side.unwrap_or(start),
            len,
            end: start + len,
        });
    }
}

/// The arguments of one request, the command's name first: slices of the input, no copies.
#[derive(Debug, Clone, Copy)]
pub struct Args<'a> {
    base: &'a [u8],
    spans: &'a [Span],
    wire_len: usize,
}

impl<'a> Args<'a> {
    /// Number of arguments.
    #[inline]
    pub fn len(self) -> usize {
        self.spans.len()
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.spans.is_empty()
    }

    /// Argument `index`. Panics beyond the last one, as indexing does.
    #[inline]
    pub fn get(self, index: usize) -> &'a [u8] {
        &self.base[self.spans[index].range()]
    }

    /// All arguments in order.
    #[inline]
    pub fn iter(self) -> impl ExactSizeIterator<Item = &'a [u8]> + DoubleEndedIterator + Clone {
        self.spans.iter().map(move |span| &self.base[span.range()])
    }

    /// The arguments from `first` on. Panics when there are fewer than `first`.
    #[inline]
    pub fn from(self, first: usize) -> Self {
        Self { spans: &self.spans[first..], ..self }
    }

    /// Bytes of the whole request on the wire; of owned arguments, what they would take.
    #[inline]
    pub fn wire_len(self) -> usize {
        self.wire_len
    }

    /// Appends these arguments as a request in wire form.
    pub fn encode(self, out: &mut Vec<u8>) {
        let mut digits = itoa::Buffer::new();
        let mut header = |out: &mut Vec<u8>, kind: u8, count: usize| {
            out.push(kind);
            out.extend_from_slice(digits.format(count).as_bytes());
            out.extend_from_slice(b"\r\n");
        };
        header(out, b'*', self.len());
        for argument in self.iter() {
            header(out, b'$', argument.len());
            out.extend_from_slice(argument);
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// Arguments that own their bytes, for a request that did not come from a socket.
///
/// ```
/// use pannier_resp::OwnedArgs;
///
/// let owned = OwnedArgs::new(["SET", "key", "value"]);
/// assert_eq!(owned.args().get(2), b"value");
/// assert_eq!(owned.args().wire_len(), owned.encode().len());
/// ```
#[derive(Debug, Clone, Default)]
pub struct OwnedArgs {
    bytes: Vec<u8>,
    spans: Vec<Span>,
    /// Bytes that the arguments take on the wire, without the head of the request.
    wire_len: usize,
}

impl OwnedArgs {
    /// Copies the arguments. Panics when they hold 4 GiB or more.
    pub fn new<I: IntoIterator<Item: AsRef<[u8]>>>(arguments: I) -> Self {
        let mut owned = Self::default();
        arguments.into_iter().for_each(|argument| owned.push(argument.as_ref()));
        owned
    }

    /// Forgets the arguments and keeps a reasonable capacity, to be filled again.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.spans.clear();
        if self.bytes.capacity() > SIDE_KEPT {
            self.bytes.shrink_to(SIDE_KEPT);
        }
        if self.spans.capacity() > SPANS_KEPT {
            self.spans.shrink_to(SPANS_KEPT);
        }
        self.wire_len = 0;
    }

    /// Adds an argument to those that a [`OwnedArgs::clear`] began. Panics at 4 GiB.
    pub fn push(&mut self, argument: &[u8]) {
        let at = self.bytes.len();
        self.bytes.extend_from_slice(argument);
        assert!(u32::try_from(self.bytes.len()).is_ok(), "arguments of 4 GiB or more");
        self.spans.push(Span::new(at, argument.len()));
        self.wire_len += header_len(argument.len()) + argument.len() + 2;
    }

    /// The arguments as the engine reads them.
    pub fn args(&self) -> Args<'_> {
        let wire_len = header_len(self.spans.len()) + self.wire_len;
        Args { base: &self.bytes, spans: &self.spans, wire_len }
    }

    /// The request in wire form.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.args().wire_len());
        self.args().encode(&mut out);
        out
    }
}

/// Length of `*n CRLF` or `$n CRLF`.
fn header_len(count: usize) -> usize {
    count.checked_ilog10().unwrap_or(0) as usize + 4
}

/// Bytes of unquoted words that a batch keeps room for between uses.
const SIDE_KEPT: usize = 64 << 10;
