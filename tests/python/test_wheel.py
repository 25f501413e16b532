"""The wheel itself: what is in it, and that it needs nothing else."""

import os
import subprocess
import sys
import zipfile

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
        pytest.skip("PANNIER_WHEEL is not set: tests/python/run.sh builds and names it")
    return path


def test_one_wheel_serves_python_3_9_and_later(wheel):
    assert os.path.basename(wheel).startswith(f"pannier-{pannier.__version__}-cp39-abi3-")


def test_the_wheel_has_types_and_no_tests(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert "pannier/py.typed" in names
    assert "pannier/_native.pyi" in names
    assert "pannier/_native.abi3.so" in names
    assert not [name for name in names if "test" in name]


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
