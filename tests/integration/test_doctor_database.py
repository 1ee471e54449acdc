"""What the doctor sees in a database: well after a migration, and each thing that can be wrong with it."""

from urllib.parse import urlsplit

import asyncpg
import pytest
from rig.pgbouncer import PROGRAM, pgbouncer
from rig.postgres import Server

from cli.doctor.finding import Finding
from cli.doctor.of_database import of_database
from store import companies
from store.database import Pool
from worker.applying import provision


async def look(dsn: str) -> dict[str, Finding]:
    return {finding.name: finding for finding in await of_database(dsn)}


async def run(dsn: str, *statements: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def test_a_right_database_is_all_green(migrated: str, pool: Pool) -> None:
    async with pool.acquire() as connection:
        await provision.provision(connection, 7, numbered_slugs=False)
    found = await look(migrated)
    assert {finding.verdict for finding in found.values()} == {"ok"}, found
    assert found.keys() >= {
        "Postgres", "database role", "clock of Postgres", "connection pooler", "connection of a worker", "schema",
        "companies", "journal partitions", "journal default partition", "unfinished work",
    }  # fmt: skip


async def test_an_empty_database_lacks_the_schema(database: str) -> None:
    found = await look(database)
    assert (found["schema"].verdict, "migrate" in found["schema"].advice) == ("fail", True)


async def test_a_migration_that_was_not_run_is_named(migrated: str) -> None:
    await run(migrated, "DELETE FROM pipemirror._yoyo_migration WHERE migration_id = '0002_held'")
    found = (await look(migrated))["schema"]
    assert (found.verdict, "0002_held" in found.found) == ("fail", True)


async def test_a_newer_schema_is_told(migrated: str) -> None:
    await run(
        migrated, "INSERT INTO pipemirror._yoyo_migration (migration_hash, migration_id) VALUES ('x', '9999_later')"
    )
    assert "9999_later" in (await look(migrated))["schema"].found


async def test_a_role_without_rights_is_told_what_it_lacks(migrated: str, postgres_server: Server) -> None:
    admin = await asyncpg.connect(postgres_server.admin_dsn)
    name = urlsplit(migrated).path.strip("/")
    try:
        await admin.execute(f'ALTER DATABASE "{name}" OWNER TO CURRENT_USER')
        found = (await look(migrated))["database role"]
        assert (found.verdict, "GRANT CREATE" in found.advice) == ("fail", True)
        await admin.execute(f'ALTER DATABASE "{name}" OWNER TO "{postgres_server.role}"')
    finally:
        await admin.close()


async def test_tables_of_another_release_and_paused_companies_are_told(migrated: str, pool: Pool) -> None:
    async with pool.acquire() as connection:
        await provision.provision(connection, 7, numbered_slugs=False)
        await companies.change_state(connection, 7, "paused")
    assert "paused: 7" in (await look(migrated))["companies"].found
    await run(migrated, "UPDATE pipemirror.companies SET catalogue = 'other'")
    assert "another release" in (await look(migrated))["companies"].found


async def test_a_missing_partition_is_told_and_a_full_default_one(migrated: str, pool: Pool) -> None:
    today = await pool.fetchval("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDD')")
    await run(
        migrated,
        f"DROP TABLE pipemirror.events_{today}",
        "INSERT INTO pipemirror.events_default (company_id, key, entity, action, received_at, source, payload) "
        "SELECT 1, n::text, 'deal', 'change', now(), 'webhook', '' FROM generate_series(1, 10001) AS n",
    )
    found = await look(migrated)
    assert (found["journal partitions"].verdict, today in found["journal partitions"].found) == ("warn", True)
    assert found["journal default partition"].verdict == "warn"


async def test_what_was_interrupted_is_told(migrated: str) -> None:
    await run(
        migrated,
        "INSERT INTO pipemirror.replays (id, wanted, until, total) VALUES ('x', '{\"company_id\": 7}', now(), 5)",
        "INSERT INTO pipemirror.purges (company_id, token) VALUES (8, 'x')",
        "INSERT INTO pipemirror.held (digest, company_id, received_at, payload) VALUES ('x', 9, now(), '')",
    )
    found = (await look(migrated))["unfinished work"]
    assert found.verdict == "warn"
    assert "company 8" in found.found
    assert "company 9: 1" in found.found


async def test_nothing_that_answers_is_told_without_the_password() -> None:
    found = await look("postgresql://somebody:hunter2@127.0.0.1:1/none")
    assert found["Postgres"].verdict == "fail"
    assert "hunter2" not in str(found)


LENIENT = (
    "ignore_startup_parameters = lock_timeout,jit,tcp_keepalives_idle,tcp_keepalives_interval,tcp_keepalives_count,"
    "tcp_user_timeout"
)

if PROGRAM is not None:  # used where it is found; tests/unit/test_doctor.py has a fake that behaves as it does

    @pytest.mark.parametrize("more", ["", LENIENT])
    async def test_pgbouncer_in_transaction_mode_is_recognised(migrated: str, more: str) -> None:
        async with pgbouncer(migrated, more) as through:
            found = await look(through)
        assert found["connection pooler"].verdict == "fail"
        assert "transaction mode" in found["connection pooler"].found
        assert more or found["connection of a worker"].verdict == "fail"
