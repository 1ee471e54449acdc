"""Asking how much waits takes nothing and needs nothing to exist."""

import asyncio

import pytest
from rig.transports import Amqp, Spool

from runtime import amqp as amqp_transport
from runtime import spool as spool_transport
from schema.errors import QueueUnavailable
from schema.topology import lane_queue, queues


async def test_the_broker_is_asked_queue_by_queue_and_one_not_declared_yet_is_left_out(amqp: Amqp) -> None:
    assert await amqp_transport.waiting(amqp.url, queues(2)) == {}
    publisher = await amqp.publisher()
    for _ in range(3):
        await publisher.publish("lane.1", b"x")

    async with asyncio.timeout(20):
        while (counts := await amqp_transport.waiting(amqp.url, queues(3)))[lane_queue(1).name] != 3:  # noqa: ASYNC110 - in another process
            # A quorum queue counts a moment later than it confirms.
            await asyncio.sleep(0.05)
    assert counts[lane_queue(0).name] == 0
    assert lane_queue(2).name not in counts


async def test_a_broker_that_is_away_is_said_to_be(unused_tcp_port: int) -> None:
    with pytest.raises(QueueUnavailable):
        await amqp_transport.waiting(f"amqp://guest:hidden@127.0.0.1:{unused_tcp_port}/", queues(1), timeout=1)


async def test_the_spool_is_counted_over_all_its_files(spool: Spool) -> None:
    assert spool_transport.waiting(spool.directory) == {}
    first, second = await spool.publisher(), await spool.publisher()
    await first.publish("lane.0", b"x")
    await second.publish("lane.0", b"x")
    await second.publish("large", b"x")

    assert spool_transport.waiting(spool.directory) == {"lane.0": 2, "large": 1}
