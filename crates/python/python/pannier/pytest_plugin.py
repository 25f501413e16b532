"""The pytest plugin: a cache and a server for every test, clean and isolated.

Each worker of pytest-xdist is a process and has an engine of its own. Within one, tests share an
engine that is brought back to where it was after each test: that takes microseconds, whatever the
test has stored, and what fixtures of a wider scope stored before stays (`pannier.isolation` says
what else is brought back). `--pannier-scope=function` gives every test a new engine instead.

| fixture | what it is |
|---|---|
| `pannier_cache` | a `pannier.Cache`, database 0 |
| `pannier_server` | a `pannier.Server` of the same engine |
| `redis_url` | its URL |
| `pannier_shared` | the cache in the scope of `--pannier-scope`, for what many tests need |
| `pannier_clock` | the engine's `Clock` |
| `pannier_faults` | the engine's `Faults` |
| `pannier_recorder` | `with pannier_recorder() as seen:` writes down what clients ask |
| `pannier_options` | override it: the directives of the engine, a dict |
"""

from __future__ import annotations

from typing import Any, Callable, Iterator

import pytest

from .cache import Cache
from .clock import Clock
from .faults import Faults
from .isolation import Before, Site, numbers_of, remove_faults
from .recorder import Recorder
from .server import Server

SCOPES = ("function", "class", "module", "package", "session")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of the command line and of ini files."""
    text = "let the engine's clock follow freezegun and time-machine"
    parser.addini("pannier_follow_time", text, type="bool", default=False)
    text = "how long an engine of the fixtures lives: " + ", ".join(SCOPES)
    parser.addini("pannier_scope", text, default="session")
    parser.getgroup("pannier").addoption("--pannier-scope", choices=SCOPES, help=text)


def pytest_configure(config: pytest.Config) -> None:
    """Refuses a scope that is none."""
    scope = _scope("", config)
    if scope not in SCOPES:
        raise pytest.UsageError(f"pannier_scope = {scope}: it is one of {', '.join(SCOPES)}")


def _scope(fixture_name: str, config: pytest.Config) -> Any:
    return config.getoption("--pannier-scope", None) or config.getini("pannier_scope")


@pytest.fixture(scope="session")
def pannier_options() -> "dict[str, Any]":
    """Directives of the engine; to be overridden."""
    return {}


@pytest.fixture(scope=_scope)
def _pannier_site(pannier_options: "dict[str, Any]") -> Iterator[Site]:
    site = Site({"test_mode": True, **pannier_options})
    yield site
    site.stop()


@pytest.fixture(scope=_scope)
def pannier_shared(_pannier_site: Site) -> Cache:
    """The engine's cache in the scope of `--pannier-scope`: what is stored here by a fixture of
    that scope is there in every test."""
    return _pannier_site.cache


@pytest.fixture
def _pannier_clean(request: pytest.FixtureRequest, pannier_shared: Cache) -> Iterator[None]:
    before = Before(pannier_shared)
    if request.config.getini("pannier_follow_time"):
        with pannier_shared.clock.following():
            yield
    else:
        yield
    before.restore()


@pytest.fixture
def pannier_cache(_pannier_clean: None, pannier_shared: Cache) -> Cache:
    """Database 0, as it was before the test; `pannier_cache.at(n)` are the others."""
    return pannier_shared


@pytest.fixture
def pannier_server(_pannier_clean: None, _pannier_site: Site) -> Server:
    """A server, as it was before the test; another one at its address, if that ended."""
    return _pannier_site.server


@pytest.fixture
def pannier_clock(pannier_cache: Cache) -> Iterator[Clock]:
    """The engine's clock. With `pannier_follow_time` in the ini file it follows freezegun and
    time-machine; `with pannier_clock.following():` does so for a block."""
    yield pannier_cache.clock
    pannier_cache.clock.reset()


@pytest.fixture
def pannier_faults(pannier_cache: Cache) -> Iterator[Faults]:
    """The engine's faults: `pannier_faults.add(error="READONLY", command="set")`. They end with the
    test."""
    faults = pannier_cache.faults()
    kept = numbers_of(faults)
    yield faults
    remove_faults(faults, kept)


@pytest.fixture
def pannier_recorder(pannier_cache: Cache) -> "Iterator[Callable[..., Recorder]]":
    """Makes recorders: within `with pannier_recorder() as seen:` the requests of clients are
    written down, for `seen.round_trips` and `len(seen)`. The options are those of
    `Cache.recorder`."""
    made: "list[Recorder]" = []

    def recorder(**options: Any) -> Recorder:
        made.append(pannier_cache.recorder(**options))
        return made[-1]

    yield recorder
    for one in reversed(made):
        one.stop()


@pytest.fixture
def redis_url(pannier_server: Server) -> str:
    """The URL of `pannier_server`'s database 0."""
    return pannier_server.url
