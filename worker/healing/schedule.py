"""The periodic work of a worker on the accounts it mirrors: any worker may do it, one does for each company.

Whose turn it is a lock in the database says; when it is due, a table. So it does not matter how many workers there are,
nor which of them dies.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Final

import structlog

from pipedrive.budget import Need
from pipedrive.errors import AccountRefused
from runtime.health import Condition
from runtime.measurements import HYDRATED
from runtime.metrics import Metrics
from schema.entity import Entity
from schema.errors import Misconfigured, Problem, TokensUnreadable
from store import gaps, jobs, upkeep
from store.database import describe
from store.gaps import Gap
from worker.applying.persistence import Persist
from worker.healing.accounts import Account
from worker.healing.alone import alone
from worker.healing.asking import refusal
from worker.healing.doing import Doing
from worker.healing.hydrate import AT_ONCE, hydrate
from worker.healing.jobs import DEFINITIONS, JOBS, SWEEP, Job, Length, Means
from worker.healing.touched import RICHER, Touched
from worker.healing.walking import Reader

_log = structlog.stdlib.get_logger(__name__)

EVERY: Final = 5.0
COMPANIES_AT_ONCE: Final = {Length.MOMENT: 3, Length.WHILE: 2, Length.LONG: 2}
"""Companies for which something of this length is done. Each may keep a connection for as long as it is alone, and
needs another one meanwhile: all together leave some."""

KNOWN_FOR: Final = timedelta(minutes=10)
"""An option that no definition has lets them be read again, but not at once again: it may have been deleted."""

SINCE_START: Final = timedelta(minutes=5)
"""A company that was swept longer ago than this is swept when a worker starts: nobody knows what was missed."""


@dataclass(slots=True)
class _Course:
    """What is done for one company after the other, for so many at once as may have their turn."""

    do: Callable[[Account], Awaitable[None]]
    turn: asyncio.Semaphore
    under_way: dict[int, asyncio.Task[None]] = field(default_factory=dict)


class Schedule:
    """Goes on whatever a company's account, or the database, answers."""

    def __init__(
        self,
        means: Means,
        persist: Persist,
        touched: Touched,
        metrics: Metrics,
        *,
        todo: Sequence[Job] = JOBS,
    ) -> None:
        self._means = means
        self._persist = persist
        self._accounts = means.accounts
        self._touched = touched
        self._metrics = metrics
        self._jobs = todo
        self._first = {job.name: job.first for job in todo if job.every is not None}
        ways: dict[Length, Callable[[Account], Awaitable[None]]] = {
            Length.MOMENT: self.promptly,
            Length.WHILE: partial(self.at_length, length=Length.WHILE),
            Length.LONG: partial(self.at_length, length=Length.LONG),
        }
        self._courses = [_Course(do, asyncio.Semaphore(COMPANIES_AT_ONCE[length])) for length, do in ways.items()]
        self._answered: dict[int, Gap] = {}
        self._doing = Doing(means, persist, metrics)
        self._unreadable: dict[int, str] = {}

    def conditions(self) -> Iterator[Condition]:
        if self._unreadable:
            reason = "; ".join(self._unreadable[company_id] for company_id in sorted(self._unreadable))
            yield Condition(TokensUnreadable.code, reason, blocking=False)
        yield from self._doing.conditions()

    async def run(self, every: float = EVERY) -> None:
        """Until cancelled."""
        started = False
        try:
            while True:
                try:
                    companies = await self._accounts.companies()
                    if not started:
                        await self._sweep_since_start(companies)
                    started = True
                    self._look_after(companies)
                except Exception as error:  # noqa: BLE001 - the next round must come
                    _log.warning("schedule_failed", reason=describe(error))
                await asyncio.sleep(every)
        finally:
            under_way = [task for course in self._courses for task in course.under_way.values()]
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)
            await self._accounts.aclose()

    async def _sweep_since_start(self, companies: Sequence[int]) -> None:
        now = await self._persist(upkeep.now)
        for company_id in companies:
            known = await self._persist(partial(jobs.of_company, company_id=company_id))
            last = known[SWEEP.name].ended_at if SWEEP.name in known else None
            if last is not None and now - last > SINCE_START:
                await self._persist(partial(jobs.want, company_id=company_id, job=SWEEP.name))

    def _look_after(self, companies: Sequence[int]) -> None:
        """Each company has a task for each length, so that what takes long holds up neither it nor the others."""
        for course in self._courses:
            for company_id in companies:
                task = course.under_way.get(company_id)
                if task is None or task.done():
                    course.under_way[company_id] = asyncio.create_task(self._serve(company_id, course))
        for company_id in set(self._touched.companies()) - set(companies):
            self._touched.forget(company_id)
        for company_id in set(self._unreadable) - set(companies):
            del self._unreadable[company_id]

    async def _serve(self, company_id: int, course: "_Course") -> None:
        account = None
        try:
            async with course.turn:
                account = await self._opened(company_id)
                if account is not None:
                    async with self._accounts.kept(account):
                        await course.do(account)
        except AccountRefused as problem:
            assert account is not None
            await self._accounts.refused(account, problem)
        except Problem as problem:
            _log.info("account_waits", code=problem.code, company_id=company_id, reason=problem.reason)
        except Exception as error:  # noqa: BLE001 - one company's trouble is not that of the others
            _log.exception("account_crashed", company_id=company_id, reason=describe(error))

    async def _opened(self, company_id: int) -> Account | None:
        """None, too, where our keys do not open its token: that is told, once in the log, until they do."""
        try:
            account = await self._accounts.get(company_id)
        except Misconfigured as problem:
            if company_id not in self._unreadable:
                _log.warning(
                    "token_unreadable", code=TokensUnreadable.code, company_id=company_id, reason=problem.reason
                )
            self._unreadable[company_id] = problem.reason
            return None
        self._unreadable.pop(company_id, None)
        return account

    async def promptly(self, account: Account) -> None:
        """Hydrate what this process has written; and what is due, of the jobs that take a moment."""
        company_id = account.company.id
        await self._doing.look_again(company_id)
        await self._want(company_id)
        await self._hydrate(account)
        for job in await self._due(company_id, Length.MOMENT):
            await self._doing.do(account, job)

    async def at_length(self, account: Account, length: Length) -> None:
        """What is due of the jobs of this length, if no other process reads the company's lists."""
        company_id = account.company.id
        if not await self._due(company_id, length):
            return
        async with alone(self._means.pool, company_id) as ours:
            now = await self._opened(company_id) if ours else None
            # Paused or purged meanwhile: a purge waits until we are done, not that we begin. Another token: next time.
            if now is None or now.token != account.token:
                return
            # Who was alone before us may just have done it. What is shorter goes first: it cannot while we are at it.
            for job in await self._due(company_id, Length.WHILE, length):
                await self._doing.do(account, job)

    async def _due(self, company_id: int, *lengths: Length) -> list[Job]:
        due = await self._persist(lambda connection: jobs.due(connection, company_id, self._first))
        return [job for job in self._jobs if job.name in due and job.length in lengths]

    async def _want(self, company_id: int) -> None:
        """What was met since the last time asks for a sweep, or for definitions, before their time."""
        gap = await self._persist(lambda connection: gaps.find(connection, company_id))
        news = gap is not None and self._answered.get(company_id) != gap
        if gap is not None:
            self._answered[company_id] = gap
        wanted = [SWEEP] if self._touched.take_overflown(company_id) or news else []
        wanted += [DEFINITIONS] if self._touched.take_definitions(company_id) else []
        for job in wanted:
            await self._persist(partial(jobs.want, company_id=company_id, job=job.name))

    async def _hydrate(self, account: Account) -> None:
        reader = self._accounts.reader(account, Need.LIVE)
        for name, entity in RICHER.items():
            # Should this fail, the next sweep reads them.
            problem = await refusal(reader.client, self._hydrate_all(reader, entity), need=reader.need)
            if problem is not None:
                _log.info(
                    "not_hydrated", code=problem.code, company_id=reader.company.id, entity=name, reason=problem.reason
                )

    async def _hydrate_all(self, reader: Reader, entity: Entity) -> None:
        while ids := self._touched.settled(reader.company.id, entity.name, AT_ONCE):
            found = await hydrate(reader, entity, ids)
            self._metrics.count(HYDRATED, by=found.shown)
            if found.strange:
                await self._persist(
                    partial(jobs.want_if_older, company_id=reader.company.id, job=DEFINITIONS.name, age=KNOWN_FOR)
                )
