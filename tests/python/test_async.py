"""What an event loop does not wait for: scripts and whatever is in the way, and what wakes it."""

import asyncio
import os
import time

import pytest
import redis.asyncio

import pannier

SCRIPT = "local n = 0; for i = 1, 4e7 do n = n + i end; return 'done'"


@pytest.fixture
def cache():
    return pannier.Cache()


@pytest.fixture(params=[2, 3], ids=["resp2", "resp3"])
def client(request, cache):
    """Of a loop that is yet to run."""
    pool = cache.async_connection_pool(protocol=request.param, decode_responses=True)
    return redis.asyncio.Redis(connection_pool=pool)


async def goes_on_beside(slow):
    """The loop turns while that is awaited; its result."""
    longest, begin = 0.0, time.perf_counter()
    last = begin
    while not slow.done():
        await asyncio.sleep(0.001)
        now = time.perf_counter()
        longest, last = max(longest, now - last), now
    # A loop that waited for it would have had one turn, of all that time.
    assert longest < max(0.08, (last - begin) / 2), "the loop was kept waiting"
    return slow.result()


async def get(client):
    return await client.get("k")


async def write(client):
    return await client.set("other", 1), await client.hset("h", "f", 1)


async def pop(client):
    return await client.blpop("none", 0.05)


async def pipeline(client):
    async with client.pipeline() as pipeline:
        return await pipeline.set("a", 1).get("k").execute()


async def many(client):
    return await asyncio.gather(*(client.get("k") for _ in range(20)))


async def give_up(client):
    """A wait whose connection is closed."""
    popping = asyncio.ensure_future(client.blpop("none", 0))
    await asyncio.sleep(0.02)
    popping.cancel()
    await asyncio.gather(popping, return_exceptions=True)


async def subscribe(client):
    """Two requests one after the other, of which the first is not done yet."""
    async with client.pubsub() as pubsub:
        await pubsub.subscribe("news")
        await pubsub.ping()
        kinds = [(await pubsub.get_message(timeout=60))["type"] for _ in range(2)]
        # redis-py takes the plain PONG of RESP3 for a message, also from a socket.
        return [kind.replace("pong", "P") for kind in kinds]


@pytest.mark.parametrize(
    "act, result",
    [
        (get, "v"),
        (write, (True, 1)),
        (pop, None),
        (pipeline, [True, "v"]),
        (many, ["v"] * 20),
        (give_up, None),
        (subscribe, ["subscribe", "P"]),
    ],
    ids=lambda given: getattr(given, "__name__", ""),
)
def test_a_script_keeps_no_loop_waiting(client, act, result):
    async def main():
        await client.set("k", "v")
        script = asyncio.ensure_future(client.eval(SCRIPT, 0))
        await asyncio.sleep(0.02)
        acting = asyncio.ensure_future(act(client))
        assert await goes_on_beside(script) == "done"
        assert await acting == result
        await client.aclose()

    asyncio.run(main())


def test_a_wait_that_ends_beside_a_script(client):
    async def main():
        popping = asyncio.ensure_future(client.blpop("none", 0.1))
        script = asyncio.ensure_future(client.eval(SCRIPT, 0))
        # What it stood in line for is held by the script when its time is over.
        assert await goes_on_beside(script) == "done"
        assert await popping is None
        await client.aclose()

    asyncio.run(main())


def test_a_timeout_beside_a_script(client):
    async def main():
        script = asyncio.ensure_future(client.eval(SCRIPT, 0))
        await asyncio.sleep(0.02)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(client.blpop("none", 0), 0.02)
        assert not script.done()
        await script
        assert await client.rpush("none", 1) == 1
        await client.aclose()

    asyncio.run(main())


FORK = """
import asyncio, os, threading, time, pannier
cache = pannier.Cache()
endless = ("while true do end", 0)
threading.Thread(target=lambda: cache.execute("EVAL", *endless), daemon=True).start()
time.sleep(0.05)
child = os.fork()
if child == 0:
    async def main():
        client = cache.async_redis()
        await client.ping()
        asked = asyncio.ensure_future(client.hget("h", "f"))
        await asyncio.sleep(0)
        print(asked.done())

    asyncio.run(main())
    os._exit(0)
print(os.waitpid(child, 0)[1])
os._exit(0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_in_a_forked_child_nothing_is_in_the_way(in_process):
    # In the loop's thread it is done at once.
    assert in_process(FORK) == "True\n0\n"


def test_whoever_listens_sees_what_another_task_asks(client):
    async def main():
        pubsub = client.pubsub()
        await pubsub.subscribe("a")
        heard = asyncio.Queue()

        async def listen():
            async for message in pubsub.listen():
                heard.put_nowait((message["type"], message["channel"]))

        listening = asyncio.ensure_future(listen())

        async def next_heard():
            return await asyncio.wait_for(heard.get(), 10)

        assert await next_heard() == ("subscribe", "a")
        for ask in (pubsub.subscribe, pubsub.psubscribe, pubsub.unsubscribe):
            # It has had time to begin to wait.
            await asyncio.sleep(0.02)
            await ask("b")
            assert await next_heard() == (ask.__name__, "b")
        await asyncio.sleep(0.02)
        await pubsub.ping()
        assert (await next_heard())[0] in ("pong", "P")
        await asyncio.sleep(0.02)
        await pubsub.punsubscribe("b")
        await pubsub.unsubscribe("a")
        # Nothing is left to listen to.
        await asyncio.wait_for(listening, 10)
        await pubsub.aclose()
        await client.aclose()

    asyncio.run(main())
