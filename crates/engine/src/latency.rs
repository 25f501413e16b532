//! The latency monitor: spikes by event, as LATENCY shows them.
//!
//! Whoever measures a duration above `latency-monitor-threshold` adds it under the event's name.
//! Each event keeps its last 160 samples, one a second (the largest of that second), and its
//! all-time maximum.

use std::collections::{BTreeMap, VecDeque};

use pannier_lock::Mutex;

/// Samples kept of an event.
const SAMPLES_MAX: usize = 160;

/// One event's history.
#[derive(Clone, Debug, Default)]
pub(crate) struct Event {
    /// `(Unix seconds, milliseconds)`, oldest first.
    pub(crate) samples: VecDeque<(u64, u64)>,
    /// The largest duration ever, in milliseconds.
    pub(crate) max_ms: u64,
    /// Sum of all durations added, in milliseconds.
    pub(crate) sum_ms: u64,
    /// How many were added.
    pub(crate) count: u64,
}

/// All events.
#[derive(Default)]
pub(crate) struct LatencyMonitor(Mutex<BTreeMap<&'static str, Event>>);

impl LatencyMonitor {
    /// Adds a duration that was over the threshold.
    #[cold]
    pub(crate) fn add(&self, event: &'static str, ms: u64, now_s: u64) {
        let mut events = self.0.lock();
        let event = events.entry(event).or_default();
        event.max_ms = event.max_ms.max(ms);
        event.sum_ms += ms;
        event.count += 1;
        match event.samples.back_mut() {
            Some((second, held)) if *second == now_s => *held = ms.max(*held),
            _ => event.samples.push_back((now_s, ms)),
        }
        if event.samples.len() > SAMPLES_MAX {
            event.samples.pop_front();
        }
    }

    /// One event's history.
    pub(crate) fn event(&self, name: &str) -> Option<Event> {
        self.0.lock().get(name).cloned()
    }

    /// All events by name.
    pub(crate) fn all(&self) -> Vec<(&'static str, Event)> {
        self.0.lock().iter().map(|(name, event)| (*name, event.clone())).collect()
    }

    /// Forgets an event, or all; how many there were.
    pub(crate) fn reset(&self, name: Option<&str>) -> usize {
        let mut events = self.0.lock();
        let before = events.len();
        match name {
            Some(name) => events.retain(|held, _| *held != name),
            None => events.clear(),
        }
        before - events.len()
    }
}
