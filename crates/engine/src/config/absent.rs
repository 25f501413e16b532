//! Parameters of Redis and Valkey whose feature Pannier does not have.
//!
//! A configuration that was written for the real server must start this one, so their names and
//! forms are known: a file may set them, which is reported for a line in the log, and CONFIG GET
//! shows the value in effect. CONFIG SET to anything but that value is refused, because a client
//! that is told OK relies on it.
//!
//! An entry reads `"name" | "other name" = "value in effect", Kind, change;`, grouped by feature;
//! `sensitive` after it keeps the value out of logs, refused or not.
//! The value in effect is the real server's default where that says nothing untrue (a ping period
//! without replicas), and what Pannier does where it would (`save ""`). When a feature is built
//! its entries move to `table`.

use super::kind::{COUNT, INT, Kind, PORT, SIZE};
use super::table::{Change, Parameter};

macro_rules! absent {
    ($($feature:literal { $(
        $name:literal $(| $alias:literal)? = $value:literal,
            $kind:expr, $change:ident $($sensitive:ident)?;
    )* })*) => {
        pub(super) const ABSENT: &[Parameter] = &[$($(Parameter {
            name: $name,
            alias: absent!(@alias $($alias)?),
            kind: $kind,
            default: $value,
            change: absent!(@change $change),
            sensitive: absent!(@sensitive $($sensitive)?),
            absent: Some($feature),
            summary: "",
            field: None,
        },)*)*];
    };
    (@alias) => { None };
    (@alias $alias:literal) => { Some($alias) };
    (@sensitive) => { false };
    (@sensitive sensitive) => { true };
    (@change live) => { Change::Live };
    (@change protected) => { Change::Protected };
    (@change immutable) => { Change::Immutable };
}

const BOOL: Kind = Kind::Bool;
const TEXT: Kind = Kind::Text;
/// A number that fits a C int, from 1.
const POSITIVE: Kind = between(1, i32::MAX as i64);
/// Which save options a signal's shutdown takes.
const SHUTDOWN: Kind =
    Kind::Flags(&["default", "save", "nosave", "now", "force", "safe", "failover"]);

const fn between(min: i64, max: i64) -> Kind {
    Kind::Integer { min, max }
}

absent! {
    "persistence" {
        "save" = "", Kind::SavePoints, live;
        "stop-writes-on-bgsave-error" = "yes", BOOL, live;
        "rdbchecksum" = "yes", BOOL, immutable;
        "rdb-del-sync-files" = "no", BOOL, live;
        "rdb-save-incremental-fsync" = "yes", BOOL, live;
        "rdb-version-check" = "strict", Kind::Choice(&["strict", "relaxed"]), live;
        "sanitize-dump-payload" = "no", Kind::Choice(&["no", "yes", "clients"]), live;
        "dbfilename" = "dump.rdb", Kind::FileName, protected;
        "appendonly" = "no", BOOL, live;
        "appendfilename" = "appendonly.aof", TEXT, immutable;
        "appenddirname" = "appendonlydir", TEXT, immutable;
        "appendfsync" = "everysec", Kind::Choice(&["everysec", "always", "no"]), live;
        "no-appendfsync-on-rewrite" = "no", BOOL, live;
        "auto-aof-rewrite-percentage" = "100", INT, live;
        "auto-aof-rewrite-min-size" = "67108864", SIZE, live;
        "aof-load-truncated" = "yes", BOOL, live;
        "aof-use-rdb-preamble" = "yes", BOOL, live;
        "aof-timestamp-enabled" = "no", BOOL, live;
        "aof-rewrite-incremental-fsync" = "yes", BOOL, live;
        "aof-disable-auto-gc" = "no", BOOL, live;
        "import-mode" = "no", BOOL, live;
        "shutdown-timeout" = "10", INT, live;
        "shutdown-on-sigint" = "default", SHUTDOWN, live;
        "shutdown-on-sigterm" = "default", SHUTDOWN, live;
    }
    "replication" {
        "replicaof" | "slaveof" = "", Kind::Primary, immutable;
        "primaryauth" | "masterauth" = "", TEXT, live sensitive;
        "primaryuser" | "masteruser" = "", TEXT, live sensitive;
        "replica-announce-ip" | "slave-announce-ip" = "", TEXT, live;
        "replica-announce-port" | "slave-announce-port" = "0", PORT, live;
        "replica-announced" = "yes", BOOL, live;
        "replica-serve-stale-data" | "slave-serve-stale-data" = "yes", BOOL, live;
        "replica-read-only" | "slave-read-only" = "yes", BOOL, live;
        "replica-ignore-disk-write-errors" = "no", BOOL, live;
        "replica-ignore-maxmemory" | "slave-ignore-maxmemory" = "yes", BOOL, live;
        "replica-lazy-flush" | "slave-lazy-flush" = "yes", BOOL, live;
        "replica-priority" | "slave-priority" = "100", INT, live;
        "min-replicas-to-write" | "min-slaves-to-write" = "0", INT, live;
        "min-replicas-max-lag" | "min-slaves-max-lag" = "10", INT, live;
        "repl-backlog-size" = "10485760", Kind::Memory { min: 1, max: i64::MAX as u64 }, live;
        "repl-backlog-ttl" = "3600", COUNT, live;
        "repl-disable-tcp-nodelay" = "no", BOOL, live;
        "repl-diskless-load" = "disabled",
            Kind::Choice(&["disabled", "on-empty-db", "swapdb", "flush-before-load"]), live;
        "repl-diskless-sync" = "yes", BOOL, live;
        "repl-diskless-sync-delay" = "5", INT, live;
        "repl-diskless-sync-max-replicas" = "0", INT, live;
        "repl-mptcp" = "no", BOOL, immutable;
        "repl-ping-replica-period" | "repl-ping-slave-period" = "10", POSITIVE, live;
        "repl-timeout" = "60", POSITIVE, live;
        "dual-channel-replication-enabled" = "no", BOOL, live;
        "propagation-error-behavior" = "ignore",
            Kind::Choice(&["ignore", "panic", "panic-on-replicas"]), live;
        "bind-source-addr" = "", TEXT, live;
        "slot-migration-max-failover-repl-bytes" = "0", SIZE, live;
    }
    "cluster mode" {
        "cluster-enabled" = "no", BOOL, immutable;
        "cluster-config-file" = "nodes.conf", TEXT, immutable;
        "cluster-config-save-behavior" = "sync", Kind::Choice(&["sync", "best-effort"]), live;
        "cluster-databases" = "1", POSITIVE, immutable;
        "cluster-port" = "0", PORT, immutable;
        "cluster-node-timeout" = "15000", COUNT, live;
        "cluster-manual-failover-timeout" = "5000", POSITIVE, live;
        "cluster-migration-barrier" = "1", INT, live;
        "cluster-require-full-coverage" = "yes", BOOL, live;
        "cluster-replica-no-failover" | "cluster-slave-no-failover" = "no", BOOL, live;
        "cluster-replica-validity-factor" | "cluster-slave-validity-factor" = "10", INT, live;
        "cluster-allow-pubsubshard-when-down" = "yes", BOOL, live;
        "cluster-allow-reads-when-down" = "no", BOOL, live;
        "cluster-allow-replica-migration" = "yes", BOOL, live;
        "cluster-announce-bus-port" = "0", PORT, live;
        "cluster-announce-client-ipv4" = "", TEXT, live;
        "cluster-announce-client-ipv6" = "", TEXT, live;
        "cluster-announce-client-port" = "0", PORT, live;
        "cluster-announce-client-tls-port" = "0", PORT, live;
        "cluster-announce-hostname" = "", TEXT, live;
        "cluster-announce-human-nodename" = "", TEXT, live;
        "cluster-announce-ip" = "", TEXT, live;
        "cluster-announce-port" = "0", PORT, live;
        "cluster-announce-tls-port" = "0", PORT, live;
        "cluster-blacklist-ttl" = "60", COUNT, live;
        "cluster-link-sendbuf-limit" = "0", SIZE, live;
        "cluster-preferred-endpoint-type" = "ip",
            Kind::Choice(&["ip", "hostname", "unknown-endpoint"]), live;
        "cluster-slot-migration-log-max-len" = "1000", COUNT, live;
        "cluster-slot-stats-enabled" = "no", BOOL, live;
    }
    "TLS to other servers" {
        "tls-client-cert-file" = "", TEXT, live;
        "tls-client-key-file" = "", TEXT, live;
        "tls-client-key-file-pass" = "", TEXT, live sensitive;
        "tls-cluster" = "no", BOOL, live;
        "tls-replication" = "no", BOOL, live;
    }
    "key exchange by finite fields (elliptic curves do it)" {
        "tls-dh-params-file" = "", TEXT, live;
    }
    "ACL users" {
        "tls-auth-clients-user" = "off", Kind::Choice(&["CN", "URI", "off"]), live;
        "aclfile" = "", TEXT, immutable;
        "acllog-max-len" = "128", COUNT, live;
        "acl-pubsub-default" = "resetchannels",
            Kind::Choice(&["allchannels", "resetchannels"]), live;
    }
    "modules" {
        "enable-module-command" = "no", Kind::Choice(&["no", "yes", "local"]), immutable;
    }
    "freeing in the background" {
        "lazyfree-lazy-eviction" = "no", BOOL, live;
        "lazyfree-lazy-expire" = "no", BOOL, live;
        "lazyfree-lazy-server-del" = "no", BOOL, live;
        "lazyfree-lazy-user-del" = "no", BOOL, live;
        "lazyfree-lazy-user-flush" = "no", BOOL, live;
    }
    "active defragmentation" {
        "activedefrag" = "no", BOOL, live;
        "active-defrag-cycle-max" = "25", between(1, 99), live;
        "active-defrag-cycle-min" = "1", between(1, 99), live;
        "active-defrag-cycle-us" = "500", between(0, 100_000), live;
        "active-defrag-ignore-bytes" = "104857600",
            Kind::Memory { min: 1, max: i64::MAX as u64 }, live;
        "active-defrag-max-scan-fields" = "1000", between(1, i64::MAX), live;
        "active-defrag-threshold-lower" = "10", between(0, 1000), live;
        "active-defrag-threshold-upper" = "100", between(0, 1000), live;
        "jemalloc-bg-thread" = "no", BOOL, live;
    }
    "a tuned expiry cycle (expiry is exact)" {
        "active-expire-effort" = "1", between(1, 10), live;
    }
    "rehashing (tables grow a segment at a time)" {
        "activerehashing" = "no", BOOL, live;
        "hash-seed" = "", TEXT, immutable;
    }
    "an adaptive pace" {
        "dynamic-hz" = "no", BOOL, live;
        "maxmemory-eviction-tenacity" = "10", between(0, 100), live;
        "max-new-connections-per-cycle" = "10", between(1, 1000), live;
        "max-new-tls-connections-per-cycle" = "1", between(1, 1000), live;
    }
    "IO threads (`threads` sets the workers)" {
        "io-threads" = "1", between(1, 256), live;
        "io-threads-do-reads" = "no", BOOL, immutable;
        "prefetch-batch-max-size" = "0", between(0, 128), live;
        "server-cpulist" | "server_cpulist" = "", TEXT, immutable;
        "bio-cpulist" | "bio_cpulist" = "", TEXT, immutable;
        "aof-rewrite-cpulist" | "aof_rewrite_cpulist" = "", TEXT, immutable;
        "bgsave-cpulist" | "bgsave_cpulist" = "", TEXT, immutable;
    }
    "running as a daemon" {
        "daemonize" = "no", BOOL, immutable;
        "pidfile" = "", TEXT, immutable;
        "supervised" = "no", Kind::Choice(&["upstart", "systemd", "auto", "no"]), immutable;
    }
    "control of the process" {
        "set-proc-title" = "no", BOOL, immutable;
        "proc-title-template" = "{title} {listen-addr} {server-mode}", TEXT, live;
        "oom-score-adj" = "no", Kind::Choice(&["no", "yes", "relative", "absolute"]), live;
        "oom-score-adj-values" = "0 200 800", Kind::OomScores, live;
        "disable-thp" = "no", BOOL, immutable;
        "crash-log-enabled" = "no", BOOL, live;
        "crash-memcheck-enabled" = "no", BOOL, live;
        "ignore-warnings" = "", TEXT, live;
        "locale-collate" = "", TEXT, live;
    }
    "other forms of the log" {
        "always-show-logo" = "no", BOOL, immutable;
        "log-format" = "legacy", Kind::Choice(&["legacy", "logfmt", "json"]), live;
        "log-timestamp-format" = "legacy",
            Kind::Choice(&["legacy", "iso8601", "milliseconds"]), live;
        "syslog-enabled" = "no", BOOL, immutable;
        "syslog-ident" = "pannier", TEXT, immutable;
        "syslog-facility" = "local0",
            Kind::Choice(&[
                "user", "local0", "local1", "local2", "local3", "local4", "local5", "local6",
                "local7",
            ]), immutable;
    }
    "other sockets and their options" {
        "unixsocketgroup" = "", TEXT, immutable;
        "socket-mark-id" = "0", between(0, u32::MAX as i64), immutable;
        "mptcp" = "no", BOOL, immutable;
        "rdma-bind" = "", Kind::Words(16), live;
        "rdma-completion-vector" = "-1", between(-1, 1024), immutable;
        "rdma-port" = "0", PORT, live;
        "rdma-rx-size" = "1048576", between(1 << 16, 16 << 20), immutable;
        "availability-zone" = "", TEXT, live;
    }
    "Redis's names for newer versions' texts" {
        "extended-redis-compatibility" = "no", BOOL, live;
    }
}

/// Directives that only a file or the command line may hold, with the number of their arguments:
/// the least, the greatest, and the feature that they belong to.
pub(super) const FILE_ONLY: &[(&str, usize, usize, &str)] = &[
    ("user", 1, usize::MAX, "ACL users"),
    ("loadmodule", 1, usize::MAX, "modules"),
    ("list-max-ziplist-entries", 1, 1, "parameters that Redis dropped"),
    ("list-max-ziplist-value", 1, 1, "parameters that Redis dropped"),
    ("lua-replicate-commands", 1, 1, "parameters that Redis dropped"),
    ("events-per-io-thread", 1, 1, "parameters that Redis dropped"),
    ("enable-debug-assert", 1, 1, "hidden parameters for tests of the server itself"),
];
