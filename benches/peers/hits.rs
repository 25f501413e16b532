//! Hit ratios: servers as caches under the same traces, at the same `maxmemory`.
//!
//! A cache is worth what it saves, and that is the share of requests that it can answer. The
//! requests are GETs; a key that is missing is put in by SET, as a program in front of a database
//! does. A hit counts only with the right value. The exact policies that the servers imitate are
//! simulated at the number of entries that each held in the end, so that what a server gains by
//! smaller entries shows apart from what it gains by better victims.
//!
//! Requests go in batches, because one at a time would take an hour. A batch's GETs are sent
//! together; then the SETs of what was missing, in the trace's order, with a GET in its place for
//! a key that the batch asked for again. So a batch is `batch` requests that do not wait for each
//! other, as fifty clients send them, and no request finds less than it would have found alone.
//!
//! Neighbours: `pannier_benches::trace` and `simulate`; `benches/hits.rs` for the same without
//! servers; `limit` for what writes at the limit cost.

use anyhow::{Result, ensure};
use pannier_benches::cache::{key, value};
use pannier_benches::simulate::{self, Simulate};
use pannier_benches::trace::{Size, Trace};

use crate::client::{Client, encode};
use crate::definition::Hits;
use crate::peer::{Peer, Server};
use crate::result::{Cell, Row, Table, Target};
use crate::run::Run;

/// Measures what was asked for.
pub(crate) fn measure(run: &mut Run) -> Vec<Table> {
    let Some(hits) = run.definitions.hits.clone() else { return Vec::new() };
    let size = if run.quick { Size::part(hits.quick_part) } else { Size::FULL };
    let (mut ratios, mut distances) = (Vec::new(), Vec::new());
    for trace in Trace::ALL {
        if run.wants(&format!("hit ratio, {}", trace.name())) {
            let requests = trace.requests(size, SEED);
            ratios.extend(ratio_rows(run, &hits, trace, &requests));
            distances.extend(distance_rows(run, &hits, trace, &requests));
        }
    }
    vec![
        Table { title: "Hit ratios at the same maxmemory".into(), rows: ratios },
        Table { title: "Hit ratios of allkeys-lru at a limit in entries".into(), rows: distances },
    ]
}

/// Both policies on one trace, and the exact ones at as many entries.
fn ratio_rows(run: &mut Run, hits: &Hits, trace: Trace, requests: &[u32]) -> Vec<Row> {
    let limit = if run.quick { &hits.quick_maxmemory } else { &hits.maxmemory };
    let mut rows = Vec::new();
    for policy in ["allkeys-lru", "allkeys-lfu"] {
        eprintln!("hit ratio: {}, {policy}", trace.name());
        let settings = ["maxmemory", limit, "maxmemory-policy", policy];
        let lru = policy == "allkeys-lru";
        let (ratio, held) = measure_peers(run, hits, trace, requests, &settings);
        let target = hits.target.iter().find(|target| target.trace == trace.name());
        let target = target.map(|target| if lru { target.lru } else { target.lfu });
        let row = Row::new(format!("{}, {policy}", trace.name()), "share", ratio).more_is_better();
        rows.push(row.target(target.filter(|_| !run.quick).map(Target::AtLeast)));
        let exact: &[(&str, Simulate)] = if lru {
            &[("exact LRU", simulate::lru), ("Belady", simulate::belady)]
        } else {
            &[("exact LFU without aging", simulate::lfu)]
        };
        for (name, simulate) in exact {
            let cells = held.iter().map(|cell| Cell {
                samples: cell.samples.iter().map(|n| simulate(requests, *n as usize)).collect(),
            });
            let name = format!("{}, {name} of as many entries", trace.name());
            rows.push(Row::new(name, "share", cells.collect()).more_is_better());
        }
        let name = format!("{}, {policy}: entries held", trace.name());
        rows.push(Row::new(name, "entries", held).more_is_better());
    }
    rows
}

/// Hit ratio and entries held of every peer.
fn measure_peers(
    run: &mut Run,
    hits: &Hits,
    trace: Trace,
    requests: &[u32],
    settings: &[&str],
) -> (Vec<Cell>, Vec<Cell>) {
    let (mut ratio, mut held) = (run.cells(), run.cells());
    for peer in 0..run.peers.len() {
        if run.peers[peer].definition.fixed_reply {
            continue;
        }
        match sample(&run.peers[peer], requests, hits.batch, settings) {
            Ok((hit_ratio, entries)) => {
                ratio[peer].samples.push(hit_ratio);
                held[peer].samples.push(entries as f64);
            }
            Err(why) => run.left_out(peer, &format!("hit ratio, {}", trace.name()), why),
        }
    }
    (ratio, held)
}

/// How far the subject's LRU is from an exact one of the same number of entries.
fn distance_rows(run: &mut Run, hits: &Hits, trace: Trace, requests: &[u32]) -> Vec<Row> {
    let Some(subject) = run.peers.iter().position(|peer| peer.definition.subject) else {
        return Vec::new();
    };
    let mut rows = Vec::new();
    // A short trace does not fill the largest.
    let fits =
        |entries: &&usize| !run.quick || **entries * hits.quick_part < Size::FULL.universe / 10;
    let sizes: Vec<_> = hits.entries.iter().filter(fits).collect();
    for entries in sizes {
        eprintln!("hit ratio: {}, allkeys-lru at {entries} entries", trace.name());
        let limit = entries.to_string();
        let settings = ["maxentries", &limit, "maxmemory-policy", "allkeys-lru"];
        let (mut ratio, mut distance) = (run.cells(), run.cells());
        match sample(&run.peers[subject], requests, hits.batch, &settings) {
            Ok((hit_ratio, _)) => {
                let exact = simulate::lru(requests, *entries);
                ratio[subject].samples.push(hit_ratio);
                distance[subject].samples.push((hit_ratio - exact).abs());
            }
            Err(why) => run.left_out(subject, &format!("{entries} entries"), why),
        }
        let name = format!("{}, {entries} entries", trace.name());
        rows.push(Row::new(&name, "share", ratio).more_is_better());
        let target = Some(Target::AtMost(hits.distance_max));
        rows.push(Row::new(format!("{name}: from exact LRU"), "share", distance).target(target));
    }
    rows
}

/// The hit ratio of a fresh server, and how many entries it held in the end.
fn sample(peer: &Peer, requests: &[u32], batch: usize, settings: &[&str]) -> Result<(f64, u64)> {
    let server = peer.start()?;
    let mut client = configured(&server, settings)?;
    let mut hits = 0;
    for requests in requests.chunks(batch.max(1)) {
        hits += replay(&mut client, requests)?;
    }
    let held = client.dbsize()?;
    ensure!(held > 0, "nothing is held in the end");
    Ok((hits as f64 / requests.len().max(1) as f64, held))
}

/// A connection to a server with these settings.
pub(crate) fn configured(server: &Server, settings: &[&str]) -> Result<Client> {
    let mut client = server.client()?;
    let mut request = vec!["CONFIG", "SET"];
    request.extend(settings);
    client.expect(&request, "OK")?;
    Ok(client)
}

/// One batch; how many of its requests were hits.
fn replay(client: &mut Client, requests: &[u32]) -> Result<usize> {
    let mut missed = Vec::new();
    let asked = |output: &mut Vec<u8>| {
        requests.iter().for_each(|number| encode(output, &[&b"GET"[..], &key(*number)]));
    };
    client.exchange(asked, requests.len(), |index, reply| {
        match reply.bytes() {
            None if reply.is_null() => missed.push(requests[index]),
            held => ensure!(held == Some(&value(requests[index])), "GET answered {reply}"),
        }
        Ok(())
    })?;
    let mut hits = requests.len() - missed.len();
    let again: Vec<_> = (0..missed.len()).map(|at| missed[..at].contains(&missed[at])).collect();
    let put = |output: &mut Vec<u8>| {
        for (number, again) in missed.iter().zip(&again) {
            if *again {
                encode(output, &[&b"GET"[..], &key(*number)]);
            } else {
                encode(output, &[&b"SET"[..], &key(*number), &value(*number)]);
            }
        }
    };
    client.exchange(put, missed.len(), |index, reply| {
        let wanted = if again[index] { &value(missed[index])[..] } else { b"OK" };
        // What was put in a moment ago may be gone again, which is a miss.
        hits += usize::from(again[index] && reply.bytes() == Some(wanted));
        ensure!(reply.bytes() == Some(wanted) || again[index] && reply.is_null(), "{reply}");
        Ok(())
    })?;
    Ok(hits)
}

/// Any seed will do, but the same for all.
const SEED: u64 = 1;
