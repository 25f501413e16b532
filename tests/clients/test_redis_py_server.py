"""redis-py's methods for the connection and the server, over every way in, protocol, parser."""

import time

import pytest
import redis

from servers import eventually


def test_ping_echo_time(r):
    assert r.ping() is True
    assert r.echo("a b") == "a b"
    seconds, microseconds = r.time()
    assert abs(seconds - time.time()) < 3 and 0 <= microseconds < 1_000_000
    assert r.lastsave() is not None
    assert " ver. " in r.lolwut()


def test_client_names_and_library(r):
    assert r.client_getname() in (None, "")
    assert r.client_setname("worker-7") is True and r.client_getname() == "worker-7"
    with pytest.raises(redis.ResponseError, match="cannot contain spaces, newlines or special"):
        r.client_setname("with space")
    me = r.client_info()
    assert me["name"] == "worker-7" and int(me["id"]) == r.client_id()
    assert {"addr", "laddr", "fd", "age", "idle", "flags", "db", "cmd", "user"} <= set(me)


@pytest.mark.since("CLIENT SETINFO")
def test_client_setinfo(r):
    me = r.client_info()
    assert me["lib-name"] == "redis-py" and me["lib-ver"] == redis.__version__
    assert r.client_setinfo("LIB-NAME", "mine") is True
    assert r.client_info()["lib-name"] == "mine"


def test_client_list_and_kill(r, server):
    with server.connect() as victim, server.connect() as other:
        number, other_number = (int(c.ask("CLIENT", "ID")[1:]) for c in (victim, other))
        assert victim.ask("CLIENT", "SETNAME", "victim") == b"+OK"
        listed = {int(c["id"]): c for c in r.client_list()}
        assert listed[number]["name"] == "victim" and r.client_id() in listed
        assert [int(c["id"]) for c in r.client_list(client_id=[number])] == [number]
        assert number in {int(c["id"]) for c in r.client_list(_type="normal")}
        assert r.client_list(_type="pubsub") == []
        assert r.client_kill_filter(_id=str(number)) == 1
        assert r.client_kill_filter(_id=str(number)) == 0
        address = listed[other_number]["addr"]
        assert r.client_kill(address) is True
        with pytest.raises(redis.ResponseError, match="No such client"):
            r.client_kill(address)
        assert victim.until_end() == b"" and other.until_end() == b""
    assert r.client_kill_filter(skipme=True, _type="normal", user="default") == 0


def test_client_pause_and_unpause(r, server):
    with server.client() as other:
        other.ping()
        assert r.client_pause(1000, all=False) is True
        began = time.monotonic()
        other.get("k")
        assert time.monotonic() - began < 0.9, "reads go on while writes are paused"
        other.set("k", "v")
        assert time.monotonic() - began >= 0.9
        assert r.client_pause(60_000, all=False) is True
        assert r.client_unpause() in (True, "OK")
        assert other.set("k", "w") is True
        assert time.monotonic() - began < 10


def test_client_flags(r):
    assert r.client_no_evict("ON") == "OK" and "e" in r.client_info()["flags"]
    assert r.client_no_evict("OFF") == "OK"


@pytest.mark.since("CLIENT NO-TOUCH")
def test_client_no_touch(r):
    assert r.client_no_touch("ON") == "OK" and r.client_no_touch("OFF") == "OK"


def test_config_get_and_set(r):
    assert r.config_get("databases") == {"databases": "16"}
    several = r.config_get("maxmemory*", "timeout")
    assert {"maxmemory", "maxmemory-policy", "maxmemory-samples", "timeout"} <= set(several)
    assert r.config_set("slowlog-max-len", 64, "slowlog-log-slower-than", 20000) is True
    pair = {"slowlog-max-len": "64", "slowlog-log-slower-than": "20000"}
    assert r.config_get("slowlog-*") == pair
    with pytest.raises(redis.ResponseError, match=r"CONFIG SET failed \(possibly related to"):
        r.config_set("slowlog-max-len", 32, "maxmemory-policy", "nonsense")
    assert r.config_get("slowlog-max-len") == {"slowlog-max-len": "64"}, "all or nothing"
    with pytest.raises(redis.ResponseError, match="Unknown option or number of arguments"):
        r.config_set("no-such-parameter", 1)
    assert r.config_set("slowlog-max-len", 128, "slowlog-log-slower-than", 10000) is True
    assert r.config_resetstat() is True
    assert len(r.config_get()) > 50


def test_info_parses(r):
    r.mset({"a": 1, "b": 2})
    r.expire("a", 100)
    r.get("a"), r.get("none")
    info = r.info()
    assert info["db0"]["keys"] == 2 and info["db0"]["expires"] == 1
    assert 0 < eventually(lambda: r.info("keyspace")["db0"]["avg_ttl"]) <= 100_000
    assert info["keyspace_hits"] == 1 and info["keyspace_misses"] == 1
    assert info.get("redis_mode", info.get("server_mode")) == "standalone"
    for name, kind in {
        "redis_version": str,
        "process_id": int,
        "tcp_port": int,
        "uptime_in_seconds": int,
        "connected_clients": int,
        "maxclients": int,
        "used_memory": int,
        "used_memory_human": str,
        "used_memory_rss": int,
        "maxmemory_policy": str,
        "mem_fragmentation_ratio": float,
        "total_connections_received": int,
        "total_commands_processed": int,
        "instantaneous_ops_per_sec": int,
        "expired_keys": int,
        "evicted_keys": int,
        "used_cpu_user": float,
        "role": str,
        "loading": int,
    }.items():
        assert isinstance(info[name], kind), (name, info.get(name))


@pytest.mark.parametrize(
    "section", "server clients memory persistence stats replication cpu keyspace".split()
)
def test_info_sections(client, section):
    client.set("k", "v")
    assert client.info(section)
    assert set(client.info(section)) <= set(client.info()) | set(client.info("everything"))


def test_info_commandstats_errorstats_latencystats(client):
    client.set("k", "v")
    client.config_resetstat()
    client.set("k", "v")
    with pytest.raises(redis.ResponseError):
        client.incr("k")
    calls = client.info("commandstats")
    assert calls["cmdstat_set"]["calls"] == 1
    assert calls["cmdstat_incrby"]["failed_calls"] == 1
    assert client.info("errorstats")["errorstat_ERR"]["count"] == 1
    assert "p99" in client.info("latencystats")["latency_percentiles_usec_set"]
    several = client.info("server", "keyspace")
    assert "redis_version" in several and "db0" in several and "role" not in several
    assert "cmdstat_set" in client.info("all") and "cmdstat_set" not in client.info()


def test_command_tables(r):
    assert r.command_count() >= 80
    get = r.command()["get"]
    assert get["arity"] == 2 and get["first_key_pos"] == 1
    assert {"readonly", "fast"} <= set(get["flags"])
    assert r.command_getkeys("MSET", "a", "1", "b", "2") == ["a", "b"]
    assert {"get", "set", "client", "config"} <= set(r.command_list())
    assert set(r.command_list(pattern="getr*")) == {"getrange"}
    assert {"get", "mget"} <= set(r.command_list(category="read"))
    pairs = r.command_getkeysandflags("SET", "k", "v")
    assert pairs[0][0] == "k" and {"OW", "update"} == set(pairs[0][1])
    with pytest.raises(redis.ResponseError, match="The command has no key arguments"):
        r.command_getkeys("PING", "text")


def test_command_docs_and_info(r):
    docs = r.execute_command("COMMAND DOCS", "set", "client|kill")
    if isinstance(docs, list):
        docs = dict(zip(docs[::2], docs[1::2]))
    entry = docs["set"]
    if isinstance(entry, list):
        entry = dict(zip(entry[::2], entry[1::2]))
    assert entry["group"] == "string" and entry["since"] == "1.0.0" and entry["summary"]
    assert len(entry["arguments"]) >= 4
    assert "client|kill" in docs


def test_memory(r):
    r.set("k", "x" * 10_000)
    assert 10_000 < r.memory_usage("k") < 25_000
    assert r.memory_usage("k", samples=0) > 10_000 and r.memory_usage("none") is None
    stats = r.memory_stats()
    assert stats["keys.count"] == 1 and stats["total.allocated"] > 10_000
    assert r.memory_purge() is True
    assert r.memory_malloc_stats()
    assert r.execute_command("MEMORY DOCTOR")


def test_slowlog(launch):
    server = launch("--slowlog-log-slower-than", "0", "--slowlog-max-len", "10")
    with server.client() as r:
        r.set("k", "v")
        newest = r.slowlog_get(1)[0]
        assert newest["command"] in (b"SET k v", "SET k v")
        assert newest["duration"] >= 0 and abs(newest["start_time"] - time.time()) < 5
        assert {"id", "client_address", "client_name"} <= set(newest)
        for n in range(30):
            r.get("k")
        assert r.slowlog_len() == 10 and len(r.slowlog_get(100)) == 10
        assert r.slowlog_reset() is True


def test_latency(launch):
    server = launch("--latency-monitor-threshold", "10")
    with server.client() as r:
        r.execute_command("DEBUG", "SLEEP", "0.03")
        (name, moment, last, worst), *_ = [tuple(row)[:4] for row in r.latency_latest()]
        assert name == "command" and 20 <= last <= worst < 5000 and moment > 1_000_000_000
        history = r.latency_history("command")
        assert len(history) == 1 and history[0][1] >= 20
        assert "command - high" in r.execute_command("LATENCY", "GRAPH", "command")
        assert r.latency_reset() == 1 and r.latency_latest() == []
        assert "latency" in r.execute_command("LATENCY", "DOCTOR")
        assert r.execute_command("LATENCY", "HISTOGRAM", "ping", "client")


def test_hello(r):
    hello = r.execute_command("HELLO")
    if isinstance(hello, list):
        hello = dict(zip(hello[::2], hello[1::2]))
    assert hello["role"] in ("master", "primary") and hello["mode"] == "standalone"
    assert hello["id"] == r.client_id()
    with pytest.raises(redis.ResponseError, match="NOPROTO unsupported protocol version"):
        r.execute_command("HELLO", "9")


def test_unknown_commands(r):
    with pytest.raises(redis.ResponseError, match="unknown command 'NOSUCH', with args beginning"):
        r.execute_command("NOSUCH", "a")
    with pytest.raises(redis.ResponseError, match="wrong number of arguments for 'get' command"):
        r.execute_command("GET")
    with pytest.raises(redis.ResponseError, match="unknown subcommand 'NOSUCH'. Try CLIENT HELP"):
        r.execute_command("CLIENT", "NOSUCH")


def test_debug(r):
    r.set("k", "v")
    assert "embstr" in str(r.debug_object("k"))
    assert r.execute_command("DEBUG", "SLEEP", "0.001") in ("OK", b"OK", True)
    digest = r.execute_command("DEBUG", "DIGEST")
    r.set("k", "w")
    assert len(digest) == 40 and r.execute_command("DEBUG", "DIGEST") != digest
    assert len(r.execute_command("DEBUG", "DIGEST-VALUE", "k")[0]) == 40
