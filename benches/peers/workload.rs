//! The speed rows: servers filled once, then asked in turn, round after round.
//!
//! Workloads that share a fill share the servers too. All servers of a fill are up at once, and
//! only one is asked at a time: an idle one costs the core a few microseconds a tick, while
//! starting and filling one for each sample would cost minutes and put the samples of two peers
//! far apart. Within a round a workload is measured on each peer within seconds, so that the
//! machine's drift meets all of them.
//!
//! A workload belongs to the tables of CPU time, throughput and latency, or to a table of its own
//! that shows what it names. A fill may start its servers with further directives; a server that
//! does not know one is left out with its own words.
//!
//! A sample counts only if the checks held just before and just after it and DBSIZE is what the
//! fill promised. A peer that fails one is left out of that workload, with the reason in the notes;
//! samples it had are dropped.

use anyhow::{Context, Result, ensure};

use crate::client::{Client, encode};
use crate::cpu::on_cpu_ns;
use crate::definition::{Check, Figure, Fill, Workload};
use crate::load::{self, Load};
use crate::memory::resident_at_rest;
use crate::peer::{Peer, Server};
use crate::result::{Cell, Row, Table, Target};
use crate::run::Run;

/// Measures every workload that was asked for.
pub(crate) fn measure(run: &mut Run) -> Vec<Table> {
    let mut all = Vec::new();
    for fill in run.definitions.fills.clone() {
        let workloads = run.definitions.workloads.iter().filter(|workload| {
            let in_time = !run.quick || workload.quick_requests.is_some();
            let named = workload.name.replace("{fill}", &fill.name);
            workload.fill.names().contains(&fill.name) && in_time && run.wants(&named)
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
    name: String,
    workload: Workload,
    fill: String,
    value_bytes: usize,
    /// Bytes per key by which the fill made the servers grow, where that was asked for.
    grown: Option<Vec<Cell>>,
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

/// A server that holds a fill, and what a key of it takes.
struct Filled {
    server: Server,
    grown: Option<f64>,
}

fn measure_filled(run: &mut Run, fill: &Fill, workloads: Vec<Workload>) -> Vec<Outcome> {
    eprintln!("filling: {}", fill.name);
    let servers: Vec<_> = (0..run.peers.len()).map(|peer| start_filled(run, peer, fill)).collect();
    let mut grown = fill.memory.then(|| run.cells());
    for (cell, filled) in grown.iter_mut().flatten().zip(&servers) {
        cell.samples.extend(filled.as_ref().and_then(|filled| filled.grown));
    }
    let outcome = |workload: Workload| Outcome {
        name: workload.name.replace("{fill}", &fill.name),
        workload,
        fill: fill.name.clone(),
        value_bytes: fill.value_bytes,
        grown: grown.take(),
        failed: servers.iter().map(Option::is_none).collect(),
        cpu_us: run.cells(),
        ops_per_s: run.cells(),
        p50_ms: run.cells(),
        p99_ms: run.cells(),
    };
    let mut outcomes: Vec<_> = workloads.into_iter().map(outcome).collect();
    for round in 0..run.rounds {
        for outcome in &mut outcomes {
            if outcome.workload.rounds_max.is_some_and(|most| round >= most) {
                continue;
            }
            eprintln!("round {} of {}: {}", round + 1, run.rounds, outcome.name);
            for peer in run.order(round) {
                let Some(filled) = servers[peer].as_ref().filter(|_| !outcome.failed[peer]) else {
                    continue;
                };
                let asked = &run.peers[peer];
                match sample(asked, &filled.server, fill, &outcome.workload, run.quick) {
                    Ok(sample) => outcome.add(peer, &sample),
                    Err(why) => {
                        outcome.drop_peer(peer);
                        run.left_out(peer, &outcome.name, why);
                    }
                }
            }
        }
    }
    outcomes
}

fn start_filled(run: &mut Run, index: usize, fill: &Fill) -> Option<Filled> {
    let peer = &run.peers[index];
    if fill.subject_only && !peer.definition.subject {
        return None;
    }
    let filled = start_and_fill(peer, fill);
    filled.map_err(|why| run.left_out(index, &format!("the fill {:?}", fill.name), why)).ok()
}

fn start_and_fill(peer: &Peer, fill: &Fill) -> Result<Filled> {
    let server = peer.start_with(&fill.config, fill.all_cores)?;
    if peer.definition.fixed_reply {
        return Ok(Filled { server, grown: None });
    }
    if !fill.memory {
        send_fill(&mut server.client()?, fill)?;
        return Ok(Filled { server, grown: None });
    }
    let before = resident_at_rest(&server)?;
    send_fill(&mut server.client()?, fill)?;
    let grown = resident_at_rest(&server)?.saturating_sub(before);
    Ok(Filled { server, grown: Some(grown as f64 / fill.keys as f64) })
}

/// Sends a fill and checks what DBSIZE says of it.
pub(crate) fn send_fill(client: &mut Client, fill: &Fill) -> Result<()> {
    let varied = fill.memory;
    let one = value(fill);
    client.fill(fill.keys, |index, output| {
        let scattered = pannier_benches::scattered(index, fill.keys);
        let words = fill.command.iter().map(|word| {
            if word == "{value}" {
                let own = || fill.content.value(index, fill.value_bytes);
                return if varied { own() } else { one.clone() };
            }
            if !word.contains('{') {
                return word.clone().into_bytes();
            }
            word.replace("{number}", &format!("{index:012}"))
                .replace("{scattered}", &scattered.to_string())
                .into_bytes()
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
    let checked = !peer.definition.fixed_reply;
    let mut client = server.client()?;
    if checked {
        if !workload.prepare.is_empty() {
            let reply = client.call(&workload.prepare)?;
            ensure!(!reply.is_error(), "{reply}");
        }
        check(&mut client, &workload.checks, &value).context("before it was timed")?;
    }
    let requests = requests(workload, fill.value_bytes, quick);
    let load = Load {
        port: server.port,
        command: &with_value(&workload.command, &value),
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

fn requests(workload: &Workload, value_bytes: usize, quick: bool) -> u64 {
    let requests = workload.quick_requests.filter(|_| quick).unwrap_or(workload.requests);
    let most = workload.megabytes_max.map(|most| (most << 20) / value_bytes.max(1) as u64);
    // A whole number of pipelines from each connection.
    let step = workload.connections * workload.pipeline;
    requests.min(most.unwrap_or(u64::MAX)).div_ceil(step) * step
}

fn check(client: &mut Client, checks: &[Check], value: &[u8]) -> Result<()> {
    for check in checks {
        let reply = with_value(std::slice::from_ref(&check.reply), value).concat();
        client.expect(&with_value(&check.request, value), reply)?;
    }
    Ok(())
}

fn check_size(client: &mut Client, fill: &Fill) -> Result<()> {
    client.expect(&["DBSIZE"], fill.dbsize.to_string())
}

fn value(fill: &Fill) -> Vec<u8> {
    fill.content.value(0, fill.value_bytes)
}

fn with_value(words: &[String], value: &[u8]) -> Vec<Vec<u8>> {
    let word = |word: &String| match word.as_str() {
        "{value}" => value.to_vec(),
        _ => word.clone().into_bytes(),
    };
    words.iter().map(word).collect()
}

fn tables(outcomes: Vec<Outcome>) -> Vec<Table> {
    let mut tables: Vec<Table> =
        [CPU, OPS, LATENCY].map(|title| Table { title: title.into(), rows: Vec::new() }).into();
    for outcome in outcomes {
        let Some(title) = outcome.workload.table.clone() else {
            for (table, figures) in
                [vec![Figure::Cpu], vec![Figure::Ops], vec![Figure::P50, Figure::P99]]
                    .into_iter()
                    .enumerate()
            {
                tables[table].rows.extend(figures.into_iter().map(|figure| outcome.row(figure)));
            }
            continue;
        };
        let at = tables.iter().position(|table| table.title == title).unwrap_or_else(|| {
            tables.push(Table { title, rows: Vec::new() });
            tables.len() - 1
        });
        tables[at].rows.extend(
            outcome
                .grown
                .clone()
                .map(|cells| Row::new(format!("{}: memory of a key", outcome.fill), "B", cells)),
        );
        let shown = outcome.workload.show.clone();
        tables[at].rows.extend(shown.into_iter().map(|figure| outcome.row(figure)));
    }
    tables
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

    /// The row of one figure, with the target that the workload sets for it.
    fn row(&self, figure: Figure) -> Row {
        let Self { name, workload, .. } = self;
        let as_best = workload.latency_as_best.then_some(Target::AsBest);
        let in_megabytes = self.value_bytes as f64 / 1e6;
        match figure {
            Figure::Cpu => Row::new(name, "us/op", self.cpu_us.clone())
                .target(workload.cpu_ratio.map(Target::Ratio)),
            Figure::Ops => Row::new(name, "op/s", self.ops_per_s.clone()).more_is_better(),
            Figure::Megabytes => {
                let mut cells = self.ops_per_s.clone();
                let samples = cells.iter_mut().flat_map(|cell| &mut cell.samples);
                samples.for_each(|sample| *sample *= in_megabytes);
                Row::new(name, "MB/s", cells).more_is_better()
            }
            Figure::P50 => {
                Row::new(format!("{name}, p50"), "ms", self.p50_ms.clone()).target(as_best)
            }
            Figure::P99 => {
                Row::new(format!("{name}, p99"), "ms", self.p99_ms.clone()).target(as_best)
            }
        }
    }
}

/// The tables of workloads that name none.
const CPU: &str = "Server CPU time";
const OPS: &str = "Throughput";
const LATENCY: &str = "Latency as redis-benchmark sees it";
