"""What the worker is compared with: writing the same rows with asyncpg and nothing else.

Three ways, of which the fastest counts. Each writes, per transaction of the worker, the same journal rows (unless they
are there), the same table rows (upsert under the same guard) and the same history. Rows are at hand as Python values:
nothing is read, parsed, ordered, folded or compressed.
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import orjson
import psutil

from bench.capture import JOURNAL, Captured, Table, Transaction
from bench.processes import cpu_seconds, family_seconds
from schema.ddl import HISTORY
from store.database import Connection, create_pool

Write = Callable[[Connection, str, Table, list[tuple[Any, ...]]], Awaitable[None]]

COPY, MANY, JSON = "COPY and INSERT ... SELECT", "executemany", "jsonb_to_recordset"


@dataclass(frozen=True, slots=True)
class Written:
    """`rate` in events/s, from the first commit to the last; the first transaction warms up and is not counted.

    CPU in microseconds per event, of this process and of Postgres.
    """

    rate: float
    client_us: float
    postgres_us: float
    total_us: float


async def write(dsn: str, captured: Captured, way: str, postgres: psutil.Process) -> Written:
    pool = await create_pool(dsn, size=1, application="bench bare", lasting=True)
    commits: list[float] = []
    used: list[tuple[float, float]] = []
    try:
        async with pool.acquire() as connection:
            await _stage(connection, captured, way)
            for transaction in captured.transactions:
                async with connection.transaction():
                    await _write(connection, captured, transaction, _WAYS[way])
                commits.append(time.perf_counter())
                if transaction is captured.transactions[0] or transaction is captured.transactions[-1]:
                    used.append((cpu_seconds(psutil.Process()), family_seconds(postgres)))
    finally:
        await pool.close()
    counted = captured.transactions[1:]
    events = sum(len(transaction.rows.get(JOURNAL, ())) for transaction in counted)
    client, server = (1e6 * (last - first) / events for first, last in zip(used[0], used[-1], strict=True))
    return Written(events / (commits[-1] - commits[0]), client, server, client + server)


async def _write(connection: Connection, captured: Captured, transaction: Transaction, way: Write) -> None:
    for short, rows in transaction.rows.items():
        table = captured.tables[short]
        if short == HISTORY:  # only ever added to: COPY is the fastest of all
            await _copy(connection, table, rows)
        else:
            await way(connection, short, table, rows)


async def _copy(connection: Connection, table: Table, rows: list[tuple[Any, ...]]) -> None:
    schema, name = table.name.replace('"', "").split(".")
    await connection.copy_records_to_table(name, schema_name=schema, columns=list(table.columns), records=rows)


async def _stage(connection: Connection, captured: Captured, way: str) -> None:
    if way == COPY:
        for short in {short for transaction in captured.transactions for short in transaction.rows}:
            await connection.execute(
                f'CREATE TEMP TABLE "stage_{short}" (LIKE {captured.tables[short].name}) ON COMMIT DELETE ROWS'
            )


async def _by_copy(connection: Connection, short: str, table: Table, rows: list[tuple[Any, ...]]) -> None:
    await connection.copy_records_to_table(f"stage_{short}", columns=list(table.columns), records=rows)
    await connection.execute(f'{_into(table)} SELECT {_names(table)} FROM "stage_{short}" {_else(short, table)}')


async def _by_executemany(connection: Connection, short: str, table: Table, rows: list[tuple[Any, ...]]) -> None:
    values = ", ".join(f"${number}" for number in range(1, len(table.columns) + 1))
    await connection.executemany(f"{_into(table)} VALUES ({values}) {_else(short, table)}", rows)


async def _by_json(connection: Connection, short: str, table: Table, rows: list[tuple[Any, ...]]) -> None:
    columns = ", ".join(f'"{name}" {kind}' for name, kind in table.columns.items())
    document = orjson.dumps([dict(zip(table.columns, row, strict=True)) for row in rows], default=_plain).decode()
    await connection.execute(
        f"{_into(table)} SELECT {_names(table)} FROM jsonb_to_recordset($1::text::jsonb) AS given({columns}) "
        f"{_else(short, table)}",
        document,
    )


def _into(table: Table) -> str:
    return f"INSERT INTO {table.name} AS mirrored ({_names(table)})"


def _names(table: Table) -> str:
    return ", ".join(f'"{name}"' for name in table.columns)


def _else(short: str, table: Table) -> str:
    """What is done about a row that is there: the journal keeps it, a table updates it if it is the one before."""
    if short == JOURNAL or "id" not in table.columns:
        return "ON CONFLICT DO NOTHING"
    changed = ", ".join(f'"{name}" = excluded."{name}"' for name in table.columns if name != "id")
    guard = " WHERE mirrored._revision = excluded._revision - 1" if "_revision" in table.columns else ""
    return f"ON CONFLICT (id) DO UPDATE SET {changed}{guard}"


def _plain(value: Any) -> Any:
    return "\\x" + value.hex() if isinstance(value, bytes) else str(value)


_WAYS: Final[dict[str, Write]] = {COPY: _by_copy, MANY: _by_executemany, JSON: _by_json}
WAYS: Final = tuple(_WAYS)
