//! Tests across the rooms: transcripts, random command sequences, clients, bad input.
//!
//! What only one crate can see is tested inside that crate; here is what takes a whole server.
//! [`transcript`] reads, runs and records the files under `transcripts/`; [`target`] is what they
//! run on: the engine in process, our server over TCP, a real Valkey and a real Redis. The idea is
//! that a test is text with the replies as a user would see them, and that the same text runs on
//! the real server too, so that it proves itself before it judges us. The alternative, assertions
//! in Rust, lost because nobody can show that such an assertion is what Redis does.
//!
//! Rules: a test never touches a server that it did not start, servers listen on loopback only and
//! die with the value that started them, and a test that cannot run says why (in CI it fails).
//!
//! The format of the transcripts is described in `tests/README.md`; the test functions are in
//! `tests/tests/`.

pub mod differential;
pub mod events;
pub mod random;
pub mod simulation;
pub mod target;
pub mod transcript;
