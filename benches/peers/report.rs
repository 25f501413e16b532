//! The tables as text: Markdown that is aligned for a terminal, in the order of TARGETS.
//!
//! Each figure is a median over the rounds. The column `ratio` is the subject's to the reference,
//! `reached` says whether the target was; both are a dash where the subject has no figure. A dash
//! for a peer means that it was left out, with the reason in the notes below the tables.

use std::fmt::{self, Write};

use crate::draw::figure;
use crate::machine::Machine;
use crate::result::{Field, Row, Table, Target};
use crate::run::Note;

/// All tables, the notes, and where they come from.
pub(crate) fn render(
    machine: &Machine,
    field: &Field,
    tables: &[Table],
    notes: &[Note],
) -> Result<String, fmt::Error> {
    let mut text = String::new();
    let Machine { cpu, cores, kernel, commit } = machine;
    writeln!(text, "{cpu}, {cores} cores, Linux {kernel}, commit {commit}")?;
    for table in tables.iter().filter(|table| !table.rows.is_empty()) {
        writeln!(text, "\n## {}\n", table.title)?;
        grid(&mut text, &cells_of(table, field))?;
    }
    if !notes.is_empty() {
        writeln!(text, "\nLeft out:\n")?;
        for note in notes {
            writeln!(text, "* {note}")?;
        }
    }
    Ok(text)
}

/// The table as lines of words, its head first.
fn cells_of(table: &Table, field: &Field) -> Vec<Vec<String>> {
    let named = field.peers.iter().map(|peer| format!("{} {}", peer.name, peer.version));
    let mut head = vec![String::new()];
    head.extend(named.map(|name| name.trim().to_owned()));
    head.extend(["ratio", "target", "reached"].map(str::to_owned));
    let mut lines = vec![head];
    for row in &table.rows {
        let mut line = vec![format!("{}, {}", row.name, row.unit)];
        line.extend(row.cells.iter().map(|cell| cell.median().map_or("-".into(), figure)));
        line.extend(verdict(row, field));
        lines.push(line);
    }
    lines
}

fn verdict(row: &Row, field: &Field) -> [String; 3] {
    let subject = field.peers.iter().position(|peer| peer.subject);
    let ratio = subject.and_then(|subject| row.ratio(field, subject));
    let target = match row.target {
        None => "-".into(),
        Some(Target::Ratio(most)) => format!("<= {most:.2} x"),
        Some(Target::AtMost(most)) => format!("<= {most} {}", row.unit),
        Some(Target::AtLeast(least)) => format!(">= {least} {}", row.unit),
        Some(Target::AsBest) => "as the best".into(),
    };
    let reached = match row.reached(field) {
        Some(true) => "yes",
        Some(false) => "no",
        None => "-",
    };
    [ratio.map_or("-".into(), |ratio| format!("{ratio:.2}")), target, reached.into()]
}

/// Lines of words as an aligned Markdown table, its head first.
pub(crate) fn grid(text: &mut String, lines: &[Vec<String>]) -> fmt::Result {
    let columns = lines.first().map_or(0, Vec::len);
    let width = |column: usize| lines.iter().map(|line| line[column].len()).max().unwrap_or(0);
    let widths: Vec<_> = (0..columns).map(width).collect();
    for (at, line) in lines.iter().enumerate() {
        write!(text, "| {:<1$} |", line[0], widths[0])?;
        for (word, width) in line.iter().zip(&widths).skip(1) {
            write!(text, " {word:>width$} |")?;
        }
        text.push('\n');
        if at == 0 {
            write!(text, "|{}|", "-".repeat(widths[0] + 2))?;
            for width in &widths[1..] {
                write!(text, "{}:|", "-".repeat(width + 1))?;
            }
            text.push('\n');
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::{Cell, Contestant};

    #[test]
    fn a_row_shows_medians_ratio_target_and_verdict() {
        let peer = |name: &str, reference, subject| Contestant {
            name: name.into(),
            version: "1.0".into(),
            reference,
            subject,
            fixed_reply: false,
        };
        let field =
            Field { peers: vec![peer("valkey", true, false), peer("pannier", false, true)] };
        let cell = |samples: &[f64]| Cell { samples: samples.to_vec() };
        let cells = vec![cell(&[2.0, 2.2, 1.9]), cell(&[1.0, 1.1, 0.9])];
        let row = Row::new("GET", "us/op", cells).target(Some(Target::Ratio(0.4)));
        let mut text = String::new();
        grid(&mut text, &cells_of(&Table { title: "t".into(), rows: vec![row] }, &field)).unwrap();
        assert_eq!(
            text,
            "|            | valkey 1.0 | pannier 1.0 | ratio |    target | reached |\n\
             |------------|-----------:|------------:|------:|----------:|--------:|\n\
             | GET, us/op |       2.00 |        1.00 |  0.50 | <= 0.40 x |      no |\n"
        );
    }
}
