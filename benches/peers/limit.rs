//! Writes at the limit: how long a SET takes when another key has to go for it.
//!
//! A cache that is full stays full, so this is what its writes cost for most of its life. New
//! keys are set one after the other, without a pipeline, on a server that was filled to its
//! `maxmemory` first. In the second row every hundredth value is large: it takes the place of
//! thousands of small entries, and whoever evicts them all at once lets somebody wait.
//!
//! Latency is taken from sending to reply, over loopback. Checked: no error, the last key set can
//! be read, and memory is at its limit within a sixteenth and one large value.
//! Neighbours: `hits` for what is kept.

use anyhow::{Context, Result, ensure};

use crate::client::Client;
use crate::definition::Hits;
use crate::hits::configured;
use crate::peer::Peer;
use crate::result::{Row, Table};
use crate::run::Run;
use crate::timing::now;

/// Measures the rows that were asked for; none in the quick run, which is too short for p99.9.
pub(crate) fn measure(run: &mut Run) -> Option<Table> {
    let hits = run.definitions.hits.clone().filter(|_| !run.quick)?;
    let mut rows = Vec::new();
    for (name, large) in [("SET at maxmemory", 0), ("SET at maxmemory, 1 % large values", 1)] {
        if !run.wants(name) {
            continue;
        }
        let mut figures = PERCENTILES.map(|_| run.cells());
        for peer in 0..run.peers.len() {
            if run.peers[peer].definition.fixed_reply {
                continue;
            }
            eprintln!("{name}: {}", run.peers[peer].name());
            match sample(&run.peers[peer], &hits, large * hits.large_value_bytes) {
                Ok(sorted_us) => {
                    for (cells, (_, part)) in figures.iter_mut().zip(PERCENTILES) {
                        cells[peer].samples.push(percentile(&sorted_us, part));
                    }
                }
                Err(why) => run.left_out(peer, name, why),
            }
        }
        for (cells, (percentile, _)) in figures.into_iter().zip(PERCENTILES) {
            rows.push(Row::new(format!("{name}, {percentile}"), "us", cells));
        }
    }
    Some(Table { title: "Writes at the limit, allkeys-lru".into(), rows })
}

/// Latencies in microseconds, in ascending order.
fn sample(peer: &Peer, hits: &Hits, large_value_bytes: usize) -> Result<Vec<f64>> {
    let server = peer.start()?;
    let settings = ["maxmemory", &hits.maxmemory, "maxmemory-policy", "allkeys-lru"];
    let mut client = configured(&server, &settings)?;
    let small = pannier_benches::value(0, 64);
    let large = pannier_benches::value(0, large_value_bytes.max(64));
    client.fill(FILL, |index, output| {
        let key = pannier_benches::key(index);
        crate::client::encode(output, &[&b"SET"[..], &key, &small]);
    })?;
    let full = client.dbsize()?;
    ensure!(full < FILL, "{} holds all {FILL} keys", hits.maxmemory);
    let mut latencies_us = Vec::with_capacity(hits.writes);
    for index in 0..hits.writes as u64 {
        let key = pannier_benches::key(FILL + index);
        let value = if index % 100 == 99 { &large } else { &small };
        let sent = now();
        client.expect(&[&b"SET"[..], &key, value], "OK")?;
        latencies_us.push(sent.elapsed().as_secs_f64() * 1e6);
        if index + 1 == hits.writes as u64 {
            client.expect(&[&b"GET"[..], &key], value)?;
        }
    }
    check_memory(&mut client, hits, large_value_bytes)?;
    latencies_us.sort_by(f64::total_cmp);
    Ok(latencies_us)
}

fn check_memory(client: &mut Client, hits: &Hits, large_value_bytes: usize) -> Result<()> {
    let info = client.call(&["INFO", "memory"])?.to_string();
    let field = |name: &str| -> Result<usize> {
        let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        Ok(line.with_context(|| format!("INFO has no {name}"))?.trim().parse()?)
    };
    let (used, max) = (field("used_memory")?, field("maxmemory")?);
    // Buffers of connections are counted by some, and not held against the limit.
    let most = max + max / 16 + 2 * large_value_bytes + (1 << 20);
    ensure!(used <= most, "{used} bytes are used at a limit of {} ({max})", hits.maxmemory);
    Ok(())
}

fn percentile(sorted: &[f64], part: f64) -> f64 {
    let rank = (sorted.len() as f64 * part).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
}

const PERCENTILES: [(&str, f64); 4] = [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)];
/// More keys than fit.
const FILL: u64 = 400_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_the_least_figure_that_so_many_do_not_exceed() {
        let sorted: Vec<f64> = (1..=1000).map(f64::from).collect();
        let of = |part| percentile(&sorted, part);
        assert_eq!([of(0.5), of(0.99), of(0.999), of(1.0)], [500.0, 990.0, 999.0, 1000.0]);
    }
}
