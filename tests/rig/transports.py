"""Both transports behind one face, so that one suite describes what either must do."""

import asyncio
import dataclasses
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

from runtime.amqp import AmqpPublisher, AmqpSubscription
from runtime.backoff import Backoff
from runtime.spool import SpoolSubscription, SpoolWriter
from runtime.transport import Message, Subscription
from schema.errors import NotNow
from schema.topology import DELIVERY_LIMIT, Queue, queues

LANES = 2
QUICK = Backoff(first=0.05, cap=0.3)


class Amqp:
    """Makes publishers and subscriptions of a vhost; `opened` closes them."""

    def __init__(self, url: str, opened: AsyncExitStack) -> None:
        self.url = url
        self._opened = opened

    async def publisher(self, delivery_limit: int = DELIVERY_LIMIT) -> AmqpPublisher:
        publisher = AmqpPublisher(self.url, limited(delivery_limit), backoff=QUICK)
        self._opened.push_async_callback(publisher.close)
        await publisher.start()
        return publisher

    async def subscription(
        self, *, delivery_limit: int = DELIVERY_LIMIT, idle_timeout: float = 60.0
    ) -> AmqpSubscription:
        subscription = AmqpSubscription(self.url, limited(delivery_limit), idle_timeout=idle_timeout, backoff=QUICK)
        self._opened.push_async_callback(subscription.close)
        await subscription.start()
        return subscription


class Spool:
    """Makes publishers and subscriptions of a directory; `opened` closes them."""

    def __init__(self, directory: Path, opened: AsyncExitStack) -> None:
        self.directory = directory
        self._opened = opened

    async def publisher(self, delivery_limit: int = DELIVERY_LIMIT) -> SpoolWriter:
        del delivery_limit  # the subscription's affair
        writer = SpoolWriter(self.directory)
        self._opened.push_async_callback(writer.close)
        await writer.start()
        return writer

    async def subscription(self, *, delivery_limit: int = DELIVERY_LIMIT) -> SpoolSubscription:
        subscription = SpoolSubscription(self.directory, prefetch=50, delivery_limit=delivery_limit)
        self._opened.push_async_callback(subscription.close)
        await subscription.start()
        return subscription


def limited(delivery_limit: int) -> list[Queue]:
    """The topology with another delivery limit on the lanes."""
    return [
        dataclasses.replace(queue, arguments={**queue.arguments, "x-delivery-limit": delivery_limit})
        if ".lane." in queue.name
        else queue
        for queue in queues(LANES)
    ]


async def receive(subscription: Subscription, number: int, *, within: float = 20.0) -> list[Message]:
    async with asyncio.timeout(within):
        return [await subscription.receive() for _ in range(number)]


async def until(condition: Callable[[], bool], *, within: float = 20.0) -> None:
    """Return as soon as `condition` holds; fail if it does not in time."""
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110 - what is waited for is often in another process
            await asyncio.sleep(0.01)


async def backlog_becomes(subscription: Subscription, queue: str, expected: int, *, within: float = 20.0) -> None:
    """Wait for it: a broker counts a moment later than it confirms, and may be reconnecting."""

    async def backlog() -> int | None:
        try:
            return (await subscription.backlog()).get(queue, 0)
        except NotNow:
            return None

    async with asyncio.timeout(within):
        while await backlog() != expected:  # noqa: ASYNC110 - it changes in another process
            await asyncio.sleep(0.02)
