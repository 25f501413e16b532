"""redis-py's methods for hashes, lists, sets and sorted sets, over every way in and protocol."""

import time

import pytest
import redis


def pairs(reply):
    """Members with scores: tuples in RESP2, lists in RESP3."""
    return [tuple(pair) for pair in reply]


def test_hash(r):
    assert r.hset("h", mapping={"a": 1, "b": "two"}) == 2
    assert r.hset("h", "a", "3") == 0
    assert r.hsetnx("h", "a", "4") in (0, False) and r.hsetnx("h", "c", "") in (1, True)
    assert r.hget("h", "a") == "3" and r.hget("h", "none") is None
    assert r.hmget("h", ["a", "none", "c"]) == ["3", None, ""]
    assert r.hgetall("h") == {"a": "3", "b": "two", "c": ""}
    assert sorted(r.hkeys("h")) == ["a", "b", "c"] and sorted(r.hvals("h")) == ["", "3", "two"]
    assert r.hlen("h") == 3 and r.hexists("h", "b") and not r.hexists("h", "none")
    assert r.hstrlen("h", "b") == 3
    assert r.hincrby("h", "a", 5) == 8 and r.hincrbyfloat("h", "a", 0.5) == 8.5
    assert r.hdel("h", "a", "none") == 1
    assert r.hrandfield("h") in ("b", "c") and r.hrandfield("none") is None
    assert sorted(r.hrandfield("h", 5)) == ["b", "c"] and len(r.hrandfield("h", -5)) == 5
    assert dict(r.hscan_iter("h", match="b*")) == {"b": "two"}
    assert r.hdel("h", "b", "c") == 2 and not r.exists("h")
    r.set("s", "v")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        r.hget("s", "f")
    with pytest.raises(redis.ResponseError, match="hash value is not an integer"):
        r.hset("h", "word", "x")
        r.hincrby("h", "word")


def test_a_large_hash_is_walked_whole(r):
    r.hset("h", mapping={f"field:{i}": i for i in range(2_000)})
    assert r.object("encoding", "h") == "hashtable"
    seen = dict(r.hscan_iter("h", count=100))
    assert seen == {f"field:{i}": str(i) for i in range(2_000)}
    assert r.hlen("h") == 2_000 and len(r.hgetall("h")) == 2_000


@pytest.mark.since("field expiry")
def test_fields_expire(r):
    r.hset("h", mapping={"a": 1, "b": 2, "c": 3})
    assert r.hexpire("h", 100, "a", "none") == [1, -2]
    assert 98 <= r.httl("h", "a")[0] <= 100 and r.httl("h", "b", "none") == [-1, -2]
    assert r.hpexpire("h", 60, "b") == [1]
    assert r.hpersist("h", "a") == [1] and r.hpersist("h", "a") == [-1]
    soon = int(time.time()) + 60
    assert r.hexpireat("h", soon, "a") == [1] and r.hexpiretime("h", "a") == [soon]
    deadline = time.monotonic() + 5
    while r.hlen("h") == 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert r.hgetall("h") == {"a": "1", "c": "3"}
    assert r.hexpire("h", 0, "a", "c") == [2, 2] and not r.exists("h")


def test_list(r):
    assert r.rpush("l", "a", "b", "c") == 3 and r.lpush("l", "z") == 4
    assert r.lrange("l", 0, -1) == ["z", "a", "b", "c"] and r.llen("l") == 4
    assert r.rpushx("none", "a") == 0 and r.lpushx("l", "y") == 5
    assert r.lindex("l", 1) == "z" and r.lindex("l", -1) == "c" and r.lindex("l", 9) is None
    assert r.linsert("l", "before", "b", "x") == 6 and r.linsert("l", "after", "none", "x") == -1
    assert r.lset("l", 0, "first") is True
    with pytest.raises(redis.ResponseError, match="index out of range"):
        r.lset("l", 99, "x")
    with pytest.raises(redis.ResponseError, match="no such key"):
        r.lset("none", 0, "x")
    assert r.lrem("l", 0, "x") == 1 and r.lpos("l", "b") == 3 and r.lpos("l", "none") is None
    assert r.ltrim("l", 1, -2) is True and r.lrange("l", 0, -1) == ["z", "a", "b"]
    assert r.lpop("l") == "z" and r.rpop("l") == "b" and r.lpop("l", 5) == ["a"]
    assert r.lpop("l") is None and r.lpop("l", 2) is None and not r.exists("l")
    r.rpush("l", 1, 2, 3)
    assert r.lmove("l", "m", "LEFT", "RIGHT") == "1" and r.rpoplpush("l", "m") == "3"
    assert r.lrange("m", 0, -1) == ["3", "1"]
    assert r.lmpop(2, "none", "m", direction="LEFT", count=5) == ["m", ["3", "1"]]
    assert r.lmpop(1, "none", direction="LEFT") is None


def test_a_long_list_of_values_of_any_size(r):
    values = [str(i) * (1 + i % 50) for i in range(3_000)] + ["x" * 100_000]
    pipe = r.pipeline(transaction=False)
    for value in values:
        pipe.rpush("l", value)
    assert pipe.execute()[-1] == len(values)
    assert r.lrange("l", 0, -1) == values and r.object("encoding", "l") == "quicklist"
    for index in (0, 1, 1_499, 2_999, 3_000, -1, -3_001):
        assert r.lindex("l", index) == values[index]
    while len(r.lpop("l", 250) or []) == 250:
        pass
    assert not r.exists("l")


def test_set(r, kind):
    assert r.sadd("s", "a", "b", "c", "a") == 3 and r.scard("s") == 3
    assert r.smembers("s") == {"a", "b", "c"} or sorted(r.smembers("s")) == ["a", "b", "c"]
    assert r.sismember("s", "a") and not r.sismember("s", "z")
    assert r.smismember("s", ["a", "z"]) == [1, 0]
    assert r.srem("s", "a", "z") == 1 and r.smove("s", "t", "b")
    assert r.sadd("t", 1, 2, 3) == 3
    small = "hashtable" if kind == "redis" else "listpack"
    assert r.object("encoding", "t") == small
    assert r.srandmember("s") == "c" and r.spop("s") == "c" and r.spop("s") is None
    r.sadd("x", 1, 2, 3)
    r.sadd("y", 2, 3, 4)
    assert r.object("encoding", "x") == "intset"
    assert set(r.sinter("x", "y")) == {"2", "3"} and set(r.sdiff("x", "y")) == {"1"}
    assert set(r.sunion("x", "y")) == {"1", "2", "3", "4"}
    assert r.sintercard(2, ["x", "y"]) == 2 and r.sintercard(2, ["x", "y"], limit=1) == 1
    assert r.sinterstore("z", "x", "y") == 2 and r.sunionstore("z", "x", "y") == 4
    assert r.sdiffstore("z", "x", "x") == 0 and not r.exists("z")
    assert len(r.spop("x", 2)) == 2 and len(r.srandmember("y", -7)) == 7
    r.sadd("big", *range(5_000), "word")
    assert r.object("encoding", "big") == "hashtable"
    assert {m for m in r.sscan_iter("big", count=500)} == {str(i) for i in range(5_000)} | {"word"}


def test_sorted_set(r):
    assert r.zadd("z", {"a": 1, "b": 2.5, "c": -1}) == 3
    assert r.zadd("z", {"a": 5}, nx=True) == 0 and r.zadd("z", {"a": 5}, xx=True, ch=True) == 1
    assert r.zadd("z", {"a": 4}, gt=True, ch=True) == 0
    assert r.zadd("z", {"a": 1}, incr=True) == 6.0
    assert r.zcard("z") == 3 and r.zscore("z", "b") == 2.5 and r.zscore("z", "none") is None
    assert r.zmscore("z", ["a", "none"]) == [6.0, None]
    assert r.zincrby("z", 1.5, "b") == 4.0
    assert pairs(r.zrange("z", 0, -1, withscores=True)) == [("c", -1.0), ("b", 4.0), ("a", 6.0)]
    assert r.zrange("z", 0, 0, desc=True) == ["a"]
    assert r.zrangebyscore("z", "(-1", "+inf") == ["b", "a"]
    assert r.zrevrangebyscore("z", 5, "-inf", start=0, num=1) == ["b"]
    assert r.zcount("z", 0, 5) == 1 and r.zrank("z", "a") == 2 and r.zrevrank("z", "a") == 0
    assert r.zrank("z", "none") is None
    assert pairs(r.zpopmin("z", 1)) == [("c", -1.0)] and pairs(r.zpopmax("z", 5))[0] == ("a", 6.0)
    assert not r.exists("z")
    r.zadd("lex", dict.fromkeys("abcde", 0))
    assert r.zrangebylex("lex", "[b", "(d") == ["b", "c"] and r.zlexcount("lex", "-", "+") == 5
    assert r.zremrangebylex("lex", "-", "[a") == 1 and r.zremrangebyrank("lex", 0, 0) == 1
    assert r.zremrangebyscore("lex", 1, 2) == 0
    r.zadd("x", {"a": 1, "b": 2})
    r.zadd("y", {"b": 3, "c": 4})
    assert pairs(r.zunion(["x", "y"], withscores=True)) == [("a", 1.0), ("c", 4.0), ("b", 5.0)]
    assert pairs(r.zinter({"x": 2, "y": 1}, aggregate="MAX", withscores=True)) == [("b", 4.0)]
    assert r.zdiff(["x", "y"]) == ["a"] and r.zintercard(2, ["x", "y"]) == 1
    assert r.zunionstore("z", ["x", "y"]) == 3 and r.zrangestore("w", "z", 0, 1) == 2
    assert r.zmpop(2, ["none", "w"], min=True)[0] == "w"
    assert sorted(r.zrandmember("x", 9)) == ["a", "b"]
    r.zadd("big", {f"m{i}": i / 7 for i in range(3_000)})
    assert r.object("encoding", "big") == "skiplist" and r.zrank("big", "m1234") == 1_234
    assert len(dict(r.zscan_iter("big", count=300))) == 3_000
