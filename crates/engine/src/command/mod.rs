//! The commands: what a row says, and the table of families.
//!
//! A command is one row and one function, side by side in its family's file. From the row follow
//! dispatch, arity, locks, key extraction (COMMAND GETKEYS), ACL categories, COMMAND and COMMAND
//! DOCS, the reference pages and the statistics, so there is no second list anywhere. A container
//! command (CLIENT, CONFIG) has rows of its own for its sub-commands.
//!
//! A handler is: take arguments, find, act, reply. It never locks, notifies or counts; it returns
//! an error instead of writing one, and `exec` then cuts the reply back to where it began.
//!
//! To add a command: a row and a function in its family's file, and a transcript under
//! `tests/transcripts/<group>/`. Neighbours: `exec` runs them, `keys` reads key positions.

pub mod keys;
pub(crate) mod row;
mod table;

// Families. Each exports `ROWS`.
mod bitfield;
mod bitmap;
mod bitop;
mod block;
mod client;
mod client_filter;
mod client_tracking;
mod commandlog;
mod config;
mod connection;
mod counter;
mod database;
mod debug;
mod digest;
mod docs;
mod dump;
mod expire;
mod function;
mod generic;
mod geo;
mod geo_query;
mod geo_search;
mod hash;
mod hash_ttl;
mod hash_walk;
mod hyperloglog;
mod info;
mod introspection;
mod latency;
mod lcs;
mod list;
mod list_block;
mod list_edit;
mod list_move;
mod memory;
mod monitor;
mod mset;
mod object;
mod pannier;
mod pannier_checkpoint;
mod pannier_clock;
mod pannier_fault;
mod pannier_recorder;
mod pubsub;
mod scan;
mod script;
mod server;
mod set;
mod set_algebra;
mod set_random;
mod sort;
mod sorted_set;
mod sorted_set_algebra;
mod sorted_set_block;
mod sorted_set_pop;
mod sorted_set_range;
mod sorted_set_rank;
mod stream;
mod stream_args;
mod stream_delete;
mod stream_group;
mod stream_info;
mod stream_pending;
mod stream_read;
mod string;
mod substring;
mod syntax;
mod transaction;

#[cfg(test)]
mod tests;

pub use keys::{Access, Begin, Find, KeySpec};
pub use row::{
    Categories, Command, Context, Done, Flags, Group, Handler, Opens, categories, flags,
};
pub use table::{Resolved, Table};

/// Every family's rows, in the order of the reference pages.
pub const FAMILIES: &[&[Command]] = &[
    string::ROWS,
    mset::ROWS,
    counter::ROWS,
    substring::ROWS,
    lcs::ROWS,
    bitmap::ROWS,
    bitop::ROWS,
    bitfield::ROWS,
    hyperloglog::ROWS,
    set::ROWS,
    set_random::ROWS,
    set_algebra::ROWS,
    hash::ROWS,
    hash_walk::ROWS,
    list::ROWS,
    list_edit::ROWS,
    list_move::ROWS,
    list_block::ROWS,
    stream::ROWS,
    stream_read::ROWS,
    stream_group::ROWS,
    stream_pending::ROWS,
    stream_info::ROWS,
    stream_delete::ROWS,
    hash_ttl::ROWS,
    sorted_set::ROWS,
    sorted_set_range::ROWS,
    sorted_set_rank::ROWS,
    sorted_set_pop::ROWS,
    sorted_set_block::ROWS,
    sorted_set_algebra::ROWS,
    geo::ROWS,
    geo_search::ROWS,
    generic::ROWS,
    block::ROWS,
    expire::ROWS,
    sort::ROWS,
    scan::ROWS,
    object::ROWS,
    dump::ROWS,
    database::ROWS,
    connection::ROWS,
    client::ROWS,
    server::ROWS,
    info::ROWS,
    introspection::ROWS,
    memory::ROWS,
    commandlog::ROWS,
    latency::ROWS,
    debug::ROWS,
    pannier::ROWS,
    config::ROWS,
    transaction::ROWS,
    pubsub::ROWS,
    monitor::ROWS,
    script::ROWS,
    function::ROWS,
];

/// All top-level rows.
pub fn all() -> impl Iterator<Item = &'static Command> {
    FAMILIES.iter().copied().flatten()
}
