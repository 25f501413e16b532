"""Which commands each operation of the two cache back ends sends, read from INFO commandstats.

It shows what a server must have for a Django site, and tells when a new version of a client
begins to use another command.
"""

import pytest

HANDSHAKE = {"hello", "auth", "select", "client|setinfo", "client|setname", "client"}
SETUP = {"config|resetstat", "info"}
# Sent by a lock only when the server does not know its scripts yet (EVALSHA says NOSCRIPT).
ONCE = {"script|load"}


def sends(site, call):
    """The commands that arrive at the server during this call."""
    with site.client() as c:
        c.config_resetstat()
        call()
        stats = c.info("commandstats")
    return {name.removeprefix("cmdstat_") for name in stats} - HANDSHAKE - SETUP - ONCE


DJANGO = {
    "get": (lambda c: c.get("k"), "get"),
    "set": (lambda c: c.set("k", "v"), "set"),
    "set without timeout": (lambda c: c.set("k", "v", None), "set"),
    "set with timeout 0": (lambda c: c.set("k", "v", 0), "del"),
    "add": (lambda c: c.add("new", "v"), "set"),
    "add with timeout 0": (lambda c: c.add("new", "v", 0), "set del"),
    "delete": (lambda c: c.delete("k"), "del"),
    "delete_many": (lambda c: c.delete_many(["k", "l"]), "del"),
    "get_many": (lambda c: c.get_many(["k", "l"]), "mget"),
    "has_key": (lambda c: c.has_key("k"), "exists"),
    "incr": (lambda c: c.incr("n"), "exists incrby"),
    "decr": (lambda c: c.decr("n"), "exists incrby"),
    "touch": (lambda c: c.touch("k", 10), "expire"),
    "touch for ever": (lambda c: c.touch("k", None), "persist"),
    "incr_version": (lambda c: c.incr_version("k"), "get set del"),
    "clear": (lambda c: c.clear(), "flushdb"),
}
DJANGO_REDIS = {
    "get": (lambda c: c.get("k"), "get"),
    "set": (lambda c: c.set("k", "v"), "set"),
    "set with timeout 0": (lambda c: c.set("k", "v", 0), "del"),
    "add": (lambda c: c.add("new", "v"), "set"),
    "delete": (lambda c: c.delete("k"), "del"),
    "delete_many": (lambda c: c.delete_many(["k", "l"]), "del"),
    "get_many": (lambda c: c.get_many(["k", "l"]), "mget"),
    "has_key": (lambda c: c.has_key("k"), "exists"),
    "touch": (lambda c: c.touch("k", 10), "pexpire"),
    "touch for ever": (lambda c: c.touch("k", None), "persist"),
    "ttl": (lambda c: c.ttl("k"), "exists ttl"),
    "pttl": (lambda c: c.pttl("k"), "exists pttl"),
    "persist": (lambda c: c.persist("k"), "persist"),
    "expire": (lambda c: c.expire("k", 5), "expire"),
    "expire_at": (lambda c: c.expire_at("k", 2**31), "expireat"),
    "pexpire": (lambda c: c.pexpire("k", 5000), "pexpire"),
    "pexpire_at": (lambda c: c.pexpire_at("k", 2**41), "pexpireat"),
    "keys": (lambda c: c.keys("*"), "keys"),
    "iter_keys": (lambda c: list(c.iter_keys("*")), "scan"),
    "incr_version": (lambda c: c.incr_version("k"), "get exists ttl set del"),
    "clear": (lambda c: c.clear(), "flushdb"),
}
TRANSACTIONS = {
    "Django set_many": ("views", lambda c: c.set_many({"a": 1, "b": 2}), "multi mset expire exec"),
    "django-redis set_many": ("default", lambda c: c.set_many({"a": 1}), "multi set exec"),
    "django-redis delete_pattern": (
        "default",
        lambda c: c.delete_pattern("*"),
        "scan multi del exec",
    ),
}
SCRIPTS = {
    "django-redis incr": ("default", lambda c: c.incr("n"), "eval exists incrby"),
    "django-redis decr": ("default", lambda c: c.decr("n"), "eval exists incrby"),
    "django-redis lock": (
        "default",
        lambda c: c.lock("l", timeout=5).__enter__().release(),
        "set evalsha get del",
    ),
}


def ready(alias):
    """The cache with a key, a number and its connection made."""
    from django.core.cache import caches

    cache = caches[alias]
    cache.set("k", "v")
    cache.set("n", 5)
    return cache


@pytest.mark.parametrize("operation", list(DJANGO))
def test_djangos_own_backend(site, operation):
    call, expected = DJANGO[operation]
    cache = ready("views")
    assert sends(site, lambda: call(cache)) == set(expected.split())


@pytest.mark.parametrize("operation", list(DJANGO_REDIS))
def test_django_redis(site, operation):
    call, expected = DJANGO_REDIS[operation]
    cache = ready("default")
    assert sends(site, lambda: call(cache)) == set(expected.split())


@pytest.mark.parametrize("operation", list(TRANSACTIONS))
def test_operations_in_transactions(site, operation):
    alias, call, expected = TRANSACTIONS[operation]
    cache = ready(alias)
    assert sends(site, lambda: call(cache)) == set(expected.split())


@pytest.mark.parametrize("operation", list(SCRIPTS))
def test_operations_by_scripts(site, operation):
    alias, call, expected = SCRIPTS[operation]
    cache = ready(alias)
    assert sends(site, lambda: call(cache)) == set(expected.split())


def test_the_handshake(site):
    import redis

    with site.client() as c:
        c.config_resetstat()
        with redis.Redis.from_url(site.url(1)) as other:
            other.ping()
        stats = c.info("commandstats")
    sent = {name.removeprefix("cmdstat_") for name in stats} - SETUP
    assert {"hello", "select", "ping"} <= sent
    assert sent - {"hello", "auth", "select", "ping", "client|setinfo", "client"} <= {"client|id"}
