"""Trying again what is held of single companies, beside the worker's loop and out of its way."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Final

import structlog

from runtime.backoff import Backoff
from runtime.health import Condition
from runtime.measurements import HELD_COMPANIES, HELD_EVENTS
from runtime.metrics import Metrics
from schema.errors import CompanyHeld, Impaired
from store import held
from store.database import Pool, borrowed, describe
from store.held import HeldEvent
from worker.applying import parking, suspect
from worker.applying.applier import Applier
from worker.applying.breaker import BreakerOpen
from worker.applying.held_companies import HeldCompanies

_log = structlog.stdlib.get_logger(__name__)
EVERY: Final = 5.0
_COUNT_EVERY: Final = 15.0
_CHUNK: Final = 200
_LEASE: Final = timedelta(minutes=5)
_FREE_SECONDS: Final = 2.0


class ReadmissionFailed(Impaired):
    """What is held of single companies could not be read or counted; it is not applied meanwhile."""

    code = "readmission_failed"
    remedy = "The reason is Postgres' own: give back what the role lacks on `pipemirror.held`. It is tried every 5 s."


class Readmission:
    """Looks for held events and applies them by an applier of its own: one that gives a company back at once."""

    def __init__(
        self,
        pool: Pool,
        applier: Applier,
        companies: HeldCompanies,
        metrics: Metrics,
        *,
        clock: Callable[[], float],
        backoff: Backoff = Backoff(5.0, 60.0),  # noqa: B008 - frozen
    ) -> None:
        """`clock` reads seconds of any steady clock."""
        self._pool = pool
        self._applier = applier
        self._companies = companies
        self._metrics = metrics
        self._clock = clock
        self._backoff = backoff
        self._attempts: dict[int, int] = {}
        self._not_before: dict[int, float] = {}
        self._counts: dict[int, int] = {}
        self._count_at = 0.0
        self._failure = ""

    def conditions(self) -> Iterator[Condition]:
        """What its applier waits for, and how the last round failed. Nothing of it keeps what is queued waiting."""
        for condition in self._applier.conditions():
            yield replace(condition, blocking=False)
        if self._failure:
            yield Condition(ReadmissionFailed.code, self._failure, blocking=False)

    async def run(self, every: float = EVERY) -> None:
        """Until cancelled, or the breaker opens. A round that fails is told, and the next one comes."""
        while True:
            try:
                await self.once()
                self._failure = ""
            except BreakerOpen:
                raise
            except Exception as error:  # noqa: BLE001 - nobody would notice that this was the last round
                self._failure = describe(error)
                _log.warning("readmission_failed", reason=self._failure)
            await asyncio.sleep(every)

    async def once(self) -> None:
        """A portion of each company after the other, until none can be moved: no company waits for all of another's."""
        moved = True
        while moved:
            moved = False
            for company_id in await self._look():
                if self._clock() >= self._not_before.get(company_id, 0.0):
                    moved |= await self._readmit(company_id)

    async def _look(self) -> list[int]:
        """The companies of which events are held; how many these are is read now and then, as that takes longer."""
        async with borrowed(self._pool) as connection:
            waiting = await held.waiting(connection)
            if waiting != self._counts.keys() or self._clock() >= self._count_at:
                self._counts = await held.counts(connection)
                self._count_at = self._clock() + _COUNT_EVERY
        self._companies.keep_only(self._counts)
        self._metrics.set(HELD_COMPANIES, len(self._counts))
        self._metrics.set(HELD_EVENTS, sum(self._counts.values()))
        return sorted(self._counts)

    async def _readmit(self, company_id: int) -> bool:
        """Whether there was a portion of it to apply, and it is applied."""
        events = await self._claim(company_id)
        if not events:
            return False
        try:
            await self._apply(company_id, events)
        except (Exception, asyncio.CancelledError) as error:
            await self._free(events)
            if isinstance(error, (BreakerOpen, asyncio.CancelledError)):
                raise
            self._later(company_id, _reason(company_id, error))
            return False
        await self._delete(events)
        self._attempts.pop(company_id, None)
        self._companies.release(company_id)
        return True

    async def _apply(self, company_id: int, events: Sequence[HeldEvent]) -> None:
        """An event whose last attempt did not end may have killed its worker: such a one is applied by itself."""
        # Never `apply`: it would keep what cannot be written where it is about to be deleted from.
        apply = partial(self._applier.apply_company, company_id)
        fresh = [parking.from_hold(event) for event in events if event.claims == 1]
        if fresh:
            await apply(fresh)
        for event in events:
            if event.claims > 1:
                await suspect.apply_alone(self._applier, parking.from_hold(event), apply)

    def _later(self, company_id: int, problem: CompanyHeld) -> None:
        attempt = self._attempts.get(company_id, 0)
        self._attempts[company_id] = attempt + 1
        self._not_before[company_id] = self._clock() + self._backoff.delay(attempt)
        self._companies.add(company_id, problem)

    async def _claim(self, company_id: int) -> list[HeldEvent]:
        async with borrowed(self._pool) as connection:
            return await held.claim(connection, company_id, most=_CHUNK, lease=_LEASE)

    async def _free(self, events: Sequence[HeldEvent]) -> None:
        """Within a bound, as a stop waits for it; what is not freed is so when its lease is over.

        Raises nothing of the database: why the attempt ended is more than that this failed too.
        """
        try:
            async with asyncio.timeout(_FREE_SECONDS), borrowed(self._pool) as connection:
                await held.free(connection, [event.digest for event in events])
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not stand for a stop or an open breaker
            _log.warning("held_events_not_freed", events=len(events), reason=describe(error))

    async def _delete(self, events: Sequence[HeldEvent]) -> None:
        async with borrowed(self._pool) as connection:
            await held.delete(connection, [event.digest for event in events])


def _reason(company_id: int, error: Exception) -> CompanyHeld:
    """Whatever it is, it stands in this company's way only: the next one is looked at."""
    if isinstance(error, CompanyHeld):
        return error
    _log.error("readmission_crashed", company_id=company_id, exc_info=error)
    return CompanyHeld(f"company {company_id}: {describe(error)}")
