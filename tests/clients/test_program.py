"""The program: its command line, its configuration file, its listeners, how it leaves."""

import os
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import redis

import servers
from servers import Wire, eventually, frame, free_port

DEBIAN_CONFIG = Path("/etc/redis/redis.conf")


@pytest.fixture(autouse=True)
def program(_program):
    """Every test here needs the program, also those that start it by themselves."""
    return _program


@pytest.fixture
def refused(run, tmp_path):
    """Starts the program with a configuration that it must refuse; what it says, and where."""

    def start(*options, config=None):
        line = [servers.binary()]
        if config is not None:
            file = tmp_path / "wrong.conf"
            file.write_text(config)
            line.append(str(file))
        line += ["--port", str(free_port()), "--dir", str(tmp_path), *options]
        done = run(*line, code=None, timeout_s=20)
        assert done.returncode not in (0, -6, -11), "it must not start, nor crash"
        said = (done.stdout + done.stderr).decode()
        assert "panicked" not in said
        return said

    return start


# The command line.


def test_version_and_help(run):
    assert re.search(r"\d+\.\d+\.\d+", run(servers.binary(), "--version").stdout.decode())
    assert run(servers.binary(), "-v").stdout == run(servers.binary(), "--version").stdout
    done = run(servers.binary(), "--help", code=None)
    said = (done.stdout + done.stderr).decode()
    assert "conf" in said and "--port" in said
    if servers.kind() == "pannier":
        assert done.returncode == 0 and "--threads" in said
        assert run(servers.binary(), "--version").stdout.startswith(b"Pannier v=")


@pytest.mark.only("pannier", "the real servers take port 0 for no TCP at all")
def test_port_0_chooses_a_port_and_says_so(launch):
    first, second = launch(), launch()
    assert first.port != second.port and min(first.port, second.port) > 1023
    with first.client() as c:
        assert c.info("server")["tcp_port"] == first.port
        assert c.config_get("port")["port"] in (str(first.port), "0")


def test_directives_on_the_command_line_win_over_the_file(launch):
    server = launch("--timeout", "77", config="timeout 11\nmaxclients 123\n")
    with server.client() as c:
        assert c.config_get("timeout")["timeout"] == "77"
        assert c.config_get("maxclients")["maxclients"] == "123"
        assert c.info("server")["config_file"] == str(server.config_file)


def test_configuration_from_standard_input(tmp_path):
    port = free_port()
    process = subprocess.Popen(
        [servers.binary(), "-", "--port", str(port), "--dir", str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        process.stdin.write(b"maxclients 234\nsave ''\n")
        process.stdin.close()
        client = redis.Redis(port=port, decode_responses=True, retry=None)
        assert eventually(lambda: answers(client))["maxclients"] == "234"
    finally:
        process.terminate()
        assert process.wait(15) == 0


def answers(client):
    """CONFIG GET maxclients, or None while nobody listens."""
    try:
        return client.config_get("maxclients")
    except redis.ConnectionError:
        return None


def test_an_unknown_directive_is_refused_with_its_place(refused, tmp_path):
    said = refused(config="timeout 5\n# a comment\nnonsense yes\n")
    assert re.search(r"line 3\b|:3\b", said) and "nonsense" in said
    if servers.kind() == "pannier":
        assert str(tmp_path / "wrong.conf") in said
    assert "nonsense" in refused("--nonsense", "yes")


@pytest.mark.parametrize(
    "directive",
    [
        "timeout -5",
        "timeout abc",
        "maxmemory 12quux",
        "maxmemory-policy sometimes",
        "appendonly maybe",
        "databases 0",
        "maxclients",
        "loglevel chatty",
        'requirepass "open',
        "client-output-buffer-limit normal 1mb",
        "include /nonexistent/file.conf",
    ],
)
def test_a_wrong_value_is_refused(refused, directive):
    said = refused(config=f"tcp-keepalive 60\n{directive}\n")
    assert directive.split()[0] in said or "/nonexistent/file.conf" in said
    if "include" not in directive:
        assert re.search(r"line 2\b|:2\b", said), said


def test_a_missing_file_is_refused(run):
    done = run(servers.binary(), "/nonexistent/server.conf", code=None, timeout_s=20)
    assert done.returncode not in (0, -6, -11)
    assert b"/nonexistent/server.conf" in done.stdout + done.stderr


def test_a_port_in_use_is_told(server, run, tmp_path):
    line = [servers.binary(), "--port", server.port, "--bind", "127.0.0.1", "--dir", tmp_path]
    done = run(*line, code=None, timeout_s=20)
    assert done.returncode not in (0, -6, -11)
    assert b"in use" in done.stdout + done.stderr


# The file.


def test_debians_configuration_file_starts_it(launch, installed):
    config = installed(DEBIAN_CONFIG, "redis-server").read_text()
    here = ["--daemonize", "no", "--logfile", "", "--supervised", "no", "--pidfile", "here.pid"]
    server = launch(*here, config=config)
    with server.client() as c:
        assert c.set("k", "v") and c.config_get("databases") == {"databases": "16"}
        assert c.config_get("hz")["hz"] == "10"
    assert server.stop() == 0


@pytest.mark.only("pannier", "the real servers have the feature")
def test_a_directive_without_its_feature_is_logged_and_accepted(launch):
    server = launch(config="activedefrag yes\ntimeout 3\n")
    lines = [line for line in server.output().splitlines() if b"activedefrag" in line]
    assert len(lines) == 1
    assert server.client().config_get("timeout") == {"timeout": "3"}


def test_syntax_of_the_file(launch):
    config = "\n".join(
        [
            "# comment",
            "",
            "   \t ",
            "  TimeOut   9  ",
            'requirepass "with space\\x41\\"end"',
            "maxmemory 64mb",
            "maxmemory-samples 7",
            "proto-max-bulk-len 2MB",
            "databases 40",
            "client-output-buffer-limit normal 10mb 5mb 7",
        ]
    )
    server = launch(config=config, password=None)
    with server.client(password='with spaceA"end', db=39) as c:
        assert c.config_get("timeout")["timeout"] == "9"
        assert c.config_get("maxmemory")["maxmemory"] == str(64 << 20)
        assert c.config_get("proto-max-bulk-len")["proto-max-bulk-len"] == str(2 << 20)
        limits = c.config_get("client-output-buffer-limit")["client-output-buffer-limit"]
        assert limits.startswith("normal 10485760 5242880 7 ")


def test_include_in_order(launch, tmp_path):
    (tmp_path / "a.conf").write_text("timeout 1\nmaxclients 111\n")
    (tmp_path / "b.conf").write_text(f"include {tmp_path}/c.conf\n")
    (tmp_path / "c.conf").write_text("maxmemory-samples 9\n")
    config = f"timeout 5\ninclude {tmp_path}/a.conf\ninclude {tmp_path}/b.conf\nmaxclients 222\n"
    with launch(config=config).client() as c:
        assert c.config_get("timeout", "maxclients", "maxmemory-samples") == {
            "timeout": "1",
            "maxclients": "222",
            "maxmemory-samples": "9",
        }


def test_rename_command(launch):
    config = 'rename-command FLUSHALL ""\nrename-command CONFIG secret-config\n'
    with launch(config=config).connect() as c:
        assert c.ask("FLUSHALL").startswith(b"-ERR unknown command 'FLUSHALL'")
        assert c.ask("CONFIG", "GET", "timeout").startswith(b"-ERR unknown command 'CONFIG'")
        assert c.ask("SECRET-CONFIG", "GET", "timeout") == b"*2"
        assert c.read(20) == b"$7\r\ntimeout\r\n$1\r\n0\r\n"


def test_config_rewrite_keeps_comments_and_order(launch):
    config = "# the site's cache\ntimeout 10\n\n# how much\nmaxmemory 50mb\nmaxmemory-samples 5\n"
    server = launch(config=config)
    with server.client() as c:
        assert c.config_set("timeout", 20, "maxmemory", "60mb", "lfu-decay-time", 9)
        assert c.config_rewrite() in (True, "OK")
    text = server.config_file.read_text()
    lines = text.splitlines()
    assert lines[:2] == ["# the site's cache", "timeout 20"]
    assert lines[3] == "# how much" and lines[4] in ("maxmemory 60mb", f"maxmemory {60 << 20}")
    assert "lfu-decay-time 9" in lines
    with server.client() as c:
        c.config_rewrite()
    assert server.config_file.read_text().rstrip() == text.rstrip(), "a second time changes nothing"
    server.restart()
    with server.client() as c:
        assert c.config_get("timeout", "lfu-decay-time") == {
            "timeout": "20",
            "lfu-decay-time": "9",
        }
        assert c.config_get("maxmemory")["maxmemory"] == str(60 << 20)


def test_config_rewrite_without_a_file(client):
    with pytest.raises(redis.ResponseError, match="The server is running without a config file"):
        client.config_rewrite()


# Listeners.


def test_the_unix_socket_and_its_permissions(launch):
    server = launch("--unixsocketperm", "700")
    mode = os.stat(server.socket).st_mode
    assert stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0o700
    with server.connect(unix=True) as c:
        assert c.ask("PING") == b"+PONG"
        c.send(frame("CLIENT", "INFO"))
        assert c.line().startswith(b"$") and server.socket.encode() in c.line()
    assert server.stop() == 0
    assert not os.path.exists(server.socket)


def test_a_socket_left_behind_is_replaced(launch):
    server = launch()
    server.kill()
    assert os.path.exists(server.socket)
    server.start()
    with server.connect(unix=True) as c:
        assert c.ask("PING") == b"+PONG"


def connected(host, port):
    """A bare connection to this address, or None."""
    try:
        return Wire(socket.create_connection((host, port), timeout=5))
    except OSError:
        return None


def test_several_addresses_and_ipv6(launch):
    server = launch("--bind", "127.0.0.1", "127.0.0.9", "::1", "--protected-mode", "no")
    for host in ("127.0.0.1", "127.0.0.9", "::1"):
        with connected(host, server.port) as c:
            assert c.ask("PING") == b"+PONG"
            c.send(b"CLIENT INFO\r\n")
            c.line()
            expected = f"[::1]:{server.port}" if host == "::1" else f"{host}:{server.port}"
            assert f"laddr={expected} ".encode() in c.line()
    assert connected("127.0.0.10", server.port) is None


def test_an_address_that_is_not_there(launch, refused):
    assert "192.0.2.1" in refused("--bind", "192.0.2.1", "127.0.0.1")
    server = launch("--bind", "127.0.0.1", "-192.0.2.1")
    assert server.client().ping(), "a minus makes an address optional"


@pytest.mark.only("pannier", "the real servers listen everywhere by default")
def test_it_listens_on_loopback_only_by_default(tmp_path):
    with open(tmp_path / "out", "wb") as out:
        line = [servers.binary(), "--port", "0"]
        process = subprocess.Popen(line, stdout=out, stderr=out, cwd=tmp_path)
    try:
        said = eventually(lambda: servers.LISTENING.search((tmp_path / "out").read_bytes()))
        port = int(said.group(1))
        with connected("127.0.0.1", port) as c:
            assert c.ask("SET", "k", "v") == b"+OK"
            assert c.ask("CONFIG", "GET", "protected-mode") == b"*2"
        assert connected("127.0.0.9", port) is None
    finally:
        process.terminate()
        assert process.wait(15) == 0
    assert os.listdir(tmp_path) == ["out"], "no files are written"


REMOTE = """
import sys
sys.path.insert(0, sys.argv[1])
import servers
with servers.Server("--bind", "127.0.0.1", "10.9.9.1", *sys.argv[2:]) as server:
    server.host = "10.9.9.1"
    try:
        print(server.connect().ask("PING"))
    except (EOFError, ConnectionError) as e:
        print("cut", e)
    server.host = "127.0.0.1"
    print(server.connect().ask("PING"))
"""


@pytest.fixture
def from_elsewhere(run, tool):
    """What a client sees that comes from no loopback address, in a network of its own."""
    network = "ip link set lo up && ip addr add 10.9.9.1/32 dev lo && exec \"$@\""
    enclosed = [tool("unshare"), "-n", tool("sh"), "-c", network, "sh"]
    tool("ip")

    def ask(*options):
        here = Path(__file__).parent
        return run(*enclosed, sys.executable, "-c", REMOTE, here, *options).stdout.decode()

    return ask


def test_protected_mode_refuses_who_comes_from_elsewhere(from_elsewhere):
    said = from_elsewhere()
    assert "-DENIED " in said.splitlines()[0] and "protected mode" in said
    assert said.endswith("b'+PONG'\n")
    assert from_elsewhere("--protected-mode", "no") == "b'+PONG'\nb'+PONG'\n"
    assert "NOAUTH" in from_elsewhere("--requirepass", "s3cret")


def test_maxclients(launch):
    server = launch("--maxclients", "3")
    places = [server.connect() for _ in range(3)]
    assert [c.ask("PING") for c in places] == [b"+PONG"] * 3
    full = b"-ERR max number of clients reached\r\n"
    for _ in range(3):
        with server.connect() as c:
            assert c.until_end() == full
    with server.connect(unix=True) as c:
        assert c.until_end() == full
    places.pop().close()
    eventually(lambda: ping(server) == b"+PONG")
    assert places[0].ask("CONFIG", "SET", "maxclients", "100") == b"+OK"
    places += [server.connect() for _ in range(20)]
    assert {c.ask("PING") for c in places} == {b"+PONG"}
    with server.client() as c:
        assert c.info("stats")["rejected_connections"] >= 4
        assert c.info("clients")["maxclients"] == 100
    for c in places:
        c.close()


def ping(server):
    """The first line that a new connection gets for PING."""
    with server.connect() as c:
        return c.ask("PING")


def test_timeout_closes_idle_clients(launch):
    server = launch("--timeout", "1")
    with server.connect() as idle, server.connect() as busy:
        began = time.monotonic()
        ended = []
        reader = threading.Thread(target=lambda: ended.append(idle.until_end()))
        reader.start()
        while reader.is_alive() and time.monotonic() < began + 10:
            assert busy.ask("PING") == b"+PONG"
            time.sleep(0.1)
        assert ended == [b""] and 0.9 < time.monotonic() - began < 4
        assert busy.ask("PING") == b"+PONG"


def test_keepalive_and_backlog(launch):
    server = launch("--tcp-keepalive", "60", "--tcp-backlog", "100")
    with server.client() as c:
        assert c.config_get("tcp-*") == {"tcp-keepalive": "60", "tcp-backlog": "100"}


@pytest.mark.only("pannier", "the number of workers is ours")
@pytest.mark.parametrize("threads", [1, 3])
def test_workers(launch, threads):
    server = launch("--threads", str(threads))
    wires = [server.connect() for _ in range(30)]
    for wire in wires:
        wire.send(frame("INCR", "n") * 100)
    last = [[wire.line() for _ in range(100)][-1] for wire in wires]
    assert b":3000" in last
    tasks = len(os.listdir(f"/proc/{server.process.pid}/task"))
    assert tasks >= threads
    for wire in wires:
        wire.close()


# The log.


def test_a_log_file_without_a_line_per_request(launch):
    server = launch("--logfile", "here.log", "--loglevel", "notice")
    log = server.directory / "here.log"
    before = eventually(lambda: log.read_text() if log.exists() else "")
    assert before.strip()
    with server.client() as c:
        for n in range(500):
            c.set(f"k{n}", n)
    assert log.read_text().count("\n") <= before.count("\n") + 2
    assert server.stop() == 0
    assert log.read_text().count("\n") > before.count("\n"), "it says that it leaves"


def test_log_levels(launch):
    sizes = {}
    for level in ("debug", "notice", "warning"):
        server = launch("--loglevel", level)
        with server.client() as c:
            c.ping()
            assert c.config_get("loglevel") == {"loglevel": level}
        server.stop()
        sizes[level] = len(server.output().splitlines())
    assert sizes["debug"] >= sizes["notice"] > sizes["warning"], sizes


# Leaving.


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_0(launch, number):
    server = launch()
    with server.connect() as idle:
        assert idle.ask("SET", "k", "v") == b"+OK"
        assert server.stop(number) == 0
        assert idle.until_end() == b""


@pytest.mark.only("pannier", "the real servers drop what they have not yet written")
def test_a_signal_finishes_what_was_received(launch):
    server = launch()
    server.client().set("big", "x" * 5_000_000)
    with server.connect() as c, server.connect() as other:
        assert other.ask("PING") == b"+PONG"
        c.send(frame("DEBUG", "SLEEP", "0.5") + frame("SET", "k", "v") + frame("GET", "big"))
        other.send(frame("INCR", "n") * 5000)
        time.sleep(0.1)
        server.process.send_signal(signal.SIGTERM)
        assert c.line() == b"+OK" and c.line() == b"+OK"
        assert c.line() == b"$5000000" and c.read(5_000_002) == b"x" * 5_000_000 + b"\r\n"
        assert c.until_end() == b""
        assert other.until_end().count(b"\r\n") == 5000
    assert server.wait() == 0


@pytest.mark.only("pannier", "the real servers do this for SIGINT only")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_it_at_once(launch, number):
    server = launch()
    with server.connect() as c:
        c.send(frame("DEBUG", "SLEEP", "20"))
        time.sleep(0.2)
        server.process.send_signal(number)
        time.sleep(0.2)
        server.process.send_signal(number)
        server.wait(5)


def test_shutdown(launch):
    server = launch()
    with server.connect() as c, server.connect() as other:
        assert c.ask("SHUTDOWN", "ABORT") == b"-ERR No shutdown in progress."
        assert c.ask("SHUTDOWN", "SOMEHOW") == b"-ERR syntax error"
        assert other.ask("PING") == b"+PONG"
        c.send(frame("SHUTDOWN", "NOSAVE", "NOW", "FORCE"))
        assert c.until_end() == b"" and other.until_end() == b""
    assert server.wait() == 0


def test_nothing_is_written_to_the_directory(launch):
    server = launch()
    with server.client() as c:
        c.mset({f"k{n}": "v" for n in range(1000)})
    assert server.stop() == 0
    assert os.listdir(server.directory) == [server.log.name]
