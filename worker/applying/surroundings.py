"""Reading what the journal tells around late events: as much of it as they concern.

A late event concerns the history of its cells from their last assertion before it to the first one after it. Nearly
every event asserts the whole of a record: that makes one event on either side, however much has happened since. Where
a cell is not asserted again, all that follows is read, in portions, and nothing of it is kept but such cells.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from schema.change import Change
from schema.entities import Entity
from schema.event import Event, TypesOf, read
from schema.version import Version, moment
from store import fields
from store.companies import Company
from store.database import Connection
from worker.applying import journal
from worker.applying.journal import Ask, Journaled
from worker.groups import READ_AT_ONCE

PRECEDING = 20
"""How many events before the late ones are read at most, to know the values that these changed."""

_FIRST_PORTION = 2
_GROWTH = 4
_UNBOUNDED = 10**9


@dataclass(frozen=True, slots=True)
class Late:
    """What belongs before something that was told already, of a record: versions of events, and their cells."""

    first: Version
    last: Version
    cells: frozenset[str]

    @classmethod
    def of(cls, changes: Sequence[Change]) -> "Late":
        versions = [change.version for change in changes]
        return cls(min(versions), max(versions), frozenset().union(*(change.cells for change in changes)))


@dataclass(slots=True)
class _Walk:
    """How far one record's events are read in one direction.

    place    the version behind which it goes on
    portion  events to be read next
    left     events to be read at all
    open     cells of which no assertion was met yet on this side of the late ones
    """

    place: str
    portion: int
    left: int
    open: set[str]

    def step(self, read: int, last: str) -> None:
        self.place = last
        self.left -= read
        self.portion = min(self.portion * _GROWTH, self.left)


@dataclass(slots=True)
class Surroundings:
    """The journal around the late events of some records of one entity, by id as text, while it is being read.

    changes  what events assert about the record, the late ones among them, in no order
    """

    connection: Connection
    company: Company
    entity: Entity
    late: Mapping[str, Late]
    changes: dict[str, list[Change]] = field(init=False)
    _types_of: TypesOf = field(init=False)
    _all_types: bool = False

    def __post_init__(self) -> None:
        self.changes = {record: [] for record in self.late}
        self._types_of = self.company.types_of

    async def read(self) -> None:
        await self._read_following()
        await self._read_preceding()
        await self._read_of_several()

    async def _read_following(self) -> None:
        """The late ones, and what follows until each of their cells is asserted again."""
        walks = {
            # More than one may be late, and others may lie between them.
            record: _Walk(_before(late), 2 * _FIRST_PORTION, _UNBOUNDED, set(late.cells))
            for record, late in self.late.items()
        }
        while walks:
            portions = await self._ask(journal.following, walks)
            for record, found in portions.items():
                walk, last = walks[record], self.late[record].last
                for change in await self._changes_of(record, found):
                    beyond = change.version > last
                    self.changes[record].append(_trimmed(change, walk.open) if beyond else change)
                    if beyond:
                        walk.open -= change.cells.keys()
            walks = _going_on(walks, portions)

    async def _read_preceding(self) -> None:
        walks = {
            record: _Walk(_before(late), _FIRST_PORTION, PRECEDING, set(late.cells))
            for record, late in self.late.items()
        }
        while walks:
            portions = await self._ask(journal.preceding, walks)
            for record, found in portions.items():
                for change in await self._changes_of(record, found):
                    self.changes[record].append(change)
                    walks[record].open -= change.cells.keys()
            walks = _going_on(walks, portions)

    async def _read_of_several(self) -> None:
        """Events that are told of another record, and change this one too. There are few of them."""
        for other_ids, found in await journal.of_several(
            self.connection, self.company.id, self.entity.name, list(self.late)
        ):
            for record in self.late.keys() & set(other_ids):
                self.changes[record] += await self._changes_of(record, [found])

    async def _ask(self, ask: Ask, walks: Mapping[str, _Walk]) -> dict[str, list[Journaled]]:
        places = [(record, walk.place, walk.portion) for record, walk in walks.items()]
        return await ask(self.connection, self.company.id, self.entity.name, places)

    async def _changes_of(self, record: str, found: Sequence[Journaled]) -> list[Change]:
        """What they assert about the record, by all the types that are known."""
        changes = await self._read_by(record, found)
        if not self._all_types and any(change.untyped for change in changes):
            # Another worker may have learnt them. Not to be remembered: this transaction may have, and may fail.
            known = await fields.types(self.connection, self.company.id)
            self._types_of, self._all_types = lambda entity: known.get(entity, {}), True
            changes = await self._read_by(record, found)
        return changes

    async def _read_by(self, record: str, found: Sequence[Journaled]) -> list[Change]:
        changes: list[Change] = []
        for start in range(0, len(found), READ_AT_ONCE):
            events = [read(envelope, self._types_of) for _, envelope in found[start : start + READ_AT_ONCE]]
            changes += [change for event in events if isinstance(event, Event) for change in event.changes]
            await asyncio.sleep(0)
        return [change for change in changes if change.entity is self.entity and str(change.id) == record]


def _before(late: Late) -> str:
    """Of text, a moment stands before all versions of that moment."""
    return f"{moment(late.first):017d}"


def _trimmed(change: Change, cells: set[str]) -> Change:
    """What it was read for, without the body that it came of."""
    return replace(change, cells={cell: change.cells[cell] for cell in change.cells.keys() & cells}, previous=dict)


def _going_on(walks: Mapping[str, _Walk], portions: Mapping[str, Sequence[Journaled]]) -> dict[str, _Walk]:
    """Those that have not met all cells, nor the end."""
    going_on: dict[str, _Walk] = {}
    for record, walk in walks.items():
        found = portions[record]
        if len(found) == walk.portion and walk.open:
            walk.step(len(found), found[-1][0])
            if walk.portion > 0:
                going_on[record] = walk
    return going_on
