"""What a worker does beside applying: partitions, expiry, types learnt late. Any worker may, one at a time does."""

import asyncio
from datetime import UTC, datetime, timedelta

import structlog

from store import companies, dead_letters
from store.database import Pool, describe, not_now
from worker import journal, suspects
from worker.normalising import normalise

_log = structlog.stdlib.get_logger(__name__)
_LOCK = 7_102_004
EVERY = 60.0


async def keep_house(pool: Pool, *, journal_days: int, every: float = EVERY) -> None:
    """Once at the start and then every `every` seconds, until cancelled. A failure is logged and tried again."""
    while True:
        try:
            await keep_house_once(pool, journal_days=journal_days)
        except Exception as error:  # noqa: BLE001 - the next round must come: nobody would notice that this was the last
            if not_now(error) is None:
                _log.exception("housekeeping_crashed")
            else:
                _log.warning("housekeeping_failed", reason=describe(error))
        await asyncio.sleep(every)


async def keep_house_once(pool: Pool, *, journal_days: int) -> None:
    now = datetime.now(UTC)
    async with pool.acquire() as connection:
        if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK):
            return
        try:
            await journal.ensure_partitions(connection, now.date(), journal_days)
            await dead_letters.expire(connection, now - timedelta(days=journal_days))
            await suspects.expire(connection, now - timedelta(days=1))
            for company in await companies.all_companies(connection):
                if company.state == companies.ACTIVE:
                    await normalise(connection, company)
        finally:
            await connection.execute("SELECT pg_advisory_unlock($1)", _LOCK)
