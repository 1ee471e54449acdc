"""Reading the whole account: every list of every entity."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from schema.entities import ENTITIES
from schema.entity import Entity
from schema.listing import Listing
from store import upkeep, walks
from store.database import Connection
from store.walks import BACKFILL, DONE, FAILED, RUNNING, Walk
from worker.healing.order import Wanted, side_by_side
from worker.healing.walking import Reader, walk_through

_EVER: Final = datetime(1, 1, 1, tzinfo=UTC)

REFUSED_FOR: Final = timedelta(days=1)
"""After which a list is asked for again that was refused: somebody may have given the right to it, or mended it."""


async def backfill(reader: Reader, wanted: Wanted, *, anew: bool = False) -> list[Walk]:
    """Read these lists to their ends, each from where it stands; how each stands then.

    anew  also those that were read to their end before; not again by a backfill that was interrupted and goes on

    All of them are begun before the first is read, so that whoever goes on after us knows of each that it is wanted.

    Raise what concerns all of them: AccountRefused, NotNow of Pipedrive. What is done stays done.
    """

    async def read(entity: Entity, listings: Sequence[Listing]) -> list[Walk]:
        return [await _walk(reader, entity, listing) for listing in listings]

    await reader.persist(lambda connection: _begin(connection, reader.company.id, wanted, anew=anew))
    return [walk for walks_of in await side_by_side(wanted, read) for walk in walks_of]


async def left(connection: Connection, company_id: int, opted_in: frozenset[str] = frozenset()) -> Wanted:
    """Lists that somebody wanted read and that were not: interrupted, or refused a while ago, or opted in since."""
    known = {(walk.entity, walk.list): walk for walk in await _known(connection, company_id)}
    now = await upkeep.now(connection)

    def is_left(entity: Entity, listing: Listing) -> bool:
        walk = known.get((entity.name, listing.label))
        if walk is None:
            return bool(known) and listing.opt_in and entity.name in opted_in
        return walk.state == RUNNING or (walk.state == FAILED and _is_past(walk, now))

    by_entity = ((one, [listing for listing in one.listings if is_left(one, listing)]) for one in ENTITIES)
    return [(entity, listings) for entity, listings in by_entity if listings]


async def unread(connection: Connection, company_id: int, wanted: Wanted, *, anew: bool = False) -> Wanted:
    """Those of these lists that `backfill` would read, from where each stands."""
    known = {(walk.entity, walk.list): walk for walk in await _known(connection, company_id)}
    found = [known.get((entity.name, listing.label)) for entity, listings in wanted for listing in listings]
    # All lists of a backfill begin at once. What was read since the one began that goes on belongs to it.
    goes_on = [walk.started_at for walk in found if walk is not None and walk.state == RUNNING and walk.started_at]
    since = min(goes_on, default=None) if anew else _EVER

    def is_read(entity: Entity, listing: Listing) -> bool:
        walk = known.get((entity.name, listing.label))
        if walk is None or walk.state != DONE or walk.started_at is None:
            return False
        return since is not None and walk.started_at >= since

    left = [(entity, [one for one in listings if not is_read(entity, one)]) for entity, listings in wanted]
    return [(entity, listings) for entity, listings in left if listings]


async def _begin(connection: Connection, company_id: int, wanted: Wanted, *, anew: bool) -> None:
    async with connection.transaction():
        goes_on = {(one.entity, one.list) for one in await _known(connection, company_id) if one.state == RUNNING}
        for entity, listings in await unread(connection, company_id, wanted, anew=anew):
            for listing in listings:
                if (entity.name, listing.label) not in goes_on:
                    await walks.begin(connection, Walk(company_id, BACKFILL, entity.name, listing.label))


async def _known(connection: Connection, company_id: int) -> list[Walk]:
    return [walk for walk in await walks.of_company(connection, company_id) if walk.kind == BACKFILL]


def _is_past(walk: Walk, now: datetime) -> bool:
    return walk.finished_at is not None and now - walk.finished_at >= REFUSED_FOR


async def _walk(reader: Reader, entity: Entity, listing: Listing) -> Walk:
    walk = await reader.persist(
        lambda connection: walks.find(connection, reader.company.id, BACKFILL, entity.name, listing.label)
    )
    assert walk is not None, "all were begun"
    reader.on_page(walk)
    return walk if walk.state == DONE else await walk_through(reader, entity, listing, walk)
