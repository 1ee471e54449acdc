"""Which part of an account is compared on which day: in thirty days all of it, each day about as much."""

import zlib
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from schema.ddl import quoted, table
from schema.entity import Entity
from schema.listing import Listing
from store.database import Connection
from worker.healing.reconcile import WHOLE, Window

DAYS: Final = 30
"""On one of them all is read; the times of update of the rest are cut into as many windows as there are other days."""

WEEK: Final = 7


def is_due(entity: Entity, listings: Sequence[Listing], day: datetime) -> bool:
    """Whether its turn is today.

    Every day where a part can be asked for, or where nothing tells what changed: those lists are short. Once a week
    where there is a time since when, but none until when; and what costs a call for each parent, and is swept whole.
    """
    if entity.definitions is not None or entity.log:
        return False  # they have a job of their own; what was logged does not change
    is_dear = any(listing.opt_in for listing in listings)
    if _windowed(listings) or not (is_dear or any(listing.delta for listing in listings)):
        return True
    return (day.toordinal() + zlib.crc32(entity.name.encode())) % WEEK == 0


async def window_of(
    connection: Connection, slug: str, entity: Entity, listings: Sequence[Listing], day: datetime
) -> Window:
    """Between which times of update its records are compared."""
    part = day.toordinal() % DAYS
    if not part or not _windowed(listings):
        return WHOLE
    bounds = [(part - 1) / (DAYS - 1), part / (DAYS - 1)]
    since, until = await connection.fetchval(
        f"SELECT percentile_disc($1::float8[]) WITHIN GROUP (ORDER BY {quoted(entity.updated)}) "
        f"FROM {table(slug, entity)} WHERE {quoted(entity.updated)} IS NOT NULL",
        bounds,
    ) or (None, None)
    return (None if part == 1 else since, None if part == DAYS - 1 else until)


def _windowed(listings: Sequence[Listing]) -> bool:
    return all(listing.delta is not None and listing.delta.until is not None for listing in listings)
