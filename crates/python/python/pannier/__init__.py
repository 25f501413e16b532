"""Pannier: a cache that speaks the Redis protocol, inside your process.

* `Server` listens on a port or a Unix socket; any Redis client can connect to it.
* `Cache` is called directly, without a socket, and has connections for unmodified redis-py.
* `pannier.django.PannierCache` is a cache back end for Django.
* The pytest plugin has fixtures: a server, a cache, a URL for every test.
"""

from __future__ import annotations

import os

from . import _native
from ._native import Checkpoint
from .cache import Cache
from .clock import Clock
from .exceptions import (
    ConnectionError,
    ForkedError,
    LockError,
    LockNotOwnedError,
    NoScriptError,
    PannierError,
    ResponseError,
    TimeoutError,
    WatchError,
)
from .faults import Fault, Faults
from .lock import Lock
from .pipeline import Pipeline
from .pubsub import PubSub
from .recorder import Recorder, Request, Requests
from .server import Server

__all__ = [
    "Cache",
    "Checkpoint",
    "Clock",
    "ConnectionError",
    "Fault",
    "Faults",
    "ForkedError",
    "Lock",
    "LockError",
    "LockNotOwnedError",
    "NoScriptError",
    "PannierError",
    "Pipeline",
    "PubSub",
    "Recorder",
    "Request",
    "Requests",
    "ResponseError",
    "Server",
    "TimeoutError",
    "WatchError",
    "__version__",
]

__version__: str = _native.VERSION

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_native.forked)
