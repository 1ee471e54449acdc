"""How many messages wait in the broker's queues, asked once, without consuming any."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from aiormq.abc import AbstractChannel
from aiormq.exceptions import AMQPError, ChannelNotFoundEntity

from runtime.amqp.connection import close, connect, open_channel, parse_url
from schema.errors import NotNow
from schema.topology import Queue


async def declared(url: str, queues: Sequence[Queue], *, timeout: float = 5.0) -> list[Queue]:
    """The leading ones of `queues` that exist; none where the broker cannot be asked."""
    found: list[Queue] = []
    with suppress(NotNow, AMQPError, OSError, RuntimeError):
        connection = await connect(parse_url(url), timeout=timeout)
        try:
            async with asyncio.timeout(timeout):
                for queue in queues:
                    channel = await open_channel(connection)
                    await channel.queue_declare(queue.name, passive=True)
                    found.append(queue)
                    await channel.close()
        finally:
            await close(connection)
    return found


async def waiting(url: str, queues: Sequence[Queue], *, timeout: float = 5.0) -> dict[str, int]:
    """Messages ready per queue; a queue that nobody has declared yet is left out. Raise QueueUnavailable."""
    connection = await connect(parse_url(url), timeout=timeout)
    counts: dict[str, int] = {}
    try:
        for queue in queues:
            # A passive declare of a missing queue closes its channel, so each asks on one of its own.
            channel = await open_channel(connection)
            try:
                declared = await channel.queue_declare(queue.name, passive=True)
            except ChannelNotFoundEntity:
                continue
            counts[queue.name] = declared.message_count or 0
            await channel.close()
    finally:
        await close(connection)
    return counts


async def count_ready(channel: AbstractChannel, queues: Sequence[Queue], *, timeout: float) -> dict[str, int]:
    """Messages ready per queue; each must exist, else the channel ends."""
    async with asyncio.timeout(timeout):
        counts = {}
        for queue in queues:
            declared = await channel.queue_declare(queue.name, passive=True)
            counts[queue.name] = declared.message_count or 0
        return counts
