//! All transcripts on one target, with a report.
//!
//! A file takes mostly waiting (a server starting, time passing on a real clock), so a few lanes
//! work through the files side by side, each with servers of its own. The report is one block of
//! text, mismatch by mismatch, with file and line, so that an editor can jump there.
//!
//! Rules: nothing is skipped silently. What is skipped is counted by reason and printed past the
//! test harness's capture; a missing target is skipped with its reason, except where the
//! environment says `CI=true`: there it fails.
//!
//! `PANNIER_ONLY=string/set` runs only the files whose path contains that.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::parse::{self, Action, Step, Transcript};
use super::run::{self, Outcome};
use crate::target::{Place, Target};

/// Files that run side by side.
const LANES: usize = 4;

/// What came of a run.
#[derive(Debug, Default)]
pub struct Report {
    /// Files that were played.
    pub files: usize,
    /// Steps that were played.
    pub steps: usize,
    /// Mismatches, each a block of lines.
    pub failures: Vec<String>,
    /// How many steps were not played, by reason.
    pub skipped: BTreeMap<String, usize>,
}

/// The folder with all transcripts.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("transcripts")
}

/// All transcript files below `folder`, sorted.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "txt") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Plays all files on the target.
pub fn run(target: &dyn Target, files: &[PathBuf]) -> Report {
    let only = std::env::var("PANNIER_ONLY").unwrap_or_default();
    let files: Vec<_> = files.iter().filter(|f| f.to_string_lossy().contains(&only)).collect();
    let next = AtomicUsize::new(0);
    let report = Mutex::new(Report::default());
    std::thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(|| {
                while let Some(path) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let one = run_file(target, path);
                    if let Ok(mut report) = report.lock() {
                        report.add(one);
                    }
                }
            });
        }
    });
    let mut report = report.into_inner().unwrap_or_else(|e| e.into_inner());
    report.failures.sort();
    report
}

/// Plays all transcripts on a target, if it is there, and panics with all mismatches.
///
/// # Panics
/// A reply was not the expected one, or the target is missing in CI.
pub fn check<T: Target>(name: &str, target: Result<T, String>) {
    check_files(name, target, &files(&folder()));
}

/// The same with some of the transcripts.
///
/// # Panics
/// A reply was not the expected one, or the target is missing in CI.
pub fn check_files<T: Target>(name: &str, target: Result<T, String>, files: &[PathBuf]) {
    let target = match target {
        Ok(target) => target,
        Err(why) => return missing(name, &why),
    };
    let report = run(&target, files);
    let place = target.place();
    let mut summary = format!("{place}: {} files, {} steps", report.files, report.steps);
    for (why, count) in &report.skipped {
        let _ = write!(summary, "; {count} skipped: {why}");
    }
    say(&summary);
    let count = report.failures.len();
    assert!(count == 0, "{count} mismatches on {place}\n\n{}", report.failures.join("\n"));
}

/// Says that something a test needs is not there; an error in CI.
///
/// # Panics
/// Where the environment says `CI=true`.
pub fn missing(name: &str, why: &str) {
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{name}: {why}");
    say(&format!("skipped: {name}: {why}"));
}

/// Prints a line past the test harness's capture.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

impl Report {
    fn add(&mut self, other: Self) {
        self.files += other.files;
        self.steps += other.steps;
        self.failures.extend(other.failures);
        for (why, count) in other.skipped {
            *self.skipped.entry(why).or_default() += count;
        }
    }
}

fn run_file(target: &dyn Target, path: &Path) -> Report {
    let mut report = Report::default();
    let file = match parse::read(path) {
        Ok(file) => file,
        Err(what) => {
            report.failures.push(what);
            return report;
        }
    };
    let place = target.place();
    if let Some(why) = file.gate.refuses(&place) {
        report.skipped.insert(why, file.steps.len());
        return report;
    }
    report.files = 1;
    match run::play(&file, target) {
        Ok(outcomes) => {
            for (step, outcome) in file.steps.iter().zip(outcomes) {
                note(&mut report, &file, step, outcome, &place);
            }
        }
        Err(what) => report.failures.push(format!("{}: {what}\n", path.display())),
    }
    report
}

fn note(report: &mut Report, file: &Transcript, step: &Step, outcome: Outcome, place: &Place) {
    report.steps += 1;
    let head = || format!("{}:{}: {}", shown(&file.path), step.line + 1, file.lines[step.line]);
    match outcome {
        Outcome::Silent | Outcome::Reply { expected: true, .. } => {}
        Outcome::Skipped(why) => {
            report.steps -= 1;
            // Time that passes for nobody is no test that was left out.
            if !matches!(step.action, Action::Pass { .. }) {
                *report.skipped.entry(why).or_default() += 1;
            }
        }
        Outcome::Wrong(what) => report.failures.push(format!("{}\n  {what}\n", head())),
        Outcome::Reply { lines, .. } => {
            let wanted = step.expect.lines_for(place);
            report.failures.push(format!("{}\n{}", head(), difference(wanted, &lines)));
        }
    }
}

fn shown(path: &Path) -> String {
    path.strip_prefix(crate::target::oracle::repository()).unwrap_or(path).display().to_string()
}

/// Both replies, with the lines they share at both ends unmarked.
fn difference(wanted: &[String], got: &[String]) -> String {
    let same = |pairs: &mut dyn Iterator<Item = (&String, &String)>| {
        pairs.take_while(|(a, b)| a == b).count()
    };
    let before = same(&mut wanted.iter().zip(got));
    let after = same(&mut wanted[before..].iter().rev().zip(got[before..].iter().rev()));
    let mut out = String::new();
    let mut put = |mark: &str, lines: &[String]| {
        for line in lines {
            let _ = writeln!(out, "  {mark} {line}");
        }
    };
    put(" ", &wanted[..before]);
    put("-", &wanted[before..wanted.len() - after]);
    put("+", &got[before..got.len() - after]);
    put(" ", &wanted[wanted.len() - after..]);
    out
}

/// The deliberate differences in all transcripts: file, line, command, reason.
///
/// # Errors
/// A file that cannot be read, with its line.
pub fn differences(folder: &Path) -> Result<Vec<Difference>, String> {
    let mut found = Vec::new();
    for path in files(folder) {
        let file = parse::read(&path)?;
        for step in &file.steps {
            if let Some(reason) = &step.expect.differs {
                found.push(Difference {
                    file: shown(&path),
                    line: step.line + 1,
                    command: file.lines[step.line].clone(),
                    reason: reason.clone(),
                });
            }
        }
    }
    Ok(found)
}

/// A place where Pannier answers otherwise on purpose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The transcript, relative to the repository.
    pub file: String,
    /// Its line, from 1.
    pub line: usize,
    /// The line itself.
    pub command: String,
    /// Why it differs; a sentence that `docs/differences.md` has, too.
    pub reason: String,
}
