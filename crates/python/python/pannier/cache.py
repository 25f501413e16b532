"""`Cache`: the engine inside this process, called directly, without a socket."""

from __future__ import annotations

import os
import threading
import time
from typing import Any, Callable, Iterator, Optional, Union, cast
from urllib.parse import parse_qsl, unquote, urlsplit

from . import _native
from .clock import Clock
from .commands import Commands
from .commands.base import Convert
from .exceptions import NoScriptError, ResponseError, WatchError
from .faults import Client, Commands as Named, Faults
from .lock import Lock
from .pipeline import Pipeline
from .pubsub import Message, PubSub
from .recorder import Recorder
from .server import Server, Value, as_directives

__all__ = ["Cache"]


class Cache(_native.Cache, Commands):
    """One logical database of an engine in this process.

    >>> cache = Cache(maxentries=1000)
    >>> cache.set("greeting", "hello", ex=60)
    True
    >>> cache.get("greeting")
    b'hello'

    Directives of `redis.conf` are keywords, as for `Server`. With `decode_responses` strings come
    as `str`, in an `encoding` which is then that of arguments, too. `db` is the number of the
    database; `cache.at(1)` is another one of the same engine.
    `seed` makes random choices repeat.

    Every command can be run by `execute("NAME", ...)`, whose replies are those of RESP3; the
    everyday ones have methods, named as in redis-py. Threads may share a cache. What belongs to
    one connection has its own object: `pipeline()`, `pubsub()`, `lock()`.

    Brief commands run under the interpreter's lock; scripts, commands that wait, long ones and
    pipelines give it away. After a fork the child has an empty cache of its own.
    """

    _text: "Optional[tuple[str, str]]"
    _lines: "list[tuple[str, str]]"
    _idle: "list[_native.Client]"

    def __new__(
        cls,
        *,
        db: int = 0,
        decode_responses: bool = False,
        encoding: str = "utf-8",
        encoding_errors: str = "strict",
        seed: Optional[int] = None,
        databases: int = 16,
        **directives: Value,
    ) -> "Cache":
        lines = as_directives({"databases": databases, **directives})
        text = (encoding, encoding_errors) if decode_responses else None
        return cls._make(None, lines, seed, db, text)

    @classmethod
    def _make(cls, other: Any, lines: Any, seed: Any, db: int, text: Any) -> "Cache":
        if isinstance(db, int) and db < 0:
            raise IndexError(f"there is no database {db}")
        self = cast("Cache", super().__new__(cls, other, lines, seed, db, text, as_error, Message))
        self._text = text
        self._lines = lines
        self._idle = []
        return self

    def at(
        self,
        db: int,
        *,
        decode_responses: Optional[bool] = None,
        encoding: str = "utf-8",
        encoding_errors: str = "strict",
    ) -> "Cache":
        """Another database of the same engine, or the same one decoded differently."""
        text = self._text
        if decode_responses is not None:
            text = (encoding, encoding_errors) if decode_responses else None
        return type(self)._make(self, [], None, db, text)

    @classmethod
    def from_url(cls, url: str, **options: Any) -> "Cache":
        """The cache of a name: `pannier://name/1?maxentries=1000`.

        The same name in one process is the same engine, whatever the database. The first to use a
        name opens it, by the directives of the URL and of `options`; whoever comes later may leave
        them out, and may not ask for others.
        """
        name, db, asked = _parsed(url)
        decode = {
            word: options.pop(word)
            for word in ("decode_responses", "encoding", "encoding_errors")
            if word in options
        }
        asked_db = options.pop("db", None)
        lines = as_directives({**asked, **options})
        with _names_lock:
            root = _names.get(name)
            if root is None:
                root = _names[name] = cls._make(None, lines, None, 0, None)
            elif not set(lines) <= set(root._lines):
                raise ValueError(f"{url}: this name was opened with other directives")
        db = db if asked_db is None else asked_db
        return root.at(db, **{"decode_responses": False, **decode})

    @property
    def clock(self) -> Clock:
        """The engine's clock, which can be moved if it was opened with `test_mode=True`."""
        return Clock(self)

    def faults(self) -> Faults:
        """What goes wrong on purpose with the engine, for tests: rules to add and remove."""
        return Faults(self)

    def recorder(
        self,
        *,
        command: Named = None,
        key: "Union[str, bytes, None]" = None,
        client: Client = None,
        user: Optional[str] = None,
        connection: bool = False,
        entries: int = 10_000,
        size: int = 16 << 20,
    ) -> Recorder:
        """Writes down, within a `with`, what clients ask of the engine: see `Recorder`."""
        return Recorder(
            self,
            command=command,
            key=key,
            client=client,
            user=user,
            connection=connection,
            entries=entries,
            size=size,
        )

    @property
    def decode_responses(self) -> bool:
        """Whether strings come as `str`."""
        return self._text is not None

    def _run(self, args: "tuple[Any, ...]", convert: Convert = None) -> Any:
        reply = self.execute(*args)
        return reply if convert is None else convert(reply)

    execute_command = _native.Cache.execute

    def __getitem__(self, name: Any) -> Any:
        """A string's value; KeyError when there is none."""
        value = self.get(name)
        if value is None:
            raise KeyError(name)
        return value

    def __setitem__(self, name: Any, value: Any) -> None:
        self.set(name, value)

    def __delitem__(self, name: Any) -> None:
        self.delete(name)

    def __contains__(self, name: Any) -> bool:
        return bool(self.execute("EXISTS", name))

    def __iter__(self) -> Iterator[Any]:
        return self.scan_iter()

    def __repr__(self) -> str:
        return f"<pannier.Cache db={self.db}>"

    def __reduce__(self) -> Any:
        raise TypeError("a Cache cannot be pickled: it is memory of this process")

    def pipeline(self, transaction: bool = True, shard_hint: Any = None) -> Pipeline:
        """Commands that are collected and run at once; as one step, if a transaction. A
        `shard_hint` means nothing, here as in redis-py."""
        return Pipeline(self, transaction)

    def transaction(
        self,
        func: "Callable[[Pipeline], Any]",
        *watches: Any,
        shard_hint: Any = None,
        value_from_callable: bool = False,
        watch_delay: Optional[float] = None,
    ) -> Any:
        """Calls `func(pipeline)` with keys watched until its transaction runs, and again
        whenever one of them has changed, `watch_delay` seconds later."""
        with self.pipeline(True, shard_hint) as pipeline:
            while True:
                try:
                    if watches:
                        pipeline.watch(*watches)
                    value = func(pipeline)
                    replies = pipeline.execute()
                    return value if value_from_callable else replies
                except WatchError:
                    if watch_delay:
                        time.sleep(watch_delay)

    def pubsub(self, ignore_subscribe_messages: bool = False) -> PubSub:
        """Subscriptions of their own."""
        return PubSub(self, ignore_subscribe_messages)

    def lock(
        self,
        name: Any,
        timeout: Optional[float] = None,
        sleep: float = 0.1,
        blocking: bool = True,
        blocking_timeout: Optional[float] = None,
        lock_class: "Optional[type[Lock]]" = None,
        thread_local: bool = True,
        raise_on_release_error: bool = True,
    ) -> Lock:
        """A lock that anybody who uses this engine respects, and that ends by itself after
        `timeout` seconds."""
        made = Lock if lock_class is None else lock_class
        return made(
            self,
            name,
            timeout=timeout,
            sleep=sleep,
            blocking=blocking,
            blocking_timeout=blocking_timeout,
            thread_local=thread_local,
            raise_on_release_error=raise_on_release_error,
        )

    def listen(self, port: Optional[int] = 0, **options: Any) -> Server:
        """A server through which clients reach this engine; `options` are those of `Server` that
        are about sockets and threads."""
        return Server(port, cache=self, **options)

    def close(self) -> None:
        """Ends the sessions that wait to be used again. The engine ends with its last cache."""
        idle, self._idle = self._idle, []
        for client in idle:
            client.close()

    def __enter__(self) -> "Cache":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def connection_pool(self, **options: Any) -> Any:
        """A pool of connections without sockets, for `redis.Redis(connection_pool=...)`.

        `options` are those of redis-py's connections (`decode_responses`, `protocol`,
        `max_connections`, `health_check_interval`, `retry`, ...).
        """
        from .transport import ConnectionPool

        return ConnectionPool(self, **options)

    def async_connection_pool(self, **options: Any) -> Any:
        """The same for `redis.asyncio.Redis(connection_pool=...)`."""
        from .aio import ConnectionPool

        return ConnectionPool(self, **options)

    def redis(self, **options: Any) -> Any:
        """A `redis.Redis` on a pool of its own."""
        pool = self.connection_pool(**options)
        import redis

        return redis.Redis(connection_pool=pool)

    def async_redis(self, **options: Any) -> Any:
        """A `redis.asyncio.Redis` on a pool of its own."""
        pool = self.async_connection_pool(**options)
        import redis.asyncio

        return redis.asyncio.Redis(connection_pool=pool)

    def _borrow(self) -> _native.Client:
        """A session that nobody uses, in this database and speaking RESP3."""
        while self._idle:
            client = self._idle.pop()
            if client.is_here and not client.closed:
                return client
        client = self.connect(self._text, as_error, Message)
        client.run([("HELLO", 3)], True)
        return client

    def _give_back(self, client: _native.Client) -> None:
        if len(self._idle) < IDLE_MAX:
            self._idle.append(client)
        else:
            client.close()


def as_error(text: str) -> ResponseError:
    """The exception of an error's text."""
    if text.startswith("NOSCRIPT"):
        return NoScriptError(text)
    return ResponseError(text[4:] if text.startswith("ERR ") else text)


def name_of(url: str) -> str:
    """The name in a URL: of an engine that has its like nowhere else in this process."""
    return _parsed(url)[0]


def _parsed(url: str) -> "tuple[str, int, dict[str, Any]]":
    parts = urlsplit(url)
    path = parts.path.strip("/")
    if parts.scheme != "pannier" or (path and not path.isdigit()):
        raise ValueError(f"{url}: a cache in the process is pannier://name/database")
    return unquote(parts.netloc), int(path or 0), dict(parse_qsl(parts.query))


#: Sessions that a cache keeps for the next pipeline.
IDLE_MAX = 8

#: Engines by the names of `from_url`.
_names: "dict[str, Cache]" = {}
_names_lock = threading.Lock()

if hasattr(os, "register_at_fork"):

    def _free_lock() -> None:
        global _names_lock
        _names_lock = threading.Lock()

    os.register_at_fork(after_in_child=_free_lock)
