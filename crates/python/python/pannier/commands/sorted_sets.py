"""Commands on sorted sets."""

from __future__ import annotations

from typing import Any, Callable, Iterator, Mapping, Optional, Tuple, Union

from . import base
from .base import Key, Runner, Value

Bound = Union[str, bytes, int, float]
Cast = Callable[[float], Any]


class SortedSetCommands(Runner):
    """Commands on sorted sets. Scores are floats."""

    def zadd(
        self,
        name: Key,
        mapping: Mapping[Any, float],
        nx: bool = False,
        xx: bool = False,
        ch: bool = False,
        incr: bool = False,
        gt: bool = False,
        lt: bool = False,
    ) -> Any:
        """Adds members with their scores; how many are new (`ch`: or changed).

        `nx` only adds, `xx` only updates, `gt` and `lt` only raise and lower. `incr` adds to the
        score of one member and returns the sum.
        """
        if not mapping:
            raise ValueError("zadd: no member is given")
        words: "list[Any]" = base.flags(nx=nx, xx=xx, gt=gt, lt=lt, ch=ch, incr=incr)
        for member, score in mapping.items():
            words += [score, member]
        return self._run(("ZADD", name, *words), base.to_float if incr else None)

    def zincrby(self, name: Key, amount: float, value: Value) -> Any:
        """Adds to a member's score; the sum."""
        return self._run(("ZINCRBY", name, amount, value), float)

    def zrem(self, name: Key, *values: Value) -> Any:
        """Removes members; how many there were."""
        return self._run(("ZREM", name, *values))

    def zcard(self, name: Key) -> Any:
        """How many members there are."""
        return self._run(("ZCARD", name))

    def zscore(self, name: Key, value: Value) -> Any:
        """A member's score; None when it is none."""
        return self._run(("ZSCORE", name, value), base.to_float)

    def zmscore(self, key: Key, members: Any) -> Any:
        """Several members' scores."""
        return self._run(("ZMSCORE", key, *base.many(members)))

    def zrank(
        self,
        name: Key,
        value: Value,
        withscore: bool = False,
        score_cast_func: Cast = float,
    ) -> Any:
        """A member's place by rising score, from 0; with its score, if `withscore`."""
        words = base.flags(withscore=withscore)
        convert = _placed(score_cast_func) if withscore else None
        return self._run(("ZRANK", name, value, *words), convert)

    def zrevrank(
        self,
        name: Key,
        value: Value,
        withscore: bool = False,
        score_cast_func: Cast = float,
    ) -> Any:
        """A member's place by falling score, from 0; with its score, if `withscore`."""
        words = base.flags(withscore=withscore)
        convert = _placed(score_cast_func) if withscore else None
        return self._run(("ZREVRANK", name, value, *words), convert)

    def zcount(self, name: Key, min: Bound, max: Bound) -> Any:
        """How many have a score in a range."""
        return self._run(("ZCOUNT", name, min, max))

    def zlexcount(self, name: Key, min: Bound, max: Bound) -> Any:
        """How many lie in a range of names."""
        return self._run(("ZLEXCOUNT", name, min, max))

    def zrange(
        self,
        name: Key,
        start: Bound,
        end: Bound,
        desc: bool = False,
        withscores: bool = False,
        score_cast_func: Cast = float,
        byscore: bool = False,
        bylex: bool = False,
        offset: Optional[int] = None,
        num: Optional[int] = None,
    ) -> Any:
        """Members in a range of places, scores or names; with scores, as pairs."""
        words: "list[Any]" = base.flags(byscore=byscore, bylex=bylex, rev=desc)
        words += _limit(offset, num) + base.flags(withscores=withscores)
        convert = base.scores(withscores, score_cast_func)
        return self._run(("ZRANGE", name, start, end, *words), convert)

    def zrevrange(
        self,
        name: Key,
        start: int,
        end: int,
        withscores: bool = False,
        score_cast_func: Cast = float,
    ) -> Any:
        """Members in a range of places by falling score."""
        words = base.flags(withscores=withscores)
        convert = base.scores(withscores, score_cast_func)
        return self._run(("ZREVRANGE", name, start, end, *words), convert)

    def zrangebyscore(
        self,
        name: Key,
        min: Bound,
        max: Bound,
        start: Optional[int] = None,
        num: Optional[int] = None,
        withscores: bool = False,
        score_cast_func: Cast = float,
    ) -> Any:
        """Members in a range of scores."""
        words = base.flags(withscores=withscores) + _limit(start, num)
        convert = base.scores(withscores, score_cast_func)
        return self._run(("ZRANGEBYSCORE", name, min, max, *words), convert)

    def zrevrangebyscore(
        self,
        name: Key,
        max: Bound,
        min: Bound,
        start: Optional[int] = None,
        num: Optional[int] = None,
        withscores: bool = False,
        score_cast_func: Cast = float,
    ) -> Any:
        """Members in a range of scores, the highest first."""
        words = base.flags(withscores=withscores) + _limit(start, num)
        convert = base.scores(withscores, score_cast_func)
        return self._run(("ZREVRANGEBYSCORE", name, max, min, *words), convert)

    def zrangebylex(
        self,
        name: Key,
        min: Bound,
        max: Bound,
        start: Optional[int] = None,
        num: Optional[int] = None,
    ) -> Any:
        """Members in a range of names, where all have one score."""
        return self._run(("ZRANGEBYLEX", name, min, max, *_limit(start, num)))

    def zremrangebyrank(self, name: Key, min: int, max: int) -> Any:
        """Removes a range of places; how many."""
        return self._run(("ZREMRANGEBYRANK", name, min, max))

    def zremrangebyscore(self, name: Key, min: Bound, max: Bound) -> Any:
        """Removes a range of scores; how many."""
        return self._run(("ZREMRANGEBYSCORE", name, min, max))

    def zremrangebylex(self, name: Key, min: Bound, max: Bound) -> Any:
        """Removes a range of names; how many."""
        return self._run(("ZREMRANGEBYLEX", name, min, max))

    def zpopmin(self, name: Key, count: Optional[int] = None) -> Any:
        """Takes out those of the lowest scores, as pairs."""
        words = () if count is None else (count,)
        return self._run(("ZPOPMIN", name, *words), _popped)

    def zpopmax(self, name: Key, count: Optional[int] = None) -> Any:
        """Takes out those of the highest scores, as pairs."""
        words = () if count is None else (count,)
        return self._run(("ZPOPMAX", name, *words), _popped)

    def bzpopmin(self, keys: Any, timeout: Optional[float] = 0) -> Any:
        """Takes out the lowest, and waits for one: key, member and score, or None."""
        return self._run(("BZPOPMIN", *base.many(keys), timeout or 0), base.to_tuple)

    def bzpopmax(self, keys: Any, timeout: Optional[float] = 0) -> Any:
        """Takes out the highest, and waits for one: key, member and score, or None."""
        return self._run(("BZPOPMAX", *base.many(keys), timeout or 0), base.to_tuple)

    def zrandmember(
        self, key: Key, count: Optional[int] = None, withscores: bool = False
    ) -> Any:
        """Any member, or a list of `count`."""
        words: "list[Any]" = [] if count is None else [count]
        words += base.flags(withscores=withscores)
        return self._run(("ZRANDMEMBER", key, *words), base.scored if withscores else None)

    def zunionstore(self, dest: Key, keys: Any, aggregate: Optional[str] = None) -> Any:
        """Stores the union; `keys` may be a dict with weights."""
        return self._run(("ZUNIONSTORE", dest, *_sources(keys, aggregate)))

    def zinterstore(self, dest: Key, keys: Any, aggregate: Optional[str] = None) -> Any:
        """Stores the intersection; `keys` may be a dict with weights."""
        return self._run(("ZINTERSTORE", dest, *_sources(keys, aggregate)))

    def zunion(
        self,
        keys: Any,
        aggregate: Optional[str] = None,
        withscores: bool = False,
        score_cast_func: Cast = float,
    ) -> Any:
        """The union; `keys` may be a dict with weights."""
        words = [*_sources(keys, aggregate), *base.flags(withscores=withscores)]
        return self._run(("ZUNION", *words), base.scores(withscores, score_cast_func))

    def zinter(self, keys: Any, aggregate: Optional[str] = None, withscores: bool = False) -> Any:
        """The intersection; `keys` may be a dict with weights."""
        words = [*_sources(keys, aggregate), *base.flags(withscores=withscores)]
        return self._run(("ZINTER", *words), base.scored if withscores else None)

    def zdiff(self, keys: Any, withscores: bool = False) -> Any:
        """What is in the first and in none of the others."""
        words = [*_sources(keys, None), *base.flags(withscores=withscores)]
        return self._run(("ZDIFF", *words), base.scored if withscores else None)

    def zintercard(self, numkeys: int, keys: Any, limit: int = 0) -> Any:
        """How many members the intersection has; counted up to `limit`, if it is not 0."""
        return self._run(("ZINTERCARD", numkeys, *base.many(keys), "LIMIT", limit))

    def zscan(
        self,
        name: Key,
        cursor: int = 0,
        match: Optional[Key] = None,
        count: Optional[int] = None,
        score_cast_func: Cast = float,
    ) -> Any:
        """A page of members: the next cursor, 0 at the end, and pairs."""
        words = base.scan_words(cursor, match, count)
        return self._run(("ZSCAN", name, *words), _scanned(score_cast_func))

    def zscan_iter(
        self,
        name: Key,
        match: Optional[Key] = None,
        count: Optional[int] = None,
        score_cast_func: Cast = float,
    ) -> Iterator[Tuple[Any, Any]]:
        """Members and scores, page by page."""
        cast = score_cast_func
        for page in base.pages(lambda cursor: self.zscan(name, cursor, match, count, cast)):
            yield from page


def _limit(start: Optional[int], num: Optional[int]) -> "list[Any]":
    if (start is None) != (num is None):
        raise ValueError("a page has a start and a number")
    return [] if start is None else ["LIMIT", start, num]


def _sources(keys: Any, aggregate: Optional[str]) -> "list[Any]":
    names = base.many(keys)
    words = [len(names), *names]
    if isinstance(keys, Mapping):
        words += ["WEIGHTS", *keys.values()]
    return words if aggregate is None else [*words, "AGGREGATE", aggregate]


def _placed(cast: Cast) -> base.Convert:
    return lambda reply: None if reply is None else [reply[0], cast(float(reply[1]))]


def _popped(reply: Any) -> "list[Tuple[Any, float]]":
    # One without a count is flat, several are pairs.
    if reply and not isinstance(reply[0], list):
        return [(reply[0], float(reply[1]))]
    return base.scored(reply)


def _scanned(cast: Cast) -> base.Convert:
    def convert(reply: Any) -> Any:
        cursor, page = base.scanned(reply)
        return cursor, base.scored(base.paired(page), cast)

    return convert
