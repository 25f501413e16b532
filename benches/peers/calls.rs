//! System calls of the server for each request, counted by strace.
//!
//! A request costs a read and a write at least, and what a runtime adds (timers, wake-ups, a second
//! read that finds nothing) shows here before it shows in CPU time. `strace -f -c` attaches to the
//! running server, redis-benchmark sends plain GETs, and the sum of calls is divided by the
//! requests. Calls that wait for events are counted apart: how many requests one of them brings
//! depends on how many clients are waiting, and strace, which makes each call slow, changes that.
//!
//! Without strace, or where the system does not permit it to attach, the row is left out.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::definition::Calls;
use crate::load::{self, Load};
use crate::peer::Peer;
use crate::result::{Row, Table, Target};
use crate::run::Run;

/// Counts for every such row that was asked for.
pub(crate) fn measure(run: &mut Run) -> Table {
    let mut rows = Vec::new();
    if !run.quick {
        for row in run.definitions.calls.clone() {
            if run.wants(&row.name) {
                rows.extend(measure_row(run, &row));
            }
        }
    }
    Table { title: "System calls of the server per request".into(), rows }
}

fn measure_row(run: &mut Run, row: &Calls) -> [Row; 2] {
    eprintln!("system calls: {}", row.name);
    let (mut work, mut all) = (run.cells(), run.cells());
    for index in 0..run.peers.len() {
        match count(&run.peers[index], row) {
            Ok(counted) => {
                let per_request = |calls: u64| calls as f64 / row.requests as f64;
                work[index].samples.push(per_request(counted.all - counted.waiting));
                all[index].samples.push(per_request(counted.all));
            }
            Err(why) => run.left_out(index, &row.name, why),
        }
    }
    // A handful of calls in the background (a timer, the clock of statistics) is no request's.
    let target = Some(Target::AtMost(row.target));
    [
        Row::new(format!("{}, beside waiting", row.name), "calls", work).target(target),
        Row::new(format!("{}, with waiting", row.name), "calls", all),
    ]
}

/// Calls that were counted, and how many of them waited for events.
#[derive(Debug, PartialEq)]
struct Counted {
    all: u64,
    waiting: u64,
}

fn count(peer: &Peer, row: &Calls) -> Result<Counted> {
    let server = peer.start()?;
    let summary = std::env::temp_dir().join(format!("pannier-strace-{}.txt", server.pid()));
    let mut tracer = attach(server.pid(), &summary)?;
    let command: Vec<_> = row.command.iter().map(|word| word.clone().into_bytes()).collect();
    let measured = load::run(&Load {
        port: server.port,
        command: &command,
        keys: 1_000,
        connections: row.connections,
        pipeline: 1,
        requests: row.requests,
    });
    let pid = i32::try_from(tracer.id()).ok().and_then(Pid::from_raw).context("no process id")?;
    kill_process(pid, Signal::INT)?;
    tracer.wait()?;
    let text = fs::read_to_string(&summary).context("strace wrote no summary")?;
    // It is of no further use.
    let _ = fs::remove_file(&summary);
    measured?;
    let counted = parse(&text);
    ensure!(counted.all >= row.requests, "strace counted {} calls only", counted.all);
    Ok(counted)
}

/// Starts strace and waits until it has the server.
fn attach(server: u32, summary: &Path) -> Result<Child> {
    let mut tracer = Command::new("strace")
        .args(["-f", "-c", "-U", "calls,name", "-o"])
        .arg(summary)
        .args(["-p", &server.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start strace")?;
    let mut said = String::new();
    let stderr = tracer.stderr.take().context("strace says nothing")?;
    let mut stderr = BufReader::new(stderr);
    stderr.read_line(&mut said)?;
    // Kept open, because it has more to say at its end.
    tracer.stderr = Some(stderr.into_inner());
    if !said.contains("attached") {
        tracer.wait()?;
        anyhow::bail!("{}", said.trim());
    }
    Ok(tracer)
}

/// Reads lines of `calls name`.
fn parse(summary: &str) -> Counted {
    let mut counted = Counted { all: 0, waiting: 0 };
    for line in summary.lines() {
        let mut words = line.split_whitespace();
        let (Some(Ok(calls)), Some(name)) = (words.next().map(str::parse::<u64>), words.next())
        else {
            continue;
        };
        if name == "total" {
            continue;
        }
        counted.all += calls;
        if WAITING.contains(&name) {
            counted.waiting += calls;
        }
    }
    counted
}

const WAITING: [&str; 6] = ["epoll_wait", "epoll_pwait", "epoll_pwait2", "poll", "select", "futex"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_is_added_up_without_its_total() {
        let summary = "    calls syscall\n--------- ----------------\n      200 read\n      \
                       200 write\n       11 epoll_wait\n--------- ----------------\n      \
                       411 total\n";
        assert_eq!(parse(summary), Counted { all: 411, waiting: 11 });
    }
}
