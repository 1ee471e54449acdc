"""Databases to measure on: made once by real processes, copied for each round; and what can be read from them."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import accumulate
from typing import Any, Final
from urllib.parse import urlsplit

import asyncpg
import psutil
from rig.processes import Role

from bench.ground import Ground, authorized, process_of
from bench.load import Order
from bench.processes import cpu_seconds, family_seconds
from bench.workload import Story, company_ids
from runtime.metrics import Metrics
from schema.ddl import raw_schema
from store.companies import FIRST_SLUG
from store.database import Pool, create_pool
from worker.upkeep.housekeeping import Housekeeping

_LOOK_EVERY: Final = 0.5
_SLOWEST: Final = 200.0
"""Events/s. A worker slower than that is given up."""

_FILLED_AT_ONCE: Final = 500_000
_FILL: Final = """
INSERT INTO {name} (id, {columns})
SELECT wanted, {columns} FROM generate_series({low}, {high}) AS wanted
JOIN {name} AS known ON known.id = 1 + (wanted - 1) % {known}
"""
_SHAPE: Final = """
SELECT array_agg(attname::text ORDER BY attnum) AS columns FROM pg_attribute
WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped
"""

_TO_PROVISION: Final = 5.0
"""Seconds that a new company may take to get its tables."""

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
    total_us: float


async def prepared(ground: Ground, story: Story, companies: int) -> str:
    """The name of a database in which everything announced is mirrored: a template for `fresh`."""
    server = await ground.postgres()
    dsn = server.new_database()
    ground.place(measured=None)
    async with ground.installed(dsn, broker=True) as installation:
        receiver, worker = await asyncio.gather(installation.receiver(), installation.worker())
        bodies = ground.save(f"announced-{companies}", story.announced)
        number = len(story.announced)
        # Numbers far from those of what happens later, and divisible: they begin with the first template.
        order = Order(
            receiver.port, authorized(company_ids(companies)), bodies, first=number * 1_000_000, requests=number
        )
        await ground.load(order)
        await _until_journaled(dsn, number, worker, more=_TO_PROVISION * companies)
        await receiver.terminate()
        await worker.terminate()
    await _kept(dsn)
    await administer(ground, dsn, "VACUUM (ANALYZE)")
    return name_of(dsn)


async def _kept(dsn: str) -> None:
    """Do what the first housekeeping of a release does, which reads all tables: a worker that is measured need not."""
    pool = await create_pool(dsn, size=2, application="bench")
    await Housekeeping(pool, Metrics(), journal_days=14).once()
    await pool.close()


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


@asynccontextmanager
async def dropped(ground: Ground, name: str) -> AsyncIterator[str]:
    """The DSN of a database there is; dropped at the end."""
    server = await ground.postgres()
    dsn = server.dsn_of(name)
    try:
        yield dsn
    finally:
        await asyncio.to_thread(server.drop_database, dsn)


async def fill_up(ground: Ground, dsn: str, table: str, rows: int) -> None:
    """Let the first company's table have rows of all ids up to `rows`: copies, in turn, of those from 1 on it has."""
    name = f'"{raw_schema(FIRST_SLUG)}"."{table}"'
    found = await read_one(dsn, _SHAPE, name)
    columns = ", ".join(f'"{column}"' for column in found["columns"] if column != "id")
    known: int = (await read_one(dsn, f"SELECT max(id) AS id FROM {name}"))["id"]
    for low in range(known + 1, rows + 1, _FILLED_AT_ONCE):
        high = min(rows, low + _FILLED_AT_ONCE - 1)
        await administer(ground, dsn, _FILL.format(name=name, columns=columns, known=known, low=low, high=high))
    await administer(ground, dsn, "VACUUM (ANALYZE)")


async def drained(
    ground: Ground, dsn: str, start: Callable[[], Awaitable[Role]], expected: int, *, uncounted: float = 0.0
) -> Drained:
    """Start a worker, wait until it has journaled `expected` more events, and say how fast that went.

    The first of them, a share of `uncounted`, only warm it up.
    """
    before: int = (await read_one(dsn, "SELECT count(*) AS events FROM pipemirror.events"))["events"]
    began = datetime.now(UTC)
    worker = await start()
    readings = await _until_journaled(dsn, before + expected, worker, ground.postgres_pid)
    pool = await create_pool(dsn, size=1, application="bench")
    rows = await pool.fetch(_TRANSACTIONS, began)
    await pool.close()
    counted = rows[_place(rows, expected * uncounted) :]
    elapsed = (counted[-1]["began"] - counted[0]["began"]).total_seconds()
    # From the first transaction's claim to the last one's: as many whole transactions as lie between.
    rate = sum(row["events"] for row in counted[:-1]) / elapsed
    worker_us, postgres_us = _cpu(readings, before + expected * uncounted)
    return Drained(rate, len(rows), worker_us, postgres_us, worker_us + postgres_us)


def _place(rows: Sequence[asyncpg.Record], events: float) -> int:
    """The transaction before which so many events were written."""
    sums = accumulate(row["events"] for row in rows)
    return next(number for number, done in enumerate(sums) if done > events)


async def journaled_by(dsn: str, expected: int, worker: Role) -> None:
    """Wait until the journal has so many events. Raise RuntimeError when it does not come to that."""
    await _until_journaled(dsn, expected, worker)


async def read_one(dsn: str, query: str, *arguments: Any) -> asyncpg.Record:
    """The one row of a query."""
    pool = await create_pool(dsn, size=1, application="bench")
    try:
        row = await pool.fetchrow(query, *arguments)
    finally:
        await pool.close()
    assert row is not None, query
    return row


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


async def _until_journaled(
    dsn: str, expected: int, worker: Role, postgres: int = 0, *, more: float = 0.0
) -> list[_Reading]:
    """Look seldom: counting costs Postgres a few milliseconds each time. Raise RuntimeError when it does not come."""
    pool = await create_pool(dsn, size=1, application="bench")
    process = process_of(worker)
    deadline = time.monotonic() + 60 + expected / _SLOWEST + more
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
    used = family_seconds(psutil.Process(postgres)) if postgres else 0.0
    return _Reading(events, cpu_seconds(process), used)


def _cpu(readings: list[_Reading], begin: float) -> tuple[float, float]:
    """Microseconds per event of worker and Postgres, from the first look that saw more than `begin` to the last."""
    last = readings[-1]
    first = next((one for one in readings if one.events > begin), last)
    each = 1e6 / max(1, last.events - first.events)
    return (last.worker - first.worker) * each, (last.postgres - first.postgres) * each
