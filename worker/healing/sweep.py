"""Reading what changed since the last time, and the lists that cannot tell that, whole, when they are due."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from schema.entity import Entity
from schema.listing import Listing
from store import upkeep, walks
from store.database import Connection
from store.walks import RUNNING, SWEEP, Walk
from worker.healing.order import Wanted, side_by_side
from worker.healing.walking import Reader, walk_through

OVERLAP: Final = timedelta(minutes=5)
"""How much of what is known is asked for again: an update may become visible later than its update_time says."""


async def sweep(reader: Reader, wanted: Wanted) -> list[Walk]:
    """Read of these lists what changed since their watermarks; how each walk stands then.

    A list that was never read to its end has no watermark: that is for a backfill, and it is passed over here.
    """

    async def read(entity: Entity, listings: Sequence[Listing]) -> list[Walk]:
        found = [await _walk(reader, entity, listing) for listing in listings]
        return [walk for walk in found if walk is not None]

    return [walk for walks_of in await side_by_side(wanted, read) for walk in walks_of]


async def _walk(reader: Reader, entity: Entity, listing: Listing) -> Walk | None:
    walk = await reader.persist(lambda connection: _stands(connection, reader.company.id, entity, listing))
    return None if walk is None else await walk_through(reader, entity, listing, walk)


async def _stands(connection: Connection, company_id: int, entity: Entity, listing: Listing) -> Walk | None:
    """The walk that was interrupted, or a new one; None where there is nothing to do."""
    found = await walks.find(connection, company_id, SWEEP, entity.name, listing.label)
    if found is not None and found.state == RUNNING:
        return found
    since: datetime | None = None
    if listing.delta is None:
        if not await _is_due(connection, company_id, entity, listing):
            return None
    else:
        watermark = await walks.watermark(connection, company_id, entity.name, listing.label)
        if watermark is None:
            return None
        since = watermark - OVERLAP
    walk = Walk(company_id, SWEEP, entity.name, listing.label, since=since)
    await walks.begin(connection, walk)
    return walk


async def _is_due(connection: Connection, company_id: int, entity: Entity, listing: Listing) -> bool:
    whole_at = await walks.whole_at(connection, company_id, entity.name, listing.label)
    return whole_at is not None and await upkeep.now(connection) - whole_at >= timedelta(seconds=entity.cadence)
