"""One channel of a connection: calls that wait for their answer, confirmed publishes, deliveries, acks."""

import asyncio
from collections import deque
from collections.abc import Callable
from itertools import takewhile
from typing import Any, NamedTuple, Protocol

from pamqp.base import Frame as Method
from pamqp.commands import Basic
from pamqp.commands import Channel as Ch

from runtime.amqp import wire


class AmqpError(Exception):
    """A channel or connection cannot do what it was asked. `code` is the broker's reply code, 0 without one."""

    def __init__(self, reason: str, code: int = 0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code

    def anew(self) -> "AmqpError":
        """The same to raise somewhere else: an exception that is raised twice drags both tracebacks along."""
        return type(self)(self.reason, self.code)


class Closed(AmqpError):
    """The broker closed the channel or the connection, and said why."""


class Lost(AmqpError):
    """The connection ended without a word."""


class Unroutable(AmqpError):
    """No queue is bound for the routing key: the broker returned the message."""


class Refused(AmqpError):
    """The broker did not take the message."""


class Blocked(AmqpError):
    """The broker takes no messages for now: it raised an alarm for memory or disk."""


class Arrival(NamedTuple):
    """A message as a consumer gets it. `headers` are the application's and the broker's."""

    tag: int
    redelivered: bool
    headers: dict[str, Any]
    body: bytes


class Wire(Protocol):
    """What a channel needs of its connection."""

    frame_max: int

    def send(self, data: bytes) -> None:
        """Raise AmqpError once the connection has ended."""


class Channel:
    """Made by ``Connection.channel``. `ended` becomes why it ended, for whatever reason it does."""

    def __init__(self, number: int, connection: Wire) -> None:
        self.number = number
        self.ended: asyncio.Future[AmqpError] = asyncio.get_running_loop().create_future()
        self.on_arrival: Callable[[Arrival], None] | None = None
        self.on_cancel: Callable[[], None] | None = None
        self._connection = connection
        self._calls: deque[asyncio.Future[Method]] = deque()
        self._published = 0
        self._unconfirmed: dict[int, asyncio.Future[None]] = {}
        self._delivered: tuple[int, bool] | None = None  # whose content is arriving; None: of a returned message
        self._header = b""
        self._parts: list[bytes] = []
        self._missing = 0

    async def call(self, method: Method) -> Method:
        """The broker's answer. Raise Closed when it refuses, and why the channel ended when it did."""
        return await self.ask(wire.method_frame(method, self.number))

    async def ask(self, data: bytes) -> Method:
        """Send `data` and wait for what comes back."""
        self._refuse_ended()
        self._connection.send(data)
        # Answers come in the order of calls, so a caller that goes away leaves its place and disturbs nobody.
        answer: asyncio.Future[Method] = asyncio.get_running_loop().create_future()
        self._calls.append(answer)
        return await answer

    def answer(self, method: Method) -> None:
        """To the call that waits longest."""
        if self._calls and not (waiting := self._calls.popleft()).done():
            waiting.set_result(method)

    def publish(self, exchange: str, routing_key: str, body: bytes, mode: int) -> asyncio.Future[None]:
        """Done once the broker confirmed; fails with Unroutable, Refused, Blocked, or why the channel ended."""
        self._refuse_ended()
        number = self._published + 1
        self._connection.send(
            wire.message(
                self.number, exchange, routing_key, body, number=number, mode=mode, frame_max=self._connection.frame_max
            )
        )
        self._published = number
        confirmed = self._unconfirmed[number] = asyncio.get_running_loop().create_future()
        return confirmed

    def ack(self, tag: int, *, multiple: bool) -> None:
        self._refuse_ended()
        self._connection.send(wire.ack(self.number, tag, multiple=multiple))

    async def close(self) -> None:
        await self.call(Ch.Close(200, "", 0, 0))
        self.end(Lost("the channel was closed"))

    def end(self, error: AmqpError) -> None:
        """Everything that waits fails with `error`."""
        if self.ended.done():
            return
        self.ended.set_result(error)
        self.fail_unconfirmed(error)
        while self._calls:
            _fail(self._calls.popleft(), error)

    def fail_unconfirmed(self, error: AmqpError) -> None:
        """Wait no longer for any confirm; those that still come are passed over."""
        for confirmed in self._unconfirmed.values():
            _fail(confirmed, error)
        self._unconfirmed.clear()

    def take(self, kind: int, payload: bytes) -> None:
        """A frame that arrived for this channel."""
        if kind == wire.METHOD:
            self._take_method(payload)
        elif kind == wire.HEADER:
            self._header, self._missing, self._parts = payload, wire.read_size(payload), []
            if not self._missing:
                self._complete()
        elif kind == wire.BODY:
            self._parts.append(payload)
            self._missing -= len(payload)
            if self._missing <= 0:
                self._complete()

    def _take_method(self, payload: bytes) -> None:
        start = payload[:4]
        if start == wire.DELIVER:
            self._delivered = wire.read_deliver(payload)
        elif start == wire.ACK:
            self._confirm(*wire.read_ack(payload))
        else:
            self._take_rare(wire.read_method(payload))

    def _take_rare(self, method: Method) -> None:
        match method:
            case Basic.Return():
                self._delivered = None
            case Basic.Nack():
                self._confirm(method.delivery_tag, method.multiple, Refused("refused"))
            case Basic.Cancel():
                if self.on_cancel is not None:
                    self.on_cancel()
            case Ch.Close():
                self._connection.send(wire.method_frame(Ch.CloseOk(), self.number))
                self.end(Closed(method.reply_text, method.reply_code or 0))
            case _:
                self.answer(method)

    def _complete(self) -> None:
        """The content that was arriving is here."""
        if self._delivered is None:
            self._returned()
        elif self.on_arrival is not None:
            body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
            self.on_arrival(Arrival(*self._delivered, wire.read_headers(self._header), body))
        self._parts = []

    def _returned(self) -> None:
        number = int(wire.read_properties(self._header).message_id or 0)
        if (confirmed := self._unconfirmed.pop(number, None)) is not None:
            _fail(confirmed, Unroutable("returned"))

    def _confirm(self, tag: int, multiple: bool, error: AmqpError | None = None) -> None:
        for number in self._up_to(tag) if multiple else (tag,):
            confirmed = self._unconfirmed.pop(number, None)
            if confirmed is None or confirmed.done():  # nobody waits any more
                continue
            if error is None:
                confirmed.set_result(None)
            else:
                _fail(confirmed, error)

    def _up_to(self, tag: int) -> list[int]:
        return list(takewhile(lambda number: number <= tag, self._unconfirmed))

    def _refuse_ended(self) -> None:
        if self.ended.done():
            raise self.ended.result().anew()


def _fail(waiting: "asyncio.Future[Any]", error: AmqpError) -> None:
    if not waiting.done():
        waiting.set_exception(error.anew())
