"""redis-py's methods for strings and bitmaps, sync, over every way in, protocol and parser."""

import time

import pytest
import redis


def test_set_and_get_with_every_option(r):
    assert r.set("k", "v") is True
    assert r.get("k") == "v" and r["k"] == "v"
    assert r.get("none") is None
    assert r.set("k", "w", nx=True) is None
    assert r.set("new", "w", xx=True) is None
    assert r.set("k", "w", xx=True) is True
    assert r.set("k", "x", get=True) == "w"
    assert r.set("first", "x", get=True) is None
    assert r.set("k", "y", nx=True, get=True) == "x" and r.get("k") == "x"
    assert r.set("k", "v", ex=100) and 98 <= r.ttl("k") <= 100
    assert r.set("k", "v", px=50_000) and 48_000 < r.pttl("k") <= 50_000
    assert r.set("k", "w", keepttl=True) and r.ttl("k") > 40
    assert r.set("k", "v") and r.ttl("k") == -1
    soon = int(time.time()) + 60
    assert r.set("k", "v", exat=soon) and r.expiretime("k") == soon
    assert r.set("k", "v", pxat=soon * 1000 + 7) and r.pexpiretime("k") == soon * 1000 + 7
    with pytest.raises(redis.ResponseError, match="invalid expire time in 'set' command"):
        r.set("k", "v", ex=0)
    r["item"] = "assigned"
    assert "item" in r
    del r["item"]
    assert "item" not in r


@pytest.mark.since("SET IFEQ, DELIFEQ")
@pytest.mark.filterwarnings("ignore:Call to .set. method with experimental")
def test_set_and_delete_if_equal(r):
    r.set("k", "v")
    assert r.set("k", "w", ifeq="other") is None
    assert r.set("k", "w", ifeq="v") is True
    assert r.set("k", "x", ifeq="w", get=True) == "w"
    assert r.execute_command("DELIFEQ", "k", "other") == 0
    assert r.execute_command("DELIFEQ", "k", "x") == 1
    assert r.get("k") is None


def test_values_of_any_bytes_and_sizes(pool_options):
    pool = redis.ConnectionPool(**pool_options)
    every = bytes(range(256)) * 3 + b"\r\n$-1\r\n"
    with redis.Redis(connection_pool=pool) as r:
        for size in (0, 1, 100, 16_383, 16_384, 70_000, 5_000_000):
            value = (every * (size // len(every) + 1))[:size]
            r.set(every, value)
            assert r.get(every) == value
            assert r.strlen(every) == size
        assert r.keys() == [every]
    pool.disconnect()


@pytest.mark.filterwarnings("ignore:Call to deprecated")
def test_the_older_setters(r):
    assert r.setex("k", 100, "v") is True and r.ttl("k") > 98
    assert r.psetex("k", 100_000, "v") is True and r.pttl("k") > 98_000
    assert r.setnx("k", "w") is False and r.setnx("n", "w") is True
    assert r.getset("n", "x") == "w"
    with pytest.raises(redis.ResponseError, match="invalid expire time in 'setex' command"):
        r.setex("k", -1, "v")


def test_getex_and_getdel(r):
    r.set("k", "v")
    assert r.getex("k", ex=100) == "v" and r.ttl("k") > 98
    assert r.getex("k", px=50_000) == "v" and r.ttl("k") <= 50
    soon = int(time.time()) + 60
    assert r.getex("k", exat=soon) == "v" and r.expiretime("k") == soon
    assert r.getex("k", pxat=soon * 1000) == "v" and r.pexpiretime("k") == soon * 1000
    assert r.getex("k", persist=True) == "v" and r.ttl("k") == -1
    assert r.getex("none", ex=1) is None
    assert r.getdel("k") == "v" and r.getdel("k") is None


def test_many_at_once(r):
    assert r.mset({"a": 1, "b": 2.5, "c": b"x"}) is True
    assert r.mget("a", "none", "c") == ["1", None, "x"]
    assert r.mget(["a", "b"]) == ["1", "2.5"]
    assert r.msetnx({"c": 1, "d": 2}) is False and r.exists("d") == 0
    assert r.msetnx({"d": 1, "e": 2}) is True
    many = {f"k{n}": str(n) for n in range(2000)}
    assert r.mset(many) and r.mget(list(many)) == list(many.values())
    assert r.exists(*many) == 2000
    assert r.delete(*many) == 2000


@pytest.mark.since("MSETEX")
def test_many_with_one_expiry(r):
    assert r.msetex({"a": "1", "b": "2"}, ex=100) == 1
    assert 98 <= r.ttl("a") <= 100 and r.get("b") == "2"
    only_new = redis.commands.core.DataPersistOptions.NX
    assert r.msetex({"b": "3", "c": "3"}, data_persist_option=only_new, px=1000) == 0
    assert r.get("c") is None
    assert r.msetex({"a": "9"}, keepttl=True) == 1 and r.ttl("a") > 90


def test_counters(r):
    assert [r.incr("n"), r.incr("n", 10), r.decr("n"), r.decr("n", 5)] == [1, 11, 10, 5]
    assert [r.incrby("n", -7), r.decrby("n", 3)] == [-2, -5]
    assert r.incrbyfloat("f", "10.5") == 10.5 and r.incrbyfloat("f", 0.1) == 10.6
    assert r.incrbyfloat("f", "-5.0e3") == pytest.approx(-4989.4)
    r.set("n", 2**63 - 1)
    with pytest.raises(redis.ResponseError, match="increment or decrement would overflow"):
        r.incr("n")
    r.set("s", "text")
    with pytest.raises(redis.ResponseError, match="value is not an integer or out of range"):
        r.incr("s")
    with pytest.raises(redis.ResponseError, match="value is not a valid float"):
        r.incrbyfloat("s")


def test_parts_of_strings(r):
    assert [r.append("k", "Hello"), r.append("k", " World")] == [5, 11]
    assert r.getrange("k", 0, 4) == "Hello" and r.substr("k", -5) == "World"
    assert r.setrange("k", 6, "Redis") == 11 and r.get("k") == "Hello Redis"
    assert r.setrange("pad", 3, "x") == 4 and r.get("pad") == "\0\0\0x"
    assert r.strlen("none") == 0 and r.getrange("none", 0, -1) == ""


def test_longest_common_subsequence(r):
    r.mset({"a": "ohmytext", "b": "mynewtext"})
    assert r.lcs("a", "b") == "mytext"
    assert r.lcs("a", "b", len=True) == 6
    found = r.lcs("a", "b", idx=True, minmatchlen=4, withmatchlen=True)
    if isinstance(found, list):
        found = dict(zip(found[::2], found[1::2]))
    assert found == {"matches": [[[4, 7], [5, 8], 4]], "len": 6}


def test_bits(r):
    assert [r.setbit("b", 7, 1), r.setbit("b", 7, 0), r.setbit("b", 100, 1)] == [0, 1, 0]
    assert r.getbit("b", 100) == 1 and r.getbit("b", 9999) == 0
    r.set("k", "foobar")
    assert r.bitcount("k") == 26 and r.bitcount("k", 1, 1) == 6
    assert r.bitcount("k", 5, 30, "BIT") == 17
    r.set("p", b"\xff\xf0\x00")
    assert [r.bitpos("p", 0), r.bitpos("p", 1), r.bitpos("p", 1, 2)] == [12, 0, -1]
    assert r.bitpos("p", 0, 2, 20, "BIT") == 12
    r.mset({"x": "abc", "y": "abd"})
    assert r.bitop("AND", "d", "x", "y") == 3 and r.get("d") == "ab`"
    assert r.bitop("OR", "d", "x", "y") == 3 and r.get("d") == "abg"
    assert r.bitop("XOR", "d", "x", "y") == 3 and r.get("d") == "\0\0\7"
    assert r.bitop("NOT", "d", "d") == 3
    with pytest.raises(redis.ResponseError, match="bit offset is not an integer or out of range"):
        r.setbit("b", 2**32, 1)


def test_bitfields(r):
    fields = r.bitfield("bf")
    assert fields.set("u8", 0, 200).incrby("u8", 0, 30).get("u4", 0).execute() == [0, 230, 14]
    fields = r.bitfield("bf", default_overflow="SAT")
    assert fields.incrby("u8", 0, 100).execute() == [255]
    fields = r.bitfield("bf").overflow("FAIL")
    assert fields.incrby("u8", 0, 1).execute() == [None]
    assert r.bitfield("bf").set("i64", "#1", -5).get("i64", "#1").execute() == [0, -5]
    assert r.bitfield_ro("bf", "u8", 0, items=[("i64", "#1")]) == [255, -5]
