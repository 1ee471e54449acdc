"""Building a new index of the journal ahead of its migration: partition by partition, while events go on coming.

To make the index of a partitioned table locks out its writers until all is built. Where each partition has one like it
already, these are put together, which is done at once.
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import structlog

from store.database import Connection
from worker.upkeep.long_statements import OnWait, execute

_log = structlog.stdlib.get_logger(__name__)
_NAME: Final = "of_several"
_DEFINITION: Final = "(company_id, entity, version) WHERE other_ids IS NOT NULL"
"""As in 0003_others.sql."""

_LONGEST: Final = 63 - len(f"_{_NAME}")
"""Bytes of a name that leave room for that of its index: Postgres would cut it off, and then it is that of another."""

_PARTITIONS: Final = f"""
SELECT quote_ident(nspname) AS schema, quote_ident(relname) AS table,
       quote_ident(CASE WHEN octet_length(relname) <= {_LONGEST} THEN relname::text ELSE 'events_' || relid::oid END
                   || '_{_NAME}') AS index
FROM pg_partition_tree('pipemirror.events') JOIN pg_class ON pg_class.oid = relid
JOIN pg_namespace ON pg_namespace.oid = relnamespace
WHERE isleaf ORDER BY nspname, relname
"""


@dataclass(frozen=True, slots=True)
class _Partition:
    """One that may be somebody's own, in another schema and of any name. All three are quoted where they must be."""

    schema: str
    table: str
    index: str


async def build_ahead(
    connection: Connection, connect: Callable[[], Awaitable[Connection]], *, on_wait: OnWait = lambda _: None
) -> int:
    """How many partitions got it now. Outside of any transaction; it waits for those that are open, and nobody for it.

    For whom it waits is seen on a second connection, and told. What a killed one left half-built is built anew.
    """
    partitions = await _partitions_without(connection)
    if not partitions:
        return 0
    looking = await connect()
    try:
        return sum([await _build(connection, looking, partition, on_wait) for partition in partitions])
    finally:
        await looking.close()


async def _build(connection: Connection, looking: Connection, partition: _Partition, on_wait: OnWait) -> bool:
    """Whether it was not there yet."""
    index, began = partition.index, time.monotonic()
    complete = await connection.fetchval(
        "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass($1)", f"{partition.schema}.{index}"
    )
    if complete:
        return False
    if complete is False:
        _log.info("half_built_index_dropped", index=index)
        drop = f"DROP INDEX CONCURRENTLY IF EXISTS {partition.schema}.{index}"
        await execute(connection, looking, drop, f"the removal of half-built index {index}", on_wait)
    _log.info("index_begun", index=index)
    create = f"CREATE INDEX CONCURRENTLY {index} ON {partition.schema}.{partition.table} {_DEFINITION}"
    await execute(connection, looking, create, f"the building of index {index}", on_wait)
    _log.info("index_built", index=index, seconds=round(time.monotonic() - began, 1))
    return True


async def _partitions_without(connection: Connection) -> list[_Partition]:
    """None if there is no journal yet, or the index is put together already: then new partitions are made with it."""
    journal, index = await connection.fetchrow(
        "SELECT to_regclass('pipemirror.events'), to_regclass($1)", f"pipemirror.events_{_NAME}"
    ) or (None, None)
    if journal is None or index is not None:
        return []
    rows = await connection.fetch(_PARTITIONS)
    return [_Partition(**row) for row in rows]
