"""Whether somebody gave a column of ours another type: then it is the table that refuses values, not the values."""

from collections.abc import Iterable

from schema import ddl
from schema.entity import Entity
from store.database import Connection

_ALTERED = """
    SELECT name, format_type(atttypid, NULL) AS found, expected
    FROM unnest($2::text[], $3::text[]) AS ours (name, expected)
    JOIN pg_attribute ON attrelid = to_regclass($1) AND attname = name AND NOT attisdropped
    WHERE atttypid <> expected::regtype
"""


async def altered(connection: Connection, slug: str, entities: Iterable[Entity]) -> list[str]:
    """Such columns of a company's tables, in words."""
    found = []
    for entity in entities:
        types = {name: definition.partition(" ")[0] for name, definition in ddl.columns(entity).items()}
        rows = await connection.fetch(_ALTERED, ddl.table(slug, entity), list(types), list(types.values()))
        found += [f"{entity.plural}.{row['name']} is {row['found']} instead of {row['expected']}" for row in rows]
    return found
