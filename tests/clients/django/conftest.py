"""The site's own server, with a password, and Django set up to use it.

Django is set up once, so its server lives as long as the run; it keeps its port over restarts.
"""

import os

import pytest

import servers


@pytest.fixture(scope="session")
def _site(_program, tmp_path_factory):
    with servers.Server(password="s3cret") as server:
        os.environ["GUILDSITE_REDIS"] = server.url().rsplit("/", 1)[0]
        os.environ["GUILDSITE_DATABASE"] = str(tmp_path_factory.mktemp("site") / "db.sqlite3")
        os.environ["DJANGO_SETTINGS_MODULE"] = "guildsite.settings"
        import django
        from django.core.management import call_command
        from django.test.utils import setup_test_environment

        django.setup()
        from django.contrib.auth.models import User

        setup_test_environment()
        call_command("migrate", verbosity=0)
        for name in ("ada", "bob", "cem"):
            User.objects.create_user(name, password="countess")
        yield server


@pytest.fixture
def site(_site):
    """The site's server, empty and running."""
    if not _site.alive():
        _site.start()
    with _site.client() as c:
        c.flushall()
        c.config_resetstat()
    yield _site
    assert _site.alive(), f"the server died:\n{_site.output().decode()[-4000:]}"


@pytest.fixture
def down(_site, site):
    """Stops the site's server; calling it starts the server again."""
    site.stop()
    yield site.start
    if not site.alive():
        site.start()


@pytest.fixture(params=["default", "views", "queries", "api"])
def cache(request, site):
    """Each of the four caches."""
    from django.core.cache import caches

    return caches[request.param]


@pytest.fixture(params=["default", "queries"])
def extended(request, site):
    """The caches of django-redis, which can do more."""
    from django.core.cache import caches

    return caches[request.param]


@pytest.fixture
def raw(site):
    """Looks into a database from outside: `raw(1).keys()`."""
    opened = []

    def connect(database):
        opened.append(site.client(db=database, decode_responses=False))
        return opened[-1]

    yield connect
    for c in opened:
        c.close()


@pytest.fixture
def browser(site):
    """Django's test client."""
    from django.test import Client

    return Client(enforce_csrf_checks=False)
