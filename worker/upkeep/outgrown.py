"""What an earlier release kept in `_extra`, for it had no column for it, moves into the column that there is now.

Otherwise a column that came with an upgrade would stay null until the record's next event; and in a rolling upgrade the
workers of the earlier release go on filling `_extra` as long as they live.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from time import monotonic
from typing import Any, Final

from schema import dml
from schema.entities import ENTITIES
from schema.entity import Entity
from schema.row import load
from store import companies
from store.companies import ACTIVE, Company
from store.database import Connection
from worker.applying import mirror

PAGE: Final = 5_000
"""Rows looked at by one statement."""

CHUNK: Final = 500
"""Rows mended in one transaction."""

RESTS: Final = 4.0
"""How many times as long as it worked it rests: whoever applies events needs the database, and nobody waits for us."""


async def outgrow(connection: Connection, company: Company) -> int | None:
    """How many rows were mended; None if it was paused meanwhile.

    Whole tables are read, page by page and without any lock; only what is to be mended is locked, and the company's
    state with it. So who wants to change that one never waits for the reading.
    """
    mended = 0
    for entity in ENTITIES:
        async for ids in _outgrown(connection, company, entity):
            for start in range(0, len(ids), CHUNK):
                async with connection.transaction():
                    if await companies.lock_shared(connection, company) != ACTIVE:
                        return None
                    mended += await _mend(connection, company, entity, ids[start : start + CHUNK])
    return mended


async def _outgrown(connection: Connection, company: Company, entity: Entity) -> AsyncIterator[list[Any]]:
    """The ids of the rows to be mended, of one page of the table after the other."""
    names = [column.name for column in entity.columns]
    last: list[Any] = []
    while True:
        began = monotonic()
        page = await connection.fetch(dml.read_outgrown(company.slug, entity, further=bool(last)), names, PAGE, *last)
        yield [entity.id_of(row) for row in page if row["outgrown"]]
        if len(page) < PAGE:
            return
        last = [page[-1][name] for name in entity.key_names]
        await asyncio.sleep(RESTS * (monotonic() - began))


async def _mend(connection: Connection, company: Company, entity: Entity, ids: Sequence[Any]) -> int:
    """How many of them still had to be mended."""
    names = {column.name for column in entity.columns}
    rows = await connection.fetch(dml.lock_rows(company.slug, entity), *dml.ids(entity, ids))
    moved = {entity.id_of(row): load(entity, dict(row)) for row in rows if not names.isdisjoint(row["_extra"] or ())}
    await mirror.upsert(connection, company, entity, moved)
    return len(moved)
