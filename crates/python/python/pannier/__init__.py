"""Pannier: a cache that speaks the Redis protocol, inside your process.

* `Server` listens on a port or a Unix socket; any Redis client can connect to it.
"""

from __future__ import annotations

import os

from . import _native
from .exceptions import (
    ForkedError,
    LockError,
    NoScriptError,
    PannierError,
    ResponseError,
    TimeoutError,
    WatchError,
)
from .server import Server

__all__ = [
    "ForkedError",
    "LockError",
    "NoScriptError",
    "PannierError",
    "ResponseError",
    "Server",
    "TimeoutError",
    "WatchError",
    "__version__",
]

__version__: str = _native.VERSION

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_native.forked)
