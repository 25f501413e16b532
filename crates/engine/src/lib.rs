//! The server without sockets: sessions, commands, configuration and statistics.
//!
//! An [`Engine`] is the keyspace plus everything that a command can ask about. A shell (the crate
//! `server`, an embedding program, a test) makes a [`Session`] for each client, cuts requests with
//! `resp`, and hands them to [`exec::run`] together with the time. What the engine needs from the
//! outside, it asks of a [`Host`].
//!
//! Rules: nothing here reads a clock, opens a file or a socket, starts a thread or keeps a global;
//! two engines in one process do not know each other. Lock order: the shards (ascending), then
//! registries (clients, logs), then a session's mailbox; configuration is read as a snapshot.
//!
//! Neighbours: `store` and `resp` below; `server` and `pannier` above. Tests of commands are the
//! transcripts under `tests/transcripts`.

mod args;
mod checkpoint;
mod clients;
pub mod command;
mod condition;
pub mod config;
mod direct;
mod engine;
mod error;
pub mod exec;
mod faults;
mod float;
mod functions;
mod geo;
mod glob;
mod host;
mod latency;
mod logs;
mod mailbox;
mod monitor;
mod notify;
mod pace;
mod pause;
mod pubsub;
mod recorder;
mod scripts;
mod session;
mod stats;
mod tracking;
mod transaction;
mod waiting;
mod walks;

pub use checkpoint::{Checkpoint, CheckpointId, Extent};
pub use clients::{Client, ConnectionInfo, Transport};
pub use condition::Condition;
pub use engine::{Engine, Options};
pub use error::Error;
pub use exec::{Next, Ran, call, run};
pub use faults::{Fault, FaultRule};
pub use host::{Certificate, ClockChange, ClockState, Facts, Host, Listener, ShutdownRequest};
pub use mailbox::{Letter, Mailbox};
pub use pannier_script::sha1_hex;
pub use pannier_store::{Kept, Now, Policy, Str, StrBuffer, thread_number};
pub use recorder::{Recorded, Recording, Tally};
pub use session::Session;
pub use stats::Lane;
pub use waiting::Ending;

/// Pannier's own version, as INFO and HELLO report it.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
