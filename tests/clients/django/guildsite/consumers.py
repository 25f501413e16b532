"""A guild's socket: who is there is in the cache, under a key whose time each ping extends."""

from asgiref.sync import sync_to_async
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from django.core.cache import caches

from .views import PRESENCE_S


class GuildConsumer(AsyncJsonWebsocketConsumer):
    """One member's connection to one guild."""

    async def connect(self):
        """Lets in who is logged in, and notes under which channel the member is reached."""
        user = self.scope["user"]
        if not user.is_authenticated:
            await self.close(code=4401)
            return
        self.cache = caches["default"]
        self.user = user.username
        self.key = f"ws_channel_{self.user}"
        self.group = f"guild-{self.scope['url_route']['kwargs']['guild']}"
        await self.channel_layer.group_add(self.group, self.channel_name)
        await self.cache.aset(self.key, self.channel_name, PRESENCE_S)
        await self.accept()
        await self.send_json({"type": "welcome", "channel": self.channel_name})

    async def disconnect(self, code):
        """Forgets the member."""
        if hasattr(self, "group"):
            await self.channel_layer.group_discard(self.group, self.channel_name)
            await self.cache.adelete(self.key)

    async def receive_json(self, content):
        """Does what the member says."""
        answer = getattr(self, f"do_{content.pop('do')}")
        await answer(**content)

    async def do_ping(self):
        """Extends the presence, or begins it anew when it had run out."""
        known = await self.cache.atouch(self.key, PRESENCE_S)
        if not known:
            await self.cache.aset(self.key, self.channel_name, PRESENCE_S)
        ttl = await sync_to_async(self.cache.ttl)(self.key)
        await self.send_json({"type": "pong", "ttl": ttl, "known": known})

    async def do_say(self, text):
        """Tells the guild."""
        message = {"type": "guild.said", "by": self.user, "text": text}
        await self.channel_layer.group_send(self.group, message)

    async def do_whisper(self, to, text):
        """Tells one member, wherever the member is connected."""
        channel = await self.cache.aget(f"ws_channel_{to}")
        if channel is None:
            await self.send_json({"type": "absent", "user": to})
            return
        message = {"type": "guild.said", "by": self.user, "text": text, "only": to}
        await self.channel_layer.send(channel, message)

    async def guild_said(self, event):
        """Hands on what was said."""
        await self.send_json({**event, "type": "said"})
