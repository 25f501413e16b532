"""`Clock`: the time that an engine in test mode follows, stopped and moved.

Everything that waits or expires follows it: keys, fields of hashes, TIME, ids of streams, commands
that wait, CLIENT PAUSE. While it is moved on, what is due happens at its own moment and in its
order.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import sys
import time
from typing import TYPE_CHECKING, Any, Callable, Iterator, Optional, Union

from . import _native

if TYPE_CHECKING:
    from .cache import Cache

__all__ = ["Clock"]

Moment = Union[int, float, datetime.datetime]
Span = Union[int, float, datetime.timedelta]


class Clock:
    """The clock of a cache's engine, which must be in test mode.

    >>> cache = pannier.Cache(test_mode=True)
    >>> cache.set("k", "v", ex=60)
    True
    >>> cache.clock.freeze()
    >>> cache.clock.advance(59)
    >>> cache.ttl("k")
    1
    """

    def __init__(self, cache: "Cache") -> None:
        self._native = _native.Clock(cache)

    @property
    def now(self) -> float:
        """The engine's time in seconds since 1970."""
        return self._native.state()[0] / 1000

    @property
    def frozen(self) -> bool:
        """Whether it stands still."""
        return self._native.state()[1]

    def freeze(self) -> None:
        """Stops it where it is."""
        self._native.freeze()

    def resume(self) -> None:
        """Lets it go on from where it stands."""
        self._native.resume()

    def set(self, moment: Moment) -> None:
        """Moves it to a moment: seconds since 1970, or a datetime."""
        if isinstance(moment, datetime.datetime):
            moment = moment.timestamp()
        if moment < 0:
            raise ValueError("set: time begins in 1970")
        self._native.set(round(moment * 1000))

    def advance(self, span: Span) -> None:
        """Moves it on: by seconds, or a timedelta."""
        if isinstance(span, datetime.timedelta):
            span = span.total_seconds()
        if span < 0:
            raise ValueError("advance: it goes on only; set() can put it back")
        self._native.advance(round(span * 1000))

    def reset(self) -> None:
        """Lets it be the system's clock again."""
        self._native.set(round(_native.unix_time() * 1000))
        self._native.resume()

    def follow_python(self) -> None:
        """Makes it say what `time.time()` says: frozen if that is, going if that goes. Where each
        look moves Python's time (freezegun's `auto_tick_seconds`), it is frozen at what the next
        look will see."""
        stepped = _next_step()
        said = time.time() if stepped is None else stepped
        if abs(said - _native.unix_time()) < SAME_S:
            self.reset()
            return
        self.freeze()
        self.set(said)
        if stepped is None and any(time.time() != said for _ in range(LOOKS)):
            self.resume()

    @contextlib.contextmanager
    def following(self) -> Iterator["Clock"]:
        """Within the block, follows freezegun and time-machine whenever they move Python's time."""
        undo = []
        for module, owner, name in MOVERS:
            found = getattr(sys.modules.get(module), owner, None)
            if found is not None and name in vars(found):
                original = vars(found)[name]
                setattr(found, name, self._then_follow(original))
                undo.append((found, name, original))
        try:
            self.follow_python()
            yield self
        finally:
            for found, name, original in undo:
                setattr(found, name, original)
            self.reset()

    def _then_follow(self, move: "Callable[..., Any]") -> "Callable[..., Any]":
        @functools.wraps(move)
        def moved(*args: Any, **options: Any) -> Any:
            result = move(*args, **options)
            self.follow_python()
            return result

        return moved


def _next_step() -> Optional[float]:
    """What Python's time will be for whoever looks next, if looking moves it."""
    factories = getattr(sys.modules.get("freezegun.api"), "freeze_factories", None)
    if not factories or not hasattr(factories[-1], "step_width"):
        return None
    moment: datetime.datetime = factories[-1].time_to_freeze
    return moment.replace(tzinfo=datetime.timezone.utc).timestamp()


#: What moves Python's time: module, class, method.
MOVERS = (
    ("freezegun.api", "_freeze_time", "start"),
    ("freezegun.api", "_freeze_time", "stop"),
    ("freezegun.api", "FrozenDateTimeFactory", "tick"),
    ("freezegun.api", "FrozenDateTimeFactory", "move_to"),
    ("freezegun.api", "TickingDateTimeFactory", "tick"),
    ("freezegun.api", "TickingDateTimeFactory", "move_to"),
    ("freezegun.api", "StepTickTimeFactory", "tick"),
    ("freezegun.api", "StepTickTimeFactory", "move_to"),
    ("time_machine", "travel", "start"),
    ("time_machine", "travel", "stop"),
    ("time_machine", "Traveller", "shift"),
    ("time_machine", "Traveller", "move_to"),
    # as it was called before time-machine 3
    ("time_machine", "Coordinates", "shift"),
    ("time_machine", "Coordinates", "move_to"),
)

#: Times that differ by less, in seconds, are the same.
SAME_S = 0.5

#: How often a clock is looked at before it is taken to stand still.
LOOKS = 1000
