"""redis-py's scripts, functions and locks, over every way in, protocol and parser."""

import hashlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis
from redis.exceptions import LockError, LockNotOwnedError, NoScriptError

from servers import eventually

# Rate limiting as sites do it: a sliding window in a sorted set.
WINDOW = """
local now, window, limit = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - window)
local count = redis.call('ZCARD', KEYS[1])
if count >= limit then
    local oldest = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
    return {0, oldest[2] + window - now}
end
redis.call('ZADD', KEYS[1], now, now .. ':' .. redis.call('INCR', KEYS[2]))
redis.call('PEXPIRE', KEYS[1], window)
return {1, limit - count - 1}
"""
# A bucket of tokens in a hash, by the server's clock.
BUCKET = """
local rate, capacity = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local bucket = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens = tonumber(bucket[1]) or capacity
tokens = math.min(capacity, tokens + (now - (tonumber(bucket[2]) or now)) * rate)
local allowed = tokens >= 1
if allowed then tokens = tokens - 1 end
redis.call('HSET', KEYS[1], 'tokens', tostring(tokens), 'at', string.format('%.6f', now))
redis.call('EXPIRE', KEYS[1], math.ceil(capacity / rate) + 1)
return allowed
"""
LIBRARY = """#!lua name=shop
local function stock(keys, args)
    return redis.call('HGET', keys[1], args[1]) or '0'
end
redis.register_function{function_name='stock', callback=stock, flags={'no-writes'}}
redis.register_function('sell', function(keys, args)
    local left = redis.call('HINCRBY', keys[1], args[1], -args[2])
    if left < 0 then
        redis.call('HINCRBY', keys[1], args[1], args[2])
        return redis.error_reply('SOLDOUT only ' .. left + args[2] .. ' left')
    end
    return left
end)
"""


def test_values_of_every_kind_both_ways(r):
    assert r.eval("return 42", 0) == 42 and r.eval("return 3.99", 0) == 3
    assert r.eval("return 'text'", 0) == "text" and r.eval("return nil", 0) is None
    assert r.eval("return true", 0) == 1 and r.eval("return false", 0) is None
    assert r.eval("return {1, 'two', {3, {}}, nil, 5}", 0) == [1, "two", [3, []]]
    assert r.eval("return redis.status_reply('FINE')", 0) == "FINE"
    assert r.eval("return {KEYS[1], KEYS[2], ARGV[1], #ARGV}", 2, "a", "b", "ä") == [
        *("a", "b", "ä", 1)
    ]
    assert r.eval("return redis.call('SET', KEYS[1], ARGV[1])", 1, "k", "v") == "OK"
    assert r.eval("return redis.call('GET', 'none') == false", 0) == 1
    assert r.eval("return redis.call('HGETALL', KEYS[1])", 1, "none") == []
    assert r.eval("return {tostring(1e15), tostring(0.1), 2^53}", 0)[2] == 2**53


def test_values_of_resp3(r, variant):
    script = "redis.setresp(3); return redis.call('HGETALL', KEYS[1])"
    r.hset("h", "f", "v")
    assert r.eval(script, 1, "h") == ({"f": "v"} if "resp3" in variant else ["f", "v"])
    double = r.eval("return {double=1.5}", 0)
    assert double == 1.5 if "resp3" in variant else double == "1.5"
    r.zadd("z", {"m": 1.5})
    script = "redis.setresp(3); return redis.call('ZSCORE', KEYS[1], 'm').double * 2"
    assert r.eval(script, 1, "z") == 3


def test_errors(r):
    with pytest.raises(redis.ResponseError, match="Error compiling script.*expected near"):
        r.eval("this is not Lua", 0)
    with pytest.raises(redis.ResponseError, match="mine"):
        r.eval("error('mine')", 0)
    with pytest.raises(redis.ResponseError, match="^MYCODE of mine"):
        r.eval("return redis.error_reply('MYCODE of mine')", 0)
    r.set("k", "text")
    with pytest.raises(redis.ResponseError, match="not an integer"):
        r.eval("return redis.call('INCR', KEYS[1])", 1, "k")
    caught = "local e = redis.pcall('INCR', KEYS[1]); return 'caught ' .. e.err"
    assert "not an integer" in r.eval(caught, 1, "k")
    with pytest.raises(redis.ResponseError, match="(?i)unknown (redis |server )?command"):
        r.eval("return redis.call('NOSUCH')", 0)
    with pytest.raises(redis.ResponseError, match="Number of keys can't be greater"):
        r.eval("return 1", 2, "a")
    assert r.ping() and r.get("k") == "text"


def test_the_sandbox(r, kind):
    for bad in ("x = 1", "return nosuch", "return io.open('/etc/passwd')", "os.execute('ls')"):
        with pytest.raises(redis.ResponseError):
            r.eval(bad, 0)
    assert r.eval("return {type(cjson), type(string.rep)}", 0) == ["table", "function"]
    if kind != "redis":  # Debian's is too old for it
        assert r.eval("return type(os.clock())", 0) == "number"


def test_the_libraries(r):
    assert r.eval("return cjson.encode({a={1,2,'x'}})", 0) == '{"a":[1,2,"x"]}'
    assert r.eval("return cjson.decode(ARGV[1])['b'][2]", 0, '{"b":[true,"second"]}') == "second"
    assert r.eval("return cmsgpack.unpack(cmsgpack.pack({1,'two'}))", 0) == [1, "two"]
    bits = "return {bit.band(12, 10), bit.bor(12, 10), bit.lshift(1, 10)}"
    assert r.eval(bits, 0) == [8, 14, 1024]
    assert r.eval("return {struct.unpack('>I2', struct.pack('>I2', 513))}", 0) == [513, 3]
    text = hashlib.sha1(b"abc").hexdigest()
    assert r.eval("return redis.sha1hex(ARGV[1])", 0, "abc") == text


def test_a_registered_script(r):
    double = r.register_script("return redis.call('INCRBY', KEYS[1], ARGV[1] * 2)")
    assert double(keys=["n"], args=[4]) == 8
    assert double.sha == hashlib.sha1(double.script.encode()).hexdigest()
    assert r.script_exists(double.sha, "f" * 40) == [True, False]
    assert r.evalsha(double.sha, 1, "n", 1) == 10
    r.script_flush()
    with pytest.raises(NoScriptError):
        r.evalsha(double.sha, 1, "n", 1)
    assert double(keys=["n"], args=[1]) == 12, "loaded again by the client"


def test_scripts_in_pipelines_and_transactions(r):
    add = r.register_script("return redis.call('INCRBY', KEYS[1], ARGV[1])")
    r.script_flush()
    for transaction in (False, True):
        r.delete("n")
        with r.pipeline(transaction=transaction) as p:
            p.set("n", 1)
            add(keys=["n"], args=[5], client=p)
            p.get("n")
            p.eval("return KEYS", 2, "a", "b")
            assert p.execute() == [True, 6, "6", ["a", "b"]]


def test_read_only_scripts(r):
    r.set("k", "v")
    assert r.eval_ro("return redis.call('GET', KEYS[1])", 1, "k") == "v"
    with pytest.raises(redis.ResponseError, match="Write commands are not allowed"):
        r.eval_ro("return redis.call('SET', KEYS[1], 1)", 1, "k")
    shebang = "#!lua flags=no-writes\nreturn redis.call('DEL', KEYS[1])"
    with pytest.raises(redis.ResponseError, match="Write commands are not allowed"):
        r.eval(shebang, 1, "k")
    assert r.get("k") == "v"


def test_a_scripts_keys_need_not_be_declared(r):
    r.mset({f"guild:123:{n}": "x" for n in range(50)} | {"guild:124:1": "x"})
    line = "return redis.call('del', unpack(redis.call('keys', ARGV[1])))"
    assert r.eval(line, 0, "guild:123:*") == 50 and r.keys() == ["guild:124:1"]


def test_scripts_are_atomic_among_threads(r):
    move = r.register_script(
        """
        local n = tonumber(redis.call('GET', KEYS[1]))
        if n < 1 then return 0 end
        redis.call('SET', KEYS[1], n - 1)
        redis.call('SET', KEYS[2], tonumber(redis.call('GET', KEYS[2]) or 0) + 1)
        return 1
        """
    )
    r.mset({"from": 150, "to": 0})
    with ThreadPoolExecutor(8) as threads:
        moved = sum(threads.map(lambda _: move(keys=["from", "to"]), range(200)))
    assert moved == 150 and r.mget("from", "to") == ["0", "150"]


def test_a_large_script_and_large_values(r):
    assert r.eval("return #ARGV[1]", 0, "x" * 2_000_000) == 2_000_000
    assert len(r.eval("return string.rep('x', 2000000)", 0)) == 2_000_000
    lines = "\n".join(f"local v{n} = {n}" for n in range(150))
    assert r.eval(f"{lines}\nreturn v149", 0) == 149
    assert r.eval("local t = {} for i = 1, 50000 do t[i] = i end return t", 0)[-1] == 50_000


def test_a_sliding_window(r):
    limit = r.register_script(WINDOW)
    keys = ["rate:ada", "rate:ada:n"]
    answers = [limit(keys=keys, args=[1000 + n, 1000, 3]) for n in range(5)]
    assert answers == [[1, 2], [1, 1], [1, 0], [0, 997], [0, 996]]
    assert limit(keys=keys, args=[2001, 1000, 3]) == [1, 1] and r.zcard("rate:ada") == 2
    assert 0 < r.pttl("rate:ada") <= 1000
    with ThreadPoolExecutor(8) as threads:
        keys = ["rate:all", "rate:all:n"]
        allowed = threads.map(lambda _: limit(keys=keys, args=[5, 60_000, 30])[0], range(100))
        assert sum(allowed) == 30


def test_a_token_bucket(r):
    take = r.register_script(BUCKET)
    assert [take(keys=["bucket"], args=["0.5", 3]) for _ in range(4)] == [1, 1, 1, None]
    r.hset("bucket", "at", float(r.hget("bucket", "at")) - 4)
    assert [take(keys=["bucket"], args=["0.5", 3]) for _ in range(3)] == [1, 1, None]
    assert 0 < r.ttl("bucket") <= 7


def test_a_busy_script_and_its_end(launch):
    server = launch("--busy-reply-threshold", "50")
    with server.client() as r, ThreadPoolExecutor(1) as threads:
        endless = threads.submit(server.client().eval, "while true do end", 0)

        def busy():
            try:
                return not r.ping()
            except redis.ResponseError as e:
                return "BUSY" in str(e)

        eventually(busy)
        assert r.script_kill()
        with pytest.raises(redis.ResponseError, match="(?i)script killed by user"):
            endless.result(10)
        assert r.ping() and r.eval("return 1", 0) == 1
        writing = "redis.call('SET', KEYS[1], 1) while redis.call('GET', KEYS[1]) do end"
        threads.submit(server.client().eval, writing, 1, "k")
        eventually(busy)
        with pytest.raises(redis.ResponseError, match="UNKILLABLE"):
            r.script_kill()
        with pytest.raises(redis.ConnectionError):
            r.execute_command("SHUTDOWN", "NOSAVE")
        server.wait()


# Functions.


def test_functions(r):
    assert r.function_load(LIBRARY) == "shop"
    with pytest.raises(redis.ResponseError, match="already exists"):
        r.function_load(LIBRARY)
    assert r.function_load(LIBRARY, replace=True) == "shop"
    r.hset("goods", "tea", 5)
    assert r.fcall("sell", 1, "goods", "tea", 3) == 2
    with pytest.raises(redis.ResponseError, match="SOLDOUT only 2 left"):
        r.fcall("sell", 1, "goods", "tea", 3)
    assert r.fcall_ro("stock", 1, "goods", "tea") == "2"
    assert r.fcall_ro("stock", 1, "goods", "none") == "0"
    with pytest.raises(redis.ResponseError, match="Can not execute a (script|function) with write"):
        r.fcall_ro("sell", 1, "goods", "tea", 1)
    with pytest.raises(redis.ResponseError, match="Function not found"):
        r.fcall("none", 0)
    assert "shop" in str(r.function_list()) and "no-writes" in str(r.function_list(withcode=True))
    assert "shop" not in str(r.function_list("other*"))
    r.function_delete("shop")
    assert r.function_list() == []


def test_functions_are_dumped_and_restored(server, client):
    with server.client(decode_responses=False) as raw:
        raw.function_load(LIBRARY)
        payload = raw.function_dump()
        assert raw.function_flush() and raw.function_list() == []
        assert raw.function_restore(payload)
        with pytest.raises(redis.ResponseError, match="already exists"):
            raw.function_restore(payload)
        assert raw.function_restore(payload, "REPLACE")
    client.hset("goods", "tea", 1)
    assert client.fcall("sell", 1, "goods", "tea", 1) == 0
    assert client.function_flush()


# Locks, whose release, extension and reacquisition are scripts.


def test_a_lock_is_held_by_one(r):
    mine, other = r.lock("lock", timeout=10), r.lock("lock", timeout=10, blocking=False)
    assert mine.acquire() and mine.owned() and mine.locked() and other.locked()
    assert not other.acquire() and not other.owned()
    mine.release()
    assert not r.exists("lock") and other.acquire()
    with pytest.raises(LockError, match="unlocked"):
        mine.release()


def test_a_lock_is_extended_and_reacquired(r):
    lock = r.lock("lock", timeout=5)
    assert lock.acquire() and lock.extend(10) and 14_000 < r.pttl("lock") <= 15_000
    assert lock.extend(3, replace_ttl=True) and r.pttl("lock") <= 3_000
    assert lock.reacquire() and 4_000 < r.pttl("lock") <= 5_000


def test_a_lock_that_ran_out_is_not_released_for_another(r):
    lost, next_one = r.lock("lock", timeout=0.05), r.lock("lock", timeout=10)
    assert lost.acquire() and next_one.acquire(blocking_timeout=5)
    with pytest.raises(LockNotOwnedError):
        lost.extend(5)
    with pytest.raises(LockNotOwnedError):
        lost.reacquire()
    with pytest.raises(LockNotOwnedError):
        lost.release()
    assert next_one.owned()


def test_a_lock_among_threads(r):
    inside, most = [], []

    def work(n):
        with r.lock("lock", timeout=10, sleep=0.002, blocking_timeout=30):
            inside.append(n)
            most.append(len(inside))
            value = int(r.get("n") or 0)
            time.sleep(0.001)
            r.set("n", value + 1)
            inside.remove(n)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(40)
    assert r.get("n") == "20" and set(most) == {1} and not r.exists("lock")
