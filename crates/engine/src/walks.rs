//! Who walks over the shards one by one, and which script has them all.
//!
//! Commands that look at one shard after the other walk together, a script walks alone: so no such
//! command stands in the middle of its walk when a script takes all shards for long. A script that
//! waits is let in before walks that come later. Nobody waits for longer than is asked, because
//! the script that is in the way may have to be killed first.
//!
//! Neighbours: `scripts` asks for the permission on behalf of `exec`.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// See the module's header.
#[derive(Default)]
pub(crate) struct Walks {
    state: Mutex<State>,
    over: Condvar,
}

#[derive(Default)]
struct State {
    shared: usize,
    alone: bool,
    /// Scripts that wait.
    scripts: usize,
    /// Everybody who waits.
    waiting: usize,
}

/// A permission, until it is dropped.
pub(crate) struct Walking<'w> {
    walks: &'w Walks,
    alone: bool,
}

impl Walks {
    /// Lets somebody walk, `alone` or beside others; `None` when that could not be for so long.
    pub(crate) fn enter(&self, alone: bool, patience: Duration) -> Option<Walking<'_>> {
        let taken = |state: &mut State| {
            state.alone || if alone { state.shared > 0 } else { state.scripts > 0 }
        };
        let mut state = self.state();
        if taken(&mut state) {
            state.waiting += 1;
            state.scripts += usize::from(alone);
            let woken = self.over.wait_timeout_while(state, patience, taken);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
            state.waiting -= 1;
            state.scripts -= usize::from(alone);
            if taken(&mut state) {
                self.tell(&state);
                return None;
            }
        }
        state.alone = alone;
        state.shared += usize::from(!alone);
        drop(state);
        Some(Walking { walks: self, alone })
    }

    fn tell(&self, state: &State) {
        if state.waiting > 0 {
            self.over.notify_all();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Walking<'_> {
    fn drop(&mut self) {
        let mut state = self.walks.state();
        if self.alone {
            state.alone = false;
        } else {
            state.shared -= 1;
        }
        self.walks.tell(&state);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

    use super::*;

    const MOMENT: Duration = Duration::from_millis(1);
    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn walks_share_and_scripts_do_not() {
        let walks = Walks::default();
        let both = [walks.enter(false, MOMENT), walks.enter(false, MOMENT)];
        assert!(both.iter().all(Option::is_some) && walks.enter(true, MOMENT).is_none());
        drop(both);
        let script = walks.enter(true, MOMENT);
        assert!(script.is_some() && walks.enter(true, MOMENT).is_none());
        assert!(walks.enter(false, MOMENT).is_none());
        drop(script);
        assert!(walks.enter(false, MOMENT).is_some());
    }

    #[test]
    fn a_script_that_waits_comes_before_later_walks() {
        let (walks, ran) = (Walks::default(), AtomicBool::new(false));
        std::thread::scope(|scope| {
            let walk = walks.enter(false, MOMENT);
            scope.spawn(|| {
                let _script = walks.enter(true, LONG);
                ran.store(true, SeqCst);
            });
            while walks.state().scripts == 0 {
                std::thread::yield_now();
            }
            assert!(walks.enter(false, MOMENT).is_none());
            let later = scope.spawn(|| {
                let _walk = walks.enter(false, LONG);
                ran.load(SeqCst)
            });
            drop(walk);
            assert!(later.join().unwrap_or(false));
        });
    }
}
