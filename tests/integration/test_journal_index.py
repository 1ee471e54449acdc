"""An upgrade that brings an index to a journal in use."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest
from rig.events import START, deal
from rig.mirrored import apply, company_of
from rig.waiting import until
from structlog.testing import capture_logs

from schema.errors import DatabaseUnavailable, MigrationWaits
from store.database import Pool
from worker.upkeep import partitions
from worker.upkeep.long_statements import execute
from worker.upkeep.migrate import migrate

BRINGS_THE_INDEX = ["0003_others", "0004_no_others"]


@pytest.fixture
async def before_the_index(migrated: str, pool: Pool) -> str:
    """A database of an earlier release, with some days of journal."""
    async with pool.acquire() as connection:
        await partitions.ensure(connection, datetime.fromtimestamp(START / 1e6, UTC).date(), 3)
        await connection.execute("DROP INDEX pipemirror.events_of_several")
        await connection.execute(
            "CREATE INDEX events_others ON pipemirror.events USING gin (other_ids) WHERE other_ids IS NOT NULL"
        )
        await forget_migrations(pool, *BRINGS_THE_INDEX)
    return migrated


async def forget_migrations(pool: Pool, *names: str) -> None:
    async with pool.acquire() as connection:
        await connection.execute("DELETE FROM pipemirror._yoyo_migration WHERE migration_id = ANY($1)", names)


async def parts_of_the_index(pool: Pool) -> dict[str, str]:
    """Partition -> the index that was put together of it."""
    async with pool.acquire() as connection:
        rows = await connection.fetch(
            "SELECT indrelid::regclass::text AS partition, inhrelid::regclass::text AS index "
            "FROM pg_inherits JOIN pg_index ON indexrelid = inhrelid AND indisvalid "
            "WHERE inhparent = to_regclass('pipemirror.events_of_several')"
        )
        left = await connection.fetchval("SELECT to_regclass('pipemirror.events_others')")
    assert left is None
    return {row["partition"]: row["index"] for row in rows}


async def test_it_is_put_together_of_what_was_built_ahead(before_the_index: str, pool: Pool) -> None:
    assert await migrate(before_the_index) == BRINGS_THE_INDEX

    parts = await parts_of_the_index(pool)
    assert len(parts) > 3
    assert all(index == f"{partition}_of_several" for partition, index in parts.items())
    assert await migrate(before_the_index) == []


_LONG = "a" * 63
_AS_LONG = "a" * 62 + "b"


async def test_it_is_built_also_on_partitions_that_somebody_attached(before_the_index: str, pool: Pool) -> None:
    """Of whatever name: those of long ones begin alike, and Postgres cuts them off."""
    names = ('pipemirror."Old Events"', "old.events_of_2024", f"pipemirror.{_LONG}", f"pipemirror.{_AS_LONG}")
    async with pool.acquire() as connection:
        await connection.execute("CREATE SCHEMA old")
        for number, name in enumerate(names):
            bounds = f"FROM ('20{10 + number}-01-01') TO ('20{10 + number}-02-01')"
            await connection.execute(f"CREATE TABLE {name} PARTITION OF pipemirror.events FOR VALUES {bounds}")

    assert await migrate(before_the_index) == BRINGS_THE_INDEX
    parts = await parts_of_the_index(pool)
    assert {name.rpartition(".")[2] for name in names} < {partition.rpartition(".")[2] for partition in parts}
    assert all(index.strip('"').endswith("_of_several") for index in parts.values()), "one was not built ahead"


_HALF_BUILT = "SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid"


async def test_what_a_killed_upgrade_left_half_built_is_built_anew(before_the_index: str, pool: Pool) -> None:
    async with pool.acquire() as connection:
        async with connection.transaction():
            await connection.execute("UPDATE pipemirror.events SET source = source")  # keeps the upgrade waiting
            upgrade = asyncio.create_task(migrate(before_the_index))
            await until(lambda: pool.fetchval(_HALF_BUILT), what="a part of the index is there, not yet valid")
            upgrade.cancel()
            await asyncio.wait((upgrade,), timeout=10)
        half_built = await connection.fetch(_HALF_BUILT)
    assert [row["indexrelid"].endswith("_of_several") for row in half_built] == [True]

    assert await migrate(before_the_index) == BRINGS_THE_INDEX

    assert half_built[0]["indexrelid"] in (await parts_of_the_index(pool)).values()


async def test_events_are_written_while_it_is_built(before_the_index: str, pool: Pool) -> None:
    company = await company_of(pool)
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("UPDATE pipemirror.events SET source = source")  # keeps the upgrade waiting
        upgrade = asyncio.create_task(migrate(before_the_index))
        await _an_index_is_being_built(pool)
        await asyncio.wait_for(apply(pool, company, deal(0)), 5)
        assert not upgrade.done()
    assert await asyncio.wait_for(upgrade, 30) == BRINGS_THE_INDEX


async def test_for_whom_it_waits_is_told_by_it_and_by_who_waits_in_turn(before_the_index: str, pool: Pool) -> None:
    told: list[str] = []
    siblings: list[str] = []
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("UPDATE pipemirror.events SET source = source")
        holder = await connection.fetchval("SELECT pg_backend_pid()")
        with capture_logs() as logged:
            upgrade = asyncio.create_task(migrate(before_the_index, on_wait=told.append))
            await until(lambda: any(f"waits for session {holder} of Postgres" in line for line in told), what="told")
            sibling = asyncio.create_task(migrate(before_the_index, on_wait=siblings.append))
            await until(lambda: any(f", which waits for session {holder} of Postgres," in line for line in siblings))
    assert await asyncio.wait_for(upgrade, 30) == BRINGS_THE_INDEX
    assert await asyncio.wait_for(sibling, 30) == []

    [waiting] = [line for line in logged if line["event"] == "statement_waits"]
    assert waiting["sessions"] == [holder]
    begun = [line["index"] for line in logged if line["event"] == "index_begun"]
    assert all(f"the building of index {begun[-1]} " in line for line in told)


async def test_whoever_asks_it_to_stop_is_not_kept_waiting(before_the_index: str, pool: Pool) -> None:
    def stop(reason: str) -> None:
        raise MigrationWaits(reason)

    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("UPDATE pipemirror.events SET source = source")
        with pytest.raises(MigrationWaits):
            await asyncio.wait_for(migrate(before_the_index, on_wait=stop), 30)
        assert await connection.fetchval("SELECT count(*) FROM pg_stat_progress_create_index") == 0

    assert await migrate(before_the_index) == BRINGS_THE_INDEX


async def test_a_deadlock_while_it_is_built_is_tried_again(
    before_the_index: str, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = 0

    async def unlucky(*arguments: Any) -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise asyncpg.DeadlockDetectedError("deadlock detected")
        await execute(*arguments)

    monkeypatch.setattr("worker.upkeep.journal_index.execute", unlucky)
    assert await migrate(before_the_index) == BRINGS_THE_INDEX
    assert tries == len(await parts_of_the_index(pool)) + 1


async def test_a_limit_on_statements_does_not_end_its_building(before_the_index: str, pool: Pool) -> None:
    async with pool.acquire() as connection:
        name = await connection.fetchval("SELECT current_database()")
        await connection.execute(f"ALTER DATABASE \"{name}\" SET statement_timeout = '200ms'")
        async with connection.transaction():
            await connection.execute("UPDATE pipemirror.events SET source = source")  # keeps the upgrade waiting
            upgrade = asyncio.create_task(migrate(before_the_index))
            await asyncio.wait((upgrade,), timeout=1.0)
            assert not upgrade.done()
    assert await asyncio.wait_for(upgrade, 30) == BRINGS_THE_INDEX


async def test_a_lock_that_stays_in_the_way_is_told(
    before_the_index: str, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.upkeep.migrate._MOST_RETRIES", 0)
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("SELECT FROM pipemirror.events")
        with pytest.raises(DatabaseUnavailable) as problem:
            await migrate(before_the_index)
    assert problem.value.reason == (
        "somebody uses what all companies share: LockNotAvailable (55P03): canceling statement due to lock timeout"
    )

    assert await migrate(before_the_index) == ["0004_no_others"]
    assert await parts_of_the_index(pool)


async def _an_index_is_being_built(pool: Pool) -> None:
    async with asyncio.timeout(10), pool.acquire() as connection:
        while not await connection.fetchval("SELECT EXISTS (SELECT FROM pg_stat_progress_create_index)"):  # noqa: ASYNC110 - only Postgres knows
            await asyncio.sleep(0.01)
