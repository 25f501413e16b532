//! Hit ratios of every policy on every trace, without a server: the table by which policies are
//! chosen, printed in about two minutes.
//!
//! ```text
//! cargo bench -p pannier-benches --bench hits
//! ```
//!
//! It is no measurement of time, so criterion has no part in it. `tests/hits.rs` holds the ratios
//! that must not be lost; `docs/ideas/eviction.md` holds the table and what follows from it.

use pannier_benches::cache::{Cache, Limit};
use pannier_benches::simulate;
use pannier_benches::trace::{Size, Trace};
use pannier_store::Policy;

fn main() {
    // Microseconds from request to request; 4 are a busy server's.
    let argument = std::env::args().find_map(|argument| argument.parse().ok());
    let step_us: u64 = argument.unwrap_or(4);
    let exact: [(&str, simulate::Simulate); 5] = [
        ("exact LRU", simulate::lru),
        ("exact LFU", simulate::lfu),
        ("S3-FIFO", simulate::s3_fifo),
        ("W-TinyLFU", simulate::w_tinylfu),
        ("Belady", simulate::belady),
    ];
    let traces = Trace::ALL.map(|trace| trace.requests(Size::FULL, 1));
    println!("{:>10}  {:22}{}", "entries", "policy", Trace::ALL.map(|t| t.name()).join(" | "));
    for entries in [1_000, 10_000, 138_000, 205_000] {
        for (name, simulate) in exact {
            let ratios = traces.each_ref().map(|trace| simulate(trace, entries));
            println!("{entries:10}  {name:22}{ratios:.4?}");
        }
        for (name, policy) in POLICIES {
            let ratios = traces.each_ref().map(|trace| {
                Cache::new(policy, Limit::Entries(entries), 1).hit_ratio(trace, step_us)
            });
            println!("{entries:10}  {name:22}{ratios:.4?}");
        }
    }
}

const POLICIES: [(&str, Policy); 3] = [
    ("allkeys-lru", Policy::AllKeysLru),
    ("allkeys-lfu", Policy::AllKeysLfu),
    ("allkeys-random", Policy::AllKeysRandom),
];
