"""Consuming all queues fairly, over a connection that is rebuilt whenever it ends or falls silent."""

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import Final, NamedTuple

from pamqp.commands import Basic

from runtime.amqp import control
from runtime.amqp.broker import LOST, SilentConsumer, close, connect, count, explain, parse_url, why_ended
from runtime.amqp.channel import AmqpError, Arrival, Channel
from runtime.amqp.connection import Connection
from runtime.amqp.reconnecting import Reconnecting
from runtime.amqp.unacked import Unacked
from runtime.backoff import RECONNECT, Backoff
from runtime.on_problem import OnProblem, ignore
from runtime.rotation import Rotation
from runtime.transport import Message
from schema.errors import Problem, QueueUnavailable
from schema.topology import DEAD, Queue

_CANCEL_SECONDS: Final = 2.0
_CONSUMER: Final = "worker"
"""The consumer's tag; each has a channel of its own, so one name does for all."""


class _Consumer:
    """One queue being consumed on a channel of its own, so that its prefetch and its tags are its own."""

    def __init__(self, queue: Queue, channel: Channel) -> None:
        self.queue = queue
        self.channel = channel
        self.unacked = Unacked()

    def ack(self, tags: list[int]) -> None:
        with suppress(AmqpError):
            for tag, multiple in self.unacked.settle(tags):
                self.channel.ack(tag, multiple=multiple)

    async def cancel(self) -> None:
        await self.channel.call(Basic.Cancel(consumer_tag=_CONSUMER))


class _Tag(NamedTuple):
    consumer: _Consumer
    number: int


class _Link(NamedTuple):
    counting: Channel
    consumers: list[_Consumer]
    cancelled: asyncio.Future[AmqpError]


class AmqpSubscription:
    """Subscription over RabbitMQ, for one receiving task.

    A connection that ends is rebuilt in the background and `receive` simply waits. One that is alive but delivers
    nothing for `idle_timeout` seconds, while messages are ready and we hold none, is rebuilt too; if that did not help,
    `receive` raises SilentConsumer.
    """

    def __init__(
        self,
        url: str,
        queues: Sequence[Queue],
        *,
        idle_timeout: float = 60.0,
        connect_timeout: float = 5.0,
        backoff: Backoff = RECONNECT,
        on_problem: OnProblem = ignore,
    ) -> None:
        """Raise Misconfigured for a URL that cannot be one; connect only in `start`."""
        self._url = parse_url(url)
        self._queues = queues
        self._idle_timeout = idle_timeout
        self._connect_timeout = connect_timeout
        self._connecting = Reconnecting(self._serve, backoff=backoff, on_problem=self._problem_met)
        self._on_problem = on_problem
        self._link: _Link | None = None
        self._waiting: Rotation[Message] = Rotation()
        self._news = asyncio.Event()
        self._last_sign = 0.0
        self._rebuilt_in_silence = False

    async def start(self) -> None:
        """Begin to connect and return after the first outcome, good or bad: the broker may come later."""
        await self._connecting.start()

    @property
    def queues(self) -> Sequence[Queue]:
        return self._queues

    def consume_also(self, queues: Iterable[Queue]) -> None:
        """Those of `queues` that are not consumed yet, from now on: if there are any, the connection is built anew."""
        more = [queue for queue in queues if queue not in self._queues]
        self._queues = (*self._queues, *more)
        if more and self._link is not None and not self._link.cancelled.done():
            self._link.cancelled.set_result(AmqpError("more queues are consumed from now on"))

    @property
    def connected(self) -> bool:
        return self._link is not None

    @property
    def problem(self) -> str | None:
        """Why it is not connected, in a sentence; None when it is."""
        return None if self._connecting.problem is None else self._connecting.problem.reason

    async def receive(self) -> Message:
        """Also raise SilentConsumer: after it nothing more will come."""
        while (message := self.receive_nowait()) is None:
            if self._connecting.fatal is not None:
                raise self._connecting.fatal
            self._news.clear()
            await self._news.wait()
        return message

    def receive_nowait(self) -> Message | None:
        return self._waiting.take()

    async def ack(self, messages: Sequence[Message]) -> None:
        tags: dict[_Consumer, list[int]] = {}
        for message in messages:
            consumer, number = message.tag
            tags.setdefault(consumer, []).append(number)
        for consumer, numbers in tags.items():
            consumer.ack(numbers)

    async def backlog(self) -> dict[str, int]:
        """Ready messages, and those this process holds; what other workers hold is not known here.

        Raise QueueUnavailable while not connected.
        """
        link = self._link
        if link is None:
            raise QueueUnavailable(self.problem or "not connected yet")
        try:
            ready = await count(link.counting, self._queues, timeout=self._connect_timeout)
        except LOST as error:
            raise QueueUnavailable(explain(error, self._url)) from None
        return {consumer.queue.name: ready[consumer.queue.name] + len(consumer.unacked) for consumer in link.consumers}

    async def close(self) -> None:
        if self._link is not None:
            with suppress(*LOST):
                async with asyncio.timeout(_CANCEL_SECONDS):
                    for consumer in self._link.consumers:
                        await consumer.cancel()
        await self._connecting.stop()

    def _problem_met(self, problem: Problem) -> None:
        self._news.set()
        self._on_problem(problem)

    async def _serve(self) -> None:
        await control.declare(self._url, self._queues, timeout=self._connect_timeout)
        connection = await connect(self._url, timeout=self._connect_timeout)
        try:
            async with asyncio.timeout(self._connect_timeout):
                link = await self._build(connection)
            self._link = link
            self._connecting.ready()
            channels = [link.counting, *(consumer.channel for consumer in link.consumers)]
            await self._watch(link, [connection.ended, *(channel.ended for channel in channels), link.cancelled])
        except LOST as error:
            raise QueueUnavailable(explain(error, self._url)) from None
        finally:
            self._link = None
            # They cannot be acknowledged any more; the broker delivers them again.
            self._waiting.clear()
            await close(connection)

    async def _build(self, connection: Connection) -> _Link:
        self._last_sign = asyncio.get_running_loop().time()
        link = _Link(await connection.channel(), [], asyncio.get_running_loop().create_future())
        for queue in self._queues:
            link.consumers.append(await self._consume(queue, await connection.channel(), link))
        return link

    async def _consume(self, queue: Queue, channel: Channel, link: _Link) -> _Consumer:
        consumer = _Consumer(queue, channel)

        def cancelled() -> None:
            # The broker ended this consumer, as when somebody deletes the queue; the connection lives on, deaf.
            if not link.cancelled.done():
                link.cancelled.set_result(AmqpError(f"the broker ended the consumer of {queue.name}"))

        channel.on_arrival = partial(self._delivered, consumer)
        channel.on_cancel = cancelled
        await channel.call(Basic.Qos(prefetch_count=queue.prefetch))
        await channel.call(Basic.Consume(queue=queue.name, consumer_tag=_CONSUMER))
        return consumer

    def _delivered(self, consumer: _Consumer, arrival: Arrival) -> None:
        name = consumer.queue.name
        consumer.unacked.delivered(arrival.tag)
        message = Message(arrival.body, _redeliveries(arrival), name, name == DEAD.name, _Tag(consumer, arrival.tag))
        self._last_sign = asyncio.get_running_loop().time()
        self._rebuilt_in_silence = False
        self._waiting.add(name, message)
        self._news.set()

    async def _watch(self, link: _Link, ends: list[asyncio.Future[AmqpError]]) -> None:
        """Raise when the link ended, or when it is silent at two looks in a row (one look may meet a fresh message)."""
        suspicious = False
        while True:
            done, _ = await asyncio.wait(ends, timeout=self._idle_timeout / 4, return_when=asyncio.FIRST_COMPLETED)
            if done:
                raise QueueUnavailable(why_ended(ends, self._url))
            silent = await self._is_silent(link)
            if silent and suspicious:
                self._give_up_on_silence()
            suspicious = silent

    async def _is_silent(self, link: _Link) -> bool:
        idle = asyncio.get_running_loop().time() - self._last_sign
        if idle < self._idle_timeout or any(len(consumer.unacked) for consumer in link.consumers):
            return False
        return any((await count(link.counting, self._queues, timeout=self._connect_timeout)).values())

    def _give_up_on_silence(self) -> None:
        if self._rebuilt_in_silence:
            raise SilentConsumer(f"RabbitMQ at {self._url.host} holds messages and delivered none over two connections")
        self._rebuilt_in_silence = True
        raise QueueUnavailable(f"RabbitMQ at {self._url.host} holds messages and delivers none: connecting anew")


_COUNT_HEADERS = ("x-delivery-count", "x-acquired-count")


def _redeliveries(arrival: Arrival) -> int:
    # RabbitMQ 4.3 counts hand-outs apart from failed deliveries; a worker that dies shows in one of them.
    if not arrival.headers:
        return int(arrival.redelivered)
    counts = [count for name in _COUNT_HEADERS if isinstance(count := arrival.headers.get(name), int)]
    return max([*counts, 1 if arrival.redelivered else 0])
