"""Django's own tests of a cache back end, run on `pannier.django.PannierCache`.

    python django_suite.py path/to/django/tests

`BaseCacheTests` are the tests that every back end of Django's passes. They come from Django's
source distribution (`run.sh` unpacks it), are mixed in here with our settings, and run by Django's
own runner, as its other back ends do it.
"""

import sys
from pathlib import Path

import django
from django.conf import settings

sys.path.insert(0, str(Path(sys.argv[1]).resolve()))
settings.configure(
    DATABASES={
        name: {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
        for name in ("default", "other")
    },
    INSTALLED_APPS=["django.contrib.sessions", "django.contrib.auth",
                    "django.contrib.contenttypes", "django.contrib.sites", "cache"],
    ROOT_URLCONF=[],
    SECRET_KEY="of no importance",
    SITE_ID=1,
    USE_TZ=False,
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
)
django.setup()

from cache import tests as theirs  # noqa: E402
from django.core.cache import cache  # noqa: E402
from django.test import TestCase, override_settings  # noqa: E402
from django.test.runner import DiscoverRunner  # noqa: E402


@override_settings(
    CACHES=theirs.caches_setting_for_tests(
        BACKEND="pannier.django.PannierCache", LOCATION="pannier://suite/1"
    )
)
class PannierCacheTests(theirs.BaseCacheTests, TestCase):
    def test_sub_second_timeouts(self):
        cache.set("key", "value", timeout=0.9)
        self.assertLessEqual(cache.pttl("key"), 900)

    def test_incr_decr_timeout(self):
        cache.set("key", 1, timeout=100)
        cache.incr("key")
        cache.decr("key")
        self.assertGreaterEqual(cache.ttl("key"), 99)


class Runner(DiscoverRunner):
    def build_suite(self, *args, **options):
        from unittest import TestLoader, TestSuite

        return TestSuite([TestLoader().loadTestsFromTestCase(PannierCacheTests)])


result = Runner(verbosity=1, interactive=False).run_tests([])
sys.exit(bool(result))
