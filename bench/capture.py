"""The very rows that a worker writes, transaction by transaction: recorded by triggers, whatever way it writes them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from schema.ddl import HISTORY, raw_schema
from store.database import Connection, create_pool

JOURNAL: Final = "events"

_FUNCTION: Final = """
CREATE SCHEMA captured;
CREATE SEQUENCE captured.number;
CREATE FUNCTION captured.keep() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('INSERT INTO captured.%I SELECT pg_current_xact_id()::text::bigint, nextval($2), ($1).*', TG_ARGV[0])
    USING NEW, 'captured.number';
    RETURN NULL;
END $$
"""
_COLUMNS: Final = """
SELECT attname AS name, format_type(atttypid, atttypmod) AS type FROM pg_attribute
WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum
"""


@dataclass(frozen=True, slots=True)
class Table:
    """A table that is written: its qualified name, and column -> type."""

    name: str
    columns: dict[str, str]


@dataclass(slots=True)
class Transaction:
    """Rows by table, in the order of the table's columns. Of a row written twice, the last."""

    rows: dict[str, list[tuple[Any, ...]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Captured:
    """Tables by a short name; `JOURNAL` and `HISTORY` are among them. Transactions in the order they were made.

    contents  what `contents` said of the database when all was written
    """

    tables: dict[str, Table]
    transactions: list[Transaction] = field(default_factory=list)
    contents: dict[str, tuple[int, int]] = field(default_factory=dict)


@asynccontextmanager
async def capturing(dsn: str, slug: str) -> AsyncIterator[Captured]:
    """What is written to the company's tables and the journal during this context; filled at its end."""
    pool = await create_pool(dsn, size=1, application="bench")
    try:
        async with pool.acquire() as connection:
            tables = await _tables(connection, slug)
            await connection.execute(_FUNCTION)
            for short, table in tables.items():
                await _record(connection, short, table)
            captured = Captured(tables)
            yield captured
            captured.transactions.extend(await _recorded(connection, tables))
    finally:
        await pool.close()


async def contents(dsn: str, captured: Captured) -> dict[str, tuple[int, int]]:
    """Table -> number of rows and a checksum of them: equal for equal rows, in whatever order they lie.

    Not of the history: a worker that learns of something late tells a part of it again and deletes what it had told.
    """
    found = {}
    pool = await create_pool(dsn, size=1, application="bench", command_timeout=300)
    for short, table in captured.tables.items():
        if short != HISTORY:
            row = await pool.fetchrow(
                "SELECT count(*) AS rows, coalesce(sum(hashtextextended(t::text, 0)), 0)::text AS checksum "
                f"FROM {table.name} AS t"
            )
            assert row is not None
            found[short] = (row["rows"], int(row["checksum"]))
    await pool.close()
    return found


async def _tables(connection: Connection, slug: str) -> dict[str, Table]:
    schema = raw_schema(slug)
    names = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = $1 ORDER BY 1", schema)
    qualified = {row["tablename"]: f'"{schema}"."{row["tablename"]}"' for row in names}
    qualified[JOURNAL] = "pipemirror.events"
    tables = {}
    for short, name in qualified.items():
        columns = await connection.fetch(_COLUMNS, name)
        tables[short] = Table(name, {column["name"]: column["type"] for column in columns})
    return tables


async def _record(connection: Connection, short: str, table: Table) -> None:
    await connection.execute(
        f'CREATE TABLE captured."{short}" AS '
        f"SELECT 0::bigint AS captured_in, 0::bigint AS captured_as, w.* FROM {table.name} AS w WHERE false;"
        f"CREATE TRIGGER captured AFTER INSERT OR UPDATE ON {table.name} "
        f"FOR EACH ROW EXECUTE FUNCTION captured.keep('{short}')"
    )


async def _recorded(connection: Connection, tables: dict[str, Table]) -> list[Transaction]:
    found: dict[int, Transaction] = {}
    for short in tables:
        for row in await connection.fetch(f'SELECT * FROM captured."{short}" ORDER BY captured_as'):
            transaction, _, *values = row.values()
            found.setdefault(transaction, Transaction()).rows.setdefault(short, []).append(tuple(values))
    for transaction in found.values():
        for short, rows in transaction.rows.items():
            if "id" in tables[short].columns:
                transaction.rows[short] = _last_of_each(rows)
    # Ids of transactions rise, and the worker has one at a time.
    return [found[number] for number in sorted(found)]


def _last_of_each(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """`id` is the first column; ids ascending, so that nobody is slowed down by their order."""
    last = {row[0]: row for row in rows}
    return [last[key] for key in sorted(last)]
