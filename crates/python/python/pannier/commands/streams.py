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
        self,
        name: Key,
        groupname: Key,
        id: Id = "$",
        mkstream: bool = False,
        entries_read: Optional[int] = None,
    ) -> Any:
        """Makes a group of consumers."""
        words: "list[Any]" = base.flags(mkstream=mkstream)
        words += [] if entries_read is None else ["ENTRIESREAD", entries_read]
        return self._run(("XGROUP", "CREATE", name, groupname, id, *words), base.is_ok)

    def xgroup_setid(
        self, name: Key, groupname: Key, id: Id, entries_read: Optional[int] = None
    ) -> Any:
        """Lets a group go on behind another entry."""
        words: "list[Any]" = [] if entries_read is None else ["ENTRIESREAD", entries_read]
        return self._run(("XGROUP", "SETID", name, groupname, id, *words), base.is_ok)

    def xgroup_createconsumer(self, name: Key, groupname: Key, consumername: Key) -> Any:
        """Makes a consumer; 1 when there was none."""
        return self._run(("XGROUP", "CREATECONSUMER", name, groupname, consumername))

    def xgroup_delconsumer(self, name: Key, groupname: Key, consumername: Key) -> Any:
        """Removes a consumer; how many entries were pending for it."""
        return self._run(("XGROUP", "DELCONSUMER", name, groupname, consumername))

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

    def xpending(self, name: Key, groupname: Key) -> Any:
        """What is pending in a group: how many entries, the first, the last, and by consumer."""
        return self._run(("XPENDING", name, groupname), _pending)

    def xpending_range(
        self,
        name: Key,
        groupname: Key,
        min: Id,
        max: Id,
        count: int,
        consumername: Optional[Key] = None,
        idle: Optional[int] = None,
    ) -> Any:
        """Pending entries between two ids, as dicts: of one consumer, and idle for at least so many
        milliseconds, if given."""
        words: "list[Any]" = [] if idle is None else ["IDLE", idle]
        words += [min, max, count, *([] if consumername is None else [consumername])]
        return self._run(("XPENDING", name, groupname, *words), _pending_entries)

    def xclaim(
        self,
        name: Key,
        groupname: Key,
        consumername: Key,
        min_idle_time: int,
        message_ids: Any,
        idle: Optional[int] = None,
        time: Optional[int] = None,
        retrycount: Optional[int] = None,
        force: bool = False,
        justid: bool = False,
    ) -> Any:
        """Gives pending entries to a consumer; the entries, or their ids if `justid`."""
        ids = base.many(message_ids)
        if min_idle_time < 0 or not ids:
            raise ValueError("xclaim: a time is at least 0, and some id is given")
        words: "list[Any]" = []
        for word, value in (("IDLE", idle), ("TIME", time), ("RETRYCOUNT", retrycount)):
            words += [] if value is None else [word, value]
        words += base.flags(force=force, justid=justid)
        command = ("XCLAIM", name, groupname, consumername, min_idle_time, *ids, *words)
        return self._run(command, None if justid else _entries)

    def xautoclaim(
        self,
        name: Key,
        groupname: Key,
        consumername: Key,
        min_idle_time: int,
        start_id: Id = "0-0",
        count: Optional[int] = None,
        justid: bool = False,
    ) -> Any:
        """Gives a consumer what has been pending for long enough: where to go on, the entries, and
        ids of those that are gone; ids alone, if `justid`."""
        if min_idle_time < 0:
            raise ValueError("xautoclaim: a time is at least 0")
        words = [min_idle_time, start_id, *_count(count), *base.flags(justid=justid)]
        convert = _claimed_ids if justid else _claimed
        return self._run(("XAUTOCLAIM", name, groupname, consumername, *words), convert)

    def xinfo_stream(self, name: Key, full: bool = False) -> Any:
        """What is known of a stream, as a dict; with its groups and all entries, if `full`."""
        words = base.flags(full=full)
        return self._run(("XINFO", "STREAM", name, *words), _full_stream if full else _stream)

    def xinfo_groups(self, name: Key) -> Any:
        """What is known of its groups, a dict for each."""
        return self._run(("XINFO", "GROUPS", name), _named)

    def xinfo_consumers(self, name: Key, groupname: Key) -> Any:
        """What is known of a group's consumers, a dict for each."""
        return self._run(("XINFO", "CONSUMERS", name, groupname), _named)


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
    return id, {} if fields is None else dict(base.paired(fields))


def _entries(reply: Any) -> "list[Any]":
    return [_entry(entry) for entry in reply]


def _by_stream(reply: Any) -> "list[Any]":
    return [[name, _entries(entries)] for name, entries in (reply or {}).items()]


def _pending(reply: Any) -> "dict[str, Any]":
    count, first, last, consumers = reply
    each = [{"name": name, "pending": int(pending)} for name, pending in consumers or ()]
    return {"pending": count, "min": first, "max": last, "consumers": each}


def _pending_entries(reply: Any) -> "list[dict[str, Any]]":
    fields = ("message_id", "consumer", "time_since_delivered", "times_delivered")
    return [dict(zip(fields, entry)) for entry in reply]


def _claimed(reply: Any) -> "list[Any]":
    return [reply[0], _entries(reply[1]), *reply[2:]]


def _claimed_ids(reply: Any) -> Any:
    return reply[1]


def _fields(reply: Any) -> "dict[str, Any]":
    return {base.text(name): value for name, value in reply.items()}


def _named(reply: Any) -> "list[dict[str, Any]]":
    return [_fields(each) for each in reply]


def _stream(reply: Any) -> "dict[str, Any]":
    fields = _fields(reply)
    for name in ("first-entry", "last-entry"):
        fields[name] = None if fields[name] is None else _entry(fields[name])
    return fields


def _full_stream(reply: Any) -> "dict[str, Any]":
    fields = _fields(reply)
    fields["entries"] = dict(_entries(fields["entries"]))
    fields["groups"] = _named(fields["groups"])
    for group in fields["groups"]:
        group["consumers"] = _named(group["consumers"])
    return fields
