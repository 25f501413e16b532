//! Frees keys when their deadline comes, not when somebody looks.
//!
//! The task sleeps until the keyspace's next deadline and is woken when an earlier one is set. It
//! then frees in small steps, and yields between them to the worker's sockets, so that a million
//! keys that die in the same millisecond hold up no GET for longer than one step.
//!
//! Wake-ups are coalesced: between two looks at least a millisecond passes, however many keys get
//! earlier deadlines. While expiry is switched off (DEBUG SET-ACTIVE-EXPIRE, CLIENT PAUSE) a due
//! deadline stays due; the task then looks again at a slow pace. While the clock is frozen it waits
//! for it to be moved.

use std::sync::Arc;
use std::time::Duration;

use pannier_clock::Clock;
use pannier_engine::Engine;
use tokio::time::{sleep, timeout};

use crate::host::ShellHost;
use crate::now;

/// Marks that one step looks at: some hundred microseconds.
const STEP: usize = 256;

/// Time between two looks at least.
const GAP: Duration = Duration::from_millis(1);

/// Time between two looks while nothing due can be freed.
const STALLED: Duration = Duration::from_millis(100);

/// Runs until it is dropped.
pub(crate) async fn expiry(engine: Arc<Engine>, host: Arc<ShellHost>, clock: Clock) {
    loop {
        wait(&engine, &host, &clock).await;
        while engine.expire(now(&clock), STEP).more {
            tokio::task::yield_now().await;
        }
        let stalled = engine.next_deadline() <= now(&clock).unix_ms();
        sleep(if stalled { STALLED } else { GAP }).await;
    }
}

/// Waits until a deadline has come.
async fn wait(engine: &Engine, host: &ShellHost, clock: &Clock) {
    loop {
        let deadline = engine.next_deadline();
        let left = deadline.saturating_sub(now(clock).unix_ms());
        if left == 0 {
            return;
        }
        let woken = host.expiry.notified();
        if deadline == u64::MAX || clock.is_frozen() {
            woken.await;
        } else if timeout(Duration::from_millis(left), woken).await.is_err() {
            return;
        }
        sleep(GAP).await;
    }
}
