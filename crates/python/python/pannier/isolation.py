"""What one test of many on the same engine leaves behind, and how the next is spared it.

Data, scripts, functions and configuration come back by a checkpoint. The rest is not data: faults,
the clock, a pause, and sessions that act although nobody speaks for them any more, because they
wait for data, listen to channels, or watch what others do. A test that fails half-way leaves all
of that, so nothing here depends on its having said anything.

Rules: what was there before the test stays, since fixtures of a wider scope have set it up.
Sessions that are merely open stay as well: pools of clients keep them, they harm nobody, and to
connect anew would cost every test a millisecond. Faults go first, or they would hit what follows;
the clock before the data, which would expire at a time that never was.

Neighbour: `pannier.pytest_plugin`, which does this for each test. Tests:
`tests/python/test_plugin.py`.
"""

from __future__ import annotations

import gc
import re
import time
from typing import Any, Iterator, Optional, Tuple

from . import _native
from .cache import Cache, as_error
from .clock import SAME_S
from .exceptions import PannierError
from .faults import Faults
from .pubsub import Message, PubSub
from .server import Server

__all__ = ["Before", "Site", "numbers_of", "remove_faults"]


class Before:
    """An engine as it is now: `restore()` makes it so again."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._checkpoint = cache.checkpoint()
        self._faults = numbers_of(cache.faults())
        self._clients = dict(_clients(cache))
        self._frozen, self._now, self._ahead = _time(cache) or (False, 0.0, 0.0)

    def restore(self) -> None:
        """Brings everything back that a test can have changed."""
        try:
            remove_faults(self._cache.faults(), self._faults)
            if _unpause(self._cache):
                self._end_sessions()
            self._set_clock()
        finally:
            self._checkpoint.rollback(config=True)
            self._checkpoint.release()

    def _end_sessions(self) -> None:
        restless = self._restless()
        if not restless:
            return
        self._cache.execute_raw("CLIENT", "KILL", "ID", *restless)
        _close_here({int(number) for number in restless})
        # One on a socket leaves its channels on a thread of the server's.
        for _ in range(LOOKS):
            if not _is_heard_by_the_dead(self._cache):
                return
            time.sleep(0.001)

    def _restless(self) -> "list[bytes]":
        """Sessions that the test has left acting, or acted upon, without being asked. One of before
        may wait: it belongs to a worker that looks again and again. But it does not listen now if
        it did not then."""
        found = []
        for number, flags in _clients(self._cache):
            before = self._clients.get(number)
            acting = RESTLESS.intersection(flags)
            if before is not None:
                acting -= WAITING.union(before)
            if acting:
                found.append(number)
        return found

    def _set_clock(self) -> None:
        found = _time(self._cache)
        if found is None:
            return
        clock, (frozen, now, ahead) = self._cache.clock, found
        if self._frozen:
            clock.freeze()
            clock.set(self._now)
        elif frozen or abs(ahead - self._ahead) > SAME_S:
            clock.set(_native.unix_time() + self._ahead)
            clock.resume()


class Site:
    """An engine and the server that lets clients reach it, which is started anew when it ended."""

    def __init__(self, options: "dict[str, Any]") -> None:
        self._options = options
        self._server = Server(**options)
        #: The engine, which outlives its servers.
        self.cache = self._server.cache()

    @property
    def server(self) -> Server:
        """One that runs, at the address of the first if nobody else has taken it."""
        old = self._server
        if not old.running:
            old.stop()
            own = {name: value for name, value in self._options.items() if _is_of_sockets(name)}
            # Without TCP there is no port to keep.
            kept = {**own, "port": old.port} if old.port else own
            try:
                self._server = Server(cache=self.cache, **kept)
            except OSError:
                self._server = Server(cache=self.cache, **own)
        return self._server

    def stop(self) -> None:
        """Ends the server."""
        self._server.stop()


def numbers_of(faults: Faults) -> "set[int]":
    """What the rules in force are known by."""
    return {fault.number for fault in faults}


def remove_faults(faults: Faults, kept: "set[int]") -> None:
    """Removes the rules that are not among those to be kept."""
    for fault in list(faults):
        if fault.number not in kept:
            fault.remove()


def _unpause(cache: Cache) -> bool:
    """Ends a pause. One that holds everything back holds CLIENT UNPAUSE back, too: so the clock is
    moved until it is over, if it can be."""
    client = cache.connect(None, as_error, Message)
    try:
        client.send("CLIENT", "UNPAUSE")
        for span in PAUSES_S:
            if client.wait(0):
                return True
            cache.clock.advance(span)
        return client.wait(0)
    except PannierError:
        return False
    finally:
        client.close()


def _clients(cache: Cache) -> "Iterator[Tuple[bytes, bytes]]":
    """Numbers and flags of all sessions."""
    listed = cache.execute_raw("CLIENT", "LIST")
    return ((found[1], found[2]) for found in CLIENT.finditer(listed))


def _close_here(numbers: "set[int]") -> None:
    """Closes killed sessions that have no socket. They hear of their end when their owner looks,
    and the owner may never; nobody but the collector knows who that is."""
    for found in gc.get_objects():
        # Not isinstance(), for which objects may do anything.
        kind = type(found)
        if issubclass(kind, PubSub):
            client = getattr(found, "_client", None)
        elif issubclass(kind, _native.Connection):
            client = found._sock
        else:
            continue
        if isinstance(client, _native.Client) and client.is_here and client.id in numbers:
            client.close()


def _is_heard_by_the_dead(cache: Cache) -> bool:
    """Whether a channel or pattern has a subscriber that is not listed any more."""
    lines = list(CLIENT.finditer(cache.execute_raw("CLIENT", "LIST")))
    here = cache.at(cache.db, decode_responses=False)
    told = sum(count for _, count in here.pubsub_numsub(*here.pubsub_channels()))
    if told != sum(int(line[3]) for line in lines):
        return True
    return bool(cache.pubsub_numpat()) and not any(int(line[4]) for line in lines)


def _time(cache: Cache) -> "Optional[Tuple[bool, float, float]]":
    """Whether an engine's clock stands, where, and how far it is ahead of the system's; none for
    one that cannot be moved."""
    clock = cache.clock
    try:
        now = clock.now
        return clock.frozen, now, now - _native.unix_time()
    except PannierError:
        return None


def _is_of_sockets(name: str) -> bool:
    """Whether an option of a server's is not about its engine."""
    return name in OF_SOCKETS or name.startswith(("tls_", "tcp_backlog"))


#: A line of CLIENT LIST: number, flags, channels, patterns.
CLIENT = re.compile(rb"^id=(\d+) .*? flags=(\S+) .*? sub=(\d+) psub=(\d+) ", re.MULTILINE)

#: The flag of sessions that wait for data.
WAITING = frozenset(b"b")

#: Flags of sessions that wait, subscribe, monitor, or track.
RESTLESS = frozenset(b"bPOt")

#: How often it is looked whether sessions have ended, for a second altogether.
LOOKS = 1000

#: Steps by which a pause is passed over, in seconds: up to a century.
PAUSES_S = tuple(10**power for power in range(10))

#: Options that each server of an engine has for itself.
OF_SOCKETS = frozenset(("port", "unix_socket", "bind", "unixsocketperm", "threads", "dir"))
