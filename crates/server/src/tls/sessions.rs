//! Sessions of TLS that clients may resume, so that they need no second full handshake.
//!
//! rustls hands over opaque bytes under a key and takes them back. They are kept in the order in
//! which they came: the oldest go first when there are too many, and whoever comes too late
//! finds nothing. rustls's own store knows no time and reserves its full size at once.
//!
//! One lock for a few instructions, during a handshake only.

use std::collections::{HashMap, VecDeque};
use std::fmt;

use pannier_clock::Clock;
use pannier_lock::Mutex;
use rustls::server::StoresServerSessions;

/// See the module's header.
pub(super) struct Sessions {
    clock: Clock,
    len_max: usize,
    lifetime_us: u64,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    sessions: HashMap<Vec<u8>, (u64, Vec<u8>)>,
    /// Keys with the times of their ends (monotonic microseconds), the earliest first. What was
    /// taken, or stored anew, leaves a stale one.
    order: VecDeque<(u64, Vec<u8>)>,
}

impl Sessions {
    /// Keeps so many at most, and each for so many seconds.
    pub(super) fn new(clock: &Clock, len_max: usize, lifetime_s: u32) -> Self {
        let lifetime_us = u64::from(lifetime_s) * 1_000_000;
        Self { clock: clock.clone(), len_max, lifetime_us, kept: Mutex::default() }
    }
}

impl Kept {
    /// Forgets what is over, and the oldest above so many.
    fn trim(&mut self, now_us: u64, len_max: usize) {
        while let Some((end_us, _)) = self.order.front() {
            if *end_us > now_us && self.order.len() <= len_max {
                break;
            }
            if let Some((end_us, key)) = self.order.pop_front()
                && self.sessions.get(&key).is_some_and(|(end, _)| *end == end_us)
            {
                self.sessions.remove(&key);
            }
        }
    }
}

impl StoresServerSessions for Sessions {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        let now_us = self.clock.mono_us();
        let end_us = now_us.saturating_add(self.lifetime_us);
        let mut kept = self.kept.lock();
        kept.order.push_back((end_us, key.clone()));
        kept.sessions.insert(key, (end_us, value));
        kept.trim(now_us, self.len_max);
        true
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        let now_us = self.clock.mono_us();
        let kept = self.kept.lock();
        kept.sessions
            .get(key)
            .filter(|(end_us, _)| *end_us > now_us)
            .map(|(_, value)| value.clone())
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        let now_us = self.clock.mono_us();
        let mut kept = self.kept.lock();
        let (end_us, value) = kept.sessions.remove(key)?;
        (end_us > now_us).then_some(value)
    }

    fn can_cache(&self) -> bool {
        true
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").field("len_max", &self.len_max).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn sessions_end_by_time_by_number_and_when_they_are_taken() {
        let (clock, hand) = Clock::virtual_at(1_700_000_000_000);
        let sessions = Sessions::new(&clock, 2, 300);
        for key in [b"a", b"b", b"c"] {
            assert!(sessions.put(key.to_vec(), b"state".to_vec()));
        }
        assert_eq!(sessions.get(b"a"), None, "the oldest goes first");
        assert_eq!(sessions.take(b"b").as_deref(), Some(&b"state"[..]));
        assert_eq!(sessions.take(b"b"), None);
        hand.advance(Duration::from_secs(299));
        assert!(sessions.get(b"c").is_some());
        hand.advance(Duration::from_secs(1));
        assert_eq!(sessions.get(b"c"), None);
        sessions.put(b"d".to_vec(), Vec::new());
        let kept = sessions.kept.lock();
        assert_eq!((kept.sessions.len(), kept.order.len()), (1, 1), "what is over is freed");
    }
}
