"""Asking REST for records that events have changed: it carries columns that events do not."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from pipedrive import paging
from pipedrive.errors import Gone
from pipedrive.position import BEGINNING
from pipedrive.request import Request
from schema.entity import Entity
from schema.errors import CompanyInactive
from schema.listing import Listing
from schema.rest import Answer, Row
from store.database import Connection
from worker.applying.loading import Loaded, load
from worker.healing.definitions import lack_options
from worker.healing.walking import Reader

AT_ONCE: Final = 100
"""As many ids as a list takes."""


@dataclass(slots=True)
class Hydrated:
    """shown  how many of the records there are
    strange  whether one of them holds an option that is not defined, as far as we know
    """

    shown: int = 0
    strange: bool = False


async def hydrate(reader: Reader, entity: Entity, ids: Sequence[Any]) -> Hydrated:
    """Read these records, at most `AT_ONCE`.

    Few are asked for one by one, where that is cheaper; more by the lists that take ids. What the first list does not
    show is asked of the next one, as records that are archived have a list of their own. What none shows is gone or
    hidden: a reconcile finds that out.
    """
    listings = [listing for listing in entity.listings if listing.ids]
    found = Hydrated()
    if entity.get is not None and len(ids) * entity.get.cost < listings[0].cost:
        for one in ids:
            await _ask_one(reader, entity, one, found)
        return found
    left = {str(one) for one in ids}
    for listing in listings:
        if left:
            left -= await _ask_list(reader, entity, listing, sorted(left), found)
    return found


async def _ask_one(reader: Reader, entity: Entity, record_id: Any, found: Hydrated) -> None:
    assert entity.get is not None
    params = next(listing.params for listing in entity.listings if listing.ids)
    more = {name: params[name] for name in ("include_fields",) if name in params}
    asked = Request("GET", entity.get.path.replace("{id}", str(record_id)), more, entity.get.cost)
    with suppress(Gone):
        reply = await reader.client.get(asked, need=reader.need)
        row = reply.content.get("data")
        await _write(reader, _answer(reader, entity, reply.began), [row] if isinstance(row, dict) else [], found)


async def _ask_list(reader: Reader, entity: Entity, listing: Listing, ids: Sequence[str], found: Hydrated) -> set[str]:
    """The ids that it shows."""
    position: str | None = BEGINNING
    shown: set[str] = set()
    while position is not None:
        asked = paging.request(listing, position, {"ids": ",".join(ids)})
        reply = await reader.client.get(asked, need=reader.need)
        page = paging.page(listing, position, reply.content)
        shown |= await _write(reader, _answer(reader, entity, reply.began, listing), page.rows, found)
        position = page.next
    return shown


async def _write(reader: Reader, answer: Answer, rows: Sequence[Row], found: Hydrated) -> set[str]:
    async def work(connection: Connection) -> tuple[Loaded, bool]:
        async with connection.transaction():
            loaded = await load(connection, reader.company, answer, rows)
            if loaded is None:
                raise CompanyInactive(f"company {reader.company.id} is paused or was purged")
            return loaded, await lack_options(connection, reader.company, answer.entity, rows)

    loaded, strange = await reader.persist(work)
    shown = {str(one) for one in loaded.ids}
    found.shown += len(shown)
    found.strange |= strange
    return shown


def _answer(reader: Reader, entity: Entity, began: int, listing: Listing | None = None) -> Answer:
    types = reader.company.types_of(entity.custom_fields or "")
    return Answer(entity, began, "hydrate", types, listing)
