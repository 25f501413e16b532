//! The wire grammar of RESP2, RESP3 and inline requests, both directions; no IO and no command.
//!
//! Requests are cut from the caller's buffer as offsets, never as copies: a parsed batch holds
//! only numbers, so it can be kept and reused while the buffer moves, and a request costs no
//! allocation once the batch has grown. Replies are written into one growing buffer; large
//! values that the keyspace shares go in by reference, in between. Both follow Valkey 9.1 byte
//! for byte, protocol errors included; where Redis 7 differs the file says so.
//!
//! The crate knows no command and no socket. `request` is the hot parser, `inline` its slow
//! sister for typed lines, `reply` the writer, `pending` what a socket did not take yet,
//! `number` the text of integers and doubles, `value` a typed reader of replies for tests and
//! clients. Property tests stand in `tests/`, fuzz targets in the workspace's `fuzz/`.

mod batch;
mod double;
mod error;
mod grisu;
mod inline;
mod number;
mod pending;
mod reply;
mod request;
mod value;

pub use batch::{Args, Batch, OwnedArgs};
pub use double::{DOUBLE_LEN_MAX, format_f64, shortest_f64};
pub use error::ProtocolError;
pub use inline::{UnbalancedQuotes, split_line};
pub use number::{parse_f64, parse_i64};
pub use pending::Pending;
pub use reply::{Deferred, Mark, Protocol, Reply, SHARED_MIN};
pub use request::{Limits, Parsed, Parser, Span, State};
pub use value::{DecodeError, Value, decode};
