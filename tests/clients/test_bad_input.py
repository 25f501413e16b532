"""Clients that are broken, slow, greedy or hostile.

Each test does its harm to a server of its own while `Watcher` asks it something else every few
milliseconds. Afterwards the server must run, have answered within bounds, and have given the
memory back. `FUZZ_SECONDS` is how long random bytes rain (20; the long run uses 600),
`FUZZ_SEED` repeats a run.
"""

import os
import random
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
import redis

import servers
from servers import eventually, frame

FUZZ_SECONDS = float(os.environ.get("FUZZ_SECONDS", "20"))
FUZZ_SEED = int(os.environ.get("FUZZ_SEED", str(random.randrange(1 << 32))))
MIB = 1 << 20


class Watcher:
    """Another client, which keeps asking while something bad happens."""

    def __init__(self, server, slowest_s=2.0, grown=48 * MIB):
        """Allows the slowest answer to take so long, and memory to end so much higher."""
        self.server, self.slowest_s, self.grown = server, slowest_s, grown
        self.times, self.error = [], None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def _ask(self):
        try:
            with self.server.connect(timeout_s=20) as wire:
                while not self._stop.wait(0.005):
                    began = time.monotonic()
                    assert wire.ask("INCR", "watched") == b":%d" % (len(self.times) + 1)
                    self.times.append(time.monotonic() - began)
        except Exception as e:
            self.error = e

    def __enter__(self):
        self.rss = self.server.rss()
        self._thread.start()
        eventually(lambda: self.times or self.error)
        return self

    def __exit__(self, kind, *_):
        self._stop.set()
        self._thread.join(30)
        if kind is not None:
            return
        assert self.error is None, f"the other client: {self.error!r}"
        assert max(self.times) < self.slowest_s, f"slowest answer {max(self.times):.3f} s"
        assert self.server.alive(), self.server.output().decode()[-3000:]
        assert b"panicked" not in self.server.output()
        limit = self.rss + self.grown
        eventually(lambda: self.server.rss() < limit, timeout_s=15, every_s=0.2)
        with self.server.client() as c:
            eventually(lambda: c.info("clients")["connected_clients"] == 1)


BROKEN = {
    "a count that is no number": (b"*abc\r\n", b"invalid multibulk length"),
    "a count with a space": (b"* 1\r\n", b"invalid multibulk length"),
    "a count over the limit": (b"*2147483648\r\n", b"invalid multibulk length"),
    "no dollar": (b"*1\r\n:4\r\n", b"expected '$', got ':'"),
    "a star inside": (b"*1\r\n*1\r\n", b"expected '$', got '*'"),
    "an empty line inside": (b"*1\r\n\r\n", b"expected '$', got ' '"),
    "a length that is no number": (b"*1\r\n$abc\r\n", b"invalid bulk length"),
    "a negative length": (b"*1\r\n$-1\r\n", b"invalid bulk length"),
    "a length over the limit": (b"*1\r\n$536870913\r\n", b"invalid bulk length"),
    "a very long length": (b"*1\r\n$99999999999999999999\r\n", b"invalid bulk length"),
    "a count without end": (b"*" + b"1" * 70_000, b"too big mbulk count string"),
    "a length without end": (b"*1\r\n$" + b"1" * 70_000, b"too big bulk count string"),
    "a line without end": (b"x" * 70_000, b"too big inline request"),
    "quotes that do not close": (b'SET k "open\r\n', b"unbalanced quotes in request"),
    "single quotes that do not close": (b"SET k 'open\r\n", b"unbalanced quotes in request"),
}


@pytest.mark.parametrize("name", list(BROKEN))
def test_a_malformed_frame_gets_its_error_and_the_connection_closes(server, name):
    data, text = BROKEN[name]
    expected = b"-ERR Protocol error: " + text + b"\r\n"
    with server.connect() as c:
        c.send(data)
        assert c.until_end() == expected
    with server.connect() as c:
        more = frame("SET", "k", "after") if len(data) < 100 else b""
        c.send(b"PING\r\n" + frame("SET", "k", "v") + data + more)
        assert c.until_end() == b"+PONG\r\n+OK\r\n" + expected
    if len(data) < 100:
        with server.connect() as c:
            c.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for n in range(len(data)):
                c.send(data[n : n + 1])
            assert c.until_end() == expected
    with server.connect() as c:
        assert c.ask("GET", "k") == b"$1" and c.line() == b"v"


def test_quotes_with_a_tail(server):
    with server.connect() as c:
        c.send(b'SET k "a"b\r\n')
        if servers.kind() == "redis":
            assert c.until_end() == b"-ERR Protocol error: unbalanced quotes in request\r\n"
        else:
            # Valkey 9 and Pannier take it for one word, as a shell would.
            assert c.line() == b"+OK"
            assert c.ask("GET", "k") == b"$2" and c.line() == b"ab"


def test_odd_but_valid_requests(server):
    with server.connect() as c:
        c.send(b"\r\n\r\n*0\r\n*-1\r\n*-7\r\nPING\r\n  PING   \r\nPING\n")
        assert [c.line() for _ in range(3)] == [b"+PONG"] * 3
        c.send(b'ECHO "a\\x41\\n\\"b"\r\n')
        assert c.line() == b"$5" and c.read(7) == b'aA\n"b\r\n'
        c.send(b"ECHO 'it\\'s'\r\n")
        assert c.line() == b"$4" and c.read(6) == b"it's\r\n"
        c.send(b'ECHO ""\r\n')
        assert c.line() == b"$0"


def test_tighter_limits_before_authentication(launch):
    server = launch(password="s3cret")
    for data, text in (
        (b"*11\r\n", b"unauthenticated multibulk length"),
        (b"*2\r\n$3\r\nGET\r\n$16385\r\n", b"unauthenticated bulk length"),
    ):
        with server.connect() as c:
            c.send(data)
            assert c.until_end() == b"-ERR Protocol error: " + text + b"\r\n"
        with server.connect() as c:
            assert c.ask("AUTH", "s3cret") == b"+OK"
            c.send(data)
            c.socket.settimeout(0.2)
            with pytest.raises(TimeoutError):
                c.line()


def test_values_over_the_limit(launch):
    server = launch("--proto-max-bulk-len", "1mb")
    with server.connect() as c:
        c.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1048577\r\n")
        assert c.until_end() == b"-ERR Protocol error: invalid bulk length\r\n"
    with server.connect() as c:
        assert c.ask("SET", "k", "x" * MIB) == b"+OK"
        too_long = b"-ERR string exceeds maximum allowed size (proto-max-bulk-len)"
        assert c.ask("APPEND", "k", "x") == too_long
        assert c.ask("SETRANGE", "k", MIB, "x") == too_long
        assert c.ask("SETBIT", "k", MIB * 8, "1").startswith(b"-ERR bit offset is not an integer")
        assert c.ask("STRLEN", "k") == b":1048576"


def test_promised_but_unsent_values_cost_no_memory(launch):
    server = launch()
    with Watcher(server):
        with server.client() as c:
            before = server.rss()
            wires = [server.connect() for _ in range(40)]
            for n, wire in enumerate(wires):
                wire.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\nonly this" % (100 * MIB + n))
            eventually(lambda: c.info("clients")["connected_clients"] == 42)
            time.sleep(0.3)
            assert server.rss() - before < 100 * MIB
            for wire in wires:
                wire.close()
            assert c.get("k") is None


def test_a_query_buffer_over_its_limit_is_cut(launch):
    server = launch("--client-query-buffer-limit", "1mb")
    with Watcher(server), server.connect() as c:
        with pytest.raises((ConnectionError, EOFError)):
            c.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000000\r\n")
            for _ in range(100):
                c.send(b"x" * MIB)
            c.line()
        assert server.client().get("k") is None


def test_a_request_byte_by_byte(server):
    requests = frame("SET", "k", "v" * 40) + b"INCR n\r\n" + frame("MGET", "k", "n", "none")
    wires = [server.connect() for _ in range(20)]
    for n in range(len(requests)):
        for wire in wires:
            wire.send(requests[n : n + 1])
    seen = set()
    for wire in wires:
        assert wire.line() == b"+OK"
        seen.add(int(wire.line()[1:]))
        assert wire.line() == b"*3" and wire.read(47) == b"$40\r\n" + b"v" * 40 + b"\r\n"
        assert wire.line() in (b"$1", b"$2") and wire.line().isdigit() and wire.line() == b"$-1"
        wire.close()
    assert seen == set(range(1, 21))


def test_a_byte_now_and_then_while_others_go_on(launch):
    server = launch()
    with Watcher(server, slowest_s=1.0), server.connect() as slow:
        for byte in frame("SET", "slow", "value"):
            slow.send(bytes([byte]))
            time.sleep(0.05)
        assert slow.line() == b"+OK"


def test_half_closed_sockets_get_all_replies(server):
    for unix in (False, True):
        with server.connect(unix=unix) as c:
            c.send(b"".join(frame("ECHO", n) for n in range(5000)) + b"*2\r\n$3\r\nGET\r\n$1")
            c.socket.shutdown(socket.SHUT_WR)
            replies = c.until_end().split(b"\r\n")
            assert replies[1::2] == [b"%d" % n for n in range(5000)]
    eventually(lambda: server.client().info("clients")["connected_clients"] == 1)


def test_closing_without_reading(launch):
    server = launch()
    server.client().set("big", "x" * MIB)
    with Watcher(server):
        for _ in range(100):
            with server.connect() as c:
                c.send(frame("GET", "big") * 4)


def greedy(server):
    """A client that asks for hundreds of megabytes and reads nothing."""
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    s.settimeout(20)
    s.connect((server.host, server.port))
    s.setblocking(False)
    s.send(b"CLIENT SETNAME greedy\r\n")
    try:
        s.send(frame("GET", "big") * 300)
    except BlockingIOError:
        pass
    return s


def names(client):
    """The names of all clients."""
    return [c["name"] for c in client.client_list()]


def test_a_client_that_never_reads_is_cut_at_the_hard_limit(launch):
    server = launch("--client-output-buffer-limit", "normal 24mb 0 0")
    with server.client() as c:
        c.set("big", "x" * MIB)
    with Watcher(server):
        clients = [greedy(server) for _ in range(5)]
        with server.client() as c:
            eventually(lambda: "greedy" not in names(c), timeout_s=15)
        assert server.rss() < 600 * MIB
        for s in clients:
            s.close()


def test_a_client_that_never_reads_is_cut_at_the_soft_limit(launch):
    server = launch("--client-output-buffer-limit", "normal 0 8mb 1")
    with server.client() as c:
        c.set("big", "x" * MIB)
    with Watcher(server), server.client() as c:
        s = greedy(server)
        eventually(lambda: "greedy" in names(c), timeout_s=5)
        eventually(lambda: "greedy" not in names(c), timeout_s=30)
        s.close()


def test_a_slow_reader_below_the_limits_gets_everything(launch):
    server = launch("--client-output-buffer-limit", "normal 0 0 0")
    with server.client() as c:
        c.set("big", "x" * MIB)
    with Watcher(server, grown=96 * MIB), server.connect() as c:
        c.send(frame("GET", "big") * 40 + frame("PING"))
        time.sleep(0.5)
        for _ in range(40):
            assert c.line() == b"$1048576" and c.read(MIB + 2) == b"x" * MIB + b"\r\n"
        assert c.line() == b"+PONG"


def attempt(server, count, places=999, at_once=1500):
    """Tries so many connections, and waits until no more than `places` are open.

    Those that stay are left idle and returned, with the number of refused ones."""
    poll = selectors.DefaultSelector()
    open_, refused, started = set(), 0, 0
    error = b"-ERR max number of clients reached\r\n"
    deadline = time.monotonic() + 60
    while started < count or len(open_) > places:
        assert time.monotonic() < deadline, (started, len(open_), refused)
        while started < count and len(open_) < at_once:
            s = socket.socket()
            s.setblocking(False)
            s.bind((f"127.0.0.{2 + started % 8}", 0))
            s.connect_ex((server.host, server.port))
            poll.register(s, selectors.EVENT_READ)
            open_.add(s)
            started += 1
        for key, _ in poll.select(0.5):
            s = key.fileobj
            try:
                said = s.recv(100)
            except ConnectionResetError:
                said = b""
            assert said in (error, b""), said
            refused += 1
            poll.unregister(s)
            open_.discard(s)
            s.close()
    return open_, refused


@pytest.mark.timeout(120)
def test_20_000_idle_connections_against_1_000_places(launch):
    server = launch("--maxclients", "1000", "--tcp-backlog", "2048", "--protected-mode", "no")
    with Watcher(server, slowest_s=3.0, grown=64 * MIB):
        idle, refused = attempt(server, 20_000)
        assert len(idle) == 999 and refused == 19_001, "the watcher has the first place"
        with server.connect() as c:
            assert c.line() == b"-ERR max number of clients reached"
        for s in idle:
            s.close()
        client = eventually(lambda: try_to(server.client().info, "stats"))
        assert client["rejected_connections"] >= 19_002
        again, refused = attempt(server, 500)
        assert len(again) == 500 and refused == 0, "all places are free again"
        for s in again:
            s.close()


def try_to(call, *args):
    """The result, or None when the server is full."""
    try:
        return call(*args)
    except redis.RedisError:
        return None


KILLED = """
import socket, sys, time
wires = []
for n in range(40):
    s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
    s.sendall(b"*3\\r\\n$3\\r\\nSET\\r\\n$1\\r\\nk\\r\\n$4000000\\r\\n" + b"x" * 1000000)
    wires.append(s)
print("sent", flush=True)
time.sleep(60)
"""


def test_clients_killed_in_the_middle_of_a_request(launch):
    server = launch()
    with Watcher(server):
        for _ in range(3):
            line = [sys.executable, "-c", KILLED, str(server.port)]
            with subprocess.Popen(line, stdout=subprocess.PIPE) as process:
                assert process.stdout.readline() == b"sent\n"
                process.send_signal(signal.SIGKILL)
        assert server.client().get("k") is None


SEEDS = [
    frame("SET", "key", "value", "EX", "10"),
    frame("GET", "key"),
    frame("MSET", "a", "1", "b", "2"),
    frame("SETRANGE", "key", "100", "x"),
    frame("BITFIELD", "key", "INCRBY", "u8", "#3", "100"),
    frame("SCAN", "0", "MATCH", "a*", "COUNT", "10"),
    frame("HELLO", "3", "SETNAME", "fuzz"),
    frame("LCS", "a", "b", "IDX"),
    frame("COMMAND", "DOCS", "get"),
    frame("CLIENT", "LIST"),
    frame("EXPIRE", "key", "100", "NX"),
    b'SET "quoted \\x41" \'single\'\r\n',
    b"PING\r\n",
    b"*2\r\n$3\r\nGET\r\n$1000\r\n",
]


def junk(random_):
    """Bytes to throw at the server: noise, or requests with something wrong."""
    choice = random_.random()
    if choice < 0.25:
        return random_.randbytes(random_.randrange(1, 5000))
    data = bytearray(b"".join(random_.choices(SEEDS, k=random_.randrange(1, 20))))
    if choice < 0.9:
        for _ in range(random_.randrange(1, 6)):
            at = random_.randrange(len(data))
            what = random_.randrange(4)
            if what == 0:
                data[at] = random_.randrange(256)
            elif what == 1:
                del data[at : at + random_.randrange(1, 9)]
            elif what == 2:
                data[at:at] = random_.randbytes(random_.randrange(1, 9))
            else:
                data[at:at] = random_.choice([b"\r\n", b"*", b"$", b"-1", b"0", b"9" * 12])
            data = data or bytearray(b"x")
    return bytes(data)


def rain(server, seed, until, counts):
    """Throws junk over many short connections."""
    random_ = random.Random(seed)
    while time.monotonic() < until:
        try:
            with server.connect(timeout_s=5) as c:
                for _ in range(random_.randrange(1, 30)):
                    c.send(junk(random_))
                    counts[0] += 1
                    if random_.random() < 0.3:
                        c.socket.settimeout(0.002)
                        c.socket.recv(1 << 16)
                if random_.random() < 0.3:
                    c.socket.shutdown(socket.SHUT_WR)
                    c.socket.settimeout(5)
                    c.until_end()
        except (OSError, EOFError):
            pass  # cut off, or too slow an answer to wait for


@pytest.mark.timeout(int(FUZZ_SECONDS) + 60)
def test_a_rain_of_random_bytes(launch):
    print(f"FUZZ_SEED={FUZZ_SEED}")
    limits = ["--proto-max-bulk-len", "1mb", "--maxmemory", "64mb"]
    server = launch(*limits, "--maxmemory-policy", "allkeys-lru")
    counts = [0]
    with Watcher(server, slowest_s=3.0, grown=128 * MIB) as watcher:
        until = time.monotonic() + FUZZ_SECONDS
        threads = [
            threading.Thread(target=rain, args=(server, FUZZ_SEED + n, until, counts))
            for n in range(3)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(FUZZ_SECONDS + 20)
            assert not thread.is_alive()
    print(f"{counts[0]} pieces of junk, {len(watcher.times)} answers meanwhile")
    assert counts[0] > 100 * FUZZ_SECONDS and len(watcher.times) > 20
