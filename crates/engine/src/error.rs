//! Errors as they go over the wire, each declared once.
//!
//! The text is Redis's, word for word, because clients match on it. The first word is the code
//! that INFO errorstats counts by. A text that needs a value is made by a function below.

use std::borrow::Cow;

use pannier_store::WrongType;

/// An error reply, without the leading `-`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    text: Cow<'static, str>,
    origin: Origin,
}

/// How INFO errorstats counts an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// By its code.
    Command,
    /// By its code while there are not too many.
    Script,
    /// It did already: a script failed by an error of a command.
    Counted,
}

impl Error {
    /// An error with a fixed text.
    pub const fn new(text: &'static str) -> Self {
        Self { text: Cow::Borrowed(text), origin: Origin::Command }
    }

    /// An error with a text made for the occasion.
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: Cow::Owned(text.into()), origin: Origin::Command }
    }

    /// The whole text, code first.
    pub fn message(&self) -> &str {
        &self.text
    }

    /// How INFO errorstats counts it.
    pub(crate) const fn origin(&self) -> Origin {
        self.origin
    }

    /// The code: the first word.
    pub fn code(&self) -> &str {
        self.text.split([' ', '\r', '\n']).next().unwrap_or_default()
    }

    /// The checkpoint is not active.
    pub const NO_CHECKPOINT: Self = Self::new("ERR no such checkpoint");
    /// Malformed options.
    pub const SYNTAX: Self = Self::new("ERR syntax error");
    /// A value of another type.
    pub const WRONG_TYPE: Self =
        Self::new("WRONGTYPE Operation against a key holding the wrong kind of value");
    /// Not a 64-bit integer.
    pub const NOT_INTEGER: Self = Self::new("ERR value is not an integer or out of range");
    /// Not a 32-bit integer, where it must be one.
    pub const NOT_32_BIT: Self =
        Self::new("ERR value is out of range, value must between -2147483648 and 2147483647");
    /// Not a float.
    pub const NOT_FLOAT: Self = Self::new("ERR value is not a valid float");
    /// Out of the range that the option allows.
    pub const OUT_OF_RANGE: Self = Self::new("ERR value is out of range");
    /// Not a positive integer.
    pub const NOT_POSITIVE: Self = Self::new("ERR value is out of range, must be positive");
    /// The key does not exist.
    pub const NO_SUCH_KEY: Self = Self::new("ERR no such key");
    /// The key exists, and was not to be replaced.
    pub const BUSY_KEY: Self = Self::new("BUSYKEY Target key name already exists.");
    /// No such database.
    pub const DB_OUT_OF_RANGE: Self = Self::new("ERR DB index is out of range");
    /// COPY or MOVE onto itself.
    pub const SAME_OBJECT: Self = Self::new("ERR source and destination objects are the same");
    /// A string beyond `proto-max-bulk-len`.
    pub const STRING_TOO_LONG: Self =
        Self::new("ERR string exceeds maximum allowed size (proto-max-bulk-len)");
    /// SETRANGE, SETBIT below zero.
    pub const OFFSET_OUT_OF_RANGE: Self = Self::new("ERR offset is out of range");
    /// No room under `maxmemory`.
    pub const OOM: Self = Self::new("OOM command not allowed when used memory > 'maxmemory'.");
    /// No room under `db-maxentries`.
    pub const OOM_DATABASE_ENTRIES: Self =
        Self::new("OOM command not allowed when entries would exceed 'db-maxentries'.");
    /// No room under `maxentries`.
    pub const OOM_ENTRIES: Self =
        Self::new("OOM command not allowed when entries would exceed 'maxentries'.");
    /// A script of EVAL runs for too long.
    pub const BUSY_SCRIPT: Self = Self::new(
        "BUSY Valkey is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
    );
    /// A function runs for too long.
    pub const BUSY_FUNCTION: Self = Self::new(
        "BUSY Valkey is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE.",
    );
    /// Not authenticated.
    pub const NO_AUTH: Self = Self::new("NOAUTH Authentication required.");
    /// AUTH or HELLO AUTH refused.
    pub const WRONG_PASS: Self =
        Self::new("WRONGPASS invalid username-password pair or user is disabled.");

    /// The wrong number of arguments for a command, named as the client knows it.
    pub fn arity(name: &str) -> Self {
        Self::text(format!("ERR wrong number of arguments for '{name}' command"))
    }

    /// The error that a script ended with.
    pub(crate) fn script(failure: &pannier_script::Failure) -> Self {
        let error = Self::text(String::from_utf8_lossy(&failure.reply()).into_owned());
        let origin = if failure.counted { Origin::Counted } else { Origin::Script };
        Self { origin, ..error }
    }

    /// An expiry outside what fits.
    pub fn invalid_expire(name: &str) -> Self {
        Self::text(format!("ERR invalid expire time in '{name}' command"))
    }
}

/// A client's word as errors quote it: up to its first zero byte, `max` bytes at most.
pub(crate) fn quoted(word: &[u8], max: usize) -> Cow<'_, str> {
    let end = word.iter().position(|byte| *byte == 0).unwrap_or(word.len());
    String::from_utf8_lossy(&word[..end.min(max)])
}

impl From<WrongType> for Error {
    fn from(WrongType: WrongType) -> Self {
        Self::WRONG_TYPE
    }
}
