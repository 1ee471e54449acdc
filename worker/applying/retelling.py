"""Telling a record's history anew where an event came late, from the events around it in the journal.

What has left the journal is kept as the history tells it: no row is removed that cannot be told again.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import groupby
from typing import Any

from schema import dml
from schema.change import Cells, Change, RecordId
from schema.columns import to_json
from schema.entities import Entity
from schema.history import FieldChange, typed
from schema.history import retell as tell
from schema.version import LATEST, Version, moment, newer
from store.companies import Company
from store.database import Connection
from worker.applying import journal
from worker.applying.surroundings import Late, Surroundings

_AT_ONCE = 64
"""Records: what is held in memory, and asked in one statement, is bounded."""

_MARGIN = timedelta(minutes=2)
"""A read may be dated a little before the event that explains it."""

_Rows = Sequence[Mapping[str, Any]]
"""Of `field_changes`."""


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
    ordered = sorted(disturbed, key=lambda record: (record.entity.name, str(record.id)))
    for entity, group in groupby(ordered, key=lambda record: record.entity):
        records = list(group)
        for start in range(0, len(records), _AT_ONCE):
            told += await _retell_some(connection, company, entity, records[start : start + _AT_ONCE])
    return told


async def _retell_some(
    connection: Connection, company: Company, entity: Entity, records: Sequence[Disturbed]
) -> list[FieldChange]:
    """A late event comes seldom alone: after a backlog that several workers share, most records have one."""
    around = Surroundings(connection, company, entity, {str(record.id): Late.of(record.late) for record in records})
    await around.read()
    stretches = [_Stretch.of(record, around.changes[str(record.id)]) for record in records]
    asked = (entity.name, [str(stretch.record.id) for stretch in stretches], [stretch.start for stretch in stretches])
    ends = [stretch.end for stretch in stretches]
    rows = _by_record(await connection.fetch(dml.read_history(company.slug), *asked, ends))
    before = _by_record(await connection.fetch(dml.read_history_before(company.slug), *asked))
    told: list[FieldChange] = []
    outdated: list[tuple[int, int]] = []
    for stretch in stretches:
        key = str(stretch.record.id)
        missing, wrong = stretch.correct(rows.get(key, ()), before.get(key, ()))
        told += missing
        outdated += [row["ctid"] for row in wrong]
    if outdated:
        await connection.execute(dml.delete_history(company.slug), outdated)
    return told


@dataclass(frozen=True, slots=True)
class _Stretch:
    """The part of a record's history that its late changes concern.

    since  cell -> its last assertion before them: until then all stays as it is
    until  cell -> its first assertion after them: behind it, too
    """

    record: Disturbed
    late: Late
    changes: Sequence[Change]
    since: Mapping[str, Version]
    until: Mapping[str, Version]

    @classmethod
    def of(cls, record: Disturbed, changes: Iterable[Change]) -> "_Stretch":
        """`changes` in any order, all of them of events: their versions order as text."""
        late = Late.of(record.late)
        ordered = sorted(changes, key=lambda change: change.version)
        since: dict[str, Version] = {}
        until: dict[str, Version] = {}
        for change in ordered:
            if change.version < late.first:
                since |= dict.fromkeys(change.cells, change.version)
        for change in reversed(ordered):
            if change.version > late.last:
                until |= dict.fromkeys(change.cells, change.version)
        return cls(record, late, ordered, since, until)

    @property
    def start(self) -> datetime:
        """From when on the record's history may be told otherwise."""
        first = min((change.version for change in self.changes), default=self.late.first)
        return journal.instant(moment(first)) - _MARGIN

    @property
    def end(self) -> datetime:
        settled = self.late.cells <= self.until.keys()
        last = max(moment(self.until[cell]) for cell in self.late.cells) if settled else LATEST
        return journal.instant(last) + _MARGIN

    def correct(self, rows: _Rows, before: _Rows) -> tuple[list[FieldChange], _Rows]:
        """What is to be told that is not, and which rows are to be removed.

        rows    what is told from `start` to `end`
        before  the last change of each field before `start`
        """
        rows = [row for row in rows if self._concerns(row["field"], row["version"])]
        anew = self._told_anew(rows, before)
        wrong = []
        for row in rows:
            change = anew.get((row["field"], row["version"]))
            if change is not None and _tells(row, change):
                del anew[change.field, change.version]
            else:
                wrong.append(row)
        outside = [change for change in self.record.history if not self._concerns(change.field, change.version)]
        return [*anew.values(), *outside], wrong

    def _concerns(self, cell: str, version: Version) -> bool:
        if cell not in self.late.cells or not newer(version, self.since.get(cell)):
            return False
        return cell not in self.until or not newer(version, self.until[cell])

    def _told_anew(self, rows: _Rows, before: _Rows) -> dict[tuple[str, Version], FieldChange]:
        entity = self.record.entity
        versions = {change.version for change in self.changes}
        remembered = _remembered(self.record, [row for row in rows if row["version"] not in versions])
        base = {row["field"]: typed(entity, row["field"], row["new_value"]) for row in before}
        return {
            (change.field, change.version): change
            for change in tell([*self.changes, *remembered], base)
            if self._concerns(change.field, change.version)
        }


def _tells(row: Mapping[str, Any], change: FieldChange) -> bool:
    told = row["old_value"], row["new_value"], row["user_id"]
    return told == (to_json(change.old), to_json(change.new), change.user_id)


def _by_record(rows: Iterable[Any]) -> dict[str, list[Mapping[str, Any]]]:
    found: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault(row["entity_id"], []).append(row)
    return found


def _remembered(record: Disturbed, rows: Iterable[Mapping[str, Any]]) -> list[Change]:
    """What only the history still knows: REST reads, which are not journaled, and events that left the journal."""
    told: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        told.setdefault(row["version"], []).append(row)
    return [
        Change(
            record.entity,
            record.id,
            Version(version),
            {row["field"]: typed(record.entity, row["field"], row["new_value"]) for row in group},
            previous=partial(_old_values, record.entity, group),
            source=group[0]["source"],
            user_id=group[0]["user_id"],
        )
        for version, group in told.items()
    ]


def _old_values(entity: Entity, rows: Iterable[Mapping[str, Any]]) -> Cells:
    return {row["field"]: typed(entity, row["field"], row["old_value"]) for row in rows}
