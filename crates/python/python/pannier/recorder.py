"""`Recorder`: what clients have asked of an engine, and in how many round trips."""

from __future__ import annotations

from typing import TYPE_CHECKING, Iterator, NamedTuple, Optional, Tuple, Union, overload

from . import _native
from .faults import Client, Commands, Wanted, wanted

if TYPE_CHECKING:
    from .cache import Cache

__all__ = ["Recorder", "Request"]


class Request(NamedTuple):
    """A request that a client has sent. As a string it is what one would type."""

    #: From 1, since the recorder was started.
    number: int
    #: Which of its client's round trips brought it.
    round_trip: int
    #: Seconds since 1970, by the engine's clock.
    time: float
    #: Its client's number.
    client: int
    #: Its client's name; empty without one.
    client_name: str
    #: Its client's user.
    user: str
    #: The database.
    db: int
    #: Name and arguments; passwords are left out.
    args: Tuple[bytes, ...]

    @property
    def command(self) -> str:
        """The name of the command, in capitals."""
        return self.args[0].decode("utf-8", "replace").upper()

    def __str__(self) -> str:
        return b" ".join(self.args).decode("utf-8", "backslashreplace")

    def __repr__(self) -> str:
        return str(self)


class Requests:
    """Requests in the order in which they came: a sequence that can be searched."""

    def __init__(self, native: _native.Requests) -> None:
        self._native = native

    def find(
        self,
        *,
        command: Commands = None,
        key: Union[str, bytes, None] = None,
        client: Client = None,
        user: Optional[str] = None,
    ) -> "Requests":
        """Those of a command (or category as `@write`, or several; `-name` leaves out), with a key
        that matches a pattern, of a client (its number, or its name), of a user."""
        return Requests(self._found().find(wanted(command, key, client, user)))

    @property
    def round_trips(self) -> int:
        """How many round trips brought them. A pipeline is one, however long it is."""
        return len({(request.client, request.round_trip) for request in self})

    @property
    def lost(self) -> int:
        """How many are missing, because there was no room for all; the oldest go first."""
        return self._found().lost

    def _found(self) -> _native.Requests:
        return self._native

    def __len__(self) -> int:
        return len(self._found())

    def __bool__(self) -> bool:
        return len(self) > 0

    def __iter__(self) -> Iterator[Request]:
        return (Request(*row) for row in self._found().rows())

    @overload
    def __getitem__(self, at: int) -> Request: ...

    @overload
    def __getitem__(self, at: slice) -> "list[Request]": ...

    def __getitem__(self, at: Union[int, slice]) -> "Union[Request, list[Request]]":
        return list(self)[at]

    def __repr__(self) -> str:
        requests = list(self)
        trips = len({(request.client, request.round_trip) for request in requests})
        return f"<{len(requests)} requests in {trips} round trips: {requests}>"


class Recorder(Requests):
    """Writes down what clients send to a cache's engine, within a `with`; it can be read there and
    afterwards.

    >>> with cache.recorder() as seen:
    ...     cache.set("user:1", "alice")
    ...     cache.get("user:1")
    True
    b'alice'
    >>> seen.round_trips
    2
    >>> [str(request) for request in seen]
    ['SET user:1 alice', 'GET user:1']

    Requests are written down before they run: refused ones, too, EVAL but not what its script
    calls. The conditions are those of `find`. Without a command, what client libraries send by
    themselves (HELLO, CLIENT SETINFO, SELECT: the category @connection, and what this engine does
    not know) is left out, unless `connection` is true. The newest `entries` of the engine are
    kept, of `size` bytes at most. Recorders may be nested.
    """

    def __init__(
        self,
        cache: "Cache",
        *,
        command: Commands = None,
        key: Union[str, bytes, None] = None,
        client: Client = None,
        user: Optional[str] = None,
        connection: bool = False,
        entries: int = 10_000,
        size: int = 16 << 20,
    ) -> None:
        self._wanted: Wanted = wanted(command, key, client, user)
        commands = self._wanted[0]
        if not connection and all(name.startswith("-") for name in commands):
            commands.append("-@connection")
        self._recorder = _native.Recorder(cache)
        self._room = entries, size
        self._after = 0
        self._began = False
        # None so far; and a condition that makes no sense is refused here.
        none = self._recorder.requests(NEVER).find(self._wanted)
        self._over: Optional[_native.Requests] = none

    def start(self) -> None:
        """Forgets what there is, and begins; so does `with`."""
        if self._began:
            self.stop()
        last = self._recorder.start(*self._room)
        self._began, self._after, self._over = last is None, last or 0, None

    def stop(self) -> None:
        """Ends it; what was written down stays. Again is nothing."""
        if self._over is None:
            self._over = self._found()
            if self._began:
                self._recorder.stop()
                self._began = False

    def clear(self) -> None:
        """Forgets what there is, and goes on."""
        everything = self._recorder.requests(0).rows()
        self._after = everything[-1][0] if everything else 0

    def __enter__(self) -> "Recorder":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _found(self) -> _native.Requests:
        if self._over is not None:
            return self._over
        return self._recorder.requests(self._after).find(self._wanted)


#: No request has such a number.
NEVER = 2**63
