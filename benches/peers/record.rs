//! The record: one CSV a run, a line per row and peer, for comparing machines and months.
//!
//! `benches/record/<date>-<machine>.csv`. A later run of the same day on the same machine replaces
//! the earlier one; runs that were quick or partial say so in their name and are written only when
//! asked for, so that a record without such a word is always the full table. What a peer was left
//! out of is a line too, of the table `left out`, with the reason. `page` reads a record back, so
//! that drawings can be made again without measuring.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::machine::Machine;
use crate::result::{Field, Row, Table, Target};
use crate::run::Note;

/// A line; the fields are the columns.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Line {
    pub(crate) date: String,
    pub(crate) commit: String,
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) kernel: String,
    pub(crate) table: String,
    pub(crate) row: String,
    pub(crate) unit: String,
    pub(crate) peer: String,
    pub(crate) version: String,
    pub(crate) median: Option<f64>,
    pub(crate) least: Option<f64>,
    pub(crate) most: Option<f64>,
    pub(crate) rounds: usize,
    /// To the reference.
    pub(crate) ratio: Option<f64>,
    /// `ratio <= 0.5`, `<= 32` or `<= best`; the subject's lines only.
    pub(crate) target: String,
    pub(crate) reached: Option<bool>,
    /// Why there is no figure.
    pub(crate) note: String,
}

/// The table of what was left out.
pub(crate) const LEFT_OUT: &str = "left out";

/// The lines of a run.
pub(crate) fn lines(
    machine: &Machine,
    field: &Field,
    tables: &[Table],
    notes: &[Note],
) -> Vec<Line> {
    let about = Line {
        date: OffsetDateTime::now_utc().date().to_string(),
        commit: machine.commit.clone(),
        cpu: machine.cpu.clone(),
        cores: machine.cores,
        kernel: machine.kernel.clone(),
        ..Line::default()
    };
    let mut lines = Vec::new();
    for table in tables {
        for row in &table.rows {
            lines.extend((0..row.cells.len()).map(|peer| line(&about, table, row, field, peer)));
        }
    }
    lines.extend(notes.iter().map(|note| Line {
        table: LEFT_OUT.into(),
        row: note.what.clone(),
        peer: note.peer.clone(),
        note: note.why.clone(),
        ..about.clone()
    }));
    lines
}

/// Writes a record and returns its path; `suffix` is `-quick` or the like.
pub(crate) fn write(
    folder: &Path,
    machine: &Machine,
    lines: &[Line],
    suffix: &str,
) -> Result<PathBuf> {
    let date = OffsetDateTime::now_utc().date();
    fs::create_dir_all(folder)?;
    let path = folder.join(format!("{date}-{}{suffix}.csv", machine.slug()));
    let mut writer = csv::Writer::from_path(&path).with_context(|| path.display().to_string())?;
    for line in lines {
        writer.serialize(line)?;
    }
    writer.flush()?;
    Ok(path)
}

/// Reads a record.
pub(crate) fn read(path: &Path) -> Result<Vec<Line>> {
    let mut reader = csv::Reader::from_path(path).with_context(|| path.display().to_string())?;
    let lines = reader.deserialize().collect::<Result<Vec<Line>, _>>();
    lines.with_context(|| format!("{} is no record", path.display()))
}

/// The latest full record of a folder.
pub(crate) fn latest(folder: &Path) -> Result<PathBuf> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let paths = entries.flatten().map(|entry| entry.path());
    let full = paths.filter(|path| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        name.is_some_and(|name| {
            name.ends_with(".csv") && !name.contains("-quick.") && !name.contains("-partial.")
        })
    });
    full.max().with_context(|| format!("no full record in {}", folder.display()))
}

fn line(about: &Line, table: &Table, row: &Row, field: &Field, index: usize) -> Line {
    let (cell, peer) = (&row.cells[index], &field.peers[index]);
    let rounded = |value: f64| (value * 1e4).round() / 1e4;
    let target = match row.target.filter(|_| peer.subject) {
        None => String::new(),
        Some(Target::Ratio(most)) => format!("ratio <= {most}"),
        Some(Target::AtMost(most)) => format!("<= {most}"),
        Some(Target::AtLeast(least)) => format!(">= {least}"),
        Some(Target::AsBest) => "<= best".into(),
    };
    Line {
        table: table.title.clone(),
        row: row.name.clone(),
        unit: row.unit.to_owned(),
        peer: peer.name.clone(),
        version: peer.version.clone(),
        median: cell.median().map(rounded),
        least: cell.least().map(rounded),
        most: cell.most().map(rounded),
        rounds: cell.samples.len(),
        ratio: row.ratio(field, index).map(rounded),
        target,
        reached: row.reached(field).filter(|_| peer.subject),
        ..about.clone()
    }
}
