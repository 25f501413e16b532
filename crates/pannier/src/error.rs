//! What can go wrong, as one enum.
//!
//! Errors that a command answers are [`ReplyError`]s: they keep the text that a client on a socket
//! would read, and say their kind, so that a program can tell a wrong type from a full cache
//! without comparing texts. Everything else is a matter of this library: a directive that is
//! refused, a client that was killed, a call that needs a client of its own.
//!
//! Tests: `tests/cache.rs`, `tests/embedded.rs`.

use std::fmt;

use pannier_engine::config::SetError;
#[cfg(feature = "server")]
use pannier_server::StartError;

/// Why something could not be done.
///
/// ```
/// use pannier::{Cache, Error};
///
/// let cache = Cache::new();
/// assert!(matches!(cache.call(["NO-SUCH"]), Err(Error::Reply(_))));
/// assert!(matches!(cache.call(["SUBSCRIBE", "news"]), Err(Error::NeedsClient)));
/// assert!(matches!(cache.db(16), Err(Error::NoDatabase(16))));
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A directive is unknown, or its value is wrong.
    Directive {
        /// Its name.
        name: String,
        /// What is wrong.
        source: SetError,
    },
    /// Directives contradict each other or the commands.
    Config(String),
    /// A socket or a thread could not be had, or directives contradict each other.
    #[cfg(feature = "server")]
    Start(StartError),
    /// The command answered with an error.
    Reply(ReplyError),
    /// The command would change the state of its connection (MULTI, SUBSCRIBE, CLIENT REPLY ...),
    /// and calls of a cache have none: use [`Cache::connect`](crate::Cache::connect).
    NeedsClient,
    /// The client is closed: by QUIT, by CLIENT KILL, because it left too many messages unread, or
    /// because a fault has dropped its connection.
    Closed,
    /// There is no database of this number.
    NoDatabase(usize),
    /// A call without a command.
    NoCommand,
    /// A reply of another shape than this call knows.
    Unexpected(String),
}

/// An error that a command answered.
///
/// ```
/// use pannier::{Cache, Error, ErrorKind};
///
/// let cache = Cache::new();
/// cache.call(["LPUSH", "list", "a"])?;
/// let Err(Error::Reply(error)) = cache.call(["INCR", "list"]) else { panic!("a list") };
/// assert_eq!(error.kind(), ErrorKind::WrongType);
/// assert_eq!(error.code(), "WRONGTYPE");
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplyError(String);

/// What sort of error a command answered.
///
/// ```
/// use pannier::{Cache, ErrorKind};
///
/// let cache = Cache::builder().max_entries(1).build()?;
/// cache.set("one", "value")?;
/// let full = cache.set("two", "value").unwrap_err();
/// assert_eq!(full.kind(), Some(ErrorKind::Full));
/// # Ok::<(), pannier::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The key holds a value of another type.
    WrongType,
    /// A limit in memory or entries is reached, and nothing may be evicted.
    Full,
    /// A script or a function keeps the cache.
    Busy,
    /// There is no script of this hash.
    NoScript,
    /// The transaction was refused, because one of its commands was.
    Aborted,
    /// The wait was ended by CLIENT UNBLOCK.
    Unblocked,
    /// Any other: `ERR` and what it says.
    Other,
}

impl ReplyError {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The whole text, as a client on a socket reads it.
    ///
    /// ```
    /// use pannier::{Cache, Error};
    ///
    /// let Err(Error::Reply(error)) = Cache::new().call(["GET"]) else { panic!("a reply") };
    /// assert_eq!(error.text(), "ERR wrong number of arguments for 'get' command");
    /// assert_eq!(error.code(), "ERR");
    /// assert_eq!(error.kind(), pannier::ErrorKind::Other);
    /// ```
    pub fn text(&self) -> &str {
        &self.0
    }

    /// The first word: `WRONGTYPE`, `OOM`, `ERR`.
    pub fn code(&self) -> &str {
        self.0.split(' ').next().unwrap_or_default()
    }

    /// The kind that the first word stands for.
    pub fn kind(&self) -> ErrorKind {
        match self.code() {
            "WRONGTYPE" => ErrorKind::WrongType,
            "OOM" => ErrorKind::Full,
            "BUSY" => ErrorKind::Busy,
            "NOSCRIPT" => ErrorKind::NoScript,
            "EXECABORT" => ErrorKind::Aborted,
            "UNBLOCKED" => ErrorKind::Unblocked,
            _ => ErrorKind::Other,
        }
    }
}

impl Error {
    /// The kind of the error reply, if it is one.
    ///
    /// ```
    /// use pannier::{Cache, ErrorKind};
    ///
    /// let error = Cache::new().call(["EVALSHA", &"0".repeat(40), "0"]).unwrap_err();
    /// assert_eq!(error.kind(), Some(ErrorKind::NoScript));
    /// assert_eq!(Cache::new().db(99).unwrap_err().kind(), None);
    /// ```
    pub fn kind(&self) -> Option<ErrorKind> {
        match self {
            Self::Reply(error) => Some(error.kind()),
            _ => None,
        }
    }
}

impl fmt::Display for ReplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directive { name, source } => write!(f, "{name}: {source}"),
            Self::Config(reason) => f.write_str(reason),
            #[cfg(feature = "server")]
            Self::Start(error) => error.fmt(f),
            Self::Reply(error) => error.fmt(f),
            Self::NeedsClient => f.write_str(
                "the command changes the state of its connection: call it on a client of its own \
                 (Cache::connect)",
            ),
            Self::Closed => f.write_str("the client is closed"),
            Self::NoDatabase(index) => write!(f, "there is no database {index}"),
            Self::NoCommand => f.write_str("a call without a command"),
            Self::Unexpected(what) => write!(f, "unexpected reply: {what}"),
        }
    }
}

impl std::error::Error for ReplyError {}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Directive { source, .. } => Some(source),
            #[cfg(feature = "server")]
            Self::Start(error) => Some(error),
            Self::Reply(error) => Some(error),
            _ => None,
        }
    }
}

impl From<ReplyError> for Error {
    fn from(error: ReplyError) -> Self {
        Self::Reply(error)
    }
}
