"""What loading an account is compared with: its four large lists page by page into Postgres, and nothing else.

    python -m bench.bare_load http://... postgresql://...

Read a page, take the columns of its rows, COPY them: the lists side by side, a page ahead, a transaction for each page.
Numbers, texts and truth values are stored as they are, whatever else as jsonb. No types of times or custom fields, no
versions, no record of where it stands, no limits, no second attempt. What it took is printed as JSON.
"""

import asyncio
import sys
import time
from collections.abc import Mapping
from typing import Any, Final

import aiohttp
import asyncpg
import orjson

from sandbox.rest.server import TOKEN
from store.database import Connection, create_pool

LISTS: Final = ("/api/v2/deals", "/api/v2/persons", "/api/v2/organizations", "/api/v2/activities")
_LIMIT: Final = "500"
_NAMES: Final = {bool: "boolean", int: "float8", float: "float8", str: "text"}


async def load(url: str, dsn: str) -> Mapping[str, float]:
    """How many rows in how many seconds."""
    pool = await create_pool(dsn, size=len(LISTS), application="bench bare")
    try:
        async with aiohttp.ClientSession(url, headers={"x-api-token": TOKEN}) as session:
            began = time.perf_counter()
            rows = await asyncio.gather(*(_list(session, pool, path) for path in LISTS))
            return {"rows": sum(rows), "seconds": time.perf_counter() - began}
    finally:
        await pool.close()


async def _list(session: aiohttp.ClientSession, pool: "asyncpg.Pool[asyncpg.Record]", path: str) -> int:
    table, total = path.rpartition("/")[2], 0
    columns: dict[str, str] = {}
    ahead: asyncio.Task[dict[str, Any]] | None = asyncio.create_task(_page(session, path, None))
    async with pool.acquire() as connection:
        while ahead is not None:
            page = await ahead
            rows, cursor = page["data"], page["additional_data"]["next_cursor"]
            ahead = None if cursor is None else asyncio.create_task(_page(session, path, cursor))
            if not columns:
                columns = _columns(rows)
                await _create(connection, table, columns)
            records = [tuple(row[name] for name in columns) for row in rows]
            await connection.copy_records_to_table(table, columns=list(columns), records=records)
            total += len(rows)
    return total


async def _page(session: aiohttp.ClientSession, path: str, cursor: str | None) -> dict[str, Any]:
    params = {"limit": _LIMIT} if cursor is None else {"limit": _LIMIT, "cursor": cursor}
    async with session.get(path, params=params) as response:
        response.raise_for_status()
        found: dict[str, Any] = orjson.loads(await response.read())
        return found


def _columns(rows: list[dict[str, Any]]) -> dict[str, str]:
    """Of each key the type that its values have on the first page."""
    found: dict[str, str] = {}
    for name in rows[0]:
        kinds = {type(row[name]) for row in rows} - {type(None)}
        found[name] = _NAMES.get(kinds.pop(), "jsonb") if kinds else "text"
    return found | {"id": "bigint"}


async def _create(connection: Connection, table: str, columns: Mapping[str, str]) -> None:
    body = ", ".join(f'"{name}" {kind}' for name, kind in columns.items())
    await connection.execute(f'CREATE TABLE "{table}" ({body}, PRIMARY KEY (id))')


if __name__ == "__main__":
    sys.stdout.write(orjson.dumps(asyncio.run(load(*sys.argv[1:]))).decode())
