//! Facts about this process, for INFO of a cache without a server.
//!
//! From `/proc` and rustix, when somebody asks. Where `/proc` is missing numbers are 0 rather
//! than wrong. A server that is attached adds what it knows (see `host`).

use std::fs;

use pannier_engine::Facts;

/// What is known of the process.
pub(crate) fn facts() -> Facts {
    let uname = rustix::system::uname();
    let text = |text: &std::ffi::CStr| text.to_string_lossy().into_owned();
    let executable = std::env::current_exe().map(|path| path.display().to_string());
    Facts {
        pid: std::process::id(),
        executable: executable.unwrap_or_default(),
        os: [uname.sysname(), uname.release(), uname.machine()].map(text).join(" "),
        rss: rss(),
        memory_total: memory_total(),
        cpu_us: cpu_us("/proc/self/stat"),
        cpu_thread_us: cpu_us("/proc/thread-self/stat"),
        allocator: "unknown",
        multiplexing: "none",
        ..Facts::default()
    }
}

/// Resident bytes.
fn rss() -> usize {
    let text = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: usize = text.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
    pages * rustix::param::page_size()
}

fn memory_total() -> usize {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let words = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kilobytes = words.and_then(|words| words.split_whitespace().next()?.parse::<usize>().ok());
    kilobytes.unwrap_or(0) << 10
}

/// Microseconds in the kernel and in user mode.
fn cpu_us(path: &str) -> (u64, u64) {
    let text = fs::read_to_string(path).unwrap_or_default();
    // The name of the program, in parentheses, may hold anything.
    let fields: Vec<&str> =
        text.rsplit_once(") ").map_or_else(Vec::new, |(_, rest)| rest.split(' ').collect());
    let tick_us = 1_000_000 / rustix::param::clock_ticks_per_second().max(1);
    let us = |index: usize| fields.get(index).and_then(|word| word.parse::<u64>().ok());
    (us(12).unwrap_or(0) * tick_us, us(11).unwrap_or(0) * tick_us)
}
