//! A cache in front of a slow function: one thread computes, the others wait for it.
//!
//! `cargo run --example slow_function`

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use pannier::{Cache, Error, Policy};

static RUNS: AtomicUsize = AtomicUsize::new(0);

/// What takes its time: the sum of the digits of a large power.
fn digit_sum(exponent: u32) -> String {
    RUNS.fetch_add(1, Relaxed);
    let mut digits = vec![1_u8];
    for _ in 0..exponent {
        let mut carry = 0;
        for digit in &mut digits {
            carry += *digit * 2;
            *digit = carry % 10;
            carry /= 10;
        }
        if carry > 0 {
            digits.push(carry);
        }
    }
    digits.iter().map(|digit| u64::from(*digit)).sum::<u64>().to_string()
}

fn main() -> Result<(), Error> {
    let cache = Cache::builder()
        .max_entries(10_000)
        .policy(Policy::AllKeysLru)
        .default_ttl(Duration::from_secs(300))
        .build()?;

    thread::scope(|scope| {
        let workers: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    for exponent in [2_000, 3_000, 4_000] {
                        let key = format!("digits:{exponent}");
                        cache.get_or_insert_with(key, || digit_sum(exponent))?;
                    }
                    Ok::<(), Error>(())
                })
            })
            .collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("no panic"))
    })?;

    assert_eq!(RUNS.load(Relaxed), 3);
    for key in cache.scan().matching("digits:*") {
        let key = key?;
        println!("{}: {:?}", String::from_utf8_lossy(&key), cache.get_as::<String>(&key)?);
    }
    println!("24 calls, {} computations", RUNS.load(Relaxed));
    Ok(())
}
