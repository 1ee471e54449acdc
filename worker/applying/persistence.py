"""Work that the database must take: tried until it does, and what is said meanwhile."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Final, Protocol, TypeVar

import structlog

from runtime.backoff import Backoff
from runtime.health import Condition
from runtime.measurements import CONFLICTS, DATABASE_WAIT_SECONDS, HOLDS
from runtime.metrics import Metrics
from schema.errors import CompanyHeld, Conflict, DatabaseSilent, NotNow
from store.database import Connection, Pool, borrowed, concerns_one_schema, not_now, touch_shared
from worker.applying.held_companies import HeldCompanies

_log = structlog.stdlib.get_logger(__name__)
T = TypeVar("T")
Work = Callable[[Connection], Awaitable[T]]


class Persist(Protocol):
    """Persistence.persist, as those see it who are given one."""

    async def __call__(self, work: Work[T], *, company_id: int | None = None) -> T: ...


SILENT: Final = 30.0

_CONFLICTS_IN_A_ROW: Final = 8
"""More of them are no race: whatever they are, somebody should see them."""


class Persistence:
    """Does one piece of work at a time on a connection of the pool, and waits as long as it cannot be done now.

    held    work of these companies is given back at once: somebody else found that their tables refuse it
    siblings  pools whose connections are most likely cut off, too, where one of this pool was
    tries     after so many attempts in vain, work of one company is given back instead of holding up the others
    silent    after so many seconds without an answer, before the driver gives up, somebody is told
    """

    def __init__(
        self,
        pool: Pool,
        metrics: Metrics,
        held: HeldCompanies,
        *,
        siblings: Sequence[Pool] = (),
        backoff: Backoff,
        tries: int,
        silent: float = SILENT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pool = pool
        self._metrics = metrics
        self._held = held
        self._siblings = siblings
        self._backoff = backoff
        self._tries = tries
        self._silent = silent
        self._clock = clock
        self._waits_for: NotNow | None = None
        self._asked: float | None = None

    @property
    def stalled(self) -> bool:
        """Whether nothing moves, so that a stop need not wait for the work at hand."""
        return self._waits_for is not None or self._silence() >= self._silent

    @property
    def waits_for(self) -> str | None:
        """The code of what it waits for."""
        return None if self._waits_for is None else self._waits_for.code

    def conditions(self) -> Iterator[Condition]:
        silence = self._silence()
        if silence >= self._silent:
            yield Condition(
                DatabaseSilent.code,
                f"a transaction has been under way for {silence:.0f} s: Postgres answers slowly, or not at all",
            )
        if self._waits_for is not None:
            yield Condition(self._waits_for.code, self._waits_for.reason)

    async def persist(self, work: Work[T], *, company_id: int | None = None) -> T:
        """Do `work` until the database takes it.

        Raise what says that it never will, and CompanyHeld where only this company's own tables cannot be used.
        """
        attempt = 0
        while True:
            if company_id is not None:
                self._held.check(company_id)
            try:
                async with self._connection() as connection:
                    found = await work(connection)
            except Exception as error:
                problem = not_now(error)
                if problem is None:
                    raise
                if isinstance(error, TimeoutError):
                    # Else each of them would have to time out by itself, one after the other.
                    await asyncio.gather(*(sibling.expire_connections() for sibling in self._siblings))
                tried = company_id is not None and attempt + 1 >= self._tries
                if tried and concerns_one_schema(error) and await self._others_can_be_written():
                    self._waits_for = None
                    raise CompanyHeld(f"company {company_id}: {problem.reason}") from error
                attempt = await self._wait(problem, attempt)
            else:
                self._waits_for = None
                return found

    async def _others_can_be_written(self) -> bool:
        try:
            async with self._connection() as connection:
                await touch_shared(connection)
        except Exception as error:
            if not_now(error) is None:
                raise
            return False
        return True

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        self._asked = began = self._clock()
        try:
            async with borrowed(self._pool) as connection:
                self._metrics.observe(DATABASE_WAIT_SECONDS, self._clock() - began)
                yield connection
        finally:
            self._asked = None

    async def _wait(self, problem: NotNow, attempt: int) -> int:
        """Wait before the next attempt; a conflict between workers is over at once and worth no alarm."""
        if isinstance(problem, Conflict):
            self._metrics.count(CONFLICTS)
        if not isinstance(problem, Conflict) or attempt >= _CONFLICTS_IN_A_ROW:
            if self._waits_for is None:
                _log.warning("holding", code=problem.code, reason=problem.reason)
                self._metrics.count(HOLDS, problem.code)
            self._waits_for = problem
        await asyncio.sleep(self._backoff.delay(attempt))
        return attempt + 1

    def _silence(self) -> float:
        return 0.0 if self._asked is None else self._clock() - self._asked
