"""The site for an ASGI server: pages, and WebSockets behind the session's user."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "guildsite.settings")

from django.core.asgi import get_asgi_application

pages = get_asgi_application()

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from django.urls import path

from .consumers import GuildConsumer

sockets = URLRouter([path("ws/guild/<int:guild>/", GuildConsumer.as_asgi())])
application = ProtocolTypeRouter({"http": pages, "websocket": AuthMiddlewareStack(sockets)})
