"""The control plane: declared is declared, what fails is said in words, and nothing is left behind."""

import asyncio
import dataclasses
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import aio_pika
import pytest
from rig.rabbitmq import Broker
from rig.transports import Amqp, until
from yarl import URL

from runtime import amqp as amqp_transport
from runtime.amqp import control
from schema.errors import QueueUnavailable
from schema.topology import lane_queue, queues

QUEUES = queues(2)


async def refused(url: str | URL) -> str:
    """Why declaring is refused there."""
    with pytest.raises(QueueUnavailable) as caught:
        await control.declare(URL(url), QUEUES, timeout=5)
    return caught.value.reason


async def open_for_ever(connection: aio_pika.Connection) -> None:
    while True:
        channel = await connection.channel(publisher_confirms=False)
        await channel.close()


async def test_everything_is_declared_and_again_is_harmless(amqp: Amqp) -> None:
    for _ in range(2):
        await control.declare(URL(amqp.url), QUEUES, timeout=5)
    assert await amqp_transport.declared(amqp.url, [*QUEUES, lane_queue(7), QUEUES[0]]) == [*QUEUES]
    assert await amqp_transport.waiting(amqp.url, QUEUES) == dict.fromkeys((queue.name for queue in QUEUES), 0)


async def test_a_missing_vhost_is_said(amqp: Amqp) -> None:
    assert "no vhost 'test-missing' for user 'guest'" in await refused(URL(amqp.url).with_path("/test-missing"))


async def test_a_wrong_password_is_said_and_not_shown(amqp: Amqp) -> None:
    reason = await refused(URL(amqp.url).with_password("s3cret-wrong"))
    assert "refuses user 'guest'" in reason
    assert "s3cret" not in reason


async def test_queues_with_other_arguments_are_said_and_which(amqp: Amqp) -> None:
    first = dataclasses.replace(QUEUES[0], arguments={**QUEUES[0].arguments, "x-delivery-limit": 1})
    await control.declare(URL(amqp.url), [first], timeout=5)
    reason = await refused(amqp.url)
    assert "with other arguments" in reason
    assert first.name in reason
    assert "x-delivery-limit" in reason


async def test_nobody_there_is_said(unused_tcp_port: int) -> None:
    reason = await refused(f"amqp://guest:s3cret@127.0.0.1:{unused_tcp_port}/")
    assert f"no RabbitMQ answers at 127.0.0.1:{unused_tcp_port}" in reason
    assert "s3cret" not in reason


async def test_a_certificate_that_cannot_be_read_is_said() -> None:
    assert "AMQP_URL" in await refused("amqps://localhost/?cafile=/not/there.pem")


async def test_a_server_that_speaks_something_else_is_given_up(opened: AsyncExitStack) -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await reader.read(8)
        writer.close()

    before = asyncio.all_tasks()
    server = await asyncio.start_server(speak, "127.0.0.1", 0)
    opened.push_async_callback(server.wait_closed)
    opened.callback(server.close)
    await refused(f"amqp://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
    await until(lambda: not asyncio.all_tasks() - before)


def freezing(broker: Broker) -> tuple[Callable[[aio_pika.Connection], Awaitable[None]], asyncio.Event]:
    """What freezes the broker while it is spoken to, and the event that it did."""
    if not broker.controlled:
        pytest.skip("freezes a broker, which somebody else's must not be")
    talking = asyncio.Event()

    async def freeze(connection: aio_pika.Connection) -> None:
        broker.freeze()
        talking.set()
        await open_for_ever(connection)

    return freeze, talking


async def test_a_frozen_broker_is_given_up_in_time(broker: Broker, amqp: Amqp) -> None:
    before = asyncio.all_tasks()
    freeze, talking = freezing(broker)
    began = time.monotonic()
    try:
        with pytest.raises(QueueUnavailable, match="did not answer in time"):
            await control.ask(URL(amqp.url), freeze, timeout=1)
        assert talking.is_set(), "frozen while it is spoken to"
        with pytest.raises(QueueUnavailable, match="did not answer in time"):
            await amqp_transport.waiting(amqp.url, QUEUES, timeout=0.3)
        assert await amqp_transport.declared(amqp.url, QUEUES, timeout=0.3) == []
        assert time.monotonic() - began < 12
        await until(lambda: not asyncio.all_tasks() - before)
    finally:
        broker.thaw()


async def test_a_connection_that_goes_fails_the_call_and_cancels_nobody(broker: Broker, amqp: Amqp) -> None:
    if not broker.controlled:
        pytest.skip("closes connections, which somebody else's must not be")
    before = asyncio.all_tasks()
    talking = asyncio.Event()

    async def talk(connection: aio_pika.Connection) -> None:
        talking.set()
        await open_for_ever(connection)

    asking = asyncio.create_task(control.ask(URL(amqp.url), talk, timeout=20))
    await talking.wait()
    await broker.close_all_connections()
    with pytest.raises(QueueUnavailable, match=r"the connection to RabbitMQ at .* was lost|closed the connection"):
        await asyncio.wait_for(asking, 10)
    await until(lambda: not asyncio.all_tasks() - before)


async def test_a_cancellation_that_aio_pika_invents_is_a_loss_and_not_ours(amqp: Amqp) -> None:
    """It fails calls by CancelledError when their connection is closed: to a loop that is the order to end."""

    async def talk(_: aio_pika.Connection) -> None:
        raise asyncio.CancelledError

    with pytest.raises(QueueUnavailable, match="in the middle of a call"):
        await control.ask(URL(amqp.url), talk, timeout=5)


async def test_who_stops_waiting_at_whatever_moment_leaves_no_task(amqp: Amqp) -> None:
    before = asyncio.all_tasks()
    began = time.monotonic()
    await control.declare(URL(amqp.url), QUEUES, timeout=5)
    whole = time.monotonic() - began
    for part in range(30):
        declaring = asyncio.create_task(control.declare(URL(amqp.url), QUEUES, timeout=5))
        await asyncio.sleep(whole * part / 30)
        declaring.cancel()
        await asyncio.wait((declaring,), timeout=10)
        assert declaring.done()
        await until(lambda: not asyncio.all_tasks() - before)
    assert await amqp_transport.declared(amqp.url, QUEUES) == [*QUEUES]


@pytest.mark.parametrize("cancellations", [1, 2])
async def test_who_stops_waiting_for_a_frozen_broker_leaves_no_task(
    broker: Broker, amqp: Amqp, cancellations: int
) -> None:
    before = asyncio.all_tasks()
    freeze, talking = freezing(broker)
    asking = asyncio.create_task(control.ask(URL(amqp.url), freeze, timeout=60))
    try:
        await talking.wait()
        for _ in range(cancellations):
            asking.cancel()
            await asyncio.wait((asking,), timeout=0.05)
        await asyncio.wait((asking,), timeout=10)
        assert asking.cancelled()
        await until(lambda: not asyncio.all_tasks() - before)
    finally:
        broker.thaw()
