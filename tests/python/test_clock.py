"""The clock of an engine in test mode."""

import asyncio
import datetime
import threading
import time

import freezegun
import pytest
import time_machine

import pannier


@pytest.fixture
def cache():
    return pannier.Cache(test_mode=True)


def test_expiry_follows(cache):
    cache.clock.freeze()
    assert cache.clock.frozen
    cache.set("k", "v", ex=60)
    cache.hset("h", "f", 1)
    cache.hexpire("h", 30, "f")
    cache.clock.advance(59.5)
    assert cache.pttl("k") == 500 and not cache.exists("h")
    cache.clock.advance(datetime.timedelta(milliseconds=500))
    assert cache.get("k") is None
    cache.clock.set(datetime.datetime(2040, 1, 1, tzinfo=datetime.timezone.utc))
    assert cache.time() == (2208988800, 0) and cache.clock.now == 2208988800.0
    cache.clock.reset()
    assert not cache.clock.frozen and abs(cache.clock.now - time.time()) < 1


def test_deaths_are_told_in_order(cache):
    cache.clock.freeze()
    cache.config_set("notify-keyspace-events", "Ex")
    with cache.pubsub(ignore_subscribe_messages=True) as pubsub:
        pubsub.psubscribe("__keyevent*")
        for name, life in (("third", 30), ("first", 10), ("second", 20)):
            cache.set(name, 1, ex=life)
        cache.clock.advance(60)
        messages = [pubsub.get_message(timeout=1) for _ in range(4)]
        told = [message["data"] for message in messages if message]
        assert told == [b"first", b"second", b"third"]


def test_waiting_ends_by_it(cache):
    cache.clock.freeze()
    got = []
    thread = threading.Thread(target=lambda: got.append(cache.blpop("jobs", 3600)))
    thread.start()
    while not cache.info("clients")["blocked_clients"]:
        time.sleep(0.001)
    cache.clock.advance(3599)
    thread.join(0.05)
    assert thread.is_alive()
    cache.clock.advance(1)
    thread.join(5)
    assert got == [None]


def test_a_pause_ends_by_it(cache):
    cache.clock.freeze()
    cache.execute("CLIENT", "PAUSE", 3_600_000)
    cache.clock.advance(3600)
    assert cache.ping()


def test_it_is_moved_whatever_requests_meet(cache):
    with cache.faults() as faults, cache.recorder() as seen:
        faults.add(error="OOM")
        cache.clock.freeze()
        cache.clock.advance(60)
        assert cache.clock.frozen and cache.clock.now > time.time() + 50
    assert len(seen) == 0


def test_it_refuses_what_no_clock_does(cache):
    with pytest.raises(ValueError):
        cache.clock.advance(-1)
    with pytest.raises(ValueError):
        cache.clock.set(-1)


def test_waiting_in_a_loop_ends_by_it(cache):
    async def main():
        client = cache.async_redis()
        waiting = asyncio.ensure_future(client.blpop("jobs", timeout=3600))
        await asyncio.sleep(0.01)
        cache.clock.advance(3600)
        assert await asyncio.wait_for(waiting, 5) is None
        await client.aclose()

    cache.clock.freeze()
    asyncio.run(main())


def test_servers_have_it_too():
    with pannier.Server(test_mode=True) as server:
        server.client().set("k", "v", ex=100)
        server.clock.freeze()
        server.clock.advance(101)
        assert server.client().get("k") is None


def test_elsewhere_it_is_said_what_is_missing():
    with pytest.raises(pannier.PannierError, match="test_mode=True"):
        pannier.Cache().clock.freeze()


def test_it_follows_freezegun(cache):
    with cache.clock.following():
        with freezegun.freeze_time("2031-05-05 12:00:00") as frozen:
            cache.set("k", "v", ex=60)
            assert cache.clock.now == time.time() and cache.clock.frozen
            frozen.tick(59)
            assert cache.ttl("k") == 1
            frozen.move_to("2031-05-05 12:01:00")
            assert cache.get("k") is None
        assert abs(cache.clock.now - time.time()) < 1 and not cache.clock.frozen
    with freezegun.freeze_time("2031-05-05 12:00:00") as frozen:
        assert cache.clock.now < time.time()


def test_it_follows_a_time_that_each_look_moves(cache):
    with cache.clock.following():
        with freezegun.freeze_time("2031-05-05 12:00:00", auto_tick_seconds=5) as frozen:
            begin = time.time()
            cache.set("k", "v", ex=60)
            assert cache.clock.frozen and cache.clock.now == begin + 5
            assert time.time() == begin + 5 and cache.ttl("k") == 55
            frozen.tick(54)
            assert cache.ttl("k") == 1
            frozen.move_to("2031-05-05 13:00:00")
            assert cache.get("k") is None and cache.clock.now == time.time()
        assert abs(cache.clock.now - time.time()) < 1 and not cache.clock.frozen


def test_it_follows_time_machine(cache):
    with cache.clock.following():
        with time_machine.travel("2031-05-05 12:00:00", tick=False) as traveller:
            cache.set("k", "v", ex=60)
            traveller.shift(61)
            assert cache.get("k") is None
        with time_machine.travel("2031-05-05 12:00:00", tick=True):
            assert not cache.clock.frozen and abs(cache.clock.now - time.time()) < 1
    assert abs(cache.clock.now - time.time()) < 1


def test_the_fixture(pytester):
    pytester.makeini("[pytest]\npannier_follow_time = true\n")
    pytester.makepyfile(
        """
        import time, freezegun
        def test_moved(pannier_clock, pannier_cache):
            pannier_cache.set("k", 1, ex=10)
            pannier_clock.freeze()
            pannier_clock.advance(11)
            assert not pannier_cache.exists("k")
        def test_real_again(pannier_server):
            seconds, _ = pannier_server.client().time()
            assert abs(seconds - time.time()) < 2
        @freezegun.freeze_time("2031-05-05 12:00:00")
        def test_frozen_around_the_test(pannier_cache):
            assert pannier_cache.time()[0] == int(time.time())
        @freezegun.freeze_time("2025-05-05", auto_tick_seconds=5)
        def test_moved_by_each_look(pannier_cache):
            assert pannier_cache.time()[0] == int(time.time())
        """
    )
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=4)
