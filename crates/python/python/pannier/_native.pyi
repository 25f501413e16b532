"""The native half of `pannier`: not for direct use, and without promises between versions."""

from collections.abc import Iterable
from typing import Any, Callable, Optional, Union, final

from typing_extensions import disjoint_base

from .commands.base import Key, Moment, Span, Value
from .faults import Wanted

__all__ = [
    "VERSION",
    "Cache",
    "Checkpoint",
    "Client",
    "Clock",
    "Connection",
    "ConnectionPool",
    "Faults",
    "Recorder",
    "Requests",
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

def pack(commands: Iterable[tuple[Any, ...]], text: "Optional[tuple[str, str]]" = None) -> bytes:
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
    def send_aside(self, *args: Any) -> None:
        """As `send`, but what takes long goes on beside the caller."""
    def send_packed_aside(self, requests: Any) -> None:
        """As `send_packed`, likewise."""
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
class Clock:
    """The hand of a cache's clock; PannierError where it is the system's."""

    def __new__(cls, cache: Cache) -> Clock: ...
    def state(self) -> tuple[int, bool]:
        """Milliseconds since 1970, and whether it stands still."""
    def freeze(self) -> None:
        """Stops it where it is."""
    def resume(self) -> None:
        """Lets it go on from where it stands."""
    def set(self, unix_ms: int) -> None:
        """Sets it to a moment, in milliseconds since 1970."""
    def advance(self, ms: int) -> None:
        """Moves it on by so many milliseconds."""

# Certificates or a key: the text itself, or its file.
_Pem = Union[bytes, str]

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
        tls: Optional[tuple[_Pem, _Pem, Optional[str], Optional[_Pem], Optional[str]]],
    ) -> Server: ...
    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Host and port of each TCP address."""
    @property
    def encrypted(self) -> bool:
        """Whether they are for TLS."""
    @property
    def unix_socket(self) -> Optional[str]:
        """Path of the Unix socket."""
    @property
    def descriptors(self) -> list[int]:
        """File descriptors of the listening sockets, when it started."""
    @property
    def is_here(self) -> bool:
        """Whether this process is the one that started it."""
    def stop(self) -> None:
        """Ends it. Again is nothing."""

@final
class Faults:
    """Rules by which requests fail."""

    def __new__(cls, cache: Cache) -> Faults: ...
    def add(
        self,
        what: str,
        amount: int,
        text: str,
        wanted: Wanted,
        probability: Optional[float],
        seed: Optional[int],
        times: Optional[int],
    ) -> int:
        """Puts a rule into force and returns its number."""
    def list(self) -> list[tuple[int, str, int, Optional[int]]]:
        """All rules: number, words, hits, how often still."""
    def remove(self, id: int) -> bool:
        """Removes a rule; whether there was one of this number."""
    def clear(self) -> int:
        """Removes all; how many there were."""

@final
class Recorder:
    """What an engine writes down of its clients' requests."""

    def __new__(cls, cache: Cache) -> Recorder: ...
    def start(self, entries_max: int, bytes_max: int) -> Optional[int]:
        """Begins; the number of the last request, if somebody has begun already."""
    def stop(self) -> bool:
        """Writes nothing more down; whether it did."""
    def requests(self, number: int) -> Requests:
        """What came after a request of this number."""

@final
class Requests:
    """Requests that were written down."""

    @property
    def lost(self) -> int:
        """How many are missing."""
    def find(self, wanted: Wanted) -> Requests:
        """Those that are wanted."""
    def rows(self) -> list[tuple[int, int, float, int, str, str, int, tuple[bytes, ...]]]:
        """The fields of each."""
    def __len__(self) -> int: ...

@disjoint_base
class Connection:
    """The part of redis-py's connections that is the same for every command."""

    def __new__(cls, *_args: Any, **_options: Any) -> Connection: ...
    @property
    def _sock(self) -> Any: ...
    @_sock.setter
    def _sock(self, value: Optional[Client]) -> None: ...
    @property
    def _should_reconnect(self) -> bool: ...
    @_should_reconnect.setter
    def _should_reconnect(self, value: bool) -> None: ...
    def should_reconnect(self) -> bool:
        """Whether it is to be opened anew when it is free."""
    def send_command(self, *args: Any, **options: Any) -> None:
        """Executes a command; its reply is there to be read, unless it waits."""
    def read_response(self, *args: Any, **options: Any) -> Any:
        """The next reply, after waiting for it."""

@disjoint_base
class ConnectionPool:
    """The part of redis-py's pools that is the same for every command."""

    def __new__(cls, *_args: Any, **_options: Any) -> ConnectionPool: ...
    def _watch(self, lists: Optional[tuple[list[Any], set[Any]]]) -> None: ...
    def get_connection(self, *args: Any, **options: Any) -> Any:
        """A connection that is ready."""
    def release(self, connection: Any) -> None:
        """Takes a connection back."""
