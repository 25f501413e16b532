"""redis-py's blocking commands, over every way in, protocol and parser."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis
import redis.asyncio as aio

from servers import eventually
from variants import redis_py_options


@pytest.fixture
def later(pool_options):
    """Calls a method of another client in a thread: `later("blpop", "l", 5)` is its future."""
    pool = redis.ConnectionPool(decode_responses=True, **pool_options)
    with ThreadPoolExecutor(100) as threads, redis.Redis(connection_pool=pool) as c:
        yield lambda name, *args, **more: threads.submit(getattr(c, name), *args, **more)
    pool.disconnect()


def blocked(r, count=1):
    """Waits until so many clients are blocked."""
    eventually(lambda: r.info("clients")["blocked_clients"] == count)


def test_what_is_there_is_taken_at_once(r):
    r.rpush("l", 1, 2, 3)
    r.zadd("z", {"a": 1, "b": 2, "c": 3})
    assert tuple(r.blpop(["none", "l"], 1)) == ("l", "1") and tuple(r.brpop("l", 1)) == ("l", "3")
    assert r.blmove("l", "m", 1, "LEFT", "RIGHT") == "2" and r.brpoplpush("m", "n", 1) == "2"
    assert r.blmpop(1, 2, "none", "n", direction="LEFT", count=5) == ["n", ["2"]]
    assert tuple(r.bzpopmin("z", 1)) == ("z", "a", 1.0)
    assert tuple(r.bzpopmax(["none", "z"], 1)) == ("z", "c", 3.0)
    name, found = r.bzmpop(1, 2, ["none", "z"], min=True)
    assert name == "z" and [list(pair) for pair in found] in ([["b", "2"]], [["b", 2.0]])
    assert r.keys() == []


def test_a_waiter_is_woken_by_a_push(r, later):
    waiter = later("blpop", ["a", "b"], 20)
    blocked(r)
    assert r.rpush("b", "x", "y") == 2
    assert tuple(waiter.result(5)) == ("b", "x") and r.lrange("b", 0, -1) == ["y"]


WAITERS = [
    ("brpop", ("k", 20), ("rpush", "k", "v", "w"), ["k", "w"]),
    ("blmove", ("k", "to", 20, "LEFT", "RIGHT"), ("rpush", "k", "v"), "v"),
    ("brpoplpush", ("k", "to", 20), ("rpush", "k", "v"), "v"),
    ("bzpopmin", ("k", 20), ("zadd", "k", {"b": 2, "a": 1}), ["k", "a", 1.0]),
    ("bzpopmax", ("k", 20), ("zadd", "k", {"b": 2, "a": 1}), ["k", "b", 2.0]),
]


def test_each_kind_of_waiter_is_woken(r, later):
    for name, args, push, wanted in WAITERS:
        r.delete("k", "to")
        waiter = later(name, *args)
        blocked(r)
        getattr(r, push[0])(*push[1:])
        answer = waiter.result(5)
        assert (list(answer) if isinstance(answer, (list, tuple)) else answer) == wanted, name
        assert r.exists("to") == (1 if "to" in args else 0)


def test_multi_pops_are_woken(r, later):
    waiter = later("blmpop", 20, 2, "l", "m", direction="RIGHT", count=2)
    blocked(r)
    r.rpush("m", 1, 2, 3)
    assert waiter.result(5) == ["m", ["3", "2"]]
    waiter = later("bzmpop", 20, 1, ["z"], max=True, count=9)
    blocked(r)
    r.zadd("z", {"a": 1})
    assert waiter.result(5)[0] == "z" and not r.exists("z")


def test_timeouts(r):
    for call in (
        lambda: r.blpop("none", 0.05),
        lambda: r.brpop(["none", "more"], 0.05),
        lambda: r.blmove("none", "to", 0.05, "LEFT", "LEFT"),
        lambda: r.bzpopmin("none", 0.05),
        lambda: r.xread({"none": "$"}, block=50),
    ):
        began = time.monotonic()
        assert not call()
        assert 0.04 <= time.monotonic() - began < 5
    with pytest.raises(redis.ResponseError, match="timeout is negative"):
        r.blpop("none", -1)
    r.set("s", "v")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        r.blpop("s", 1)


def test_the_longest_waiter_is_served_first(r, later):
    waiters = []
    for n in range(5):
        waiters.append(later("blpop", "l", 20))
        blocked(r, n + 1)
    for n in range(5):
        assert r.rpush("l", n) == 1
        assert tuple(waiters[n].result(5)) == ("l", str(n))
        assert not any(w.done() for w in waiters[n + 1 :])


def test_one_push_serves_several(r, later):
    waiters = []
    for n in range(3):
        waiters.append(later("blpop", "l", 20))
        blocked(r, n + 1)
    assert r.rpush("l", *range(5)) == 5
    assert [w.result(5)[1] for w in waiters] == ["0", "1", "2"]
    assert r.lrange("l", 0, -1) == ["3", "4"]


def test_waiters_are_served_before_the_pushers_next_command(r, later):
    waiter = later("blpop", "l", 20)
    blocked(r)
    with r.pipeline(transaction=False) as p:
        assert p.rpush("l", "x").llen("l").lpop("l").execute() == [1, 0, None]
    assert tuple(waiter.result(5)) == ("l", "x")


def test_a_transactions_push_serves_after_its_end(r, later):
    waiter = later("blpop", "l", 20)
    blocked(r)
    with r.pipeline(transaction=True) as p:
        assert p.rpush("l", "x").llen("l").rpush("l", "y").lpop("l").execute() == [1, 1, 2, "x"]
    assert tuple(waiter.result(5)) == ("l", "y")


def test_blocking_commands_in_a_transaction_do_not_block(r):
    r.rpush("l", "x")
    with r.pipeline(transaction=True) as p:
        p.blpop("l", 0).blpop("l", 0).blmove("l", "m", 0, "LEFT", "LEFT").bzpopmin("z", 0)
        first, *rest = p.execute()
    assert tuple(first) == ("l", "x") and rest == [None, None, None]


def test_a_chain_of_moves(r, later):
    waiters = [later("blmove", f"l{n}", f"l{n + 1}", 20, "LEFT", "LEFT") for n in range(5)]
    blocked(r, 5)
    r.rpush("l0", "token")
    assert [w.result(5) for w in waiters] == ["token"] * 5 and r.keys() == ["l5"]


def restore(r, server):
    with server.client(decode_responses=False) as raw:
        raw.restore("l", 0, raw.dump("from"))


def move(r, server):
    with server.client(db=1) as other:
        other.rpush("l", "x")
        other.move("l", 0)


WAYS = {
    "rename": lambda r, _: r.rename("from", "l"),
    "copy": lambda r, _: r.copy("from", "l"),
    "sort": lambda r, _: r.sort("from", alpha=True, store="l"),
    "restore": restore,
    "move": move,
}


def test_lists_that_come_by_other_ways_wake(r, later, server):
    for name, way in WAYS.items():
        r.delete("from")
        r.rpush("from", "x")
        waiter = later("blpop", "l", 20)
        blocked(r)
        way(r, server)
        assert tuple(waiter.result(5)) == ("l", "x") and not r.exists("l"), name


def test_unblock_and_kill(r, server):
    with server.connect() as c:
        number = int(c.ask("CLIENT", "ID")[1:])
        c.send(b"*3\r\n$5\r\nBLPOP\r\n$1\r\nl\r\n$1\r\n0\r\n")
        blocked(r)
        assert r.client_unblock(number) == 1 and c.line() in (b"*-1", b"_")
        c.send(b"*3\r\n$5\r\nBLPOP\r\n$1\r\nl\r\n$1\r\n0\r\n")
        blocked(r)
        assert r.client_unblock(number, error=True) == 1
        assert c.line() == b"-UNBLOCKED client unblocked via CLIENT UNBLOCK"
        assert r.client_unblock(number) == 0
        c.send(b"BLPOP l 0\r\n")
        blocked(r)
        assert r.client_kill_filter(_id=str(number)) == 1
        blocked(r, 0)
    assert r.rpush("l", "kept") == 1 and r.lpop("l") == "kept"


def test_who_leaves_while_waiting_takes_nothing(r, server):
    gone = [server.connect() for _ in range(50)]
    for c in gone:
        c.send(b"BLPOP l 0\r\n")
    blocked(r, 50)
    for c in gone:
        c.close()
    blocked(r, 0)
    assert r.rpush("l", "x") == 1 and r.lrange("l", 0, -1) == ["x"]


def test_commands_behind_a_blocked_one_wait(r, server):
    with server.connect() as c:
        c.send(b"SET k 1\r\nBLPOP l 0\r\nINCR k\r\nGET k\r\n")
        blocked(r)
        assert c.line() == b"+OK" and r.get("k") == "1"
        r.rpush("l", "x")
        assert [c.line() for _ in range(5)] == [b"*2", b"$1", b"l", b"$1", b"x"]
        assert [c.line() for _ in range(3)] == [b":2", b"$1", b"2"]


def test_a_queue_with_many_consumers_loses_and_doubles_nothing(r, later):
    consumers = 16

    def consume():
        got = []
        with redis.Redis(connection_pool=r.connection_pool) as c:
            while True:
                _, job = c.blpop(["urgent", "jobs"], 20)
                if job == "stop":
                    return got
                got.append(job)

    with ThreadPoolExecutor(consumers) as threads:
        working = [threads.submit(consume) for _ in range(consumers)]
        pushing = [
            later("rpush", "urgent" if n % 5 == 0 else "jobs", *(f"{n}:{i}" for i in range(10)))
            for n in range(100)
        ]
        for push in pushing:
            push.result(20)
        r.rpush("jobs", *["stop"] * consumers)
        done = [job for consumer in working for job in consumer.result(20)]
    assert sorted(done) == sorted(f"{n}:{i}" for n in range(100) for i in range(10))
    assert r.keys() == []


def entries(reply):
    """The entries of XREAD's one stream: a list in RESP2, a map in RESP3."""
    if isinstance(reply, dict):
        return next(iter(reply.values()))[0]
    return reply[0][1] if reply else []


def test_a_stream_read_waits_for_new_entries(r, later):
    r.xadd("s", {"n": "old"})
    waiters = [later("xread", {"s": "$"}, block=20_000), later("xread", {"s": "$"}, block=0)]
    blocked(r, 2)
    new = r.xadd("s", {"n": "new"})
    for waiter in waiters:
        assert entries(waiter.result(5)) == [(new, {"n": "new"})], "all readers get it"


def test_a_group_read_waits_and_gives_each_entry_to_one(r, later):
    r.xgroup_create("s", "g", id="$", mkstream=True)
    waiters = []
    for n in range(3):
        name = f"c{n}"
        waiters.append(later("xreadgroup", "g", name, {"s": ">"}, count=1, block=20_000))
        blocked(r, n + 1)
    ids = [r.xadd("s", {"n": str(n)}) for n in range(3)]
    assert [entries(w.result(5))[0][0] for w in waiters] == ids
    assert r.xpending("s", "g")["pending"] == 3 and r.xack("s", "g", *ids) == 3
    waiter = later("xreadgroup", "g", "c0", {"s": ">"}, block=20_000)
    blocked(r)
    r.delete("s")
    with pytest.raises(redis.ResponseError, match="NOGROUP|UNBLOCKED"):
        waiter.result(5)


def test_wait_answers_at_once_without_replicas(r):
    r.set("k", "v")
    assert r.wait(0, 1000) == 0
    began = time.monotonic()
    assert r.wait(1, 100) == 0 and 0.09 <= time.monotonic() - began < 5


def test_asyncio(server, variant):
    async def main():
        options = redis_py_options(server, variant, asyncio=True)
        kind = aio.UnixDomainSocketConnection if "path" in options else aio.Connection
        options |= {"connection_class": kind, "decode_responses": True}
        pool = aio.BlockingConnectionPool(max_connections=60, timeout=20, **options)
        async with aio.Redis(connection_pool=pool) as r:
            waiting = [asyncio.create_task(r.blpop("l", 20)) for _ in range(50)]
            while (await r.info("clients"))["blocked_clients"] < 50:
                await asyncio.sleep(0.01)
            for task in waiting[::5]:
                task.cancel()
            while (await r.info("clients"))["blocked_clients"] > 40:
                await asyncio.sleep(0.01)
            for n in range(40):
                await r.rpush("l", n)
            answers = await asyncio.gather(*waiting, return_exceptions=True)
            got = [a[1] for a in answers if not isinstance(a, asyncio.CancelledError)]
            assert sorted(map(int, got)) == list(range(40)) and not await r.exists("l")
            assert await r.blpop("l", 0.05) is None
        await pool.disconnect()

    asyncio.run(asyncio.wait_for(main(), 40))


def test_two_thousand_waiters_cost_others_nothing(server, client):
    waiters = [server.connect() for _ in range(2_000)]
    try:
        for n, c in enumerate(waiters):
            c.send(b"BLPOP l%d all 0\r\n" % n)
        blocked(client, 2_000)
        began = time.monotonic()
        for n in range(1_000):
            client.set("k", n)
        assert time.monotonic() - began < 5
        with client.pipeline(transaction=False) as p:
            for n in range(2_000):
                p.rpush(f"l{n}", n)
            p.execute()
        for n, c in enumerate(waiters):
            assert c.line() == b"*2" and [c.line() for _ in range(4)][3] == b"%d" % n
        blocked(client, 0)
    finally:
        for c in waiters:
            c.close()


def test_a_shutdown_ends_the_waiting(launch):
    server = launch()
    with server.client() as r, ThreadPoolExecutor(5) as threads:
        waiting = [threads.submit(server.client().blpop, "l", 0) for _ in range(5)]
        blocked(r, 5)
        stopper = threading.Thread(target=server.stop)
        stopper.start()
        for waiter in waiting:
            with pytest.raises(redis.ConnectionError):
                waiter.result(10)
        stopper.join(15)
        assert not server.alive()
