//! Which core runs what, and how long the server was on its core.
//!
//! The figure that is compared is the server's time on CPU divided by the operations it served,
//! because on shared virtual machines it is the one that holds still: operations a second also
//! depend on the load generator and on the neighbours. It is read from the first field of
//! `/proc/PID/task/*/schedstat`, nanoseconds on CPU, summed over the threads that live at that
//! moment (`utime` and `stime` of `/proc/PID/stat` count in ticks of 10 ms, too coarse for runs
//! of a second). It includes the time in system calls on the server's behalf.
//!
//! A child inherits its parent's affinity, so a server is pinned before its first instruction by
//! pinning ourselves for the moment of `spawn` (see [`Cores::on_server_core`]); no thread of it can
//! have been started elsewhere. Without a second core nothing is pinned, and `main` says so.

use std::fs;

use anyhow::{Context, Result};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The core of the servers, and the core of the load generator with all the rest of the harness.
#[derive(Clone, Copy)]
pub(crate) struct Cores {
    pair: Option<(usize, usize)>,
}

impl Cores {
    /// Takes the first two cores this process may run on, and moves to the second of them.
    pub(crate) fn take() -> Result<Self> {
        let allowed = sched_getaffinity(None).context("sched_getaffinity")?;
        let mut cores = (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core));
        let pair = cores.next().zip(cores.next());
        if let Some((_, load)) = pair {
            pin(&[load])?;
        }
        Ok(Self { pair })
    }

    /// The server's core and the load generator's, or `None` where there is one core only.
    pub(crate) fn pair(self) -> Option<(usize, usize)> {
        self.pair
    }

    /// Runs `spawn` on both cores, where the child may then go.
    pub(crate) fn on_both_cores<T>(self, spawn: impl FnOnce() -> T) -> Result<T> {
        let Some((server, load)) = self.pair else { return Ok(spawn()) };
        pin(&[server, load])?;
        let spawned = spawn();
        pin(&[load])?;
        Ok(spawned)
    }

    /// Runs `spawn` on the server's core, where the child then stays.
    pub(crate) fn on_server_core<T>(self, spawn: impl FnOnce() -> T) -> Result<T> {
        let Some((server, load)) = self.pair else { return Ok(spawn()) };
        pin(&[server])?;
        let spawned = spawn();
        pin(&[load])?;
        Ok(spawned)
    }
}

fn pin(cores: &[usize]) -> Result<()> {
    let mut set = CpuSet::new();
    cores.iter().for_each(|&core| set.set(core));
    sched_setaffinity(None, &set).with_context(|| format!("cannot move to cores {cores:?}"))
}

/// Nanoseconds that all threads of process `pid` have been on CPU.
pub(crate) fn on_cpu_ns(pid: u32) -> Result<u64> {
    let mut total = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task")).context("the server is gone")? {
        // A thread may end between the listing and the reading; its time is then lost, and small.
        let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else { continue };
        total += first_number(&text).context("schedstat holds no number")?;
    }
    Ok(total)
}

/// Resident bytes of process `pid`.
pub(crate) fn resident_bytes(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).context("the server is gone")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    Ok(line.and_then(first_number).context("no VmRSS in /proc/PID/status")? * 1024)
}

fn first_number(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}
