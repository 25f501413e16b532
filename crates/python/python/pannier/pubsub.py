"""`PubSub`: subscriptions to channels, and the messages that come."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Callable, Iterator, List, Optional

from .commands.base import text
from .exceptions import PannierError

if TYPE_CHECKING:
    from . import _native
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
        return {name: handler for (kind, name), handler in self._handlers.items() if kind == ""}

    @property
    def patterns(self) -> "dict[Any, Optional[Handler]]":
        """Patterns and their handlers."""
        return {name: handler for (kind, name), handler in self._handlers.items() if kind == "p"}

    def subscribe(self, *names: Any, **handlers: Handler) -> None:
        """Listens to channels."""
        self._begin("", names, handlers)

    def psubscribe(self, *names: Any, **handlers: Handler) -> None:
        """Listens to all channels of patterns."""
        self._begin("p", names, handlers)

    def unsubscribe(self, *names: Any) -> None:
        """Listens to channels no more; to none at all without names."""
        self._end("", names)

    def punsubscribe(self, *names: Any) -> None:
        """Listens to patterns no more; to none at all without names."""
        self._end("p", names)

    def get_message(
        self, ignore_subscribe_messages: bool = False, timeout: Optional[float] = 0.0
    ) -> "Optional[dict[str, Any]]":
        """The next message, after waiting for it up to so many seconds (None is for ever)."""
        client = self._client
        if client is None:
            raise PannierError("nothing is subscribed")
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

    def run_in_thread(self, daemon: bool = False) -> "PubSubThread":
        """Lets a thread of its own wait for messages and call their handlers."""
        for (_, name), handler in self._handlers.items():
            if handler is None:
                raise PannierError(f"{name!r} has no handler")
        thread = PubSubThread(self, daemon)
        thread.start()
        return thread

    def _begin(self, kind: str, names: Any, handlers: "dict[str, Handler]") -> None:
        wanted: "dict[Any, Optional[Handler]]" = {name: None for name in _flat(names)}
        wanted.update(handlers)
        if not wanted:
            raise ValueError("no channel is given")
        if self._client is None:
            self._client = self.cache._borrow()
        for name, handler in wanted.items():
            self._handlers[kind, self._key(name)] = handler
        self._expected += len(wanted)
        self._client.send(f"{kind}subscribe", *wanted)

    def _end(self, kind: str, names: Any) -> None:
        if self._client is None:
            return
        given = [self._key(name) for name in _flat(names)]
        held = [name for held_kind, name in self._handlers if held_kind == kind]
        gone = given or held
        if gone:
            self._expected += len(gone)
            self._client.send(f"{kind}unsubscribe", *gone)

    def _key(self, name: Any) -> Any:
        """A name in the form in which messages will have it."""
        if self.cache.decode_responses:
            return name.decode() if isinstance(name, bytes) else name
        return name.encode() if isinstance(name, str) else name

    def _handle(self, received: Any, ignore: bool) -> "Optional[dict[str, Any]]":
        if isinstance(received, Exception):
            raise received
        kind = text(received[0])
        message: "dict[str, Any]" = {"type": kind, "pattern": None}
        if kind == "pmessage":
            message["pattern"], message["channel"], message["data"] = received[1:4]
            handler = self._handlers.get(("p", message["pattern"]))
        elif kind in ("message", "smessage"):
            message["channel"], message["data"] = received[1:3]
            handler = self._handlers.get(("", message["channel"]))
        else:
            message["channel"], message["data"] = received[1], received[2]
            self._expected -= 1
            if kind in ("unsubscribe", "punsubscribe"):
                self._handlers.pop((kind[: -len("unsubscribe")], received[1]), None)
            return None if ignore else message
        if handler is not None:
            handler(message)
            return None
        return message


class PubSubThread(threading.Thread):
    """Waits for messages until it is stopped."""

    def __init__(self, pubsub: PubSub, daemon: bool = False) -> None:
        super().__init__(name="pannier-pubsub", daemon=daemon)
        self.pubsub = pubsub
        self._over = threading.Event()

    def run(self) -> None:
        """Hands messages to their handlers."""
        while not self._over.is_set() and self.pubsub.subscribed:
            self.pubsub.get_message(ignore_subscribe_messages=True, timeout=0.1)
        self.pubsub.close()

    def stop(self) -> None:
        """Ends it within a tenth of a second."""
        self._over.set()


def _flat(names: Any) -> "list[Any]":
    flat: "list[Any]" = []
    for name in names:
        flat += name if isinstance(name, (list, tuple, set)) else [name]
    return flat
