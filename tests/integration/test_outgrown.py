"""A key that an earlier release had no column for moves into the column once there is one."""

import asyncio
from datetime import date
from itertools import count
from typing import Any

import pytest
from rig.events import COMPANY, START, deal, event, v2_body
from rig.waiting import until

from runtime.metrics import Metrics
from schema.event import Event
from store import companies
from store.companies import ACTIVE, PAUSED, Company
from store.database import Connection, Pool
from worker.applying import mirror
from worker.applying.provision import provision
from worker.upkeep import outgrown
from worker.upkeep.housekeeping import Housekeeping

LEAD = "5f0c9a10-17b2-11f1-9e21-6b3a1c7d2e40"
SECOND = 1_000_000


@pytest.fixture
async def company(pool: Pool) -> Company:
    async with pool.acquire() as connection:
        return await provision(connection, COMPANY, numbered_slugs=False)


async def apply(pool: Pool, company: Company, *events: Event) -> None:
    async with pool.acquire() as connection, connection.transaction():
        await mirror.apply(connection, company, events)


async def as_before(pool: Pool, table: str, column: str) -> None:
    """As a release wrote it that had no such column."""
    await query(pool, f"UPDATE pipedrive_raw.{table} SET _extra = jsonb_build_object('{column}', {column}, 'odd', 7)")
    await query(pool, f"UPDATE pipedrive_raw.{table} SET {column} = NULL")


async def query(pool: Pool, text: str) -> list[dict[str, Any]]:
    async with pool.acquire() as connection:
        return [dict(row) for row in await connection.fetch(text)]


async def test_housekeeping_fills_the_columns_of_an_upgrade(pool: Pool, company: Company) -> None:
    lead = event(v2_body("lead", LEAD, START, {"label_ids": [LEAD]}))
    await apply(pool, company, deal(0, 1, expected_close_date="2026-06-17"), deal(0, 2, title="no date"), lead)
    await as_before(pool, "deals", "expected_close_date")
    await as_before(pool, "leads", "label_ids")

    await Housekeeping(pool, Metrics(), journal_days=14).once()

    deals = await query(pool, "SELECT expected_close_date, _extra FROM pipedrive_raw.deals ORDER BY id")
    assert deals == [
        {"expected_close_date": date(2026, 6, 17), "_extra": {"odd": 7}},
        {"expected_close_date": None, "_extra": {"odd": 7}},
    ]
    (mended,) = await query(pool, "SELECT label_ids::text[] AS labels, _extra FROM pipedrive_raw.leads")
    assert mended == {"labels": [LEAD], "_extra": {"odd": 7}}


async def test_rows_are_mended_in_portions_and_once(
    pool: Pool, company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages without any such row, the second one here, are no end; ids may be numbers or UUIDs."""
    monkeypatch.setattr(outgrown, "CHUNK", 2)
    monkeypatch.setattr(outgrown, "PAGE", 3)
    await apply(pool, company, *(deal(0, number, expected_close_date="2026-06-17") for number in range(1, 10)))
    leads = [event(v2_body("lead", LEAD[:-1] + digit, START, {"label_ids": [LEAD]})) for digit in "01234567"]
    await apply(pool, company, *leads)
    await as_before(pool, "deals", "expected_close_date")
    await as_before(pool, "leads", "label_ids")
    await query(pool, "UPDATE pipedrive_raw.deals SET _extra = NULL WHERE id IN (4, 5, 6)")
    async with pool.acquire() as connection:
        assert await outgrown.outgrow(connection, company) == 6 + 8
        assert await outgrown.outgrow(connection, company) == 0


async def test_between_pages_it_rests_longer_than_it_worked(
    pool: Pool, company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large table would else take the database from those who apply events, for minutes at each upgrade."""
    await apply(pool, company, *(deal(0, number) for number in range(1, 8)))
    rests: list[float] = []

    async def rest(seconds: float) -> None:
        rests.append(seconds)

    seconds = count(0, 3)
    monkeypatch.setattr(outgrown, "PAGE", 3)
    monkeypatch.setattr(outgrown, "monotonic", lambda: next(seconds))
    monkeypatch.setattr(asyncio, "sleep", rest)
    async with pool.acquire() as connection:
        await outgrown.outgrow(connection, company)
    assert rests == [3 * outgrown.RESTS] * 2


async def test_who_pauses_a_company_does_not_wait_until_its_tables_are_read(pool: Pool, company: Company) -> None:
    """Reading takes as long as the tables are large: here, for as long as somebody keeps one locked."""
    async with pool.acquire() as holder, holder.transaction():
        await holder.execute("LOCK TABLE pipedrive_raw.deals IN ACCESS EXCLUSIVE MODE")
        reading = asyncio.create_task(_outgrow(pool, company))
        await until(lambda: _somebody_waits(holder), what="it reads")
        pausing = asyncio.create_task(_pause(pool))
        paused, _ = await asyncio.wait((pausing,), timeout=5)
    assert await asyncio.wait_for(reading, 10) == 0
    assert await asyncio.wait_for(pausing, 10) == ACTIVE
    assert paused


async def _outgrow(pool: Pool, company: Company) -> int | None:
    async with pool.acquire() as connection:
        return await outgrown.outgrow(connection, company)


async def _pause(pool: Pool) -> str | None:
    async with pool.acquire() as connection:
        return await companies.change_state(connection, COMPANY, PAUSED)


async def _somebody_waits(connection: Connection) -> bool:
    found: bool = await connection.fetchval(
        "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'pipedrive_raw.deals'::regclass AND NOT granted)"
    )
    return found


async def test_a_newer_event_still_wins_afterwards_and_an_older_one_does_not(pool: Pool, company: Company) -> None:
    await apply(pool, company, deal(10 * SECOND, expected_close_date="2026-06-17"))
    await as_before(pool, "deals", "expected_close_date")
    async with pool.acquire() as connection:
        await outgrown.outgrow(connection, company)
    await apply(pool, company, deal(5 * SECOND, expected_close_date="2020-01-01"))
    (found,) = await query(pool, "SELECT expected_close_date FROM pipedrive_raw.deals")
    assert found["expected_close_date"] == date(2026, 6, 17)
    await apply(pool, company, deal(15 * SECOND, expected_close_date="2027-01-01"))
    (found,) = await query(pool, "SELECT expected_close_date FROM pipedrive_raw.deals")
    assert found["expected_close_date"] == date(2027, 1, 1)


async def test_a_company_that_is_paused_meanwhile_is_left_alone(pool: Pool, company: Company) -> None:
    await apply(pool, company, deal(0, 1, expected_close_date="2026-06-17"))
    await as_before(pool, "deals", "expected_close_date")
    async with pool.acquire() as connection:
        await companies.change_state(connection, COMPANY, PAUSED)
        assert await outgrown.outgrow(connection, company) is None
        await companies.change_state(connection, COMPANY, ACTIVE)
        assert await outgrown.outgrow(connection, company) == 1
