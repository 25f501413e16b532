"""The site while its server is away, and when it is back."""

import pytest
import redis


def test_a_cache_that_ignores_exceptions_answers_as_if_empty(site, down):
    from django.core.cache import caches

    cache = caches["queries"]
    assert cache.get("k") is None and cache.get("k", "default") == "default"
    assert not cache.set("k", "v") and not cache.add("k", "v") and not cache.delete("k")
    assert cache.get_many(["a", "b"]) == {}
    assert not cache.has_key("k") and not cache.clear()  # touch is not covered by django-redis
    assert cache.get_or_set("k", lambda: "computed", 5) in ("computed", None)
    down()
    assert cache.set("k", "v") is True and cache.get("k") == "v"
    assert cache.get_many(["k"]) == {"k": "v"}


@pytest.mark.parametrize("alias", ["default", "views", "api"])
def test_a_cache_that_does_not_ignore_them_raises_and_recovers(site, down, alias):
    from django.core.cache import caches

    cache = caches[alias]
    for call in (lambda: cache.get("k"), lambda: cache.set("k", 1), lambda: cache.get_many(["k"])):
        with pytest.raises(redis.ConnectionError):
            call()
    down()
    cache.set("k", 1)
    assert cache.get("k") == 1


def test_pages_over_a_restart(site, browser):
    assert browser.get("/guild/1/").json()["locked"] is True
    site.stop()
    assert browser.get("/guild/1/").json()["locked"] is False, "computed without the cache"
    with pytest.raises(redis.ConnectionError):
        browser.get("/cached/")
    site.start()
    assert browser.get("/guild/1/").json()["locked"] is True
    first = browser.get("/cached/").content
    assert browser.get("/cached/").content == first


def test_sessions_over_a_restart(site, browser):
    from django.test import override_settings

    backend = "django.contrib.sessions.backends.cached_db"
    with override_settings(SESSION_ENGINE=backend):
        browser.post("/accounts/login/", {"username": "ada", "password": "countess"})
        assert browser.get("/profile/").content == b"Hello ada"
        site.restart()
        assert browser.get("/profile/").content == b"Hello ada", "read back from the database"


def test_a_server_killed_while_connections_are_open(site):
    from django.core.cache import caches

    for alias in ("default", "views", "queries", "api"):
        caches[alias].set("k", "v")
    site.kill()
    assert caches["queries"].get("k") is None
    site.start()
    for alias in ("default", "views", "queries", "api"):
        caches[alias].set("k", "w")
        assert caches[alias].get("k") == "w"
