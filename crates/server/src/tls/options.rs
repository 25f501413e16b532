//! What TLS is set up with: certificate, key, whom to trust, and what may be spoken.
//!
//! The same options come from two sides: from the `tls-*` directives, whose rules and errors are
//! Redis's, and from a program that starts a server inside itself and may have its certificates
//! in memory. Files are read when a context is made of the options, so making one again is how
//! they are reloaded.

use std::fmt;
use std::path::{Path, PathBuf};

use pannier_engine::config::{Config, TlsAuth};

use crate::error::TlsError;

/// Certificates or a key in PEM form.
///
/// ```
/// use pannier_server::Pem;
///
/// assert_eq!(Pem::from(std::path::Path::new("server.crt")), Pem::File("server.crt".into()));
/// assert_eq!(Pem::from(&b"-----BEGIN"[..]), Pem::Bytes(b"-----BEGIN".to_vec()));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub enum Pem {
    /// In a file, which is read again when the set-up is reloaded. For authorities it may be a
    /// directory of such files.
    File(PathBuf),
    /// In memory.
    Bytes(Vec<u8>),
}

/// How a server speaks TLS. Clients are not asked for certificates, unless there are authorities
/// to trust for them.
///
/// ```
/// use std::path::Path;
/// use pannier_server::{TlsAuth, TlsOptions};
///
/// // Read when a server is started with them.
/// let options = TlsOptions::new(Path::new("server.crt"), Path::new("server.key"))
///     .key_password("open sesame")
///     .client_ca(Path::new("ca.crt"))
///     .client_auth(TlsAuth::Optional)
///     .protocols("TLSv1.3")
///     .reload_every_s(60);
/// assert!(!format!("{options:?}").contains("sesame"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsOptions {
    pub(super) certificate: Pem,
    pub(super) key: Pem,
    pub(super) key_password: Password,
    pub(super) authorities: Vec<Pem>,
    /// By default `Yes` with authorities and `No` without.
    pub(super) auth: Option<TlsAuth>,
    pub(super) protocols: String,
    pub(super) ciphers: String,
    pub(super) ciphersuites: String,
    pub(super) prefers_own_order: bool,
    /// Sessions that are kept to be resumed, 0 for any number; `None` for none at all.
    pub(super) sessions_max: Option<usize>,
    pub(super) session_s: u32,
    pub(super) reload_s: u32,
}

/// A password, which is not printed.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Password(pub(super) Option<String>);

impl TlsOptions {
    /// With a certificate, followed by those that lead to its authority, and its private key. The
    /// key is PKCS #8, PKCS #1 or SEC 1.
    pub fn new(certificate: impl Into<Pem>, key: impl Into<Pem>) -> Self {
        Self {
            certificate: certificate.into(),
            key: key.into(),
            key_password: Password(None),
            authorities: Vec::new(),
            auth: None,
            protocols: String::new(),
            ciphers: String::new(),
            ciphersuites: String::new(),
            prefers_own_order: false,
            sessions_max: Some(SESSIONS_MAX),
            session_s: SESSION_S,
            reload_s: 0,
        }
    }

    /// The password of an encrypted key (PKCS #8).
    #[must_use]
    pub fn key_password(mut self, password: &str) -> Self {
        self.key_password = Password(Some(password.to_owned()));
        self
    }

    /// Trusts these authorities for the certificates of clients, who must then have one.
    #[must_use]
    pub fn client_ca(mut self, authorities: impl Into<Pem>) -> Self {
        self.authorities.push(authorities.into());
        self
    }

    /// Whether clients must have a certificate, may, or are not asked.
    #[must_use]
    pub fn client_auth(mut self, auth: TlsAuth) -> Self {
        self.auth = Some(auth);
        self
    }

    /// Versions to speak, of `TLSv1.2` and `TLSv1.3` with a space in between; by default both.
    #[must_use]
    pub fn protocols(mut self, protocols: &str) -> Self {
        protocols.clone_into(&mut self.protocols);
        self
    }

    /// Looks every so many seconds whether the files have changed; 0, the default, never does.
    #[must_use]
    pub fn reload_every_s(mut self, seconds: u32) -> Self {
        self.reload_s = seconds;
        self
    }

    /// What the directives ask for.
    pub(super) fn of_config(config: &Config) -> Result<Self, TlsError> {
        let file = |path: &str| Pem::File(Path::new(&config.dir).join(path));
        let Config { tls_cert_file, tls_key_file, .. } = config;
        if tls_cert_file.is_empty() {
            return Err(TlsError::NoCertificate);
        } else if tls_key_file.is_empty() {
            return Err(TlsError::NoKey);
        }
        let mut options = Self::new(file(tls_cert_file), file(tls_key_file));
        if !config.tls_key_file_pass.is_empty() {
            options = options.key_password(&config.tls_key_file_pass);
        }
        for path in [&config.tls_ca_cert_file, &config.tls_ca_cert_dir] {
            if !path.is_empty() {
                options.authorities.push(file(path));
            }
        }
        Ok(Self {
            auth: Some(config.tls_auth_clients),
            protocols: config.tls_protocols.clone(),
            ciphers: config.tls_ciphers.clone(),
            ciphersuites: config.tls_ciphersuites.clone(),
            prefers_own_order: config.tls_prefer_server_ciphers,
            sessions_max: config.tls_session_caching.then_some(config.tls_session_cache_size),
            session_s: config.tls_session_cache_timeout,
            reload_s: config.tls_auto_reload_interval,
            ..options
        })
    }

    /// The files that it is made of.
    pub(super) fn files(&self) -> impl Iterator<Item = &Path> {
        let all = [&self.certificate, &self.key].into_iter().chain(&self.authorities);
        all.filter_map(|pem| match pem {
            Pem::File(path) => Some(path.as_path()),
            Pem::Bytes(_) => None,
        })
    }
}

impl From<&Path> for Pem {
    fn from(path: &Path) -> Self {
        Self::File(path.to_owned())
    }
}

impl From<PathBuf> for Pem {
    fn from(path: PathBuf) -> Self {
        Self::File(path)
    }
}

impl From<Vec<u8>> for Pem {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<&[u8]> for Pem {
    fn from(bytes: &[u8]) -> Self {
        Self::Bytes(bytes.to_owned())
    }
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
        }
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "a password" } else { "none" })
    }
}

/// Sessions that are kept to be resumed.
const SESSIONS_MAX: usize = 20_480;

/// Seconds for which they are.
const SESSION_S: u32 = 300;
