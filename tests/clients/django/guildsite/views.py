"""Pages that lean on the caches in the ways in which sites do."""

import time

from django.contrib.auth.decorators import login_required
from django.core.cache import caches
from django.http import HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.cache import cache_page

calls = {"cached": 0, "guild": 0}
PRESENCE_S = 30


@login_required
def profile(request):
    """Only for who is logged in."""
    return HttpResponse(f"Hello {request.user.username}")


def visits(request):
    """Counts in the session."""
    request.session["visits"] = request.session.get("visits", 0) + 1
    return HttpResponse(str(request.session["visits"]))


@cache_page(60, cache="views", key_prefix="page")
def cached(request):
    """Kept as a whole for a minute."""
    calls["cached"] += 1
    return HttpResponse(f"rendered {calls['cached']} times, q={request.GET.get('q', '')}")


def fragment(request):
    """A template of which a part is kept."""
    return render(request, "fragment.html", {"guild": request.GET["guild"], "now": time.time()})


def ping(request, user):
    """A websocket's sign of life: the key's time is extended at every one."""
    cache = caches["default"]
    key = f"ws_channel_{user}"
    if not cache.touch(key, PRESENCE_S):
        cache.set(key, {"since": time.time()}, PRESENCE_S)
    return JsonResponse({"ttl": cache.ttl(key)})


def guild(request, guild):
    """A dear computation behind a cache that may be away, behind a lock against stampedes."""
    cache = caches["queries"]
    key, lock = f"guild:{guild}", f"lock:guild:{guild}"
    value = cache.get(key)
    if value is None:
        mine = cache.add(lock, 1, timeout=10)
        calls["guild"] += 1
        value = {"guild": guild, "members": list(range(100)), "locked": bool(mine)}
        cache.set(key, value, timeout=60)
        cache.delete(lock)
    return JsonResponse(value)
