"""Databases to measure on: made once by real processes, copied for each round; and what can be read from them."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

import asyncpg
import psutil
from rig.processes import Role

from bench.ground import Ground, authorized, process_of
from bench.load import Order
from bench.processes import cpu_seconds, family
from bench.workload import Story, company_ids
from store.database import Pool, create_pool

_LOOK_EVERY: Final = 0.5
_SLOWEST: Final = 200.0
"""Events/s. A worker slower than that is given up."""

_TRANSACTIONS: Final = """
SELECT count(*) AS events, min(applied_at) AS began
FROM pipemirror.events WHERE applied_at >= $1 GROUP BY xmin::text ORDER BY 2
"""


@dataclass(frozen=True, slots=True)
class Drained:
    """How a worker emptied a queue. `rate` in events/s; CPU in microseconds per event."""

    rate: float
    transactions: int
    worker_us: float
    postgres_us: float


async def prepared(ground: Ground, story: Story, companies: int) -> str:
    """The name of a database in which everything announced is mirrored: a template for `fresh`."""
    server = await ground.postgres()
    dsn = server.new_database()
    ground.place(measured=None)
    async with ground.installed(dsn, broker=True) as installation:
        receiver, worker = await asyncio.gather(installation.receiver(), installation.worker())
        bodies = ground.save(f"announced-{companies}", story.announced)
        number = len(story.announced)
        await ground.load(Order(receiver.port, authorized(company_ids(companies)), bodies, requests=number))
        await _until_journaled(dsn, number, worker)
        await receiver.terminate()
        await worker.terminate()
    await administer(ground, dsn, "VACUUM (ANALYZE)")
    return name_of(dsn)


@asynccontextmanager
async def fresh(ground: Ground, template: str) -> AsyncIterator[str]:
    """The DSN of a copy of `template`, dropped at the end. What it left to be written is on disk before it is used."""
    server = await ground.postgres()
    dsn = await asyncio.to_thread(server.new_database, template)
    await administer(ground, dsn, "CHECKPOINT")
    try:
        yield dsn
    finally:
        await asyncio.to_thread(server.drop_database, dsn)


async def drained(ground: Ground, dsn: str, start: Callable[[], Awaitable[Role]], expected: int) -> Drained:
    """Start a worker, wait until it has journaled `expected` more events, and say how fast that went."""
    before = await _journaled(dsn)
    began = datetime.now(UTC)
    worker = await start()
    readings = await _until_journaled(dsn, before + expected, worker, ground.postgres_pid)
    pool = await create_pool(dsn, size=1, application="bench")
    rows = await pool.fetch(_TRANSACTIONS, began)
    await pool.close()
    elapsed = (rows[-1]["began"] - rows[0]["began"]).total_seconds()
    # From the first transaction's claim to the last one's: as many whole transactions as lie between.
    rate = sum(row["events"] for row in rows[:-1]) / elapsed
    return Drained(rate, len(rows), *_cpu(readings))


def name_of(dsn: str) -> str:
    return urlsplit(dsn).path.strip("/")


async def administer(ground: Ground, dsn: str, statement: str) -> None:
    """Run it as the superuser, in the database of `dsn`."""
    server = await ground.postgres()
    connection = await asyncpg.connect(urlsplit(server.admin_dsn)._replace(path=f"/{name_of(dsn)}").geturl())
    try:
        await connection.execute(statement, timeout=1800)
    finally:
        await connection.close()


@dataclass(frozen=True, slots=True)
class _Reading:
    events: int
    worker: float
    postgres: float


async def _until_journaled(dsn: str, expected: int, worker: Role, postgres: int = 0) -> list[_Reading]:
    """Look seldom: counting costs Postgres a few milliseconds each time. Raise RuntimeError when it does not come."""
    pool = await create_pool(dsn, size=1, application="bench")
    process = process_of(worker)
    deadline = time.monotonic() + 60 + expected / _SLOWEST
    readings: list[_Reading] = []
    try:
        while not readings or readings[-1].events < expected:
            await asyncio.sleep(_LOOK_EVERY if readings else 0)
            if not worker.running or time.monotonic() > deadline:
                raise RuntimeError(f"{readings[-1:]} of {expected} events; the worker said:\n{worker.log[-2000:]}")
            readings.append(await _read(pool, process, postgres))
    finally:
        await pool.close()
    return readings


async def _read(pool: Pool, process: psutil.Process, postgres: int) -> _Reading:
    events: int = await pool.fetchval("SELECT count(*) FROM pipemirror.events")
    used = sum(map(cpu_seconds, family(psutil.Process(postgres)))) if postgres else 0.0
    return _Reading(events, cpu_seconds(process), used)


async def _journaled(dsn: str) -> int:
    pool = await create_pool(dsn, size=1, application="bench")
    found: int = await pool.fetchval("SELECT count(*) FROM pipemirror.events")
    await pool.close()
    return found


def _cpu(readings: list[_Reading]) -> tuple[float, float]:
    """Microseconds per event of worker and Postgres, between the first and the last look that saw it grow."""
    first, last = readings[0], readings[-1]
    for one in readings:
        if one.events > readings[0].events:
            first = one
            break
    each = 1e6 / max(1, last.events - first.events)
    return (last.worker - first.worker) * each, (last.postgres - first.postgres) * each
