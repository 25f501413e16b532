//! Why a server does not start.
//!
//! An enum for programs, texts in Redis's manner for people. Nothing here is ever sent to a
//! client; those errors are `pannier_engine::Error`.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why a server does not start.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// The configuration contradicts itself or the commands.
    Config(String),
    /// An address of `bind` cannot be listened on.
    Bind {
        /// The address.
        address: String,
        /// The port.
        port: u16,
        /// Why.
        source: io::Error,
    },
    /// The Unix socket cannot be listened on.
    Unix {
        /// Its path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A thread or its runtime cannot be started.
    Thread(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(reason) => f.write_str(reason),
            Self::Bind { address, port, source } => {
                write!(f, "Could not create server TCP listening socket {address}:{port}: {source}")
            }
            Self::Unix { path, source } => {
                write!(f, "Failed opening Unix socket {}: {source}", path.display())
            }
            Self::Thread(source) => write!(f, "Cannot start a thread: {source}"),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Config(_) => None,
            Self::Bind { source, .. } | Self::Unix { source, .. } | Self::Thread(source) => {
                Some(source)
            }
        }
    }
}
