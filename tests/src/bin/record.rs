//! `cargo run -p pannier-tests --bin record -- [--no-redis] FILES...`: writes the replies of
//! transcripts from real servers.
//!
//! Plays each file on Valkey (and on Redis, unless told not to or it is missing) and rewrites its
//! replies; a folder stands for all files in it. Then the file runs once more on Valkey: what is
//! different in the second run is printed, since it needs a pattern.
//!
//! Rules: a file that cannot be parsed or played is left alone; the exit status says whether all
//! went well. See [`pannier_tests::transcript::record`] for what is kept.
//!
//! The guide is `tests/README.md`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use pannier_tests::target::spawned::{SpawnedTarget, Spawner};
use pannier_tests::target::{Maker, Protocol, oracle};
use pannier_tests::transcript::record::{Recording, rewrite};
use pannier_tests::transcript::run::{Outcome, play};
use pannier_tests::transcript::{parse, suite};

fn main() -> ExitCode {
    let mut with_redis = true;
    let mut files: Vec<PathBuf> = Vec::new();
    for arg in std::env::args().skip(1) {
        match arg.as_str() {
            "--no-redis" => with_redis = false,
            path if Path::new(path).is_dir() => files.extend(suite::files(Path::new(path))),
            path => files.push(path.into()),
        }
    }
    if files.is_empty() {
        eprintln!("usage: record [--no-redis] FILES or FOLDERS of transcripts");
        return ExitCode::FAILURE;
    }
    let valkey = match oracle::valkey() {
        Ok(valkey) => valkey,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::FAILURE;
        }
    };
    let redis = with_redis
        .then(oracle::redis)
        .and_then(|found| found.inspect_err(|why| eprintln!("without Redis: {why}")).ok());
    let mut failed = false;
    for path in files {
        if let Err(what) = record(&path, &valkey, redis.as_ref()) {
            eprintln!("{what}");
            failed = true;
        }
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn record(path: &Path, valkey: &Spawner, redis: Option<&Spawner>) -> Result<(), String> {
    let file = parse::read(path)?;
    if file.gate.pannier_only || file.gate.virtual_clock {
        println!("{}: left alone, no real server can play it", path.display());
        return Ok(());
    }
    let recording = Recording {
        valkey: both(&file, valkey)?,
        redis: redis.map(|redis| both(&file, redis)).transpose()?,
    };
    let text = rewrite(&file, &recording);
    let changed = text != std::fs::read_to_string(path).map_err(|e| e.to_string())?;
    if changed {
        std::fs::write(path, &text).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    println!("{}: {}", path.display(), if changed { "recorded" } else { "unchanged" });
    let mut unsteady = Vec::new();
    for spawner in [Some(valkey), redis].into_iter().flatten() {
        for protocol in [Protocol::Resp2, Protocol::Resp3] {
            let target = SpawnedTarget { spawner: spawner.clone(), protocol };
            let report = suite::run(&target, &[path.to_owned()]);
            unsteady.extend(report.failures);
        }
    }
    unsteady.sort();
    unsteady.dedup();
    if unsteady.is_empty() {
        return Ok(());
    }
    Err(format!("a second run answers otherwise; write patterns:\n{}", unsteady.join("\n")))
}

/// The file's outcomes under both protocols.
fn both(file: &parse::Transcript, spawner: &Spawner) -> Result<[Vec<Outcome>; 2], String> {
    let [two, three] = [Protocol::Resp2, Protocol::Resp3].map(|protocol| {
        let target = SpawnedTarget { spawner: spawner.clone(), protocol };
        let place = pannier_tests::target::Target::place(&target);
        if let Some(why) = file.gate.refuses(&place) {
            return Ok(vec![Outcome::Skipped(why); file.steps.len()]);
        }
        let outcomes = play(file, &target).map_err(|e| format!("{}: {e}", file.path.display()))?;
        for (step, outcome) in file.steps.iter().zip(&outcomes) {
            if let (Outcome::Wrong(what), Maker::Valkey) = (outcome, spawner.maker) {
                return Err(format!("{}:{}: {what}", file.path.display(), step.line + 1));
            }
        }
        Ok(outcomes)
    });
    Ok([two?, three?])
}
