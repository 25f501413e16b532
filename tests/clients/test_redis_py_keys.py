"""redis-py's methods for keys, expiry and databases, over every way in, protocol and parser."""

import datetime
import time

import pytest
import redis


def test_deletion_and_existence(r):
    r.mset({"a": 1, "b": 2, "c": 3})
    assert r.exists("a", "b", "a", "none") == 3
    assert r.delete("a", "none") == 1 and r.unlink("b", "c", "c") == 2
    assert r.dbsize() == 0 and r.randomkey() is None
    r.set("k", "v")
    assert r.randomkey() == "k" and r.type("k") == "string" and r.type("none") == "none"
    assert r.touch("k", "none") == 1


def test_keys_and_scan(r):
    wanted = {f"user:{n}" for n in range(1000)}
    r.mset({key: 1 for key in wanted})
    r.mset({f"other:{n}": 1 for n in range(300)})
    assert set(r.keys("user:*")) == wanted
    assert set(r.scan_iter(match="user:*", count=50)) == wanted
    assert len(set(r.scan_iter())) == 1300
    assert set(r.scan_iter(match="user:1?", _type="STRING")) == {f"user:1{n}" for n in range(10)}
    assert list(r.scan_iter(_type="LIST")) == []
    assert set(r.keys("user:[13-5]")) == {"user:1", "user:3", "user:4", "user:5"}
    assert set(r.keys("user:[^0-8]")) == {"user:9"}
    cursor, page = r.scan(0, count=10)
    assert isinstance(cursor, int) and cursor != 0 and page


def test_scan_returns_every_key_that_stays_while_others_come_and_go(r):
    stay = {f"stay:{n}" for n in range(500)}
    r.mset({key: 1 for key in stay})
    seen = set()
    for n, key in enumerate(r.scan_iter(count=20)):
        seen.add(key)
        with r.pipeline(transaction=False) as p:
            for m in range(5):
                p.set(f"come:{n}:{m}", 1)
                p.delete(f"come:{n - 5}:{m}")
            p.execute()
        if n > 20_000:
            raise AssertionError("the scan does not end")
    assert stay <= seen


def test_rename_and_copy(r):
    r.set("a", 1, ex=100)
    assert r.rename("a", "b") is True and r.ttl("b") > 90
    with pytest.raises(redis.ResponseError, match="no such key"):
        r.rename("a", "c")
    r.set("c", 2)
    assert r.renamenx("b", "c") is False and r.renamenx("b", "d") is True
    assert r.copy("d", "e") is True and r.ttl("e") > 90
    assert r.copy("d", "c") is False and r.copy("d", "c", replace=True) is True
    assert r.get("c") == "1"


def test_databases(r):
    pool = r.connection_pool
    other = redis.ConnectionPool(pool.connection_class, **{**pool.connection_kwargs, "db": 9})
    with redis.Redis(connection_pool=other) as nine:
        r.mset({"a": "zero", "b": "zero"})
        assert nine.get("a") is None and nine.dbsize() == 0
        assert r.move("a", 9) is True and r.move("none", 9) is False
        assert nine.get("a") == "zero" and r.exists("a") == 0
        assert r.copy("b", "c", destination_db=9) is True and nine.get("c") == "zero"
        assert r.swapdb(0, 9) is True
        assert r.dbsize() == 2 and nine.dbsize() == 1
        assert nine.flushdb() is True and (r.dbsize(), nine.dbsize()) == (2, 0)
        nine.set("x", 1)
        assert r.flushall(asynchronous=True) is True and (r.dbsize(), nine.dbsize()) == (0, 0)
        assert r.flushdb(asynchronous=True) is True
    other.disconnect()
    with pytest.raises(redis.ResponseError, match="DB index is out of range"):
        r.swapdb(0, 99)


def test_select_by_the_db_parameter_out_of_range(server):
    with server.client(db=99) as c, pytest.raises(redis.ResponseError, match="out of range"):
        c.ping()


def test_expire_with_its_conditions(r):
    r.set("k", "v")
    assert r.expire("none", 10) is False
    assert r.expire("k", 100, xx=True) is False
    assert r.expire("k", 100, nx=True) is True and r.expire("k", 50, nx=True) is False
    assert r.expire("k", 50, gt=True) is False and r.expire("k", 200, gt=True) is True
    assert r.expire("k", 300, lt=True) is False and r.expire("k", 150, lt=True) is True
    assert 148 <= r.ttl("k") <= 150
    assert r.expire("k", datetime.timedelta(hours=1)) and r.ttl("k") > 3590
    assert r.pexpire("k", 80_500, lt=True) is True and 80 <= r.ttl("k") <= 81
    assert r.persist("k") is True and r.persist("k") is False and r.ttl("k") == -1
    with pytest.raises(redis.ResponseError, match="NX and XX, GT or LT options"):
        r.expire("k", 10, nx=True, xx=True)


def test_expiry_at_a_moment(r):
    r.set("k", "v")
    moment = datetime.datetime.now().replace(microsecond=0) + datetime.timedelta(hours=2)
    assert r.expireat("k", moment) is True and r.expiretime("k") == int(moment.timestamp())
    milliseconds = int(time.time() * 1000) + 70_123
    assert r.pexpireat("k", milliseconds) is True and r.pexpiretime("k") == milliseconds
    assert r.expireat("k", int(time.time()) + 900, gt=True) is True
    assert (r.expiretime("none"), r.ttl("none"), r.pttl("none")) == (-2, -2, -2)
    assert r.expireat("k", 1) is True and r.exists("k") == 0


def test_a_key_leaves_at_its_time(r):
    r.set("k", "v", px=700)
    r.set("stays", "v", px=700)
    r.persist("stays")
    assert r.get("k") == "v"
    time.sleep(0.75)
    assert r.get("k") is None and r.dbsize() == 1 and r.get("stays") == "v"
    assert r.info("stats")["expired_keys"] == 1


def test_object(r):
    r.mset({"int": 12345, "short": "x" * 44, "long": "x" * 45})
    encodings = [r.object("ENCODING", key) for key in ("int", "short", "long")]
    assert encodings == ["int", "embstr", "raw"] or encodings == ["int", "embstr", "embstr"]
    assert r.object("IDLETIME", "long") == 0 and r.object("REFCOUNT", "long") == 1
    assert r.object("ENCODING", "none") is None
    with pytest.raises(redis.ResponseError, match="An LFU maxmemory policy is not selected"):
        r.object("FREQ", "long")
    assert any("ENCODING" in line for line in r.execute_command("OBJECT", "HELP"))
