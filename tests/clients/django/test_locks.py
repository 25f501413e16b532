"""What django-redis does by scripts: locks, counters, and the scripts that sites add themselves."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from redis.exceptions import LockNotOwnedError

from servers import eventually

# A fixed window: so many requests a key and window, counted and timed in one step.
LIMIT = """
local count = redis.call('INCR', KEYS[1])
if count == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
if count > tonumber(ARGV[1]) then return {0, redis.call('PTTL', KEYS[1])} end
return {1, tonumber(ARGV[1]) - count}
"""


def test_a_lock_against_a_stampede(extended):
    computed = []

    def rows():
        found = extended.get("rows")
        if found is None:
            with extended.lock("lock:rows", timeout=10, sleep=0.002):
                found = extended.get("rows")
                if found is None:
                    computed.append(threading.get_ident())
                    time.sleep(0.02)
                    found = {"rows": list(range(100))}
                    extended.set("rows", found, 60)
        return found

    with ThreadPoolExecutor(20) as threads:
        answers = list(threads.map(lambda _: rows(), range(40)))
    assert answers == [{"rows": list(range(100))}] * 40 and len(computed) == 1
    assert "lock:rows" not in extended


def test_a_locks_key_and_its_time(extended, raw):
    stored = raw(1 if extended.key_prefix == "site" else 3)
    key = extended.make_key("guild:1")
    lock = extended.lock("guild:1", timeout=5)
    assert lock.acquire() and 4_000 < stored.pttl(key) <= 5_000
    assert lock.extend(5) and 9_000 < stored.pttl(key) <= 10_000
    assert lock.reacquire() and 4_000 < stored.pttl(key) <= 5_000
    lock.release()
    assert not stored.exists(key)


def test_a_lock_that_ran_out_belongs_to_the_next(extended):
    slow, next_one = extended.lock("l", timeout=0.05), extended.lock("l", timeout=10)
    assert slow.acquire() and next_one.acquire(blocking_timeout=5)
    with pytest.raises(LockNotOwnedError):
        slow.release()
    assert next_one.owned()
    next_one.release()


def test_counters_among_threads(extended):
    extended.set("n", 0, timeout=100)
    with ThreadPoolExecutor(16) as threads:
        values = list(threads.map(lambda _: extended.incr("n"), range(300)))
    assert sorted(values) == list(range(1, 301)) and extended.get("n") == 300
    assert 98 <= extended.ttl("n") <= 100
    assert extended.decr("n", 300) == 0
    assert extended.incr("n", 2**40) == 2**40


def test_a_limit_by_script(extended, site):
    from django_redis import get_redis_connection

    alias = "default" if extended.key_prefix == "site" else "queries"
    c = get_redis_connection(alias)
    limit = c.register_script(LIMIT)
    key = extended.make_key("limit:ada")
    answers = [limit(keys=[key], args=[3, 60_000]) for _ in range(5)]
    assert [allowed for allowed, _ in answers] == [1, 1, 1, 0, 0]
    assert all(50_000 < left <= 60_000 for _, left in answers[3:])
    c.pexpire(key, 20)
    eventually(lambda: limit(keys=[key], args=[3, 60_000])[0] == 1, timeout_s=5)
    with ThreadPoolExecutor(10) as threads:
        more = list(threads.map(lambda _: limit(keys=[key], args=[50, 60_000])[0], range(100)))
    assert sum(more) == 49, "the fresh window has one already"


def test_the_shells_deletion_by_pattern(site, raw):
    from django.core.cache import caches
    from django_redis import get_redis_connection

    cache = caches["default"]
    cache.set_many({f"guild:{guild}:{n}": n for guild in (123, 124) for n in range(100)})
    line = "return redis.call('del', unpack(redis.call('keys', ARGV[1])))"
    c = get_redis_connection("default")
    assert c.eval(line, 0, "site:1:guild:123:*") == 100
    assert len(cache.keys("guild:123:*")) == 0 and len(cache.keys("guild:124:*")) == 100
    assert raw(1).dbsize() == 100
