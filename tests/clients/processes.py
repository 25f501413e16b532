"""Programs beside the test: workers, web servers, peers.

Each runs in a process group of its own, so that ending it ends its children too (Celery's and RQ's
workers fork), and writes to one log, in which a test waits for words and which a failure quotes.
"""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

START_TIMEOUT_S = 30
STOP_TIMEOUT_S = 10


class Process:
    """A program that runs until it is stopped or the `with` block ends."""

    def __init__(self, line, log: Path, cwd: Path, env: dict | None = None, ready: str = ""):
        """Starts it, and waits for the pattern `ready` in what it says.

        It does not learn of the Django site of other tests, unless `env` says so.
        """
        self.log = log
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("DJANGO_")}
        self.line = [str(part) for part in line]
        with open(log, "ab") as out:
            self.process = subprocess.Popen(
                self.line,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                env={**inherited, "PYTHONUNBUFFERED": "1", **(env or {})},
                start_new_session=True,
            )
        if ready:
            try:
                self.says(ready, START_TIMEOUT_S)
            except BaseException:
                self.kill()
                raise

    def output(self) -> str:
        """What it said."""
        return self.log.read_text(errors="replace")

    def says(self, pattern: str, timeout_s: float = 10) -> re.Match:
        """Waits until the pattern appears in its output."""
        deadline = time.monotonic() + timeout_s
        while True:
            ended = self.process.poll() is not None
            found = re.search(pattern, self.output())
            if found:
                return found
            if ended or time.monotonic() > deadline:
                why = f"exit code {self.process.returncode}" if ended else f"{timeout_s} s"
                words = self.output()[-4000:]
                raise AssertionError(f"{why}, no {pattern!r} from {self.line}:\n{words}")
            time.sleep(0.02)

    def wait(self, timeout_s: float = 30) -> int:
        """Waits for its end; its exit code."""
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
            words = self.output()[-4000:]
            raise AssertionError(f"{self.line} still runs after {timeout_s} s:\n{words}") from None

    def kill(self) -> None:
        """Ends it and its children at once."""
        self._signal(signal.SIGKILL)
        self.process.wait(STOP_TIMEOUT_S)

    def stop(self) -> int:
        """Ends it with SIGTERM, and whatever of it is left after a while with SIGKILL."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                pass
        self.kill()
        return self.process.returncode

    def _signal(self, number: int) -> None:
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            pass

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *_) -> None:
        self.kill()
