"""channels_redis: the core layer (sorted sets, blocking pops, scripts) and the pub/sub layer."""

import asyncio
import sys
import time

import pytest
from channels.exceptions import ChannelFull
from channels_redis.core import RedisChannelLayer
from channels_redis.pubsub import RedisPubSubChannelLayer

LAYERS = {"core": RedisChannelLayer, "pubsub": RedisPubSubChannelLayer}
MESSAGE = {"type": "chat.message", "text": "zwölf", "list": [12, 2.5, None, True], "b": b"\0"}


@pytest.fixture(params=list(LAYERS))
def layer(request, server):
    """Each of the layers; made inside the event loop."""
    return lambda **more: LAYERS[request.param](hosts=[server.url()], **more)


@pytest.fixture
def core(server):
    """The core layer."""
    return lambda **more: RedisChannelLayer(hosts=[server.url()], **more)


def run(main):
    """Runs a coroutine, bounded in time."""
    return asyncio.run(asyncio.wait_for(main, 30))


async def hears(layer, channel, timeout_s=10):
    """The next message of a channel."""
    return await asyncio.wait_for(layer.receive(channel), timeout_s)


async def hears_nothing(layer, channel, timeout_s=0.2):
    """Whether no message comes."""
    try:
        return not await hears(layer, channel, timeout_s)
    except asyncio.TimeoutError:
        return True


@pytest.fixture
def subscribed(client):
    """Waits for the pub/sub layer's subscription, which it requests without awaiting the reply."""

    async def wait(one, name, count=1):
        while isinstance(one, RedisPubSubChannelLayer):
            if dict(client.pubsub_numsub(name))[name] == count:
                break
            await asyncio.sleep(0.002)

    return wait


@pytest.fixture
def opened(subscribed):
    """A new channel of a layer."""

    async def open_channel(one):
        channel = await one.new_channel()
        await subscribed(one, channel)
        return channel

    return open_channel


@pytest.fixture
def joined(subscribed):
    """Adds a channel to a group."""

    async def join(one, group, channel):
        await one.group_add(group, channel)
        await subscribed(one, f"asgi__group__{group}")

    return join


# Both layers.


def test_a_message_to_a_channel(layer, opened):
    async def main():
        one = layer()
        a, b = await opened(one), await opened(one)
        await one.send(a, MESSAGE)
        await one.send(b, {"type": "b"})
        for n in range(20):
            await one.send(a, {"type": "n", "n": n})
        assert await hears(one, a) == MESSAGE and (await hears(one, b))["type"] == "b"
        assert [(await hears(one, a))["n"] for _ in range(20)] == list(range(20)), "in order"
        assert await hears_nothing(one, a) and await hears_nothing(one, b)
        await one.flush()

    run(main())


def test_who_waits_is_woken(layer, opened):
    async def main():
        one = layer()
        channels = [await opened(one) for _ in range(20)]
        waiting = [asyncio.ensure_future(hears(one, c)) for c in channels]
        await asyncio.sleep(0.1)
        assert not any(w.done() for w in waiting)
        for n, channel in enumerate(channels):
            await one.send(channel, {"type": "n", "n": n})
        assert [m["n"] for m in await asyncio.gather(*waiting)] == list(range(20))
        await one.flush()

    run(main())


def test_groups(layer, opened, joined):
    async def main():
        one = layer()
        a, b, c = [await opened(one) for _ in range(3)]
        for group, channel in (("room", a), ("room", b), ("room", b), ("other", c)):
            await joined(one, group, channel)
        await one.group_send("room", MESSAGE)
        await one.send(b, {"type": "end"})
        assert await hears(one, a) == MESSAGE and await hears(one, b) == MESSAGE
        assert (await hears(one, b))["type"] == "end", "once, though it was added twice"
        await one.group_send("other", {"type": "x"})
        assert (await hears(one, c))["type"] == "x"
        await one.group_discard("room", a)
        await one.group_discard("room", "specific.never.there!x")
        await one.group_send("room", {"type": "second"})
        assert (await hears(one, b))["type"] == "second" and await hears_nothing(one, a)
        await one.group_send("empty", {"type": "to nobody"})
        await one.flush()

    run(main())


def test_a_group_of_a_hundred(layer, opened, joined):
    async def main():
        one = layer()
        channels = [await opened(one) for _ in range(100)]
        for channel in channels:
            await joined(one, "guild", channel)
        for n in range(5):
            await one.group_send("guild", {"type": "n", "n": n})
        for channel in channels:
            assert [(await hears(one, channel))["n"] for _ in range(5)] == list(range(5))
        await one.flush()

    run(main())


def test_two_processes(request, layer, server, spawn, opened, joined, subscribed):
    kind = request.node.callspec.params["layer"]

    async def main():
        one = layer()
        mine = await opened(one)
        await joined(one, "room-parent", mine)
        line = (sys.executable, "channels_peer.py", server.url(), kind, "room")
        peers = [spawn(*line) for _ in range(2)]
        hellos = [await hears(one, mine, 20) for _ in peers]
        assert {h["pid"] for h in hellos} == {p.process.pid for p in peers}
        await subscribed(one, "asgi__group__room", 2)
        for n in range(10):
            await one.group_send("room", {"type": "n", "n": n})
        heard = [await hears(one, mine) for _ in range(20)]
        for hello in hellos:
            got = [m["heard"]["n"] for m in heard if m["pid"] == hello["pid"]]
            assert got == list(range(10))
        first = hellos[0]
        await one.send(first["channel"], {"type": "whisper"})
        echo = await hears(one, mine)
        assert echo["pid"] == first["pid"] and echo["heard"] == {"type": "whisper"}
        await one.group_send("room", {"type": "stop"})
        assert [(await hears(one, mine))["type"] for _ in peers] == ["bye", "bye"]
        assert [p.wait(10) for p in peers] == [0, 0]
        await one.flush()

    run(main())


# The core layer.


def test_capacity(core, client):
    async def main():
        one = core(capacity=3, channel_capacity={"http.*": 1})
        for _ in range(3):
            await one.send("jobs", {"type": "x"})
        with pytest.raises(ChannelFull):
            await one.send("jobs", {"type": "x"})
        await one.send("http.request", {"type": "x"})
        with pytest.raises(ChannelFull):
            await one.send("http.request", {"type": "x"})
        assert (await hears(one, "jobs"))["type"] == "x"
        await one.wait_received()
        await one.send("jobs", {"type": "room again"})
        assert client.zcard("asgijobs") == 3
        await one.flush()

    run(main())


def test_a_group_send_passes_over_full_channels(core):
    async def main():
        one, other = core(capacity=2), core(capacity=2)  # one process-local queue each
        full, free = await one.new_channel(), await other.new_channel()
        for channel in (full, free):
            await one.group_add("room", channel)
        for _ in range(2):
            await one.send(full, {"type": "old"})
        await one.group_send("room", {"type": "news"})
        assert (await hears(other, free))["type"] == "news"
        assert [(await hears(one, full))["type"] for _ in range(2)] == ["old", "old"]
        assert await hears_nothing(one, full)
        await one.flush(), await other.flush()

    run(main())


def test_the_default_capacity_of_a_site(core, client):
    async def main():
        one = core(capacity=1500)
        for start in range(0, 1500, 100):
            await asyncio.gather(*(one.send("jobs", {"n": start + n}) for n in range(100)))
        with pytest.raises(ChannelFull):
            await one.send("jobs", {"n": 1500})
        assert client.zcard("asgijobs") == 1500
        got = {(await hears(one, "jobs"))["n"] for _ in range(200)}
        assert len(got) == 200
        await one.flush()

    run(main())


def test_messages_expire(core, client):
    async def main():
        one = core(expiry=1)
        await one.send("jobs", {"type": "old"})
        assert 0 < client.pttl("asgijobs") <= 1000
        began = time.monotonic()
        while client.exists("asgijobs"):
            assert time.monotonic() - began < 5
            await asyncio.sleep(0.02)
        assert await hears_nothing(one, "jobs")
        await one.flush()

    run(main())


def test_old_messages_go_when_a_new_one_comes(core, server):
    async def main():
        one = core(expiry=60)
        with server.client(decode_responses=False) as raw:
            await one.send("jobs", {"type": "old"})
            ((member, sent),) = raw.zrange("asgijobs", 0, -1, withscores=True)
            assert abs(sent - time.time()) < 10
            raw.zadd("asgijobs", {member: sent - 120})
            await one.send("jobs", {"type": "new"})
            assert raw.zcard("asgijobs") == 1 and raw.ttl("asgijobs") in (59, 60)
        assert (await hears(one, "jobs"))["type"] == "new"
        await one.flush()

    run(main())


def test_memberships_expire(core, client):
    async def main():
        one = core()
        old, new = await one.new_channel(), await one.new_channel()
        await one.group_add("room", old)
        assert 86_390 < client.ttl("asgi:group:room") <= 86_400
        client.zincrby("asgi:group:room", -90_000, old)
        await one.group_add("room", new)
        await one.group_send("room", {"type": "news"})
        assert (await hears(one, new))["type"] == "news" and await hears_nothing(one, old)
        assert client.zrange("asgi:group:room", 0, -1) == [new]
        short = core(group_expiry=1)
        await short.group_add("brief", new)
        began = time.monotonic()
        while client.exists("asgi:group:brief"):
            assert time.monotonic() - began < 5
            await asyncio.sleep(0.02)
        await short.group_send("brief", {"type": "x"})
        assert await hears_nothing(one, new)
        await one.flush(), await short.flush()

    run(main())


def test_who_stops_waiting_loses_no_message(core, client):
    async def main():
        one = core()
        for turn in range(10):
            waiting = asyncio.ensure_future(one.receive("jobs"))
            await asyncio.sleep(0.002 * turn)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            await one.send("jobs", {"type": "n", "n": turn})
            assert (await hears(one, "jobs"))["n"] == turn
        await one.wait_received()
        assert client.keys("asgijobs*") == []
        await one.flush()

    run(main())


def test_several_workers_share_a_channel(core, client):
    async def main():
        workers = [core(capacity=1000) for _ in range(5)]
        sender = core(capacity=1000)
        got = []

        async def work(one):
            while True:
                got.append((await one.receive("jobs"))["n"])

        tasks = [asyncio.ensure_future(work(one)) for one in workers]
        for n in range(200):
            await sender.send("jobs", {"n": n})
        while len(set(got)) < 200:
            await asyncio.sleep(0.01)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # A worker gives back what another has just taken and not yet cleaned up, so more than
        # once is possible, less is not.
        assert set(got) == set(range(200))
        for one in [*workers, sender]:
            await one.wait_received()
            await one.flush()

    run(main())


def test_two_databases_as_two_hosts(server, client):
    async def main():
        one = RedisChannelLayer(hosts=[server.url(0), server.url(1)], prefix="two")
        channels = [await one.new_channel() for _ in range(10)]
        for channel in channels:
            await one.group_add("room", channel)
        await one.group_send("room", {"type": "news"})
        assert [(await hears(one, c))["type"] for c in channels] == ["news"] * 10
        await one.flush()

    run(main())


# The pub/sub layer.


def test_a_channel_that_nobody_waits_for_is_unsubscribed(server, client):
    async def main():
        one = RedisPubSubChannelLayer(hosts=[server.url()])
        channel = await one.new_channel()
        while client.pubsub_channels() != [channel]:
            await asyncio.sleep(0.01)
        assert await hears_nothing(one, channel)
        while client.pubsub_channels():
            await asyncio.sleep(0.01)
        await one.flush()

    run(main())


def test_the_subscriber_returns_after_its_connection_was_killed(server, client, opened, joined):
    async def main():
        one = RedisPubSubChannelLayer(hosts=[server.url()])
        channel = await opened(one)
        await joined(one, "room", channel)
        await one.group_send("room", {"type": "before"})
        assert (await hears(one, channel))["type"] == "before"
        assert client.client_kill_filter(_type="pubsub") == 1
        while dict(client.pubsub_numsub("asgi__group__room"))["asgi__group__room"] == 0:
            await asyncio.sleep(0.02)
        await one.group_send("room", {"type": "after"})
        assert (await hears(one, channel))["type"] == "after"
        await one.flush()

    run(main())
