"""Telling a record's history anew where an event came late, from the events around it in the journal.

What has left the journal is kept as the history tells it: no row is removed that cannot be told again.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import groupby
from typing import Any

from schema import dml, history
from schema.change import Cells, Change, RecordId
from schema.columns import instant, to_json
from schema.entities import Entity
from schema.history import FieldChange, typed
from schema.version import LATEST, Version, moment, newer
from store.companies import Company
from store.database import Connection
from worker.applying import surroundings
from worker.applying.surroundings import Late

_AT_ONCE = 64
"""Records: what is held in memory, and asked in one statement, is bounded."""

_MARGIN = timedelta(minutes=2)
"""A read may be dated a little before the event that explains it."""

_Rows = Sequence[Mapping[str, Any]]
"""Of `field_changes`."""

_Place = tuple[str, Version]
"""Where in a record's history: field and version."""


@dataclass(frozen=True, slots=True)
class Disturbed:
    """A record some of whose changes belong before what its history tells.

    late     these changes, all of them of events
    history  what its other changes make, as far as a fold can know
    """

    entity: Entity
    id: RecordId
    late: Sequence[Change]
    history: Sequence[FieldChange]


async def retell(connection: Connection, company: Company, disturbed: Iterable[Disturbed]) -> list[FieldChange]:
    """Remove what is told wrongly, and return what is to be told instead. What is right stays untouched."""
    told: list[FieldChange] = []
    ordered = sorted(disturbed, key=lambda one: (one.entity.name, str(one.id)))
    for entity, group in groupby(ordered, key=lambda one: one.entity):
        same = list(group)
        for start in range(0, len(same), _AT_ONCE):
            told += await _retell_some(connection, company, entity, same[start : start + _AT_ONCE])
    return told


async def _retell_some(
    connection: Connection, company: Company, entity: Entity, disturbed: Sequence[Disturbed]
) -> list[FieldChange]:
    """A late event comes seldom alone: after a backlog that several workers share, most records have one."""
    of_late = [(one, late) for one in disturbed for late in surroundings.late_ones(str(one.id), one.late)]
    around = await surroundings.around(connection, company, entity, [late for _, late in of_late])
    stretches = [_Stretch.of(one, late, changes) for (one, late), changes in zip(of_late, around, strict=True)]
    missing: dict[tuple[str, _Place], FieldChange] = {}
    wrong: set[Any] = set()
    for stretch, (rows, before) in zip(stretches, await _told(connection, company, entity, stretches), strict=True):
        to_tell, to_remove = stretch.correct(rows, before)
        missing |= {(stretch.late.record_id, place): change for place, change in to_tell.items()}
        wrong |= {row["ctid"] for row in to_remove}
    if wrong:
        await connection.execute(dml.delete_history(company.slug), list(wrong))
    return [*missing.values(), *_outside(stretches)]


async def _told(
    connection: Connection, company: Company, entity: Entity, stretches: Sequence["_Stretch"]
) -> list[tuple[_Rows, _Rows]]:
    """Of each, the rows that it covers, and the last change before of each field that may be needed."""
    records = [stretch.late.record_id for stretch in stretches]
    starts, ends = [stretch.start for stretch in stretches], [stretch.end for stretch in stretches]
    rows = await connection.fetch(dml.read_history(company.slug), entity.name, records, starts, ends)
    unknown = sorted(set().union(*(stretch.unknown_before for stretch in stretches)))
    before = []
    if unknown:
        before = await connection.fetch(dml.read_history_before(company.slug), entity.name, records, starts, unknown)
    return list(zip(_by_number(rows, len(stretches)), _by_number(before, len(stretches)), strict=True))


def _by_number(rows: Iterable[Any], numbers: int) -> list[_Rows]:
    found: list[list[Mapping[str, Any]]] = [[] for _ in range(numbers)]
    for row in rows:
        found[row["number"] - 1].append(row)
    return [*found]


def _outside(stretches: Iterable["_Stretch"]) -> Iterable[FieldChange]:
    """What changes that are not late make, where no stretch of their record tells it."""
    for _, group in groupby(stretches, key=lambda stretch: stretch.late.record_id):
        same = list(group)
        for change in same[0].disturbed.history:
            if not any(stretch.concerns(change.field, change.version) for stretch in same):
                yield change


@dataclass(frozen=True, slots=True)
class _Stretch:
    """The part of a record's history that late events concern.

    since  cell -> its last assertion before them: until then all stays as it is
    until  cell -> its first assertion after them: behind it, too
    """

    disturbed: Disturbed
    late: Late
    changes: Sequence[Change]
    since: Mapping[str, Version]
    until: Mapping[str, Version]

    @classmethod
    def of(cls, disturbed: Disturbed, late: Late, changes: Iterable[Change]) -> "_Stretch":
        """`changes` in any order, all of them of events: their versions order as text."""
        ordered = sorted(changes, key=lambda change: change.version)
        since: dict[str, Version] = {}
        until: dict[str, Version] = {}
        for change in ordered:
            if change.version < late.first:
                since |= dict.fromkeys(change.cells, change.version)
        for change in reversed(ordered):
            if change.version > late.last:
                until |= dict.fromkeys(change.cells, change.version)
        return cls(disturbed, late, ordered, since, until)

    @property
    def unknown_before(self) -> frozenset[str]:
        """Cells of which no event before the late ones is known."""
        return self.late.cells - self.since.keys()

    @property
    def start(self) -> datetime:
        """From when on the record's history may be told otherwise."""
        if self.unknown_before:
            first = min((change.version for change in self.changes), default=self.late.first)
        else:
            first = min(self.since[cell] for cell in self.late.cells)
        return instant(moment(first)) - _MARGIN

    @property
    def end(self) -> datetime:
        settled = self.late.cells <= self.until.keys()
        last = max(moment(self.until[cell]) for cell in self.late.cells) if settled else LATEST
        return instant(last) + _MARGIN

    def correct(self, rows: _Rows, before: _Rows) -> tuple[dict[_Place, FieldChange], _Rows]:
        """What is to be told that is not, and which rows are to be removed.

        rows    what is told from `start` to `end`
        before  the last change of each field before `start`
        """
        rows = [row for row in rows if self.concerns(row["field"], row["version"])]
        anew = self._told_anew(rows, before)
        wrong = []
        for row in rows:
            change = anew.get((row["field"], row["version"]))
            if change is not None and _tells(row, change):
                del anew[change.field, change.version]
            else:
                wrong.append(row)
        return anew, wrong

    def concerns(self, cell: str, version: Version) -> bool:
        if cell not in self.late.cells or not newer(version, self.since.get(cell)):
            return False
        return cell not in self.until or not newer(version, self.until[cell])

    def _told_anew(self, rows: _Rows, before: _Rows) -> dict[_Place, FieldChange]:
        entity = self.disturbed.entity
        versions = {change.version for change in self.changes}
        remembered = _remembered(self.disturbed, [row for row in rows if row["version"] not in versions])
        base = {row["field"]: typed(entity, row["field"], row["new_value"]) for row in before}
        return {
            (change.field, change.version): change
            for change in history.retell([*self.changes, *remembered], base)
            if self.concerns(change.field, change.version)
        }


def _tells(row: Mapping[str, Any], change: FieldChange) -> bool:
    told = row["old_value"], row["new_value"], row["user_id"]
    return told == (to_json(change.old), to_json(change.new), change.user_id)


def _remembered(disturbed: Disturbed, rows: Iterable[Mapping[str, Any]]) -> list[Change]:
    """What only the history still knows: REST reads, which are not journaled, and events that left the journal."""
    told: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        told.setdefault(row["version"], []).append(row)
    return [
        Change(
            disturbed.entity,
            disturbed.id,
            Version(version),
            {row["field"]: typed(disturbed.entity, row["field"], row["new_value"]) for row in group},
            previous=partial(_old_values, disturbed.entity, group),
            source=group[0]["source"],
            user_id=group[0]["user_id"],
        )
        for version, group in told.items()
    ]


def _old_values(entity: Entity, rows: Iterable[Mapping[str, Any]]) -> Cells:
    return {row["field"]: typed(entity, row["field"], row["old_value"]) for row in rows}
