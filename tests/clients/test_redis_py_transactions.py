"""redis-py's transactions: MULTI, EXEC, WATCH; under contention, and across what changes keys."""

import re
import threading
import time

import pytest
import redis

from servers import eventually


def test_a_transaction_answers_all_its_commands(r):
    with r.pipeline() as p:
        p.set("k", 1).incrby("k", 41).get("k").hset("h", mapping={"a": 1}).hgetall("h")
        p.rpush("l", 1, 2).lrange("l", 0, -1).zadd("z", {"m": 1.5}).zscore("z", "m").type("z")
        assert p.execute() == [
            *(True, 42, "42", 1, {"a": "1"}),
            *(2, ["1", "2"], 1, 1.5, "zset"),
        ]
    with r.pipeline() as p:
        assert p.execute() == []


def test_an_error_while_running_spares_the_rest(r):
    r.set("s", "text")
    with r.pipeline() as p:
        replies = p.incr("s").rpush("l", 1).lpop("s").set("s", "new").execute(raise_on_error=False)
    assert isinstance(replies[0], redis.ResponseError) and "WRONGTYPE" in str(replies[2])
    assert replies[1] == 1 and replies[3] is True and r.get("s") == "new"


def test_an_error_while_queueing_undoes_all(r):
    with r.pipeline() as p:
        p.set("k", "v").execute_command("NOSUCH", "x")
        with pytest.raises(redis.ResponseError, match="unknown command"):
            p.execute()
    assert not r.exists("k")
    with r.pipeline() as p:
        with pytest.raises(redis.ResponseError, match="wrong number of arguments"):
            p.set("k", "v").execute_command("GET").execute()
    assert not r.exists("k") and r.ping()


def test_by_hand(server):
    with server.connect() as c:
        assert c.ask("EXEC") == b"-ERR EXEC without MULTI"
        assert c.ask("DISCARD") == b"-ERR DISCARD without MULTI"
        assert c.ask("MULTI") == b"+OK"
        assert re.search(rb"nested|not allowed", c.ask("MULTI"))  # worded anew in Valkey 9
        assert re.search(rb"^-ERR .* not allowed", c.ask("WATCH", "k"))
        assert c.ask("SET", "k", "v") == b"+QUEUED"
        assert c.ask("DISCARD") == b"+OK" and c.ask("GET", "k") == b"$-1"
        assert c.ask("MULTI") == b"+OK" and c.ask("NOSUCH").startswith(b"-ERR unknown")
        assert c.ask("EXEC") == b"-EXECABORT Transaction discarded because of previous errors."


CHANGES = {
    "set": lambda r: r.set("k", "new"),
    "the same value": lambda r: r.set("k", "old"),
    "delete": lambda r: r.delete("k"),
    "expire": lambda r: r.expire("k", 100),
    "rename": lambda r: r.rename("k", "n"),
    "rename onto it": lambda r: r.rename("o", "k"),
    "flushdb": lambda r: r.flushdb(),
    "flushall": lambda r: r.flushall(asynchronous=True),
    "swapdb": lambda r: r.swapdb(0, 1),
}


def test_a_watched_key_that_changes_ends_the_transaction(r, server):
    for name, change in CHANGES.items():
        r.flushall()
        r.mset({"k": "old", "o": "other"})
        with server.client() as other, r.pipeline() as p:
            p.watch("k", "more")
            assert p.get("k") == "old"
            change(other)
            p.multi()
            try:
                p.set("done", 1).execute()
            except redis.WatchError:
                assert not r.exists("done"), name
            else:
                raise AssertionError(f"executed in spite of {name}")


def test_what_does_not_end_it(r, server):
    r.mset({"k": "old", "other": 1})
    with server.client() as other, server.client(db=1) as elsewhere, r.pipeline() as p:
        p.watch("k", "none")
        other.get("k"), other.delete("none"), other.set("other", 2), elsewhere.set("k", "x")
        other.set("k", "x", nx=True)
        p.multi()
        assert p.set("done", 1).execute() == [True]
        p.watch("k")
        p.unwatch()
        other.set("k", "changed")
        p.multi()
        assert p.set("done", 2).execute() == [True]
    assert r.get("done") == "2"


def test_a_watched_key_that_expires(r):
    r.set("k", "v", px=700)
    with r.pipeline() as p:
        p.watch("k")
        assert p.get("k") == "v"
        eventually(lambda: not r.exists("k"))
        p.multi()
        with pytest.raises(redis.WatchError):
            p.set("done", 1).execute()


def test_ones_own_change_counts_too(r):
    with r.pipeline() as p:
        p.watch("k")
        p.set("k", "mine")
        p.multi()
        with pytest.raises(redis.WatchError):
            p.get("k").execute()


def contend(r, workers, work):
    """Runs `work(n)` in threads; raises what one of them raised."""
    errors = []

    def body(n):
        try:
            work(n)
        except BaseException as e:
            errors.append(e)

    threads = [threading.Thread(target=body, args=(n,)) for n in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(50)
    assert not any(thread.is_alive() for thread in threads)
    if errors:
        raise errors[0]


def test_optimistic_increments_under_contention(r):
    retries = []

    def work(_):
        for _ in range(10):
            tries = 0

            def increment(p):
                nonlocal tries
                tries += 1
                value = int(p.get("n") or 0)
                p.multi()
                p.set("n", value + 1)

            r.transaction(increment, "n")
            retries.append(tries)

    contend(r, 8, work)
    assert r.get("n") == "80" and len(retries) == 80


def test_transfers_between_accounts_keep_their_sum(r):
    accounts = [f"account:{n}" for n in range(5)]
    r.mset(dict.fromkeys(accounts, 100))
    sums = []

    def work(n):
        for turn in range(15):
            source, target = accounts[(n + turn) % 5], accounts[(n * 2 + turn + 1) % 5]
            if n == 0:
                with r.pipeline() as p:
                    for account in accounts:
                        p.get(account)
                    sums.append(sum(map(int, p.execute())))
            elif source != target:

                def transfer(p, source=source, target=target):
                    if int(p.get(source)) >= 10:
                        p.multi()
                        p.decrby(source, 10).incrby(target, 10)
                    else:
                        p.multi()

                r.transaction(transfer, source, target)

    contend(r, 6, work)
    assert sums == [500] * 15 and sum(map(int, r.mget(accounts))) == 500


def test_nobody_sees_half_of_a_transaction(r):
    names = [f"part:{n}" for n in range(10)]
    r.mset(dict.fromkeys(names, "start"))

    def work(n):
        for turn in range(40):
            with r.pipeline() as p:
                for name in names:
                    if n % 2:
                        p.set(name, f"{n}:{turn}")
                    else:
                        p.get(name)
                replies = p.execute()
            assert n % 2 or len(set(replies)) == 1, "half of a transaction was seen"

    contend(r, 6, work)


def test_a_long_transaction(r):
    with r.pipeline() as p:
        for n in range(5_000):
            p.set(f"k{n}", n).incr(f"k{n}")
        replies = p.execute()
    assert replies[1::2] == list(range(1, 5_001)) and r.dbsize() == 5_000


def test_a_transaction_on_two_databases(server):
    with server.connect() as c:
        for line in ("MULTI", "SET k zero", "SELECT 1", "SET k one", "SELECT 0", "GET k"):
            c.ask(*line.split())
        assert c.ask("EXEC") == b"*5"
        assert [c.line() for _ in range(6)] == [b"+OK"] * 4 + [b"$4", b"zero"]
    with server.client(db=1) as one:
        assert one.get("k") == "one"


def test_a_transaction_that_is_never_executed(r, server):
    c = server.connect()
    assert c.ask("MULTI") == b"+OK" and c.ask("SET", "k", "v") == b"+QUEUED"
    c.close()
    time.sleep(0.02)
    assert not r.exists("k") and r.set("k", "other")
