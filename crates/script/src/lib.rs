//! The Lua sandbox: runs scripts and functions, and sees no store.
//!
//! A [`Machine`] is one Lua state with the libraries that scripts for Redis expect. What a script
//! wants of the server (a command, a line in the log, whether it may go on) it puts as an [`Ask`]
//! to the function that whoever runs it has lent for that run; so this crate knows no command, no
//! key and no clock, and a test answers from a closure.
//!
//! Why real Lua 5.1 and not an interpreter in Rust: scripts in the wild depend on its patterns,
//! its number formatting, the wording of its errors and the order of its tables. mlua is a safe
//! wrapper around it, so nothing here is unsafe. Its own way to lend a function for one run would
//! cost 0.8 us and a second call for each command; [`pannier_collections::Lent`] does the same for
//! nothing.
//!
//! Rules. Nothing a script does may crash the process or outlive its run: tables that scripts
//! share cannot be changed, binary code is not loaded, memory, nesting and the length of patterns
//! are limited, and a hook asks every [`HOOK_INSTRUCTIONS`] whether the run may go on. Errors are
//! worded as in Valkey 9.1.
//!
//! `machine` loads and runs, `sandbox` with `prelude.lua` is what scripts see, `api` the tables
//! `redis` and `server`, `convert` turns replies into values and back, `cache` holds scripts by
//! their hash, `shebang` reads their first line. The libraries are `json`, `msgpack`, `bits`,
//! `structure`, `random`. Neighbour: `engine` above. Tests: `tests/` of this crate, and the
//! transcripts of the group `scripting`.

mod api;
mod ask;
mod bits;
mod cache;
mod convert;
mod failure;
mod json;
mod library;
mod machine;
mod msgpack;
mod number;
mod random;
mod sandbox;
mod shebang;
mod structure;

pub use ask::{Ask, Call, LogLevel, Versions};
pub use cache::{Cache, Cached, EVAL_MAX, Name, Origin, sha1_hex};
pub use failure::{Failure, Interrupt};
pub use library::{FunctionRow, Registration, is_name};
pub use machine::{HOOK_INSTRUCTIONS, Machine, Script};
pub use shebang::{Flags, Shebang, flags};
