"""The wheel itself: what is in it, and that it needs nothing else."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import pannier

BARE = """
import sys, pannier
assert not any(name.split(".")[0] in ("redis", "django", "pytest") for name in sys.modules)
with pannier.Server() as server:
    import socket
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(b"PING\\r\\n")
        print(connection.recv(16))
"""


@pytest.fixture(scope="module")
def wheel() -> str:
    path = os.environ.get("PANNIER_WHEEL")
    if not path:
        if os.environ.get("CI"):
            pytest.fail("PANNIER_WHEEL is not set")
        pytest.skip("PANNIER_WHEEL is not set: tests/python/run.sh builds and names it")
    return path


def test_one_wheel_serves_python_3_9_and_later(wheel):
    assert os.path.basename(wheel).startswith(f"pannier-{pannier.__version__}-cp39-abi3-")


def test_the_wheel_has_types_and_no_tests(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert "pannier/py.typed" in names
    assert "pannier/_native.pyi" in names
    assert "pannier/_native.abi3.so" in names
    assert not [name for name in names if "/tests/" in name or "/test_" in name]


def test_it_runs_in_an_environment_that_has_nothing_else(wheel, tmp_path):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare"], check=True)
    python = tmp_path / "bare" / "bin" / "python"
    where = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('platlib'))"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    zipfile.ZipFile(wheel).extractall(where)
    said = subprocess.run([python, "-I", "-c", BARE], check=True, capture_output=True, text=True)
    assert said.stdout == "b'+PONG\\r\\n'\n"


TYPED = """
from typing import Optional
import pannier

cache = pannier.Cache(maxentries=10, decode_responses=True)
with pannier.Server(port=0, unix_socket="x", maxmemory="1mb") as server:
    url: str = server.url
    port: int = server.port
    other: pannier.Cache = server.cache(1)
with cache.pipeline() as pipeline:
    pipeline.set("a", 1).incr("a")
with cache.lock("l", timeout=1.5) as lock:
    owned: bool = lock.owned()
with cache.checkpoint() as here:
    here.rollback(config=True)
def work(pipe: pannier.Pipeline) -> None:
    pipe.multi()
cache.transaction(work, "key")
message: Optional[dict[str, object]] = cache.pubsub().get_message(timeout=1)
"""

MISTYPED = """
import pannier
pannier.Cache(5)
pannier.Server(port="x")
pannier.Cache().lock("l", timeout="x")
pannier.Cache().set("k", None)
"""


def test_the_package_is_typed_strictly_and_users_are_told_of_wrong_types(tmp_path):
    (tmp_path / "typed.py").write_text(TYPED)
    (tmp_path / "mistyped.py").write_text(MISTYPED)
    config = Path(__file__).with_name("mypy.ini")
    command = [sys.executable, "-m", "mypy", "--config-file", config, "--cache-dir", os.devnull]
    done = subprocess.run(
        [*command, "-p", "pannier", "-m", "typed", "-m", "mistyped"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    *errors, summary = done.stdout.splitlines()
    assert [line.split(":")[:2] for line in errors if "error" in line] == [
        ["mistyped.py", "3"], ["mistyped.py", "4"], ["mistyped.py", "5"], ["mistyped.py", "6"]
    ], done.stdout


def test_the_stub_is_what_the_native_module_has():
    command = [sys.executable, "-m", "mypy.stubtest", "pannier._native"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_everything_public_is_described():
    import inspect

    undescribed = [
        f"{owner.__name__}.{name}"
        for owner in vars(pannier).values()
        if inspect.isclass(owner) and owner.__module__.startswith("pannier")
        for name, member in inspect.getmembers(owner)
        if callable(member) and not name.startswith("_") and not inspect.getdoc(member)
    ]
    assert not undescribed
