"""What a forked child can do beside what it has inherited: open caches and servers of its own."""

import os

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")

CHILDREN = """
import os, sys, threading, time, pannier
caches = [pannier.Cache() for _ in range(20)]
servers = [pannier.Server() for _ in range(2)]
for cache in caches:
    cache.set("a", 1, px=300)
# Threads that wait in every way there is: for data, for a script, for a key that is being made.
def thread(target, *args):
    return threading.Thread(target=target, args=args, daemon=True)

waiting = [thread(caches[0].blpop, "jobs", 30) for _ in range(4)]
slow = "local n = 0; for i = 1, 3e7 do n = n + i end; return 1"
waiting += [thread(caches[1].eval, slow, 0) for _ in range(3)]
waiting += [thread(caches[1].incr, "n") for _ in range(3)]
for waiter in waiting:
    waiter.start()
time.sleep(0.05)

def work():
    for cache in caches:
        cache.set("b", 1, px=5)
    own = [pannier.Cache() for _ in range(20)]
    def use():
        for turn in range(50):
            for cache in own:
                cache.incr("n")
                cache.set("k", turn, px=1)
    users = [thread(use) for _ in range(3)]
    for user in users:
        user.start()
    for user in users:
        user.join()
    assert all(cache.get("n") == b"150" for cache in own)
    assert own[0].eval("return 1", 0) == 1
    with pannier.Server() as server:
        assert server.client().ping() and server.client().incr("n") == 1
    while any(cache.dbsize() for cache in caches):
        time.sleep(0.001)

for number in range(8):
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
os._exit(0)
"""


def test_a_child_lives_beside_what_its_parents_threads_have_left(in_process):
    assert in_process(CHILDREN).split() == ["0"] * 8
