"""Django's own views and sessions over the caches, through Django's test client."""

import re
import time

import pytest


@pytest.fixture(params=["cache", "cached_db"])
def engine(request, site):
    """Sessions in the cache alone, or in the cache before the database."""
    from django.test import override_settings

    with override_settings(SESSION_ENGINE=f"django.contrib.sessions.backends.{request.param}"):
        yield request.param


def session_keys(raw):
    """The keys of sessions, which are all in the database of `default`."""
    return [key for key in raw(1).keys() if b"django.contrib.sessions" in key]


def test_login_profile_logout(engine, browser, raw):
    assert browser.get("/profile/").headers["Location"] == "/accounts/login/?next=/profile/"
    assert browser.get("/accounts/login/").status_code == 200
    wrong = browser.post("/accounts/login/", {"username": "ada", "password": "wrong"})
    assert wrong.status_code == 200 and not session_keys(raw)
    right = browser.post("/accounts/login/", {"username": "ada", "password": "countess"})
    assert right.status_code == 302 and right.headers["Location"] == "/profile/"
    (key,) = session_keys(raw)
    assert browser.session.session_key.encode() in key
    assert raw(1).ttl(key) > 1_209_000, "two weeks, as Django's default says"
    assert browser.get("/profile/").content == b"Hello ada"
    assert browser.post("/accounts/logout/").status_code == 302
    assert not session_keys(raw)
    assert browser.get("/profile/").status_code == 302


def test_a_session_counts_and_ends_with_its_key(engine, browser, raw):
    assert [browser.get("/visits/").content for _ in range(3)] == [b"1", b"2", b"3"]
    other = type(browser)()
    assert other.get("/visits/").content == b"1" and len(session_keys(raw)) == 2
    raw(1).flushdb()
    again = browser.get("/visits/").content
    assert again == (b"4" if engine == "cached_db" else b"1"), "cached_db has it in the database"


def test_an_expiring_session(engine, browser, raw):
    browser.get("/visits/")
    session = browser.session
    session.set_expiry(1)
    session.save()
    assert browser.get("/visits/").content == b"2"
    time.sleep(1.1)
    assert browser.get("/visits/").content == b"1"


def test_a_cached_page(browser, raw):
    first = browser.get("/cached/")
    assert browser.get("/cached/").content == first.content
    assert re.search(r"max-age=\d+", first.headers["Cache-Control"])
    other = browser.get("/cached/?q=1")
    assert other.content != first.content
    kept = sorted(key.decode() for key in raw(2).keys())
    assert len(kept) == 4 and all(key.startswith("views:2:views.decorators.cache") for key in kept)
    assert all(0 < raw(2).ttl(key) <= 60 for key in kept)
    raw(2).flushdb()
    assert browser.get("/cached/").content != first.content


def test_a_template_fragment(browser, raw):
    first = browser.get("/fragment/?guild=7").content
    time.sleep(0.01)
    assert browser.get("/fragment/?guild=7").content == first
    assert browser.get("/fragment/?guild=8").content != first
    kept = raw(4).keys()
    assert len(kept) == 2 and all(b"template.cache.members" in key for key in kept)


def test_every_ping_extends_the_presence(browser, raw):
    assert browser.get("/ping/ada/").json()["ttl"] in (29, 30)
    key = "site:1:ws_channel_ada"
    born = raw(1).get(key)
    for _ in range(200):
        raw(1).pexpire(key, 1500)
        assert browser.get("/ping/ada/").json()["ttl"] >= 29
    assert raw(1).get(key) == born and raw(1).dbsize() == 1
    raw(1).pexpire(key, 1)
    time.sleep(0.01)
    browser.get("/ping/ada/")
    assert raw(1).get(key) != born, "who was away begins anew"


def test_a_page_that_computes_once(browser):
    from guildsite import views

    before = views.calls["guild"]
    answers = [browser.get("/guild/5/").json() for _ in range(3)]
    assert answers[0]["locked"] is True and answers[0] == answers[2]
    assert views.calls["guild"] == before + 1
