//! Byte formats of persisted values; so far the payloads of DUMP and FUNCTION DUMP. Opens no file.
//!
//! ```text
//!  payload: | type, 1 | value | version, 2 | CRC-64 of all before it, 8 |
//! ```
//!
//! The format is that of Redis's dump files (RDB), so that values travel between servers. It has
//! many types for one kind of value, a new one whenever Redis or Valkey found a better encoding;
//! here all of them are read, and of each kind the one is written that the oldest servers still in
//! use understand. The version in the footer is therefore the lowest that has the type: 10
//! (Redis 7.0) for most, 11 (Redis 7.2) for streams, 80 (Valkey 9) for hashes whose fields expire.
//!
//! Whatever is read comes from outside and may be forged; the checksum is no secret. So nothing is
//! allocated because a length field says so (lengths are bounded by the bytes that are left,
//! buffers grow with what was really read), and a value is refused unless it is one that commands
//! could have made: no duplicates, no scores that are not a number, integers of a set in order,
//! counts that agree, lists that can be walked from both ends. Which encoding a value gets follows
//! the limits in force here, not those where it was dumped.
//!
//! Rules: no input makes anything here panic. `None` inside the crate means damaged; the public
//! functions say [`Refused`].
//! Neighbours: `store` below makes the values (`Maker`), `engine` above has the commands. Tests:
//! `tests/mutations.rs`, the fuzz target `dump`, and against real servers `tests/tests/dump.rs` of
//! the workspace.

mod functions;
mod hash;
mod list;
mod listpack;
mod lzf;
mod payload;
mod reader;
mod set;
mod sorted_set;
mod stream;
mod writer;
mod ziplist;

pub use functions::{NoLibraries, dump_libraries, restore_libraries};
pub use payload::{Refused, dump, dumped_len, restore};
