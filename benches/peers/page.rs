//! The page `docs/performance.md`: a record, told.
//!
//! The prose is `benches/page.md`, where words in double braces stand for what comes from the
//! record: `{{table T}}` the table whose title begins with T, `{{drawing F T}}` its drawing, as
//! `docs/performance/F.svg` in the rows' own unit, `{{ratios F T}}` the same as ratios to the
//! reference, `{{rest}}` every table that no other word names, `{{verdict}}` which targets were
//! missed, `{{machine}}`, `{{peers}}` and `{{left out}}`. A table that the record does not have is
//! said to be missing. So the page cannot say what was not measured, and whoever changes the
//! prose changes no code.
//!
//! A drawing shows the rows of one table that have the unit of its first, and leaves out those in
//! which no peer has a figure.

use std::collections::HashSet;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::definition::Definitions;
use crate::draw::{Drawing, Group, figure};
use crate::record::{self, LEFT_OUT, Line};
use crate::report::grid;

/// Writes the page and its drawings from a record.
pub(crate) fn write(record: &Path, room: &Path, definitions: &Definitions) -> Result<()> {
    let docs = room.parent().context("the room lies nowhere")?.join("docs");
    let template = fs::read_to_string(room.join("page.md")).context("page.md")?;
    let lines = record::read(record)?;
    let name = |which: fn(&crate::definition::Peer) -> bool| {
        let peer = definitions.peers.iter().find(|peer| which(peer));
        peer.map(|peer| peer.name.clone()).unwrap_or_default()
    };
    let page = Page::new(lines, name(|peer| peer.subject), name(|peer| peer.reference));
    let drawings = docs.join("performance");
    fs::create_dir_all(&drawings)?;
    let text = page.fill(&template, |file, drawing| drawing.write(&drawings.join(file)))?;
    fs::write(docs.join("performance.md"), text)?;
    Ok(())
}

/// A record, sorted for telling.
struct Page {
    about: Line,
    /// Who takes part, in the record's order, with versions.
    peers: Vec<(String, String)>,
    subject: String,
    reference: String,
    tables: Vec<Told>,
    left_out: Vec<Line>,
}

/// One table: its rows, a line per peer in each.
struct Told {
    title: String,
    rows: Vec<Vec<Line>>,
}

impl Page {
    fn new(lines: Vec<Line>, subject: String, reference: String) -> Self {
        let mut page = Self {
            about: lines.first().cloned().unwrap_or_default(),
            peers: Vec::new(),
            subject,
            reference,
            tables: Vec::new(),
            left_out: Vec::new(),
        };
        for line in lines {
            if line.table == LEFT_OUT {
                page.left_out.push(line);
                continue;
            }
            if !page.peers.iter().any(|(name, _)| *name == line.peer) {
                page.peers.push((line.peer.clone(), line.version.clone()));
            }
            page.add(line);
        }
        page
    }

    fn add(&mut self, line: Line) {
        let known = self.tables.iter().position(|table| table.title == line.table);
        let at = known.unwrap_or_else(|| {
            self.tables.push(Told { title: line.table.clone(), rows: Vec::new() });
            self.tables.len() - 1
        });
        let rows = &mut self.tables[at].rows;
        match rows.iter_mut().find(|row| row[0].row == line.row && row[0].unit == line.unit) {
            Some(row) => row.push(line),
            None => rows.push(vec![line]),
        }
    }

    /// The template with its words replaced; `draw` is given each drawing and its file name.
    fn fill(
        &self,
        template: &str,
        mut draw: impl FnMut(&str, &Drawing) -> Result<()>,
    ) -> Result<String> {
        let mut text = String::new();
        let mut named = HashSet::new();
        let mut left = template;
        while let Some((before, rest)) = left.split_once("{{") {
            let (word, after) = rest.split_once("}}").context("{{ without }} in page.md")?;
            text.push_str(before);
            left = after;
            let (verb, what) = word.split_once(' ').unwrap_or((word, ""));
            match verb {
                "machine" => self.machine(&mut text)?,
                "peers" => self.list_peers(&mut text)?,
                "verdict" => self.verdict(&mut text)?,
                "left" => self.list_left_out(&mut text)?,
                "table" => match self.table(what) {
                    Some(table) => {
                        named.insert(&table.title);
                        self.grid(&mut text, table)?;
                    }
                    None => writeln!(text, "*Not measured in this record.*")?,
                },
                "drawing" | "ratios" => {
                    let (file, title) = what.split_once(' ').context("{{drawing FILE TITLE}}")?;
                    let Some(table) = self.table(title) else { continue };
                    let drawing = self.drawing(table, verb == "ratios");
                    if !drawing.groups.is_empty() {
                        let file = format!("{file}.svg");
                        draw(&file, &drawing)?;
                        writeln!(text, "![{}](performance/{file})", table.title)?;
                    }
                }
                "rest" => {
                    for table in self.tables.iter().filter(|table| !named.contains(&table.title)) {
                        writeln!(text, "### {}\n", table.title)?;
                        self.grid(&mut text, table)?;
                        text.push('\n');
                    }
                }
                _ => bail!("page.md: nobody knows {{{{{word}}}}}"),
            }
        }
        text.push_str(left);
        // What was replaced by nothing, or ends its own line, leaves no gap behind.
        while text.contains("\n\n\n") {
            text = text.replace("\n\n\n", "\n\n");
        }
        Ok(text.trim_end().to_owned() + "\n")
    }

    fn table(&self, title: &str) -> Option<&Told> {
        self.tables.iter().find(|table| table.title.starts_with(title))
    }

    fn machine(&self, text: &mut String) -> Result<()> {
        let Line { date, commit, cpu, cores, kernel, .. } = &self.about;
        Ok(write!(text, "{date}, commit {commit}, {cpu}, {cores} cores, Linux {kernel}")?)
    }

    fn list_peers(&self, text: &mut String) -> Result<()> {
        let named = self.peers.iter().map(|(name, version)| format!("{name} {version}"));
        text.push_str(&named.collect::<Vec<_>>().join(", "));
        Ok(())
    }

    fn verdict(&self, text: &mut String) -> Result<()> {
        let judged = self.tables.iter().flat_map(|table| table.rows.iter().flatten());
        let judged: Vec<_> = judged.filter(|line| line.reached.is_some()).collect();
        let missed: Vec<_> = judged.iter().filter(|line| line.reached == Some(false)).collect();
        let reached = judged.len() - missed.len();
        writeln!(text, "{reached} of {} targets were reached in this run.", judged.len())?;
        if !missed.is_empty() {
            writeln!(text, "\nMissed:\n")?;
        }
        for line in missed {
            let Line { table, row, unit, target, .. } = line;
            let median = line.median.map_or("-".into(), figure);
            let ratio = line.ratio.map_or(String::new(), |ratio| {
                format!(", {} times {}'s", figure(ratio), self.reference)
            });
            writeln!(text, "* {table}: {row}: {median} {unit}{ratio}; target {target}")?;
        }
        Ok(())
    }

    fn list_left_out(&self, text: &mut String) -> Result<()> {
        if self.left_out.is_empty() {
            writeln!(text, "Nothing was left out.")?;
        }
        for Line { peer, row, note, .. } in &self.left_out {
            let what = if row.is_empty() { "everything" } else { row };
            writeln!(text, "* {peer}, {what}: {note}")?;
        }
        Ok(())
    }

    /// The table in Markdown: the peers that have a figure in it, ratios, target and verdict.
    fn grid(&self, text: &mut String, table: &Told) -> Result<()> {
        let peers = self.peers_of(table);
        let others: Vec<_> = peers.iter().filter(|peer| ***peer != self.subject).collect();
        let judged = table.rows.iter().flatten().any(|line| line.reached.is_some());
        let mut head = vec![String::new()];
        head.extend(peers.iter().map(|peer| (*peer).clone()));
        head.extend(others.iter().map(|peer| format!("to {peer}")));
        if judged {
            head.extend(["target".into(), "reached".into()]);
        }
        let mut words = vec![head];
        for row in &table.rows {
            let own = line_of(row, &self.subject);
            let mut line = vec![format!("{}, {}", row[0].row, row[0].unit)];
            line.extend(peers.iter().map(|peer| {
                line_of(row, peer).and_then(|line| line.median).map_or("-".into(), figure)
            }));
            line.extend(others.iter().map(|peer| {
                ratio(own, line_of(row, peer)).map_or("-".into(), |ratio| format!("{ratio:.2}"))
            }));
            if judged {
                let target = own.map(|own| own.target.clone()).filter(|text| !text.is_empty());
                let reached = own.and_then(|own| own.reached);
                line.push(target.unwrap_or("-".into()));
                line.push(reached.map_or("-", |yes| if yes { "yes" } else { "no" }).into());
            }
            words.push(line);
        }
        Ok(grid(text, &words)?)
    }

    fn peers_of(&self, table: &Told) -> Vec<&String> {
        let has = |peer: &&String| {
            let own = table.rows.iter().filter_map(|row| line_of(row, peer));
            own.into_iter().any(|line| line.median.is_some())
        };
        self.peers.iter().map(|(name, _)| name).filter(has).collect()
    }

    fn drawing(&self, table: &Told, ratios: bool) -> Drawing {
        let peers = self.peers_of(table);
        let value = |line: &Line| if ratios { line.ratio } else { line.median };
        let unit = table.rows.first().map(|row| row[0].unit.clone()).unwrap_or_default();
        let groups = table.rows.iter().filter(|row| row[0].unit == unit).map(|row| {
            let target = line_of(row, &self.subject).map(|own| own.target.as_str());
            let target = target.unwrap_or_default();
            let number = |prefix| target.strip_prefix(prefix)?.parse().ok();
            Group {
                name: row[0].row.clone(),
                bars: peers.iter().map(|peer| line_of(row, peer).and_then(value)).collect(),
                target: if ratios { number("ratio <= ") } else { number("<= ").or(number(">= ")) },
            }
        });
        let reference = &self.reference;
        Drawing {
            title: table.title.clone(),
            unit: if ratios {
                format!("times {reference}'s, less is better")
            } else {
                unit.clone()
            },
            subject: peers.iter().position(|peer| **peer == self.subject),
            groups: groups.filter(|group| group.bars.iter().any(Option::is_some)).collect(),
            peers: peers.into_iter().cloned().collect(),
        }
    }
}

fn line_of<'a>(row: &'a [Line], peer: &str) -> Option<&'a Line> {
    row.iter().find(|line| line.peer == peer)
}

/// One peer's figure over another's: by their ratios to the reference, in which the machine's
/// drift is cancelled, else by their medians.
fn ratio(own: Option<&Line>, other: Option<&Line>) -> Option<f64> {
    let (own, other) = (own?, other?);
    let by_ratios = own.ratio.zip(other.ratio).filter(|(_, other)| *other != 0.0);
    let pair = by_ratios.or(own.median.zip(other.median)).filter(|(_, other)| *other != 0.0)?;
    Some(pair.0 / pair.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> Page {
        let line = |row: &str, peer: &str, median, ratio| Line {
            table: "Server CPU time".into(),
            row: row.into(),
            unit: "us/op".into(),
            peer: peer.into(),
            median: Some(median),
            ratio: Some(ratio),
            ..Line::default()
        };
        let judged = |line: Line, reached| Line {
            target: "ratio <= 0.5".into(),
            reached: Some(reached),
            ..line
        };
        let lines = vec![
            line("GET", "redis", 1.8, 1.5),
            line("GET", "valkey", 1.2, 1.0),
            judged(line("GET", "pannier", 0.6, 0.5), true),
            line("SET", "redis", 2.4, 1.5),
            line("SET", "valkey", 1.6, 1.0),
            judged(line("SET", "pannier", 1.2, 0.75), false),
        ];
        Page::new(lines, "pannier".into(), "valkey".into())
    }

    #[test]
    fn a_table_shows_ratios_to_every_peer_and_the_verdict() {
        let text = page().fill("{{table Server}}", |_, _| Ok(())).unwrap();
        let rows: Vec<String> = text.lines().map(|line| line.replace(' ', "")).collect();
        assert_eq!(rows[0], "||redis|valkey|pannier|toredis|tovalkey|target|reached|");
        assert_eq!(rows[2], "|GET,us/op|1.80|1.20|0.600|0.33|0.50|ratio<=0.5|yes|");
        assert_eq!(rows[3], "|SET,us/op|2.40|1.60|1.20|0.50|0.75|ratio<=0.5|no|");
    }

    #[test]
    fn what_was_missed_is_said_and_what_was_not_measured_too() {
        let text = page().fill("{{verdict}}{{table A storm}}", |_, _| Ok(())).unwrap();
        assert!(text.starts_with("1 of 2 targets"), "{text}");
        assert!(text.contains("SET: 1.20 us/op, 0.750 times valkey's; target ratio <= 0.5"));
        assert!(text.ends_with("*Not measured in this record.*\n"));
    }

    #[test]
    fn the_rest_is_what_no_word_names() {
        let whole = page().fill("{{rest}}", |_, _| Ok(())).unwrap();
        assert!(whole.contains("### Server CPU time"));
        let none = page().fill("{{table Server}}|{{rest}}", |_, _| Ok(())).unwrap();
        assert!(none.ends_with("|\n|\n"), "{none}");
        assert!(page().fill("{{tabel Server}}", |_, _| Ok(())).is_err());
    }

    #[test]
    fn a_drawing_of_ratios_has_a_bar_per_peer_and_the_target() {
        let mut drawn = Vec::new();
        let template = "{{ratios cpu Server CPU time}}";
        let text = page().fill(template, |file, drawing| {
            drawn.push((file.to_owned(), drawing.groups[0].bars.clone(), drawing.groups[0].target));
            Ok(())
        });
        assert!(text.unwrap().contains("(performance/cpu.svg)"));
        let bars = vec![Some(1.5), Some(1.0), Some(0.5)];
        assert_eq!(drawn, [("cpu.svg".to_owned(), bars, Some(0.5))]);
    }
}
