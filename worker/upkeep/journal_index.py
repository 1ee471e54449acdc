"""Building a new index of the journal ahead of its migration: partition by partition, while events go on coming.

To make the index of a partitioned table locks out its writers until all is built. Where each partition has one like it
already, these are put together, which is done at once.
"""

from typing import Final

from store.database import Connection

_NAME: Final = "of_several"
_DEFINITION: Final = "(company_id, entity, version) WHERE other_ids IS NOT NULL"
"""As in 0003_others.sql."""


async def build_ahead(connection: Connection) -> int:
    """How many partitions got it now. Outside of any transaction; it waits for those that are open, and nobody for it.

    What a killed one left half-built is built anew.
    """
    built = 0
    for partition in await _partitions_without(connection):
        index = f"{partition}_{_NAME}"
        complete = await connection.fetchval(
            "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass($1)", f"pipemirror.{index}"
        )
        if complete is False:
            await connection.execute(f"DROP INDEX CONCURRENTLY pipemirror.{index}")
        if not complete:
            await connection.execute(f"CREATE INDEX CONCURRENTLY {index} ON pipemirror.{partition} {_DEFINITION}")
            built += 1
    return built


async def _partitions_without(connection: Connection) -> list[str]:
    """None if there is no journal yet, or the index is put together already: then new partitions are made with it."""
    journal, index = await connection.fetchrow(
        "SELECT to_regclass('pipemirror.events'), to_regclass($1)", f"pipemirror.events_{_NAME}"
    ) or (None, None)
    if journal is None or index is not None:
        return []
    rows = await connection.fetch(
        "SELECT relname FROM pg_partition_tree('pipemirror.events') JOIN pg_class ON oid = relid "
        "WHERE isleaf ORDER BY relname"
    )
    return [row["relname"] for row in rows]
