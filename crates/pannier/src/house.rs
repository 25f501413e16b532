//! Housekeeping: what must happen though nobody calls.
//!
//! Three ways, one piece of work (`tend`): free what has expired, take the engine's tick. By
//! default a thread of its own does it. It sleeps until the keyspace's next deadline or the next
//! tick, whichever is first, and is rung when a deadline comes closer or when something large is to
//! be freed. While nothing is executed, ticks grow rarer, so an idle cache wakes up less than
//! once in two seconds. Without the thread each call does a bounded share of the work first. While
//! the clock is frozen nobody waits for anything: whoever moves it does all of the work.
//!
//! Rules: wake-ups are coalesced (a millisecond between two looks), and a step of expiry is some
//! hundred microseconds, so that callers get the shards in between. While a server is attached
//! that keeps house, the thread only frees. The state's lock is a leaf: garbage arrives under a
//! shard's lock. Tests: `tests/housekeeping.rs`.

use std::any::Any;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::AcqRel, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use pannier_clock::Clock;
use pannier_engine::{Engine, Now};
use pannier_host::now;

/// Who frees expired keys and does the periodic work.
///
/// ```
/// use pannier::{Cache, Housekeeping};
///
/// let cache = Cache::builder().housekeeping(Housekeeping::OnAccess).build()?;
/// assert!(cache.get("key")?.is_none());
/// # Ok::<(), pannier::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Housekeeping {
    /// A small background thread: expired keys are freed within milliseconds.
    #[default]
    Thread,
    /// Every call does a bounded share first; there is no thread. What has expired is never seen,
    /// but keeps its memory until calls have come to it.
    OnAccess,
}

/// Anything that is dropped.
type Garbage = Box<dyn Any + Send>;

/// See the module's header.
#[derive(Default)]
pub(crate) struct House {
    state: Mutex<State>,
    bell: Condvar,
    /// The thread is to look at the deadlines again.
    rung: AtomicBool,
    /// The thread exists.
    staffed: AtomicBool,
    /// A server does the work.
    replaced: AtomicBool,
    /// When calls take the next tick (monotonic microseconds).
    next_tick_us: AtomicU64,
    /// When a direct call looks whether there is a tick to take (Unix microseconds).
    next_look_us: AtomicU64,
}

#[derive(Default)]
struct State {
    closing: bool,
    /// The thread waits for a deadline or for being rung, not merely for a moment.
    asleep: bool,
    garbage: Vec<Garbage>,
}

/// The thread of a house; ends it when dropped.
pub(crate) struct Housekeeper {
    house: Arc<House>,
    thread: Option<JoinHandle<()>>,
}

impl House {
    /// Starts the thread; without one the calls do its work.
    pub(crate) fn staff(house: &Arc<Self>, engine: &Arc<Engine>, clock: &Clock) -> Housekeeper {
        let (own, weak, clock) = (Arc::clone(house), Arc::downgrade(engine), clock.clone());
        house.staffed.store(true, Relaxed);
        let thread = std::thread::Builder::new()
            .name("pannier-house".into())
            .stack_size(STACK_LEN)
            .spawn(move || own.keep(&weak, &clock));
        if let Err(error) = &thread {
            house.staffed.store(false, Relaxed);
            tracing::warn!("No thread for housekeeping ({error}): calls will do it");
        }
        Housekeeper { house: Arc::clone(house), thread: thread.ok() }
    }

    /// Has whoever moves a virtual clock do the work.
    pub(crate) fn follow(house: &Arc<Self>, engine: &Arc<Engine>, clock: &Clock) {
        let house = Arc::downgrade(house);
        pannier_host::follow(clock, engine, move || _ = house.upgrade().map(|house| house.ring()));
    }

    /// Whether there is a thread.
    pub(crate) fn is_staffed(&self) -> bool {
        self.staffed.load(Relaxed)
    }

    /// A server does the work from now on, or does it no more.
    pub(crate) fn set_replaced(&self, replaced: bool) {
        self.replaced.store(replaced, Relaxed);
        self.ring();
    }

    /// A deadline came closer.
    pub(crate) fn ring(&self) {
        let is_awaited = self.staffed.load(Relaxed) && !self.replaced.load(Relaxed);
        let is_first = is_awaited && !self.rung.swap(true, AcqRel);
        if is_first && self.state().asleep {
            self.bell.notify_one();
        }
    }

    /// Frees something elsewhere, if there is a thread.
    pub(crate) fn discard(&self, garbage: Garbage) {
        if self.staffed.load(Relaxed) {
            let mut state = self.state();
            if !state.closing {
                state.garbage.push(garbage);
                if state.asleep {
                    self.bell.notify_one();
                }
            }
        }
    }

    /// A call's share of the work, when there is no thread.
    #[inline]
    pub(crate) fn share(&self, engine: &Engine, now: Now) {
        if self.replaced.load(Relaxed) {
            return;
        }
        if engine.next_deadline() <= now.unix_ms() {
            engine.expire(now, SHARE);
        }
        let due_us = self.next_tick_us.load(Relaxed);
        if now.mono_us >= due_us {
            let next_us = now.mono_us + TICK.as_micros() as u64;
            // One of several callers takes it.
            if self.next_tick_us.compare_exchange(due_us, next_us, Relaxed, Relaxed).is_ok() {
                engine.tick(now);
            }
        }
    }

    /// Whether a call that would do without has a share of the work to do, by a coarse time.
    #[inline]
    pub(crate) fn has_work(&self, engine: &Engine, now: Now) -> bool {
        if self.replaced.load(Relaxed) {
            return false;
        }
        let next_us = self.next_look_us.load(Relaxed);
        // Far ahead is where a clock left it that was set back since.
        let waits = (now.unix_us..=now.unix_us + TICK_US).contains(&next_us);
        if waits && engine.next_deadline() > now.unix_ms() {
            return false;
        }
        self.next_look_us.store(now.unix_us + TICK_US, Relaxed);
        true
    }

    /// The thread's work.
    fn keep(&self, engine: &Weak<Engine>, clock: &Clock) {
        let (mut period, mut tick_us, mut executed) = (TICK, 0, 0);
        loop {
            let Some(engine) = engine.upgrade() else { return };
            let mut wait = FOREVER;
            if !self.replaced.load(Relaxed) && !clock.is_frozen() {
                while engine.expire(now(clock), STEP).more && !self.state().closing {
                    std::thread::yield_now();
                }
                let now = now(clock);
                if now.mono_us >= tick_us {
                    engine.tick(now);
                    let before = std::mem::replace(&mut executed, engine.executed());
                    period = if executed == before { (period * 2).min(TICK_IDLE) } else { TICK };
                    tick_us = now.mono_us + period.as_micros() as u64;
                }
                let deadline_ms = engine.next_deadline().saturating_sub(now.unix_ms());
                let deadline = if deadline_ms == 0 {
                    // Due, but it may not be freed now (CLIENT PAUSE).
                    STALLED
                } else {
                    Duration::from_millis(deadline_ms)
                };
                wait = deadline.min(Duration::from_micros(tick_us - now.mono_us));
            }
            drop(engine);
            if !self.sleep(wait) {
                return;
            }
        }
    }

    /// Waits until it is rung, frees what was handed over; false when all is over.
    fn sleep(&self, wait: Duration) -> bool {
        let mut state = self.state();
        if !state.closing {
            state = self.wait_for(state, GAP);
        }
        if !self.rung.load(Relaxed) && !state.closing && state.garbage.is_empty() && wait > GAP {
            state.asleep = true;
            state = self.wait_for(state, wait - GAP);
            state.asleep = false;
        }
        self.rung.swap(false, AcqRel);
        let (garbage, closing) = (std::mem::take(&mut state.garbage), state.closing);
        drop(state);
        drop(garbage);
        !closing
    }

    fn wait_for<'s>(&self, state: MutexGuard<'s, State>, time: Duration) -> MutexGuard<'s, State> {
        self.bell.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner).0
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Housekeeper {
    fn drop(&mut self) {
        self.house.state().closing = true;
        self.house.bell.notify_one();
        let Some(thread) = self.thread.take() else { return };
        // The last handle may have been dropped by what the thread itself woke.
        if thread.thread().id() != std::thread::current().id() && thread.join().is_err() {
            tracing::error!("The housekeeping thread panicked");
        }
    }
}

/// Marks that one step of the thread looks at: some hundred microseconds.
const STEP: usize = 256;

/// Marks that a call looks at: some ten microseconds.
const SHARE: usize = 32;

/// Time between two looks of the thread at least.
const GAP: Duration = Duration::from_millis(1);

/// Time between two looks while nothing due can be freed.
const STALLED: Duration = Duration::from_millis(100);

/// Time between two ticks while something is executed.
const TICK: Duration = Duration::from_millis(100);

const TICK_US: u64 = TICK.as_micros() as u64;

/// Time between two ticks after a while without.
const TICK_IDLE: Duration = Duration::from_millis(3200);

/// A wait that something else ends.
const FOREVER: Duration = Duration::from_secs(3600);

/// The thread serves blocked commands and frees deep values, both without recursion.
const STACK_LEN: usize = 512 << 10;
