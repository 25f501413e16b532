"""The Celery application of test_celery.py: broker on database 0, results on database 1.

GUILD_SERVER is the server's URL without a database; GUILD_VISIBILITY_S the visibility timeout.
"""

import os
import signal
import time

import redis
from celery import Celery

SERVER = os.environ["GUILD_SERVER"]
app = Celery("guild", broker=f"{SERVER}/0", backend=f"{SERVER}/1")
app.conf.update(
    broker_connection_retry_on_startup=True,
    broker_transport_options={
        "visibility_timeout": float(os.environ.get("GUILD_VISIBILITY_S", "60")),
        "unacked_restore_interval": 1,
        "unacked_restore_throttle": 1,
    },
    result_expires=600,
    task_track_started=True,
    task_default_queue="guild",
    worker_prefetch_multiplier=1,
)
notes = redis.Redis.from_url(f"{SERVER}/2", decode_responses=True)


@app.task
def add(x, y):
    """The usual one."""
    return x + y


@app.task
def total(numbers):
    """For chords."""
    return sum(numbers)


@app.task
def fail(words):
    """Fails with these words."""
    raise ValueError(words)


@app.task(bind=True, max_retries=3)
def flaky(self, failures):
    """Succeeds after so many failures, if that is no more than three."""
    try:
        if self.request.retries < failures:
            raise ConnectionError(f"attempt {self.request.retries}")
    except ConnectionError as e:
        raise self.retry(exc=e, countdown=0.01) from e
    return self.request.retries


@app.task(bind=True)
def stepwise(self, name):
    """Reports its progress, and goes on when told."""
    self.update_state(state="PROGRESS", meta={"done": 1, "of": 2})
    notes.blpop(f"go:{name}", 20)
    return "both"


@app.task
def moment():
    """When it ran."""
    return time.time()


@app.task
def sleep(name, seconds):
    """Notes that it began, then is slow."""
    notes.rpush(f"began:{name}", os.getpid())
    time.sleep(seconds)
    notes.rpush(f"ended:{name}", os.getpid())


@app.task(acks_late=True, bind=True)
def late(self, name):
    """Hangs at its first attempt; the later ones report whether they were delivered anew."""
    attempt = notes.rpush(f"attempts:{name}", os.getpid())
    if attempt == 1:
        time.sleep(60)
    return {"attempt": attempt, "redelivered": self.request.delivery_info["redelivered"]}


@app.task(acks_late=True, reject_on_worker_lost=True)
def deadly(name):
    """Kills the pool's process that runs it, once."""
    attempt = notes.rpush(f"attempts:{name}", os.getpid())
    if attempt == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return attempt
