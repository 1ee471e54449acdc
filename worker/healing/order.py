"""In which order entities are read: several side by side, each once what it needs was read."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final, TypeVar

from schema.entities import ENTITIES
from schema.entity import Entity
from schema.listing import Listing

T = TypeVar("T")

AT_ONCE: Final = 4
"""A list is read page by page; with more of them at once each would only wait for the database."""


Wanted = Sequence[tuple[Entity, Sequence[Listing]]]
"""Entities, each with the lists by which it is read."""


def lists(entities: Iterable[Entity], opted_in: frozenset[str] = frozenset()) -> Wanted:
    """Of these entities all lists but the dear ones that nobody asked for."""
    found = (
        (entity, [listing for listing in entity.listings if not listing.opt_in or entity.name in opted_in])
        for entity in entities
    )
    return [(entity, listings) for entity, listings in found if listings]


async def side_by_side(wanted: Wanted, work: Callable[[Entity, Sequence[Listing]], Awaitable[T]]) -> list[T]:
    """Do `work` with each; what came of it, in the order of `wanted`. What it raises ends all, and is raised."""
    turn = asyncio.Semaphore(AT_ONCE)
    ended = {entity.name: asyncio.Event() for entity, _ in wanted}

    async def one(entity: Entity, listings: Sequence[Listing]) -> T:
        for name in _needed(entity, listings) & ended.keys():
            await ended[name].wait()
        async with turn:
            found = await work(entity, listings)
        ended[entity.name].set()
        return found

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(entity, listings)) for entity, listings in wanted]
    except BaseExceptionGroup as problems:
        raise _first(problems) from None
    return [task.result() for task in tasks]


def _needed(entity: Entity, listings: Sequence[Listing]) -> set[str]:
    """Whose children these are, and the definitions of its custom fields."""
    parents = {listing.parent.entity for listing in listings if listing.parent is not None}
    defining = {
        other.name for other in ENTITIES if other.definitions is not None and other.definitions == entity.custom_fields
    }
    return (parents | defining) - {entity.name}


def _first(problems: BaseExceptionGroup[BaseException]) -> BaseException:
    """One reason is enough: each list would tell the same."""
    first = problems.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
