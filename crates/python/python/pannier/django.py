"""A cache back end for Django, on an engine inside the process.

```python
CACHES = {
    "default": {"BACKEND": "pannier.django.PannierCache", "LOCATION": "pannier://site/0"},
    "sessions": {"BACKEND": "pannier.django.PannierCache", "LOCATION": "pannier://site/1"},
}
```

For development and tests, where a site used `LocMemCache`: it has the same limits (`MAX_ENTRIES`,
`CULL_FREQUENCY`; `pannier.culling`), and beyond them what Redis back ends have (databases, `ttl`,
`delete_pattern`, `lock`), so that the settings of production differ in `BACKEND` and `LOCATION`
alone. Aliases with the same name in `LOCATION` share one engine; each database is culled by itself.
What `OPTIONS` has in small letters is a directive of the engine (`maxmemory`).

Values are pickled, but whole numbers are stored as such, as in Django's Redis back end and in
django-redis; `serializer` in `OPTIONS` is another pair of `dumps` and `loads`. Methods for
coroutines call the engine at once: that takes microseconds, a change of thread a hundred.
"""

from __future__ import annotations

import pickle
from typing import Any, Callable, Iterable, Iterator, Mapping, Optional
from urllib.parse import quote

from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache
from django.utils.module_loading import import_string

from .cache import Cache, name_of
from .culling import Entries, uses_of
from .exceptions import ResponseError
from .lock import Lock

__all__ = ["PannierCache", "PickleSerializer"]

#: Adds to a number that is there: one step, because between two the key may go.
INCREMENT = (
    "if redis.call('EXISTS', KEYS[1]) == 0 then return nil end "
    "return redis.call('INCRBY', KEYS[1], ARGV[1])"
)

#: Stores another value if the one that was read is still there.
EXCHANGE = (
    "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end "
    "redis.call('SET', KEYS[1], ARGV[2], 'KEEPTTL') return 1"
)


class PickleSerializer:
    """Whole numbers as they are, so that they can be counted; everything else pickled."""

    def __init__(self, protocol: int = pickle.HIGHEST_PROTOCOL) -> None:
        self.protocol = protocol

    def dumps(self, value: Any) -> Any:
        """A value as it is stored."""
        # A bool is an int, too, and must come back as a bool.
        return value if type(value) is int else pickle.dumps(value, self.protocol)

    def loads(self, stored: bytes) -> Any:
        """A stored value."""
        # No pickle is a number: its first byte is 0x80, or a letter in the oldest protocols.
        try:
            return int(stored)
        except ValueError:
            return pickle.loads(stored)


class PannierCache(BaseCache):
    """See the module's description."""

    def __init__(self, location: Any, params: "dict[str, Any]") -> None:
        super().__init__(params)
        options = dict(params.get("OPTIONS", {}))
        if params.get("max_entries", options.get("MAX_ENTRIES", 300)) is None:
            self._max_entries = 0
        serializer = options.pop("serializer", PickleSerializer)
        if isinstance(serializer, str):
            serializer = import_string(serializer)
        self._serializer = serializer() if callable(serializer) else serializer
        reverse = options.pop("REVERSE_KEY_FUNCTION", None)
        self._reverse_key: Callable[[str], str] = (
            import_string(reverse) if isinstance(reverse, str) else reverse or _reversed
        )
        directives = {name: value for name, value in options.items() if name.islower()}
        url = _url(location)
        self._cache = Cache.from_url(url, **directives)
        uses = uses_of(name_of(url), self._cache.db)
        self._entries = Entries(self._cache, uses, self._max_entries, self._cull_frequency)
        self._add = self._cache.register_script(INCREMENT)
        self._exchange = self._cache.register_script(EXCHANGE)

    @property
    def raw(self) -> Cache:
        """The database itself, whose keys have prefix and version."""
        return self._cache

    # what Django asks for

    def add(
        self,
        key: str,
        value: Any,
        timeout: Any = DEFAULT_TIMEOUT,
        version: Optional[int] = None,
    ) -> bool:
        return self.set(key, value, timeout, version, nx=True)

    def get(self, key: str, default: Any = None, version: Optional[int] = None) -> Any:
        name = self.make_and_validate_key(key, version)
        stored = self._cache.get(name)
        if stored is None:
            return default
        self._entries.used(name)
        return self._serializer.loads(stored)

    def set(
        self,
        key: str,
        value: Any,
        timeout: Any = DEFAULT_TIMEOUT,
        version: Optional[int] = None,
        nx: bool = False,
        xx: bool = False,
    ) -> bool:
        """Stores a value, with `nx` only where none is, with `xx` only where one is; whether it
        was done."""
        name = self.make_and_validate_key(key, version)
        stored = self._serializer.dumps(value)
        life = self._millis(timeout)
        if life is not None and life <= 0:
            if nx:
                return not self._cache.exists(name)
            return bool(self._cache.delete(name))
        self._entries.used(name)
        done = bool(self._cache.set(name, stored, px=life, nx=nx, xx=xx))
        if done and not xx:
            self._entries.stored(name)
        return done

    def touch(
        self, key: str, timeout: Any = DEFAULT_TIMEOUT, version: Optional[int] = None
    ) -> bool:
        name = self.make_and_validate_key(key, version)
        life = self._millis(timeout)
        self._entries.used(name)
        if life is None:
            return self._cache.persist(name) or bool(self._cache.exists(name))
        return bool(self._cache.pexpire(name, life))

    def delete(self, key: str, version: Optional[int] = None) -> bool:
        return bool(self._cache.delete(self.make_and_validate_key(key, version)))

    def get_many(self, keys: Iterable[str], version: Optional[int] = None) -> "dict[str, Any]":
        names = {key: self.make_and_validate_key(key, version) for key in keys}
        if not names:
            return {}
        stored = self._cache.mget(list(names.values()))
        found = {key: one for key, one in zip(names, stored) if one is not None}
        self._entries.used(*(names[key] for key in found))
        loads = self._serializer.loads
        return {key: loads(one) for key, one in found.items()}

    def set_many(
        self,
        data: Mapping[str, Any],
        timeout: Any = DEFAULT_TIMEOUT,
        version: Optional[int] = None,
    ) -> "list[str]":
        dumps = self._serializer.dumps
        pairs = [
            (self.make_and_validate_key(key, version), dumps(value)) for key, value in data.items()
        ]
        life = self._millis(timeout)
        self._entries.used(*(name for name, _ in pairs))
        with self._cache.pipeline() as pipeline:
            for name, stored in pairs:
                if life is not None and life <= 0:
                    pipeline.delete(name)
                else:
                    pipeline.set(name, stored, px=life)
            pipeline.execute()
        self._entries.stored(*(name for name, _ in pairs))
        return []

    def delete_many(self, keys: Iterable[str], version: Optional[int] = None) -> Optional[int]:
        """Removes keys; how many there were, None when none were given."""
        names = [self.make_and_validate_key(key, version) for key in keys]
        return int(self._cache.delete(*names)) if names else None

    def has_key(self, key: str, version: Optional[int] = None) -> bool:
        return bool(self._cache.exists(self.make_and_validate_key(key, version)))

    def incr(self, key: str, delta: Any = 1, version: Optional[int] = None) -> Any:
        """Adds to what is stored, mostly a whole number; the sum."""
        name = self.make_and_validate_key(key, version)
        try:
            # Only of whole numbers the engine knows the sum.
            whole = type(delta) is int
            total = self._add(keys=[name], args=[delta]) if whole else self._sum(name, delta)
        except ResponseError:
            total = self._sum(name, delta)
        if total is None:
            raise ValueError(f"Key '{key}' not found")
        self._entries.used(name)
        return total

    def incr_version(self, key: str, delta: int = 1, version: Optional[int] = None) -> int:
        version = self.version if version is None else version
        old = self.make_and_validate_key(key, version)
        new = self.make_and_validate_key(key, version + delta)
        try:
            self._cache.rename(old, new)
        except ResponseError:
            raise ValueError(f"Key '{key}' not found") from None
        self._entries.renamed(old, new)
        return version + delta

    def clear(self) -> bool:
        """Empties the database, other prefixes included."""
        return bool(self._cache.flushdb())

    def close(self, **options: Any) -> None:
        """Called after each request; there is nothing to close."""

    # what django-redis offers besides

    def ttl(self, key: str, version: Optional[int] = None) -> Optional[int]:
        """Seconds left; None for ever, 0 when there is no such key."""
        return _left(self._cache.ttl(self.make_and_validate_key(key, version)))

    def pttl(self, key: str, version: Optional[int] = None) -> Optional[int]:
        """Milliseconds left; None for ever, 0 when there is no such key."""
        return _left(self._cache.pttl(self.make_and_validate_key(key, version)))

    def persist(self, key: str, version: Optional[int] = None) -> bool:
        """Lets a key live for ever; whether it would have ended."""
        return bool(self._cache.persist(self.make_and_validate_key(key, version)))

    def expire(self, key: str, timeout: Any, version: Optional[int] = None) -> bool:
        """Lets a key live for so many seconds; whether there is one."""
        return self.touch(key, timeout, version)

    def pexpire(self, key: str, timeout: int, version: Optional[int] = None) -> bool:
        """Lets a key live for so many milliseconds; whether there is one."""
        return bool(self._cache.pexpire(self.make_and_validate_key(key, version), timeout))

    def expire_at(self, key: str, when: Any, version: Optional[int] = None) -> bool:
        """Lets a key live until a moment; whether there is one."""
        return bool(self._cache.expireat(self.make_and_validate_key(key, version), when))

    def pexpire_at(self, key: str, when: Any, version: Optional[int] = None) -> bool:
        """Lets a key live until a moment (in milliseconds); whether there is one."""
        return bool(self._cache.pexpireat(self.make_and_validate_key(key, version), when))

    def keys(self, search: str = "*", version: Optional[int] = None) -> "list[str]":
        """Keys of a pattern, without prefix and version."""
        return list(self.iter_keys(search, 1000, version))

    def iter_keys(
        self, search: str = "*", itersize: Optional[int] = None, version: Optional[int] = None
    ) -> Iterator[str]:
        """The same, page by page."""
        for name in self._cache.scan_iter(match=self._pattern(search, version), count=itersize):
            yield self._reverse_key(name.decode())

    def delete_pattern(
        self, pattern: str, version: Optional[int] = None, itersize: Optional[int] = None
    ) -> int:
        """Removes the keys of a pattern; how many there were."""
        match = self._pattern(pattern, version)
        names = list(self._cache.scan_iter(match=match, count=itersize or 1000))
        return int(self._cache.delete(*names)) if names else 0

    def lock(
        self,
        key: str,
        version: Optional[int] = None,
        timeout: Optional[float] = None,
        sleep: float = 0.1,
        blocking: bool = True,
        blocking_timeout: Optional[float] = None,
        thread_local: bool = True,
    ) -> Lock:
        """A lock that ends by itself after `timeout` seconds. It is no entry that is culled."""
        name = self.make_and_validate_key(key, version)
        return self._entries.lock(name, timeout, sleep, blocking, blocking_timeout, thread_local)

    # the same for coroutines

    async def aadd(self, *args: Any, **options: Any) -> bool:
        return self.add(*args, **options)

    async def aget(self, *args: Any, **options: Any) -> Any:
        return self.get(*args, **options)

    async def aset(self, *args: Any, **options: Any) -> bool:
        return self.set(*args, **options)

    async def atouch(self, *args: Any, **options: Any) -> bool:
        return self.touch(*args, **options)

    async def adelete(self, *args: Any, **options: Any) -> bool:
        return self.delete(*args, **options)

    async def aget_many(self, *args: Any, **options: Any) -> "dict[str, Any]":
        return self.get_many(*args, **options)

    async def aset_many(self, *args: Any, **options: Any) -> "list[str]":
        return self.set_many(*args, **options)

    async def adelete_many(self, *args: Any, **options: Any) -> Optional[int]:
        return self.delete_many(*args, **options)

    async def ahas_key(self, *args: Any, **options: Any) -> bool:
        return self.has_key(*args, **options)

    async def aincr(self, *args: Any, **options: Any) -> Any:
        return self.incr(*args, **options)

    async def adecr(self, *args: Any, **options: Any) -> Any:
        return self.decr(*args, **options)

    async def aincr_version(self, *args: Any, **options: Any) -> int:
        return self.incr_version(*args, **options)

    async def aclear(self) -> bool:
        return self.clear()

    # how

    def get_backend_timeout(self, timeout: Any = DEFAULT_TIMEOUT) -> Optional[float]:
        """A timeout in seconds from now, as the engine takes it; None for ever."""
        if timeout is DEFAULT_TIMEOUT:
            timeout = self.default_timeout
        return None if timeout is None else max(0, timeout)

    def _millis(self, timeout: Any) -> Optional[int]:
        seconds = self.get_backend_timeout(timeout)
        return None if seconds is None else int(seconds * 1000)

    def _pattern(self, search: str, version: Optional[int]) -> str:
        """A pattern of keys, in which prefix and version stand for themselves."""
        marked = self.make_key("\0", version)
        before, _, after = str(marked).partition("\0")
        return _escaped(before) + search + _escaped(after)

    def _sum(self, name: str, delta: Any) -> Any:
        """Adds as Python does: what 64 bits cannot hold, fractions, True."""
        while (stored := self._cache.get(name)) is not None:
            total = self._serializer.loads(stored) + delta
            if self._exchange(keys=[name], args=[stored, self._serializer.dumps(total)]):
                return total
        return None


def _url(location: Any) -> str:
    """A LOCATION as a URL: a plain name is a name, as for LocMemCache."""
    if isinstance(location, (list, tuple)):
        location = location[0]
    if "://" in location:
        return str(location)
    return f"pannier://{quote(location, safe='')}/0"


def _reversed(name: str) -> str:
    """A key without prefix and version, as Django's own key function writes them."""
    return name.split(":", 2)[-1]


def _escaped(text: str) -> str:
    return "".join(f"\\{char}" if char in "*?[]^\\" else char for char in text)


def _left(time_left: int) -> Optional[int]:
    return {-1: None, -2: 0}.get(time_left, time_left)
