"""The only code that writes mirrored tables: `apply` for events, `upsert` for whoever mends rows.

In one transaction: lock the company's state, claim the events in the journal, and for each table in name order lock the
records in id order, fold, write, tell history. What another worker has claimed is a duplicate and touches nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from typing import Any

from schema import dml
from schema.change import Change, RecordId, by_types
from schema.columns import instant, to_json
from schema.custom_fields import Types
from schema.ddl import HISTORY, raw_schema
from schema.entity import Entity, id_text
from schema.errors import Conflict
from schema.event import Event
from schema.history import FieldChange, of_diffs
from schema.record import Record, fold, mend
from schema.row import load, row
from schema.version import moment
from store import companies, fields
from store.companies import ACTIVE, PURGED, Company, FieldType
from store.database import Connection
from worker.applying import journal, retelling
from worker.applying.stretch import Disturbed


@dataclass(slots=True)
class Applied:
    """What became of a group of events.

    written     claimed now: their changes are in the tables, or they touch none
    kept        what is written is so in the journal alone: the company is paused
    learnt      custom field types that this worker did not know: once this is committed, it may remember them
    duplicates  already in the journal
    discarded   of a purged company: not even read into the journal
    retold      records whose history was told anew
    """

    written: list[Event] = field(default_factory=list)
    kept: bool = False
    learnt: set[FieldType] = field(default_factory=set)
    duplicates: int = 0
    discarded: int = 0
    retold: int = 0


@dataclass(slots=True)
class _Told:
    """What folding leaves to be written beside the rows.

    again  the changes were journaled before: what they tell may have been told already, when something else came late
    """

    again: bool = False
    learnt: set[FieldType] = field(default_factory=set)
    history: list[FieldChange] = field(default_factory=list)
    disturbed: list[Disturbed] = field(default_factory=list)


async def apply(connection: Connection, company: Company, events: Sequence[Event]) -> Applied:
    """Apply one company's events within the caller's transaction. Whatever is raised must end that one.

    Raise OutdatedCompanyError when there is no such company any more.
    """
    state = await companies.lock_shared(connection, company)
    if state == PURGED:
        return Applied(discarded=len(events))
    written = await journal.claim(connection, company.id, events, applied=state == ACTIVE)
    applied = Applied(written, kept=state != ACTIVE, duplicates=len(events) - len(written))
    if state == ACTIVE:
        changes = [change for event in written for change in event.changes]
        applied.learnt, applied.retold = await write(connection, company, changes)
    return applied


async def apply_again(connection: Connection, company: Company, event: Event) -> bool:
    """Apply an event whether or not it was claimed before; False if its company is not active. Folds are idempotent."""
    if await companies.lock_shared(connection, company) != ACTIVE:
        return False
    claimed = await journal.claim(connection, company.id, [event], applied=True)
    if not claimed:
        await journal.mark_applied(connection, company.id, [event])
    await write(connection, company, event.changes, again=not claimed)
    return True


async def write(
    connection: Connection, company: Company, changes: Iterable[Change], *, again: bool = False
) -> tuple[set[FieldType], int]:
    """Fold changes of any source into the tables, within the caller's transaction.

    The types that were not known before, and of how many records the history was told anew. `again`: they were
    journaled before.
    """
    told = _Told(again)
    ordered = sorted(changes, key=_by_table_and_id)
    await _learn_types(connection, company, ordered, told)
    for entity, group in groupby(ordered, key=lambda change: change.entity):
        await _write_table(connection, company, entity, list(group), told)
    await _note_merges(connection, company, ordered)
    told.history += await retelling.retell(connection, company, told.disturbed)
    await _write_history(connection, company, told.history)
    return told.learnt, len(told.disturbed)


def _by_table_and_id(change: Change) -> tuple[str, RecordId, str]:
    # Ascending versions keep the fold on its fast side: each change is newer than the one before.
    return change.entity.plural, change.id, change.version


async def _write_table(
    connection: Connection, company: Company, entity: Entity, changes: list[Change], told: _Told
) -> None:
    ids = list(dict.fromkeys(change.id for change in changes))
    rows = await connection.fetch(dml.lock_rows(company.slug, entity), *dml.ids(entity, ids))
    records = {entity.id_of(found): load(entity, dict(found)) for found in rows}
    types = await _known_types(connection, company, entity, changes, told)
    moved: dict[RecordId, Record] = {}
    for record_id, group in groupby((by_types(change, types) for change in changes), key=lambda change: change.id):
        record = records.setdefault(record_id, Record())
        mend(record, types)
        if _fold_all(record, list(group), told):
            moved[record_id] = record
    await upsert(connection, company, entity, moved)


async def _known_types(
    connection: Connection, company: Company, entity: Entity, changes: Iterable[Change], told: _Told
) -> Types:
    """To be asked when the rows are locked: who held them before may have learnt types since the events were read."""
    if entity.custom_fields is None or not any(change.untyped for change in changes):
        return company.types_of(entity.custom_fields or "")
    known = (await fields.types(connection, company.id)).get(entity.custom_fields, {})
    told.learnt |= _as_learnt(entity.custom_fields, known, company)
    return known


def _fold_all(record: Record, changes: list[Change], told: _Told) -> bool:
    """Fold one record's changes; whether the row must be written. What disturbs its history is told by retelling."""
    history: list[FieldChange] = []
    late: list[Change] = []
    moved = False
    for change in changes:
        folded = fold(record, change)
        moved |= folded.changed
        if folded.disturbs:
            late.append(change)
        else:
            history += of_diffs(change, folded.diffs)
    if told.again and history:
        late, history = changes, []
    if late:
        told.disturbed.append(Disturbed(changes[0].entity, changes[0].id, record, late, history, told.again))
    else:
        told.history += history
    return moved


async def upsert(connection: Connection, company: Company, entity: Entity, moved: Mapping[RecordId, Record]) -> None:
    """Write records as whole rows, as they were locked and loaded in this transaction, or found to be new.

    Raise Conflict where another worker has made one of the new ones meanwhile.
    """
    if not moved:
        return
    in_order = itemgetter(*dml.written(entity))
    parameters = [in_order(entity.key_cells(record_id) | row(entity, record)) for record_id, record in moved.items()]
    stored = await connection.fetchmany(dml.upsert(company.slug, entity), parameters)
    if len(stored) != len(moved):
        raise Conflict(f"{len(moved) - len(stored)} {entity.plural} were written by another worker first")


async def _learn_types(connection: Connection, company: Company, changes: Iterable[Change], told: _Told) -> None:
    """First of all: what one event teaches holds for the others, and who waits for a type holds no row yet."""
    for change in changes:
        if change.types:
            told.learnt |= _as_learnt(change.entity.custom_fields or change.entity.name, change.types, company)
    if told.learnt:
        await fields.learn(connection, company.id, told.learnt)


def _as_learnt(entity: str, types: Types, company: Company) -> set[FieldType]:
    return {(entity, key, kind) for key, kind in types.items() - company.types_of(entity).items()}


async def _note_merges(connection: Connection, company: Company, changes: Iterable[Change]) -> None:
    merges = sorted(
        (change.entity.name, id_text(change.id), id_text(change.merged_into), instant(moment(change.version)))
        for change in changes
        if change.merged_into is not None
    )
    # One statement may not meet a row twice: of two events that tell the same merge, the earlier one dates it.
    distinct = {merge[:3]: merge for merge in reversed(merges)}
    if distinct:
        columns = zip(*distinct.values(), strict=True)
        await connection.execute(dml.note_merges(company.slug), *map(list, columns))


async def _write_history(connection: Connection, company: Company, history: Sequence[FieldChange]) -> None:
    if history:
        await connection.copy_records_to_table(
            HISTORY,
            schema_name=raw_schema(company.slug),
            columns=dml.HISTORY_COLUMNS,
            records=[_history_row(change) for change in history],
        )


def _history_row(change: FieldChange) -> tuple[Any, ...]:
    return (
        change.entity.name,
        id_text(change.id),
        change.field,
        to_json(change.old),
        to_json(change.new),
        instant(moment(change.version)),
        change.user_id,
        change.source,
        change.version,
    )
