"""Unmodified redis-py on a cache in this process, sync and asyncio, under both protocols."""

import asyncio
import threading
import time

import pytest
import redis
import redis.asyncio
from redis.backoff import NoBackoff
from redis.retry import Retry

import pannier


@pytest.fixture
def cache():
    return pannier.Cache()


@pytest.fixture(params=[2, 3], ids=["resp2", "resp3"])
def protocol(request):
    return request.param


@pytest.fixture
def client(cache, protocol):
    return redis.Redis(connection_pool=cache.connection_pool(protocol=protocol))


@pytest.fixture
def text(cache, protocol):
    return cache.redis(protocol=protocol, decode_responses=True)


def replies(client):
    """What a redis-py client makes of a bit of everything."""
    client.flushall()
    return [
        client.ping(),
        client.echo("hi"),
        client.set("k", "v", ex=100),
        client.set("k", "w", nx=True),
        client.get("k"),
        client.get("nothing"),
        client.ttl("k"),
        client.type("k"),
        client.mset({"a": 1, "b": 2.5, b"c": b"\x00"}),
        client.mget("a", "b", "c", "d"),
        client.incr("a", 41),
        client.hset("h", mapping={"f": "v", "g": 1}),
        client.hgetall("h"),
        client.sadd("s", "x"),
        client.smembers("s"),
        client.zadd("z", {"m": 1.5, "n": 2}),
        client.zrange("z", 0, -1, withscores=True),
        client.zscore("z", "m"),
        client.zpopmin("z"),
        client.rpush("l", 1, 2, 3),
        client.lrange("l", 0, -1),
        client.blpop(["nothing", "l"], timeout=1),
        client.scan(count=100)[0],
        sorted(client.scan_iter("[abc]")),
        client.xadd("x", {"f": "v"}, id="1-1"),
        client.xrange("x"),
        client.xread({"x": 0}),
        client.config_get("maxentries*"),
        client.eval("return {1, 'a', false, {2}}", 0),
        client.geoadd("geo", (13.361389, 38.115556, "Palermo")),
        client.geopos("geo", "Palermo", "nowhere"),
        client.object("encoding", "a"),
        client.script_exists("0" * 40),
        client.pubsub_numsub("c"),
        client.getrange("k", 0, 0),
        client.delete("k", "a", "nothing"),
        client.info("keyspace").keys(),
        client.command_count() > 100,
        client.acl_whoami() if False else None,
    ]


@pytest.mark.parametrize("decode", [False, True])
def test_replies_are_those_of_a_socket(cache, server, protocol, decode):
    options = {"protocol": protocol, "decode_responses": decode}
    assert replies(cache.redis(**options)) == replies(server.client(**options))


def test_errors_are_redis_pys(client):
    client.rpush("l", 1)
    with pytest.raises(redis.ResponseError, match="WRONGTYPE|wrong kind"):
        client.incr("l")
    with pytest.raises(redis.exceptions.NoScriptError):
        client.evalsha("0" * 40, 0)
    with pytest.raises(redis.DataError):
        client.set("k", None)
    with pytest.raises(redis.DataError):
        client.pipeline().set("k", None).execute()
    assert client.ping()


def test_pipelines_and_transactions(client):
    with client.pipeline() as pipeline:
        assert pipeline.set("a", 1).incr("a").hgetall("h").execute() == [True, 2, {}]
    with client.pipeline(transaction=False) as pipeline:
        for number in range(5000):
            pipeline.set(number, "x" * 100)
        assert pipeline.execute() == [True] * 5000
    with client.pipeline() as pipeline:
        pipeline.set("a", "text").incr("a")
        with pytest.raises(redis.ResponseError, match="Command # 2"):
            pipeline.execute()
    with client.pipeline() as pipeline:
        pipeline.watch("a")
        client.set("a", 5)
        pipeline.multi()
        pipeline.set("a", 6)
        with pytest.raises(redis.WatchError):
            pipeline.execute()


    def add(pipeline):
        pipeline.multi()
        pipeline.incr("a")

    assert client.transaction(add, "a") == [6]


def test_pubsub(text, protocol):
    with text.pubsub() as pubsub:
        pubsub.subscribe("news", **{"other": lambda message: None})
        pubsub.psubscribe("n*")
        kinds = [pubsub.get_message(timeout=1)["type"] for _ in range(3)]
        assert kinds == ["subscribe", "subscribe", "psubscribe"]
        assert text.publish("news", "hello") == 2
        first, second = pubsub.get_message(timeout=1), pubsub.get_message(timeout=1)
        assert (first["type"], first["channel"], first["data"]) == ("message", "news", "hello")
        assert (second["type"], second["pattern"]) == ("pmessage", "n*")
        begin = time.monotonic()
        assert pubsub.get_message(timeout=0.05) is None
        assert time.monotonic() - begin >= 0.04
        threading.Timer(0.05, text.publish, ("news", "late")).start()
        assert next(message for message in pubsub.listen())["data"] == "late"
        assert pubsub.get_message(timeout=1)["type"] == "pmessage"
        pubsub.ping()
        # redis-py takes the plain PONG of RESP3 for a message, also from a socket.
        assert pubsub.get_message(timeout=1)["type"] == ("pong" if protocol == 2 else "P")
    assert text.pubsub_numsub("news") == [("news", 0)]


def test_pubsub_in_a_thread(text):
    came = threading.Event()
    with text.pubsub() as pubsub:
        pubsub.subscribe(news=lambda message: came.set())
        thread = pubsub.run_in_thread(sleep_time=0.05, daemon=True)
        text.publish("news", "x")
        assert came.wait(5)
        thread.stop()
        thread.join(5)


def test_a_command_that_waits(client):
    threading.Timer(0.05, client.rpush, ("jobs", "a")).start()
    assert client.blpop("jobs", timeout=10) in ((b"jobs", b"a"), [b"jobs", b"a"])
    begin = time.monotonic()
    assert client.blpop("jobs", timeout=0.05) is None
    assert 0.04 < time.monotonic() - begin < 5


def test_the_socket_timeout_holds_here_too(cache, protocol):
    client = cache.redis(protocol=protocol, socket_timeout=0.05, retry=Retry(NoBackoff(), 0))
    with pytest.raises(redis.TimeoutError):
        client.blpop("jobs", timeout=0)
    assert client.rpush("jobs", "x") == 1
    assert client.blpop("jobs", timeout=0) is not None


def test_a_connection_that_is_killed_is_replaced(client):
    client.ping()
    assert client.client_kill_filter(_type="normal", skipme=False) >= 1
    assert client.ping()


def test_a_pool_has_its_limit_and_its_connections_end(cache, protocol):
    pool = cache.connection_pool(protocol=protocol, max_connections=2)
    client = redis.Redis(connection_pool=pool)
    held = [pool.get_connection() for _ in range(2)]
    with pytest.raises(redis.ConnectionError):
        client.ping()
    for connection in held:
        pool.release(connection)
    assert client.ping() and len(client.client_list()) == 2
    held = pool.get_connection()
    held.send_command("PING")  # and nobody reads the reply
    pool.release(held)
    assert client.echo("mine") == b"mine"
    client.close()
    pool.disconnect()
    assert "embedded" not in str(cache.execute("CLIENT", "LIST"))


def test_names_libraries_and_databases(cache, protocol):
    client = cache.redis(protocol=protocol, client_name="me", health_check_interval=1)
    assert client.client_getname() in (b"me", "me")
    own = client.client_info()
    assert own["lib-name"].startswith("redis-py") and own["name"] == "me"
    other = cache.at(2).redis(protocol=protocol)
    other.set("k", "two")
    assert cache.at(2).get("k") == b"two" and client.get("k") is None
    assert cache.redis(db=2, protocol=protocol).get("k") == b"two"


def test_many_threads(client):
    def work():
        for _ in range(100):
            client.incr("count")
            with client.pipeline() as pipeline:
                pipeline.incr("a").decr("a").execute()

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (client.get("count"), client.get("a")) == (b"600", b"0")


def test_locks_and_scripts(client):
    with client.lock("l", timeout=5) as lock:
        assert lock.owned() and not client.lock("l").acquire(blocking=False)
        assert lock.extend(5)
    double = client.register_script("return 2 * ARGV[1]")
    assert double(args=[21]) == 42
    with client.monitor() as monitor:
        client.set("k", "v")
        while (seen := monitor.next_command()["command"]) != "SET k v":
            assert seen.startswith(("HELLO", "CLIENT"))


def test_a_single_connection_client(cache, protocol):
    with redis.Redis(
        connection_pool=cache.connection_pool(protocol=protocol), single_connection_client=True
    ) as client:
        assert client.client_id() == client.client_id()


def test_what_is_no_text_is_an_error_and_nothing_waits(cache, text):
    cache.set("k", b"\xff")
    for _ in range(2):
        with pytest.raises(UnicodeDecodeError):
            text.get("k")
        with pytest.raises(UnicodeDecodeError):
            text.mget("k")
    assert text.set("k", "text") and text.get("k") == "text"
    assert text.dump("k").startswith(b"\x00")


def test_a_get_is_its_connections(cache, protocol):
    cache.set("k", "v")
    connection = cache.connection_pool(protocol=protocol, client_name="me").get_connection()

    def ask(*args):
        connection.send_command(*args)
        return connection.read_response()

    assert ask("GET", "k") == b"v" and ask("SET", "n", 1) == b"OK"
    assert b"cmd=set" in next(
        line for line in cache.execute("CLIENT", "LIST").splitlines() if b"name=me" in line
    )
    assert [ask("MULTI"), ask("GET", "k"), ask("SET", "k", 2)] == [b"OK", b"QUEUED", b"QUEUED"]
    assert ask("EXEC") == [b"v", b"OK"]
    assert ask("SELECT", 3) == b"OK" and ask("GET", "k") is None
    assert ask("SET", "k", "three") == b"OK" and cache.at(3).get("k") == b"three"
    with cache.recorder() as seen:
        ask("GET", "k")
    assert len(seen.find(client="me")) == 1
    ask("WATCH", "k")
    assert ask("SET", "k", "own") == b"OK"
    assert ask("MULTI") == b"OK" and ask("EXEC") is None
    connection.send_command("GET", "k")
    connection.send_command("GET", "n")
    assert (connection.read_response(), connection.read_response()) == (b"own", None)
    with pytest.raises(redis.DataError):
        ask("SET", "k", None)
    assert ask("GET", "k") == b"own"
    cache.rpush("list", 1)
    cache.at(3).rpush("list", 1)
    with pytest.raises(redis.ResponseError, match="WRONGTYPE|wrong kind"):
        ask("GET", "list")
    connection.disconnect()


def test_other_encodings(cache, protocol):
    client = cache.redis(protocol=protocol, encoding="latin-1", decode_responses=True)
    client.set("k", "ä")
    assert client.get("k") == "ä"
    assert "ä".encode("latin-1") in cache.mget(cache.keys())


def test_client_side_caching(cache):
    client = cache.redis(protocol=3, cache_config=redis.cache.CacheConfig())
    client.set("k", 1)
    assert client.get("k") == client.get("k") == b"1"
    cache.set("k", 2)
    assert client.get("k") == b"2"


def test_a_pool_by_url():
    from pannier.transport import ConnectionPool

    first = redis.Redis(connection_pool=ConnectionPool.from_url("pannier://transport-test/1"))
    first.set("k", "v")
    second = ConnectionPool.from_url("pannier://transport-test/1", decode_responses=True)
    assert redis.Redis(connection_pool=second).get("k") == "v"


GEVENT = """
from gevent import monkey; monkey.patch_all()
import gevent, pannier
cache = pannier.Cache()
client = cache.redis(decode_responses=True)
waiting = [gevent.spawn(client.blpop, "jobs", timeout=5) for _ in range(5)]
pubsub = client.pubsub(ignore_subscribe_messages=True)
pubsub.subscribe("news")
told = gevent.spawn(lambda: next(m for m in pubsub.listen() if m["type"] == "message")["data"])
gevent.sleep(0.05)
for number in range(5):
    client.rpush("jobs", number)
client.publish("news", "hello")
gevent.joinall([*waiting, told], timeout=10, raise_error=True)
print(sorted(done.value[1] for done in waiting), told.value, client.blpop("jobs", timeout=0.05))
"""


def test_greenlets_wait_for_each_other(in_process):
    assert in_process(GEVENT) == "['0', '1', '2', '3', '4'] hello None\n"


def run(main):
    """Runs a coroutine function and ends what it leaves."""
    return asyncio.run(main())


class TestAsyncio:
    @pytest.fixture
    def make(self, cache, protocol):
        def make(**options):
            pool = cache.async_connection_pool(protocol=protocol, **options)
            return redis.asyncio.Redis(connection_pool=pool)

        return make

    def test_commands(self, make):
        async def main():
            client = make()
            assert await client.set("k", "v", ex=5)
            assert await client.get("k") == b"v"
            assert await client.hset("h", mapping={"a": 1}) == 1
            assert await client.hgetall("h") == {b"a": b"1"}
            with pytest.raises(redis.ResponseError):
                await client.incr("h")
            with pytest.raises(redis.DataError):
                await client.set("k", None)
            numbers = await asyncio.gather(*(client.incr("n") for _ in range(100)))
            assert sorted(numbers) == list(range(1, 101))
            assert sorted([key async for key in client.scan_iter()]) == [b"h", b"k", b"n"]
            await client.aclose()

        run(main)

    def test_pipelines(self, make):
        async def main():
            client = make(decode_responses=True)
            async with client.pipeline() as pipeline:
                assert await pipeline.set("a", 1).incr("a").get("a").execute() == [True, 2, "2"]
            async with client.pipeline() as pipeline:
                await pipeline.watch("a")
                await client.set("a", 5)
                pipeline.multi()
                pipeline.set("a", 6)
                with pytest.raises(redis.WatchError):
                    await pipeline.execute()
            await client.aclose()

        run(main)

    def test_waiting_leaves_the_loop_free(self, make):
        async def main():
            client = make()
            waiting = [asyncio.ensure_future(client.blpop("jobs", timeout=10)) for _ in range(5)]
            ticks = 0
            for _ in range(10):
                await asyncio.sleep(0.002)
                ticks += 1
            assert ticks == 10 and not any(one.done() for one in waiting)
            # from another thread, as a server's worker would
            await asyncio.get_running_loop().run_in_executor(
                None, lambda: pannier_push(client, 5)
            )
            got = await asyncio.wait_for(asyncio.gather(*waiting), 5)
            assert sorted(bytes(pair[1]) for pair in got) == [b"0", b"1", b"2", b"3", b"4"]
            begin = time.monotonic()
            assert await client.blpop("jobs", timeout=0.05) is None
            assert 0.04 < time.monotonic() - begin < 5
            await client.aclose()

        def pannier_push(client, count):
            cache = client.connection_pool.connection_kwargs["pannier"]
            for number in range(count):
                cache.rpush("jobs", number)

        run(main)

    def test_pubsub(self, make):
        async def main():
            client = make(decode_responses=True)
            async with client.pubsub() as pubsub:
                await pubsub.subscribe("news")
                assert (await pubsub.get_message(timeout=1))["type"] == "subscribe"
                assert await client.publish("news", "hello") == 1
                assert (await pubsub.get_message(timeout=1))["data"] == "hello"
                assert await pubsub.get_message(timeout=0.02) is None
                later = asyncio.get_running_loop().call_later
                later(0.02, lambda: asyncio.ensure_future(client.publish("news", "late")))
                async for message in pubsub.listen():
                    assert message["data"] == "late"
                    break
            await client.aclose()

        run(main)

    def test_timeouts(self, make):
        async def main():
            client = make(socket_timeout=0.05, retry=redis.asyncio.retry.Retry(NoBackoff(), 0))
            with pytest.raises(redis.TimeoutError):
                await client.blpop("jobs", timeout=0)
            assert await client.ping()
            await client.aclose()

        run(main)

    def test_a_cancelled_wait_leaves_a_usable_client(self, make):
        async def main():
            client = make()
            waiting = asyncio.ensure_future(client.blpop("jobs", timeout=0))
            await asyncio.sleep(0.02)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert await client.rpush("jobs", 1) == 1
            assert await client.llen("jobs") == 1
            await client.aclose()

        run(main)

    def test_a_long_script_leaves_the_loop_free(self, make):
        script = "local n = 0; for i = 1, 3e7 do n = n + i end; return ARGV[1]"

        async def goes_on_beside(waiting):
            longest, last = 0.0, time.perf_counter()
            begin = last
            while not waiting.done():
                await asyncio.sleep(0.001)
                now = time.perf_counter()
                longest, last = max(longest, now - last), now
            # A loop that waited for it would have had one turn, of all that time.
            return longest < (last - begin) / 2

        async def main():
            client = make(decode_responses=True)
            first = asyncio.ensure_future(client.eval(script, 0, "done"))
            assert await goes_on_beside(first) and first.result() == "done"
            async with client.pipeline() as pipeline:
                first = asyncio.ensure_future(pipeline.eval(script, 0, "piped").execute())
                assert await goes_on_beside(first) and first.result() == ["piped"]
            # Its connection is given up while it runs; the others go on.
            first = asyncio.ensure_future(client.eval(script, 0, "never"))
            await asyncio.sleep(0.01)
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            assert await client.eval("return 'next'", 0) == "next"
            await client.aclose()

        run(main)

    def test_much_data_leaves_the_loop_free(self, make):
        async def main():
            client = make()
            cache = client.connection_pool.connection_kwargs["pannier"]
            for start in range(0, 300_000, 10_000):
                cache.sadd("a", *range(start, start + 10_000))
            waiting = asyncio.ensure_future(client.sunionstore("b", ["a"]))
            await asyncio.sleep(0)
            # In the loop's thread it would have been done by now.
            assert not waiting.done()
            assert await waiting == 300_000
            assert await asyncio.gather(*(client.hgetall("h") for _ in range(20))) == [{}] * 20
            await client.aclose()

        run(main)
