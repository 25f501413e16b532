//! The one notion of time that the core has: what it is given.
//!
//! Whoever runs a batch of requests reads the clock once (the crate `clock`, in the shell) and
//! hands the reading down as [`Now`]. Deadlines and timestamps use the wall clock, durations the
//! monotonic one; under a virtual clock both move only when the test says so.

/// One reading of the clock, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Microseconds since the Unix epoch.
    pub unix_us: u64,
    /// Microseconds of a clock that never goes back; its zero is arbitrary.
    pub mono_us: u64,
}

impl Now {
    /// Milliseconds since the Unix epoch, the unit of every deadline.
    pub const fn unix_ms(self) -> u64 {
        self.unix_us / 1000
    }

    /// Seconds since the Unix epoch.
    pub const fn unix_s(self) -> u64 {
        self.unix_us / 1_000_000
    }
}
