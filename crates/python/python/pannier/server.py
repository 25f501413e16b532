"""`Server`: a whole server inside this process, behind a port or a Unix socket.

It runs on threads of its own that never take the interpreter's lock. So it answers while Python
code computes, blocks, or runs an event loop, and it needs nothing from asyncio or gevent.
"""

from __future__ import annotations

import itertools
import os
import socket
import weakref
from typing import TYPE_CHECKING, Any, Optional, Tuple, Union
from urllib.parse import quote

from . import _native
from .exceptions import ForkedError, PannierError

if TYPE_CHECKING:
    from .cache import Cache
    from .clock import Clock
    from .faults import Faults
    from .recorder import Recorder

__all__ = ["Server"]

Pem = Union[str, bytes, "os.PathLike[str]"]
Identity = Tuple[int, int]
Value = Union[str, int, float, bool, "list[str]", "tuple[str, ...]"]

_numbers = itertools.count(1)

PORT_MAX = 65535

#: The servers of this process.
_listening: "weakref.WeakSet[Server]" = weakref.WeakSet()


class Server:
    """A server that runs in this process until `stop()`, or until it and the clients that it made
    are deleted.

    >>> with Server(maxmemory="10mb") as server:
    ...     server.url == f"redis://127.0.0.1:{server.port}/0"
    True

    `port` 0 is any free port, told back by `port`; `None` is no TCP at all. `unix_socket` is a
    path to listen on besides. `cache` is a cache that clients shall reach, instead of one of the
    server's own; `cache()` gives what they reach, without a socket. Every other directive of
    `redis.conf` is a keyword with underscores for hyphens: `maxmemory_policy="allkeys-lru"`,
    `requirepass="secret"`, `databases=4`, `save=[]`. `True` and `False` are `yes` and `no`. `seed`
    makes random choices repeat.

    With `tls_cert` and `tls_key` its port speaks TLS and nothing else, and `url` is `rediss://...`.
    Each is a path, or the PEM text itself; `tls_key_password` opens an encrypted key. `tls_ca` are
    the authorities that clients' certificates must come from, `tls_auth` is `"yes"`, `"optional"`
    or `"no"`; without `tls_ca` clients need no certificate.

    After a fork the server lives in the parent alone. The child's copy still tells `url`, `port`
    and `unix_socket`, so that the child can connect; everything else raises `ForkedError`. The
    child holds none of its sockets: when the parent has ended, its clients are told so and the port
    is free.
    """

    def __init__(
        self,
        port: Optional[int] = 0,
        *,
        unix_socket: Optional[Union[str, "os.PathLike[str]"]] = None,
        cache: "Optional[Cache]" = None,
        seed: Optional[int] = None,
        tls_cert: Optional[Pem] = None,
        tls_key: Optional[Pem] = None,
        tls_key_password: Optional[str] = None,
        tls_ca: Optional[Pem] = None,
        tls_auth: Optional[Union[str, bool]] = None,
        **directives: Value,
    ) -> None:
        if isinstance(port, int) and not 0 <= port <= PORT_MAX:
            raise ValueError(f"port {port}: it is between 0 and {PORT_MAX}, or None for no TCP")
        if port is None and unix_socket is None:
            raise ValueError("a server listens on a port or a Unix socket: neither was given")
        if cache is not None and not isinstance(cache, _native.Cache):
            raise TypeError(f"cache: a pannier.Cache, not {type(cache).__name__}")
        tls = None
        if tls_cert is not None and tls_key is not None:
            cert, key = _as_pem(tls_cert), _as_pem(tls_key)
            ca = None if tls_ca is None else _as_pem(tls_ca)
            auth = None if tls_auth is None else _as_text("tls_auth", tls_auth)
            tls = (cert, key, tls_key_password, ca, auth)
        elif not (tls_cert is tls_key is tls_key_password is tls_ca is tls_auth is None):
            raise TypeError("TLS needs tls_cert and tls_key")
        self._pid = os.getpid()
        self._number = next(_numbers)
        self._password = directives.get("requirepass") or None
        if cache is not None and self._password is None:
            self._password = cache.config_get("requirepass").get("requirepass") or None
        self._stopped = False
        path = None if unix_socket is None else os.fspath(unix_socket)
        self._path = None if path is None else os.path.abspath(path)
        self._native = _native.Server(
            cache,
            port,
            path,
            seed,
            as_directives(directives),
            tls,
        )
        numbers = set(self._native.descriptors)
        if self._native.encrypted:
            # What speaks TLS is opened behind the others, and may be opened anew.
            numbers |= _listening_at(self.port)
        self._sockets = [(number, _identity(number)) for number in numbers]
        _listening.add(self)
        self._tls_options = _client_options(tls)

    @property
    def port(self) -> int:
        """The TCP port; 0 when it listens on a Unix socket only."""
        return self._native.addresses[0][1] if self._native.addresses else 0

    @property
    def host(self) -> Optional[str]:
        """The address that it listens on, as one connects to it; `None` without TCP."""
        if not self._native.addresses:
            return None
        host = self._native.addresses[0][0]
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)

    @property
    def unix_socket(self) -> Optional[str]:
        """The path of the Unix socket, when it has one."""
        return self._native.unix_socket

    @property
    def url(self) -> str:
        """A URL of database 0, as redis-py, Django and Celery take it."""
        return self.url_of(0)

    def url_of(self, db: int) -> str:
        """A URL of another database."""
        secret = "" if self._password is None else f":{quote(str(self._password), safe='')}@"
        if self.host is None:
            return f"unix://{secret}{quote(self._path or '')}?db={db}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        scheme = "rediss" if self._native.encrypted else "redis"
        return f"{scheme}://{secret}{host}:{self.port}/{db}"

    @property
    def running(self) -> bool:
        """Whether it runs in this process: until `stop()`, or SHUTDOWN from a client."""
        here = self._native.is_here and not self._stopped
        return here and any(map(_is_open, self._sockets))

    def cache(
        self,
        db: int = 0,
        *,
        decode_responses: bool = False,
        encoding: str = "utf-8",
        encoding_errors: str = "strict",
    ) -> "Cache":
        """A database of this server's, called directly. It outlives the server."""
        from .cache import Cache

        self._check("cache()")
        text = (encoding, encoding_errors) if decode_responses else None
        return Cache._make(self._native, [], None, db, text)

    @property
    def clock(self) -> "Clock":
        """The server's clock, which can be moved if it was started with `test_mode=True`."""
        return self.cache().clock

    def faults(self) -> "Faults":
        """What goes wrong on purpose for its clients, for tests: rules to add and remove."""
        self._check("faults()")
        return self.cache().faults()

    def recorder(self, **options: Any) -> "Recorder":
        """Writes down, within a `with`, what its clients ask: `options` are `Cache.recorder`'s."""
        self._check("recorder()")
        return self.cache().recorder(**options)

    def client(self, db: int = 0, **options: Any) -> Any:
        """A `redis.Redis` connected to it; `options` go to redis-py.

        The client's pool keeps the server: `pannier.Server().client()` runs as long as the client
        is there, or until `stop()`. Over TLS it connects to this very process and so believes it
        without looking at its certificate, and shows the server's own one where that is a file.
        """
        self._check("client()")
        options = {**self._own_options(), **options}
        return self._kept_by(_redis("client()").Redis.from_url(self.url_of(db), **options))

    def async_client(self, db: int = 0, **options: Any) -> Any:
        """A `redis.asyncio.Redis` connected to it, which keeps it likewise."""
        self._check("async_client()")
        _redis("async_client()")
        import redis.asyncio

        options = {**self._own_options(), **options}
        return self._kept_by(redis.asyncio.Redis.from_url(self.url_of(db), **options))

    def _kept_by(self, client: Any) -> Any:
        client.connection_pool.pannier_server = self
        return client

    def stop(self) -> None:
        """Answers what was received, closes all connections, ends its threads. Again is nothing.

        In a forked child it raises `ForkedError`: the server is the parent's to stop.
        """
        self._check("stop()", running=False)
        self._stopped = True
        _listening.discard(self)
        self._native.stop()

    def __enter__(self) -> "Server":
        self._check("with")
        return self

    def __exit__(self, *_: object) -> None:
        # A child that leaves the block it was forked in ends nothing of the parent's.
        if self._native.is_here:
            self.stop()

    def __repr__(self) -> str:
        state = "" if self.running else " stopped" if self._native.is_here else " of the parent"
        return f"<pannier.Server {self.url_of(0) if not self._password else self.port}{state}>"

    def __reduce__(self) -> Any:
        raise TypeError("a Server cannot be pickled: hand its url to the other process")

    def _own_options(self) -> "dict[str, Any]":
        return self._tls_options if self._native.encrypted else {}

    def _check(self, what: str, running: bool = True) -> None:
        if not self._native.is_here:
            raise ForkedError(
                f"{what}: this server lives in the parent process {self._pid}, of which this one "
                f"({os.getpid()}) is a fork; connect to it at Server.url, or start another here"
            )
        if running and self._stopped:
            raise PannierError(f"{what}: this server was stopped")


def _identity(descriptor: int) -> Identity:
    """What tells an open file from another that has its number later."""
    found = os.fstat(descriptor)
    return found.st_dev, found.st_ino


def _is_open(file: "tuple[int, Identity]") -> bool:
    try:
        return _identity(file[0]) == file[1]
    except OSError:
        return False


def _listening_at(port: int) -> "set[int]":
    """Descriptors of the sockets that listen at a port."""
    return {number for number in _descriptors() if _own_address(number, False) == port}


def _leave_to_parent() -> None:
    """Closes, in a forked child, the sockets of the parent's servers.

    Nobody in the child uses them: the threads that would were not forked. Left open they would
    keep the port taken, and clients connected to nobody, when the parent has ended.
    """
    servers = list(_listening)
    _listening.clear()
    if not servers:
        return
    for server in servers:
        for file in server._sockets:
            # One that was closed in the parent meanwhile (by SHUTDOWN) may have left its number
            # to another file, which stays open.
            if _is_open(file):
                os.close(file[0])
    # A connection has the address that its server listens on; its client has another.
    addresses = {server.port for server in servers} | {server.unix_socket for server in servers}
    for number in _descriptors():
        address = _own_address(number)
        if address and address in addresses:
            os.close(number)


def _descriptors() -> "list[int]":
    try:
        return [int(name) for name in os.listdir("/dev/fd")]
    except OSError:
        return []


def _own_address(descriptor: int, connected: bool = True) -> "Union[int, str, bytes, None]":
    """Port or path to which a socket is bound that is connected, or else one that listens; `None`
    for whatever is no such thing."""
    try:
        stream = socket.socket(fileno=descriptor)
    except OSError:
        return None
    try:
        name: Any = stream.getsockname()
        if connected:
            stream.getpeername()
        elif not stream.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            return None
    except OSError:
        return None
    finally:
        stream.detach()
    found: "Union[int, str, bytes]" = name[1] if isinstance(name, tuple) else name
    return found


def _as_pem(value: Pem) -> "Union[bytes, str]":
    if isinstance(value, bytes):
        return value
    if isinstance(value, str) and "-----BEGIN" in value:
        return value.encode()
    return os.fspath(value)


def _client_options(tls: Any) -> "dict[str, Any]":
    options: "dict[str, Any]" = {"ssl_cert_reqs": "none", "ssl_check_hostname": False}
    if tls is not None and isinstance(tls[0], str) and isinstance(tls[1], str):
        options.update(ssl_certfile=tls[0], ssl_keyfile=tls[1])
        if tls[2] is not None:
            options.update(ssl_password=tls[2])
    return options


def as_directives(values: "dict[str, Value]") -> "list[tuple[str, str]]":
    """Keywords as lines of a `redis.conf`."""
    return [(name.replace("_", "-"), _as_text(name, value)) for name, value in values.items()]


def _as_text(name: str, value: Value) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return " ".join(str(word) for word in value)
    if isinstance(value, (str, int, float)):
        return str(value)
    raise TypeError(f"{name}: a directive is text, a number, a bool or a list of words")


def _redis(wanted_by: str) -> Any:
    try:
        import redis
    except ImportError as error:
        raise ImportError(f"{wanted_by} makes a redis-py client: pip install redis") from error
    return redis


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_parent)
