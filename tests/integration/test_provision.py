"""Companies and their schemas: races, upgrades, slugs that are never given twice, a role without superuser."""

import asyncio
import pwd
from pathlib import Path

import asyncpg
import pytest
from rig.waiting import until_somebody_waits
from structlog.testing import capture_logs

from schema import ddl
from schema.entities import BY_NAME, ENTITIES
from schema.errors import DatabaseUnavailable, MigrationWaits, Misconfigured
from store import companies
from store.companies import Company
from store.database import Connection, Pool, create_pool
from worker.applying.provision import lock_ddl, provision
from worker.upkeep.migrate import migrate

MIGRATIONS = sorted(path.stem for path in (Path(ddl.__file__).parent / "migrations").glob("*.sql"))


async def make(pool: Pool, company_id: int, *, numbered: bool = False) -> str:
    async with pool.acquire() as connection:
        return (await provision(connection, company_id, numbered_slugs=numbered)).slug


async def test_two_migrations_at_once_and_one_after_them_work(database: str) -> None:
    applied = await asyncio.gather(*(migrate(database) for _ in range(3)))

    assert sorted(map(len, applied)) == [0, 0, len(MIGRATIONS)]
    assert await migrate(database) == []


async def test_a_migration_that_died_before_it_was_recorded_is_simply_run_again(migrated: str, pool: Pool) -> None:
    async with pool.acquire() as connection:
        await connection.execute("DELETE FROM pipemirror._yoyo_migration")

    assert await migrate(migrated) == MIGRATIONS


async def test_a_migration_that_waits_for_another_says_so_and_not_for_ever(database: str) -> None:
    other = await asyncpg.connect(database)
    holder = await other.fetchval("SELECT pg_backend_pid() FROM pg_advisory_lock(7102000)")
    told: list[str] = []
    with pytest.raises(MigrationWaits):
        await migrate(database, on_wait=told.append, lock_within=0.1)
    assert f"session {holder} " in told[0]

    waiting = asyncio.create_task(migrate(database, on_wait=told.append))
    await other.close()
    assert await asyncio.wait_for(waiting, 30) == MIGRATIONS


async def test_a_role_that_may_not_create_is_told_what_it_lacks(database: str) -> None:
    connection = await asyncpg.connect(database)
    name = await connection.fetchval("SELECT current_database()")
    await connection.execute(f'REVOKE CREATE ON DATABASE "{name}" FROM CURRENT_USER')
    await connection.close()

    with pytest.raises(Misconfigured, match="needs CREATE"):
        await migrate(database)


async def test_a_user_without_a_name_may_migrate(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        # Set first, so that what the migration sets is taken back, too.
        monkeypatch.setenv(name, "somebody")
        monkeypatch.delenv(name)
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: {}[uid])

    assert await migrate(database) == MIGRATIONS


async def test_the_first_company_is_called_pipedrive_and_the_others_bear_their_id(pool: Pool) -> None:
    assert [await make(pool, company_id) for company_id in (5, 6, 5)] == ["pipedrive", "pipedrive_6", "pipedrive"]


async def test_with_a_marketplace_app_every_company_bears_its_id(pool: Pool) -> None:
    assert await make(pool, 5, numbered=True) == "pipedrive_5"


async def test_a_purged_companys_slug_is_not_given_to_another_one(pool: Pool) -> None:
    await make(pool, 5)
    async with pool.acquire() as connection:
        await connection.execute("UPDATE pipemirror.companies SET state = 'purged'")

    assert await make(pool, 6) == "pipedrive_6"


async def test_workers_that_meet_new_companies_at_the_same_moment_agree(pool: Pool) -> None:
    slugs = await asyncio.gather(*(make(pool, company_id) for company_id in (1, 2, 3, 1, 2, 3)))

    assert slugs[:3] == slugs[3:]
    assert min(slugs) == "pipedrive"
    assert len(set(slugs)) == 3
    async with pool.acquire() as connection:
        assert len(await companies.all_companies(connection)) == 3


@pytest.mark.parametrize("numbered", [True, False])
async def test_a_new_company_does_not_wait_for_another_ones_tables(pool: Pool, *, numbered: bool) -> None:
    if not numbered:
        await make(pool, 1)
    async with pool.acquire() as connection, connection.transaction():
        await provision(connection, 5, numbered_slugs=numbered)  # its locks are held for as long as the transaction is
        assert await make(pool, 6, numbered=numbered) == "pipedrive_6"


async def test_a_company_that_may_become_the_first_is_waited_for_and_another_is_if_it_does_not(pool: Pool) -> None:
    async with pool.acquire() as connection:
        attempt = connection.transaction()
        await attempt.start()
        assert (await provision(connection, 5, numbered_slugs=False)).slug == "pipedrive"
        others = [asyncio.create_task(make(pool, company_id)) for company_id in (5, 6)]
        await until_somebody_waits(pool)
        await attempt.rollback()
    assert sorted(await asyncio.gather(*others)) in (["pipedrive", "pipedrive_5"], ["pipedrive", "pipedrive_6"])


async def test_every_entity_has_its_table_with_every_column_of_the_catalogue(pool: Pool) -> None:
    await make(pool, 5)
    async with pool.acquire() as connection:
        rows = await connection.fetch(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'pipedrive_raw'"
        )
    found = {(row["table_name"], row["column_name"]) for row in rows}

    expected = {(entity.plural, name) for entity in ENTITIES for name in ddl.columns(entity)}
    assert expected <= found


async def test_an_upgrade_and_events_being_applied_do_not_wait_for_each_other(
    migrated: str, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transaction that already holds the company needs a table that the upgrade is about to change."""
    monkeypatch.setattr("worker.upkeep.migrate._MOST_RETRIES", 0)
    await make(pool, 5)
    async with pool.acquire() as connection:
        await connection.execute("ALTER TABLE pipedrive_raw.deals DROP COLUMN arr")
        await connection.execute("UPDATE pipemirror.companies SET catalogue = 'of an older release'")
        async with connection.transaction():
            await companies.lock_shared(connection, Company(5, "pipedrive", companies.ACTIVE))
            upgrade = asyncio.create_task(migrate(migrated))
            await until_somebody_waits(pool)
            await connection.execute("SELECT FROM pipedrive_raw.deals FOR NO KEY UPDATE")

    await asyncio.wait_for(upgrade, 20)
    async with pool.acquire() as connection:
        assert await connection.fetchval("SELECT count(arr) FROM pipedrive_raw.deals") == 0


async def test_a_start_with_nothing_to_upgrade_asks_for_no_lock_on_tables(
    migrated: str, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many companies there are: nobody has to wait, neither it nor who is just making a new company."""
    monkeypatch.setattr("worker.upkeep.migrate._MOST_RETRIES", 0)
    for company_id in (5, 6):
        await make(pool, company_id)
    async with pool.acquire() as connection, connection.transaction():
        for company_id in (5, 6):
            await lock_ddl(connection, company_id)
        assert await migrate(migrated) == []


async def test_whose_tables_keep_an_upgrade_waiting_is_told(
    migrated: str, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hurried(connection: Connection, _: int) -> None:
        await connection.execute("SET LOCAL lock_timeout = '50ms'")

    monkeypatch.setattr("worker.applying.provision.lock_ddl", hurried)
    monkeypatch.setattr("worker.upkeep.migrate._MOST_RETRIES", 1)
    await make(pool, 5)
    async with pool.acquire() as connection:
        await connection.execute("UPDATE pipemirror.companies SET catalogue = 'of an older release'")
        async with connection.transaction():
            await companies.lock_shared(connection, Company(5, "pipedrive", companies.ACTIVE))
            with capture_logs() as logged, pytest.raises(DatabaseUnavailable) as problem:
                await migrate(migrated)

    assert problem.value.reason == (
        "somebody uses the tables of company 5: LockNotAvailableError (55P03): canceling statement due to lock timeout"
    )
    told = [line for line in logged if line["event"] == "tables_busy"]
    assert [(line["company_id"], line["reason"]) for line in told] == [(5, problem.value.reason)]


async def test_an_upgrade_adds_the_columns_that_an_older_table_lacks(migrated: str, pool: Pool) -> None:
    await make(pool, 5)
    async with pool.acquire() as connection:
        await connection.execute("ALTER TABLE pipedrive_raw.deals DROP COLUMN arr, DROP COLUMN _untyped")
        await connection.execute("DROP TABLE pipedrive_raw.boards")
        await connection.execute("UPDATE pipemirror.companies SET catalogue = 'of an older release'")

    await migrate(migrated)

    async with pool.acquire() as connection:
        await connection.fetch("SELECT arr, _untyped FROM pipedrive_raw.deals")
        await connection.fetch("SELECT id FROM pipedrive_raw.boards")


async def test_two_ways_to_a_table_end_in_the_same_one(pool: Pool) -> None:
    """A new table and one that grew by upgrades have the same columns and types."""
    await make(pool, 5)
    deal = BY_NAME["deal"]
    async with pool.acquire() as connection:
        await connection.execute("CREATE SCHEMA grown_raw")
        await connection.execute("CREATE TABLE grown_raw.deals (id bigint PRIMARY KEY)")
        for statement in ddl.add_columns("grown", deal, ["id"]):
            await connection.execute(statement)
        shapes = [
            {
                tuple(row)
                for row in await connection.fetch(
                    "SELECT column_name, data_type, udt_name, collation_name, is_nullable "
                    "FROM information_schema.columns WHERE table_schema = $1 AND table_name = 'deals'",
                    schema,
                )
            }
            for schema in ("pipedrive_raw", "grown_raw")
        ]
    assert shapes[0] == shapes[1]


async def test_provisioning_gives_up_on_a_lock_instead_of_waiting_for_ever(migrated: str, pool: Pool) -> None:
    await make(pool, 5)
    impatient = await create_pool(migrated, size=1, application="tests")
    async with pool.acquire() as holder, holder.transaction():
        await holder.execute("LOCK TABLE pipedrive_raw.deals IN ACCESS EXCLUSIVE MODE")
        async with impatient.acquire() as connection:
            await connection.execute("SET lock_timeout = '200ms'")
            with pytest.raises(asyncpg.LockNotAvailableError):
                async with connection.transaction():
                    await connection.execute("ALTER TABLE pipedrive_raw.deals ADD COLUMN IF NOT EXISTS later text")
    await impatient.close()
