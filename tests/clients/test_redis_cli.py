"""redis-cli, Debian's, in the modes in which people use it."""

import csv
import fcntl
import io
import json
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time

import pytest

from servers import frame


@pytest.fixture
def cli(server, tool, run):
    """Runs redis-cli against the shared server and returns its standard output as text."""
    program = tool("redis-cli")

    def call(*args, input=None, code=0, timeout_s=30, unix=False):
        where = ["-s", server.socket] if unix else ["-h", server.host, "-p", server.port]
        if input is not None and isinstance(input, str):
            input = input.encode()
        done = run(program, *where, *args, input=input, code=code, timeout_s=timeout_s)
        return done.stdout.decode()

    return call


def for_a_while(line, seconds, enough=lambda _: False):
    """What a program that runs until it is ended writes to a terminal, until that is enough or the
    time is up; it is ended by its id."""
    ours, theirs = pty.openpty()
    wide(theirs)
    with subprocess.Popen(
        [str(part) for part in line], stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        try:
            return read_terminal(ours, seconds, enough)
        finally:
            process.kill()
            os.close(ours)


def read_terminal(fd, seconds, enough):
    """Text from a terminal without its colours, until it is enough or the time is up."""
    seen = ""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not enough(plain(seen)):
        if select.select([fd], [], [], 0.05)[0]:
            try:
                seen += os.read(fd, 1 << 16).decode(errors="replace")
            except OSError:
                break
    return plain(seen)


def plain(text):
    """Without escape sequences."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def wide(fd):
    """A terminal of 50 lines and 200 columns, so that nobody asks where its cursor is."""
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 200, 0, 0))


def test_one_command_and_its_reply(cli):
    assert cli("PING") == "PONG\n"
    assert cli("SET", "k", "v w") == "OK\n"
    assert cli("--no-raw", "GET", "k") == '"v w"\n'
    assert cli("--no-raw", "GET", "none") == "(nil)\n"
    assert cli("--no-raw", "STRLEN", "k") == "(integer) 3\n"
    assert cli("--no-raw", "MGET", "k", "none") == '1) "v w"\n2) (nil)\n'


def test_the_unix_socket(cli):
    assert cli("ECHO", "over the socket", unix=True) == "over the socket\n"


def test_errors_and_the_exit_code(cli):
    assert cli("nonsense", "x").startswith("ERR unknown command 'nonsense', with args beginning")
    assert cli("--no-raw", "GET") == "(error) ERR wrong number of arguments for 'get' command\n"


def test_a_database_out_of_range(server, tool, run):
    done = run(tool("redis-cli"), "-p", server.port, "-n", "99", "GET", "k")
    assert b"SELECT 99 failed: ERR DB index is out of range" in done.stderr


def test_exit_code_1_on_an_error_reply(server, tool, run):
    line = [tool("redis-cli"), "-p", server.port, "-e", "INCR", "a", "b"]
    done = run(*line, code=1)
    assert b"ERR wrong number of arguments for 'incr' command" in done.stdout + done.stderr


def test_commands_from_standard_input(cli):
    assert cli(input="SET a 1\nINCR a\nGET a\n") == "OK\n2\n2\n"
    assert cli(input='SET "quoted key" "a\\x00b"\nSTRLEN "quoted key"\n') == "OK\n3\n"


def test_a_command_repeated(cli):
    assert cli("-r", "5", "INCR", "n") == "1\n2\n3\n4\n5\n"
    assert cli("-r", "2", "-i", "0.05", "INCR", "n") == "6\n7\n"


def test_the_last_argument_from_standard_input(cli, client):
    assert cli("-x", "SET", "k", input="from stdin") == "OK\n"
    assert client.get("k") == "from stdin"
    big = "x" * 3_000_000
    assert cli("-x", "SET", "big", input=big) == "OK\n"
    assert client.strlen("big") == len(big)


def test_a_tagged_argument_from_standard_input(cli, client):
    assert cli("-X", "TAG", "SET", "k", "TAG", "EX", "100", input="tagged") == "OK\n"
    assert client.get("k") == "tagged"
    assert 0 < client.ttl("k") <= 100


def test_databases(cli, client):
    assert cli("-n", "3", "SET", "k", "three") == "OK\n"
    assert client.get("k") is None
    assert cli("-n", "3", "GET", "k") == "three\n"


def test_csv(cli, client):
    client.mset({"a": "1", "b": 'two "quoted"'})
    row = next(csv.reader(io.StringIO(cli("--csv", "MGET", "a", "none"))))
    assert row[0] == "1" and len(row) == 2
    assert cli("--csv", "STRLEN", "a") == "1\n"


def test_json(cli, client):
    client.mset({"a": "1", "b": "zwei ä"})
    assert json.loads(cli("--json", "MGET", "a", "b", "none")) == ["1", "zwei ä", None]
    assert json.loads(cli("--json", "CONFIG", "GET", "databases")) == {"databases": "16"}
    assert json.loads(cli("--json", "DBSIZE")) == 2
    assert json.loads(cli("--quoted-json", "GET", "b")) == "zwei \\xc3\\xa4"
    docs = json.loads(cli("--json", "COMMAND", "DOCS", "GET"))
    assert docs["get"]["group"] == "string"
    hello = json.loads(cli("--json", "HELLO", "3"))
    assert hello["proto"] == 3 and hello["mode"] == "standalone"


def test_resp3(cli):
    assert cli("-3", "--no-raw", "CONFIG", "GET", "databases") == '1# "databases" => "16"\n'
    assert cli("-2", "--no-raw", "CONFIG", "GET", "databases") == '1) "databases"\n2) "16"\n'
    assert "proto" in cli("-3", "HELLO")
    assert cli("-3", "--no-raw", "GET", "none") == "(nil)\n"
    assert "redis_version:" in cli("-3", "INFO", "server")


def test_info_is_readable(cli):
    text = cli("INFO")
    for field in ("redis_version:", "used_memory_human:", "connected_clients:", "# Keyspace"):
        assert field in text
    assert re.search(r"^tcp_port:\d+\r?$", text, re.M)


def test_urls_with_password_and_database(launch, tool, run):
    server = launch(password="s3cret")
    cli = tool("redis-cli")
    url = f"redis://default:s3cret@127.0.0.1:{server.port}/5"
    assert run(cli, "-u", url, "SET", "k", "v").stdout == b"OK\n"
    assert run(cli, "-u", url, "GET", "k").stdout == b"v\n"
    line = [cli, "-p", server.port, "--no-auth-warning", "-a", "s3cret", "-n", "5", "GET", "k"]
    assert run(*line).stdout == b"v\n"
    line = [cli, "-p", server.port, "-n", "5", "GET", "k"]
    assert run(*line, env={"REDISCLI_AUTH": "s3cret"}).stdout == b"v\n"
    line = [cli, "-p", server.port, "--user", "default", "--pass", "s3cret", "-3", "PING"]
    assert run(*line).stdout == b"PONG\n"
    assert b"NOAUTH Authentication required." in run(cli, "-p", server.port, "GET", "k").stdout
    wrong = run(cli, "-p", server.port, "-a", "wrong", "GET", "k")
    assert b"AUTH failed: WRONGPASS invalid username-password pair" in wrong.stderr
    # This redis-cli sends an empty user name for a URL without one, and servers refuse that.
    url = f"redis://:s3cret@127.0.0.1:{server.port}"
    assert b"AUTH failed: WRONGPASS" in run(cli, "-u", url, "GET", "k").stderr


def test_stat_prints_a_line_an_interval(server, client, tool):
    client.mset({f"k{n}": "v" for n in range(25)})

    def lines_of(text):
        return [line for line in text.splitlines() if re.match(r"^25 +[\d.]+[KMG].*\)", line)]

    line = [tool("redis-cli"), "-p", server.port, "--stat", "-i", "0.2"]
    out = for_a_while(line, 30, lambda text: len(lines_of(text)) >= 5)
    lines = lines_of(out)
    assert len(lines) >= 4, out
    head = next(line for line in out.splitlines() if line.startswith("keys"))
    assert head.split() == ["keys", "mem", "clients", "blocked", "requests", "connections"]
    assert "(+" in lines[-1]


def test_latency(cli):
    out = cli("--latency", "-i", "2").split()
    least, most, mean, samples = (float(part) for part in out)
    assert 0 <= least <= mean <= most < 5000
    assert samples >= 10


def test_latency_history(server, tool):
    line = [tool("redis-cli"), "-p", server.port, "--latency-history", "-i", "0.5", "--raw"]

    def anew(text):
        counts = re.findall(r"\b\d+ \d+ \d+\.\d+ (\d+)\b", text)
        counts = [int(count) for count in counts]
        return counts and max(counts) > 10 and counts.count(1) >= 3

    # A busy machine may be slow for an interval or two, not for all of them.
    assert anew(for_a_while(line, 30, anew)), "every interval starts anew"


def test_latency_distribution(server, tool):
    line = [tool("redis-cli"), "-p", server.port, "--latency-dist", "-i", "0.3"]
    assert "." in for_a_while(line, 30, lambda text: "." in text)


def test_bigkeys(cli, client):
    client.mset({f"small{n}": "x" for n in range(300)})
    client.set("largest", "y" * 5000)
    out = cli("--bigkeys")
    assert "Sampled 301 keys in the keyspace!" in out
    assert re.search(r'Biggest string found .*largest.* has 5000 bytes', out)
    assert re.search(r"301 strings with 5300 bytes \(100\.00% of keys", out)


def test_memkeys(cli, client):
    client.mset({f"small{n}": "x" for n in range(300)})
    client.set("largest", "y" * 50000)
    out = cli("--memkeys")
    found = re.search(r'Biggest string found .*largest.* has (\d+) bytes', out)
    assert found and 50000 <= int(found.group(1)) < 80000
    assert "Sampled 301 keys in the keyspace!" in out
    assert "Sampled 301 keys" in cli("--memkeys-samples", "3")


def test_hotkeys_under_an_lfu_policy(launch, tool, run):
    server = launch("--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lfu")
    with server.client() as c:
        c.mset({f"cold{n}": "x" for n in range(50)})
        c.set("hot", "x")
        for _ in range(3000):
            c.get("hot")
    out = run(tool("redis-cli"), "-p", server.port, "--hotkeys").stdout.decode()
    assert re.search(r"hot key found with counter: (\d+).*hot", out), out
    assert "Sampled 51 keys in the keyspace!" in out


def test_hotkeys_needs_an_lfu_policy(server, client, tool, run):
    client.set("k", "v")
    done = run(tool("redis-cli"), "-p", server.port, "--hotkeys", code=1)
    assert b"An LFU maxmemory policy is not selected" in done.stdout + done.stderr


def test_lru_test_simulates_a_cache(launch, tool):
    server = launch("--maxmemory", "20mb", "--maxmemory-policy", "allkeys-lru")
    out = for_a_while([tool("redis-cli"), "-p", server.port, "--lru-test", "5000"], 3)
    hits = re.findall(r"(\d+) Gets/sec \| Hits: (\d+) \(([\d.]+)%\)", out)
    assert hits and int(hits[-1][0]) > 100 and float(hits[-1][2]) > 50, out


def test_scan_with_and_without_a_pattern(cli, client):
    wanted = {f"user:{n}:profile" for n in range(1500)}
    client.mset({key: "x" for key in wanted} | {f"other:{n}": "x" for n in range(500)})
    assert set(cli("--scan", "--pattern", "user:*").split()) == wanted
    assert len(set(cli("--scan").split())) == 2000
    assert set(cli("--scan", "--pattern", "user:1[05]:profile").split()) == {
        "user:10:profile",
        "user:15:profile",
    }
    client.set("star*", "x")
    assert cli("--scan", "--quoted-pattern", '"star\\\\*"').strip() == "star*"


def test_pipe_loads_100_000_sets(cli, client):
    data = b"".join(frame("SET", f"key:{n}", f"value {n}") for n in range(100_000))
    out = cli("--pipe", input=data, timeout_s=40)
    assert "errors: 0, replies: 100000" in out
    assert client.dbsize() == 100_000
    assert client.mget("key:0", "key:99999") == ["value 0", "value 99999"]


def test_pipe_takes_inline_commands_and_counts_errors(cli, client):
    data = "".join(f"SET inline:{n} {n}\r\n" for n in range(1000)) + "INCR inline:0 x\r\n"
    assert "errors: 1, replies: 1001" in cli("--pipe", input=data, code=1)
    assert client.dbsize() == 1000


class Terminal:
    """redis-cli in its interactive mode, under a pseudo-terminal."""

    def __init__(self, *line):
        self.fd, theirs = pty.openpty()
        wide(theirs)
        self.process = subprocess.Popen(
            [str(part) for part in line],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**os.environ, "TERM": "xterm", "HOME": "/nonexistent"},
        )
        os.close(theirs)

    def type(self, text):
        os.write(self.fd, text.encode())

    def see(self, pattern, timeout_s=10):
        """Reads until the pattern appears; what was read since the last call."""
        seen = read_terminal(self.fd, timeout_s, lambda text: re.search(pattern, text, re.S))
        assert re.search(pattern, seen, re.S), f"{pattern!r} not seen in {seen[-3000:]!r}"
        return seen

    def ask(self, text, pattern):
        """Enters a line and reads until the reply and the next prompt have appeared.

        (redis-cli throws away what is typed before its prompt.)"""
        self.type(text + "\r")
        return self.see(pattern + r".*127\.0\.0\.1:\d+(\[\d+\])?> $")

    def leave(self):
        """Types `exit`; the exit code."""
        self.type("\x15exit\r")
        return self.process.wait(10)


@pytest.fixture
def terminal(server, tool):
    """redis-cli in its interactive mode, at the prompt."""
    t = Terminal(tool("redis-cli"), "-p", server.port)
    t.see(r"127\.0\.0\.1:\d+> ")
    yield t
    t.process.kill()
    t.process.wait()
    os.close(t.fd)


def test_interactive_help_tells_syntax_summary_and_group(terminal):
    seen = terminal.ask("help SET", r"group: string")
    assert re.search(r"SET key value \[.*XX.*KEEPTTL", seen)
    assert re.search(r"summary: \S+ \S+", seen)
    assert "since: 1.0.0" in seen
    seen = terminal.ask("help CLIENT KILL", r"group: connection")
    assert "since: 2.4.0" in seen
    seen = terminal.ask("help @string", r"SUBSTR")
    for name in ("APPEND", "GETRANGE", "INCRBYFLOAT", "SETRANGE"):
        assert name in seen
    assert terminal.leave() == 0


def test_interactive_hints_follow_the_syntax(terminal):
    terminal.type("GETEX ")
    terminal.see(r"GETEX key \[.*PERSIST")
    terminal.type("k EX ")
    terminal.see(r"seconds")
    terminal.type("\x15CLIENT SETNAM")
    terminal.type("E ")
    terminal.see(r"connection-name")
    assert terminal.leave() == 0


def test_interactive_session_with_select_and_errors(terminal):
    terminal.ask("SET k v", r"OK")
    assert "[2]> " in terminal.ask("SELECT 2", r"OK")
    terminal.ask("GET k", r"\(nil\)")
    terminal.ask("SETRANGE k -1 x", r"\(error\) ERR offset is out of range")
    terminal.ask("3 PING", r"PONG.*PONG.*PONG")
    terminal.ask("HELLO 3", r"\d# \"proto\" => \(integer\) 3")
    assert terminal.leave() == 0


def test_monitor_shows_the_commands_of_others(server, client, tool):
    with subprocess.Popen(
        [tool("redis-cli"), "-p", str(server.port), "MONITOR"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    ) as process:
        try:
            assert process.stdout.readline() == b"OK\n"
            client.set("k", "v")
            line = process.stdout.readline().decode()
            while '"SET"' not in line:
                line = process.stdout.readline().decode()
            assert re.match(r'^\d+\.\d{6} \[0 127\.0\.0\.1:\d+\] "SET" "k" "v"$', line)
        finally:
            process.kill()


def test_the_shells_deletion_by_pattern(cli, client):
    client.mset({f"guild:123:{n}": "x" for n in range(20)} | {"guild:124:1": "x"})
    script = "return redis.call('del', unpack(redis.call('keys', ARGV[1])))"
    assert cli("EVAL", script, "0", "guild:123:*") == "20\n"
    assert client.keys() == ["guild:124:1"]


@pytest.mark.parametrize("mode", ["--bigkeys", "--memkeys"])
def test_the_biggest_key_of_each_type(cli, client, mode):
    client.set("string", "v" * 100)
    client.rpush("list", *range(300))
    client.sadd("set", *range(20))
    client.hset("hash", mapping={f"field{i}": i for i in range(30)})
    client.zadd("zset", {f"member{i}": i for i in range(40)})
    client.xadd("stream", {"f": "v"})
    text = plain(cli(mode))
    for kind, name in (
        ("string", "string"),
        ("list", "list"),
        ("set", "set"),
        ("hash", "hash"),
        ("zset", "zset"),
        ("stream", "stream"),
    ):
        assert re.search(rf'Biggest +{kind} found .*"{name}"', text), text
    if mode == "--bigkeys":
        assert re.search(r"1 lists? with 300 items", text), text
        assert re.search(r"1 hashe?s? with 30 fields", text), text
