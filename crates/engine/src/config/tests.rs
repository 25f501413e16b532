//! Tests of the list of parameters as a whole, and of CONFIG GET and SET.

use super::*;
use proptest::prelude::*;

fn live(config: &mut Config, pairs: &[(&str, &str)]) -> Result<(), String> {
    let pairs: Vec<_> = pairs.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
    config.set_live(&pairs, true)
}

#[test]
fn every_parameter_of_the_real_servers_is_known() {
    let config = Config::default();
    for name in VALKEY_9_1.split_whitespace().chain(ONLY_REDIS_7.split_whitespace()) {
        assert!(config.get(name).is_some(), "{name}");
    }
}

#[test]
fn names_are_unique_and_lower_case() {
    let mut names: Vec<&str> = parameters().flat_map(Parameter::names).collect();
    assert!(names.iter().all(|name| *name == name.to_ascii_lowercase()));
    names.sort_unstable();
    let all = names.len();
    names.dedup();
    assert_eq!(names.len(), all);
}

#[test]
fn fields_are_named_after_their_directives() {
    let shown = format!("{:#?}", Config::default());
    for parameter in parameters().filter(|parameter| parameter.absent.is_none()) {
        let field = format!("\n    {}: ", parameter.name.replace('-', "_"));
        assert!(shown.contains(&field), "{}", parameter.name);
        assert!(parameter.summary.ends_with('.'), "{}", parameter.name);
    }
}

#[test]
fn every_default_is_valid_and_prints_as_it_is_declared() {
    let config = Config::default();
    for parameter in parameters() {
        let words: Vec<&str> = match parameter.kind.takes_words() {
            true => parameter.default.split_whitespace().collect(),
            false => vec![parameter.default],
        };
        let text = parameter.kind.canonical(&words, parameter.default);
        assert_eq!(text.as_deref(), Ok(parameter.default), "{}", parameter.name);
        assert_eq!(parameter.text(&config), parameter.default, "{}", parameter.name);
    }
    assert_eq!(config.check(), Ok(()));
}

/// What CONFIG GET prints can be given back to CONFIG SET, as tools do that restore a server.
#[test]
fn every_live_value_can_be_set_to_itself() {
    let mut config = Config::default();
    live(&mut config, &[("db-maxentries", "1 500"), ("maxmemory-clients", "5%")]).unwrap();
    let before = config.clone();
    for parameter in parameters().filter(|parameter| parameter.change == Change::Live) {
        let value = parameter.text(&config);
        if parameter.name != "db-maxentries" || !value.is_empty() {
            assert_eq!(live(&mut config, &[(parameter.name, &value)]), Ok(()));
        }
    }
    assert_eq!(config, before);
}

#[test]
fn set_refuses_in_the_words_of_the_real_server() {
    let cases: &[(&[(&str, &str)], &str)] = &[
        (&[("foo", "bar")], "Unknown option or number of arguments for CONFIG SET - 'foo'"),
        (
            &[("Foo", "x"), ("tcp-backlog", "5")],
            "Unknown option or number of arguments for CONFIG SET - 'Foo'",
        ),
        (&[("TCP-backlog", "5"), ("foo", "x")], "'TCP-backlog') - can't set immutable config"),
        (&[("dir", "/tmp")], "'dir') - can't set protected config"),
        (&[("maxmemory", "1"), ("MAXmemory", "2")], "'MAXmemory') - duplicate parameter"),
        (&[("MAXMEMORY", "abc")], "'maxmemory') - argument must be a memory value"),
        (
            &[("hash-max-ziplist-entries", "-1")],
            "'hash-max-ziplist-entries') - argument must be between 0 and 9223372036854775807 \
             inclusive",
        ),
        (&[("maxmemory-clients", "101%")], "percentage argument must be less or equal to 100"),
        (&[("maxmemory-clients", "-5%")], "argument must be a memory or percent value"),
        (&[("maxmemory-samples", "65")], "argument must be between 1 and 64 inclusive"),
        (&[("maxmemory-samples", "x")], "argument couldn't be parsed into an integer"),
        (
            &[("maxmemory-policy", "foo")],
            "argument(s) must be one of the following: volatile-lru, volatile-lfu, \
             volatile-random, volatile-ttl, allkeys-lru, allkeys-lfu, allkeys-random, noeviction",
        ),
        (
            &[("loglevel", "x")],
            "argument(s) must be one of the following: debug, verbose, notice, warning, nothing",
        ),
        (&[("latency-tracking", "x")], "argument must be 'yes' or 'no'"),
        (&[("appendonly", "maybe")], "argument must be 'yes' or 'no'"),
        (&[("appendonly", "yes")], "'appendonly') - not supported by Pannier: persistence"),
        (&[("save", "60 1")], "'save') - not supported by Pannier: persistence"),
        (&[("save", "1 2 3")], "'save') - Invalid save parameters"),
        (
            &[("client-output-buffer-limit", "normal  0 0 0")],
            "Wrong number of arguments in buffer limit configuration.",
        ),
        (
            &[("notify-keyspace-events", "Q")],
            "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.",
        ),
        (
            &[("proto-max-bulk-len", "1")],
            "argument must be between 1048576 and 9223372036854775807 inclusive",
        ),
        (&[("maxclients", "4294967296")], "argument must be between 1 and 4294967295 inclusive"),
        (&[("db-maxentries", "16 5")], "'db-maxentries') - there is no database 16"),
    ];
    for (pairs, expected) in cases {
        let mut config = Config::default();
        let error = live(&mut config, pairs).unwrap_err();
        assert!(error.ends_with(expected), "{error}");
        assert!(error.starts_with("ERR "), "{error}");
    }
}

#[test]
fn set_changes_all_or_nothing() {
    let mut config = Config::default();
    live(&mut config, &[("maxmemory", "1mb"), ("hz", "x")]).unwrap_err();
    assert_eq!(config, Config::default());
    live(&mut config, &[("maxmemory", "1mb"), ("hz", "0"), ("save", ""), ("appendonly", "NO")])
        .unwrap();
    assert_eq!((config.maxmemory, config.hz), (1 << 20, 1));
}

#[test]
fn what_is_protected_asks_who_is_asking() {
    let mut config = Config::default();
    config.set("enable-protected-configs", &["local"]).unwrap();
    assert!(config.set_live(&[(b"dir", b"/tmp")], false).is_err());
    assert_eq!(config.set_live(&[(b"dir", b"/tmp")], true), Ok(()));
}

#[test]
fn get_answers_each_once_in_order_and_a_plain_name_as_it_was_written() {
    let config = Config::default();
    let names = |patterns: &[&str]| {
        let patterns: Vec<&[u8]> = patterns.iter().map(|pattern| pattern.as_bytes()).collect();
        config.matching(&patterns).into_iter().map(|(name, _)| name).collect::<Vec<_>>()
    };
    assert_eq!(
        names(&["hz", "MAXMEMORY", "AOF-LOAD-TRUNCATED"]),
        ["AOF-LOAD-TRUNCATED", "MAXMEMORY", "hz"]
    );
    assert_eq!(names(&["maxmemory-[pP]*", "HZ", "h?", "nothing", ""]), ["HZ", "maxmemory-policy"]);
    assert_eq!(names(&["SLOWLOG-*"]), ["slowlog-log-slower-than", "slowlog-max-len"]);
    assert_eq!(names(&["a\\*"]), [""; 0]);
    assert_eq!(names(&["*"]).len(), parameters().flat_map(Parameter::names).count());
}

#[test]
fn a_representative_configuration_file_starts_the_server() {
    let text = include_str!("tests/representative.conf");
    let mut config = Config::default();
    let notices = config.apply(&file::parse("representative.conf", text).unwrap()).unwrap();
    assert_eq!(config.bind, ["127.0.0.1", "-::1"]);
    assert_eq!(config.client_output_buffer_limit.replica.soft_seconds, 60);
    assert_eq!(config.db_maxentries, [(1, 500), (2, 1000)]);
    assert_eq!(config.rename_command, [("CONFIG".to_owned(), String::new())]);
    let asked: Vec<&str> = notices.iter().filter(|n| !n.agrees).map(|n| n.name.as_str()).collect();
    assert_eq!(asked, ["daemonize", "pidfile", "save", "save", "appendonly", "user"]);
}

#[test]
fn a_wrong_line_is_refused_with_its_number_and_the_reason() {
    let refused = |text: &str| {
        let lines = file::parse("a.conf", text).map_err(|error| error.to_string())?;
        Config::default().apply(&lines).map(|_| ()).map_err(|error| error.to_string())
    };
    let fatal = |rest: &str| {
        let version = env!("CARGO_PKG_VERSION");
        Err(format!("*** FATAL CONFIG FILE ERROR (Pannier {version}) ***\n{rest}"))
    };
    let at = "Reading the configuration file, at line";
    assert_eq!(
        refused("# ok\n\n  foo bar  \n"),
        fatal(&format!(
            "{at} 3 of a.conf\n>>> 'foo bar'\nBad directive or wrong number of arguments"
        ))
    );
    assert_eq!(
        refused("port 1 2"),
        fatal(&format!("{at} 1 of a.conf\n>>> 'port 1 2'\nwrong number of arguments"))
    );
    assert_eq!(
        refused("requirepass \"x"),
        fatal(&format!(
            "{at} 1 of a.conf\n>>> 'requirepass \"x'\nUnbalanced quotes in configuration line"
        ))
    );
    assert_eq!(
        refused("db-maxentries 20 5\ndatabases 20"),
        fatal(&format!("{at} 1 of a.conf\n>>> 'db-maxentries 20 5'\nthere is no database 20"))
    );
    assert!(refused("rename-command CONFIG").is_err());
    assert!(refused("db-maxentries 20 5\ndatabases 21").is_ok());
}

#[test]
fn the_command_line_is_the_file_in_another_dress() {
    let lines = |arguments: &[&str]| {
        let lines = file::from_arguments(arguments).unwrap();
        lines.into_iter().map(|line| (line.name, line.args)).collect::<Vec<_>>()
    };
    let line = |name: &str, args: &[&str]| {
        (name.to_owned(), args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>())
    };
    assert_eq!(
        lines(&["--port", "6380", "--bind", "a", "b", "--save", "--maxmemory 1mb"]),
        [
            line("port", &["6380"]),
            line("bind", &["a", "b"]),
            line("save", &[""]),
            line("maxmemory", &["1mb"])
        ]
    );
    assert_eq!(
        lines(&["--requirepass", "--secret", "--SAVE"]),
        [line("requirepass", &["--secret"]), line("save", &[""])]
    );
    assert_eq!(lines(&["--save", "60", "1"]), [line("save", &["60", "1"])]);
    assert_eq!(lines(&["stray"]), [line("stray", &[])]);
    let refused = Config::default().apply(&file::from_arguments(&["--foo", "a b"]).unwrap());
    let text = refused.unwrap_err().to_string();
    assert!(text.contains("Reading the command line\n>>> 'foo \"a b\"'\nBad directive"), "{text}");
}

#[test]
fn includes_stand_where_they_are_included_and_a_circle_ends() {
    let mut load = |path: &str| match path {
        "main" => Ok(vec![text("main", "hz 1\ninclude \"conf.d/*\"\nhz 4\n")]),
        "conf.d/*" => Ok(vec![text("a", "hz 2\n"), text("b", "hz 3\n")]),
        "none/*" => Ok(vec![]),
        "circle" => Ok(vec![text("circle", "include circle")]),
        "missing" => Ok(vec![text("missing", "port 1\ninclude gone\n")]),
        _ => Err("No such file or directory".to_owned()),
    };
    let values =
        |lines: Vec<file::Line>| lines.into_iter().flat_map(|line| line.args).collect::<Vec<_>>();
    assert_eq!(values(file::read("main", &mut load).unwrap()), ["1", "2", "3", "4"]);
    assert_eq!(file::read("none/*", &mut load), Ok(vec![]));
    assert_eq!(file::read("circle", &mut load).unwrap_err().reason, "too many nested includes");
    let error = file::read("missing", &mut load).unwrap_err();
    assert_eq!(error.place, Some(file::Place::File { path: "missing".into(), number: 2 }));
    assert!(file::read("gone", &mut load).unwrap_err().to_string().contains("No such file"));
}

fn text(path: &str, text: &str) -> file::Text {
    file::Text { path: path.to_owned(), text: text.to_owned() }
}

/// Words that mean something somewhere, so that random ones get past the first check.
fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[-+]?[0-9]{0,20}(k|kb|MB|%)?",
        Just(String::new()),
        proptest::sample::select(
            VALKEY_9_1
                .split_whitespace()
                .chain(["normal", "pubsub", "yes", "no", "db-maxentries", "include", "\"", "é"])
                .map(str::to_owned)
                .collect::<Vec<_>>()
        ),
    ]
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(
        name in word(),
        args in proptest::collection::vec(word(), 0..6),
        live in any::<bool>(),
    ) {
        let mut config = Config::default();
        if live {
            let _ = config.set_live(&[(name.as_bytes(), args.join(" ").as_bytes())], true);
        } else {
            let _ = config.set(&name, &args.iter().map(String::as_str).collect::<Vec<_>>());
        }
        // Whatever was accepted is printed such that it reads back.
        for parameter in parameters().filter(|p| p.absent.is_none() && p.kind.takes_words()) {
            let value = parameter.text(&config);
            let mut again = Config::default();
            again.set(parameter.name, &[&value]).unwrap();
            prop_assert_eq!(parameter.text(&again), value);
        }
        prop_assert!(config.matching(&[name.as_bytes()]).len() <= parameters().count() * 2);
    }

    #[test]
    fn no_file_makes_it_panic(
        lines in proptest::collection::vec(proptest::collection::vec(word(), 0..5), 0..8),
    ) {
        let text = lines.iter().map(|line| line.join(" ")).collect::<Vec<_>>().join("\n");
        let mut config = Config::default();
        if let Ok(lines) = file::parse("", &text) {
            let _ = config.apply(&lines);
        }
        let once = rewrite(&text, &config);
        prop_assert_eq!(rewrite(&once, &config), once);
        let _ = file::from_arguments(&lines.concat());
    }
}

/// Every name that Valkey 9.1 answers to CONFIG GET *.
const VALKEY_9_1: &str = "
    acl-pubsub-default aclfile acllog-max-len active-defrag-cycle-max active-defrag-cycle-min
    active-defrag-cycle-us active-defrag-ignore-bytes active-defrag-max-scan-fields
    active-defrag-threshold-lower active-defrag-threshold-upper active-expire-effort
    activedefrag activerehashing always-show-logo aof-load-truncated aof-rewrite-cpulist
    aof-rewrite-incremental-fsync aof-timestamp-enabled aof-use-rdb-preamble
    aof_rewrite_cpulist appenddirname appendfilename appendfsync appendonly
    auto-aof-rewrite-min-size auto-aof-rewrite-percentage availability-zone bgsave-cpulist
    bgsave_cpulist bind bind-source-addr bio-cpulist bio_cpulist busy-reply-threshold
    client-output-buffer-limit client-query-buffer-limit cluster-allow-pubsubshard-when-down
    cluster-allow-reads-when-down cluster-allow-replica-migration cluster-announce-bus-port
    cluster-announce-client-ipv4 cluster-announce-client-ipv6 cluster-announce-client-port
    cluster-announce-client-tls-port cluster-announce-hostname cluster-announce-human-nodename
    cluster-announce-ip cluster-announce-port cluster-announce-tls-port cluster-blacklist-ttl
    cluster-config-file cluster-config-save-behavior cluster-databases cluster-enabled
    cluster-link-sendbuf-limit cluster-manual-failover-timeout cluster-migration-barrier
    cluster-node-timeout cluster-port cluster-preferred-endpoint-type
    cluster-replica-no-failover cluster-replica-validity-factor cluster-require-full-coverage
    cluster-slave-no-failover cluster-slave-validity-factor cluster-slot-migration-log-max-len
    cluster-slot-stats-enabled commandlog-execution-slower-than commandlog-large-reply-max-len
    commandlog-large-request-max-len commandlog-reply-larger-than
    commandlog-request-larger-than commandlog-slow-execution-max-len crash-log-enabled
    crash-memcheck-enabled daemonize databases dbfilename dir disable-thp
    dual-channel-replication-enabled enable-debug-command enable-module-command
    enable-protected-configs extended-redis-compatibility hash-max-listpack-entries
    hash-max-listpack-value hash-max-ziplist-entries hash-max-ziplist-value hash-seed
    hide-user-data-from-log hll-sparse-max-bytes hz ignore-warnings import-mode io-threads
    jemalloc-bg-thread latency-monitor-threshold latency-tracking
    latency-tracking-info-percentiles lazyfree-lazy-eviction lazyfree-lazy-expire
    lazyfree-lazy-server-del lazyfree-lazy-user-del lazyfree-lazy-user-flush lfu-decay-time
    lfu-log-factor list-compress-depth list-max-listpack-size list-max-ziplist-size
    locale-collate log-format log-timestamp-format logfile loglevel lua-time-limit masterauth
    masteruser max-new-connections-per-cycle max-new-tls-connections-per-cycle maxclients
    maxmemory maxmemory-clients maxmemory-eviction-tenacity maxmemory-policy maxmemory-samples
    min-replicas-max-lag min-replicas-to-write min-slaves-max-lag min-slaves-to-write mptcp
    no-appendfsync-on-rewrite notify-keyspace-events oom-score-adj oom-score-adj-values
    pidfile port prefetch-batch-max-size primaryauth primaryuser proc-title-template
    propagation-error-behavior protected-mode proto-max-bulk-len rdb-del-sync-files
    rdb-save-incremental-fsync rdb-version-check rdbchecksum rdma-bind
    rdma-completion-vector rdma-port rdma-rx-size repl-backlog-size repl-backlog-ttl
    repl-disable-tcp-nodelay repl-diskless-load repl-diskless-sync repl-diskless-sync-delay
    repl-diskless-sync-max-replicas repl-mptcp repl-ping-replica-period repl-ping-slave-period
    repl-timeout replica-announce-ip replica-announce-port replica-announced
    replica-ignore-disk-write-errors replica-ignore-maxmemory replica-lazy-flush
    replica-priority replica-read-only replica-serve-stale-data replicaof requirepass save
    server-cpulist server_cpulist set-max-intset-entries set-max-listpack-entries
    set-max-listpack-value set-proc-title shutdown-on-sigint shutdown-on-sigterm
    shutdown-timeout slave-announce-ip slave-announce-port slave-ignore-maxmemory
    slave-lazy-flush slave-priority slave-read-only slave-serve-stale-data slaveof
    slot-migration-max-failover-repl-bytes slowlog-log-slower-than slowlog-max-len
    socket-mark-id stop-writes-on-bgsave-error stream-node-max-bytes stream-node-max-entries
    supervised syslog-enabled syslog-facility syslog-ident tcp-backlog tcp-keepalive timeout
    tls-auth-clients tls-auth-clients-user tls-auto-reload-interval tls-ca-cert-dir
    tls-ca-cert-file tls-cert-file tls-ciphers tls-ciphersuites tls-client-cert-file
    tls-client-key-file tls-client-key-file-pass tls-cluster tls-dh-params-file tls-key-file
    tls-key-file-pass tls-port tls-prefer-server-ciphers tls-protocols tls-replication
    tls-session-cache-size tls-session-cache-timeout tls-session-caching
    tracking-table-max-keys unixsocket unixsocketgroup unixsocketperm
    zset-max-listpack-entries zset-max-listpack-value zset-max-ziplist-entries
    zset-max-ziplist-value
";

/// Names that Redis 7.0 has and Valkey 9.1 has not.
const ONLY_REDIS_7: &str = "
    aof-disable-auto-gc dynamic-hz io-threads-do-reads sanitize-dump-payload
";
