"""What all files of commands share: types of arguments, and what becomes of replies."""

from __future__ import annotations

import datetime
from typing import Any, Callable, Iterable, Iterator, Optional, Sequence, Tuple, Union

Key = Union[str, bytes, bytearray, memoryview]
Field = Union[str, bytes, bytearray, memoryview, int, float]
Value = Union[str, bytes, bytearray, memoryview, int, float]
Span = Union[int, datetime.timedelta]
Moment = Union[int, datetime.datetime]
Convert = Optional[Callable[[Any], Any]]


class Runner:
    """What a class has to offer to have the commands."""

    def _run(self, args: Tuple[Any, ...], convert: Convert = None) -> Any:
        raise NotImplementedError

    def _known(self, reply: Any) -> Any:
        """What a command without keys would say, of which no server need be asked."""
        return reply

    def execute(self, *args: Any) -> Any:
        """Runs any command."""
        raise NotImplementedError


def many(first: Any, rest: Sequence[Any] = ()) -> "list[Any]":
    """Keys as redis-py takes them: one, several, or a list of them and more."""
    if isinstance(first, (str, bytes, bytearray, memoryview, int, float)):
        return [first, *rest]
    return [*first, *rest]


def seconds(span: Span) -> int:
    """A time span in whole seconds."""
    return int(span.total_seconds()) if isinstance(span, datetime.timedelta) else span


def millis(span: Span) -> int:
    """A time span in whole milliseconds."""
    if isinstance(span, datetime.timedelta):
        return span // datetime.timedelta(milliseconds=1)
    return span


def unix_seconds(moment: Moment) -> int:
    """A moment in seconds since 1970."""
    return int(moment.timestamp()) if isinstance(moment, datetime.datetime) else moment


def unix_millis(moment: Moment) -> int:
    """A moment in milliseconds since 1970."""
    return int(moment.timestamp() * 1000) if isinstance(moment, datetime.datetime) else moment


def lifetime(
    ex: Optional[Span] = None,
    px: Optional[Span] = None,
    exat: Optional[Moment] = None,
    pxat: Optional[Moment] = None,
) -> "list[Any]":
    """The words of a lifetime; at most one may be given."""
    words: "list[Any]" = []
    if ex is not None:
        words += ["EX", seconds(ex)]
    if px is not None:
        words += ["PX", millis(px)]
    if exat is not None:
        words += ["EXAT", unix_seconds(exat)]
    if pxat is not None:
        words += ["PXAT", unix_millis(pxat)]
    return words


def flags(**given: bool) -> "list[str]":
    """The names of what is true, in capitals."""
    return [name.upper() for name, value in given.items() if value]


def is_ok(reply: Any) -> bool:
    """Whether a status says OK."""
    return reply in (b"OK", "OK")


def ok_or_none(reply: Any) -> Optional[bool]:
    """OK as True; the null of what was not done stays."""
    return None if reply is None else True


def text(reply: Any) -> str:
    """A string that is never data: a type, a name of a field."""
    return reply.decode("utf-8", "replace") if isinstance(reply, bytes) else reply


def to_float(reply: Any) -> Optional[float]:
    """A number that may be missing."""
    return None if reply is None else float(reply)


def scores(withscores: bool, cast: Callable[[float], Any]) -> Convert:
    """What makes pairs of members and scores of a reply that has them."""
    return (lambda reply: scored(reply, cast)) if withscores else None


def scored(reply: Any, cast: Callable[[float], Any] = float) -> "list[Tuple[Any, Any]]":
    """Members and scores as pairs."""
    return [(member, cast(float(score))) for member, score in reply]


def to_tuple(reply: Any) -> Optional[Tuple[Any, ...]]:
    """An array that may be missing."""
    return None if reply is None else tuple(reply)


def flat(reply: Any) -> "list[Any]":
    """Pairs as one list."""
    return [item for pair in reply for item in pair]


def grouped(size: int) -> Convert:
    """What makes tuples of so many of a flat array."""
    return lambda reply: list(zip(*[iter(reply)] * size))


def scanned(reply: Any) -> Tuple[int, Any]:
    """Cursor and page of a scan."""
    return int(reply[0]), reply[1]


def paired(reply: Iterable[Any]) -> Iterator[Tuple[Any, Any]]:
    """A flat array of names and values."""
    items = iter(reply)
    return zip(items, items)


def scan_words(
    cursor: Any, match: Optional[Any], count: Optional[int], *more: Any
) -> "list[Any]":
    """The words that follow the name (and key) of a scan."""
    words = [cursor]
    if match is not None:
        words += ["MATCH", match]
    if count is not None:
        words += ["COUNT", count]
    return [*words, *more]


def pages(scan: Callable[[int], Tuple[int, Any]]) -> Iterator[Any]:
    """Pages of a scan until its cursor is back at 0."""
    cursor, page = scan(0)
    yield page
    while cursor:
        cursor, page = scan(cursor)
        yield page
