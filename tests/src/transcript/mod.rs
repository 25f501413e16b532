//! Transcripts: conversations with a server, written as text.
//!
//! A transcript is what a user types and what `redis-cli` would show, with comment lines for the
//! intent. It has this shape, and not that of assertions in Rust, because then the same file can
//! be run against a real server, its replies can be recorded from there, and a reader needs no
//! language but the protocol's own.
//!
//! Rules: the text is the only source, so what [`parse`] accepts is what `tests/README.md`
//! describes, and an unknown line is an error with file and line, never ignored. Each kind of
//! reply on the wire has a text of its own, so that equal text means equal replies.
//!
//! [`parse`] reads a file, [`quote`] splits command lines, [`show`] prints replies, [`expect`]
//! compares them, [`run`] plays a file on a target, [`record`] rewrites the replies from a real
//! server, [`suite`] runs all files on a target. The binary `record` is the recorder's front.

pub mod expect;
pub mod parse;
pub mod quote;
pub mod record;
pub mod run;
pub mod show;
pub mod suite;
