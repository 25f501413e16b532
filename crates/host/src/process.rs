//! Facts about this process, from `/proc` and rustix, for INFO.
//!
//! It asks a few times a second at most. Where `/proc` is missing (another system than Linux)
//! numbers are 0 rather than wrong. CPU times come in the kernel's ticks, a hundredth of a second.

use std::fs;

use pannier_engine::Facts;

/// What is known of the process; the rest of the facts is for the caller.
///
/// ```
/// assert_eq!(pannier_host::facts().pid, std::process::id());
/// ```
pub fn facts() -> Facts {
    let uname = rustix::system::uname();
    let text = |text: &std::ffi::CStr| text.to_string_lossy().into_owned();
    let (cpu_us, cpu_children_us) = cpu_times("/proc/self/stat");
    Facts {
        pid: std::process::id(),
        executable: std::env::current_exe()
            .map(|path| path.display().to_string())
            .unwrap_or_default(),
        os: format!(
            "{} {} {}",
            text(uname.sysname()),
            text(uname.release()),
            text(uname.machine())
        ),
        rss: rss(),
        memory_total: memory_total(),
        cpu_us,
        cpu_children_us,
        cpu_thread_us: cpu_times("/proc/thread-self/stat").0,
        multiplexing: if cfg!(target_os = "linux") { "epoll" } else { "kqueue" },
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
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix("kB"));
    kilobytes.and_then(|number| number.trim().parse::<usize>().ok()).map_or(0, |kb| kb << 10)
}

/// Microseconds in the kernel and in user mode: of the task itself, and of finished children.
fn cpu_times(path: &str) -> ((u64, u64), (u64, u64)) {
    let text = fs::read_to_string(path).unwrap_or_default();
    // The name of the program, in parentheses, may hold anything.
    let rest = text.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let tick_us = 1_000_000 / rustix::param::clock_ticks_per_second().max(1);
    let field = |index: usize| {
        rest.split(' ').nth(index).and_then(|word| word.parse::<u64>().ok()).unwrap_or(0) * tick_us
    };
    ((field(12), field(11)), (field(14), field(13)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn a_running_process_has_memory_and_a_name() {
        let facts = facts();
        assert!(facts.rss > 1 << 20 && facts.memory_total > facts.rss, "{facts:?}");
        assert!(facts.os.starts_with("Linux "));
        assert!(!facts.executable.is_empty());
    }
}
