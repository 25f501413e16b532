"""The examples of docs/guides/python.md and of the package's README are run.

A block that begins with a comment `# name.py` is written to that file in a directory of the page's
own; if it is a test, pytest runs it, and other blocks of Python are run as programs. So a block can
import what one above it has written. A line `# prints: ...` says what the program prints there.
"""

import re
import subprocess
import sys

import pytest

from conftest import ROOT

BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAME = re.compile(r"\A# (\w+\.py)$", re.MULTILINE)


@pytest.mark.parametrize("page", ["docs/guides/python.md", "crates/python/README.md"])
@pytest.mark.timeout(120)
def test_examples_run(page, tmp_path):
    blocks = BLOCK.findall((ROOT / page).read_text())
    assert blocks
    for number, block in enumerate(blocks):
        name = NAME.match(block)
        path = tmp_path / (name[1] if name else f"example_{number}.py")
        path.write_text(block)
        command = [sys.executable, path.name]
        if path.name.startswith("test_"):
            command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", path.name]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"{block}\n{done.stdout}{done.stderr}"
        for expected in re.findall(r"# prints: (.*)$", block, re.MULTILINE):
            assert expected in done.stdout, f"{block}\n{done.stdout}"
