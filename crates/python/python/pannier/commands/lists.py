"""Commands on lists. Those that wait let other threads run, and Ctrl-C ends them."""

from __future__ import annotations

from typing import Any, Optional

from . import base
from .base import Key, Runner, Value


class ListCommands(Runner):
    """Commands on lists."""

    def lpush(self, name: Key, *values: Value) -> Any:
        """Puts values at the head, one before the other; the length then."""
        return self._run(("LPUSH", name, *values))

    def rpush(self, name: Key, *values: Value) -> Any:
        """Puts values at the tail; the length then."""
        return self._run(("RPUSH", name, *values))

    def lpushx(self, name: Key, *values: Value) -> Any:
        """Puts values at the head of a list that exists; the length then."""
        return self._run(("LPUSHX", name, *values))

    def rpushx(self, name: Key, *values: Value) -> Any:
        """Puts values at the tail of a list that exists; the length then."""
        return self._run(("RPUSHX", name, *values))

    def lpop(self, name: Key, count: Optional[int] = None) -> Any:
        """Takes from the head: a value, or a list of up to `count`; None when it is empty."""
        return self._run(("LPOP", name) if count is None else ("LPOP", name, count))

    def rpop(self, name: Key, count: Optional[int] = None) -> Any:
        """Takes from the tail: a value, or a list of up to `count`; None when it is empty."""
        return self._run(("RPOP", name) if count is None else ("RPOP", name, count))

    def blpop(self, keys: Any, timeout: Optional[float] = 0) -> Any:
        """Takes from the head of the first list that has something, and waits for it: key and
        value, or None after so many seconds (0 is for ever)."""
        return self._run(("BLPOP", *base.many(keys), timeout or 0), base.to_tuple)

    def brpop(self, keys: Any, timeout: Optional[float] = 0) -> Any:
        """Takes from the tail of the first list that has something, and waits for it."""
        return self._run(("BRPOP", *base.many(keys), timeout or 0), base.to_tuple)

    def lmove(
        self, first_list: Key, second_list: Key, src: str = "LEFT", dest: str = "RIGHT"
    ) -> Any:
        """Moves a value from one end of a list to one of another."""
        return self._run(("LMOVE", first_list, second_list, src, dest))

    def blmove(
        self,
        first_list: Key,
        second_list: Key,
        timeout: float,
        src: str = "LEFT",
        dest: str = "RIGHT",
    ) -> Any:
        """Moves a value from one list to another, and waits for it."""
        return self._run(("BLMOVE", first_list, second_list, src, dest, timeout))

    def rpoplpush(self, src: Key, dst: Key) -> Any:
        """Moves a value from the tail of a list to the head of another."""
        return self._run(("RPOPLPUSH", src, dst))

    def brpoplpush(self, src: Key, dst: Key, timeout: Optional[float] = 0) -> Any:
        """Moves a value from the tail of a list to the head of another, and waits for it."""
        return self._run(("BRPOPLPUSH", src, dst, timeout or 0))

    def llen(self, name: Key) -> Any:
        """The length."""
        return self._run(("LLEN", name))

    def lrange(self, name: Key, start: int, end: int) -> Any:
        """The values between two positions, both included; negative ones count from the tail."""
        return self._run(("LRANGE", name, start, end))

    def lindex(self, name: Key, index: int) -> Any:
        """The value at a position."""
        return self._run(("LINDEX", name, index))

    def lset(self, name: Key, index: int, value: Value) -> Any:
        """Replaces the value at a position."""
        return self._run(("LSET", name, index, value), base.is_ok)

    def linsert(self, name: Key, where: str, refvalue: Value, value: Value) -> Any:
        """Inserts a value `BEFORE` or `AFTER` another; the length then, -1 without the other."""
        return self._run(("LINSERT", name, where, refvalue, value))

    def lrem(self, name: Key, count: int, value: Value) -> Any:
        """Removes values that are equal: all (0), or so many from the head or the tail (< 0)."""
        return self._run(("LREM", name, count, value))

    def ltrim(self, name: Key, start: int, end: int) -> Any:
        """Keeps the values between two positions only."""
        return self._run(("LTRIM", name, start, end), base.is_ok)

    def lpos(
        self,
        name: Key,
        value: Value,
        rank: Optional[int] = None,
        count: Optional[int] = None,
        maxlen: Optional[int] = None,
    ) -> Any:
        """The position of a value, or a list of up to `count`."""
        words: "list[Any]" = []
        for word, number in (("RANK", rank), ("COUNT", count), ("MAXLEN", maxlen)):
            if number is not None:
                words += [word, number]
        return self._run(("LPOS", name, value, *words))
