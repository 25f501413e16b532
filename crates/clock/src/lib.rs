//! The only reader of the system's clock, and the virtual clock that stands in for it.
//!
//! Everything below the shell receives time as an argument, so one switch here puts a whole
//! server under a time that a test moves by hand: expiry, idle times, block timeouts, TIME.
//! A reading has two faces, because they answer different questions: `unix_us` is the wall
//! clock, which deadlines and replies use and which may be set back, and `mono_us` never runs
//! backwards and measures durations. Both come from one reading, so that they belong together.
//!
//! Rules: no other crate calls `Instant::now`, `SystemTime::now` or `thread::sleep` (clippy
//! forbids it); a frozen clock stands still between its owner's calls, and the monotonic
//! face stands still when the wall clock is set back. Only `server` and `pannier` use this crate;
//! what waits for a virtual deadline registers with `VirtualClock::on_change`.

mod hand;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hand::Time;
pub use hand::VirtualClock;

/// One reading of the clock, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Since 1970-01-01 UTC.
    pub unix_us: u64,
    /// Since the clock was made; never runs backwards.
    pub mono_us: u64,
}

impl Now {
    /// Milliseconds since 1970-01-01 UTC.
    pub fn unix_ms(self) -> u64 {
        self.unix_us / 1_000
    }

    /// Seconds since 1970-01-01 UTC.
    pub fn unix_s(self) -> u64 {
        self.unix_us / 1_000_000
    }
}

/// A source of time. Clones read the same time.
///
/// ```
/// use std::time::Duration;
/// use pannier_clock::Clock;
///
/// let (clock, hand) = Clock::virtual_at(1_700_000_000_000);
/// hand.advance(Duration::from_millis(1500));
/// assert_eq!(clock.now().unix_ms(), 1_700_000_001_500);
/// assert_eq!(clock.mono_us(), 1_500_000);
/// ```
#[derive(Debug, Clone)]
pub struct Clock(Source);

#[derive(Debug, Clone)]
enum Source {
    /// Counts monotonic time from here.
    System(Instant),
    Virtual(Arc<Time>),
}

impl Clock {
    /// The system's clock.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the system's clock")]
    pub fn system() -> Self {
        Self(Source::System(Instant::now()))
    }

    /// A clock that stands at `unix_ms` until its owner moves it.
    pub fn virtual_at(unix_ms: u64) -> (Self, VirtualClock) {
        VirtualClock::pair(Time::standing(unix_ms.saturating_mul(1_000)))
    }

    /// A clock that goes with the system's until its owner freezes or moves it.
    ///
    /// ```
    /// use std::time::Duration;
    /// use pannier_clock::Clock;
    ///
    /// let (clock, hand) = Clock::adjustable();
    /// let before = clock.now().unix_ms();
    /// hand.advance(Duration::from_secs(60));
    /// assert!(clock.now().unix_ms() >= before + 60_000 && !clock.is_frozen());
    /// hand.freeze();
    /// assert_eq!(clock.now(), clock.now());
    /// ```
    pub fn adjustable() -> (Self, VirtualClock) {
        VirtualClock::pair(Time::going())
    }

    /// Both faces at once.
    pub fn now(&self) -> Now {
        match &self.0 {
            Source::System(start) => system_now(*start),
            Source::Virtual(time) => time.now(),
        }
    }

    /// The monotonic face alone, for measuring a duration.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the system's clock")]
    pub fn mono_us(&self) -> u64 {
        match &self.0 {
            Source::System(start) => micros(Instant::now().duration_since(*start)),
            Source::Virtual(time) => time.now().mono_us,
        }
    }

    /// A monotonic reading that costs a quarter of `mono_us` and moves on only every few
    /// milliseconds; its origin is another.
    pub fn coarse_us(&self) -> u64 {
        match &self.0 {
            #[cfg(target_os = "linux")]
            Source::System(_) => {
                let time = rustix::time::clock_gettime(rustix::time::ClockId::MonotonicCoarse);
                time.tv_sec as u64 * 1_000_000 + time.tv_nsec as u64 / 1_000
            }
            _ => self.mono_us(),
        }
    }

    /// The wall clock in microseconds, as it stood a few milliseconds ago at most: for a fraction
    /// of what an exact reading costs.
    pub fn coarse_unix_us(&self) -> u64 {
        match &self.0 {
            #[cfg(target_os = "linux")]
            Source::System(_) => {
                let time = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
                time.tv_sec as u64 * 1_000_000 + time.tv_nsec as u64 / 1_000
            }
            _ => self.now().unix_us,
        }
    }

    /// Whether somebody else moves this clock: what waits for a deadline must hear of that
    /// ([`Clock::on_change`]), whatever timers it has.
    pub fn is_virtual(&self) -> bool {
        matches!(self.0, Source::Virtual(_))
    }

    /// Whether it stands still at present: no timer can then know when a deadline has come.
    pub fn is_frozen(&self) -> bool {
        matches!(&self.0, Source::Virtual(time) if time.is_frozen())
    }

    /// The hand that moves this clock; none moves the system's.
    pub fn hand(&self) -> Option<VirtualClock> {
        match &self.0 {
            Source::System(_) => None,
            Source::Virtual(time) => Some(VirtualClock::of(time)),
        }
    }

    /// Says where a clock that is moved on must stop on its way, so that deadlines come in their
    /// order (see [`VirtualClock::on_stops`]); does nothing for the system's.
    pub fn on_stops(&self, next_ms: impl Fn() -> u64 + Send + Sync + 'static) {
        if let Some(hand) = self.hand() {
            hand.on_stops(next_ms);
        }
    }

    /// Calls `wake` after every later change of a virtual clock; does nothing for the system's,
    /// whose time passes by itself.
    pub fn on_change(&self, wake: impl Fn() + Send + Sync + 'static) {
        if let Some(hand) = self.hand() {
            hand.on_change(wake);
        }
    }

    /// Stops the calling thread. Where the clock stands still it is moved instead: whoever sleeps
    /// wakes up later, and nobody waits.
    #[expect(clippy::disallowed_methods, reason = "the one place that may sleep")]
    pub fn sleep(&self, duration: Duration) {
        match &self.0 {
            Source::Virtual(time) if time.is_frozen() => {
                VirtualClock::of(time).advance(duration);
            }
            _ => std::thread::sleep(duration),
        }
    }
}

/// The system's time, counting monotonic time from `start`.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the system's clock")]
fn system_now(start: Instant) -> Now {
    Now {
        unix_us: micros(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()),
        mono_us: micros(Instant::now().duration_since(start)),
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_clock_runs_forward_and_knows_the_year() {
        let clock = Clock::system();
        let (first, second) = (clock.now(), clock.now());
        assert!(second.mono_us >= first.mono_us);
        assert!(first.unix_s() > 1_700_000_000 && first.unix_s() < 4_000_000_000);
        assert_eq!(first.unix_ms() / 1_000, first.unix_s());
        assert!(!clock.is_virtual());
    }

    #[test]
    fn a_virtual_clock_stands_still_until_it_is_moved() {
        let (clock, hand) = Clock::virtual_at(1_000);
        assert_eq!(clock.now(), clock.now());
        hand.advance(Duration::from_micros(7));
        assert_eq!(clock.now(), Now { unix_us: 1_000_007, mono_us: 7 });
        let other = clock.clone();
        clock.sleep(Duration::from_secs(1));
        assert_eq!(other.now(), Now { unix_us: 2_000_007, mono_us: 1_000_007 });
        assert_eq!(hand.clock().mono_us(), other.mono_us());
    }
}
