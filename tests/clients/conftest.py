"""Fixtures and markers of the client tests.

`server` is one process for the whole run, emptied before every test and looked at after it;
`launch` starts further ones with options of their own and ends them with the test. A tool that is
missing skips its tests with the reason printed and counted, except in CI, where it is an error.
"""

import os
import subprocess
from pathlib import Path

import pytest
import redis

import servers
from processes import Process
from variants import VARIANTS, redis_py_options

HERE = Path(__file__).resolve().parent
CI = os.environ.get("CI") == "true"


def missing(reason: str):
    """Skips, or fails in CI."""
    if CI:
        pytest.fail(f"{reason} (nothing is skipped in CI)", pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def kind() -> str:
    """pannier, valkey or redis."""
    return servers.kind()


@pytest.fixture(scope="session")
def tool():
    """Path of an installed program: `tool("redis-cli")`."""

    def find(name: str) -> str:
        try:
            return servers.tool(name)
        except servers.MissingTool as e:
            missing(str(e))

    return find


@pytest.fixture(scope="session")
def installed():
    """A file that a Debian package brings."""

    def find(file, package: str):
        if not file.exists():
            missing(f"{file} is not there: install Debian's {package}")
        return file

    return find


@pytest.fixture(scope="session")
def node(tool):
    """The path of Node.js, when the packages of `node/` are installed, too."""
    path = tool("node")
    if not (HERE / "node" / "node_modules" / "redis").is_dir():
        missing("the packages of tests/clients/node are not installed: run tests/setup.sh")
    return path


@pytest.fixture(scope="session")
def _program():
    try:
        return servers.binary()
    except servers.MissingTool as e:
        missing(str(e))


@pytest.fixture(scope="session")
def _shared(_program):
    with servers.Server() as server:
        yield server


@pytest.fixture
def server(_shared):
    """The shared server, empty; a test that changes its configuration uses `launch`."""
    if not _shared.alive():
        _shared.start()
    with _shared.client() as c:
        c.client_kill_filter(_type="normal", skipme=True)
        c.flushall()
        c.config_resetstat()
    yield _shared
    assert _shared.alive(), f"the server died:\n{_shared.output().decode()[-4000:]}"


@pytest.fixture
def launch(_program):
    """Starts a server of its own: `launch("--maxclients", "5", config="...")`."""
    started = []

    def start(*options, **more):
        s = servers.Server(*options, **more)
        started.append(s)
        return s.start()

    yield start
    for s in started:
        s.close()


@pytest.fixture
def client(server):
    """A redis-py client of the shared server, decoding to str."""
    with server.client() as c:
        yield c


@pytest.fixture
def run():
    """Runs a program to its end, bounded in time; fails on an exit code other than `code`."""

    def call(*line, input=None, timeout_s=30, code=0, env=None):
        done = subprocess.run(
            [str(part) for part in line],
            input=input,
            capture_output=True,
            timeout=timeout_s,
            env={**os.environ, **(env or {})},
        )
        if code is not None:
            assert done.returncode == code, (done.returncode, done.stdout[-2000:], done.stderr)
        return done

    return call


@pytest.fixture
def spawn(tmp_path):
    """Starts a program beside the test, ended with it: `spawn("peer.py", ready="words")`."""
    started = []

    def start(*line, cwd=HERE, **more):
        log = tmp_path / f"process-{len(started)}.log"
        started.append(Process(line, log, cwd, **more))
        return started[-1]

    yield start
    for process in started:
        process.kill()


def pytest_collection_modifyitems(items):
    """Carries out the markers `only`, `later` and `since` for the server under test."""
    kind = servers.kind()
    for item in items:
        for mark in item.iter_markers("only"):
            kinds = mark.args[0].split()
            if kind not in kinds:
                why = f"only for {' and '.join(kinds)}: {mark.args[1]}"
                item.add_marker(pytest.mark.skip(reason=why))
        for mark in item.iter_markers("since"):
            if kind == "redis":
                why = f"redis-server 7.0 lacks it: {mark.args[0]}"
                item.add_marker(pytest.mark.skip(reason=why))
        for mark in item.iter_markers("later"):
            if kind == "pannier":
                why = f"needs {mark.args[0]}, which Pannier does not have yet"
                item.add_marker(pytest.mark.xfail(strict=True, reason=why))


def pytest_report_header():
    """Names the server under test."""
    try:
        return f"server under test: {servers.kind()} ({servers.binary()})"
    except servers.MissingTool as e:
        return f"server under test: missing, {e}"


def pytest_terminal_summary(terminalreporter):
    """Counts the skips by reason."""
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = {}
    for report in skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reasons[reason] = reasons.get(reason, 0) + 1
    for reason, count in sorted(reasons.items()):
        terminalreporter.write_line(f"{count} skipped: {reason}")


@pytest.fixture(params=list(VARIANTS))
def variant(request):
    """The name of a way in, a protocol and a parser."""
    return request.param


@pytest.fixture
def pool_options(server, variant):
    """The class of connection and its arguments, for pools over this variant."""
    options = redis_py_options(server, variant)
    kind = redis.UnixDomainSocketConnection if "path" in options else redis.Connection
    return {"connection_class": kind, "socket_timeout": 20, **options}


@pytest.fixture
def r(pool_options):
    """redis-py over every way in, protocol and parser; replies are str."""
    pool = redis.ConnectionPool(decode_responses=True, **pool_options)
    with redis.Redis(connection_pool=pool) as c:
        yield c
    pool.disconnect()
