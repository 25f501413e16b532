"""The cache objects of a Django site: Django's RedisCache and django-redis, four aliases."""

import time
import uuid
import zlib

import pytest


def test_every_alias_has_its_database_prefix_and_version(site, raw):
    from django.core.cache import caches

    for alias in ("default", "views", "queries", "api"):
        caches[alias].set("k", alias)
    assert raw(1).keys() == [b"site:1:k"]
    assert raw(2).keys() == [b"views:2:k"]
    assert raw(3).keys() == [b"q:3:k"]
    assert raw(4).keys() == [b":1:k"]
    assert [caches[a].get("k") for a in ("default", "views", "queries", "api")] == [
        "default",
        "views",
        "queries",
        "api",
    ]


def test_timeouts(site, raw):
    from django.core.cache import caches

    for alias in ("default", "views", "queries", "api"):
        caches[alias].set("k", "v")
        caches[alias].set("own", "v", timeout=1000)
        caches[alias].set("forever", "v", timeout=None)
        caches[alias].set("gone", "v", timeout=0)
        assert caches[alias].get("gone") is None
    assert 298 <= raw(1).ttl("site:1:k") <= 300
    assert 58 <= raw(2).ttl("views:2:k") <= 60
    assert raw(3).ttl("q:3:k") == -1
    assert 28 <= raw(4).ttl(":1:k") <= 30
    assert 998 <= raw(4).ttl(":1:own") <= 1000
    assert raw(1).ttl("site:1:forever") == -1


def test_objects_of_every_kind(cache):
    token = uuid.uuid4()
    for value in (0, -1, 2**62, 1.5, True, None, "ä", b"\0\xff", [1, {"a": (2, 3)}], token):
        cache.set("k", value)
        assert cache.get("k", "default") == value
    big = {"rows": [{"id": n, "name": f"member {n}"} for n in range(20_000)]}
    cache.set("big", big)
    assert cache.get("big") == big
    assert cache.get("none") is None and cache.get("none", 7) == 7
    assert "k" in cache and "none" not in cache


def test_values_of_django_redis_are_deflated(extended, site, raw):
    extended.set("long", "abc" * 10_000)
    stored = raw(1 if extended.key_prefix == "site" else 3)
    key = stored.keys()[0]
    assert stored.strlen(key) < 1000
    assert b"abc" * 10_000 in zlib.decompress(stored.get(key))
    extended.set("number", 41)
    assert stored.get(extended.make_key("number")) == b"41", "integers stay integers"


def test_a_short_timeout_runs_out(cache):
    cache.set("k", "v", timeout=1)
    cache.set("stays", "v", timeout=20)
    assert cache.get("k") == "v"
    time.sleep(1.05)
    assert cache.get("k") is None and cache.get("stays") == "v"


def test_get_many_and_delete_many(cache):
    for n in range(100):
        cache.set(f"k{n}", n)
    found = cache.get_many([f"k{n}" for n in range(200)])
    assert found == {f"k{n}": n for n in range(100)}
    cache.delete_many([f"k{n}" for n in range(50)])
    assert len(cache.get_many([f"k{n}" for n in range(100)])) == 50
    assert cache.delete("k99") is True and cache.delete("k99") is False


def test_set_many(cache):
    cache.set_many({f"k{n}": {"n": n} for n in range(300)}, timeout=100)
    assert cache.get_many(["k7", "k299", "none"]) == {"k7": {"n": 7}, "k299": {"n": 299}}


def test_set_many_through_a_plain_pipeline(extended):
    client = extended.client.get_client(write=True)
    with client.pipeline(transaction=False) as pipeline:
        for n in range(300):
            extended.client.set(f"k{n}", {"n": n}, 100, client=pipeline)
        assert all(pipeline.execute())
    assert extended.get_many(["k7", "k299", "none"]) == {"k7": {"n": 7}, "k299": {"n": 299}}
    assert 98 <= extended.ttl("k7") <= 100


@pytest.mark.parametrize("alias", ["views", "api"])
def test_incr_and_decr_of_djangos_backend(site, alias):
    from django.core.cache import caches

    cache = caches[alias]
    cache.set("n", 10, timeout=50)
    assert [cache.incr("n"), cache.incr("n", 5), cache.decr("n"), cache.decr("n", 10)] == [
        11,
        16,
        15,
        5,
    ]
    assert cache.get("n") == 5
    with pytest.raises(ValueError):
        cache.incr("none")


def test_incr_and_decr_of_django_redis(extended):
    extended.set("n", 10, timeout=50)
    assert [extended.incr("n"), extended.incr("n", 5), extended.decr("n", 10)] == [11, 16, 6]
    assert extended.get("n") == 6 and 0 < extended.ttl("n") <= 50
    with pytest.raises(ValueError):
        extended.incr("none")
    assert extended.incr("new", ignore_key_check=True) == 1


def test_versions(cache):
    cache.set("k", "one", version=1)
    cache.set("k", "two", version=2)
    assert cache.get("k", version=1) == "one" and cache.get("k", version=2) == "two"
    assert cache.incr_version("k", version=2) == 3
    assert cache.get("k", version=2) is None and cache.get("k", version=3) == "two"
    assert cache.decr_version("k", version=3) == 2 and cache.get("k", version=2) == "two"
    with pytest.raises(ValueError):
        cache.incr_version("none")


def test_touch(cache, site):
    cache.set("k", "v", timeout=2)
    assert cache.touch("k", 100) is True and cache.touch("none", 100) is False
    assert cache.touch("k", None) is True
    cache.set("short", "v", timeout=100)
    cache.touch("short", 0)
    assert cache.get("short") is None and cache.get("k") == "v"


def test_add_as_a_lock(cache):
    assert cache.add("lock", "me", timeout=1) is True
    assert cache.add("lock", "other", timeout=1) is False
    assert cache.get("lock") == "me"
    time.sleep(1.05)
    assert cache.add("lock", "other", timeout=10) is True
    cache.delete("lock")
    assert cache.add("lock", "third", timeout=10) is True


def test_get_or_set(cache):
    calls = []

    def compute():
        calls.append(1)
        return {"rows": 3}

    assert cache.get_or_set("k", compute, 100) == {"rows": 3}
    assert cache.get_or_set("k", compute, 100) == {"rows": 3}
    assert len(calls) == 1


def test_clear_empties_its_own_database_only(site, raw):
    from django.core.cache import caches

    for alias in ("default", "views", "queries", "api"):
        caches[alias].set("k", "v")
    caches["views"].clear()
    caches["queries"].clear()
    assert [raw(n).dbsize() for n in (1, 2, 3, 4)] == [1, 0, 0, 1]


def test_ttl_pttl_persist_expire(extended):
    extended.set("k", "v", timeout=100)
    assert 98 <= extended.ttl("k") <= 100 and 98_000 < extended.pttl("k") <= 100_000
    assert extended.expire("k", 200) is True and 198 <= extended.ttl("k") <= 200
    assert extended.pexpire("k", 50_500) is True and 49_000 < extended.pttl("k") <= 50_500
    assert extended.expire_at("k", int(time.time()) + 400) and 397 <= extended.ttl("k") <= 400
    assert extended.pexpire_at("k", int(time.time() * 1000) + 900_000) and extended.ttl("k") > 890
    assert extended.persist("k") is True and extended.ttl("k") is None
    assert extended.persist("k") is False
    assert extended.ttl("none") == 0 and extended.expire("none", 5) is False
    assert extended.expire_at("k", int(time.time()) - 5) and extended.get("k") is None


def test_keys_and_iter_keys(extended):
    for guild in (1, 2):
        for user in range(150):
            extended.set(f"permission:{guild}:{user}:edit", True)
    assert len(extended.keys("permission:1:*")) == 150
    found = set(extended.iter_keys("permission:2:*", itersize=20))
    assert found == {f"permission:2:{user}:edit" for user in range(150)}
    assert set(extended.keys("permission:?:7:*")) == {"permission:1:7:edit", "permission:2:7:edit"}
    generator = extended.iter_keys("*")
    assert next(generator).startswith("permission:")


def test_delete_pattern(extended):
    for guild in (1, 2):
        for user in range(150):
            extended.set(f"permission:{guild}:{user}:edit", True)
    assert extended.delete_pattern("permission:1:*") == 150
    assert extended.delete_pattern("permission:1:*", itersize=7) == 0
    assert len(extended.keys("*")) == 150


def test_deletion_by_pattern_with_iter_keys(extended):
    for user in range(250):
        extended.set(f"ns:v2:{user}", user)
        extended.set(f"ns:v1:{user}", user)
    extended.delete_many(list(extended.iter_keys("ns:v1:*")))
    assert len(extended.keys("ns:v1:*")) == 0 and len(extended.keys("ns:v2:*")) == 250


def test_lock_of_django_redis(extended):
    with extended.lock("guild:1", timeout=5):
        assert not extended.lock("guild:1", timeout=5, blocking=False).acquire()


def test_the_raw_client(site):
    from django_redis import get_redis_connection

    c = get_redis_connection("default")
    assert c.set("raw", b"x", ex=10) and c.get("raw") == b"x"
    assert c.info("stats")["keyspace_hits"] >= 1
    assert c.client_info()["db"] in (1, "1")


def test_the_hit_ratio_from_info(site, cache):
    cache.set("k", "v")
    for n in range(10):
        cache.get("k"), cache.get(f"none{n}")
    with site.client() as c:
        stats = c.info("stats")
    assert stats["keyspace_hits"] == 10 and stats["keyspace_misses"] == 10


def test_fifty_threads(cache, site):
    import threading

    errors = []

    def work(n):
        try:
            for turn in range(20):
                cache.set(f"own:{n}", turn)
                assert cache.get(f"own:{n}") == turn
                cache.get_many([f"own:{m}" for m in range(5)])
                if cache.add(f"turn:{turn}", n):
                    cache.set(f"winner:{turn}", n)
        except Exception as e:
            errors.append(e)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(50)
    assert not errors, errors[0]
    for turn in range(20):
        assert cache.get(f"winner:{turn}") == cache.get(f"turn:{turn}")
