"""`pannier.Server` over TLS: certificates from files and from memory, and who may come in."""

import asyncio
import importlib.util
import os
import shutil
import ssl
from pathlib import Path

import pytest
import redis

import pannier
import pannier.server

CLIENTS = Path(__file__).resolve().parents[1] / "clients"


def _module(name: str):
    """A module of the client tests, which has no package."""
    spec = importlib.util.spec_from_file_location(name, CLIENTS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


certificates = _module("certificates")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """An authority and what it has issued."""
    openssl = shutil.which("openssl")
    assert openssl, "openssl makes the certificates of these tests: install it"
    return certificates.Certificates(openssl, tmp_path_factory.mktemp("certificates"))


def test_its_port_speaks_tls_and_nothing_else(made):
    with pannier.Server(tls_cert=made.cert("rsa"), tls_key=Path(made.key("rsa"))) as server:
        assert server.url == f"rediss://127.0.0.1:{server.port}/0"
        client = server.client(decode_responses=True)
        assert client.set("k", "v") and client.get("k") == "v"
        server.cache().set("large", b"x" * (1 << 20))
        assert len(client.get("large")) == 1 << 20
        with pytest.raises(redis.ConnectionError):
            redis.Redis(port=server.port, retry=None).ping()
        checked = redis.Redis.from_url(
            server.url.replace("127.0.0.1", "localhost"), ssl_ca_certs=made.cert("ca")
        )
        assert checked.ping()
        wrong = redis.Redis.from_url(server.url, ssl_ca_certs=made.cert("foreign"), retry=None)
        with pytest.raises(redis.ConnectionError, match="CERTIFICATE_VERIFY_FAILED"):
            wrong.ping()


def test_it_is_known_whether_it_runs(made):
    with pannier.Server(tls_cert=made.cert("rsa"), tls_key=made.key("rsa")) as server:
        assert server.running
        server.client().shutdown(nosave=True)
        assert not server.running


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_does_not_listen(made):
    with pannier.Server(tls_cert=made.cert("rsa"), tls_key=made.key("rsa")) as server:
        listening = pannier.server._listening_at
        assert listening(server.port)
        child = os.fork()
        if not child:
            os._exit(len(listening(server.port)))
        assert os.waitpid(child, 0)[1] == 0
        assert server.client().ping()


def test_certificates_may_be_in_memory(made):
    cert, key = Path(made.cert("ecdsa")).read_bytes(), Path(made.key("ecdsa")).read_text()
    with pannier.Server(tls_cert=cert, tls_key=key, port=0) as server:
        assert server.client().ping()

        async def talk():
            async with server.async_client() as client:
                return await client.echo("hi")

        assert asyncio.run(talk()) == b"hi"


def test_a_key_with_a_password(made):
    files = {"tls_cert": made.cert("rsa"), "tls_key": made.key("locked")}
    with pannier.Server(**files, tls_key_password=certificates.PASSWORD) as server:
        assert server.client().ping()
    with pytest.raises(ValueError, match="it is encrypted"):
        pannier.Server(**files)


def test_clients_show_certificates(made):
    files = {"tls_cert": made.cert("rsa"), "tls_key": made.key("rsa"), "tls_ca": made.cert("ca")}
    none = {"ssl_certfile": None, "ssl_keyfile": None, "retry": None}
    stranger = {
        "ssl_certfile": made.cert("stranger"),
        "ssl_keyfile": made.key("stranger"),
        "retry": None,
    }
    with pannier.Server(**files) as server:
        assert server.client().ping(), "with the server's own certificate"
        for options in (none, stranger):
            with pytest.raises(redis.ConnectionError):
                server.client(**options).ping()
    with pannier.Server(**files, tls_auth="optional") as server:
        assert server.client(**none).ping()
        with pytest.raises(redis.ConnectionError):
            server.client(**stranger).ping()
    with pannier.Server(**files, tls_auth=False) as server:
        assert server.client(**none).ping()


def test_a_cache_has_a_server_with_tls(made):
    cache = pannier.Cache()
    cache.set("k", "v")
    files = {"tls_cert": made.cert("rsa"), "tls_key": made.key("rsa")}
    with pannier.Server(cache=cache, **files) as server:
        client = server.client(ssl_min_version=ssl.TLSVersion.TLSv1_3)
        assert client.get("k") == b"v"
        with pytest.raises(redis.ResponseError, match="set where it is started"):
            client.config_set("tls-auth-clients", "no")


def test_what_cannot_be_used_is_said(made, tmp_path):
    with pytest.raises(TypeError, match="tls_cert and tls_key"):
        pannier.Server(tls_cert=made.cert("rsa"))
    with pytest.raises(ValueError, match="No such file"):
        pannier.Server(tls_cert=tmp_path / "none", tls_key=made.key("rsa"))
    with pytest.raises(ValueError, match="not the key of the certificate"):
        pannier.Server(tls_cert=made.cert("rsa"), tls_key=made.key("stranger"))
    with pytest.raises(ValueError, match="tls_auth"):
        pannier.Server(tls_cert=made.cert("rsa"), tls_key=made.key("rsa"), tls_auth="maybe")
