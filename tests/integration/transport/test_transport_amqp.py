"""What the AMQP transport does when the broker is away, blocked, frozen, silent or somebody else's."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import aio_pika
import pytest
from rig.rabbitmq import Broker
from rig.transports import LANES, QUICK, Amqp, backlog_becomes, receive, until
from yarl import URL

from runtime.amqp import AmqpPublisher, AmqpSubscription, SilentConsumer
from runtime.amqp.channel import Channel
from runtime.amqp.subscription import _Consumer
from schema.errors import Misconfigured, Problem, QueueMissing, QueueUnavailable
from schema.topology import Queue, lane_queue, queues

LANE = lane_queue(0)


@pytest.fixture(autouse=True)
def controlled(broker: Broker) -> None:
    if not broker.controlled:
        pytest.skip("restarts, freezes and blocks a broker, which somebody else's must not be")


@asynccontextmanager
async def blocked(broker: Broker) -> AsyncIterator[None]:
    await broker.block_publishers()
    try:
        yield
    finally:
        await broker.unblock_publishers()


async def publish_for_sure(publisher: AmqpPublisher, body: bytes) -> None:
    """Publish again until it is confirmed, as a receiver with a spool does in the end."""
    async with asyncio.timeout(30):
        while True:
            try:
                return await publisher.publish(LANE.routing_key, body)
            except QueueUnavailable:
                await asyncio.sleep(0.05)


async def test_everything_confirmed_survives_a_kill_of_the_broker_and_both_sides_resume(
    broker: Broker, amqp: Amqp
) -> None:
    publisher, subscription = await amqp.publisher(), await amqp.subscription()
    confirmed: set[int] = set()

    async def produce(name: int) -> None:
        for number in range(name, 100_000, 8):
            await publisher.publish(LANE.routing_key, b"%d" % number)
            confirmed.add(number)

    producing = [asyncio.create_task(produce(name)) for name in range(8)]
    await until(lambda: len(confirmed) > 200)
    await broker.kill9()
    outcomes = await asyncio.wait_for(asyncio.gather(*producing, return_exceptions=True), 5)
    assert {type(outcome) for outcome in outcomes} == {QueueUnavailable}

    await broker.start()
    await publish_for_sure(publisher, b"100000")
    received: set[int] = set()
    while not received >= confirmed | {100_000}:
        messages = await receive(subscription, 1)
        received |= {int(message.body) for message in messages}
        await subscription.ack(messages)


async def test_both_sides_resume_after_an_orderly_restart(broker: Broker, amqp: Amqp) -> None:
    publisher, subscription = await amqp.publisher(), await amqp.subscription()
    await publisher.publish(LANE.routing_key, b"before")
    await broker.restart()
    await publish_for_sure(publisher, b"after")
    bodies: set[bytes] = set()
    while bodies != {b"before", b"after"}:
        messages = await receive(subscription, 1)
        bodies |= {message.body for message in messages}
        await subscription.ack(messages)


async def test_connections_closed_by_the_broker_are_built_anew_and_old_acks_dropped(broker: Broker, amqp: Amqp) -> None:
    publisher, subscription = await amqp.publisher(), await amqp.subscription()
    await publisher.publish(LANE.routing_key, b"one")
    await publisher.publish(LANE.routing_key, b"two")
    old = await receive(subscription, 1)
    consumer = old[0].tag.consumer
    await until(lambda: len(consumer.unacked) == 2)  # the second waits at hand; it must not outlive its connection
    await broker.close_all_connections()

    again = await receive(subscription, 2)
    assert [(message.body, message.redeliveries) for message in again] == [(b"one", 1), (b"two", 1)]
    await subscription.ack(old)
    await publish_for_sure(publisher, b"three")
    (three,) = await receive(subscription, 1)
    await subscription.ack([*again, three])
    await backlog_becomes(subscription, LANE.name, 0)


async def test_publishing_without_a_broker_raises_at_once_and_says_what_to_do(broker: Broker, amqp: Amqp) -> None:
    publisher = await amqp.publisher()
    await broker.kill9()
    try:
        await until(lambda: not publisher.available)
        began = time.monotonic()
        with pytest.raises(QueueUnavailable, match=r"AMQP_URL|lost"):
            await publisher.publish(LANE.routing_key, b"x")
        with pytest.raises(QueueUnavailable):
            await publisher.probe()
        assert time.monotonic() - began < 0.2
        assert publisher.problem
    finally:
        await broker.start()
    await until(lambda: publisher.available)
    await publisher.probe()
    assert publisher.problem is None


async def test_a_process_may_start_before_its_broker(broker: Broker, amqp: Amqp) -> None:
    await broker.kill9()
    try:
        publisher, subscription = await amqp.publisher(), await amqp.subscription()
        assert not publisher.available
        assert not subscription.connected
        with pytest.raises(QueueUnavailable):
            await subscription.backlog()
    finally:
        await broker.start()
    await publish_for_sure(publisher, b"x")
    assert [message.body for message in await receive(subscription, 1)] == [b"x"]


async def test_a_frozen_broker_costs_one_deadline(broker: Broker, amqp: Amqp) -> None:
    publisher = await amqp.publisher()
    broker.freeze()
    try:
        began = time.monotonic()
        outcomes = await asyncio.gather(
            *(publisher.publish(LANE.routing_key, b"x") for _ in range(10)), return_exceptions=True
        )
        assert {type(outcome) for outcome in outcomes} == {QueueUnavailable}
        assert 0.9 < time.monotonic() - began < 2
    finally:
        broker.thaw()
    await publish_for_sure(publisher, b"x")


async def test_a_blocked_broker_refuses_pending_and_new_publishes_at_once(broker: Broker, amqp: Amqp) -> None:
    publisher = await amqp.publisher()
    await publisher.publish(LANE.routing_key, b"before")
    async with blocked(broker):
        began = time.monotonic()
        with pytest.raises(QueueUnavailable):
            await publisher.publish(LANE.routing_key, b"x")
        assert time.monotonic() - began < 0.8  # well before the deadline of 1 s
        assert not publisher.available
        with pytest.raises(QueueUnavailable, match="alarm"):
            await publisher.publish(LANE.routing_key, b"x")
        with pytest.raises(QueueUnavailable, match="alarm"):
            await publisher.probe()
    await until(lambda: publisher.available)
    await publisher.probe()


async def test_a_probe_over_a_fresh_connection_finds_the_alarm(broker: Broker, amqp: Amqp) -> None:
    async with blocked(broker):
        publisher = await amqp.publisher()
        with pytest.raises(QueueUnavailable):
            await publisher.probe()
    await until(lambda: publisher.available)


async def test_an_unroutable_message_is_not_confirmed(amqp: Amqp) -> None:
    publisher = await amqp.publisher()
    with pytest.raises(QueueUnavailable, match=r"lane\.999"):
        await publisher.publish("lane.999", b"x")
    await publisher.publish(LANE.routing_key, b"x")


async def test_a_queue_of_ours_that_somebody_deleted_is_made_again_by_the_publisher(amqp: Amqp) -> None:
    publisher = await amqp.publisher()
    connection = await aio_pika.connect(amqp.url)
    async with connection:
        await (await connection.channel()).queue_delete(LANE.name)
    with pytest.raises(QueueMissing, match=r"lane\.0"):
        await publisher.publish(LANE.routing_key, b"x")
    await publish_for_sure(publisher, b"y")


async def test_queues_that_are_made_later_can_be_consumed_too(amqp: Amqp) -> None:
    publisher, subscription = await amqp.publisher(), await amqp.subscription()
    later = lane_queue(LANES)
    more = AmqpPublisher(amqp.url, [later], backoff=QUICK)
    await more.start()
    await more.publish(later.routing_key, b"later")
    await more.close()
    subscription.consume_also([LANE, later])
    await publisher.publish(LANE.routing_key, b"as before")
    messages = await receive(subscription, 2)
    assert {(message.queue, message.body) for message in messages} == {
        (LANE.name, b"as before"),
        (later.name, b"later"),
    }
    await subscription.ack(messages)
    await backlog_becomes(subscription, later.name, 0)


async def test_probes_leave_nothing_behind(amqp: Amqp) -> None:
    publisher, subscription = await amqp.publisher(), await amqp.subscription()
    for _ in range(100):
        await publisher.probe()
    assert sum((await subscription.backlog()).values()) == 0


async def test_a_consumer_the_broker_cancelled_is_built_anew(amqp: Amqp) -> None:
    publisher, subscription = await amqp.publisher(), await amqp.subscription()
    connection = await aio_pika.connect(amqp.url)
    async with connection:
        channel = await connection.channel()
        await channel.queue_delete(LANE.name)
    await publish_for_sure(publisher, b"x")  # the queue is back: only the subscription can have declared it again
    assert [message.body for message in await receive(subscription, 1)] == [b"x"]


async def stop_consuming(subscription: AmqpSubscription) -> None:
    """End the consumers behind the subscription's back: connected, and deaf."""
    assert subscription._link is not None
    for consumer in subscription._link.consumers:
        await consumer.cancel()


async def test_a_connection_that_fell_silent_is_built_anew(amqp: Amqp) -> None:
    publisher, subscription = await amqp.publisher(), await amqp.subscription(idle_timeout=0.4)
    await stop_consuming(subscription)
    await publisher.publish(LANE.routing_key, b"unheard")
    assert [message.body for message in await receive(subscription, 1)] == [b"unheard"]


async def test_silence_over_two_connections_ends_the_process(amqp: Amqp, monkeypatch: pytest.MonkeyPatch) -> None:
    publisher, subscription = await amqp.publisher(), await amqp.subscription(idle_timeout=0.4)

    async def do_not_consume(queue: Queue, channel: Channel, _: object) -> _Consumer:
        return _Consumer(queue, channel)

    monkeypatch.setattr(subscription, "_consume", do_not_consume)
    await stop_consuming(subscription)
    await publisher.publish(LANE.routing_key, b"unheard")
    with pytest.raises(SilentConsumer):
        await receive(subscription, 1)


async def test_an_empty_queue_and_held_messages_are_no_silence(amqp: Amqp) -> None:
    problems: list[Problem] = []
    publisher = await amqp.publisher()
    subscription = AmqpSubscription(amqp.url, queues(LANES), idle_timeout=0.1, on_problem=problems.append)
    await subscription.start()
    try:
        await asyncio.sleep(0.5)  # several looks at empty queues
        for _ in range(60):  # more than the prefetch: some stay ready while we hold the others
            await publisher.publish(LANE.routing_key, b"x")
        await receive(subscription, 50)
        await asyncio.sleep(0.5)
        assert problems == []
    finally:
        await subscription.close()


async def test_a_wrong_password_is_explained_and_not_shown(amqp: Amqp, opened: AsyncExitStack) -> None:
    url = str(URL(amqp.url).with_password("s3cret-wrong"))
    publisher = AmqpPublisher(url, queues(LANES), backoff=QUICK)
    opened.push_async_callback(publisher.close)
    await publisher.start()
    assert publisher.problem is not None
    assert "correct user and password in AMQP_URL" in publisher.problem
    assert "s3cret" not in publisher.problem


async def test_a_missing_vhost_is_explained(amqp: Amqp, opened: AsyncExitStack) -> None:
    publisher = AmqpPublisher(amqp.url + "-missing", queues(LANES), backoff=QUICK)
    opened.push_async_callback(publisher.close)
    await publisher.start()
    assert "vhost" in (publisher.problem or "")


async def test_a_server_that_says_nothing_is_given_up_in_time(opened: AsyncExitStack) -> None:
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    opened.push_async_callback(server.wait_closed)
    opened.callback(server.close)
    port = server.sockets[0].getsockname()[1]
    publisher = AmqpPublisher(f"amqp://guest:s3cret@127.0.0.1:{port}/", queues(LANES), connect_timeout=0.3)
    opened.push_async_callback(publisher.close)
    began = time.monotonic()
    await publisher.start()
    assert time.monotonic() - began < 4
    assert "did not answer in time" in (publisher.problem or "")


@pytest.mark.parametrize("url", ["", "localhost", "http://localhost", "amqp://", "amqp://user:s3cret@host:port/"])
async def test_a_url_that_cannot_be_one_is_a_misconfiguration(url: str) -> None:
    with pytest.raises(Misconfigured, match="AMQP_URL") as caught:
        AmqpPublisher(url, queues(LANES))
    assert "s3cret" not in str(caught.value)
