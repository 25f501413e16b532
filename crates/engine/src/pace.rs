//! Rates over the last moments: operations and kilobytes a second, as INFO shows them.
//!
//! The periodic task takes a sample of the running totals ten times a second; the rate is the mean
//! of the last sixteen differences. Nothing is counted on the path of a request for it.

use std::collections::VecDeque;

use pannier_lock::Mutex;

/// Samples in the mean.
const SAMPLES: usize = 16;
/// Time between samples.
const PERIOD_US: u64 = 100_000;

/// Running totals that rates are taken of.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sample {
    pub(crate) mono_us: u64,
    pub(crate) executed: u64,
    pub(crate) net_in: u64,
    pub(crate) net_out: u64,
}

/// Rates per second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Rates {
    pub(crate) operations: f64,
    pub(crate) bytes_in: f64,
    pub(crate) bytes_out: f64,
}

/// The last samples.
#[derive(Default)]
pub(crate) struct Pace(Mutex<VecDeque<Sample>>);

impl Pace {
    /// Whether it is time for a sample.
    pub(crate) fn is_due(&self, mono_us: u64) -> bool {
        self.0.lock().back().is_none_or(|last| mono_us >= last.mono_us + PERIOD_US)
    }

    /// Takes a sample.
    pub(crate) fn add(&self, sample: Sample) {
        let mut samples = self.0.lock();
        samples.push_back(sample);
        if samples.len() > SAMPLES + 1 {
            samples.pop_front();
        }
    }

    /// The rates over the samples held.
    pub(crate) fn rates(&self) -> Rates {
        let samples = self.0.lock();
        let (Some(first), Some(last)) = (samples.front(), samples.back()) else {
            return Rates::default();
        };
        let seconds = last.mono_us.saturating_sub(first.mono_us) as f64 / 1e6;
        if seconds <= 0.0 {
            return Rates::default();
        }
        // A reset of the statistics makes totals fall; the rate is then taken as nothing.
        let rate = |first: u64, last: u64| last.saturating_sub(first) as f64 / seconds;
        Rates {
            operations: rate(first.executed, last.executed),
            bytes_in: rate(first.net_in, last.net_in),
            bytes_out: rate(first.net_out, last.net_out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_per_second_over_the_samples_held() {
        let pace = Pace::default();
        assert_eq!(pace.rates(), Rates::default());
        for i in 0..40u64 {
            assert!(pace.is_due(i * PERIOD_US));
            let sample =
                Sample { mono_us: i * PERIOD_US, executed: i * 500, net_in: 0, net_out: 0 };
            pace.add(sample);
            assert!(!pace.is_due(i * PERIOD_US + 1));
        }
        assert!((pace.rates().operations - 5000.0).abs() < 1e-6);
    }
}
