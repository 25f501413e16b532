"""redis-py's connections: pools, threads, pipelines, passwords, reconnection."""

import threading
import time

import pytest
import redis
from redis.backoff import ConstantBackoff, NoBackoff
from redis.retry import Retry

from servers import eventually


def test_bytes_without_decoding(pool_options):
    pool = redis.ConnectionPool(**pool_options)
    with redis.Redis(connection_pool=pool) as r:
        r.mset({"k": b"\xff\x00", "n": 5})
        assert r.get("k") == b"\xff\x00" and r.mget("k", "none", "n") == [b"\xff\x00", None, b"5"]
        assert r.type("k") == b"string" and r.keys("n") == [b"n"]
        assert r.echo("x") == b"x" and r.client_getname() is None
    pool.disconnect()


def test_a_pipeline_without_a_transaction(r):
    with r.pipeline(transaction=False) as p:
        for n in range(10_000):
            p.set(f"k{n}", n).incrby(f"k{n}", 1).get(f"k{n}")
        replies = p.execute()
    assert replies[:6] == [True, 1, "1", True, 2, "2"] and len(replies) == 30_000
    assert replies[-1] == "10000"


def test_an_error_in_the_middle_of_a_pipeline(r):
    with r.pipeline(transaction=False) as p:
        p.set("k", "text").incr("k").get("k").execute_command("NOSUCH").echo("end")
        replies = p.execute(raise_on_error=False)
    assert replies[0] is True and replies[2] == "text" and replies[4] == "end"
    assert isinstance(replies[1], redis.ResponseError)
    assert str(replies[3]).startswith("unknown command 'NOSUCH', with args beginning with: ")
    with r.pipeline(transaction=False) as p:
        with pytest.raises(redis.ResponseError, match="Command # 2"):
            p.set("k", "text").incr("k").execute()
    assert r.ping()


def test_large_replies_in_a_pipeline(r):
    r.set("big", "x" * 1_000_000)
    with r.pipeline(transaction=False) as p:
        for _ in range(30):
            p.get("big").ping()
        assert [len(v) if v is not True else v for v in p.execute()] == [1_000_000, True] * 30


def test_a_transaction(r):
    with r.pipeline(transaction=True) as p:
        p.multi()
        p.set("k", 1).incr("k").get("k")
        assert p.execute() == [True, 2, "2"]


def test_an_optimistic_transaction(r):
    r.set("k", 5)

    def double(pipe):
        value = int(pipe.get("k"))
        pipe.multi()
        pipe.set("k", value * 2)

    assert r.transaction(double, "k") == [True]
    assert r.get("k") == "10"


def test_a_script(r):
    assert r.eval("return redis.call('incrby', KEYS[1], ARGV[1])", 1, "k", 7) == 7


def test_a_lock(r):
    with r.lock("lock", timeout=10, blocking_timeout=5):
        assert not r.lock("lock").acquire(blocking=False)
    assert r.lock("lock", timeout=10).acquire(blocking=False)


def test_publish_and_subscribe(r):
    with r.pubsub() as p:
        p.subscribe("news")
        assert p.get_message(timeout=5)["type"] == "subscribe"
        assert r.publish("news", "hello") == 1
        assert p.get_message(timeout=5)["data"] == "hello"


def test_a_lock_by_set_nx(r):
    assert r.set("lock", "me", nx=True, px=700) is True
    assert r.set("lock", "other", nx=True, px=700) is None
    eventually(lambda: r.set("lock", "other", nx=True, px=5000), timeout_s=2)
    assert r.get("lock") == "other"


def hammer(workers, work):
    """Runs `work(n)` in so many threads, all at once, and raises what any of them raised."""
    errors = []
    gate = threading.Barrier(workers)

    def body(n):
        try:
            gate.wait(20)
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


def test_fifty_threads_on_a_pool_of_fifty(pool_options):
    pool = redis.BlockingConnectionPool(max_connections=50, timeout=20, **pool_options)
    r = redis.Redis(connection_pool=pool)

    def work(n):
        for turn in range(25):
            r.incr("shared")
            r.incrby(f"own:{n}", 2)
            assert r.set(f"value:{n}", str(turn)) and r.get(f"value:{n}") == str(turn).encode()

    hammer(50, work)
    assert int(r.get("shared")) == 1250
    assert [int(v) for v in r.mget([f"own:{n}" for n in range(50)])] == [50] * 50
    assert r.info("clients")["connected_clients"] <= 51
    pool.disconnect()


def test_fifty_threads_wait_for_a_pool_of_five(server):
    pool = redis.BlockingConnectionPool(
        host=server.host, port=server.port, max_connections=5, timeout=20
    )
    r = redis.Redis(connection_pool=pool)
    hammer(50, lambda n: [r.incr("shared") for _ in range(20)])
    assert int(r.get("shared")) == 1000
    assert r.info("clients")["connected_clients"] <= 6
    pool.disconnect()


def test_operations_on_several_keys_are_atomic_among_threads(server):
    pool = redis.BlockingConnectionPool(
        host=server.host, port=server.port, max_connections=16, decode_responses=True
    )
    r = redis.Redis(connection_pool=pool)
    names = [f"part:{n}" for n in range(20)]
    r.mset(dict.fromkeys(names, "start"))

    def work(n):
        for turn in range(150):
            if n % 2:
                r.mset(dict.fromkeys(names, f"{n}:{turn}"))
            else:
                assert len(set(r.mget(names))) == 1, "half of an MSET was seen"

    hammer(8, work)
    pool.disconnect()


def test_passwords(launch):
    server = launch(password="s3cret")
    for protocol in (2, 3):
        by_url = redis.Redis.from_url(server.url(3), protocol=protocol)
        assert by_url.set("k", "v") and by_url.client_info()["db"] == 3
        assert redis.Redis(port=server.port, password="s3cret", protocol=protocol).ping()
        named = dict(username="default", password="s3cret", protocol=protocol)
        assert redis.Redis(port=server.port, **named).ping()
        assert redis.Redis(unix_socket_path=server.socket, **named).ping()
        with pytest.raises(redis.AuthenticationError, match="uthenticat"):
            redis.Redis(port=server.port, protocol=protocol, retry=None).get("k")
        wrong = redis.Redis(port=server.port, password="wrong", protocol=protocol, retry=None)
        with pytest.raises(redis.AuthenticationError, match="invalid username-password pair"):
            wrong.ping()


def test_auth_by_hand(launch):
    server = launch(password="s3cret")
    with server.connect() as c:
        assert c.ask("GET", "k") == b"-NOAUTH Authentication required."
        wrong = b"-WRONGPASS invalid username-password pair or user is disabled."
        assert c.ask("AUTH", "no") == wrong and c.ask("AUTH", "default", "no") == wrong
        assert c.ask("AUTH", "nobody", "s3cret") == wrong
        assert c.ask("GET", "k") == b"-NOAUTH Authentication required."
        assert c.ask("AUTH", "s3cret") == b"+OK" and c.ask("GET", "k") == b"$-1"
        assert c.ask("RESET") == b"+RESET" and c.ask("GET", "k").startswith(b"-NOAUTH")
        assert c.ask("QUIT") == b"+OK" and c.until_end() == b""


def test_auth_without_a_password_configured(client):
    expected = "called without any password configured for the default user"
    with pytest.raises(redis.AuthenticationError, match=expected):
        client.execute_command("AUTH", "x")


def test_a_password_set_while_running(launch):
    server = launch()
    with server.client(single_connection_client=True) as old:
        assert old.config_set("requirepass", "later")
        assert old.ping(), "who is in stays in"
        with pytest.raises(redis.AuthenticationError):
            server.client().ping()
        assert server.client(password="later").ping()
        assert old.config_set("requirepass", "") and server.client().ping()


def test_the_name_given_to_every_connection_of_a_pool(pool_options, client):
    pool = redis.ConnectionPool(client_name="site", **pool_options)
    r = redis.Redis(connection_pool=pool)
    connections = [pool.get_connection() for _ in range(5)]
    assert [c["name"] for c in client.client_list()].count("site") == 5
    for connection in connections:
        pool.release(connection)
    assert r.client_getname() in ("site", b"site")
    pool.disconnect()


def test_health_checks(launch):
    server = launch()
    with server.client(health_check_interval=1, single_connection_client=True) as c:
        c.get("k")
        time.sleep(1.1)
        c.get("k")
        assert c.info("commandstats")["cmdstat_ping"]["calls"] >= 1


def test_a_restart_is_bridged_by_retries(launch):
    server = launch()
    retry = Retry(ConstantBackoff(0.1), 50)
    with server.client(retry=retry, retry_on_error=[redis.ConnectionError]) as c:
        c.set("k", "v")
        restarted = threading.Thread(target=server.restart)
        restarted.start()
        answers = [c.ping() for _ in range(200) if not time.sleep(0.005)]
        restarted.join()
        assert all(answers) and c.ping()
    with server.client(retry=Retry(NoBackoff(), 0)) as c:
        assert c.ping()
        server.stop()
        with pytest.raises(redis.ConnectionError):
            c.ping()
        server.start()
        assert c.ping()


def test_a_killed_connection_is_replaced(client, server):
    with server.client(retry=Retry(NoBackoff(), 1), client_name="pooled") as c:
        first = c.client_id()
        assert client.client_kill_filter(_id=str(first)) == 1
        assert c.get("k") is None
        assert c.client_id() > first and c.client_getname() == "pooled"


def test_client_reply_off_and_skip(server):
    with server.connect() as c:
        c.send(b"CLIENT REPLY OFF\r\nSET k 1\r\nINCR k\r\nCLIENT REPLY ON\r\nGET k\r\n")
        assert c.line() == b"+OK" and c.line() == b"$1" and c.line() == b"2"
        c.send(b"CLIENT REPLY SKIP\r\nGET k\r\nECHO x\r\n")
        assert c.line() == b"$1" and c.line() == b"x"
