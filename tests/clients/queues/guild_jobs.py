"""The jobs of test_rq.py. They note what they do on database 2 of GUILD_SERVER."""

import os
import time

import redis
from rq import get_current_job

notes = redis.Redis.from_url(f"{os.environ['GUILD_SERVER']}/2", decode_responses=True)


def add(x, y):
    """The usual one."""
    return x + y


def fail(words):
    """Fails with these words."""
    raise ValueError(words)


def flaky(name, failures):
    """Succeeds after so many failures."""
    attempt = notes.incr(f"attempts:{name}")
    if attempt <= failures:
        raise ConnectionError(f"attempt {attempt}")
    return attempt


def slow(name, seconds):
    """Notes that it began, then takes its time."""
    notes.rpush(f"began:{name}", os.getpid())
    time.sleep(seconds)
    notes.rpush(f"ended:{name}", os.getpid())


def note(name, word):
    """Notes a word, in the order of the runs."""
    notes.rpush(f"words:{name}", word)
    return word


def results_before():
    """The results of the jobs that this one waited for."""
    return [job.return_value() for job in get_current_job().fetch_dependencies()]


def busy(name):
    """Notes how many run at once."""
    notes.rpush(f"most:{name}", notes.incr(f"now:{name}"))
    time.sleep(0.05)
    notes.decr(f"now:{name}")


def on_success(job, connection, result):
    """A callback."""
    notes.set(f"success:{job.id}", result)


def on_failure(job, connection, kind, value, traceback):
    """A callback."""
    notes.set(f"failure:{job.id}", str(value))
