"""A result back end for Celery, for workers inside the process (tests, `solo` and `threads`).

```python
app = Celery(broker="memory://", backend="pannier.celery.PannierBackend+pannier://tasks/0")
```

It is Celery's own back end for Redis on connections without sockets.
"""

from __future__ import annotations

from typing import Any, Optional

from celery.backends.redis import RedisBackend

from .transport import ConnectionPool

__all__ = ["PannierBackend"]

#: Options of a connection to a host, which there is none of.
NO_HOST = ("host", "port", "db", "username", "password", "socket_connect_timeout")


class PannierBackend(RedisBackend):
    """Results in a named cache of this process."""

    def __init__(self, *args: Any, url: Optional[str] = None, **options: Any) -> None:
        self._cache_url = url or "pannier://celery/0"
        super().__init__(*args, **options)
        self.url = self._cache_url

    def _get_pool(self, **params: Any) -> ConnectionPool:
        wanted = {name: value for name, value in params.items() if name not in NO_HOST}
        pool: ConnectionPool = ConnectionPool.from_url(self._cache_url, **wanted)
        return pool
