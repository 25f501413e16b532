//! Statistics: what was executed, how long it took, what was refused.
//!
//! Counting must cost next to nothing, so every worker counts into a [`Lane`] of its own: plain
//! loads and stores on atomics that one thread writes, no read-modify-write, no sharing. Readers
//! add the lanes up. CONFIG RESETSTAT does not touch the lanes (their owners would write old
//! values back): it remembers the sums as a baseline that is subtracted from then on.
//!
//! Neighbours: `exec::settle` counts; INFO, LATENCY and the metrics page read.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use pannier_lock::Mutex;
use pannier_store::direct::{Tallies, Tally};

use crate::command::Table;

/// Codes counted separately before those that scripts make up share one.
const ERROR_CODES_MAX: usize = 128;

/// The code that they share.
const OVERFLOW: &str = "ERRORSTATS_OVERFLOW";
/// Values below this are counted exactly by a histogram.
const EXACT: u64 = 16;
/// Steps within one power of two.
const STEPS: u64 = 8;
/// Enough for 2^36 microseconds, nineteen hours.
const BUCKETS: usize = (EXACT + (36 - 4) * STEPS) as usize;

/// A number that one thread writes and any thread reads.
#[derive(Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds; only the lane's owner may call this.
    #[inline]
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// The value.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Counters of one command.
#[derive(Default)]
struct CommandCounters {
    calls: Counter,
    usec: Counter,
    rejected: Counter,
    failed: Counter,
    histogram: OnceLock<Box<Histogram>>,
}

/// Durations in microseconds, in buckets an eighth of a power of two wide.
pub(crate) struct Histogram([AtomicU64; BUCKETS]);

/// The bucket of a duration.
fn bucket(us: u64) -> usize {
    let us = us.min((1 << 36) - 1);
    if us < EXACT {
        return us as usize;
    }
    let power = 63 - u64::from(us.leading_zeros());
    let step = (us >> (power - 3)) & (STEPS - 1);
    (EXACT + (power - 4) * STEPS + step) as usize
}

/// The largest duration that falls into a bucket.
fn bucket_top(index: usize) -> u64 {
    let index = index as u64;
    if index < EXACT {
        return index;
    }
    let power = (index - EXACT) / STEPS + 4;
    let step = (index - EXACT) % STEPS;
    (1 << power) + (step + 1) * (1 << (power - 3)) - 1
}

/// One worker's counters.
pub struct Lane {
    commands: Box<[CommandCounters]>,
    /// Commands executed.
    pub executed: Counter,
    /// Error replies.
    pub errors: Counter,
    /// Bytes read from clients.
    pub net_in: Counter,
    /// Bytes written to clients.
    pub net_out: Counter,
    /// Reads from sockets.
    pub reads: Counter,
    /// Writes to sockets.
    pub writes: Counter,
    /// Connections accepted.
    pub connections: Counter,
    /// Connections refused.
    pub rejected_connections: Counter,
    /// Clients cut because their query buffer grew over the limit.
    pub query_limit_cuts: Counter,
    /// Clients cut because their output grew over the limit.
    pub output_limit_cuts: Counter,
    /// Clients evicted by `maxmemory-clients`.
    pub evicted_clients: Counter,
    /// Changes of data.
    pub changes: Counter,
    /// Refused authentications.
    pub auth_failures: Counter,
    error_codes: Mutex<BTreeMap<String, u64>>,
}

impl Lane {
    fn new(commands: usize) -> Self {
        Self {
            commands: (0..commands).map(|_| CommandCounters::default()).collect(),
            executed: Counter::default(),
            errors: Counter::default(),
            net_in: Counter::default(),
            net_out: Counter::default(),
            reads: Counter::default(),
            writes: Counter::default(),
            connections: Counter::default(),
            rejected_connections: Counter::default(),
            query_limit_cuts: Counter::default(),
            output_limit_cuts: Counter::default(),
            evicted_clients: Counter::default(),
            changes: Counter::default(),
            auth_failures: Counter::default(),
            error_codes: Mutex::new(BTreeMap::new()),
        }
    }

    /// Counts an execution.
    #[inline]
    pub(crate) fn count(&self, id: u16, us: u64, failed: bool, histogram: bool) {
        self.count_all(id, (1, u64::from(failed)), us, histogram);
    }

    /// Counts `calls` executions, `failed` of them in vain, that took `us` together.
    #[inline]
    pub(crate) fn count_all(&self, id: u16, (calls, failed): (u64, u64), us: u64, histogram: bool) {
        let command = &self.commands[usize::from(id)];
        self.executed.add(calls);
        command.calls.add(calls);
        command.usec.add(us);
        command.failed.add(failed);
        if histogram {
            let zeros = || Box::new(Histogram([const { AtomicU64::new(0) }; BUCKETS]));
            let cell = &command.histogram.get_or_init(zeros).0[bucket(us / calls.max(1))];
            cell.store(cell.load(Relaxed) + calls, Relaxed);
        }
    }

    /// Counts a refusal before execution.
    pub(crate) fn count_rejected(&self, id: u16) {
        self.commands[usize::from(id)].rejected.add(1);
    }

    /// Counts an error reply by its code.
    pub(crate) fn count_error(&self, code: &str) {
        self.count_code(code, usize::MAX);
    }

    /// The same for an error that a script has made up: there may be any number of them.
    pub(crate) fn count_script_error(&self, code: &str) {
        self.count_code(code, ERROR_CODES_MAX);
    }

    fn count_code(&self, code: &str, codes_max: usize) {
        self.errors.add(1);
        let mut codes = self.error_codes.lock();
        if let Some(n) = codes.get_mut(code) {
            *n += 1;
        } else {
            let code = if codes.len() < codes_max { code } else { OVERFLOW };
            *codes.entry(code.to_owned()).or_default() += 1;
        }
    }
}

/// Sums of one command's counters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CommandTotals {
    pub(crate) calls: u64,
    pub(crate) usec: u64,
    pub(crate) rejected: u64,
    pub(crate) failed: u64,
    /// Counts by bucket; empty when nothing was recorded.
    histogram: Vec<u64>,
}

impl CommandTotals {
    /// `(upper bound in microseconds, count)` of every bucket that is not empty.
    pub(crate) fn buckets(&self) -> impl Iterator<Item = (u64, u64)> {
        let counts = self.histogram.iter().enumerate();
        counts.filter(|(_, n)| **n > 0).map(|(i, n)| (bucket_top(i), *n))
    }

    /// Number of recorded durations.
    pub(crate) fn recorded(&self) -> u64 {
        self.histogram.iter().sum()
    }

    /// The duration below which a share (0 to 100) of the executions lie, in microseconds.
    pub(crate) fn percentile(&self, percent: f64) -> u64 {
        let rank = (self.recorded() as f64 * percent / 100.0).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (top, n) in self.buckets() {
            seen += n;
            if seen >= rank {
                return top;
            }
        }
        0
    }
}

/// Sums over all lanes since the last reset.
#[derive(Clone, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) commands: Vec<CommandTotals>,
    pub(crate) error_codes: BTreeMap<String, u64>,
    pub(crate) executed: u64,
    pub(crate) errors: u64,
    pub(crate) net_in: u64,
    pub(crate) net_out: u64,
    pub(crate) reads: u64,
    pub(crate) writes: u64,
    pub(crate) connections: u64,
    pub(crate) rejected_connections: u64,
    pub(crate) query_limit_cuts: u64,
    pub(crate) output_limit_cuts: u64,
    pub(crate) evicted_clients: u64,
    pub(crate) auth_failures: u64,
    pub(crate) changes: u64,
    /// Of the keyspace: hits, misses, keys expired, keys evicted, fields expired.
    pub(crate) keyspace: [u64; 5],
}

/// All lanes, and the baseline of the last reset.
pub(crate) struct Stats {
    commands: usize,
    lanes: Mutex<Vec<Arc<Lane>>>,
    /// What the store counts for calls that take the direct way, and whose they are: GET and SET.
    direct: Tallies,
    direct_ids: Option<[usize; 2]>,
    baseline: Mutex<Totals>,
    keyspace_baseline: Mutex<[u64; 5]>,
}

impl Stats {
    pub(crate) fn new(table: &Table, direct: Tallies) -> Self {
        let commands = table.len();
        let id = |name: &str| table.find(name.as_bytes()).map(|found| usize::from(found.id));
        let baseline =
            Totals { commands: vec![CommandTotals::default(); commands], ..Totals::default() };
        Self {
            commands,
            lanes: Mutex::new(Vec::new()),
            direct,
            direct_ids: id("get").zip(id("set")).map(<[usize; 2]>::from),
            baseline: Mutex::new(baseline),
            keyspace_baseline: Mutex::new([0; 5]),
        }
    }

    /// A new lane, for one thread.
    pub(crate) fn lane(&self) -> Arc<Lane> {
        let lane = Arc::new(Lane::new(self.commands));
        self.lanes.lock().push(Arc::clone(&lane));
        lane
    }

    /// Sums since the last reset; `keyspace` is what the store counted since its start: hits,
    /// misses, keys expired, keys evicted, fields expired.
    pub(crate) fn totals(&self, keyspace: [u64; 5]) -> Totals {
        let mut totals = self.sums();
        totals.subtract(&self.baseline.lock());
        let base = self.keyspace_baseline.lock();
        for (i, n) in keyspace.into_iter().enumerate() {
            totals.keyspace[i] = n.saturating_sub(base[i]);
        }
        totals
    }

    /// Commands executed since the start, whatever was reset.
    pub(crate) fn executed(&self) -> u64 {
        let direct = self.direct.iter().map(|tally| tally.gets.calls() + tally.sets.calls());
        let lanes = self.lanes.lock();
        direct.sum::<u64>() + lanes.iter().map(|lane| lane.executed.get()).sum::<u64>()
    }

    /// Makes the present sums the new zero.
    pub(crate) fn reset(&self, keyspace: [u64; 5]) {
        let sums = self.sums();
        let changes = self.baseline.lock().changes;
        // Codes are forgotten and not subtracted, which makes room for others.
        self.lanes.lock().iter().for_each(|lane| lane.error_codes.lock().clear());
        let error_codes = BTreeMap::new();
        // The number of changes since the last save is no statistic: a reset leaves it.
        *self.baseline.lock() = Totals { changes, error_codes, ..sums };
        *self.keyspace_baseline.lock() = keyspace;
    }

    fn sums(&self) -> Totals {
        let mut sums =
            Totals { commands: vec![CommandTotals::default(); self.commands], ..Totals::default() };
        for lane in self.lanes.lock().iter() {
            sums.add_lane(lane);
        }
        if let Some(ids) = self.direct_ids {
            self.direct.iter().for_each(|tally| sums.add_direct(tally, ids));
        }
        sums
    }
}

impl Totals {
    fn add_lane(&mut self, lane: &Lane) {
        for (sum, one) in self.commands.iter_mut().zip(&lane.commands) {
            sum.calls += one.calls.get();
            sum.usec += one.usec.get();
            sum.rejected += one.rejected.get();
            sum.failed += one.failed.get();
            if let Some(histogram) = one.histogram.get() {
                sum.histogram.resize(BUCKETS, 0);
                for (sum, n) in sum.histogram.iter_mut().zip(&histogram.0) {
                    *sum += n.load(Relaxed);
                }
            }
        }
        for (code, n) in lane.error_codes.lock().iter() {
            *self.error_codes.entry(code.clone()).or_default() += n;
        }
        for (sum, counter) in self.plain().into_iter().zip(lane.plain()) {
            *sum += counter.get();
        }
    }

    fn add_direct(&mut self, tally: &Tally, [get, set]: [usize; 2]) {
        for (id, count) in [(get, &tally.gets), (set, &tally.sets)] {
            let (sum, calls) = (&mut self.commands[id], count.calls());
            sum.calls += calls;
            sum.usec += count.us();
            self.executed += calls;
            if calls > 0 {
                // None of them takes a microsecond.
                sum.histogram.resize(BUCKETS, 0);
                sum.histogram[bucket(0)] += calls;
            }
        }
        self.changes += tally.sets.calls();
    }

    fn subtract(&mut self, base: &Self) {
        for (sum, base) in self.commands.iter_mut().zip(&base.commands) {
            sum.calls = sum.calls.saturating_sub(base.calls);
            sum.usec = sum.usec.saturating_sub(base.usec);
            sum.rejected = sum.rejected.saturating_sub(base.rejected);
            sum.failed = sum.failed.saturating_sub(base.failed);
            for (sum, base) in sum.histogram.iter_mut().zip(&base.histogram) {
                *sum = sum.saturating_sub(*base);
            }
        }
        let mut base = base.clone();
        for (sum, base) in self.plain().into_iter().zip(base.plain()) {
            *sum = sum.saturating_sub(*base);
        }
    }

    fn plain(&mut self) -> [&mut u64; 13] {
        [
            &mut self.executed,
            &mut self.errors,
            &mut self.net_in,
            &mut self.net_out,
            &mut self.reads,
            &mut self.writes,
            &mut self.connections,
            &mut self.rejected_connections,
            &mut self.query_limit_cuts,
            &mut self.output_limit_cuts,
            &mut self.evicted_clients,
            &mut self.auth_failures,
            &mut self.changes,
        ]
    }
}

impl Lane {
    /// The plain counters, in the order of `Totals::plain`.
    fn plain(&self) -> [&Counter; 13] {
        [
            &self.executed,
            &self.errors,
            &self.net_in,
            &self.net_out,
            &self.reads,
            &self.writes,
            &self.connections,
            &self.rejected_connections,
            &self.query_limit_cuts,
            &self.output_limit_cuts,
            &self.evicted_clients,
            &self.auth_failures,
            &self.changes,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duration_falls_into_a_bucket_that_reaches_it() {
        for us in (0..5000).chain([1 << 20, (1 << 36) - 1, u64::MAX]) {
            let index = bucket(us);
            let clipped = us.min((1 << 36) - 1);
            assert!(bucket_top(index) >= clipped, "{us}");
            assert!(index == 0 || bucket_top(index - 1) < clipped, "{us}");
        }
    }

    #[test]
    fn a_reset_is_a_new_zero_for_every_lane() {
        let table = Table::new(&[], false).unwrap();
        let keyspace = pannier_store::Keyspace::new(pannier_store::Options {
            shards: 1,
            databases: 1,
            seed: 1,
            now: pannier_store::Now::default(),
            reaper: Arc::new(drop),
        });
        let stats = Stats::new(&table, keyspace.tallies());
        let (a, b) = (stats.lane(), stats.lane());
        a.count(1, 100, false, true);
        b.count(1, 300, true, true);
        b.count_error("ERR");
        let totals = stats.totals([3, 2, 1, 0, 4]);
        assert_eq!((totals.commands[1].calls, totals.commands[1].usec), (2, 400));
        assert_eq!((totals.commands[1].failed, totals.errors, totals.executed), (1, 1, 2));
        assert_eq!(totals.keyspace, [3, 2, 1, 0, 4]);
        assert!((300..330).contains(&totals.commands[1].percentile(99.0)));
        stats.reset([3, 2, 1, 0, 4]);
        a.count(1, 7, false, true);
        let totals = stats.totals([4, 2, 1, 0, 4]);
        assert_eq!((totals.commands[1].calls, totals.commands[1].usec), (1, 7));
        assert_eq!((totals.errors, totals.keyspace[0]), (0, 1));
        assert_eq!(totals.commands[1].percentile(50.0), 7);
    }

    #[test]
    fn codes_that_scripts_make_up_leave_room_for_others() {
        let lane = Lane::new(0);
        (0..200).for_each(|number| lane.count_script_error(&format!("CODE{number}")));
        lane.count_error("WRONGTYPE");
        lane.count_script_error("CODE7");
        let codes = lane.error_codes.lock();
        assert_eq!((codes[OVERFLOW], codes["WRONGTYPE"], codes["CODE7"]), (72, 1, 2));
        assert_eq!((codes.len(), lane.errors.get()), (ERROR_CODES_MAX + 2, 202));
    }
}
