//! Fairness: how long one client's PING waits while another sends a pipeline of 100,000 requests.
//!
//! A server that executes all it has received before it looks at anybody else answers PING after
//! the whole pipeline; one that bounds a turn answers within a few milliseconds. One connection
//! sends the pipeline, several times in a row, and reads its replies; another sends a PING each
//! half millisecond for as long as the first is at it, and notes how long the PONG took. Every
//! reply of the pipeline is read and counted, an error among them fails the sample.
//!
//! The two clients share the load generator's core. They seldom compete for it, because the one
//! with the pipeline mostly waits for the server, but a figure below a tenth of a millisecond would
//! be theirs and not the server's.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};

use crate::client::{Client, encode};
use crate::definition::{Fairness, Fill};
use crate::peer::{Peer, Server};
use crate::result::{Row, Table, Target};
use crate::run::Run;
use crate::storm::percentile_99;
use crate::timing::{now, pause};
use crate::workload::send_fill;

/// Measures every such row that was asked for.
pub(crate) fn measure(run: &mut Run) -> Table {
    let mut rows = Vec::new();
    if !run.quick {
        for row in run.definitions.fairness.clone() {
            if run.wants(&row.name) {
                rows.extend(measure_row(run, &row));
            }
        }
    }
    Table { title: "A PING beside a long pipeline".into(), rows }
}

fn measure_row(run: &mut Run, row: &Fairness) -> Vec<Row> {
    let Some(fill) = run.definitions.fill(&row.fill).cloned() else { return Vec::new() };
    eprintln!("fairness: {}", row.name);
    let (mut p99, mut max) = (run.cells(), run.cells());
    for index in 0..run.peers.len() {
        if run.peers[index].definition.fixed_reply {
            continue;
        }
        match samples(&run.peers[index], &fill, row) {
            Ok(rounds) => {
                p99[index].samples.extend(rounds.iter().map(|round| round.0));
                max[index].samples.extend(rounds.iter().map(|round| round.1));
            }
            Err(why) => run.left_out(index, &row.name, why),
        }
    }
    let target = Some(Target::AtMost(row.target_max_ms));
    vec![
        Row::new(format!("{}, PING p99", row.name), "ms", p99),
        Row::new(format!("{}, PING max", row.name), "ms", max).target(target),
    ]
}

/// p99 and max of each round, in milliseconds.
fn samples(peer: &Peer, fill: &Fill, row: &Fairness) -> Result<Vec<(f64, f64)>> {
    let server = peer.start()?;
    let mut client = server.client()?;
    send_fill(&mut client, fill)?;
    let value = fill.content.value(0, fill.value_bytes);
    let mut requests = Vec::new();
    for index in 0..row.pipeline {
        let key = format!("key:{:012}", pannier_benches::scattered(index, fill.keys));
        let words = row.command.iter().map(|word| match word.as_str() {
            "{key}" => key.as_bytes(),
            "{value}" => &value,
            _ => word.as_bytes(),
        });
        encode(&mut requests, &words.collect::<Vec<_>>());
    }
    (0..row.rounds).map(|_| sample(&server, &mut client, &requests, row)).collect()
}

fn sample(
    server: &Server,
    client: &mut Client,
    requests: &[u8],
    row: &Fairness,
) -> Result<(f64, f64)> {
    let mut pinger = server.client()?;
    pinger.expect(&["PING"], "PONG")?;
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let pings = scope.spawn(|| ping_until(&mut pinger, &over));
        let sent = (0..row.times).try_for_each(|_| client.pipeline(requests, row.pipeline));
        over.store(true, Ordering::Relaxed);
        let mut waits = pings.join().map_err(|_| anyhow!("the pinger panicked"))??;
        sent?;
        ensure!(!waits.is_empty(), "no PING was answered meanwhile");
        let max = waits.iter().copied().fold(0.0, f64::max);
        Ok((percentile_99(&mut waits), max))
    })
}

/// Milliseconds that each PONG took.
fn ping_until(client: &mut Client, over: &AtomicBool) -> Result<Vec<f64>> {
    let mut waits = Vec::new();
    while !over.load(Ordering::Relaxed) {
        let sent = now();
        client.expect(&["PING"], "PONG")?;
        waits.push(sent.elapsed().as_secs_f64() * 1e3);
        pause(INTERVAL);
    }
    Ok(waits)
}

const INTERVAL: Duration = Duration::from_micros(500);
