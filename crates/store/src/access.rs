//! The access clock of an entry: 32 bits that say how recently or how often it was used.
//!
//! Under an LFU policy the bits are Redis's: a minute stamp (16 bits) over a logarithmic counter
//! (8 bits), so that OBJECT FREQ, `lfu-log-factor` and `lfu-decay-time` mean the same. Under every
//! other policy they are the low 32 bits of the time in milliseconds: Redis keeps seconds, which
//! is too coarse to rank the entries of a small, busy cache. The stamp wraps after 49 days; an
//! entry idle for longer looks younger than it is, which costs a worse victim, never a wrong
//! answer. Changing the policy family leaves old stamps to be misread until the next access, as
//! in Redis.

use crate::Now;

/// A fresh LFU entry starts here, so that it survives its first samples.
const LFU_INITIAL: u32 = 5;

/// How accesses are recorded; a copy of the configuration, taken once per batch.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Count frequency (an LFU policy is set) instead of recency.
    pub frequency: bool,
    /// `lfu-log-factor`: how slowly the counter saturates.
    pub lfu_log_factor: u32,
    /// `lfu-decay-time` in minutes; 0 never decays.
    pub lfu_decay_min: u32,
    /// Whether reads are recorded at all (CLIENT NO-TOUCH clears it).
    pub touch: bool,
    /// Whether keys past their deadline stay in memory, unseen (CLIENT PAUSE).
    pub keep_expired: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            frequency: false,
            lfu_log_factor: 10,
            lfu_decay_min: 1,
            touch: true,
            keep_expired: false,
        }
    }
}

impl Rules {
    /// The stamp of an entry that was just made.
    pub(crate) fn fresh(self, now: Now) -> u32 {
        if self.frequency { lfu(minutes(now), LFU_INITIAL) } else { now.unix_ms() as u32 }
    }

    /// The stamp after one more access.
    #[inline]
    pub(crate) fn touched(self, stamp: u32, now: Now, rng: &mut fastrand::Rng) -> u32 {
        if !self.frequency {
            return now.unix_ms() as u32;
        }
        let mut counter = self.frequency_of(stamp, now);
        if counter < 255 {
            let base = f64::from(counter.saturating_sub(LFU_INITIAL));
            if rng.f64() < 1.0 / (base * f64::from(self.lfu_log_factor) + 1.0) {
                counter += 1;
            }
        }
        lfu(minutes(now), counter)
    }

    /// The LFU counter with its decay applied, as OBJECT FREQ answers it.
    pub(crate) fn frequency_of(self, stamp: u32, now: Now) -> u32 {
        let counter = stamp & 0xff;
        if self.lfu_decay_min == 0 {
            return counter;
        }
        let elapsed = minutes(now).wrapping_sub(stamp >> 8) & 0xffff;
        counter.saturating_sub(elapsed / self.lfu_decay_min)
    }

    /// Milliseconds since the last access, for a recency stamp.
    pub(crate) fn idle_ms(stamp: u32, now: Now) -> u64 {
        u64::from((now.unix_ms() as u32).wrapping_sub(stamp))
    }
}

const fn lfu(minutes: u32, counter: u32) -> u32 {
    minutes << 8 | counter
}

const fn minutes(now: Now) -> u32 {
    (now.unix_s() / 60) as u32 & 0xffff
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(unix_s: u64) -> Now {
        Now { unix_us: unix_s * 1_000_000, mono_us: 0 }
    }

    #[test]
    fn frequency_decays_one_step_a_minute() {
        let rules = Rules { frequency: true, ..Rules::default() };
        let stamp = rules.fresh(at(6000));
        assert_eq!(rules.frequency_of(stamp, at(6000)), 5);
        assert_eq!(rules.frequency_of(stamp, at(6000 + 180)), 2);
        assert_eq!(rules.frequency_of(stamp, at(6000 + 6000)), 0);
    }

    #[test]
    fn frequency_grows_slower_the_higher_it_is() {
        let rules = Rules { frequency: true, ..Rules::default() };
        let mut rng = fastrand::Rng::with_seed(7);
        let mut stamp = rules.fresh(at(60));
        for _ in 0..100 {
            stamp = rules.touched(stamp, at(60), &mut rng);
        }
        let after_hundred = stamp & 0xff;
        for _ in 0..100_000 {
            stamp = rules.touched(stamp, at(60), &mut rng);
        }
        assert!((6..20).contains(&after_hundred), "{after_hundred}");
        assert!((100..=255).contains(&(stamp & 0xff)), "{}", stamp & 0xff);
    }

    #[test]
    fn recency_is_in_milliseconds() {
        let rules = Rules::default();
        let stamp = rules.fresh(at(10));
        let later = Now { unix_us: 10_000_000 + 2_500_000, mono_us: 0 };
        assert_eq!(Rules::idle_ms(stamp, later), 2500);
    }
}
