"""The native half of `pannier`: not for direct use, and without promises between versions."""

from typing import Optional, final

VERSION: str

def forked() -> None:
    """Counts a fork; called in the child."""

@final
class Server:
    """A running server; `stop()` ends it, and so does its deletion."""

    def __new__(
        cls,
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
