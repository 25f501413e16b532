"""What the tests of the wheel share.

They run from the installed wheel (`run.sh` builds and installs it), never from the source tree,
so that what is missing in the wheel is missing here.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import pannier

pytest_plugins = ["pytester"]

ROOT = Path(__file__).resolve().parents[2]


def pytest_report_header() -> str:
    return f"pannier {pannier.__version__} from {Path(pannier.__file__).parent}"


def pytest_sessionstart() -> None:
    if ROOT / "crates" in Path(pannier.__file__).resolve().parents:
        pytest.exit("these tests want the installed wheel: run tests/python/run.sh", 2)


@pytest.fixture
def server():
    """A server of the test's own."""
    with pannier.Server() as server:
        yield server


@pytest.fixture
def in_process():
    """Runs a program in a fresh interpreter and returns what it printed."""

    def run(program: str, *args: str, timeout: float = 30) -> str:
        done = subprocess.run(
            [sys.executable, "-c", program, *args],
            capture_output=True,
            text=True,
            timeout=timeout,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run
