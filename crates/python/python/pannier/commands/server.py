"""Commands of the engine as a whole: its databases, configuration, figures, channels."""

from __future__ import annotations

from typing import Any, Optional

from . import base
from .base import Key, Runner, Value


class ServerCommands(Runner):
    """Commands of the engine as a whole."""

    def ping(self) -> Any:
        """True."""
        return self._run(("PING",), lambda reply: base.text(reply) == "PONG")

    def echo(self, value: Value) -> Any:
        """The same again."""
        return self._run(("ECHO", value))

    def publish(self, channel: Key, message: Value) -> Any:
        """Sends a message to a channel; how many receive it."""
        return self._run(("PUBLISH", channel, message))

    def spublish(self, shard_channel: Key, message: Value) -> Any:
        """Sends a message to a shard channel; how many receive it."""
        return self._run(("SPUBLISH", shard_channel, message))

    def pubsub_channels(self, pattern: Key = "*") -> Any:
        """Channels that somebody listens to."""
        return self._run(("PUBSUB", "CHANNELS", pattern))

    def pubsub_numsub(self, *args: Key) -> Any:
        """Channels with their numbers of subscribers, as pairs."""
        return self._run(("PUBSUB", "NUMSUB", *args), _numbers)

    def pubsub_numpat(self) -> Any:
        """How many patterns somebody listens to."""
        return self._run(("PUBSUB", "NUMPAT"))

    def dbsize(self) -> Any:
        """How many keys this database has."""
        return self._run(("DBSIZE",))

    def flushdb(self, asynchronous: bool = False) -> Any:
        """Empties this database."""
        return self._run(("FLUSHDB", *(["ASYNC"] if asynchronous else [])), base.is_ok)

    def flushall(self, asynchronous: bool = False) -> Any:
        """Empties all databases."""
        return self._run(("FLUSHALL", *(["ASYNC"] if asynchronous else [])), base.is_ok)

    def swapdb(self, first: int, second: int) -> Any:
        """Lets two databases change places."""
        return self._run(("SWAPDB", first, second), base.is_ok)

    def time(self) -> Any:
        """The engine's time: seconds and microseconds."""
        return self._run(("TIME",), lambda reply: (int(reply[0]), int(reply[1])))

    def info(self, section: Optional[str] = None) -> Any:
        """Figures, by name."""
        return self._run(("INFO",) if section is None else ("INFO", section), _info)

    def config_get(self, pattern: str = "*", *args: str) -> Any:
        """Parameters and their values."""
        return self._run(("CONFIG", "GET", pattern, *args), _config)

    def config_set(self, name: str, value: Value, *args: Any) -> Any:
        """Changes parameters."""
        return self._run(("CONFIG", "SET", name, value, *args), base.is_ok)

    def config_resetstat(self) -> Any:
        """Sets statistics back to zero."""
        return self._run(("CONFIG", "RESETSTAT"), base.is_ok)


def _numbers(reply: Any) -> Any:
    if isinstance(reply, dict):
        return list(reply.items())
    return list(base.paired(reply))


def _config(reply: Any) -> "dict[str, str]":
    return {base.text(name): base.text(value) for name, value in reply.items()}


def _info(reply: Any) -> "dict[str, Any]":
    lines = base.text(reply).splitlines()
    pairs = (line.split(":", 1) for line in lines if ":" in line and not line.startswith("#"))
    return {name: _figure(value) for name, value in pairs}


def _figure(value: str) -> Any:
    if "," in value and "=" in value:
        parts = (part.split("=", 1) for part in value.split(",") if "=" in part)
        return {name: _figure(part) for name, part in parts}
    for number in (int, float):
        try:
            return number(value)
        except ValueError:
            continue
    return value
