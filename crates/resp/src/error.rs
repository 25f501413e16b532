//! The protocol errors of a broken request, each with its wire text.
//!
//! After one of them the stream has no known request boundary, so the connection answers with
//! the text and closes. The texts are those of Valkey 9.1; `invalid CRLF in request` does not
//! exist in Redis 7, which skips two bytes after a header or a bulk without looking at them.
//! Which limit gives which text is decided in `request`, and compared with a real server's
//! answers in this crate's tests.

use std::borrow::Cow;
use std::fmt;

/// Why a request cannot be parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProtocolError {
    /// The number after `*` is no integer, or above the limit.
    InvalidMultibulkLength,
    /// The number after `$` is no integer, negative, or above `proto-max-bulk-len`.
    InvalidBulkLength,
    /// A byte other than `$` where an argument must begin.
    ExpectedBulk(u8),
    /// A header or an argument is not followed by CR LF.
    InvalidLineEnd,
    /// No CR within the first 64 KiB of a `*` line.
    TooBigMultibulkCount,
    /// No CR within the first 64 KiB of a `$` line.
    TooBigBulkCount,
    /// No LF within the first 64 KiB of an inline request.
    TooBigInline,
    /// A quoted word of an inline request does not end.
    UnbalancedQuotes,
    /// More than ten arguments before authentication.
    UnauthenticatedMultibulkLength,
    /// An argument over 16 KiB before authentication.
    UnauthenticatedBulkLength,
}

impl ProtocolError {
    /// The text after `-ERR `. A byte that is not ASCII appears as its Latin-1 character; the
    /// wire carries it raw, see [`ProtocolError::wire_text`].
    pub fn message(&self) -> Cow<'static, str> {
        match self.text() {
            Ok(text) => Cow::Borrowed(text),
            Err(byte) => Cow::Owned(format!("{EXPECTED}{}'", char::from(printable(byte)))),
        }
    }

    /// The bytes after `-ERR ` exactly as Valkey sends them.
    pub fn wire_text(&self) -> Cow<'static, [u8]> {
        match self.text() {
            Ok(text) => Cow::Borrowed(text.as_bytes()),
            Err(byte) => {
                let mut text = EXPECTED.as_bytes().to_vec();
                text.extend_from_slice(&[printable(byte), b'\'']);
                Cow::Owned(text)
            }
        }
    }

    fn text(&self) -> Result<&'static str, u8> {
        Ok(match self {
            Self::InvalidMultibulkLength => "Protocol error: invalid multibulk length",
            Self::InvalidBulkLength => "Protocol error: invalid bulk length",
            Self::ExpectedBulk(byte) => return Err(*byte),
            Self::InvalidLineEnd => "Protocol error: invalid CRLF in request",
            Self::TooBigMultibulkCount => "Protocol error: too big mbulk count string",
            Self::TooBigBulkCount => "Protocol error: too big bulk count string",
            Self::TooBigInline => "Protocol error: too big inline request",
            Self::UnbalancedQuotes => "Protocol error: unbalanced quotes in request",
            Self::UnauthenticatedMultibulkLength => {
                "Protocol error: unauthenticated multibulk length"
            }
            Self::UnauthenticatedBulkLength => "Protocol error: unauthenticated bulk length",
        })
    }
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message())
    }
}

impl std::error::Error for ProtocolError {}

/// An error line cannot hold CR or LF.
fn printable(byte: u8) -> u8 {
    if matches!(byte, b'\r' | b'\n') { b' ' } else { byte }
}

const EXPECTED: &str = "Protocol error: expected '$', got '";
