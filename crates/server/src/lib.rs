//! The shell around the engine: sockets, threads, timers, and the server as a whole.
//!
//! [`start`] opens the listening sockets and runs an engine behind them until the [`Running`]
//! server is shut down or dropped. Each worker is a thread with a tokio runtime of its own, and a
//! connection lives on one worker for life; a control thread accepts, expires keys and keeps house.
//!
//! Rules: no command and no value type is known here; what a request means is the engine's
//! business. No lock is held while waiting. Everything that depends on time asks the one
//! [`Clock`](pannier_clock::Clock), so that a test can move it.
//!
//! Neighbours: `connection` is the path of a request's bytes, `accept` lets clients in, `worker`
//! holds what connections share, `seat` is a connection's task, `tasks` is what happens besides.
//! `tls` is what connections over TLS have besides. The program is in `pannier`.

mod accept;
mod bell;
mod connection;
mod crew;
mod error;
mod host;
mod listener;
mod process;
mod seat;
mod server;
mod socket;
mod tasks;
mod tls;
mod worker;

use pannier_host::now;

pub use crew::{Crew, Place};
pub use error::{StartError, TlsError};
pub use host::Program;
pub use pannier_engine::config::TlsAuth;
pub use server::{Attachment, Options, Running, Stopper, attach, start};
pub use tls::{Pem, TlsOptions};
