"""redis-benchmark, Debian's, over the tests whose commands exist.

It is not run for its numbers: it is a demanding client (deep pipelines, many connections, CONFIG
GET at the start), and it must end well and report a rate for every test that it was asked for.
"""

import csv
import io
import subprocess

import pytest

from servers import eventually

TESTS = "ping_inline,ping_mbulk,set,get,incr,mset"
NAMES = ["PING_INLINE", "PING_MBULK", "SET", "GET", "INCR", "MSET (10 keys)"]


@pytest.fixture
def bench(server, tool, run):
    """Runs redis-benchmark with `--csv` and returns the rates by the name of the test."""
    program = tool("redis-benchmark")

    def call(*args, unix=False, timeout_s=40):
        where = ["-s", server.socket] if unix else ["-p", server.port]
        done = run(program, *where, "--csv", *args, timeout_s=timeout_s)
        errors = done.stderr.decode()
        assert "Error" not in errors and "Could not fetch" not in errors, errors
        rows = list(csv.DictReader(io.StringIO(done.stdout.decode())))
        assert all(float(row["p99_latency_ms"]) >= 0 for row in rows)
        return {row["test"]: float(row["rps"]) for row in rows}

    return call


@pytest.mark.parametrize("depth", [1, 16])
@pytest.mark.parametrize("protocol", [2, 3])
def test_every_test_reports_a_rate(bench, client, depth, protocol):
    more = ["-3"] if protocol == 3 else []
    rates = bench("-t", TESTS, "-n", "20000", "-P", depth, *more)
    assert list(rates) == NAMES
    assert all(rate > 1000 for rate in rates.values()), rates
    assert int(client.get("counter:__rand_int__")) == 20000


def test_over_the_unix_socket(bench):
    assert list(bench("-t", TESTS, "-n", "5000", "-P", "4", unix=True)) == NAMES


def test_large_values(bench, client):
    rates = bench("-t", "set,get", "-n", "400", "-c", "8", "-d", "300000")
    assert list(rates) == ["SET", "GET"]
    assert client.strlen("key:__rand_int__") == 300000
    rates = bench("-t", "set,get,mset", "-n", "300", "-c", "4", "-P", "8", "-d", "65536")
    assert list(rates) == ["SET", "GET", "MSET (10 keys)"]


def test_random_keys(bench, client):
    bench("-t", "set,get,incr", "-n", "20000", "-P", "16", "-r", "500")
    keys = {key.split(":")[0] for key in client.scan_iter(count=500)}
    assert keys == {"key", "counter"}
    assert 900 < client.dbsize() <= 1000
    assert sum(int(n) for n in client.mget(client.keys("counter:*"))) == 20000


def test_a_command_of_ones_own(bench, client):
    rates = bench("-n", "5000", "-P", "8", "-r", "100", "setex", "k:__rand_int__", "100", "v")
    assert list(rates) == ["setex k:__rand_int__ 100 v"]
    assert client.dbsize() == 100
    assert 0 < client.ttl("k:000000000007") <= 100
    bench("-n", "1000", "bitfield", "b", "incrby", "u32", "0", "1")
    assert client.execute_command("BITFIELD", "b", "GET", "u32", "0") == [1000]


def test_a_database_of_ones_own(bench, client, server):
    bench("--dbnum", "7", "-t", "set", "-n", "1000")
    assert client.dbsize() == 0
    with server.client(db=7) as seven:
        assert seven.dbsize() == 1


def test_a_new_connection_for_every_request(bench):
    assert bench("-k", "0", "-t", "set,get", "-n", "1500", "-c", "10")["GET"] > 50


def test_several_threads_and_many_connections(bench):
    rates = bench("--threads", "2", "-c", "200", "-t", "set,get", "-n", "40000")
    assert list(rates) == ["SET", "GET"]


def test_with_a_password(launch, tool, run):
    server = launch(password="s3cret")
    line = [tool("redis-benchmark"), "-p", server.port, "-a", "s3cret", "-t", "get", "-n", "1000"]
    assert b"requests per second" in run(*line, "-q").stdout
    line[4] = "wrong"
    assert b"WRONGPASS" in run(*line, code=None).stderr


def test_idle_connections(server, client, tool):
    process = subprocess.Popen(
        [tool("redis-benchmark"), "-p", str(server.port), "-I", "-c", "100"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        eventually(lambda: client.info("clients")["connected_clients"] > 100)
    finally:
        process.kill()
        process.wait()
    eventually(lambda: client.info("clients")["connected_clients"] == 1)
