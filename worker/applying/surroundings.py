"""Reading what the journal tells around late events: as much of it as they concern.

A late event concerns the history of its cells from their last assertion before it to the first one after it. Nearly
every event asserts the whole of a record: that makes one event on either side, however much has happened since. Where
a cell is not asserted again, all that follows is read, in portions, and nothing of it is kept but such cells.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from schema.change import Change
from schema.entity import Entity, id_text
from schema.envelope import Envelope
from schema.event import Event, Readable, TypesOf, read
from schema.version import Version, moment
from store.database import Connection
from worker.applying import journal, reading
from worker.applying.journal import Journaled, Place

PRECEDING: Final = 20
"""How many events before a late one are read at most, to know the values that it changed."""

_FIRST_PORTION: Final = 2
_GROWTH: Final = 4
_LARGEST_PORTION: Final = 256
_NO_LIMIT: Final = 10**9

_FAR: Final = 10 * 60 * 1_000_000
"""Microseconds. What lies between late events is kept whole: those that are far apart are looked at by themselves."""

_BEGINNING: Final = ""
_END: Final = "~"
"""As text, they stand before and behind all versions of events."""


@dataclass(frozen=True, slots=True)
class Late:
    """Late events of one record that lie close together: their first and last version, and the cells they assert."""

    record_id: str
    first: Version
    last: Version
    cells: frozenset[str]


def late_ones(record_id: str, changes: Sequence[Change]) -> list[Late]:
    """Late changes of one record, all of them of events, by what lies close together."""
    ordered = sorted(changes, key=lambda change: change.version)
    groups = [ordered[:1]]
    for one, following in pairwise(ordered):
        if moment(following.version) - moment(one.version) > _FAR:
            groups.append([])
        groups[-1].append(following)
    return [
        Late(record_id, near[0].version, near[-1].version, frozenset().union(*(change.cells for change in near)))
        for near in groups
    ]


async def around(
    connection: Connection, company_id: int, entity: Entity, late: Sequence[Late], types_of: TypesOf
) -> list[list[Change]]:
    """Of each, what events assert about its record, the late ones among them; in no order."""
    changes: list[list[Change]] = [[] for _ in late]
    following = [_following(*each) for each in zip(late, changes, strict=True)]
    preceding = [_preceding(*each) for each in zip(late, changes, strict=True)]
    reader = _Reader(connection, company_id, entity, types_of)
    await reader.walk(following, backwards=False)
    await reader.walk(preceding, backwards=True)
    reached = min(walk.reached for walk in preceding), max(walk.reached for walk in following)
    await reader.read_of_several(following, between=reached)
    return changes


@dataclass(slots=True)
class _Walk:
    """Reading one record's events on one side of late ones.

    changes  where they are put
    beyond   the version behind which only cells are kept that were not asserted yet: None, behind any
    reached  the version, or the moment, to which it came
    portion  events to be read next
    left     events to be read at all
    open     cells of which no assertion was met yet
    end      what is reached where no events are left
    """

    late: Late
    changes: list[Change]
    beyond: Version | None
    reached: str
    portion: int
    left: int
    open: set[str]
    end: str

    def meet(self, change: Change) -> None:
        if self.beyond is not None and change.version <= self.beyond:
            self.changes.append(change)
            return
        new = change.cells.keys() & self.open
        if new:
            self.open -= new
            self.changes.append(replace(change, cells={cell: change.cells[cell] for cell in new}))

    def step(self, found: Sequence[Journaled]) -> bool:
        """After a portion: whether there is more to be read."""
        if found:
            self.reached = found[-1][0]
        complete = len(found) < self.portion
        if self.open and complete:
            self.reached = self.end
        self.left -= len(found)
        self.portion = min(self.portion * _GROWTH, _LARGEST_PORTION, self.left)
        return bool(self.open) and not complete and self.left > 0


def _following(late: Late, changes: list[Change]) -> _Walk:
    """The late ones, and what follows until each of their cells is asserted again."""
    # More than one may be late, and others may lie between them.
    return _Walk(late, changes, late.last, _moment(late), 2 * _FIRST_PORTION, _NO_LIMIT, set(late.cells), _END)


def _preceding(late: Late, changes: list[Change]) -> _Walk:
    return _Walk(late, changes, None, _moment(late), _FIRST_PORTION, PRECEDING, set(late.cells), _BEGINNING)


def _moment(late: Late) -> str:
    """Of text, a moment stands before all versions of that moment."""
    return f"{moment(late.first):017d}"


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads journaled events of one entity."""

    connection: Connection
    company_id: int
    entity: Entity
    types_of: TypesOf

    async def walk(self, walks: Sequence[_Walk], *, backwards: bool) -> None:
        while walks:
            places = [Place(walk.late.record_id, walk.reached, walk.portion) for walk in walks]
            portions = await journal.of_records(
                self.connection, self.company_id, self.entity.name, places, backwards=backwards
            )
            for walk, found in zip(walks, portions, strict=True):
                for change in await self._changes_of(walk.late.record_id, found):
                    walk.meet(change)
            walks = [walk for walk, found in zip(walks, portions, strict=True) if walk.step(found)]

    async def read_of_several(self, walks: Sequence[_Walk], *, between: tuple[str, str]) -> None:
        """Events that are told of another record, and change one of these too. There are few of them."""
        records = list({walk.late.record_id for walk in walks})
        found = await journal.of_several(self.connection, self.company_id, self.entity.name, records, between=between)
        for other_ids, journaled in found:
            for walk in walks:
                if walk.late.record_id in other_ids:
                    walk.changes += await self._changes_of(walk.late.record_id, [journaled])

    async def _changes_of(self, record_id: str, found: Sequence[Journaled]) -> list[Change]:
        readable = await reading.in_portions(self._read, [envelope for _, envelope in found])
        return [
            change
            for event in readable
            if isinstance(event, Event)
            for change in event.changes
            if change.entity is self.entity and id_text(change.id) == record_id
        ]

    def _read(self, envelopes: Sequence[Envelope]) -> list[Readable]:
        return [read(envelope, self.types_of) for envelope in envelopes]
