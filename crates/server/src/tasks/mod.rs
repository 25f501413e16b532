//! What happens besides requests: expiry, periodic housekeeping, freeing of large values.
//!
//! Expiry is a task of the first worker: between two steps of some hundred microseconds it serves
//! its sockets, whereas a thread of its own would compete with the workers for a core and for
//! the shard locks, and the system's scheduler would let a client wait for milliseconds (with one
//! core, GET's 99th percentile in a storm was 5.2 ms that way). The periodic work is short and
//! belongs to the control thread. The reaper is a thread of its own, because freeing does not
//! yield.

mod cron;
mod expiry;
mod reaper;

pub(crate) use cron::cron;
pub(crate) use expiry::expiry;
pub(crate) use reaper::Reaper;
