//! Which machine this is, and which commit: without them a figure means nothing.
//!
//! Read from `/proc` and from git; whatever cannot be read is left empty rather than guessed. The
//! machine's name in a record is its processor and the number of its cores, because two machines
//! that agree in both give figures that may be compared, and a host name says nothing to a reader.

use std::fs;
use std::process::Command;
use std::thread;

/// Where the figures come from.
pub(crate) struct Machine {
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) kernel: String,
    /// The checked-out commit, with a plus sign when files differ from it.
    pub(crate) commit: String,
}

impl Machine {
    /// Reads all of it; to be called before this process pins itself to one core.
    pub(crate) fn look() -> Self {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name"));
        let model = model.map(|rest| rest.trim_start_matches([' ', '\t', ':']));
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            cpu: model.unwrap_or("unknown cpu").trim().to_owned(),
            cores: thread::available_parallelism().map_or(1, usize::from),
            kernel: release.trim().to_owned(),
            commit: commit().unwrap_or_default(),
        }
    }

    /// The machine in a file name.
    pub(crate) fn slug(&self) -> String {
        let cpu = self.cpu.replace("(R)", "").replace("(TM)", "").replace("CPU", "");
        let kept: String =
            cpu.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { ' ' }).collect();
        let words: Vec<_> = kept.split_whitespace().map(str::to_lowercase).collect();
        format!("{}-{}-cores", words.join("-"), self.cores)
    }
}

fn commit() -> Option<String> {
    let git = |arguments: &[&str]| {
        let output =
            Command::new("git").args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output();
        let output = output.ok().filter(|output| output.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let head = git(&["rev-parse", "--short", "HEAD"])?;
    let changed = git(&["status", "--porcelain", "--untracked-files=no"])?;
    Some(if changed.is_empty() { head } else { format!("{head}+") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slug_is_fit_for_a_file_name() {
        let machine = Machine {
            cpu: "Intel(R) Xeon(R) Processor @ 2.50GHz".into(),
            cores: 2,
            kernel: String::new(),
            commit: String::new(),
        };
        assert_eq!(machine.slug(), "intel-xeon-processor-2-50ghz-2-cores");
    }
}
