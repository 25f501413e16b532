"""redis-py's methods for streams, geo, HyperLogLog, SORT and DUMP, each way in and protocol."""

import pytest
import redis


def entries(reply):
    """The entries of XREAD's reply for its one stream: a list in RESP2, a map in RESP3."""
    if isinstance(reply, dict):
        return next(iter(reply.values()))[0]
    return reply[0][1] if reply else []


def test_stream(r):
    first = r.xadd("s", {"a": "1"}, id="1-1")
    assert first == "1-1" and r.xadd("s", {"b": "2"}, id="2-0") == "2-0"
    assert r.xlen("s") == 2 and r.xadd("none", {"a": 1}, nomkstream=True) is None
    assert r.xrange("s") == [("1-1", {"a": "1"}), ("2-0", {"b": "2"})]
    assert r.xrevrange("s", count=1) == [("2-0", {"b": "2"})]
    assert entries(r.xread({"s": "1-1"})) == [("2-0", {"b": "2"})]
    assert not r.xread({"s": "$"})
    with pytest.raises(redis.ResponseError, match="equal or smaller"):
        r.xadd("s", {"c": "3"}, id="1-0")
    assert r.xdel("s", "1-1", "9-9") == 1 and r.xtrim("s", maxlen=0, approximate=False) == 1
    assert r.exists("s") == 1 and r.xinfo_stream("s")["length"] == 0


def test_consumer_group(r):
    assert r.xgroup_create("s", "g", id="0", mkstream=True) is True
    with pytest.raises(redis.ResponseError, match="BUSYGROUP"):
        r.xgroup_create("s", "g", id="0")
    ids = [r.xadd("s", {"n": str(i)}) for i in range(5)]
    assert [e[0] for e in entries(r.xreadgroup("g", "one", {"s": ">"}, count=3))] == ids[:3]
    assert [e[0] for e in entries(r.xreadgroup("g", "two", {"s": ">"}))] == ids[3:]
    assert not r.xreadgroup("g", "two", {"s": ">"})
    assert r.xpending("s", "g")["pending"] == 5
    assert r.xack("s", "g", ids[0], "0-1") == 1
    pending = r.xpending_range("s", "g", "-", "+", 10, consumername="one")
    assert [p["message_id"] for p in pending] == ids[1:3]
    assert pending[0]["times_delivered"] == 1
    assert [e[0] for e in r.xclaim("s", "g", "two", 0, [ids[1]])] == [ids[1]]
    claimed = r.xautoclaim("s", "g", "two", 0, "0-0", count=10)
    assert claimed[0] == "0-0" and [e[0] for e in claimed[1]] == ids[1:]
    group = r.xinfo_groups("s")[0]
    assert group["name"] == "g" and group["consumers"] == 2 and group["pending"] == 4
    assert {c["name"] for c in r.xinfo_consumers("s", "g")} == {"one", "two"}
    assert r.xgroup_delconsumer("s", "g", "two") == 4
    assert r.xgroup_setid("s", "g", "0") is True and r.xgroup_destroy("s", "g") in (1, True)
    with pytest.raises(redis.ResponseError, match="NOGROUP"):
        r.xreadgroup("g", "one", {"s": ">"})


def test_a_long_stream_is_trimmed(r):
    pipe = r.pipeline(transaction=False)
    for i in range(1, 3_001):
        pipe.xadd("s", {"field": f"value:{i}"}, id=f"{i}-0")
    pipe.execute()
    assert r.xlen("s") == 3_000
    assert r.xrange("s", min="1500-0", count=1) == [("1500-0", {"field": "value:1500"})]
    assert r.xtrim("s", minid="2000-0", approximate=False) == 1_999
    assert r.xrange("s", count=1)[0][0] == "2000-0"
    assert r.xinfo_stream("s")["length"] == 1_001


def test_geo(r):
    places = (13.361389, 38.115556, "Palermo", 15.087269, 37.502669, "Catania")
    assert r.geoadd("Sicily", places) == 2
    assert r.geodist("Sicily", "Palermo", "Catania") == pytest.approx(166274.1516)
    assert r.geohash("Sicily", "Palermo", "Catania") == ["sqc8b49rny0", "sqdtr74hyu0"]
    (longitude, latitude), missing = r.geopos("Sicily", "Palermo", "none")
    assert longitude == pytest.approx(13.361389, abs=1e-5) and missing is None
    assert latitude == pytest.approx(38.115556, abs=1e-5)
    near = r.geosearch("Sicily", longitude=15, latitude=37, radius=200, unit="km", sort="ASC")
    assert near == ["Catania", "Palermo"]
    near = r.geosearch("Sicily", member="Catania", width=100, height=100, unit="km", withdist=True)
    assert [n[0] for n in near] == ["Catania"]
    assert r.geosearchstore("near", "Sicily", longitude=15, latitude=37, radius=100, unit="km") == 1


def test_hyperloglog(r):
    assert r.pfadd("a", *range(1_000)) == 1 and r.pfadd("a", 5) == 0
    assert abs(r.pfcount("a") - 1_000) < 40
    r.pfadd("b", *range(500, 1_500))
    assert abs(r.pfcount("a", "b") - 1_500) < 60
    assert r.pfmerge("c", "a", "b") is True and r.pfcount("c") == r.pfcount("a", "b")


def test_sort(r):
    r.rpush("l", 3, 1, 2)
    r.mset({"w1": 30, "w2": 20, "w3": 10, "o1": "one", "o2": "two", "o3": "three"})
    assert r.sort("l") == ["1", "2", "3"] and r.sort("l", desc=True, start=0, num=2) == ["3", "2"]
    assert r.sort("l", by="w*", get=["#", "o*"]) == ["3", "three", "2", "two", "1", "one"]
    assert r.sort("l", store="sorted") == 3 and r.lrange("sorted", 0, -1) == ["1", "2", "3"]
    with pytest.raises(redis.ResponseError, match="can't be converted into double"):
        r.rpush("words", "b", "a")
        r.sort("words")
    assert r.sort("words", alpha=True) == ["a", "b"]


def test_dump_and_restore_every_type(pool_options):
    pool = redis.ConnectionPool(**pool_options)
    with redis.Redis(connection_pool=pool) as r:
        r.set("string", "v" * 100)
        r.rpush("list", *range(300))
        r.sadd("set", "a", "b", 3)
        r.hset("hash", mapping={"f": "v", "g": 12})
        r.zadd("zset", {"a": 1.5, "b": float("inf")})
        r.xadd("stream", {"f": "v"}, id="5-1")
        for name in (b"string", b"list", b"set", b"hash", b"zset", b"stream"):
            payload = r.dump(name)
            assert r.restore(b"copy", 0, payload, replace=True) in (True, b"OK")
            assert len(r.dump("copy")) == len(payload) and r.type("copy") == r.type(name)
            with pytest.raises(redis.ResponseError, match="BUSYKEY"):
                r.restore("copy", 0, payload)
            with pytest.raises(redis.ResponseError, match="checksum"):
                r.restore("other", 0, payload[:-1] + bytes([payload[-1] ^ 1]))
        assert r.restore("copy", 50_000, r.dump("string"), replace=True)
        assert 48_000 < r.pttl("copy") <= 50_000
    pool.disconnect()
