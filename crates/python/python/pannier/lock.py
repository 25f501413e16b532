"""`Lock`: mutual exclusion by a key that ends by itself.

The key holds a token that only its owner knows, so nobody frees a lock that has meanwhile become
another's; looking and freeing is one step because it is a script. Whoever waits looks again every
`sleep` seconds.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from typing import TYPE_CHECKING, Any, Optional, Union

from .exceptions import LockError, LockNotOwnedError

if TYPE_CHECKING:
    from .cache import Cache

__all__ = ["Lock"]

logger = logging.getLogger(__name__)

RELEASE = "return redis.call('GET', KEYS[1]) == ARGV[1] and redis.call('DEL', KEYS[1]) or 0"

EXTEND = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
local left = redis.call('PTTL', KEYS[1])
if ARGV[3] == '0' and left > 0 then left = left + ARGV[2] else left = ARGV[2] end
return redis.call('PEXPIRE', KEYS[1], left)
"""


class Lock:
    """A lock, as `with`, or by `acquire()` and `release()`.

    >>> with cache.lock("report", timeout=30):
    ...     make_report()

    It has no end without a `timeout`. With `thread_local` (the default) what one thread holds
    another does not hold. The end of a `with` complains if the lock was lost meanwhile, unless
    `raise_on_release_error` is false.
    """

    def __init__(
        self,
        cache: "Cache",
        name: Any,
        timeout: Optional[float] = None,
        sleep: float = 0.1,
        blocking: bool = True,
        blocking_timeout: Optional[float] = None,
        thread_local: bool = True,
        raise_on_release_error: bool = True,
    ) -> None:
        self.cache = cache
        self.name = name
        self.timeout = timeout
        self.sleep = sleep
        self.blocking = blocking
        self.blocking_timeout = blocking_timeout
        self.raise_on_release_error = raise_on_release_error
        self.local: Any = threading.local() if thread_local else _Holder()
        self.local.token = None

    def __enter__(self) -> "Lock":
        if not self.acquire():
            raise LockError(f"the lock {self.name!r} is another's")
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.release()
        except LockError as error:
            if self.raise_on_release_error:
                raise
            logger.warning("%s", error)

    def acquire(
        self,
        sleep: Optional[float] = None,
        blocking: Optional[bool] = None,
        blocking_timeout: Optional[float] = None,
        token: Optional[Union[str, bytes]] = None,
    ) -> bool:
        """Takes the lock, after waiting for it unless not `blocking`; whether it was taken."""
        mine = (token.encode() if isinstance(token, str) else token) or uuid.uuid4().hex.encode()
        sleep = self.sleep if sleep is None else sleep
        blocking = self.blocking if blocking is None else blocking
        wait = self.blocking_timeout if blocking_timeout is None else blocking_timeout
        end = None if wait is None else time.monotonic() + wait
        life = max(1, int(self.timeout * 1000)) if self.timeout else None
        while not self._take(mine, life):
            if not blocking or (end is not None and time.monotonic() + sleep > end):
                return False
            time.sleep(sleep)
        self.local.token = mine
        return True

    def release(self) -> None:
        """Frees the lock; LockNotOwnedError when it is not this one's any more."""
        token = self._token()
        self.local.token = None
        if not self.cache.eval(RELEASE, 1, self.name, token):
            raise LockNotOwnedError(f"the lock {self.name!r} was not held any more")

    def extend(self, additional_time: float, replace_ttl: bool = False) -> bool:
        """Adds to its life, or replaces what is left of it."""
        if self.timeout is None:
            raise LockError(f"the lock {self.name!r} has no end to extend")
        return self._live(additional_time, replace_ttl)

    def reacquire(self) -> bool:
        """Begins its life anew."""
        if self.timeout is None:
            raise LockError(f"the lock {self.name!r} has no end to put off")
        return self._live(self.timeout, True)

    def locked(self) -> bool:
        """Whether anybody holds it."""
        return bool(self.cache.execute_raw("EXISTS", self.name))

    def owned(self) -> bool:
        """Whether this one holds it."""
        token = getattr(self.local, "token", None)
        return token is not None and self.cache.execute_raw("GET", self.name) == token

    def _take(self, token: bytes, life: Optional[int]) -> bool:
        return bool(self.cache.set(self.name, token, nx=True, px=life))

    def _live(self, seconds: float, replace: bool) -> bool:
        args = (self._token(), int(seconds * 1000), int(replace))
        if not self.cache.eval(EXTEND, 1, self.name, *args):
            raise LockNotOwnedError(f"the lock {self.name!r} was not held any more")
        return True

    def _token(self) -> bytes:
        token: Optional[bytes] = getattr(self.local, "token", None)
        if token is None:
            raise LockError(f"the lock {self.name!r} was not taken")
        return token


class _Holder:
    """Holds what all threads share."""

    token: Optional[bytes]
