"""One connection at a time: connect, declare, notice its end in every form, and say what went wrong in plain words.

aio-pika's robust connections restore pieces one by one and are known to end up consuming nothing; here the first sign
of trouble ends the whole connection and everything is built anew. Frequent calls (publish, deliver, ack) go to aiormq,
the layer under aio-pika, which costs a third less a message.
"""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final

import aio_pika
from aiormq import exceptions as amqp
from aiormq.abc import AbstractChannel
from yarl import URL

from schema.errors import Misconfigured, Problem, QueueUnavailable
from schema.topology import DEAD_EXCHANGE, Queue

HEARTBEAT_SECONDS: Final = 10
_CLOSE_SECONDS: Final = 2.0
_CANCEL_SECONDS: Final = 0.1
_CANCELLATIONS: Final = 3
# aio-pika swallows the first and waits on, for ever: the process would not end while such a task is left.
_closing: Final[set[asyncio.Task[None]]] = set()


class SilentConsumer(Problem):
    """The broker holds messages for us and delivers none, also after the connection was rebuilt."""

    code = "silent_consumer"
    remedy = "The process has to be restarted (it exits by itself); if it comes back, look at RabbitMQ's own log."


def parse_url(url: str) -> URL:
    """Raise Misconfigured, without showing the password."""
    try:
        parsed = URL(url)
        valid = parsed.scheme in {"amqp", "amqps"} and bool(parsed.host)
    except ValueError:
        valid = False
    if not valid:
        raise Misconfigured("AMQP_URL: expected amqp://user:password@host:5672/vhost")
    return parsed if "heartbeat" in parsed.query else parsed.update_query(heartbeat=HEARTBEAT_SECONDS)


async def connect(url: URL, *, timeout: float) -> aio_pika.Connection:
    """A connection, or QueueUnavailable after at most `timeout` seconds."""
    connection = aio_pika.Connection(url)
    try:
        async with asyncio.timeout(timeout):
            await connection.connect()
    except BaseException as error:
        await close(connection)
        if isinstance(error, Exception):
            raise QueueUnavailable(explain(error, url)) from None
        raise
    return connection


async def close(connection: aio_pika.Connection) -> None:
    """Close it within a bound, whether or not the broker answers."""
    task = asyncio.create_task(connection.close())
    _closing.add(task)  # the loop itself keeps only a weak reference
    task.add_done_callback(_closing.discard)
    await asyncio.wait((task,), timeout=_CLOSE_SECONDS)
    for _ in range(_CANCELLATIONS):
        if task.done():
            break
        task.cancel()
        await asyncio.wait((task,), timeout=_CANCEL_SECONDS)
    if task.done() and not task.cancelled():
        task.exception()


@contextmanager
def lost_if_cancelled(url: URL) -> Iterator[None]:
    """Raise QueueUnavailable where nobody cancelled us: aiormq cancels calls that wait on a connection that goes."""
    try:
        yield
    except asyncio.CancelledError:
        if (task := asyncio.current_task()) is None or task.cancelling():
            raise
        raise QueueUnavailable(f"RabbitMQ at {_place(url)} was lost in the middle of a call") from None


async def open_channel(connection: aio_pika.Connection) -> AbstractChannel:
    """A channel with confirms, on which a returned message fails its publish."""
    assert connection.transport is not None
    return await connection.transport.connection.channel(publisher_confirms=True, on_return_raises=True)


async def declare(channel: AbstractChannel, queues: Sequence[Queue]) -> None:
    for exchange in dict.fromkeys(queue.exchange for queue in queues):
        kind = "fanout" if exchange == DEAD_EXCHANGE else "direct"
        await channel.exchange_declare(exchange, exchange_type=kind, durable=True)
    for queue in queues:
        await channel.queue_declare(queue.name, durable=True, arguments=dict(queue.arguments))
        await channel.queue_bind(queue.name, queue.exchange, queue.routing_key)


def is_blocked(connection: aio_pika.Connection) -> bool:
    """Whether the broker sent connection.blocked (it lacks memory or disk) and takes no publishes."""
    if connection.transport is None:
        return False
    # aiormq keeps this state private; but its public ready() waits exactly while blocked, so try one step of it.
    ready = connection.transport.connection.ready()
    try:
        ready.send(None)
    except StopIteration:
        return False
    ready.close()
    return True


def endings(connection: aio_pika.Connection, channels: Iterable[AbstractChannel]) -> list[asyncio.Future[None]]:
    """Futures that are done once the connection or one of the channels has ended, for whatever reason.

    They are aiormq's: aio-pika's own `closed()` does not fire when the connection is lost.
    """
    assert connection.transport is not None
    return [connection.transport.connection.closing, *(channel.closing for channel in channels)]


def why_ended(futures: Iterable[asyncio.Future[None]], url: URL) -> str:
    """The reason of the first ending that names one."""
    for future in futures:
        with suppress(asyncio.CancelledError):
            if future.done() and (error := future.exception()) is not None:
                return explain(error, url)
    return f"the connection to RabbitMQ at {_place(url)} was lost"


def explain(error: BaseException, url: URL) -> str:
    """What went wrong and where, in a sentence without the password."""
    place = f"RabbitMQ at {_place(url)}"
    match error:
        case QueueUnavailable():
            reason = error.reason
        case TimeoutError():
            reason = f"{place} did not answer in time: is it overloaded, or a firewall between?"
        case amqp.AuthenticationError() | amqp.ProbableAuthenticationError():
            reason = f"{place} refuses user {url.user!r}: correct user and password in AMQP_URL"
        case amqp.ConnectionNotAllowed() | amqp.InvalidFrameError():
            # aiormq reports the second: it expected Open-Ok and got a Close.
            reason = f"{place} has no vhost {url.path!r} for user {url.user!r}: create it or correct AMQP_URL"
        case amqp.ChannelPreconditionFailed():
            reason = f"{place} has our queues with other arguments: {error}"
        case amqp.AMQPConnectionError() if isinstance(error, amqp.ConnectionClosed):
            reason = f"{place} closed the connection: {error}"
        case OSError():
            reason = f"no RabbitMQ answers at {_place(url)}: start it or correct AMQP_URL ({error})"
        case _:
            reason = f"{place}: {type(error).__name__} {error}"
    return reason


def _place(url: URL) -> str:
    return f"{url.host}:{url.port or 5672}"
