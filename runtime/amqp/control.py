"""The control plane: what is asked of the broker now and then, by aio-pika over a short-lived connection of its own.

What is done for each message, the data plane, goes over our own client instead (docs/decisions/0012).
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final, TypeVar

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractExchange
from aio_pika.exceptions import (
    CONNECTION_EXCEPTIONS,
    AMQPError,
    AuthenticationError,
    ChannelClosed,
    ChannelNotFoundEntity,
    ChannelPreconditionFailed,
    ConnectionClosed,
    InvalidFrameError,
    ProbableAuthenticationError,
)
from pamqp.common import FieldTable
from pamqp.exceptions import AMQPAccessRefused, AMQPNotAllowed, AMQPPreconditionFailed
from yarl import URL

from runtime.amqp.broker import explain, parse_url, tls
from runtime.amqp.channel import Closed, Lost
from schema.errors import NotNow, QueueUnavailable
from schema.topology import DEAD_EXCHANGE, Queue

_Answer = TypeVar("_Answer")

_CLOSE_SECONDS: Final = 2.5
"""aiormq itself waits 2 s for the broker's goodbye."""
_CANCEL_SECONDS: Final = 0.1
_CANCELLATIONS: Final = 3
"""aio-pika may swallow one and wait on."""

_ending: Final[set[asyncio.Task[None]]] = set()
"""The loop itself keeps only weak references to its tasks."""


async def declare(url: URL, queues: Sequence[Queue], *, timeout: float) -> None:
    """Make exchanges, queues and bindings that are not there yet. Raise QueueUnavailable."""

    async def make(connection: aio_pika.Connection) -> None:
        channel = await connection.channel(publisher_confirms=False)
        exchanges = {name: await _exchange(channel, name) for name in dict.fromkeys(queue.exchange for queue in queues)}
        for queue in queues:
            made = await channel.declare_queue(queue.name, durable=True, arguments=dict(queue.arguments))
            await made.bind(exchanges[queue.exchange], queue.routing_key)

    await ask(url, make, timeout=timeout)


async def declared(url: str, queues: Sequence[Queue], *, timeout: float = 5.0) -> list[Queue]:
    """The leading ones of `queues` that exist; none where the broker cannot be asked."""
    found: list[Queue] = []

    async def look(connection: aio_pika.Connection) -> None:
        channel = await connection.channel(publisher_confirms=False)
        for queue in queues:
            await channel.declare_queue(queue.name, passive=True)
            found.append(queue)

    with suppress(NotNow):
        await ask(parse_url(url), look, timeout=timeout)
    return found


async def waiting(url: str, queues: Sequence[Queue], *, timeout: float = 5.0) -> dict[str, int]:
    """Messages ready per queue; a queue that nobody has declared yet is left out. Raise QueueUnavailable."""

    async def count(connection: aio_pika.Connection) -> dict[str, int]:
        counts: dict[str, int] = {}
        for queue in queues:
            # Asking for a missing queue ends the channel, so each is asked for on one of its own.
            with suppress(ChannelNotFoundEntity):
                channel = await connection.channel(publisher_confirms=False)
                there = await channel.declare_queue(queue.name, passive=True)
                counts[queue.name] = there.declaration_result.message_count or 0
                await channel.close()
        return counts

    return await ask(parse_url(url), count, timeout=timeout)


async def ask(url: URL, talk: Callable[[aio_pika.Connection], Awaitable[_Answer]], *, timeout: float) -> _Answer:
    """What `talk` returns, given a connection of its own. Raise QueueUnavailable, also when `timeout` seconds are over.

    A channel that the broker closed is raised to `talk` as aio-pika's ChannelClosed. Who stops waiting leaves nothing
    behind: neither a task nor a connection. Ending them takes a moment more: of a frozen broker, some 2 seconds.
    """
    try:
        connection = aio_pika.Connection(url, ssl_context=await tls(url), client_properties=_named(url))
    except OSError as error:
        raise QueueUnavailable(explain(error, url)) from None
    # A task of its own: aio-pika cancels whoever waits on a connection that goes, and that must not be the caller.
    talking = asyncio.create_task(_talk(connection, talk))
    try:
        await asyncio.wait((talking,), timeout=timeout)
        in_time = talking.done()
    finally:
        await _end(talking, connection)
    if not in_time:
        raise QueueUnavailable(explain(TimeoutError(), url))
    if talking.cancelled():
        raise QueueUnavailable(explain(Lost("it went in the middle of a call"), url))
    try:
        return talking.result()
    except CONNECTION_EXCEPTIONS as error:
        raise QueueUnavailable(explain(_in_our_words(error), url)) from None


async def _exchange(channel: AbstractChannel, name: str) -> AbstractExchange:
    return await channel.declare_exchange(name, "fanout" if name == DEAD_EXCHANGE else "direct", durable=True)


async def _talk(connection: aio_pika.Connection, talk: Callable[[aio_pika.Connection], Awaitable[_Answer]]) -> _Answer:
    await connection.connect()
    return await talk(connection)


async def _end(talking: "asyncio.Task[_Answer]", connection: aio_pika.Connection) -> None:
    """Who is cancelled while waiting for this leaves, and the rest of it goes on by itself, within its bound."""

    async def end() -> None:
        await _cancel(talking)
        closing = asyncio.create_task(connection.close())
        await asyncio.wait((closing,), timeout=_CLOSE_SECONDS)
        await _cancel(closing)

    ending = asyncio.create_task(end())
    _ending.add(ending)
    ending.add_done_callback(_ending.discard)
    await asyncio.wait((ending,))


async def _cancel(task: "asyncio.Task[_Answer]") -> None:
    """End a task however often it swallows its cancellation; what it raises has been seen."""
    for _ in range(_CANCELLATIONS):
        if task.done():
            break
        task.cancel()
        await asyncio.wait((task,), timeout=_CANCEL_SECONDS)
    if task.done() and not task.cancelled():
        task.exception()


def _named(url: URL) -> FieldTable:
    """What the broker's own lists of connections show."""
    return {"connection_name": f"{url.query.get('name', 'pipemirror')} (control)"}


def _in_our_words(error: Exception) -> Exception:
    """The same error as our own client would raise it."""
    match error:
        case AuthenticationError() | ProbableAuthenticationError():
            return Closed(str(error), AMQPAccessRefused.value)
        case InvalidFrameError() if "OpenOk" in str(error):
            # It got a Close instead and does not tell its words: the vhost is not there or not for this user.
            return Closed(str(error), AMQPNotAllowed.value)
        case ChannelPreconditionFailed():
            return Closed(_told(error), AMQPPreconditionFailed.value)
        case ChannelClosed() | ConnectionClosed():
            return Closed(_told(error))
        case RuntimeError():
            # What aio-pika makes of a call over a connection that has gone before it.
            return Lost("it went between two calls")
        case _:
            return error


def _told(error: AMQPError) -> str:
    """The broker's own words: with or without the number in front, whatever the exception."""
    return str(error.args[-1]) if error.args else type(error).__name__
