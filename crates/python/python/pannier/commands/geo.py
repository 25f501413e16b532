"""Commands on places, which are members of sorted sets."""

from __future__ import annotations

from typing import Any, Optional, Tuple

from . import base
from .base import Key, Runner, Value


class GeoCommands(Runner):
    """Commands on places."""

    def geoadd(
        self,
        name: Key,
        values: Any,
        nx: bool = False,
        xx: bool = False,
        ch: bool = False,
    ) -> Any:
        """Adds places, a flat sequence of longitude, latitude, name; how many are new."""
        return self._run(("GEOADD", name, *base.flags(nx=nx, xx=xx, ch=ch), *values))

    def geodist(self, name: Key, place1: Value, place2: Value, unit: str = "m") -> Any:
        """The distance of two places."""
        return self._run(("GEODIST", name, place1, place2, unit), base.to_float)

    def geopos(self, name: Key, *values: Value) -> Any:
        """Longitude and latitude of places, None for what is none."""
        return self._run(("GEOPOS", name, *values), _places)

    def geohash(self, name: Key, *values: Value) -> Any:
        """Places as geohashes, None for what is none."""
        return self._run(("GEOHASH", name, *values), _texts)

    def geosearch(
        self,
        name: Key,
        member: Optional[Value] = None,
        longitude: Optional[float] = None,
        latitude: Optional[float] = None,
        unit: str = "m",
        radius: Optional[float] = None,
        width: Optional[float] = None,
        height: Optional[float] = None,
        sort: Optional[str] = None,
        count: Optional[int] = None,
        any: bool = False,
        withcoord: bool = False,
        withdist: bool = False,
        withhash: bool = False,
    ) -> Any:
        """Places around a member or a point: within a radius, or a box of width and height. With
        distance, hash or coordinates each is a list."""
        words = _area(member, longitude, latitude, unit, radius, width, height)
        words += _order(sort, count, any)
        extra = base.flags(withdist=withdist, withhash=withhash, withcoord=withcoord)
        return self._run(("GEOSEARCH", name, *words, *extra), _found(extra) if extra else None)

    def geosearchstore(
        self,
        dest: Key,
        name: Key,
        member: Optional[Value] = None,
        longitude: Optional[float] = None,
        latitude: Optional[float] = None,
        unit: str = "m",
        radius: Optional[float] = None,
        width: Optional[float] = None,
        height: Optional[float] = None,
        sort: Optional[str] = None,
        count: Optional[int] = None,
        any: bool = False,
        storedist: bool = False,
    ) -> Any:
        """Stores the places around a member or a point, or their distances; how many."""
        words = _area(member, longitude, latitude, unit, radius, width, height)
        words += _order(sort, count, any) + base.flags(storedist=storedist)
        return self._run(("GEOSEARCHSTORE", dest, name, *words))


def _area(
    member: Optional[Value],
    longitude: Optional[float],
    latitude: Optional[float],
    unit: str,
    radius: Optional[float],
    width: Optional[float],
    height: Optional[float],
) -> "list[Any]":
    point, box = (longitude, latitude), (width, height)
    if (None in point) == (member is None) or (point.count(None) == 1):
        raise ValueError("places lie around a member, or around a longitude and a latitude")
    if (None in box) == (radius is None) or (box.count(None) == 1):
        raise ValueError("places lie within a radius, or within a width and a height")
    words: "list[Any]" = ["FROMLONLAT", *point] if member is None else ["FROMMEMBER", member]
    return words + (["BYBOX", *box, unit] if radius is None else ["BYRADIUS", radius, unit])


def _order(sort: Optional[str], count: Optional[int], any: bool) -> "list[Any]":
    if any and count is None:
        raise ValueError("any: it needs a count")
    words: "list[Any]" = [] if sort is None else [sort]
    words += [] if count is None else ["COUNT", count]
    return words + base.flags(any=any)


def _found(extra: "list[str]") -> base.Convert:
    """Each place with what was asked for, in the order in which the reply has it."""
    converts = [EXTRAS[word] for word in extra]

    def convert(reply: Any) -> Any:
        return [
            [place, *(make(part) for make, part in zip(converts, parts))]
            for place, *parts in reply
        ]

    return convert


def _texts(reply: Any) -> "list[Optional[str]]":
    return [None if found is None else base.text(found) for found in reply]


def _places(reply: Any) -> "list[Optional[Tuple[float, float]]]":
    return [base.to_tuple(place) for place in reply]


#: What becomes of distance, hash and coordinates.
EXTRAS: "dict[str, Any]" = {"WITHDIST": float, "WITHHASH": int, "WITHCOORD": tuple}
