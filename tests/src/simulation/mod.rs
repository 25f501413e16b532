//! Simulation: many sessions on one engine, driven by a seed, with faults, and what must hold.
//!
//! A transcript shows what a command does; here is shown what no order of commands may do. Lists,
//! sorted sets and streams carry *tokens*, each of which is made once. So after every step it can
//! be counted whether one was lost or doubled: it is in exactly one place, or exactly one client
//! has received it. Two variants share that idea: [`world`] runs one session after the other under
//! a virtual clock, so that a seed replays what it found, and looks at everything after every
//! step; [`threads`] lets real threads race for the shards' locks and looks when they are done.
//! In [`near_cache`] it is not tokens that are counted but replies that are kept: none is stale.
//!
//! Rules: no socket; sessions go away in the middle of anything; a failure names its seed.
//! `tests/tests/simulation.rs` runs them all; `PANNIER_SEED` and `PANNIER_STEPS` as told there.

pub mod actions;
pub mod near_cache;
pub mod threads;
pub mod world;
