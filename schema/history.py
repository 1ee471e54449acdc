"""The history of a record: which cell changed from what to what, when.

It is a function of the assertions, not of their order of arrival: sort them by version, and note each assertion whose
value differs from the one before it. `fold` notes the same diffs while assertions come in order; when one comes late,
`retell` tells the part after it again. Three rules beside the obvious one:

- The first assertion of a cell changes nothing, unless its source says what the value was before.
- A read is no change of its own where an event that explains it follows: the event tells it exactly.
- Bookkeeping is no history: the time of the update itself, and columns that only repeat `_deleted_at`; nor is it one
  that the time of a deletion becomes known better, the name of a time zone, or the parts of an address.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from schema.change import Cells, Change, RecordId
from schema.columns import TIMESTAMP
from schema.custom_fields import Types, canonical, fuller
from schema.entity import DELETED_AT, MERGED_INTO, Entity
from schema.record import MISSING, Diff, differ
from schema.version import Version, explains, is_read, order


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One row of `field_changes`. Values are those of the cells; `version` is of the assertion that made the change."""

    entity: Entity
    id: RecordId
    field: str
    old: Any
    new: Any
    version: Version
    source: str
    user_id: int | None


@cache
def bookkeeping(entity: Entity) -> frozenset[str]:
    return frozenset({entity.updated, *entity.deleted_columns})


def typed(entity: Entity, cell: str, value: Any, types: Types) -> Any:
    """The value of a cell as the catalogue types it, from its JSON in `field_changes`; custom fields by `types`.

    It may have been told before its type was known.
    """
    if value is None:
        return None
    if cell == DELETED_AT:
        return TIMESTAMP.read(value)
    if cell == MERGED_INTO:
        return entity.id_type.read(value)
    if entity.has(cell):
        return entity.column(cell).type.read(value)
    return canonical(types[cell], value) if cell in types else value


def of_diffs(change: Change, diffs: Iterable[Diff]) -> list[FieldChange]:
    """The history that a change makes when nothing newer is known."""
    skipped = bookkeeping(change.entity)
    return [
        FieldChange(
            change.entity, change.id, diff.cell, diff.old, diff.new, change.version, change.source, change.user_id
        )
        for diff in diffs
        if diff.cell not in skipped and not (diff.cell == DELETED_AT and diff.old is not None and diff.new is not None)
    ]


def retell(changes: Iterable[Change], base: Mapping[str, Any]) -> list[FieldChange]:
    """The history of one record's `changes`, in any order and with repetitions.

    `base` holds the values of cells as they were before the first of them, as far as known.
    """
    ordered = sorted({change.version: change for change in changes}.values(), key=lambda change: order(change.version))
    cells: Cells = dict(base)
    told: list[FieldChange] = []
    for index, change in enumerate(ordered):
        following = ordered[index + 1 :] if is_read(change.version) else ()
        diffs = []
        hints: Cells | None = None
        for cell, value in change.cells.items():
            if any(
                cell in later.cells and explains(later.version, change.version)
                for later in following
                if not is_read(later.version)
            ):
                continue
            old = cells.get(cell, MISSING)
            if old is MISSING:
                hints = change.previous() if hints is None else hints
                old = hints.get(cell, MISSING)
            cells[cell] = fuller(value, old)
            if old is not MISSING and differ(old, cells[cell]):
                diffs.append(Diff(cell, old, cells[cell]))
        told += of_diffs(change, diffs)
    return told
