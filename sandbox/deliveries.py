"""POSTs events to a receiver as Pipedrive does: Basic auth, timeout, retries, bans; with mischief on request."""

import asyncio
import base64
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
import orjson

from sandbox.events import Account, Event, Version, versions
from sandbox.ledger import Ledger
from sandbox.mischief import Mischief
from sandbox.payloads import Body, body
from sandbox.subscription import RETRY_DELAYS, TIMEOUT, Subscription

_HEADERS: Final = {
    "user-agent": "Pipedrive Webhooks",
    "accept": "application/json, text/plain, */*",
    "accept-encoding": "gzip, compress, deflate, br",
    "content-type": "application/json",
}
_OK: Final = range(200, 300)


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast, for tests and demos.

    clock_scale  stretches or shrinks the waits before retries, bans and the deletion, not the timeout of an attempt
    timeout      seconds
    concurrency  POSTs under way at once
    """

    clock_scale: float = 1.0
    timeout: float = TIMEOUT
    concurrency: int = 32
    sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep
    clock: Callable[[], float] = time.monotonic


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a webhook goes, and with which credentials; without any, if it has no user."""

    url: str
    user: str | None
    password: str | None = field(repr=False)

    @property
    def headers(self) -> dict[str, str]:
        if self.user is None:
            return dict(_HEADERS)
        pair = base64.b64encode(f"{self.user}:{self.password or ''}".encode())
        return {**_HEADERS, "authorization": f"Basic {pair.decode()}"}


@dataclass(frozen=True, slots=True)
class _Delivery:
    event: Event
    version: Version
    extra: bool


class Deliveries:
    """One webhook's deliveries. `send` waits while as many POSTs are under way as may be; retries wait on the side."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        endpoint: Endpoint,
        account: Account,
        ledger: Ledger,
        *,
        rng: random.Random,
        mischief: Mischief | None = None,
        pace: Pace | None = None,
    ) -> None:
        self._session, self._account = session, account
        self._url, self._headers = endpoint.url, endpoint.headers
        self._rng, self._mischief, self._pace = rng, mischief or Mischief(), pace or Pace()
        self.ledger = ledger
        self.subscription = Subscription(self._pace.clock(), self._pace.clock_scale)
        self._slots = asyncio.Semaphore(self._pace.concurrency)
        self._held_back: list[_Delivery] = []
        self._under_way: set[asyncio.Task[None]] = set()

    async def send(self, event: Event) -> None:
        """Take one event. It is booked in the ledger by the time `drain` returns."""
        version = self._version(event)
        if version is None:
            self.ledger.counters.unheard += 1
            return
        if self._rng.random() < self._mischief.drops:
            self.ledger.lose(event, "dropped")
            return
        self._held_back.append(_Delivery(event, version, extra=False))
        if self._rng.random() < self._mischief.duplicates:
            self._held_back.append(_Delivery(event, version, extra=True))
        while len(self._held_back) > self._mischief.reorder:
            await self._release()

    async def drain(self) -> None:
        """Send what is held back and wait for every retry."""
        while self._held_back:
            await self._release()
        while self._under_way:
            await asyncio.gather(*self._under_way)

    async def close(self) -> None:
        """Give up what is under way; nothing, after `drain`."""
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    def _version(self, event: Event) -> Version | None:
        told = versions(event.entity) & self._mischief.versions
        if len(told) > 1:
            return "v1" if self._rng.random() < self._mischief.v1 else "v2"
        return next(iter(told), None)

    async def _release(self) -> None:
        """Start one of the deliveries held back: the first, or any of them while reordering."""
        chosen = self._rng.randrange(len(self._held_back)) if self._mischief.reorder else 0
        delivery = self._held_back.pop(chosen)
        await self._slots.acquire()
        task = asyncio.create_task(self._deliver(delivery))
        self._under_way.add(task)
        task.add_done_callback(self._landed)

    def _landed(self, task: asyncio.Task[None]) -> None:
        """One that crashed stays, for `drain` to raise what it crashed of."""
        if task.cancelled() or task.exception() is None:
            self._under_way.discard(task)

    async def _deliver(self, delivery: _Delivery) -> None:
        """The first attempt holds the slot taken by `_release`; each retry takes its own."""
        if not self.subscription.admits(self._pace.clock()):
            self._slots.release()
            self._lose(delivery, "deleted" if self.subscription.deleted else "banned")
            return
        for attempt, delay in enumerate((*RETRY_DELAYS, None), 1):
            if attempt > 1:
                await self._slots.acquire()
            try:
                acked = await self._attempt(delivery, attempt)
            finally:
                self._slots.release()
            if acked:
                if not delivery.extra:
                    self.ledger.acked(delivery.event)
                return
            if delay is not None:
                await self._pace.sleep(delay * self._pace.clock_scale)
        self._lose(delivery, "gave_up")

    def _lose(self, delivery: _Delivery, reason: Any) -> None:
        if not delivery.extra:
            self.ledger.lose(delivery.event, reason)

    async def _attempt(self, delivery: _Delivery, attempt: int) -> bool:
        counters, started = self.ledger.counters, self._pace.clock()
        counters.sent += 1
        counters.retried += attempt > 1
        counters.duplicates += delivery.extra and attempt == 1
        status = await self._post(body(self._account, delivery.event, delivery.version, attempt))
        now, acked = self._pace.clock(), status in _OK
        self.subscription.attempted(now, status)
        counters.response_seconds.append(now - started)
        if acked:
            self.subscription.succeeded(now)
        else:
            counters.failed += 1
            self.subscription.failed(now, attempt)
        return acked

    async def _post(self, told: Body) -> int | None:
        """The status: any 2xx is a success, a redirect is a failure. None, without an answer in time."""
        try:
            async with self._session.post(
                self._url,
                data=orjson.dumps(told),
                headers=self._headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=self._pace.timeout),
            ) as response:
                await response.read()
                return response.status
        except (aiohttp.ClientError, TimeoutError):
            return None
