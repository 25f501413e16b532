"""`pannier.django.PannierCache`, and other people's back ends on connections without sockets."""

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from django.conf import settings

if not settings.configured:
    settings.configure(
        CACHES={
            "default": {
                "BACKEND": "pannier.django.PannierCache",
                "LOCATION": "pannier://site/0",
                "KEY_PREFIX": "si*te",
                "TIMEOUT": 300,
                "VERSION": 2,
            },
            "sessions": {"BACKEND": "pannier.django.PannierCache", "LOCATION": "pannier://site/1"},
            "named": {
                "BACKEND": "pannier.django.PannierCache",
                "LOCATION": "a plain name",
                "OPTIONS": {"MAX_ENTRIES": 100, "maxmemory": "50mb", "serializer": json},
            },
            "unlimited": {
                "BACKEND": "pannier.django.PannierCache",
                "LOCATION": "unlimited",
                "TIMEOUT": None,
                "OPTIONS": {"MAX_ENTRIES": None},
            },
            "emptied": {
                "BACKEND": "pannier.django.PannierCache",
                "LOCATION": "emptied",
                "OPTIONS": {"MAX_ENTRIES": 10, "CULL_FREQUENCY": 0},
            },
            "django-redis": {
                "BACKEND": "django_redis.cache.RedisCache",
                "LOCATION": "pannier://others/1",
                "OPTIONS": {"CONNECTION_POOL_CLASS": "pannier.transport.ConnectionPool"},
            },
            "django": {
                "BACKEND": "django.core.cache.backends.redis.RedisCache",
                "LOCATION": "pannier://others/2",
                "OPTIONS": {"pool_class": "pannier.transport.ConnectionPool"},
            },
        },
        SESSION_ENGINE="django.contrib.sessions.backends.cache",
        SESSION_CACHE_ALIAS="sessions",
    )

from django.core.cache import cache, caches  # noqa: E402

import pannier  # noqa: E402
import pannier.culling  # noqa: E402
import pannier.django  # noqa: E402


@pytest.fixture(autouse=True)
def clean():
    for name in settings.CACHES:
        caches[name].clear()


def test_djangos_own_tests():
    tests = os.environ.get("PANNIER_DJANGO")
    if not tests:
        if os.environ.get("CI"):
            pytest.fail("PANNIER_DJANGO is not set")
        pytest.skip("PANNIER_DJANGO is not set: tests/python/run.sh unpacks Django's tests")
    suite = Path(__file__).with_name("django_suite.py")
    done = subprocess.run(
        [sys.executable, suite, tests], capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Ran " in done.stderr and "OK" in done.stderr and "skipped" not in done.stderr


def test_values_keep_their_types():
    values = [1, -(2**80), True, None, 1.5, "text", "12", b"12", [1, {"a": (2,)}], {3}]
    for value in values:
        cache.set("k", value)
        assert cache.get("k") == value and type(cache.get("k")) is type(value)
    assert cache.get("nothing", 7) == 7


def test_keys_have_prefix_and_version():
    cache.set("k", 1)
    assert list(cache.raw.scan_iter()) == [b"si*te:2:k"]
    assert cache.get("k", version=1) is None
    assert cache.incr_version("k") == 3
    assert cache.get("k", version=3) == 1 and cache.get("k") is None
    with pytest.raises(ValueError):
        cache.incr_version("k")


def test_databases_are_apart_and_names_share_an_engine():
    cache.set("k", 1)
    caches["sessions"].set("k", 2)
    assert (cache.get("k"), caches["sessions"].get("k")) == (1, 2)
    assert pannier.Cache.from_url("pannier://site/1").execute("DBSIZE") == 1
    cache.clear()
    assert caches["sessions"].get("k") == 2


def test_timeouts():
    cache.set("k", 1)
    assert 298 <= cache.ttl("k") <= 300
    cache.set("k", 1, None)
    assert cache.ttl("k") is None and cache.ttl("nothing") == 0
    assert cache.expire("k", 10) and 9 <= cache.ttl("k") <= 10 and 9000 < cache.pttl("k") <= 10_000
    assert cache.persist("k") and cache.ttl("k") is None
    assert cache.touch("k", 50) and not cache.touch("nothing", 50)
    assert cache.pexpire("k", 20) and cache.expire_at("k", int(time.time()) + 100)
    assert 98 <= cache.ttl("k") <= 100
    cache.set("k", 1, 0.02)
    time.sleep(0.03)
    assert cache.get("k") is None
    cache.set("k", 1)
    cache.set("k", 1, 0)
    assert not cache.has_key("k")
    caches["unlimited"].set("k", 1)
    assert caches["unlimited"].ttl("k") is None


def test_conditions():
    assert cache.add("k", 1) is True and cache.add("k", 2) is False
    assert cache.set("k", 3, nx=True) is False and cache.set("k", 3, xx=True) is True
    assert cache.set("other", 3, xx=True) is False
    assert cache.get_or_set("made", lambda: 5) == 5 and cache.get_or_set("made", 6) == 5


def test_counting():
    cache.set("n", 1, 100)
    assert cache.incr("n", 4) == 5 and cache.decr("n") == 4 and cache.ttl("n") > 90
    cache.set("n", 2**63 - 1)
    assert cache.incr("n") == 2**63
    assert cache.get("n") == 2**63
    cache.set("text", "a")
    with pytest.raises(TypeError):
        cache.incr("text")
    with pytest.raises(ValueError):
        cache.incr("nothing")
    with pytest.raises(ValueError):
        cache.incr("nothing", 1.5)


@pytest.mark.parametrize(
    ("value", "delta"), [(1.5, 1), (1, 1.5), (True, 1), (1, True), (2**70, -1), (0.5, -0.5)]
)
def test_whatever_python_adds_can_be_counted(value, delta):
    cache.set("n", value, 100)
    total = cache.incr("n", delta)
    assert total == cache.get("n") == value + delta
    assert type(total) is type(cache.get("n")) is type(value + delta)
    assert cache.decr("n", delta) == value and cache.ttl("n") > 90


def test_fractions_are_counted_by_several_threads():
    def count():
        for _ in range(200):
            cache.incr("n", 0.5)

    cache.set("n", 0)
    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cache.get("n") == 400


def test_patterns_mean_the_key_alone():
    cache.set_many({"user:1": 1, "user:2": 2, "other": 3})
    caches["sessions"].set("user:1", 1)
    cache.raw.set("siXte:2:user:3", "another prefix")
    assert sorted(cache.keys("user:*")) == ["user:1", "user:2"]
    assert sorted(cache.iter_keys("*", itersize=1)) == ["other", "user:1", "user:2"]
    assert cache.delete_pattern("user:*") == 2
    assert cache.keys() == ["other"] and cache.raw.exists("siXte:2:user:3")
    assert caches["sessions"].get("user:1") == 1


def test_many():
    assert cache.set_many({"a": 1, "b": [2]}, 10) == []
    assert cache.get_many(["a", "b", "c"]) == {"a": 1, "b": [2]} and cache.get_many([]) == {}
    assert cache.delete_many(["a", "b", "c"]) == 2


def test_locks():
    with cache.lock("l", timeout=5) as lock:
        assert lock.owned()
        assert not cache.lock("l").acquire(blocking=False)
    assert not lock.locked()


def test_a_third_is_culled_when_one_more_is_stored_than_may_be():
    named = caches["named"]
    for number in range(100):
        named.set(number, number)
    named.set(5, "again")
    named.get_many([1, 2])
    named.incr(3)
    named.touch(4)
    assert named.get(0) == 0 and len(named.raw) == 100
    named.set("one-more", 1)
    gone = {str(number) for number in range(6, 6 + 33)}
    assert set(named.keys()) == {*map(str, range(100)), "one-more"} - gone
    unlimited = caches["unlimited"]
    unlimited.set_many({str(number): number for number in range(1000)})
    assert len(unlimited.raw) == 1000


def test_what_is_used_all_the_time_is_never_culled():
    named = caches["named"]
    named.set("used", 1)
    for number in range(2000):
        assert named.get("used") == 1
        named.set(number, number)
    assert len(named.raw) <= 100


def test_many_at_once_are_culled_too():
    named = caches["named"]
    named.set("old", 1)
    named.set_many({str(number): number for number in range(1000)})
    assert set(named.keys()) == {str(number) for number in range(900, 1000)}


def test_a_frequency_of_zero_leaves_what_is_new():
    emptied = caches["emptied"]
    with emptied.lock("l", timeout=60) as lock:
        for number in range(11):
            emptied.set(number, number)
        assert sorted(emptied.keys()) == ["10", "l"] and lock.owned()
        emptied.set_many({str(number): number for number in range(15)})
        assert len(emptied.raw) == 11


def test_what_strangers_stored_goes_first():
    named = caches["named"]
    for number in range(50):
        named.set(number, number)
    for number in range(50):
        named.raw.set(f"stranger:{number}", number)
    named.set("one-more", 1)
    assert len(named.raw.keys("stranger:*")) == 50 - 33 and len(named.keys()) == 51


@pytest.mark.parametrize("turn", range(20))
def test_a_key_that_exists_is_not_added_however_full_it_is(turn):
    named = caches["named"]
    for number in range(99):
        named.set(number, number)
    assert named.add(f"mutex{turn}", 1, None) is True
    assert named.add(f"mutex{turn}", 2, None) is False
    assert named.set("nothing", 2, xx=True) is False and named.add(3, 2) is False
    assert len(named.raw) == 100
    named.set("one-more", 1)
    assert named.add(f"mutex{turn}", 2, None) is False and named.get(f"mutex{turn}") == 1


def test_one_of_several_threads_adds():
    def compete(who):
        mine = caches["named"]
        for turn in range(200):
            barrier.wait()
            if mine.add(f"mutex{turn}", who):
                winners[turn].append(who)
            for number in range(5):
                mine.set(f"{who}:{turn}:{number}", 1)

    winners = [[] for _ in range(200)]
    barrier = threading.Barrier(4, timeout=15)
    threads = [threading.Thread(target=compete, args=(who,)) for who in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(each) for each in winners] == [1] * 200
    assert len(caches["named"].raw) <= 100


def test_locks_are_neither_culled_nor_counted():
    named = caches["named"]
    locks = [named.lock(f"l{number}", timeout=60) for number in range(30)]
    assert all(lock.acquire(blocking=False) for lock in locks)
    for number in range(100):
        named.set(number, number)
    assert len(named.raw) == 130
    for number in range(1000):
        named.set(number, number)
    assert all(lock.owned() for lock in locks) and len(named.raw) <= 130
    for lock in locks:
        lock.release()
    # A name that was a lock's is like any other then.
    named.set("l0", 1)
    named.set_many({str(number): number for number in range(200)})
    assert not named.has_key("l0") and len(named.raw) == 100


def test_names_of_old_are_forgotten():
    named = caches["named"]
    for number in range(1000):
        named.set(number, number)
        named.delete(number)
        with named.lock(f"l{number}", timeout=60):
            pass
    uses = pannier.culling.uses_of("a plain name", 0)
    assert len(uses.order) <= 200 and len(uses.locks) <= 101


def test_options():
    named = caches["named"]
    assert named.raw.config_get("maxmemory") == {"maxmemory": str(50 << 20)}
    named.set("k", {"a": [1]})
    assert named.raw.get(named.make_key("k")) == b'{"a": [1]}'


def test_coroutines():
    async def main():
        await cache.aset("k", 1)
        assert await cache.aget("k") == 1 and await cache.aincr("k") == 2
        assert await cache.aget_or_set("made", 5) == 5
        assert await cache.aget_many(["k", "made"]) == {"k": 2, "made": 5}
        assert await cache.adecr("k") == 1 and await cache.ahas_key("k")
        assert await cache.aset_many({"a": 1}) == [] and await cache.adelete_many(["a"]) == 1
        assert await cache.atouch("k", 5) and await cache.adelete("k")
        assert await cache.aadd("k", 1) and await cache.aincr_version("k") == 3
        await cache.aclear()
        assert not await cache.ahas_key("k")

    asyncio.run(main())


def test_sessions():
    from django.contrib.sessions.backends.cache import SessionStore

    session = SessionStore()
    session["user"] = 42
    session.save()
    assert SessionStore(session.session_key)["user"] == 42
    assert len(caches["sessions"].raw) == 1


@pytest.mark.parametrize("name", ["django-redis", "django"])
def test_back_ends_for_redis_run_without_a_socket(name):
    other = caches[name]
    other.set("k", {"a": 1}, 60)
    assert other.get("k") == {"a": 1} and other.add("k", 2) is False
    other.set_many({"n": 1, "m": 2})
    assert other.get_many(["n", "m"]) == {"n": 1, "m": 2} and other.incr("n") == 2
    if name == "django-redis":
        assert other.ttl("k") == 60 and other.delete_pattern("*m*") == 1
        with other.lock("l", timeout=5):
            assert not other.lock("l").acquire(blocking=False)
    database = {"django-redis": 1, "django": 2}[name]
    assert pannier.Cache.from_url(f"pannier://others/{database}").exists(other.make_key("k")) == 1


def test_the_same_pickles_as_django_redis():
    value = {"a": [1, 2.5, None]}
    caches["django-redis"].set("k", value)
    stored = pannier.Cache.from_url("pannier://others/1").get(":1:k")
    assert pannier.django.PickleSerializer().loads(stored) == value
    caches["django-redis"].set("n", 5)
    assert pannier.Cache.from_url("pannier://others/1").get(":1:n") == b"5"
