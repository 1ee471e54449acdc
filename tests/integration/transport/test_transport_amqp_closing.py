"""Closing what is in the middle of something: in time, with nothing left over that would keep a process from ending."""

import asyncio
import time

import aio_pika
import pytest
from rig.transports import Amqp, receive, until

from runtime.amqp import connection as connections
from runtime.amqp.connection import close, connect, parse_url
from schema.topology import lane_queue


@pytest.mark.parametrize("steps", range(8))
async def test_who_asked_for_the_backlog_may_go_and_the_connection_stays(amqp: Amqp, steps: int) -> None:
    """A worker that stops cancels its measuring; aiormq would answer by closing the channel."""
    subscription = await amqp.subscription()
    asking = asyncio.create_task(subscription.backlog())
    for _ in range(steps):
        await asyncio.sleep(0)
    asking.cancel()
    await asyncio.wait((asking,))

    await (await amqp.publisher()).publish(lane_queue(0).routing_key, b"1")
    assert [message.body for message in await receive(subscription, 1)] == [b"1"]
    assert subscription.connected
    assert subscription.problem is None


async def test_closing_while_calls_are_under_way_ends_in_time_and_leaves_no_task(amqp: Amqp) -> None:
    before = asyncio.all_tasks()
    for steps in range(12):
        subscription = await amqp.subscription()
        asking = asyncio.create_task(subscription.backlog())
        for _ in range(steps):
            await asyncio.sleep(0)
        asking.cancel()
        began = time.monotonic()
        await subscription.close()
        assert time.monotonic() - began < 1
        await asyncio.wait((asking,))
    await until(lambda: not asyncio.all_tasks() - before)


async def test_a_close_that_swallows_its_cancellation_is_ended_all_the_same(
    amqp: Amqp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen with aio-pika: cancelled once, it waits for a callback that nobody calls. asyncio.run would wait with it."""
    monkeypatch.setattr(connections, "_CLOSE_SECONDS", 0.05)
    connection = await connect(parse_url(amqp.url), timeout=5)
    before, properly = asyncio.all_tasks(), aio_pika.Connection.close

    async def stubborn(_: aio_pika.Connection) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.Event().wait()

    monkeypatch.setattr(aio_pika.Connection, "close", stubborn)
    await close(connection)

    assert not asyncio.all_tasks() - before
    await properly(connection)
