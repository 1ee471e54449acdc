"""Removing a company whole: marked first, so that nothing is written any more; then deleted, step by step.

Every step is a short transaction that also enters what it deleted into the receipt, and finds nothing to do when it
comes again: killed at any place, a purge simply begins anew. The company's row stays, purged, so that neither a late
webhook makes the company again nor its slug is given to another.
"""

import secrets
from collections.abc import AsyncIterator

import asyncpg

from schema.ddl import quoted, raw_schema
from schema.errors import DatabaseUnavailable
from store import companies, purges
from store.companies import Company
from store.database import Connection, Pool
from worker.applying import provision

CHUNK = 5_000
"""Rows of the journal per transaction."""

_COUNT_WITHIN = 600.0

_OPS_TABLES = (
    "tokens", "webhooks", "subscriptions", "gaps", "walks", "watermarks", "seen", "doubted", "reconciled", "jobs",
    "refused_rows", "dead_letters", "held", "fields", "suspects",
)  # fmt: skip

_TABLES = """
SELECT relname::text AS name FROM pg_class
WHERE relnamespace = to_regnamespace($1) AND relkind IN ('r', 'p') AND NOT relispartition ORDER BY relname
"""

_PARTITIONS = "SELECT relid::regclass::text AS name FROM pg_partition_tree('pipemirror.events') WHERE isleaf"


async def mark(pool: Pool, company_id: int) -> Company | None:
    """From here on nothing of the company is applied; None if there is no such company.

    Whatever a worker is just committing is waited for.
    """
    async with pool.acquire() as connection, connection.transaction():
        if await companies.lock(connection, company_id) is None:
            return None
        await companies.purged(connection, company_id)
        await purges.begin(connection, company_id, secrets.token_hex(16))
        return await companies.find(connection, company_id)


async def to_delete(pool: Pool, company: Company) -> int:
    """About how many steps of progress there are: rows of the journal and of the ops tables, and one per table."""
    async with pool.acquire() as connection:
        rows = len(await connection.fetch(_TABLES, quoted(raw_schema(company.slug))))
        for table in ("events", *_OPS_TABLES):
            rows += await connection.fetchval(
                f"SELECT count(*) FROM pipemirror.{table} WHERE company_id = $1", company.id, timeout=_COUNT_WITHIN
            )
        return rows


async def delete(pool: Pool, company: Company) -> AsyncIterator[int]:
    """Delete everything of a marked company; yields the progress of each transaction, after which one may stop.

    Raise DatabaseUnavailable where somebody holds a table; NotNow's of the connection.
    """
    async for done in _drop_tables(pool, company):
        yield done
    for name in await _names(pool, _PARTITIONS):
        while rows := await _delete_events(pool, company, name):
            yield rows
    for table in _OPS_TABLES:
        yield await _delete_ops(pool, company, table)
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(
            "DELETE FROM pipemirror.replays WHERE (wanted ->> 'company_id')::bigint = $1", company.id
        )
        await connection.execute("DELETE FROM pipemirror.upkeep WHERE company_id = $1", company.id)
        await connection.execute("DELETE FROM pipemirror.allowances WHERE company_id = $1", company.id)
        # A partition made meanwhile took rows from the default one: they are found by the next run.
        if not await _left(connection, company):
            await purges.all_deleted(connection, company.id)


async def _names(pool: Pool, query: str, *arguments: str) -> list[str]:
    async with pool.acquire() as connection:
        return [row["name"] for row in await connection.fetch(query, *arguments)]


async def _drop_tables(pool: Pool, company: Company) -> AsyncIterator[int]:
    raw = quoted(raw_schema(company.slug))
    for name in await _names(pool, _TABLES, raw):
        async with pool.acquire() as connection:
            await _drop(connection, company, f"{raw}.{quoted(name)}", name)
        yield 1
    async with pool.acquire() as connection, connection.transaction():
        await provision.lock_ddl(connection, company.id)
        for schema in (raw, quoted(company.slug)):
            await connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")


async def _drop(connection: Connection, company: Company, table: str, name: str) -> None:
    """What depends on it, such as views that somebody made, goes with it.

    Counted before, as no worker writes to a purged company: no lock is held for so long. Nor in the same transaction,
    for two that purge at once would then keep the table from each other.
    """
    try:
        rows = await connection.fetchval(f"SELECT count(*) FROM {table}", timeout=_COUNT_WITHIN)
        async with connection.transaction():
            await provision.lock_ddl(connection, company.id)
            await connection.execute(f"DROP TABLE {table} CASCADE")
            await purges.add_deleted(connection, company.id, name, rows)
    except asyncpg.UndefinedTableError:
        return  # another purge was first, and entered it
    except asyncpg.LockNotAvailableError as error:
        raise DatabaseUnavailable(f"somebody uses {table}: end that query, then purge again") from error


async def _delete_events(pool: Pool, company: Company, partition: str) -> int:
    try:
        async with pool.acquire() as connection, connection.transaction():
            result = await connection.execute(
                f"DELETE FROM {partition} WHERE ctid = ANY(ARRAY("
                f"SELECT ctid FROM {partition} WHERE company_id = $1 LIMIT {CHUNK}))",
                company.id,
            )
            return await _noted(connection, company, "events", result)
    except asyncpg.UndefinedTableError:
        return 0  # its days were over, and with it went what it held


async def _delete_ops(pool: Pool, company: Company, table: str) -> int:
    async with pool.acquire() as connection, connection.transaction():
        result = await connection.execute(f"DELETE FROM pipemirror.{table} WHERE company_id = $1", company.id)
        return await _noted(connection, company, table, result)


async def _noted(connection: Connection, company: Company, what: str, result: str) -> int:
    rows = int(result.rpartition(" ")[2])
    await purges.add_deleted(connection, company.id, what, rows)
    return rows


async def _left(connection: Connection, company: Company) -> bool:
    found: bool = await connection.fetchval(
        "SELECT EXISTS (SELECT FROM pipemirror.events WHERE company_id = $1) "
        "OR to_regnamespace($2) IS NOT NULL OR to_regnamespace($3) IS NOT NULL",
        company.id, quoted(company.slug), quoted(raw_schema(company.slug)),
    )  # fmt: skip
    return found
