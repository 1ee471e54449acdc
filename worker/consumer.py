"""The worker's loop: take messages, apply them as a batch, acknowledge after the commit."""

import asyncio
from collections.abc import Iterator
from typing import Literal

import structlog

from runtime.health import Condition
from runtime.transport import Message, Subscription
from schema.envelope import Envelope, unpack
from schema.errors import NotAnEvent, UnknownFormat
from schema.event import Refusal
from worker import parking, suspects
from worker.applier import Applier
from worker.batch import Batch, Limits

_log = structlog.stdlib.get_logger(__name__)

SUSPICIOUS = 2
"""A message given back this often may hold the event that kills workers: its events are applied one by one."""


class Consumer:
    """Runs until `stop` is set: finishes the batch at hand, acknowledges it, takes no more."""

    def __init__(self, subscription: Subscription, applier: Applier, *, limits: Limits | None = None) -> None:
        self._subscription = subscription
        self._applier = applier
        self._limits = limits or Limits()
        self._left: list[Message] = []

    def conditions(self) -> Iterator[Condition]:
        if self._left:
            reason = f"{len(self._left)} queued messages are of a newer release: upgrade this worker"
            yield Condition(UnknownFormat.code, reason, blocking=False)

    async def run(self, stop: asyncio.Event) -> None:
        """Raise what ends the process: BreakerOpen, or the transport's word that it cannot go on."""
        stopping = asyncio.ensure_future(stop.wait())
        try:
            while not stop.is_set():
                first = await self._first(stopping)
                if first is not None:
                    await self._handle(first)
        finally:
            stopping.cancel()

    async def _first(self, stopping: "asyncio.Future[Literal[True]]") -> Message | None:
        at_hand = self._subscription.receive_nowait()
        if at_hand is not None:
            return at_hand
        receiving = asyncio.ensure_future(self._subscription.receive())
        await asyncio.wait((receiving, stopping), return_when=asyncio.FIRST_COMPLETED)
        if receiving.done():
            return receiving.result()
        receiving.cancel()
        await asyncio.gather(receiving, return_exceptions=True)
        return None

    async def _handle(self, first: Message) -> None:
        """Apply `first` together with what else is at hand. A suspicious message is handled by itself."""
        loop = asyncio.get_running_loop()
        batch = Batch(self._limits, loop.time())
        message: Message | None = first
        while message is not None:
            if message.given_up or message.redeliveries >= SUSPICIOUS:
                await self._finish(batch)
                await self._handle_suspicious(message)
                return
            await self._add(batch, message)
            message = None if batch.is_full(loop.time()) else self._subscription.receive_nowait()
        await self._finish(batch)

    async def _finish(self, batch: Batch) -> None:
        await self._applier.apply(batch.envelopes)
        await self._subscription.ack(batch.messages)

    async def _add(self, batch: Batch, message: Message) -> None:
        envelopes = await self._unpack(message)
        if envelopes is not None:
            batch.add(message, envelopes)

    async def _unpack(self, message: Message) -> list[Envelope] | None:
        """None for what a newer release framed: it stays unacknowledged, so that a newer worker gets it."""
        try:
            return unpack(message.body)
        except UnknownFormat as problem:
            _log.error("message_left_for_a_newer_worker", code=problem.code, reason=problem.reason)
            self._left.append(message)
            return None
        except NotAnEvent as problem:
            await self._applier.park([parking.of_refusal(Refusal(Envelope(0, 0, message.body), problem, {}))])
            return []

    async def _handle_suspicious(self, message: Message) -> None:
        envelopes = await self._unpack(message)
        if envelopes is None:
            return
        for envelope in envelopes:
            await suspects.apply_alone(self._applier, envelope, self._applier.apply)
        await self._subscription.ack([message])
