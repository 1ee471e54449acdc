"""Tables that are changed while events are written to them: what was sent is applied all the same."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

import pytest
from rig.events import COMPANY, envelope, event, v2_body
from rig.transports import until

from runtime.backoff import Backoff
from runtime.metrics import Metrics
from schema.envelope import Envelope
from schema.errors import Conflict
from store import dead_letters
from store.database import Connection, Pool
from worker.applying import journal
from worker.applying.applier import Applier, share
from worker.upkeep import partitions
from worker.upkeep.housekeeping import Housekeeping

TODAY = datetime.now(UTC).date()
NOW = time.time_ns() // 1_000
BEYOND = TODAY + partitions.AHEAD + timedelta(days=1)
"""A day whose partition does not exist yet, but does after `make_partitions`."""
AT_THAT_DAY = NOW + (BEYOND - TODAY) // timedelta(microseconds=1)
SOURCE = "a1" * 20


@pytest.fixture
def applier(pool: Pool) -> Applier:
    return Applier(pool, Metrics(), share(Metrics(), numbered_slugs=False), backoff=Backoff(0.01, 0.05))


def deal(number: int, at: int = NOW, **data: object) -> Envelope:
    return envelope(v2_body("deal", number, at, {"title": "a deal"} | data))


async def make_partitions(connection: Connection) -> None:
    await partitions.ensure(connection, TODAY + timedelta(days=1), 15)


async def until_somebody_waits(pool: Pool) -> None:
    waiting = (
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')"
    )
    async with asyncio.timeout(10), pool.acquire() as connection:
        while not await connection.fetchval(waiting):  # noqa: ASYNC110 - another session's lock
            await asyncio.sleep(0.01)


async def partitions_of_deals(pool: Pool) -> list[str]:
    async with pool.acquire() as connection:
        rows = await connection.fetch("SELECT tableoid::regclass::text AS name FROM pipemirror.events ORDER BY key")
    return [row["name"].rpartition("_")[2] for row in rows]


async def refused(pool: Pool) -> list[str]:
    async with pool.acquire() as connection:
        return [letter["reason"] for letter in await dead_letters.open_letters(connection)]


async def test_an_event_that_meets_the_making_of_its_partition_is_applied(pool: Pool, applier: Applier) -> None:
    await applier.apply([deal(1)])

    async with pool.acquire() as housekeeper, housekeeper.transaction():
        await make_partitions(housekeeper)
        applying = asyncio.create_task(applier.apply([deal(2, AT_THAT_DAY)]))
        await until_somebody_waits(pool)
    await asyncio.wait_for(applying, 10)

    assert await refused(pool) == []
    assert f"{BEYOND:%Y%m%d}" in await partitions_of_deals(pool)


async def test_a_partition_is_made_although_an_event_of_its_day_is_being_written(pool: Pool) -> None:
    late = event(v2_body("deal", 1, AT_THAT_DAY, {"title": "a deal"}))

    async with pool.acquire() as worker, pool.acquire() as housekeeper:
        async with worker.transaction():
            await journal.claim(worker, COMPANY, [late], applied=True)
            making = asyncio.create_task(make_partitions(housekeeper))
            await until_somebody_waits(pool)
        await asyncio.wait_for(making, 10)

    assert await partitions_of_deals(pool) == [f"{BEYOND:%Y%m%d}"]


async def test_a_column_that_gets_another_type_refuses_no_event(pool: Pool, applier: Applier) -> None:
    await applier.apply([deal(1)])

    async with pool.acquire() as analyst:
        await analyst.execute("ALTER TABLE pipedrive_raw.deals ALTER COLUMN title TYPE varchar(500)")
    await applier.apply([deal(1, NOW + 1_000_000, title="another title")])

    assert await refused(pool) == []
    async with pool.acquire() as connection:
        assert await connection.fetchval("SELECT title FROM pipedrive_raw.deals") == "another title"


async def test_a_value_that_is_too_long_for_the_type_learnt_later_harms_no_later_event(
    pool: Pool, applier: Applier
) -> None:
    """`enum` makes a number of a text of digits; JSON is written with numbers of 64 bits."""
    endless = "9" * 30
    await applier.apply([deal(number, custom_fields={SOURCE: endless}) for number in (1, 2)])
    await applier.apply([deal(1, NOW + 1_000_000, custom_fields={SOURCE: {"type": "enum", "id": 3}})])
    await Housekeeping(pool, Metrics(), journal_days=14).once()

    assert await refused(pool) == []
    async with pool.acquire() as connection:
        rows = await connection.fetch("SELECT id, custom_fields FROM pipedrive_raw.deals")
    assert {row["id"]: row["custom_fields"][SOURCE] for row in rows} == {1: 3, 2: endless}


async def test_a_conflict_without_end_is_shown(applier: Applier) -> None:
    async def conflict(_: object) -> None:
        raise Conflict("once more")

    assert list(applier.conditions()) == []
    persisting = asyncio.create_task(applier.persist(conflict))
    try:
        await until(lambda: [condition.code for condition in applier.conditions()] == ["conflict"])
    finally:
        persisting.cancel()
