//! Traces for hit ratios: which key is asked for, request by request.
//!
//! Three shapes that tell eviction policies apart. `Zipf` never changes: frequency is all there is
//! to know, and counting wins. `Scans` adds keys that are never asked for again, singly and in
//! runs: what came last is worth least, and recency loses. `Drift` moves the popular keys on all
//! the time: what was counted yesterday misleads, and recency wins. A policy must do well on all
//! three, because a cache in production sees each of them.
//!
//! The parameters were chosen so that redis-server 7.0.15 with `maxmemory 24mb` and 64-byte values
//! gives the ratios of the table that the project is measured by (the document
//! `docs/ideas/eviction.md` holds both): LRU 0.789, 0.524 and 0.652, LFU 0.797, 0.542 and 0.631.
//! Everything scales with the size: a trace of an eighth has an eighth of the keys and the scans.
//!
//! Rules: a trace is a function of shape, size and seed. Neighbours: `simulate` runs policies on
//! it, `peers/hits.rs` sends it to servers, `benches/hits.rs` to a keyspace without a server.

/// The shape of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trace {
    /// Zipf with exponent 1.
    Zipf,
    /// Zipf with exponent 1; a fifth of the requests are for keys seen once, and a tenth of all
    /// come as scans of such keys.
    Scans,
    /// Zipf with exponent 1.27, whose most popular key retires about every third request.
    Drift,
}

/// How long a trace is, and over how many keys.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Requests.
    pub requests: usize,
    /// Keys that the popularity is spread over; one-hit keys and drift add to them.
    pub universe: usize,
}

impl Size {
    /// The size of the table in the project's targets.
    pub const FULL: Self = Self { requests: 2_000_000, universe: 1_000_000 };

    /// A `part`-th of [`Size::FULL`].
    pub const fn part(part: usize) -> Self {
        Self { requests: Self::FULL.requests / part, universe: Self::FULL.universe / part }
    }
}

impl Trace {
    /// All shapes, in the order of the tables.
    pub const ALL: [Self; 3] = [Self::Zipf, Self::Scans, Self::Drift];

    /// What tables call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Zipf => "Zipf 1.0",
            Self::Scans => "Zipf with scans and one-hit keys",
            Self::Drift => "drifting Zipf",
        }
    }

    /// The requests, as numbers of keys.
    ///
    /// ```
    /// use pannier_benches::trace::{Size, Trace};
    /// let requests = Trace::Zipf.requests(Size { requests: 1000, universe: 100 }, 7);
    /// let most = requests.iter().filter(|key| **key == 0).count();
    /// assert!((140..250).contains(&most), "one in 5.2 requests is for the first key: {most}");
    /// ```
    pub fn requests(self, size: Size, seed: u64) -> Vec<u32> {
        let mut rng = fastrand::Rng::with_seed(seed);
        match self {
            Self::Zipf => {
                let zipf = Zipf::new(size.universe, 1.0);
                (0..size.requests).map(|_| zipf.draw(&mut rng)).collect()
            }
            Self::Scans => scans(size, &mut rng),
            Self::Drift => {
                let zipf = Zipf::new(size.universe, DRIFT_EXPONENT);
                let retired = |at: usize| (at as f64 * RETIRED_PER_REQUEST) as u32;
                (0..size.requests).map(|at| retired(at) + zipf.draw(&mut rng)).collect()
            }
        }
    }
}

fn scans(size: Size, rng: &mut fastrand::Rng) -> Vec<u32> {
    let zipf = Zipf::new(size.universe, 1.0);
    let period = (size.requests / SCANS).max(1);
    let mut fresh = size.universe as u32..;
    let mut requests = Vec::with_capacity(size.requests);
    for at in 0..size.requests {
        let scanned = at % period >= period - period / 10;
        let once = scanned || rng.f64() < ONE_HIT_SHARE;
        let key = if once { fresh.next() } else { None };
        requests.push(key.unwrap_or_else(|| zipf.draw(rng)));
    }
    requests
}

/// Ranks with probability proportional to `rank^-exponent`.
struct Zipf {
    /// Entry `i` is the probability of a rank of at most `i`.
    cumulative: Vec<f64>,
}

impl Zipf {
    fn new(count: usize, exponent: f64) -> Self {
        let mut sum = 0.0;
        let add = |rank: usize| {
            sum += (rank as f64).powf(-exponent);
            sum
        };
        let mut cumulative: Vec<f64> = (1..=count).map(add).collect();
        cumulative.iter_mut().for_each(|part| *part /= sum);
        Self { cumulative }
    }

    fn draw(&self, rng: &mut fastrand::Rng) -> u32 {
        let wanted = rng.f64();
        let rank = self.cumulative.partition_point(|part| *part < wanted);
        rank.min(self.cumulative.len() - 1) as u32
    }
}

/// Scans in a trace of `Scans`; each is a tenth of the time from one to the next.
const SCANS: usize = 20;
const ONE_HIT_SHARE: f64 = 0.2;
const DRIFT_EXPONENT: f64 = 1.27;
const RETIRED_PER_REQUEST: f64 = 0.348;

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn a_trace_is_the_same_for_the_same_seed() {
        for trace in Trace::ALL {
            let one = trace.requests(Size::part(100), 1);
            assert_eq!(one.len(), Size::part(100).requests);
            assert_eq!(one, trace.requests(Size::part(100), 1));
            assert_ne!(one, trace.requests(Size::part(100), 2));
        }
    }

    #[test]
    fn three_in_ten_requests_of_the_scans_are_for_keys_seen_once() {
        let size = Size::part(10);
        let requests = Trace::Scans.requests(size, 3);
        let once = requests.iter().filter(|key| **key as usize >= size.universe).count();
        let share = once as f64 / size.requests as f64;
        assert!((0.27..0.29).contains(&share), "{share}");
        let mut seen = HashMap::new();
        requests.iter().for_each(|key| *seen.entry(key).or_insert(0) += 1);
        let unseen = |(key, count): (&&u32, &i32)| **key as usize >= size.universe && *count > 1;
        assert!(!seen.iter().any(unseen));
    }

    #[test]
    fn the_drift_leaves_every_key_behind() {
        let size = Size::part(10);
        let requests = Trace::Drift.requests(size, 3);
        let retired = (size.requests as f64 * RETIRED_PER_REQUEST) as u32;
        assert!(requests[size.requests - 100..].iter().all(|key| *key >= retired - 100));
        assert!(requests[..100].iter().all(|key| *key <= size.universe as u32 + 100));
    }
}
