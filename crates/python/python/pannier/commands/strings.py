"""Commands on strings and numbers."""

from __future__ import annotations

from typing import Any, Mapping, Optional

from . import base
from .base import Key, Moment, Runner, Span, Value


class StringCommands(Runner):
    """Commands on strings and numbers."""

    def get(self, name: Key) -> Any:
        """The value; None when there is none."""
        return self._run(("GET", name))

    def set(
        self,
        name: Key,
        value: Value,
        ex: Optional[Span] = None,
        px: Optional[Span] = None,
        nx: bool = False,
        xx: bool = False,
        keepttl: bool = False,
        get: bool = False,
        exat: Optional[Moment] = None,
        pxat: Optional[Moment] = None,
    ) -> Any:
        """Stores a value; True, or None when a condition forbade it.

        `ex` and `px` are a lifetime in seconds and milliseconds, `exat` and `pxat` its end;
        `keepttl` leaves it as it was. `nx` only makes, `xx` only replaces. `get` returns what was
        there before.
        """
        words = base.lifetime(ex, px, exat, pxat)
        words += base.flags(keepttl=keepttl, nx=nx, xx=xx, get=get)
        return self._run(("SET", name, value, *words), None if get else base.ok_or_none)

    def setex(self, name: Key, time: Span, value: Value) -> Any:
        """Stores a value for so many seconds."""
        return self._run(("SETEX", name, base.seconds(time), value), base.is_ok)

    def psetex(self, name: Key, time_ms: Span, value: Value) -> Any:
        """Stores a value for so many milliseconds."""
        return self._run(("PSETEX", name, base.millis(time_ms), value), base.is_ok)

    def setnx(self, name: Key, value: Value) -> Any:
        """Stores a value where none is; whether it was done."""
        return self._run(("SETNX", name, value), bool)

    def getset(self, name: Key, value: Value) -> Any:
        """Stores a value and returns the one before."""
        return self._run(("GETSET", name, value))

    def getdel(self, name: Key) -> Any:
        """Removes a value and returns it."""
        return self._run(("GETDEL", name))

    def getex(
        self,
        name: Key,
        ex: Optional[Span] = None,
        px: Optional[Span] = None,
        exat: Optional[Moment] = None,
        pxat: Optional[Moment] = None,
        persist: bool = False,
    ) -> Any:
        """The value, and another lifetime for it."""
        words = base.lifetime(ex, px, exat, pxat) + base.flags(persist=persist)
        return self._run(("GETEX", name, *words))

    def mget(self, keys: Any, *args: Key) -> Any:
        """The values of several keys, None where there is none."""
        names = base.many(keys, args)
        return self._run(("MGET", *names)) if names else self._known([])

    def mset(self, mapping: Mapping[Any, Value]) -> Any:
        """Stores several values at once."""
        return self._run(("MSET", *(word for pair in mapping.items() for word in pair)), base.is_ok)

    def msetnx(self, mapping: Mapping[Any, Value]) -> Any:
        """Stores several values if none of the keys exists; whether it was done."""
        return self._run(("MSETNX", *(word for pair in mapping.items() for word in pair)), bool)

    def append(self, key: Key, value: Value) -> Any:
        """Appends to a value; its length then."""
        return self._run(("APPEND", key, value))

    def strlen(self, name: Key) -> Any:
        """The length of a value in bytes."""
        return self._run(("STRLEN", name))

    def getrange(self, key: Key, start: int, end: int) -> Any:
        """A part of a value, both ends included."""
        return self._run(("GETRANGE", key, start, end))

    def setrange(self, name: Key, offset: int, value: Value) -> Any:
        """Overwrites a part of a value; its length then."""
        return self._run(("SETRANGE", name, offset, value))

    def incrby(self, name: Key, amount: int = 1) -> Any:
        """Adds to a whole number; the sum."""
        return self._run(("INCRBY", name, amount))

    def incr(self, name: Key, amount: int = 1) -> Any:
        """Adds to a whole number; the sum."""
        return self._run(("INCRBY", name, amount))

    def decrby(self, name: Key, amount: int = 1) -> Any:
        """Takes from a whole number; the difference."""
        return self._run(("DECRBY", name, amount))

    def decr(self, name: Key, amount: int = 1) -> Any:
        """Takes from a whole number; the difference."""
        return self._run(("DECRBY", name, amount))

    def incrbyfloat(self, name: Key, amount: float = 1.0) -> Any:
        """Adds to a number; the sum."""
        return self._run(("INCRBYFLOAT", name, amount), float)

    def pfadd(self, name: Key, *values: Value) -> Any:
        """Counts values in a HyperLogLog; 1 when its estimate changed."""
        return self._run(("PFADD", name, *values))

    def pfcount(self, *sources: Key) -> Any:
        """About how many different values were counted."""
        return self._run(("PFCOUNT", *sources))

    def pfmerge(self, dest: Key, *sources: Key) -> Any:
        """Makes one HyperLogLog of several."""
        return self._run(("PFMERGE", dest, *sources), base.is_ok)
