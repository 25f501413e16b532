//! What collections take in memory: how much a fresh server grows by each command of a fill.
//!
//! As in the memory rows of strings, RSS decides, read when it holds still. What is stored is the
//! same for every server, so the figures are not lessened by it, and the target is a ratio: no
//! more than the reference takes. DBSIZE and one request per row show that the fill is there.
//!
//! Neighbours: `workload` sends fills, `memory` reads RSS.

use anyhow::Result;

use crate::definition::{Content, Fill, Growth};
use crate::memory::resident_at_rest;
use crate::peer::Peer;
use crate::result::{Row, Table, Target};
use crate::run::Run;
use crate::workload::send_fill;

/// Measures every row that was asked for; none in the quick run.
pub(crate) fn measure(run: &mut Run) -> Option<Table> {
    let mut rows = Vec::new();
    for growth in run.definitions.growth.clone() {
        if !run.quick && run.wants(&growth.name) {
            rows.push(measure_row(run, &growth));
        }
    }
    let title = "Memory of collections: RSS growth per command".into();
    (!rows.is_empty()).then_some(Table { title, rows })
}

fn measure_row(run: &mut Run, growth: &Growth) -> Row {
    eprintln!("memory: {}", growth.name);
    let mut cells = run.cells();
    for (index, cell) in cells.iter_mut().enumerate() {
        if run.peers[index].definition.fixed_reply {
            continue;
        }
        match growth_per_command(&run.peers[index], growth) {
            Ok(bytes) => cell.samples.push(bytes),
            Err(why) => run.left_out(index, &growth.name, why),
        }
    }
    Row::new(&growth.name, "B", cells).target(Some(Target::Ratio(growth.ratio)))
}

fn growth_per_command(peer: &Peer, growth: &Growth) -> Result<f64> {
    let fill = Fill {
        name: growth.name.clone(),
        keys: growth.commands,
        command: growth.command.clone(),
        value_bytes: growth.value_bytes,
        content: Content::Letters,
        dbsize: growth.dbsize,
        config: Vec::new(),
        subject_only: false,
        all_cores: false,
        memory: true,
    };
    let server = peer.start()?;
    let before = resident_at_rest(&server)?;
    let mut client = server.client()?;
    send_fill(&mut client, &fill)?;
    let request: Vec<&str> = growth.check.request.iter().map(String::as_str).collect();
    client.expect(&request, &growth.check.reply)?;
    let grown = resident_at_rest(&server)?.saturating_sub(before);
    Ok(grown as f64 / growth.commands as f64)
}
