//! Data structures of the keyspace: table, entry, member, wheel, packed, intset. With `lock` the
//! only home of unsafe code.
//!
//! They know no key space, no protocol and no unit of time: the table is told hashes, the wheel
//! counts ticks, and what the flags of an entry mean is its owner's affair. Nothing here reads a
//! clock or draws a random number; both are arguments. Every structure can say how many bytes it
//! holds (`footprint`), rounded as the allocator rounds, because the server's limits count them.
//!
//! Rules: no operation of the table or the wheel costs more than a constant number of segments or
//! the caller's budget, except where its header names the exception. `unsafe` is confined to
//! `entry::block`, to `member` and to `table` with its parts, which keep tags in the elements' own
//! pointers, to one place of `ranked::keys`, which follows pointers to members, and to `lent`,
//! which lends a borrowed function to a script.
//!
//! Neighbours: `store` uses the structures, `script` uses `lent`. Each structure is tested against
//! a naive twin (`tests/` of this crate), and with them the unsafe parts under AddressSanitizer
//! (`make sanitize`).

mod deque;
mod entry;
pub mod hyperloglog;
mod integer;
mod intset;
mod lent;
mod member;
mod packed;
mod ranked;
mod size_class;
mod table;
mod wheel;

pub use deque::{Deque, NodeLimit, Run};
pub use entry::{Entry, NewPayload, Payload};
pub use integer::canonical_integer;
pub use intset::{Exchange, Intset};
pub use lent::Lent;
pub use member::Member;
pub use packed::{Encoded, Packed, Piece, Splice};
pub use ranked::{Ranked, RankedRange};
pub use size_class::allocated;
pub use table::{Shape, Table, Tagged};
pub use wheel::Wheel;
