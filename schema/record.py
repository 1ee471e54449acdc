"""A record as the mirror holds it, and the fold of a change into it.

`fold` is the heart: newest assertion wins, cell by cell. It does not matter in which order, how often or in which
portions changes are folded: the cells end the same. The database never decides what is newer; it only stores the result
of this function and refuses to store it over a row that moved meanwhile (`_revision`).
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

from schema.change import Cells, Change
from schema.custom_fields import HASH, canonical
from schema.entities import DELETED_AT, EVENT, GROUPS, Entity
from schema.version import Version, explains, is_read, newer

VERSION_COLUMNS = {"event": "_version", "v1": "_v1_version", "rest": "_rest_version"}
"""The version of a group's cells; cells of another version than their group's stand in `_versions`."""

MISSING: Any = object()


class Diff(NamedTuple):
    """One cell that a change turned from one value into another."""

    cell: str
    old: Any
    new: Any


@dataclass(slots=True)
class Record:
    """The newest known state of one record.

    cells     value of every cell ever asserted
    versions  cell -> version of the assertion that it shows
    untyped   custom fields stored as received, because their type is not known yet
    source    of the change that was folded in last
    revision  how often the row was written; 0 for a record that has no row yet
    """

    cells: Cells = field(default_factory=dict)
    versions: dict[str, Version] = field(default_factory=dict)
    untyped: set[str] = field(default_factory=set)
    source: str = ""
    revision: int = 0


@dataclass(slots=True)
class Folded:
    """What a fold did. `disturbs` says that the change belongs before something the history already tells,
    so that the record's history must be told anew around it.
    """

    diffs: list[Diff]
    changed: bool
    disturbs: bool


def fold(record: Record, change: Change) -> Folded:
    """Fold `change` into `record`."""
    mend(record, change.types)
    version, versions, cells = change.version, record.versions, record.cells
    folded = Folded([], changed=False, disturbs=False)
    won: set[str] = set()
    hints: Cells | None = None
    for cell, value in change.cells.items():
        known = versions.get(cell)
        if not newer(version, known):
            folded.disturbs |= version != known and not is_read(version)
            continue
        won.add(cell)
        if known is None:
            # The mirror knows nothing of this cell: what the source says it was is all there is.
            hints = change.previous() if hints is None else hints
            old = hints.get(cell, MISSING)
        else:
            old = cells[cell]
            folded.disturbs |= is_read(known) and not is_read(version) and explains(version, known)
        cells[cell], versions[cell] = value, version
        if old is not MISSING and old != value:
            folded.diffs.append(Diff(cell, old, value))
    if won:
        folded.changed = True
        record.untyped = (record.untyped - won) | (change.untyped & won)
        record.source = change.source
    return folded


def mend(record: Record, types: Mapping[str, str]) -> None:
    """A value kept as received takes its canonical shape as soon as its type is known; that is no change of it."""
    for cell in record.untyped & types.keys():
        record.cells[cell] = canonical(types[cell], record.cells[cell])
        record.untyped.discard(cell)


@cache
def members(entity: Entity) -> dict[str, str]:
    """Column -> group."""
    return {name: group for group in GROUPS for name in entity.group(group)}


def load(entity: Entity, row: Mapping[str, Any]) -> Record:
    """The record of a table's row."""
    cells: Cells = {name: row[name] for name in members(entity)}
    custom = (row["custom_fields"] or {}) if entity.custom_fields is not None else {}
    extra = {cell: _as_column(entity, cell, value) for cell, value in (row["_extra"] or {}).items()}
    versions: dict[str, Version] = {}
    for group, column in VERSION_COLUMNS.items():
        if row[column] is not None:
            versions |= dict.fromkeys(entity.group(group), row[column])
    if row["_version"] is not None:
        versions |= dict.fromkeys(custom, row["_version"]) | dict.fromkeys(extra, row["_version"])
    for cell, version in (row["_versions"] or {}).items():
        if version is None:
            versions.pop(cell, None)
        else:
            versions[cell] = Version(version)
    return Record(cells | custom | extra, versions, set(row["_untyped"] or ()), row["_source"], row["_revision"])


def _as_column(entity: Entity, cell: str, value: Any) -> Any:
    """A key of `_extra` may have become a column since: then it is typed, and null if it has not the form."""
    if not entity.has(cell):
        return value
    try:
        return entity.column(cell).type.of(value)
    except (ValueError, TypeError, OverflowError):
        return None


def row(entity: Entity, record: Record) -> dict[str, Any]:
    """The columns of a table's row, all but `id` and `_synced_at`."""
    groups = members(entity)
    columns: dict[str, Any] = {name: record.cells.get(name) for name in groups}
    others = {cell: value for cell, value in record.cells.items() if cell not in groups}
    if entity.custom_fields is not None:
        columns["custom_fields"] = {cell: value for cell, value in others.items() if HASH.fullmatch(cell)}
        others = {cell: value for cell, value in others.items() if cell not in columns["custom_fields"]}
    return (
        columns
        | _version_columns(entity, record)
        | {
            "_extra": others or None,
            "_untyped": sorted(record.untyped) or None,
            "_source": record.source,
            "_revision": record.revision + 1,
        }
    )


def _version_columns(entity: Entity, record: Record) -> dict[str, Any]:
    """One version per group, and apart from it only the cells that differ."""
    found: dict[str, Any] = {}
    apart: dict[str, Version | None] = {}
    held_apart = record.cells.keys() - members(entity).keys()
    for group, column in VERSION_COLUMNS.items():
        names = (*entity.group(group), *held_apart) if group == EVENT else entity.group(group)
        common = record.versions.get(DELETED_AT) if group == EVENT else _most_common(record, names)
        found[column] = common
        if common is not None:
            apart |= {name: known for name in names if (known := record.versions.get(name)) != common}
    return found | {"_versions": apart or None}


def _most_common(record: Record, names: tuple[str, ...]) -> Version | None:
    counted = Counter(record.versions[name] for name in names if name in record.versions)
    return counted.most_common(1)[0][0] if counted else None
