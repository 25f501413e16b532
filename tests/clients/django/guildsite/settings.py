"""Settings as of a production site: four cache aliases, on databases 1 to 4.

`default` and `queries` use django-redis with zlib and hiredis, `views` and `api` Django's own
backend. `queries` shrugs off an absent server. The address comes from the environment.
"""

import os
from pathlib import Path

from redis.backoff import NoBackoff
from redis.retry import Retry

BASE = Path(__file__).resolve().parent
SERVER = os.environ["GUILDSITE_REDIS"]  # redis://:password@host:port

SECRET_KEY = "only for tests"
ALLOWED_HOSTS = ["testserver"]
USE_TZ = True
ROOT_URLCONF = "guildsite.urls"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE / "templates"],
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
            ],
        },
    }
]
DATABASES = {
    "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["GUILDSITE_DATABASE"]}
}

# A site would leave the retries to redis-py; here the tests of an absent server should not wait.
POOL = {"max_connections": 50, "retry_on_timeout": True, "retry": Retry(NoBackoff(), 1)}
DJANGO_REDIS_OPTIONS = {
    "CLIENT_CLASS": "django_redis.client.DefaultClient",
    "COMPRESSOR": "django_redis.compressors.zlib.ZlibCompressor",
    "PARSER_CLASS": "redis.connection._HiredisParser",
    "CONNECTION_POOL_KWARGS": POOL,
    "SOCKET_CONNECT_TIMEOUT": 5,
    "SOCKET_TIMEOUT": 10,
}
CACHES = {
    "default": {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": f"{SERVER}/1",
        "KEY_PREFIX": "site",
        "VERSION": 1,
        "TIMEOUT": 300,
        "OPTIONS": DJANGO_REDIS_OPTIONS,
    },
    "views": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": f"{SERVER}/2",
        "KEY_PREFIX": "views",
        "VERSION": 2,
        "TIMEOUT": 60,
        "OPTIONS": {"parser_class": "redis.connection._HiredisParser", **POOL},
    },
    "queries": {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": f"{SERVER}/3",
        "KEY_PREFIX": "q",
        "VERSION": 3,
        "TIMEOUT": None,
        "OPTIONS": {**DJANGO_REDIS_OPTIONS, "IGNORE_EXCEPTIONS": True},
    },
    "api": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": f"{SERVER}/4",
        "TIMEOUT": 30,
        "OPTIONS": {"protocol": 2, "parser_class": "redis._parsers._RESP2Parser", **POOL},
    },
}
DJANGO_REDIS_SCAN_ITERSIZE = 100

SESSION_ENGINE = "django.contrib.sessions.backends.cache"
SESSION_CACHE_ALIAS = "default"
LOGIN_REDIRECT_URL = "/profile/"
LOGIN_URL = "/accounts/login/"
LOGOUT_REDIRECT_URL = "/accounts/login/"

# The layer is chosen by whoever starts the ASGI server.
LAYER = os.environ.get("GUILDSITE_LAYER", "core.RedisChannelLayer")
LAYER_OPTIONS = {"hosts": [f"{SERVER}/5"]}
if LAYER.startswith("core"):
    LAYER_OPTIONS |= {"capacity": 1500, "group_expiry": 86400}
CHANNEL_LAYERS = {"default": {"BACKEND": f"channels_redis.{LAYER}", "CONFIG": LAYER_OPTIONS}}
