"""`pannier.Server`: a server in this process, whatever this process does meanwhile."""

import asyncio
import gc
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time

import pytest
import redis
import redis.asyncio

import pannier


def test_it_answers_redis_py(server):
    client = server.client()
    assert client.set("greeting", "hello", ex=60)
    assert client.get("greeting") == b"hello"
    assert client.connection_pool.connection_kwargs["port"] == server.port


def test_it_listens_on_a_free_port_of_the_loopback(server):
    assert server.port > 0
    assert server.host == "127.0.0.1"
    assert server.url == f"redis://127.0.0.1:{server.port}/0"
    assert server.url_of(3).endswith("/3")


def test_many_servers_do_not_know_each_other():
    servers = [pannier.Server(databases=1, threads=1) for _ in range(5)]
    assert len({server.port for server in servers}) == 5
    for number, server in enumerate(servers):
        server.client().set("number", number)
    assert [server.client().get("number") for server in servers] == [b"%d" % n for n in range(5)]
    for server in servers:
        server.stop()


def test_directives_are_keywords(server):
    with pannier.Server(
        maxmemory="10mb",
        maxmemory_policy="allkeys-lru",
        maxentries=1000,
        activerehashing=True,
        databases=3,
        save=[],
    ) as limited:
        client = limited.client()
        assert client.config_get("maxmemory") == {"maxmemory": "10485760"}
        assert client.config_get("maxentries") == {"maxentries": "1000"}
        assert client.config_get("databases") == {"databases": "3"}
        with pytest.raises(redis.ResponseError):
            limited.client(db=3).ping()


@pytest.mark.parametrize(
    ("directives", "text"),
    [
        ({"maxmemory": "plenty"}, "maxmemory: argument must be a memory value"),
        ({"no_such_thing": 1}, "no-such-thing"),
    ],
)
def test_a_wrong_directive_is_named(directives, text):
    with pytest.raises(ValueError, match=text):
        pannier.Server(**directives)
    with pytest.raises(TypeError, match="maxmemory"):
        pannier.Server(maxmemory=None)


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"port": 70_000}, ValueError, "port 70000: it is between 0 and 65535"),
        ({"port": -1}, ValueError, "port -1"),
        ({"port": None}, ValueError, "neither was given"),
        ({"cache": 5}, TypeError, "a pannier.Cache, not int"),
        ({"threads": -1}, ValueError, "threads"),
        ({"unix_socket": "/no/such/directory/socket"}, OSError, "No such file or directory"),
    ],
)
def test_a_wrong_argument_is_named(options, error, text):
    with pytest.raises(error, match=text):
        pannier.Server(**options)


def test_a_port_in_use_is_an_oserror(server):
    with pytest.raises(OSError, match=str(server.port)):
        pannier.Server(port=server.port)


def test_a_unix_socket_alone(tmp_path):
    path = tmp_path / "pannier.sock"
    with pannier.Server(port=None, unix_socket=path) as server:
        assert (server.port, server.host, server.unix_socket) == (0, None, str(path))
        assert server.url == f"unix://{path}?db=0"
        assert server.client(decode_responses=True).echo("hi") == "hi"
    assert not path.exists()


@pytest.mark.parametrize("name", ["relative.sock", "with%41.sock", "a?b#c.sock", "ä b.sock"])
def test_the_url_of_a_unix_socket_names_its_file(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pannier.Server(port=None, unix_socket=name) as server:
        monkeypatch.chdir("/")
        assert server.client(db=1).set("k", "v")
        assert redis.Redis.from_url(server.url_of(1)).get("k") == b"v"


def test_a_password_is_in_the_url():
    with pannier.Server(requirepass="s&c ret") as server:
        assert server.client().ping()
        assert "s&c" not in repr(server)
        with pytest.raises(redis.AuthenticationError):
            redis.Redis(port=server.port).ping()


def test_stop_frees_the_port_and_can_be_repeated():
    server = pannier.Server()
    client = server.client()
    client.ping()
    server.stop()
    server.stop()
    assert not server.running
    with pytest.raises(redis.ConnectionError):
        client.ping()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", server.port)) != 0
    with pytest.raises(pannier.PannierError, match="stopped"):
        server.client()


def test_it_does_not_run_after_a_client_has_shut_it_down(server):
    assert server.running and "stopped" not in repr(server)
    server.cache().set("k", "v")
    server.client().shutdown(nosave=True)
    assert not server.running and "stopped" in repr(server)
    server.stop()


def test_deleting_it_stops_it():
    server = pannier.Server()
    port = server.port
    del server
    gc.collect()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_it_starts_in_milliseconds():
    best = min(_start_to_first_reply() for _ in range(5))
    # The target is 2 ms in a release build; this is a development build on a busy machine.
    assert best < 0.05


def _start_to_first_reply() -> float:
    begin = time.perf_counter()
    with pannier.Server(threads=1) as server:
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(b"PING\r\n")
            assert connection.recv(16) == b"+PONG\r\n"
        return time.perf_counter() - begin


def test_it_answers_while_this_thread_holds_the_interpreter(server):
    # Nothing here gives the interpreter's lock away between sending and receiving but the
    # receiving itself; a server that needed the lock would not have answered before.
    connection = socket.create_connection(("127.0.0.1", server.port))
    connection.setblocking(False)
    switch = sys.getswitchinterval()
    sys.setswitchinterval(60)
    try:
        connection.send(b"PING\r\n")
        end = time.perf_counter() + 5
        while time.perf_counter() < end:
            try:
                assert connection.recv(16) == b"+PONG\r\n"
                break
            except BlockingIOError:
                continue
        else:
            pytest.fail("no reply")
    finally:
        sys.setswitchinterval(switch)
        connection.close()


def test_threads(server):
    def work(number):
        client = server.client()
        for _ in range(100):
            client.incr("count")
            client.set(f"own:{number}", number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert server.client().get("count") == b"800"


def test_asyncio(server):
    async def main():
        client = server.async_client()
        popped = asyncio.ensure_future(client.blpop("jobs", timeout=5))
        await asyncio.sleep(0.01)
        await server.async_client().rpush("jobs", "a")
        assert await popped == [b"jobs", b"a"] or await popped == (b"jobs", b"a")
        replies = await asyncio.gather(*(client.incr("count") for _ in range(50)))
        assert sorted(replies) == list(range(1, 51))
        await client.aclose()

    asyncio.run(main())


GEVENT = """
from gevent import monkey; monkey.patch_all()
import gevent, pannier
with pannier.Server() as server:
    def work(number):
        client = server.client()
        assert client.blpop("jobs", timeout=5)[1] == b"x"
        client.close()
        return number
    waiting = [gevent.spawn(work, number) for number in range(10)]
    gevent.sleep(0.05)
    for _ in range(10):
        server.client().rpush("jobs", "x")
    gevent.joinall(waiting, timeout=10, raise_error=True)
    print(sorted(done.value for done in waiting))
"""


def test_gevent(in_process):
    assert in_process(GEVENT) == f"{list(range(10))}\n"


def _in_child(server, connection):
    said = {"url": server.url, "port": server.port, "running": server.running}
    for name in ("stop", "client", "async_client"):
        try:
            getattr(server, name)()
        except pannier.ForkedError as error:
            said[name] = str(error)
    said["reply"] = redis.Redis.from_url(server.url).incr("count")
    with pannier.Server() as own:
        said["own"] = own.client().incr("count")
    connection.send((os.getpid(), said))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_is_told_that_the_server_lives_in_the_parent(server):
    server.client().set("count", 41)
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()
    child = context.Process(target=_in_child, args=(server, there))
    child.start()
    assert here.poll(20), "the child hangs"
    pid, said = here.recv()
    child.join(20)
    assert child.exitcode == 0
    assert said["url"] == server.url
    assert said["port"] == server.port
    assert said["running"] is False
    for name in ("stop", "client", "async_client"):
        assert f"lives in the parent process {os.getpid()}" in said[name]
        assert str(pid) in said[name]
    assert said["reply"] == 42
    assert said["own"] == 1
    assert server.running
    assert server.client().get("count") == b"42"


FORK_INSIDE = """
import os, sys, pannier
with pannier.Server() as server:
    child = os.fork()
    if child == 0:
        sys.exit(0)   # leaves the block, then the interpreter
    _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status), server.client().ping())
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_child_that_leaves_the_block_stops_nothing(in_process):
    assert in_process(FORK_INSIDE) == "0 True\n"


FORK_AND_END = """
import os, sys, time, pannier
gone = pannier.Server()
gone.client().shutdown(nosave=True)
with pannier.Server(unix_socket=sys.argv[1]) as server, pannier.Server() as other:
    server.client().ping()
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(1)
        os.close(2)
        os.write(write, b"x")
        time.sleep(60)
        os._exit(0)
    os.read(read, 1)
    assert server.client().ping() and other.client().ping()
    print(server.port, other.port, child)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_child_does_not_keep_the_port_of_a_parent_that_has_ended(in_process, tmp_path):
    path = str(tmp_path / "socket")
    *ports, child = map(int, in_process(FORK_AND_END, path).split())
    try:
        os.kill(child, 0)
        for port in ports:
            with socket.socket() as mine:
                mine.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                mine.bind(("127.0.0.1", port))
                mine.listen()
            with pannier.Server(port=port) as server:
                assert server.client().ping()
    finally:
        os.kill(child, signal.SIGKILL)


FORK_WITH_CLIENTS = """
import os, socket, sys, time, pannier
server = pannier.Server(unix_socket=sys.argv[1])
clients = [socket.create_connection(("127.0.0.1", server.port)), socket.socket(socket.AF_UNIX)]
clients[1].connect(sys.argv[1])
child_end, own_end = socket.socketpair()
def ping(client):
    client.settimeout(10)
    client.sendall(b"PING\\r\\n")
    return client.recv(100)
print([ping(client) for client in clients])
child = os.fork()
if child == 0:
    child_end.sendall(b"still open")
    time.sleep(60)
    os._exit(0)
print(own_end.recv(100))
print([ping(client) for client in clients])
server.stop()
print([client.recv(100) for client in clients])
os.kill(child, 9)
os.waitpid(child, 0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_child_does_not_keep_connections_that_the_parent_has_closed(in_process, tmp_path):
    assert in_process(FORK_WITH_CLIENTS, str(tmp_path / "socket")).splitlines() == [
        "[b'+PONG\\r\\n', b'+PONG\\r\\n']",
        "b'still open'",
        "[b'+PONG\\r\\n', b'+PONG\\r\\n']",
        "[b'', b'']",
    ]


FORK_BESIDE_OTHER_FILES = """
import fcntl, os, sys, pannier
server = pannier.Server()
numbers = server._native.descriptors
server.client().shutdown(nosave=True)
while True:
    try:
        os.fstat(numbers[0])
    except OSError:
        break
read, write = (fcntl.fcntl(end, fcntl.F_DUPFD, 100) for end in os.pipe())
os.dup2(write, numbers[0])
child = os.fork()
if child == 0:
    os.write(numbers[0], b"still open")
    os._exit(0)
print(os.read(read, 100))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_child_closes_no_other_file(in_process):
    assert in_process(FORK_BESIDE_OTHER_FILES) == "b'still open'\n"


def test_a_client_keeps_its_server():
    client = pannier.Server().client()
    port = client.connection_pool.connection_kwargs["port"]
    gc.collect()
    assert client.set("k", 1) and client.get("k") == b"1"
    client.close()
    del client
    gc.collect()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0

    async def main():
        client = pannier.Server().async_client()
        gc.collect()
        assert await client.ping()
        await client.aclose()

    asyncio.run(main())


def test_it_cannot_be_pickled(server):
    import pickle

    with pytest.raises(TypeError, match="url"):
        pickle.dumps(server)


WITHOUT_REDIS_PY = """
import sys
sys.modules["redis"] = None
import pannier
with pannier.Server() as server:
    print(server.port > 0)
    cache = server.cache()
    for make in (server.client, cache.redis, cache.async_redis, cache.async_connection_pool):
        try:
            make()
        except ImportError as error:
            print(error)
"""


def test_without_redis_py_it_says_what_is_missing(in_process):
    said = in_process(WITHOUT_REDIS_PY)
    other = "connections without sockets are redis-py's, 5 or later: pip install redis\n"
    assert said == "True\nclient() makes a redis-py client: pip install redis\n" + 3 * other


def test_an_interpreter_that_just_ends_ends_the_server(in_process):
    assert in_process("import pannier; server = pannier.Server(); print(server.running)") == (
        "True\n"
    )
