//! The definitions: what is measured, on whom, and what is to be reached, as data.
//!
//! Every `*.toml` of `benches/definitions` is read into one [`Definitions`]; a file may hold any of
//! the tables below, so a new workload is a few lines there and no code. Unknown fields are errors,
//! and [`Definitions::load`] also refuses what would otherwise fail after minutes of running:
//! a workload without its fill, two reference peers, a name used twice.
//!
//! The shape follows memchr's `benchmarks/definitions`: a benchmark names its input, its expected
//! result and nothing about how it is timed.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

/// All definitions.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Definitions {
    #[serde(rename = "peer")]
    pub(crate) peers: Vec<Peer>,
    #[serde(rename = "fill")]
    pub(crate) fills: Vec<Fill>,
    #[serde(rename = "workload")]
    pub(crate) workloads: Vec<Workload>,
    pub(crate) memory: Vec<Memory>,
    #[serde(default)]
    pub(crate) growth: Vec<Growth>,
    pub(crate) empty: Option<Empty>,
    pub(crate) churn: Option<Churn>,
    pub(crate) storm: Option<Storm>,
    pub(crate) hits: Option<Hits>,
    pub(crate) fairness: Vec<Fairness>,
    pub(crate) calls: Vec<Calls>,
    pub(crate) fanout: Vec<Fanout>,
}

/// A server to compare.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Peer {
    pub(crate) name: String,
    /// Where the program may be; see `peers.toml`.
    pub(crate) program: Vec<String>,
    /// Arguments, with `{port}`.
    pub(crate) arguments: Vec<String>,
    /// The field of INFO that holds its version.
    pub(crate) version_field: Option<String>,
    /// Ratios are to this one.
    #[serde(default)]
    pub(crate) reference: bool,
    /// Targets are for this one.
    #[serde(default)]
    pub(crate) subject: bool,
    /// Takes part only when named.
    #[serde(default)]
    pub(crate) optional: bool,
    /// Stores nothing, so it is neither filled nor checked.
    #[serde(default)]
    pub(crate) fixed_reply: bool,
}

/// What a server holds before the workloads that name this fill.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fill {
    pub(crate) name: String,
    /// How many times `command` is sent, with {number} from 0 up.
    pub(crate) keys: u64,
    pub(crate) command: Vec<String>,
    #[serde(default)]
    pub(crate) value_bytes: usize,
    #[serde(default)]
    pub(crate) content: Content,
    /// What DBSIZE must answer, after the fill and after every measurement.
    pub(crate) dbsize: u64,
    /// Directives for the server, a line each, beside the peer's own arguments.
    #[serde(default)]
    pub(crate) config: Vec<String>,
    /// Not for the peers.
    #[serde(default)]
    pub(crate) subject_only: bool,
    /// The server may use the load generator's core as well.
    #[serde(default)]
    pub(crate) all_cores: bool,
    /// Its growth by the fill, per key, is a row of the workloads' table.
    #[serde(default)]
    pub(crate) memory: bool,
}

/// What values are made of.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Content {
    #[default]
    Letters,
    /// Objects as an application caches them.
    Json,
    /// What no compression makes smaller.
    Noise,
}

impl Content {
    /// The value of element `index`, `len` bytes.
    pub(crate) fn value(self, index: u64, len: usize) -> Vec<u8> {
        match self {
            Self::Letters => pannier_benches::value(index, len),
            Self::Json => pannier_benches::json(index, len),
            Self::Noise => pannier_benches::noise(index, len),
        }
    }
}

/// One request, sent many times by redis-benchmark.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Workload {
    /// With {fill} where it has several.
    pub(crate) name: String,
    /// The fill, or each of several: the workload is then measured on each.
    pub(crate) fill: OneOrMany,
    /// The table that it belongs to, instead of those of CPU time, throughput and latency.
    pub(crate) table: Option<String>,
    /// What that table shows of it.
    #[serde(default)]
    pub(crate) show: Vec<Figure>,
    /// Sent once before each measurement.
    #[serde(default)]
    pub(crate) prepare: Vec<String>,
    pub(crate) command: Vec<String>,
    pub(crate) pipeline: u64,
    #[serde(default = "fifty")]
    pub(crate) connections: u64,
    pub(crate) requests: u64,
    /// Fewer requests where their values would come to more than this.
    pub(crate) megabytes_max: Option<u64>,
    /// Takes part in the quick run, with so many requests.
    pub(crate) quick_requests: Option<u64>,
    /// At most so many rounds.
    pub(crate) rounds_max: Option<usize>,
    pub(crate) checks: Vec<Check>,
    /// The target: CPU time per operation over the reference's.
    pub(crate) cpu_ratio: Option<f64>,
    /// The target: p50 and p99 no worse than the best peer's.
    #[serde(default)]
    pub(crate) latency_as_best: bool,
}

/// The names of the fills of a workload.
#[derive(Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    pub(crate) fn names(&self) -> &[String] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Many(names) => names,
        }
    }
}

/// One of the figures that a workload gives.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Figure {
    Cpu,
    Ops,
    /// Bytes of values a second.
    Megabytes,
    P50,
    P99,
}

fn fifty() -> u64 {
    50
}

/// A request and the reply it must get (integers in decimal, no reply as `(nil)`).
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Check {
    pub(crate) request: Vec<String>,
    pub(crate) reply: String,
}

/// A fresh server filled with keys, and its growth.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Memory {
    pub(crate) name: String,
    pub(crate) keys: u64,
    pub(crate) value_bytes: usize,
    /// From and to, in seconds from now.
    pub(crate) ttl_s: Option<[u64; 2]>,
    /// The target, in bytes per key beside key and value.
    pub(crate) target_bytes: f64,
    #[serde(default)]
    pub(crate) quick: bool,
}

/// What a command adds to a server's memory.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Growth {
    pub(crate) name: String,
    /// How many times `command` is sent, with {number} from 0 up.
    pub(crate) commands: u64,
    pub(crate) command: Vec<String>,
    pub(crate) value_bytes: usize,
    pub(crate) dbsize: u64,
    pub(crate) check: Check,
    /// The target, as a ratio to the reference.
    pub(crate) ratio: f64,
}

/// Keys overwritten by values of other sizes, and what the allocator makes of it.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Churn {
    pub(crate) keys: u64,
    pub(crate) overwrites: u64,
    /// The least and the greatest size; sizes between them are as frequent on each octave.
    pub(crate) value_bytes: [usize; 2],
}

/// One client's long pipeline, and the PINGs of another.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fairness {
    pub(crate) name: String,
    pub(crate) fill: String,
    /// With {key}, a key of the fill.
    pub(crate) command: Vec<String>,
    pub(crate) pipeline: u64,
    /// How often the pipeline is sent in a round.
    pub(crate) times: u64,
    pub(crate) rounds: usize,
    pub(crate) target_max_ms: f64,
}

/// System calls of the server for each request, counted by strace.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Calls {
    pub(crate) name: String,
    pub(crate) command: Vec<String>,
    pub(crate) connections: u64,
    pub(crate) requests: u64,
    /// The target, without the calls that wait for events.
    pub(crate) target: f64,
}

/// Messages of one publisher to many subscribers.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fanout {
    pub(crate) name: String,
    pub(crate) subscribers: usize,
    /// At least the twelve that hold a message's number.
    pub(crate) message_bytes: usize,
    /// Messages sent together; the next ones follow when all have been received.
    pub(crate) pipeline: u64,
    /// Messages of a round.
    pub(crate) messages: u64,
    /// The target: CPU time per message delivered over the reference's.
    pub(crate) cpu_ratio: f64,
}

/// The RSS of a server that holds nothing.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Empty {
    pub(crate) target_megabytes: f64,
}

/// Keys that expire together; see `storm.toml`.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Storm {
    pub(crate) keys: u64,
    pub(crate) quick_keys: u64,
    pub(crate) value_bytes: usize,
    pub(crate) lead_ms: u64,
    pub(crate) quick_lead_ms: u64,
    pub(crate) rounds: usize,
    pub(crate) limit_ms: u64,
    pub(crate) target_gone_ms: f64,
    pub(crate) target_p99_ms: f64,
    pub(crate) target_max_ms: f64,
}

/// Hit ratios of the traces, and writes at the limit; see `hits.toml`.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Hits {
    pub(crate) maxmemory: String,
    pub(crate) quick_maxmemory: String,
    /// The quick run takes traces of such a part.
    pub(crate) quick_part: usize,
    /// Requests under way together.
    pub(crate) batch: usize,
    /// Limits in entries at which the subject's LRU is held against an exact one.
    pub(crate) entries: Vec<usize>,
    /// How far it may be from it.
    pub(crate) distance_max: f64,
    /// Least hit ratios, by trace.
    pub(crate) target: Vec<HitTarget>,
    /// Writes of which the latency is taken at the limit, one after the other.
    pub(crate) writes: usize,
    /// One in a hundred of them is so large in the second such row.
    pub(crate) large_value_bytes: usize,
}

/// The least hit ratios of the subject on a trace.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HitTarget {
    pub(crate) trace: String,
    pub(crate) lru: f64,
    pub(crate) lfu: f64,
}

impl Definitions {
    /// Reads every `*.toml` of `folder`.
    pub(crate) fn load(folder: &Path) -> Result<Self> {
        let mut all = Self::default();
        let entries = fs::read_dir(folder).with_context(|| format!("{}", folder.display()))?;
        let mut paths = entries.map(|e| Ok(e?.path())).collect::<Result<Vec<_>>>()?;
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
        paths.sort();
        for path in paths {
            let text = fs::read_to_string(&path)?;
            let one: Self = toml::from_str(&text).with_context(|| path.display().to_string())?;
            all.join(one);
        }
        all.check()?;
        Ok(all)
    }

    /// The fill named `name`, which `check` made sure of.
    pub(crate) fn fill(&self, name: &str) -> Option<&Fill> {
        self.fills.iter().find(|fill| fill.name == name)
    }

    fn join(&mut self, other: Self) {
        self.peers.extend(other.peers);
        self.fills.extend(other.fills);
        self.workloads.extend(other.workloads);
        self.memory.extend(other.memory);
        self.growth.extend(other.growth);
        self.empty = other.empty.or(self.empty.take());
        self.churn = other.churn.or(self.churn.take());
        self.storm = other.storm.or(self.storm.take());
        self.hits = other.hits.or(self.hits.take());
        self.fairness.extend(other.fairness);
        self.calls.extend(other.calls);
        self.fanout.extend(other.fanout);
    }

    fn check(&self) -> Result<()> {
        let references = self.peers.iter().filter(|peer| peer.reference).count();
        let subjects = self.peers.iter().filter(|peer| peer.subject).count();
        ensure!(references == 1 && subjects == 1, "one peer is the reference, one the subject");
        for workload in &self.workloads {
            let name = &workload.name;
            for fill in workload.fill.names() {
                ensure!(self.fill(fill).is_some(), "{name}: no fill {fill:?}");
            }
            let one = matches!(workload.fill, OneOrMany::One(_));
            ensure!(one != name.contains("{fill}"), "{name}: {{fill}} is for several fills");
            let tabled = workload.table.is_some();
            ensure!(tabled != workload.show.is_empty(), "{name}: `show` is for a `table`");
            ensure!(!workload.checks.is_empty(), "{name}: a time without a check is no result");
        }
        for row in &self.fairness {
            ensure!(self.fill(&row.fill).is_some(), "{}: no fill {:?}", row.name, row.fill);
        }
        for row in &self.fanout {
            let name = &row.name;
            ensure!(row.message_bytes >= 12, "{name}: a message holds its number");
            ensure!(row.messages >= row.pipeline.max(1), "{name}: not one whole pipeline");
        }
        unique("peer", self.peers.iter().map(|peer| &peer.name))?;
        unique("fill", self.fills.iter().map(|fill| &fill.name))?;
        unique("workload", self.workloads.iter().map(|workload| &workload.name))?;
        unique("memory row", self.memory.iter().map(|memory| &memory.name))
    }
}

fn unique<'a>(what: &str, names: impl Iterator<Item = &'a String>) -> Result<()> {
    let mut seen = HashSet::new();
    for name in names {
        if !seen.insert(name) {
            bail!("two definitions of the {what} {name:?}");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definitions_of_this_repository_are_sound() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("definitions");
        let all = Definitions::load(&folder).unwrap();
        assert!(!all.workloads.is_empty() && !all.memory.is_empty() && all.storm.is_some());
    }

    #[test]
    fn a_workload_without_its_fill_is_refused() {
        let text = r#"
            [[peer]]
            name = "a"
            program = []
            arguments = []
            reference = true
            subject = true
            [[workload]]
            name = "w"
            fill = "nothing"
            command = ["GET", "k"]
            pipeline = 1
            requests = 1
            checks = []
        "#;
        let all: Definitions = toml::from_str(text).unwrap();
        assert!(all.check().unwrap_err().to_string().contains("no fill"));
    }
}
