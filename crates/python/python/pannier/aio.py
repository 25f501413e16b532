"""The same connections for `redis.asyncio`.

A command is executed when it is sent, in the event loop's thread: most take less time than a turn
of the loop. A script, and what works on much data, goes on beside the loop when it is not done in a
moment, and so does any command while something like that is in its way. Where a reply is not there
yet (then, or because a command waits), the loop watches a file of the client's, into which the
engine writes when something has come.
"""

from __future__ import annotations

import asyncio
import math
from typing import Any, Optional

from . import _native
from .transport import PLACE, Local, LocalPool, Push, packed

# redis-py is there, or the import above has said what is missing.
import redis.asyncio
from redis._parsers import _AsyncRESP3Parser
from redis.asyncio.connection import UnixDomainSocketConnection
from redis.exceptions import ConnectionError, DataError, TimeoutError

__all__ = ["Connection", "ConnectionPool"]


class Parser(_AsyncRESP3Parser):
    """The part of a parser that is not parsing."""

    def on_connect(self, connection: Any) -> None:
        """Nothing is read here."""

    def on_disconnect(self) -> None:
        """Nothing was read here."""

    async def can_read(self) -> bool:
        """Nothing lies here."""
        return False

    async def can_read_destructive(self) -> bool:
        """Nothing lies here."""
        return False


class Channel:
    """What redis-py takes for the two halves of a stream."""

    def __init__(self, client: _native.Client) -> None:
        self.client = client
        #: For the question whether anything was read that nobody took.
        self._buffer = b""

    def close(self) -> None:
        """Ends the session."""
        self.client.close()

    async def wait_closed(self) -> None:
        """It has ended."""

    def get_extra_info(self, name: str) -> None:
        """Nothing is known of a peer."""

    async def readable(self) -> None:
        """Returns when something can be received."""
        client = self.client
        loop = asyncio.get_running_loop()
        while True:
            most = client.arm()
            if most == 0:
                return
            came = loop.create_future()
            file = client.fileno()
            loop.add_reader(file, _settle, came)
            try:
                await asyncio.wait_for(came, most)
            except asyncio.TimeoutError:
                pass
            finally:
                loop.remove_reader(file)


def _settle(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


class Connection(Local, UnixDomainSocketConnection):
    """A connection to a cache in this process."""

    def set_parser(self, parser_class: Any) -> None:
        self._parser = Parser(socket_read_size=self._socket_read_size)

    async def _connect(self) -> None:
        self._reader = self._writer = Channel(self._open())

    async def send_command(self, *args: Any, **options: Any) -> None:
        if self._writer is None:
            await self.connect()
        if self.health_check_interval and options.get("check_health", True):
            await self.check_health()
        try:
            self._writer.client.send_aside(*self._encoded(args))
        except TypeError as error:
            raise DataError(str(error)) from None
        except OSError as error:
            await self.disconnect(nowait=True)
            raise ConnectionError(f"Error while writing to {PLACE}: {error}") from None

    async def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        if self._writer is None:
            await self.connect()
        if check_health:
            await self.check_health()
        try:
            for piece in packed(command):
                self._writer.client.send_packed_aside(piece)
        except OSError as error:
            await self.disconnect(nowait=True)
            raise ConnectionError(f"Error while writing to {PLACE}: {error}") from None

    async def can_read(self) -> bool:
        # Whether a pool must not lend it: replies that nobody took, or one that is yet to come.
        if self._writer is None:
            return False
        try:
            return not self._writer.client.is_idle()
        except OSError as error:
            await self.disconnect(nowait=True)
            raise ConnectionError(f"Error while reading from {PLACE}: {error}") from None

    can_read_destructive = can_read

    async def read_response(
        self,
        disable_decoding: bool = False,
        timeout: Optional[float] = None,
        *,
        disconnect_on_error: bool = True,
        push_request: Optional[bool] = False,
    ) -> Any:
        try:
            response = await self._receive(disable_decoding, timeout, push_request)
        except _native.TimedOut:
            if timeout is not None:
                return None
            if disconnect_on_error:
                await self.disconnect(nowait=True)
            raise TimeoutError(f"Timeout reading from {PLACE}") from None
        except OSError as error:
            if disconnect_on_error:
                await self.disconnect(nowait=True)
            raise ConnectionError(f"Error while reading from {PLACE}: {error}") from None
        except BaseException:
            if disconnect_on_error:
                await self.disconnect(nowait=True)
            raise
        if self.health_check_interval:
            self.next_health_check = asyncio.get_running_loop().time() + self.health_check_interval
        if isinstance(response, Exception):
            if isinstance(response, ConnectionError) and disconnect_on_error:
                await self.disconnect(nowait=True)
            raise response from None
        return response

    async def _receive(
        self, raw: bool, timeout: Optional[float], push_request: Optional[bool]
    ) -> Any:
        """The next reply; raises what the native client raises when the time is over."""
        channel = self._reader
        if channel is None:
            raise ConnectionError("Connection closed by server.")
        client = channel.client
        most = None if timeout == math.inf else self.socket_timeout if timeout is None else timeout
        loop = asyncio.get_running_loop()
        end = None if most is None else loop.time() + most
        while True:
            if not client.is_ready():
                left = None if end is None else max(0.0, end - loop.time())
                try:
                    await asyncio.wait_for(channel.readable(), left)
                except asyncio.TimeoutError:
                    raise _native.TimedOut("no reply in time") from None
            response = client.take(raw)
            if response is None:
                continue
            response = response[0]
            if type(response) is not Push:
                return response
            response = await self._parser.handle_push_response(response)
            if push_request:
                return response


class ConnectionPool(LocalPool, redis.asyncio.ConnectionPool):
    """A pool of such connections. Its options are those of redis-py's pools and connections."""

    kind = Connection

    async def get_connection(self, *args: Any, **options: Any) -> Any:
        """A connection that is ready."""
        # As in the other pool: nothing is awaited here, so nobody comes between.
        if self._is_plain and self._available_connections:
            connection = self._available_connections.pop()
            channel = connection._writer
            if channel is not None and channel.client.is_idle():
                self._in_use_connections.add(connection)
                return connection
            self._available_connections.append(connection)
        return await super().get_connection(*args, **options)

    async def release(self, connection: Any) -> None:
        """Takes a connection back."""
        if (
            self._is_plain
            and connection in self._in_use_connections
            and not connection.should_reconnect()
        ):
            self._in_use_connections.discard(connection)
            self._available_connections.append(connection)
        else:
            await super().release(connection)
