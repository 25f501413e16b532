"""Commands on keys of any type."""

from __future__ import annotations

from typing import Any, Iterator, Optional

from . import base
from .base import Key, Moment, Runner, Span


class KeyCommands(Runner):
    """Commands on keys of any type."""

    def delete(self, *names: Key) -> Any:
        """Removes keys; how many there were."""
        return self._run(("DEL", *names))

    def unlink(self, *names: Key) -> Any:
        """Removes keys, and frees large values in the background; how many there were."""
        return self._run(("UNLINK", *names))

    def exists(self, *names: Key) -> Any:
        """How many of the keys exist."""
        return self._run(("EXISTS", *names))

    def touch(self, *names: Key) -> Any:
        """Marks keys as used; how many exist."""
        return self._run(("TOUCH", *names))

    def expire(
        self,
        name: Key,
        time: Span,
        nx: bool = False,
        xx: bool = False,
        gt: bool = False,
        lt: bool = False,
    ) -> Any:
        """Lets a key live for so many seconds; whether it was done."""
        words = base.flags(nx=nx, xx=xx, gt=gt, lt=lt)
        return self._run(("EXPIRE", name, base.seconds(time), *words), bool)

    def pexpire(
        self,
        name: Key,
        time: Span,
        nx: bool = False,
        xx: bool = False,
        gt: bool = False,
        lt: bool = False,
    ) -> Any:
        """Lets a key live for so many milliseconds; whether it was done."""
        words = base.flags(nx=nx, xx=xx, gt=gt, lt=lt)
        return self._run(("PEXPIRE", name, base.millis(time), *words), bool)

    def expireat(
        self,
        name: Key,
        when: Moment,
        nx: bool = False,
        xx: bool = False,
        gt: bool = False,
        lt: bool = False,
    ) -> Any:
        """Lets a key live until a moment (Unix seconds); whether it was done."""
        words = base.flags(nx=nx, xx=xx, gt=gt, lt=lt)
        return self._run(("EXPIREAT", name, base.unix_seconds(when), *words), bool)

    def pexpireat(
        self,
        name: Key,
        when: Moment,
        nx: bool = False,
        xx: bool = False,
        gt: bool = False,
        lt: bool = False,
    ) -> Any:
        """Lets a key live until a moment (Unix milliseconds); whether it was done."""
        words = base.flags(nx=nx, xx=xx, gt=gt, lt=lt)
        return self._run(("PEXPIREAT", name, base.unix_millis(when), *words), bool)

    def ttl(self, name: Key) -> Any:
        """Seconds left; -1 for ever, -2 when there is no such key."""
        return self._run(("TTL", name))

    def pttl(self, name: Key) -> Any:
        """Milliseconds left; -1 for ever, -2 when there is no such key."""
        return self._run(("PTTL", name))

    def expiretime(self, key: Key) -> Any:
        """The end of its life in Unix seconds."""
        return self._run(("EXPIRETIME", key))

    def pexpiretime(self, key: Key) -> Any:
        """The end of its life in Unix milliseconds."""
        return self._run(("PEXPIRETIME", key))

    def persist(self, name: Key) -> Any:
        """Lets a key live for ever; whether it would have ended."""
        return self._run(("PERSIST", name), bool)

    def rename(self, src: Key, dst: Key) -> Any:
        """Gives a key another name, over what has it."""
        return self._run(("RENAME", src, dst), base.is_ok)

    def renamenx(self, src: Key, dst: Key) -> Any:
        """Gives a key another name if nothing has it; whether it was done."""
        return self._run(("RENAMENX", src, dst), bool)

    def copy(
        self,
        source: Key,
        destination: Key,
        destination_db: Optional[int] = None,
        replace: bool = False,
    ) -> Any:
        """Copies a value, also to another database; whether it was done."""
        words = [] if destination_db is None else ["DB", destination_db]
        words += base.flags(replace=replace)
        return self._run(("COPY", source, destination, *words), bool)

    def move(self, name: Key, db: int) -> Any:
        """Moves a key to another database; whether it was done."""
        return self._run(("MOVE", name, db), bool)

    def type(self, name: Key) -> Any:
        """The type of a value: `string`, `list`, ... or `none`."""
        return self._run(("TYPE", name))

    def randomkey(self) -> Any:
        """Any key."""
        return self._run(("RANDOMKEY",))

    def keys(self, pattern: Key = "*") -> Any:
        """All keys of a pattern. On a large database `scan_iter` disturbs others less."""
        return self._run(("KEYS", pattern))

    def scan(
        self,
        cursor: int = 0,
        match: Optional[Key] = None,
        count: Optional[int] = None,
        _type: Optional[str] = None,
    ) -> Any:
        """A page of keys: the next cursor, 0 at the end, and the keys."""
        more = () if _type is None else ("TYPE", _type)
        return self._run(("SCAN", *base.scan_words(cursor, match, count, *more)), base.scanned)

    def scan_iter(
        self,
        match: Optional[Key] = None,
        count: Optional[int] = None,
        _type: Optional[str] = None,
    ) -> Iterator[Any]:
        """Keys, page by page. What is there from beginning to end is met at least once."""
        for page in base.pages(lambda cursor: self.scan(cursor, match, count, _type)):
            yield from page

    def sort(
        self,
        name: Key,
        start: Optional[int] = None,
        num: Optional[int] = None,
        by: Optional[Key] = None,
        get: Any = None,
        desc: bool = False,
        alpha: bool = False,
        store: Optional[Key] = None,
        groups: bool = False,
    ) -> Any:
        """A list or set in order, by other values if `by`; or what `get` finds, a pattern or
        several (as tuples, if `groups`); or how many were stored."""
        patterns = [] if get is None else base.many(get)
        if groups and len(patterns) < 2:
            raise ValueError("sort: groups are of what several patterns get")
        words = _sort_words(start, num, by, patterns, desc, alpha)
        words += [] if store is None else ["STORE", store]
        convert = base.grouped(len(patterns)) if groups else None
        return self._run(("SORT", name, *words), convert)

    def sort_ro(
        self,
        key: Key,
        start: Optional[int] = None,
        num: Optional[int] = None,
        by: Optional[Key] = None,
        get: Any = None,
        desc: bool = False,
        alpha: bool = False,
    ) -> Any:
        """The same without storing, as a command that only reads."""
        patterns = [] if get is None else base.many(get)
        return self._run(("SORT_RO", key, *_sort_words(start, num, by, patterns, desc, alpha)))

    def dump(self, name: Key) -> Any:
        """A value in the form that `restore` takes; None when there is none."""
        return self._run(("DUMP", name))

    def restore(
        self,
        name: Key,
        ttl: int,
        value: bytes,
        replace: bool = False,
        absttl: bool = False,
        idletime: Optional[int] = None,
        frequency: Optional[int] = None,
    ) -> Any:
        """Makes a key of what `dump` gave; `ttl` in milliseconds, 0 for ever."""
        words: "list[Any]" = base.flags(replace=replace, absttl=absttl)
        if idletime is not None:
            words += ["IDLETIME", idletime]
        if frequency is not None:
            words += ["FREQ", frequency]
        return self._run(("RESTORE", name, ttl, value, *words), base.is_ok)

    def object(self, infotype: str, key: Key) -> Any:
        """What is known of a value: `encoding`, `idletime`, `freq`, `refcount`."""
        return self._run(("OBJECT", infotype, key))

    def memory_usage(self, key: Key, samples: Optional[int] = None) -> Any:
        """Bytes that a key takes."""
        words = () if samples is None else ("SAMPLES", samples)
        return self._run(("MEMORY", "USAGE", key, *words))


def _sort_words(
    start: Optional[int],
    num: Optional[int],
    by: Optional[Key],
    patterns: "list[Any]",
    desc: bool,
    alpha: bool,
) -> "list[Any]":
    if (start is None) != (num is None):
        raise ValueError("a page has a start and a number")
    words: "list[Any]" = [] if by is None else ["BY", by]
    words += [] if start is None else ["LIMIT", start, num]
    for pattern in patterns:
        words += ["GET", pattern]
    return words + base.flags(desc=desc, alpha=alpha)
