"""What both transports promise, in the words of runtime/transport.py."""

import asyncio
from collections import Counter

import pytest
from rig.transports import Amqp, Spool, backlog_becomes, receive

from schema.errors import NotNow
from schema.topology import LARGE, lane_queue

LANE = lane_queue(0)
OTHER_LANE = lane_queue(1)


async def test_a_published_message_is_received_as_it_was(transport: Amqp | Spool) -> None:
    publisher, subscription = await transport.publisher(), await transport.subscription()
    body = bytes(range(256))
    await publisher.publish(LANE.routing_key, body)
    (message,) = await receive(subscription, 1)
    assert (message.body, message.queue, message.redeliveries, message.given_up) == (body, LANE.name, 0, False)


@pytest.mark.parametrize("size", [0, 1, 1024 * 1024])
async def test_a_body_may_have_any_size(transport: Amqp | Spool, size: int) -> None:
    publisher, subscription = await transport.publisher(), await transport.subscription()
    await publisher.publish(LARGE.routing_key, b"\xff" * size)
    (message,) = await receive(subscription, 1)
    assert (message.body, message.queue) == (b"\xff" * size, LARGE.name)


async def test_what_waits_before_the_subscription_starts_is_received(transport: Amqp | Spool) -> None:
    publisher = await transport.publisher()
    await publisher.publish(LANE.routing_key, b"early")
    subscription = await transport.subscription()
    assert [message.body for message in await receive(subscription, 1)] == [b"early"]


async def test_concurrent_publishes_all_arrive_once_and_each_producer_in_its_order(transport: Amqp | Spool) -> None:
    publisher, subscription = await transport.publisher(), await transport.subscription()

    async def produce(name: int) -> None:
        for number in range(50):
            await publisher.publish(LANE.routing_key, b"%d %d" % (name, number))

    producing = [asyncio.create_task(produce(name)) for name in range(8)]
    received: list[tuple[int, int]] = []
    while len(received) < 8 * 50:
        messages = await receive(subscription, 1)
        while (more := subscription.receive_nowait()) is not None:
            messages.append(more)
        told = (message.body.split() for message in messages)
        received += [(int(producer), int(number)) for producer, number in told]
        await subscription.ack(messages)
    await asyncio.gather(*producing)
    assert set(Counter(received).values()) == {1}
    for name in range(8):
        assert [number for producer, number in received if producer == name] == list(range(50))


async def test_an_emptied_queue_goes_on(transport: Amqp | Spool) -> None:
    publisher, subscription = await transport.publisher(), await transport.subscription()
    for number in range(3):
        await publisher.publish(LANE.routing_key, b"%d" % number)
        messages = await receive(subscription, 1)
        assert [message.body for message in messages] == [b"%d" % number]
        await subscription.ack(messages)


async def test_nothing_at_hand_is_none(transport: Amqp | Spool) -> None:
    subscription = await transport.subscription()
    assert subscription.receive_nowait() is None


async def test_a_lane_nobody_acknowledges_does_not_hold_up_another(transport: Amqp | Spool) -> None:
    publisher = await transport.publisher()
    await asyncio.gather(*(publisher.publish(LANE.routing_key, b"bulk") for _ in range(200)))
    await publisher.publish(OTHER_LANE.routing_key, b"lone")
    subscription = await transport.subscription()
    received = await receive(subscription, 51)  # 50 is the prefetch of a lane of two
    assert Counter(message.body for message in received) == {b"bulk": 50, b"lone": 1}


async def test_an_ack_of_any_subset_is_for_good_and_the_rest_comes_again(transport: Amqp | Spool) -> None:
    publisher, first = await transport.publisher(), await transport.subscription()
    for number in range(10):
        await publisher.publish(LANE.routing_key, b"%d" % number)
    messages = await receive(first, 10)
    await first.ack([messages[number] for number in (8, 0, 3, 1)])
    await backlog_becomes(first, LANE.name, 6)
    await first.close()

    second = await transport.subscription()
    again = await receive(second, 6)
    assert sorted(int(message.body) for message in again) == [2, 4, 5, 6, 7, 9]
    assert {message.redeliveries for message in again} == {1}
    await second.ack(again)
    await backlog_becomes(second, LANE.name, 0)


async def test_an_ack_repeated_or_after_the_end_does_no_harm(transport: Amqp | Spool) -> None:
    publisher, first = await transport.publisher(), await transport.subscription()
    await publisher.publish(LANE.routing_key, b"twice")
    await publisher.publish(LANE.routing_key, b"late")
    twice, late = await receive(first, 2)
    await first.ack([twice])
    await first.ack([twice])
    await backlog_becomes(first, LANE.name, 1)
    await first.close()
    await first.ack([late])

    second = await transport.subscription()
    assert [message.body for message in await receive(second, 1)] == [b"late"]


async def test_the_backlog_counts_what_is_handed_out_and_not_acknowledged(transport: Amqp | Spool) -> None:
    publisher, subscription = await transport.publisher(), await transport.subscription()
    for _ in range(3):
        await publisher.publish(LANE.routing_key, b"x")
    await receive(subscription, 2)
    await backlog_becomes(subscription, LANE.name, 3)


async def test_redeliveries_count_up_until_the_message_is_given_up(transport: Amqp | Spool) -> None:
    publisher = await transport.publisher(delivery_limit=2)
    await publisher.publish(LANE.routing_key, b"poison")
    seen = []
    for _ in range(4):
        subscription = await transport.subscription(delivery_limit=2)
        (message,) = await receive(subscription, 1)
        seen.append((message.given_up, message.redeliveries))
        await subscription.close()
    assert seen[:3] == [(False, 0), (False, 1), (False, 2)]
    assert seen[3][0]


async def test_what_ten_workers_held_when_they_ended_is_given_up_by_none(transport: Amqp | Spool) -> None:
    """A closed connection counts as a delivery of everything prefetched: deployments must not age the innocent."""
    publisher = await transport.publisher()
    for _ in range(5):
        await publisher.publish(LANE.routing_key, b"innocent")
    for _ in range(10):
        subscription = await transport.subscription()
        held = await receive(subscription, 5)
        assert [message.given_up for message in held] == [False] * 5
        await subscription.close()


async def test_a_given_up_message_is_gone_after_its_ack(transport: Amqp | Spool) -> None:
    publisher = await transport.publisher(delivery_limit=0)
    await publisher.publish(LANE.routing_key, b"poison")
    subscription = await transport.subscription(delivery_limit=0)
    await receive(subscription, 1)
    await subscription.close()

    subscription = await transport.subscription(delivery_limit=0)
    (message,) = await receive(subscription, 1)
    assert message.given_up
    await subscription.ack([message])
    await backlog_becomes(subscription, message.queue, 0)
    assert subscription.receive_nowait() is None


async def test_messages_survive_while_nobody_is_there(transport: Amqp | Spool) -> None:
    publisher = await transport.publisher()
    await publisher.publish(LANE.routing_key, b"kept")
    await publisher.close()
    subscription = await transport.subscription()
    assert [message.body for message in await receive(subscription, 1)] == [b"kept"]


async def test_a_closed_publisher_refuses(transport: Amqp | Spool) -> None:
    publisher = await transport.publisher()
    await publisher.close()
    with pytest.raises(NotNow):
        await publisher.publish(LANE.routing_key, b"x")
