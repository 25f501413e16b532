//! The hand of a virtual clock: freezes, sets, advances and resumes it.
//!
//! A virtual clock is the system's, plus a difference, or it stands. Whoever waits for a deadline
//! has no timer that knows of the hand, so it is called after every change. And where the hand
//! passes deadlines on its way, it stops at each: what expires in a second is told to have expired
//! before what expires in two, as if the time had passed.
//!
//! Rules: the lock is held for a reading or a change, never while anybody is called; changes of
//! two hands do not mix, but their stops may. Neighbours: `Clock` reads.

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use crate::{Clock, Now, Source, micros, system_now};

/// The hand that moves a virtual clock. Clones move the same one.
///
/// ```
/// use std::time::Duration;
/// use pannier_clock::Clock;
///
/// let (clock, hand) = Clock::adjustable();
/// hand.freeze();
/// hand.set(1_700_000_000_000);
/// hand.advance(Duration::from_secs(60));
/// assert!(hand.is_frozen());
/// assert_eq!(clock.now().unix_ms(), 1_700_000_060_000);
/// hand.resume();
/// assert!(!clock.is_frozen());
/// ```
#[derive(Debug, Clone)]
pub struct VirtualClock(Arc<Time>);

impl VirtualClock {
    pub(crate) fn pair(time: Time) -> (Clock, Self) {
        let hand = Self(Arc::new(time));
        (hand.clock(), hand)
    }

    pub(crate) fn of(time: &Arc<Time>) -> Self {
        Self(Arc::clone(time))
    }

    /// Moves both faces on, from deadline to deadline.
    pub fn advance(&self, duration: Duration) {
        self.move_to(self.0.now().unix_us.saturating_add(micros(duration)));
    }

    /// Sets the wall clock. The monotonic face moves by as much, or not at all when that is
    /// backwards.
    pub fn set(&self, unix_ms: u64) {
        self.move_to(unix_ms.saturating_mul(1_000));
    }

    /// Stops the clock where it is.
    pub fn freeze(&self) {
        self.0.change(|state, system| *state = State::Standing(state.at(system)));
        self.call();
    }

    /// Lets it go on from where it stands.
    pub fn resume(&self) {
        self.0.change(|state, system| {
            let now = state.at(system);
            *state = State::Going {
                unix_us: now.unix_us.wrapping_sub(system.unix_us),
                mono_us: now.mono_us.wrapping_sub(system.mono_us),
            };
        });
        self.call();
    }

    /// Whether it stands still.
    pub fn is_frozen(&self) -> bool {
        self.0.is_frozen()
    }

    /// Calls `wake` after every later change, so that what waits for a deadline can look again.
    /// It runs on the thread that moved the clock, and may read and move the clock itself.
    pub fn on_change(&self, wake: impl Fn() + Send + Sync + 'static) {
        lock(&self.0.wakers).push(Arc::new(wake));
    }

    /// Has the hand stop on its way at the deadlines that `next_ms` tells (Unix milliseconds,
    /// `u64::MAX` for none): it is asked for the next one after each stop.
    pub fn on_stops(&self, next_ms: impl Fn() -> u64 + Send + Sync + 'static) {
        lock(&self.0.stops).push(Arc::new(next_ms));
    }

    /// A clock that reads this time.
    pub fn clock(&self) -> Clock {
        Clock(Source::Virtual(Arc::clone(&self.0)))
    }

    fn move_to(&self, target_us: u64) {
        loop {
            let now_us = self.0.now().unix_us;
            let stops = lock(&self.0.stops).clone();
            // What is due already and still there cannot be helped by stopping.
            let ahead = now_us.saturating_add(1)..target_us;
            let deadlines = stops.iter().map(|stop| stop().saturating_mul(1_000));
            let Some(stop_us) = deadlines.filter(|at| ahead.contains(at)).min() else { break };
            self.0.change(|state, system| state.jump(stop_us, system));
            self.call();
        }
        self.0.change(|state, system| state.jump(target_us, system));
        self.call();
    }

    fn call(&self) {
        let wakers = lock(&self.0.wakers).clone();
        wakers.iter().for_each(|wake| wake());
    }
}

type Wake = Arc<dyn Fn() + Send + Sync>;
type Stop = Arc<dyn Fn() -> u64 + Send + Sync>;

/// What a clock and its hand share.
pub(crate) struct Time {
    /// Where the system's monotonic time is counted from.
    start: Instant,
    state: RwLock<State>,
    wakers: Mutex<Vec<Wake>>,
    stops: Mutex<Vec<Stop>>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Standing(Now),
    /// What is added to the system's two faces, wrapping around.
    Going {
        unix_us: u64,
        mono_us: u64,
    },
}

impl State {
    fn at(self, system: Now) -> Now {
        match self {
            Self::Standing(now) => now,
            Self::Going { unix_us, mono_us } => Now {
                unix_us: unix_us.wrapping_add(system.unix_us),
                mono_us: mono_us.wrapping_add(system.mono_us),
            },
        }
    }

    /// Sets the wall clock; monotonic time never goes back.
    fn jump(&mut self, to_us: u64, system: Now) {
        let now = self.at(system);
        let passed = to_us.saturating_sub(now.unix_us);
        match self {
            Self::Standing(held) => {
                *held = Now { unix_us: to_us, mono_us: now.mono_us.saturating_add(passed) };
            }
            Self::Going { unix_us, mono_us } => {
                *unix_us = to_us.wrapping_sub(system.unix_us);
                *mono_us = mono_us.wrapping_add(passed);
            }
        }
    }
}

impl Time {
    pub(crate) fn standing(unix_us: u64) -> Self {
        Self::new(State::Standing(Now { unix_us, mono_us: 0 }))
    }

    pub(crate) fn going() -> Self {
        Self::new(State::Going { unix_us: 0, mono_us: 0 })
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that reads the system's clock")]
    fn new(state: State) -> Self {
        Self {
            start: Instant::now(),
            state: RwLock::new(state),
            wakers: Mutex::default(),
            stops: Mutex::default(),
        }
    }

    pub(crate) fn now(&self) -> Now {
        match *self.state.read().unwrap_or_else(PoisonError::into_inner) {
            State::Standing(now) => now,
            going @ State::Going { .. } => going.at(system_now(self.start)),
        }
    }

    pub(crate) fn is_frozen(&self) -> bool {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        matches!(*state, State::Standing(_))
    }

    fn change(&self, change: impl FnOnce(&mut State, Now)) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        change(&mut state, system_now(self.start));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl std::fmt::Debug for Time {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.now().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

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

    #[test]
    fn a_clock_that_goes_can_be_stopped_moved_and_let_go() {
        let (clock, hand) = Clock::adjustable();
        let system = Clock::system().now().unix_us;
        let first = clock.now();
        assert!(first.unix_us.abs_diff(system) < 60_000_000 && clock.is_virtual());
        hand.freeze();
        let stood = clock.now();
        assert_eq!(stood, clock.now());
        assert!(hand.is_frozen() && stood.mono_us >= first.mono_us);
        hand.advance(Duration::from_secs(3_600));
        assert_eq!(clock.now().mono_us, stood.mono_us + 3_600_000_000);
        hand.resume();
        let later = clock.now();
        assert!(!hand.is_frozen() && later.unix_us >= stood.unix_us + 3_600_000_000);
        assert!(later.mono_us >= stood.mono_us + 3_600_000_000);
        hand.set(5_000);
        assert!(clock.now().unix_us.abs_diff(5_000_000) < 60_000_000);
        assert!(clock.now().mono_us >= later.mono_us);
    }

    #[test]
    fn the_hand_stops_at_each_deadline_on_its_way() {
        let (clock, hand) = Clock::virtual_at(0);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (log, reader) = (Arc::clone(&seen), clock.clone());
        hand.on_change(move || log.lock().unwrap().push(reader.now().unix_ms()));
        let reader = clock.clone();
        // Deadlines every ten milliseconds, and one that stays due.
        hand.on_stops(move || (reader.now().unix_ms() / 10 + 1) * 10);
        hand.on_stops(|| u64::MAX);
        hand.advance(Duration::from_millis(35));
        assert_eq!(*seen.lock().unwrap(), [10, 20, 30, 35]);
        hand.on_stops(|| 7);
        hand.set(41);
        assert_eq!(seen.lock().unwrap()[4..], [40, 41]);
    }
}
