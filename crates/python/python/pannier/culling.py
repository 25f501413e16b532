"""How many entries a Django cache may have, and which of them go first.

`MAX_ENTRIES` and `CULL_FREQUENCY` mean what they mean to `LocMemCache`: when one entry more is
stored than there may be, a share of them goes at once, the least recently used first. The engine's
own limits do not say that (`db-maxentries` evicts one by one, by a policy that all databases have
in common, and a lock like any other key), so it is done here, in two ways that matter:

* Room is made behind a `set`, never before it. So what is refused costs nobody an entry, and no
  key goes between the question whether there is one and the answer.
* The order of use is written down here. `OBJECT IDLETIME` counts whole seconds, in which a program
  uses every key; and a test may have stopped the clock.

The order is a hint: of names that it does not know (a client of the same engine stored them, a
checkpoint brought them back) it says that they were used longest ago.

Neighbour: `pannier.django`, whose instances are one for each thread; they share what belongs to a
database. Tests: `tests/python/test_django.py`.
"""

from __future__ import annotations

import os
import threading
from typing import Any, Optional

from .cache import Cache
from .lock import Lock

__all__ = ["Entries", "Uses", "uses_of"]


class Uses:
    """What is known of a database: in which order its keys were used, and which are locks."""

    def __init__(self) -> None:
        #: One thread at a time culls, or takes a lock.
        self.guard = threading.Lock()
        self.order: "dict[str, None]" = {}
        self.locks: "set[str]" = set()
        #: Names to remember at most: as many as the largest limit, twice.
        self.names_max = 0
        self.locks_max = LOCKS_MIN

    def used(self, name: str) -> None:
        """Makes a key the last that is to go."""
        order = self.order
        order.pop(name, None)
        order[name] = None
        if len(order) > self.names_max:
            # Keys that expired or were deleted. A live one among them is old, as unknown ones are.
            self.forget(list(order)[: len(order) - self.names_max // 2])

    def forget(self, names: "list[str]") -> None:
        """Keys that are not there any more."""
        for name in names:
            self.order.pop(name, None)


class Entries:
    """The entries of one database under the limit of one alias: `maximum`, 0 for none."""

    def __init__(self, cache: Cache, uses: Uses, maximum: int, frequency: int) -> None:
        self._cache = cache
        self._uses = uses
        self._maximum = maximum
        self._frequency = frequency
        uses.names_max = max(uses.names_max, 2 * maximum)

    def used(self, *names: str) -> None:
        """These keys are read, or about to be stored."""
        if self._maximum:
            for name in names:
                self._uses.used(name)

    def renamed(self, old: str, new: str) -> None:
        """A key has another name now."""
        self._uses.forget([old])
        self.used(new)

    def stored(self, *names: str) -> None:
        """These keys have values, and may be new: culls if there are too many."""
        if not self._maximum:
            return
        uses = self._uses
        if uses.locks and not uses.locks.isdisjoint(names):
            # What has another value is a lock no more.
            with uses.guard:
                uses.locks.difference_update(names)
        if len(self._cache) > self._maximum:
            with uses.guard:
                self._cull(len(names))

    def lock(self, *args: Any, **options: Any) -> "SparedLock":
        """A lock that does not count as an entry and is never culled."""
        lock = SparedLock(self._cache, *args, **options)
        lock.uses = self._uses if self._maximum else None
        return lock

    def _cull(self, added: int) -> None:
        uses, count = self._uses, len(self._cache)
        if uses.locks:
            count -= self._cache.exists(*uses.locks)
        if count <= self._maximum:
            return
        there = set(self._cache.scan_iter(count=PAGE))
        uses.locks = {name for name in uses.locks if name.encode() in there}
        entries = there.difference(name.encode() for name in uses.locks)
        if len(entries) <= self._maximum:
            return
        places = {name.encode(): place for place, name in enumerate(list(uses.order))}
        ranked = sorted(entries, key=lambda name: places.get(name, -1))
        doomed = ranked[: self._how_many(len(ranked), added)]
        self._cache.delete(*doomed)
        uses.forget([name.decode(errors="replace") for name in doomed])

    def _how_many(self, count: int, added: int) -> int:
        """How many of `count` go: what was there before the last one is what Django takes a share
        of, and a frequency of 0 means all but what is new."""
        share = count - added if self._frequency == 0 else (count - 1) // self._frequency
        return max(share, count - self._maximum)


class SparedLock(Lock):
    """A lock whose key `Entries` knows from its first moment on."""

    uses: Optional[Uses] = None

    def _take(self, token: bytes, life: Optional[int]) -> bool:
        uses = self.uses
        if uses is None:
            return super()._take(token, life)
        with uses.guard:
            taken = super()._take(token, life)
            if taken:
                uses.locks.add(self.name)
                if len(uses.locks) > uses.locks_max:
                    self._forget_freed(uses)
        return taken

    def _forget_freed(self, uses: Uses) -> None:
        uses.locks = {name for name in uses.locks if self.cache.exists(name)}
        uses.locks_max = max(LOCKS_MIN, 2 * len(uses.locks))


def uses_of(location: str, db: int) -> Uses:
    """What is known of a database of a named engine."""
    return _uses.setdefault((location, db), Uses())


#: Keys that a page of a scan has.
PAGE = 1000

#: Names of locks up to which nobody looks whether they are still held.
LOCKS_MIN = 100

_uses: "dict[tuple[str, int], Uses]" = {}

if hasattr(os, "register_at_fork"):

    def _free_guards() -> None:
        for uses in _uses.values():
            uses.guard = threading.Lock()

    os.register_at_fork(after_in_child=_free_guards)
