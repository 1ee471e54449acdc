"""Custom field values that came before their type was known take their canonical shape once it is."""

from schema import dml
from schema.change import RecordId
from schema.custom_fields import canonical
from schema.entities import ENTITIES
from schema.entity import Entity
from schema.record import Record
from schema.row import load
from store import companies, fields
from store.companies import ACTIVE, Company
from store.database import Connection
from worker.applying import mirror

CHUNK = 500


async def normalise(connection: Connection, company: Company) -> int | None:
    """How many rows were mended; None if it was paused meanwhile. In short transactions: live events do not wait."""
    known = await fields.types(connection, company.id)
    mended = 0
    for entity in ENTITIES:
        types = known.get(entity.custom_fields or "")
        while types:
            async with connection.transaction():
                if await companies.lock_shared(connection, company) != ACTIVE:
                    return None
                chunk = await _normalise_chunk(connection, company, entity, types)
            mended += chunk
            if chunk < CHUNK:
                break
    return mended


async def _normalise_chunk(connection: Connection, company: Company, entity: Entity, types: dict[str, str]) -> int:
    rows = await connection.fetch(dml.lock_untyped(company.slug, entity), list(types), CHUNK)
    mended: dict[RecordId, Record] = {}
    for found in rows:
        record = load(entity, dict(found))
        for key in record.untyped & types.keys():
            record.cells[key] = canonical(types[key], record.cells[key])
        record.untyped -= types.keys()
        mended[entity.id_of(found)] = record
    await mirror.upsert(connection, company, entity, mended)
    return len(mended)
