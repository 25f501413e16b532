"""Celery's results in a cache of this process."""

import pytest
from celery import Celery, chord, group
from celery.contrib.testing.worker import start_worker

import pannier


@pytest.fixture
def app():
    app = Celery(
        "test",
        broker="memory://",
        backend="pannier.celery.PannierBackend+pannier://celery-test/3",
    )
    app.conf.update(worker_hijack_root_logger=False, result_expires=100)

    @app.task(name="add")
    def add(a, b):
        return a + b

    @app.task(name="total")
    def total(numbers):
        return sum(numbers)

    @app.task(name="fail")
    def fail():
        raise KeyError("missing")

    with start_worker(app, pool="solo", perform_ping_check=False):
        yield app


def test_results(app):
    add, total, fail = (app.tasks[name] for name in ("add", "total", "fail"))
    assert add.delay(2, 3).get(timeout=10) == 5
    assert group(add.s(n, n) for n in range(3))().get(timeout=10) == [0, 2, 4]
    assert chord((add.s(n, 1) for n in range(3)), total.s())().get(timeout=10) == 6
    with pytest.raises(KeyError):
        fail.delay().get(timeout=10)
    cache = pannier.Cache.from_url("pannier://celery-test/3")
    keys = cache.keys("celery-task-meta-*")
    assert keys and all(90 < cache.ttl(key) <= 100 for key in keys)
