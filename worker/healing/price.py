"""What reading costs, in tokens, before it is done."""

from collections.abc import Mapping

from schema.entities import BY_NAME
from schema.entity import Entity
from schema.listing import Listing
from store import walks
from store.database import Connection
from worker.healing.order import Wanted

Parents = Mapping[tuple[str, str | None], int]
"""(entity, its column that counts children, if there is one) -> how many of them may have some."""


async def parents_of(connection: Connection, slug: str, wanted: Wanted) -> Parents:
    """Of all of these lists that are read parent by parent."""
    found: dict[tuple[str, str | None], int] = {}
    for parent in {listing.parent for _, listings in wanted for listing in listings if listing.parent is not None}:
        entity, counter = BY_NAME[parent.entity], parent.counter
        found[entity.name, counter] = await walks.number_of_parents(connection, slug, entity, counter=counter)
    return found


def least(wanted: Wanted, rows: Mapping[str, int], parents: Parents) -> int:
    """Tokens for all pages of these lists, if their tables have so many rows; where none is known, for one call."""
    return sum(_of_list(entity, listing, rows, parents) for entity, listings in wanted for listing in listings)


def _of_list(entity: Entity, listing: Listing, rows: Mapping[str, int], parents: Parents) -> int:
    pages = -(-rows.get(entity.plural, 0) // listing.limit)
    if listing.parent is None:
        return listing.cost * max(pages, 1)
    asked = parents.get((listing.parent.entity, listing.parent.counter), 0)
    return listing.cost * max(pages, -(-asked // listing.parent.batch))
