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
from schema.entities import Entity
from schema.event import Event, read
from schema.history import FieldChange, typed
from schema.history import retell as tell
from schema.version import Version, moment, newer
from store.companies import Company
from store.database import Connection
from worker.applying import journal

PRECEDING = 20
"""How many events before the late one are read, to know the values it changed."""

_Rows = Sequence[Mapping[str, Any]]
"""Of `field_changes`."""

_MARGIN = timedelta(minutes=2)
"""A read may be dated a little before the event that explains it."""


@dataclass(frozen=True, slots=True)
class Disturbed:
    """A record whose history from `version` on is to be told anew."""

    entity: Entity
    id: RecordId
    version: Version


async def retell(connection: Connection, company: Company, disturbed: Iterable[Disturbed]) -> list[FieldChange]:
    """Remove what is told wrongly, and return what is to be told instead."""
    told: list[FieldChange] = []
    ordered = sorted(disturbed, key=lambda record: (record.entity.name, str(record.id)))
    for entity, records in groupby(ordered, key=lambda record: record.entity):
        told += await _retell_entity(connection, company, entity, list(records))
    return told


async def _retell_entity(
    connection: Connection, company: Company, entity: Entity, records: Sequence[Disturbed]
) -> list[FieldChange]:
    """A late event comes seldom alone: after a backlog that several workers share, most records have one."""
    journaled = await _journaled(connection, company, entity, records)
    starts = {str(record.id): _start(record, journaled[str(record.id)]) for record in records}
    asked = (entity.name, list(starts), list(starts.values()))
    rows = _by_record(await connection.fetch(dml.read_history(company.slug), *asked))
    before = _by_record(await connection.fetch(dml.read_history_before(company.slug), *asked))
    told: list[FieldChange] = []
    outdated: list[tuple[int, int]] = []
    for record in records:
        key = str(record.id)
        since = _since(record, journaled[key])
        anew = _tell_anew(record, journaled[key], rows.get(key, ()), before.get(key, ()))
        told += [change for change in anew if newer(change.version, since)]
        outdated += [row["ctid"] for row in rows.get(key, ()) if newer(row["version"], since)]
    await connection.execute(dml.delete_history(company.slug), outdated)
    return told


def _start(record: Disturbed, changes: Iterable[Change]) -> datetime:
    """From when on the record's history may be told otherwise."""
    first = min((change.version for change in changes), default=record.version)
    return journal.instant(moment(first)) - _MARGIN


def _since(record: Disturbed, changes: Iterable[Change]) -> Version | None:
    """The last assertion before the late one: until then all stays as it is."""
    return max((change.version for change in changes if change.version < record.version), default=None)


def _tell_anew(record: Disturbed, changes: Sequence[Change], rows: _Rows, before: _Rows) -> list[FieldChange]:
    versions = {change.version for change in changes}
    remembered = _remembered(record, [row for row in rows if row["version"] not in versions])
    base = {row["field"]: typed(record.entity, row["field"], row["new_value"]) for row in before}
    return tell([*changes, *remembered], base)


def _by_record(rows: Iterable[Any]) -> dict[str, list[Mapping[str, Any]]]:
    found: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault(row["entity_id"], []).append(row)
    return found


async def _journaled(
    connection: Connection, company: Company, entity: Entity, records: Iterable[Disturbed]
) -> dict[str, list[Change]]:
    """What the journaled events assert about each record, the late one among them: it was claimed before."""
    late = {str(record.id): record.version for record in records}
    around = await journal.around(connection, company.id, entity.name, late, before=PRECEDING)
    return {
        key: [
            change
            for event in (read(envelope, company.types_of) for envelope in envelopes)
            if isinstance(event, Event)
            for change in event.changes
            if change.entity is entity and str(change.id) == key
        ]
        for key, envelopes in around.items()
    }


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
