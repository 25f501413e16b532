"""kombu's Redis transport by itself: what Celery's workers do beneath."""

import socket
import threading
import time

import pytest
from kombu import Connection, Consumer, Exchange, Producer, Queue

from servers import eventually


@pytest.fixture
def connection(server):
    """Makes connections with a short visibility timeout."""
    made = []

    def make(**more):
        options = {"visibility_timeout": 1, "unacked_restore_throttle": 1, **more}
        made.append(Connection(server.url(), transport_options=options))
        return made[-1]

    yield make
    for one in made:
        one.release()


def drain(connection, wanted, timeout_s=10):
    """Drains events until `wanted()`."""
    deadline = time.monotonic() + timeout_s
    while not wanted():
        assert time.monotonic() < deadline
        try:
            connection.drain_events(timeout=0.2)
        except socket.timeout:
            pass


def test_a_simple_queue(connection, client):
    with connection().SimpleQueue("mail") as queue:
        for n in range(100):
            queue.put({"n": n, "text": "zwölf"})
        assert queue.qsize() == 100 == client.llen("mail")
        for n in range(100):
            message = queue.get(timeout=5)
            assert message.payload == {"n": n, "text": "zwölf"}
            message.ack()
        with pytest.raises(queue.Empty):
            queue.get(timeout=0.1)
        queue.put("x" * 2_000_000, compression="zlib")
        assert len(queue.get(timeout=5).payload) == 2_000_000
        queue.put("gone")
        assert queue.clear() == 1 and client.llen("mail") == 0


def test_unacknowledged_messages(connection, client):
    one = connection()
    with one.SimpleQueue("mail") as queue:
        for n in range(3):
            queue.put(n)
        taken = [queue.get(timeout=5) for _ in range(3)]
        assert client.hlen("unacked") == 3 and client.zcard("unacked_index") == 3
        taken[0].ack()
        taken[1].requeue()
        taken[2].reject()
        assert client.hlen("unacked") == 0 and client.llen("mail") == 1
        again = queue.get(timeout=5)
        assert again.payload == 1 and again.delivery_info["redelivered"] is True
    one.release()
    assert client.llen("mail") == 1, "a connection that closes gives back what it had"


def test_what_is_not_acknowledged_in_time_goes_to_another(connection, client):
    queue = Queue("jobs", Exchange("jobs"), routing_key="jobs")
    first, second = connection(), connection()
    got = {"first": [], "second": []}

    def take(name):
        return lambda body, message: got[name].append((body, message))

    with Producer(first.channel()) as producer:
        producer.publish({"n": 1}, exchange="jobs", routing_key="jobs", declare=[queue])
    with Consumer(first.channel(), queue, callbacks=[take("first")]):
        drain(first, lambda: got["first"])
        with Consumer(second.channel(), queue, callbacks=[take("second")]):
            drain(second, lambda: got["second"])
            (body, message) = got["second"][0]
            assert body == {"n": 1} and message.delivery_info["redelivered"] is True
            message.ack()
            assert client.hlen("unacked") == 0 and client.llen("jobs") == 0


def test_priorities(connection):
    queue = Queue("jobs", Exchange("jobs"), routing_key="jobs", max_priority=9)
    one = connection(queue_order_strategy="priority", priority_steps=[0, 3, 6, 9])
    got = []
    channel = one.channel()
    for priority in (9, 3, 0, 6, 0):
        Producer(channel).publish(
            priority, exchange="jobs", routing_key="jobs", declare=[queue], priority=priority
        )

    def take(body, message):
        got.append(body)
        message.ack()

    with Consumer(channel, queue, callbacks=[take], prefetch_count=1):
        drain(one, lambda: len(got) == 5)
    assert got == [0, 0, 3, 6, 9]


def test_a_fanout_reaches_every_consumer(connection, client):
    news = Exchange("news", type="fanout")
    got = {n: [] for n in range(3)}
    ready, done = threading.Barrier(4), threading.Event()

    def listen(n):
        one = connection()
        queue = Queue(f"news-{n}", news)
        heard = [lambda body, _: got[n].append(body)]
        with Consumer(one.channel(), queue, callbacks=heard, no_ack=True):
            try:
                one.drain_events(timeout=0.01)
            except socket.timeout:
                pass
            ready.wait(20)
            drain(one, lambda: len(got[n]) == 20 or done.is_set(), 20)

    threads = [threading.Thread(target=listen, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    try:
        ready.wait(20)
        eventually(lambda: sum(int(c["psub"]) for c in client.client_list()) == 3)
        with connection() as one, Producer(one.channel(), exchange=news) as producer:
            for n in range(20):
                producer.publish(n, routing_key="")
        eventually(lambda: all(len(heard) == 20 for heard in got.values()))
    finally:
        done.set()
        for thread in threads:
            thread.join(20)
    assert got == {n: list(range(20)) for n in range(3)}


def test_topics(connection):
    topics = Exchange("topics", type="topic")
    queues = [Queue("eu", topics, routing_key="eu.#"), Queue("new", topics, routing_key="*.new")]
    one = connection()
    channel = one.channel()
    for key in ("eu.new", "eu.old.deep", "us.new", "us.old"):
        Producer(channel).publish(key, exchange=topics, routing_key=key, declare=queues)
    got = {}
    for queue in queues:
        got[queue.name] = []
        while (message := queue(channel).get()) is not None:
            got[queue.name].append(message.payload)
            message.ack()
    assert got == {"eu": ["eu.new", "eu.old.deep"], "new": ["eu.new", "us.new"]}


def test_a_prefix_for_all_keys(connection, client):
    with connection(global_keyprefix="site:").SimpleQueue("mail") as queue:
        queue.put("x")
        message = queue.get(timeout=5)
        assert message.payload == "x" and client.exists("site:unacked") == 1
        message.ack()
    assert all(key.startswith("site:") for key in client.keys())
