"""Telling a record's history anew where an event came late, from the events around it in the journal.

What has left the journal is kept as the history tells it: no row is removed that cannot be told again.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
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
from worker import journal

PRECEDING = 20
"""How many events before the late one are read, to know the values it changed."""

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
    for record in sorted(disturbed, key=lambda found: (found.entity.name, str(found.id))):
        told += await _retell_record(connection, company, record)
    return told


async def _retell_record(connection: Connection, company: Company, record: Disturbed) -> list[FieldChange]:
    changes = await _journaled(connection, company, record)
    journaled = {change.version for change in changes}
    since = max((change.version for change in changes if change.version < record.version), default=None)
    first = min((change.version for change in changes), default=record.version)
    start = journal.instant(moment(first)) - _MARGIN
    key = (record.entity.name, str(record.id))
    rows = await connection.fetch(dml.read_history(company.slug), *key, start)
    remembered = _remembered(record, [dict(row) for row in rows if row["version"] not in journaled])
    before = await connection.fetch(dml.read_history_before(company.slug), *key, start)
    base = {row["field"]: typed(record.entity, row["field"], row["new_value"]) for row in before}
    outdated = {row["version"] for row in rows if newer(row["version"], since)}
    await connection.execute(dml.delete_history(company.slug), *key, list(outdated))
    return [change for change in tell([*changes, *remembered], base) if newer(change.version, since)]


async def _journaled(connection: Connection, company: Company, record: Disturbed) -> list[Change]:
    """What the journaled events assert about the record, the late one among them: it was claimed before."""
    envelopes = await journal.around(
        connection, company.id, record.entity.name, str(record.id), record.version, before=PRECEDING
    )
    events = [read(envelope, company.types_of) for envelope in envelopes]
    return [
        change
        for event in events
        if isinstance(event, Event)
        for change in event.changes
        if change.entity is record.entity and change.id == record.id
    ]


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
