"""Confirmed publishing with a deadline, over a connection that is rebuilt in the background."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Final

import aio_pika
from aiormq import exceptions as amqp
from aiormq.channel import Channel
from pamqp.commands import Basic

from runtime.amqp.connection import (
    close,
    connect,
    declare,
    endings,
    explain,
    is_blocked,
    open_channel,
    parse_url,
    why_ended,
)
from runtime.amqp.reconnecting import Reconnecting
from runtime.backoff import RECONNECT, Backoff
from runtime.on_problem import OnProblem, ignore
from schema.errors import QueueUnavailable
from schema.topology import EXCHANGE, Queue

_PERSISTENT: Final = 2
_TRANSIENT: Final = 1
_BLOCKED_LOOK_SECONDS: Final = 0.05
_BLOCKED: Final = "RabbitMQ takes no messages: it raised an alarm for memory or disk"


@dataclass(frozen=True, slots=True, eq=False)
class _Link:
    """One live connection; what is published over it is confirmed on `channel`."""

    connection: aio_pika.Connection
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
        self._pending: set[asyncio.Timeout] = set()
        self._message_ids = count()

    async def start(self) -> None:
        """Begin to connect and return after the first outcome, good or bad: the broker may come later."""
        await self._connecting.start()

    @property
    def available(self) -> bool:
        """Connected and not blocked. Only `probe` proves that messages are taken."""
        return self._link is not None and not is_blocked(self._link.connection)

    @property
    def problem(self) -> str | None:
        """Why it is not available, in a sentence; None when it is."""
        if self._link is None:
            return self._connecting.problem.reason if self._connecting.problem else "not connected yet"
        return _BLOCKED if is_blocked(self._link.connection) else None

    async def publish(self, routing_key: str, body: bytes) -> None:
        await self._confirmed(self._usable(), EXCHANGE, routing_key, body, _PERSISTENT)

    async def probe(self) -> None:
        """Raise QueueUnavailable unless the broker takes and confirms messages now; they go to a queue nobody reads.

        Two, because a connection learns of an alarm by publishing, and the one it learns by is still confirmed.
        """
        for _ in range(2):
            link = self._usable()
            await self._confirmed(link, "", link.probe_queue, b"", _TRANSIENT)

    async def close(self) -> None:
        await self._connecting.stop()

    def _usable(self) -> _Link:
        if self._link is None or is_blocked(self._link.connection):
            raise QueueUnavailable(self.problem or _BLOCKED)
        return self._link

    async def _confirmed(self, link: _Link, exchange: str, routing_key: str, body: bytes, mode: int) -> None:
        # A returned message is matched to its publish by this id; a counter is cheaper than aiormq's random one.
        properties = Basic.Properties(delivery_mode=mode, message_id=str(next(self._message_ids)))
        deadline = asyncio.timeout(self._confirm_timeout)
        self._pending.add(deadline)
        try:
            async with deadline:
                await link.channel.basic_publish(
                    body, exchange=exchange, routing_key=routing_key, properties=properties, mandatory=True, wait=False
                )
        except TimeoutError:
            raise QueueUnavailable(self._why_unconfirmed(link)) from None
        except amqp.PublishError:
            raise QueueUnavailable(f"RabbitMQ has no queue for routing key {routing_key!r}") from None
        except amqp.DeliveryError:
            raise QueueUnavailable("RabbitMQ refused the message (a queue is full or has no leader)") from None
        except asyncio.CancelledError:
            # aiormq rejects waiting publishes with CancelledError when the connection goes: nobody cancelled us.
            if (task := asyncio.current_task()) is None or task.cancelling():
                raise
            raise QueueUnavailable(f"the connection to {self._url.host} was lost before the confirm") from None
        except (amqp.AMQPError, OSError, RuntimeError) as error:
            raise QueueUnavailable(explain(error, self._url)) from None
        finally:
            self._pending.discard(deadline)

    def _why_unconfirmed(self, link: _Link) -> str:
        if link is not self._link:
            return f"the connection to {self._url.host} was lost before the confirm"
        if is_blocked(link.connection):
            return _BLOCKED
        return f"RabbitMQ at {self._url.host} did not confirm within {self._confirm_timeout:g} s"

    async def _serve(self) -> None:
        connection = await connect(self._url, timeout=self._connect_timeout)
        try:
            async with asyncio.timeout(self._connect_timeout):
                link = await self._build(connection)
            self._link = link
            self._connecting.ready()
            await self._watch(link)
        except (TimeoutError, amqp.AMQPError, OSError, RuntimeError) as error:
            raise QueueUnavailable(explain(error, self._url)) from None
        finally:
            self._link = None
            self._expire_pending()
            await close(connection)

    async def _build(self, connection: aio_pika.Connection) -> _Link:
        channel = await open_channel(connection)
        assert isinstance(channel, Channel)  # the abstract one hides `wait` of basic_publish
        await declare(channel, self._queues)
        # Ends with the connection; one message at most, so that probing never fills it.
        probe = await channel.queue_declare("", exclusive=True, auto_delete=True, arguments={"x-max-length": 1})
        assert probe.queue is not None
        return _Link(connection, channel, probe.queue)

    async def _watch(self, link: _Link) -> None:
        ends = endings(link.connection, [link.channel])
        while True:
            done, _ = await asyncio.wait(ends, timeout=_BLOCKED_LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if done:
                raise QueueUnavailable(why_ended(ends, self._url))
            if self._pending and is_blocked(link.connection):
                self._expire_pending()

    def _expire_pending(self) -> None:
        now = asyncio.get_running_loop().time()
        for deadline in self._pending:
            if not deadline.expired():
                deadline.reschedule(now)
