"""Confirmed publishing with a deadline, over a connection that is rebuilt in the background."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from pamqp.commands import Queue as Qu

from runtime.amqp import control, wire
from runtime.amqp.broker import LOST, close, connect, explain, parse_url, why_ended
from runtime.amqp.channel import Blocked, Channel, Lost, Unroutable
from runtime.amqp.connection import Connection
from runtime.amqp.reconnecting import Reconnecting
from runtime.backoff import RECONNECT, Backoff
from runtime.on_problem import OnProblem, ignore
from schema.errors import QueueMissing, QueueUnavailable
from schema.topology import EXCHANGE, Queue


class _Link(NamedTuple):
    """One live connection; what is published over it is confirmed on `channel`."""

    connection: Connection
    channel: Channel
    probe_queue: str


class AmqpPublisher:
    """Publisher over RabbitMQ: persistent, mandatory, confirmed.

    While the broker is away, blocked or slow to confirm, publish raises QueueUnavailable: at once, or after at most
    `confirm_timeout` seconds. A message whose publish raised may still arrive.
    """

    def __init__(
        self,
        url: str,
        queues: Sequence[Queue],
        *,
        confirm_timeout: float = 1.0,
        connect_timeout: float = 5.0,
        backoff: Backoff = RECONNECT,
        on_problem: OnProblem = ignore,
    ) -> None:
        """Raise Misconfigured for a URL that cannot be one; connect only in `start`."""
        self._url = parse_url(url)
        self._queues = queues
        self._confirm_timeout = confirm_timeout
        self._connect_timeout = connect_timeout
        self._connecting = Reconnecting(self._serve, backoff=backoff, on_problem=on_problem)
        self._link: _Link | None = None

    async def start(self) -> None:
        """Begin to connect and return after the first outcome, good or bad: the broker may come later."""
        await self._connecting.start()

    @property
    def available(self) -> bool:
        """Connected and not blocked. Only `probe` proves that messages are taken."""
        return self._link is not None and not self._link.connection.blocked

    @property
    def problem(self) -> str | None:
        """Why it is not available, in a sentence; None when it is."""
        if self._link is None:
            return self._connecting.problem.reason if self._connecting.problem else "not connected yet"
        return explain(Blocked("blocked"), self._url) if self._link.connection.blocked else None

    async def publish(self, routing_key: str, body: bytes) -> None:
        await self._confirmed(self._usable(), EXCHANGE, routing_key, body, wire.PERSISTENT)

    async def probe(self) -> None:
        """Raise QueueUnavailable unless the broker takes and confirms messages now; they go to a queue nobody reads.

        Two, because a connection learns of an alarm by publishing, and the one it learns by is still confirmed.
        """
        for _ in range(2):
            link = self._usable()
            await self._confirmed(link, "", link.probe_queue, b"", wire.TRANSIENT)

    async def close(self) -> None:
        await self._connecting.stop()

    def _usable(self) -> _Link:
        if self._link is None or self._link.connection.blocked:
            raise QueueUnavailable(self.problem or "not connected yet")
        return self._link

    async def _confirmed(self, link: _Link, exchange: str, routing_key: str, body: bytes, mode: int) -> None:
        try:
            async with asyncio.timeout(self._confirm_timeout):
                await link.channel.publish(exchange, routing_key, body, mode)
        except TimeoutError:
            late = f"RabbitMQ at {self._url.host} did not confirm within {self._confirm_timeout:g} s"
            raise QueueUnavailable(late) from None
        except Unroutable:
            if any(queue.routing_key == routing_key for queue in self._queues):
                link.connection.end(Lost("a queue of ours is missing"))  # connected anew it is declared anew
            raise QueueMissing(f"RabbitMQ has no queue for routing key {routing_key!r}") from None
        except LOST as error:
            raise QueueUnavailable(explain(error, self._url)) from None

    async def _serve(self) -> None:
        await control.declare(self._url, self._queues, timeout=self._connect_timeout)
        connection = await connect(self._url, timeout=self._connect_timeout)
        try:
            async with asyncio.timeout(self._connect_timeout):
                link = await self._build(connection)
            self._link = link
            self._connecting.ready()
            endings = (connection.ended, link.channel.ended)
            await asyncio.wait(endings, return_when=asyncio.FIRST_COMPLETED)
            raise QueueUnavailable(why_ended(endings, self._url))
        except LOST as error:
            raise QueueUnavailable(explain(error, self._url)) from None
        finally:
            self._link = None
            await close(connection)

    async def _build(self, connection: Connection) -> _Link:
        channel = await connection.channel(confirms=True)
        # By hand, for it ends with its connection; one message at most, so that probing never fills it.
        probe = await channel.call(Qu.Declare(exclusive=True, auto_delete=True, arguments={"x-max-length": 1}))
        assert isinstance(probe, Qu.DeclareOk)
        return _Link(connection, channel, probe.queue or "")
