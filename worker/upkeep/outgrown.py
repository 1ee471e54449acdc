"""What an earlier release kept in `_extra`, for it had no column for it, moves into the column that there is now.

Otherwise a column that came with an upgrade would stay null until the record's next event; and in a rolling upgrade the
workers of the earlier release go on filling `_extra` as long as they live.
"""

from typing import Any

from schema import dml
from schema.entities import ENTITIES, Entity
from schema.record import load
from store import companies
from store.companies import ACTIVE, Company
from store.database import Connection
from worker.applying import mirror

CHUNK = 500


async def outgrow(connection: Connection, company: Company) -> int:
    """How many rows were mended, unless it is paused meanwhile.

    It reads whole tables, and locks only rows that it mends, at most a portion of them at once. Who wants to change the
    company's state waits for the reading of one portion, which is that of a whole table where nothing is to be mended.
    """
    mended = 0
    for entity in ENTITIES:
        last: Any = None
        while True:
            async with connection.transaction():
                if await companies.hold(connection, company) != ACTIVE:
                    return mended
                ids = await _outgrow_chunk(connection, company, entity, last)
            mended += len(ids)
            if len(ids) < CHUNK:
                break
            last = ids[-1]
    return mended


async def _outgrow_chunk(connection: Connection, company: Company, entity: Entity, last: Any) -> list[Any]:
    """The ids of the next rows after `last`, which were mended."""
    names = [column.name for column in entity.columns]
    rows = await connection.fetch(dml.lock_outgrown(company.slug, entity), names, last, CHUNK)
    mended = {found["id"]: load(entity, dict(found)) for found in rows}
    await mirror.upsert(connection, company, entity, mended)
    return list(mended)
