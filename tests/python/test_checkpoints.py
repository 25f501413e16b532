"""Checkpoints, and a cache that clients reach through a server."""

import gc

import pytest

import pannier


@pytest.fixture
def cache():
    return pannier.Cache()


def test_back_to_where_it_was(cache):
    cache.hset("h", mapping={"a": 1})
    cache.set("k", "v", ex=100)
    with cache.checkpoint() as here:
        cache.flushall()
        cache.at(2).set("other", 1)
        here.rollback()
        assert cache.get("k") == b"v" and len(cache.at(2)) == 0
        cache.delete("h")
    assert cache.hgetall("h") == {b"a": b"1"} and 98 <= cache.ttl("k") <= 100


def test_after_an_error_too(cache):
    with pytest.raises(ZeroDivisionError), cache.checkpoint():
        cache.set("k", 1)
        1 / 0
    assert len(cache) == 0


def test_nested(cache):
    outer = cache.checkpoint()
    cache.set("a", 1)
    inner = cache.checkpoint()
    cache.set("b", 1)
    inner.rollback()
    assert cache.keys() == [b"a"]
    outer.rollback()
    assert cache.keys() == []
    with pytest.raises(pannier.PannierError):
        inner.rollback()


def test_configuration_on_request(cache):
    with cache.checkpoint() as here:
        cache.config_set("maxentries", 5)
        here.rollback()
        assert cache.config_get("maxentries") == {"maxentries": "5"}
        here.rollback(config=True)
        assert cache.config_get("maxentries") == {"maxentries": "0"}


def test_one_that_is_released_or_forgotten_changes_nothing(cache):
    here = cache.checkpoint()
    cache.set("k", 1)
    here.release()
    here.release()
    with pytest.raises(pannier.PannierError, match="released"):
        here.rollback()
    forgotten = cache.checkpoint()
    cache.set("k", 2)
    del forgotten
    gc.collect()
    assert cache.get("k") == b"2"


def test_a_server_for_a_cache(cache):
    cache.set("k", "v")
    with cache.listen() as server:
        client = server.client()
        assert client.get("k") == b"v"
        client.set("k", "changed")
        assert cache.get("k") == b"changed"
        with pytest.raises(ValueError, match="server already"):
            cache.listen()
    cache.set("k", "still here")
    with cache.listen() as server:
        assert server.client().get("k") == b"still here"
    with pytest.raises(ValueError, match="maxmemory"):
        cache.listen(maxmemory="1mb")


def test_a_cache_of_a_server(server):
    server.client(db=2).set("k", "v")
    cache = server.cache(2, decode_responses=True)
    assert cache.get("k") == "v"
    pubsub = server.client().pubsub()
    pubsub.subscribe("news")
    pubsub.get_message(timeout=5)
    assert cache.publish("news", "hello") == 1
    assert pubsub.get_message(timeout=5)["data"] == b"hello"
    server.stop()
    assert cache.get("k") == "v"
    with pytest.raises(pannier.PannierError, match="stopped"):
        server.cache()


def test_a_password_of_the_caches():
    cache = pannier.Cache(requirepass="secret")
    with cache.listen() as server:
        assert server.client().ping()
