//! The wall clock of the load generator: instants, unix milliseconds, pauses and time limits.
//!
//! A load generator is one of the few programs that must look at the real clock and really wait, so
//! what the workspace forbids elsewhere is done here, in one file of four functions. Nothing of the
//! product is reached through it. CPU time, the figure that is compared, is read in `cpu`.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The present instant, for durations.
#[expect(clippy::disallowed_methods, reason = "a load generator measures real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Milliseconds since 1970, as deadlines on the wire count them.
#[expect(clippy::disallowed_methods, reason = "deadlines on the wire are in real time")]
pub(crate) fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |duration| duration.as_millis() as u64)
}

/// Gives up the processor for at least `duration`.
#[expect(clippy::disallowed_methods, reason = "waiting for another process to do its work")]
pub(crate) fn pause(duration: Duration) {
    std::thread::sleep(duration);
}

/// Asks `ready` every `interval` until it answers something or `limit` has passed.
pub(crate) fn poll<T>(
    limit: Duration,
    interval: Duration,
    mut ready: impl FnMut() -> Option<T>,
) -> Option<T> {
    let began = now();
    loop {
        if let Some(answer) = ready() {
            return Some(answer);
        }
        if began.elapsed() >= limit {
            return None;
        }
        pause(interval);
    }
}
