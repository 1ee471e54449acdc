"""Rows that could not be read are asked for again: somebody may have mended them, or a newer release may read them."""

from collections.abc import Sequence

from schema.entities import BY_NAME
from schema.entity import Entity
from store import refused, upkeep
from worker.healing.asking import refusal
from worker.healing.hydrate import AT_ONCE, hydrate
from worker.healing.walking import Reader


async def ask_again(reader: Reader) -> None:
    """For all of them that can be asked for by their ids; the others come when their lists are read whole.

    Raise what concerns the whole account: AccountRefused, NotNow of Pipedrive.
    """
    known = await reader.persist(lambda connection: refused.ids(connection, reader.company.id))
    for name, ids in known.items():
        entity = BY_NAME.get(name)
        if entity is not None and any(listing.ids for listing in entity.listings):
            for start in range(0, len(ids), AT_ONCE):
                await _ask(reader, entity, ids[start : start + AT_ONCE])


async def _ask(reader: Reader, entity: Entity, ids: Sequence[str]) -> None:
    began = await reader.persist(upkeep.now)
    if await refusal(reader.client, hydrate(reader, entity, ids), need=reader.need) is None:
        await reader.persist(lambda connection: refused.settle(connection, reader.company.id, entity, began, ids=ids))
