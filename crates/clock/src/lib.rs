//! The only reader of the system's clock, and the virtual clock that stands in for it.
//!
//! Everything below the shell receives time as an argument, so one switch here puts a whole
//! server under a time that a test moves by hand: expiry, idle times, block timeouts, TIME.
//! A reading has two faces, because they answer different questions: `unix_us` is the wall
//! clock, which deadlines and replies use and which may be set back, and `mono_us` never runs
//! backwards and measures durations. Both come from one reading, so that they belong together.
//!
//! Rules: no other crate calls `Instant::now`, `SystemTime::now` or `thread::sleep` (clippy
//! forbids it); a virtual clock stands still between its owner's calls, and its monotonic
//! face stands still when the wall clock is set back. Only `server` and `pannier` use this crate;
//! what waits for a virtual deadline registers with `VirtualClock::on_change`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

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
        let time = Arc::new(Time::default());
        time.unix_us.store(unix_ms.saturating_mul(1_000), Ordering::Relaxed);
        (Self(Source::Virtual(Arc::clone(&time))), VirtualClock(time))
    }

    /// Both faces at once.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the system's clock")]
    pub fn now(&self) -> Now {
        match &self.0 {
            Source::System(_) => Now {
                unix_us: micros(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()),
                mono_us: self.mono_us(),
            },
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

    /// Whether this is a virtual clock. A real timer knows nothing of its time, so whoever waits
    /// for a deadline must ask.
    pub fn is_virtual(&self) -> bool {
        matches!(self.0, Source::Virtual(_))
    }

    /// Calls `wake` after every later change of a virtual clock; does nothing for the system's,
    /// whose time passes by itself.
    pub fn on_change(&self, wake: impl Fn() + Send + Sync + 'static) {
        if let Source::Virtual(time) = &self.0 {
            VirtualClock(Arc::clone(time)).on_change(wake);
        }
    }

    /// Stops the calling thread. Under a virtual clock the clock moves instead: whoever sleeps
    /// wakes up later, and nobody waits.
    #[expect(clippy::disallowed_methods, reason = "the one place that may sleep")]
    pub fn sleep(&self, duration: Duration) {
        match &self.0 {
            Source::System(_) => std::thread::sleep(duration),
            Source::Virtual(time) => time.advance(duration),
        }
    }
}

/// The hand that moves a virtual clock.
#[derive(Debug, Clone)]
pub struct VirtualClock(Arc<Time>);

impl VirtualClock {
    /// Moves both faces on.
    pub fn advance(&self, duration: Duration) {
        self.0.advance(duration);
    }

    /// Sets the wall clock. The monotonic face moves by as much, or not at all when that is
    /// backwards.
    pub fn set(&self, unix_ms: u64) {
        self.0.change(|_| unix_ms.saturating_mul(1_000));
    }

    /// Calls `wake` after every later change, so that what waits for a deadline can look again.
    /// It runs on the thread that moved the clock, and may read and move the clock itself.
    pub fn on_change(&self, wake: impl Fn() + Send + Sync + 'static) {
        self.0.wakers.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::new(wake));
    }

    /// A clock that reads this time.
    pub fn clock(&self) -> Clock {
        Clock(Source::Virtual(Arc::clone(&self.0)))
    }
}

type Wake = Arc<dyn Fn() + Send + Sync>;

#[derive(Default)]
struct Time {
    unix_us: AtomicU64,
    mono_us: AtomicU64,
    /// Held while the two faces change, so that changes do not mix.
    wakers: Mutex<Vec<Wake>>,
}

impl Time {
    fn now(&self) -> Now {
        Now {
            unix_us: self.unix_us.load(Ordering::Acquire),
            mono_us: self.mono_us.load(Ordering::Acquire),
        }
    }

    fn advance(&self, duration: Duration) {
        self.change(|unix_us| unix_us.saturating_add(micros(duration)));
    }

    fn change(&self, to: impl FnOnce(u64) -> u64) {
        let wakers = {
            let wakers = self.wakers.lock().unwrap_or_else(PoisonError::into_inner);
            let now = self.now();
            let after = to(now.unix_us);
            let passed = after.saturating_sub(now.unix_us);
            self.mono_us.store(now.mono_us.saturating_add(passed), Ordering::Release);
            self.unix_us.store(after, Ordering::Release);
            wakers.clone()
        };
        wakers.iter().for_each(|wake| wake());
    }
}

impl std::fmt::Debug for Time {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.now().fmt(f)
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

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

    #[test]
    fn setting_the_wall_clock_back_does_not_turn_monotonic_time_back() {
        let (clock, hand) = Clock::virtual_at(5_000);
        hand.set(7_000);
        assert_eq!(clock.now(), Now { unix_us: 7_000_000, mono_us: 2_000_000 });
        hand.set(1_000);
        assert_eq!(clock.now(), Now { unix_us: 1_000_000, mono_us: 2_000_000 });
        hand.set(u64::MAX);
        assert_eq!(clock.now().unix_us, u64::MAX);
    }

    #[test]
    fn every_change_wakes_those_who_wait_and_they_may_read_the_new_time() {
        let (clock, hand) = Clock::virtual_at(0);
        let seen = Arc::new(AtomicUsize::new(0));
        let (counter, reader) = (Arc::clone(&seen), clock.clone());
        hand.on_change(move || {
            counter.fetch_add(reader.now().unix_ms() as usize, Ordering::Relaxed);
        });
        hand.advance(Duration::from_millis(10));
        hand.set(5);
        assert_eq!(seen.load(Ordering::Relaxed), 15);
    }
}
