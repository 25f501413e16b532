"""`pannier.django.PannierCache`, and other people's back ends on connections without sockets."""

import asyncio
import json
import os
import subprocess
import sys
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


def test_the_least_recently_used_are_culled():
    named = caches["named"]
    for number in range(100):
        named.set(number, number)
    assert len(named.raw) == 100
    named.set("one more", 1)
    assert len(named.raw) == 100 - 33 + 1
    unlimited = caches["unlimited"]
    unlimited.set_many({str(number): number for number in range(1000)})
    assert len(unlimited.raw) == 1000


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
