"""How many messages wait in the broker's queues, asked once, without consuming any."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from runtime.amqp.broker import LOST, close, connect, count, explain, parse_url
from runtime.amqp.channel import Channel, Closed
from schema.errors import NotNow, QueueUnavailable
from schema.topology import Queue


async def declared(url: str, queues: Sequence[Queue], *, timeout: float = 5.0) -> list[Queue]:
    """The leading ones of `queues` that exist; none where the broker cannot be asked."""
    found: list[Queue] = []
    with suppress(NotNow, *LOST):
        connection = await connect(parse_url(url), timeout=timeout)
        try:
            async with asyncio.timeout(timeout):
                channel = await connection.channel()
                for queue in queues:
                    await count(channel, queue)
                    found.append(queue)
        finally:
            await close(connection)
    return found


async def waiting(url: str, queues: Sequence[Queue], *, timeout: float = 5.0) -> dict[str, int]:
    """Messages ready per queue; a queue that nobody has declared yet is left out. Raise QueueUnavailable."""
    place = parse_url(url)
    connection = await connect(place, timeout=timeout)
    counts: dict[str, int] = {}
    try:
        async with asyncio.timeout(timeout):
            for queue in queues:
                # Asking for a missing queue ends the channel, so each is asked for on one of its own.
                channel = await connection.channel()
                with suppress(Closed):
                    counts[queue.name] = await count(channel, queue)
                    await channel.close()
    except LOST as error:
        raise QueueUnavailable(explain(error, place)) from None
    finally:
        await close(connection)
    return counts


async def count_ready(channel: Channel, queues: Sequence[Queue], *, timeout: float) -> dict[str, int]:
    """Messages ready per queue; each must exist, else the channel ends."""
    async with asyncio.timeout(timeout):
        return {queue.name: await count(channel, queue) for queue in queues}
