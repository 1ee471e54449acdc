"""The worker takes and reads what comes next while something is being written; here an applier writes when told to."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import cast

import pytest
from rig.waiting import until

from runtime.transport import Message, Subscription
from schema.envelope import Envelope, pack
from worker import groups
from worker.applying.applier import Applier
from worker.batch import Limits
from worker.consumer import Consumer
from worker.groups import MOST_TOGETHER
from worker.writers import Writers


class Queue:
    def __init__(self) -> None:
        self.waiting: asyncio.Queue[Message] = asyncio.Queue()
        self.acked: list[bytes] = []

    def put(self, *bodies: bytes) -> None:
        for body in bodies:
            self.waiting.put_nowait(Message(pack([Envelope(1, 0, body)]), 0, "lane", given_up=False, tag=body))

    async def receive(self) -> Message:
        return await self.waiting.get()

    def receive_nowait(self) -> Message | None:
        return None if self.waiting.empty() else self.waiting.get_nowait()

    async def ack(self, messages: Sequence[Message]) -> None:
        self.acked += [message.tag for message in messages]


class Scripted:
    """An applier. `batches` are those begun; each ends once `write` is set, or fails with what `failure` holds."""

    def __init__(self) -> None:
        self.read_so_far: list[bytes] = []
        self.batches: list[list[bytes]] = []
        self.write = asyncio.Event()
        self.failure: Exception | None = None

    def read(self, envelopes: Iterable[Envelope]) -> list[bytes]:
        bodies = [envelope.body for envelope in envelopes]
        self.read_so_far += bodies
        return bodies

    async def apply_read(self, readable: Iterable[bytes]) -> None:
        self.batches.append(list(readable))
        await self.write.wait()
        if self.failure is not None:
            raise self.failure


@asynccontextmanager
async def consuming(queue: Queue, applier: Scripted, limits: Limits) -> AsyncIterator["asyncio.Task[None]"]:
    stop = asyncio.Event()
    # As much of both as is used.
    subscription, writers = cast("Subscription", queue), Writers([cast("Applier", applier)])
    running = asyncio.create_task(Consumer(subscription, writers, limits=limits).run(stop))
    try:
        yield running
    finally:
        applier.write.set()
        stop.set()
        await asyncio.wait_for(asyncio.gather(running, return_exceptions=True), 10)


async def test_while_a_batch_is_written_the_next_one_grows() -> None:
    queue, applier = Queue(), Scripted()
    async with consuming(queue, applier, Limits()):
        queue.put(b"1")
        await until(lambda: applier.batches == [[b"1"]], what="the first batch begun")
        for body in (b"2", b"3", b"4"):
            queue.put(body)
            await until(queue.waiting.empty, what=f"{body!r} taken")
        assert applier.batches == [[b"1"]]  # one at a time
        assert queue.acked == []
        applier.write.set()
        await until(lambda: len(queue.acked) == 4, what="all acknowledged")
    assert applier.batches == [[b"1"], [b"2", b"3", b"4"]]


async def test_no_more_is_read_ahead_than_fills_one_batch() -> None:
    queue, applier = Queue(), Scripted()
    async with consuming(queue, applier, Limits(events=2)):
        queue.put(b"1", b"2", b"3", b"4", b"5")
        await until(lambda: len(applier.read_so_far) == 4, what="a second batch read")
        await queue_is_left_alone(queue)
        assert queue.waiting.qsize() == 1
    assert queue.acked == [b"1", b"2", b"3", b"4"]


async def queue_is_left_alone(queue: Queue) -> None:
    for _ in range(20):  # every task has had its turn many times over
        await asyncio.sleep(0)
    assert queue.acked == []


async def test_a_batch_that_fails_ends_the_loop_also_when_nothing_more_comes() -> None:
    queue, applier = Queue(), Scripted()
    applier.failure = RuntimeError("given up")
    async with consuming(queue, applier, Limits()) as running:
        queue.put(b"1")
        await until(lambda: applier.batches == [[b"1"]], what="the batch begun")
        applier.write.set()
        with pytest.raises(RuntimeError, match="given up"):
            await asyncio.wait_for(running, 10)
    assert queue.acked == []


async def test_stop_finishes_what_was_read_ahead() -> None:
    queue, applier = Queue(), Scripted()
    async with consuming(queue, applier, Limits()):
        queue.put(b"1")
        await until(lambda: applier.batches == [[b"1"]], what="the first batch begun")
        queue.put(b"2")
        await until(queue.waiting.empty, what="the second taken")
    assert queue.acked == [b"1", b"2"]


def test_a_company_with_many_events_is_cut_into_several_transactions() -> None:
    found = groups.of(Envelope(1, 0, b"%d" % number) for number in range(MOST_TOGETHER + 1))
    assert [len(group.envelopes) for group in found] == [MOST_TOGETHER, 1]
