"""`pannier.Cache`: the engine called directly."""

import datetime
import os
import signal
import threading
import time

import pytest

import pannier


@pytest.fixture
def cache():
    return pannier.Cache()


@pytest.fixture
def text():
    return pannier.Cache(decode_responses=True)


def test_bytes_and_text(cache, text):
    cache.set("greeting", "grüße")
    assert cache.get("greeting") == "grüße".encode()
    assert cache.get(b"greeting") == "grüße".encode()
    assert cache.at(0, decode_responses=True).get("greeting") == "grüße"
    text.set("k", b"\xff")
    with pytest.raises(UnicodeDecodeError):
        text.get("k")
    latin = text.at(0, decode_responses=True, encoding="latin-1")
    assert latin.get("k") == "\xff"
    lax = text.at(0, decode_responses=True, encoding_errors="replace")
    assert lax.get("k") == "\ufffd"
    assert text.execute_raw("GET", "k") == b"\xff"
    large = os.urandom(5 << 20)
    cache.set("large", large)
    assert cache.get("large") == large


def test_an_encoding_is_that_of_both_directions():
    latin = pannier.Cache(decode_responses=True, encoding="latin-1")
    latin.set("schlüssel", "grüße")
    assert latin.get("schlüssel") == "grüße" and "schlüssel" in latin
    assert latin.at(0, decode_responses=False).get("schlüssel".encode("latin-1")) == b"gr\xfc\xdfe"
    latin.hset("tür", "größe", "ä")
    assert latin.hgetall("tür") == {"größe": "ä"}
    assert latin.pipeline().set("k", "ö").get("k").execute() == [True, "ö"]
    assert latin.blpop("nichts-für", 0.01) is None
    assert latin.eval("return {KEYS[1], 'ß'}", 1, "ü") == ["ü", "ß"]
    assert latin.redis(encoding="latin-1", decode_responses=True).get("k") == "ö"
    with latin.pubsub(ignore_subscribe_messages=True) as pubsub:
        pubsub.subscribe("grüße")
        latin.publish("grüße", "schön")
        heard = (pubsub.get_message(timeout=5) for _ in range(2))
        assert [(message["channel"], message["data"]) for message in heard if message] == [
            ("grüße", "schön")
        ]
    for call in (latin.get, latin.exists, lambda name: latin.set("k", name)):
        with pytest.raises(UnicodeEncodeError):
            call("€")
    assert latin.get("k") == "ö"


@pytest.mark.parametrize("value", ["", "a b", 7, -(2**70), 1.5, b"\x00\r\n", bytearray(b"x")])
def test_what_a_value_may_be(cache, value):
    cache.set("k", value)
    plain = value if isinstance(value, (bytes, bytearray)) else str(value).encode()
    assert cache.get("k") == bytes(plain)


def test_memoryviews_are_bytes(cache):
    cache.set(memoryview(b"key"), memoryview(b"a-value")[2:])
    assert cache.get("key") == b"value"


@pytest.mark.parametrize("value", [None, True, [], {}, object()])
def test_what_a_value_may_not_be(cache, value):
    for wrong in (("k", value), (value, "v")):
        with pytest.raises(TypeError, match="Invalid input of type"):
            cache.set(*wrong)
    assert cache.dbsize() == 0


def test_options_of_set(cache):
    assert cache.set("k", 1, nx=True) is True
    assert cache.set("k", 2, nx=True) is None
    assert cache.set("k", 3, xx=True, get=True) == b"1"
    assert cache.set("k", 4, ex=datetime.timedelta(minutes=1)) is True
    assert cache.ttl("k") == 60
    assert cache.set("k", 5, keepttl=True) is True
    assert 59 <= cache.ttl("k") <= 60
    assert cache.set("k", 6, px=1) is True
    time.sleep(0.01)
    assert cache.get("k") is None
    soon = datetime.datetime.now() + datetime.timedelta(seconds=100)
    cache.set("k", 7, exat=soon)
    assert 98 <= cache.ttl("k") <= 100
    with pytest.raises(pannier.ResponseError, match="syntax error"):
        cache.set("k", 1, ex=1, px=1)
    assert cache.set("k", 8, px=50_000) is True and 49_000 < cache.pttl("k") <= 50_000
    for wrong in (0, -1, 2**62, 1.5):
        with pytest.raises(pannier.ResponseError):
            cache.set("k", 9, ex=wrong)
    assert cache.get("k") == b"8"
    cache.rpush("l", 1)
    with pytest.raises(pannier.ResponseError, match="WRONGTYPE"):
        cache.get("l")
    full = pannier.Cache(maxmemory=1, maxmemory_policy="noeviction")
    full.set("first", "v")
    with pytest.raises(pannier.ResponseError, match="OOM"):
        full.set("k", "v")


def test_keys(cache):
    cache.mset({"a": 1, "b": 2, "c": 3})
    assert cache.mget("a", "b", "nothing") == [b"1", b"2", None]
    assert cache.mget(["a", "b"]) == [b"1", b"2"]
    assert sorted(cache.keys()) == [b"a", b"b", b"c"]
    assert sorted(cache.scan_iter(match="[ab]", count=1)) == [b"a", b"b"]
    assert cache.exists("a", "b", "nothing") == 2
    assert "a" in cache and "nothing" not in cache
    assert len(cache) == cache.dbsize() == 3
    assert sorted(cache) == [b"a", b"b", b"c"]
    assert cache.expire("a", 10) is True and cache.persist("a") is True
    assert (cache.ttl("a"), cache.ttl("nothing")) == (-1, -2)
    assert cache.rename("a", "d") is True
    assert cache.type("d") == b"string"
    assert cache.restore("e", 0, cache.dump("d")) is True
    assert cache.get("e") == b"1"
    assert cache.delete("b", "c", "nothing") == 2
    assert cache.incr("d") == 2 and cache.decr("d", 5) == -3
    assert cache.incrbyfloat("d", 0.5) == -2.5
    assert cache.getdel("d") == b"-2.5"
    assert cache.flushall() is True


def test_hashes(text):
    assert text.hset("h", "a", 1) == 1
    assert text.hset("h", mapping={"b": 2, "c": 3}, items=["d", 4]) == 3
    assert text.hgetall("h") == {"a": "1", "b": "2", "c": "3", "d": "4"}
    assert text.hmget("h", "a", "nothing") == ["1", None]
    assert text.hincrby("h", "a", 4) == 5 and text.hincrbyfloat("h", "a", 0.5) == 5.5
    assert text.hexists("h", "b") is True and text.hdel("h", "b", "c") == 2
    assert dict(text.hscan_iter("h")) == {"a": "5.5", "d": "4"}
    assert text.hexpire("h", 10, "a") == [1] and text.httl("h", "a", "d") == [10, -1]
    assert sorted(text.hkeys("h")) == ["a", "d"] and text.hlen("h") == 2


def test_lists(text):
    assert text.rpush("l", "a", "b", "c") == 3
    assert text.lrange("l", 0, -1) == ["a", "b", "c"]
    assert text.lpop("l") == "a" and text.rpop("l", 5) == ["c", "b"] and text.lpop("l") is None
    text.rpush("l", "x", "y", "x")
    assert text.lpos("l", "x", count=0) == [0, 2] and text.lrem("l", 0, "x") == 2
    assert text.linsert("l", "BEFORE", "y", "w") == 2
    assert text.lmove("l", "m") == "w"
    assert text.ltrim("l", 1, 0) is True and text.llen("l") == 0


def test_sets(text):
    assert text.sadd("s", "a", "b") == 2 and text.sadd("t", "b", "c") == 2
    assert text.smembers("s") == {"a", "b"}
    assert text.sinter("s", "t") == {"b"} and text.sunion(["s", "t"]) == {"a", "b", "c"}
    assert text.sdiffstore("d", "s", "t") == 1
    assert text.sismember("s", "a") is True and text.smismember("s", "a", "z") == [True, False]
    assert text.spop("d") == "a" and text.srandmember("s", 5) in (["a", "b"], ["b", "a"])
    assert set(text.sscan_iter("t")) == {"b", "c"}


def test_sorted_sets(text):
    assert text.zadd("z", {"a": 1, "b": 2, "c": 3.5}) == 3
    assert text.zadd("z", {"a": 1}, incr=True) == 2.0
    assert text.zrange("z", 0, -1, withscores=True) == [("a", 2.0), ("b", 2.0), ("c", 3.5)]
    assert text.zrange("z", 3, "+inf", byscore=True) == ["c"]
    assert text.zrevrangebyscore("z", "+inf", 0, start=0, num=1) == ["c"]
    assert text.zscore("z", "c") == 3.5 and text.zscore("z", "nothing") is None
    assert text.zrank("z", "c") == 2 and text.zincrby("z", 1, "c") == 4.5
    assert text.zpopmax("z") == [("c", 4.5)] and text.zpopmin("z", 2) == [("a", 2.0), ("b", 2.0)]
    text.zadd("z", {"m": 1})
    assert list(text.zscan_iter("z")) == [("m", 1.0)]
    assert text.bzpopmin(["nothing", "z"], 1) == ("z", "m", 1.0)


def test_streams(text):
    first = text.xadd("x", {"a": 1})
    text.xadd("x", {"b": 2}, maxlen=10)
    assert text.xlen("x") == 2
    assert text.xrange("x")[0] == (first, {"a": "1"})
    assert text.xread({"x": first}) == [["x", [(text.xrevrange("x", count=1)[0])]]]
    assert text.xgroup_create("x", "g", id=0) is True
    (stream,) = text.xreadgroup("g", "me", {"x": ">"})
    assert text.xack("x", "g", *(id for id, _ in stream[1])) == 2
    assert text.xreadgroup("g", "me", {"x": ">"}, block=1) == []


def test_the_engine_as_a_whole(text):
    assert text.ping() is True and text.echo("hi") == "hi"
    assert text.config_set("maxentries", 100) is True
    assert text.config_get("maxentries") == {"maxentries": "100"}
    assert text.info("server")["redis_version"]
    assert isinstance(text.info()["uptime_in_seconds"], int)
    assert abs(text.time()[0] - time.time()) < 2


def test_scripts(text):
    double = text.register_script("return 2 * redis.call('GET', KEYS[1]) + (ARGV[1] or 0)")
    text.set("n", 21)
    assert double(["n"]) == 42
    assert double(keys=["n"], args=[1]) == 43
    assert text.eval("return {KEYS[1], ARGV[1]}", 1, "k", "v") == ["k", "v"]
    with pytest.raises(pannier.NoScriptError):
        text.evalsha("0" * 40, 0)
    with text.pipeline() as pipeline:
        double(["n"], client=pipeline)
        assert pipeline.execute() == [42]


def test_databases_share_an_engine(cache):
    other = cache.at(3)
    cache.set("k", "zero")
    other.set("k", "three")
    assert (cache.get("k"), other.get("k"), other.db) == (b"zero", b"three", 3)
    assert cache.databases == 16
    with pytest.raises(IndexError):
        cache.at(16)
    assert pannier.Cache().get("k") is None


def test_names_share_an_engine():
    first = pannier.Cache.from_url("pannier://test-names/1?maxentries=50")
    first.set("k", "v")
    assert pannier.Cache.from_url("pannier://test-names/1").get("k") == b"v"
    assert pannier.Cache.from_url("pannier://test-names/2").get("k") is None
    assert pannier.Cache.from_url("pannier://test-names", db=1, decode_responses=True).get("k") == "v"
    assert pannier.Cache.from_url("pannier://test-other-name/1").get("k") is None
    assert first.config_get("maxentries") == {"maxentries": "50"}
    with pytest.raises(ValueError, match="other directives"):
        pannier.Cache.from_url("pannier://test-names/1?maxentries=51")
    with pytest.raises(ValueError, match="pannier://"):
        pannier.Cache.from_url("redis://localhost/1")


def test_directives():
    cache = pannier.Cache(maxentries=2, maxmemory_policy="allkeys-lru")
    for number in range(10):
        cache.set(number, number)
    assert len(cache) == 2
    with pytest.raises(ValueError, match="maxmemory"):
        pannier.Cache(maxmemory="plenty")


def test_errors(cache):
    cache.rpush("l", 1)
    with pytest.raises(pannier.ResponseError, match="WRONGTYPE"):
        cache.incr("l")
    with pytest.raises(pannier.ResponseError, match="unknown command"):
        cache.execute("NO-SUCH-COMMAND")
    for command in ("MULTI", "SUBSCRIBE x", "SELECT 1"):
        with pytest.raises(pannier.PannierError):
            cache.execute(*command.split())
    with pytest.raises(ValueError):
        cache.execute()
    assert cache.ping()


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda cache: pannier.Cache(db=-1), IndexError, "no database -1"),
        (lambda cache: pannier.Cache(db=99), IndexError, "no database 99"),
        (lambda cache: cache.at(-1), IndexError, "no database -1"),
        (lambda cache: pannier.Cache(foo=1), ValueError, "foo"),
        (lambda cache: pannier.Cache.from_url("redis://host/0"), ValueError, "pannier://name"),
        (lambda cache: cache.set("k", 1, ex=1, px=1), pannier.ResponseError, "syntax error"),
        (lambda cache: cache.expire("k", "soon"), pannier.ResponseError, "not an integer"),
        (lambda cache: cache.zadd("z", {}), ValueError, "no member"),
        (lambda cache: cache.execute(), ValueError, "a command has a name"),
        (lambda cache: cache.execute("MULTI"), pannier.PannierError, r"use pipeline\(\)"),
        (lambda cache: cache.execute("SUBSCRIBE", "c"), pannier.PannierError, r"pubsub\(\)"),
    ],
)
def test_what_is_wrong_is_said(cache, call, error, text):
    with pytest.raises(error, match=text):
        call(cache)


def test_the_name_of_a_command_may_have_two_words(cache):
    assert cache.execute("CONFIG GET", "databases") == {b"databases": b"16"}
    assert cache.execute("config  get", "databases") == {b"databases": b"16"}


class TestPipeline:
    def test_a_transaction(self, cache):
        with cache.pipeline() as pipeline:
            pipeline.set("a", 1).incr("a").hset("h", "f", "v").hgetall("h").expire("a", 5)
            assert len(pipeline) == 5
            assert not cache.exists("a")
            assert pipeline.execute() == [True, 2, 1, {b"f": b"v"}, True]
            assert pipeline.execute() == []

    def test_without_a_transaction(self, cache):
        pipeline = cache.pipeline(transaction=False)
        for number in range(10_000):
            pipeline.set(number, number)
        assert pipeline.execute() == [True] * 10_000
        assert len(cache) == 10_000

    def test_errors(self, cache):
        cache.set("s", "text")
        with cache.pipeline() as pipeline:
            pipeline.set("a", 1).incr("s").set("b", 2)
            with pytest.raises(pannier.ResponseError, match=r"# 2 \(INCRBY s 1\)"):
                pipeline.execute()
            assert cache.mget("a", "b") == [b"1", b"2"]
            first, error, last = pipeline.set("a", 1).incr("s").get("a").execute(False)
            assert (first, last) == (True, b"1")
            assert isinstance(error, pannier.ResponseError)
            pipeline.execute_command("NO-SUCH-COMMAND")
            with pytest.raises(pannier.ResponseError, match="unknown command"):
                pipeline.execute()
            pipeline.set("a", 2)
            assert pipeline.execute() == [True]

    def test_a_watched_key_that_changes(self, cache):
        cache.set("n", 1)
        with cache.pipeline() as pipeline:
            pipeline.watch("n")
            seen = int(pipeline.get("n"))
            cache.set("n", 10)
            pipeline.multi()
            pipeline.set("n", seen + 1)
            with pytest.raises(pannier.WatchError):
                pipeline.execute()
        assert cache.get("n") == b"10"

    @pytest.mark.parametrize("transaction", [True, False])
    @pytest.mark.parametrize(
        "command",
        [
            ("SELECT", 3), ("select", 3), ("SELECT 3",), (b"MULTI",), ("EXEC",), ("DISCARD",),
            ("WATCH", "k"), ("SUBSCRIBE", "c"), ("PSUBSCRIBE", "*"), ("MONITOR",), ("HELLO", 2),
            ("RESET",), ("QUIT",), ("AUTH", "x"), ("CLIENT", "REPLY", "OFF"),
            ("CLIENT SETNAME", "me"), ("client", b"tracking", "on"), ("CLIENT", "NO-EVICT", "ON"),
        ],
        ids=str,
    )
    def test_it_changes_no_connection_for_those_who_come_after(self, cache, command, transaction):
        cache.set("k", "v")
        pipeline = cache.pipeline(transaction)
        with pytest.raises(pannier.PannierError, match="changes the state of a connection"):
            pipeline.execute_command(*command)
        cache.set("k", "w")
        assert pipeline.execute_command("CLIENT", "GETNAME").get("k").execute() == [None, b"w"]
        assert cache.pipeline().get("k").execute() == [b"w"]

    def test_what_went_wrong_half_way_is_not_seen_by_others(self, cache, text):
        cache.set("k", b"\xff")
        text = cache.at(0, decode_responses=True)
        for transaction in (True, False):
            with pytest.raises(UnicodeDecodeError):
                text.pipeline(transaction).get("k").get("k").ping().execute()
            assert text.pipeline(transaction).exists("k").execute() == [1]
        with pytest.raises(TypeError):
            text.pipeline().set("a", 1).set("b", None).execute()
        assert text.pipeline().exists("a", "b").execute() == [0]

    def test_an_interrupted_wait_leaves_no_reply_behind(self, cache):
        pipeline = cache.pipeline(transaction=False).blpop("jobs")
        timer = threading.Timer(0.1, signal.raise_signal, [signal.SIGINT])
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            pipeline.execute()
        cache.rpush("jobs", "work")
        assert cache.pipeline().lpop("jobs").ping().execute() == [b"work", True]

    def test_transaction_tries_again(self, cache):
        cache.set("n", 1)
        tries = []

        def add(pipeline):
            seen = int(pipeline.get("n"))
            if not tries:
                cache.set("n", 10)
            tries.append(seen)
            pipeline.multi()
            pipeline.set("n", seen + 1)

        assert cache.transaction(add, "n") == [True]
        assert (tries, cache.get("n")) == ([1, 10], b"11")


class TestPubSub:
    def test_messages(self, text):
        with text.pubsub() as pubsub:
            pubsub.subscribe("news")
            pubsub.psubscribe("n*")
            confirmed = [pubsub.get_message(timeout=1) for _ in range(2)]
            assert [message["type"] for message in confirmed] == ["subscribe", "psubscribe"]
            assert text.publish("news", "hello") == 2
            assert pubsub.get_message(timeout=1) == {
                "type": "message", "pattern": None, "channel": "news", "data": "hello"
            }
            assert pubsub.get_message(timeout=1)["pattern"] == "n*"
            begin = time.monotonic()
            assert pubsub.get_message(timeout=0.05) is None
            assert 0.04 < time.monotonic() - begin < 1
            pubsub.unsubscribe()
            pubsub.punsubscribe()
            assert [message["type"] for message in pubsub.listen()] == [
                "unsubscribe", "punsubscribe"
            ]
            assert not pubsub.subscribed
        assert text.pubsub_numsub("news") == [("news", 0)]

    def test_a_message_wakes_who_waits(self, cache):
        with cache.pubsub(ignore_subscribe_messages=True) as pubsub:
            pubsub.subscribe("news")
            assert pubsub.get_message(timeout=1) is None
            threading.Timer(0.05, cache.publish, ("news", "late")).start()
            begin = time.monotonic()
            assert pubsub.get_message(timeout=10)["data"] == b"late"
            assert time.monotonic() - begin < 5

    def test_handlers_in_a_thread(self, cache):
        came = threading.Event()
        pubsub = cache.pubsub()
        pubsub.subscribe(news=lambda message: came.set())
        thread = pubsub.run_in_thread(daemon=True)
        cache.publish("news", "x")
        assert came.wait(5)
        thread.stop()
        thread.join(5)
        assert not thread.is_alive()


class TestLock:
    def test_one_holds_it(self, cache):
        with cache.lock("l", timeout=10) as lock:
            assert lock.locked() and lock.owned() and 9000 < cache.pttl("l") <= 10_000
            other = cache.lock("l")
            assert not other.acquire(blocking=False)
            assert not other.acquire(blocking_timeout=0.05, sleep=0.01)
            assert lock.extend(10) and 19_000 < cache.pttl("l") <= 20_000
            assert lock.reacquire() and cache.pttl("l") <= 10_000
            with pytest.raises(pannier.LockError):
                other.release()
        assert not lock.locked()
        with pytest.raises(pannier.LockError):
            lock.release()

    def test_threads_take_turns(self, cache):
        inside, most = [], []

        def work():
            for _ in range(5):
                with cache.lock("l", timeout=5, sleep=0.001):
                    inside.append(1)
                    most.append(len(inside))
                    time.sleep(0.001)
                    inside.pop()

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert most == [1] * 20


def runs_meanwhile(slow):
    """This thread goes on while that one computes, and others wait for it."""
    longest, began = 0.0, time.perf_counter()
    last = began
    while slow.is_alive():
        time.sleep(0.001)
        now = time.perf_counter()
        longest, last = max(longest, now - last), now
    slow.join()
    # Whoever holds the interpreter while it waits keeps it for all the script's time.
    whole = time.perf_counter() - began
    assert longest < max(0.08, whole / 2), "a thread that only slept was kept waiting"


class TestWaiting:
    def test_others_run_meanwhile(self, text):
        got = []
        threads = [
            threading.Thread(target=lambda: got.append(text.blpop("jobs", 10))) for _ in range(3)
        ]
        for thread in threads:
            thread.start()
        while text.info("clients")["blocked_clients"] < 3:
            time.sleep(0.001)
        text.rpush("jobs", 1, 2, 3)
        for thread in threads:
            thread.join(5)
        assert sorted(got) == [("jobs", "1"), ("jobs", "2"), ("jobs", "3")]
        assert text.blpop("jobs", 0.01) is None

    def test_a_signal_ends_it(self, cache):
        class Over(Exception):
            pass

        def over(*_):
            raise Over

        before = signal.signal(signal.SIGALRM, over)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            with pytest.raises(Over):
                cache.blpop("jobs", 0)
        finally:
            signal.signal(signal.SIGALRM, before)

    def test_a_script_lets_other_threads_run(self, cache):
        begun, done = threading.Event(), threading.Event()

        def script():
            begun.set()
            cache.eval("local n = 0; for i = 1, 3e7 do n = n + i end; return 1", 0)
            done.set()

        thread = threading.Thread(target=script)
        thread.start()
        begun.wait()
        turns = 0
        while not done.is_set():
            turns += 1
            time.sleep(0.001)
        thread.join()
        assert turns > 5

    def test_a_get_behind_a_script_waits_without_the_interpreter(self, cache):
        cache.set("k", "v")
        script = "local n = 0; for i = 1, 3e7 do n = n + i end; return 1"
        threads = [
            threading.Thread(target=cache.eval, args=(script, 0)),
            threading.Thread(target=lambda: [cache.get("k") for _ in range(3)]),
        ]
        for thread in threads:
            thread.start()
            time.sleep(0.002)
        runs_meanwhile(threads[0])
        threads[1].join()

    @pytest.mark.parametrize(
        "call",
        [
            lambda cache: cache.blpop("jobs", 0.01),
            lambda cache: cache.redis().blpop("jobs", 0.01),
            lambda cache: cache.redis().bzpopmin("ranks", 0.01),
            lambda cache: cache.redis().xread({"stream": "0"}, block=10),
            lambda cache: cache.redis().blmove("jobs", "done", 0.01),
            lambda cache: cache.pipeline().get("k").execute(),
        ],
        ids=["Cache", "blpop", "bzpopmin", "xread", "blmove", "pipeline"],
    )
    def test_who_would_wait_behind_a_script_does_so_without_the_interpreter(self, cache, call):
        script = "local n = 0; for i = 1, 3e7 do n = n + i end; return 1"
        slow = threading.Thread(target=cache.eval, args=(script, 0))
        slow.start()
        time.sleep(0.02)
        waiting = threading.Thread(target=call, args=(cache,))
        waiting.start()
        runs_meanwhile(slow)
        waiting.join()

    def test_a_wait_that_ends_behind_a_script_does_so_without_the_interpreter(self, cache):
        script = "local n = 0; for i = 1, 3e7 do n = n + i end; return 1"
        waiting = threading.Thread(target=cache.redis().blpop, args=("jobs", 0.1))
        slow = threading.Thread(target=cache.eval, args=(script, 0))
        waiting.start()
        slow.start()
        runs_meanwhile(slow)
        waiting.join()

    @pytest.mark.parametrize(
        "call",
        [
            lambda cache: cache.get("k"),
            lambda cache: cache.set("k", "v"),
            lambda cache: cache.incr("n"),
            lambda cache: cache.mget(["k"]),
            lambda cache: cache.pipeline().get("k").execute(),
            lambda cache: cache.redis().get("k"),
        ],
        ids=["get", "set", "incr", "mget", "pipeline", "redis-py"],
    )
    def test_a_pause_holds_back_its_caller_alone(self, cache, call):
        thread = threading.Thread(target=call, args=(cache,))
        cache.execute("CLIENT", "PAUSE", 100)
        thread.start()
        turns = 0
        while thread.is_alive():
            turns += 1
            time.sleep(0.001)
        assert turns > 5

    def test_a_signal_ends_a_pause(self, cache):
        class Over(Exception):
            pass

        def over(*_):
            raise Over

        before = signal.signal(signal.SIGALRM, over)
        cache.execute("CLIENT", "PAUSE", 60_000)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            with pytest.raises(Over):
                cache.get("k")
        finally:
            signal.signal(signal.SIGALRM, before)

    def test_a_get_behind_a_script_of_a_servers_client(self, server):
        cache, client = server.cache(), server.client(retry=None)
        script = "local n = 0; for i = 1, 3e7 do n = n + i end; return 1"
        slow = threading.Thread(target=client.eval, args=(script, 0))
        slow.start()
        time.sleep(0.02)
        reader = threading.Thread(target=lambda: (cache.get("k"), cache.incr("n")))
        reader.start()
        runs_meanwhile(slow)
        reader.join()

    def test_a_call_behind_a_long_command_of_a_servers_client(self, server):
        cache, client = server.cache(), server.client(retry=None)
        for start in range(0, 400_000, 50_000):
            cache.rpush("list", *range(start, start + 50_000))
        slow = threading.Thread(target=client.execute_command, args=("SORT", "list", "ALPHA"))
        slow.start()
        time.sleep(0.02)
        # No script, so only that it holds the list says that it is in the way.
        reader = threading.Thread(target=lambda: (cache.llen("list"), cache.get("list:none")))
        reader.start()
        runs_meanwhile(reader)
        slow.join()


def test_threads_share_a_cache(cache):
    def work(number):
        for turn in range(500):
            cache.incr("count")
            cache.set(f"own:{number}", turn)
            assert cache.get(f"own:{number}") == b"%d" % turn
            with cache.pipeline() as pipeline:
                pipeline.incr("a").decr("a").execute()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (cache.get("count"), cache.get("a")) == (b"2000", b"0")


FORK = """
import os, threading, pannier
cache = pannier.Cache(maxentries=7)
cache.set("k", "v")
pipeline = cache.pipeline(); pipeline.get("k").execute()
pubsub = cache.pubsub(); pubsub.subscribe("news")
waiting = threading.Thread(target=cache.blpop, args=("jobs", 30), daemon=True)
waiting.start()
while not cache.info("clients")["blocked_clients"]: pass
here, there = os.pipe()
if os.fork() == 0:
    try:
        pubsub.get_message()
    except pannier.ForkedError as error:
        told = "told"
    said = [cache.get("k"), cache.set("k", "child"), cache.get("k"), told]
    said += [cache.config_get("maxentries"), cache.at(1).get("k")]
    said += cache.pipeline().get("k").execute() + [cache.redis().get("k")]
    os.write(there, repr(said).encode())
    os._exit(0)
os.wait()
print(os.read(here, 1000).decode())
print(cache.get("k"))
cache.rpush("jobs", 1)
waiting.join(5)
print(waiting.is_alive())
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_has_an_empty_cache_of_its_own(in_process):
    child = [None, True, b"child", "told", {"maxentries": "7"}, None, b"child", b"child"]
    assert in_process(FORK) == f"{child!r}\nb'v'\nFalse\n"


def test_it_cannot_be_pickled(cache):
    import copy
    import pickle

    for duplicate in (pickle.dumps, copy.copy):
        with pytest.raises(TypeError):
            duplicate(cache)
