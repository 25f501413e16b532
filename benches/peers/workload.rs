//! The speed rows: servers filled once, then asked in turn, round after round.
//!
//! Workloads that share a fill share the servers too. All servers of a fill are up at once, and
//! only one is asked at a time: an idle one costs the core a few microseconds a tick, while
//! starting and filling one for each sample would cost minutes and put the samples of two peers
//! far apart. Within a round a workload is measured on each peer within seconds, so that the
//! machine's drift meets all of them.
//!
//! A sample counts only if the checks held just before and just after it and DBSIZE is what the
//! fill promised. A peer that fails one is left out of that workload, with the reason in the notes;
//! samples it had are dropped.

use anyhow::{Context, Result, ensure};

use crate::client::{Client, encode};
use crate::cpu::on_cpu_ns;
use crate::definition::{Check, Fill, Workload};
use crate::load::{self, Load};
use crate::peer::{Peer, Server};
use crate::result::{Cell, Row, Table, Target};
use crate::run::Run;

/// Measures every workload that was asked for.
pub(crate) fn measure(run: &mut Run) -> Vec<Table> {
    let mut all = Vec::new();
    for fill in run.definitions.fills.clone() {
        let workloads = run.definitions.workloads.iter().filter(|workload| {
            let in_time = !run.quick || workload.quick_requests.is_some();
            workload.fill == fill.name && in_time && run.wants(&workload.name)
        });
        let workloads: Vec<_> = workloads.cloned().collect();
        if !workloads.is_empty() {
            all.extend(measure_filled(run, &fill, workloads));
        }
    }
    tables(all)
}

/// A workload and what came out, a cell per peer.
struct Outcome {
    workload: Workload,
    failed: Vec<bool>,
    cpu_us: Vec<Cell>,
    ops_per_s: Vec<Cell>,
    p50_ms: Vec<Cell>,
    p99_ms: Vec<Cell>,
}

/// One measurement of one peer.
struct Sample {
    cpu_us: f64,
    ops_per_s: f64,
    p50_ms: f64,
    p99_ms: f64,
}

fn measure_filled(run: &mut Run, fill: &Fill, workloads: Vec<Workload>) -> Vec<Outcome> {
    eprintln!("filling: {}", fill.name);
    let servers: Vec<_> = (0..run.peers.len()).map(|peer| start_filled(run, peer, fill)).collect();
    let outcome = |workload| Outcome {
        workload,
        failed: servers.iter().map(Option::is_none).collect(),
        cpu_us: run.cells(),
        ops_per_s: run.cells(),
        p50_ms: run.cells(),
        p99_ms: run.cells(),
    };
    let mut outcomes: Vec<_> = workloads.into_iter().map(outcome).collect();
    for round in 0..run.rounds {
        for outcome in &mut outcomes {
            eprintln!("round {} of {}: {}", round + 1, run.rounds, outcome.workload.name);
            for peer in run.order(round) {
                let Some(server) = servers[peer].as_ref().filter(|_| !outcome.failed[peer]) else {
                    continue;
                };
                match sample(&run.peers[peer], server, fill, &outcome.workload, run.quick) {
                    Ok(sample) => outcome.add(peer, &sample),
                    Err(why) => {
                        outcome.drop_peer(peer);
                        run.left_out(peer, &outcome.workload.name, why);
                    }
                }
            }
        }
    }
    outcomes
}

fn start_filled(run: &mut Run, index: usize, fill: &Fill) -> Option<Server> {
    let peer = &run.peers[index];
    let server = peer.start().and_then(|server| {
        if !peer.definition.fixed_reply {
            send_fill(&mut server.client()?, fill)?;
        }
        Ok(server)
    });
    server.map_err(|why| run.left_out(index, &format!("the fill {:?}", fill.name), why)).ok()
}

fn send_fill(client: &mut Client, fill: &Fill) -> Result<()> {
    let value = value(fill);
    client.fill(fill.keys, |index, output| {
        let scattered = pannier_benches::scattered(index, fill.keys);
        let words = fill.command.iter().map(|word| {
            if !word.contains('{') {
                return word.clone();
            }
            word.replace("{number}", &format!("{index:012}"))
                .replace("{scattered}", &scattered.to_string())
                .replace("{value}", &value)
        });
        encode(output, &words.collect::<Vec<_>>());
    })?;
    check_size(client, fill)
}

fn sample(
    peer: &Peer,
    server: &Server,
    fill: &Fill,
    workload: &Workload,
    quick: bool,
) -> Result<Sample> {
    let value = value(fill);
    let command = with_value(&workload.command, &value);
    let checked = !peer.definition.fixed_reply;
    let mut client = server.client()?;
    if checked {
        if !workload.prepare.is_empty() {
            let reply = client.call(&workload.prepare)?;
            ensure!(!reply.is_error(), "{reply}");
        }
        check(&mut client, &workload.checks, &value).context("before it was timed")?;
    }
    let requests = workload.quick_requests.filter(|_| quick).unwrap_or(workload.requests);
    let load = Load {
        port: server.port,
        command: &command,
        keys: fill.keys,
        connections: workload.connections,
        pipeline: workload.pipeline,
        requests,
    };
    let before_ns = on_cpu_ns(server.pid())?;
    let measured = load::run(&load)?;
    let cpu_ns = on_cpu_ns(server.pid())?.saturating_sub(before_ns);
    if checked {
        check(&mut client, &workload.checks, &value).context("after it was timed")?;
        check_size(&mut client, fill)?;
    }
    Ok(Sample {
        cpu_us: cpu_ns as f64 / 1e3 / requests as f64,
        ops_per_s: measured.ops_per_s,
        p50_ms: measured.p50_latency_ms,
        p99_ms: measured.p99_latency_ms,
    })
}

fn check(client: &mut Client, checks: &[Check], value: &str) -> Result<()> {
    for check in checks {
        let request = with_value(&check.request, value);
        client.expect(&request, &check.reply.replace("{value}", value))?;
    }
    Ok(())
}

fn check_size(client: &mut Client, fill: &Fill) -> Result<()> {
    client.expect(&["DBSIZE"], &fill.dbsize.to_string())
}

fn value(fill: &Fill) -> String {
    String::from_utf8_lossy(&pannier_benches::value(0, fill.value_bytes)).into_owned()
}

fn with_value(words: &[String], value: &str) -> Vec<String> {
    words.iter().map(|word| word.replace("{value}", value)).collect()
}

fn tables(outcomes: Vec<Outcome>) -> Vec<Table> {
    let mut cpu = Table { title: "Server CPU time", rows: Vec::new() };
    let mut ops = Table { title: "Throughput", rows: Vec::new() };
    let mut latency = Table { title: "Latency as redis-benchmark sees it", rows: Vec::new() };
    for outcome in outcomes {
        let Outcome { workload, cpu_us, ops_per_s, p50_ms, p99_ms, .. } = outcome;
        let name = &workload.name;
        let ratio = workload.cpu_ratio.map(Target::Ratio);
        let as_best = workload.latency_as_best.then_some(Target::AsBest);
        cpu.rows.push(Row::new(name, "us/op", cpu_us).target(ratio));
        ops.rows.push(Row::new(name, "op/s", ops_per_s).more_is_better());
        latency.rows.push(Row::new(format!("{name}, p50"), "ms", p50_ms).target(as_best));
        latency.rows.push(Row::new(format!("{name}, p99"), "ms", p99_ms).target(as_best));
    }
    vec![cpu, ops, latency]
}

impl Outcome {
    fn add(&mut self, peer: usize, sample: &Sample) {
        self.cpu_us[peer].samples.push(sample.cpu_us);
        self.ops_per_s[peer].samples.push(sample.ops_per_s);
        self.p50_ms[peer].samples.push(sample.p50_ms);
        self.p99_ms[peer].samples.push(sample.p99_ms);
    }

    fn drop_peer(&mut self, peer: usize) {
        self.failed[peer] = true;
        for cells in [&mut self.cpu_us, &mut self.ops_per_s, &mut self.p50_ms, &mut self.p99_ms] {
            cells[peer].samples.clear();
        }
    }
}
