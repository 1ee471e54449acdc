"""One AMQP connection: handshake, heartbeats, channels, and its end, of which everybody who waits is told."""

import asyncio
import ssl
from typing import Final, NamedTuple

from pamqp.base import Frame as Method
from pamqp.commands import Channel as Ch
from pamqp.commands import Confirm
from pamqp.commands import Connection as Cn
from pamqp.common import FieldTable

from runtime.amqp import wire
from runtime.amqp.channel import AmqpError, Blocked, Channel, Closed, Lost

_CAPABILITIES: Final = (
    "authentication_failure_close",
    "basic.nack",
    "connection.blocked",
    "consumer_cancel_notify",
    "publisher_confirms",
)
_MISSED_HEARTBEATS: Final = 2


class Login(NamedTuple):
    """What a broker asks of who connects. `heartbeat` in seconds, 0 for none."""

    user: str
    password: str
    vhost: str
    heartbeat: int
    mechanism: str = "PLAIN"
    name: str = "pipemirror"


class Connection(asyncio.Protocol):
    """Made by `open_connection`. `ended` becomes why it ended, for whatever reason it does.

    `server` is what the broker says of itself: product, version, platform.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[AmqpError] = self._loop.create_future()
        self.blocked = False
        self.frame_max = wire.FRAME_MAX
        self.server: FieldTable = {}
        self._transport: asyncio.Transport | None = None
        self._frames = wire.Frames()
        self._control = Channel(0, self)
        self._channels: dict[int, Channel] = {0: self._control}
        self._numbers = 0
        self._last_sign = self._loop.time()
        self._beating: asyncio.TimerHandle | None = None

    async def open(self, login: Login) -> None:
        """Shake hands. Raise Closed with the broker's reason, or Lost."""
        self._last_sign = self._loop.time()
        start = await self._control.ask(wire.PROTOCOL_HEADER)
        assert isinstance(start, Cn.Start)
        self.server = start.server_properties
        properties: FieldTable = {
            "product": "pipemirror",
            "connection_name": login.name,
            "capabilities": dict.fromkeys(_CAPABILITIES, True),
        }
        secret = f"\0{login.user}\0{login.password}" if login.mechanism == "PLAIN" else ""
        tune = await self._control.call(Cn.StartOk(properties, login.mechanism, secret, "en_US"))
        assert isinstance(tune, Cn.Tune)
        self.frame_max = min(tune.frame_max or wire.FRAME_MAX, wire.FRAME_MAX)
        self.send(wire.method_frame(Cn.TuneOk(tune.channel_max, self.frame_max, login.heartbeat), 0))
        await self._control.call(Cn.Open(login.vhost))
        if login.heartbeat:
            self._beat(login.heartbeat / 2)

    async def channel(self, *, confirms: bool = False) -> Channel:
        """A new channel, on which publishes are confirmed if `confirms`."""
        self._numbers += 1
        channel = self._channels[self._numbers] = Channel(self._numbers, self)
        channel.ended.add_done_callback(lambda _: self._channels.pop(channel.number, None))
        await channel.call(Ch.Open())
        if confirms:
            await channel.call(Confirm.Select())
        return channel

    async def close(self, *, within: float) -> None:
        """Say goodbye and wait for the answer for at most `within` seconds; then it is closed in any case."""
        try:
            if not self.ended.done():
                self.send(wire.method_frame(Cn.Close(200, "", 0, 0), 0))
                await asyncio.wait((self.ended,), timeout=within)
        finally:
            self.end(Lost("closed by us"))

    def end(self, error: AmqpError) -> None:
        """Drop the connection; everything that waits for it fails with `error`."""
        if self.ended.done():
            return
        self.ended.set_result(error)
        if self._beating is not None:
            self._beating.cancel()
        for channel in list(self._channels.values()):
            channel.end(error)
        if self._transport is not None:
            self._transport.abort()

    def send(self, data: bytes) -> None:
        if self.ended.done() or self._transport is None:
            raise self.ended.result().anew() if self.ended.done() else Lost("not connected")
        self._transport.write(data)

    # Called by the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._last_sign = self._loop.time()
        try:
            for kind, number, payload in self._frames.feed(data):
                if number:
                    if (channel := self._channels.get(number)) is not None:
                        channel.take(kind, payload)
                elif kind == wire.METHOD:
                    self._take_control(wire.read_method(payload))
        except wire.Malformed as error:
            self.end(Lost(str(error)))

    def connection_lost(self, error: Exception | None) -> None:
        self.end(Lost(f"the connection was lost ({error})" if error else "the connection was lost"))

    def _take_control(self, method: Method) -> None:
        match method:
            case Cn.Close():
                self.send(wire.method_frame(Cn.CloseOk(), 0))
                self.end(Closed(method.reply_text, method.reply_code or 0))
            case Cn.CloseOk():
                self.end(Lost("closed by us"))
            case Cn.Blocked():
                self.blocked = True
                for channel in self._channels.values():
                    channel.fail_unconfirmed(Blocked(method.reason))
            case Cn.Unblocked():
                self.blocked = False
            case _:
                self._control.answer(method)

    def _beat(self, every: float) -> None:
        """Send a heartbeat each `every` seconds; a broker that gave no sign for four of them is gone."""
        if self._loop.time() - self._last_sign > 2 * _MISSED_HEARTBEATS * every:
            self.end(Lost(f"no sign of life for {2 * _MISSED_HEARTBEATS * every:g} s"))
            return
        self.send(wire.HEARTBEAT)
        self._beating = self._loop.call_later(every, self._beat, every)


async def open_connection(host: str, port: int, login: Login, tls: ssl.SSLContext | None) -> Connection:
    """An open connection. Raise OSError where nobody listens, Closed or Lost where the handshake fails."""
    _, connection = await asyncio.get_running_loop().create_connection(Connection, host, port, ssl=tls)
    try:
        await connection.open(login)
    except BaseException:
        connection.end(Lost("the handshake failed"))
        raise
    return connection
