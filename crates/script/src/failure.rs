//! What goes wrong in a script: as Lua sees it while it runs, and as its caller sees it after.
//!
//! A Rust function that a script calls raises a [`Raised`]. It travels through Lua as an opaque
//! value; the sandbox's `pcall`, `xpcall` and `coroutine.resume` turn it into what scripts expect
//! to catch. What nobody catches becomes a [`Failure`].

use std::fmt;

use mlua::{Error, Lua, Table};

/// Why a script did not end well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The error's text, its code first.
    pub message: Vec<u8>,
    /// Where it happened: the name of the chunk and the line.
    pub place: Option<(String, i64)>,
    /// The error is that of a command, which was counted when the command failed.
    pub counted: bool,
}

impl Failure {
    /// An error that happened outside of any script's line.
    pub fn new(message: impl Into<Vec<u8>>) -> Self {
        Self { message: message.into(), place: None, counted: false }
    }

    /// The error reply of a script that was run.
    pub fn reply(&self) -> Vec<u8> {
        let mut text = self.message.clone();
        if let Some((source, line)) = &self.place {
            text.extend_from_slice(format!(" script: on {source}:{line}.").as_bytes());
        }
        text
    }
}

/// Why a script must stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interrupt {
    /// Somebody killed it.
    Killed,
    /// Somebody killed the function.
    FunctionKilled,
    /// It was to end within a time that is over.
    TimedOut,
}

impl Interrupt {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Killed => "Script killed by user with SCRIPT KILL.",
            Self::FunctionKilled => "Script killed by user with FUNCTION KILL.",
            Self::TimedOut => "FUNCTION LOAD timeout",
        }
    }
}

/// An error that a Rust function raises in Lua.
#[derive(Clone, Debug)]
pub(crate) enum Raised {
    /// A string.
    Text(Vec<u8>),
    /// The table of an error reply. Whether it is a command's, and counted.
    Reply(Vec<u8>, bool),
}

impl fmt::Display for Raised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Text(text) | Self::Reply(text, _)) = self;
        f.write_str(&String::from_utf8_lossy(text))
    }
}

impl std::error::Error for Raised {}

/// An error as of a C function: its text after the place of the caller.
pub(crate) fn error(lua: &Lua, text: impl AsRef<str>) -> Error {
    let mut message = place(lua, 1).unwrap_or_default();
    message.push_str(text.as_ref());
    Error::external(Raised::Text(message.into_bytes()))
}

/// An error about an argument.
pub(crate) fn bad_argument(lua: &Lua, number: usize, function: &str, why: &str) -> Error {
    error(lua, format!("bad argument #{number} to '{function}' ({why})"))
}

/// An error reply.
pub(crate) fn reply(text: impl Into<Vec<u8>>) -> Error {
    Error::external(Raised::Reply(text.into(), false))
}

/// The field by which the table of an error says that INFO has counted it; scripts can see it.
const COUNTED: &str = "ignore_error_stats_update";

/// Whether the error in a table was counted.
pub(crate) fn is_counted(table: &Table) -> bool {
    table.raw_get(COUNTED).unwrap_or(false)
}

/// Notes in a table that its error was counted.
pub(crate) fn set_counted(table: &Table) -> mlua::Result<()> {
    table.raw_set(COUNTED, true)
}

/// The place of a Lua function on the stack, as errors begin with it.
fn place(lua: &Lua, level: usize) -> Option<String> {
    lua.inspect_stack(level, |frame| {
        let line = frame.current_line()?;
        let source = frame.source().short_src?.into_owned();
        Some(format!("{source}:{line}: "))
    })?
}

/// What a Rust function raised, dug out of the layers that mlua puts around it.
pub(crate) fn raised(error: &Error) -> Raised {
    match error {
        Error::CallbackError { cause, .. } => raised(cause),
        Error::ExternalError(inner) => match inner.downcast_ref::<Raised>() {
            Some(raised) => raised.clone(),
            None => Raised::Text(inner.to_string().into_bytes()),
        },
        Error::RuntimeError(text) | Error::MemoryError(text) => {
            Raised::Text(text.clone().into_bytes())
        }
        other => Raised::Text(other.to_string().into_bytes()),
    }
}
