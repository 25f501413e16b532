"""`Pipeline`: commands that are collected and run together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional

from .commands import Commands
from .commands.base import Convert, text
from .exceptions import PannierError, ResponseError, WatchError

if TYPE_CHECKING:
    from . import _native
    from .cache import Cache
    from .commands.scripts import Script

__all__ = ["Pipeline"]


class Pipeline(Commands):
    """Commands that are collected by their methods and run by `execute()`.

    >>> with cache.pipeline() as pipeline:
    ...     pipeline.incr("visits").expire("visits", 60).execute()
    [1, True]

    A transaction (the default) runs as one step. After `watch()` commands run at once, so that
    they can be looked at, until `multi()`; `execute()` then raises `WatchError` if a watched key
    has changed meanwhile.
    """

    def __init__(self, cache: "Cache", transaction: bool = True) -> None:
        self.cache = cache
        self.is_transaction = transaction
        self.watching = False
        self.explicit_transaction = False
        self._commands: "list[tuple[Any, ...]]" = []
        self._converts: "list[Convert]" = []
        self._client: "Optional[_native.Client]" = None

    def __enter__(self) -> "Pipeline":
        return self

    def __exit__(self, *_: object) -> None:
        self.reset()

    def __del__(self) -> None:
        try:
            self.reset()
        except Exception:
            pass

    def __len__(self) -> int:
        return len(self._commands)

    def __bool__(self) -> bool:
        return True

    def _run(self, args: "tuple[Any, ...]", convert: Convert = None) -> Any:
        if self.watching and not self.explicit_transaction:
            reply = self._ask([args])[0]
            if isinstance(reply, Exception):
                raise reply
            return reply if convert is None else convert(reply)
        self._commands.append(args)
        self._converts.append(convert)
        return self

    def _known(self, reply: Any) -> Any:
        # It has its place among the replies, so something is asked for it.
        return self._run(("ECHO", ""), lambda _: reply)

    def _run_script(self, script: "Script", args: "tuple[Any, ...]") -> Any:
        # Whether it is cached would only be known when it is too late.
        return self._run(("EVAL", script.script, *args))

    def execute_command(self, *args: Any) -> Any:
        """Collects any command, but for those that change the state of their connection: the
        pipeline's goes to somebody else behind it."""
        name = text(args[0]).upper() if args else ""
        first, _, second = name.partition(" ")
        if first == "CLIENT" and len(args) > 1:
            second = second or text(args[1]).upper()
        if first in OF_CONNECTIONS or (first == "CLIENT" and second in OF_CLIENTS):
            raise PannierError(
                f"{first} {second}".rstrip() + ": it changes the state of a connection, and a "
                "pipeline has none of its own: use watch() and multi(), pubsub(), at() or redis()"
            )
        return self._run(args)

    def watch(self, *names: Any) -> bool:
        """Lets `execute()` fail if one of these keys changes before; commands run at once now."""
        if self.explicit_transaction:
            raise PannierError("watch: the transaction has begun already")
        self.watching = True
        return bool(self._run(("WATCH", *names)))

    def unwatch(self) -> bool:
        """Forgets the watched keys."""
        if self.watching and not self.explicit_transaction:
            self._run(("UNWATCH",))
            self.watching = False
        return True

    def multi(self) -> None:
        """Begins to collect again after `watch()`."""
        if self.explicit_transaction:
            raise PannierError("multi: the transaction has begun already")
        if self._commands:
            raise PannierError("multi: commands were collected already")
        self.explicit_transaction = True

    def execute(self, raise_on_error: bool = True) -> Any:
        """Runs what was collected and returns the replies; the first error is raised, or they lie
        among the replies."""
        commands, converts = self._commands, self._converts
        if not commands and not self.watching:
            return []
        try:
            if self.is_transaction or self.explicit_transaction:
                replies = self._transaction(commands)
            else:
                replies = self._ask(commands)
            for index, (reply, convert) in enumerate(zip(replies, converts)):
                if isinstance(reply, Exception):
                    if raise_on_error:
                        raise _of_command(index, commands, reply)
                elif convert is not None:
                    replies[index] = convert(reply)
            return replies
        finally:
            self.reset()

    def _transaction(self, commands: "list[tuple[Any, ...]]") -> "list[Any]":
        replies = self._ask([("MULTI",), *commands, ("EXEC",)])
        executed = replies[-1]
        if executed is None:
            raise WatchError("Watched variable changed.")
        if isinstance(executed, Exception):
            # What was refused while collecting says more than EXEC does.
            for index, reply in enumerate(replies[1:-1]):
                if isinstance(reply, ResponseError):
                    raise _of_command(index, commands, reply)
            raise executed
        return list(executed)

    def reset(self) -> None:
        """Forgets what was collected and watched."""
        self._commands, self._converts = [], []
        client, self._client = self._client, None
        if client is not None and client.is_here and not client.closed:
            if self.watching:
                client.run([("UNWATCH",)], True)
            self.cache._give_back(client)
        self.watching = self.explicit_transaction = False

    def discard(self) -> None:
        """The same, as the protocol calls it."""
        self.reset()

    def _ask(self, commands: "list[tuple[Any, ...]]") -> "list[Any]":
        if self._client is None:
            self._client = self.cache._borrow()
        try:
            return self._client.run(commands, False)
        except TypeError:
            # An argument that cannot be one: nothing was sent.
            raise
        except BaseException:
            # Replies may still come, and would be taken for somebody else's.
            self._client.close()
            self.reset()
            raise


def _of_command(index: int, commands: "list[tuple[Any, ...]]", error: Exception) -> Exception:
    """An error that says which command it is about."""
    name = " ".join(str(arg) for arg in commands[index])[:100]
    return type(error)(f"Command # {index + 1} ({name}) of pipeline: {error}")


#: Commands after which a connection is not as others are.
OF_CONNECTIONS = frozenset(
    "ASKING AUTH DISCARD EXEC HELLO MONITOR MULTI PSUBSCRIBE PSYNC PUNSUBSCRIBE QUIT READONLY "
    "READWRITE RESET SELECT SSUBSCRIBE SUBSCRIBE SUNSUBSCRIBE SYNC UNSUBSCRIBE UNWATCH "
    "WATCH".split()
)

#: The same of CLIENT.
OF_CLIENTS = frozenset(
    "CACHING CAPA IMPORT-SOURCE NO-EVICT NO-TOUCH REPLY SETINFO SETNAME TRACKING".split()
)
