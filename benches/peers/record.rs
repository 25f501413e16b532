//! The record: one CSV a run, a line per row and peer, for comparing machines and months.
//!
//! `benches/record/<date>-<machine>.csv`. A later run of the same day on the same machine replaces
//! the earlier one; runs that were quick or partial say so in their name and are written only when
//! asked for, so that a record without such a word is always the full table.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use time::OffsetDateTime;

use crate::machine::Machine;
use crate::result::{Field, Row, Table, Target};

/// Writes the record and returns its path; `suffix` is `-quick` or the like.
pub(crate) fn write(
    folder: &Path,
    machine: &Machine,
    field: &Field,
    tables: &[Table],
    suffix: &str,
) -> Result<PathBuf> {
    let date = OffsetDateTime::now_utc().date();
    fs::create_dir_all(folder)?;
    let path = folder.join(format!("{date}-{}{suffix}.csv", machine.slug()));
    let mut writer = csv::Writer::from_path(&path).with_context(|| path.display().to_string())?;
    writer.write_record(COLUMNS)?;
    let cores = machine.cores.to_string();
    let about = [&date.to_string(), &machine.commit, &machine.cpu, &cores, &machine.kernel];
    for table in tables {
        for row in &table.rows {
            for index in 0..row.cells.len() {
                let line = line(table, row, field, index);
                writer.write_record(about.into_iter().chain(&line))?;
            }
        }
    }
    writer.flush()?;
    Ok(path)
}

fn line(table: &Table, row: &Row, field: &Field, index: usize) -> [String; 12] {
    let (cell, peer) = (&row.cells[index], &field.peers[index]);
    let number = |value: Option<f64>| value.map_or(String::new(), |value| format!("{value:.4}"));
    let target = match row.target.filter(|_| peer.subject) {
        None => String::new(),
        Some(Target::Ratio(most)) => format!("ratio <= {most}"),
        Some(Target::AtMost(most)) => format!("<= {most}"),
        Some(Target::AtLeast(least)) => format!(">= {least}"),
        Some(Target::AsBest) => "<= best".into(),
    };
    let reached = row.reached(field).filter(|_| peer.subject).map(|yes| yes.to_string());
    [
        table.title.to_owned(),
        row.name.clone(),
        row.unit.to_owned(),
        peer.name.clone(),
        peer.version.clone(),
        number(cell.median()),
        number(cell.least()),
        number(cell.most()),
        cell.samples.len().to_string(),
        number(row.ratio(field, index)),
        target,
        reached.unwrap_or_default(),
    ]
}

const COLUMNS: [&str; 17] = [
    "date", "commit", "cpu", "cores", "kernel", "table", "row", "unit", "peer", "version",
    "median", "least", "most", "rounds", "ratio", "target", "reached",
];
