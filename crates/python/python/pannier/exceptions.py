"""What goes wrong, by kind.

The names are those that users of redis-py know. They are classes of their own, because this
package needs no redis-py; the connections that redis-py itself drives (`pannier.transport`) raise
redis-py's.
"""

from __future__ import annotations

import builtins

__all__ = [
    "ConnectionError",
    "ForkedError",
    "LockError",
    "LockNotOwnedError",
    "NoScriptError",
    "PannierError",
    "ResponseError",
    "TimeoutError",
    "WatchError",
]


class PannierError(Exception):
    """Whatever this package raises on its own account."""


class ResponseError(PannierError):
    """The reply to a command is an error; the message is its text on the wire."""


class NoScriptError(ResponseError):
    """EVALSHA of a script that is not cached."""


class WatchError(PannierError):
    """A watched key changed before the transaction ran, so it did not run."""


class LockError(PannierError, ValueError):
    """A lock could not be taken, or was not held any more."""


class ConnectionError(PannierError, builtins.ConnectionError):
    """A connection was closed before its reply had come as a whole: by CLIENT KILL, or by a fault.
    Whether the command has run is not known."""


class LockNotOwnedError(LockError):
    """A lock was not held any more: its time was over, or somebody else has it."""


class TimeoutError(PannierError, builtins.TimeoutError):
    """A wait ended without a reply."""


class ForkedError(PannierError, RuntimeError):
    """This process is a fork of the one in which a server runs."""
