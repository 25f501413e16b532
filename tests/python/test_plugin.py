"""The pytest plugin, run by pytest inside pytest."""

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
