//! `peers`: Pannier beside the Redis-protocol servers installed here, in one table.
//!
//! ```text
//! cargo run --release -p pannier-benches --bin peers -- --quick --peers redis,valkey --only get
//! ```
//!
//! What is measured, on whom and with which targets are definitions (`benches/definitions`,
//! `definition`); this program finds and starts the servers (`peer`), pins them (`cpu`), measures
//! speed (`workload`, by `load`), memory (`memory`), the storm (`storm`), hit ratios (`hits`) and
//! writes at the limit (`limit`), and shows what came out (`result` by `report` and `record`).
//! How, and what the figures mean, is in `benches/README.md`.
//!
//! The rules: no figure without a checked result, no server left running, no peer preferred: all
//! get the same requests in turn, from the same core, to the same core. It looks for programs and
//! builds before it pins itself, so that the builder has all cores.

mod calls;
mod churn;
mod client;
mod cpu;
mod definition;
mod draw;
mod fairness;
mod fanout;
mod growth;
mod hits;
mod limit;
mod load;
mod machine;
mod memory;
mod page;
mod peer;
mod record;
mod report;
mod result;
mod run;
mod storm;
mod timing;
mod workload;

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use clap::Parser;

use crate::cpu::Cores;
use crate::definition::Definitions;
use crate::machine::Machine;
use crate::peer::{Peer, find_program};
use crate::run::{Note, Run};

/// Measures Pannier beside other servers of the same protocol.
#[derive(Parser)]
struct Flags {
    /// Fewer rounds, rows and requests: under two minutes, and noisier.
    #[arg(long)]
    quick: bool,
    /// The peers to compare, by the names in peers.toml [default: all but the optional ones]
    #[arg(long, value_delimiter = ',')]
    peers: Vec<String>,
    /// Only rows whose name contains one of these.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Rounds of each workload [default: 5, quick 3]
    #[arg(long)]
    rounds: Option<usize>,
    /// Write a record of a quick or partial run too; a full run always writes one.
    #[arg(long)]
    record: bool,
    /// Measure nothing: draw docs/performance.md from this record [default: the latest full one]
    #[arg(long, num_args = 0..=1, value_name = "RECORD")]
    draw: Option<Option<PathBuf>>,
}

fn main() -> Result<()> {
    let flags = Flags::parse();
    let room = Path::new(env!("CARGO_MANIFEST_DIR"));
    let machine = Machine::look();
    let definitions = Definitions::load(&room.join("definitions"))?;
    let records = room.join("record");
    if let Some(record) = flags.draw {
        let record = record.map_or_else(|| record::latest(&records), Ok)?;
        return page::write(&record, room, &definitions);
    }
    peer::stop_all_on_signal()?;
    let (peers, notes) = gather(&definitions, &flags.peers)?;
    let rounds = flags.rounds.unwrap_or(if flags.quick { 3 } else { 5 }).max(1);
    let Flags { quick, only, .. } = flags;
    let mut run = Run { definitions, peers, quick, rounds, only, notes };

    let mut tables = workload::measure(&mut run);
    tables.push(fairness::measure(&mut run));
    tables.push(fanout::measure(&mut run));
    tables.push(calls::measure(&mut run));
    tables.push(memory::measure(&mut run));
    tables.extend(growth::measure(&mut run));
    tables.extend(churn::measure(&mut run));
    tables.extend(storm::measure(&mut run));
    tables.extend(hits::measure(&mut run));
    tables.extend(limit::measure(&mut run));

    let field = run.field();
    println!("{}", report::render(&machine, &field, &tables, &run.notes)?);
    let suffix = match (run.quick, run.only.is_empty() && flags.peers.is_empty()) {
        (true, _) => "-quick",
        (false, false) => "-partial",
        (false, true) => "",
    };
    if flags.record || suffix.is_empty() {
        let lines = record::lines(&machine, &field, &tables, &run.notes);
        let path = record::write(&records, &machine, &lines, suffix)?;
        println!("recorded in {}", path.display());
        if suffix.is_empty() {
            page::write(&path, room, &run.definitions)?;
            println!("drawn in docs/performance.md");
        }
    }
    Ok(())
}

/// The peers that serve here, and a note for each that does not.
fn gather(definitions: &Definitions, named: &[String]) -> Result<(Vec<Peer>, Vec<Note>)> {
    for name in named {
        let known = definitions.peers.iter().any(|peer| peer.name == *name);
        ensure!(known, "no peer is called {name:?} in peers.toml");
    }
    let wanted = definitions.peers.iter().filter(|peer| match named {
        [] => !peer.optional,
        _ => named.contains(&peer.name),
    });
    let found: Vec<_> = wanted.map(|peer| (peer, find_program(peer))).collect();
    let cores = Cores::take()?;
    match cores.pair() {
        Some((server, load)) => {
            eprintln!("servers on core {server}, load generator on core {load}")
        }
        None => eprintln!("one core only: servers and load generator share it"),
    }
    let (mut peers, mut notes) = (Vec::new(), Vec::new());
    for (peer, program) in found {
        match program.and_then(|program| Peer::try_out(peer, program, cores)) {
            Ok(peer) => peers.push(peer),
            Err(why) => {
                eprintln!("left out: {}: {why:#}", peer.name);
                let (peer, what) = (peer.name.clone(), String::new());
                notes.push(Note { peer, what, why: format!("{why:#}") });
            }
        }
    }
    ensure!(!peers.is_empty(), "no peer to measure");
    Ok((peers, notes))
}
