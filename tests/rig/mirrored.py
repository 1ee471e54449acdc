"""A company's mirrored tables, written without a worker: by transactions of `worker.applying.mirror` alone."""

from collections.abc import Sequence
from typing import Any

from rig.events import COMPANY

from schema.columns import to_json
from schema.errors import Conflict
from schema.event import Event
from schema.history import retell
from store.companies import Company
from store.database import Pool, not_now
from worker.applying import mirror
from worker.applying.mirror import Applied
from worker.applying.provision import provision


async def company_of(pool: Pool, company_id: int = COMPANY) -> Company:
    async with pool.acquire() as connection:
        return await provision(connection, company_id, numbered_slugs=False)


async def apply(pool: Pool, company: Company, *events: Event) -> Applied:
    """As a worker does: again, when another one was first."""
    while True:
        try:
            async with pool.acquire() as connection, connection.transaction():
                return await mirror.apply(connection, company, events)
        except Exception as error:
            if not isinstance(not_now(error), Conflict):
                raise


async def row_of(pool: Pool, company: Company, record_id: int = 1) -> dict[str, Any]:
    async with pool.acquire() as connection:
        found = await connection.fetchrow(f'SELECT * FROM "{company.slug}_raw".deals WHERE id = $1', record_id)
    assert found is not None
    return dict(found)


async def history_of(pool: Pool, company: Company, record_id: int = 1) -> list[tuple[Any, ...]]:
    async with pool.acquire() as connection:
        rows = await connection.fetch(
            f'SELECT version, field, old_value, new_value FROM "{company.slug}_raw".field_changes '
            "WHERE entity = 'deal' AND entity_id = $1 ORDER BY version, field",
            str(record_id),
        )
    return [tuple(row) for row in rows]


def told(events: Sequence[Event], record_id: int = 1) -> list[tuple[Any, ...]]:
    """The history as the pure function tells it at once."""
    changes = [change for found in events for change in found.changes if change.id == record_id]
    return sorted(
        (change.version, change.field, to_json(change.old), to_json(change.new)) for change in retell(changes, {})
    )
