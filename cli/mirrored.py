"""What the tables hold, in the shape in which `sandbox.compare` takes it."""

from typing import Any

from schema.ddl import quoted, raw_schema
from schema.entities import ENTITIES
from store.companies import find
from store.database import Connection

Mirrored = dict[str, dict[Any, Any]]
"""entity -> id -> row as plain JSON values."""


async def read(connection: Connection, company_id: int) -> Mirrored:
    """Every row of a company, tombstones included; nothing of a company that is not known yet."""
    company = await find(connection, company_id)
    if company is None:
        return {}
    schema = quoted(raw_schema(company.slug))
    found: Mirrored = {}
    for entity in ENTITIES:
        key = ", ".join(map(quoted, entity.key_names))
        table = f"{schema}.{quoted(entity.plural)}"
        rows = await connection.fetch(f"SELECT {key}, to_jsonb(mirrored) AS as_json FROM {table} AS mirrored")
        found[entity.name] = {entity.id_of(row): row["as_json"] for row in rows}
    return found
