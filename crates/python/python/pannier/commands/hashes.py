"""Commands on hashes."""

from __future__ import annotations

from typing import Any, Iterator, Mapping, Optional, Sequence

from . import base
from .base import Field, Key, Moment, Runner, Span, Value


class HashCommands(Runner):
    """Commands on hashes."""

    def hget(self, name: Key, key: Field) -> Any:
        """The value of a field; None when there is none."""
        return self._run(("HGET", name, key))

    def hset(
        self,
        name: Key,
        key: Optional[Field] = None,
        value: Optional[Value] = None,
        mapping: Optional[Mapping[Any, Value]] = None,
        items: Optional[Sequence[Any]] = None,
    ) -> Any:
        """Sets fields: one, those of `mapping`, those of a flat list `items`; how many are new."""
        words: "list[Any]" = [] if key is None else [key, value]
        for pair in (mapping or {}).items():
            words += pair
        words += items or ()
        if not words:
            raise ValueError("hset: no field is given")
        return self._run(("HSET", name, *words))

    def hsetnx(self, name: Key, key: Field, value: Value) -> Any:
        """Sets a field where none is; whether it was done."""
        return self._run(("HSETNX", name, key, value), bool)

    def hmget(self, name: Key, keys: Any, *args: Field) -> Any:
        """The values of several fields, None where there is none."""
        return self._run(("HMGET", name, *base.many(keys, args)))

    def hgetall(self, name: Key) -> Any:
        """All fields with their values."""
        return self._run(("HGETALL", name))

    def hdel(self, name: Key, *keys: Field) -> Any:
        """Removes fields; how many there were."""
        return self._run(("HDEL", name, *keys))

    def hexists(self, name: Key, key: Field) -> Any:
        """Whether there is such a field."""
        return self._run(("HEXISTS", name, key), bool)

    def hlen(self, name: Key) -> Any:
        """How many fields there are."""
        return self._run(("HLEN", name))

    def hkeys(self, name: Key) -> Any:
        """The names of all fields."""
        return self._run(("HKEYS", name))

    def hvals(self, name: Key) -> Any:
        """The values of all fields."""
        return self._run(("HVALS", name))

    def hstrlen(self, name: Key, key: Field) -> Any:
        """The length of a field's value in bytes."""
        return self._run(("HSTRLEN", name, key))

    def hincrby(self, name: Key, key: Field, amount: int = 1) -> Any:
        """Adds to a field's whole number; the sum."""
        return self._run(("HINCRBY", name, key, amount))

    def hincrbyfloat(self, name: Key, key: Field, amount: float = 1.0) -> Any:
        """Adds to a field's number; the sum."""
        return self._run(("HINCRBYFLOAT", name, key, amount), float)

    def hrandfield(
        self, key: Key, count: Optional[int] = None, withvalues: bool = False
    ) -> Any:
        """Any field, or a list of `count`, in which a value follows each if `withvalues`."""
        words: "list[Any]" = [] if count is None else [count]
        words += base.flags(withvalues=withvalues)
        return self._run(("HRANDFIELD", key, *words), base.flat if withvalues else None)

    def hexpire(
        self,
        name: Key,
        seconds: Span,
        *fields: Field,
        nx: bool = False,
        xx: bool = False,
        gt: bool = False,
        lt: bool = False,
    ) -> Any:
        """Lets fields live for so many seconds; a number for each field that says what was done."""
        words = [*base.flags(nx=nx, xx=xx, gt=gt, lt=lt), "FIELDS", len(fields), *fields]
        return self._run(("HEXPIRE", name, base.seconds(seconds), *words))

    def hpexpire(
        self,
        name: Key,
        milliseconds: Span,
        *fields: Field,
        nx: bool = False,
        xx: bool = False,
        gt: bool = False,
        lt: bool = False,
    ) -> Any:
        """Lets fields live for so many milliseconds."""
        words = [*base.flags(nx=nx, xx=xx, gt=gt, lt=lt), "FIELDS", len(fields), *fields]
        return self._run(("HPEXPIRE", name, base.millis(milliseconds), *words))

    def hexpireat(
        self,
        name: Key,
        unix_time_seconds: Moment,
        *fields: Field,
        nx: bool = False,
        xx: bool = False,
        gt: bool = False,
        lt: bool = False,
    ) -> Any:
        """Lets fields live until a moment (Unix seconds)."""
        words = [*base.flags(nx=nx, xx=xx, gt=gt, lt=lt), "FIELDS", len(fields), *fields]
        return self._run(("HEXPIREAT", name, base.unix_seconds(unix_time_seconds), *words))

    def hpexpireat(
        self,
        name: Key,
        unix_time_milliseconds: Moment,
        *fields: Field,
        nx: bool = False,
        xx: bool = False,
        gt: bool = False,
        lt: bool = False,
    ) -> Any:
        """Lets fields live until a moment (Unix milliseconds)."""
        words = [*base.flags(nx=nx, xx=xx, gt=gt, lt=lt), "FIELDS", len(fields), *fields]
        return self._run(("HPEXPIREAT", name, base.unix_millis(unix_time_milliseconds), *words))

    def httl(self, key: Key, *fields: Field) -> Any:
        """Seconds that fields have left."""
        return self._run(("HTTL", key, "FIELDS", len(fields), *fields))

    def hpttl(self, key: Key, *fields: Field) -> Any:
        """Milliseconds that fields have left."""
        return self._run(("HPTTL", key, "FIELDS", len(fields), *fields))

    def hpersist(self, name: Key, *fields: Field) -> Any:
        """Lets fields live for ever."""
        return self._run(("HPERSIST", name, "FIELDS", len(fields), *fields))

    def hscan(
        self,
        name: Key,
        cursor: int = 0,
        match: Optional[Key] = None,
        count: Optional[int] = None,
        no_values: bool = False,
    ) -> Any:
        """A page of fields: the next cursor, 0 at the end, and a dict; a list, if `no_values`."""
        words = base.scan_words(cursor, match, count, *(["NOVALUES"] if no_values else []))
        return self._run(("HSCAN", name, *words), base.scanned if no_values else _scanned)

    def hscan_iter(
        self,
        name: Key,
        match: Optional[Key] = None,
        count: Optional[int] = None,
        no_values: bool = False,
    ) -> Iterator[Any]:
        """Fields and values, or fields alone, page by page."""
        for page in base.pages(lambda cursor: self.hscan(name, cursor, match, count, no_values)):
            yield from page if no_values else page.items()


def _scanned(reply: Any) -> Any:
    cursor, page = base.scanned(reply)
    return cursor, dict(base.paired(page))
