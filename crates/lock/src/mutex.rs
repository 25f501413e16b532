//! Mutexes that keep nothing outside themselves: parking_lot's types over the system's futex.
//!
//! parking_lot notes the threads that wait in one table of the process. A forked child inherits
//! the table and none of the threads, their stacks are used anew by its own, and the next thread
//! that has to wait walks over what is left: of children that opened a cache of their own beside
//! eight of the parent's, ten in ten died. Here a mutex is one word, and who waits is known to the
//! kernel alone, so a child is free to make and use its own. std's mutex is like that, too, but
//! nobody can wait for it for a limited time, which a request does that stands behind a script
//! (`try_lock_for`), and its guards cannot be narrowed to a part. Where threads sleep until they
//! are told something, it is std's, with its condition variable. A turn takes 14 ns with nobody
//! else there, 77 where two threads take turns (parking_lot 17 and 80, std 19 and 81;
//! `cargo bench --bench locks`).
//!
//! The word says: free, taken, awaited (by somebody who sleeps), or starved. Whoever has slept and
//! was woken may find the mutex taken again by the thread that has just given it back; after
//! [`LOSSES`] such losses it says so, and who unlocks then rests for a moment. parking_lot would
//! hand the mutex over; resting needs no state that could be left behind by a wait that ends.
//!
//! Rules: after the store that frees it, the mutex may be gone, so its memory is not read again;
//! the kernel is told the address only. Where there is no futex the raw mutex is parking_lot's.
//! Neighbours: `biased`, and every crate that shares state. Tests: `mutex/tests.rs`, and forks in
//! the Python package's.

use parking_lot::lock_api;

/// A mutex without poisoning.
pub type Mutex<T> = lock_api::Mutex<RawMutex, T>;
/// The right to what is in a [`Mutex`].
pub type MutexGuard<'a, T> = lock_api::MutexGuard<'a, RawMutex, T>;
/// The right to a part of what is in a [`Mutex`].
pub type MappedMutexGuard<'a, T> = lock_api::MappedMutexGuard<'a, RawMutex, T>;

#[cfg(not(target_os = "linux"))]
pub use parking_lot::RawMutex;

#[cfg(target_os = "linux")]
pub use futex::RawMutex;

#[cfg(target_os = "linux")]
mod futex {
    use std::sync::atomic::{
        AtomicU32,
        Ordering::{Acquire, Relaxed, Release},
    };
    use std::time::{Duration, Instant};

    use parking_lot::lock_api::{self, RawMutex as _};
    use rustix::thread::futex::{self, Flags};
    use rustix::time::Timespec;

    const FREE: u32 = 0;
    const TAKEN: u32 = 1;
    /// Taken, and somebody sleeps until it is free.
    const AWAITED: u32 = 2;
    /// The same, and somebody was woken in vain too often.
    const STARVED: u32 = 3;

    /// Looks at a mutex that is taken before the thread sleeps.
    const SPINS: u32 = 100;
    /// Wake-ups in vain that make a thread starve.
    const LOSSES: u32 = 3;
    /// How long who unlocks rests then: a thread on another core needs some 50 us to wake up.
    const REST: Duration = Duration::from_micros(100);

    /// See the module's header.
    pub struct RawMutex(AtomicU32);

    // SAFETY: only who turns FREE into something else has the mutex, and only `unlock` makes it
    // FREE again.
    unsafe impl lock_api::RawMutex for RawMutex {
        const INIT: Self = Self(AtomicU32::new(FREE));

        type GuardMarker = lock_api::GuardNoSend;

        #[inline]
        fn lock(&self) {
            if !self.try_lock() {
                self.wait(None);
            }
        }

        #[inline]
        fn try_lock(&self) -> bool {
            self.0.compare_exchange(FREE, TAKEN, Acquire, Relaxed).is_ok()
        }

        /// # Safety
        /// The caller has the mutex.
        #[inline]
        unsafe fn unlock(&self) {
            let state = self.0.swap(FREE, Release);
            if state > TAKEN {
                wake(&self.0, state);
            }
        }

        #[inline]
        fn is_locked(&self) -> bool {
            self.0.load(Relaxed) != FREE
        }
    }

    // SAFETY: as above; true is returned by who has the mutex.
    unsafe impl lock_api::RawMutexTimed for RawMutex {
        type Duration = Duration;
        type Instant = Instant;

        #[inline]
        fn try_lock_for(&self, time: Duration) -> bool {
            self.try_lock() || self.wait(now().checked_add(time))
        }

        #[inline]
        fn try_lock_until(&self, end: Instant) -> bool {
            self.try_lock() || self.wait(Some(end))
        }
    }

    impl RawMutex {
        /// Takes the mutex when it is free; false when it was not until `end`.
        #[cold]
        fn wait(&self, end: Option<Instant>) -> bool {
            // Who has not slept owes nobody a mark: of those who sleep one has been woken.
            if self.spin() && self.0.compare_exchange(FREE, TAKEN, Acquire, Relaxed).is_ok() {
                return true;
            }
            let mut losses = 0;
            loop {
                let mark = if losses < LOSSES { AWAITED } else { STARVED };
                // Not `fetch_max`, which ThreadSanitizer does not see.
                let marked = |state: u32| Some(state.max(mark));
                let (Ok(state) | Err(state)) = self.0.fetch_update(Acquire, Relaxed, marked);
                if state == FREE {
                    return true;
                }
                let left = match end.map(|end| end.checked_duration_since(now())) {
                    None => None,
                    Some(Some(left)) if !left.is_zero() => Some(timespec(left)),
                    Some(_) => return false,
                };
                // Woken, too late, disturbed by a signal, or not asleep because it has changed:
                // whatever came, the next turn looks.
                let _ = futex::wait(&self.0, Flags::PRIVATE, state.max(mark), left.as_ref());
                losses += 1;
                self.spin();
            }
        }

        /// Looks on for a moment while nobody sleeps; whether it became free.
        fn spin(&self) -> bool {
            for _ in 0..SPINS {
                match self.0.load(Relaxed) {
                    TAKEN => std::hint::spin_loop(),
                    state => return state == FREE,
                }
            }
            false
        }
    }

    /// Wakes one of those who sleep for a mutex that has just been freed.
    #[cold]
    fn wake(mutex: &AtomicU32, state: u32) {
        let _ = futex::wake(mutex, Flags::PRIVATE, 1);
        if state == STARVED {
            let nobody = AtomicU32::new(0);
            let _ = futex::wait(&nobody, Flags::PRIVATE, 0, Some(&timespec(REST)));
        }
    }

    fn timespec(time: Duration) -> Timespec {
        Timespec {
            tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: time.subsec_nanos().into(),
        }
    }

    #[expect(clippy::disallowed_methods, reason = "how long a lock is waited for")]
    fn now() -> Instant {
        Instant::now()
    }
}

#[cfg(test)]
mod tests;
