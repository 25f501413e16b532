"""Commands as methods, with redis-py's names and signatures, a file for each type.

A method turns its arguments into a command and says what becomes of the reply; who runs it is
decided by the class that these are mixed into: `pannier.Cache` at once, `pannier.Pipeline` later.
What has no method here is said by `execute("NAME", ...)`.
"""

from __future__ import annotations

from .bits import BitCommands
from .geo import GeoCommands
from .hashes import HashCommands
from .keys import KeyCommands
from .lists import ListCommands
from .scripts import ScriptCommands
from .server import ServerCommands
from .sets import SetCommands
from .sorted_sets import SortedSetCommands
from .streams import StreamCommands
from .strings import StringCommands

__all__ = ["Commands"]


class Commands(
    KeyCommands,
    StringCommands,
    BitCommands,
    HashCommands,
    ListCommands,
    SetCommands,
    SortedSetCommands,
    GeoCommands,
    StreamCommands,
    ScriptCommands,
    ServerCommands,
):
    """Every command that has a method."""
