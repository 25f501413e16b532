"""RQ: workers in processes of their own, jobs by name from guild_jobs.py."""

import sys
import time
import uuid
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest
from rq import Callback, Queue, RateLimit, Repeat, Retry, cancel_job, requeue_job
from rq.command import send_kill_horse_command, send_shutdown_command, send_stop_job_command
from rq.exceptions import DuplicateJobError
from rq.job import Job
from rq.registry import FailedJobRegistry, ScheduledJobRegistry
from rq.worker import Worker

import servers
from processes import Process
from servers import eventually

HERE = Path(__file__).resolve().parent


@pytest.fixture(scope="module")
def broker(_program):
    """A server of RQ's own, as its workers stay from test to test."""
    with servers.Server() as server:
        yield server


@pytest.fixture(scope="module")
def start(broker, tmp_path_factory):
    """Starts workers: `start("name", "queue", ...)`."""
    logs = tmp_path_factory.mktemp("rq")
    env = {"GUILD_SERVER": broker.url().rsplit("/", 1)[0]}

    def worker(name, *more):
        line = (sys.executable, "-m", "rq.cli", "worker", "-u", broker.url(), "-n", name, *more)
        return stack.enter_context(Process(line, logs / f"{name}.log", HERE, env))

    with ExitStack() as stack:
        yield worker


@pytest.fixture(scope="module")
def staff(start, broker):
    """Two workers for the queues `urgent` and `default`, one of them with the scheduler."""
    both = [start("one", "urgent", "default", "-s"), start("two", "urgent", "default")]
    for process in both:
        process.says(r"Listening on urgent, default", 30)
    yield both
    for process in both:
        assert process.stop() == 0, process.output()[-4000:]


@pytest.fixture
def r(broker):
    """RQ's connection: it must not decode."""
    with broker.client(decode_responses=False) as c:
        yield c


@pytest.fixture
def notes(broker):
    """Where the jobs note what they do."""
    with broker.client(db=2) as c:
        yield c


@pytest.fixture
def queue(r, staff):
    """The queue `default`, with workers behind it."""
    return Queue("default", connection=r)


@pytest.fixture
def name():
    """A name that no other test uses."""
    return uuid.uuid4().hex


def finished(job, status="finished", timeout_s=20):
    """Waits for a job to be finished; its result."""
    eventually(lambda: job.get_status(refresh=True) == status, timeout_s)
    return job.return_value(refresh=True)


def test_a_job_and_its_result(queue, r):
    job = queue.enqueue("guild_jobs.add", 2, 3, result_ttl=50)
    assert finished(job) == 5
    assert 40 < r.ttl(job.key) <= 50 and job.latest_result().return_value == 5
    job.refresh()
    assert job.ended_at >= job.started_at >= job.enqueued_at


def test_fifty_jobs_of_two_queues(queue, r, notes):
    prepared = [Queue.prepare_data("guild_jobs.add", (n, n)) for n in range(40)]
    jobs = queue.enqueue_many(prepared)
    jobs += [Queue("urgent", connection=r).enqueue("guild_jobs.add", n, n) for n in range(40, 50)]
    assert [finished(job) for job in jobs] == [2 * n for n in range(50)]
    assert queue.count == 0


def test_a_failure_is_kept_and_put_back(queue, r, name):
    job = queue.enqueue(
        "guild_jobs.flaky", name, 1, on_failure=Callback("guild_jobs.on_failure")
    )
    finished(job, "failed")
    failed = FailedJobRegistry(queue=queue)
    assert job.id in failed.get_job_ids() and "attempt 1" in job.latest_result().exc_string
    requeue_job(job.id, connection=r)
    assert finished(job) == 2 and job.id not in failed.get_job_ids()


def test_callbacks(queue, notes):
    good = queue.enqueue("guild_jobs.add", 1, 2, on_success=Callback("guild_jobs.on_success"))
    bad = queue.enqueue("guild_jobs.fail", "no", on_failure=Callback("guild_jobs.on_failure"))
    finished(good), finished(bad, "failed")
    eventually(lambda: notes.get(f"success:{good.id}") == "3")
    eventually(lambda: notes.get(f"failure:{bad.id}") == "no")


def test_retries(queue, name):
    job = queue.enqueue("guild_jobs.flaky", name, 2, retry=Retry(max=3))
    assert finished(job) == 3
    hopeless = queue.enqueue("guild_jobs.flaky", f"{name}2", 9, retry=Retry(max=1))
    eventually(lambda: hopeless.get_status(refresh=True) == "failed")
    assert "attempt 2" in hopeless.latest_result().exc_string


def test_scheduled_and_repeated(queue, notes, name):
    sent = time.time()
    # The scheduler counts whole seconds, so this is one to two seconds.
    later = queue.enqueue_in(timedelta(seconds=2), "guild_jobs.note", name, "later")
    assert later.id in ScheduledJobRegistry(queue=queue).get_job_ids()
    assert later.get_status() == "scheduled"
    repeated = queue.enqueue(
        "guild_jobs.note", name, "again", repeat=Repeat(times=2, interval=1)
    )
    assert finished(later, timeout_s=20) == "later" and time.time() - sent >= 0.9
    eventually(lambda: notes.lrange(f"words:{name}", 0, -1).count("again") == 3, 20)
    assert repeated.origin == "default"


def test_dependencies(queue, name):
    first = [queue.enqueue("guild_jobs.add", n, 1) for n in range(3)]
    after = queue.enqueue("guild_jobs.results_before", depends_on=first)
    assert sorted(finished(after)) == [1, 2, 3]
    bad = queue.enqueue("guild_jobs.fail", "no")
    never = queue.enqueue("guild_jobs.note", name, "never", depends_on=bad)
    finished(bad, "failed")
    assert never.get_status(refresh=True) == "deferred"


def test_a_unique_job_and_a_cancelled_one(r, name):
    idle = Queue(name, connection=r)
    idle.enqueue("guild_jobs.add", 1, 1, job_id=name, unique=True)
    with pytest.raises(DuplicateJobError):
        idle.enqueue("guild_jobs.add", 1, 1, job_id=name, unique=True)
    assert idle.job_ids == [name]
    cancel_job(name, connection=r)
    assert idle.count == 0 and Job.fetch(name, connection=r).get_status() == "canceled"


def test_a_limit_on_what_runs_at_once(queue, notes, name):
    limit = RateLimit(key=name, concurrency=1)
    jobs = [queue.enqueue("guild_jobs.busy", name, rate_limit=limit) for _ in range(8)]
    for job in jobs:
        finished(job)
    assert notes.lrange(f"most:{name}", 0, -1) == ["1"] * 8


def test_a_running_job_is_stopped(queue, r, notes, name):
    job = queue.enqueue("guild_jobs.slow", name, 60)
    assert notes.blpop(f"began:{name}", 15)
    send_stop_job_command(r, job.id)
    finished(job, "stopped")
    killed = queue.enqueue("guild_jobs.slow", f"{name}2", 60)
    assert notes.blpop(f"began:{name}2", 15)
    killed.refresh()
    send_kill_horse_command(r, killed.worker_name)
    finished(killed, "failed")
    assert not notes.exists(f"ended:{name}", f"ended:{name}2")
    assert finished(queue.enqueue("guild_jobs.add", 1, 1)) == 2


def test_a_job_that_takes_too_long(queue, notes, name):
    job = queue.enqueue("guild_jobs.slow", name, 60, job_timeout=1)
    finished(job, "failed")
    assert "JobTimeoutException" in job.latest_result().exc_string


def test_a_burst_worker_takes_all_in_order_and_leaves(start, r, notes, name):
    first, second = Queue(f"{name}-a", connection=r), Queue(f"{name}-b", connection=r)
    for n in range(5):
        second.enqueue("guild_jobs.note", name, f"b{n}")
    for n in range(5):
        first.enqueue("guild_jobs.note", name, f"a{n}")
    first.enqueue("guild_jobs.note", name, "front", at_front=True)
    process = start(name, first.name, second.name, "--burst")
    assert process.wait(30) == 0, process.output()
    words = ["front", *(f"a{n}" for n in range(5)), *(f"b{n}" for n in range(5))]
    assert notes.lrange(f"words:{name}", 0, -1) == words
    assert first.count == second.count == 0
    assert name not in [worker.name for worker in Worker.all(connection=r)]


def test_workers_are_known_and_shut_down_by_command(start, r, staff, name):
    assert {"one", "two"} <= {worker.name for worker in Worker.all(connection=r)}
    process = start(name, name)
    process.says(f"Listening on {name}", 30)
    eventually(lambda: name in [worker.name for worker in Worker.all(connection=r)])
    eventually(lambda: r.pubsub_numsub(f"rq:pubsub:{name}")[0][1] == 1)
    send_shutdown_command(r, name)
    assert process.wait(20) == 0
    assert name not in [worker.name for worker in Worker.all(connection=r)]
