//! Hit ratios that must not be lost, on traces of an eighth of the table's size.
//!
//! The whole table is printed by `cargo bench -p pannier-benches --bench hits`.

use pannier_benches::cache::{Cache, Limit};
use pannier_benches::simulate;
use pannier_benches::trace::{Size, Trace};
use pannier_store::Policy;

/// Microseconds from request to request, as of a busy server.
const STEP_US: u64 = 4;
/// An eighth of the entries that `maxmemory 24mb` holds.
const ENTRIES: usize = 25_600;

fn ratio(policy: Policy, entries: usize, shards: usize, trace: &[u32]) -> f64 {
    Cache::new(policy, Limit::Entries(entries), shards).hit_ratio(trace, STEP_US)
}

fn traces() -> [Vec<u32>; 3] {
    Trace::ALL.map(|trace| trace.requests(Size::part(8), 1))
}

#[test]
fn lru_is_within_three_thousandths_of_the_exact_order() {
    for trace in traces() {
        for (entries, shards) in [(1_000, 1), (10_000, 1), (10_000, 16), (ENTRIES, 2)] {
            let exact = simulate::lru(&trace, entries);
            let ours = ratio(Policy::AllKeysLru, entries, shards, &trace);
            assert!((ours - exact).abs() <= 0.003, "{entries} entries: {ours}, exactly {exact}");
        }
    }
}

#[test]
fn lfu_beats_lru_where_counting_helps_and_stays_close_where_it_misleads() {
    let [zipf, scans, drift] = traces();
    let gain = |trace: &[u32]| {
        ratio(Policy::AllKeysLfu, ENTRIES, 1, trace) - ratio(Policy::AllKeysLru, ENTRIES, 1, trace)
    };
    assert!(gain(&zipf) > 0.001, "{}", gain(&zipf));
    assert!(gain(&scans) > 0.005, "{}", gain(&scans));
    assert!(gain(&drift) > -0.02, "{}", gain(&drift));
}

#[test]
fn a_limit_in_bytes_is_a_limit_in_entries_of_the_same_size() {
    let [zipf, ..] = traces();
    let mut cache = Cache::new(Policy::AllKeysLru, Limit::Bytes(2 << 20), 1);
    let ours = cache.hit_ratio(&zipf, STEP_US);
    let held = cache.keyspace.len(0);
    assert!(held > 10_000, "{held} entries in 2 MiB");
    let exact = simulate::lru(&zipf, held);
    assert!((ours - exact).abs() <= 0.005, "{held} entries: {ours}, exactly {exact}");
}
