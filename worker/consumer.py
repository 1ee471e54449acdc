"""The worker's loop: take messages, apply them as a batch, acknowledge after the commit."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

import structlog

from runtime.health import Condition
from runtime.transport import Message, Subscription
from schema.envelope import NOBODY, Envelope, unpack
from schema.errors import NotAnEvent, UnknownFormat
from schema.event import Refusal
from worker import groups
from worker.applying import suspect
from worker.batch import Batch, Limits
from worker.groups import Group
from worker.writers import Writers

_log = structlog.stdlib.get_logger(__name__)

SUSPICIOUS = 2
"""A message given back this often may hold the event that kills workers: it is tried by itself."""


class Consumer:
    """Runs until `stop` is set: finishes what is at hand, acknowledges it, takes no more.

    One batch is applied at a time. Meanwhile the next one is taken from the queue, and grows for as long as that takes.
    """

    def __init__(self, subscription: Subscription, writers: Writers, *, limits: Limits | None = None) -> None:
        self._subscription = subscription
        self._writers = writers
        self._limits = limits or Limits()
        self._left: set[int] = set()
        self._receiving: asyncio.Task[Message] | None = None
        self._applying: asyncio.Task[None] | None = None

    def conditions(self) -> Iterator[Condition]:
        if self._left:
            reason = f"{len(self._left)} queued messages are of a newer release: upgrade this worker"
            yield Condition(UnknownFormat.code, reason, blocking=False)

    async def run(self, stop: asyncio.Event) -> None:
        """Raise what ends the process: BreakerOpen, or the transport's word that it cannot go on."""
        stopping = asyncio.ensure_future(stop.wait())
        try:
            while not stop.is_set():
                first = await self._next(stopping)
                if first is not None:
                    await self._handle(first, stopping)
            await self._applied()
        finally:
            await self._end(stopping)

    async def _next(self, stopping: "asyncio.Future[Any]") -> Message | None:
        """The next message. None when it is time to stop, or when the batch that was being applied is done."""
        if self._applying is not None and self._applying.done():
            await self._applied()
        at_hand = self._at_hand()
        if at_hand is not None:
            return at_hand
        # It outlives this call: cancelled, it might take the message with it that it was just given.
        self._receiving = self._receiving or asyncio.create_task(self._subscription.receive())
        waits = (self._receiving, stopping) if self._applying is None else (self._receiving, stopping, self._applying)
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        return self._at_hand() if self._receiving.done() else None

    def _at_hand(self) -> Message | None:
        if self._receiving is not None and self._receiving.done():
            received, self._receiving = self._receiving, None
            return received.result()
        return self._subscription.receive_nowait()

    async def _handle(self, first: Message, stopping: "asyncio.Future[Any]") -> None:
        """Apply `first` together with what else there is. A suspicious message is handled by itself."""
        batch = Batch(self._limits, asyncio.get_running_loop().time())
        message: Message | None = first
        while message is not None:
            if message.given_up or message.redeliveries >= SUSPICIOUS:
                await self._finish(batch)
                await self._applied()
                await self._handle_suspicious(message)
                return
            self._add(batch, message)
            message = await self._another(batch, stopping)
        await self._finish(batch)

    async def _another(self, batch: Batch, stopping: "asyncio.Future[Any]") -> Message | None:
        """One more message for the batch, or None when it is to be applied as it is."""
        if batch.full or stopping.done():
            return None
        if self._applying is not None and not self._applying.done():
            return await self._next(stopping)
        return None if batch.is_old(asyncio.get_running_loop().time()) else self._at_hand()

    async def _finish(self, batch: Batch) -> None:
        """Begin to apply the batch as soon as the one before it is done; what is written first is read meanwhile."""
        waiting = groups.of(batch.envelopes)
        if batch.refused:
            waiting.append(Group(NOBODY, (), batch.refused))
        if waiting:
            await self._writers.read(waiting[0])
        await self._applied()
        if batch.messages:
            self._applying = asyncio.create_task(self._apply(waiting, batch.messages))

    async def _apply(self, waiting: list[Group], messages: Sequence[Message]) -> None:
        await self._writers.apply(waiting)
        await self._subscription.ack(messages)

    async def _applied(self) -> None:
        """Wait for the batch under way; raise what it raised."""
        if self._applying is not None:
            applying, self._applying = self._applying, None
            await applying

    def _add(self, batch: Batch, message: Message) -> None:
        try:
            envelopes = self._unpack(message)
        except NotAnEvent as problem:
            batch.refuse(message, _refused(message, problem))
            return
        if envelopes is not None:
            batch.add(message, envelopes)

    def _unpack(self, message: Message) -> list[Envelope] | None:
        """None for what a newer release framed: it stays unacknowledged, so that a newer worker gets it."""
        try:
            return unpack(message.body)
        except UnknownFormat as problem:
            _log.error("message_left_for_a_newer_worker", code=problem.code, reason=problem.reason)
            # Not the message: the same ones come again with every connection, and they may be large.
            self._left.add(hash(message.body))
            return None

    async def _handle_suspicious(self, message: Message) -> None:
        try:
            envelopes = self._unpack(message)
        except NotAnEvent as problem:
            await self._writers.alone.apply_read([_refused(message, problem)])
            envelopes = []
        if envelopes is None:
            return
        if envelopes:
            await suspect.apply_message(self._writers.alone, envelopes)
        await self._subscription.ack([message])

    async def _end(self, stopping: "asyncio.Future[Any]") -> None:
        tasks = [task for task in (stopping, self._receiving, self._applying) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _refused(message: Message, problem: NotAnEvent) -> Refusal:
    return Refusal(Envelope(NOBODY, 0, message.body), problem, {})
