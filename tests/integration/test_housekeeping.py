"""What a worker does beside applying goes on, whatever one round of it meets, and says how it went."""

import asyncio
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from rig.waiting import until

from runtime.measurements import HOUSEKEEPING_FAILURES, PARTITIONS_AHEAD
from runtime.metrics import Metrics
from schema.errors import DatabaseUnavailable
from store import companies
from store.companies import PURGED, Company
from store.database import Connection, Pool
from worker.applying import provision
from worker.upkeep import housekeeping, outgrown, partitions
from worker.upkeep.housekeeping import Housekeeping


def codes(house: Housekeeping) -> list[str]:
    return [condition.code for condition in house.conditions()]


async def test_a_round_that_crashes_is_not_the_last_and_is_told(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    rounds = 0
    third = asyncio.Event()

    async def crash(*_: object) -> None:
        nonlocal rounds
        rounds += 1
        if rounds == 3:
            third.set()
        raise RuntimeError

    monkeypatch.setattr(partitions, "ensure", crash)
    metrics = Metrics()
    house = Housekeeping(pool, metrics, journal_days=14)
    keeping = asyncio.create_task(house.run(every=0.01))
    waiting = asyncio.create_task(third.wait())
    await asyncio.wait((keeping, waiting), timeout=10, return_when=asyncio.FIRST_COMPLETED)

    assert third.is_set()
    assert not keeping.done()
    keeping.cancel()
    assert codes(house) == ["housekeeping_failed"]
    assert (metrics.value(HOUSEKEEPING_FAILURES) or 0) >= 2


async def test_a_company_whose_tables_are_in_the_way_keeps_nobody_else_waiting(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one lost a table; what is to be mended of the second is mended, and the failure is told."""
    async with pool.acquire() as connection:
        for company_id in (1, 2):
            await provision.provision(connection, company_id, numbered_slugs=True)
        await connection.execute("DROP TABLE pipedrive_1_raw.deals")
    mended = []

    async def outgrow(connection: Connection, company: Company) -> int:
        mended.append(company.id)
        await connection.execute(f"SELECT FROM {company.slug}_raw.deals")
        return 0

    monkeypatch.setattr(housekeeping, "outgrow", outgrow)
    house = Housekeeping(pool, Metrics(), journal_days=14)
    with pytest.raises(asyncpg.UndefinedTableError):
        await house.once()
    assert mended == [1, 2]


@pytest.fixture
async def two_companies(pool: Pool) -> None:
    async with pool.acquire() as connection:
        for company_id in (1, 2):
            await provision.provision(connection, company_id, numbered_slugs=True)


@pytest.mark.usefixtures("two_companies")
async def test_a_company_whose_tables_take_too_long_keeps_nobody_else_waiting(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What timed out ends a connection; the lock that lets one worker keep house is not lost with it."""
    mended = {}

    async def outgrow(connection: Connection, company: Company) -> int:
        mended[company.id] = await _somebody_keeps_house(pool)
        if company.id == 1:
            await connection.execute("SELECT pg_sleep(60)", timeout=0.05)
        return 0

    monkeypatch.setattr(housekeeping, "outgrow", outgrow)
    with pytest.raises(TimeoutError):
        await Housekeeping(pool, Metrics(), journal_days=14).once()
    assert mended == {1: True, 2: True}
    assert not await _somebody_keeps_house(pool)


@pytest.mark.usefixtures("two_companies")
async def test_where_the_database_answers_nobody_the_round_is_over(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it would be asked in vain for each company, a minute for each."""
    met = []

    async def outgrow(connection: Connection, company: Company) -> int:
        met.append(company.id)
        await connection.execute(f"SELECT pg_terminate_backend(pid) FROM pg_locks WHERE {_HOUSEKEEPING}")
        raise TimeoutError

    monkeypatch.setattr(housekeeping, "outgrow", outgrow)
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)):
        await Housekeeping(pool, Metrics(), journal_days=14).once()
    assert met == [1]


@pytest.mark.usefixtures("two_companies")
async def test_a_company_that_is_purged_while_its_rows_are_mended_is_no_failure(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def outgrow(connection: Connection, company: Company) -> int | None:
        await companies.change_state(connection, company.id, PURGED)
        await connection.execute(f"DROP SCHEMA {company.slug}_raw CASCADE")
        return await outgrown.outgrow(connection, company)

    monkeypatch.setattr(housekeeping, "outgrow", outgrow)
    await Housekeeping(pool, Metrics(), journal_days=14).once()


_HOUSEKEEPING = (
    "locktype = 'advisory' AND objid = 7102004 "
    "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


async def _somebody_keeps_house(pool: Pool) -> bool:
    async with pool.acquire() as connection:
        found: bool = await connection.fetchval(f"SELECT EXISTS (SELECT FROM pg_locks WHERE {_HOUSEKEEPING})")
    return found


async def test_partitions_that_are_missing_are_told_also_by_who_is_not_at_turn(pool: Pool) -> None:
    metrics = Metrics()
    house = Housekeeping(pool, metrics, journal_days=14)
    await house.once()
    assert codes(house) == []
    assert metrics.value(PARTITIONS_AHEAD) == 8

    async with pool.acquire() as connection:
        await connection.execute(f"DROP TABLE pipemirror.events_{datetime.now(UTC):%Y%m%d}")
    async with pool.acquire() as another:
        await another.fetchval("SELECT pg_advisory_lock(7102004)")
        await house.once()
        await another.fetchval("SELECT pg_advisory_unlock(7102004)")
    assert codes(house) == ["partitions_missing"]
    assert not any(condition.blocking for condition in house.conditions())

    await house.once()
    assert codes(house) == []


async def test_who_misses_partitions_that_another_is_making_soon_looks_again(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeping, "_SOON", 0.05)
    first, second = (Housekeeping(pool, Metrics(), journal_days=14) for _ in range(2))
    await first.once()
    async with pool.acquire() as connection:
        await connection.execute(f"DROP TABLE pipemirror.events_{datetime.now(UTC):%Y%m%d}")
        await connection.fetchval("SELECT pg_advisory_lock(7102004)")
        keeping = asyncio.create_task(second.run())
        await until(lambda: codes(second) == ["partitions_missing"], what="told")
        await connection.fetchval("SELECT pg_advisory_unlock(7102004)")
    await until(lambda: codes(second) == [], what="looked again")
    keeping.cancel()
    await asyncio.wait((keeping,))


async def test_a_long_report_on_the_journal_keeps_only_old_days_from_being_dropped(pool: Pool) -> None:
    """Days to come are made meanwhile, before any is lacking; the old ones go once the report is over."""
    today = datetime.now(UTC).date()
    house = Housekeeping(pool, Metrics(), journal_days=14)
    async with pool.acquire() as connection:
        await partitions.ensure(connection, today - timedelta(days=20), 0)
        await connection.execute(f"DROP TABLE pipemirror.events_{today:%Y%m%d}")
        assert len(await _days(connection)) > 14 + 8
    async with pool.acquire() as report, report.transaction():
        await report.execute(
            f"SELECT FROM pipemirror.events WHERE occurred_at = '{today - timedelta(days=1)} 12:00+00'"
        )
        with pytest.raises(DatabaseUnavailable, match=f"{today - timedelta(days=20)} is over and cannot be dropped"):
            await house.once()
        assert f"events_{today:%Y%m%d}" in await _days(report)
    await house.once()
    async with pool.acquire() as connection:
        assert len(await _days(connection)) == 14 + 8


async def _days(connection: Connection) -> list[str]:
    rows = await connection.fetch(
        "SELECT relname::text AS name FROM pg_class WHERE relname ~ '^events_[0-9]' AND relkind = 'r'"
    )
    return [row["name"] for row in rows]
