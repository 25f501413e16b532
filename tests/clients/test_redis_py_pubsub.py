"""redis-py's publish and subscribe, keyspace events and near-cache, over every way in."""

import asyncio
import threading
import time

import pytest
import redis
import redis.asyncio as aio
from redis.cache import CacheConfig
from redis.connection import CacheProxyConnection

from servers import eventually
from variants import redis_py_options


@pytest.fixture
def sub(r):
    """A subscriber of the same variant as `r`."""
    with r.pubsub() as p:
        yield p


def told(sub, count=1, timeout_s=10):
    """The next `count` messages as (type, pattern, channel, data)."""
    messages = []
    deadline = time.monotonic() + timeout_s
    while len(messages) < count:
        message = sub.get_message(timeout=0.5)
        if message:
            fields = ("type", "pattern", "channel", "data")
            messages.append(tuple(message[field] for field in fields))
        assert time.monotonic() < deadline, f"only {messages}"
    return messages


def nothing_more(sub):
    """Whether the answer to a further SUBSCRIBE is what comes next."""
    sub.subscribe("the end")
    return told(sub)[0][:3] == ("subscribe", None, "the end")


def resp3(c):
    """Changes a bare connection to RESP3."""
    c.send(b"HELLO 3\r\nECHO ready\r\n")
    while c.line() != b"ready":
        pass


# Publish and subscribe.


def test_channels(r, sub):
    sub.subscribe("a", "b")
    assert told(sub, 2) == [("subscribe", None, "a", 1), ("subscribe", None, "b", 2)]
    assert r.publish("a", "1") == 1 and r.publish("b", "zwölf") == 1 and r.publish("c", "x") == 0
    assert told(sub, 2) == [("message", None, "a", "1"), ("message", None, "b", "zwölf")]
    sub.unsubscribe("a")
    assert told(sub) == [("unsubscribe", None, "a", 1)]
    assert r.publish("a", "2") == 0 and r.publish("b", "3") == 1
    assert told(sub) == [("message", None, "b", "3")]
    sub.unsubscribe()
    assert told(sub) == [("unsubscribe", None, "b", 0)] and not sub.subscribed
    assert r.publish("b", "4") == 0


def test_patterns(r, sub):
    sub.psubscribe("news.*", "h[ae]llo")
    sub.subscribe("news.eu")
    assert [m[3] for m in told(sub, 3)] == [1, 2, 3]
    assert r.publish("news.eu", "both") == 2 and r.publish("hello", "one") == 1
    got = told(sub, 3)
    assert set(got[:2]) == {
        ("message", None, "news.eu", "both"),
        ("pmessage", "news.*", "news.eu", "both"),
    }
    assert got[2] == ("pmessage", "h[ae]llo", "hello", "one")
    assert r.publish("hillo", "x") == 0 and r.pubsub_numpat() == 2
    sub.punsubscribe("news.*")
    assert told(sub)[0][3] == 2
    assert r.publish("news.eu", "one") == 1
    assert told(sub) == [("message", None, "news.eu", "one")]


def test_shard_channels(r, sub):
    sub.ssubscribe("s1", "s2")
    assert told(sub, 2) == [("ssubscribe", None, "s1", 1), ("ssubscribe", None, "s2", 2)]
    assert r.spublish("s1", "x") == 1 and r.publish("s1", "x") == 0
    assert told(sub) == [("smessage", None, "s1", "x")]
    assert sorted(r.pubsub_shardchannels("s*")) == ["s1", "s2"]
    assert list(r.pubsub_shardnumsub("s1", "none")) == [("s1", 1), ("none", 0)]
    sub.sunsubscribe("s1")
    assert told(sub) == [("sunsubscribe", None, "s1", 1)] and r.spublish("s1", "x") == 0


def test_who_listens(r, sub):
    with r.pubsub() as other:
        sub.subscribe("a", "b")
        other.subscribe("b")
        other.psubscribe("x*")
        told(sub, 2), told(other, 2)
        assert sorted(r.pubsub_channels()) == ["a", "b"] and r.pubsub_channels("a*") == ["a"]
        assert list(r.pubsub_numsub("a", "b", "none")) == [("a", 1), ("b", 2), ("none", 0)]
        assert r.pubsub_numpat() == 1 and r.publish("b", "x") == 2
    eventually(lambda: list(r.pubsub_numsub("b")) == [("b", 1)] and r.pubsub_numpat() == 0)


def test_handlers_in_a_thread(r):
    got = []
    sub = r.pubsub(ignore_subscribe_messages=True)
    sub.subscribe(**{"jobs": lambda m: got.append(m["data"])})
    sub.psubscribe(**{"log.*": lambda m: got.append(m["channel"])})
    eventually(lambda: list(r.pubsub_numsub("jobs")) == [("jobs", 1)] and r.pubsub_numpat() == 1)
    thread = sub.run_in_thread(sleep_time=0.05)
    try:
        for n in range(100):
            assert r.publish("jobs", n) == 1 and r.publish(f"log.{n}", "x") == 1
        eventually(lambda: len(got) == 200)
    finally:
        thread.stop()
        thread.join(10)
    assert got == [word for n in range(100) for word in (str(n), f"log.{n}")], "in order"


def test_a_subscriber_in_resp2_may_not_do_much_else(server):
    with server.client(protocol=2) as c, c.pubsub() as p:
        p.subscribe("a")
        told(p)
        p.execute_command("GET", "k")
        with pytest.raises(redis.ResponseError, match="only .* are allowed in this context"):
            p.get_message(timeout=5)
        assert nothing_more(p)


def test_a_subscriber_in_resp3_may_do_all(server):
    with server.connect() as c:
        resp3(c)
        assert c.ask("SUBSCRIBE", "a") == b">3"
        assert [c.line() for _ in range(5)] == [b"$9", b"subscribe", b"$1", b"a", b":1"]
        assert c.ask("SET", "k", "v") == b"+OK" and c.ask("GET", "k") == b"$1"
        assert c.line() == b"v"
        # It publishes to itself: the push stands outside of the reply, on either side of it.
        c.send(b"PUBLISH a hello\r\nPING\r\n")
        lines = [c.line() for _ in range(9)]
        assert sorted(lines) == sorted(
            [b":1", b">3", b"$7", b"message", b"$1", b"a", b"$5", b"hello", b"+PONG"]
        )
        assert lines.index(b"$7") == lines.index(b">3") + 1


def test_ten_thousand_messages_arrive_in_order(r, sub):
    sub.subscribe("stream")
    told(sub)

    def publish():
        with r.pipeline(transaction=False) as p:
            for n in range(10_000):
                p.publish("stream", n)
            assert p.execute() == [1] * 10_000

    thread = threading.Thread(target=publish)
    thread.start()
    assert [int(m[3]) for m in told(sub, 10_000, 40)] == list(range(10_000))
    thread.join(20)


@pytest.mark.parametrize("count, size", [(20_000, 50), (3_000, 1_000), (300, 10_000)])
def test_who_reads_late_gets_all(server, client, count, size):
    with server.connect() as late:
        assert late.ask("SUBSCRIBE", "a") == b"*3"
        assert [late.line() for _ in range(5)][-1] == b":1"
        with client.pipeline(transaction=False) as p:
            for n in range(count):
                p.publish("a", f"{n:06}" + "x" * size)
            assert p.execute() == [1] * count
        for n in range(count):
            assert [late.line() for _ in range(7)][-1][:6] == b"%06d" % n


def test_large_and_empty_messages(r, sub):
    sub.subscribe("a", "")
    told(sub, 2)
    big = "x" * 3_000_000
    assert r.publish("a", big) == 1 and r.publish("", "") == 1
    assert told(sub, 2) == [("message", None, "a", big), ("message", None, "", "")]


def test_three_hundred_subscribers(server):
    with server.client() as c:
        subs = [server.connect() for _ in range(300)]
        try:
            for sub in subs:
                sub.send(b"SUBSCRIBE all\r\nPSUBSCRIBE al*\r\n")
            eventually(lambda: list(c.pubsub_numsub("all")) == [("all", 300)])
            eventually(lambda: c.publish("alone", "x") == 300)
            assert c.publish("all", "x") == 600
            for sub in subs:
                text = sub.read(len(b"*3\r\n$9\r\nsubscribe\r\n$3\r\nall\r\n:1\r\n"))
                while not text.endswith(b"pmessage\r\n$3\r\nal*\r\n$3\r\nall\r\n$1\r\nx\r\n"):
                    text += sub.read(1)
                assert text.count(b"$7\r\nmessage\r\n$3\r\nall\r\n$1\r\nx\r\n") == 1
        finally:
            for sub in subs:
                sub.close()
        eventually(lambda: c.pubsub_channels() == [] and c.publish("all", "x") == 0)


def test_publish_within_a_transaction_and_a_pipeline(r, sub):
    sub.subscribe("a")
    told(sub)
    with r.pipeline(transaction=True) as p:
        assert p.publish("a", 1).set("k", "v").publish("a", 2).execute() == [1, True, 1]
    assert [m[3] for m in told(sub, 2)] == ["1", "2"]


def test_a_slow_subscriber_is_cut_and_harms_nobody(launch):
    server = launch("--client-output-buffer-limit", "pubsub 1mb 512kb 1")
    with server.client() as c, server.connect() as slow, server.client() as other:
        slow.ask("SUBSCRIBE", "flood")
        with other.pubsub() as fast:
            fast.subscribe("news")
            told(fast)
            deadline = time.monotonic() + 20
            while c.publish("flood", "x" * 100_000):
                assert time.monotonic() < deadline, "never cut"
            assert c.publish("news", "still here") == 1
            assert told(fast) == [("message", None, "news", "still here")]
            assert c.pubsub_channels() == ["news"]


def test_a_subscriber_comes_back_after_a_restart(launch):
    server = launch()
    with server.client(retry=redis.retry.Retry(redis.backoff.ConstantBackoff(0.05), 100)) as c:
        with c.pubsub() as p:
            p.subscribe("a")
            p.psubscribe("b*")
            told(p, 2)
            server.restart()
            p.get_message(timeout=0.1)
            eventually(lambda: c.publish("a", "x") == 1 and c.publish("bb", "y") == 1)
            got = []
            while ("pmessage", "b*", "bb", "y") not in got:
                got += told(p)
            assert ("message", None, "a", "x") in got


def test_asyncio(server, variant):
    async def main():
        options = redis_py_options(server, variant, asyncio=True)
        kind = aio.UnixDomainSocketConnection if "path" in options else aio.Connection
        pool = aio.ConnectionPool(connection_class=kind, decode_responses=True, **options)
        async with aio.Redis(connection_pool=pool) as r:
            async with r.pubsub(ignore_subscribe_messages=True) as p:
                await p.subscribe("a")
                await p.psubscribe("b*")
                while await r.pubsub_numpat() < 1:
                    await asyncio.sleep(0.01)
                for n in range(50):
                    assert await r.publish("a" if n % 2 else "bb", n) == 1
                got = []
                async for message in p.listen():
                    got.append(message["data"])
                    if len(got) == 50:
                        break
                assert got == [str(n) for n in range(50)]
        await pool.disconnect()

    asyncio.run(asyncio.wait_for(main(), 30))


# Keyspace events.


@pytest.fixture
def events(r, sub):
    """Switches classes of events on; listens to all of them, on database 0."""

    def listen(classes):
        r.config_set("notify-keyspace-events", classes)
        sub.psubscribe("__key*@0__:*")
        told(sub)

    yield listen
    r.config_set("notify-keyspace-events", "")


def seen(sub, count):
    """Key events as (event, key), for `KE` or `E`."""
    return [(m[2].removeprefix("__keyevent@0__:"), m[3]) for m in told(sub, count)]


def test_events_of_writes(r, sub, events):
    events("EA")
    r.set("k", 1, ex=100)
    r.incr("k")
    r.rpush("l", 1, 2)
    r.lpop("l", 2)
    r.hset("h", "f", "v")
    r.sadd("s", "m")
    r.zadd("z", {"m": 1})
    r.xadd("x", {"f": "v"})
    r.rename("k", "n")
    r.delete("n", "none")
    assert seen(sub, 13) == [
        ("set", "k"),
        ("expire", "k"),
        ("incrby", "k"),
        ("rpush", "l"),
        ("lpop", "l"),
        ("del", "l"),
        ("hset", "h"),
        ("sadd", "s"),
        ("zadd", "z"),
        ("xadd", "x"),
        ("rename_from", "k"),
        ("rename_to", "n"),
        ("del", "n"),
    ]
    assert nothing_more(sub)


def test_events_of_expiry_come_though_nobody_looks(r, sub, events):
    events("Ex")
    r.set("forever", "v")
    with r.pipeline(transaction=False) as p:
        for n in range(20):
            p.set(f"k{n}", "v", px=50 + n)
        p.execute()
    assert set(seen(sub, 20)) == {("expired", f"k{n}") for n in range(20)}
    assert r.keys() == ["forever"]


def test_events_by_key_and_by_class(r, sub, events):
    events("Kg$")
    r.set("k", "v", ex=50)
    r.rpush("l", 1)
    r.delete("k")
    got = [(m[2], m[3]) for m in told(sub, 3)]
    assert got == [("__keyspace@0__:k", word) for word in ("set", "expire", "del")]
    r.config_set("notify-keyspace-events", "Em")
    assert r.get("none") is None and r.config_get("notify-keyspace-events") == {
        "notify-keyspace-events": "Em"
    }
    assert seen(sub, 1) == [("keymiss", "none")]


def test_no_events_unless_wanted_and_none_of_other_databases(r, server, sub, events):
    events("KEA")
    with server.client(db=1) as other:
        other.set("k", "v")
    r.config_set("notify-keyspace-events", "")
    r.set("k", "v")
    assert nothing_more(sub)


# The near-cache: CLIENT TRACKING.


@pytest.fixture
def near(server, kind, monkeypatch):
    """redis-py with its near-cache; it asks for Redis 7.4 by name, so the others are presented."""
    if kind != "pannier":
        monkeypatch.setattr(CacheProxyConnection, "DEFAULT_SERVER_NAME", kind)
        monkeypatch.setattr(CacheProxyConnection, "MIN_ALLOWED_VERSION", "7.0.0")
    with server.client(protocol=3, cache_config=CacheConfig(max_size=100)) as c:
        yield c


def gets(c):
    """How many GETs the server has had."""
    return c.info("commandstats").get("cmdstat_get", {"calls": 0})["calls"]


def test_a_near_cache_answers_until_the_key_changes(near, client):
    client.set("k", "one")
    assert [near.get("k") for _ in range(5)] == ["one"] * 5
    assert gets(client) == 1 and near.get_cache().size == 1
    client.set("k", "two")
    eventually(lambda: near.get("k") == "two", timeout_s=2)
    before = gets(client)
    assert near.get("k") == "two" and gets(client) == before
    client.delete("k")
    eventually(lambda: near.get("k") is None, timeout_s=2)


@pytest.mark.parametrize("how", ["set", "expiry", "flushall", "rename", "transaction", "hset"])
def test_a_near_cache_is_never_stale_for_long(near, client, how):
    client.hset("h", "f", "old")
    client.set("k", "old", px=800 if how == "expiry" else None)
    if how == "hset":
        assert near.hget("h", "f") == "old"
        client.hset("h", "f", "new")
        eventually(lambda: near.hget("h", "f") == "new", timeout_s=5)
        return
    assert near.get("k") == "old"
    if how == "set":
        client.set("k", "new")
    elif how == "flushall":
        client.flushall()
    elif how == "rename":
        client.rename("k", "l")
    elif how == "transaction":
        with client.pipeline() as p:
            p.set("other", 1).set("k", "new").execute()
    wanted = "new" if how in ("set", "transaction") else None
    eventually(lambda: near.get("k") == wanted, timeout_s=5)


def test_a_near_cache_of_many_keys_under_writes(near, client):
    names = [f"k{n}" for n in range(50)]
    client.mset(dict.fromkeys(names, 0))
    stop = threading.Event()

    def write():
        turn = 0
        while not stop.is_set():
            turn += 1
            client.mset({name: turn for name in names})

    thread = threading.Thread(target=write)
    thread.start()
    last = dict.fromkeys(names, 0)
    for turn in range(40):
        for name in names:
            value = int(near.get(name))
            assert value >= last[name], "a value of the past"
            last[name] = value
    stop.set()
    thread.join(10)
    final = client.get("k0")
    eventually(lambda: [near.get(name) for name in names] == [final] * 50, timeout_s=5)


def test_tracking_redirected_to_a_resp2_subscriber(server, client):
    with server.connect() as listener, server.connect() as reader:
        listener.send(b"CLIENT ID\r\nSUBSCRIBE __redis__:invalidate\r\n")
        number = listener.line()[1:].decode()
        assert [listener.line() for _ in range(6)][-1] == b":1"
        reader.send(f"CLIENT TRACKING ON REDIRECT {number}\r\nGET k\r\n".encode())
        assert reader.line() == b"+OK" and reader.line() == b"$-1"
        client.set("k", "v")
        wanted = b"*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n*1\r\n$1\r\nk\r\n"
        assert listener.read(len(wanted)) == wanted


def test_tracking_by_prefix(server, client):
    with server.connect() as c:
        resp3(c)
        assert c.ask("CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", "user:") == b"+OK"
        client.set("group:1", "x")
        client.set("user:1", "x")
        assert [c.line() for _ in range(5)] == [b">2", b"$10", b"invalidate", b"*1", b"$6"]
        assert c.line() == b"user:1"
