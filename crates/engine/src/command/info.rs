//! INFO: the server described in sections of `name:value` lines.
//!
//! Field names are Redis's and Valkey's, because monitoring tools look for them; a field of a
//! feature that Pannier does not have shows the value that says so (no replicas, no saves). The
//! sections are functions over one [`Picture`], taken when the command runs. Pannier's own fields
//! are `pannier_version`, `entries`, `maxentries`, `wheel_marks` and those of compression.
//! Transcript: `server/info.txt`.

use std::fmt::{Display, Write};
use std::sync::atomic::Ordering::Relaxed;

use pannier_store::{Compression, DatabaseInfo, Now};

use super::row::{Command, Context, Done, Group, Opens, categories, flags};
use crate::args::is;
use crate::config::Config;
use crate::engine::Engine;
use crate::error::Error;
use crate::host::Facts;
use crate::pause::Held;
use crate::pubsub::Space;
use crate::scripts::Scripts;
use crate::stats::Totals;

/// The family's rows.
pub(super) const ROWS: &[Command] = &[INFO];

const INFO: Command = Command {
    name: "info",
    opens: Opens::Each,
    since: "1.0.0",
    group: Group::Server,
    arity: -1,
    flags: flags::LOADING | flags::STALE,
    categories: categories::DANGEROUS,
    syntax: "[section [section ...]]",
    summary: "Describes the server in sections of lines.",
    complexity: "O(S) with S the number of shards, databases and commands shown",
    tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
    handler: info,
    ..Command::DEFAULT
};

/// Everything that the sections show, taken at one moment.
struct Picture<'a> {
    engine: &'a Engine,
    config: &'a Config,
    now: Now,
    facts: Facts,
    totals: Totals,
    /// Memory of all clients' buffers.
    clients: usize,
    largest_query: usize,
    largest_output: usize,
    /// Bytes of tables and wheels, and the marks in the wheels.
    overhead: usize,
    wheel_marks: usize,
    compression: Compression,
    watched_keys: usize,
    watching: usize,
    blocked: usize,
    /// Clients that wait until some time.
    waiting: usize,
    /// Keys that are waited for, and how many of them for their end as well.
    waited_keys: (usize, usize),
    /// The databases that have keys.
    databases: Vec<(usize, DatabaseInfo)>,
}

/// The text being written.
struct Lines(String);

impl Lines {
    fn add(&mut self, name: &str, value: impl Display) {
        let _ = write!(self.0, "{name}:{value}\r\n");
    }

    /// The same value for several fields, of features that are absent.
    fn each(&mut self, names: &[&str], value: impl Display) {
        for name in names {
            self.add(name, &value);
        }
    }

    fn human(&mut self, name: &str, bytes: usize) {
        self.add(name, bytes);
        self.add(&format!("{name}_human"), human(bytes));
    }
}

type Section = (&'static str, Shown, fn(&Picture<'_>, &mut Lines));

/// When a section is shown without being named.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    /// By default.
    Default,
    /// With `all`.
    All,
    /// By default and with `everything`, but not with `all`.
    Modules,
}

/// The sections in their order.
const SECTIONS: &[Section] = &[
    ("Server", Shown::Default, server),
    ("TLS", Shown::Default, tls),
    ("Clients", Shown::Default, clients),
    ("Memory", Shown::Default, memory),
    ("Persistence", Shown::Default, persistence),
    ("Stats", Shown::Default, stats),
    ("Replication", Shown::Default, replication),
    ("CPU", Shown::Default, cpu),
    ("Modules", Shown::Modules, |_, _| ()),
    ("Commandstats", Shown::All, commandstats),
    ("Errorstats", Shown::Default, errorstats),
    ("Latencystats", Shown::All, latencystats),
    ("Cluster", Shown::Default, |_, lines| lines.add("cluster_enabled", 0)),
    ("Keyspace", Shown::Default, keyspace),
];

fn info(cx: &mut Context<'_>) -> Result<Done, Error> {
    let args = cx.args;
    let named = |name: &str| args.iter().skip(1).any(|word| is(word, name));
    let bare = cx.args.len() == 1;
    let (default, all) = (bare || named("default"), named("all"));
    let everything = named("everything");
    let wanted = |(name, shown, _): &&Section| {
        named(name)
            || everything
            || match shown {
                Shown::Default => default || all,
                Shown::All => all,
                Shown::Modules => default,
            }
    };
    let picture = Picture::take(cx);
    let mut lines = Lines(String::with_capacity(8192));
    for (name, _, write) in SECTIONS.iter().filter(wanted) {
        if !lines.0.is_empty() {
            lines.0.push_str("\r\n");
        }
        let _ = write!(lines.0, "# {name}\r\n");
        write(&picture, &mut lines);
    }
    cx.reply.verbatim("txt", lines.0.as_bytes());
    Ok(Done::Replied)
}

impl<'a> Picture<'a> {
    fn take(cx: &mut Context<'a>) -> Self {
        let Context { engine, config, now, .. } = *cx;
        let all = engine.clients.all();
        let stats = cx.view.stats();
        let used = (0..engine.keyspace.databases()).filter(|db| engine.keyspace.len(*db) > 0);
        Self {
            engine,
            config,
            now,
            facts: engine.host.facts(),
            totals: engine.stats.totals(stats.counts()),
            overhead: cx.view.overhead(),
            wheel_marks: cx.view.wheel_marks(),
            compression: cx.view.compression(),
            blocked: all.iter().filter(|one| one.blocked.load(Relaxed)).count(),
            watching: all.iter().filter(|one| one.watched.load(Relaxed) > 0).count(),
            watched_keys: cx.view.watched_keys(),
            waited_keys: cx.view.waited_keys(),
            waiting: all.iter().filter(|one| one.waits_for_a_time()).count(),
            databases: used.map(|db| (db, cx.view.database_info(db))).collect(),
            clients: all.iter().map(|client| client.memory()).sum(),
            largest_query: all.iter().map(|one| one.query_len.load(Relaxed)).max().unwrap_or(0),
            largest_output: all.iter().map(|one| one.output_len.load(Relaxed)).max().unwrap_or(0),
        }
    }
}

fn server(picture: &Picture<'_>, lines: &mut Lines) {
    let Picture { engine, config, now, facts, .. } = picture;
    let uptime_s = now.mono_us.saturating_sub(engine.started.mono_us) / 1_000_000;
    lines.add("redis_version", &config.compat_redis_version);
    lines.add("server_name", "pannier");
    lines.add("pannier_version", crate::VERSION);
    lines.add("redis_git_sha1", "00000000");
    lines.add("redis_git_dirty", 0);
    lines.add("redis_build_id", "0");
    lines.add("redis_mode", "standalone");
    lines.add("server_mode", "standalone");
    lines.add("os", &facts.os);
    lines.add("arch_bits", usize::BITS);
    lines.add("monotonic_clock", "POSIX clock_gettime");
    lines.add("multiplexing_api", facts.multiplexing);
    lines.add("process_id", facts.pid);
    lines.add("process_supervised", "no");
    lines.add("run_id", engine.run_id.lock());
    lines.add("tcp_port", facts.port);
    lines.add("server_time_usec", now.unix_us);
    lines.add("uptime_in_seconds", uptime_s);
    lines.add("uptime_in_days", uptime_s / 86400);
    lines.each(&["hz", "configured_hz"], config.hz);
    lines.add("lru_clock", now.unix_s() & 0xff_ffff);
    lines.add("executable", &facts.executable);
    lines.add("config_file", &facts.config_file);
    lines.add("threads", facts.threads);
    lines.add("io_threads_active", 0);
    for (number, listener) in facts.listeners.iter().enumerate() {
        let mut text = format!("name={}", listener.name);
        for bind in &listener.binds {
            let _ = write!(text, ",bind={bind}");
        }
        if listener.port != 0 {
            let _ = write!(text, ",port={}", listener.port);
        }
        lines.add(&format!("listener{number}"), text);
    }
}

fn tls(picture: &Picture<'_>, lines: &mut Lines) {
    let Picture { now, facts, .. } = picture;
    let [server, authority] = &facts.certificates;
    // A server shows no certificate where it is the client, for it never is.
    for (name, certificate) in [("server", server), ("client", &None), ("ca", authority)] {
        let serial = certificate.as_ref().map_or("none", |known| known.serial.as_str());
        let expires_s = certificate.as_ref().map_or(0, |known| known.expires_s);
        lines.add(&format!("tls_{name}_cert_serial"), serial);
        lines.add(
            &format!("tls_{name}_cert_expires_in_seconds"),
            expires_s.saturating_sub(now.unix_s()),
        );
    }
}

fn clients(picture: &Picture<'_>, lines: &mut Lines) {
    let Picture { engine, config, now, .. } = picture;
    lines.add("connected_clients", engine.clients.len());
    lines.add("cluster_connections", 0);
    lines.add("maxclients", config.maxclients);
    lines.add("client_recent_max_input_buffer", picture.largest_query);
    lines.add("client_recent_max_output_buffer", picture.largest_output);
    lines.add("blocked_clients", picture.blocked);
    lines.add("tracking_clients", engine.tracking.counts().0);
    lines.add("clients_in_timeout_table", picture.waiting);
    lines.add("total_blocking_keys", picture.waited_keys.0);
    lines.add("total_blocking_keys_on_nokey", picture.waited_keys.1);
    lines.add("pubsub_clients", engine.pubsub.clients());
    lines.add("watching_clients", picture.watching);
    lines.add("total_watched_keys", picture.watched_keys);
    let pause = engine.pause.active(now.unix_ms());
    let actions = match pause {
        None => "none",
        Some((Held::Writes, _)) => "write",
        Some((Held::All, _)) => "all",
    };
    lines.add("paused_reason", if pause.is_some() { "client_pause" } else { "none" });
    lines.add("paused_actions", actions);
    let left = pause.map_or(0, |(_, until)| until.saturating_sub(now.unix_ms()));
    lines.add("paused_timeout_milliseconds", left);
}

fn memory(picture: &Picture<'_>, lines: &mut Lines) {
    let Picture { engine, config, facts, .. } = picture;
    let used = engine.used_memory();
    let peak = engine.peak_bytes.load(Relaxed);
    let startup = engine.startup_bytes.load(Relaxed);
    let overhead = picture.overhead + picture.clients;
    let dataset = used.saturating_sub(overhead);
    let share = |part: usize, whole: usize| part as f64 * 100.0 / whole.max(1) as f64;
    lines.human("used_memory", used);
    lines.human("used_memory_rss", facts.rss);
    lines.human("used_memory_peak", peak);
    lines.add("used_memory_peak_perc", format_args!("{:.2}%", share(used, peak)));
    lines.add("used_memory_overhead", overhead);
    lines.add("used_memory_startup", startup);
    lines.add("used_memory_dataset", dataset);
    lines.add("used_memory_dataset_perc", format_args!("{:.2}%", share(dataset, used)));
    lines.add("allocator_allocated", used);
    lines.each(&["allocator_active", "allocator_resident"], facts.rss);
    lines.human("total_system_memory", facts.memory_total);
    scripts(&engine.scripts, lines);
    lines.human("maxmemory", config.maxmemory);
    lines.add("maxmemory_policy", config.get("maxmemory-policy").unwrap_or_default());
    lines.add("entries", engine.keyspace.totals().entries);
    lines.add("maxentries", config.maxentries);
    lines.add("compressed_values", picture.compression.values);
    lines.add("compressed_bytes_before", picture.compression.before);
    lines.add("compressed_bytes_after", picture.compression.after);
    lines.add("compression_rejected", engine.compressor.rejected());
    let ratio = facts.rss as f64 / used.max(1) as f64;
    lines.add("mem_fragmentation_ratio", format_args!("{ratio:.2}"));
    lines.add("mem_fragmentation_bytes", facts.rss as i64 - used as i64);
    lines.each(
        &[
            "mem_not_counted_for_evict",
            "mem_replication_backlog",
            "mem_total_replication_buffers",
            "mem_clients_slaves",
        ],
        0,
    );
    lines.add("mem_clients_normal", picture.clients);
    lines.each(&["mem_cluster_links", "mem_aof_buffer"], 0);
    lines.add("mem_allocator", facts.allocator);
    lines.each(&["active_defrag_running", "lazyfree_pending_objects", "lazyfreed_objects"], 0);
}

fn scripts(scripts: &Scripts, lines: &mut Lines) {
    let functions = &scripts.functions;
    let lua = scripts.lua_bytes.load(Relaxed);
    let lua_functions = functions.lua_bytes.load(Relaxed);
    let (cache, libraries) = (scripts.cache_bytes.load(Relaxed), functions.bytes.load(Relaxed));
    lines.add("used_memory_vm_eval", lua);
    lines.human("used_memory_lua", lua);
    lines.human("used_memory_scripts", cache + libraries);
    lines.add("used_memory_scripts_eval", cache);
    lines.add("number_of_cached_scripts", scripts.cached.load(Relaxed));
    lines.add("number_of_functions", functions.functions.load(Relaxed));
    lines.add("number_of_libraries", functions.libraries.load(Relaxed));
    lines.add("used_memory_vm_functions", lua_functions);
    lines.human("used_memory_vm_total", lua + lua_functions);
    lines.add("used_memory_functions", libraries);
}

fn persistence(picture: &Picture<'_>, lines: &mut Lines) {
    lines.each(&["loading", "async_loading"], 0);
    lines.add("rdb_changes_since_last_save", picture.totals.changes);
    lines.add("rdb_bgsave_in_progress", 0);
    lines.add("rdb_last_save_time", picture.engine.started.unix_s());
    lines.add("rdb_last_bgsave_status", "ok");
    lines.each(&["rdb_last_bgsave_time_sec", "rdb_current_bgsave_time_sec"], -1);
    lines.each(&["rdb_saves", "rdb_last_cow_size"], 0);
    lines.each(&["aof_enabled", "aof_rewrite_in_progress", "aof_rewrite_scheduled"], 0);
    lines.each(&["aof_last_rewrite_time_sec", "aof_current_rewrite_time_sec"], -1);
    lines.each(&["aof_last_bgrewrite_status", "aof_last_write_status"], "ok");
}

fn stats(picture: &Picture<'_>, lines: &mut Lines) {
    let Picture { engine, totals, .. } = picture;
    let rates = engine.pace.rates();
    let [hits, misses, expired, evicted, expired_fields] = totals.keyspace;
    lines.add("total_connections_received", totals.connections);
    lines.add("total_commands_processed", totals.executed);
    lines.add("instantaneous_ops_per_sec", rates.operations.round() as u64);
    lines.add("total_net_input_bytes", totals.net_in);
    lines.add("total_net_output_bytes", totals.net_out);
    lines.each(&["total_net_repl_input_bytes", "total_net_repl_output_bytes"], 0);
    lines.add("instantaneous_input_kbps", format_args!("{:.2}", rates.bytes_in / 1024.0));
    lines.add("instantaneous_output_kbps", format_args!("{:.2}", rates.bytes_out / 1024.0));
    lines.each(&["instantaneous_input_repl_kbps", "instantaneous_output_repl_kbps"], "0.00");
    lines.add("rejected_connections", totals.rejected_connections);
    lines.each(&["sync_full", "sync_partial_ok", "sync_partial_err"], 0);
    lines.add("expired_keys", expired);
    lines.add("expired_fields", expired_fields);
    lines.each(&["expired_stale_perc", "expired_keys_with_volatile_items_stale_perc"], "0.00");
    lines.add("expired_time_cap_reached_count", 0);
    lines.add("evicted_keys", evicted);
    lines.add("evicted_clients", totals.evicted_clients);
    lines.add("evicted_scripts", engine.scripts.evicted.load(Relaxed));
    lines.add("total_eviction_exceeded_time", 0);
    lines.add("current_eviction_exceeded_time", 0);
    lines.add("keyspace_hits", hits);
    lines.add("keyspace_misses", misses);
    lines.add("pubsub_channels", engine.pubsub.len(Space::Channel));
    lines.add("pubsub_patterns", engine.pubsub.len(Space::Pattern));
    lines.add("pubsubshard_channels", engine.pubsub.len(Space::Shard));
    lines.each(&["latest_fork_usec", "total_forks", "migrate_cached_sockets"], 0);
    lines.each(&["slave_expires_tracked_keys", "active_defrag_hits", "active_defrag_misses"], 0);
    lines.each(&["active_defrag_key_hits", "active_defrag_key_misses"], 0);
    let (tracked_keys, trackers) = engine.keyspace.tracked();
    lines.add("tracking_total_keys", tracked_keys);
    lines.add("tracking_total_items", trackers);
    lines.add("tracking_total_prefixes", engine.tracking.counts().1);
    lines.add("unexpected_error_replies", 0);
    lines.add("total_error_replies", totals.errors);
    lines.add("dump_payload_sanitizations", 0);
    lines.add("total_reads_processed", totals.reads);
    lines.add("total_writes_processed", totals.writes);
    lines.each(&["io_threaded_reads_processed", "io_threaded_writes_processed"], 0);
    lines.add("client_query_buffer_limit_disconnections", totals.query_limit_cuts);
    lines.add("client_output_buffer_limit_disconnections", totals.output_limit_cuts);
    lines.each(&["reply_buffer_shrinks", "reply_buffer_expands"], 0);
    lines.add("acl_access_denied_auth", totals.auth_failures);
    lines.each(&["acl_access_denied_cmd", "acl_access_denied_key", "acl_access_denied_channel"], 0);
    lines.add("wheel_marks", picture.wheel_marks);
}

fn replication(picture: &Picture<'_>, lines: &mut Lines) {
    lines.add("role", "master");
    lines.add("connected_slaves", 0);
    lines.add("master_failover_state", "no-failover");
    lines.add("master_replid", picture.engine.run_id.lock());
    lines.add("master_replid2", "0".repeat(40));
    lines.add("master_repl_offset", 0);
    lines.add("second_repl_offset", -1);
    lines.each(&["repl_backlog_active", "repl_backlog_size"], 0);
    lines.each(&["repl_backlog_first_byte_offset", "repl_backlog_histlen"], 0);
}

fn cpu(picture: &Picture<'_>, lines: &mut Lines) {
    let Facts { cpu_us, cpu_children_us, cpu_thread_us, .. } = picture.facts;
    for (place, (sys, user)) in
        [("", cpu_us), ("_children", cpu_children_us), ("_main_thread", cpu_thread_us)]
    {
        lines.add(&format!("used_cpu_sys{place}"), format_args!("{:.6}", sys as f64 / 1e6));
        lines.add(&format!("used_cpu_user{place}"), format_args!("{:.6}", user as f64 / 1e6));
    }
}

fn commandstats(picture: &Picture<'_>, lines: &mut Lines) {
    for row in picture.engine.commands.rows() {
        let stats = &picture.totals.commands[usize::from(row.id)];
        if stats.calls + stats.rejected + stats.failed == 0 {
            continue;
        }
        let mean = stats.usec as f64 / stats.calls.max(1) as f64;
        lines.add(
            &format!("cmdstat_{}", row.command.name),
            format_args!(
                "calls={},usec={},usec_per_call={mean:.2},rejected_calls={},failed_calls={}",
                stats.calls, stats.usec, stats.rejected, stats.failed
            ),
        );
    }
}

fn errorstats(picture: &Picture<'_>, lines: &mut Lines) {
    for (code, n) in &picture.totals.error_codes {
        lines.add(&format!("errorstat_{code}"), format_args!("count={n}"));
    }
}

fn latencystats(picture: &Picture<'_>, lines: &mut Lines) {
    for row in picture.engine.commands.rows() {
        let stats = &picture.totals.commands[usize::from(row.id)];
        if stats.recorded() == 0 {
            continue;
        }
        let percentiles = &picture.config.latency_tracking_info_percentiles;
        let text: Vec<String> = percentiles
            .iter()
            .map(|percent| format!("p{percent}={}.000", stats.percentile(*percent)))
            .collect();
        let name = format!("latency_percentiles_usec_{}", row.command.name);
        lines.add(&name, text.join(","));
    }
}

fn keyspace(picture: &Picture<'_>, lines: &mut Lines) {
    for (database, info) in &picture.databases {
        let mut text = format!(
            "keys={},expires={},avg_ttl={},keys_with_volatile_items={}",
            info.keys, info.expires, info.avg_ttl_ms, info.timed
        );
        let limit = picture.config.db_maxentries.iter().rev().find(|(index, _)| index == database);
        if let Some((_, max)) = limit
            && *max > 0
        {
            let _ = write!(text, ",maxentries={max}");
        }
        lines.add(&format!("db{database}"), text);
    }
}

/// Bytes with a unit, two decimals.
pub(super) fn human(bytes: usize) -> String {
    let mut size = bytes as f64;
    for unit in ["B", "K", "M", "G", "T"] {
        if size < 1024.0 {
            return match unit {
                "B" => format!("{bytes}B"),
                _ => format!("{size:.2}{unit}"),
            };
        }
        size /= 1024.0;
    }
    format!("{size:.2}P")
}
