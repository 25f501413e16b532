"""The pytest plugin, run by pytest inside pytest."""

import textwrap

import pytest

TESTS = """
import pytest, redis

@pytest.fixture(scope="session")
def seeded(pannier_shared):
    pannier_shared.set("seed", "seen by all")
    pannier_shared.register_script("return 1")()

@pytest.mark.parametrize("turn", range(3))
def test_each_begins_clean(seeded, pannier_cache, pannier_server, redis_url, turn):
    assert pannier_cache.keys() == [b"seed"]
    client = redis.Redis.from_url(redis_url)
    client.mset({f"k{n}": n for n in range(100)})
    client.delete("seed")
    client.config_set("maxentries", 500)
    assert len(pannier_cache) == 100
    pannier_cache.at(3).set("other database", 1)
    assert pannier_server.url == redis_url

def test_other_databases_and_the_configuration_are_clean(pannier_cache):
    assert len(pannier_cache.at(3)) == 0
    assert pannier_cache.config_get("maxentries") == {"maxentries": "0"}

def test_a_url(redis_url):
    assert redis_url.startswith("redis://127.0.0.1:")
    assert redis.Redis.from_url(redis_url).ping()
"""


def test_tests_are_isolated(pytester):
    pytester.makepyfile(TESTS)
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=5)


def test_tests_are_isolated_in_any_order(pytester):
    pytester.makepyfile(
        """
        import pytest
        @pytest.mark.parametrize("n", range(20))
        def test(pannier_cache, n):
            assert pannier_cache.incr("count") == 1
        """
    )
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=20)


LEFT = {
    "a stopped server": "pannier_server.stop()",
    "a server that was shut down": "pannier_server.client().shutdown(nosave=True)",
    "a server whose block ended": "with pannier_server: pass",
    "faults": """
pannier_cache.faults().add(error="OOM", command="set")
pannier_cache.faults().add(delay=3600)
""",
    "a clock": "pannier_cache.clock.freeze(); pannier_cache.clock.advance(100_000)",
    "a clock that goes": "pannier_cache.clock.set(0)",
    "a pause": "pannier_cache.execute('CLIENT', 'PAUSE', 3_600_000)",
    "subscribers": """
import builtins
clients = [pannier_cache, pannier_cache.redis(), pannier_server.client(), wide]
builtins.left = [client.pubsub() for client in clients]
for pubsub in builtins.left:
    pubsub.subscribe("news")
    assert pubsub.get_message(timeout=5)
""",
    "who waits": """
import threading, time
def wait(client):
    try:
        client.blpop("jobs")
    except Exception:
        pass
for client in (pannier_cache, pannier_cache.redis(), pannier_server.client()):
    threading.Thread(target=wait, args=(client,), daemon=True).start()
while pannier_cache.info("clients")["blocked_clients"] < 3:
    time.sleep(0.001)
""",
}

AFTER = """
import time, redis, pytest
{setup}
def test_that_leaves_open_sessions(pannier_cache, wide):
    pannier_cache.pipeline().ping().execute()
    wide.ping()

def test_that_leaves_something(pannier_cache, pannier_server, wide):
    pannier_cache.set("left", 1)
{left}

@pytest.mark.parametrize("turn", [1, 2])
def test_that_finds_nothing(pannier_cache, pannier_server, redis_url, wide, turn):
    assert pannier_server.running and pannier_server.url == redis_url
    for client in (pannier_cache, pannier_server.client(), wide):
        assert client.set("k", "v", px=3_600_000) and client.get("k") == b"v"
        assert client.publish("news", "to nobody") == 0 and not client.exists("left")
        client.rpush("jobs", 1)
        assert client.lpop("jobs") == b"1"
    assert not pannier_cache.clock.frozen and abs(pannier_cache.clock.now - time.time()) < 30
    assert len(pannier_cache.faults()) == 0
"""

WIDE = """
@pytest.fixture(scope="session")
def wide(_pannier_site):
    return redis.Redis.from_url(_pannier_site.server.url)
"""


@pytest.mark.parametrize("left", LEFT)
@pytest.mark.timeout(60)
def test_nothing_is_left_to_the_next_test(pytester, left):
    body = textwrap.indent(LEFT[left], "    ")
    pytester.makepyfile(AFTER.format(setup=WIDE, left=body))
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=4)


def test_what_fixtures_of_a_wider_scope_set_up_stays(pytester):
    pytester.makepyfile(
        """
        import pytest

        @pytest.fixture(scope="session")
        def setting(pannier_shared):
            pannier_shared.clock.freeze()
            pannier_shared.clock.set(1_000_000)
            pannier_shared.faults().add(error="READONLY", command="hset")
            news = pannier_shared.pubsub(ignore_subscribe_messages=True)
            news.subscribe("news")
            news.get_message(timeout=5)
            return news

        @pytest.mark.parametrize("turn", [1, 2, 3])
        def test(setting, pannier_cache, turn, pannier_clock, pannier_faults):
            assert pannier_clock.frozen and pannier_clock.now == 1_000_000
            pannier_clock.advance(100)
            assert len(pannier_faults) == 1
            pannier_faults.add(error="OOM")
            with pytest.raises(Exception, match="OOM"):
                pannier_cache.publish("news", turn)
            list(pannier_faults)[1].remove()
            assert pannier_cache.publish("news", turn) == 1
            assert setting.get_message(timeout=5)["data"] == b"%d" % turn
        """
    )
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=3)


def test_pools_of_a_wider_scope_keep_their_connections(pytester):
    pytester.makepyfile(
        """
        import pytest, redis
        numbers = set()

        @pytest.fixture(scope="session")
        def wide(pannier_shared):
            return pannier_shared.redis()

        @pytest.mark.parametrize("turn", [1, 2, 3])
        def test(wide, pannier_cache, turn):
            numbers.add(wide.client_id())
            assert len(numbers) == 1
        """
    )
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=3)


def test_workers_of_xdist_do_not_meet(pytester):
    pytester.makepyfile(
        """
        import os, pathlib, time, pytest
        @pytest.mark.parametrize("n", range(8))
        def test(redis_url, pannier_server, n, worker_id):
            client = pannier_server.client()
            assert client.incr("count") == 1
            time.sleep(0.05)
            assert client.get("count") == b"1"
            port = redis_url.split(":")[-1].replace("/", "-")
            pathlib.Path(os.environ["SEEN"]).joinpath(f"{worker_id}-{port}").touch()
        """
    )
    seen = pytester.mkdir("seen")
    pytester._monkeypatch.setenv("SEEN", str(seen))
    pytester.runpytest_subprocess("-n", "2", "-p", "no:cacheprovider").assert_outcomes(passed=8)
    names = sorted(path.name for path in seen.iterdir())
    assert [name[:3] for name in names] == ["gw0", "gw1"]


SCOPES = """
import pytest
seen = []
@pytest.mark.parametrize("n", range(3))
def test(pannier_server, n):
    seen.append(pannier_server)
def test_how_many():
    print("engines:", len(set(map(id, seen))), len({server.port for server in seen}))
"""


@pytest.mark.parametrize(("scope", "count"), [("function", 3), ("module", 1), ("session", 1)])
def test_the_scope_is_an_option(pytester, scope, count):
    pytester.makepyfile(SCOPES)
    result = pytester.runpytest_subprocess("-s", f"--pannier-scope={scope}")
    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines([f"*engines: {count} *"])


def test_the_scope_is_an_ini_setting(pytester):
    pytester.makeini("[pytest]\npannier_scope = function\n")
    pytester.makepyfile(SCOPES)
    pytester.runpytest_subprocess("-s").stdout.fnmatch_lines(["*engines: 3 *"])
    pytester.makeini("[pytest]\npannier_scope = forever\n")
    pytester.runpytest_subprocess().stderr.fnmatch_lines(["*pannier_scope = forever*"])


def test_options_can_be_overridden(pytester):
    pytester.makeconftest(
        """
        import pytest
        @pytest.fixture(scope="session")
        def pannier_options():
            return {"databases": 3, "maxentries": 7}
        """
    )
    pytester.makepyfile(
        """
        def test(pannier_cache, pannier_server):
            assert pannier_cache.databases == 3
            assert pannier_server.client().config_get("maxentries") == {"maxentries": "7"}
        """
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=1)


def test_a_session_that_uses_no_fixture_starts_no_server(pytester):
    pytester.makepyfile(
        """
        import threading
        def test():
            assert not [t for t in __import__("os").listdir("/proc/self/task")][1:]
        """
    )
    pytester.runpytest_subprocess("-p", "no:xdist", "-p", "no:timeout").assert_outcomes(passed=1)
