"""`Faults`: what goes wrong on purpose, so that a test sees how a program takes it.

A rule says what happens to requests, and to which ones. All rules that hold are hit in the order in
which they were added: delays add up, and the first that is no delay decides.
"""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any, Iterable, Iterator, List, Optional, Tuple, Union

from . import _native
from .exceptions import PannierError

if TYPE_CHECKING:
    from .cache import Cache

__all__ = ["Fault", "Faults"]

Commands = Union[str, Iterable[str], None]
Client = Union[int, str, None]
Wanted = Tuple[List[str], Optional[bytes], Optional[int], Optional[str], Optional[str]]


class Fault:
    """A rule in force; at the end of a `with` it is removed."""

    def __init__(self, faults: "Faults", number: int) -> None:
        self._faults = faults
        #: What the engine knows it by.
        self.number = number

    @property
    def hits(self) -> int:
        """How many requests it has hit."""
        return self._rule()[2]

    @property
    def left(self) -> Optional[int]:
        """How many it will still hit; None when that is not limited."""
        return self._rule()[3]

    @property
    def active(self) -> bool:
        """Whether it is still in force."""
        return any(rule[0] == self.number and rule[3] != 0 for rule in self._faults._native.list())

    def remove(self) -> bool:
        """Ends it, and lets go on what it delays; whether it was still there."""
        return self._faults._native.remove(self.number)

    def __enter__(self) -> "Fault":
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def __repr__(self) -> str:
        rules = (rule for rule in self._faults._native.list() if rule[0] == self.number)
        for _, words, hits, _ in rules:
            return f"<pannier.Fault {words}: {hits} hits>"
        return "<pannier.Fault removed>"

    def _rule(self) -> "tuple[int, str, int, Optional[int]]":
        for rule in self._faults._native.list():
            if rule[0] == self.number:
                return rule
        raise PannierError("this fault was removed")


class Faults:
    """The faults of a cache's engine: of all its databases, for clients of its server, too.

    >>> faults = cache.faults()
    >>> with faults.add(error="READONLY", command="set", key="user:*") as fault:
    ...     cache.set("user:1", "alice")
    Traceback (most recent call last):
    pannier.exceptions.ResponseError: READONLY You can't write against a read only replica.

    As a context manager it removes all of them at the end.
    """

    def __init__(self, cache: "Cache") -> None:
        self._native = _native.Faults(cache)

    def add(
        self,
        *,
        delay: "Union[float, datetime.timedelta, None]" = None,
        error: Optional[str] = None,
        drop: Optional[str] = None,
        cut: Optional[int] = None,
        refuse: bool = False,
        command: Commands = None,
        key: Union[str, bytes, None] = None,
        client: Client = None,
        user: Optional[str] = None,
        probability: Optional[float] = None,
        seed: Optional[int] = None,
        times: Optional[int] = None,
    ) -> Fault:
        """Puts a rule into force. One of these says what happens:

        * `delay`: requests run so many seconds later; nobody but their client waits.
        * `error`: they do not run, and get this error. `LOADING`, `READONLY`, `OOM` and `MOVED`
          alone stand for what a server says then.
        * `drop`: the connection is closed `"before"` they run, or `"after"`.
        * `cut`: they run, and the connection is closed behind so many bytes of the reply.
        * `refuse`: new connections over sockets are reset.

        The others say to which requests, and without any it is every one: `command` (a name, a
        category as `@write`, `-name` for what is left out, or several), `key` (a glob pattern),
        `client` (its number, or its name), `user`; `probability` so many of them at random, the
        same ones for the same `seed`; `times` the next so many.
        """
        given = {"delay": delay, "error": error, "drop": drop, "cut": cut}
        chosen = [name for name, value in given.items() if value is not None]
        chosen += ["refuse"] if refuse else []
        if len(chosen) != 1:
            raise ValueError(f"one of delay, error, drop, cut and refuse, not {chosen or 'none'}")
        what, amount = chosen[0], 0
        if drop is not None:
            if drop not in ("before", "after"):
                raise ValueError(f"drop={drop!r}: it is 'before' or 'after' the request runs")
            what = f"drop {drop}"
        elif delay is not None:
            if isinstance(delay, datetime.timedelta):
                delay = delay.total_seconds()
            amount = round(delay * 1_000_000)
        elif cut is not None:
            amount = cut
        if amount < 0:
            raise ValueError(f"{what}: {amount} is less than nothing")
        which = wanted(command, key, client, user)
        number = self._native.add(what, amount, error or "", which, probability, seed, times)
        return Fault(self, number)

    def clear(self) -> int:
        """Removes all rules, and lets go on what they delay; how many there were."""
        return self._native.clear()

    def __len__(self) -> int:
        return len(self._native.list())

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[Fault]:
        return (Fault(self, rule[0]) for rule in self._native.list())

    def __enter__(self) -> "Faults":
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()

    def __repr__(self) -> str:
        return f"<pannier.Faults {[words for _, words, _, _ in self._native.list()]}>"


def wanted(command: Commands, key: Any, client: Client, user: Optional[str]) -> Wanted:
    """A condition on requests, as the native module takes it."""
    commands = [command] if isinstance(command, str) else list(command or ())
    pattern = key.encode() if isinstance(key, str) else key
    by_name = isinstance(client, str)
    number, name = (None, client) if by_name else (client, None)
    return commands, pattern, number, name, user  # type: ignore[return-value]
