//! TLS: what it is set up with, the port that speaks it, and the stream of one connection.
//!
//! rustls is driven directly, with the cryptography of `ring`. tokio-rustls would put a second
//! poll-driven stream around the socket; but a stand-in (`seat`) must read and write past the
//! runtime, ciphertext is better read in large pieces into a buffer that nobody keeps, and a
//! turn of a connection is a plain call already. So `stream` is the little that is missing: bytes
//! of the socket into rustls, bytes of rustls into the socket.
//!
//! Rules: a plain connection pays nothing but one more arm of a match. The handshake happens where
//! a connection reads, on its worker, and holds up nobody who has finished theirs. What is set
//! up is one immutable `Context`; a change makes another for those who come later. Texts of
//! errors are Redis's, because people search for them.
//!
//! Without the feature `tls` everything here stays but the cryptography: `without` stands for it,
//! with types that have no value, and whoever asks for TLS is told so.
//!
//! Neighbours: `options` says what is wanted, `door` listens and reloads, `context` and `keys` make
//! a context of options, `sessions` keeps what clients resume. Tests: `tests/tls.rs` of this crate,
//! and `tests/clients/test_tls.py` with real clients.

mod door;
mod options;

#[cfg(feature = "tls")]
mod context;
#[cfg(feature = "tls")]
mod keys;
#[cfg(feature = "tls")]
mod sessions;
#[cfg(feature = "tls")]
mod stream;
#[cfg(not(feature = "tls"))]
mod without;

use std::sync::Arc;

pub(crate) use door::Door;
pub use options::{Pem, TlsOptions};

#[cfg(feature = "tls")]
use context::{Context, build};
#[cfg(feature = "tls")]
pub(crate) use stream::Stream;
#[cfg(not(feature = "tls"))]
pub(crate) use without::Stream;
#[cfg(not(feature = "tls"))]
use without::{Context, build};

/// What a new connection over TLS begins with.
pub(crate) struct Opening {
    context: Arc<Context>,
    /// Words that it is sent away with, once it can read them.
    #[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "there is no such connection"))]
    refusal: Option<&'static str>,
}
