"""WebSockets of the site: two ASGI processes, real clients, the channel layer between them."""

import json
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from processes import Process
from servers import eventually

HERE = Path(__file__).resolve().parent
LAYERS = {"core": "core.RedisChannelLayer", "pubsub": "pubsub.RedisPubSubChannelLayer"}


@pytest.fixture(scope="module", params=list(LAYERS))
def layer(request):
    """The name of each layer."""
    return request.param


@pytest.fixture(scope="module")
def ports(layer, _site, tmp_path_factory):
    """The ports of two processes that serve the site with this layer."""
    logs = tmp_path_factory.mktemp("uvicorn")
    line = (sys.executable, "-m", "uvicorn", "--port", "0", "--lifespan", "off")
    env = {"GUILDSITE_LAYER": LAYERS[layer]}
    started = []
    try:
        for n in range(2):
            log = logs / f"{layer}-{n}.log"
            started.append(Process((*line, "guildsite.asgi:application"), log, HERE, env))
        running = r"Uvicorn running on http://127\.0\.0\.1:(\d+)"
        yield [int(process.says(running, 30).group(1)) for process in started]
    finally:
        for process in started:
            process.kill()


@pytest.fixture
def reached(layer, raw):
    """How many subscriptions (pub/sub layer) or members (core layer) a group or channel has."""

    def count(group):
        if layer == "core":
            return raw(5).zcard(f"asgi:group:{group}")
        name = f"asgi__group__{group}"
        return dict(raw(5).pubsub_numsub(name))[name.encode()]

    return count


@pytest.fixture
def member(site, ports, layer, raw):
    """Connects as a user to one of the processes: `member("ada", 0)`."""

    def log_in(user, process=0, guild=7):
        from django.test import Client

        browser = Client()
        browser.post("/accounts/login/", {"username": user, "password": "countess"})
        cookie = {"Cookie": f"sessionid={browser.cookies['sessionid'].value}"}
        one = Member(stack.enter_context(socket(ports[process], guild, cookie)))
        welcome = one.hears()
        assert welcome["type"] == "welcome"
        if layer == "pubsub":
            channel = welcome["channel"]
            eventually(lambda: raw(5).pubsub_channels(channel) == [channel.encode()])
        return one

    with ExitStack() as stack:
        yield log_in


def socket(port, guild, headers=None):
    """A browser's socket."""
    url = f"ws://127.0.0.1:{port}/ws/guild/{guild}/"
    return connect(url, additional_headers=headers, proxy=None)


class Member:
    """Who sits at a browser's end of a socket."""

    def __init__(self, socket):
        self.socket = socket

    def does(self, do, **more):
        """Sends a request."""
        self.socket.send(json.dumps({"do": do, **more}))

    def hears(self):
        """The next message."""
        return json.loads(self.socket.recv(timeout=10))

    def leaves(self):
        """Closes the socket."""
        self.socket.close()


def said(by, text, **more):
    """What a member hears of another."""
    return {"type": "said", "by": by, "text": text, **more}


def test_who_is_not_logged_in_is_refused(site, ports):
    with pytest.raises(InvalidStatus, match="403"), socket(ports[0], 7):
        pass


def test_every_ping_extends_the_presence(member, raw):
    ada = member("ada")
    key = "site:1:ws_channel_ada"
    born = raw(1).get(key)
    assert 28 <= raw(1).ttl(key) <= 30
    for _ in range(30):
        raw(1).pexpire(key, 1500)
        ada.does("ping")
        pong = ada.hears()
        assert pong["ttl"] in (29, 30) and pong["known"] is True
    assert raw(1).get(key) == born
    raw(1).pexpire(key, 1)
    eventually(lambda: not raw(1).exists(key))
    ada.does("ping")
    assert ada.hears() == {"type": "pong", "ttl": 30, "known": False} and raw(1).get(key) == born
    ada.leaves()
    eventually(lambda: not raw(1).exists(key))


def test_a_guild_over_two_processes(member, reached):
    ada, bob, cem = member("ada", 0), member("bob", 1), member("cem", 1, guild=8)
    eventually(lambda: reached("guild-7") == 2)
    for n in range(10):
        ada.does("say", text=f"{n} ä")
        bob.does("say", text=f"{n} ö")
    for one in (ada, bob):
        heard = [one.hears() for _ in range(20)]
        for user, sign in (("ada", "ä"), ("bob", "ö")):
            mine = [m for m in heard if m["by"] == user]
            assert mine == [said(user, f"{n} {sign}") for n in range(10)], "each in order"
    cem.does("ping")
    assert cem.hears()["type"] == "pong", "the other guild heard nothing"


def test_a_whisper_finds_its_member_by_the_cache(member, raw):
    ada, bob = member("ada", 0), member("bob", 1)
    ada.does("whisper", to="bob", text="psst")
    assert bob.hears() == said("ada", "psst", only="bob")
    ada.does("whisper", to="cem", text="psst")
    assert ada.hears() == {"type": "absent", "user": "cem"}
    bob.leaves()
    eventually(lambda: not raw(1).exists("site:1:ws_channel_bob"))
    ada.does("whisper", to="bob", text="psst")
    assert ada.hears() == {"type": "absent", "user": "bob"}


def test_who_leaves_is_told_nothing_more(member, raw, reached):
    ada, bob = member("ada", 0), member("bob", 1)
    eventually(lambda: reached("guild-7") == 2)
    bob.leaves()
    eventually(lambda: reached("guild-7") == 1 and not raw(1).exists("site:1:ws_channel_bob"))
    ada.does("say", text="alone")
    assert ada.hears() == said("ada", "alone")
    assert raw(1).keys("site:1:ws_channel_*") == [b"site:1:ws_channel_ada"]


def test_a_page_tells_the_guild(member, site, layer, reached):
    from asgiref.sync import async_to_sync
    from django.utils.module_loading import import_string

    ada = member("ada", 0)
    eventually(lambda: reached("guild-7") == 1)
    outside = import_string(f"channels_redis.{LAYERS[layer]}")(hosts=[site.url(5)])
    message = {"type": "guild.said", "by": "page", "text": "saved"}
    async_to_sync(outside.group_send)("guild-7", message)
    assert ada.hears() == said("page", "saved")
