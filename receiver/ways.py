"""Two ways to make a bundle durable: the primary one, and a refuge for when the primary fails.

With a broker the primary is AMQP and the refuge the spool; without one the spool itself is the primary, and there is
no refuge. Once the primary failed, or did not confirm in time, everything goes to the refuge until a probe finds the
primary working again: a blocked broker costs a few requests one deadline, not each request one. What the refuge holds
is drained into the primary in the background. So an event may arrive twice, never not at all.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import structlog

from receiver.way import Way
from runtime.health import Condition
from runtime.measurements import ON_SPOOL, SPOOL_PENDING
from runtime.metrics import Metrics
from runtime.transport import Publisher
from schema.errors import NotNow, QueueMissing, QueueUnavailable, SpoolUnavailable

_log = structlog.stdlib.get_logger(__name__)

Probe = Callable[[], Awaitable[object]]
"""Returns when the primary works, raises when it does not."""


class Refuge(Publisher, Protocol):
    """A local publisher that gives back what it took."""

    async def drain(self, publisher: Publisher, *, max_in_flight: int) -> int:
        """Move what is kept to `publisher`, oldest first, forgetting each message once it is confirmed there.

        Return how many were moved once nothing is left. Raise NotNow when `publisher` does; the rest is kept. Of a
        QueueMissing all else is moved first.
        """

    async def pending(self) -> int:
        """How many messages are kept."""


@dataclass(frozen=True, slots=True)
class Timing:
    """All in seconds.

    confirm        without a confirm of the broker for so long, the refuge takes the bundle
    spool_confirm  without one of the spool for so long, the request is answered 503
    first_retry    first wait before a probe; it doubles up to `longest_retry`, less up to a half by chance
    drain_every    how often the refuge is looked at while the primary works
    refusal_shown  how long `/readyz` stays red after neither way took a bundle
    """

    confirm: float = 1.0
    spool_confirm: float = 5.0
    first_retry: float = 0.2
    longest_retry: float = 5.0
    drain_every: float = 1.0
    refusal_shown: float = 10.0


class Ways:
    """The primary way, the refuge, and which of them is in use. Use: ``start``, ``publish`` often, ``close``."""

    def __init__(
        self,
        primary: Publisher,
        refuge: Refuge | None = None,
        *,
        metrics: Metrics,
        probe: Probe | None = None,
        drain_in_flight: int = 2,
        timing: Timing = Timing(),
    ) -> None:
        """Without `refuge` the primary is the spool itself.

        Without `probe` the primary is simply tried again after each wait, at the price of one deadline.
        """
        spool = refuge or primary
        self._refuge = Way("spool", spool, timing.spool_confirm, SpoolUnavailable, metrics)
        self._primary = self._refuge
        if refuge is not None:
            self._primary = Way("amqp", primary, timing.confirm, QueueUnavailable, metrics)
        self._kept = refuge
        self._metrics = metrics
        self._probe = probe
        self._drain_in_flight = drain_in_flight
        self._timing = timing
        self._given_up = asyncio.Event()
        self._attempts = 0
        self._refused: tuple[float, NotNow] | None = None
        self._missing: QueueMissing | None = None
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to probe and drain in the background."""
        if self._kept is not None:
            self._tasks = [asyncio.create_task(self._tend(self._kept)), asyncio.create_task(self._watch(self._kept))]

    async def publish(self, routing_key: str, body: bytes) -> None:
        """Return once `body` is durable by either way. Raise NotNow when neither took it."""
        try:
            if self._kept is None or not await self._by_primary(routing_key, body):
                await self._refuge.publish(routing_key, body)
        except NotNow as problem:
            self._refused = (asyncio.get_running_loop().time(), problem)
            raise
        self._refused = None

    def conditions(self) -> Iterator[Condition]:
        """For `/readyz`: on the refuge we are still ready, but say so."""
        if self._given_up.is_set():
            yield Condition(
                QueueUnavailable.code, "the broker does not confirm; events go to the spool", blocking=False
            )
        if self._missing is not None:
            yield Condition(QueueMissing.code, f"{self._missing.reason}; its events stay in the spool", blocking=False)
        if self._refused is not None:
            since, problem = self._refused
            # It ends by itself: behind a load balancer that believes us, no request would come to prove us well again.
            if asyncio.get_running_loop().time() - since < self._timing.refusal_shown:
                yield Condition(problem.code, problem.reason)

    async def close(self) -> None:
        """Stop the background work and close both publishers; say so when the refuge still holds something."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._kept is not None:
            await self._say_what_is_left(self._kept)
            await self._primary.close()
        await self._refuge.close()

    async def _say_what_is_left(self, kept: Refuge) -> None:
        with suppress(Exception):  # closing goes on whatever a broken spool says
            if left := await kept.pending():
                _log.warning(
                    "spool_not_empty", messages=left, remedy="start a receiver on the same DATA_DIR to drain it"
                )

    async def _by_primary(self, routing_key: str, body: bytes) -> bool:
        if self._given_up.is_set():
            return False
        try:
            await self._primary.publish(routing_key, body)
        except NotNow as problem:
            self._give_up(problem)
            return False
        self._attempts = 0
        self._metrics.set(ON_SPOOL, 0)
        return True

    def _give_up(self, problem: NotNow) -> None:
        if not self._given_up.is_set():
            self._given_up.set()
            self._metrics.set(ON_SPOOL, 1)
            _log.warning("on_spool", code=problem.code, reason=problem.reason)

    async def _tend(self, kept: Refuge) -> None:
        """Bring the primary back when it was given up; drain the refuge while it is not."""
        while True:
            if self._given_up.is_set():
                await self._wait_for_primary()
            await self._drain(kept)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._timing.drain_every):
                    await self._given_up.wait()

    async def _wait_for_primary(self) -> None:
        while True:
            await asyncio.sleep(self._wait())
            self._attempts += 1  # until a real confirm: a probe that is content with a broker that is not must not flap
            if await self._primary_works():
                break
        self._given_up.clear()
        self._metrics.set(ON_SPOOL, 0)
        _log.info("off_spool")

    def _wait(self) -> float:
        longest = min(self._timing.longest_retry, self._timing.first_retry * 2.0 ** min(self._attempts, 30))
        return longest * random.uniform(0.5, 1)  # noqa: S311 - spreads receivers, guards nothing

    async def _primary_works(self) -> bool:
        if self._probe is None:
            return True
        try:
            async with asyncio.timeout(self._timing.confirm):
                await self._probe()
        except Exception as error:  # noqa: BLE001 - whatever it is, the primary does not work
            _log.debug("probe_failed", reason=str(error))
            return False
        return True

    async def _drain(self, kept: Refuge) -> None:
        try:
            moved = await kept.drain(self._primary, max_in_flight=self._drain_in_flight)
        except QueueMissing as problem:
            if self._missing is None:
                _log.warning("drain_incomplete", code=problem.code, reason=problem.reason)
            self._missing = problem
        except SpoolUnavailable as problem:
            _log.warning("drain_failed", code=problem.code, reason=problem.reason)
        except NotNow as problem:
            self._give_up(problem)
        except Exception:  # noqa: BLE001 - a bug of the drain must not end what brings the primary back
            _log.exception("drain_crashed")
        else:
            self._missing = None
            if moved:
                _log.info("drained", messages=moved)

    async def _watch(self, kept: Refuge) -> None:
        while True:
            try:
                self._metrics.set(SPOOL_PENDING, await kept.pending())
            except Exception:  # noqa: BLE001 - an unreadable spool shows no reading
                self._metrics.forget(SPOOL_PENDING)
            await asyncio.sleep(self._timing.drain_every)
