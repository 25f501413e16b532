//! The keyspace: shards, logical databases, values, expiry, eviction and scanning.
//!
//! A [`Keyspace`] is cut into shards by key hash. A shard is one lock around its part of *every*
//! logical database, so that a command which touches one key takes one lock, and a command which
//! touches many takes the locks it needs in ascending order ([`Keyspace::open`]). Handlers see
//! none of this: they are given a [`View`] in which their keys are open.
//!
//! Rules: nothing here knows a protocol, a session or a user; time arrives as [`Now`]; random
//! numbers come from generators seeded at construction. Locks are taken in ascending shard order;
//! an eviction pool's lock is taken before any shard's, and never while one is held.
//!
//! Neighbours: `collections` below holds the structures; `engine` above holds the commands.

mod access;
mod census;
mod checkpoint;
mod compress;
mod counters;
mod database;
pub mod direct;
mod edit;
mod events;
mod eviction;
mod expiry;
mod fields;
mod found;
mod guards;
mod hash;
mod interest;
mod keyspace;
mod maker;
mod prefetch;
mod scan;
mod shard;
#[cfg(test)]
mod tests;
mod time;
mod types;
mod value;
mod view;
mod waiters;

pub use access::Rules;
pub use checkpoint::Kept;
pub use compress::{Compressed, CompressedStr, Compressor, Damaged};
pub use counters::Totals;
pub use database::{Compression, DatabaseInfo};
pub use edit::{Edit, Pieces};
pub use events::{Classes, Event, Happened, class};
pub use eviction::{Policy, Room, Scope};
pub use expiry::Turn;
pub use found::Found;
pub use hash::Key;
pub use interest::{Change, Watcher};
pub use keyspace::{Garbage, Keyspace, Options, Reaper};
pub use maker::{Age, Maker, MakerCompression};
pub use pannier_collections::Piece;
pub use pannier_collections::hyperloglog;
pub use pannier_lock::thread_number;
pub use scan::Cursor;
pub use shard::ShardStats;
pub use time::Now;
pub use types::{
    Body, BytesEnd, Collection, Difference, End, Hash, HashMut, HashRef, Limits, List, ListMut,
    ListRef, Opened, ScoreRange, Set, SetMut, SetRef, SortedSet, SortedSetMut, SortedSetRange,
    SortedSetRef, intersection, union,
};
pub use types::{
    Consumer, ConsumerId, Entries, Group, Keep, Log, NewId, Pending, Refused, Stream, StreamData,
    StreamEntry, StreamId, StreamMeta, StreamMut, Trim,
};
pub use value::{Encoding, INLINE_MAX, Kind, NewValue, Str, StrBuffer, WrongType};
pub use view::{Deadline, Nested, Open, Taken, View};
pub use waiters::{Waiter, Want};
