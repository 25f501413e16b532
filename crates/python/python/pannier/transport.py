"""Connections without sockets for unmodified redis-py.

`redis.Redis(connection_pool=cache.connection_pool())` is a redis-py client like any other:
pipelines, transactions, pub/sub, blocking commands, retries, health checks, both protocols. Only
its connections hand requests straight to a session of the cache's engine and take replies as
Python objects, so nothing is encoded, sent, received or parsed in Python.

A connection is derived from redis-py's for Unix sockets, as the kind that has no host, and takes
the place of whatever would touch the socket. Before that comes a native base class, which does what
every command needs (`get_connection`, `send_command`, `read_response`, `release`) as long as it is
nothing special, and calls the methods of the same names with an underscore otherwise. The parser
stays for what is not parsing: making exceptions of error texts, and handing messages to those who
registered for them.
"""

from __future__ import annotations

import select
import time
from typing import TYPE_CHECKING, Any, Iterable, List, Optional

try:
    import redis
    from redis._parsers import _RESP3Parser
    from redis.connection import UnixDomainSocketConnection
    from redis.exceptions import ConnectionError, DataError, TimeoutError
except ImportError as error:
    needed = "connections without sockets are redis-py's, 5 or later: pip install redis"
    raise ImportError(needed) from error

from . import _native

if TYPE_CHECKING:
    from .cache import Cache

__all__ = ["Connection", "ConnectionPool"]

_UNSET = object()

#: What redis-py calls the argument that was not given, where it has a name for it.
_SENTINEL = getattr(redis.utils, "SENTINEL", _UNSET)


#: How messages of errors name the other side.
PLACE = "a cache in this process"


class Push(List[Any]):
    """A message, to be told from a reply."""


class Parser(_RESP3Parser):
    """The part of a parser that is not parsing."""

    def on_connect(self, connection: Any) -> None:
        """Nothing is read here."""

    def on_disconnect(self) -> None:
        """Nothing was read here."""

    def can_read(self, timeout: float = 0) -> bool:
        """Nothing lies here."""
        return False


class Local:
    """What connections to a cache in this process have in common, waiting or awaited.

    It stands before redis-py's class of connections for Unix sockets.
    """

    host = "in-process"
    port = 0

    db: Any
    client_name: Any
    encoder: Any
    _parser: Any

    def __init__(self, pannier: "Cache", **options: Any) -> None:
        self._cache = pannier
        options.pop("path", None)
        super().__init__(path="in-process", **options)  # type: ignore[call-arg]
        self._plain = self.encoder.encoding.lower() in ("utf-8", "utf8")

    def repr_pieces(self) -> "list[tuple[str, Any]]":
        pieces = [("cache", self._cache), ("db", self.db)]
        return pieces + ([("client_name", self.client_name)] if self.client_name else [])

    def _host_error(self) -> str:
        return PLACE

    def _open(self) -> _native.Client:
        """A session that makes objects as redis-py's parsers would."""
        encoder = self.encoder
        text = (encoder.encoding, encoder.encoding_errors) if encoder.decode_responses else None
        return self._cache.connect(text, self._parser.parse_error, Push)

    def _encoded(self, args: "tuple[Any, ...]") -> "tuple[Any, ...]":
        """Arguments in the encoding of the connection; UTF-8 is the native module's business."""
        return args if self._plain else (args[0], *map(self.encoder.encode, args[1:]))

    def pack_command(self, *args: Any) -> "list[bytes]":
        return self.pack_commands([args])

    def pack_commands(self, commands: Iterable[Any]) -> "list[bytes]":
        try:
            return [_native.pack(map(self._encoded, commands))]
        except TypeError as error:
            raise DataError(str(error)) from None


class LocalPool:
    """What pools of such connections have in common. It stands before redis-py's class of pools."""

    #: The class of the connections, unless another is asked for.
    kind: type

    def __init__(self, pannier: "Cache", **options: Any) -> None:
        options.setdefault("db", pannier.db)
        options.setdefault("connection_class", self.kind)
        options.setdefault("socket_timeout", None)
        super().__init__(pannier=pannier, **options)  # type: ignore[call-arg]
        # What redis-py does around a connection (metrics of a pool, a look at the socket) takes
        # longer than a command does here. Whoever uses more of a pool (another class of
        # connections, client-side caching, tokens that are renewed) goes redis-py's own way.
        self._is_plain = (
            options["connection_class"] is self.kind
            and getattr(self, "cache", None) is None
            and options.get("credential_provider") is None
        )

    @classmethod
    def from_url(cls, url: str, **options: Any) -> Any:
        """A pool of a named cache: `pannier://name/1`, as `Cache.from_url` takes it."""
        from .cache import Cache

        return cls(Cache.from_url(url, db=options.pop("db", None)), **options)


def packed(command: Any) -> Iterable[bytes]:
    """Packed requests as redis-py hands them over: text, bytes or pieces."""
    if isinstance(command, str):
        command = command.encode()
    return (command,) if isinstance(command, bytes) else command


def is_patched() -> bool:
    """Whether waiting is to let other greenlets run (gevent, eventlet)."""
    return select.select.__module__ != "select"


def waited(client: _native.Client, timeout: Optional[float]) -> bool:
    """Whether something can be received within so many seconds; None is for ever."""
    if not is_patched():
        return client.wait(timeout)
    end = None if timeout is None else time.monotonic() + timeout
    while True:
        most = client.arm()
        if most == 0:
            return True
        left = None if end is None else end - time.monotonic()
        if left is not None and left <= 0:
            return False
        spans = [span for span in (most, left) if span is not None]
        poll = select.poll()
        poll.register(client.fileno(), select.POLLIN)
        poll.poll(min(spans) * 1000 if spans else None)


class Connection(_native.Connection, Local, UnixDomainSocketConnection):
    """A connection to a cache in this process."""

    def set_parser(self, parser_class: Any) -> None:
        self._parser = Parser(socket_read_size=self._socket_read_size)

    def _connect(self) -> _native.Client:
        return self._open()

    def _is_usual(self) -> bool:
        """Whether commands of an open connection need nothing but to be executed."""
        return self._plain and not self.health_check_interval

    def _send_command(self, *args: Any, **options: Any) -> None:
        client = self._sock
        if client is None:
            self.connect()
            client = self._sock
        if self.health_check_interval and options.get("check_health", True):
            self.check_health()
            client = self._sock
        try:
            client.send(*self._encoded(args))
        except BaseException as error:
            self._not_sent(error)

    def _not_sent(self, error: BaseException) -> None:
        if isinstance(error, TypeError):
            raise DataError(str(error)) from None
        if isinstance(error, OSError):
            self.disconnect()
            raise ConnectionError(f"Error while writing to {PLACE}: {error}") from None
        # A signal: what was sent may be on its way.
        self.disconnect()
        raise error

    def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        if self._sock is None:
            self.connect()
        if check_health:
            self.check_health()
        try:
            for piece in packed(command):
                self._sock.send_packed(piece)
        except OSError as error:
            self.disconnect()
            raise ConnectionError(f"Error while writing to {PLACE}: {error}") from None

    def can_read(self, timeout: Optional[float] = 0) -> bool:
        if self._sock is None:
            self.connect()
        try:
            client: _native.Client = self._sock
            return client.is_ready() if timeout == 0 else waited(client, timeout)
        except OSError as error:
            self.disconnect()
            raise ConnectionError(f"Error while reading from {PLACE}: {error}") from None

    def _read_response(
        self,
        disable_decoding: bool = False,
        *,
        timeout: Any = _UNSET,
        disconnect_on_error: bool = True,
        push_request: bool = False,
        response: Any = _UNSET,
    ) -> Any:
        client = self._sock
        if client is None:
            raise ConnectionError("Connection closed by server.")
        if timeout is _UNSET or timeout is _SENTINEL:
            timeout = self._socket_timeout
        try:
            if response is _UNSET:
                if is_patched():
                    waited(client, timeout)
                response = client.receive(disable_decoding, timeout)
            while type(response) is Push:
                response = self._parser.handle_push_response(response)
                if push_request:
                    break
                response = client.receive(disable_decoding, timeout)
        except _native.TimedOut:
            if disconnect_on_error:
                self.disconnect()
            raise TimeoutError(f"Timeout reading from {PLACE}") from None
        except OSError as error:
            if disconnect_on_error:
                self.disconnect()
            raise ConnectionError(f"Error while reading from {PLACE}: {error}") from None
        except BaseException:
            if disconnect_on_error:
                self.disconnect()
            raise
        if self.health_check_interval:
            self._put_off_health_check()
        if isinstance(response, Exception):
            if isinstance(response, ConnectionError) and disconnect_on_error:
                self.disconnect()
            try:
                raise response
            finally:
                del response  # an exception that knows its own frame is a cycle
        return response

    def _not_read(self, error: Exception) -> None:
        self.disconnect()
        if isinstance(error, OSError):
            raise ConnectionError(f"Error while reading from {PLACE}: {error}") from None
        raise error

    def _read_on(self, response: Any) -> Any:
        """What becomes of something that was read and may be no reply."""
        return self._read_response(response=response)

    def _put_off_health_check(self) -> None:
        self.next_health_check = time.monotonic() + self.health_check_interval


class ConnectionPool(_native.ConnectionPool, LocalPool, redis.ConnectionPool):
    """A pool of such connections. Its options are those of redis-py's pools and connections."""

    kind = Connection

    def __init__(self, pannier: "Cache", **options: Any) -> None:
        super().__init__(pannier, **options)
        self._watch_lists()

    def reset(self) -> None:
        """Forgets all connections, which in a forked child are the parent's."""
        super().reset()
        self._watch_lists()

    def _watch_lists(self) -> None:
        lists = (self._available_connections, self._in_use_connections)
        self._watch(lists if getattr(self, "_is_plain", False) else None)

    _get_connection = redis.ConnectionPool.get_connection
    _release = redis.ConnectionPool.release
