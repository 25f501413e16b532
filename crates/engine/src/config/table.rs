//! The parameters that Pannier honours, each declared once.
//!
//! From this list follow the fields of [`Config`], their defaults, CONFIG GET, SET and REWRITE,
//! the configuration file, the command line and the reference page. To add a parameter: one entry
//! here, and read the field where it takes effect. An entry reads
//!
//! ```text
//! /// What it does (the field's documentation and the reference page's sentence).
//! field: Type = "default as CONFIG GET prints it", "name" | "other name", Kind, change;
//! ```
//!
//! where `change` is `live` (CONFIG SET may change it), `immutable`, or `protected` (live, if
//! `enable-protected-configs` permits); `sensitive` after it keeps the value out of logs.
//!
//! Names, ranges and forms are Valkey 9.1's; defaults too, except where a cache that runs inside
//! another program wants another (`bind`). Absent ones are in `absent`.

use pannier_store::Policy;

use super::kind::{COUNT, INT, Kind, PORT, SIZE};
use super::value::{
    ALLOWED, Allowed, ClientMemory, Events, LOG_LEVELS, LogLevel, Mode, OutputLimits, POLICIES,
    TLS_AUTHS, TlsAuth, Typed,
};

/// One parameter.
#[derive(Debug)]
pub struct Parameter {
    /// Its name in files, on the command line and for CONFIG.
    pub name: &'static str,
    /// Another name for the same.
    pub alias: Option<&'static str>,
    /// What it accepts.
    pub kind: Kind,
    /// The default as CONFIG GET prints it; of an absent parameter the value in effect.
    pub default: &'static str,
    /// Whether CONFIG SET may change it.
    pub change: Change,
    /// Whether its value must not appear in logs.
    pub sensitive: bool,
    /// The feature that Pannier lacks, for a parameter that is accepted and does nothing.
    pub absent: Option<&'static str>,
    /// One sentence; empty for an absent one.
    pub summary: &'static str,
    pub(super) field: Option<Field>,
}

/// Whether CONFIG SET may change a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Yes.
    Live,
    /// Only if `enable-protected-configs` permits.
    Protected,
    /// No: it is for the start only.
    Immutable,
}

/// How a row reaches its field.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) text: fn(&Config) -> String,
    pub(super) read: fn(&mut Config, &str) -> bool,
}

macro_rules! parameters {
    ($(
        $(#[doc = $summary:literal])+
        $field:ident: $type:ty = $default:literal, $name:literal $(| $alias:literal)?,
            $kind:expr, $change:ident $($sensitive:ident)?;
    )*) => {
        /// A configuration: one field for each parameter that is honoured.
        ///
        /// A snapshot: CONFIG SET makes another and swaps it in whole, so that a reader never
        /// sees half a change.
        #[derive(Clone, Debug, PartialEq)]
        pub struct Config {
            $($(#[doc = $summary])+ pub $field: $type,)*
            /// `rename-command` directives: the command and its new name, empty to remove it.
            /// Only from the file or the command line; the command table checks the names.
            pub rename_command: Vec<(String, String)>,
        }

        impl Default for Config {
            fn default() -> Self {
                Self {
                    $($field: Typed::read($default).expect(concat!("the default of ", $name)),)*
                    rename_command: Vec::new(),
                }
            }
        }

        pub(super) const HONOURED: &[Parameter] = &[$(Parameter {
            name: $name,
            alias: parameters!(@alias $($alias)?),
            kind: $kind,
            default: $default,
            change: parameters!(@change $change),
            sensitive: parameters!(@sensitive $($sensitive)?),
            absent: None,
            summary: concat!($($summary),+).trim_ascii_start(),
            field: Some(Field {
                text: |config| config.$field.text(),
                read: |config, text| match Typed::read(text) {
                    Some(value) => { config.$field = value; true }
                    None => false,
                },
            }),
        }),*];
    };
    (@alias) => { None };
    (@alias $alias:literal) => { Some($alias) };
    (@change live) => { Change::Live };
    (@change protected) => { Change::Protected };
    (@change immutable) => { Change::Immutable };
    (@sensitive) => { false };
    (@sensitive sensitive) => { true };
}

parameters! {
    // Listening.

    /// Addresses to listen on; one that begins with `-` may be missing on this machine.
    bind: Vec<String> = "127.0.0.1 -::1", "bind", Kind::Words(16), immutable;
    /// TCP port; 0 means no TCP, or on the command line any free port.
    port: u16 = "6379", "port", PORT, immutable;
    /// Path of a Unix socket to listen on; empty means none.
    unixsocket: String = "", "unixsocket", Kind::Text, immutable;
    /// Permissions of the Unix socket, in octal; 0 leaves them to the umask.
    unixsocketperm: Mode = "0", "unixsocketperm", Kind::Octal, immutable;
    /// Connections that may wait to be accepted.
    tcp_backlog: u32 = "511", "tcp-backlog", INT, immutable;
    /// Seconds of silence after which TCP asks whether the peer still lives; 0 means never.
    tcp_keepalive: u32 = "300", "tcp-keepalive", INT, live;
    /// Seconds after which an idle client is disconnected; 0 means never.
    timeout: u32 = "0", "timeout", INT, live;
    /// Clients that may be connected at once.
    maxclients: usize = "10000", "maxclients",
        Kind::Integer { min: 1, max: u32::MAX as i64 }, live;
    /// Worker threads; 0 means one for each processor, at most 8.
    threads: usize = "0", "threads", Kind::Integer { min: 0, max: 256 }, immutable;

    // TLS. Files are read when they are set; what rustls does not have is in `absent`.

    /// TCP port for TLS; 0 means none.
    tls_port: u16 = "0", "tls-port", PORT, live;
    /// File with the server's certificate and those that lead to its authority (PEM).
    tls_cert_file: String = "", "tls-cert-file", Kind::Text, live;
    /// File with the certificate's private key (PEM).
    tls_key_file: String = "", "tls-key-file", Kind::Text, live;
    /// Password of the private key, if it is encrypted (PKCS #8).
    tls_key_file_pass: String = "", "tls-key-file-pass", Kind::Text, live sensitive;
    /// File with the authorities that clients' certificates must come from (PEM).
    tls_ca_cert_file: String = "", "tls-ca-cert-file", Kind::Text, live;
    /// Directory of files with such authorities.
    tls_ca_cert_dir: String = "", "tls-ca-cert-dir", Kind::Text, live;
    /// Whether clients must show a certificate, may, or are not asked for one.
    tls_auth_clients: TlsAuth = "yes", "tls-auth-clients", Kind::Choice(TLS_AUTHS), live;
    /// Versions of TLS that are spoken, of `TLSv1.2` and `TLSv1.3`; empty means both.
    tls_protocols: String = "", "tls-protocols", Kind::Text, live;
    /// Cipher suites of TLS 1.2 by OpenSSL's names, with colons in between; empty means all.
    tls_ciphers: String = "", "tls-ciphers", Kind::Text, live;
    /// The same for TLS 1.3.
    tls_ciphersuites: String = "", "tls-ciphersuites", Kind::Text, live;
    /// Whether the server's order of cipher suites counts and not the client's.
    tls_prefer_server_ciphers: bool = "no", "tls-prefer-server-ciphers", Kind::Bool, live;
    /// Whether a client may resume a session instead of beginning anew.
    tls_session_caching: bool = "yes", "tls-session-caching", Kind::Bool, live;
    /// Sessions that are kept to be resumed; 0 means no limit.
    tls_session_cache_size: usize = "20480", "tls-session-cache-size", INT, live;
    /// Seconds for which a session can be resumed.
    tls_session_cache_timeout: u32 = "300", "tls-session-cache-timeout", INT, live;
    /// Seconds between two looks whether the files have changed; 0 means that nobody looks.
    tls_auto_reload_interval: u32 = "0", "tls-auto-reload-interval", INT, live;

    // Who may do what.

    /// The password that clients must give; empty means none.
    requirepass: String = "", "requirepass", Kind::Text, live sensitive;
    /// Without a password, refuse connections from other machines.
    protected_mode: bool = "yes", "protected-mode", Kind::Bool, live;
    /// Who may use DEBUG.
    enable_debug_command: Allowed = "no", "enable-debug-command", Kind::Choice(ALLOWED), immutable;
    /// Who may change protected parameters by CONFIG SET.
    enable_protected_configs: Allowed = "no", "enable-protected-configs",
        Kind::Choice(ALLOWED), immutable;
    /// Whether the commands exist that let tests change the course of things (PANNIER).
    test_mode: bool = "no", "test-mode", Kind::Bool, immutable;

    // The keyspace and its limits.

    /// Number of logical databases.
    databases: usize = "16", "databases", Kind::Integer { min: 1, max: 1 << 16 }, immutable;
    /// Bytes that may be used before entries are evicted or writes refused; 0 means no limit.
    maxmemory: usize = "0", "maxmemory", Kind::Memory { min: 0, max: u64::MAX }, live;
    /// What is evicted when a limit is reached.
    maxmemory_policy: Policy = "noeviction", "maxmemory-policy", Kind::Choice(POLICIES), live;
    /// Entries that eviction looks at to choose one.
    maxmemory_samples: usize = "5", "maxmemory-samples", Kind::Integer { min: 1, max: 64 }, live;
    /// Bytes, or per cent of maxmemory, that all clients' buffers may use; 0 means no limit.
    maxmemory_clients: ClientMemory = "0", "maxmemory-clients", Kind::MemoryOrPercent, live;
    /// Entries that all databases together may hold; 0 means no limit.
    maxentries: usize = "0", "maxentries", COUNT, live;
    /// Entries that single databases may hold, as pairs of a database and a number; a number of 0
    /// lifts that database's limit, and databases that are not named keep theirs.
    db_maxentries: Vec<(usize, usize)> = "", "db-maxentries", Kind::DatabaseCounts, live;
    /// Bytes from which a string is stored compressed, if that saves an eighth; 0 means never.
    compression_threshold: usize = "0", "compression-threshold",
        Kind::Memory { min: 0, max: u64::MAX }, live;
    /// Whether strings over 20 bytes are compressed in what DUMP returns.
    rdbcompression: bool = "yes", "rdbcompression", Kind::Bool, live;
    /// How hard compression tries, from 1 (fast) to 9.
    compression_level: u32 = "2", "compression-level", Kind::Integer { min: 1, max: 9 }, live;
    /// How slowly LFU counters grow with accesses.
    lfu_log_factor: u32 = "10", "lfu-log-factor", INT, live;
    /// Minutes after which an LFU counter loses one; 0 means at every look.
    lfu_decay_time: u32 = "1", "lfu-decay-time", INT, live;
    /// Rounds a second of the periodic housekeeping, brought within 1 and 500.
    hz: u32 = "10", "hz", Kind::Pace { max: i32::MAX as i64, low: 1, high: 500 }, live;

    // The protocol's limits.

    /// Bytes that one argument of a request, and one string value, may have.
    proto_max_bulk_len: usize = "536870912", "proto-max-bulk-len",
        Kind::Memory { min: 1 << 20, max: i64::MAX as u64 }, live;
    /// Bytes of unfinished requests that one client may have sent.
    client_query_buffer_limit: usize = "1073741824", "client-query-buffer-limit",
        Kind::Memory { min: 1 << 20, max: i64::MAX as u64 }, live;
    /// Bytes of replies that a class of clients may leave unread: at once, and for some seconds.
    client_output_buffer_limit: OutputLimits =
        "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60",
        "client-output-buffer-limit", Kind::OutputLimits, live;
    /// The version of Redis that INFO and HELLO report, by which clients choose what they use.
    compat_redis_version: String = "7.4.0", "compat-redis-version", Kind::Version, live;

    /// Which events of keys are published, and where: `K` by key, `E` by event, and the letters of
    /// their classes.
    notify_keyspace_events: Events = "", "notify-keyspace-events", Kind::Events, live;

    /// Keys that the server remembers as read by clients that track; 0 means no limit.
    tracking_table_max_keys: usize = "1000000", "tracking-table-max-keys", COUNT, live;

    // Logs and statistics.

    /// How much is logged.
    loglevel: LogLevel = "notice", "loglevel", Kind::Choice(LOG_LEVELS), live;
    /// File to log into; empty means standard output.
    logfile: String = "", "logfile", Kind::Text, immutable;
    /// The directory that relative paths start from.
    dir: String = "./", "dir", Kind::Directory, protected;
    /// Keep keys and values out of the log.
    hide_user_data_from_log: bool = "yes", "hide-user-data-from-log", Kind::Bool, live;
    /// Microseconds from which a request is logged as slow; -1 means never.
    commandlog_execution_slower_than: i64 = "10000",
        "commandlog-execution-slower-than" | "slowlog-log-slower-than",
        Kind::Integer { min: -1, max: i64::MAX }, live;
    /// Slow requests that are kept.
    commandlog_slow_execution_max_len: usize = "128",
        "commandlog-slow-execution-max-len" | "slowlog-max-len", COUNT, live;
    /// Bytes from which a request is logged as large; -1 means never.
    commandlog_request_larger_than: i64 = "1048576", "commandlog-request-larger-than",
        Kind::Integer { min: -1, max: i64::MAX }, live;
    /// Large requests that are kept.
    commandlog_large_request_max_len: usize = "128", "commandlog-large-request-max-len",
        COUNT, live;
    /// Bytes from which a reply is logged as large; -1 means never.
    commandlog_reply_larger_than: i64 = "1048576", "commandlog-reply-larger-than",
        Kind::Integer { min: -1, max: i64::MAX }, live;
    /// Large replies that are kept.
    commandlog_large_reply_max_len: usize = "128", "commandlog-large-reply-max-len", COUNT, live;
    /// Milliseconds from which LATENCY records an event; 0 means none.
    latency_monitor_threshold: u64 = "0", "latency-monitor-threshold", COUNT, live;
    /// Milliseconds that a script may run before others get the error BUSY; 0 means any time.
    busy_reply_threshold: u64 = "5000", "busy-reply-threshold" | "lua-time-limit", COUNT, live;
    /// Keep latency histograms of the commands.
    latency_tracking: bool = "yes", "latency-tracking", Kind::Bool, live;
    /// Percentiles that INFO latencystats shows.
    latency_tracking_info_percentiles: Vec<f64> = "50 99 99.9",
        "latency-tracking-info-percentiles", Kind::Percentiles, live;

    // Encodings: sizes up to which a value keeps its compact form. They take effect with the
    // types that they govern.

    /// Fields up to which a hash stays compact (takes effect with hashes).
    hash_max_listpack_entries: usize = "512",
        "hash-max-listpack-entries" | "hash-max-ziplist-entries", COUNT, live;
    /// Bytes of a field or value up to which a hash stays compact (takes effect with hashes).
    hash_max_listpack_value: usize = "64",
        "hash-max-listpack-value" | "hash-max-ziplist-value", SIZE, live;
    /// Entries (or with -1 to -5: 4 to 64 KiB) of one node of a list.
    list_max_listpack_size: i32 = "-2", "list-max-listpack-size" | "list-max-ziplist-size",
        Kind::Integer { min: i32::MIN as i64, max: i32::MAX as i64 }, live;
    /// Nodes at either end of a list that are not compressed. It is kept for other servers: here
    /// none is compressed, whatever it says.
    list_compress_depth: u32 = "0", "list-compress-depth", INT, live;
    /// Members up to which a set of integers stays compact (takes effect with sets).
    set_max_intset_entries: usize = "512", "set-max-intset-entries", COUNT, live;
    /// Members up to which another set stays compact (takes effect with sets).
    set_max_listpack_entries: usize = "128", "set-max-listpack-entries", COUNT, live;
    /// Bytes of a member up to which a set stays compact (takes effect with sets).
    set_max_listpack_value: usize = "64", "set-max-listpack-value", COUNT, live;
    /// Members up to which a sorted set stays compact (takes effect with sorted sets).
    zset_max_listpack_entries: usize = "128",
        "zset-max-listpack-entries" | "zset-max-ziplist-entries", COUNT, live;
    /// Bytes of a member up to which a sorted set stays compact (takes effect with sorted sets).
    zset_max_listpack_value: usize = "64",
        "zset-max-listpack-value" | "zset-max-ziplist-value", SIZE, live;
    /// Bytes of one node of a stream; 0 means no limit (takes effect with streams).
    stream_node_max_bytes: usize = "4096", "stream-node-max-bytes", SIZE, live;
    /// Entries of one node of a stream; 0 means no limit (takes effect with streams).
    stream_node_max_entries: usize = "100", "stream-node-max-entries", COUNT, live;
    /// Bytes up to which a HyperLogLog stays sparse.
    hll_sparse_max_bytes: usize = "3000", "hll-sparse-max-bytes", SIZE, live;
}
