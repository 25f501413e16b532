//! What every program around an engine has alike, whether it listens or is called.
//!
//! The engine knows neither clock nor process: it asks its host. There are two of those, the
//! server's and the one of a cache without a server, which run on different machinery (tokio's
//! tasks here, a thread and condition variables there) and so share no task; but they read one
//! clock, let it be moved alike, say the same of the process, and cut the keyspace alike. That is
//! here, below both, so that a cache does without tokio.
//!
//! Rules: no thread and no runtime. Neighbours: `pannier-server` and `pannier` have the hosts.

mod process;

use std::sync::Arc;
use std::time::Duration;

use pannier_clock::Clock;
use pannier_engine::{ClockChange, ClockState, Engine, Now};

pub use process::facts;

/// One reading of a clock, as the engine takes it.
///
/// ```
/// let (clock, _hand) = pannier_clock::Clock::virtual_at(1_000);
/// assert_eq!(pannier_host::now(&clock).unix_us, 1_000_000);
/// ```
#[inline]
pub fn now(clock: &Clock) -> Now {
    let pannier_clock::Now { unix_us, mono_us } = clock.now();
    Now { unix_us, mono_us }
}

/// Moves a clock, if somebody may.
///
/// ```
/// use pannier_clock::Clock;
/// use pannier_engine::ClockChange;
///
/// let (clock, _hand) = Clock::virtual_at(1_000);
/// let state = pannier_host::move_clock(&clock, ClockChange::Advance(500))?;
/// assert_eq!((state.unix_ms, state.frozen), (1_500, true));
/// assert!(pannier_host::move_clock(&Clock::system(), ClockChange::Look).is_err());
/// # Ok::<(), String>(())
/// ```
///
/// # Errors
/// It is the system's.
pub fn move_clock(clock: &Clock, change: ClockChange) -> Result<ClockState, String> {
    let Some(hand) = clock.hand() else {
        return Err("ERR the clock of this server cannot be moved".into());
    };
    match change {
        ClockChange::Look => {}
        ClockChange::Freeze => hand.freeze(),
        ClockChange::Resume => hand.resume(),
        ClockChange::Set(unix_ms) => hand.set(unix_ms),
        ClockChange::Advance(ms) => hand.advance(Duration::from_millis(ms)),
    }
    Ok(ClockState { unix_ms: clock.now().unix_ms(), frozen: hand.is_frozen() })
}

/// Has an engine follow a clock that is moved: it stops at the engine's deadlines, and what is due
/// has happened when the hand is done; `then` is called behind.
pub fn follow(clock: &Clock, engine: &Arc<Engine>, then: impl Fn() + Send + Sync + 'static) {
    let (weak, own) = (Arc::downgrade(engine), clock.clone());
    clock.on_change(move || {
        if let Some(engine) = weak.upgrade() {
            engine.time_moved(now(&own));
            then();
        }
    });
    let weak = Arc::downgrade(engine);
    clock.on_stops(move || weak.upgrade().map_or(u64::MAX, |engine| engine.next_deadline()));
}

/// Shards for so many threads: enough that two seldom want the same. One thread has nobody to
/// share with, and one lock is taken faster than four.
///
/// ```
/// assert_eq!([1, 2, 3, 100].map(pannier_host::shards), [1, 8, 16, 64]);
/// ```
pub fn shards(threads: usize) -> usize {
    match threads {
        1 => 1,
        _ => (threads * SHARDS_PER_THREAD).next_power_of_two().min(SHARDS_MAX),
    }
}

const SHARDS_PER_THREAD: usize = 4;

const SHARDS_MAX: usize = 64;
