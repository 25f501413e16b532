"""`PubSub`: subscriptions to channels, and the messages that come."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Callable, Iterator, List, Optional

from . import _native
from .commands.base import text
from .exceptions import PannierError

if TYPE_CHECKING:
    from .cache import Cache

__all__ = ["Message", "PubSub"]

Handler = Callable[["dict[str, Any]"], Any]


class Message(List[Any]):
    """What came without being asked for, in the order of the protocol."""


class PubSub:
    """Subscriptions of their own, and their messages as dicts.

    >>> with cache.pubsub(ignore_subscribe_messages=True) as news:
    ...     news.subscribe("news")
    ...     cache.publish("news", "hello")
    ...     news.get_message(timeout=1)["data"]
    1
    b'hello'

    A message has `type`, `pattern`, `channel` and `data`. A channel or pattern that is subscribed
    by keyword has a handler, which gets the message instead of the caller.
    """

    def __init__(self, cache: "Cache", ignore_subscribe_messages: bool = False) -> None:
        self.cache = cache
        self.ignore_subscribe_messages = ignore_subscribe_messages
        self._client: "Optional[_native.Client]" = None
        self._handlers: "dict[tuple[str, Any], Optional[Handler]]" = {}
        self._expected = 0
        # Something is subscribed, or about to be.
        self._begun = threading.Event()

    def __enter__(self) -> "PubSub":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        try:
            self.close()
        except Exception:
            pass

    def close(self) -> None:
        """Ends all subscriptions."""
        client, self._client = self._client, None
        self._handlers.clear()
        self._expected = 0
        self._begun.clear()
        if client is not None and client.is_here:
            client.close()

    reset = close

    @property
    def subscribed(self) -> bool:
        """Whether there is any subscription, or one that is not confirmed to have ended."""
        return bool(self._handlers) or self._expected > 0

    @property
    def channels(self) -> "dict[Any, Optional[Handler]]":
        """Channels and their handlers."""
        return self._handlers_of("")

    @property
    def patterns(self) -> "dict[Any, Optional[Handler]]":
        """Patterns and their handlers."""
        return self._handlers_of("p")

    @property
    def shard_channels(self) -> "dict[Any, Optional[Handler]]":
        """Shard channels and their handlers."""
        return self._handlers_of("s")

    def subscribe(self, *names: Any, **handlers: Handler) -> None:
        """Listens to channels."""
        self._begin("", names, handlers)

    def psubscribe(self, *names: Any, **handlers: Handler) -> None:
        """Listens to all channels of patterns."""
        self._begin("p", names, handlers)

    def ssubscribe(self, *names: Any, **handlers: Handler) -> None:
        """Listens to shard channels."""
        self._begin("s", names, handlers)

    def unsubscribe(self, *names: Any) -> None:
        """Listens to channels no more; to none at all without names."""
        self._end("", names)

    def punsubscribe(self, *names: Any) -> None:
        """Listens to patterns no more; to none at all without names."""
        self._end("p", names)

    def sunsubscribe(self, *names: Any) -> None:
        """Listens to shard channels no more; to none at all without names."""
        self._end("s", names)

    def ping(self, message: Any = None) -> None:
        """Asks for a message of the type `pong`, which has the same data."""
        self._session().send("PING", "" if message is None else message)

    def check_health(self) -> None:
        """Nothing: there is no connection that could break."""

    def get_message(
        self, ignore_subscribe_messages: bool = False, timeout: Optional[float] = 0.0
    ) -> "Optional[dict[str, Any]]":
        """The next message, after waiting for it up to so many seconds (None is for ever); while
        nothing is subscribed, for a subscription by another thread."""
        begin = time.monotonic()
        if not self.subscribed and not self._begun.wait(timeout):
            return None
        client = self._client
        if client is None:
            return None
        if timeout is not None:
            timeout = max(0.0, timeout - (time.monotonic() - begin))
        try:
            received = client.receive(False, timeout)
        except TimeoutError:
            return None
        return self._handle(received, ignore_subscribe_messages or self.ignore_subscribe_messages)

    def listen(self) -> "Iterator[dict[str, Any]]":
        """Messages as they come, as long as anything is subscribed."""
        while self.subscribed and self._client is not None:
            message = self.get_message(timeout=None)
            if message is not None:
                yield message

    def run_in_thread(
        self,
        sleep_time: float = 0.0,
        daemon: bool = False,
        exception_handler: "Optional[Callable[[BaseException, PubSub, PubSubThread], Any]]" = None,
    ) -> "PubSubThread":
        """Lets a thread of its own wait for messages, each time for `sleep_time` seconds, and call
        their handlers. What they raise is the `exception_handler`'s, or ends the thread."""
        for (_, name), handler in self._handlers.items():
            if handler is None:
                raise PannierError(f"{name!r} has no handler")
        thread = PubSubThread(self, sleep_time, daemon, exception_handler)
        thread.start()
        return thread

    def _begin(self, kind: str, names: Any, handlers: "dict[str, Handler]") -> None:
        wanted: "dict[Any, Optional[Handler]]" = {name: None for name in _flat(names)}
        wanted.update(handlers)
        if not wanted:
            return
        # A name that is none is refused here, before anything has changed.
        request = _native.pack([(f"{kind}subscribe", *wanted)], self.cache._text)
        client = self._session()
        for name, handler in wanted.items():
            self._handlers[kind, self._key(name)] = handler
        self._expected += len(wanted)
        client.send_packed(request)
        self._begun.set()

    def _end(self, kind: str, names: Any) -> None:
        if self._client is None:
            return
        given = [self._key(name) for name in _flat(names)]
        held = [name for held_kind, name in self._handlers if held_kind == kind]
        gone = given or held
        if gone:
            self._expected += len(gone)
            self._client.send(f"{kind}unsubscribe", *gone)

    def _session(self) -> "_native.Client":
        if self._client is None:
            self._client = self.cache._borrow()
        return self._client

    def _handlers_of(self, wanted: str) -> "dict[Any, Optional[Handler]]":
        return {name: handler for (kind, name), handler in self._handlers.items() if kind == wanted}

    def _key(self, name: Any) -> Any:
        """A name in the form in which messages will have it."""
        encoding, errors = self.cache._text or ("utf-8", "strict")
        if isinstance(name, (bytes, bytearray, memoryview)):
            return bytes(name).decode(encoding, errors) if self.cache._text else bytes(name)
        return str(name) if self.cache._text else str(name).encode(encoding, errors)

    def _handle(self, received: Any, ignore: bool) -> "Optional[dict[str, Any]]":
        if isinstance(received, Exception):
            raise received
        if not isinstance(received, list):
            return {"type": "pong", "pattern": None, "channel": None, "data": received}
        kind = text(received[0])
        message: "dict[str, Any]" = {"type": kind, "pattern": None}
        if kind == "pmessage":
            message["pattern"], message["channel"], message["data"] = received[1:4]
            handler = self._handlers.get(("p", message["pattern"]))
        elif kind in ("message", "smessage"):
            message["channel"], message["data"] = received[1:3]
            handler = self._handlers.get((kind[: -len("message")], message["channel"]))
        else:
            message["channel"], message["data"] = received[1], received[2]
            self._expected -= 1
            if kind.endswith("unsubscribe"):
                self._handlers.pop((kind[: -len("unsubscribe")], received[1]), None)
                if not self.subscribed:
                    self._begun.clear()
            return None if ignore else message
        if handler is not None:
            handler(message)
            return None
        return message


class PubSubThread(threading.Thread):
    """Waits for messages until it is stopped."""

    def __init__(
        self,
        pubsub: PubSub,
        sleep_time: float = 0.0,
        daemon: bool = False,
        exception_handler: "Optional[Callable[[BaseException, PubSub, PubSubThread], Any]]" = None,
    ) -> None:
        super().__init__(name="pannier-pubsub", daemon=daemon)
        self.pubsub = pubsub
        self.sleep_time = sleep_time or WAIT_S
        self.exception_handler = exception_handler
        self._over = threading.Event()

    def run(self) -> None:
        """Hands messages to their handlers."""
        while not self._over.is_set() and self.pubsub.subscribed:
            try:
                self.pubsub.get_message(ignore_subscribe_messages=True, timeout=self.sleep_time)
            except BaseException as error:
                if self.exception_handler is None:
                    raise
                self.exception_handler(error, self.pubsub, self)
        self.pubsub.close()

    def stop(self) -> None:
        """Ends it when it has waited: a tenth of a second, if `sleep_time` does not say more."""
        self._over.set()


#: How long a thread waits before it looks whether it was stopped, in seconds.
WAIT_S = 0.1


def _flat(names: Any) -> "list[Any]":
    flat: "list[Any]" = []
    for name in names:
        flat += name if isinstance(name, (list, tuple, set)) else [name]
    return flat
