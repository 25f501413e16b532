"""The second process of test_channels.py: joins a group and says on a channel what it hears.

    python channels_peer.py URL LAYER GROUP

It reports to the group `GROUP-parent`, where the test listens, and leaves at the message `stop`.
"""

import asyncio
import os
import sys

from channels_redis.core import RedisChannelLayer
from channels_redis.pubsub import RedisPubSubChannelLayer

LAYERS = {"core": RedisChannelLayer, "pubsub": RedisPubSubChannelLayer}


async def main(url, layer, group):
    """Echoes until it is told to stop."""
    layer = LAYERS[layer](hosts=[url])
    channel = await layer.new_channel()
    await layer.group_add(group, channel)
    hello = {"type": "hello", "channel": channel, "pid": os.getpid()}
    await layer.group_send(f"{group}-parent", hello)
    while True:
        message = await layer.receive(channel)
        if message["type"] == "stop":
            break
        echo = {"type": "echo", "heard": message, "pid": os.getpid()}
        await layer.group_send(f"{group}-parent", echo)
    await layer.group_discard(group, channel)
    await layer.group_send(f"{group}-parent", {"type": "bye"})


asyncio.run(main(*sys.argv[1:]))
