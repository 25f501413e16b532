"""Clients of Node.js: ioredis, node-redis and BullMQ, tested by `node --test` files in `node/`."""

import re

import pytest


@pytest.mark.parametrize("name", ["ioredis", "node-redis", "bullmq"])
def test_client(node, server, spawn, request, name):
    script = request.path.parent / "node" / f"{name}.test.js"
    env = {"SERVER_PORT": str(server.port), "NODE_DISABLE_COLORS": "1"}
    process = spawn(node, "--test-reporter=tap", script, env=env)
    code = process.wait(50)
    said = process.output()
    print(said)
    wanted = len(re.findall(r"^ *test\(", script.read_text(), re.M))
    passed = int(re.search(r"^# pass (\d+)", said, re.M).group(1))
    assert code == 0 and re.search(r"^# fail 0$", said, re.M), said[-8000:]
    assert passed >= wanted > 10
