"""TLS: real clients with real certificates, and what a server does with wrong ones."""

import asyncio
import re
import socket
import ssl
import subprocess
import sys

import pytest
import redis
import redis.asyncio

import servers
from certificates import PASSWORD, Certificates
from servers import eventually

pytestmark = pytest.mark.only("pannier redis", "the wheel's build of Valkey has no TLS")


@pytest.fixture(scope="module")
def made(tool, tmp_path_factory):
    """The certificates of this run."""
    return Certificates(tool("openssl"), tmp_path_factory.mktemp("certificates"))


def directives(made, port, cert="ecdsa", key=None):
    return [
        *("--tls-port", str(port)),
        *("--tls-cert-file", made.cert(cert)),
        *("--tls-key-file", made.key(key or cert)),
        *("--tls-ca-cert-file", made.cert("ca")),
    ]


@pytest.fixture
def secure(launch, made):
    """Starts a server with TLS; plain TCP only where a real server cannot do without."""

    def start(*options, cert="ecdsa", key=None):
        port = servers.free_port()
        server = launch(*directives(made, port, cert, key), *options)
        server.tls_port = port
        return server

    return start


@pytest.fixture
def client(made):
    """redis-py with the client's certificate."""
    opened = []

    def connect(server, **options):
        opened.append(redis.Redis(**options_for(made, server), **options))
        return opened[-1]

    yield connect
    for one in opened:
        one.close()


def options_for(made, server):
    return {
        "host": "localhost",
        "port": server.tls_port,
        "ssl": True,
        "ssl_ca_certs": made.cert("ca"),
        "ssl_certfile": made.cert("client"),
        "ssl_keyfile": made.key("client"),
        "socket_timeout": 20,
        "retry": None,
    }


def url(made, server, database=0):
    files = {
        "ssl_ca_certs": made.cert("ca"),
        "ssl_certfile": made.cert("client"),
        "ssl_keyfile": made.key("client"),
    }
    query = "&".join(f"{name}={path}" for name, path in files.items())
    return f"rediss://localhost:{server.tls_port}/{database}?{query}"


@pytest.mark.parametrize("cert", ["rsa", "ecdsa"])
def test_redis_py_over_both_versions(secure, client, cert):
    server = secure(cert=cert)
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        for protocol in (2, 3):
            context = {"ssl_min_version": version, "protocol": protocol}
            r = client(server, **context)
            assert r.set("k", b"\x00\xff" * 10) and r.get("k") == b"\x00\xff" * 10
            pipe = r.pipeline(transaction=False)
            for number in range(2_000):
                pipe.set(f"k{number}", number)
            assert pipe.execute() == [True] * 2_000
            large = b"x" * (3 << 20)
            r.set("large", large)
            assert r.get("large") == large
            assert r.mget(["k1", "none", "k2"]) == [b"1", None, b"2"]
    assert server.alive()


def test_what_the_server_says_of_itself(secure, client):
    server = secure()
    r = client(server, decode_responses=True)
    port = server.tls_port
    assert r.config_get("tls-port") == {"tls-port": str(port)}
    assert r.client_info()["laddr"] == f"127.0.0.1:{port}"
    assert r.client_list()[0]["addr"].startswith("127.0.0.1:")
    if server.kind == "pannier":
        assert r.info("server")["tcp_port"] == port
        assert r.config_get("port") == {"port": "0"}
        assert f"listening on 127.0.0.1:{port} (TLS)".encode() in server.output()
        assert server.port == port, "with --port 0 it speaks nothing but TLS"


def test_messages_and_waits(secure, client):
    server = secure()
    r, other = client(server, decode_responses=True), client(server, decode_responses=True)
    with r.pubsub() as messages:
        messages.subscribe("news")
        assert messages.get_message(timeout=5)["type"] == "subscribe"
        other.publish("news", "x" * 100_000)
        assert messages.get_message(timeout=5)["data"] == "x" * 100_000
    with r.monitor() as monitor:
        other.echo("seen")
        assert "seen" in monitor.next_command()["command"]
    other.rpush("jobs", "one")
    assert r.blpop("jobs", timeout=5) == ("jobs", "one")
    assert r.blpop("jobs", timeout=0.05) is None


def test_asyncio(secure, made):
    server = secure()

    async def talk():
        async with redis.asyncio.from_url(url(made, server), decode_responses=True) as r:
            await r.set("k", "v")
            assert await asyncio.gather(*(r.get("k") for _ in range(10))) == ["v"] * 10
            large = "y" * (1 << 20)
            await r.set("large", large)
            assert await r.get("large") == large

    asyncio.run(talk())


def test_certificates_of_clients(secure, client, made):
    server = secure()
    assert client(server).ping()
    wrong = [
        {"ssl_certfile": None, "ssl_keyfile": None},
        {"ssl_certfile": made.cert("stranger"), "ssl_keyfile": made.key("stranger")},
    ]
    for options in wrong:
        with redis.Redis(**{**options_for(made, server), **options}) as r:
            with pytest.raises(redis.ConnectionError):
                r.ping()
    wanted = rb"Error accepting a client connection: ."
    assert eventually(lambda: re.search(wanted, server.output()))
    client(server).config_set("tls-auth-clients", "optional")
    for options, welcome in zip(wrong, (True, False)):
        with redis.Redis(**{**options_for(made, server), **options}) as r:
            if welcome:
                assert r.ping()
            else:
                with pytest.raises(redis.ConnectionError):
                    r.ping()
    client(server).config_set("tls-auth-clients", "no")
    for options in wrong:
        with redis.Redis(**{**options_for(made, server), **options}) as r:
            assert r.ping()


def test_a_client_believes_the_right_authority_only(secure, made):
    server = secure()
    options = {**options_for(made, server), "ssl_ca_certs": made.cert("foreign")}
    with redis.Redis(**options) as r, pytest.raises(redis.ConnectionError, match="CERTIFICATE"):
        r.ping()
    options = {**options_for(made, server), "host": "127.0.0.9"}
    if server.kind == "redis":
        with redis.Redis(**options) as r, pytest.raises(redis.ConnectionError):
            r.ping()


def test_a_key_with_a_password(secure, client, made, tmp_path):
    server = secure("--tls-key-file-pass", PASSWORD, cert="rsa", key="locked")
    assert client(server).ping()
    assert PASSWORD.encode() not in server.output()
    said = refused(made, tmp_path, "--tls-key-file-pass", "wrong", cert="rsa", key="locked")
    assert "Failed to load private key" in said


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--tls-cert-file", "/none"], "Failed to load certificate: /none: .*No such file"),
        (["--tls-cert-file", ""], "No tls-cert-file configured!"),
        (["--tls-key-file", ""], "No tls-key-file configured!"),
        (["--tls-key-file", "STRANGER"], "Failed to load private key: .*"),
        (["--tls-ca-cert-file", "/none"], r"Failed to configure CA certificate\(s\)"),
        (["--tls-ca-cert-file", ""], "Either tls-ca-cert-file or tls-ca-cert-dir must be"),
        (["--tls-protocols", "SSLv3"], "Invalid tls-protocols specified. Use a combination of"),
        (["--tls-ciphers", "NONE-OF-THEM"], "Failed to configure ciphers: NONE-OF-THEM"),
        (["--tls-ciphersuites", "NONE"], "Failed to configure ciphersuites: NONE"),
    ],
)
def test_a_start_with_what_cannot_be_used_says_why(made, tmp_path, options, words):
    options = [made.key("stranger") if word == "STRANGER" else word for word in options]
    assert re.search(words, refused(made, tmp_path, *options))


def refused(made, directory, *options, **certificate):
    """What a server says that does not start, which ends with exit code 1."""
    line = [servers.binary(), "--port", "0", *directives(made, servers.free_port(), **certificate)]
    if servers.kind() == "redis":
        line += ["--save", ""]
    done = subprocess.run([*line, *options], capture_output=True, timeout=20, cwd=directory)
    assert done.returncode == 1
    return done.stdout.decode()


def test_certificates_change_for_those_who_come_later(secure, client, made):
    server = secure(cert="ecdsa")
    old = client(server, decode_responses=True)
    assert old.ping() and algorithm(made, server) == "ecdsa"
    with pytest.raises(redis.ResponseError, match="Unable to update TLS configuration"):
        old.config_set("tls-cert-file", made.cert("stranger"))
    assert old.config_get("tls-cert-file") == {"tls-cert-file": made.cert("ecdsa")}
    files = {"tls-cert-file": made.cert("rsa"), "tls-key-file": made.key("rsa")}
    old.execute_command("CONFIG", "SET", *(word for pair in files.items() for word in pair))
    assert algorithm(made, server) == "rsa"
    port = servers.free_port()
    old.config_set("tls-port", port)
    assert old.ping(), "who is there stays"
    before, server.tls_port = server.tls_port, port
    assert eventually(lambda: algorithm(made, server)) == "rsa"
    eventually(lambda: not reachable(before))


def algorithm(made, server):
    """The kind of the server's key, by the signatures that it can make."""
    context = ssl.create_default_context(cafile=made.cert("ca"))
    context.load_cert_chain(made.cert("client"), made.key("client"))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with socket.create_connection(("127.0.0.1", server.tls_port)) as plain:
        with context.wrap_socket(plain, server_hostname="localhost") as wrapped:
            return "rsa" if "RSA" in wrapped.cipher()[0] else "ecdsa"


def reachable(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
        return True
    except OSError:
        return False


def test_plain_text_is_cut_and_silence_holds_nobody_up(secure, client):
    server = secure()
    silent = [socket.create_connection(("127.0.0.1", server.tls_port)) for _ in range(20)]
    with socket.create_connection(("127.0.0.1", server.tls_port), timeout=10) as plain:
        plain.sendall(b"PING\r\n")
        said = b""
        try:
            while part := plain.recv(100):
                said += part
        except ConnectionResetError:
            pass
        assert b"PONG" not in said and len(said) < 20
    assert client(server).ping()
    assert b"Error accepting a client connection" in server.output()
    r = client(server)
    assert r.info("clients")["connected_clients"] >= 21, "they count"
    for one in silent:
        one.close()
    eventually(lambda: r.info("clients")["connected_clients"] <= 3)


def test_the_end_is_told(secure, client, made):
    server = secure()
    context = ssl.create_default_context(cafile=made.cert("ca"))
    context.load_cert_chain(made.cert("client"), made.key("client"))
    with socket.create_connection(("127.0.0.1", server.tls_port)) as plain:
        with context.wrap_socket(
            plain, server_hostname="localhost", suppress_ragged_eofs=False
        ) as wrapped:
            wrapped.sendall(b"PING\r\n")
            assert wrapped.recv(100) == b"+PONG\r\n"
            wrapped.sendall(b"QUIT\r\n")
            assert wrapped.recv(100) == b"+OK\r\n"
            assert wrapped.recv(100) == b"", "with close_notify, or this raises"
    if server.kind == "pannier":
        r = client(server)
        r.ping()
        assert server.stop() == 0


def test_redis_cli(secure, made, tool, run):
    server = secure()
    cli = [
        *(tool("redis-cli"), "--tls", "-h", "localhost", "-p", server.tls_port),
        *("--cacert", made.cert("ca"), "--cert", made.cert("client"), "--key", made.key("client")),
    ]
    assert run(*cli, "SET", "k", "v").stdout == b"OK\n"
    assert run(*cli, "-x", "SET", "large", input=b"z" * (1 << 20)).stdout == b"OK\n"
    assert run(*cli, "GET", "large").stdout == b"z" * (1 << 20) + b"\n"
    many = b"".join(servers.frame("SET", f"k{n}", n) for n in range(10_000))
    assert b"errors: 0, replies: 10000" in run(*cli, "--pipe", input=many).stdout
    assert run(*cli, "DBSIZE").stdout == b"10002\n"
    assert b"10002 keys" in run(*cli, "--bigkeys").stdout
    without = [word for word in cli if word not in ("--cert", made.cert("client"))]
    run(*without, "PING", code=1)


def test_redis_benchmark(secure, made, tool, run):
    server = secure(cert="rsa")
    line = [
        *(tool("redis-benchmark"), "--tls", "-h", "localhost", "-p", server.tls_port),
        *("--cacert", made.cert("ca"), "--cert", made.cert("client"), "--key", made.key("client")),
        *("-q", "-n", "5000", "-c", "20", "-P", "8", "-t", "set,get,lrange_100"),
    ]
    said = run(*line).stdout.decode()
    assert len(re.findall(r"requests per second", said)) >= 4


@pytest.mark.parametrize(
    "backend", ["django_redis.cache.RedisCache", "django.core.cache.backends.redis.RedisCache"]
)
def test_django(secure, made, run, backend):
    server = secure()
    script = f"""
import django
from django.conf import settings
cache = {{"BACKEND": "{backend}", "LOCATION": "{url(made, server, 1)}"}}
settings.configure(CACHES={{"default": cache}})
django.setup()
from django.core.cache import cache
cache.set("k", {{"a": [1, 2]}}, 60)
assert cache.get("k") == {{"a": [1, 2]}}
assert cache.get_or_set("other", lambda: "x" * 100_000) == "x" * 100_000
cache.set_many({{f"k{{n}}": n for n in range(100)}})
assert cache.get_many([f"k{{n}}" for n in range(100)])["k99"] == 99
assert cache.delete("k") and cache.get("k") is None
print("done")
"""
    assert run(sys.executable, "-c", script).stdout == b"done\n"


def test_node(secure, made, node, spawn, request):
    server = secure()
    script = request.path.parent / "node" / "tls.test.js"
    env = {
        "SERVER_PORT": str(server.tls_port),
        "SERVER_CA": made.cert("ca"),
        "CLIENT_CERT": made.cert("client"),
        "CLIENT_KEY": made.key("client"),
        "NODE_DISABLE_COLORS": "1",
    }
    process = spawn(node, "--test-reporter=tap", script, env=env)
    assert process.wait(50) == 0, process.output()
    assert re.search(r"^# pass 2$", process.output(), re.M), process.output()
