"""Commands on sets."""

from __future__ import annotations

from typing import Any, Iterator, Optional

from . import base
from .base import Key, Runner, Value


class SetCommands(Runner):
    """Commands on sets."""

    def sadd(self, name: Key, *values: Value) -> Any:
        """Adds members; how many are new."""
        return self._run(("SADD", name, *values))

    def srem(self, name: Key, *values: Value) -> Any:
        """Removes members; how many there were."""
        return self._run(("SREM", name, *values))

    def scard(self, name: Key) -> Any:
        """How many members there are."""
        return self._run(("SCARD", name))

    def smembers(self, name: Key) -> Any:
        """All members, as a set."""
        return self._run(("SMEMBERS", name), set)

    def sismember(self, name: Key, value: Value) -> Any:
        """Whether it is a member."""
        return self._run(("SISMEMBER", name, value), bool)

    def smismember(self, name: Key, values: Any, *args: Value) -> Any:
        """For several values, whether they are members."""
        return self._run(("SMISMEMBER", name, *base.many(values, args)), _bools)

    def smove(self, src: Key, dst: Key, value: Value) -> Any:
        """Moves a member to another set; whether there was one."""
        return self._run(("SMOVE", src, dst, value), bool)

    def spop(self, name: Key, count: Optional[int] = None) -> Any:
        """Takes any member out, or a list of `count`."""
        return self._run(("SPOP", name) if count is None else ("SPOP", name, count))

    def srandmember(self, name: Key, number: Optional[int] = None) -> Any:
        """Any member, or a list of `number`."""
        return self._run(("SRANDMEMBER", name) if number is None else ("SRANDMEMBER", name, number))

    def sinter(self, keys: Any, *args: Key) -> Any:
        """What is in all of the sets."""
        return self._run(("SINTER", *base.many(keys, args)), set)

    def sunion(self, keys: Any, *args: Key) -> Any:
        """What is in any of the sets."""
        return self._run(("SUNION", *base.many(keys, args)), set)

    def sdiff(self, keys: Any, *args: Key) -> Any:
        """What is in the first set and in none of the others."""
        return self._run(("SDIFF", *base.many(keys, args)), set)

    def sinterstore(self, dest: Key, keys: Any, *args: Key) -> Any:
        """Stores what is in all of the sets; how many."""
        return self._run(("SINTERSTORE", dest, *base.many(keys, args)))

    def sunionstore(self, dest: Key, keys: Any, *args: Key) -> Any:
        """Stores what is in any of the sets; how many."""
        return self._run(("SUNIONSTORE", dest, *base.many(keys, args)))

    def sdiffstore(self, dest: Key, keys: Any, *args: Key) -> Any:
        """Stores what is in the first set and in none of the others; how many."""
        return self._run(("SDIFFSTORE", dest, *base.many(keys, args)))

    def sintercard(self, numkeys: int, keys: Any, limit: int = 0) -> Any:
        """How many are in all of the sets, counted up to a limit."""
        return self._run(("SINTERCARD", numkeys, *base.many(keys), "LIMIT", limit))

    def sscan(
        self,
        name: Key,
        cursor: int = 0,
        match: Optional[Key] = None,
        count: Optional[int] = None,
    ) -> Any:
        """A page of members: the next cursor, 0 at the end, and the members."""
        return self._run(("SSCAN", name, *base.scan_words(cursor, match, count)), base.scanned)

    def sscan_iter(
        self, name: Key, match: Optional[Key] = None, count: Optional[int] = None
    ) -> Iterator[Any]:
        """Members, page by page."""
        for page in base.pages(lambda cursor: self.sscan(name, cursor, match, count)):
            yield from page


def _bools(reply: Any) -> "list[bool]":
    return [bool(item) for item in reply]
