"""Commands on the bits of strings."""

from __future__ import annotations

from typing import Any, Optional, Sequence, Tuple, Union

from . import base
from .base import Key, Runner

Offset = Union[int, str]


class BitCommands(Runner):
    """Commands on bits."""

    def getbit(self, name: Key, offset: int) -> Any:
        """A bit of a value."""
        return self._run(("GETBIT", name, offset))

    def setbit(self, name: Key, offset: int, value: int) -> Any:
        """Sets a bit; the one before."""
        return self._run(("SETBIT", name, offset, 1 if value else 0))

    def bitcount(
        self,
        key: Key,
        start: Optional[int] = None,
        end: Optional[int] = None,
        mode: Optional[str] = None,
    ) -> Any:
        """How many bits are set, in a range of bytes (or of bits: `mode="BIT"`)."""
        words = [word for word in (start, end, mode) if word is not None]
        return self._run(("BITCOUNT", key, *words))

    def bitop(self, operation: str, dest: Key, *keys: Key) -> Any:
        """Stores what AND, OR, XOR, NOT make of values; its length."""
        return self._run(("BITOP", operation, dest, *keys))

    def bitpos(
        self,
        key: Key,
        bit: int,
        start: Optional[int] = None,
        end: Optional[int] = None,
        mode: Optional[str] = None,
    ) -> Any:
        """The place of the first bit that is 0 or 1, in a range of bytes (or of bits:
        `mode="BIT"`)."""
        if bit not in (0, 1):
            raise ValueError("bitpos: a bit is 0 or 1")
        if start is None and end is not None:
            raise ValueError("bitpos: a range has a start")
        words = [word for word in (start, end, mode) if word is not None]
        return self._run(("BITPOS", key, bit, *words))

    def bitfield(self, key: Key, default_overflow: Optional[str] = None) -> "BitField":
        """Integers of any width in a value: operations that are collected, and run by
        `execute()`."""
        return BitField(self, key, default_overflow)

    def bitfield_ro(
        self,
        key: Key,
        encoding: str,
        offset: Offset,
        items: Sequence[Tuple[str, Offset]] = (),
    ) -> Any:
        """Reads integers of any width: one, and those of further encodings and offsets."""
        words = [word for pair in ((encoding, offset), *items) for word in ("GET", *pair)]
        return self._run(("BITFIELD_RO", key, *words))


class BitField:
    """Operations on the integers of one value.

    >>> cache.bitfield("k").set("u8", "#1", 255).incrby("u8", 0, 1).execute()
    [0, 1]
    """

    def __init__(self, runner: Runner, key: Key, default_overflow: Optional[str] = None) -> None:
        self._runner = runner
        self._key = key
        self._default = (default_overflow or "WRAP").upper()
        self._overflow = "WRAP"
        self._words: "list[Any]" = []
        self.reset()

    def reset(self) -> None:
        """Forgets what was collected."""
        self._words = []
        self._overflow = "WRAP"
        self.overflow(self._default)

    def overflow(self, overflow: str) -> "BitField":
        """What is done from here on when a number grows too large: WRAP, SAT or FAIL."""
        if overflow.upper() != self._overflow:
            self._overflow = overflow.upper()
            self._words += ["OVERFLOW", self._overflow]
        return self

    def get(self, fmt: str, offset: Offset) -> "BitField":
        """Reads an integer."""
        self._words += ["GET", fmt, offset]
        return self

    def set(self, fmt: str, offset: Offset, value: int) -> "BitField":
        """Sets an integer; the one before is told."""
        self._words += ["SET", fmt, offset, value]
        return self

    def incrby(
        self, fmt: str, offset: Offset, increment: int, overflow: Optional[str] = None
    ) -> "BitField":
        """Adds to an integer; the sum is told, None where it would be too large for FAIL."""
        if overflow is not None:
            self.overflow(overflow)
        self._words += ["INCRBY", fmt, offset, increment]
        return self

    @property
    def command(self) -> "list[Any]":
        """What will be run."""
        return ["BITFIELD", self._key, *self._words]

    def execute(self) -> Any:
        """Runs what was collected and returns the integers."""
        command = self.command
        self.reset()
        return self._runner._run(tuple(command))
