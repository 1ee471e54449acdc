"""Telling a record's history anew where an event came late, from the events around it in the journal.

What has left the journal is kept as the history tells it: no row is removed that cannot be told again.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from schema import dml
from schema.custom_fields import Types
from schema.entity import Entity, id_text
from schema.history import FieldChange
from store import fields
from store.companies import Company
from store.database import Connection
from worker.applying import surroundings
from worker.applying.stretch import Disturbed, Place, Rows, Stretch

_AT_ONCE = 64
"""Records: what is held in memory, and asked in one statement, is bounded."""

_TypesByEntity = Mapping[str, Types]


async def retell(connection: Connection, company: Company, disturbed: Sequence[Disturbed]) -> list[FieldChange]:
    """Remove what is told wrongly, and return what is to be told instead. What is right stays untouched."""
    if not disturbed:
        return []
    # Not only those this worker knows; nor to be remembered, as this transaction may have learnt some, and may fail.
    types = await fields.types(connection, company.id)
    told: list[FieldChange] = []
    for entity, group in groupby(sorted(disturbed, key=_by_entity_and_id), key=lambda one: one.entity):
        same = list(group)
        for start in range(0, len(same), _AT_ONCE):
            told += await _retell_some(connection, company, entity, same[start : start + _AT_ONCE], types)
    return told


def _by_entity_and_id(disturbed: Disturbed) -> tuple[str, str]:
    return disturbed.entity.name, id_text(disturbed.id)


async def _retell_some(
    connection: Connection, company: Company, entity: Entity, disturbed: Sequence[Disturbed], types: _TypesByEntity
) -> list[FieldChange]:
    """A late event comes seldom alone: after a backlog that several workers share, most records have one."""
    stretches = await _stretches(connection, company, entity, disturbed, types)
    missing: dict[tuple[str, Place], FieldChange] = {}
    wrong: set[Any] = set()
    for stretch, (rows, before) in zip(stretches, await _told(connection, company, entity, stretches), strict=True):
        to_tell, to_remove = stretch.correct(rows, before)
        missing |= {(stretch.late.record_id, place): change for place, change in to_tell.items()}
        wrong |= {row["ctid"] for row in to_remove}
    if wrong:
        await connection.execute(dml.delete_history(company.slug), list(wrong))
    return [*missing.values(), *_outside(stretches)]


async def _stretches(
    connection: Connection, company: Company, entity: Entity, disturbed: Sequence[Disturbed], types: _TypesByEntity
) -> list[Stretch]:
    of_late = [(one, late) for one in disturbed for late in surroundings.late_ones(id_text(one.id), one.late)]
    around = await surroundings.around(
        connection, company.id, entity, [late for _, late in of_late], lambda name: types.get(name, {})
    )
    custom = types.get(entity.custom_fields or "", {})
    return [Stretch.of(one, late, changes, custom) for (one, late), changes in zip(of_late, around, strict=True)]


async def _told(
    connection: Connection, company: Company, entity: Entity, stretches: Sequence[Stretch]
) -> list[tuple[Rows, Rows]]:
    """Of each, the rows that it covers, and the last change before of each field that may be needed."""
    records = [stretch.late.record_id for stretch in stretches]
    starts, ends = [stretch.start for stretch in stretches], [stretch.end for stretch in stretches]
    rows = await connection.fetch(dml.read_history(company.slug), entity.name, records, starts, ends)
    unknown = sorted(set().union(*(stretch.unknown_before for stretch in stretches)))
    before = []
    if unknown:
        before = await connection.fetch(dml.read_history_before(company.slug), entity.name, records, starts, unknown)
    return list(zip(_by_number(rows, len(stretches)), _by_number(before, len(stretches)), strict=True))


def _by_number(rows: Iterable[Any], numbers: int) -> list[Rows]:
    found: list[list[Mapping[str, Any]]] = [[] for _ in range(numbers)]
    for row in rows:
        found[row["number"] - 1].append(row)
    return [*found]


def _outside(stretches: Iterable[Stretch]) -> Iterable[FieldChange]:
    """What changes that are not late make, where no stretch of their record tells it."""
    for _, group in groupby(stretches, key=lambda stretch: stretch.late.record_id):
        same = list(group)
        for change in same[0].disturbed.history:
            if not any(stretch.concerns(change.field, change.version) for stretch in same):
                yield change
