"""Faults and the recorder: of a cache, of a server, as fixtures."""

import asyncio
import datetime
import socket
import threading
import time

import pytest
import redis
import redis.asyncio
from redis.backoff import NoBackoff
from redis.retry import Retry

import pannier

ONCE = Retry(NoBackoff(), 0)


@pytest.fixture
def cache():
    return pannier.Cache()


class TestFaults:
    def test_errors(self, cache):
        faults = cache.faults()
        fault = faults.add(error="READONLY", command="set", key="user:*", times=2)
        assert (fault.hits, fault.left, fault.active) == (0, 2, True)
        with pytest.raises(pannier.ResponseError, match="READONLY You can't write"):
            cache.set("user:1", "alice")
        assert cache.set("other", 1) and cache.get("user:1") is None
        client = cache.redis(retry=ONCE)
        with pytest.raises(redis.ReadOnlyError):
            client.set("user:1", "alice")
        assert client.set("user:1", "alice")
        assert (fault.hits, fault.left, fault.active) == (2, 0, False)
        assert fault.remove() and not fault.remove() and not fault.active
        with pytest.raises(pannier.PannierError, match="removed"):
            fault.hits

    def test_a_block_of_each(self, cache):
        with cache.faults() as faults:
            with faults.add(error="LOADING", command=["@read", "-get"]) as fault:
                with pytest.raises(pannier.ResponseError, match="LOADING"):
                    cache.mget(["a"])
                assert cache.get("a") is None and fault.hits == 1 and "LOADING" in repr(fault)
            assert cache.mget(["a"]) == [None] and repr(fault) == "<pannier.Fault removed>"
            faults.add(error="CLUSTERDOWN wait")
            faults.add(error="something broke", times=1)
            assert len(faults) == 2 and [one.left for one in faults] == [None, 1]
        assert cache.ping() and len(faults) == 0 and faults

    def test_delays(self, cache):
        faults = cache.faults()
        begin = time.monotonic()
        with faults.add(delay=0.05, command="get"):
            cache.get("k")
            assert time.monotonic() - begin > 0.04
            cache.redis().get("k")
            assert time.monotonic() - begin > 0.09
        with faults.add(delay=datetime.timedelta(hours=1), command="get"):
            with pytest.raises(redis.TimeoutError):
                cache.redis(socket_timeout=0.03, retry=ONCE).get("k")

    def test_removing_a_delay_lets_go_on_what_it_holds(self, cache):
        fault = cache.faults().add(delay=3600, command="get")
        cache.set("k", "v")
        got = []
        thread = threading.Thread(target=lambda: got.append(cache.get("k")))
        thread.start()
        while not fault.hits:
            time.sleep(0.001)
        fault.remove()
        thread.join(5)
        assert got == [b"v"]

    @pytest.mark.parametrize(("when", "count"), [("before", None), ("after", b"1")])
    @pytest.mark.parametrize("over", ["socket", "process"])
    def test_dropped_connections(self, when, count, over):
        with pannier.Server() as server:
            with server.faults().add(drop=when, command="incrby", times=1) as fault:
                make = server.client if over == "socket" else server.cache().redis
                with pytest.raises(redis.ConnectionError):
                    make(retry=ONCE).incr("n")
                assert fault.hits == 1 and server.client().get("n") == count

    def test_redis_py_tries_again(self, server):
        with server.faults().add(drop="before", command="incrby", times=2) as fault:
            retry = Retry(NoBackoff(), 3)
            assert server.client(retry=retry).incr("n") == 1 and fault.hits == 2

    def test_half_a_reply(self, server):
        server.cache().set("k", "value")
        with server.faults().add(cut=6, command="get"):
            with socket.create_connection(("127.0.0.1", server.port)) as connection:
                connection.sendall(b"GET k\r\n")
                assert connection.makefile("rb").read() == b"$5\r\nva"

    @pytest.mark.parametrize("what", [{"drop": "before"}, {"drop": "after"}, {"cut": 2}], ids=str)
    def test_a_cache_says_by_one_class_that_a_connection_was_closed(self, what):
        cache = pannier.Cache()
        with cache.pubsub() as pubsub:
            calls = [
                lambda: cache.set("k", "v"),
                lambda: cache.execute("SET", "k", "v"),
                lambda: cache.pipeline().set("k", "v").execute(),
                lambda: cache.pipeline(transaction=False).set("k", "v").get("k").execute(),
                lambda: cache.eval("return 1", 0),
                lambda: cache.blpop("list", 0.01),
                lambda: (pubsub.subscribe("news"), pubsub.get_message(timeout=5)),
            ]
            with cache.faults().add(command=("set", "eval", "blpop", "subscribe"), **what):
                for call in calls:
                    with pytest.raises(pannier.ConnectionError):
                        call()
                with pytest.raises(redis.ConnectionError):
                    cache.redis(retry=ONCE).set("k", "v")
        assert cache.set("k", "v") and cache.pipeline().get("k").execute() == [b"v"]

    def test_refused_connections(self, server):
        fault = server.faults().add(refuse=True, times=1)
        with pytest.raises(redis.ConnectionError):
            server.client(retry=ONCE).ping()
        assert server.client().ping() and fault.hits == 1

    def test_of_one_client(self, server):
        one, other = server.client(client_name="worker"), server.client()
        faults = server.faults()
        with faults.add(error="OOM", client="worker", command="set"):
            with pytest.raises(redis.exceptions.OutOfMemoryError):
                one.set("k", 1)
            assert other.set("k", 1)
        with faults.add(error="OOM", client=other.client_id(), command="set"):
            assert one.set("k", 1)
        with faults.add(error="OOM", user="nobody"):
            assert one.set("k", 1)

    def test_chance_repeats(self, cache):
        def failed():
            with cache.faults().add(error="ERR x", probability=0.5, seed=7) as fault:
                for _ in range(100):
                    try:
                        cache.ping()
                    except pannier.ResponseError:
                        pass
                return fault.hits

        assert 20 < failed() < 80 and failed() == failed()

    @pytest.mark.parametrize(
        ("given", "said"),
        [
            ({}, "one of delay, error, drop, cut and refuse, not none"),
            ({"delay": 1, "error": "x"}, r"not \['delay', 'error'\]"),
            ({"drop": "during"}, "'before' or 'after'"),
            ({"delay": -1}, "less than nothing"),
            ({"error": "x", "command": "gett"}, "no such command or category 'gett'"),
            ({"error": "x", "probability": 2}, "between 0 and 1"),
            ({"error": "a\nb"}, "one line"),
            ({"refuse": True, "command": "get"}, "before it has a command"),
        ],
    )
    def test_what_makes_no_sense(self, cache, given, said):
        with pytest.raises(ValueError, match=said):
            cache.faults().add(**given)
        assert len(cache.faults()) == 0

    def test_asyncio(self, cache):
        async def main():
            client = cache.async_redis(retry=redis.asyncio.retry.Retry(NoBackoff(), 0))
            with cache.faults().add(delay=0.05, command="get") as fault:
                ticks, waiting = 0, asyncio.ensure_future(client.get("k"))
                while not waiting.done():
                    await asyncio.sleep(0.002)
                    ticks += 1
                assert ticks > 5 and await waiting is None and fault.hits == 1
            with cache.faults().add(drop="after", command="incrby"):
                with pytest.raises(redis.ConnectionError):
                    await client.incr("n")
            assert await client.get("n") == b"1"
            await client.aclose()

        asyncio.run(main())


class TestRecorder:
    def test_what_was_asked(self, cache):
        cache.set("before", 1)
        with cache.recorder() as seen:
            cache.set("user:1", "alice", ex=60)
            assert len(seen) == 1
            cache.get("user:1")
            with pytest.raises(pannier.ResponseError):
                cache.execute("GET", b"\xff", "too many")
        cache.set("afterwards", 1)
        assert [str(one) for one in seen][:2] == ["SET user:1 alice EX 60", "GET user:1"]
        assert (len(seen), seen.round_trips, seen.lost) == (3, 3, 0)
        assert seen[1].args == (b"GET", b"user:1") and seen[1].command == "GET"
        assert [one.command for one in seen[:2]] == ["SET", "GET"]
        assert seen[0].db == 0 and abs(seen[0].time - time.time()) < 60
        assert "3 requests in 3 round trips: [SET user:1" in repr(seen)

    def test_a_pipeline_is_one_round_trip(self, server):
        for client in (server.client(), server.cache().redis(), server.cache()):
            with server.recorder() as seen:
                client.get("a")
                with client.pipeline(transaction=False) as pipeline:
                    for number in range(50):
                        pipeline.set(number, "x" * 50)
                    pipeline.execute()
            assert (len(seen), seen.round_trips) == (51, 2)

    def test_by_client_and_by_condition(self, server):
        one, other = server.client(client_name="one"), server.client(db=3)
        with server.recorder() as seen:
            one.set("a", 1)
            other.get("a")
            one.get("b")
            server.cache(5).get("c")
        assert [request.client_name for request in seen] == ["one", "", "one", ""]
        assert [request.db for request in seen] == [0, 3, 0, 5]
        assert [str(request) for request in seen.find(client="one")] == ["SET a 1", "GET b"]
        assert seen.find(client="one").round_trips == 2
        assert [str(request) for request in seen.find(client=other.client_id())] == ["GET a"]
        assert len(seen.find(command="get")) == 3 and len(seen.find(command="@write")) == 1
        assert len(seen.find(command=["get", "set"], key="a")) == 2
        assert len(seen.find(command="-get").find(user="default")) == 1
        assert not seen.find(command="hget")
        with pytest.raises(ValueError, match="gett"):
            seen.find(command="gett")
        with pytest.raises(ValueError, match="gett"):
            server.recorder(command="gett")

    def test_what_libraries_send_by_themselves_is_left_out(self, server):
        with server.recorder() as seen, server.recorder(connection=True) as all_of_it:
            server.client(db=1).get("a")
        assert [str(one) for one in seen] == ["GET a"]
        assert {"SELECT", "GET"} <= {one.command for one in all_of_it}
        with server.recorder(command="ping") as pings:
            server.client().ping()
        assert len(pings) == 1

    def test_what_is_no_command_is_left_out_likewise(self, cache):
        with cache.recorder() as seen, cache.recorder(connection=True) as all_of_it:
            with pytest.raises(pannier.ResponseError):
                cache.execute("NO-SUCH", b"\xff")
        assert not seen and str(all_of_it[0]) == "NO-SUCH \\xff"

    def test_conditions(self, cache):
        with cache.recorder(command="@write", key="user:*") as seen:
            cache.set("user:1", 1)
            cache.set("other", 1)
            cache.get("user:1")
        assert [str(one) for one in seen] == ["SET user:1 1"]

    def test_they_nest_and_begin_anew(self, cache):
        with cache.recorder() as outer:
            cache.get("a")
            with cache.recorder() as inner:
                cache.get("b")
            cache.get("c")
            assert [str(one) for one in inner] == ["GET b"]
        assert [str(one) for one in outer] == ["GET a", "GET b", "GET c"]
        recorder = cache.recorder()
        assert len(recorder) == 0
        recorder.start()
        cache.get("a")
        recorder.clear()
        cache.get("b")
        recorder.stop()
        recorder.stop()
        assert [str(one) for one in recorder] == ["GET b"]
        with recorder:
            assert not recorder

    def test_what_there_is_no_room_for_is_counted(self, cache):
        with cache.recorder(entries=10) as seen:
            for number in range(15):
                cache.set(number, 1)
        assert (len(seen), seen.lost) == (10, 5)

    def test_passwords_are_left_out(self):
        with pannier.Server(requirepass="secret") as server:
            with server.recorder(connection=True) as seen:
                server.client().ping()
        assert "AUTH" in repr(seen) and "secret" not in repr(seen)


VIEW = """
import os
import django
import pytest
from django.conf import settings
from django.core.cache import cache
from django.http import JsonResponse
from django.test import Client, override_settings
from django.urls import path


def product(request, number):
    with_price = cache.get_many([f"name:{number}", f"price:{number}"])
    if f"price:{number}" not in with_price:
        cache.set(f"price:{number}", 10 * number)
    return JsonResponse({"price": cache.get(f"price:{number}")})


urlpatterns = [path("product/<int:number>", product)]
settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="x")
django.setup()


@pytest.fixture(params=["django", "django_redis", "pannier"])
def site(request, redis_url):
    backend, location = {
        "django": ("django.core.cache.backends.redis.RedisCache", redis_url),
        "django_redis": ("django_redis.cache.RedisCache", redis_url),
        "pannier": ("pannier.django.PannierCache", "pannier://view-test/0"),
    }[request.param]
    with override_settings(CACHES={"default": {"BACKEND": backend, "LOCATION": location}}):
        yield request.param


def test_this_view_makes_three_round_trips(site, pannier_recorder):
    make = cache.raw.recorder if site == "pannier" else pannier_recorder
    with make() as seen:
        assert Client().get("/product/7").json() == {"price": 70}
    assert seen.round_trips == 3, seen
    assert [one.command for one in seen] == ["MGET", "SET", "GET"]
    with make() as seen:
        assert Client().get("/product/7").json() == {"price": 70}
    assert seen.round_trips == 2, seen
"""

FIXTURES = """
import pytest, redis

def test_faults(pannier_faults, redis_url, pannier_cache):
    pannier_faults.add(error="OOM", command="set")
    with pytest.raises(redis.exceptions.OutOfMemoryError):
        redis.Redis.from_url(redis_url).set("k", 1)

def test_faults_end_with_the_test(pannier_faults, pannier_cache):
    assert len(pannier_faults) == 0 and pannier_cache.set("k", 1)

def test_recorder(pannier_recorder, redis_url):
    client = redis.Redis.from_url(redis_url)
    with pannier_recorder() as seen:
        client.set("k", 1)
        client.pipeline().get("k").get("j").execute()
    assert seen.round_trips == 2 and len(seen) == 5
    pannier_recorder().start()

def test_recorder_ends_with_the_test(pannier_cache):
    assert pannier_cache.execute("PANNIER", "RECORDER", "STOP") == 0
"""


def test_this_view_makes_three_round_trips(pytester):
    pytester.makepyfile(VIEW)
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=3)


def test_fixtures(pytester):
    pytester.makepyfile(FIXTURES)
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=4)
