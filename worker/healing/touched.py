"""Records that events have changed, and of which REST knows more than events tell.

Kept in memory: should the process die, the next sweep reads them as well.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from schema.entities import HEARD
from schema.entity import REST, V1, Entity
from schema.event import Event
from worker.applying.mirror import Applied

SETTLE: Final = 30.0
"""Seconds that a record is left alone after its first event: those that follow at once are asked for with it."""

MOST: Final = 10_000
"""Records of a company. Where more have changed, a sweep is cheaper."""


def _richer(entity: Entity) -> bool:
    """Whether REST carries more of it than events of version 2, and tells of a hundred records at once."""
    return bool(entity.group(REST) or entity.group(V1)) and any(listing.ids for listing in entity.listings)


RICHER: Final = {name: entity for name, entity in HEARD.items() if _richer(entity)}


@dataclass(slots=True)
class _OfCompany:
    """since    record -> when its first event since the last reading was applied, by entity; oldest first
    untyped  fields that events told without their type, whose definitions were wanted for that
    """

    since: dict[str, dict[Any, float]] = field(default_factory=dict)
    untyped: set[tuple[str, str]] = field(default_factory=set)
    number: int = 0
    overflown: bool = False
    definitions: bool = False


class Touched:
    """What all appliers of a process have committed. To be used from one thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` reads seconds of any steady clock."""
        self._clock = clock
        self._companies: dict[int, _OfCompany] = {}

    def note(self, company_id: int, applied: Applied) -> None:
        """For `applier.Shared.heard`."""
        found = self._companies.get(company_id)
        if found is None:
            found = self._companies[company_id] = _OfCompany()
        if applied.learnt:
            # A field that was not known: its definition has more to tell.
            found.definitions = True
        now = self._clock()
        for event in applied.written:
            found.definitions |= event.definition
            self._meet(found, event)
            if event.entity in RICHER and not applied.kept:
                self._add(found, event.entity, [change.id for change in event.changes if not change.deleted], now)

    def _meet(self, found: _OfCompany, event: Event) -> None:
        """Once for each field: of one whose type nobody tells it would be asked for ever."""
        met = {(event.entity, name) for change in event.changes for name in change.untyped} - found.untyped
        if met and len(found.untyped) < MOST:
            found.untyped |= met
            found.definitions = True

    def _add(self, found: _OfCompany, entity: str, ids: list[Any], now: float) -> None:
        since = found.since.setdefault(entity, {})
        for record_id in ids:
            if record_id in since:
                continue
            if found.number >= MOST:
                found.overflown = True
                return
            since[record_id] = now
            found.number += 1

    def settled(self, company_id: int, entity: str, most: int) -> list[Any]:
        """Records of the company that have been left alone for long enough, and are not told of again."""
        found = self._companies.get(company_id)
        since = {} if found is None else found.since.get(entity, {})
        until = self._clock() - SETTLE
        ready = [record_id for record_id, at in since.items() if at <= until][:most]
        for record_id in ready:
            del since[record_id]
        if found is not None:
            found.number -= len(ready)
        return ready

    def companies(self) -> list[int]:
        return list(self._companies)

    def forget(self, company_id: int) -> None:
        """A sweep reads them all, or nobody can."""
        self._companies.pop(company_id, None)

    def take_overflown(self, company_id: int) -> bool:
        """Whether there were more than are kept. Then these are forgotten: a sweep is wanted instead."""
        found = self._companies.get(company_id)
        if found is None or not found.overflown:
            return False
        # A sweep reads no definitions: that they have changed is not forgotten.
        self._companies[company_id] = _OfCompany(untyped=found.untyped, definitions=found.definitions)
        return True

    def take_definitions(self, company_id: int) -> bool:
        """Whether definitions of fields have changed, or fields were met that are not known."""
        found = self._companies.get(company_id)
        told = found is not None and found.definitions
        if found is not None:
            found.definitions = False
        return told
