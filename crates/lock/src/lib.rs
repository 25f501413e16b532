//! Locks: the mutex of every crate, and sets of locks that readers pass without writing to them.
//!
//! Both are here and not taken from a library for a reason that was measured: the mutex because a
//! forked child has to live with its parent's (`mutex`), the set because a mutex is a line of
//! memory that every reader writes (`biased`).
//!
//! Rules: no lock knows what it guards. With `collections` this is the home of unsafe code: each
//! block has its note, and the surface is safe. Neighbours: `store` keeps its shards in a set;
//! everybody else takes the mutex. Both are tested under the sanitizers, too (`make sanitize`).

mod biased;
mod mutex;

pub use biased::{BiasedLocks, Reading, thread_number};
pub use mutex::{MappedMutexGuard, Mutex, MutexGuard, RawMutex};
