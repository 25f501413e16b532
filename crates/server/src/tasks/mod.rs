//! What happens besides requests: expiry, periodic housekeeping, freeing of large values.
//!
//! The first two are tasks of the control thread, so that they never stand between a worker and
//! its sockets; they take the same shard locks as requests, for short steps. The reaper is a
//! thread of its own, because freeing does not yield.

mod cron;
mod expiry;
mod reaper;

pub(crate) use cron::cron;
pub(crate) use expiry::expiry;
pub(crate) use reaper::Reaper;
