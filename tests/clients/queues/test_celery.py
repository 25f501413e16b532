"""Celery with its unmodified Redis transport: broker on database 0, results on database 1."""

import datetime
import importlib
import sys
import time
import uuid
from pathlib import Path

import pytest
from celery import chain, chord, group
from celery.exceptions import ChordError, TaskRevokedError

import servers
from processes import Process
from servers import eventually

HERE = Path(__file__).resolve().parent


@pytest.fixture(scope="module")
def broker(_program):
    """A server of Celery's own: its bindings may not be flushed under a running worker."""
    with servers.Server(password="s3cret") as server:
        yield server


@pytest.fixture(scope="module")
def tasks(broker):
    """The application, as a site imports it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GUILD_SERVER", broker.url().rsplit("/", 1)[0])
        patch.delenv("DJANGO_SETTINGS_MODULE", raising=False)  # Celery would adopt that site
        patch.syspath_prepend(HERE)
        yield importlib.import_module("guild_tasks")


def worker(directory, name, *more, visibility_s=60):
    """A worker process with two children."""
    line = (sys.executable, "-m", "celery", "-A", "guild_tasks", "worker", "-c", "2", "-l", "INFO")
    line += ("-n", f"{name}@site", *more)
    env = {"GUILD_VISIBILITY_S": str(visibility_s), "C_FORCE_ROOT": "1"}
    return Process(line, directory / f"{name}.log", HERE, env)


@pytest.fixture(scope="module")
def _worker(tasks, tmp_path_factory):
    with worker(tmp_path_factory.mktemp("celery"), "main", "-Q", "guild,mail") as process:
        process.says(r"main@site ready", 40)
        yield process
        assert process.stop() == 0, process.output()[-4000:]


@pytest.fixture
def name():
    """A name that no other test uses."""
    return uuid.uuid4().hex


@pytest.fixture
def app(tasks, _worker):
    """The application with a worker behind it."""
    assert _worker.process.poll() is None
    return tasks.app


@pytest.fixture
def raw(broker):
    """Looks into a database from outside."""
    opened = []

    def connect(database):
        opened.append(broker.client(db=database))
        return opened[-1]

    yield connect
    for c in opened:
        c.close()


def test_a_task_and_where_its_result_is(app, tasks, raw):
    result = tasks.add.delay(2, 3)
    assert result.get(timeout=10) == 5 and result.state == "SUCCESS" and result.successful()
    key = f"celery-task-meta-{result.id}"
    assert raw(1).exists(key) and 590 < raw(1).ttl(key) <= 600 and not raw(0).exists(key)
    assert raw(0).smembers("_kombu.binding.guild") and not raw(1).exists("_kombu.binding.guild")
    result.forget()
    assert not raw(1).exists(key)
    eventually(lambda: not raw(0).exists("unacked", "unacked_index"))


def test_two_hundred_tasks(app, tasks):
    results = group(tasks.add.s(n, n) for n in range(200)).apply_async()
    assert results.get(timeout=30) == [2 * n for n in range(200)]


def test_a_failure(app, tasks):
    result = tasks.fail.delay("zwölf")
    with pytest.raises(ValueError, match="zwölf"):
        result.get(timeout=10)
    assert result.state == "FAILURE" and "ValueError" in result.traceback


def test_retries(app, tasks):
    assert tasks.flaky.delay(2).get(timeout=20) == 2
    with pytest.raises(ConnectionError, match="attempt 3"):
        tasks.flaky.delay(9).get(timeout=20)


def test_a_countdown_and_an_expiry(app, tasks):
    sent = time.time()
    soon = tasks.moment.apply_async(countdown=0.8)
    at = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=0.5)
    sooner = tasks.moment.apply_async(eta=at)
    past = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=5)
    expired = tasks.moment.apply_async(expires=past)
    assert 0.8 <= soon.get(timeout=15) - sent and 0.5 <= sooner.get(timeout=15) - sent
    with pytest.raises(TaskRevokedError, match="expired"):
        expired.get(timeout=15)


def test_chains_and_chords(app, tasks):
    assert chain(tasks.add.s(1, 2), tasks.add.s(10), tasks.add.s(100))().get(timeout=10) == 113
    header = [tasks.add.s(n, 1) for n in range(20)]
    assert chord(header)(tasks.total.s()).get(timeout=20) == sum(range(1, 21))
    inner = chord([tasks.add.s(1, 1), tasks.add.s(2, 2)], tasks.total.s())
    assert chord([inner, tasks.add.s(10, 10)])(tasks.total.s()).get(timeout=20) == 26
    assert tasks.add.starmap([(1, 2), (3, 4)]).apply_async().get(timeout=10) == [3, 7]


def test_a_chord_whose_header_fails(app, tasks):
    result = chord([tasks.add.s(1, 1), tasks.fail.s("no")])(tasks.total.s())
    with pytest.raises((ChordError, ValueError), match="no"):
        result.get(timeout=15)
    eventually(lambda: result.state == "FAILURE")
    assert isinstance(result.result, ChordError)


def test_progress_is_seen_from_outside(app, tasks, name):
    result = tasks.stepwise.delay(name)
    eventually(lambda: result.state == "PROGRESS")
    assert result.info == {"done": 1, "of": 2}
    tasks.notes.rpush(f"go:{name}", "go")
    assert result.get(timeout=10) == "both"


def test_a_queue_of_its_own_and_one_added_while_running(app, tasks, name):
    assert tasks.add.apply_async((1, 1), queue="mail").get(timeout=10) == 2
    waiting = tasks.add.apply_async((2, 2), queue=name)
    reply = app.control.add_consumer(name, reply=True, timeout=10, limit=1)
    assert "start" in str(reply) or "add consumer" in str(reply)
    assert waiting.get(timeout=10) == 4


def test_workers_are_asked_by_broadcast(app):
    assert app.control.ping(timeout=10, limit=1) == [{"main@site": {"ok": "pong"}}]
    inspect = app.control.inspect(destination=["main@site"], timeout=10, limit=1)
    assert "guild_tasks.add" in inspect.registered()["main@site"]
    queues = {q["name"] for q in inspect.active_queues()["main@site"]}
    assert {"guild", "mail"} <= queues
    assert inspect.stats()["main@site"]["pool"]["max-concurrency"] == 2


def test_revoked_before_it_began(app, tasks, name):
    app.control.revoke(name)
    inspect = app.control.inspect(destination=["main@site"], timeout=10, limit=1)
    eventually(lambda: name in (inspect.revoked() or {}).get("main@site", []))
    result = tasks.sleep.apply_async((name, 0), task_id=name)
    with pytest.raises(TaskRevokedError):
        result.get(timeout=10)
    assert result.state == "REVOKED" and not tasks.notes.exists(f"began:{name}")


def test_revoked_while_it_ran(app, tasks, name):
    result = tasks.sleep.delay(name, 60)
    assert tasks.notes.blpop(f"began:{name}", 15)
    result.revoke(terminate=True, signal="SIGKILL")
    with pytest.raises(TaskRevokedError, match="terminated"):
        result.get(timeout=15)
    assert not tasks.notes.exists(f"ended:{name}")
    assert tasks.add.delay(1, 1).get(timeout=15) == 2, "the pool has a new process"


def test_a_lost_child_returns_its_task(app, tasks, name):
    assert tasks.deadly.delay(name).get(timeout=20) == 2
    assert len(set(tasks.notes.lrange(f"attempts:{name}", 0, -1))) == 2


def test_a_killed_worker_returns_its_task_after_the_visibility_timeout(tasks, name, raw, tmp_path):
    with worker(tmp_path, "first", "-Q", name, "--without-mingle", visibility_s=2) as first:
        result = tasks.late.apply_async((name,), queue=name)
        assert tasks.notes.blmove(f"attempts:{name}", f"attempts:{name}", 30, "LEFT", "LEFT")
        assert raw(0).hlen("unacked") == 1 and raw(0).zcard("unacked_index") == 1
        first.kill()
    assert raw(0).llen(name) == 0 and raw(0).hlen("unacked") == 1, "nobody gave it back"
    with worker(tmp_path, "second", "-Q", name, "--without-mingle", visibility_s=2) as second:
        assert result.get(timeout=30) == {"attempt": 2, "redelivered": True}
        eventually(lambda: raw(0).hlen("unacked") == 0)
        assert second.stop() == 0
    assert not raw(0).exists("unacked_index", name)


def test_a_worker_outlives_a_restart_of_its_server(launch, tmp_path):
    server = launch()
    env = {"GUILD_SERVER": server.url().rsplit("/", 1)[0]}
    line = (sys.executable, "-m", "celery", "-A", "guild_tasks", "worker", "-c", "1", "-l", "INFO")
    line += ("-n", "back@site", "-Q", "guild", "--without-mingle")
    script = "import guild_tasks; print('sum', guild_tasks.add.delay(2, 3).get(timeout=20))"
    with Process(line, tmp_path / "worker.log", HERE, {**env, "C_FORCE_ROOT": "1"}) as process:
        process.says("back@site ready", 40)
        server.restart()
        process.says("[Cc]onnection to broker lost|Cannot connect to", 20)
        client = Process((sys.executable, "-c", script), tmp_path / "client.log", HERE, env)
        try:
            client.says("sum 5", 40)
        finally:
            client.kill()
