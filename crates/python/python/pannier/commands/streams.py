"""Commands on streams. An entry is its id and a dict."""

from __future__ import annotations

from typing import Any, Mapping, Optional, Union

from . import base
from .base import Key, Runner, Value

Id = Union[str, bytes, int]


class StreamCommands(Runner):
    """Commands on streams."""

    def xadd(
        self,
        name: Key,
        fields: Mapping[Any, Value],
        id: Id = "*",
        maxlen: Optional[int] = None,
        approximate: bool = True,
        nomkstream: bool = False,
        minid: Optional[Id] = None,
        limit: Optional[int] = None,
    ) -> Any:
        """Appends an entry; its id."""
        if not fields:
            raise ValueError("xadd: no field is given")
        words: "list[Any]" = base.flags(nomkstream=nomkstream)
        words += _trim(maxlen, minid, approximate, limit)
        pairs = (word for pair in fields.items() for word in pair)
        return self._run(("XADD", name, *words, id, *pairs))

    def xlen(self, name: Key) -> Any:
        """How many entries there are."""
        return self._run(("XLEN", name))

    def xrange(self, name: Key, min: Id = "-", max: Id = "+", count: Optional[int] = None) -> Any:
        """Entries between two ids."""
        return self._run(("XRANGE", name, min, max, *_count(count)), _entries)

    def xrevrange(
        self, name: Key, max: Id = "+", min: Id = "-", count: Optional[int] = None
    ) -> Any:
        """Entries between two ids, the latest first."""
        return self._run(("XREVRANGE", name, max, min, *_count(count)), _entries)

    def xdel(self, name: Key, *ids: Id) -> Any:
        """Removes entries; how many there were."""
        return self._run(("XDEL", name, *ids))

    def xtrim(
        self,
        name: Key,
        maxlen: Optional[int] = None,
        approximate: bool = True,
        minid: Optional[Id] = None,
        limit: Optional[int] = None,
    ) -> Any:
        """Removes the oldest entries; how many."""
        return self._run(("XTRIM", name, *_trim(maxlen, minid, approximate, limit)))

    def xread(
        self,
        streams: Mapping[Any, Id],
        count: Optional[int] = None,
        block: Optional[int] = None,
    ) -> Any:
        """Entries behind given ids, by stream; `block` waits so many milliseconds (0 for ever)."""
        words = [*_count(count), *([] if block is None else ["BLOCK", block])]
        return self._run(("XREAD", *words, "STREAMS", *streams, *streams.values()), _by_stream)

    def xgroup_create(
        self, name: Key, groupname: Key, id: Id = "$", mkstream: bool = False
    ) -> Any:
        """Makes a group of consumers."""
        words = base.flags(mkstream=mkstream)
        return self._run(("XGROUP", "CREATE", name, groupname, id, *words), base.is_ok)

    def xgroup_destroy(self, name: Key, groupname: Key) -> Any:
        """Removes a group; whether there was one."""
        return self._run(("XGROUP", "DESTROY", name, groupname), bool)

    def xreadgroup(
        self,
        groupname: Key,
        consumername: Key,
        streams: Mapping[Any, Id],
        count: Optional[int] = None,
        block: Optional[int] = None,
        noack: bool = False,
    ) -> Any:
        """Entries for a consumer of a group, by stream."""
        words = [*_count(count), *([] if block is None else ["BLOCK", block])]
        words += base.flags(noack=noack)
        named = ("GROUP", groupname, consumername, *words)
        return self._run(
            ("XREADGROUP", *named, "STREAMS", *streams, *streams.values()), _by_stream
        )

    def xack(self, name: Key, groupname: Key, *ids: Id) -> Any:
        """Marks entries as done; how many were pending."""
        return self._run(("XACK", name, groupname, *ids))


def _count(count: Optional[int]) -> "list[Any]":
    return [] if count is None else ["COUNT", count]


def _trim(
    maxlen: Optional[int], minid: Optional[Id], approximate: bool, limit: Optional[int]
) -> "list[Any]":
    if maxlen is not None and minid is not None:
        raise ValueError("a stream is trimmed by maxlen or by minid")
    words: "list[Any]" = []
    for name, bound in (("MAXLEN", maxlen), ("MINID", minid)):
        if bound is not None:
            words = [name, "~" if approximate else "=", bound]
            words += [] if limit is None else ["LIMIT", limit]
    return words


def _entry(entry: Any) -> Any:
    id, fields = entry
    return id, None if fields is None else dict(base.paired(fields))


def _entries(reply: Any) -> "list[Any]":
    return [_entry(entry) for entry in reply]


def _by_stream(reply: Any) -> "list[Any]":
    return [[name, _entries(entries)] for name, entries in (reply or {}).items()]
