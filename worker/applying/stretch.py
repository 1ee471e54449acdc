"""A stretch of a record's history: the part that late events concern, and what it should say. Nothing here waits.

What the journal cannot tell is taken from the record as it stands and from what the history says already: no value is
forgotten that one of them knows.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from schema.change import Cells, Change, RecordId
from schema.columns import instant, to_json
from schema.custom_fields import Types
from schema.entity import Entity
from schema.history import FieldChange, retell, typed
from schema.record import MISSING, Record
from schema.version import LATEST, Version, moment, newer, order, updated
from worker.applying.surroundings import Late

_MARGIN = timedelta(minutes=2)
"""A read may be dated a little before the event that explains it."""

Rows = Sequence[Mapping[str, Any]]
"""Of `field_changes`."""

Place = tuple[str, Version]
"""Where in a record's history: field and version."""


@dataclass(frozen=True, slots=True)
class Disturbed:
    """A record some of whose changes belong before what its history tells.

    record   as it is now, with all changes of the transaction
    late     these changes, all of them of events
    history  what its other changes make, as far as a fold can know
    again    the late ones were journaled before: what they tell may have been told already
    """

    entity: Entity
    id: RecordId
    record: Record
    late: Sequence[Change]
    history: Sequence[FieldChange]
    again: bool


@dataclass(frozen=True, slots=True)
class Stretch:
    """The part of a record's history that late events concern.

    changes  what events assert around them, by version
    since    cell -> its last assertion before them: until then all stays as it is
    until    cell -> its first assertion after them: behind it, too
    types    of the entity's custom fields
    """

    disturbed: Disturbed
    late: Late
    changes: Mapping[Version, Change]
    since: Mapping[str, Version]
    until: Mapping[str, Version]
    types: Types

    @classmethod
    def of(cls, disturbed: Disturbed, late: Late, changes: Iterable[Change], types: Types) -> "Stretch":
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
        return cls(disturbed, late, {change.version: change for change in ordered}, since, until, types)

    @property
    def unknown_before(self) -> frozenset[str]:
        """Cells of which no event before the late ones is known."""
        return self.late.cells - self.since.keys()

    @property
    def start(self) -> datetime:
        """From when on the record's history may be told otherwise."""
        if self.unknown_before:
            first = min(self.changes, default=self.late.first)
        else:
            first = min(self.since[cell] for cell in self.late.cells)
        # A read of the same update is dated by that, be the event as much later as it may.
        return instant(min(moment(first), updated(first) * 1_000_000 or LATEST)) - _MARGIN

    @property
    def end(self) -> datetime:
        settled = self.late.cells <= self.until.keys()
        last = max(moment(self.until[cell]) for cell in self.late.cells) if settled else LATEST
        return instant(last) + _MARGIN

    def concerns(self, cell: str, version: Version) -> bool:
        if cell not in self.late.cells or not newer(version, self.since.get(cell)):
            return False
        return cell not in self.until or not newer(version, self.until[cell])

    def correct(self, rows: Rows, before: Rows) -> tuple[dict[Place, FieldChange], Rows]:
        """What is to be told that is not, and which rows are to be removed.

        rows    what is told from `start` to `end`
        before  the last changes of each field before `start`
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

    def _told_anew(self, rows: Rows, before: Rows) -> dict[Place, FieldChange]:
        base = self._first_known(rows)
        base |= {row["field"]: self._value(row, "new_value") for row in sorted(before, key=_by_version)}
        return {
            (change.field, change.version): change
            for change in retell([*self.changes.values(), *self._remembered(rows)], base)
            if self.concerns(change.field, change.version)
        }

    def _first_known(self, rows: Rows) -> Cells:
        """What cells were before all that is told here: the old value of the first change, if nothing else tells it.

        None is the word of the change's own source: that comes first where nothing else is known, so it is left to
        whoever tells the history.
        """
        first = {row["field"]: row for row in sorted(rows, key=_by_version, reverse=True)}
        return {
            cell: self._value(row, "old_value")
            for cell, row in first.items()
            if cell in self.unknown_before and not self._was_asserted_before(row) and not self._is_its_word(row)
        }

    def _was_asserted_before(self, row: Mapping[str, Any]) -> bool:
        """Whether something was known that the row follows. The late ones were not when it was told."""
        unknown = () if self.disturbed.again else {change.version for change in self.disturbed.late}
        return newer(self.late.first, row["version"]) or any(
            row["field"] in change.cells and newer(row["version"], version) and version not in unknown
            for version, change in self.changes.items()
        )

    def _is_its_word(self, row: Mapping[str, Any]) -> bool:
        source = self.changes.get(row["version"])
        return source is not None and source.previous().get(row["field"], MISSING) == self._value(row, "old_value")

    def _remembered(self, rows: Rows) -> Iterator[Change]:
        """What is in no journal: REST reads, and events that left it. The history tells what they changed.

        And the record what the newest one asserted, whether or not that was a change.
        """
        told: dict[Version, list[Mapping[str, Any]]] = {}
        for row in rows:
            if row["version"] not in self.changes:
                told.setdefault(row["version"], []).append(row)
        shown = self._shown()
        for version in told.keys() | shown.keys():
            group = told.get(version, [])
            cells = shown.get(version, {}) | {row["field"]: self._value(row, "new_value") for row in group}
            yield Change(
                self.disturbed.entity,
                self.disturbed.id,
                version,
                cells,
                previous=partial(self._old_values, group),
                source=group[0]["source"] if group else self.disturbed.record.source,
                user_id=group[0]["user_id"] if group else None,
            )

    def _shown(self) -> dict[Version, Cells]:
        """By version, the cells that the record shows of assertions that are not among those that were read."""
        record = self.disturbed.record
        found: dict[Version, Cells] = {}
        for cell in self.late.cells:
            version = record.version_of(cell)
            if version is not None and version not in self.changes and self.concerns(cell, version):
                found.setdefault(version, {})[cell] = record.cells.get(cell)
        return found

    def _old_values(self, rows: Rows) -> Cells:
        return {row["field"]: self._value(row, "old_value") for row in rows}

    def _value(self, row: Mapping[str, Any], name: str) -> Any:
        return typed(self.disturbed.entity, row["field"], row[name], self.types)


def _by_version(row: Mapping[str, Any]) -> Any:
    return order(row["version"])


def _tells(row: Mapping[str, Any], change: FieldChange) -> bool:
    told = row["old_value"], row["new_value"], row["user_id"]
    return told == (to_json(change.old), to_json(change.new), change.user_id)
