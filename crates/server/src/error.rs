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
    /// TLS cannot be set up.
    Tls(TlsError),
    /// A thread or its runtime cannot be started.
    Thread(io::Error),
}

/// Why TLS cannot be set up.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlsError {
    /// This build is without the feature `tls`.
    NotBuilt,
    /// There is no certificate.
    NoCertificate,
    /// There is no private key.
    NoKey,
    /// Clients shall have certificates, and no authority is trusted for them.
    NoAuthorities,
    /// The certificate cannot be used.
    Certificate {
        /// Its file.
        place: String,
        /// Why.
        reason: String,
    },
    /// The private key cannot be used.
    Key {
        /// Its file.
        place: String,
        /// Why.
        reason: String,
    },
    /// The authorities cannot be used; why.
    Authorities(String),
    /// The versions of the protocol are not spoken; why.
    Protocols(String),
    /// None of these suites of TLS 1.2 is there.
    Ciphers(String),
    /// None of these suites of TLS 1.3 is there.
    Ciphersuites(String),
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotBuilt => f.write_str("this build has no TLS"),
            Self::NoCertificate => f.write_str("No tls-cert-file configured!"),
            Self::NoKey => f.write_str("No tls-key-file configured!"),
            Self::NoAuthorities => f.write_str(
                "Either tls-ca-cert-file or tls-ca-cert-dir must be specified when \
                 tls-auth-clients is enabled!",
            ),
            Self::Certificate { place, reason } => {
                write!(f, "Failed to load certificate: {place}: {reason}")
            }
            Self::Key { place, reason } => {
                write!(f, "Failed to load private key: {place}: {reason}")
            }
            Self::Authorities(reason) => {
                write!(f, "Failed to configure CA certificate(s) file/directory: {reason}")
            }
            Self::Protocols(reason) => write!(
                f,
                "Invalid tls-protocols specified. Use a combination of 'TLSv1.2' and 'TLSv1.3': \
                 {reason}"
            ),
            Self::Ciphers(list) => write!(f, "Failed to configure ciphers: {list}"),
            Self::Ciphersuites(list) => write!(f, "Failed to configure ciphersuites: {list}"),
        }
    }
}

impl std::error::Error for TlsError {}

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
            Self::Tls(reason) => write!(f, "Failed to configure TLS: {reason}"),
            Self::Thread(source) => write!(f, "Cannot start a thread: {source}"),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Config(_) => None,
            Self::Tls(source) => Some(source),
            Self::Bind { source, .. } | Self::Unix { source, .. } | Self::Thread(source) => {
                Some(source)
            }
        }
    }
}
