//! One run of redis-benchmark, and what it says.
//!
//! redis-benchmark is the load generator because the figures that others publish come from it; it
//! ends with an error as soon as one reply is an error. It waits for ever for a server that does
//! not accept, so it runs under a time limit. It is started from the load generator's core and
//! stays there by inheritance (see `cpu`).

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};

use crate::timing::poll;

/// What to send.
pub(crate) struct Load<'a> {
    pub(crate) port: u16,
    /// The request; `__rand_int__` is drawn anew each time.
    pub(crate) command: &'a [Vec<u8>],
    /// The range of `__rand_int__`.
    pub(crate) keys: u64,
    pub(crate) connections: u64,
    pub(crate) pipeline: u64,
    pub(crate) requests: u64,
}

/// What redis-benchmark measured.
pub(crate) struct Measured {
    pub(crate) ops_per_s: f64,
    pub(crate) p50_latency_ms: f64,
    pub(crate) p99_latency_ms: f64,
}

/// Runs redis-benchmark to its end.
pub(crate) fn run(load: &Load<'_>) -> Result<Measured> {
    // A long last word goes in by standard input: the system limits an argument to 128 KiB.
    let (last, words) = load.command.split_last().context("no command")?;
    let by_stdin = last.len() > ARGUMENT_LEN_MAX;
    let mut child = Command::new("redis-benchmark")
        .args(["-h", "127.0.0.1", "--csv"])
        .args(["-p", &load.port.to_string()])
        .args(["-r", &load.keys.to_string()])
        .args(["-c", &load.connections.to_string()])
        .args(["-P", &load.pipeline.to_string()])
        .args(["-n", &load.requests.to_string()])
        .args(by_stdin.then_some("-x"))
        .args(words.iter().map(|word| OsStr::from_bytes(word)))
        .args((!by_stdin).then(|| OsStr::from_bytes(last)))
        .stdin(if by_stdin { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start redis-benchmark (Debian's package redis-tools has it)")?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(last).context("redis-benchmark does not take the value")?;
    }
    // It prints the request with its value, which may be longer than the pipe: read meanwhile.
    let printed = child.stdout.take().map(|mut stdout| {
        thread::spawn(move || {
            let mut printed = Vec::new();
            stdout.read_to_end(&mut printed).map(|_| printed)
        })
    });
    let ended = poll(LIMIT, Duration::from_millis(5), || child.try_wait().transpose());
    if ended.is_none() {
        child.kill()?;
        child.wait()?;
        bail!("redis-benchmark did not end within {} s", LIMIT.as_secs());
    }
    let output = child.wait_with_output()?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "redis-benchmark: {}", complaint.trim());
    let printed = printed.context("redis-benchmark has no output")?.join();
    parse(&printed.map_err(|_| anyhow!("the reader panicked"))??)
}

/// Reads a header and one row. The row's first column repeats the request as it is, quotes and all,
/// which is no CSV; so its columns are counted from the end.
fn parse(printed: &[u8]) -> Result<Measured> {
    let text = String::from_utf8_lossy(printed);
    let (header, row) = text.split_once('\n').context("redis-benchmark printed no result")?;
    ensure!(header.trim_end() == HEADER, "redis-benchmark printed another table: {header}");
    let row = row.trim_end().strip_suffix('"').context("redis-benchmark printed no result")?;
    let columns: Vec<&str> = row.rsplitn(8, r#"",""#).collect();
    let number = |at: usize| -> Result<f64> {
        let column = columns.get(at).context("redis-benchmark printed too few columns")?;
        column.parse().with_context(|| format!("redis-benchmark printed {column:?}"))
    };
    Ok(Measured { ops_per_s: number(6)?, p50_latency_ms: number(3)?, p99_latency_ms: number(1)? })
}

/// What it prints above the row.
const HEADER: &str = concat!(
    r#""test","rps","avg_latency_ms","min_latency_ms","p50_latency_ms","p95_latency_ms","#,
    r#""p99_latency_ms","max_latency_ms""#
);

/// A word up to this length is an argument.
const ARGUMENT_LEN_MAX: usize = 100 << 10;
const LIMIT: Duration = Duration::from_secs(120);

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(request: &str) -> Vec<u8> {
        let numbers = r#""653594.81","0.984","0.248","0.943","1.599","2.735","4.071""#;
        format!("{HEADER}\n\"{request}\",{numbers}\n").into_bytes()
    }

    #[test]
    fn the_row_of_redis_benchmark_is_read_whatever_request_it_repeats() {
        for request in ["GET key:__rand_int__", r#"SET k {"id":"1","name":"a, b"}"#] {
            let measured = parse(&printed(request)).unwrap();
            assert_eq!(measured.ops_per_s, 653_594.81);
            assert_eq!(measured.p50_latency_ms, 0.943);
            assert_eq!(measured.p99_latency_ms, 2.735);
        }
    }

    #[test]
    fn no_row_is_an_error() {
        assert!(parse(b"\"test\",\"rps\"\n").is_err());
    }
}
