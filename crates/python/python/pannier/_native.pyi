"""The native half of `pannier`: not for direct use, and without promises between versions."""

from collections.abc import Iterable
from typing import Any, Callable, Optional, Union, final

from typing_extensions import disjoint_base

from .commands.base import Key, Moment, Span, Value

__all__ = [
    "VERSION",
    "Cache",
    "Checkpoint",
    "Client",
    "Server",
    "TimedOut",
    "forked",
    "pack",
    "unix_time",
]

VERSION: str

def forked() -> None:
    """Counts a fork; called in the child."""

def unix_time() -> float:
    """Seconds since 1970 by the system's clock, whatever Python is made to believe."""

def pack(commands: Iterable[tuple[Any, ...]]) -> bytes:
    """Requests in wire form, for `Client.send_packed`."""

class TimedOut(TimeoutError):
    """A wait for a reply that did not come."""

@disjoint_base
class Cache:
    """One database of a cache in this process."""

    def __new__(
        cls,
        other: Union[Cache, Server, None],
        directives: list[tuple[str, str]],
        seed: Optional[int],
        db: int,
        text: Optional[tuple[str, str]],
        error: Callable[[str], Any],
        push: Callable[[list[Any]], Any],
    ) -> Cache: ...
    @property
    def db(self) -> int:
        """The number of the database."""
    @property
    def databases(self) -> int:
        """How many databases there are."""
    def __len__(self) -> int: ...
    def __bool__(self) -> bool: ...
    def get(self, name: Key) -> Any:
        """The value of a key, None when there is none."""
    def set(
        self,
        name: Key,
        value: Value,
        ex: Optional[Span] = None,
        px: Optional[Span] = None,
        nx: bool = False,
        xx: bool = False,
        keepttl: bool = False,
        get: bool = False,
        exat: Optional[Moment] = None,
        pxat: Optional[Moment] = None,
    ) -> Any:
        """Stores a value; True, or None when a condition forbade it.

        `ex` and `px` are a lifetime in seconds and milliseconds, `exat` and `pxat` its end;
        `keepttl` leaves it as it was. `nx` only makes, `xx` only replaces. `get` returns what was
        there before.
        """
    def execute(self, *args: Any) -> Any:
        """Runs any command and returns its reply as RESP3 shapes it; raises what it refuses."""
    def execute_raw(self, *args: Any) -> Any:
        """The same, with strings as bytes whatever this cache decodes."""
    def checkpoint(self) -> Checkpoint:
        """A state of the whole engine to come back to: `rollback()`, or the end of a `with`."""
    def connect(
        self,
        text: Optional[tuple[str, str]],
        error: Callable[[str], Any],
        push: Callable[[list[Any]], Any],
    ) -> Client:
        """A session of its own that begins in this database."""

@final
class Checkpoint:
    """A state of a cache to come back to. One that is forgotten changes nothing."""

    def rollback(self, config: bool = False) -> None:
        """Brings data, scripts and functions back, and parameters if `config`. Can be repeated;
        later checkpoints are given up."""
    def release(self) -> None:
        """Gives it up; the data stay as they are. Again is nothing."""
    def __enter__(self) -> Checkpoint: ...
    def __exit__(self, *_args: object) -> None:
        """Comes back, however the block ended, and gives it up."""

@final
class Client:
    """One session of a cache."""

    @property
    def id(self) -> int:
        """Its number, as CLIENT ID tells it."""
    @property
    def is_here(self) -> bool:
        """Whether its engine is this process's."""
    @property
    def closed(self) -> bool:
        """Whether it was closed, by either side."""
    def send(self, *args: Any) -> None:
        """Executes a command; its reply is there to be received, unless it waits."""
    def send_packed(self, requests: Any) -> None:
        """Executes requests that are packed already."""
    def receive(self, raw: bool = False, timeout: Optional[float] = None) -> Any:
        """The next reply or message, after waiting for it; TimedOut after so many seconds."""
    def take(self, raw: bool) -> Optional[tuple[Any]]:
        """The next reply or message in a tuple, None when there is none yet."""
    def wait(self, timeout: Optional[float] = None) -> bool:
        """Whether something can be received, or the end be noticed, within so many seconds."""
    def is_ready(self) -> bool:
        """Whether something can be received, or the end be noticed, at once."""
    def is_idle(self) -> bool:
        """Whether it is open and nothing is there to be received."""
    def run(self, commands: list[tuple[Any, ...]], raw: bool) -> list[Any]:
        """Executes commands and returns their replies, errors among them."""
    def fileno(self) -> int:
        """A file that can be read once `arm` has said that nothing is there and something came."""
    def arm(self) -> Optional[float]:
        """In how many seconds to look again: 0 when something is there, None for never."""
    def close(self) -> None:
        """Ends the session. Again is nothing."""
    def shutdown(self, _how: Any) -> None:
        """What a socket is told before it is closed."""

@final
class Server:
    """A running server; `stop()` ends it, and so does its deletion."""

    def __new__(
        cls,
        cache: Optional[Cache],
        port: Optional[int],
        unix_socket: Optional[str],
        seed: Optional[int],
        directives: list[tuple[str, str]],
    ) -> Server: ...
    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Host and port of each TCP address."""
    @property
    def unix_socket(self) -> Optional[str]:
        """Path of the Unix socket."""
    @property
    def is_here(self) -> bool:
        """Whether this process is the one that started it."""
    def stop(self) -> None:
        """Ends it. Again is nothing."""
