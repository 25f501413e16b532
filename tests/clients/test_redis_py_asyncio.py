"""redis-py's asyncio client, over every way in, protocol and parser."""

import asyncio

import pytest
import redis
import redis.asyncio as aio

from variants import redis_py_options


@pytest.fixture
def pool(server, variant):
    """Makes pools; called inside the event loop."""

    def make(kind=aio.ConnectionPool, **more):
        options = redis_py_options(server, variant, asyncio=True)
        connection = aio.UnixDomainSocketConnection if "path" in options else aio.Connection
        return kind(connection_class=connection, decode_responses=True, **options, **more)

    return make


def test_commands(pool):
    async def main():
        async with aio.Redis(connection_pool=pool()) as r:
            assert await r.set("k", "v", px=50_000, get=True) is None
            assert await r.get("k") == "v" and 0 < await r.pttl("k") <= 50_000
            assert await r.mset({"a": 1, "b": 2})
            assert await r.mget("a", "x", "b") == ["1", None, "2"]
            assert await r.incrby("a", 41) == 42 and await r.incrbyfloat("b", 0.5) == 2.5
            assert await r.setbit("bits", 3, 1) == 0 and await r.bitcount("bits") == 1
            assert await r.copy("a", "c") and await r.rename("c", "d") and await r.delete("d") == 1
            assert (await r.info("keyspace"))["db0"]["keys"] == 4
            assert (await r.config_get("databases")) == {"databases": "16"}
            assert (await r.client_info())["db"] in (0, "0")
            with pytest.raises(redis.ResponseError, match="not an integer"):
                await r.incr("k")
            await r.connection_pool.disconnect()

    asyncio.run(main())


def test_a_scan(pool):
    async def main():
        async with aio.Redis(connection_pool=pool()) as r:
            await r.mset({f"k:{n}": n for n in range(1000)})
            found = {key async for key in r.scan_iter(match="k:*", count=30)}
            assert found == {f"k:{n}" for n in range(1000)}
            await r.connection_pool.disconnect()

    asyncio.run(main())


def test_a_pipeline(pool):
    async def main():
        async with aio.Redis(connection_pool=pool()) as r:
            async with r.pipeline(transaction=False) as p:
                for n in range(2000):
                    p.set(f"k{n}", n).get(f"k{n}")
                replies = await p.execute()
            assert replies[1::2] == [str(n) for n in range(2000)]
            await r.connection_pool.disconnect()

    asyncio.run(main())


def test_a_transaction(pool):
    async def main():
        async with aio.Redis(connection_pool=pool()) as r:
            async with r.pipeline(transaction=True) as p:
                assert await p.set("k", 1).incr("k").execute() == [True, 2]
            await r.connection_pool.disconnect()

    asyncio.run(main())


def test_two_hundred_tasks_on_a_pool_of_fifty(pool):
    async def main():
        connections = pool(aio.BlockingConnectionPool, max_connections=50, timeout=20)
        async with aio.Redis(connection_pool=connections) as r:

            async def work(n):
                for turn in range(4):
                    await r.incr("shared")
                    await r.set(f"own:{n}", turn)
                    assert await r.get(f"own:{n}") == str(turn)

            await asyncio.gather(*(work(n) for n in range(200)))
            assert await r.get("shared") == "800"
            assert (await r.info("clients"))["connected_clients"] <= 51
            await connections.disconnect()

    asyncio.run(main())


def test_a_cancelled_request_does_not_mix_up_replies(pool):
    async def main():
        connections = pool(aio.BlockingConnectionPool, max_connections=4, timeout=20)
        async with aio.Redis(connection_pool=connections) as r:
            await r.mset({f"k{n}": n for n in range(50)})
            for turn in range(30):
                tasks = [asyncio.create_task(r.get(f"k{n}")) for n in range(50)]
                await asyncio.sleep(0.0005 * (turn % 4))
                for task in tasks[::3]:
                    task.cancel()
                answers = await asyncio.gather(*tasks, return_exceptions=True)
                for n, answer in enumerate(answers):
                    assert answer == str(n) or isinstance(answer, asyncio.CancelledError), answer
            await connections.disconnect()

    asyncio.run(main())


def test_a_password(launch):
    server = launch(password="s3cret")

    async def main():
        async with aio.from_url(server.url(2)) as r:
            assert await r.set("k", "v") and (await r.client_info())["db"] in (2, "2")
        async with aio.Redis(port=server.port, password="wrong", retry=None) as r:
            with pytest.raises(redis.AuthenticationError, match="invalid username-password pair"):
                await r.ping()

    asyncio.run(main())
