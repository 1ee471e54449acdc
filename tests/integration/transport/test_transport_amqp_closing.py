"""Closing what is in the middle of something: in time, with nothing left over that would keep a process from ending."""

import asyncio
import time

import pytest
from pamqp.commands import Basic
from rig.rabbitmq import Broker
from rig.transports import Amqp, receive, until

from runtime.amqp.broker import connect, parse_url
from runtime.amqp.channel import AmqpError
from schema.topology import lane_queue


@pytest.mark.parametrize("steps", range(8))
async def test_who_asked_for_the_backlog_may_go_and_the_connection_stays(amqp: Amqp, steps: int) -> None:
    """A worker that stops cancels its measuring; the connection is not its to end."""
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


async def test_closing_a_connection_to_a_frozen_broker_ends_in_time(broker: Broker, amqp: Amqp) -> None:
    if not broker.controlled:
        pytest.skip("freezes a broker, which somebody else's must not be")
    before = asyncio.all_tasks()
    connection = await connect(parse_url(amqp.url), timeout=5)
    channel = await connection.channel()
    broker.freeze()
    try:
        calling = asyncio.create_task(channel.call(Basic.Qos(prefetch_count=1)))
        began = time.monotonic()
        await connection.close(within=0.05)
        assert time.monotonic() - began < 1
        with pytest.raises(AmqpError):
            await asyncio.wait_for(calling, 1)
    finally:
        broker.thaw()
    with pytest.raises(AmqpError):
        await channel.call(Basic.Qos(prefetch_count=1))
    await until(lambda: not asyncio.all_tasks() - before)
