"""From many concurrent requests to few, full, confirmed queue messages.

A lone event goes at once: a bundle of one, without delay, for there is no timer. While events of its lane await their
confirm, arrivals gather, and leave once they are half as many, fill a bundle, or are released by a confirm; at most
`in_flight` bundles are under way. A queue message costs the same whatever is in it, so few and full ones are cheap; but
one at a time would leave the receiver idle while the broker works (docs/decisions/0013).
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable
from functools import lru_cache
from typing import Final

import structlog

from receiver.gather import Bundle, Gathering
from receiver.ways import Ways
from runtime.measurements import BUNDLE_EVENTS
from runtime.metrics import Metrics
from schema.envelope import MAX_BUNDLE_BYTES, Envelope, pack
from schema.errors import NotNow, QueueUnavailable
from schema.topology import route

_log = structlog.stdlib.get_logger(__name__)

_FRAMING: Final = len(pack([Envelope(1, 0, b"")]))
_COMPANIES_REMEMBERED: Final = 4096

_Waiting = tuple[Envelope, "asyncio.Future[None]"]


class Outlet:
    """Where the receiver puts what it took in. Use: ``start``, ``put`` often and concurrently, ``close``.

    in_flight     bundles that may await their confirm at once
    most_waiting  bytes that may wait in memory, not yet durable; beyond them `put` refuses
    """

    def __init__(
        self, ways: Ways, *, lanes: int, metrics: Metrics, in_flight: int = 4, most_waiting: int = 64 * 1024 * 1024
    ) -> None:
        self._ways = ways
        self._lanes = lanes
        self._lane_of = lru_cache(_COMPANIES_REMEMBERED)(self._route)
        self._metrics = metrics
        self._most_in_flight = in_flight
        self._most_waiting = most_waiting
        self._loop = asyncio.get_running_loop()
        self._gathering: Gathering[_Waiting] = Gathering()
        self._sending: dict[asyncio.Task[None], Bundle[_Waiting]] = {}
        self._waiting = 0
        self._release_due = False
        self._closing = False
        self.conditions = ways.conditions

    def start(self) -> None:
        self._ways.start()

    def put(self, envelope: Envelope) -> Awaitable[None]:
        """Take the envelope; await the result until it is durable. Both raise NotNow when it is not, or may not be."""
        size = len(envelope.body) + _FRAMING
        if self._closing:
            raise QueueUnavailable("the receiver is stopping")
        if self._waiting and self._waiting + size > self._most_waiting:
            raise QueueUnavailable(f"{self._waiting} bytes wait already to be made durable")
        durable = self._loop.create_future()
        self._waiting += size
        lane = (
            self._lane_of(envelope.company_id) if size <= MAX_BUNDLE_BYTES else self._route(envelope.company_id, size)
        )
        self._gathering.add(lane, (envelope, durable), size)
        self._release_soon()
        return durable

    async def close(self, deadline: float) -> None:
        """Take nothing more, wait at most `deadline` seconds for what is waiting, then close both ways.

        What is not confirmed by then is refused, so that its requests are answered 503.
        """
        self._closing = True
        try:
            async with asyncio.timeout(deadline):
                while self._waiting:
                    self._release()
                    await asyncio.wait(self._sending)
        except TimeoutError:
            await self._abandon()
        await self._ways.close()

    def _route(self, company_id: int, size: int = 0) -> str:
        return route(company_id, size, lanes=self._lanes, large=MAX_BUNDLE_BYTES)

    def _release_soon(self) -> None:
        if not self._release_due and len(self._sending) < self._most_in_flight:
            self._release_due = True
            # After the handlers that are ready in this turn of the loop: they share the bundle at no delay.
            self._loop.call_soon(self._release)

    def _release(self) -> None:
        self._release_due = False
        while len(self._sending) < self._most_in_flight and (bundle := self._gathering.take(self._in_flight())):
            body = pack(envelope for envelope, _ in bundle.items)
            task = self._loop.create_task(self._ways.publish(bundle.routing_key, body))
            self._sending[task] = bundle
            task.add_done_callback(self._sent)

    def _in_flight(self) -> Counter[str]:
        """By lane, how many events await their confirm."""
        events: Counter[str] = Counter()
        for bundle in self._sending.values():
            events[bundle.routing_key] += len(bundle.items)
        return events

    def _sent(self, task: asyncio.Task[None]) -> None:
        bundle = self._sending.pop(task)
        refusal = _refusal(task)
        if refusal is None:
            self._metrics.observe(BUNDLE_EVENTS, len(bundle.items))
        self._settle(bundle, refusal)
        self._release_soon()

    def _settle(self, bundle: Bundle[_Waiting], refusal: NotNow | None) -> None:
        self._waiting -= bundle.size
        for _, durable in bundle.items:
            if durable.done():  # its request was cancelled; the event travelled with the others all the same
                continue
            if refusal is None:
                durable.set_result(None)
            else:
                durable.set_exception(type(refusal)(refusal.reason))

    async def _abandon(self) -> None:
        while bundle := self._gathering.take():
            self._settle(bundle, _stopped())
        sending = list(self._sending)
        for task in sending:
            task.cancel()
        await asyncio.gather(*sending, return_exceptions=True)


def _stopped() -> NotNow:
    return QueueUnavailable("the receiver stopped before this was durable")


def _refusal(task: asyncio.Task[None]) -> NotNow | None:
    """Why what the task published is not, or may not be, durable; None when it is."""
    if task.cancelled():
        return _stopped()
    error = task.exception()
    if error is None or isinstance(error, NotNow):
        return error
    _log.error("publish_crashed", exc_info=error)
    return QueueUnavailable(f"publishing failed unexpectedly: {type(error).__name__}")
