"""What a call costs from Python: in process, through redis-py, beside fakeredis and a socket.

    python benches/python/calls.py [--quick] [--record file.csv]

Every row is checked before it is timed: the call returns the right thing. One row is redis-py on a
connection that does nothing and returns a constant: what is its own in the rows below. The ways
are timed in turn, in many short rounds; a figure is the best of its rounds, because on a shared
machine noise only adds, and a short round may find a moment without it. `make bench` runs this
from the release wheel.
"""

import argparse
import asyncio
import csv
import datetime
import os
import platform
import sys
import time

import pannier
import redis
import redis.asyncio
import redis.backoff
import redis.retry

VALUE = b"x" * 64


def timed(call, count):
    """Microseconds of a call, of so many."""
    begin = time.perf_counter()
    for _ in range(count):
        call()
    return (time.perf_counter() - begin) / count * 1e6


def timed_async(coroutine, count, loop):
    async def run():
        begin = time.perf_counter()
        for _ in range(count):
            await coroutine()
        return (time.perf_counter() - begin) / count * 1e6

    return loop.run_until_complete(run())


class Nothing:
    """A pool and a connection that take no time."""

    cache, connection_kwargs, db, host, port = None, {}, 0, None, 0
    retry = redis.retry.Retry(redis.backoff.NoBackoff(), 0)

    def get_connection(self):
        return self

    def release(self, connection):
        pass

    def get_encoder(self):
        return redis.connection.Encoder("utf-8", "strict", False)

    def get_protocol(self):
        return 2

    def send_command(self, *args, **options):
        pass

    def read_response(self):
        return VALUE

    def should_reconnect(self):
        return False


def start_to_reply():
    """Microseconds from nothing to the first reply of a cache."""
    begin = time.perf_counter()
    assert pannier.Cache().execute("PING") == b"PONG"
    return (time.perf_counter() - begin) * 1e6


def ways():
    """Rows: name, target, what is timed, what it must return, calls in a round."""
    cache = pannier.Cache()
    cache.set("key", VALUE)
    local = cache.redis()
    server = pannier.Server()
    socket = server.client()
    socket.set("key", VALUE)
    nothing = redis.Redis(connection_pool=Nothing())
    loop = asyncio.new_event_loop()
    local_async = cache.async_redis()
    socket_async = server.async_client()
    yield "GET, pannier.Cache", 0.4, lambda n: timed(lambda: cache.get("key"), n), (
        lambda: cache.get("key")), 5_000
    yield "SET, pannier.Cache", None, lambda n: timed(lambda: cache.set("key", VALUE), n), (
        lambda: cache.get("key")), 5_000
    yield "GET, redis-py alone", None, lambda n: timed(lambda: nothing.get("key"), n), (
        lambda: nothing.get("key")), 500
    yield "GET, redis-py in process", 8, lambda n: timed(lambda: local.get("key"), n), (
        lambda: local.get("key")), 500
    yield "SET, redis-py in process", None, lambda n: timed(lambda: local.set("key", VALUE), n), (
        lambda: local.get("key")), 500
    yield "GET, redis-py over loopback", None, lambda n: timed(lambda: socket.get("key"), n), (
        lambda: socket.get("key")), 200
    yield "GET, redis.asyncio in process", None, (
        lambda n: timed_async(lambda: local_async.get("key"), n, loop)), (
        lambda: loop.run_until_complete(local_async.get("key"))), 500
    yield "GET, redis.asyncio over loopback", None, (
        lambda n: timed_async(lambda: socket_async.get("key"), n, loop)), (
        lambda: loop.run_until_complete(socket_async.get("key"))), 200
    try:
        import fakeredis
    except ImportError:
        print("fakeredis is not installed: left out", file=sys.stderr)
    else:
        fake = fakeredis.FakeRedis()
        fake.set("key", VALUE)
        yield "GET, fakeredis", None, lambda n: timed(lambda: fake.get("key"), n), (
            lambda: fake.get("key")), 200
    pipeline_of = 100

    def pipelined(client):
        with client.pipeline(transaction=False) as pipeline:
            for _ in range(pipeline_of):
                pipeline.get("key")
            return pipeline.execute()

    for name, client in (("pannier.Cache", cache), ("redis-py in process", local),
                         ("redis-py over loopback", socket)):
        yield f"GET in a pipeline of {pipeline_of}, {name}", None, (
            lambda n, client=client: timed(lambda: pipelined(client), n // 100) / pipeline_of), (
            lambda client=client: pipelined(client)[-1]), 500
    yield "start of a cache to its first reply", 2000, lambda n: start_to_reply(), (
        lambda: VALUE), 1


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--quick", action="store_true")
    options.add_argument("--record", help="also write a table of figures to this file")
    options = options.parse_args()
    rows = list(ways())
    for name, _, _, check, _ in rows:
        assert check() == VALUE, f"{name}: a wrong reply"
    best = {row[0]: float("inf") for row in rows}
    for _ in range(20 if options.quick else 200):
        for name, _, measure, _, count in rows:
            best[name] = min(best[name], measure(count))
    for name, _, _, check, _ in rows:
        assert check() == VALUE, f"{name}: a wrong reply afterwards"
    print(f"us a call; Python {platform.python_version()}, redis-py {redis.__version__}, "
          f"pannier {pannier.__version__}, {os.cpu_count()} processors")
    for name, target, *_ in rows:
        mark = "" if target is None else f"  target <= {target}: " + (
            "reached" if best[name] <= target else "missed")
        print(f"{name:46} {best[name]:9.2f}{mark}")
    if options.record:
        with open(options.record, "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["date", "python", "redis-py", "row", "us", "target"])
            about = [datetime.date.today(), platform.python_version(), redis.__version__]
            for name, target, *_ in rows:
                writer.writerow([*about, name, f"{best[name]:.3f}", target or ""])


if __name__ == "__main__":
    main()
