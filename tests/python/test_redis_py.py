"""`pannier.Cache` beside redis-py: the same calls on both have the same results.

redis-py talks to a server of the very engine, so that whatever differs is the methods' doing.
"""

import inspect
import threading
import time

import pytest
import redis

import pannier


@pytest.fixture(scope="module")
def both():
    with pannier.Server() as server:
        client = redis.Redis.from_url(server.url)
        yield server.cache(), client
        client.close()


def outcome(call, on):
    """What a call returns, or that it is refused: each package has its own exceptions."""
    on.flushall()
    on.zadd("z", {"a": 1, "b": 2.5, "c": 3})
    on.hset("h", mapping={"a": 1, "b": 2})
    on.rpush("l", 3, 1, 2)
    on.mset({"s": "abc", "t": "x", "w1": 5})
    on.geoadd("g", (13.361389, 38.115556, "P", 15.087269, 37.502669, "C"))
    for number in range(1, 5):
        on.xadd("x", {"f": number}, id=f"{number}-1")
    on.xgroup_create("x", "group", 0)
    on.xreadgroup("group", "one", {"x": ">"}, count=3)
    try:
        return call(on)
    except (redis.RedisError, pannier.PannierError, ValueError):
        return "refused"


TIMES = ("idle", "inactive", "seen-time", "active-time", "time_since_delivered")


def timeless(value):
    """Replies without what depends on the time of day."""
    if isinstance(value, dict):
        return {name: timeless(part) for name, part in value.items() if name not in TIMES}
    if isinstance(value, (list, tuple)):
        return type(value)(timeless(part) for part in value)
    return value


CALLS = {
    "mget": lambda on: (on.mget([]), on.mget("s", "none"), on.mget(["s"], "t")),
    "mget in a transaction": lambda on: on.pipeline().mget([]).ping().execute(),
    "mget in a pipeline": lambda on: on.pipeline(False).get("s").mget([]).ping().execute(),
    "hrandfield": lambda on: on.hrandfield("h", 5, withvalues=True),
    "hrandfield repeats": lambda on: len(on.hrandfield("h", -5, True)),
    "hexpire": lambda on: (
        on.hexpire("h", 10, "a", nx=True), on.hexpire("h", 10, "a", nx=True),
        on.hpexpire("h", 10, "a", "b", gt=True), on.hexpireat("h", 4_102_444_800, "b", xx=True),
        on.hpexpireat("h", 4_102_444_800_000, "b", nx=True), on.hexpire("h", 10, "b", "c", lt=True),
    ),
    "hscan": lambda on: (on.hscan("h", no_values=True), list(on.hscan_iter("h", no_values=True))),
    "zrange": lambda on: (
        on.zrange("z", 0, -1, withscores=True, score_cast_func=int),
        on.zrange("z", 0, -1, score_cast_func=int), on.zrange("z", 3, 1, True, True, float, True),
        on.zrange("z", 0, 9, False, True, int, True, False, 1, 1),
    ),
    "zrevrange": lambda on: on.zrevrange("z", 0, -1, True, int),
    "zrangebyscore": lambda on: on.zrangebyscore("z", 1, 3, 1, 1, True, int),
    "zrevrangebyscore": lambda on: on.zrevrangebyscore("z", 3, 1, 1, 1, True, int),
    "zrank": lambda on: (
        on.zrank("z", "b"), on.zrank("z", "b", withscore=True), on.zrank("z", "d", withscore=True),
        on.zrank("z", "b", True, int), on.zrevrank("z", "c", True), on.zrevrank("z", "c"),
    ),
    "zscan": lambda on: (on.zscan("z", score_cast_func=int), list(on.zscan_iter("z"))),
    "zunion": lambda on: on.zunion(["z"], withscores=True, score_cast_func=int),
    "zintercard": lambda on: (on.zintercard(2, ["z", "z"]), on.zintercard(2, ["z", "z"], 2)),
    "bitop": lambda on: (
        on.bitop("AND", "d", "s", "t"), on.get("d"), on.bitop("not", "d", "s"), on.get("d"),
    ),
    "bitpos": lambda on: (
        on.bitpos("s", 1), on.bitpos("s", 1, 1), on.bitpos("s", 1, 1, 2, "BIT"), on.bitpos("n", 0),
    ),
    "bitpos of 2": lambda on: on.bitpos("s", 2),
    "bitpos without a start": lambda on: on.bitpos("s", 1, None, 2),
    "bitfield": lambda on: (
        on.bitfield("k").set("u8", "#1", 255).incrby("u8", 0, 1).overflow("FAIL")
        .incrby("u8", "#1", 1).get("u8", 0).execute(),
        on.bitfield("k", "SAT").incrby("u8", "#1", 9).incrby("u8", "#1", 9, "WRAP").execute(),
        on.bitfield_ro("s", "u8", 0), on.bitfield_ro("s", "u8", 0, [("u4", 0)]),
    ),
    "bitfield in a pipeline": lambda on: on.pipeline().bitfield_ro("s", "u8", 0).execute(),
    "sort": lambda on: (
        on.sort("l"), on.sort("l", desc=True, start=0, num=2), on.sort("l", by="nosort", get="#"),
        on.sort("l", get=["#", "w*"]), on.sort("l", get=["#", "w*"], groups=True),
        on.sort("l", alpha=True, store="d"), on.lrange("d", 0, -1), on.sort_ro("l", desc=True),
    ),
    "sort of half a page": lambda on: on.sort("l", start=1),
    "geosearch": lambda on: (
        on.geosearch("g", longitude=15, latitude=37, radius=200, unit="km", sort="ASC"),
        on.geosearch("g", longitude=15, latitude=37, radius=200, unit="km", sort="DESC",
                     withdist=True, withcoord=True, withhash=True),
        on.geosearch("g", member="P", width=400, height=400, unit="km", sort="DESC", count=1,
                     withdist=True),
        on.geosearchstore("d", "g", member="P", radius=200, unit="km", storedist=True),
        on.zrange("d", 0, -1), on.geohash("g", "P", "none"), on.geopos("g", "P", "none"),
    ),
    "geosearch of nothing": lambda on: on.geosearch("g"),
    "geosearch of too much": lambda on: on.geosearch("g", "P", 1, 1, radius=1),
    "geosearch of half a box": lambda on: on.geosearch("g", "P", width=1),
    "geosearch of any": lambda on: on.geosearch("g", "P", radius=1, any=True),
    "xgroup": lambda on: (
        on.xgroup_create("y", "g", "$", True, entries_read=3), on.xgroup_setid("x", "group", "2-1"),
        on.xgroup_createconsumer("x", "group", "two"), on.xgroup_delconsumer("x", "group", "one"),
    ),
    "xreadgroup": lambda on: (on.xdel("x", "1-1"), on.xreadgroup("group", "one", {"x": 0})),
    "xpending": lambda on: (
        on.xpending("x", "group"), on.xack("x", "group", "1-1"), on.xpending("x", "group"),
        on.xpending_range("x", "group", "-", "+", 10),
        on.xpending_range("x", "group", "-", "+", 10, "one", 0),
        on.xpending_range("x", "group", "-", "+", 10, "none"),
        on.xack("x", "group", "2-1", "3-1"), on.xpending("x", "group"),
    ),
    "xclaim": lambda on: (
        on.xdel("x", "2-1"), on.xclaim("x", "group", "two", 0, ["1-1", "2-1"]),
        on.xclaim("x", "group", "two", 0, ["3-1"], 3, None, 2, True, True),
    ),
    "xclaim of nothing": lambda on: on.xclaim("x", "group", "two", 0, []),
    "xclaim before its time": lambda on: on.xclaim("x", "group", "two", -1, ["1-1"]),
    "xautoclaim": lambda on: (
        on.xdel("x", "1-1"), on.xautoclaim("x", "group", "two", 0, "0-0", 2),
        on.xautoclaim("x", "group", "two", 0), on.xautoclaim("x", "group", "two", 0, justid=True),
    ),
    "xinfo": lambda on: (
        on.xinfo_stream("x"), on.xinfo_groups("x"), on.xinfo_consumers("x", "group"),
        {name: part for name, part in on.xinfo_stream("x", True).items() if name != "groups"},
    ),
    "items": lambda on: (on["s"], on.__setitem__("n", 1), on["n"], on.__delitem__("n"), "n" in on),
}


@pytest.mark.parametrize("name", CALLS)
def test_the_same_call_has_the_same_result(both, name):
    ours, theirs = (timeless(outcome(CALLS[name], on)) for on in both)
    assert ours == theirs
    assert repr(ours) == repr(theirs)


def lock_that_was_lost(on):
    lock = on.lock("lock", timeout=5)
    assert lock.acquire()
    on.set("lock", "another's")
    with pytest.raises((redis.exceptions.LockNotOwnedError, pannier.LockNotOwnedError)):
        lock.extend(1)
    with pytest.raises((redis.exceptions.LockNotOwnedError, pannier.LockNotOwnedError)):
        lock.release()
    on.delete("lock")
    with on.lock("lock", timeout=5, raise_on_release_error=False):
        on.set("lock", "another's")
    on.delete("lock")
    with pytest.raises((redis.exceptions.LockNotOwnedError, pannier.LockNotOwnedError)):
        with on.lock("lock", timeout=5):
            on.delete("lock")


def second_multi(on):
    pipeline = on.pipeline()
    pipeline.watch("s")
    pipeline.multi()
    pipeline.multi()


def error_while_queueing(on, raise_on_error=True):
    try:
        on.pipeline().ping().execute_command("GET").execute(raise_on_error)
    except (redis.ResponseError, pannier.ResponseError) as error:
        return str(error)[: len("Command # 2 (GET) of pipeline")]


def tried_again(on):
    turns = []

    def add(pipeline):
        if not turns:
            on.set("s", 5)
        turns.append(time.monotonic())
        pipeline.multi()
        pipeline.incr("s")

    replies = on.transaction(add, "s", watch_delay=0.05, shard_hint="nothing")
    return replies, turns[1] - turns[0] > 0.04


def received(pubsub, count):
    return [pubsub.get_message(timeout=5) for _ in range(count)]


def nothing_subscribed(on):
    pubsub = on.pubsub()
    pubsub.ping("unheard")
    return pubsub.get_message(), pubsub.get_message(timeout=0.01), pubsub.subscribed


def names_that_are_none(on):
    pubsub = on.pubsub()
    with pytest.raises((redis.DataError, TypeError)):
        pubsub.subscribe(None)
    return pubsub.subscribed, pubsub.channels, pubsub.subscribe()


def numbers_as_names(on):
    pubsub = on.pubsub()
    pubsub.subscribe(1)
    pubsub.psubscribe(2.5)
    state = pubsub.subscribed, received(pubsub, 2)
    pubsub.unsubscribe(1)
    pubsub.punsubscribe()
    return state, received(pubsub, 2), pubsub.subscribed, pubsub.channels, pubsub.patterns


def all_kinds_of_messages(on):
    pubsub, handled = on.pubsub(), []
    pubsub.subscribe("channel")
    pubsub.ssubscribe("shard")
    pubsub.ssubscribe(handled=handled.append)
    received(pubsub, 3)
    pubsub.ping()
    pubsub.ping("hello")
    got = received(pubsub, 2)
    sent = on.publish("channel", 1), on.spublish("shard", 2), on.spublish("handled", 3)
    got += received(pubsub, 3)
    names = sorted(pubsub.shard_channels), pubsub.check_health()
    pubsub.sunsubscribe("shard")
    return got, sent, names, received(pubsub, 1), sorted(pubsub.shard_channels), handled


def subscribed_later(on):
    pubsub = on.pubsub(ignore_subscribe_messages=True)
    timer = threading.Timer(0.05, pubsub.subscribe, ["later"])
    timer.start()
    assert pubsub.get_message(timeout=5) is None and pubsub.subscribed
    on.publish("later", "heard")
    return received(pubsub, 1)


def failing_handlers(on):
    def fail(message):
        raise RuntimeError(message["data"])

    def note(error, pubsub, thread):
        failed.append(str(error))
        done.set()

    failed, done = [], threading.Event()
    pubsub = on.pubsub(ignore_subscribe_messages=True)
    pubsub.subscribe(news=fail)
    thread = pubsub.run_in_thread(0.01, True, note)
    while not on.publish("news", "bad"):
        time.sleep(0.001)
    assert done.wait(5)
    thread.stop()
    thread.join(5)
    return failed[:1], thread.is_alive()


SESSIONS = {
    "lock without an end": lambda on: (
        on.lock("lock", timeout=0).acquire(blocking=False), on.ttl("lock")
    ),
    "lock that was lost": lock_that_was_lost,
    "lock that was never taken": lambda on: on.lock("lock").release(),
    "second multi": second_multi,
    "multi behind commands": lambda on: on.pipeline(shard_hint=1).get("s").multi(),
    "error while queueing": error_while_queueing,
    "error while queueing that is not raised": lambda on: error_while_queueing(on, False),
    "transaction that is tried again": tried_again,
    "nothing subscribed": nothing_subscribed,
    "names that are none": names_that_are_none,
    "numbers as names": numbers_as_names,
    "all kinds of messages": all_kinds_of_messages,
    "subscribed later": subscribed_later,
    "failing handlers": failing_handlers,
}


@pytest.mark.parametrize("name", SESSIONS)
def test_sessions_behave_alike(both, name):
    ours, theirs = (outcome(SESSIONS[name], on) for on in both)
    assert ours == theirs


def test_a_lock_of_another_class(both):
    class Mine(pannier.Lock):
        pass

    assert type(both[0].lock("lock", lock_class=Mine)) is Mine


def test_what_is_in_no_item(both):
    for on in both:
        with pytest.raises(KeyError):
            on["none"]
        del on["none"]


def test_the_groups_of_a_full_stream(both):
    outcome(lambda on: None, both[0])
    group, = both[0].xinfo_stream("x", full=True)["groups"]
    assert group["name"] == b"group" and group["pel-count"] == 3
    assert [consumer["name"] for consumer in group["consumers"]] == [b"one"]


@pytest.mark.parametrize("name", ["zrange", "sort", "geosearch", "xclaim", "hscan", "zrank", "set"])
def test_arguments_stand_in_the_same_order(name):
    def order(owner):
        return list(inspect.signature(getattr(owner, name)).parameters)

    ours, theirs = order(pannier.Cache), order(redis.Redis)
    assert theirs[: len(ours)] == ours
