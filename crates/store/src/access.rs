//! The access clock of an entry: 32 bits that say how recently or how often it was used.
//!
//! ```text
//!  LFU policies:   | minute, 13 bits | 2048th of it, 11 bits | counter, 8 bits |
//!  all others:     | milliseconds, 32 bits                                     |
//! ```
//!
//! The counter is Redis's: eight logarithmic bits that fade by one for every `lfu-decay-time`, so
//! that OBJECT FREQ, `lfu-log-factor` and `lfu-decay-time` mean the same. Redis keeps whole
//! minutes beside it; the ticks of 29 ms here let an LFU policy rank by idle time as well, and
//! minutes still begin where Redis's do. Where Redis keeps seconds for recency, milliseconds are
//! kept, because seconds cannot rank a small cache that is read thousands of times a second.
//!
//! The milliseconds wrap after 49 days, the ticks after 5; an entry idle for longer looks younger
//! than it is, which costs a worse victim, never a wrong answer. A stamp that lies ahead of the
//! time given (another worker's clock was read later, or the clock was set back) counts as now,
//! for up to a 32nd of the range. Changing the policy family leaves old stamps to be misread until
//! the next access, as in Redis.

use crate::Now;

/// A fresh LFU entry starts here, so that it survives its first samples.
const LFU_INITIAL: u32 = 5;
/// Ticks of the LFU stamp in a minute.
const MINUTE_TICKS: u64 = 2048;
/// Ticks are kept in 24 bits.
const TICKS_MASK: u32 = 0xff_ffff;

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
        if self.frequency { lfu(ticks(now), LFU_INITIAL) } else { now.unix_ms() as u32 }
    }

    /// The stamp of an entry that was last used so many milliseconds ago.
    pub(crate) fn idle_since(self, now: Now, idle_ms: u64) -> u32 {
        if self.frequency {
            return self.fresh(now);
        }
        // Beyond the range it would look young: as idle as can be told.
        let idle_ms = idle_ms.min(u64::from(u32::MAX - u32::MAX / 32));
        now.unix_ms().wrapping_sub(idle_ms) as u32
    }

    /// The stamp of an entry used just now, with an LFU counter.
    pub(crate) fn used(self, now: Now, counter: u8) -> u32 {
        if self.frequency { lfu(ticks(now), u32::from(counter)) } else { self.fresh(now) }
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
        lfu(ticks(now), counter)
    }

    /// The LFU counter with its decay applied, as OBJECT FREQ answers it.
    pub(crate) fn frequency_of(self, stamp: u32, now: Now) -> u32 {
        let counter = stamp & 0xff;
        if self.lfu_decay_min == 0 {
            return counter;
        }
        // The time of the access, whole minutes of which may have begun since.
        let (now, idle) = (ticks(now), Self::idle_ticks(stamp, now));
        let minutes = now / MINUTE_TICKS - now.saturating_sub(idle) / MINUTE_TICKS;
        counter.saturating_sub(minutes as u32 / self.lfu_decay_min)
    }

    /// About how many uses the decayed LFU counter stands for, the one that made it included; the
    /// error says how far it has fallen below the counter of a fresh entry.
    pub(crate) fn uses_of(self, stamp: u32, now: Now) -> Result<u64, u32> {
        let counter = self.frequency_of(stamp, now);
        if counter < LFU_INITIAL {
            return Err(LFU_INITIAL - counter);
        }
        let steps = u64::from(counter - LFU_INITIAL);
        // Step `i`, counted from 0, is taken once in `i * factor + 1` uses.
        let factor = u64::from(self.lfu_log_factor);
        Ok(1 + steps + factor * (steps * steps.saturating_sub(1) / 2))
    }

    /// Ticks since the last access, for an LFU stamp.
    pub(crate) fn idle_ticks(stamp: u32, now: Now) -> u64 {
        let idle = (ticks(now) as u32).wrapping_sub(stamp >> 8) & TICKS_MASK;
        u64::from(unless_ahead(idle, TICKS_MASK))
    }

    /// Milliseconds since the last access, for a recency stamp.
    pub(crate) fn idle_ms(stamp: u32, now: Now) -> u64 {
        u64::from(unless_ahead((now.unix_ms() as u32).wrapping_sub(stamp), u32::MAX))
    }
}

/// The idle time, or 0 where the stamp lies ahead of the present.
const fn unless_ahead(idle: u32, range: u32) -> u32 {
    if idle > range - range / 32 { 0 } else { idle }
}

const fn lfu(ticks: u64, counter: u32) -> u32 {
    (ticks as u32) << 8 | counter
}

const fn ticks(now: Now) -> u64 {
    // In this order the product fits for 500 years.
    now.unix_us / 1000 * MINUTE_TICKS / 60_000
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

    #[test]
    fn decay_counts_the_minutes_that_begin_not_those_that_pass() {
        let rules = Rules { frequency: true, ..Rules::default() };
        let stamp = rules.fresh(at(6059));
        assert_eq!(rules.frequency_of(stamp, at(6060)), 4);
        assert_eq!(rules.frequency_of(rules.fresh(at(6000)), at(6059)), 5);
    }

    #[test]
    fn a_counter_stands_for_the_uses_that_led_to_it() {
        let uses = |factor, counter| {
            let rules = Rules { frequency: true, lfu_log_factor: factor, ..Rules::default() };
            rules.uses_of(lfu(ticks(at(60)), counter), at(60))
        };
        assert_eq!([5, 6, 7, 8].map(|counter| uses(10, counter)), [1, 2, 13, 34].map(Ok));
        assert_eq!([5, 6, 105].map(|counter| uses(0, counter)), [1, 2, 101].map(Ok));
        assert_eq!(uses(10, 3), Err(2));
    }

    #[test]
    fn a_stamp_from_a_later_clock_is_no_old_one() {
        let (early, late) = (at(1_000_000), at(1_000_001));
        assert_eq!(Rules::idle_ms(Rules::default().fresh(late), early), 0);
        let rules = Rules { frequency: true, ..Rules::default() };
        assert_eq!(Rules::idle_ticks(rules.fresh(late), early), 0);
        assert_eq!(rules.frequency_of(rules.fresh(at(1_000_040)), at(1_000_000)), 5);
        assert_eq!(Rules::idle_ticks(rules.fresh(early), late), 34);
    }

    #[test]
    fn idle_times_are_right_for_weeks() {
        let start = 1_700_000_000;
        let days = |days: u64| at(start + days * 86_400);
        let stamp = Rules::default().fresh(at(start));
        assert_eq!(Rules::idle_ms(stamp, days(48)), 48 * 86_400_000);
        let stamp = Rules { frequency: true, ..Rules::default() }.fresh(at(start));
        let ticks = 5 * 24 * 60 * MINUTE_TICKS;
        assert!(Rules::idle_ticks(stamp, days(5)).abs_diff(ticks) <= 1);
    }
}
