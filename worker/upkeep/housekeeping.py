"""What a worker does beside applying: partitions, expiry, types learnt late. Any worker may, one does for all."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta

import asyncpg
import structlog

from runtime.health import Condition
from runtime.measurements import HOUSEKEEPING_FAILURES, PARTITIONS_AHEAD
from runtime.metrics import Metrics
from schema import ddl
from schema.errors import DatabaseUnavailable, HousekeepingFailed, PartitionsMissing
from store import companies, dead_letters, locks, replays, suspects, upkeep
from store.companies import Company
from store.database import Connection, Pool, borrowed, concerns_one_schema, describe, not_now
from worker.upkeep import partitions
from worker.upkeep.normalising import normalise
from worker.upkeep.outgrown import outgrow

_log = structlog.stdlib.get_logger(__name__)
_Mend = Callable[[Connection, Company], Awaitable[int | None]]
EVERY = 60.0
_NEEDED = 2
_SOON = 2.0
"""Where several workers start at once, one of them makes the partitions that the others miss."""


class Housekeeping:
    """Goes on whatever a round meets, and says how the last one went, be it this worker's or another's."""

    def __init__(
        self, pool: Pool, metrics: Metrics, *, journal_days: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`clock` reads seconds of any steady clock."""
        self._pool = pool
        self._metrics = metrics
        self._journal_days = journal_days
        self._clock = clock
        self._started = clock()
        self._ahead: int | None = None
        self._failure = ""

    def conditions(self) -> Iterator[Condition]:
        if self._lacks_partitions:
            reason = f"the journal has partitions for {self._ahead} days from today on, it should have 8"
            yield Condition(PartitionsMissing.code, reason, blocking=False)
        if self._failure:
            yield Condition(HousekeepingFailed.code, self._failure, blocking=False)

    @property
    def _lacks_partitions(self) -> bool:
        return self._ahead is not None and self._ahead < _NEEDED

    async def run(self, every: float = EVERY) -> None:
        """Look at the start and then every `every` seconds, until cancelled. A failure is logged and tried again."""
        while True:
            try:
                await self.once(0.0 if self._lacks_partitions else every)
            except Exception as error:  # noqa: BLE001 - the next round must come: nobody would notice that this was the last
                self._failed(error)
            await asyncio.sleep(min(every, _SOON) if self._lacks_partitions and not self._failure else every)

    async def once(self, every: float = 0.0) -> None:
        """A round, unless some worker had one within `every` seconds. Raise what this worker's met."""
        now = datetime.now(UTC)
        async with borrowed(self._pool) as connection:
            try:
                async with _turn(connection) as ours:
                    if ours and await upkeep.round_is_due(connection, timedelta(seconds=every)):
                        await self._round(connection, now)
                self._failure = await upkeep.failure(connection, ddl.fingerprint())
                self._metrics.count(HOUSEKEEPING_FAILURES, by=bool(self._failure))
            except Exception:
                with suppress(Exception):  # why the round failed is more than that this fails too
                    await self._look_ahead(connection, now)
                raise
            # Also by those who did not get the lock: who has it may fail round after round.
            await self._look_ahead(connection, now)

    async def _round(self, locked: Connection, now: datetime) -> None:
        begun = await upkeep.now(locked)
        try:
            await self._work(locked, now, begun)
        except Exception as error:
            with suppress(Exception):  # as above
                await upkeep.note(locked, upkeep.ROUND, begun, failure=describe(error))
            raise
        await upkeep.note(locked, upkeep.ROUND, begun)

    async def _look_ahead(self, connection: Connection, now: datetime) -> None:
        self._ahead = await partitions.days_ahead(connection, now.date())
        self._metrics.set(PARTITIONS_AHEAD, self._ahead)

    async def _work(self, locked: Connection, now: datetime, begun: datetime) -> None:
        """On the connection that has the lock; rows are mended on another one, for that may time out."""
        failures = await self._keep_days(locked, now)
        await dead_letters.expire(locked, now - timedelta(days=self._journal_days))
        await suspects.expire(locked, now - timedelta(days=1))
        await replays.expire(locked, now - timedelta(days=self._journal_days))
        for company in await upkeep.lacking_types(locked):
            failures += await self._mend(locked, company, begun, upkeep.TYPES, normalise)
        age, catalogue = timedelta(seconds=self._clock() - self._started), ddl.fingerprint()
        for company in await upkeep.lacking_columns(locked, catalogue, age):
            failures += await self._mend(locked, company, begun, upkeep.columns(catalogue), outgrow)
        if failures:
            raise failures[0]

    async def _keep_days(self, locked: Connection, now: datetime) -> list[Exception]:
        """A long report on the journal, or somebody's own partition, is in the way of its days and of nothing else."""
        failures: list[Exception] = []
        for work in (partitions.ensure, partitions.expire):
            try:
                await work(locked, now.date(), self._journal_days)
            except (asyncpg.PostgresError, DatabaseUnavailable) as error:
                _log.warning("partitions_not_kept", reason=describe(error))
                failures.append(error)
        return failures

    async def _mend(
        self, locked: Connection, company: Company, begun: datetime, work: str, mend: _Mend
    ) -> list[Exception]:
        """What stands in the way, if it does so for this company alone: the others are not to wait for its end."""
        try:
            async with borrowed(self._pool) as connection:
                mended = await mend(connection, company)
        except Exception as error:
            if not _concerns_one_company(error):
                raise
            # Of the connection with the lock, and so it is known as well whether the database answers at all.
            if await companies.find(locked, company.id) != company:
                return []  # paused or purged meanwhile
            reason = describe(error)
            _log.warning("rows_not_mended", company_id=company.id, reason=reason)
            await upkeep.note(locked, work, begun, company.id, failure=reason)
            return [error]
        if mended is not None:
            await upkeep.note(locked, work, begun, company.id)
        if mended:
            _log.info("rows_mended", company_id=company.id, rows=mended)
        return []

    def _failed(self, error: Exception) -> None:
        self._failure = describe(error)
        self._metrics.count(HOUSEKEEPING_FAILURES)
        if not_now(error) is None:
            _log.exception("housekeeping_crashed")
        else:
            _log.warning("housekeeping_failed", reason=self._failure)


@asynccontextmanager
async def _turn(connection: Connection) -> AsyncIterator[bool]:
    """Whether it is this worker's turn. What ends it, such as a stop, is not replaced by a connection that is gone."""
    ours = await connection.fetchval("SELECT pg_try_advisory_lock($1)", locks.HOUSEKEEPING)
    try:
        yield ours
    finally:
        if ours:
            with suppress(Exception):  # with its connection the lock is gone as well
                await connection.execute("SELECT pg_advisory_unlock($1)", locks.HOUSEKEEPING)


def _concerns_one_company(error: Exception) -> bool:
    """A statement that took too long may be so for the size of the company's tables."""
    return not_now(error) is None or concerns_one_schema(error) or isinstance(error, TimeoutError)
