"""Signals while a script runs in the main thread."""

import contextlib
import signal
import threading
import time

import pytest

import pannier

ENDLESS = "while true do end"
LIBRARY = "#!lua name=lib\nredis.register_function('endless', function() while true do end end)"


@pytest.fixture
def cache():
    return pannier.Cache()


class Over(Exception):
    """Raised by the handler of a signal."""


@contextlib.contextmanager
def signal_soon(seconds=0.05):
    """A signal comes, and its handler raises."""

    def over(*_):
        raise Over

    before = signal.signal(signal.SIGALRM, over)
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def killed_late(cache, seconds=15):
    """A script that goes on regardless is killed, so that a test fails and does not hang."""

    def kill():
        for kind in ("SCRIPT", "FUNCTION"):
            with contextlib.suppress(pannier.PannierError):
                cache.execute(kind, "KILL")

    timer = threading.Timer(seconds, kill)
    timer.start()
    begin = time.monotonic()
    try:
        yield
        assert time.monotonic() - begin < seconds - 1, "the script went on regardless"
    finally:
        timer.cancel()


@pytest.mark.parametrize(
    "call",
    [
        lambda cache, _, sha: cache.eval(ENDLESS, 0),
        lambda cache, _, sha: cache.evalsha(sha, 0),
        lambda cache, _, sha: cache.fcall("endless", 0),
        lambda _, client, sha: client.eval(ENDLESS, 0),
        lambda _, client, sha: client.fcall("endless", 0),
    ],
    ids=["eval", "evalsha", "fcall", "redis-py", "redis-py-fcall"],
)
def test_a_signal_ends_a_script(cache, call):
    cache.execute("FUNCTION", "LOAD", LIBRARY)
    cache.set("k", "v")
    client, sha = cache.redis(), cache.script_load(ENDLESS)
    client.ping()
    with killed_late(cache), signal_soon(), pytest.raises(Over):
        call(cache, client, sha)
    assert cache.eval("return redis.call('GET', KEYS[1])", 1, "k") == b"v"


def test_a_signal_whose_handler_raises_nothing_ends_nothing(cache):
    came = []
    before = signal.signal(signal.SIGALRM, lambda *_: came.append(1))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        script = "local n = 0; for i = 1, 4e7 do n = n + i end; return 'done'"
        assert cache.eval(script, 0) == b"done"
        assert came
    finally:
        signal.signal(signal.SIGALRM, before)


def test_a_script_that_has_written_goes_on_to_its_end(cache):
    script = """
        redis.call('SET', 'begun', 1)
        for i = 1, 1e8 do end
        redis.call('SET', 'ended', 1)
    """
    with signal_soon(), pytest.raises(Over):
        cache.eval(script, 0)
    assert cache.mget("begun", "ended") == [b"1", b"1"]


def test_an_interrupted_connection_is_not_used_again(cache):
    client = cache.redis()
    client.ping()
    with killed_late(cache), signal_soon(), pytest.raises(Over):
        client.eval(ENDLESS, 0)
    assert [client.echo(word) for word in ("a", "b")] == [b"a", b"b"]


INTERRUPTED = """
import os, signal, threading, pannier
cache = pannier.Cache()
client = cache.redis()
threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    client.eval("redis.call('SET', 'k', 1); while true do end", 0)
except KeyboardInterrupt:
    print("interrupted")
"""


def test_a_program_that_is_interrupted_ends(in_process):
    # Also beside a script that has written, which nothing else ends.
    assert in_process(INTERRUPTED) == "interrupted\n"
